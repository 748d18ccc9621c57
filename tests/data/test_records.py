"""Records in JSON are read as the table that they make."""

import gzip
import io
import json
import sys

import numpy as np
import pandas as pd
import pytest

from isthmus.cli import main
from isthmus.data import records
from isthmus.data.read import read
from isthmus.errors import BadInput

random = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "a": random.normal(size=60).round(3),
        "n": random.integers(0, 9, 60),
        "word": random.choice(["red", "blue", None], 60),
        "on": random.random(60) < 0.5,
        "price": [f"{v:.2f}".replace(".", ",") for v in random.uniform(1, 99, 60)],
        "day": pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d"),
    }
)
RECORDS = FRAME.to_dict("records")
LINES = "\n".join(map(json.dumps, RECORDS)) + "\n"


@pytest.mark.parametrize("piece", [100, 1 << 22])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.jsonl", LINES.encode()),
        ("t.ndjson", b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode()),
        ("t.json", json.dumps(RECORDS, indent=1).encode()),
        ("t.json", LINES.encode()),
        ("t.jsonl.gz", gzip.compress(LINES.encode())),
        ("t.json.gz", gzip.compress(json.dumps(RECORDS).encode())),
        ("t.jsonl", LINES.encode("utf-16")),
    ],
)
def test_records_are_read_as_their_frame_is(tmp_path, monkeypatch, name, text, piece):
    monkeypatch.setattr(records, "PIECE", piece)
    (tmp_path / name).write_bytes(text)
    found, frame = read(tmp_path / name), read(FRAME)
    assert found.columns == frame.columns
    assert [field.kind for field in found.fields] == [field.kind for field in frame.fields]
    assert found.digest == frame.digest
    assert found.name == "t"


def test_keys_that_are_lacking_are_gaps_and_lists_are_columns(tmp_path):
    rows = [{"a": i / 7, "v": [i, -i]} | ({"b": i % 5 + 0.5} if i % 3 else {}) for i in range(40)]
    (tmp_path / "t.jsonl").write_text("\n\n".join(json.dumps(row | {"in": {"it": 1}}) for row in rows))
    found = read(tmp_path / "t.jsonl")
    assert found.columns == ("a", "v_0", "v_1", "b")
    assert np.isnan(found.x[:, 3]).sum() == 14
    assert "struct" in str(found.aside["in"])


def test_names_beyond_64_bits_stay_apart(tmp_path):
    rows = [{"id": 10**30 + i % 3, "a": i / 7} for i in range(30)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read(tmp_path / "t.jsonl", label="id").classes == tuple(str(10**30 + i) for i in range(3))


@pytest.mark.slow
def test_a_model_answers_records_of_a_file_and_of_a_pipe(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_text(LINES)
    (tmp_path / "list.json").write_text(json.dumps(RECORDS))
    FRAME.to_csv("t.csv", index=False)
    assert main(["train", "pca", "t.jsonl", "--out", "m", "--measure", "none", "--quiet"]) == 0
    assert main(["score", "m", "t.csv", "--out", "csv.csv"]) == 0
    expected = pd.read_csv("csv.csv")["score"]
    for piece in (100, 1 << 22):
        monkeypatch.setattr(records, "PIECE", piece)
        for name in ("t.jsonl", "list.json"):
            assert main(["score", "m", name, "--out", "out.csv"]) == 0
            np.testing.assert_allclose(pd.read_csv("out.csv")["score"], expected, rtol=1e-4, atol=1e-5)
    for text in (LINES, json.dumps(RECORDS)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text.encode()))))
        assert main(["score", "m", "-", "--out", "out.csv"]) == 0
        np.testing.assert_allclose(pd.read_csv("out.csv")["score"], expected, rtol=1e-4, atol=1e-5)
    assert main(["impute", "m", "t.jsonl", "--out", "full.csv"]) == 0
    assert pd.read_csv("full.csv")["word"].notna().all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}\n{"a": 2\n', "t.jsonl: line 2: can't be read as JSON (Expecting ',' delimiter"),
        ('{"a": 1}\n[1, 2]\n', "t.jsonl: line 2: a list; expected a record like {...}"),
        ('{"a": 1, "a": 2}\n', "line 1: can't be read as JSON (the key 'a' stands twice in a record)"),
        ("[1, 2]", "entry 1 of the list is a number; expected a record like {...}"),
        ("[" * 100_000, "can't be read as JSON ("),
        ('{"a": ' + "[" * 100_000 + "\n", "line 1: can't be read as JSON (nested too deeply)"),
        ('{"a": ' + "9" * 5000 + "}\n", "line 1: can't be read as JSON (Exceeds the limit"),
        ('{"a": 1}\n' * 20 + '{"a": "x"}\n', "record 21, column 'a': 'x' is not a number; correct it, or drop"),
        ('{"a": "y"}\n' * 20 + '{"a": 7}\n', "record 21, column 'a': '7' of type int stands among texts"),
        ('{"a": "\\ud800"}\n' * 20, "can't be read as records in JSON ("),
        ('{"a": Infinity}\n' * 20, "record 1, column 'a': the value is infinite"),
        ('{"a": {"b": 1}}\n' * 20, "no column is left to learn from"),
        (
            '{"a": {"0": 1, "1": 2}, "b": {"0": 1, "1": 2}}',
            "one record that holds whole columns; write one record for each row",
        ),
        ("\n\n", "no column"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(BadInput) as error:
        read(tmp_path / "t.jsonl")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_texts_among_numbers_are_told_across_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "PIECE", 100)
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n' * 24 + '{"a": "x"}\n' * 24)
    with pytest.raises(BadInput, match=r"column 'a' holds int64 up to record 24, and string after it; make all texts"):
        read(tmp_path / "t.jsonl")


@pytest.mark.slow
def test_records_of_keys_of_their_own_are_refused_before_memory_is_taken(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n".join(f'{{"k{i}": 1}}' for i in range(60_000)))
    with pytest.raises(BadInput, match=r"would (take|unpack)"):
        read(tmp_path / "t.jsonl")
    (tmp_path / "t.jsonl").write_text("\n".join(f'{{"k{i}": 1}}' for i in range(120_000)))
    with pytest.raises(BadInput, match="different keys"):
        read(tmp_path / "t.jsonl")
