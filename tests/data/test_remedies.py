"""What is refused is called by its name, and the remedy is the right one; each is a file that people do have."""

import io
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch.utils.data import TensorDataset

from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.ship.remainder import take


def refusal(source, **options):
    with pytest.raises(BadInput) as caught:
        read(source, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def column(*cells):
    return "x,y\n" + "".join(f"{cells[i % len(cells)]},{i * 1.7}\n" for i in range(24))


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("3.5 kg", "4 kg"), "'3.5 kg' is a number with a unit; write the number alone"),
        (("1.5",) * 11 + ("3 kg",), "'3 kg' is a number with a unit; write the number alone"),
        (("1.5",) * 11 + ("old",), "'old' is not a number; correct it, or drop the row or the column, or read"),
        (("1",) * 11 + ("3+",), "or read the column as categories (--kind 'x=category')"),
        (("12%", "3.5"), "'3.5' carries another sign than '12%', or none; write all in one unit"),
        (("$12", "€3"), "'€3' carries another sign than '$12'"),
        (("1_000", "2"), "'1_000' is no number as tables have them; write 1000 if it is one, or read"),
        (("２", "３"), "write 2 if it is one"),
        (("2024-01-03", "2024-01-04", "2024-01-05", "2024-01-06", "2024-01-07", "2024-01-32"), "is no date that is"),
        (("1.3.2024", "2.3.2024 ", "2.4.2024", "3.4.2024", "31.5.2024", "31.4.2024"), "'31.4.2024' is no date that is"),
        (("(5.5)", "(4.5)"), "'(5.5)' is a number in brackets, as bookkeepers write negative ones; write -5.5"),
    ],
)
def test_text_that_people_mean_as_numbers(tmp_path, cells, said):
    (tmp_path / "t.csv").write_text(column(*cells))
    found = refusal(tmp_path / "t.csv")
    shown = re.search(r"line (\d+), column 'x': '(.*?)' ", found)
    assert (tmp_path / "t.csv").read_text().splitlines()[int(shown[1]) - 1].split(",")[0] == shown[2]
    assert said in found
    if "category" in found:
        assert read(tmp_path / "t.csv", kinds={"x": "category"}).fields[0].kind == "category"
    assert read(tmp_path / "t.csv", drop="x").columns == ("y",)


DAY, HOUR = 86400, 3600
JAN, FEB = 19753 * DAY, 19781 * DAY
"""Seconds to 2024-01-31 and 2024-02-28."""
READ = {
    "yes and no": (("yes", "no"), "flag", ("no", "yes"), [1, 0]),
    "letters": (("F", "T"), "flag", ("F", "T"), [0, 1]),
    "german": (("Ja", "Nein", ""), "flag", ("Nein", "Ja"), [1, 0, None]),
    "chinese": (("是", "否"), "flag", ("否", "是"), [1, 0]),
    "spanish": (("sí", "no"), "flag", ("no", "sí"), [1, 0]),
    "three words": (("yes", "no", "perhaps"), "category", ("no", "perhaps", "yes"), [2, 0, 1]),
    "a mark or nothing": (("x", ""), "category", ("x",), [0, None]),
    "codes with zeros": (("007", "7", "0130"), "category", ("007", "7", "0130"), [0, 1, 2]),
    "codes of few values": (("3", "7", "20"), "number", (), [3, 7, 20]),
    "units of two kinds": (("3kg", "4lb"), "category", ("3kg", "4lb"), [0, 1]),
    "lists": (('"1,2,3"', '"1,2"'), "category", ("1,2", "1,2,3"), [1, 0]),
    "blanks around": ((" u", "v ", "w", "  "), "category", ("u", "v", "w"), [0, 1, 2, None]),
    "blanks alone": (("u", "u ", "v"), "category", ("u", "u ", "v"), [0, 1, 2]),
    "month first": (("1/31/2024", "2/28/2024"), "date", (), [JAN, FEB]),
    "day first": (("31/1/2024", "28/2/2024", ""), "date", (), [JAN, FEB, None]),
    "short years": (("31.01.24", "28.02.24"), "date", (), [JAN, FEB]),
    "with a time": (("31.01.2024 10:00", "28.02.2024 09:00"), "date", (), [JAN + 10 * HOUR, FEB + 9 * HOUR]),
    "in the afternoon": (("1/31/2024 1:00 PM", "2/28/2024 9:00 AM"), "date", (), [JAN + 13 * HOUR, FEB + 9 * HOUR]),
    "month in letters": (("31 Jan 2024", "28 Feb 2024"), "date", (), [JAN, FEB]),
    "american letters": (('"January 31, 2024"', '"February 28, 2024"'), "date", (), [JAN, FEB]),
    "iso": (("2024-01-31", "2024-02-28", "NA"), "date", (), [JAN, FEB, None]),
    "zones": (("2024-01-31T01:00:00+01:00", "2024-02-28T00:00:00Z"), "date", (), [JAN, FEB]),
    "months": (("2024-01", "1970-02"), "date", (), [JAN - 30 * DAY, 31 * DAY]),
    "long ago": (("1950-01-01", "1969-12-31"), "date", (), [-7305 * DAY, -DAY]),
    "clock": (("10:30", "11:45"), "number", (), [10.5 * HOUR, 11.75 * HOUR]),
    "some dates": (("2024-01-31", "soon"), "category", ("2024-01-31", "soon"), [0, 1]),
    "versions": (("1.2.3", "1.12.0"), "category", ("1.12.0", "1.2.3"), [1, 0]),
}


@pytest.mark.parametrize(("given", "kind", "values", "expected"), READ.values(), ids=READ)
def test_texts_are_read_as_what_they_mean(tmp_path, given, kind, values, expected):
    rows = column(*given).splitlines()  # beside a column of cities: else numbers without gaps are a plain matrix
    text = "\n".join([f"{rows[0]},city", *(f"{row},{'uv'[i % 2]}" for i, row in enumerate(rows[1:]))])
    (tmp_path / "t.csv").write_text(text)
    data = read(tmp_path / "t.csv")
    assert (data.fields[0].kind, data.fields[0].values, data.fields[0].gaps) == (kind, values, None in expected)
    found = [None if np.isnan(cell) else cell for cell in data.x[: len(expected), 0].tolist()]
    assert found == expected


def test_dates_that_may_be_two_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text(column("1/2/2024", "3/4/2024"))
    said = refusal(tmp_path / "t.csv")
    assert "'1/2/2024' may be day before month or month before day, and so may all others; write dates as" in said
    assert read(tmp_path / "t.csv", kinds={"x": "category"}).fields[0].values == ("1/2/2024", "3/4/2024")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Report of 2024\n" + column("1.5", "2"),
            "the first line has 1 name, and the rows below it have 2 values; take",
        ),
        (
            "a,b,c\n" + column("1.5", "2")[4:],
            "the first line has 3 names, and the rows below it have 2 values; give one name",
        ),
        (
            column("1.5", "2").replace(",", " "),
            "the cells seem to be separated by spaces ('x y'); separate them by commas",
        ),
        (
            "x,y,\n" + column("1.5", "2")[4:].replace("\n", ",\n"),
            "no name; name it, or leave it out; does a separator end",
        ),
        ("x,,z\n" + "1,2,3\n" * 12, "column 2 of 3 has no name; name it, or leave it out"),
        (
            "x y\n" + "".join(f"S{i} 1.5 {i}\n" for i in range(12)),
            "the cells seem to be separated by spaces ('x y'); separate them by commas",
        ),
        (
            "x,y\n" + "1.5,2,\n" * 12,
            "the first line has 2 names, and the rows below it have 3 values; take the separator (',') at the end of",
        ),
        (
            "id,y\n" + "".join(f"{2**53 + 1 + 7 * i},{i}\n" for i in range(20)),
            "from 9007199254740992 to 9007199254741126",
        ),
    ],
)
def test_first_lines_and_identifiers(tmp_path, text, said):
    (tmp_path / "t.csv").write_text(text)
    found = refusal(tmp_path / "t.csv")
    assert said in found
    assert ("drop it if it is an id" in found) == text.startswith("id")


def zipped(*names):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, "x")
        return file.getvalue()


def saved():
    with io.BytesIO() as file:
        torch.save(torch.ones(12, 2), file)
        return file.getvalue()


@pytest.mark.parametrize("name", ["t.dat", "t.csv"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "a spreadsheet: save it as CSV"),
        (zipped("mimetype", "content.xml"), "a spreadsheet: save it as CSV"),
        (zipped("rows.csv"), "a zip archive: unpack it, and give one file of it"),
        (b"PK\x03\x04" + bytes(90), "a zip archive: unpack it"),
        (saved(), "a file of torch.save, which is never unpacked here: save the rows with numpy.save"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file: save its rows with numpy.save"),
        (b"\xd0\xcf\x11\xe0" + bytes(90), "a spreadsheet of old: save it as CSV"),
    ],
)
def test_other_formats_are_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    assert said in refusal(tmp_path / name)


def test_arrays_under_another_name_are_still_found(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.ones((12, 2)))
    (tmp_path / "t.npz").rename(tmp_path / "t.dat")
    assert "it looks like a .npz file: rename it to t.npz" in refusal(tmp_path / "t.dat")


def test_a_folder_that_may_not_be_looked_into(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text(column("1.5"))

    def hidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "lstat", hidden)
    monkeypatch.setattr(os, "stat", hidden)
    assert refusal(tmp_path / "t.csv").endswith("can't be read (Permission denied); check the path and its permissions")


X = np.random.default_rng(0).normal(size=(30, 2))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (load_iris(), "(Bunch); give its entry 'data'"),
        ({"a": [1, 2], "b": [3, 4]}, "(dict); give pandas.DataFrame(...) of it"),
        (load_iris(return_X_y=True), "a pair, perhaps of rows and labels; give them as two arguments"),
        ((row for row in X), "(generator); give a file"),
        (b"rows.csv", "(bytes); give a file"),
        (TensorDataset(torch.ones(12, 2)), "a TensorDataset of torch, not an array; give X.tensors[0]"),
        (torch.empty(12, 2, device="meta"), "a tensor without numbers (on the device meta)"),
        (np.array([["1", "2"]] * 12), "holds text, not real numbers; if it spells numbers give X.astype(float)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_that_are_no_arrays(source, said):
    assert said in refusal(source)


def test_labels_of_python_objects_are_to_be_saved_as_text(tmp_path):
    np.savez(tmp_path / "t.npz", X=X, y=np.array(["a", "b"] * 15, object))
    assert "member 'y': holds Python objects, which are never unpacked; save the labels as y.astype(str)" in refusal(
        tmp_path / "t.npz"
    )


@pytest.mark.parametrize("cells", [("1,5", "2,25"), ("1.234,5", "2.000,25"), ("10 %", "12 %")])
def test_compress_refuses_spellings_that_would_not_come_back(tmp_path, cells):
    path: Path = tmp_path / "t.csv"
    path.write_text("x;y\n" + "".join(f"{cells[i % 2]};{i}\n" for i in range(20)))
    assert read(path).shape == (2,)
    with pytest.raises(
        BadInput, match=r"column 'x' writes its numbers in a way that is not kept .*; write them as 1234.5"
    ):
        take(path, ["x", "y"], (2,))
    path.write_text("sep=;\n# made by hand\nx;y\n" + "".join(f"{i}.5;{i}\n# and so on\n" for i in range(20)))
    assert take(path, ["x", "y"], (2,)).rows[:, 0].tolist() == [i + 0.5 for i in range(20)]


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        (
            "t.txt",
            "{i}.5 -2 1e3",
            "each line holds 3 numbers and no text; numpy.save('t.npy', numpy.loadtxt('t.txt', ndmin=2))",
        ),
        (
            "t.txt",
            "{i};-2",
            "each line holds 2 numbers and no text; numpy.save('t.npy', numpy.loadtxt('t.txt', delimiter=';'",
        ),
        ("t.txt", "{i}", "each line holds 1 number and no text"),
        ("t.log", '{{"a": {i}, "b": null}}', "it looks like records in JSON: rename it to t.jsonl"),
    ],
)
def test_rows_that_stand_in_a_file_of_text(tmp_path, name, line, said):
    (tmp_path / name).write_text("\n".join(line.format(i=i) for i in range(12)))
    assert said in refusal(tmp_path / name)


def test_a_table_that_is_named_a_text_is_told_its_name(tmp_path):
    rows = [f"{i % 12 + 1}/23/2022,{'yes' if i % 3 else 'no'},{'blue' if i % 4 else 'red'}" for i in range(20)]
    (tmp_path / "t.txt").write_text("\n".join(["when,happy,colour", *rows]))
    assert "a table whose first line names its columns, not a text in each line; rename it to t.csv" in refusal(
        tmp_path / "t.txt"
    )
    (tmp_path / "t.txt").rename(tmp_path / "t.csv")
    assert read(tmp_path / "t.csv").columns == ("when", "happy", "colour")
    (tmp_path / "places.txt").write_text("\n".join(f"Oslo {'abc'[i % 3]}, Norway" for i in range(20)))
    assert read(tmp_path / "places.txt").columns == ("text",)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("(1,234.50)", "20.00"), (-1234.5, 20)),
        (("$(7.25)", "$3.00"), (-7.25, 3)),
        (("($7.25)", "$3.00"), (-7.25, 3)),
        (("(12)%", "5%"), (-12, 5)),
        (("( 3 )", ""), None),
    ],
)
def test_brackets_beside_other_numbers_are_negative(tmp_path, cells, values):
    (tmp_path / "t.csv").write_text("x;y\n" + "".join(f"{cells[i % 2]};{i}\n" for i in range(24)))
    if values is None:
        assert "is a number in brackets" in refusal(tmp_path / "t.csv")
    else:
        found = read(tmp_path / "t.csv")
        assert found.x[:2, 0].tolist() == list(values)
        assert f"brackets for a negative number ('{cells[0]}') in 'x'" in "".join(found.told)


def test_words_of_a_column_of_texts_are_no_columns(tmp_path):
    """Names of two words stood above texts whose first one had two words, and the table was refused."""
    texts = ["very good", "not good at all", "fine", "so so", "I would not go there again"] * 20
    (tmp_path / "t.csv").write_text("short review\n" + "\n".join(texts))
    assert read(tmp_path / "t.csv", kinds={"short review": "text"}).columns == ("short review",)
