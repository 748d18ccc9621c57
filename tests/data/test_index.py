"""The index of a frame, as pandas writes it by default: no part of the rows, and carried along."""

import io

import numpy as np
import pandas as pd
import polars as pl
import pytest

from isthmus.cli import main
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.errors import BadInput

random = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": random.normal(size=300), "b": random.choice(["x", "y", None], 300)})
SHUFFLED = FRAME.sample(frac=1, random_state=0)
SAID = "the first column, which has no name and counts the rows, is the index of a frame, and nothing is learnt from it"
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


@pytest.mark.parametrize("index", [SHUFFLED.index, np.arange(2, 302), np.arange(300) / 1, np.r_[np.arange(299), 300]])
def test_a_column_without_a_name_that_counts_nothing_is_refused(tmp_path, index):
    path = put(tmp_path / "t.csv", FRAME.set_axis(index))
    for way in (read, source):
        with pytest.raises(
            BadInput, match="column 1 of 3 has no name, and does not count the rows as an index does; name"
        ):
            way(path)


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
