"""Frames of random kinds, categories and gaps: read, laid out and back, and read again as a trained model's columns."""

import datetime
import json
import random

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.data import layout
from isthmus.data.fields import KINDS, TEXTS, Field
from isthmus.data.layout import Table
from isthmus.data.read import cells, read
from isthmus.errors import BadInput

ROWS = 30
WORDS = ["Oslo", "Rome", "007", "7", "a, b", 'say "so"', "two\nlines", "é", "東京", "-1e3x", "yes", "=x", "o'clock"]


def repeated(values, least=1):
    """Columns whose values repeat: a few of them, each in three rows or more."""
    few = st.lists(st.sampled_from(values), min_size=least, max_size=6, unique=True)
    return few.flatmap(lambda some: st.permutations((some * ROWS)[:ROWS]))


COLUMNS = {
    "number": st.lists(st.floats(-1e6, 1e6, width=32), min_size=ROWS, max_size=ROWS),
    "count": st.lists(st.integers(-(2**40), 2**40), min_size=ROWS, max_size=ROWS),
    "flag": st.lists(st.booleans(), min_size=ROWS, max_size=ROWS),
    "category": repeated(WORDS, least=3),
    "ordered": st.permutations(["S", "M", "L"] * 10).map(
        lambda some: pd.Categorical(some, categories=["S", "M", "L", "XL"], ordered=True)
    ),
    "date": st.lists(
        st.datetimes(datetime.datetime(1800, 1, 1), datetime.datetime(2200, 1, 1)), min_size=ROWS, max_size=ROWS
    ),
}
"""Kinds of columns, and what may stand in them."""


@st.composite
def frames(draw):
    """A frame of one to five columns, of which some have gaps; there is always one text, so that it is a table."""
    names = draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=0, max_size=4))
    found = {}
    for k, name in enumerate(["category", *names]):
        column = pd.Series(draw(COLUMNS[name]), dtype=object if name in ("flag", "count") else None)
        holes = draw(st.sets(st.integers(0, ROWS - 4), max_size=9)) if draw(st.booleans()) else set()
        if holes:
            column = column.mask(np.isin(np.arange(ROWS), list(holes)))
        if name == "flag":
            column = column.astype("boolean")
        elif name == "count":
            column = column.astype("Int64")
        found[f"{name} {k}"] = column
    return pd.DataFrame(found)


def expected(column):
    """The column's cells as Python values, None for a gap."""
    return [None if value is None or value is pd.NaT or pd.isna(value) else value for value in column.tolist()]


def meant(cells_, field):
    """What cells stand for."""
    if field.values:
        return [None if np.isnan(cell) else field.values[int(cell)] for cell in cells_]
    return [None if np.isnan(cell) else cell for cell in cells_]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(frame=frames())
def test_cells_are_what_the_frame_says_and_come_back_from_the_layout(frame):
    data = read(frame)
    for j, field in enumerate(data.fields):
        column = frame[field.name]
        given_, found = expected(column), meant(data.x[:, j], field)
        assert field.gaps == (None in given_)
        if field.kind == "date":
            given_ = [None if v is None else (v - pd.Timestamp(0)).total_seconds() for v in given_]
            assert [v is None for v in given_] == [v is None for v in found]
            assert all(v is None or abs(v - w) < 1e-4 for v, w in zip(given_, found, strict=True))
        elif field.values:
            assert found == [None if v is None else str(v).strip() for v in given_]
        else:
            assert found == [None if v is None else float(v) for v in given_]
    assert np.array_equal(cells(frame, data.fields or [Field(name, "number") for name in data.columns]), data.x, True)
    if not data.fields:
        return
    table = Table.fit(data.x, data.fields)
    laid = table.apply(data.x)
    assert laid.shape == (ROWS, table.width) == (ROWS, len(table.names))
    assert np.isfinite(laid).all()
    back = table.invert(laid)
    assert np.array_equal(np.isnan(back), np.isnan(data.x))
    for j, (field, column) in enumerate(zip(data.fields, table.columns, strict=True)):
        there = ~np.isnan(data.x[:, j])
        if field.kind == "category":
            codes = np.where(np.isin(data.x[there, j], column.codes), data.x[there, j], -1)
            assert np.array_equal(back[there, j], codes)
        elif field.kind in ("flag", "ordered"):
            assert np.array_equal(back[there, j], data.x[there, j])
        elif field.kind == "amount":
            np.testing.assert_allclose(back[there, j], data.x[there, j], rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_allclose(back[there, j], data.x[there, j], rtol=1e-6, atol=4e-6 * column.scale + 1e-9)
    again = Table.from_json(json.loads(json.dumps(table.to_json())))
    assert np.array_equal(again.apply(data.x), laid)


MIXED = pd.DataFrame(
    {
        "age": [20.5, np.nan, 40.25, 31.0, 28.0] * 12,
        "city": ["Oslo", "Rome", None, "Rome", "Lima"] * 12,
        "ok": ["yes", "no", "no", "yes", "no"] * 12,
        "paid": [True, False, True, True, False] * 12,
        "zip": ["0101", "5003", "0101", "7", "5003"] * 12,
        "size": pd.Categorical(["S", "M", "L", "M", "S"] * 12, categories=["S", "M", "L"], ordered=True),
        "day": pd.date_range("1969-12-01", periods=60, freq="12h"),
        "money": np.exp(np.random.default_rng(0).normal(3, 2, 60)).round(2),
    }
)
FIELDS = read(MIXED).fields


def saved(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    return path


def test_kinds_of_the_example():
    assert [field.kind for field in FIELDS] == [
        *("number", "category", "flag", "flag", "category", "ordered", "date", "amount"),
    ]


@pytest.mark.parametrize("form", ["frame", "polars", "arrow", "csv", "parquet"])
def test_new_rows_are_read_as_the_columns_of_the_training(tmp_path, form):
    base = cells(MIXED, FIELDS)
    assert np.array_equal(base, read(MIXED).x, equal_nan=True)

    def given_(frame):
        match form:
            case "polars":
                return pl.from_pandas(frame)
            case "arrow":
                return pa.Table.from_pandas(frame, preserve_index=False)
            case "frame":
                return frame
        return saved(frame, tmp_path / f"t.{form}")

    assert np.array_equal(cells(given_(MIXED), FIELDS), base, equal_nan=True)
    turned = MIXED[MIXED.columns[::-1]].assign(more="x", list=1)
    assert np.array_equal(cells(given_(turned), FIELDS), base, equal_nan=True)
    for i in (0, 1, 2, 7):
        assert np.array_equal(cells(given_(MIXED.iloc[i : i + 1]), FIELDS), base[i : i + 1], equal_nan=True)
    with pytest.raises(BadInput, match="no column 'age', which the model was trained on"):
        cells(given_(MIXED.drop(columns="age")), FIELDS)
    odd = MIXED.iloc[:2].assign(city=["Paris", None], ok=["perhaps", "no"], zip="0999", size=["XXL", "L"], age=None)
    found = cells(given_(odd), FIELDS)
    assert found[:, 1].tolist()[0] == -1
    assert np.isnan(found[1, 1])
    assert np.isnan(found[0, 2])
    assert found[:, 4].tolist() == [-1, -1]
    assert found[:, 5].tolist() == [-1, 2]
    assert np.isnan(found[:, 0]).all()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("age", "old", "row 1 (position 0), column 'age': 'old' is not a number; correct it, or leave it empty"),
        ("age", np.inf, "row 1 (position 0), column 'age': the value is infinite"),
        ("age", 1e39, "row 1 (position 0), column 'age': 1e+39 is beyond 32-bit floats"),
        ("age", pd.Timestamp("2024-01-01"), "column 'age' holds dates, and was of kind number in training"),
        ("day", 3, "column 'day' holds numbers, and was of kind date in training; write dates as 2024-01-31"),
        (
            "day",
            "soon",
            "'soon' is no date that is understood; write dates as 2024-01-31 or 2024-01-31 13:05, or leave it",
        ),
        ("day", "2024-02-30", "row 1 (position 0), column 'day': '2024-02-30' is no date that is understood"),
        ("age", ["3", "12 %", "4"], "row 2 (position 1), column 'age': '12 %' carries another sign than '3', or none;"),
        ("paid", 2, "row 1 (position 0), column 'paid': 2 is no flag, which is 0 or 1"),
        ("paid", "perhaps", "column 'paid' is no flag: it holds 'perhaps'"),
    ],
)
def test_cells_of_another_kind_are_refused_with_their_place(column, value, said):
    with pytest.raises(BadInput) as caught:
        cells(MIXED.iloc[:3].assign(**{column: value}), FIELDS)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (np.ones((2, 3)), "rows must have 8 columns, as in training; got shape (2, 3)"),
        (np.ones(8), "got shape (8,)"),
        (np.full((2, 8), np.inf), "row 1 (position 0), column 'age': the value is infinite"),
        ([["a"] * 8], "rows must be the cells of a table as numbers, a frame or a file"),
        (pl.from_pandas(MIXED).lazy(), "a lazy frame; give X.collect()"),
        (MIXED.iloc[:0], "no rows; give at least one"),
        (pd.concat([MIXED, MIXED[["age"]]], axis=1), "several columns have the same name ('age'); rename or drop them"),
        ("none.csv", "no such file"),
    ],
)
def test_rows_that_are_none_are_refused(source, said):
    with pytest.raises(BadInput) as caught:
        cells(source, FIELDS)
    assert said in str(caught.value)


def test_cells_that_are_held_are_taken_as_they_are():
    base = cells(MIXED, FIELDS)
    assert np.array_equal(cells(base, FIELDS), base, equal_nan=True)
    assert np.array_equal(cells(base[:1].tolist(), FIELDS), base[:1], equal_nan=True)


def test_new_values_and_rows_without_any_are_laid_out():
    table = Table.fit(cells(MIXED, FIELDS), FIELDS)
    none = np.full((3, 8), np.nan)
    none[1:, 1] = -1, 5000
    none[2, 5] = -1
    assert np.isfinite(table.apply(none)).all()
    back = table.invert(table.apply(none))
    assert np.isnan(back[0, 0])
    assert back[1, 1] == back[2, 1] == -1


# Options


def test_kinds_overrule_what_is_inferred():
    frame = MIXED.assign(code=[3, 7, 20] * 20, none=[-999.0, *range(59)])
    data = read(frame, kinds={"code": "category", "money": "number", "ok": "category", "city": "drop"}, missing=[-999])
    of = dict(zip(data.columns, data.fields, strict=True))
    assert (of["code"].kind, of["code"].values) == ("category", ("3", "7", "20"))
    assert (of["money"].kind, of["ok"].kind, "city" in of) == ("number", "category", False)
    assert (of["none"].gaps, bool(np.isnan(data.x[0, data.columns.index("none")]))) == (True, True)
    assert read(frame, kinds={"code": "ordered"}).x[:3, 8].tolist() == [0, 1, 2]
    assert read(frame, kinds={"code": "category"}, missing=[3]).fields[8].values == ("7", "20")
    assert "city" not in read(frame, drop="city").columns
    assert read(frame, kinds={"zip": "number"}).x[:2, 4].tolist() == [101, 5003]
    for asked, said in (
        ({"cities": "drop"}, "no column 'cities' to have a kind or to drop (did you mean 'city'?)"),
        ({"city": "categry"}, "cannot be of kind 'categry' (did you mean 'category'?); the kinds are number, amount"),
        ({"city": "number"}, "row 1 (position 0), column 'city': 'Oslo' is not a number"),
        ({"city": "flag"}, "column 'city' is no flag: it holds"),
        ({"age": "flag"}, "row 1 (position 0), column 'age': 20.5 is no flag"),
        ({"age": "date"}, "column 'age' cannot be of kind date; it can be number"),
        ({"day": "number"}, "column 'day' cannot be of kind number; it can be date"),
    ):
        with pytest.raises(BadInput) as caught:
            read(frame, kinds=asked)
        assert said in str(caught.value)


def test_kinds_of_arrays_are_asked_for_by_number():
    rows = np.column_stack([np.arange(30.0), np.arange(30) % 3])
    data = read(rows, kinds={"x1": "category"})
    assert [(field.name, field.kind, field.values) for field in data.fields] == [
        ("x0", "number", ()),
        ("x1", "category", ("0", "1", "2")),
    ]
    assert read(rows, drop="x0").fields == ()
    with pytest.raises(BadInput, match="kinds, drop and missing are for tables"):
        read("digits", drop="x0_0")


def test_a_column_that_tells_the_label_is_said():
    def said(**columns):
        draw = np.random.default_rng(0)
        base = pd.DataFrame({"age": draw.normal(size=60), "city": draw.choice(["Oslo", "Rome"], 60)})
        told = read(base.assign(**columns), label="ok").cautions
        return [sentence for sentence in told if "tells the label" in sentence]

    label = MIXED.ok
    why = "leave it out if it is a copy of it, or made from it (--drop 'twin')"
    twin = f"column 'twin' tells the label of every row; {why}"
    assert said(ok=label, twin=label.map({"yes": "ja", "no": "nein"})) == [twin]
    assert said(ok=label, twin=[f"{word} {i % 4}" for i, word in enumerate(label)]) == [twin]
    assert said(ok=label, twin=(label == "yes") * 1.0) == [twin]
    assert said(ok=np.roll(label, 1), twin=np.arange(60) / 7) == []
    assert said(ok=np.where(np.arange(60) < 58, "u", "v"), other=np.r_[np.zeros(57), 1, 1, 1]) == []
    for part in (1, 5000):  # also where all rows of a class stand together
        many = pd.DataFrame({"a": np.arange(6000) / 7, "b": np.arange(6000) // 3000})
        many["b"] = np.where(np.arange(6000) == part, 1 - many.b, many.b)
        labels = np.arange(6000) // 3000
        told = read(many, labels).cautions
        assert any("column 'b' tells the label of 99." in sentence for sentence in told)
        assert not any("of every row" in sentence for sentence in told)


# Plain data that may come from anywhere

PLAIN = Table.fit(cells(MIXED, FIELDS), FIELDS).to_json()
VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    1e400,
    float("nan"),
    10**400,
    "",
    "x",
    "flag",
    "\ud800",
    [],
    [[]],
    {},
    {"a": 1},
    [0, 1],
)


def places(data, path=()):
    """Every place in plain data."""
    yield path
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in children:
        yield from places(value, (*path, key))


def changed(draw):
    data = json.loads(json.dumps(PLAIN))
    for _ in range(draw.randint(1, 3)):
        *path, last = draw.choice(list(places(data))[1:])
        inside = data
        for key in path:
            inside = inside[key]
        match draw.randrange(4):
            case 0:
                inside[last] = draw.choice(VALUES)
            case 1:
                del inside[last]
            case 2 if isinstance(inside, list):
                inside.insert(last, inside[last])
            case _:
                inside[draw.choice(["new", "kind", "shift"]) if isinstance(inside, dict) else last] = inside[last]
    return data


@pytest.mark.slow
def test_a_layout_from_anywhere_is_refused_or_what_it_says():
    draw, made = random.Random(0), 0
    for _ in range(2000):
        data = changed(draw)
        try:
            table = layout.from_json(data)
        except BadInput:
            continue
        made += 1
        assert json.dumps(table.to_json()) == json.dumps(data) or table.to_json() == data
        out = table.apply(np.zeros((2, len(table.fields))))
        assert out.shape == (2, table.width)
        assert table.invert(out).shape == (2, len(table.fields))
        assert len(table.names) == table.width
    assert 0 < made < 1000


def test_every_kind_comes_back_from_its_own_plain_data():
    elsewhere = {*TEXTS, "count"}  # test_text.py, test_count_columns.py
    assert set(KINDS) - elsewhere == {field.kind for field in FIELDS}
    assert layout.from_json(PLAIN).to_json() == PLAIN


@pytest.mark.parametrize("kind", ["category", "ordered"])
def test_a_column_whose_values_are_nearly_all_new_is_told(kind):
    field = Field("plan", kind, ("Basic", "Pro"))
    table = Table.fit(np.array([[0.0], [1.0]] * 20), (field,))
    assert table.astray(np.full((10, 1), -1.0)).startswith("column 'plan': 10 of 10 values were not there in training")
    assert table.astray(np.array([[-1.0]] * 9 + [[1.0]])) is None, "nine of ten may be so"
    assert table.astray(np.full((9, 1), -1.0)) is None, "nine values tell little"
    assert table.astray(np.array([[np.nan]] * 30 + [[0.0]] * 10)) is None, "gaps are no new values"
