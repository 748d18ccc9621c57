"""The ten-second answer: what was decided stands first, each with its certainty, its gain and its command."""

import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

from isthmus.answers.advice import recommend
from isthmus.answers.brief import brief
from isthmus.answers.words import LANGUAGES, Words
from isthmus.api import notebook
from isthmus.api.study import Study
from isthmus.cli import answer, show
from isthmus.cli.brief import table
from isthmus.evidence.cut import Cut
from isthmus.evidence.purposes import ORDER, answered
from isthmus.evidence.verdict import judge
from isthmus.facets import FACETS
from isthmus.report.answers import skipped
from isthmus.study.budget import LEFT_OUT
from isthmus.study.deploy import recommended
from isthmus.study.design import OBSTACLES

WOBBLE = np.array([0.0, 0.001, -0.001, 0.002, -0.002])
WIDE = np.array([0.2, -0.2, 0.1, -0.15, 0.05])
RIVALS = {"pca", "raw columns", "rounding"}


def facet(name: str, metric: str, *, higher: bool = True, relative: bool = False, **scores: Any) -> Any:
    about = {"higher": higher, "relative": relative, "rope": 0.02, "rivals": RIVALS, "test_fraction": 1 / 3}
    return judge(scores, metric=metric, facet=name, **about)


VERDICTS = {
    "reconstruction": facet("reconstruction", "explained_variance", plain=0.7 + WIDE, pca=0.69 - WIDE),
    "compression": facet(
        "compression",
        "bits_per_element",
        higher=False,
        relative=True,
        plain=1.0 + WOBBLE,
        pca=1.4 + WOBBLE,
        rounding=1.25 - WOBBLE,
    ),
    "features": facet(
        "features", "probe_accuracy", plain=0.8 + WOBBLE, pca=0.82 + WOBBLE, **{"raw columns": 0.95 - WOBBLE}
    ),
}


def test_what_was_decided_stands_first_with_gain_certainty_and_command() -> None:
    lines = brief(answered(VERDICTS), ["plain", "pca"])
    assert [line.kind for line in lines] == ["autoencoder", "rival", "undecided"]
    assert [ORDER.index(line.kind) for line in lines] == sorted(ORDER.index(line.kind) for line in lines)
    first, second, third = lines
    assert first.purpose == "To compress rows into few bytes"
    assert (first.take, first.sure, first.command) == ("plain", "> 0.99", "plain --for compression --out model")
    assert first.gain == "−20% bits per element at 10% error (lower is better) against rounding alone", (
        "the simplest, not the best"
    )
    assert (second.take, second.command) == (
        "raw data (no autoencoder needed)",
        "'raw columns' --for features --out model.py",
    )
    assert second.gain == "it is the simplest"
    assert third.take == "PCA, not proven (or plain)", "within a rope of plain, and simpler"
    assert third.sure.startswith("expected loss 0.13; ")
    assert third.sure.endswith("would not settle it")
    assert third.command == "pca --for reconstruction --out model", "what is recommended can be taken"


def test_sentences_and_what_is_taken_without_a_word_begin_with_the_first_line() -> None:
    verdicts = {name: VERDICTS[name] for name in ("reconstruction", "features")}
    purposes = answered(verdicts)
    assert [one.kind for one in purposes] == ["undecided", "rival"]
    study: Any = types.SimpleNamespace(purposes=lambda: purposes)
    assert (recommended(study).take, recommended(study, "reconstruction").take) == ("raw columns", "pca")
    aims = [line.purpose for line in brief(purposes, ["plain", "pca"])]
    assert [line.partition(":")[0] for line in recommend(verdicts, purposes)[:2]] == aims


def test_certainty_is_that_of_the_weakest_link() -> None:
    v = facet("anomaly", "auroc", plain=0.9 + WOBBLE, pca=0.86 + WOBBLE * 6, **{"raw columns": 0.5 + WOBBLE})
    (line,) = brief(answered({"anomaly": v}), ["plain"])
    assert v.outcome == "autoencoder"
    least = min(v.pair("plain", rival).better for rival in ("pca", "raw columns"))
    assert line.sure == (f"{least:.2f}" if least <= 0.99 else "> 0.99")
    enough = facet("anomaly", "auroc", plain=0.9 + WOBBLE, pca=0.9 - WOBBLE)
    (line,) = brief(answered({"anomaly": enough}), ["plain", "pca"])
    pair = enough.pair("plain", "pca")
    assert line.sure == "> 0.99"
    assert pair.equal + pair.worse > 0.99
    assert (line.take, line.command) == ("PCA (no autoencoder needed)", "pca --for anomaly --out model")


@pytest.mark.parametrize(
    ("scores", "rivals", "said"),
    [
        ({"pca": 0.9, "knn": 0.8}, {"pca", "knn"}, "no autoencoder was compared"),
        ({"plain": 0.9, "vae": 0.8}, set(), "no rival was compared"),
    ],
)
def test_where_one_side_is_missing_that_is_said(scores: dict[str, float], rivals: set[str], said: str) -> None:
    about = {"metric": "auroc", "higher": True, "rope": 0.01, "rivals": rivals, "test_fraction": 1 / 3}
    v = judge({name: value + WOBBLE for name, value in scores.items()}, facet="anomaly", **about)
    (line,) = brief(answered({"anomaly": v}), list(scores))
    assert line.sure == said


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_terminal_cuts_anything(
    lang: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    lines = brief(answered(VERDICTS), ["plain", "pca"], lang)
    table(lines, "isthmus-digits", Words(lang))
    out = capsys.readouterr().out
    assert "$ isthmus take isthmus-digits plain --for compression --out model" in out
    shown = [line for line in re.sub("\x1b\\[[0-9;]*m", "", out).splitlines() if "$ " not in line]
    assert max(map(cell_len, shown)) <= width
    together = "".join(out.split())
    for line in lines:
        for sign in set("".join([line.purpose, line.take, line.sure, line.gain]).replace(" ", "")):
            assert sign in together


@pytest.mark.slow
def test_a_terminal_begins_with_the_table_then_sentences_then_evidence(
    tmp_path: Path, make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study(make(tmp_path / "study"))
    answer.answer(study, tmp_path / "page.html", "en")
    out = capsys.readouterr().out
    places = [
        out.index(text) for text in ("Purpose  ", "\nTo compress and rebuild rows: ", "\nThe evidence", "\nContender")
    ]
    assert places == sorted(places)
    assert out[: places[0]].count("\n") <= 1, "before it only that trainings were cut"


@pytest.mark.slow
def test_the_page_begins_with_the_table_and_folds_the_rest(tmp_path: Path, make: Any, read: Any) -> None:
    page = read(Study(make(tmp_path / "study")))
    tables = [a for tag, a in page.elements if tag == "table"]
    assert tables[0]["class"] == "brief"
    assert {a["class"] for a in tables[1:]} == {"sorts"}
    order = [(tag, a.get("id")) for tag, a in page.elements if tag in {"section", "details"}]
    for place, (tag, name) in enumerate(order):
        if tag == "section" and name not in {"answer", "table"}:
            assert order[place + 1][0] == "details", f"{name} does not fold"
    assert {a.get("class") for tag, a in page.elements if tag == "code"} == {"copies"}


@pytest.mark.slow
def test_the_leader_is_first_in_the_order_of_its_column(tmp_path: Path, make: Any, read: Any) -> None:
    study = Study(make(tmp_path / "study"))
    page = read(study)
    cells = [a for tag, a in page.elements if tag == "td" and "data-sort" in a]
    assert {a["data-sort"] for a in cells if a["class"] == "leader"} == {"0"}
    assert sum(a["data-sort"] == "0" for a in cells) == len(study.verdict())
    text = study.report(tmp_path / "page.html").read_text(encoding="utf-8")
    for name, v in study.verdict().items():
        grid = text.split(f"<caption><span>{Words('en').title(name)}: mean over replicates")[1]
        first = grid.split('<th scope="row">')[1].split("</th>")[0]
        assert first == Words("en").title(next(iter(v.means))), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("facet", "rival", "command"),
    [
        ("anomaly", "isolation forest", "'isolation forest' --for anomaly --out model"),
        ("anomaly", "lof", "lof --for anomaly --out model.py"),
        ("anomaly", "sub-pca", "sub-pca --for anomaly --out model"),
        ("features", "persistence", "persistence --for features --out model.py"),
    ],
)
def test_a_rival_that_can_be_saved_has_its_command_too(facet: str, rival: str, command: str) -> None:
    scores = {"plain": 0.7 + WOBBLE, "pca": 0.71 - WOBBLE, rival: 0.9 + WOBBLE}
    metric, rivals = FACETS[facet].primary, {"pca", rival}
    verdict = judge(scores, facet=facet, metric=metric, higher=True, rope=0.01, rivals=rivals, test_fraction=1 / 3)
    (line,) = brief(answered({facet: verdict}), ["plain", "pca"])
    assert line.command == command


@pytest.mark.slow
def test_every_reason_to_leave_a_question_out_is_said_in_chinese(tmp_path: Path, make: Any, read: Any) -> None:
    for lang in LANGUAGES:
        assert set(Words(lang).texts["skipped"]) == {*OBSTACLES.values(), LEFT_OUT}
    study = Study(make(tmp_path / "study", skipped={"generation": OBSTACLES["few anomalies"]}))
    assert "至少需要 10 个异常" in read(study, "zh").text
    assert OBSTACLES["few anomalies"] not in read(study, "zh").text


@pytest.mark.slow
def test_a_notebook_shows_the_same_table(tmp_path: Path, make: Any, reading: Any) -> None:
    study = Study(make(tmp_path / "<b>study"))
    shown = reading(study._repr_html_())
    assert study._headline() in shown.text
    for line in brief(study.purposes(), list(study.design.families)):
        for text in (line.purpose, line.take, line.sure, line.gain, line.command):
            assert text in shown.text
    assert "isthmus take" in shown.text
    assert len([tag for tag, _ in shown.elements if tag == "b"]) == len(study.purposes()), "the folder's name is text"


class Kernel:
    """An IPython with a kernel, as far as it is used."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.kernel = object()

    def display(self, what: object, *, display_id: bool) -> "Kernel":
        assert display_id
        self.update(what)
        return self

    def update(self, what: object) -> None:
        self.said.append(repr(what))


def test_a_notebook_counts_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Kernel()
    fake = types.SimpleNamespace(get_ipython=lambda: shell, display=types.SimpleNamespace(display=shell.display))
    monkeypatch.setitem(sys.modules, "IPython", fake)  # type: ignore[arg-type]
    monkeypatch.setattr(notebook, "EVERY", 0.0)
    tell = notebook.watcher("digits")
    assert tell is not None
    job = types.SimpleNamespace(name=types.SimpleNamespace(name="topk"))
    tell(job, None, 1, 2)  # type: ignore[arg-type]
    tell(job, None, 2, 2)  # type: ignore[arg-type]
    assert shell.said[0] == "digits: 0 runs done"
    assert [text.split(",")[0] for text in shell.said[1:]] == ["digits: 1 of 2 runs done", "digits: 2 of 2 runs done"]
    assert shell.said[-1].endswith("last: topk")


def test_a_script_and_a_terminal_of_ipython_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert notebook.watcher("digits") is None
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))  # type: ignore[arg-type]
    assert notebook.watcher("digits") is None


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_would_settle_an_open_purpose_is_said(lang: str) -> None:
    say = Words(lang)
    about = {"metric": "probe_accuracy", "facet": "features", "higher": True, "rope": 0.02, "rivals": {"pca"}}
    two = judge({"plain": [0.7, 0.8], "pca": [0.75, 0.74]}, test_fraction=1 / 3, **about)
    (few,) = brief(answered({"features": two}), [], lang)
    assert few.sure.endswith(say("brief.few", n=3)), "two replicates tell nothing about a hundred"
    scores = {"plain": 0.7 + WOBBLE, "pca": 0.8 + WOBBLE}
    early = judge(scores, test_fraction=1 / 3, cut={"plain": Cut(200, 1600, 0.3)}, **about)
    (line,) = brief(answered({"features": early}), [], lang)
    assert line.sure.endswith(say("brief.steps", n=1600)), "more steps come before more replicates"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_whose_trainings_were_cut_is_said_once(lang: str) -> None:
    about = {"metric": "probe_accuracy", "facet": "features", "higher": True, "rope": 0.02, "rivals": {"pca"}}
    scores = {"plain": 0.7 + WOBBLE, "pca": 0.8 + WOBBLE}
    found = {"features": judge(scores, test_fraction=1 / 3, cut={"plain": Cut(200, 1600, 0.3)}, **about)}
    (line, *_) = recommend(found, answered(found), lang)
    assert "--steps 1600" in line
    assert "200" not in line


def test_no_line_of_a_terminal_is_wider_than_it_and_none_begins_with_a_closing_mark() -> None:
    text = "不需要自编码器：边缘化去噪优于最好的自编码器（VAE）（解释方差 0.713，VAE 为 0.685）；and then a few words."
    for width in range(12, 90):
        lines = show.wrapped(text, width)
        assert all(cell_len(line) <= width for line in lines)
        assert not any(line[0] in show.CLOSE or line[-1] in show.OPEN for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert show.wrapped("约需 5 次重复才能得出结论", 18) == ["约需 5 次重复才能", "得出结论"]


@pytest.mark.slow
def test_questions_left_out_for_one_reason_share_a_card(tmp_path: Path, make: Any, read: Any) -> None:
    left = {"generation": LEFT_OUT, "features": OBSTACLES["no labels"], "sparsity": LEFT_OUT}
    study = Study(make(tmp_path / "study", skipped=left))
    for lang in LANGUAGES:
        words = Words(lang)
        generation, sparsity, features = (words.name("facets", name) for name in ("generation", "sparsity", "features"))
        titles = [one.title for one in skipped(left, words)]
        assert titles == [words.phrase([generation, sparsity.lower()]), features]
        assert read(study, lang).text.count(words.name("skipped", LEFT_OUT)) == 1


def test_one_other_is_told_in_the_singular() -> None:
    for key in ("page.others", "verdict.others"):
        one, two = (Words("en")(key, names="a", n=n) for n in (1, 2))
        assert one.endswith("1 other")
        assert two.endswith("2 others")
