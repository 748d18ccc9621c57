"""The index of a frame, as pandas writes it by default: no part of the rows, and carried along."""

import gzip
import io

import numpy as np
import pandas as pd
import polars as pl
import pytest

from isthmus.cli import main
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey

random = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": random.normal(size=300), "b": random.choice(["x", "y", None], 300)})
SHUFFLED = FRAME.sample(frac=1, random_state=0)
SAID = "the first column has no name, as the index of a frame: nothing is learnt from it unless you name it"
NAMED = "column '__index_level_0__' is the index of a frame, and nothing is learnt from it"


def put(path, frame, **given):
    """A frame in a file, with its index."""
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, **given)
    return path


@pytest.mark.parametrize(
    ("name", "frame", "given", "said"),
    [
        ("zero.csv", FRAME, {}, SAID),
        ("one.csv", FRAME.set_axis(range(1, 301)), {}, SAID),
        ("part.csv", SHUFFLED, {}, SAID),
        ("rows of R.csv", FRAME.set_axis([f"S{i:03d}" for i in range(300)]), {}, SAID),
        ("days.csv", FRAME.set_axis(pd.date_range("2024-01-01", periods=300, freq="h")), {}, SAID),
        ("fractions.csv", FRAME.set_axis(np.arange(300) / 10), {}, SAID),
        ("comma.csv", FRAME, {"sep": ";", "decimal": ","}, SAID),
        ("tabs.tsv.gz", FRAME, {"sep": "\t"}, SAID),
        ("kept.parquet", SHUFFLED, {}, NAMED),
    ],
)
@pytest.mark.parametrize("piece", [1500, 1 << 22])
def test_an_index_is_set_aside_and_said_in_memory_and_streamed_alike(
    tmp_path, monkeypatch, name, frame, given, said, piece
):
    monkeypatch.setattr("isthmus.data.text_pieces.PIECE", piece)
    near = read(put(tmp_path / name, frame, **given))
    far = survey(source(tmp_path / name), rows=40)
    assert near.columns == far.source.columns == ("a", "b")
    assert said in near.told
    assert said in far.source.told
    assert near.digest == far.digest == read(frame).digest


@pytest.mark.parametrize(("end", "columns"), [(".csv", ("a", "b")), (".tsv.gz", ("a", "b"))])
@pytest.mark.parametrize("way", [read, source])
def test_rows_with_names_of_their_own_are_read_as_r_writes_them(tmp_path, end, columns, way):
    mark = "\t" if "tsv" in end else ","
    text = FRAME.set_axis([f"S{i}" for i in range(300)]).to_csv(sep=mark).removeprefix(mark)
    path = tmp_path / f"t{end}"
    path.write_bytes(gzip.compress(text.encode()) if end.endswith("gz") else text.encode())
    found = way(path)
    assert found.columns == columns
    assert SAID in found.told


def test_a_frame_with_such_a_column_is_read_as_its_file_is(tmp_path):
    frame = pl.read_csv(io.StringIO(FRAME.to_csv()))
    assert frame.columns[0] == ""
    assert SAID in read(frame).told
    assert read(frame).columns == ("a", "b")


def test_answers_carry_the_index_along_whatever_it_holds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "t.csv", FRAME)
    put(tmp_path / "asked.csv", SHUFFLED)
    assert main(["train", "pca", "t.csv", "--out", "m", "--measure", "none", "--quiet"]) == 0
    for verb in ("score", "reconstruct", "impute"):
        assert main([verb, "m", "asked.csv", "--out", f"{verb}.csv"]) == 0
        found = pd.read_csv(f"{verb}.csv", index_col=0)
        pd.testing.assert_index_equal(found.index, SHUFFLED.index)
    assert "score" in pd.read_csv("score.csv", index_col=0).columns
