"""The answer in a pipe: what to take, for and against it, and tables that fit."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from isthmus.api.study import Study
from isthmus.cli import answer, show
from isthmus.evidence.pareto import Pareto
from isthmus.evidence.purposes import standing

LEVELS = {"plain": 1.0, "denoising": 1.6, "l1": 1.7, "pca": 3.0}


@pytest.fixture
def printed(tmp_path: Path, make: Any, capsys: pytest.CaptureFixture[str]) -> str:
    study = Study(make(tmp_path / "study", families=[*LEVELS], levels=LEVELS))
    answer.answer(study, tmp_path / "page.html", "en")
    return capsys.readouterr().out


@pytest.mark.slow
def test_who_is_taken_has_pros_and_cons(printed: str) -> None:
    assert "To compress and rebuild rows: take plain (explained variance " in printed
    brief = printed[printed.index("\nplain\n") :].split("\n\n", maxsplit=1)[0]
    assert re.search(r"\n  \+ best reconstruction \(explained variance 0.89\d against 0.8\d+ of sparse coding\)", brief)
    assert "\ndenoising\n" not in printed, "nobody takes it"


def test_the_price_told_is_that_of_the_configuration_to_take(tmp_path: Path, make: Any) -> None:
    """Three configurations, of one, two and three times the parameters: features choose the third, cost the first."""
    levels = {"plain": 0.1, "pca": 3.0, "raw columns": 3.0, "marginalised denoising": 3.0}
    study = Study(make(tmp_path / "study", families=["plain", "pca"], levels=levels))
    chosen = {facet: c.config for r in study.records if r.job.name == "plain" for facet, c in r.facets.items()}
    assert (chosen["features"], chosen["cost"]) == (2, 0)
    line = next(
        line for line in study.recommendation() if line.startswith("To classify rows by their codes: take plain")
    )
    assert "; compared with PCA it takes 3 times the parameters" in line


@pytest.mark.slow
def test_a_mark_stands_beside_whom_nobody_is_ahead_of(tmp_path: Path, make: Any, read: Any, printed: str) -> None:
    """Plain is ahead of PCA, the others are not told apart everywhere; rivals of single facets do not stand in all."""
    study = Study(tmp_path / "study")
    assert standing(study.verdict().values()) == Pareto(("plain", "denoising", "l1"), (("pca", "plain"),))
    assert "\nplain ◆ " in printed
    assert "\nPCA  " in printed
    assert "◆ on the Pareto front: no contender is shown to dominate it" in printed
    titles = [a.get("title") for _, a in read(study).elements if a.get("class") == "mark"]
    assert titles == [None, *["on the Pareto front: no contender is shown to dominate it"] * 3], "the legend, then rows"


def test_a_wide_table_is_told_in_parts_that_fit(capsys: pytest.CaptureFixture[str]) -> None:
    heads = ["Contender", *(f"Facet number {i}" for i in range(9))]
    rows = [["plain", *(f"{i}.125" for i in range(9))], ["raw columns", "1.5", *["–"] * 8]]
    show.table(heads, rows)
    out = capsys.readouterr().out
    parts = [part.splitlines() for part in out.strip().split("\n\n")]
    assert max(map(len, out.splitlines())) <= show.PIPE
    assert len(parts) == math.ceil(9 / 5)  # 10 for the name, then 5 times 16
    assert [part[0].split()[0] for part in parts] == ["Contender", "Contender"]
    assert " ".join(parts[0][1].split() + parts[1][1].split()[1:]) == " ".join(rows[0])
    assert [len(part) for part in parts] == [3, 2], "who has nothing in a further part is not named in it again"
