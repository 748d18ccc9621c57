"""Curves of facets: means at the same places, honest where places differ, and a drawing with its table on the page."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isthmus.answers.words import LANGUAGES, Words
from isthmus.api.study import Study
from isthmus.facets import FACETS
from isthmus.facets.facet import CurveTitle
from isthmus.report import facet_curves
from isthmus.report.figures import Interval
from isthmus.said import Said
from isthmus.study.record import Line

EN = Words("en")


def average(lines: list[list[tuple[float, float]]], log: bool = False) -> list[Any]:
    return facet_curves.average(lines, log, 1 / 3, "me", EN)


def test_replicates_at_the_same_places_are_averaged_there_with_the_corrected_interval() -> None:
    lines = [[(1.0, float(i)), (10.0, 5.0)] for i in range(1, 6)]
    ((name, points),) = average(lines)
    half = 2.7764451 * (4 / 3) ** 0.5  # as in test_means_have_the_corrected_interval
    assert name == "me"
    assert [x for x, _ in points] == [1.0, 10.0]
    assert points[0][1] == pytest.approx((3.0, 3.0 - half, 3.0 + half))
    assert points[1][1].mean == 5.0


def test_a_hole_in_one_replicate_is_not_filled_from_its_neighbours() -> None:
    lines = [[(1.0, 0.0), (2.0, math.nan), (3.0, 0.0)], [(1.0, 0.0), (2.0, 7.0), (3.0, 0.0)]]
    ((_, points),) = average(lines)
    assert points[1] == (2.0, Interval(7.0, None, None))
    ((_, points),) = average([line[:2] for line in [lines[0]]])
    assert [x for x, _ in points] == [1.0]


def test_different_places_are_read_between_points_and_only_where_all_reach() -> None:
    lines = [[(0.0, 0.0), (2.0, 2.0), (4.0, 4.0), (6.0, 6.0)], [(1.0, 3.0), (5.0, 7.0)]]
    ((_, points),) = average(lines)
    assert [(x, e.mean) for x, e in points] == [(2.0, 3.0), (4.0, 5.0)]


def test_a_logarithmic_axis_is_read_logarithmically() -> None:
    ((_, points),) = average([[(1.0, 0.0), (10.0, 1.0), (100.0, 2.0)], [(1.0, 0.0), (100.0, 2.0)]], log=True)
    assert [e.mean for _, e in points] == pytest.approx([0.0, 1.0, 2.0])


def test_an_interval_goes_no_further_than_its_line_can() -> None:
    lines = [[(1.0, 1.0)], [(1.0, 1.0)], [(1.0, 0.7)]]
    ((_, (point,)),) = average(lines)
    assert point[1].high > 1.0
    ((_, (point,)),) = facet_curves.average(lines, False, 1 / 3, "me", EN, (0.0, 1.0))
    assert point[1].high == 1.0


def test_every_curve_with_ends_says_them() -> None:
    ends = {name: curve.bounds for facet in FACETS.values() for name, curve in facet.curves.items()}
    assert all(math.isfinite(low) or math.isfinite(high) for low, high in ends.values()), ends
    assert ends["few_labels"] == (0.0, 1.0)


def test_without_a_common_range_each_replicate_keeps_its_own_line() -> None:
    lines = [[(0.0, 0.0), (1.0, 1.0)], [(2.0, 0.0), (3.0, 1.0)]]
    assert [name for name, _ in average(lines)] == ["me (replicate 1)", "me (replicate 2)"]
    assert average([[], []]) == []


def measured(facet: str, name: str, replicate: int) -> dict[str, Line]:
    """Rates that fall with the level, at places of each contender's own; one point lies at no place of a log axis."""
    if facet != "sparsity" or name == "vq":
        return {}
    start = 1.0 + len(name)
    xs = [0.0, start, 4 * start, 16 * start]
    ys = [9.0, 0.5 + replicate / 100, 0.25, None if name == "l1" else 0.125]
    return {"made_up": Line(x=xs, y=ys)}


MADE_UP = CurveTitle(*(Said(name, name) for name in ("made_up", "made_up_x", "made_up_y")), log=True)


@pytest.fixture
def curved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparsity measures one curve."""
    monkeypatch.setitem(FACETS, "sparsity", replace(FACETS["sparsity"], curves={"made_up": MADE_UP}))


@pytest.mark.slow
@pytest.mark.usefixtures("curved")
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_draws_each_curve_with_a_legend_and_a_table(
    tmp_path: Path, make: Any, read: Any, drawn: Any, lang: str
) -> None:
    page, t = read(Study(make(tmp_path / "study", replicates=3, curves=measured)), lang), Words(lang)
    assert "facet_curves" in page.ids()
    assert t("curves.facet_intro") in page.text
    assert f"{t.name('facets', 'sparsity')}{t('page.colon')}made_up" in page.text
    alt = t("curves.facet_alt", x="made_up_x", y="made_up_y", n=9)
    assert [a["aria-label"] for a in page.drawings].count(alt) == 1
    figure = drawn[alt]
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert [figure["layout"][axis]["title"] for axis in ("xaxis", "yaxis")] == ["made_up_x", "made_up_y"]
    lines = {line["name"]: line for line in figure["data"]}
    assert len(lines) == 9  # eight families without VQ, PCA among them, and sparse coding, the rival
    assert (lines["PCA"]["x"], lines["PCA"]["line"]["dash"]) == ([4.0, 16.0, 64.0], "dot")
    assert lines["PCA"]["y"] == pytest.approx([0.51, 0.25, 0.125])
    low, high = lines["PCA"]["error_y"]["ends"][0]
    assert low < 0.51 < high
    own = lines[t.name("contenders", "l1")]
    assert (own["x"], own["line"]["dash"]) == ([3.0, 12.0], "solid")


@pytest.mark.usefixtures("curved")
def test_the_table_says_where_a_value_lies_between_points(tmp_path: Path, make: Any, read: Any) -> None:
    study = Study(make(tmp_path / "study", replicates=3, families=("l1", "pca"), curves=measured))
    text = read(study).text
    # l1 at 3, 12; PCA at 4, 16, 64; sparse coding at 14, 56, 224: PCA at 12 is read from the line.
    between = 0.51 + (0.25 - 0.51) * math.log(12 / 4) / math.log(16 / 4)
    assert "made_up_y at selected values of: made_up_x" in text
    assert f" {between:.3f} " in text


@pytest.mark.slow
@pytest.mark.usefixtures("curved")
def test_of_many_contenders_the_rivals_and_the_best_are_drawn_openly(tmp_path: Path, make: Any, read: Any) -> None:
    many = [f"mine{i}" for i in range(20)]
    levels = {name: 1 + i / 10 for i, name in enumerate(many)}
    study = Study(make(tmp_path / "study", families=[*many, "pca"], replicates=2, levels=levels, curves=measured))
    text = study.report(tmp_path / "page.html").read_text(encoding="utf-8")
    section = text[text.index('id="facet_curves"') : text.index('id="curves"')]
    opened, folded = section.split("<summary>10 others</summary>")
    assert opened.count('class="drawing"') == folded.count('class="drawing"') == 1
    assert "PCA" in opened
    assert "mine0<" in opened
    assert "mine19<" in folded


@pytest.mark.slow
def test_without_curves_there_is_no_section(tmp_path: Path, make: Any, read: Any) -> None:
    assert "facet_curves" not in read(Study(make(tmp_path / "study", replicates=2))).ids()
