"""What the README promises in code is run; both READMEs show the same code, and no link of theirs is dead."""

import functools
import re
import shlex
from pathlib import Path

import pytest

import isthmus
from isthmus.cli import main

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = (ROOT / "README.md").read_text(), (ROOT / "README.zh-CN.md").read_text()
SMALL = ["--replicates", "2", "--configs", "1", "--steps", "20", "--jobs", "1"]
FEW = ["--families", "plain"]
NARROW = ["--facets", "reconstruction"]  # forty families, asked everything, would take minutes


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands(text: str) -> list[list[str]]:
    """The lines of all shell blocks, without comments."""
    lines = [line for block in blocks(text, "shell") for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_both_languages_show_the_same_code() -> None:
    assert blocks(ENGLISH, "python") == blocks(CHINESE, "python")
    assert commands(ENGLISH) == commands(CHINESE)
    assert re.findall(r"^## ", ENGLISH, re.M) == re.findall(r"^## ", CHINESE, re.M)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_links_lead_somewhere(text: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {words[1] for words in commands(ENGLISH) if words[0] == "make"} <= targets


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:training was cut:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.usefixtures("few_digits")
def test_python_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands, except that trainings are short and done in this process, and that two facets are asked."""
    few = functools.partial(isthmus.compare, jobs=1, facets="reconstruction,features")
    monkeypatch.setattr(isthmus, "compare", few)
    scope: dict[str, object] = {}
    for block in blocks(ENGLISH, "python"):
        exec(compile(block, "README.md", "exec"), scope)
    assert "reconstruction" in capsys.readouterr().out.lower()
    assert Path("report.html").stat().st_size > 50_000


@pytest.mark.slow
@pytest.mark.usefixtures("few_digits")
def test_commands_run(capsys: pytest.CaptureFixture[str]) -> None:
    """As they stand, except that a study is made small, of few digits."""
    rows = [f"{i % 7 or ''},{'north' if i % 3 else 'south'},{i % 5},{'low' if i % 2 else 'high'}" for i in range(80)]
    Path("people.csv").write_text("\n".join(["age,region,children,income", *rows, ""]))
    asked = [words[1:] for words in commands(ENGLISH) if words[0] == "isthmus"]
    assert {words[0] for words in asked} == {"profile", "compare", "take", "train", "impute", "flag", "list"}
    for words in asked:
        less = NARROW if "all" in words else [] if "--families" in words else FEW
        given = [*words, *SMALL, *less] if words[0] == "compare" else words
        assert main(given) == 0, (given, capsys.readouterr().err)
