"""Cells of a frame come back as they stood in it, and what a model makes of others in the type of their column."""

import datetime
import decimal
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import isthmus
from isthmus import Autoencoder
from isthmus.cli import main
from isthmus.data.frames import framed
from isthmus.data.read import read
from isthmus.train.fitted import fit

ROWS = 40
RNG = np.random.default_rng(0)
V = RNG.normal(size=ROWS)
GAP = np.where(np.arange(ROWS) % 8 == 3, np.nan, V)
HOURS = np.arange(ROWS) * 7
FRAMES = {"pandas": pd.DataFrame, "polars": pl.from_pandas, "pyarrow": pa.Table.from_pandas}


def back(column, moved=0.0, kind=pd.DataFrame):
    """A column, with a number added to its cells, as it stands in a frame again."""
    frame = kind(pd.DataFrame({"c": column, "g": GAP}))
    with warnings.catch_warnings(action="ignore"):
        data = read(frame)
    x = np.array(data.x)
    x[:, 0] += moved
    made = framed(data.fields, x, frame)
    return made["c"].to_pylist() if isinstance(made, pa.Table) else made["c"]


@pytest.mark.parametrize("library", FRAMES)
def test_time_spans_are_seconds_in_between_only(library):
    spans = pd.to_timedelta(HOURS, unit="h")
    found = back(spans, 60.0, FRAMES[library])
    assert list(found) == [datetime.timedelta(hours=int(hour), minutes=1) for hour in HOURS]


@pytest.mark.parametrize("library", FRAMES)
def test_times_of_the_day_stay_within_the_day(library):
    times = [datetime.time(hour % 24, 30) for hour in HOURS]
    assert list(back(times, kind=FRAMES[library])) == times
    late = list(back(times, 3600.0 * 23, FRAMES[library]))
    assert late[0] == datetime.time(23, 30)
    assert late[1].replace(microsecond=0) == datetime.time(23, 59, 59)


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize(
    ("dtype", "moved"), [("uint8", 250), ("uint8", -250), ("int8", 120), ("uint64", 3), ("int8", 3)]
)
def test_numbers_beyond_a_type_are_in_a_wider_one(library, dtype, moved):
    found = back(pd.Series(np.arange(ROWS), dtype=dtype), moved, FRAMES[library])
    assert list(found) == [i + moved for i in range(ROWS)]


def test_python_objects_stay_what_they_are():
    for given in (
        [datetime.date(2020, 1, 1 + i % 28) for i in range(ROWS)],
        [decimal.Decimal(i) / 4 for i in range(ROWS)],
        [[True, False, None][i % 3] for i in range(ROWS)],
    ):
        assert list(back(pd.Series(given, dtype=object))) == given


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "moved", "wanted"),
    [
        ([f"{i},5" for i in range(ROWS)], 0.25, "0,75"),
        ([f"{i}%" for i in range(ROWS)], 0.5, "0.5%"),
        ([f"${i}" for i in range(ROWS)], -0.5, "-$0.5"),
        ([f"{1 + i % 28:02d}.01.2021" for i in range(ROWS)], 86400.0, "02.01.2021"),
        ([f"2021-01-{1 + i % 28:02d}" for i in range(ROWS)], 86400.0, "2021-01-02"),
        ([f"{i:02d}:00:01" for i in range(ROWS)], 60.0, "00:01:01"),
    ],
)
def test_texts_are_written_as_those_of_their_column(given, moved, wanted):
    assert list(back(given)) == given
    moved = list(back(given, moved))
    assert moved[0] == wanted
    kinds = [read(pd.DataFrame({"c": texts, "g": GAP})).fields[0].kind for texts in (given, moved)]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({0: V, 1: GAP}),
        pd.DataFrame({("a", "x"): V, ("a", "y"): GAP}),
        pd.DataFrame({"s": pd.arrays.SparseArray((V > 1) * 1.0), "g": GAP}),
    ],
    ids=["numbered", "two levels", "sparse"],
)
def test_frames_whose_columns_are_no_plain_texts(frame):
    with warnings.catch_warnings(action="ignore"):
        model = Autoencoder("pca", latents=1).fit(frame)
        found = model.impute(frame)
    pd.testing.assert_index_equal(found.columns, frame.columns, exact="equiv")
    assert (found.dtypes == frame.dtypes).all()
    assert found.notna().all(axis=None)
    assert np.array_equal(found.iloc[:, 0], frame.iloc[:, 0])
    assert np.array_equal(found.iloc[:3, 1], frame.iloc[:3, 1])


def test_a_column_of_lists_beside_gaps():
    frame = pd.DataFrame({"e": [[a, 2 * a] for a in V], "g": GAP})
    with warnings.catch_warnings(action="ignore"):
        found = Autoencoder("pca", latents=1).fit(frame).impute(frame)
    assert list(found.columns) == ["e_0", "e_1", "g"]
    assert np.allclose(found["e_1"], 2 * V)


@pytest.mark.parametrize("library", FRAMES)
def test_what_is_there_stays_as_it_is_new_values_too(library):
    frame = pd.DataFrame({"c": np.where(V > 0, "a", "b"), "k": np.where(V > 1, "p", "q"), "g": GAP})
    frame["k"] = frame["k"].astype(pd.CategoricalDtype(["p", "q", "Z"]))
    new = frame.copy()
    new.loc[1, "c"], new.loc[2, "c"], new.loc[4, "c"] = "Paris", None, " a "
    new.loc[1, "k"], new.loc[2, "k"] = "Z", None
    with warnings.catch_warnings(action="ignore"):
        model = Autoencoder("pca", latents=1).fit(FRAMES[library](frame))
        found = model.impute(FRAMES[library](new))
    found = found if library == "pandas" else found.to_pandas()
    there = [i for i in range(ROWS) if i != 2]
    assert [found["c"][i] for i in there] == [new["c"][i] for i in there]
    assert [found["k"][i] for i in there] == [new["k"][i] for i in there]
    assert found["c"][2] in ("a", "b")
    assert found["k"][2] in ("p", "q")
    assert np.array_equal(found["g"][~np.isnan(GAP)], V[~np.isnan(GAP)])


@pytest.mark.slow
def test_gaps_of_a_file_are_filled_as_its_columns_are_written(tmp_path):
    columns = {
        "time": [f"{i % 24:02d}:15:00" for i in range(ROWS)],
        "span": [f"{i}:15:00" for i in range(ROWS)],
        "day": [f"{1 + i % 28:02d}.01.2021" for i in range(ROWS)],
        "size": [str(v) for v in V],
    }
    table = pd.DataFrame(columns)
    table.to_csv(tmp_path / "whole.csv", index=False)
    table.mask(np.arange(ROWS)[:, None] % 9 == np.arange(4)).to_csv(tmp_path / "gaps.csv", index=False)
    data = read(tmp_path / "gaps.csv")
    with warnings.catch_warnings(action="ignore"):
        model = fit(isthmus.named("pca").set_params(latents=1), data.x, fields=data.fields, columns=data.columns)
    isthmus.save(model, tmp_path / "m")
    call = ["impute", str(tmp_path / "m"), str(tmp_path / "gaps.csv"), "-o", str(tmp_path / "filled.csv"), "--quiet"]
    assert main(call) == 0
    found = pd.read_csv(tmp_path / "filled.csv", dtype=str)
    texts = pa.Table.from_pandas(pd.read_csv(tmp_path / "gaps.csv", dtype=str))
    large = pa.schema([(name, pa.large_string()) for name in texts.column_names])
    pq.write_table(texts.cast(large), tmp_path / "gaps.parquet")  # as newer pandas writes texts
    assert main([*call[:2], str(tmp_path / "gaps.parquet"), "-o", str(tmp_path / "filled.parquet"), "--quiet"]) == 0
    again = pq.read_table(tmp_path / "filled.parquet")
    assert set(again.schema.types) == {pa.large_string()}
    for name in ("time", "span", "day"):
        assert again[name].to_pylist() == found[name].tolist()
    for j, name in enumerate(("time", "span", "day")):
        there = np.arange(ROWS) % 9 != j
        assert found[name][there].tolist() == table[name][there].tolist()
    assert found["time"].str.fullmatch(r"\d\d:\d\d:\d\d").all()
    assert found["span"].str.fullmatch(r"-?\d+:\d\d:\d\d").all()
    assert found["day"].str.fullmatch(r"\d\d\.\d\d\.\d{4}").all()
    assert [one.kind for one in read(tmp_path / "filled.csv", kinds={"size": "number"}).fields] == [
        "number",
        "number",
        "date",
        "number",
    ]
