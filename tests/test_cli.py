"""The command line as a person or a program meets it."""

import contextlib
import dataclasses
import inspect
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forks import Command, terminal
from isthmus import __version__
from isthmus.api.study import Study
from isthmus.cli import (
    ablate,
    answers,
    catalogue,
    collect,
    compare,
    doctor,
    ends,
    flag,
    impute,
    main,
    profile,
    report,
    serve,
    take,
    train,
)
from isthmus.cli.settings import configure
from isthmus.data.read import read
from isthmus.data.split import split
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.families import ABOUT, DEFAULT, FAMILIES, named
from isthmus.metrics import METRICS
from isthmus.ship import artefact
from isthmus.study import measured
from isthmus.study import outline as outlines
from isthmus.study import run as runs
from isthmus.study.capacity import Sweep, capacity
from isthmus.study.design import design
from isthmus.study.estimate import Estimate, Reading
from isthmus.study.measured import measure
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

TINY = ["--families", "plain", "--facets", "reconstruction", "--replicates", "2", "--configs", "1", "--jobs", "1"]
QUICK = ["compare", "iris", *TINY, "--steps", "20"]
PLAN = ["compare", "iris", "--families", "pca", "--facets", "reconstruction", "--dry-run", "--json"]

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Run a command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def process(*arguments: str, cwd: Path, **options: Any) -> "subprocess.Popen[str]":
    """The same in a process of its own."""
    command = [sys.executable, "-m", "isthmus", *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=cwd, **{**pipes, **options})


class Screen(io.StringIO):
    """What a terminal shows."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """The same as if on a terminal of a width: exit code, and all that is shown, without its codes."""

    def run(*arguments: str, width: int = 80) -> tuple[int, str]:
        with monkeypatch.context() as patch:
            shown = Screen()
            patch.setattr(sys, "stdout", shown)
            patch.setattr(sys, "stderr", shown)
            patch.setenv("TERM", "xterm")
            patch.setenv("COLUMNS", str(width))
            code = main(arguments)
        return code, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())

    return run


def one_line(text: str) -> str:
    assert text.startswith("isthmus: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


# ------------------------------------------------------------------------------------------------------------ wrong use


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compare"], "missing argument"),
        (["comprae", "digits"], "compare"),
        (["compare", "iris", "--stesp", "3"], "--steps"),
        (["train", "plain", "iris", "extra"], "extra"),
        (["compare", "iris", "--lang", "de"], "'de' is not one of 'en', 'zh'"),
        (["compare", "iris", "--steps", "many"], "many"),
        (["list", "familys"], "'familys' is not one of"),
        (["list"], "choose from: families, facets, metrics, datasets, plan; see isthmus list --help"),
        (["comapre", "digits"], "'decompress'? See isthmus --help"),
        (["train", "plain"], "missing argument"),
    ],
)
def test_wrong_use_gets_one_line_that_points_to_help(shell: Shell, arguments: list[str], expected: str) -> None:
    code, out, err = shell(*arguments)
    assert code == ends.INPUT
    assert out == ""
    assert expected.lower() in one_line(err).lower()
    assert "--help" in err
    assert "Value error" not in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compare", "nowhere.csv"], "nowhere.csv"),
        (["compare", "digit"], "digits"),
        (["compare", "rows.csv", "--label", "knid"], "kind"),
        (["compare", "rows.csv", "--label", "kind", "--anomaly", "blau"], "blau"),
        (["compare", "iris", "--families", "plian"], "did you mean plain"),
        (["compare", "iris", "--families", ""], "no family"),
        (["compare", "iris", "--facets", "reconstructoin"], "did you mean reconstruction"),
        (["compare", "iris", "--steps", "5", "--budget", "5m"], "steps and budget exclude each other"),
        (["compare", "iris", "--plan", "steps=5", "--budget", "5m"], "steps and budget exclude each other"),
        (["compare", "iris", "--plan", "steps=5", "--steps", "5"], "steps is given twice"),
        (["compare", "iris", "--plan", "batch=5", "--plan", "batch=5"], "--plan batch is given twice"),
        (["compare", "iris", "--plan", "batch"], "--plan takes FIELD=VALUE; got 'batch'"),
        (["compare", "iris", "--plan", "bacth=5"], "unknown field 'bacth' (did you mean 'batch'?)"),
        (["compare", "iris", "--plan", "batch=0"], "plan: batch must be a whole number of at least 1; got 0"),
        (["compare", "iris", "--learning-rate", "0"], "plan: learning_rate must be a number above 0, or null; got 0"),
        (["ablate", "l1", "iris", "--set", "batch=5", "--plan", "batch=6"], "--set batch and --plan batch"),
        (["compare", "iris", "--capacity", "wild"], "--capacity takes matched or free; got 'wild'"),
        (["compare", "iris", "--capacity", "free", "--latents", "3"], "leave latents out, or take capacity matched"),
        (["compare", "iris", "--budget", "soon"], "5m"),
        (["compare", "iris", "--replicates", "1"], "at least 2"),
        (["compare", "iris", "--configs", "0"], "at least 1"),
        (["compare", "iris", "--steps", "0"], "at least 1"),
        (["compare", "iris", "--jobs", "0"], "at least 1"),
        (["compare", "iris", "--seed", "-1"], "at least 0"),
        (["compare", "iris", "--latents", "0"], "at least 1"),
        (["compare", "iris", "--hidden", "64,wide"], "64,wide"),
        (["compare", "iris", "--out", "rows.csv"], "rows.csv"),
        (["compare", "iris", "--out", "."], "rows.csv"),
        (["train", "plian", "iris"], "did you mean plain"),
        (["train", "plain", "nowhere.npy"], "nowhere.npy"),
        (["train", "plain", "iris", "--set", "latents"], "FIELD=VALUE"),
        (["train", "plain", "iris", "--set", "laetnts=3"], "did you mean latents"),
        (["train", "plain", "iris", "--set", "latents=wide"], "wide"),
        (["train", "plain", "iris", "--set", "patience=0"], "patience"),
        (["train", "pca", "iris", "--set", "hidden=3"], "hidden"),
        (["train", "plain", "iris", "--set", "backbone=linear", "--set", "hidden=3"], "linear has no hidden layers"),
        (["train", "plain", "iris", "--steps", "5", "--set", "steps=5"], "steps is given twice"),
        (["train", "plain", "iris", "--steps", "5", "--out", "rows.csv"], "rows.csv"),
        (["list", "families", "plian"], "did you mean plain"),
        (["report", "nowhere"], "nowhere"),
        (["doctor", "nowhere"], "nowhere holds no study"),
        (["compare", "same.csv"], "all rows are the same"),
        (["compare", "iris", *TINY, "--budget", "soon"], "budget must be a time like 90s"),
        (["train", "plain", "iris", "--measure", "soon"], "measure must be a time like 90s"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(
    shell: Shell, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    Path("rows.csv").write_text("a,b,kind\n" + "1,2,red\n2,1,blue\n3,5,red\n" * 10)
    Path("same.csv").write_text("a,b\n" + "1,2\n" * 30)
    code, out, err = shell(*arguments)
    assert code == ends.INPUT
    assert out == ""
    assert expected in one_line(err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "same.csv"]


def test_debug_shows_the_traceback(shell: Shell) -> None:
    for arguments in (["compare", "x.csv"], ["train", "plain", "x.csv"], ["list", "families", "x"], ["report", "x"]):
        code, _, err = shell(*arguments, "--debug")
        assert code == ends.INPUT
        assert err.startswith("Traceback")
        assert err.splitlines()[-1].startswith("isthmus: ")


# ---------------------------------------------------------------------------------------------------------------- ends


def test_every_kind_of_end_has_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def ending(error: BaseException) -> tuple[int, str]:
        def run() -> int:
            raise error

        code = ends.guard(run)
        return code, one_line(capsys.readouterr().err)

    assert ends.guard(lambda: 1) == 1
    assert ending(KeyboardInterrupt())[0] == 130
    assert ending(ends.Stopped(signal.SIGTERM))[0] == 143
    assert ending(MemoryError())[0] == 4
    assert ending(np._core._exceptions._ArrayMemoryError((10**9,), np.dtype(float)))[0] == 4
    remedy = "check the place, its permissions and the space on the disk"
    assert ending(PermissionError(13, "Permission denied", "there")) == (
        3,
        f"isthmus: there: Permission denied; {remedy}\n",
    )
    assert ending(ModuleNotFoundError("No module named 'scipy'"))[0] == 3
    code, line = ending(ZeroDivisionError("division\nby zero"))
    assert code == 70
    assert "fault of isthmus (ZeroDivisionError: division; by zero)" in line
    assert "--debug" in line


def test_an_error_that_a_library_makes_of_a_signal_is_the_signal(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> int:
        with contextlib.suppress(KeyboardInterrupt):  # as C code that imports a module and clears what went wrong there
            signal.raise_signal(signal.SIGTERM)
        raise AttributeError("partially initialized module")

    assert ends.guard(run) == 143
    assert capsys.readouterr().err == "isthmus: stopped\n"


def test_torch_out_of_memory_is_out_of_memory() -> None:
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert ends.verdict(caught.value)[0] == ends.MEMORY


def test_signal_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in ends.SIGNALS]
    assert main(["--version"]) == 0
    assert [signal.getsignal(number) for number in ends.SIGNALS] == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends.listening():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.parametrize("words", [("list", "metrics", "--json"), ("--help",)], ids=" ".join)
def test_a_closed_pipe_is_silent(tmp_path: Path, words: tuple[str, ...]) -> None:
    ran = process(*words, cwd=tmp_path)
    assert ran.stdout is not None
    assert ran.stderr is not None
    ran.stdout.close()
    assert ran.stderr.read() == ""
    ran.stderr.close()
    assert ran.wait() == 141


@pytest.mark.slow
def test_closed_streams_end_nothing(tmp_path: Path) -> None:
    shell = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "isthmus"]
    assert subprocess.run([*shell, "list", "datasets"], cwd=tmp_path, check=False).returncode == 0
    assert subprocess.run([*shell, "list", "families", "plian"], cwd=tmp_path, check=False).returncode == ends.INPUT


def test_a_full_disk_behind_stdout_is_told(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = process("--version", cwd=tmp_path, stdout=full)
        err = ran.communicate()[1]
    assert ran.returncode == ends.ENVIRONMENT
    assert "No space left" in one_line(err)


def test_a_folder_that_cannot_be_made_is_the_environment(shell: Shell) -> None:
    Path("file").touch()
    code, out, err = shell(*QUICK, "--out", "file/study")
    assert (code, out) == (ends.ENVIRONMENT, "")
    assert "choose another --out" in one_line(err)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "jobs"), [(signal.SIGINT, 130, "2"), (signal.SIGTERM, 143, "1")])
def test_an_interrupted_study_keeps_its_runs_and_continues(
    shell: Shell, tmp_path: Path, number: signal.Signals, code: int, jobs: str
) -> None:
    study = ["compare", "iris", *TINY[:-1], jobs, "--replicates", "4", "--steps", "1000", "--out", "study"]
    ran = Command(*study, cwd=tmp_path)
    runs = tmp_path / "study" / "runs"
    until = time.monotonic() + 600
    while not any(runs.glob("[0-9a-f]*")) and time.monotonic() < until and ran.poll() is None:
        time.sleep(0.01)
    os.killpg(ran.pid, number)  # as a terminal does: to the workers too
    out, err = ran.communicate()
    assert ran.returncode == code
    assert out == ""
    kept = {path.name: (path / "record.json").read_bytes() for path in runs.glob("[0-9a-f]*")}
    assert kept
    assert one_line(err) == f"isthmus: stopped; {len(kept)} of 12 runs are kept; the same command continues\n"
    until = time.monotonic() + 60
    while _alive(ran.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _alive(ran.pid), "a worker outlived its study"
    code, out, err = shell(*study, "--json", "--jobs", "1")
    assert (code, err) == (0, "")
    assert json.loads(out)["runs"] == {"total": 12, "done": 12, "failed": 0, "diverged": 0}
    assert {name: (runs / name / "record.json").read_bytes() for name in kept} == kept


def _alive(session: int) -> bool:
    """Whether any process of a process group is left."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------- compare


def plan(shell: Shell, *arguments: str) -> dict[str, Any]:
    code, out, err = shell(*PLAN, *arguments)
    assert (code, err) == (0, "")
    assert list(Path().iterdir()) == []
    return dict(json.loads(out))


@pytest.fixture(scope="module")
def usual() -> dict[str, Any]:
    """The plan without options; it is made once, and writes nothing."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(PLAN) == 0
    found = dict(json.loads(said.getvalue()))
    return found | {"folder": Path(found["folder"]).name}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--families", "pca,topk"], {"families": ["pca", "topk"], "trainings": 5 + 30}),
        (["--facets", "cost,sparsity"], {"facets": ["sparsity", "cost"]}),
        (["--replicates", "3"], {"replicates": 3, "runs": 6}),
        (["--families", "vae", "--configs", "2"], {"configs": 2, "trainings": 5 * 2 + 5}),
        (["--steps", "70"], {"steps": 70}),
        (["--latents", "3"], {"latents": 3}),
        (["--hidden", "7,5"], {"hidden": [7, 5]}),
        (["--hidden", "none"], {"hidden": []}),
        (["--seed", "9"], {"seed": 9}),
        (["--contamination", "0.05", "--facets", "anomaly"], {"contamination": 0.05}),
        (["--few", "5", "--facets", "anomaly", "--anomaly", "setosa"], {"few": 5}),
        (["--learning-rate", "0.001"], {"plan": Plan(learning_rate=0.001).to_json()}),
        (["--plan", "batch=32", "--plan", "clip=none"], {"plan": Plan(batch=32).to_json()}),
        (["--capacity", "free", "--facets", "robustness"], {"capacity": "free", "facets": ["robustness"]}),
        (["--jobs", "1"], {"workers": 1}),
        (["--out", "elsewhere"], {"folder": "elsewhere"}),
    ],
)
def test_options_reach_the_plan(
    shell: Shell, usual: dict[str, Any], arguments: list[str], expected: dict[str, Any]
) -> None:
    found = plan(shell, *arguments)
    found["folder"] = Path(found["folder"]).name
    assert {key: found[key] for key in expected} == expected
    assert all(usual[key] != value for key, value in expected.items() if key != "hidden" or value)


def test_a_column_that_counts_rows_is_told(shell: Shell) -> None:
    ids = "\n".join(f"{i + 1000},{i % 7},{i // 2}" for i in range(30))
    Path("ids.csv").write_text(f"id,a,b\n{ids}\n")
    said = (
        "isthmus: ids: column 'id' only numbers the rows, and models learn from it; leave it out (--drop) if it is an "
        "id\n"
    )
    for data in (["ids.csv"], ["ids.csv", "wine"]):
        code, out, err = shell("compare", *data, *PLAN[2:])
        assert (code, err) == (0, said)
        assert json.loads(out)


@pytest.mark.slow
def test_questions_that_were_not_asked_are_named(shell: Shell) -> None:
    Path("bare.csv").write_text("a,b\n" + "".join(f"{i % 7},{i % 5 + i / 9}\n" for i in range(40)))
    few = ["--families", "pca", "--rivals", "none", "--replicates", "2", "--jobs", "1"]
    out = shell("compare", "bare.csv", *few)[1]
    assert "\nFeatures: Not measured: it needs labels: " in out


def test_label_and_anomaly_reach_the_data(shell: Shell, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'odd' if i % 10 == 0 else 'fine'}" for i, (a, b) in enumerate(rng.normal(size=(60, 2)))]
    path = tmp_path.parent / f"{tmp_path.name}.csv"
    path.write_text("a,b,kind\n" + "\n".join(rows) + "\n")
    base = ["compare", str(path), *PLAN[2:-4], "--facets", "reconstruction", "--dry-run", "--json", "--label", "kind"]
    code, out, _ = shell(*base)
    assert code == 0
    assert json.loads(out)["data"]["classes"] == ["fine", "odd"]
    assert json.loads(out)["data"]["anomaly"] is None
    assert json.loads(out)["data"]["shape"] == [2]
    code, out, _ = shell(*base, "--anomaly", "odd")
    assert code == 0
    assert json.loads(out)["data"]["anomaly"] == "odd"


def test_factors_are_set_aside(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path.parent / f"{tmp_path.name}.csv"
    rows = np.random.default_rng(0).normal(size=(60, 4)).round(3)
    path.write_text("a,b,c,d\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    base = ["compare", str(path), "--families", "pca", "--dry-run", "--json", "--jobs", "1"]
    code, out, _ = shell(*base, "--factors", "b,d", "--facets", "factors")
    assert code == 0
    found = json.loads(out)
    assert (found["data"]["shape"], found["data"]["factors"], found["facets"]) == ([2], ["b", "d"], ["factors"])
    code, _, err = shell(*base, "--facets", "factors")
    assert code == ends.INPUT
    assert "needs known factors: name their columns (--factors)" in one_line(err)
    code, _, err = shell("compare", str(path), "iris", *base[2:], "--factors", "b")
    assert code == ends.INPUT
    assert "iris: no factor column 'b'" in one_line(err)


def test_a_budget_is_met_and_what_it_costs_is_told(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Estimate({"pca": Reading(0.0), "plain": Reading(0.0, 0.01)}, {}, {}, {}, 0.0, 1)
    asked = []

    def probed(data: Any, design: Any, *, workers: int | None, limit: float, tell: Any) -> Estimate:
        asked.append(limit)
        return found

    monkeypatch.setattr(outlines, "estimate", probed)
    told = plan(shell, "--budget", "1.5m", "--families", "plain")
    assert told["given_up"] == {"steps": [2500, told["steps"]], "configs": [6, told["configs"]]}
    assert asked == [4.5]


def test_rivals_reach_the_plan_and_a_slip_is_told(shell: Shell) -> None:
    assert plan(shell)["rivals"] == ["sparse coding"]
    assert plan(shell, "--rivals", "none")["rivals"] == []
    assert "pca" not in plan(shell, "--rivals", "none", "--families", "plain")["families"]
    code, _, err = shell(*PLAN, "--rivals", "spares coding")
    assert code == ends.INPUT
    assert "unknown rival 'spares coding' (did you mean 'sparse coding'?)" in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train", "pca", "x.csv", "--latents", "2"), "a field, which is set by --set latents=VALUE"),
        (("train", "pca", "x.csv", "--learning-rate", "1"), "a field, which is set by --set learning_rate=VALUE"),
        (("compare", "x.csv", "--gamma", "2"), "a field, which is set by --set gamma=VALUE"),
        (("compare", "x.csv", "--precision", "float32"), "a field, which is set by --plan precision=VALUE"),
        (("train", "pca", "x.csv", "--latnts", "2"), "no such option: --latnts"),
        (("encode", "model", "x.csv", "--latents", "2"), "no such option: --latents"),
    ],
)
def test_who_gives_a_field_as_an_option_is_told_how_it_is_set(
    shell: Shell, arguments: tuple[str, ...], expected: str
) -> None:
    code, _, err = shell(*arguments)
    assert code == ends.INPUT
    assert expected in one_line(err)
    assert ("which is set by" in err) == ("which is set by" in expected)


def test_a_sweep_chooses_the_width(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Sweep(
        chosen=3,
        widths=[2, 3],
        errors=[[2.0, 2.0], [1.0, 1.1]],
        linear=[[1.0] * 2] * 2,
        nothing=4,
        ratio=0.3,
        dimension=2,
        seconds=1.0,
    )
    monkeypatch.setattr(outlines, "sweep", lambda data, **options: found)
    told = plan(shell, "--latents", "auto")
    assert (told["latents"], told["sweep"]) == (3, found.to_json())
    assert plan(shell)["sweep"] is None
    code, out, _ = shell(*[one for one in PLAN if one != "--json"], "--latents", "auto")
    assert code == 0
    assert re.search(r"sweep +Code width 3: error 1.05, within one standard error", out)
    code, _, err = shell(*PLAN, "--latents", "many")
    assert (code, err) == (ends.INPUT, "isthmus: --latents takes a whole number, or auto; got 'many'\n")


def test_dry_run_for_people(shell: Shell, tmp_path: Path) -> None:
    code, out, err = shell(*[one for one in PLAN if one != "--json"])
    assert (code, err) == (0, "")
    assert "150 rows of 4 columns, 3 classes" in out
    assert "10, 0 of them done; 5 trainings" in out
    assert re.search(r"time +at most about \d", out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_answer_comes_first_then_the_table_then_the_page(shell: Shell) -> None:
    code, out, err = shell(*QUICK)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["Purpose", "Take", "this", "How", "sure", "Gain", "over", "the", "simplest", "rival"]
    assert lines[1].startswith("To compress and ")
    assert any(line.startswith("To compress and rebuild rows: ") for line in lines)
    table = next(i for i, line in enumerate(lines) if line.startswith("Contender"))
    assert {line.split()[0] for line in lines[table + 1 : table + 3]} == {"plain", "PCA"}
    assert Path(lines[-1]) == Path("isthmus-iris/report.html").absolute()
    assert Path(lines[-1]).read_text().startswith("<!doctype html>")
    assert "\x1b" not in out
    command = json.loads(Path("isthmus-iris/study.json").read_text())["command"]
    assert command == "isthmus " + " ".join(QUICK)


@pytest.mark.slow
def test_who_was_excluded_is_told_with_the_reason(shell: Shell) -> None:
    Path("narrow.csv").write_text("a\n" + "\n".join(map(str, np.random.default_rng(0).normal(size=60))))
    code, out, _ = shell("compare", "narrow.csv", *TINY, "--steps", "20")
    assert code == 0
    assert "× excluded, with reason\n\nExcluded or incomplete\n" in out
    assert "  PCA (Reconstruction): replicates with identity copying: 2\n" in out


def test_help_says_what_is_compared_by_default(shell: Shell) -> None:
    out = re.sub(r"[\s│]+", " ", shell("compare", "--help")[1])
    assert "Families to compare. [default: (nine, one for each idea)]" in out
    assert len(DEFAULT) == 9


def test_help_tells_data_contenders_questions_and_running_apart(shell: Shell) -> None:
    out = shell("compare", "--help")[1]
    order = [
        "─ Data ─",
        "--drop",
        "─ Contenders ─",
        "--families",
        "─ Questions ─",
        "--facets",
        "─ Running ─",
        "--cluster",
    ]
    places = [out.index(word) for word in order]
    assert places == sorted(places)
    assert out.index("--json") < places[0]


@pytest.mark.slow
def test_json_is_one_object_and_the_same_answer(shell: Shell) -> None:
    code, out, err = shell(*QUICK, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["runs"] == {"total": 6, "done": 6, "failed": 0, "diverged": 0}
    assert found["complete"] is True
    study = Study("isthmus-iris")
    assert found["verdict"]["reconstruction"]["means"] == study.verdict()["reconstruction"].means
    pca = [row for row in found["scores"] if row["contender"] == "pca" and row["metric"] == "explained_variance"]
    assert [row["value"] for row in pca] == list(study.scores("reconstruction")["pca"])
    assert Path(found["report"]).exists()


@pytest.mark.slow
def test_answers_and_page_in_chinese(shell: Shell) -> None:
    code, out, _ = shell(*QUICK, "--lang", "zh")
    assert code == 0
    assert re.match("[\u4e00-\u9fff]", out)
    assert '<html lang="zh' in Path("isthmus-iris/report.html").read_text()


@pytest.mark.slow
def test_failed_runs_are_told_and_cost_one_point(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    real = runs.perform

    def broken(job: Any, data: Any, store: Any, **others: Any) -> Any:
        if job.name.name == "plain" and job.name.replicate == 1:
            raise ZeroDivisionError("planted")
        return real(job, data, store, **others)

    monkeypatch.setattr(runs, "perform", broken)
    code, out, err = shell(*QUICK)
    assert code == ends.PARTLY
    assert out.startswith("Purpose")
    expected = "1 of 6 runs failed, first plain in replicate 2: ZeroDivisionError: planted; the same command tries"
    assert expected in one_line(err)
    monkeypatch.setattr(runs, "perform", real)
    code, _, err = shell(*QUICK)
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_quiet_in_a_pipe_talkative_on_a_terminal(screen: Callable[..., tuple[int, str]]) -> None:
    code, seen = screen(*QUICK, "--out", "one")
    assert code == 0
    assert "150 rows of 4 columns" in seen
    assert re.search(r"\d/6 runs", seen)
    code, again = screen(*QUICK, "--out", "one")
    assert code == 0
    assert "6 of 6 runs are kept from before" in again
    code, seen = screen(*QUICK, "--quiet", "--out", "two")
    assert code == 0
    assert "150 rows of 4 columns" not in seen
    assert not re.search(r"\d/6 runs", seen)
    assert seen.startswith(("Purpose", "\x1b[1mPurpose"))


# --------------------------------------------------------------------------------------------------------------- train


@pytest.mark.slow
def test_train_measures_next_to_pca_and_saves(shell: Shell) -> None:
    code, out, err = shell("train", "pca", "iris", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    model = artefact.load(found["model"])
    assert Path(found["model"]) == Path("isthmus-iris-pca").absolute()
    assert model.recipe.to_json() == found["recipe"]
    assert found["rows"] == {"train": 90, "valid": 30, "test": 15, "calibration": 15}
    assert list(found["test"]) == ["pca"]
    assert 0.9 < found["test"]["pca"]["explained_variance"] < 1
    assert set(found["test"]["pca"]) <= set(METRICS)


@pytest.mark.slow
def test_train_for_people(shell: Shell) -> None:
    code, out, err = shell("train", "plain", "iris", "--steps", "100", "--out", "model")
    assert code == 0
    assert "cut at 100 steps" in one_line(err)
    assert out.startswith("plain on iris: cut after 100 steps. Measured on 15 rows that training did not see:\n")
    heads = next(line for line in out.splitlines() if line.startswith("metric"))
    assert heads.split() == ["metric", "better", "plain", "pca"]
    assert out.splitlines()[-1] == f"Model: {Path('model').absolute()}"
    assert len(artefact.load("model").needed().scores) == 15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "latents=3"], {"recipe": {"latents": 3}}),
        (["--set", "hidden=9,8", "--set", "activation=tanh"], {"recipe": {"hidden": [9, 8], "activation": "tanh"}}),
        (["--set", "hidden=none"], {"recipe": {"hidden": []}}),
        (["--set", "backbone=linear"], {"recipe": {"backbone": "linear", "hidden": []}}),
        (["--set", "batch=16", "--set", "clip=0.5"], {"plan": {"batch": 16, "clip": 0.5}}),
    ],
)
def test_set_reaches_recipe_and_plan(shell: Shell, arguments: list[str], expected: dict[str, dict[str, Any]]) -> None:
    code, out, _ = shell("train", "plain", "iris", "--steps", "10", "--measure", "none", "--json", *arguments)
    assert code == 0
    found = json.loads(out)
    for part, fields in expected.items():
        assert {name: found[part][name] for name in fields} == fields


def test_capacity_follows_the_data_unless_it_is_set() -> None:
    wide, narrow = configure("plain", (784,), [])[0], configure("plain", (4,), [])[0]
    assert (wide.latents, wide.hidden) == capacity((784,))
    assert (narrow.latents, narrow.hidden) == capacity((4,))
    assert wide.hidden != narrow.hidden
    assert configure("plain", (784,), ["backbone=linear"])[0].hidden == ()
    assert configure("topk", (4,), [])[0].passing == configure("ksparse", (4,), [])[0].k == 1
    assert configure("plain", (4,), ["steps=70"])[1] == {"steps": 70}


@pytest.mark.slow
def test_seed_and_label_reach_the_training(shell: Shell) -> None:
    Path("rows.csv").write_text("a,b,kind\n" + "".join(f"{i % 7},{i % 5},{'xy'[i % 2]}\n" for i in range(60)))
    base = ["train", "plain", "rows.csv", "--steps", "10", "--json", "--label", "kind"]
    first, same, other = (json.loads(shell(*base, *more)[1])["test"] for more in ([], [], ["--seed", "1"]))
    assert first["plain"]["mse"] == same["plain"]["mse"] != other["plain"]["mse"]
    assert "probe_accuracy" in first["plain"]


def test_rows_that_calibrate_are_not_measured(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def told(models: Any, rows: Any, splits: Any, *_: Any) -> Any:
        seen.append(splits.test)
        return {name: {"mse": 1.0} for name in models}, []

    monkeypatch.setattr(measured, "measure", told)
    code, out, _ = shell("train", "plain", "iris", "--steps", "10", "--json")
    assert code == 0
    assert json.loads(out)["rows"] == {"train": 90, "valid": 30, "test": 15, "calibration": 15}
    assert len(seen[0]) == 15


def test_a_training_is_saved_before_it_is_measured(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any) -> None:
        assert len(artefact.load("model").needed().scores) == 15
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_measured", stopped)
    code, _, err = shell("train", "plain", "iris", "--steps", "20", "--out", "model")
    assert code == 130
    assert "the model is kept in" in err


def test_measuring_ends_in_time_and_names_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every facet takes 4 s of a clock that only facets turn, and stability as long as two trainings more."""
    rows = read("iris")
    splits = split(len(rows.x), 0, y=rows.y)
    fitted = fit(named("plain").set_params(latents=2), rows.x[splits.train], plan=Plan(steps=20))
    clock = [0.0]

    def slow(facet: Any) -> Any:
        def measure(contender: Any, seen: Any) -> dict[str, float]:
            clock[0] += 4.0
            return {facet.metrics[0]: 1.0}

        return dataclasses.replace(facet, measure=measure)

    for name, facet in FACETS.items():
        monkeypatch.setitem(FACETS, name, slow(facet))
    scores, missed = measure({"plain": fitted}, rows, splits, 0, 9.0, clock=lambda: clock[0])
    asked = [f.name for f in FACETS.values() if f.view == "all" and not f.factors and not f.truth]
    assert missed == asked[3:]
    assert set(scores["plain"]) == {FACETS[name].metrics[0] for name in asked[:3]}
    assert measure({"plain": fitted}, rows, splits, 0, 1e6, clock=lambda: clock[0])[1] == []


def test_measuring_is_not_stopped_by_what_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compression takes 100 s on any rows, far beyond the limit; the first facet and what takes little are there."""
    x = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)
    rows = read(x)
    splits = split(len(rows.x), 0)
    fitted = fit(named("plain").set_params(latents=2), rows.x[splits.train], plan=Plan(steps=20))
    clock, asked = [0.0], []

    def timed(facet: Any) -> Any:
        def measure(contender: Any, seen: Any) -> dict[str, float]:
            clock[0] += {"compression": 100.0, "sparsity": 5.0}.get(facet.name, 1.0)
            asked.append((facet.name, len(seen.test.x)))
            return {facet.metrics[0]: 1.0}

        return dataclasses.replace(facet, measure=measure)

    for name, facet in FACETS.items():
        monkeypatch.setitem(FACETS, name, timed(facet))
    _, missed = measure({"plain": fitted}, rows, splits, 0, 160.0, clock=lambda: clock[0])
    assert asked[0] == ("reconstruction", 4000)
    assert missed == ["compression"]
    told = [name for name, count in asked if count == 4000]
    assert told.index("sparsity") == len(told) - 1  # what takes least comes first
    _, missed = measure({"plain": fitted}, rows, splits, 0, 1e-9, clock=lambda: clock[0])
    assert "reconstruction" not in missed


@pytest.mark.slow
def test_components_that_pca_cannot_have_are_told(shell: Shell) -> None:
    base = ["train", "topk", "iris", "--steps", "10", "--set", "k=2"]
    assert "PCA has 4 components for 12 units" in shell(*base, "--set", "latents=12", "--out", "one")[1]
    assert "PCA has" not in shell(*base, "--set", "latents=3", "--out", "two")[1]


def test_measure_and_dry_run_reach_the_training(shell: Shell) -> None:
    base = ["train", "plain", "iris", "--steps", "20", "--json"]
    nothing = json.loads(shell(*base, "--measure", "none", "--out", "one")[1])
    assert nothing["test"] == {"plain": {}}
    told = json.loads(shell(*base, "--dry-run", "--measure", "5m", "--out", "two")[1])
    assert told["measuring"] == 300.0
    assert told["seconds"] == told["training"] + 300.0
    assert not Path("two").exists()


@pytest.mark.slow
def test_pca_has_no_more_components_than_columns(shell: Shell) -> None:
    found = json.loads(shell("train", "plain", "iris", "--steps", "20", "--set", "latents=64", "--json")[1])
    assert found["test"]["pca"]["explained_variance"] == pytest.approx(1.0)
    assert found["test"]["pca"]["parameters"] == 4 * 4 + 4


def test_a_diverged_training_is_not_saved(shell: Shell) -> None:
    code, out, err = shell("train", "plain", "iris", "--set", "learning_rate=1e30")
    assert (code, out) == (ends.PARTLY, "")
    assert "diverged after 50 steps (step 1, term reconstruction, where value)" in one_line(err)
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_train_is_quiet_if_asked(screen: Callable[..., tuple[int, str]]) -> None:
    code, seen = screen("train", "plain", "iris", "--steps", "300", "--measure", "none")
    assert code == 0
    assert re.search(r"\d+/300 steps", seen)
    code, seen = screen("train", "plain", "iris", "--steps", "300", "--measure", "none", "--quiet")
    assert code == 0
    assert not re.search(r"\d+/300 steps", seen)


# -------------------------------------------------------------------------------------------------------- list, report


@pytest.mark.parametrize("kind", ["families", "facets", "metrics", "datasets"])
def test_list(shell: Shell, kind: str) -> None:
    code, out, err = shell("list", kind)
    assert (code, err) == (0, "")
    machine = json.loads(shell("list", kind, "--json")[1])[kind]
    assert [line.split()[0] for line in out.splitlines()[1:]] == [row["name"] for row in machine]
    assert all(row["about"] in out for row in machine)
    first = machine[0]["name"]
    assert json.loads(shell("list", kind, first, "--json")[1])[kind] == machine[:1]
    assert machine[0]["about"] in shell("list", kind, first)[1]


def test_list_shows_every_family_and_its_fields(shell: Shell) -> None:
    machine = json.loads(shell("list", "families", "--json")[1])["families"]
    assert {row["name"]: row["about"] for row in machine} == ABOUT
    for row in machine:
        assert {field["name"]: field["default"] for field in row["fields"]} == {
            name: value for name, value in FAMILIES[row["name"]].to_json().items() if name != "family"
        }
    camps = [recipe.camp for recipe in FAMILIES.values()]
    assert [row["camp"] for row in machine] == camps == sorted(camps, key=camps.index)
    assert {row["name"] for row in machine if row["in a default study"] == "yes"} == set(DEFAULT)
    assert re.search(r"k +none +a whole number of at least 1, or null +1 to 8", shell("list", "families", "topk")[1])


@pytest.mark.slow
def test_report_draws_again(shell: Shell) -> None:
    shell(*QUICK)
    Path("isthmus-iris/report.html").unlink()
    code, out, err = shell("report", "isthmus-iris")
    assert (code, err) == (0, "")
    assert Path(out.strip()).samefile("isthmus-iris/report.html")
    code, out, _ = shell("report", "isthmus-iris", "--lang", "zh", "--out", "page.html")
    assert (code, out) == (0, "page.html\n")
    assert '<html lang="zh' in Path("page.html").read_text()
    gone = next(Path("isthmus-iris/runs").iterdir())
    gone.rename("gone")
    code, _, err = shell("report", "isthmus-iris")
    assert code == 0
    assert "5 of 6 runs are done" in one_line(err)


@pytest.mark.slow
def test_a_study_of_another_version_keeps_its_page(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell(*QUICK)
    page = Path("isthmus-iris/report.html").read_bytes()
    changed = {**METRICS, "mse": dataclasses.replace(METRICS["mse"], version=99)}
    monkeypatch.setattr("isthmus.study.design.METRICS", changed)
    code, out, err = shell("report", "isthmus-iris")
    assert (code, out) == (ends.INPUT, "")
    assert "its 6 runs were measured by another version of isthmus" in one_line(err)
    assert Path("isthmus-iris/report.html").read_bytes() == page


def test_what_is_not_measured_is_no_empty_table(shell: Shell) -> None:
    code, out, _ = shell("train", "pca", "iris", "--measure", "none", "--out", "model")
    assert code == 0
    assert "Measured" not in out
    assert "metric" not in out
    assert f"Model: {Path('model').absolute()}" in out


@pytest.mark.slow
def test_the_winner_is_taken_home(shell: Shell) -> None:
    shell(*QUICK)
    code, out, err = shell("take", "isthmus-iris", "plain", "--replicate", "2", "--out", "model")
    assert (code, err) == (0, "")
    study, rows = Study("isthmus-iris"), read("iris").x
    score = study.scores("reconstruction")["plain"][1]
    assert f"in replicate 2: explained variance {score:.3g} on rows it never saw." in out
    assert 'isthmus.load("model").encode(X)' in out
    model = artefact.load("model")
    assert (model.origin.purpose, model.origin.rows, model.origin.digest) == (
        "reconstruction",
        150,
        read("iris").digest,
    )
    first = model.origin.measured[0]
    scores = study.scores("reconstruction")["plain"]
    assert (first.metric, first.value, first.own) == ("explained_variance", scores.mean(), scores[1])
    assert first.low < first.value < first.high
    assert f"{first.low:.4g} – {first.high:.4g}" in shell("card", "model")[1]
    assert np.array_equal(model.encode(rows), study.model("plain", replicate=1).encode(rows))
    assert not np.array_equal(model.encode(rows), study.model("plain").encode(rows))
    found = json.loads(shell("take", "isthmus-iris", "pca", "--for", "reconstruction", "--json")[1])
    assert (found["test"], found["replicate"]) == (study.scores("reconstruction")["pca"][0], 1)
    assert Path(found["model"]) == Path("isthmus-iris-pca").absolute()
    for wrong, said in (
        (["plian"], "no family 'plian' (did you mean 'plain'?)"),
        (["plain", "--for", "cost"], "no facet 'cost'; it has reconstruction"),
        (["plain", "--replicate", "3"], "this study has 2 replicates, not 3"),
    ):
        code, _, err = shell("take", "isthmus-iris", *wrong)
        assert code == ends.INPUT
        assert said in one_line(err)


@pytest.mark.slow
def test_what_is_recommended_is_taken_without_its_name(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell(*QUICK)
    one = Study("isthmus-iris").purposes()[0]
    found = json.loads(shell("take", "isthmus-iris", "--out", "model", "--json")[1])
    assert (found["family"], found["facet"]) == (one.take, one.verdicts[0].facet)
    assert artefact.load("model").recipe.family == one.take
    code, _, err = shell("take", "isthmus-iris", "--for", "anomaly")
    assert code == ends.INPUT
    assert "recommends nobody for anomaly" in one_line(err)


def test_a_name_that_nobody_has_is_told_those_that_can_be_saved() -> None:
    from isthmus.cli import take

    asked = {"families": "pca", "facets": "reconstruction,anomaly", "rivals": "isolation forest,lof"}
    study = SimpleNamespace(design=design(read("iris"), **asked))
    with pytest.raises(BadInput, match=r"'isolation'.*; it has pca; with --for anomaly also isolation forest$"):
        take._strange(study, "isolation")


@pytest.mark.slow
def test_a_rival_that_scikit_learn_has_is_written_as_python(shell: Shell) -> None:
    asked = ["--families", "pca", "--facets", "features,anomaly", "--anomaly", "virginica"]
    asked += ["--replicates", "2", "--jobs", "1"]
    shell("compare", "iris", "--out", "s", "--configs", "1", "--rivals", "nearest rows,lof,ecod,persistence", *asked)
    code, out, err = shell("take", "s", "nearest rows", "--for", "features", "--replicate", "2", "--out", "near.py")
    score = Study("s").scores("features")["nearest rows"][1]
    assert (code, err) == (0, "")
    assert f"got balanced probe accuracy {score:.3g} on the test rows of replicate 2" in " ".join(out.split())
    code, said = Path("near.py").read_text(), read("iris")
    assert "# X: rows, as they come\nfrom sklearn.neighbors import KNeighborsClassifier" in code
    names: dict[str, Any] = {"X": said.x, "y": said.y}
    exec(code, names)
    assert names["model"].score(said.x, said.y) > 0.9
    assert "    StandardScaler(),\n" in code
    found = json.loads(shell("take", "s", "lof", "--for", "anomaly", "--json")[1])
    (step,) = found["steps"]
    assert step["object"] == "sklearn.neighbors.LocalOutlierFactor"
    assert step["parameters"] == {"n_neighbors": 20, "novelty": True}
    assert shell("take", "s", "lof", "--for", "anomaly")[0] == 0
    assert Path("s-lof.py").exists()
    code, _, err = shell("take", "s", "ecod", "--for", "anomaly")
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_a_rival_of_a_table_is_written_with_what_lays_its_rows_out(shell: Shell) -> None:
    random = np.random.default_rng(0)
    kind = random.integers(0, 2, 90)
    held = {"city": np.array(["Oslo", "Rome"])[kind], "size": random.normal(size=90).round(3), "kind": kind}
    frame = pd.DataFrame(held).mask(random.random((90, 3)) < [0.05, 0.05, 0])
    frame.assign(kind=kind).to_csv("rows.csv", index=False)
    asked = ["--families", "pca", "--facets", "features", "--replicates", "2", "--configs", "1", "--jobs", "1"]
    shell("compare", "rows.csv", "--label", "kind", "--rivals", "nearest rows", *asked, "--out", "s")
    assert shell("take", "s", "nearest rows", "--for", "features", "--out", "near.py")[0] == 0
    code, names = Path("near.py").read_text(), {}
    assert "\ntable = read('rows.csv', label='kind')\n" in code
    exec(code, names)
    assert names["X"].shape == (90, len(names["layout"].names))
    assert names["model"].score(names["X"], names["y"]) > 0.9
    new = names["layout"].apply(names["cells"](frame[["city", "size"]], names["table"].fields))
    np.testing.assert_array_equal(new, names["X"])
    Path("rows.csv").rename("moved.csv")
    assert shell("take", "s", "nearest rows", "--for", "features", "--out", "far.py", "--data", "moved.csv")[0] == 0
    assert "\ntable = read('moved.csv', label='kind')\n" in Path("far.py").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mean or mode", "nearest known rows", "iterated trees"])
def test_a_rival_that_fills_gaps_in_is_written_as_python_that_does(shell: Shell, name: str) -> None:
    random = np.random.default_rng(0)
    size = random.normal(size=200)
    held = {"city": np.where(size > 0, "Oslo", "Rome"), "size": size.round(3), "twice": (2 * size).round(2)}
    frame = pd.DataFrame(held).mask(random.random((200, 3)) < 0.1)
    frame.to_csv("rows.csv", index=False)
    asked = ["--families", "pca", "--facets", "imputation", "--replicates", "2", "--configs", "1", "--jobs", "1"]
    shell("compare", "rows.csv", "--rivals", name, *asked, "--out", "s")
    assert shell("take", "s", name, "--for", "imputation", "--out", "fill.py")[0] == 0
    code, names = Path("fill.py").read_text().rstrip(), {}
    before, _, last = code.rpartition("\n")
    exec(before, names)
    cells = eval(last, names)
    known = ~np.isnan(names["table"].x.astype(float))
    assert not np.isnan(cells).any()
    assert cells[known] == pytest.approx(names["table"].x[known].astype(float), abs=1e-5)
    if name != "mean or mode":
        lost = frame["size"].isna() & frame["twice"].notna()
        assert np.abs(cells[lost, 1] - size[lost]).mean() < 0.4
    found = json.loads(shell("take", "s", name, "--for", "imputation", "--json")[1])
    assert found["takes"] == "gaps"
    assert found["code"] == code.split("\n", 1)[1]


@pytest.mark.slow
def test_the_answer_says_how_to_take_a_choice_home(shell: Shell) -> None:
    _, out, _ = shell(*QUICK, "--out", "a study")  # so few steps that PCA is better
    line = next(line for line in out.splitlines() if line.startswith("  $ "))
    assert line == "  $ isthmus take 'a study' pca --for reconstruction --out model"
    assert shell(*shlex.split(line.split("$ isthmus ")[1]))[0] == ends.DONE
    assert Path("model/model.json").exists()
    page = re.sub(r"<[^>]*>", "", Path("a study/report.html").read_text())
    assert "isthmus take . pca --for reconstruction --out model" in page


@pytest.mark.slow
def test_the_doctor_examines_a_study_a_run_and_a_model(shell: Shell) -> None:
    shell("compare", "iris", *TINY, "--steps", "4000")
    code, out, err = shell("doctor", "isthmus-iris")
    assert (code, out, err) == (ends.DONE, "6 runs examined; no defect found\n", "")
    run = next(path for path in Path("isthmus-iris/runs").iterdir() if (path / "model.json").exists())
    found = json.loads(shell("doctor", str(run), "--json")[1])
    assert (found["runs"], found["rows"], found["findings"]) == (1, True, [])
    shell("train", "vae", "iris", "--set", "beta=1000", "--steps", "1000", "--measure", "none", "--out", "ill")
    code, _, err = shell("doctor", "ill")
    assert code == ends.INPUT
    assert "--data FILE" in one_line(err)
    code, out, _ = shell("doctor", "ill", "--data", "iris")
    assert code == ends.PARTLY
    assert "\nposterior collapse\n  What it means: the code says next to nothing" in out
    assert "  What to change: lower beta" in out
    found = json.loads(shell("doctor", "ill", "--data", "iris", "--json", "--lang", "zh")[1])["findings"]
    (collapse,) = [one for one in found if one["defect"] == "posterior collapse"]
    assert collapse["evidence"]["active_units"] == 0
    assert "beta" in collapse["remedy"]
    assert collapse["what"].startswith("编码")


@pytest.mark.slow
def test_the_doctor_finds_rows_and_labels_again_or_says_that_they_are_gone(shell: Shell) -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat(["red", "blue"], 40)
    lines = [",".join([*(f"{v:.3f}" for v in rng.normal(size=4)), kind]) for kind in kinds]
    Path("rows.csv").write_text("\n".join(["a,b,c,d,kind", *lines]))
    Path("more.csv").write_text(Path("rows.csv").read_text())
    shell("compare", "rows.csv", "more.csv", "--label", "kind", *TINY, "--steps", "500", "--out", "both")
    code, _, err = shell("doctor", "both")
    assert code == ends.INPUT
    assert "holds several studies; give the folder of one of them" in one_line(err)
    Path("both/sets/rows").rename("study")
    assert json.loads(shell("doctor", "study", "--json")[1])["rows"] is True
    Path("rows.csv").rename("moved.csv")
    code, out, _ = shell("doctor", "study")
    assert "so the models were not examined again; these are the findings recorded during the study" in out
    assert "rows.csv" in out
    found = json.loads(shell("doctor", "study", "--data", "moved.csv", "--json")[1])
    assert found["rows"] is True
    code, _, err = shell("doctor", "study", "--data", "moved.csv", "--label", "a")
    assert code == ends.INPUT
    assert one_line(err)
    Path("moved.csv").write_text(Path("moved.csv").read_text().replace("red", "green"))
    code, _, err = shell("doctor", "study", "--data", "moved.csv")
    assert code == ends.INPUT
    assert "moved.csv no longer holds the rows and labels of the study" in one_line(err)


@pytest.mark.slow
def test_the_doctor_groups_what_is_wrong_and_names_damaged_runs(shell: Shell) -> None:
    shell("compare", "iris", *TINY, "--steps", "20")
    record = next(Path("isthmus-iris/runs").iterdir()) / "record.json"
    code, out, _ = shell("doctor", "isthmus-iris", "--lang", "zh")
    assert code == ends.PARTLY
    assert "普通自编码器，第 1、2 次重复：训练过早截断" in out
    record.write_text(record.read_text().replace("seconds", "sekunden"))
    code, _, err = shell("doctor", "isthmus-iris")
    assert code == ends.PARTLY
    assert f"run {record.parent.name[:8]} cannot be examined" in err
    assert "5 of 6 runs are done; these are examined" in err
    Path("runs").mkdir()
    for place in Path("isthmus-iris/runs").iterdir():
        place.rename(Path("runs") / place.name)
    code, out, err = shell("doctor", "isthmus-iris")
    assert (code, out) == (ends.INPUT, "")
    assert "holds no finished run" in one_line(err)


# ---------------------------------------------------------------------------------------------------------- appearance


def test_help_and_version(shell: Shell) -> None:
    code, out, err = shell("--version")
    assert (code, out, err) == (0, f"isthmus {__version__}\n", "")
    assert shell() == shell("--help")
    for command in ("compare", "train", "list", "report", "doctor"):
        code, out, err = shell(command, "--help")
        assert (code, err) == (0, "")
        assert f"isthmus {command}" in out.replace("Usage: isthmus", "", 1), "an example"


@pytest.mark.slow
def test_colours_only_where_they_are_wanted(tmp_path: Path) -> None:
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]")
    assert colour.search(terminal("--help", cwd=tmp_path, fresh=True)[1])
    assert not colour.search(terminal("--help", cwd=tmp_path, NO_COLOR="1")[1])
    assert "\x1b" in terminal("list", "metrics", cwd=tmp_path)[1]
    assert "\x1b" not in process("list", "metrics", cwd=tmp_path).communicate()[0]
    every = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:[39][0-7]|38;)")
    bar = ["train", "plain", "iris", "--steps", "5", "--measure", "none"]
    assert every.search(terminal(*bar, cwd=tmp_path)[1])
    assert not every.search(terminal(*bar, cwd=tmp_path, NO_COLOR="1")[1])
    plain = terminal("list", "metrics", cwd=tmp_path, NO_COLOR="1")[1]
    assert "\x1b[1m" in plain, "bold is no colour"
    assert not every.search(plain)


@pytest.mark.slow
@pytest.mark.parametrize("width", [30, 80, 200])
def test_no_width_cuts_anything(screen: Callable[..., tuple[int, str]], width: int) -> None:
    code, seen = screen("list", "families", width=width)
    assert code == 0
    for name, about in ABOUT.items():
        assert {name, *about.split()} <= set(seen.split())
    assert max(map(len, seen.splitlines())) <= width


OPTIONS = {
    compare.compare: (
        "data label anomaly group time weights kinds drop missing terms "
        "size crop gray features skip_damaged axes window stride counts most "
        "factors truth images rows memory purpose families rivals configs capacity latents hidden backbone "
        "settings contamination few facets replicates steps seed learning_rate plan jobs cluster checkpoint "
        "out budget more json lang dry_run quiet debug"
    ),
    ablate.ablate: (
        "recipe data settings out kinds drop missing terms group time weights "
        "size crop gray features skip_damaged axes window stride counts most "
        "label anomaly factors truth images rows memory facets replicates steps seed learning_rate plan configs "
        "jobs cluster checkpoint json lang dry_run quiet debug"
    ),
    take.take: "folder family facet replicate refit out to data json debug",
    train.train: (
        "family data label images out settings steps measured seed checkpoint device shard memory readers "
        "kinds drop missing terms group time weights size crop gray features skip_damaged axes window "
        "stride counts most json dry_run quiet debug"
    ),
    catalogue.catalogue: "kind name json debug",
    collect.collect: "model text layer out dtype length texts quiet debug",
    impute.impute: "model data out intervals against device quiet debug",
    answers.score: "model data out against shift weights features device quiet debug",
    flag.flag: (
        "model data out rate per_day rows_per_day fdr bound adapt blocks against shift weights contamination features "
        "device quiet debug"
    ),
    answers.encode: "model data out features device quiet debug",
    answers.decode: "model data out device quiet debug",
    answers.reconstruct: "model data out features device quiet debug",
    answers.sample: "model count out seed device quiet debug",
    profile.profile: (
        "data out kinds drop missing terms group time weights size crop gray features skip_damaged axes window "
        "stride counts most label anomaly factors truth images rows memory json lang debug"
    ),
    serve.serve: "model host port max_rows max_bytes timeout waiting device quiet debug",
    report.report: "folder lang out debug",
    doctor.doctor: "run data label features json lang debug",
}


@pytest.mark.parametrize("command", OPTIONS, ids=lambda command: command.__name__)
def test_options_are_few_and_each_is_decided(command: Callable[..., Any]) -> None:
    """A new option needs a reason, a test of its effect, and a line here."""
    assert [name for name in inspect.signature(command).parameters if name != "context"] == OPTIONS[command].split()


@pytest.mark.slow
def test_train_says_what_the_doctor_found(shell: Shell) -> None:
    arguments = ["train", "vae", "iris", "--set", "beta=1000", "--steps", "1000", "--measure", "none", "--out", "ill"]
    code, out, err = shell(*arguments, "--json")
    assert code == ends.DONE
    assert "isthmus: posterior collapse: " in err
    assert json.loads(out)["findings"]["posterior collapse"]["active_units"] == 0


# ---------------------------------------------------------------------------------------------------- several data sets

PCA = ["--families", "pca", "--facets", "reconstruction", "--replicates", "2", "--jobs", "1"]


@pytest.mark.slow
def test_several_data_sets_are_compared_ranked_and_continued(shell: Shell) -> None:
    several = ["compare", "iris", "wine", *PCA, "--out", "both"]
    code, out, err = shell(*several)
    assert (code, err) == (0, "")
    assert out.startswith("Reconstruction: over 2 data sets ")
    assert "\n\nMean ranks; 1 is best.\nContender" in out
    assert "give the folder of one: both/sets/iris, both/sets/wine" in one_line(shell("take", "both", "pca")[2])
    assert out.splitlines()[-1] == str(Path("both").absolute() / "report.html")
    kept = {path: path.read_bytes() for path in Path("both").rglob("record.json")}
    code, out, _ = shell(*several, "--json", "--lang", "zh")
    found = json.loads(out)
    assert (code, found["complete"], list(found["sets"])) == (0, True, ["iris", "wine"])
    assert found["command"] == "isthmus " + " ".join([*several, "--json", "--lang", "zh"])
    assert found["rankings"]["reconstruction"]["sets"] == ["iris", "wine"]
    assert found["sets"]["iris"]["runs"]["done"] == 4
    assert kept == {path: path.read_bytes() for path in Path("both").rglob("record.json")}
    assert 'lang="zh' in Path("both/report.html").read_text()
    assert shell("report", "both", "--out", "page.html") == (0, "page.html\n", "")
    assert 'href="both/sets/iris/report.html"' in Path("page.html").read_text()


@pytest.mark.slow
def test_replicates_are_added_to_what_is_there(shell: Shell) -> None:
    assert (
        shell("compare", "iris", *PCA, "--families", "plain", "--steps", "20", "--out", "s", "--json")[0] == ends.DONE
    )
    code, out, _ = shell("compare", "--out", "s", "--more", "1", "--jobs", "1", "--json")
    found = json.loads(out)
    assert (code, found["complete"]) == (ends.DONE, True)
    assert found["verdict"]["reconstruction"]["replicates"] == 3
    assert "--more is for one data set" in one_line(shell("compare", "iris", "wine", "--more", "1")[2])


@pytest.mark.slow
def test_the_plan_of_several_data_sets_writes_nothing(shell: Shell) -> None:
    code, out, _ = shell("compare", "iris", "wine", *PCA, "--dry-run", "--json")
    found = json.loads(out)
    assert (code, {name: plan["runs"] for name, plan in found["sets"].items()}) == (0, {"iris": 4, "wine": 4})
    assert Path(found["folder"]).name == "isthmus-iris-and-1-more"
    code, out, _ = shell("compare", "iris", "wine", *PCA, "--dry-run")
    assert "All: at most about" in out
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compare", "iris", "--label", "a", "--label", "b"], "given 2 times for one data set"),
        (["compare", "iris", "wine", "--label", "a=x", "--label", "b"], "takes DATA=VALUE each time; got 'b'"),
        (["compare", "iris", "wine", "--anomaly", "wnie=1"], "no data set 'wnie'"),
        (["compare", "iris", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_wrong_options_of_several_data_sets(shell: Shell, arguments: list[str], expected: str) -> None:
    code, out, err = shell(*arguments)
    assert (code, out) == (ends.INPUT, "")
    assert expected in one_line(err)
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_labels_of_several_data_sets_reach_their_own(shell: Shell) -> None:
    rows = "\n".join(f"{i % 7},{i % 5},{'odd' if i % 4 == 0 else 'fine'}" for i in range(60))
    Path("a.csv").write_text("x,y,kind\n" + rows + "\n")
    Path("b.csv").write_text("x,y,what\n" + rows + "\n")
    code, out, err = shell(
        "compare", "a.csv", "b.csv", *PCA, "--label", "a=kind", "--label", "b=what", "--anomaly", "b=odd", "--dry-run"
    )
    assert (code, err) == (0, "")
    assert out.count("2 classes") == 2


@pytest.mark.slow
def test_an_interruption_says_how_many_data_sets_are_done(shell: Shell, tmp_path: Path) -> None:
    several = ["compare", "iris", "wine", *TINY, "--replicates", "3", "--steps", "1000", "--out", "both"]
    ran = Command(*several, cwd=tmp_path)
    runs = tmp_path / "both" / "sets" / "wine" / "runs"
    until = time.monotonic() + 600
    while not any(runs.glob("[0-9a-f]*")) and time.monotonic() < until and ran.poll() is None:
        time.sleep(0.01)
    os.kill(ran.pid, signal.SIGINT)
    _, err = ran.communicate()
    assert ran.returncode == 130
    assert one_line(err).endswith("runs are kept; the same command continues; 1 of 2 data sets are done\n")


# ------------------------------------------------------------------------------------------------------------- ablation

ABLATE = ["ablate", "l1", "iris", "--facets", "reconstruction", "--replicates", "2", "--jobs", "1", "--steps", "20"]


@pytest.mark.slow
def test_an_ablation_answers_continues_and_is_drawn_again(shell: Shell) -> None:
    code, out, err = shell(*ABLATE, "--set", "corruption=mask", "--set", "corruption_level=0.2")
    folder = Path("isthmus-iris-l1-parts").absolute()
    assert (code, err) == (0, "")
    assert out.startswith("Reconstruction: ")
    assert [line.split()[0] for line in out.splitlines()[3:5]] == ["corruption", "strength"]
    assert out.splitlines()[-1] == str(folder / "report.html")
    code, out, _ = shell(*ABLATE, "--set", "corruption=mask", "--set", "corruption_level=0.2", "--json", "--lang", "zh")
    found = json.loads(out)
    assert (code, found["family"]) == (0, "l1")
    assert {part["field"]: part["off"] for part in found["parts"]} == {"strength": 0.0, "corruption": "none"}
    assert {one["claim"] for one in found["effects"]["reconstruction"]} == {"undecided"}  # two replicates claim nothing
    assert found["runs"]["done"] == found["runs"]["total"]
    assert 'lang="zh' in (folder / "report.html").read_text()
    assert shell("report", str(folder), "--out", "page.html") == (0, "page.html\n", "")
    assert "without the part" in Path("page.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--replicates", "3"], {"replicates": 3}),
        (["--configs", "4"], {"configs": 4}),
        (["--seed", "7"], {"seed": 7}),
        (["--steps", "70"], {"steps": 70}),
        (["--set", "steps=80"], {"steps": 80}),
        (["--plan", "steps=90"], {"steps": 90}),
        (["--learning-rate", "0.01"], {"plan": Plan(learning_rate=0.01).to_json()}),
        (["--set", "latents=3"], {"latents": 3}),
        (
            ["--set", "hidden=9,7"],
            {"hidden": [9, 7], "families": ["full", "without hidden", "without strength", "pca"]},
        ),
        (["--facets", "cost"], {"facets": ["cost"]}),
        (["--out", "there"], {"folder": "there"}),
        (["--factors", "x0"], "no factor column 'x0'"),
        (["--label", "kind"], "neither"),
        (["--anomaly", "rose"], "no class 'rose'"),
        (["--set", "strength=0"], "no part that can be taken away"),
        (["--set", "strenght=0"], "did you mean strength"),
    ],
)
def test_options_reach_the_ablation(shell: Shell, arguments: list[str], expected: dict[str, Any] | str) -> None:
    few = [] if "--facets" in arguments else ["--facets", "reconstruction"]
    code, out, err = shell("ablate", "l1", "iris", *arguments, *few, "--dry-run", "--json", "--jobs", "1")
    if isinstance(expected, str):
        assert (code, out) == (ends.INPUT, "")
        assert expected in one_line(err)
    else:
        found = json.loads(out)
        found["folder"] = Path(found["folder"]).name
        assert {key: found[key] for key in expected} == expected
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_a_recipe_file_is_taken_as_it_is(shell: Shell) -> None:
    Path("recipe.json").write_text('{"family": "l1", "latents": 3, "hidden": [5], "strength": 0.2}')
    code, out, _ = shell("ablate", "recipe.json", "iris", "--dry-run", "--json", "--set", "norm=layer")
    found = json.loads(out)
    assert (code, found["latents"], found["hidden"]) == (0, 3, [5])
    assert found["families"] == ["full", "without norm", "without strength", "pca"]  # a norm needs a layer
    for name, content, expected in (
        ("nowhere.json", None, "can't be read"),
        ("bad.json", "{", "not JSON"),
        ("list.json", "[]", "holds list"),
        ("other.json", '{"family": "nothing"}', "unknown family"),
        ("large.json", " " * (1 << 20) + "{}", "larger than 1 MB"),
    ):
        if content is not None:
            Path(name).write_text(content)
        code, out, err = shell("ablate", name, "iris")
        assert (code, out) == (ends.INPUT, "")
        assert expected in one_line(err)


def test_the_fields_of_the_plan_are_listed_with_what_they_take(shell: Shell) -> None:
    code, out, _ = shell("list", "plan", "--json")
    fields = {row["name"]: row for row in json.loads(out)["plan"]}
    assert (code, list(fields)) == (ends.DONE, list(Plan.__dataclass_fields__))
    assert fields["warmup"]["takes"] == "a number of at least 0 and at most 1"
    assert fields["drops"]["about"].endswith("Only where schedule is plateau.")
