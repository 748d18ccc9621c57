"""Arrow IPC files (Feather): what Parquet files give, they give, and what would fill the memory is refused before."""

import io
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import feather, ipc

from isthmus.cli import main
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.errors import BadInput

ROWS = 300
random = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "a": random.normal(size=ROWS),
        "city": pd.Categorical(random.choice(["Oslo", "Rome", None], ROWS)),
        "size": pd.Categorical(random.choice(["S", "M", "L"], ROWS), categories=["S", "M", "L"], ordered=True),
        "day": pd.date_range("2020", periods=ROWS, freq="7h"),
        "part": list(random.normal(size=(ROWS, 3)).round(3)),
        "kind": random.choice(["u", "v"], ROWS),
    }
)


def batches(path: Path, table: pa.Table, size: int = 70) -> None:
    """A table in several record batches."""
    with ipc.new_file(path, table.schema, options=ipc.IpcWriteOptions(unify_dictionaries=True)) as file:
        file.write_table(table, max_chunksize=size)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FRAME.to_parquet("t.parquet")
    FRAME.to_feather("t.feather", compression="zstd")
    batches(Path("t.arrow"), pa.Table.from_pandas(FRAME))
    return tmp_path


@pytest.mark.parametrize("name", ["t.feather", "t.arrow"])
def test_rows_and_kinds_are_those_of_the_same_table_in_parquet(files, name):
    known, found = read("t.parquet", label="kind"), read(name, label="kind")
    assert found.digest == known.digest
    assert (found.fields, found.classes, found.name) == (known.fields, known.classes, "t")
    assert survey(source(name, drop="kind"), rows=50).digest == read(name, drop="kind").digest
    drawn = read(name, label="kind", rows=100)
    assert drawn.x.shape == (100, len(known.fields))
    assert drawn.digest == read("t.parquet", label="kind", rows=100).digest


def test_what_polars_writes_is_read_as_its_frame_is(tmp_path):
    frame = pl.DataFrame(
        {
            "word": pl.Series(["x", None, "y"] * 20, dtype=pl.Categorical),
            "step": pl.Series(["S", "M", "L"] * 20, dtype=pl.Enum(["S", "M", "L"])),
            "text": ["some words that are longer than twelve letters", "no", None] * 20,
            "a": np.arange(60) ** 0.5,
        }
    )
    frame.write_ipc(tmp_path / "p.arrow", compression="lz4")
    assert pa.types.is_string_view(ipc.open_file(tmp_path / "p.arrow").schema.field("text").type)
    assert [one.kind for one in read(tmp_path / "p.arrow").fields] == ["category"] * 3 + ["number"]
    assert read(tmp_path / "p.arrow").digest == read(frame).digest
    assert survey(source(tmp_path / "p.arrow"), rows=20).digest == read(frame).digest


def alike(found, expected):
    """Equal to rounding: rows that come in other batches, or lie elsewhere in memory, are rounded otherwise."""
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_verbs_answer_such_files_as_they_answer_parquet_and_write_them(files, monkeypatch):
    assert main(["train", "pca", "t.parquet", "--drop", "kind", "--out", "m", "--measure", "none", "--quiet"]) == 0
    for verb in ("score", "impute"):
        assert main([verb, "m", "t.parquet", "--out", "known.csv"]) == 0
        for name in ("t.feather", "t.arrow"):
            assert main([verb, "m", name, "--out", "found.csv"]) == 0
            alike(pd.read_csv("found.csv"), pd.read_csv("known.csv"))
    assert main(["score", "m", "t.arrow", "--out", "found.arrow"]) == 0
    assert main(["score", "m", "t.arrow", "--out", "found.parquet"]) == 0
    alike(feather.read_table("found.arrow").to_pandas(), pq.read_table("found.parquet").to_pandas())
    pipe = io.TextIOWrapper(io.BufferedReader(io.BytesIO(Path("t.arrow").read_bytes())))
    monkeypatch.setattr(sys, "stdin", pipe)
    assert main(["score", "m", "-", "--out", "piped.arrow"]) == 0
    alike(feather.read_table("piped.arrow").to_pandas(), feather.read_table("found.arrow").to_pandas())
    assert main(["impute", "m", "t.arrow", "--out", "whole.feather"]) == 0
    assert feather.read_table("whole.feather").column_names == [
        *FRAME.columns[:4],
        "part_0",
        "part_1",
        "part_2",
        "kind",
    ]


def test_a_csv_leaves_out_what_it_cannot_hold_and_says_so(files, capsys):
    FRAME.drop(columns=["part", "kind"]).to_parquet("less.parquet")
    assert main(["train", "pca", "less.parquet", "--out", "m", "--measure", "none", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["score", "m", "t.parquet", "--out", "s.csv"]) == 0
    assert "'part' left out: a .csv holds no lists, records or bytes (-o FILE.parquet does)" in capsys.readouterr().err
    assert list(pd.read_csv("s.csv").columns) == ["kind", "score", "p_value"]
    assert main(["score", "m", "t.parquet", "--out", "s.parquet"]) == 0
    assert "part" in pq.read_table("s.parquet").column_names


def test_a_container_gives_such_a_file_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"a": random.normal(size=200), "b": random.normal(size=200), "k": ["x", "y"] * 100})
    frame["b"] += 2 * frame["a"]
    frame.to_feather("t.feather")
    assert main(["train", "pca", "t.feather", "--drop", "k", "--out", "m", "--measure", "none", "--quiet"]) == 0
    assert main(["compress", "m", "t.feather", "--out", "packed"]) == 0
    assert main(["decompress", "packed", "m", "--out", "back.feather"]) == 0
    found = pd.read_feather("back.feather")
    assert list(found["k"]) == list(frame["k"])
    np.testing.assert_allclose(found["a"], frame["a"], atol=0.2)


def test_pictures_in_such_a_file(tmp_path):
    cells = []
    for shade in range(40):
        buffer = io.BytesIO()
        Image.new("L", (6, 5), 6 * shade).save(buffer, "PNG")
        cells.append(buffer.getvalue())
    table = pa.table({"image": cells, "label": ["dark", "light"] * 20})
    feather.write_feather(table, tmp_path / "p.arrow", compression="uncompressed")
    pq.write_table(table, tmp_path / "p.parquet")
    assert read(tmp_path / "p.arrow").x.shape == (40, 5, 6)
    assert read(tmp_path / "p.arrow").digest == read(tmp_path / "p.parquet").digest


def zeros(path):
    feather.write_feather(pa.table({"a": np.zeros(1 << 24)}), path, compression="zstd")


def nothing(path):
    """Rows without a byte."""
    batches(path, pa.table({"a": pa.nulls(1 << 24), "b": pa.nulls(1 << 24)}), 1 << 24)


def one_text(path):
    """One long text that many cells share."""
    long, count = b"x" * (1 << 20), 1 << 12
    view = np.zeros((count, 4), np.int32)
    view[:, 0], view[:, 1] = len(long), int.from_bytes(b"xxxx", "little")
    buffers = [None, pa.py_buffer(view.tobytes()), pa.py_buffer(long)]
    cells = pa.Array.from_buffers(pa.string_view(), count, buffers)
    batches(path, pa.table({"a": np.arange(count) ** 0.5, "text": cells}), count)


@pytest.mark.parametrize("make", [zeros, nothing, one_text])
def test_bombs_are_refused_before_memory_is_taken(tmp_path, make):
    make(tmp_path / "b.arrow")
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(BadInput, match="would unpack to"):
        read(tmp_path / "b.arrow")
    assert pa.default_memory_pool().max_memory() - before < 32 << 20


@pytest.mark.slow
def test_texts_that_share_their_letters_are_bounded_as_they_are_streamed_too(tmp_path):
    one_text(tmp_path / "b.arrow")
    with pytest.raises(BadInput, match="would unpack to"):
        survey(source(tmp_path / "b.arrow"))


def test_other_files_of_arrow_are_told(tmp_path):
    table = pa.table({"a": np.arange(20.0)})
    with ipc.new_stream(tmp_path / "s.arrow", table.schema) as stream:
        stream.write_table(table)
    (tmp_path / "old.feather").write_bytes(b"FEA1" + bytes(60))
    (tmp_path / "t.dat").write_bytes((tmp_path / "s.arrow").read_bytes())
    batches(tmp_path / "named.dat", table)
    for name, said in (
        ("s.arrow", "this is a stream of Arrow: save it as a file of Arrow, or as Parquet"),
        ("old.feather", "this is a Feather file of version 1: save it as Parquet"),
        ("t.dat", "this is a stream of Arrow"),
        ("named.dat", "it looks like an Arrow IPC file: rename it to named.arrow"),
    ):
        with pytest.raises(BadInput) as caught:
            read(tmp_path / name)
        assert said in str(caught.value)


def test_damaged_files_are_refused_or_read(files):
    whole = Path("t.feather").read_bytes()
    for _ in range(60):
        bad = bytearray(whole)
        for at in random.integers(8, len(bad), random.integers(1, 6)):
            bad[at] = random.integers(0, 256)
        Path("bad.feather").write_bytes(bad)
        with suppress(BadInput):  # anything else is a fault; what is hurt in its numbers alone is read
            read("bad.feather")
