"""Arrays and frames in memory, labels and anomalies."""

import datetime
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from isthmus.data.dataset import Dataset
from isthmus.data.read import DATASETS, read
from isthmus.errors import BadInput

X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3
FRAME = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.array(["u", "v", "w"])[Y])


def refusal(source, *args, **options):
    with pytest.raises(BadInput) as caught:
        read(source, *args, **options)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 700
    return text


def frozen(x):
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "g", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?", ">f4", ">i8"]
)
def test_every_real_type_is_read(dtype):
    x = (np.arange(60).reshape(20, 3) % 7).astype(dtype)
    data = read(x)
    np.testing.assert_array_equal(data.x, x.astype(np.float32))
    assert data.x.dtype == np.float32
    assert data.x.flags.c_contiguous


@pytest.mark.parametrize(
    "other",
    [
        frozen(X),
        np.asfortranarray(X),
        np.repeat(X, 2, axis=0)[::2],
        X[:, ::-1].copy()[:, ::-1],
        X.astype(object),
        X.tolist(),
        torch.tensor(X),
        np.ma.masked_array(X),
    ],
)
def test_any_layout_and_container_gives_the_same_rows(other):
    data = read(other)
    np.testing.assert_array_equal(data.x, X.astype(np.float32))
    assert data.digest == read(X).digest
    assert (data.name, data.y, data.classes, data.anomaly) == ("X", None, (), None)


def test_the_given_array_is_left_alone():
    x = X.copy()
    data = read(x)
    data.x[:] = 0
    np.testing.assert_array_equal(x, X)
    single = X.astype(np.float32)
    read(single).x[:] = 0
    np.testing.assert_array_equal(single, X.astype(np.float32))


def test_images_keep_their_shape_and_name_their_elements():
    data = read(np.arange(10 * 2 * 3).reshape(10, 2, 3))
    assert (data.shape, data.images) == ((2, 3), True)
    assert data.columns == ("x0_0", "x0_1", "x0_2", "x1_0", "x1_1", "x1_2")
    assert read(np.zeros((10, 2, 2, 3))).images
    assert not read(np.zeros((10, 2, 2, 3, 2))).images
    assert not read(X).images
    assert read(X).columns == ("x0", "x1", "x2", "x3")


FRAMES = {
    "pandas": FRAME,
    "categories": FRAME.assign(kind=FRAME.kind.astype("category")),
    "objects": FRAME.assign(kind=FRAME.kind.astype(object)),
    "polars": pl.from_pandas(FRAME),
    "polars enum": pl.from_pandas(FRAME).with_columns(pl.col("kind").cast(pl.Enum(["u", "v", "w"]))),
    "pyarrow": pa.Table.from_pandas(FRAME),
    "chunks": pa.concat_tables([pa.Table.from_pandas(FRAME[:7]), pa.Table.from_pandas(FRAME[7:])]),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_every_frame_gives_the_same_data(frame):
    data = read(frame, label="kind")
    np.testing.assert_array_equal(data.x, X.astype(np.float32))
    np.testing.assert_array_equal(data.y, Y)
    assert (data.classes, data.columns, data.name) == (("u", "v", "w"), ("a", "b", "c", "d"), "X")
    assert data.digest == read(X, FRAME.kind).digest


def test_columns_of_all_number_types():
    frame = pd.DataFrame(
        {
            "f": np.linspace(0, 1, 12),
            "i": np.arange(12),
            "b": np.arange(12) % 2 == 0,
            "n": pd.array(np.arange(12), dtype="Int64"),
            "c": pd.Categorical(np.arange(12) % 3),
        }
    )
    data = read(frame)
    assert data.columns == ("f", "i", "b", "n", "c")
    np.testing.assert_array_equal(data.x[3], [3 / 11, 3, 0, 3, 0])
    assert [(field.kind, field.values) for field in data.fields][2:] == [
        ("flag", ()),
        ("number", ()),
        ("category", ("0", "1", "2")),
    ]
    plain = read(frame.drop(columns="c"))
    assert plain.fields == ()
    np.testing.assert_array_equal(plain.x[3], np.float32([3 / 11, 3, 0, 3]))
    decimals = pa.table({"d": pa.array(range(10), pa.decimal128(5, 2)), "u": pa.array(range(10), pa.uint8())})
    np.testing.assert_array_equal(read(decimals).x, np.arange(10.0).repeat(2).reshape(10, 2))


def test_numbered_columns_and_a_label_among_them():
    data = read(pd.DataFrame(np.column_stack([X, Y])), label="4")
    assert (data.columns, data.classes) == (("0", "1", "2", "3"), ("0", "1", "2"))


LABELS = {
    "codes": (Y, ("0", "1", "2")),
    "tens": (Y * 10 - 10, ("-10", "0", "10")),
    "ten classes": (np.arange(30) % 11, tuple(map(str, range(11)))),
    "whole floats": (Y.astype(float), ("0", "1", "2")),
    "texts": (FRAME.kind.tolist(), ("u", "v", "w")),
    "number texts": ([str(10 - k) for k in Y], ("8", "9", "10")),
    "booleans": (Y > 0, ("False", "True")),
    "bytes of one": (Y.astype(np.uint8), ("0", "1", "2")),
    "swapped bytes": (Y.astype(">i4"), ("0", "1", "2")),
    "column": (Y[:, None], ("0", "1", "2")),
    "pandas": (FRAME.kind, ("u", "v", "w")),
    "polars": (pl.Series(FRAME.kind.tolist()), ("u", "v", "w")),
    "arrow": (pa.array(FRAME.kind), ("u", "v", "w")),
    "objects": (np.array(FRAME.kind, dtype=object), ("u", "v", "w")),
    "spaces": ([f" {k}" for k in FRAME.kind], ("u", "v", "w")),
    "torch": (torch.tensor(Y), ("0", "1", "2")),
}


@pytest.mark.parametrize(("labels", "classes"), LABELS.values(), ids=LABELS)
def test_labels_of_any_type_become_codes(labels, classes):
    data = read(X, labels)
    assert data.classes == classes
    assert data.y.dtype == np.int64
    given = np.asarray(labels.to_list() if isinstance(labels, pl.Series) else labels).ravel()
    names = [str(int(v)) if given.dtype.kind in "iuf" else str(v).strip() for v in given]
    assert [data.classes[code] for code in data.y] == names


def test_labels_stay_as_they_are_counted_in_the_frame():
    assert read(FRAME[["a", "b"]], labels=FRAME.kind).classes == ("u", "v", "w")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (Y[:5], "5 labels for 30 rows"),
        (Y + 0.5, "fractions such as '0.5': a measured number"),
        ([str(k + 0.5) for k in Y], "fractions such as '0.5'"),
        (np.arange(30), "30 different labels on 30 rows"),
        (Y * 0, "all 30 rows have the label '0'"),
        ([*["a", "b"] * 14, None, None], r"row 29 \(index 28\): the label is missing; 2 of 30 rows have none"),
        ([*["a", "b"] * 14, "", "a"], r"row 29 \(index 28\): the label is missing"),
        (np.where(Y == 1, np.nan, 1.0), r"row 2 \(index 1\): the label is missing; 10 of 30"),
        (np.where(Y == 1, np.inf, 1.0), r"row 2 \(index 1\): the label is missing"),
        (X, r"one column, one label for each row; got shape \(30, 4\)"),
        ([{}] * 30, "not classes"),
        ([datetime.date(2020, 1, 1)] * 30, "date32"),
        ([1 + 2j] * 30, "can't be read as classes"),
        (np.array([1, "a"] * 15, dtype=object), "can't be read as classes"),
        ([1, "1"] * 15, r"of several types \(number, text\); give all as texts"),
        ([True, 1] * 15, r"of several types \(boolean, number\)"),
        (["9" * 5000, "a"] * 15, "a label has 5,000 characters"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, said):
    assert re.search(said, refusal(X, labels))


def test_an_anomaly_is_a_class():
    data = read(X, Y, anomaly="2")
    assert (data.anomaly, data.classes) == ("2", ("0", "1", "2"))
    assert read(X, Y, anomaly=2).anomaly == "2"
    assert read(X, Y > 1, anomaly=True).anomaly == "True"
    assert "no class '9' to be the anomaly; the classes are '0', '1', '2'" in refusal(X, Y, anomaly="9")
    assert "did you mean 'fraud'?" in refusal(X, ["fraud", "fine"] * 15, anomaly="frau")
    assert "have no labels" in refusal(X, anomaly="1")
    assert "only 3 normal rows are left" in refusal(X, np.arange(30) > 2, anomaly="True")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (X[0], "X.reshape(-1, 1)"),
        (np.float64(3), "can't read data from '3.0'"),
        (np.zeros((30, 0)), "no columns to learn from"),
        (X[:0], "X: no rows; at least 10"),
        (X[:1], "X: only 1 row; at least 10"),
        (X[:9], "X: only 9 rows; at least 10"),
        (X * 1j, "complex numbers"),
        (X.astype(str), "holds text"),
        (X.astype("S8"), "holds text"),
        (X.astype("M8[s]"), "holds dates"),
        (X.astype("m8[s]"), "holds time spans"),
        (np.zeros((30, 2), dtype=[("a", "f4")]), "records of type"),
        (np.where(X > 2, "?", X.astype(object)), "is '?' of type str, not a number"),
        (np.where(X > 2, 1j, X.astype(object)), "is '1j' of type complex"),
        ([[1, 2], [3]], "rows of equal length"),
        (torch.eye(12).to_sparse(), "a sparse tensor; give X.to_dense()"),
        (np.zeros((12, 2), "V2"), "if they are bfloat16, save X.astype('f4')"),
        (np.zeros((10, 1_000_001), np.uint8), "1,000,001 numbers in a row; the limit is 1,000,000"),
        (np.array([[2**60], [2**60 + 1]] * 6), "column 'x0' runs from 1152921504606846976 to 1152921504606846977"),
        (
            np.array([[2**70], [2**70 + 1]] * 6),
            "column 'x0' runs from 1180591620717411303424 to 118059162071741130342",
        ),
        (None, "give a file, a name, an array or a frame"),
        (3, "can't read data from '3'"),
        ({"a": [1]}, "can't read data from"),
        (pl.from_pandas(FRAME).lazy(), "give X.collect()"),
        (FRAME.a, "X.reshape(-1, 1)"),
        (pl.Series([1.0] * 20), "X.reshape(-1, 1)"),
        (np.broadcast_to(np.float32(0), (10**6, 10**4)), "37.3 GiB of memory; the limit is 8 GiB"),
    ],
)
def test_arrays_that_are_refused(source, said):
    assert said in refusal(source)


def spoilt(value, count=1):
    x = X.copy()
    x[3, 2] = value
    x[4, : count - 1] = value
    return x


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (spoilt(-np.inf), "X: row 4, column 'x2' (X[3, 2]): the value is infinite; fill it in or drop the row"),
        (spoilt(np.inf, 3), "the value is infinite, the first of 3 cells without a usable number; fill them in"),
        (
            np.where(X[9, 0] == X, np.nan, spoilt(np.inf)),
            "row 4, column 'x2' (X[3, 2]): the value is infinite; fill it in",
        ),
        (
            np.where(X[9, 0] == X, np.nan, spoilt(1e39)),
            "(X[3, 2]): 1e+39 is beyond 32-bit floats (3.4e38); give the column",
        ),
        (spoilt(np.nan).reshape(30, 2, 2), "row 4, column 'x1_0' (X[3, 1, 0])"),
        (spoilt(-1e39), "-1e+39 is beyond 32-bit floats (3.4e38); give the column another unit"),
        (1.7e9 + X / 100, "column 'x0' runs from 1699999999"),
        (X * 1e-60, "too fine for 32-bit floats"),
        ((2**60 + 1000 * X).astype(np.int64), "too fine for 32-bit floats"),
    ],
)
def test_values_that_are_refused(x, said):
    assert said in refusal(x)


def test_a_late_cell_in_a_large_array_is_found():
    x = np.zeros((300_000, 8), np.float32)
    x[299_000, 7] = x[299_999, 0] = np.inf
    assert "row 299001, column 'x7' (X[299000, 7]): the value is infinite, the first of 2 cells" in refusal(x)


@pytest.mark.parametrize("x", [spoilt(np.nan, 3), spoilt(np.nan, 3).astype("f2"), spoilt(None, 3).astype(object)])
def test_gaps_of_an_array_are_learnt_as_gaps(x):
    data = read(x)
    gaps = np.zeros((30, 4), bool)
    gaps[3, 2] = gaps[4, :2] = True
    assert np.array_equal(np.isnan(data.x), gaps)
    np.testing.assert_array_equal(data.x[~gaps], x[~gaps].astype(np.float64))
    assert [(field.name, field.kind, field.gaps) for field in data.fields] == [
        ("x0", "number", True),
        ("x1", "number", True),
        ("x2", "number", True),
        ("x3", "number", False),
    ]
    assert data.told[0].startswith("3 cells are missing, in 3 columns ('x0', 'x1', 'x2')")


def test_large_and_small_units_that_float32_can_hold_are_fine():
    for unit in (1e30, 1e-30, 1.0):
        np.testing.assert_allclose(read(X * unit).x, X * unit, rtol=1e-6)
    assert read(np.full((12, 2), 0.1)).x[0, 0] == np.float32(0.1)  # constant: nothing to tell apart
    assert read(1e4 + np.arange(24).reshape(12, 2) / 64).x[0, 0] == 1e4


@pytest.mark.parametrize(
    ("frame", "options", "said"),
    [
        (FRAME, {"label": "knd"}, "no label column 'knd' (did you mean 'kind'?); the columns are 'a', 'b'"),
        (FRAME.assign(a=[{}, "x"] * (len(FRAME) // 2) + [1] * (len(FRAME) % 2)), {"label": "knd"}, "no label column"),
        (FRAME.rename(columns={"a": "b"}), {"label": "kind"}, "several columns have the same name ('b')"),
        (pa.table([[1.0] * 12] * 2, names=["a", "a"]), {}, "several columns have the same name ('a')"),
        (pd.DataFrame(X, columns=[1, "1", 2, 3]), {}, "several columns have the same name ('1')"),
        (FRAME.rename(columns={"b": ""}), {"label": "kind"}, "column 2 of 5 has no name"),
        (FRAME.assign(o=[1, "no"] * 15), {"label": "kind"}, "row 2 (position 1), column 'o': 'no' is not a number"),
        (
            FRAME.assign(o=[1, 10**25] * 15),
            {"label": "kind"},
            f"row 2 (position 1), column 'o': '{10**25}' is a whole number",
        ),
        (
            np.array([[1, 10**25 + i] for i in range(30)], object),
            {},
            f"'x1' runs from {10**25} to {10**25 + 29}, steps",
        ),
        (
            FRAME.assign(s=["1,279", "2"] * 15),
            {"label": "kind"},
            "'1,279' may be 1.279 or 1279; write 1279 if",
        ),
        (
            FRAME.assign(o=["a", "b", 1] * 10),
            {"label": "kind"},
            "row 3 (position 2), column 'o': '1' of type int stands",
        ),
        (FRAME.assign(s=["1.5"] * 29 + ["u"]), {"label": "kind"}, "row 30 (position 29), column 's': 'u' is not a num"),
        (
            FRAME[["kind"]].assign(e=[None] * 30),
            {"label": "kind"},
            "no column is left to learn from: 'e' holds no",
        ),
        (FRAME.assign(z=b"\xff"), {"label": "kind"}, "is not UTF-8 text"),
        (FRAME[["kind"]], {"label": "kind"}, "no columns to learn from (besides the label)"),
        (FRAME[:3], {"label": "kind"}, "only 3 rows"),
        (pd.DataFrame(), {}, "no columns"),
        (FRAME, {"labels": Y, "label": "kind"}, "exclude each other"),
        (FRAME, {"label": 3}, "label must be the name of a column; got '3'"),
        (X, {"label": "y"}, "label 'y' names a column of a table"),
        ("iris", {"label": "species"}, "iris: label 'species' names a column"),
    ],
)
def test_frames_that_are_refused(frame, options, said):
    assert said in refusal(frame, **options)


WHEN = pd.date_range("1969-12-31", periods=30, freq="6h", tz="Europe/Oslo")
COLUMNS = {
    "texts": (["u", "v", None] * 10, "category", ("u", "v"), [0, 1, np.nan]),
    "string[pyarrow]": (pd.array(["u", "v", None] * 10, "string"), "category", ("u", "v"), [0, 1, np.nan]),
    "a category": (pd.Categorical(["v", "u", None] * 10, ["v", "u", "w"]), "category", ("v", "u", "w"), [0, 1, np.nan]),
    "an order": (pd.Categorical(["S", "L", "M"] * 10, ["S", "M", "L"], ordered=True), "ordered", "SML", [0, 2, 1]),
    "counts as categories": (pd.Categorical([30, 4, 30] * 10), "category", ("4", "30"), [1, 0, 1]),
    "nullable counts": (pd.array([1, None, 3] * 10, "Int64"), "number", (), [1, np.nan, 3]),
    "nullable flags": (pd.array([True, None, False] * 10, "boolean"), "flag", (), [1, np.nan, 0]),
    "flags as objects": (np.array([True, None, False] * 10, object), "flag", (), [1, np.nan, 0]),
    "gaps": ([1.5, np.nan, 2.5] * 10, "number", (), [1.5, np.nan, 2.5]),
    "moments": (WHEN.tz_convert(None), "date", (), [-90000, -68400, -46800]),
    "moments of a zone": (WHEN, "date", (), [-90000, -68400, -46800]),
    "days": ([datetime.date(1969, 12, 31), None] * 15, "date", (), [-86400, np.nan, -86400]),
    "spans": (pd.to_timedelta(np.arange(30) * 1.5, "s"), "number", (), [0, 1.5, 3]),
    "times": ([datetime.time(0, 1), None, datetime.time(1)] * 10, "number", (), [60, np.nan, 3600]),
    "texts of numbers": (["8,3", "7", None] * 10, "number", (), [8.3, 7, np.nan]),
    "texts of thousands": (["1,279", "856", ""] * 10, "number", (), [1279, 856, np.nan]),
    "texts of numbers and dashes": (["1.5", "-", "2"] * 10, "number", (), [1.5, np.nan, 2]),
}


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(("column", "kind", "values", "cells"), COLUMNS.values(), ids=COLUMNS)
def test_columns_of_every_kind_are_read_from_every_frame(library, column, kind, values, cells):
    frame = FRAME[["a", "kind"]].assign(c=column)
    if library == "polars":
        frame = pl.from_pandas(frame)
        if kind in ("ordered", "category") and not isinstance(column, list):
            pytest.skip("polars knows no order of categories")
    elif library == "pyarrow":
        frame = pa.Table.from_pandas(frame)
    data = read(frame)
    field = data.fields[data.columns.index("c")]
    assert (field.kind, field.values, field.gaps) == (kind, tuple(values), bool(np.isnan(cells).any()))
    np.testing.assert_array_equal(data.x[:3, data.columns.index("c")], cells)


def test_an_enum_of_polars_keeps_its_values():
    frame = pl.from_pandas(FRAME).with_columns(e=pl.Series(["u", "w", None] * 10, dtype=pl.Enum(["w", "v", "u"])))
    field = read(frame, label="kind").fields[-1]
    assert (field.name, field.kind, field.values, field.gaps) == ("e", "category", ("w", "v", "u"), True)


ASIDE = {
    "one text": (["x"] * 30, "holds one text only ('x')"),
    "names": ([f"name {i}" for i in range(30)], "holds names (another text in each row); --kind"),
    "rare names": ([f"name {i % 28}" for i in range(30)], "holds names (28 different texts); --kind"),
    "essays": (["x" * 2000, "y"] * 15, "holds texts that hardly share a word; --kind 'note=text' keeps it"),
    "nothing": ([None] * 30, "holds no value"),
    "blanks": ([" ", "?"] * 15, "holds no value"),
    "ragged lists": ([[1], [1, 2]] * 15, "holds lists of 1 to 2 values, and only lists of equal length can be read"),
    "records": ([{"u": 1}] * 30, "holds values of type struct<u: int64>, not numbers or texts; unpack them"),
}


@pytest.mark.parametrize(("column", "why"), ASIDE.values(), ids=ASIDE)
def test_columns_that_tell_nothing_are_set_aside_and_said(column, why):
    data = read(FRAME.assign(note=column), label="kind")
    np.testing.assert_array_equal(data.x, X.astype(np.float32))  # what is left is a plain matrix
    assert data.fields == ()
    assert data.told[0].startswith(f"column 'note' is set aside: it {why}")
    assert read(FRAME.assign(note=column), label="kind", drop="note").told == ()
    if "--kind 'note=category'" in data.told[0]:
        kept = read(FRAME.assign(note=column), label="kind", kinds={"note": "category"})
        assert len(kept.fields[-1].values) == len(set(column))


def test_categories_are_what_repeats():
    rare = ["u"] * 8 + ["v"] * 8 + [f"name {i}" for i in range(14)]
    field = read(FRAME.assign(note=rare), label="kind").fields[-1]
    assert (field.kind, len(field.values)) == ("category", 16)


def test_control_characters_of_a_name_never_reach_the_message():
    text = refusal(pd.DataFrame({"a\n\x1b[31m": ["1"] * 11 + ["x"], "b": range(12)}))
    assert r"'a\n\x1b[31m'" in text


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1797, 8, 8), tuple("0123456789")),
        ("breast_cancer", (569, 30), ("malignant", "benign")),
        ("wine", (178, 13), ("class_0", "class_1", "class_2")),
        ("diabetes", (442, 10), ()),
        ("iris", (150, 4), ("setosa", "versicolor", "virginica")),
    ],
)
def test_bundled_sets(name, shape, classes):
    from sklearn import datasets

    data = read(name)
    bunch = getattr(datasets, f"load_{name}")()
    np.testing.assert_array_equal(data.x.reshape(len(data.x), -1), bunch.data.astype(np.float32))
    assert (data.x.shape, data.classes, data.name, data.source) == (shape, classes, name, name)
    assert len(data.columns) == np.prod(shape[1:])
    if name == "diabetes":
        assert data.y is None
        assert "no labels" in DATASETS[name]
    else:
        np.testing.assert_array_equal(data.y, bunch.target)
    assert str(shape[0]) in DATASETS[name]


def test_a_bundled_set_takes_other_labels():
    assert read("diabetes", labels=np.arange(442) % 2).classes == ("0", "1")
    assert read("iris", labels=np.arange(150) % 2).classes == ("0", "1")


def test_the_digest_follows_the_content():
    def data(**change):
        given = {"name": "X", "x": np.ones((10, 2), np.float32), "y": np.zeros(10, np.int64), "classes": ("a", "b")}
        return Dataset(**{**given, "columns": ("p", "q"), **change})

    base = data().digest
    assert len(base) == 64
    assert data(name="other", source="file", columns=("r", "s")).digest == base
    x = np.ones((10, 2), np.float32)
    x[0, 0] = 2
    changes = [
        {"x": x},
        {"x": np.ones((10, 2, 1), np.float32)},
        {"y": np.ones(10, np.int64)},
        {"y": None},
        {"classes": ("a", "c")},
        {"anomaly": "b"},
    ]
    assert len({base, *(data(**change).digest for change in changes)}) == 1 + len(changes)
    assert read(np.zeros((10, 1))).digest == read(np.full((10, 1), -0.0)).digest


def test_tensors_of_every_float_are_read():
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        x = torch.tensor(X, dtype=dtype, requires_grad=True)
        np.testing.assert_array_equal(read(x).x, x.detach().float().numpy())
    np.testing.assert_array_equal(read(X.astype(np.float16)).x, X.astype(np.float16).astype(np.float32))


def test_sparse_columns_and_columns_of_lists_are_read():
    sparse = FRAME.assign(s=pd.arrays.SparseArray([0, 1] * 15), t=pd.arrays.SparseArray([0.5, 0.0, 2.0] * 10))
    np.testing.assert_array_equal(
        read(sparse, label="kind").x[:, 4:], np.float32([[i % 2, [0.5, 0, 2][i % 3]] for i in range(30)])
    )
    for frame in (
        FRAME.assign(e=list(X)),
        pl.from_pandas(FRAME).with_columns(e=pl.Series(X.tolist())),
        pl.from_pandas(FRAME).with_columns(e=pl.Series(X.tolist(), dtype=pl.Array(pl.Float64, 4))),
        pa.Table.from_pandas(FRAME).append_column("e", pa.FixedSizeListArray.from_arrays(X.ravel(), 4)),
        pa.Table.from_pandas(FRAME).append_column(
            "e", pa.FixedShapeTensorArray.from_numpy_ndarray(X.reshape(30, 2, 2))
        ),
    ):
        data = read(frame, label="kind")
        assert data.columns == ("a", "b", "c", "d", "e_0", "e_1", "e_2", "e_3")
        np.testing.assert_array_equal(data.x[:, 4:], X.astype(np.float32))
        assert data.told == ("column 'e' holds lists of 4 numbers and is read as 4 columns",)


def test_labels_of_64_bits_are_told_apart():
    ids = np.where(Y == 0, 2**53, 2**53 + 1)
    for labels in (
        ids,
        pd.Series(ids),
        pa.array(ids),
        ids.astype(np.uint64),
        ids.astype(str),
        pd.Series(ids.astype(str)),
    ):
        assert read(X, labels).classes == (str(2**53), str(2**53 + 1))
