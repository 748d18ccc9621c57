"""The page over several data sets: its answers, its diagram, and that nothing from outside gets into its markup."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from isthmus.answers.words import Words
from isthmus.api.several import Several
from isthmus.facets import FACETS
from isthmus.report.diagram import critical_difference, groups
from isthmus.report.html import template
from isthmus.report.several import kind, overview, render
from isthmus.report.tables import Grid
from isthmus.study.several import LIST, Contents, Listed

EVIL = '<script>alert(1)</script>"&\u202e'


def several(make, folder: Path, names, overlaps=(), **options) -> Several:
    """A folder of invented studies."""
    (folder / "sets").mkdir(parents=True)
    for i, name in enumerate(names):
        make(
            folder / "sets" / f"s{i}",
            name=name,
            seed=i,
            families=("plain", "topk", "pca"),
            facets=("anomaly",),
            **options,
        )
    sets = [Listed(name=name, folder=f"s{i}") for i, name in enumerate(names)]
    (folder / LIST).write_text(
        Contents(sets=sets, overlaps=list(overlaps), command=f"isthmus {EVIL}").model_dump_json()
    )
    return Several(folder)


@pytest.fixture(scope="module")
def six(make, tmp_path_factory):
    levels = {"plain": 1.0, "topk": 3.0, "pca": 2.0, "knn": 4.0, "isolation forest": 5.0}
    others = [name for name in FACETS["anomaly"].rivals_on() if name not in levels]
    levels |= {name: 6.0 + i for i, name in enumerate(others)}
    assert len(levels) == 10
    return several(make, tmp_path_factory.mktemp("six"), "abcdef", levels=levels)


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_says_who_ranks_first_and_where_each_answer_is(six, lang, reading):
    page = reading(render(six, six.folder, lang))
    t = Words(lang)
    assert t("several.title", n=6) in page.text
    assert t("several.critical", cd="5.53") in page.text  # 10 contenders, 6 sets: 3.164 sqrt(110 / 36)
    links = {a["href"] for tag, a in page.elements if tag == "a" and not a["href"].startswith("#")}
    assert links == {f"sets/s{i}/report.html" for i in range(6)}
    lines = six.recommendation(lang, {**t.texts["facets"], **t.texts["contenders"]})
    assert lines[0].split(t("page.colon"))[1][1:40] in page.text
    assert page.scripts == [template("page.js")]


def test_one_contender_alone_has_a_page_without_pairs(make, tmp_path, reading):
    alone = tmp_path / "alone"
    about = {"families": ("plain",), "facets": ("reconstruction",), "rivals": ()}
    for i, name in enumerate("ab"):
        make(alone / "sets" / name, name=name, seed=i, **about)
    listed = [Listed(name=name, folder=name) for name in "ab"]
    (alone / LIST).write_text(Contents(sets=listed, overlaps=[], command="").model_dump_json())
    found = Several(alone)
    (ranking,) = found.rankings().values()
    assert list(ranking.ranks) == ["plain"]
    assert ranking.pairs == ()
    page = reading(render(found, alone))
    t = Words("en")
    assert t("several.pairs", facet=t.name("facets", "reconstruction")) not in page.text
    assert Grid("", [("a", []), ("b", [])], []).texts == [False, False]


@pytest.mark.slow
def test_links_are_relative_to_where_the_page_lies(six, reading):
    page = reading(render(six, six.folder / "else where", "en"))
    links = {a["href"] for tag, a in page.elements if tag == "a" and not a["href"].startswith("#")}
    assert "../sets/s0/report.html" in links


@pytest.mark.slow
def test_what_must_be_known_first_is_said(make, tmp_path, reading):
    t = Words("en")
    some = several(make, tmp_path / "some", "abc", [(0, 2, 0.75)], finished=3)
    text = reading(render(some, tmp_path, "en")).text
    assert t("several.undone", sets="a, b and c") in text
    assert "a and c share rows (75% of the smaller one's, beyond chance)" in text
    assert t("several.few", least=5) in text
    whole = several(make, tmp_path / "whole", "abcde")
    text = reading(render(whole, tmp_path, "en")).text
    assert not any(t("several." + key) in text for key in ("overlap", "few_title"))


@pytest.mark.slow
def test_names_from_outside_stay_text(make, tmp_path, reading):
    usual = reading(render(several(make, tmp_path / "usual", ("a", "b"), [(0, 1, 1.0)]), tmp_path, "en"))
    evil = reading(render(several(make, tmp_path / "evil", (EVIL, "b"), [(0, 1, 1.0)]), tmp_path, "en"))
    assert evil.skeleton == usual.skeleton
    assert "<script>alert(1)</script>" in evil.text
    assert "\u202e" not in evil.text


def test_the_diagram_escapes_names_and_draws_bars_between_the_undistinguished():
    ranks = {"x": 1.0, "y": 1.4, "z": 2.9, EVIL: 4.0}
    shown = {name: name for name in ranks}
    drawn = critical_difference(ranks, 1.2, ["y"], shown, EVIL, "CD")
    tree = ET.fromstring(str(drawn))
    texts = [one.text or "" for one in tree.iter("text")]
    assert any(text.startswith("<script>alert(1)") for text in texts)
    assert {one.tag for one in tree.iter()} == {"svg", "path", "text"}
    bars = [one for one in tree.iter("path") if one.get("stroke-width") == "4"]
    assert len(bars) == len(groups(list(ranks.values()), 1.2)) == 2
    italics = [one.text for one in tree.iter("text") if one.get("font-style") == "italic"]
    assert italics == ["y 1.40"]


@pytest.mark.parametrize(
    ("ranks", "critical", "expected"),
    [
        ([1.0, 2.0, 3.0], 0.5, []),
        ([1.0, 2.0, 3.0], 1.5, [(0, 1), (1, 2)]),
        ([1.0, 2.0, 3.0], 2.5, [(0, 2)]),
        ([1.0, 2.0, 3.0], 1.0, []),  # apart by exactly the critical difference: told apart
        ([1.0], 9.0, []),
    ],
)
def test_bars_are_the_longest_runs(ranks, critical, expected):
    assert groups(ranks, critical) == expected


@pytest.mark.slow
def test_cards_have_the_colour_of_what_is_claimed(six):
    found = six.rankings()["anomaly"]
    heads, rows, lines = overview(six, Words("en"))
    assert heads == ["Contender", "Anomaly detection"]
    assert [row[1] for row in rows] == [f"{rank:.2f}" for rank in found.ranks.values()]
    assert len(lines) == 1
    assert kind(found) == "undecided"
