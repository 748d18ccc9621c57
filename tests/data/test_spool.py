"""Text tables that do not fit into memory: the same columns as of the same text in memory, wherever pieces end."""

import gc
import gzip
from pathlib import Path

import numpy as np
import pytest

from isthmus.cli import main
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.errors import BadInput

ROWS = 300


def written(separator=",", comma=False, end="\n") -> str:
    """A table as people have them: words, line breaks in quotes, codes, gaps, dates, and numbers of several kinds."""
    random = np.random.default_rng(0)
    mark = "," if comma else "."
    lines = [separator.join(("city", "note", "code", "price", "count", "late", "day", "yes", "flag", "thousands"))]
    for i in range(ROWS):
        note = f'"a{separator} ""b""{end}c"' if i % 7 == 0 else f"plain {i % 3}"
        price = f"{random.normal(0, 9):.2f}".replace(".", mark) if i % 11 else "NA"
        late = str(i) if i < 200 else f"{i}{mark}5"
        large = f"{1000 + 9 * i:,}".replace(",", "." if comma else ",")
        large = f'"{large}"' if separator in large else large
        price = f'"{price}"' if separator in price else price
        late = f'"{late}"' if separator in late else late
        row = (random.choice(["Oslo", "Bærum", "?"]), note, f"{random.integers(0, 30):03d}", price, str(i % 5), late)
        lines.append(
            separator.join((*row, f"2024-01-{1 + i % 28:02d}", random.choice(["yes", "no"]), str(i % 2), large))
        )
    return end.join(lines) + end


TEXTS = {
    "plain.csv": written().encode(),
    "comma.csv": written(";", comma=True).encode(),
    "marked.csv": b"\xef\xbb\xbf" + written().encode(),
    "sep.csv": ("sep=|\n" + written("|")).encode(),
    "comments.csv": ("# made by hand\n" + written().replace("\nOslo", "\n# a comment\nOslo", 3)).encode(),
    "western.csv": written().encode("cp1252"),
    "wide.csv": written().encode("utf-16"),
    "tabs.tsv": written("\t", comma=True, end="\r\n").encode(),
    "packed.csv.gz": gzip.compress(written().encode()),
    "numbers.csv": b"a,b\n" + b"".join(b"%d,%d.5\n" % (i, i * i % 17) for i in range(200)),
    "gaps.csv": b"a,b,c\n" + b"".join(b"%d,%s,\n" % (i, b"" if i % 9 == 8 else b"%d" % (i % 17)) for i in range(200)),
    "late.csv": b"a,b\n" + b"1,2\n" * 150 + b"x,3\n" * 50,
}


@pytest.mark.slow
@pytest.mark.parametrize("piece", [1500, 1 << 22])
@pytest.mark.parametrize("name", TEXTS)
def test_columns_are_those_of_the_text_in_memory(tmp_path, monkeypatch, name, piece):
    monkeypatch.setattr("isthmus.data.text_pieces.PIECE", piece)
    (tmp_path / name).write_bytes(TEXTS[name])
    near, far = read(tmp_path / name), survey(source(tmp_path / name), rows=40)
    assert far.source.fields == near.fields
    assert far.source.columns == near.columns
    assert far.digest == near.digest
    assert {one.split(" (")[0] for one in near.told} <= {one.split(" (")[0] for one in far.source.told}


@pytest.mark.slow
def test_what_people_write_is_read_with_its_label_and_kinds(tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.data.text_pieces.PIECE", 700)
    (tmp_path / "a.csv").write_bytes(TEXTS["comma.csv"])
    asked = {"label": "code", "kinds": {"count": "count", "city": "drop"}, "missing": [4.0]}
    near, far = read(tmp_path / "a.csv", **asked), survey(source(tmp_path / "a.csv", **asked), rows=40)
    assert far.source.fields == near.fields
    data, parts = far.dataset()
    for part, numbers in zip(parts, far.drawn, strict=True):
        np.testing.assert_array_equal(data.x[part], near.x[numbers])
        assert [data.classes[k] for k in data.y[part]] == [near.classes[k] for k in near.y[numbers]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n" + "1,2\n" * 50 + "1,2,3\n", "line 52: expected 2 values"),
        ("a,b\n" + "1,2\n" * 3, "at least 10 are needed"),
        ("a,b\n", "no rows below"),
        ("a;b\n" + "1,5;2\n" * 300 + "1.5;3\n", "some decimals have a comma, others a point"),
        ("a;b\n" + "1,500;2\n" * 30, "may be 1.500"),
        ("a,b\n" + "$1,2\n" * 200 + "€1,2\n" * 9, "carries another sign"),
        ("a,b\n" + "12345678901234567890123,2\n" * 30 + "12345678901234567890124,2\n", "too fine"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr("isthmus.data.text_pieces.PIECE", 700)
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(BadInput, match=said):
        survey(source(tmp_path / "a.csv"))


@pytest.mark.slow
def test_the_temporary_file_is_told_bounded_and_removed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Path("a.csv").write_bytes(TEXTS["plain.csv"])
    line = ["train", "plain", "a.csv", "--memory", "2GiB", "--out", "model", "--steps", "60", "--measure", "none"]
    assert main(line) == 0
    assert "read once into a temporary file of columns" in capsys.readouterr().err
    gc.collect()
    assert {one.name for one in tmp_path.iterdir()} == {"a.csv", "model"}
    monkeypatch.setattr("isthmus.data.spool.SPARE", 1 << 60)
    assert main(line) == 2
    assert "name another folder (TMPDIR)" in capsys.readouterr().err
    gc.collect()
    assert {one.name for one in tmp_path.iterdir()} == {"a.csv", "model"}
    monkeypatch.setattr("isthmus.data.files.SUSPECT", 1 << 16)
    Path("bomb.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"0,0\n" * 60_000))
    with pytest.raises(BadInput, match="would unpack to"):
        source("bomb.csv.gz")
