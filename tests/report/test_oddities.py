"""The most anomalous rows on the page: what made their scores, in columns or in pixels, and nothing that is markup."""

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from isthmus.answers.words import LANGUAGES, Words
from isthmus.api.study import Study, compare
from isthmus.report.illustrations import Exhibit
from isthmus.report.oddities import oddities

EN = Words("en")
COLUMNS = ("age", "height", "weight", "<b>bold</b>")


def exhibit(**more: Any) -> Exhibit:
    share = np.array([[0.05, -0.6, 0.25, 0.1], [0.0, 0.0, 0.0, 1.0]], np.float32)
    arrays = {"odd": np.ones((2, 4)), "odd_number": np.array([17, 3]), "odd_score": np.array([2.5, 0.5])}
    return Exhibit("plain", arrays | {"odd_share": share} | more)


def only(one: Exhibit, columns: Any = COLUMNS, images: bool = True) -> Any:
    (found,) = oddities([one], {"data": {"columns": columns, "images": images}}, EN, {"plain": "plain"})
    return found


def test_row_number_score_and_the_three_columns_with_their_direction() -> None:
    found = only(exhibit(odd_label=np.array([1, 0])))
    assert [row.name for row in found.table.rows] == ["row 17", "row 3"]
    cells = [[cell.mean for cell in row.cells] for row in found.table.rows]
    assert cells[0] == ["2.50", "anomaly", "height ↓ 60%, weight ↑ 25%, <b>bold</b> ↑ 10%"]
    assert cells[1][:2] == ["0.500", "normal"]
    assert cells[1][2].startswith("<b>bold</b> ↑ 100%")
    assert found.strips == []
    assert len(found.table.heads) == 4


def test_without_labels_and_names_there_are_blanks_and_numbers() -> None:
    found = only(exhibit(), columns=())
    assert found.table.rows[0].cells[1].mean == "–"
    assert found.table.rows[0].cells[2].mean == "1 ↓ 60%, 2 ↑ 25%, 3 ↑ 10%"


def test_images_have_pictures_of_their_shares_instead() -> None:
    images = {"odd": np.random.default_rng(0).random((2, 5, 4)), "odd_share": np.full((2, 5, 4), 0.05)}
    found = only(exhibit(**images))
    assert [strip.source.startswith("data:image/png;base64,") for strip in found.strips] == [True, True]
    assert len(found.table.heads) == 3
    other = only(exhibit(**images | {"odd_share": -images["odd_share"]}))
    assert found.strips[0].source == other.strips[0].source
    assert found.strips[1].source != other.strips[1].source  # red is above, blue below
    assert len(only(exhibit(odd=np.zeros((2, 5, 4, 3)), odd_share=np.zeros((2, 5, 4, 3)))).strips) == 2


def test_series_are_not_drawn_and_their_elements_are_named() -> None:
    share = np.zeros((2, 5, 3), np.float32)
    share[:, 4, 1] = 1
    found = only(
        exhibit(odd=np.ones((2, 5, 3)), odd_share=share), [f"x{i}_{j}" for i in range(5) for j in range(3)], False
    )
    assert found.strips == []
    assert found.table.rows[0].cells[2].mean.startswith("x4_1 ↑ 100%")


def test_an_exhibit_without_them_or_with_shapes_that_differ_is_left_out() -> None:
    bare = Exhibit("plain", {"rows": np.ones((2, 4))})
    assert oddities([bare, exhibit(odd=np.ones((2, 3)))], {"data": {}}, EN, {"plain": "plain"}) == []


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Four columns of one cause; in the last twenty rows the column with the hostile name goes its own way."""
    pandas = pytest.importorskip("pandas")
    stream = np.random.default_rng(0)
    x = stream.normal(size=(200, 1)) @ np.ones((1, 4)) + 0.1 * stream.normal(size=(200, 4))
    x[180:, 3] += 6
    frame = pandas.DataFrame(x, columns=list(COLUMNS)).assign(kind=["fine"] * 180 + ["odd"] * 20)
    options = {"families": "pca,svdd", "facets": "anomaly", "replicates": 2, "configs": 1, "steps": 20, "latents": 1}
    folder = tmp_path_factory.mktemp("odd") / "study"
    with pytest.warns(UserWarning, match="tells the label"):  # the planted column
        return compare(frame, label="kind", anomaly="odd", out=folder, jobs=1, **options)


@pytest.mark.slow
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_shows_them_escaped(study: Study, read: Any, lang: str) -> None:
    page, t = read(study, lang), Words(lang)
    assert "oddities" in page.ids()
    assert t("oddities.caption", name="PCA") in page.text
    assert "<b>bold</b> ↑" in page.text  # as text, which is what the reader sees
    assert not any(tag == "b" for tag, _ in page.elements)
    assert page.text.count(t("oddities.row", n=180)[:-3]) >= 1
    assert t("oddities.caption", name="Deep SVDD") not in page.text  # its score is no sum over columns


@pytest.mark.slow
def test_the_planted_rows_and_their_column_lead(study: Study) -> None:
    (record,) = [r for r in study.records if r.job.name == "pca" and r.job.replicate == 0]
    arrays = load_file(study.folder / "runs" / record.id / "exhibits.safetensors")
    planted = arrays["odd_label"] == 1
    assert planted.sum() >= 3
    assert (arrays["odd_number"][planted] >= 180).all()
    assert (arrays["odd_share"][planted].argmax(axis=1) == 3).all()
    assert np.abs(arrays["odd_share"]).sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (np.diff(arrays["odd_score"]) <= 0).all()
    raw = load_file(study.folder / "runs" / record.id / "scores.safetensors")  # which the verdicts are made of
    told = dict(zip(raw["test_rows"].tolist(), raw["anomaly_score"].tolist(), strict=True))
    assert [told[number] for number in arrays["odd_number"].tolist()] == pytest.approx(arrays["odd_score"], rel=1e-4)
    assert arrays["odd_score"].min() >= sorted(told.values())[-8] - 1e-4
