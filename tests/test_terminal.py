"""A real terminal, and streams that are closed or narrow: names are shown and never obeyed, and nothing is lost."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from forks import Command, terminal
from isthmus.cli import ends, main, show
from isthmus.cli.show import plain

EVIL = [
    "{}",
    "{task.x}",
    "[bold]",
    "[/]",
    ":smile:",
    "\x1b[31m",
    "\x1b]0;owned\x07",
    "a\nb",
    "a\rb",
    "\u202eevil",
    "\x9b2J",
]
NAME = "r{}[bold]\x1b[31m\n\u202e"
TINY = ["--families", "pca", "--facets", "reconstruction", "--replicates", "2", "--configs", "1", "--jobs", "1"]
CODES = r"\x1b\[[0-9;?]*[A-Za-z]"


def harmless(shown: str) -> None:
    """No colour that we do not use, no title, no turned writing; names are there as they are spelled out."""
    assert "\x1b[31m" not in shown
    assert "\x1b]" not in shown
    assert "\u202e" not in shown
    assert "\x9b" not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("text", EVIL)
def test_nothing_in_a_line_is_obeyed(text, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    show.line(text)
    show.say(text)
    show.table([text, "n"], [[text, "1"]])
    show.warn(text)
    show.note(text)
    with show.progress(text, 2.0, unit="runs") as tell:
        tell(1.0, text, 2.0)
    show.machine({text: text})
    said = capsys.readouterr()
    whole = re.sub(CODES, "", said.err) + said.out
    harmless(said.out)
    assert "\u202e" not in whole
    assert "\x1b]" not in whole
    assert plain(text) in whole
    assert not set(plain(text)) & {"\n", "\r", "\x1b", "\x9b", "\u202e"}


def test_a_log_hears_of_a_long_work_now_and_then(capsys, monkeypatch):
    passed = iter(range(0, 100_000, 10))
    monkeypatch.setattr(show.time, "monotonic", lambda: float(next(passed)))
    with show.progress("rows\x1b", 1_000, done=10, unit="runs") as tell:
        for done in range(11, 111):
            tell(done, total=2_000)
        tell(2_000)
    first, second, *rest = capsys.readouterr().err.splitlines()
    assert first == r"isthmus: rows\x1b: 13 of 2000 runs after 30 s, about 5 h 31 min left"
    assert second.startswith(r"isthmus: rows\x1b: 16 of 2000 runs after 1 min 0 s")
    assert 10 < len(rest) < 25
    with show.progress("rows", 1_000, unit="runs", most=90) as tell:
        for done in range(3, 6):
            tell(done)
    assert capsys.readouterr().err == "isthmus: rows: 5 of 1000 runs after 30 s of 1 min 30 s\n"


@pytest.mark.parametrize("quiet", [True, False])
def test_a_log_hears_nothing_of_a_short_work_nor_if_it_shall_be_quiet(quiet, capsys, monkeypatch):
    passed = iter([0.0, 1.0, 2.0])
    monkeypatch.setattr(show.time, "monotonic", lambda: 100.0 * quiet * next(passed))
    with show.progress("rows", 3.0, quiet=quiet) as tell:
        tell(1.0)
        tell(2.0)
    assert not capsys.readouterr().err


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Rows under a name, in columns and with labels that a terminal might obey."""
    x = np.random.default_rng(0).normal(size=(60, 3)).round(3)
    kinds = ["k\x1b[31m", "k[bold]{}"]
    head = "a\x1b[31m,b[bold],c{},\x1b[31mkind\n"
    path = tmp_path / f"{NAME}.csv"
    path.write_text(head + "".join(f"{a},{b},{c},{kinds[i % 2]}\n" for i, (a, b, c) in enumerate(x)))
    return path


@pytest.mark.slow
def test_no_command_lets_a_name_reach_the_terminal_as_it_is(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(rows.read_text())
    label = ["--label", "\x1b[31mkind"]
    study, model, packed = f"s{NAME}", f"m{NAME}", f"c{NAME}.isthmus"
    steps = [
        ["compare", rows.name, *label, *TINY, "--dry-run"],
        ["compare", rows.name, *label, *TINY, "--out", study],
        ["report", study],
        ["doctor", study],
        ["take", study, "pca", "--out", model],
        ["compress", model, rows.name, "--out", packed],
        ["decompress", packed, model, "--out", f"again{NAME}.csv"],
        ["train", "pca", rows.name, *label, "--out", f"t{NAME}"],
        ["compare", rows.name, "other.csv", *label, *TINY, "--out", f"v{NAME}"],
        ["ablate", "contractive", rows.name, *label, "--replicates", "2", "--steps", "20", "--jobs", "1", "--dry-run"],
        ["compare", f"missing{NAME}"],
    ]
    for number, arguments in enumerate(steps):
        code, shown = terminal(*arguments, cwd=tmp_path, width=120, fresh=number == 1)
        harmless(shown)
        assert code in ({ends.INPUT} if "missing" in arguments[1] else {ends.DONE, ends.PARTLY}), (arguments, shown)


@pytest.mark.slow
def test_cells_that_are_carried_along_are_spelled_out_on_a_terminal_and_kept_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plainly = "\n".join(f"{i % 7},{i % 5}" for i in range(40))
    (tmp_path / "rows.csv").write_text(f"a,b\n{plainly}\n")
    marked = "".join(f"{line},\x1b[31m\u202eé\x9b2J\n" for line in plainly.split("\n"))
    (tmp_path / "new.csv").write_text(f"a,b,name\x1b]0;owned\x07\n{marked}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "plain", "rows.csv", "--steps", "20", "--measure", "none", "--out", "m", "--quiet"]) == 0
    for verb in (["score"], ["encode"], ["flag", "--rate", "0.5"]):
        code, shown = terminal(verb[0], "m", "new.csv", *verb[1:], cwd=tmp_path)
        assert code == ends.DONE
        harmless(shown)
        assert r"\x1b[31m\u202eé\x9b2J" in shown
        assert shown.count("\n") > 40
        assert main([verb[0], "m", "new.csv", *verb[1:], "-o", "out.csv"]) == 0
        assert Path("out.csv").read_text(encoding="utf-8").count("\x1b[31m\u202eé\x9b2J") == 40


CLOSED = {"stderr": (2,), "output": (1, 2), "all": (0, 1, 2)}


@pytest.mark.slow
@pytest.mark.parametrize("closed", CLOSED.values(), ids=CLOSED)
def test_workers_live_with_closed_streams(tmp_path: Path, closed: tuple[int, ...]) -> None:
    ran = Command("compare", "iris", *TINY[:-1], "2", "--out", "study", cwd=tmp_path, closed=closed)
    ran.communicate()
    assert ran.returncode == ends.DONE
    assert len(list((tmp_path / "study" / "runs").iterdir())) > 0
    assert "killed" not in "".join(path.read_text() for path in tmp_path.glob("study/runs/*/record.json"))


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_narrow_stream_shows_what_it_can_and_ends_nothing(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = ["compare", "iris", *TINY, "--out", "数据", "--lang", "zh"]
    for more in ([], ["--json"]):
        with monkeypatch.context() as patch:
            for name, errors in (("stdout", "strict"), ("stderr", "backslashreplace")):  # as an interpreter makes them
                patch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors))
            code = main([*run, *more])
            out, err = (bytes(one.buffer.getvalue()) for one in (sys.stdout, sys.stderr) if one.flush() is None)
        assert (code, err) == (ends.DONE, b"")
    assert json.loads(out.decode(encoding))["folder"].endswith("数据")


@pytest.mark.slow
def test_a_narrow_stream_of_a_process_too(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "isthmus", "list", "metrics", "frechet"]
    ran = subprocess.run(
        run, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (ends.DONE, b"")
    assert b"Fr?chet" in ran.stdout


def test_bytes_that_are_no_text_are_refused_before_any_work(tmp_path: Path) -> None:
    out = os.fsencode("study") + b"\xff"
    run = [sys.executable, "-m", "isthmus", "compare", "iris", *TINY, "--out", out]
    ran = subprocess.run(run, cwd=tmp_path, capture_output=True, check=False, text=True)
    assert ran.returncode == ends.INPUT
    assert "bytes that are not text" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_folder_whose_name_is_no_text_is_no_obstacle(tmp_path: Path) -> None:
    place = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(place)
    ran = Command("compare", "iris", *TINY, cwd=Path(os.fsdecode(place)))
    assert (ran.communicate()[1], ran.returncode) == ("", ends.DONE)
