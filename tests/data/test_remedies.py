"""What is refused is called by its name, and the remedy is the right one; each is a file that people do have."""

import io
import os
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
        (("yes", "no"), "'yes' is one of two words; write 0 for 'no' and 1 for 'yes', or drop this column, or name it"),
        (("F", "T"), "write 0 for 'F' and 1 for 'T'"),
        (("yes", "no", "perhaps"), "is text, and only numbers can be learnt from"),
        (("1/31/2024", "2/28/2024"), "'1/31/2024' looks like a date or a time; drop the column"),
        (("31.01.2024 10:15", "28.02.2024 09:00"), "looks like a date or a time"),
        (("3 Jan 2024", "4 Feb 2024"), "looks like a date or a time"),
        (("2024-01-03T10:00:00.5+01:00 x", "2024"), "looks like a date or a time"),
        (("3.5 kg", "4 kg"), "'3.5 kg' is a number with a unit; write the number alone"),
        (("3kg", "4lb"), "is text, and only numbers can be learnt from"),
        (("(5.5)", "4.5"), "'(5.5)' is a number in brackets, as bookkeepers write negative ones; write -5.5"),
    ],
)
def test_text_that_people_mean_as_numbers(tmp_path, cells, said):
    (tmp_path / "t.csv").write_text(column(*cells))
    found = refusal(tmp_path / "t.csv")
    assert "line 2, column 'x': " in found
    assert said in found
    if said.startswith("'yes'"):
        assert read(tmp_path / "t.csv", label="x").classes == ("no", "yes")


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
        (",y,z\n" + "1,2,3\n" * 12, "leave it out if it only counts the rows (pandas: index=False)"),
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
