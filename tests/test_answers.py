"""The commands that answer rows: any format in and out, block by block, whatever order the columns stand in."""

import gzip
import io
import os
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from isthmus.cli import main, show
from isthmus.cli.stream import Columns as Written
from isthmus.data import text_pieces
from isthmus.data.blocks import Block, Columns, blocks
from isthmus.data.fields import Field
from isthmus.data.read import read
from isthmus.families import named
from isthmus.ship import calibrate
from isthmus.ship.artefact import save
from isthmus.ship.deployed import Calibration, Deployed
from isthmus.ship.verbs import Answer
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

PLAN = Plan(steps=40, check=20, batch=32)
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 3)).round(3)
NUMBERS = pd.DataFrame(X, columns=["a", "b", "c"])
PEOPLE = pd.DataFrame(
    {"age": np.where(np.arange(300) % 9, X[:, 0], np.nan), "city": np.array(["Oslo", "Rome"])[np.arange(300) % 2]}
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    model = fit(named("vae").set_params(latents=2), X[:150], valid=X[150:200], plan=PLAN, columns=tuple("abc"))
    save(Deployed.of(model, X[:150], X[150:200], X[200:]), place / "numbers")
    save(Deployed.of(model), place / "bare")
    data = read(PEOPLE)  # says what it infers; here it is not asked
    mixed = fit(named("plain").set_params(latents=2), data.x, plan=PLAN, fields=data.fields, columns=data.columns)
    save(Deployed.of(mixed, PEOPLE[:200], PEOPLE[200:250], PEOPLE[250:]), place / "people")
    return place


@pytest.fixture
def run(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    for name in ("numbers", "bare", "people"):
        Path(name).symlink_to(models / name)
    return lambda *words: main([str(word) for word in words])


def loaded(path: str) -> Deployed:
    from isthmus.ship.artefact import load

    return load(path)


@pytest.mark.slow
def test_the_same_rows_get_the_same_answers_from_every_format(run) -> None:
    model = loaded("numbers")
    frame = NUMBERS[:40].assign(id=np.arange(40), label="x")[["label", "c", "id", "a", "b"]]
    frame.to_csv("rows.csv", index=False)
    frame.to_csv("rows.tsv", index=False, sep="\t")
    Path("rows.csv.gz").write_bytes(gzip.compress(Path("rows.csv").read_bytes()))
    frame.to_parquet("rows.parquet")
    Path("comma.csv").write_text(frame.to_csv(index=False, sep=";", decimal=","))
    Path("wide.csv").write_bytes(frame.to_csv(index=False).encode("utf-16"))
    np.save("rows.npy", X[:40])
    wanted = model.scores(X[:40])
    for name in ("rows.csv", "rows.tsv", "rows.csv.gz", "rows.parquet", "comma.csv", "wide.csv", "rows.npy"):
        for out in ("out.csv", "out.parquet", "out.npy"):
            assert run("score", "numbers", name, "-o", out) == 0
        np.testing.assert_allclose(pd.read_csv("out.csv")["score"], wanted, rtol=1e-12)
        np.testing.assert_allclose(np.load("out.npy"), wanted, rtol=1e-12)
        found = pd.read_parquet("out.parquet")
        np.testing.assert_allclose(found["p_value"], model.p_values(X[:40]), rtol=1e-12)
        if name != "rows.npy":
            assert list(found.columns) == ["label", "id", "score", "p_value"]
            assert found["id"].astype(int).tolist() == list(range(40))


def test_codes_go_out_and_come_back_as_rows(run) -> None:
    model = loaded("numbers")
    NUMBERS.to_csv("rows.csv", index=False)
    for codes, rows in (("codes.npy", "back.npy"), ("codes.csv", "back.csv"), ("codes.parquet", "back.parquet")):
        assert run("encode", "numbers", "rows.csv", "-o", codes) == 0
        assert run("decode", "numbers", codes, "-o", rows) == 0
        assert run("reconstruct", "numbers", "rows.csv", "-o", f"again-{rows}") == 0
    np.testing.assert_array_equal(np.load("codes.npy"), model.encode(X))
    np.testing.assert_allclose(np.load("back.npy"), model.reconstruct(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.load("again-back.npy"), model.reconstruct(X))
    assert list(pd.read_csv("back.csv").columns) == ["a", "b", "c"]
    np.testing.assert_allclose(pd.read_parquet("back.parquet"), model.reconstruct(X), rtol=1e-5, atol=1e-6)
    assert run("sample", "numbers", "-n", "7", "--seed", "3", "-o", "new.csv") == 0
    np.testing.assert_allclose(pd.read_csv("new.csv"), model.sample(7, seed=3), rtol=1e-6)


def test_gaps_and_texts_that_were_not_there_in_training_are_answered(run, capsys) -> None:
    Path("new.csv").write_text("city,age\nParis,1\n,\nOslo,\nRome,0.5\n")
    assert run("score", "people", "new.csv", "-o", "out.csv") == 0
    assert pd.read_csv("out.csv")["score"].notna().all()
    assert run("reconstruct", "people", "new.csv", "-o", "out.csv") == 0
    assert set(pd.read_csv("out.csv")["city"]) <= {"Oslo", "Rome"}
    assert run("encode", "people", "new.csv", "-o", "out.npy") == 0
    Path("gap.csv").write_text("a,b,c\n1,,2\n1,1,1\n")
    capsys.readouterr()
    assert run("flag", "numbers", "gap.csv", "-o", "out.csv", "--rate", "0.05") == 0
    assert capsys.readouterr().err.count("rows with a gap have no answer") == 1
    assert pd.read_csv("out.csv")["score"].isna().tolist() == [True, False]
    assert pd.read_csv("out.csv")["flag"].tolist() == [False, False]


def test_flags_follow_the_rate_and_the_rows_that_are_compared_with(run, capsys) -> None:
    NUMBERS.to_csv("rows.csv", index=False)
    (NUMBERS * 3).to_csv("wild.csv", index=False)
    shares = {}
    for name, words in {
        "own": [],
        "ten": ["--rate", "0.1"],
        "day": ["--per-day", "100", "--rows-per-day", "1000"],
        "wild": ["--rate", "0.1", "--against", "wild.csv"],
    }.items():
        assert run("flag", "numbers", "rows.csv", "-o", "out.csv", *words) == 0
        shares[name] = pd.read_csv("out.csv")["flag"].mean()
    assert shares["own"] < shares["ten"] == shares["day"]
    assert shares["wild"] < shares["ten"]
    capsys.readouterr()
    for words, said in (
        (["numbers", "rows.csv", "--rate", "0.001"], "at least 999 rows"),
        (["bare", "rows.csv"], "no calibration rows"),
        (["numbers", "rows.csv", "--per-day", "3"], "together with --rows-per-day"),
        (["numbers", "rows.csv", "--per-day", "9", "--rows-per-day", "3"], "fewer alarms a day"),
    ):
        assert run("flag", *words) == 2
        assert said in capsys.readouterr().err
    assert run("flag", "bare", "rows.csv", "--against", "wild.csv", "-o", "out.csv") == 0


@pytest.mark.slow
def test_a_batch_is_flagged_by_its_share_of_false_discoveries_and_what_it_holds_is_bounded(run, capsys) -> None:
    odd = NUMBERS.copy()
    odd.iloc[:60] *= 9
    NUMBERS.to_csv("rows.csv", index=False)
    odd.to_csv("odd.csv", index=False)
    own, found = loaded("numbers").calibration, {}
    p = own.p_values(loaded("numbers").scores(odd))
    for share in (0.1, 0.5):
        assert run("flag", "numbers", "odd.csv", "-o", "out.csv", "--fdr", share) == 0
        found[share] = pd.read_csv("out.csv")["flag"]
        np.testing.assert_array_equal(found[share], calibrate.discoveries(p, share))
    assert 0 < found[0.1].sum() < found[0.5].sum()
    capsys.readouterr()
    told = []
    for bound in (0.95, 0.5):
        assert run("flag", "numbers", "odd.csv", "-o", "out.csv", "--rate", "0.02", "--bound", bound) == 0
        told.append(capsys.readouterr().err)
        most = calibrate.false_share(p, 0.02, len(own.scores), bound)
        assert f"with confidence {bound:g} at most {most.false} of the {most.flagged} flags are false" in told[-1]
    assert told[0].replace("0.95", "0.5") != told[1]
    assert run("flag", "numbers", "rows.csv", "-o", "out.csv", "--fdr", "0.001") == 0
    assert "needs 2,971 rows odder than all of them" in capsys.readouterr().err
    for words, said in (
        (["--fdr", "0.1", "--rate", "0.1"], "--fdr takes the place of a rate"),
        (["--fdr", "2"], "must lie between 0 and 1"),
        (["--bound", "2"], "a confidence between 0 and 1"),
        (["--adapt", "--bound", "0.9"], "do not depend on each other"),
    ):
        assert run("flag", "numbers", "rows.csv", *words) == 2
        assert said in capsys.readouterr().err
    assert run("flag", "numbers", "-", "--fdr", "0.1") == 2
    assert "give a file instead of -" in capsys.readouterr().err


def test_a_level_that_follows_keeps_its_rate_where_the_stream_does_not_stand_still(run) -> None:
    drift = pd.DataFrame(RANDOM.normal(size=(3000, 3)) + np.linspace(0, 9, 3000)[:, None], columns=list("abc"))
    drift.to_csv("drift.csv", index=False)
    found = {}
    for name, words in {"fixed": [], "adapt": ["--adapt"]}.items():
        assert run("flag", "numbers", "drift.csv", "--rate", "0.05", "-o", "out.csv", *words) == 0
        found[name] = pd.read_csv("out.csv")
    assert found["fixed"]["flag"].mean() > 0.5
    assert abs(found["adapt"]["flag"].mean() - 0.05) < 0.005
    assert list(found["adapt"].columns) == ["score", "p_value", "level", "flag"]
    assert found["adapt"]["level"].nunique() > 100


@pytest.mark.slow
def test_blocks_of_a_series_are_flagged_as_often_as_was_asked(run, capsys, monkeypatch) -> None:
    """Steps remember those before them: many blocks hold a flag at a rate of rows, and few at a rate of blocks."""
    steps = np.zeros((30_000, 3))
    for i in range(1, len(steps)):
        steps[i] = 0.9 * steps[i - 1] + 0.4 * RANDOM.normal(size=3)
    for name, part in (("known.csv", steps[:10_000]), ("stream.csv", steps[10_000:])):
        pd.DataFrame(part, columns=list("abc")).to_csv(name, index=False)
    notes: list[str] = []
    monkeypatch.setattr(show, "note", lambda text, **_: notes.append(text))
    found, words = {}, ["--rate", "0.1", "--against", "known.csv", "-o", "out.csv"]
    for length in (1, 50, 100):
        assert run("flag", "numbers", "stream.csv", *words, *(["--blocks", length] if length > 1 else [])) == 0
        flags = pd.read_csv("out.csv")["flag"].to_numpy()
        found[length] = flags.reshape(-1, max(50, length)).any(axis=1).mean()
        if length > 1:
            hits, said = int(found[length] * 20_000 / length + 0.5), " ".join(notes)
            assert f"in {hits:,} of {20_000 // length:,} blocks of {length} rows, at a rate" in said
            assert f"from {10_000 // length:,} blocks of {length} rows of known.csv; of normal" in said
    assert found[1] > 0.3
    assert 0.03 < found[50] < 0.2
    assert 0.03 < found[100] < 0.2
    scores = loaded("numbers").scores(steps)
    own = Calibration.of(calibrate.highest(scores[:10_000], 100), "blocks")
    np.testing.assert_array_equal(flags, calibrate.flags(own.p_values(scores[10_000:]), 0.1))
    day = ["--per-day", "1", "--rows-per-day", "1000", "--blocks", "100", "--against", "known.csv", "-o", "day.csv"]
    assert run("flag", "numbers", "stream.csv", *day) == 0
    np.testing.assert_array_equal(pd.read_csv("day.csv")["flag"], flags)
    for options, said in (
        (["--blocks", "100"], "give the rows with --against"),
        (["--blocks", "1"], "1"),
        (["--blocks", "20000", "--against", "known.csv"], "one block of 20,000 or more"),
        (["--blocks", "100", "--against", "known.csv", "--adapt"], "--blocks and --adapt do not go together"),
        (["--blocks", "100", "--against", "known.csv", "--shift", "known.csv"], "--shift and --blocks do not go"),
        (["--blocks", "100", "--against", "known.csv", "--rate", "0.001"], "at least 999 rows"),
    ):
        assert run("flag", "numbers", "stream.csv", *options) == 2
        assert said in capsys.readouterr().err


@pytest.mark.slow
def test_a_share_of_blocks_is_false_and_bounded(run, capsys, monkeypatch) -> None:
    """Every fifth block holds an anomaly; what counts is the oddest row of each, also of the last, shorter one."""
    rows = NUMBERS.sample(2000 + 1005, replace=True, random_state=0, ignore_index=True)
    rows += RANDOM.normal(size=rows.shape) * 1e-3
    rows.iloc[:2000].to_csv("known.csv", index=False)
    rows = rows.iloc[2000:].reset_index(drop=True)
    rows.iloc[3:1005:50] *= 40
    rows.to_csv("new.csv", index=False)
    notes: list[str] = []
    monkeypatch.setattr(show, "note", lambda text, **_: notes.append(text))
    call = ["flag", "numbers", "new.csv", "--blocks", "10", "--against", "known.csv", "-o", "out.csv"]
    assert run(*call, "--fdr", "0.2", "--bound", "0.9") == 0
    flags = pd.read_csv("out.csv")["flag"].to_numpy()
    scores = loaded("numbers").scores(pd.read_csv("known.csv").to_numpy())
    own = Calibration.of(calibrate.highest(scores, 10), "blocks")
    p = own.p_values(loaded("numbers").scores(rows.to_numpy()))
    oddest = np.array([p[at : at + 10].min() for at in range(0, len(p), 10)])
    expected = calibrate.discoveries(oddest, 0.2)
    assert expected[:100:5].all()
    assert expected.sum() < 30
    np.testing.assert_array_equal([flags[at : at + 10].any() for at in range(0, len(p), 10)], expected)
    assert f"in {expected.sum()} blocks of 10 rows, of which a share of 0.2 is false" in " ".join(notes)
    batch = calibrate.Tally.of(200)
    batch.add(oddest)
    most = batch.false_share(oddest[expected].max(), 0.9)
    assert f"at most {most.false} of the {most.flagged} blocks with a flag are false" in capsys.readouterr().err


def test_anomalies_among_normal_rows_are_left_out_and_their_share_is_told(run, capsys) -> None:
    mixed = pd.DataFrame(RANDOM.normal(size=(1000, 3)), columns=list("abc"))
    mixed.iloc[:100] *= 9
    mixed.to_csv("mixed.csv", index=False)
    NUMBERS.to_csv("rows.csv", index=False)
    shares = {}
    for given in (None, "0.1", "auto"):
        words = [] if given is None else ["--contamination", given]
        assert (
            run("flag", "numbers", "rows.csv", "--rate", "0.1", "--against", "mixed.csv", "-o", "out.csv", *words) == 0
        )
        shares[given] = pd.read_csv("out.csv")["flag"].mean()
        assert ("of the rows of mixed.csv are anomalous (95 %: " in capsys.readouterr().err) == (given == "auto")
    assert shares[None] < 0.03 < min(shares["0.1"], shares["auto"])
    for words, said in (
        (["--against", "mixed.csv", "--contamination", "many"], "a share such as 0.05, or auto; got 'many'"),
        (["--against", "mixed.csv", "--contamination", "1.5"], "at least 0 and below 1"),
        (["--contamination", "0.1"], "give that file too"),
    ):
        assert run("flag", "numbers", "rows.csv", *words) == 2
        assert said in capsys.readouterr().err


def test_what_cannot_be_read_gets_one_line_and_leaves_no_file(run, capsys) -> None:
    Path("few.csv").write_text("a,bb,c\n1,2,3\n")
    Path("text.csv").write_text("a,b,c\n" + "1,2,3\n" * 9 + "1,x,3\n")
    Path("ragged.csv").write_text("a,b,c\n1,2,3\n1,2\n")
    Path("empty.csv").write_text("")
    np.save("flat.npy", X[:, 0])
    np.save("wide.npy", np.ones((3, 7)))
    NUMBERS.to_csv("rows.csv", index=False)
    before = set(os.listdir())
    for file, said in {
        "few.csv": "no column 'b', which the model was trained on (did you mean 'bb'?)",
        "text.csv": "row 10, column 'b': 'x' is not a number",
        "ragged.csv": "line 3: expected 3 values",
        "empty.csv": "empty",
        "nowhere.csv": "no such file",
        "flat.npy": "expected rows x columns",
        "wide.npy": "rows must have shape (3,)",
        "numbers": "folder",
    }.items():
        assert run("score", "numbers", file, "-o", "out.csv") == 2, file
        line = capsys.readouterr().err
        assert said in line, line
        assert line.count("\n") == 1
    for words, said in (
        (["score", "numbers", "rows.csv", "-o", "rows.csv"], "is the file that is read"),
        (["score", "numbers", "rows.csv", "-o", "out.txt"], "--out must end in"),
        (["sample", "people"], "no prior"),
        (["reconstruct", "people", "rows.csv"], "no column 'age'"),
    ):
        assert run(*words) == 2
        assert said in capsys.readouterr().err
    assert set(os.listdir()) == before


@pytest.mark.parametrize("verb", ["encode", "decode", "reconstruct", "score", "flag", "impute", "sample"])
def test_every_verb_is_told_where_to_compute(run, capsys, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    PEOPLE.to_csv("rows.csv", index=False)
    pd.DataFrame(np.zeros((3, 2)), columns=["code0", "code1"]).to_csv("codes.csv", index=False)
    data = {"sample": ["-n", 3], "decode": ["codes.csv"]}.get(verb, ["rows.csv"])
    asked = [verb, "numbers" if verb == "sample" else "people", *data, "-o", "out.csv", "--quiet"]
    assert run(*asked, "--device", "gpu") == 2
    assert "device must be one of auto, cpu, cuda, mps; got 'gpu'" in capsys.readouterr().err
    places: list[str] = []
    monkeypatch.setattr(Deployed, "placed", lambda self, device: places.append(device) or self)
    assert run(*asked, "--device", "cuda") == 0
    assert places == ["cuda"]


@pytest.mark.parametrize("command", ["serve", "monitor"])
def test_what_runs_on_is_told_where_to_compute(run, capsys, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    PEOPLE.to_csv("rows.csv", index=False)
    asked = [command, "people", *(["rows.csv"] if command == "monitor" else [])]
    assert run(*asked, "--device", "gpu") == 2
    assert "device must be one of auto, cpu, cuda, mps; got 'gpu'" in capsys.readouterr().err
    places: list[str] = []
    served: list[Deployed] = []
    monkeypatch.setattr(Deployed, "placed", lambda self, device: places.append(device) or self)
    monkeypatch.setattr("isthmus.serve.serve", lambda model, *more: served.append(model))
    assert run(*asked, "--device", "cuda") == 0
    assert places == ["cuda"]
    assert len(served) == (command == "serve")


@pytest.mark.slow
def test_pieces_of_a_table_are_cut_between_rows_and_nowhere_else(run, monkeypatch) -> None:
    """Quotes with line breaks in them, and a decimal mark that only the first rows tell."""
    frame = NUMBERS.assign(note=[f'say "{i}",\nor; not' if i % 3 else f"{i}'s 5\" pipe" for i in range(300)])
    for separator, mark in ((",", "."), (";", ",")):
        frame.to_csv("rows.csv", index=False, sep=separator, decimal=mark)
        assert run("score", "numbers", "rows.csv", "-o", "whole.parquet") == 0
        with monkeypatch.context() as patched:
            patched.setattr(text_pieces, "PIECE", 700)
            assert run("score", "numbers", "rows.csv", "-o", "pieces.parquet") == 0
        whole, pieces = pd.read_parquet("whole.parquet"), pd.read_parquet("pieces.parquet")
        assert whole["note"].tolist() == frame["note"].tolist()
        pd.testing.assert_frame_equal(whole, pieces, rtol=1e-5, atol=1e-5)  # rows beside a row move its last bits
    Path("head.csv").write_text("a,b,c\n")
    assert run("score", "numbers", "head.csv", "-o", "none.csv") == 0
    assert pd.read_csv("none.csv").shape == (0, 2)


def test_rows_of_a_piece_are_handed_on_some_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that somebody answers the first ones while the next ones are read; they are read as one piece all the same."""
    monkeypatch.setattr("isthmus.data.blocks.BATCH", 128)
    frame = NUMBERS.assign(note=[f"no. {i}" for i in range(300)])
    fields = tuple(Field(name, "number") for name in "abc")
    for name in ("rows.csv", "rows.jsonl", "rows.parquet"):
        path = tmp_path / name
        frame.to_json(path, orient="records", lines=True) if name.endswith("jsonl") else kept(frame, str(path))
        for found in ([*blocks(path, fields)], [*Columns(path).blocks(fields)]):
            assert [len(block.rows) for block in found] == [128, 128, 44]
            np.testing.assert_array_equal(np.concatenate([block.rows for block in found]), X)
            assert pa.concat_tables([block.table for block in found])["note"].to_pylist() == frame["note"].tolist()


@pytest.mark.parametrize("end", ["csv", "parquet", "arrow"])
def test_what_is_written_of_a_block_asks_for_pythons_lock_once(end: str) -> None:
    """And not for each thousand rows, or each page: whoever computes meanwhile keeps the writer waiting."""
    form = Written(f".{end}", set())
    asked: list[int] = []
    put = form.held.write
    form.held.write = lambda content: asked.append(len(content)) or put(content)
    rows = np.random.default_rng(0).normal(size=(9_000, 3))
    for _ in range(3):
        assert form.written(Block(rows, None), Answer(dict(zip("abc", rows.T, strict=True)), None))
    assert len(asked) == 3
    assert form.end() or end == "csv"


@pytest.mark.parametrize("verb", ["encode", "reconstruct"])
def test_text_holds_what_columns_hold(run, verb: str) -> None:
    """To the last bit, with whole numbers, moments and texts that have to be quoted as they came."""
    days = pd.date_range("2024-02-28 23:59:01", periods=300, freq="17h")
    beside = {"id": np.arange(300) * 10**14, "when": days, "said": [f'"{i}", or\nnot' for i in range(300)]}
    PEOPLE.assign(**beside, share=RANDOM.lognormal(0, 30, 300)).to_parquet("rows.parquet")
    for end in ("csv", "parquet"):
        assert run(verb, "people", "rows.parquet", "-o", f"out.{end}", "--quiet") == 0
    columns = pq.read_table("out.parquet")
    text = pacsv.read_csv(
        "out.csv",
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=dict(zip(columns.column_names, columns.schema.types, strict=True)), strings_can_be_null=True
        ),
    )
    assert text.equals(columns)
    assert verb == "reconstruct" or {"id", "when", "said", "share", "code0"} <= set(text.column_names)


def shell(*words: str, **more) -> subprocess.Popen:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-m", "isthmus", *words], stdout=pipe, stderr=pipe, env=env, **more)


@pytest.mark.slow
def test_pipes_and_closed_streams(run) -> None:
    NUMBERS.to_csv("rows.csv", index=False)
    NUMBERS.to_parquet("rows.parquet")
    wanted = loaded("numbers").scores(X)
    for name in ("rows.csv", "rows.parquet"):
        with open(name, "rb") as source:
            out, err = shell("score", "numbers", "-", stdin=source).communicate()
        assert err == b""
        np.testing.assert_allclose(pd.read_csv(io.BytesIO(out))["score"], wanted, rtol=1e-12)
    with open("long.csv", "w") as file:
        file.write("a,b,c\n" + "1,2,3\n-1,0,1\n0.5,-2,0\n" * 40_000)
    one = shell("score", "bare", "long.csv")
    one.stdout.read(10)
    one.stdout.close()
    assert (one.wait(), one.stderr.read()) == (141, b"")
    one.stderr.close()
    lost = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "isthmus", "score", "numbers", "rows.csv"],
        capture_output=True,
        check=False,
    )
    assert (lost.returncode, lost.stderr.count(b"\n")) == (3, 1)
    assert b"give a file (-o FILE)" in lost.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "end"),
    [
        *(("score", end) for end in ("csv", "csv.gz", "parquet", "arrow", "npy")),
        *((verb, "csv") for verb in ("encode", "decode", "reconstruct", "flag", "sample")),
    ],
)
def test_a_long_file_takes_the_memory_of_a_block(run, monkeypatch: pytest.MonkeyPatch, verb: str, end: str) -> None:
    """With small blocks: of eight times as many rows the peak hardly grows, in numpy's memory and in Arrow's."""
    for place in ("blocks.ELEMENTS", "blocks.NUMBERS", "blocks.BATCH"):
        monkeypatch.setattr(f"isthmus.data.{place}", 1 << 10)
    monkeypatch.setattr("isthmus.ship.verbs.ELEMENTS", 1 << 10)
    monkeypatch.setattr(text_pieces, "PIECE", 1 << 13)
    names, peaks = ["code0", "code1"] if verb == "decode" else list("abc"), []
    for count in (1_500, 1_500, 12_000):  # the first time fills caches
        rows = pd.DataFrame(np.resize(X[:, : len(names)], (count, len(names))), columns=names)
        kept(rows, f"rows.{end}")
        model = "numbers" if verb in {"score", "flag"} else "bare"
        more = {"sample": ["-n", count], "flag": [f"rows.{end}", "--rate", "0.1"]}
        given = more.get(verb, [f"rows.{end}"])
        peaks.append(peak(lambda given=given, model=model: run(verb, model, *given, "-o", "out.npy", "--quiet")))
    assert peaks[2] < peaks[1] + 12_000 * 3 * 4, peaks  # half of the rows in float64, and nothing more


def test_many_new_rows_are_drawn_some_at_a_time(run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("sample", "bare", "-n", 8, "-o", "one.npy", "--seed", 3) == 0
    monkeypatch.setattr("isthmus.ship.verbs.ELEMENTS", 8 * 3)
    for name in ("some.npy", "again.npy"):
        assert run("sample", "bare", "-n", 20, "-o", name, "--seed", 3) == 0
    one, rows = np.load("one.npy"), np.load("some.npy")
    np.testing.assert_array_equal(rows[:8], one)
    np.testing.assert_array_equal(np.load("again.npy"), rows)
    assert len(np.unique(rows, axis=0)) == len(rows) == 20


def kept(frame: pd.DataFrame, name: str) -> None:
    if name.endswith(".npy"):
        np.save(name, frame.to_numpy())
    elif name.endswith(".parquet"):
        frame.to_parquet(name)
    elif name.endswith(".arrow"):
        frame.to_feather(name, compression="uncompressed", chunksize=500)
    else:
        frame.to_csv(name, index=False)


def peak(work: Callable[[], int]) -> int:
    """Bytes that were taken at once, at most, beyond those before."""
    usual, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        assert work() == 0
        return tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


def test_what_the_library_warns_of_is_said_as_the_command_line_says_things(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that an own file gives off is a line of ours; one of another library is shown as it is."""
    from isthmus.cli import app

    def told(path: str) -> tuple[str, int]:
        with warnings.catch_warnings(record=True) as others:
            warnings.simplefilter("always")
            with app._said():
                warnings.warn_explicit("odd rows", UserWarning, path, 3)
        return capsys.readouterr().err, len(others)

    assert told(str(app.HOUSE / "ship/verbs.py")) == ("isthmus: odd rows\n", 0)
    assert told("/elsewhere/theirs.py") == ("", 1)
