"""A graph is run without torch, says the same as its model, and nothing but a graph of ours is run."""

import csv
import importlib.util
import io
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from isthmus import runtime
from isthmus.data.read import read
from isthmus.families import named
from isthmus.runtime import Refused
from isthmus.runtime.__main__ import BLOCK, main, parsed, split
from isthmus.runtime.graph import AT_ONCE
from isthmus.runtime.protobuf import SEAL, sealed, whole
from isthmus.ship.deployed import Deployed
from isthmus.ship.graph import export
from isthmus.train.fitted import fit

FROZEN = Path(__file__).parent / "frozen"
GRAPH = FROZEN / "graph-1.onnx"
EXPECTED = json.loads((FROZEN / "graph-1.json").read_text(encoding="utf-8"))
ROWS = EXPECTED["rows"]


@pytest.fixture(scope="module")
def graph() -> runtime.Graph:
    return runtime.load(GRAPH)


def written(rows: dict[str, list[str]], place: Path, times: int = 1) -> Path:
    with place.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(rows)
        out.writerows([*zip(*rows.values(), strict=True)] * times)
    return place


def test_a_graph_that_was_written_once_gives_what_its_model_gave(graph: runtime.Graph) -> None:
    found = graph.run(ROWS)
    for name in ("code", "score"):
        assert found[name] == pytest.approx(np.array(EXPECTED[name]), rel=1e-5, abs=1e-5)
    assert graph.outputs == ("code", "score", "p_value", "anomaly")


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "more columns, another order"])
def test_rows_come_as_frames_too(graph: runtime.Graph, kind: str) -> None:
    frame = pd.DataFrame(ROWS)
    frame["pay"] = frame["pay"].astype(float)
    frame["when"] = pd.to_datetime(frame["when"])
    if kind == "polars":
        frame = pl.from_pandas(frame)
    elif kind == "pyarrow":
        frame = pl.from_pandas(frame).to_arrow()
    elif kind != "pandas":
        frame = frame[frame.columns[::-1]].assign(note="x")
    assert graph.run(frame, ["score"])["score"] == pytest.approx(graph.run(ROWS)["score"])


def test_many_rows_are_run_some_at_a_time_and_say_the_same(monkeypatch) -> None:
    graph, sizes = runtime.load(GRAPH), []
    whole = graph.run(ROWS)

    class Noted:
        def __init__(self, session) -> None:
            self.session = session

        def run(self, wanted, fed):
            sizes.append(len(next(iter(fed.values()))))
            return self.session.run(wanted, fed)

    monkeypatch.setattr(graph, "_session", Noted(graph._session))
    times = 1 + AT_ONCE // 6
    found = graph.run({name: cells * times for name, cells in ROWS.items()})
    assert sizes == [AT_ONCE, 6 * times - AT_ONCE]
    for name, values in whole.items():
        assert found[name] == pytest.approx(np.concatenate([values] * times), rel=1e-6)
    assert len(graph.run({name: [] for name in ROWS})["score"]) == 0
    assert sizes[2:] == [1]


def test_no_row_is_no_answer(graph: runtime.Graph) -> None:
    found = graph.run({name: [] for name in ROWS})
    assert found["code"].shape == (0, 3)
    assert found["anomaly"].shape == (0,)


@pytest.mark.slow
def test_torch_is_not_needed(tmp_path: Path) -> None:
    """Where there is nothing but this package, numpy and onnxruntime with what it asks for: the shell and Python."""
    rows, place = written(ROWS, tmp_path / "rows.csv"), tmp_path / "packages"
    place.mkdir()
    (place / "isthmus").symlink_to(Path(runtime.__file__).parents[1])
    for name in ("numpy", "onnxruntime"):
        home = Path(importlib.util.find_spec(name).origin).parents[1]
        for one in home.iterdir():
            if one.name.split(".")[0] in {name, "flatbuffers", "google", "packaging"}:
                (place / one.name).unlink(missing_ok=True)
                (place / one.name).symlink_to(one)
    bare = [sys.executable, "-S", "-c"]
    env = {"PYTHONPATH": str(place), "PATH": "", "OMP_NUM_THREADS": "1"}
    for code in (
        f"import sys; from isthmus.runtime.__main__ import main; sys.exit(main([{str(GRAPH)!r}, {str(rows)!r}]))",
        f"from isthmus import runtime; found = runtime.load({str(GRAPH)!r}).run({ROWS!r})\n"
        "print('score', *found['score'].tolist(), sep='\\n')",
    ):
        done = subprocess.run([*bare, code], capture_output=True, text=True, check=False, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        found = list(csv.DictReader(io.StringIO(done.stdout)))
        assert [float(row["score"]) for row in found] == pytest.approx(EXPECTED["score"], rel=1e-5)
    done = subprocess.run([*bare, "import torch"], capture_output=True, text=True, check=False, env=env)
    assert "No module named 'torch'" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"age": "old"}, "row 2, column 'age': 'old' is no number"),
        ({"age": "1_0"}, "is no number"),
        ({"age": "٤"}, "is no number"),
        ({"age": "1e999"}, "row 2, column 'age': the value is infinite"),
        ({"age": "-4e38"}, "row 2, column 'age': -4e\\+38 is beyond 32-bit floats"),
        ({"when": "3/4/2021"}, "column 'when': '3/4/2021' is no date"),
        ({"when": "20210403"}, "column 'when': '20210403' is no date"),
        ({"when": "2021-W13-6"}, "column 'when': '2021-W13-6' is no date"),
        ({"when": "2021-02-30"}, "column 'when': '2021-02-30' is no date"),
    ],
)
def test_a_cell_of_another_kind_is_refused_with_its_place(
    graph: runtime.Graph, change: dict[str, str], said: str
) -> None:
    rows = {name: [*values] for name, values in ROWS.items()}
    for name, value in change.items():
        rows[name][1] = value
    with pytest.raises(Refused, match=said):
        graph.run(rows)


def test_numbers_are_no_dates(graph: runtime.Graph) -> None:
    """Whether 20210403 is a day or seconds since 1970 nobody tells; a column of gaps alone may have any type."""
    count = len(ROWS["when"])
    with pytest.raises(Refused, match="column 'when' holds numbers, where training had dates; write 2024-01-31"):
        graph.run({**ROWS, "when": np.full(count, 20210403)})
    gone = [graph.run({**ROWS, "when": cells})["score"] for cells in (np.full(count, np.nan), [""] * count)]
    assert gone[0] == pytest.approx(gone[1], rel=1e-6)


def test_columns_and_outputs_that_are_not_there_are_refused(graph: runtime.Graph) -> None:
    with pytest.raises(Refused, match="no column 'age'"):
        graph.run({name: values for name, values in ROWS.items() if name != "age"})
    with pytest.raises(Refused, match="no output 'flag'; it has code, score"):
        graph.run(ROWS, ["flag"])
    with pytest.raises(Refused, match="expected columns by name"):
        graph.run(np.zeros((2, 7)))


def test_a_file_goes_through_in_blocks_and_says_what_all_at_once_would(tmp_path: Path, graph: runtime.Graph) -> None:
    times = 1 + BLOCK // 6
    rows, out = written(ROWS, tmp_path / "rows.csv", times), tmp_path / "out.csv"
    assert main([str(GRAPH), str(rows), "-o", str(out), "--only", "score,anomaly"]) == 0
    with out.open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert len(found) == 6 * times
    assert found[0].keys() == {"score", "anomaly"}
    assert [float(row["score"]) for row in found] == pytest.approx([*graph.run(ROWS)["score"]] * times, rel=1e-6)
    assert [int(row["anomaly"]) for row in found[-6:]] == graph.run(ROWS)["anomaly"].tolist()


@pytest.mark.parametrize("rows", ["rows.csv", "blank.csv"])
def test_a_file_without_rows_gives_the_names_of_what_there_is(rows: str, tmp_path: Path) -> None:
    place, out = written({name: [] for name in ROWS}, tmp_path / "rows.csv"), tmp_path / "out.csv"
    (tmp_path / "blank.csv").write_text(place.read_text(encoding="utf-8") + "\n" * (2 * BLOCK), encoding="utf-8")
    assert main([str(GRAPH), str(tmp_path / rows), "-o", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == "score,p_value,anomaly\n"


@pytest.mark.slow
def test_where_nothing_can_be_written_one_line_says_so(tmp_path: Path) -> None:
    rows = written(ROWS, tmp_path / "rows.csv")
    line = f"{sys.executable} -m isthmus.runtime {GRAPH} {rows}"
    for tail, said in (
        (">&-", "stdout: closed;"),
        (f"-o {tmp_path}/none/a.csv", f"{tmp_path}/none/a.csv: No such file"),
    ):
        done = subprocess.run(f"{line} {tail}", shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert done.stderr.startswith(f"isthmus.runtime: {said}")
        assert done.stderr.count("\n") == 1


def test_results_never_take_the_place_of_rows_and_are_there_when_all_of_them_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, out = written(ROWS, tmp_path / "rows.csv", 1 + BLOCK // 6), tmp_path / "out.csv"
    before = rows.read_bytes()
    assert main([str(GRAPH), str(rows), "-o", str(rows)]) == 2
    assert "is the file that is read; name another one to write (--out)" in capsys.readouterr().err
    assert rows.read_bytes() == before
    out.write_text("old", encoding="utf-8")
    rows.write_bytes(before + b"old" + before.splitlines(keepends=True)[1])
    assert main([str(GRAPH), str(rows), "-o", str(out)]) == 2
    assert out.read_text(encoding="utf-8") == "old"
    assert {one.name for one in tmp_path.iterdir()} == {"rows.csv", "out.csv"}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1,a,\n2,,b\n", True),
        ("1,a,\r\n2,,b\r\n", True),
        (",,\n", True),
        ('1,"a, b",c\n', False),
        ('1,"two\nlines",c\n2,a,b\n', False),
        ("1,a,b\n\n2,a,b\n", False),
        ("\n1,a,b\n", False),
        ("1,a,b\r2,a,b\n", False),
        ("1,a,b\n2,a,b", False),
    ],
)
def test_lines_without_quotes_are_split_as_a_parser_reads_them(text: str, plain: bool) -> None:
    read = parsed(csv.reader(io.StringIO(text, newline="")), ["x", "y", "z"], "rows.csv")
    assert split(text, 3) == (read if plain else None)


@pytest.mark.parametrize("text", ["a\nb\n", "a,b\n", "a,b,c,d\n", "a,b\nc,d,e,f\n", "a,b,c,d,e,f,g\n"])
def test_lines_of_another_length_are_never_split(text: str) -> None:
    assert split(text, 3) is None
    with pytest.raises(Refused, match="values where 3 are expected"):
        parsed(csv.reader(io.StringIO(text)), ["x", "y", "z"], "rows.csv")


def test_quotes_in_one_block_of_a_file_leave_the_others_as_they_are(tmp_path: Path, graph: runtime.Graph) -> None:
    rows, out = written(ROWS, tmp_path / "rows.csv", 3 * BLOCK // 6), tmp_path / "out.csv"
    lines = rows.read_text(encoding="utf-8").splitlines()
    lines[0] += ",note"
    lines[1:] = [
        line + ',"two\nlines, quoted"' if BLOCK < k < BLOCK + 9 else line + "," for k, line in enumerate(lines[1:])
    ]
    rows.write_text("\n".join(lines), encoding="utf-8")
    assert main([str(GRAPH), str(rows), "-o", str(out), "--only", "score"]) == 0
    found = [float(line) for line in out.read_text(encoding="utf-8").splitlines()[1:]]
    assert found == pytest.approx([*graph.run(ROWS)["score"]] * (3 * BLOCK // 6), rel=1e-6)


@pytest.mark.parametrize("gap", ["", " ", "NA", " nan ", None, float("nan")])
def test_columns_of_texts_are_read_as_their_cells_are_one_by_one(graph: runtime.Graph, gap: object) -> None:
    rows = {name: [*values, gap] for name, values in ROWS.items()}
    rows["age"][0], rows["when"][0] = f" {rows['age'][0]} ", f" {rows['when'][0]}"
    alone = [graph.run({name: [cells[k]] for name, cells in rows.items()})["score"][0] for k in range(len(rows["age"]))]
    assert graph.run(rows)["score"] == pytest.approx(alone, rel=1e-6)
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in rows.items()})
    assert graph.run(frame)["score"] == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", bytes(range(256)), "no text in UTF-8; give CSV in UTF-8, or a .npy file"),
        ("rows.parquet", b"PAR1\x80", "no text in UTF-8"),
        ("rows.npy", b"no array", "no array of numbers"),
        ("none.csv", None, "no such file; give a .csv or .npy file"),
        (".", None, "this is a folder; give one file in it"),
        ("empty.csv", b"", "empty; expected a line of column names"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, monkeypatch, capsys, name: str, content: bytes | None, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    assert main([str(GRAPH), name]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"isthmus.runtime: {name}: {said}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_stdin_is_read_as_a_file_is(tmp_path: Path, ends: str) -> None:
    """With a mark of byte order before a quoted name, as spreadsheets write it, and their ends of lines."""
    lines = written(ROWS, tmp_path / "rows.csv").read_text(encoding="utf-8").splitlines()
    lines[0] = ",".join(f'"{name}"' for name in ROWS)
    command = [sys.executable, "-m", "isthmus.runtime", str(GRAPH), "-", "--only", "score"]
    content = ends.join([*lines, ""]).encode("utf-8-sig")
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    assert [float(line) for line in done.stdout.split()[1:]] == pytest.approx(EXPECTED["score"], rel=1e-5)


def test_threads_are_those_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for threads in (1, 3):
        assert runtime.load(GRAPH, threads)._session.get_session_options().intra_op_num_threads == threads
    assert main([str(GRAPH), str(written(ROWS, tmp_path / "rows.csv")), "--threads", "0"]) == 2
    assert "threads must be 1 or more; got 0" in capsys.readouterr().err


def test_a_fault_far_down_a_file_is_told_with_its_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = written(ROWS, tmp_path / "rows.csv", 1 + BLOCK // 6)
    with rows.open("a", encoding="utf-8") as file:
        file.write("old,Oslo,1,no,2021-01-01,S,1\n")
    assert main([str(GRAPH), str(rows)]) == 2
    assert f"row {6 * (1 + BLOCK // 6) + 1}, column 'age': 'old'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty; expected a line of column names"),
        (b"age,city\n1,Oslo\n", "no column 'pay'"),
        (b"age,city,pay,paid,when,size,score\n1,Oslo\n", "has 2 values where 7 are expected"),
        (b"age,city,pay,paid,when,size,score\n1,\xff,1,no,2021-01-01,S,1\n", "no text in UTF-8"),
    ],
)
def test_files_that_are_no_such_table_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    place = tmp_path / "rows.csv"
    place.write_bytes(content)
    assert main([str(GRAPH), str(place)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_seal_is_the_hash_of_all_before_it() -> None:
    assert whole(sealed(b"abc"))
    assert not whole(b"abc")
    assert not whole(sealed(b"abc") + b"x")
    assert GRAPH.read_bytes()[-64 - len(SEAL) :].startswith(SEAL)


@pytest.mark.slow
def test_every_flipped_byte_is_noticed() -> None:
    content = GRAPH.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(content), 300).tolist():
        changed = bytearray(content)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(Refused):
            runtime.Graph(bytes(changed))


@pytest.mark.slow
def test_files_that_were_changed_and_sealed_again_are_refused_or_run() -> None:
    """A seal shows damage, not origin: what is then read must end in one line or in an answer."""
    random, body = np.random.default_rng(1), GRAPH.read_bytes()[: -64 - len(SEAL)]
    for _ in range(200):
        changed = bytearray(body)
        for at in random.integers(0, len(body), random.integers(1, 4)).tolist():
            changed[at] = int(random.integers(256))
        cut = int(random.integers(len(body))) if random.random() < 0.2 else len(body)
        with suppress(Refused):
            runtime.Graph(sealed(bytes(changed[:cut]))).run(ROWS)


def test_the_shell_refuses_a_changed_graph_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, good, random = written(ROWS, tmp_path / "rows.csv"), GRAPH.read_bytes(), np.random.default_rng(2)
    for case in range(60):
        at, bad = int(random.integers(len(good))), bytearray(good)
        if case % 3 == 0:
            bad[at] ^= 1 << int(random.integers(8))
        elif case % 3 == 1:
            del bad[at:]
        else:
            bad[at:at] = bytes(1 + case)
        (tmp_path / "bad.onnx").write_bytes(bad)
        assert main([str(tmp_path / "bad.onnx"), str(rows)]) == 2
        said = capsys.readouterr()
        assert (said.out, len(said.err.splitlines())) == ("", 1)


def test_more_than_onnx_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(GRAPH)
    outside = onnx.ModelProto.FromString(model.SerializeToString())
    tensor = outside.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    strange = onnx.ModelProto.FromString(model.SerializeToString())
    strange.graph.node[0].domain = "com.example"
    inner = onnx.ModelProto.FromString(model.SerializeToString())
    branch = onnx.helper.make_graph([onnx.helper.make_node("X", [], ["y"], domain="com.example")], "g", [], [])
    inner.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH, g=branch)
    functions = onnx.ModelProto.FromString(model.SerializeToString())
    functions.functions.add(name="f")
    for changed, said in (
        (outside, "tensors in other files"),
        (strange, "not ONNX's own"),
        (inner, "not ONNX's own"),
        (functions, "functions of its own"),
    ):
        with pytest.raises(Refused, match=said):
            runtime.Graph(sealed(changed.SerializeToString()))


def test_missing_files_and_wrong_ones_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "no.onnx"), "rows.csv"]) == 2
    assert main([str(GRAPH), str(tmp_path / "no.csv")]) == 2
    assert main([str(Path(__file__)), "rows.csv"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[-1] for line in lines[:2]] == [
        "No such file or directory; give the file that isthmus export wrote",
        "no such file; give a .csv or .npy file, or - for stdin",
    ]
    assert "it is damaged, or no ONNX file" in lines[2]


@pytest.mark.slow
def test_numbers_that_had_decimal_commas_in_training_have_them_here(tmp_path: Path, monkeypatch) -> None:
    """As isthmus reads the same texts, or refused; whether columns are of several kinds or all plain numbers."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"a": [f"{k},5" for k in range(40)], "b": [f"{k % 7},25" for k in range(40)]})
    frame["size"] = [f"{k % 3},5" for k in range(40)]
    for columns, kinds in ((["a", "b"], {}), (["a", "b", "size"], {"size": "category"})):
        frame[columns].to_csv("t.csv", sep=";", index=False)
        data = read("t.csv", kinds=kinds)
        how = {"fields": data.fields, "columns": data.columns, "habit": data.habit, "images": False}
        model = Deployed.of(fit(named("pca").set_params(latents=1), data.x, **how))
        export(model, tmp_path / "m.onnx")
        graph = runtime.load(tmp_path / "m.onnx")
        wanted = pytest.approx(np.asarray(model.encode(data.x)), rel=1e-4, abs=1e-4)
        assert graph.run(frame)["code"] == wanted
        assert graph.run({name: frame[name].tolist() for name in frame})["code"] == wanted
        gap = frame.astype(object)
        gap.loc[3, "a"] = 3.5  # a number that is no text is what it is
        assert graph.run(gap)["code"] == wanted
        gap.loc[4, "b"] = "1.234"
        with pytest.raises(Refused, match=r"row 5, column 'b': '1.234' has a point.*write 1234,5"):
            graph.run(gap)
        gap.loc[4, "b"] = "x"
        with pytest.raises(Refused, match=r"row 5, column 'b': 'x' is no number; write it as 1234,5"):
            graph.run(gap)
