"""How the width was chosen: on the page where a sweep chose it, and nowhere else."""

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.answers.words import LANGUAGES, Words
from isthmus.api.study import Study
from isthmus.report import capacity
from isthmus.study.capacity import Sweep
from isthmus.study.record import digest

FOUND = Sweep(
    chosen=2,
    widths=[1, 2, 4, 8],
    errors=[[0.8, 0.9], [0.31, 0.29], [0.30, 0.28], [None, 0.5]],
    linear=[[0.9, 0.9], [0.4, 0.4], [0.2, 0.2], [0.1, 0.1]],
    nothing=1.0,
    ratio=1 / 3,
    dimension=2.345,
    seconds=5.0,
)


def with_sweep(folder: Path) -> Path:
    content = json.loads((folder / "study.json").read_text(encoding="utf-8")) | {"sweep": FOUND.to_json()}
    del content["seal"]
    (folder / "study.json").write_text(json.dumps(content | {"seal": digest(content)}), encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_says_draws_and_lists_the_sweep(tmp_path: Path, make: Any, read: Any, drawn: Any, lang: str) -> None:
    page, t = read(Study(with_sweep(make(tmp_path / "study", replicates=2))), lang), Words(lang)
    assert "capacity" in page.ids()
    assert capacity.sentence(FOUND, t) in page.text
    assert t("capacity.alt", width=2) in [a["aria-label"] for a in page.drawings]
    figure = drawn[t("capacity.alt", width=2)]
    network, linear = figure["data"]
    assert (network["x"], network["y"]) == ([1, 2, 4], pytest.approx([0.85, 0.30, 0.29]))  # 8 diverged
    assert linear["x"] == [1, 2, 4, 8]
    mean, se = FOUND.summary[1].error, FOUND.summary[1].se
    assert network["error_y"]["ends"][1] == pytest.approx((mean - se, mean + se))
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [2, 2.345]


@pytest.mark.slow
def test_without_a_sweep_there_is_no_section(tmp_path: Path, make: Any, read: Any) -> None:
    assert "capacity" not in read(Study(make(tmp_path / "study", replicates=2))).ids()


def test_the_sentence_and_the_table_hold_the_numbers() -> None:
    t = Words("en")
    choice = capacity.chosen(FOUND, t)
    assert choice.sentence == (
        "Code width 2: error 0.300, within one standard error (0.0129) of the best, 0.290 at width 4 (of 1 to 8)."
        " Intrinsic dimension of the rows: about 2.35."
    )
    rows = {row.name: [cell.mean for cell in row.cells] for row in choice.table.rows}
    assert rows["2 (chosen)"] == ["0.300", "0.0129", "0.400", "0.700", "0.550"]
    assert rows["4"][-1] == "0.00500"  # a hundredth for two units
    assert rows["8"][:2] == ["–", "–"]
