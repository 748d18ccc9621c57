"""Frames of random kinds go through a model and come back as frames: types, categories, index and order, for three
libraries; values that training did not have and rows of gaps alone have an answer."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isthmus
from isthmus.data.read import read
from isthmus.train.fitted import fit

ROWS = 24
SIZES = ["S", "M", "L", "XL"]
DAYS = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))


def many(one):
    return st.lists(one, min_size=ROWS, max_size=ROWS)


COLUMNS = {
    "number": many(st.floats(-1e6, 1e6, width=32)).map(pd.Series),
    "count": many(st.integers(0, 500)).map(lambda some: pd.Series(some, dtype="int64")),
    "flag": many(st.booleans()).map(lambda some: pd.Series([True, False, *some[2:]], dtype="boolean")),
    "category": st.permutations(["Oslo", "Rome", "a, b", "東京"] * 6).map(
        lambda some: pd.Series(some, dtype="category")
    ),
    "ordered": st.permutations(SIZES[:3] * 8).map(lambda some: pd.Series(pd.Categorical(some, SIZES, ordered=True))),
    "date": many(DAYS).map(lambda some: pd.Series(pd.to_datetime(some).astype("datetime64[ns]"))),
}


@st.composite
def frames(draw):
    """A pandas frame with an index and an order of its own; a category is always there, and one column has a gap."""
    kinds = draw(st.permutations(["category", *draw(st.lists(st.sampled_from([*COLUMNS]), max_size=4))]))
    found = {}
    for k, kind in enumerate(kinds):
        column = draw(COLUMNS[kind])
        if kind != "count" and (k == 0 or draw(st.booleans())):  # whole numbers of pandas have no gaps
            column = column.mask(np.arange(ROWS) % draw(st.integers(5, 9)) == 0)
        found[f"{kind} {k}"] = column
    index = draw(st.permutations([f"row{i}" for i in range(ROWS)]))
    return pd.DataFrame(found).set_index(pd.Index(index, name="who"))


def asked(frame):
    """A model of the frame, whole numbers as counts."""
    counts = {name: "count" for name in frame.columns if name.startswith("count") and frame[name].nunique() > 2}
    data = read(frame, kinds=counts)
    return fit(isthmus.named("pca").set_params(latents=1), data.x, fields=data.fields, columns=data.columns)


def known(made, frame, name):
    """Cells of a column where the frame has them, of both, as Python values."""
    there = frame[name].notna().to_numpy()
    return [value for value, here in zip(made, there, strict=True) if here], frame[name][there].tolist()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(frame=frames())
def test_frames_of_pandas_come_back(frame):
    model = asked(frame)
    names = [field.name for field in model.fields]
    for made in (model.reconstruct(frame), model.impute(frame), model.frame(model.decode(model.encode(frame)), frame)):
        assert list(made.columns) == [name for name in frame.columns if name in names]
        assert made.index.equals(frame.index)
        for name in made.columns:
            if name.startswith(("category", "ordered", "date", "flag")):
                assert made[name].dtype == frame[name].dtype
    filled = model.impute(frame)
    for name in filled.columns:
        assert filled[name].notna().all()
        mine, theirs = known(filled[name].tolist(), frame, name)
        if name.startswith("number"):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)
        elif name.startswith("date"):
            assert all(abs(a - b) < pd.Timedelta("1s") for a, b in zip(mine, theirs, strict=True))
        else:
            assert mine == theirs


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(frame=frames())
def test_frames_of_polars_and_pyarrow_come_back_as_such(frame):
    model = asked(frame)
    bare = frame.reset_index(drop=True)
    arrow = pa.Table.from_pandas(bare, preserve_index=False)
    filled = model.impute(arrow)
    assert isinstance(filled, pa.Table)
    assert filled.column_names == [name for name in bare.columns if name in {field.name for field in model.fields}]
    for name in filled.column_names:
        assert filled[name].null_count == 0
        if not name.startswith("count"):
            assert filled.schema.field(name).type == arrow.schema.field(name).type
    plain = pl.from_arrow(arrow)
    made = model.impute(plain)
    assert isinstance(made, pl.DataFrame)
    assert made.columns == filled.column_names
    for name in made.columns:
        if name.startswith(("category", "ordered", "flag", "date")):
            assert made[name].dtype == plain[name].dtype
            assert made[name].cast(pl.String).to_list() == pl.from_arrow(filled)[name].cast(pl.String).to_list()


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(frame=frames(), library=st.sampled_from(["pandas", "polars", "pyarrow"]))
def test_new_values_and_rows_of_gaps_alone_have_an_answer(frame, library):
    model = asked(frame)
    strange = frame.reset_index(drop=True)[:4].astype(object)
    for name in strange.columns:
        strange[name] = [
            None,
            *("unheard of" if name.startswith(("category", "ordered")) else v for v in strange[name]),
        ][:4]
    as_texts = {
        name: strange[name].map(lambda v: None if v is None or pd.isna(v) else str(v)) for name in strange.columns
    }
    given_ = (
        pd.DataFrame(as_texts)
        if library == "pandas"
        else pa.table({n: pa.array(v, pa.string()) for n, v in as_texts.items()})
    )
    rows = pl.from_arrow(given_) if library == "polars" else given_
    assert np.isfinite(model.encode(rows)).all()
    filled = model.impute(rows)
    assert len(filled) == 4
    cells = isthmus.data.read.cells(rows, model.fields)
    assert np.isnan(cells[0].astype(float)).all()
