"""Records in JSON and lines of text that do not fit into memory: the same rows as in memory, wherever pieces end."""

import gzip
import json

import numpy as np
import pytest

import isthmus
from isthmus.cli import main
from isthmus.data import records, text_pieces
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.errors import BadInput

random = np.random.default_rng(0)
N = 240
WORDS = [f"{a}{b}" for a in ("good", "poor", "long", "dull") for b in ("film", "plot", "cast", "song")]
RECORDS = [
    {
        "a": i if i < 150 else i + 0.5,
        "price": f"{i % 17},{i % 90 + 10}",
        "word": [None, "red", "blue"][i % 3],
        "on": bool(i % 2),
        "day": f"2024-01-{1 + i % 28:02d}",
        "in": {"it": i} if i % 2 else {},
        "none": {},
    }
    | ({"late": [i / 7, -i]} if i % 5 else {})
    for i in range(N)
]
LINES = "\n".join(map(json.dumps, RECORDS)) + "\n"
TEXTS = [" ".join(random.choice(WORDS, random.integers(6, 12))) for _ in range(N)]


@pytest.mark.slow
@pytest.mark.parametrize("piece", [900, 1 << 22])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.jsonl", LINES.encode()),
        ("t.jsonl", b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode()),
        ("t.ndjson.gz", gzip.compress(LINES.encode())),
        ("t.json", json.dumps(RECORDS, indent=1).encode()),
        ("t.jsonl", LINES.encode("utf-16")),
    ],
)
def test_records_are_those_in_memory(tmp_path, monkeypatch, name, text, piece):
    monkeypatch.setattr(records, "PIECE", piece)
    (tmp_path / name).write_bytes(text)
    near, far = read(tmp_path / name), survey(source(tmp_path / name), rows=30)
    assert far.source.name == near.name == "t"
    assert far.source.fields == near.fields
    assert far.source.columns == near.columns
    assert far.digest == near.digest
    said = {one.split(" (")[0] for one in near.told if "'none'" not in one}
    assert said <= {one.split(" (")[0] for one in far.source.told}
    assert any("column 'none' is set aside" in one for one in far.source.told)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n".join('{"a": 1}' for _ in range(30)) + '\n{"a": "x"}\n', "record 31, column .a.: .x. is not a number"),
        ('{"a": 1}\n' * 5 + "{'a': 1}\n", "line 6: can't be read as JSON"),
        ('{"a": [1, 2]}\n', "one record that holds whole columns"),
        ('{"a": 1}\n' * 5, "at least 10 are needed"),
        ("[" + ",".join(f'{{"a": {i}}}' for i in range(200)) + "]", "one list of more than 900 bytes"),
    ],
)
def test_what_is_refused_in_memory_is_refused_here(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr(records, "PIECE", 300)
    monkeypatch.setattr("isthmus.data.spool.LIST", 900)
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(BadInput, match=said):
        survey(source(tmp_path / "t.json"))


@pytest.mark.slow
def test_a_bomb_of_records_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.data.files.SUSPECT", 1 << 16)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(b'{"a": 0}\n' * 60_000))
    with pytest.raises(BadInput, match="would unpack to"):
        source(tmp_path / "t.jsonl.gz")


@pytest.mark.parametrize("piece", [500, 1 << 22])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_text_are_those_in_memory(tmp_path, monkeypatch, piece, end):
    monkeypatch.setattr(text_pieces, "PIECE", piece)
    (tmp_path / "t.txt").write_bytes(end.join(["", "café", *TEXTS]).encode("utf-8") + end.encode())
    near, far = read(tmp_path / "t.txt"), survey(source(tmp_path / "t.txt"), rows=30)
    assert far.source.fields == near.fields
    assert far.rows == len(near.x)
    data, parts = far.dataset()
    for part, numbers in zip(parts, far.drawn, strict=True):
        assert data.x[part].tolist() == near.x[numbers].tolist()


@pytest.mark.parametrize(
    ("text", "said"),
    [("1,2\n3,4\n" * 9, "each line holds 2 numbers"), ("\n \n" * 9, "no text in the file"), ("a\0b\n" * 20, "binary")],
)
def test_what_is_no_text_is_refused_as_in_memory(tmp_path, text, said):
    (tmp_path / "t.txt").write_text(text)
    for way in (read, source):
        with pytest.raises(BadInput, match=said):
            way(tmp_path / "t.txt")


@pytest.mark.parametrize("terms", [5, 9])
def test_so_many_terms_are_kept_as_are_asked_for(tmp_path, terms):
    (tmp_path / "t.txt").write_text("\n".join(TEXTS))
    known = survey(source(tmp_path / "t.txt", terms=terms), rows=40)
    assert known.width == terms
    assert known.source.fields == read(tmp_path / "t.txt", terms=terms).fields
    with pytest.raises(BadInput, match="terms must be a whole number"):
        source(tmp_path / "t.txt", terms=0)


def test_terms_need_free_text(tmp_path):
    np.save(tmp_path / "t.npy", random.normal(size=(60, 3)))
    with pytest.raises(BadInput, match="no column is one"):
        survey(source(tmp_path / "t.npy", terms=9))


@pytest.mark.slow
def test_the_command_line_trains_on_records_by_so_many_terms(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"text": t, "n": i % 7}) for i, t in enumerate(TEXTS)))
    line = ["train", "plain", "t.jsonl", "--memory", "2GiB", "--out", "m", "--steps", "20", "--measure", "none"]
    assert main([*line, "--terms", "6", "--json"]) == 0
    assert "terms are taken and weighed" in capsys.readouterr().err
    assert isthmus.load("m").layout.columns[0].width == 6
    assert main(["score", "m", "t.jsonl", "--out", "s.csv"]) == 0
