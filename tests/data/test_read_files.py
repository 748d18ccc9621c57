"""Files of every format, as they should be and as they should not."""

import gzip
import io
import os
import struct

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.data import text_table
from isthmus.data.read import read
from isthmus.errors import BadInput

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4))
Y = np.arange(30) % 3
ROWS = [f"{i},{i * i / 2},{'ab'[i % 2]}" for i in range(12)]
PIXELS = RNG.integers(0, 256, (30, 5, 4), dtype=np.uint8)


def table(*changes, head="x,y,k", end="\n"):
    """A good table of twelve rows; each change replaces one piece of text."""
    text = end.join([head, *ROWS]) + end
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def idx(array, code=8):
    return struct.pack(f">4B{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Write a file into a folder of its own and go there, so that messages name the file alone."""
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return write


def refusal(source, **options):
    with pytest.raises(BadInput) as caught:
        read(source, **options)
    text = str(caught.value)
    assert text.isprintable()
    return text


# Text tables

SAME = {
    "plain": table(),
    "windows": table(end="\r\n"),
    "old mac": table(end="\r"),
    "byte order mark": "\ufeff" + table(),
    "semicolons": table((",", ";")),
    "bars": table((",", "|")),
    "tabs": table((",", "\t")),
    "spaces": table((",", ", ")),
    "quotes": table(("4,8.0,a", '"4","8.0","a"'), head='"x",y,"k"'),
    "blank lines": "\n\n" + table(("\n5,", "\n\n5,")),
    "no last newline": table().rstrip("\n"),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_every_way_to_write_a_table_gives_the_same_data(put, text):
    data = read(put("t.csv", text), label="k")
    np.testing.assert_array_equal(data.x, [[i, i * i / 2] for i in range(12)])
    assert (data.columns, data.classes) == (("x", "y"), ("a", "b"))
    assert data.y.tolist() == [0, 1] * 6
    assert (data.name, data.source) == ("t", "t.csv")


def test_suffixes_of_text_tables(put):
    base = read(put("t.csv", table()), label="k").digest
    assert read(put("u.csv.gz", gzip.compress(table().encode())), label="k").digest == base
    assert read(put("v.tsv", table((",", "\t"))), label="k").digest == base
    assert read(put("W.TSV.GZ", gzip.compress(table((",", "\t")).encode())), label="k").digest == base
    assert read("u.csv.gz", label="k").name == "u"
    assert read(put("one.tsv", "a,b\n" + "1\n2\n" * 6)).columns == ("a,b",)


def test_numbers_as_people_write_them(put):
    text = "a,b,c\n" + "1e3,true,-0.5\n+2,FALSE,  7 \n" * 6
    np.testing.assert_array_equal(read(put("t.csv", text)).x[:2], [[1000, 1, -0.5], [2, 0, 7]])


def test_names_with_separators_quotes_and_newlines_in_cells(put):
    text = '"size, cm",k\n' + '1,"two\nlines"\n2,"a ""b"""\n' * 6
    data = read(put("t.csv", text), label="k")
    assert (data.columns, data.classes) == (("size, cm",), ('a "b"', "two\nlines"))


def test_label_cells_are_classes_as_written(put):
    assert read(put("t.csv", table((",a", ",NA"))), label="k").classes == ("NA", "b")
    assert read(put("t.csv", table((",a", ",1.0"), (",b", ",0"))), label="k").classes == ("0", "1.0")
    assert read(put("t.csv", table((",a", ",true"), (",b", ",false"))), label="k").classes == ("false", "true")
    rows = "".join(f"{i},{i % 11}\n" for i in range(33))
    assert read(put("t.csv", "x,k\n" + rows), label="k").classes == tuple(map(str, range(11)))
    assert read("t.csv").columns == ("x", "k")
    assert read("t.csv", label="k", anomaly="10").anomaly == "10"
    assert read("t.csv", labels=np.arange(33) % 2).columns == ("x", "k")


def test_headers_of_numbers_that_count_are_names(put):
    rows = ",".join("1" * 9) + "\n" + ",".join("2" * 9) + "\n"
    assert read(put("t.csv", ",".join(map(str, range(9))) + "\n" + rows * 6)).columns[8] == "8"
    assert read(put("t.csv", ",".join(map(str, range(1, 10))) + "\n" + rows * 6)).columns[8] == "9"
    waves = ",".join(f"{400 + 2.5 * i}" for i in range(9))
    assert read(put("t.csv", waves + "\n" + rows * 6)).columns[0] == "400.0"


def holed(data, column, *rows):
    """Whether so many cells are gaps, and no others."""
    return np.flatnonzero(np.isnan(data.x[:, data.columns.index(column)])).tolist() == list(rows)


GAPS = {
    "empty": table(("\n4,", "\n,")),
    "question mark": table(("\n4,", "\n?,")),
    "not a number": table(("\n4,", "\nNaN,")),
    "not available": table(("\n4,", "\n#N/A,")),
    "a dash": table(("\n4,", "\n-,")),
    "blank lines": "\n" + table(("\n4,", "\n\n,")),
    "a newline in a cell": table(("\n3,4.5,b", '\n3,4.5,"b\nb"'), ("\n4,", "\n,")),
}


@pytest.mark.parametrize("text", GAPS.values(), ids=GAPS)
def test_missing_numbers_are_gaps_and_said(put, text):
    data = read(put("t.csv", text), label="k")
    assert holed(data, "x", 4)
    assert not np.isnan(data.x[:, 1]).any()
    assert [(field.kind, field.gaps) for field in data.fields] == [("number", True), ("number", False)]
    assert "1 cell is missing, in column 'x': a gap is learnt as a gap, and nothing is filled in" in data.cautions
    assert any("'-' for a missing number in 'x'" in said for said in data.cautions) == ("\n-," in text)


ENCODED = {
    "latin-1": table(("4,8.0,a", "4,8.0,é"), head="é,y,k").encode("latin-1"),
    "windows": table(("4,8.0,a", "4,8.0,€"), head="é,y,k").encode("cp1252"),
    "utf-16 without a mark": table(("4,8.0,a", "4,8.0,é"), head="é,y,k").encode("utf-16-le"),
    "utf-16 without a mark, big end first": table(("4,8.0,a", "4,8.0,é"), head="é,y,k").encode("utf-16-be"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_other_encodings_are_read_and_said(put, name):
    data = read(put("t.csv", ENCODED[name]), label="k")
    assert data.columns == ("é", "y")
    assert data.classes == ("a", "b", "€" if name == "windows" else "é")
    assert data.told[0] == f"read with {'text in UTF-16' if 'utf' in name else WINDOWS}"
    np.testing.assert_array_equal(data.x[:, 0], range(12))


WINDOWS = "letters in Windows-1252, because they are not UTF-8"
FOREIGN = {
    "cyrillic": table(("4,8.0,a", "4,8.0,чай")).encode("cp1251"),
    "japanese": table(("4,8.0,a", "4,8.0,東京")).encode("shift_jis"),
    "utf-8 with a broken letter": table(("4,8.0,a", "4,8.0,é"), ("6,18.0,a", "6,18.0,ü")).encode()[:-1] + b"\xe9\n",
    "bytes": table(("4,8.0,a", "4,8.0,?")).encode().replace(b"?", b"\xff\xff\xff"),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_letters_that_would_be_garbled_are_refused_with_their_place(put, content):
    said = refusal(put("t.csv", content), label="k")
    assert "column 'k': " in said
    assert said.endswith("is neither UTF-8 nor Windows-1252 text; save the file as UTF-8")


REFUSED = {
    "stray text": (
        table(("\n4,", "\nfour,")),
        {"label": "k"},
        "line 6, column 'x': 'four' is not a number; correct it",
    ),
    "decimal comma among points": (
        table((",", ";"), ("4;8.0", "4;8,0")),
        {"label": "k"},
        "line 6, column 'y': '8,0' does not fit '0.0': some decimals have a comma, others a point; write all with",
    ),
    "infinite": (table(("\n4,", "\n-inf,")), {"label": "k"}, "line 6, column 'x': the value is infinite"),
    "out of range": (table(("\n4,", "\n1e39,")), {"label": "k"}, "line 6, column 'x': 1e+39 is beyond 32-bit floats"),
    "missing label": (
        table(("\n4,8.0,a", "\n4,8.0,")),
        {"label": "k"},
        "line 6: the label is missing; 1 of 12",
    ),
    "too few cells": (
        table(("\n4,8.0,a", "\n4,a")),
        {"label": "k"},
        "line 6: expected 3 values as in the first line, got 2",
    ),
    "too many cells": (
        table(("\n4,8.0,a", "\n4,8,0,a")),
        {"label": "k"},
        "line 6: expected 3 values as in the first line, got 4",
    ),
    "quote open to the end": (
        table(("\n4,", '\n"4,')),
        {"label": "k"},
        "line 6: expected 3 values as in the first line, got 1",
    ),
    "wrong label name": (table(), {"label": "K"}, "no label column 'K'; the columns are 'x', 'y', 'k'"),
    "near label name": (table(head="x,y,kind"), {"label": "kin"}, "no label column 'kin' (did you mean 'kind'?)"),
    "one class": (
        table((",b", ",a")),
        {"label": "k"},
        "all 12 rows have the label 'a'; at least two classes are needed",
    ),
    "measured label": (
        table((",a", ",1"), (",b", ",2")),
        {"label": "y"},
        "the label holds fractions such as '0.5': a measured number",
    ),
    "same names": (table(head="x,x,k"), {"label": "k"}, "several columns have the same name ('x'); rename or drop"),
    "empty name": (
        table(head="x,,k"),
        {"label": "k"},
        "column 2 of 3 has no name; name it, or leave it out",
    ),
    "no names": (table(head="2019,1990,a"), {}, "the first line holds numbers (2019, 1990, a, …) where column names"),
    "only names": ("x,y,k\n", {}, "no rows below the header line"),
    "one row": ("x,y\n1,2\n", {}, "only 1 row; at least 10 are needed"),
    "nine rows": ("x,y\n" + "1,2\n" * 9, {}, "only 9 rows; at least 10 are needed"),
    "label alone": ("k\n" + "a\nb\n" * 6, {"label": "k"}, "no columns to learn from (besides the label)"),
    "blank": ("\n\n", {}, "no text in the file"),
    "zeros": (b"x\0,y\n" + b"1,2\n" * 12, {}, "holds binary data, not text"),
    "zero in a cell": (table(("\n4,", "\n\0,")), {"label": "k"}, r"line 6, column 'x': '\x00' is not a number"),
    "utf-16 cut": (table().encode("utf-16")[:-1], {}, "begins as UTF-16 text, which it is not"),
    "a name without end": (table(head=f"{'x' * 200_000},y,k"), {}, "a column name has more than 131,072 characters"),
    "a long name": (table(head=f"{'x' * 2_000},y,k"), {}, "a column name has 2,000 characters"),
    "a long label": (table((",a", f",{'9' * 5000}")), {"label": "k"}, "a label has 5,000 characters"),
    "whole numbers beyond 2^53": (
        table(*((f"\n{i},", f"\n{2**60 + i % 2},") for i in range(12))),
        {"label": "k"},
        "column 'x' runs from 1152921504606846976 to 1152921504606846977, steps too fine",
    ),
    "whole numbers beyond 2^64": (
        table(*((f"\n{i},", f"\n{2**70 + i % 2},") for i in range(12))),
        {"label": "k"},
        "column 'x' runs from 1180591620717411303424 to 1180591620717411303425, steps too fine",
    ),
    "whole numbers beyond 2^24": (
        table(*((f"\n{i},", f"\n{2**24 + i % 2},") for i in range(12))),
        {"label": "k"},
        "column 'x' runs from 16777216 to 16777217, steps too fine",
    ),
    "open quote in names": ('x,"y,k\n1,2,a\n', {}, "a quote in the header line is not closed"),
    "control characters": (table(("\n4,", "\n\x1b[31m4,")), {"label": "k"}, r"'\x1b[31m4' is not a number"),
}


@pytest.mark.parametrize(("text", "options", "said"), REFUSED.values(), ids=REFUSED)
def test_tables_that_are_refused(put, text, options, said):
    assert refusal(put("t.csv", text), **options).startswith("t.csv: ")
    assert said in refusal("t.csv", **options)


@pytest.mark.slow
def test_the_width_of_text_tables_is_limited_and_wide_ones_are_read(put):
    wide = 5000
    text = ",".join(f"c{i}" for i in range(wide)) + "\n" + (",".join(["1"] * wide) + "\n") * 10
    assert read(put("t.csv", text)).x.shape == (10, wide)
    text = ",".join(f"c{i}" for i in range(100_001)) + "\n1\n"
    assert "100,001 columns; text tables may have 100,000" in refusal(put("t.csv", text))


@pytest.mark.slow
def test_a_large_table_is_read_in_blocks_and_its_places_are_right(put, monkeypatch):
    monkeypatch.setattr(text_table, "BLOCK", 1 << 14)
    rows = [f"{i},{i % 7},{'ab'[i % 2]}" for i in range(20_000)]
    rows[-1] = "2.5,3,b"  # the column turns out to hold fractions in the last block
    data = read(put("t.csv", "\n".join(["x,y,k", *rows])), label="k")
    assert data.x.shape == (20_000, 2)
    assert data.x[[1, 19_998, 19_999]].tolist() == [[1, 1], [19_998, 6], [2.5, 3]]
    assert data.y[[1, 2, 19_999]].tolist() == [1, 0, 1]
    for row, said in [
        ("x,3,b", "line 20001, column 'x': 'x' is not a number"),
        ("inf,3,b", "line 20001, column 'x': the value is infinite; fill it in"),
        ("3,b", "line 20001: expected 3 values as in the first line, got 2"),
        ("3,3,", "line 20001: the label is missing; 1 of 20000 rows have none"),
    ]:
        assert said in refusal(put("t.csv", "\n".join(["x,y,k", *rows[:-1], row])), label="k")


def test_arrow_parses_no_memory_of_pythons(monkeypatch, put):
    # Python's memory, let go of by a thread of Arrow's while Python ends, makes the process abort: exit code 134.
    data, parsed, seen = table().encode(), text_table.pacsv.read_csv, []

    def parse(reader, **options):
        seen.append(reader.read_buffer().address - np.frombuffer(data, np.uint8).ctypes.data)
        reader.seek(0)
        return parsed(reader, **options)

    monkeypatch.setattr(text_table, "content", lambda path, largest: data)
    monkeypatch.setattr(text_table.pacsv, "read_csv", parse)
    assert read(put("t.csv", data), label="k").x.shape == (12, 2)
    assert not 0 <= seen[0] < len(data)


def test_a_cell_too_long_for_the_csv_module_loses_its_line_number_only(put):
    text = table(("\n2,2.0,a", f"\n2,2.0,{'a' * 200_000}"), ("\n4,", "\n,"))
    assert "a label has 200,000 characters" in refusal(put("t.csv", text), label="k")
    text = table(("\n2,2.0,a", f"\n2,2.0,{'a' * 200_000}"), ("\n4,", "\n4,4,"))
    assert "expected 3 columns, got 4 in some line" in refusal(put("t.csv", text), label="k")


# Parquet


def parquet(**columns):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_parquet(put):
    kinds = np.array(["u", "v", "w"])[Y]
    data = read(put("t.parquet", parquet(a=X[:, 0], b=Y > 0, k=kinds)), label="k")
    np.testing.assert_array_equal(data.x, np.column_stack([X[:, 0], Y > 0]).astype(np.float32))
    assert (data.name, data.columns, data.classes) == ("t", ("a", "b"), ("u", "v", "w"))
    assert read(put("t.parquet", parquet(a=X[:, 0], k=Y)), label="k").classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"t": ["text"] * 30}, "t.parquet: no column is left to learn from: 't' holds one text only ('text')"),
        ({"a": [1.0, None, np.inf] * 10}, "t.parquet: row 3, column 'a': the value is infinite, the first of 10 cells"),
        (
            {"a": [[1], [1, 2]] * 15},
            "no column is left to learn from: 'a' holds lists of 1 to 2 values, and only",
        ),
        ({"a": [["b"]] * 30}, "'a' holds values of type list<element: string>, not numbers or texts"),
        ({"a": [{"b": 1}] * 30}, "no column is left to learn from: 'a' holds values of type struct"),
        ({"a": [2**60, 2**60 + 1] * 15}, "column 'a' runs from 1152921504606846976 to 1152921504606846977, steps too"),
        ({"a": [1.0] * 3}, "only 3 rows"),
        ({"a": Y, "": X[:, 0]}, "column 2 of 2 has no name; name it, or leave it out"),
        ({"a": np.zeros(10_000_000)}, "if you trust the file, save it as .npy"),
    ],
)
def test_parquet_that_is_refused(put, columns, said):
    assert said in refusal(put("t.parquet", parquet(**columns)))


def test_parquet_of_several_kinds(put):
    kinds = pd.Categorical(["S", "M", "L"] * 10, categories=["S", "M", "L"], ordered=True)
    frame = pd.DataFrame({"a": X[:, 0], "size": kinds, "city": ["Rome", "Oslo", None] * 10})
    table = pa.Table.from_pandas(frame)
    for name, column in {
        "when": pa.array(range(30), pa.timestamp("ms")),
        "e": [[1.0, 2.0], None, [None, 4.0]] * 10,
        "s": [{"b": 1}] * 30,
        "bytes": pa.array([b"u", b"v"] * 15),
    }.items():
        table = table.append_column(name, pa.array(column))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    data = read(put("t.parquet", buffer.getvalue()))
    assert data.columns == ("a", "size", "city", "when", "e_0", "e_1", "bytes")
    assert [f.kind for f in data.fields] == ["number", "ordered", "category", "date", *["number"] * 2, "category"]
    assert [f.values for f in data.fields if f.values] == [("S", "M", "L"), ("Oslo", "Rome"), ("u", "v")]
    expected = [[0, 1, 0, 1, 2, 0], [1, 0, 0.001, np.nan, np.nan, 1], [2, np.nan, 0.002, np.nan, 4, 0]]
    np.testing.assert_array_equal(data.x[:3, 1:], expected)
    assert "column 's' is set aside: it holds values of type struct<b: int64>" in " ".join(data.cautions)
    assert read("t.parquet", drop="s").x.shape == (30, 7)


def test_parquet_without_its_label_or_its_end(put):
    good = parquet(a=X[:, 0], k=Y)
    assert "no label column 'q'; the columns are 'a', 'k'" in refusal(put("t.parquet", good), label="q")
    assert "t.parquet: can't be read as a Parquet file" in refusal(put("t.parquet", good[:-20]))


# Arrays


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz(save=np.savez, **arrays):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("array", [X, np.asfortranarray(X), X.astype(">f4"), PIXELS, X > 0])
def test_npy(put, array):
    data = read(put("t.npy", npy(array)))
    np.testing.assert_array_equal(data.x, array.astype(np.float32))
    assert (data.name, data.y) == ("t", None)
    assert read("t.npy", labels=Y).classes == ("0", "1", "2")


@pytest.mark.parametrize("rows", ["X", "x", "data", "images"])
@pytest.mark.parametrize("labels", ["y", "labels", "target"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_members(put, rows, labels, save):
    data = read(put("t.npz", npz(save, **{rows: np.asfortranarray(X), labels: np.array(["u", "v", "w"])[Y]})))
    np.testing.assert_array_equal(data.x, X.astype(np.float32))
    assert (data.y.tolist(), data.classes) == (Y.tolist(), ("u", "v", "w"))


def test_npz_labels_by_name_or_none(put):
    name = put("t.npz", npz(X=X, y=Y, other=Y > 0))
    assert read(name).classes == ("0", "1", "2")
    assert read(name, label="other").classes == ("False", "True")
    assert read(name, labels=Y % 2).classes == ("0", "1")
    assert read(put("t.npz", npz(X=X))).y is None
    assert read(put("t.npz", npz(X=X, data=Y)), label="data").classes == ("0", "1", "2")


def header(shape, descr="<f8"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("t.npy", npy(X[0]), {}, "t.npy: shape (4,); expected rows x columns; for one column give X.reshape(-1, 1)"),
        ("t.npy", npy(np.array(3.0)), {}, "t.npy: shape ()"),
        ("t.npy", npy(X[:4]), {}, "t.npy: only 4 rows"),
        ("t.npy", npy(X * 1j), {}, "t.npy: holds complex numbers"),
        ("t.npy", npy(X.astype(object), allow_pickle=True), {}, "t.npy: holds Python objects"),
        ("t.npy", npy(X.astype(str)), {}, "t.npy: holds text"),
        ("t.npy", npy(np.where(X > 2, np.inf, X)), {}, "(X[19, 3]): the value is infinite"),
        ("t.npy", npy(X), {"label": "y"}, "t.npy: label 'y' names a column of a table"),
        ("t.npy", npy(X)[:-8], {}, "t.npy: declares 960 bytes of numbers (shape (30, 4)) but holds 952"),
        ("t.npy", npy(X) + b"more", {}, "but holds 964"),
        ("t.npy", header((10**9, 10**3)), {}, "t.npy: would take 7,450.6 GiB of memory; the limit is 8 GiB"),
        ("t.npy", header((2**40, 0)), {}, "t.npy: no columns to learn from"),
        ("t.npy", header((-5, 4)), {}, "t.npy: declares the shape (-5, 4)"),
        ("t.npy", header((2**33, 1), "|u1"), {}, "would take 32.0 GiB"),
        ("t.npy", b"\x93NUMPY\x09\x00", {}, "t.npy: can't be read as a .npy file"),
        ("t.npy", b"PK", {}, "t.npy: can't be read as a .npy file"),
        ("t.npz", b"PK", {}, "t.npz: can't be read as a .npz file"),
        ("t.npz", npz(X=X, y=Y)[:-30], {}, "t.npz: can't be read as a .npz file"),
        ("t.npz", npz(), {}, "t.npz: no member named X, x, data or images (or X_train and the like); it holds nothing"),
        ("t.npz", npz(rows=X, more=X), {}, "it holds 'rows', 'more'; save the rows with numpy.savez(file, X=...)"),
        ("t.npz", npz(X=X, x=X), {}, "rows could be any of 'X', 'x'; save a file with one of them"),
        ("t.npz", npz(X=X, y=Y, target=Y), {}, "labels could be any of 'y', 'target'; name the labels (--label)"),
        ("t.npz", npz(X=X, target=Y), {"label": "targets"}, "no member 'targets' (did you mean 'target'?)"),
        ("t.npz", npz(X=X, y=Y[:7]), {}, "t.npz: 7 labels for 30 rows"),
        ("t.npz", npz(X=X, y=Y / 2), {}, "t.npz: the label holds fractions such as '0.5'"),
        ("t.npz", npz(X=X, y=np.array([None] * 30)), {}, "t.npz, member 'y': holds Python objects"),
        ("t.npz", npz(X=X.astype("U9")), {}, "t.npz, member 'X': holds text"),
        (
            "t.npz",
            npz(np.savez_compressed, X=np.zeros((1000, 10**4))),
            {},
            "if you trust the file, save it with numpy.save",
        ),
    ],
)
def test_arrays_in_files_that_are_refused(put, name, content, options, said):
    assert said in refusal(put(name, content), **options)


@pytest.mark.parametrize(
    ("rows", "labels"),
    [("X_train", "y_train"), ("x_train", "y_train"), ("train_images", "train_labels"), ("train_data", "train_labels")],
)
def test_npz_of_training_and_test_rows(put, rows, labels):
    name = put("t.npz", npz(**{rows: X, labels: Y, "X_test": X[:12], "y_test": Y[:12]}))
    data = read(name)
    np.testing.assert_array_equal(data.x, X.astype(np.float32))
    assert data.y.tolist() == Y.tolist()
    assert data.cautions[0] == f"rows are member '{rows}'; 'X_test', 'y_test' left out"
    assert "12 labels for 30 rows" in refusal(name, label="y_test")
    assert read(put("t.npz", npz(train_images=PIXELS, train_labels=Y))).images
    assert "rows could be any of 'X_train', 'train_data'" in refusal(put("t.npz", npz(X_train=X, train_data=X)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            gzip.compress(table().encode()),
            "columns): rename it to odd.csv.gz",
        ),
        (
            table((",", ";")).encode(),
            "with separator ';' (its first line should name the columns): rename it",
        ),
        (table((",", "\t")).encode(), "rename it to odd.tsv"),
        (npy(X), "it looks like a .npy file: rename it to odd.npy"),
        (npz(X=X), "rename it to odd.npz"),
        (parquet(a=X[:, 0]), "rename it to odd.parquet"),
        (gzip.compress(idx(PIXELS)), "rename it to odd.idx.gz"),
        (b"some words\nand more\n", "rename or convert the file"),
    ],
    ids=["csv.gz", "semicolons", "tsv", "npy", "npz", "parquet", "idx.gz", "words"],
)
def test_a_file_of_an_odd_name_is_refused_with_a_better_one(put, content, said):
    assert said in refusal(put("odd.data", content))


# IDX


@pytest.mark.parametrize("suffix", ["-idx3-ubyte", ".idx3-ubyte", "-idx3-ubyte.gz", ".idx", ".idx.gz"])
@pytest.mark.parametrize("gzipped_labels", [False, True])
def test_idx_finds_its_labels(put, suffix, gzipped_labels):
    pixels = idx(PIXELS)
    name = put(f"train-images{suffix}", gzip.compress(pixels) if suffix.endswith(".gz") else pixels)
    assert read(name).y is None
    beside = name.replace("images", "labels").replace("idx3", "idx1").removesuffix(".gz") + ".gz" * gzipped_labels
    codes = idx(Y.astype(np.uint8))
    put(beside, gzip.compress(codes) if gzipped_labels else codes)
    data = read(name)
    np.testing.assert_array_equal(data.x, PIXELS)
    assert (data.y.tolist(), data.classes, data.name) == (Y.tolist(), ("0", "1", "2"), "train-images")


@pytest.mark.parametrize(("code", "dtype"), [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_idx_types(put, code, dtype):
    array = (np.arange(40).reshape(20, 2) - 5).astype(dtype)
    np.testing.assert_array_equal(read(put("a.idx", idx(array, code))).x, array.astype(np.float32))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (idx(Y.astype(np.uint8)), "holds one number for each row, probably labels; give the file of the images"),
        (idx(PIXELS)[:-1], "declares 30 x 5 x 4 numbers (600 bytes) but holds 599"),
        (idx(PIXELS) + b"1", "but holds more"),
        (idx(PIXELS[:3]), "only 3 rows"),
        (b"\0\0\x08", "should begin with bytes 0, 0, a type and a rank; got 00 00 08"),
        (b"\0\0\x07\x03" + b"\0" * 99, "not an IDX file"),
        (b"\0\0\x08\x00" + b"\0" * 99, "not an IDX file"),
        (b"\0\0\x08\x03\0", "can't be read as an IDX file"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 60000, 2800, 2800), "GiB of memory; the limit is 8 GiB"),
        (
            idx(np.full((20, 2), np.nan, ">f4"), 13),
            "no column is left to learn from: 'x0' holds no value",
        ),
    ],
)
def test_idx_that_is_refused(put, content, said):
    assert said in refusal(put("a-images-idx3-ubyte", content))
    assert said in refusal(put("b-images-idx3-ubyte.gz", gzip.compress(content)))


def test_idx_with_other_labels_beside_it(put):
    name = put("train-images-idx3-ubyte", idx(PIXELS))
    put("train-labels-idx1-ubyte", idx(Y[:9].astype(np.uint8)))
    assert "30 rows, but train-labels-idx1-ubyte beside it has shape (9,)" in refusal(name)
    assert "label 'y' names a column" in refusal(put("alone.idx", idx(PIXELS)), label="y")


# Files that are none


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.csv", "nowhere.csv: no such file or bundled data set"),
        ("tabel.csv", "(did you mean 'table.csv'?)"),
        ("digit", "digit: no such file or bundled data set (did you mean 'digits'?)"),
        ("swiss roll", "bundled are 'digits', 'breast_cancer', 'wine', 'diabetes', 'iris'"),
        ("gone/away.csv", "gone/away.csv: no such file"),
        (".", "this is a folder; give one file in it"),
        ("folder.csv", "folder.csv: this is a folder"),
        ("", "this is a folder"),
        ("pipe.csv", "pipe.csv: this is not a regular file"),
        ("loose.csv", "loose.csv: can't be read (No such file"),
        ("empty.csv", "empty.csv: the file is empty"),
        ("empty.npz", "empty.npz: the file is empty"),
        ("notes.rtf", "notes.rtf: the format is not known by this name; expected a name that ends in .csv, .csv.gz"),
        ("cut.csv.gz", "cut.csv.gz: can't be read as a gzip file"),
        ("plain.csv.gz", "plain.csv.gz: can't be read as a gzip file"),
        ("bomb.csv.gz", "if you trust the file, unpack it first"),
        ("a\0b.csv", r"'a\x00b.csv': no such file"),
        ("a\nb.csv", r"'a\nb.csv': no such file"),
        ("x" * 4000, "xxx: no such file"),
    ],
)
def test_what_is_no_data_file(put, name, said):
    put("table.csv", table())
    os.mkdir("folder.csv")
    os.mkfifo("pipe.csv")
    os.symlink("nothing.csv", "loose.csv")
    for empty in ("empty.csv", "empty.npz"):
        put(empty, b"")
    put("notes.rtf", "words")
    put("cut.csv.gz", gzip.compress(table().encode())[:-12])
    put("plain.csv.gz", table())
    if name == "bomb.csv.gz":
        put(name, gzip.compress(b"0,0,0,0,0,0,0\n" * 5_000_000))
    text = refusal(name)
    assert said in text
    assert len(text) < 700


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(put):
    os.chmod(put("t.csv", table()), 0)
    assert "check the path and its permissions" in refusal("t.csv")


def test_a_path_object_is_read_like_its_text(put, tmp_path):
    put("t.csv", table())
    data = read(tmp_path / "t.csv", label="k")
    assert (data.name, data.source) == ("t", str(tmp_path / "t.csv"))


@pytest.mark.parametrize("options", [{}, {"time": "rows"}])
def test_a_row_of_one_value_is_told_and_what_makes_more_of_it(put, options):
    path = put("t.csv", "value\n" + "\n".join(f"{i * i % 7}.5" for i in range(40)))
    assert any("a row is one value, of column 'value'" in said for said in read(path, **options).told)
    for other in ("value,b\n" + "\n".join(f"{i % 7}.5,{i % 5}" for i in range(40)),):
        assert not any("a row is one value" in said for said in read(put("u.csv", other), **options).told)
    assert not any("a row is one value" in said for said in read(path, time="rows", window=4).told)
