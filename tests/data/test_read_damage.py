"""Whatever happens to a file's bytes, it is read or refused in one line."""

import gzip
import json
import random
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_read_files import PIXELS, X, Y, idx, npy, npz, parquet, table

from isthmus.data.blocks import blocks
from isthmus.data.read import read
from isthmus.data.source import ENDS, SPOOLED, source
from isthmus.data.survey import survey
from isthmus.errors import BadInput

MIXED = [
    f"{i};{['Oslo', 'Rome', '', 'Zürich'][i % 4]};{['ja', 'nein'][i % 2]};2024-0{1 + i % 9}-1{i % 10};"
    f"{['007', '12'][i % 2]};{['1,5 €', '2.000,25 €', '-'][i % 3]};{'uv'[i % 2]}"
    for i in range(40)
]
FILES = {
    "t.csv": table(("4,8.0", '4,"8.0"')).encode(),
    "t.csv.gz": gzip.compress(table().encode()),
    "t.tsv": table((",", "\t")).encode(),
    "t.parquet": parquet(x=X[:, 0], b=Y > 0, k=np.array(["u", "v", "w"])[Y]),
    "mixed.csv": "\n".join(["a;city;ok;day;zip;money;k", *MIXED]).encode(),
    "western.csv": "\n".join(["a;città;ok;day;zip;money;k", *MIXED]).encode("cp1252"),
    "mixed.parquet": parquet(
        x=pa.array([None if i % 7 == 0 else i / 3 for i in range(30)]),
        city=["Oslo", "Rome", None] * 10,
        size=pa.array(["S", "M", "L"] * 10).dictionary_encode(),
        day=pa.array(range(30), pa.timestamp("ms", "UTC")),
        ok=[True, None, False] * 10,
        e=[[1.0, 2.0], None, [None, 4.0]] * 10,
        s=[{"b": "u"}] * 30,
        k=np.array(["u", "v", "w"])[Y],
    ),
    "t.jsonl": "\n".join(
        json.dumps({"a": i / 3, "city": ["Oslo", None][i % 2], "v": [i, 1], "k": "uv"[i % 2]}) for i in range(40)
    ).encode(),
    "t.json": json.dumps([{"a": i / 3, "city": ["Oslo", "Rome"][i % 2], "k": "uv"[i % 2]} for i in range(40)]).encode(),
    "t.npy": npy(X),
    "stored.npz": npz(X=X, k=Y),
    "packed.npz": npz(np.savez_compressed, X=X, k=Y.astype(str)),
    "t.idx": idx(PIXELS),
    "t.idx.gz": gzip.compress(idx(PIXELS)),
}
PIECES = [b"\0", b'"', b",", b"\n", b"\r", b";", b"\xff" * 8, b"nan", b"1e99", b"9" * 20]


ALIKE = (
    {"t.csv", "t.tsv", "mixed.csv", "western.csv"},
    {"t.parquet", "mixed.parquet"},
    {"t.jsonl", "t.json"},
    {"stored.npz", "packed.npz"},
)
"""Files of one format."""


def damaged(content, draw):
    """One to eight edits, half of them near the start, where headers stand."""
    content = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        at = draw.randrange(max(1, len(content) if draw.random() < 0.5 else min(len(content), 120)))
        match draw.randrange(6):
            case 0:
                content[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del content[at : at + draw.randint(1, 20)]
            case 2:
                content[at:at] = draw.choice(PIECES)
            case 3:
                del content[at:]
            case 4:
                content[at : at + 8] = draw.choice([b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 8])
            case 5:
                content[at:at] = content[at : at + draw.randint(1, 50)]
    return bytes(content)


def refusal(path, label):
    """Why the file is refused; nothing if it is read: then no number is infinite, and gaps are those of its columns."""
    try:
        data = read(path, label=label)
    except BadInput as error:
        return str(error)
    assert not np.isinf(data.x).any()
    gaps = [j for j, field in enumerate(data.fields) if field.gaps]
    assert np.flatnonzero(np.isnan(data.x.reshape(len(data.x), -1)).any(axis=0)).tolist() == gaps
    assert all(sentence.isprintable() for sentence in data.cautions)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, name):
    path, draw = tmp_path / name, random.Random(name)
    label = None if "idx" in name or name.endswith("npy") else "k"
    path.write_bytes(FILES[name])
    assert refusal(path, label) == ""
    refused, tables = 0, name.startswith(("mixed", "western"))
    for _ in range(350 if tables else 120):
        path.write_bytes(damaged(FILES[name], draw))
        said = refusal(path, label)
        assert said.isprintable()
        assert not said or said.startswith(str(path))
        refused += said != ""
    assert refused > (30 if tables else 45)


STREAMED = [name for name in FILES if name.endswith((*ENDS, *SPOOLED))]


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMED)
def test_damaged_files_are_streamed_or_refused_in_one_line(tmp_path, name):
    path, draw = tmp_path / name, random.Random(name)
    path.write_bytes(FILES[name])
    fields = read(path).fields
    assert survey(source(path), rows=8).source.fields == fields
    said = []
    for _ in range(25):
        path.write_bytes(damaged(FILES[name], draw))
        for way in (lambda: survey(source(path), rows=8), lambda: list(blocks(path, fields))):
            try:
                way()
            except BadInput as error:
                said.append(str(error))
    assert len(said) > 5
    assert all(one.isprintable() and one.startswith(str(path)) for one in said)


@pytest.mark.parametrize("name", FILES)
def test_a_file_under_a_foreign_name_is_refused_in_one_line(tmp_path, name):
    for other, content in FILES.items():
        same = any({name, other} <= group for group in ALIKE)
        if other != name and not same:
            (tmp_path / name).write_bytes(content)
            with pytest.raises(BadInput, match=name) as caught:
                read(tmp_path / name, label=None if name.endswith(("npy", "idx", "idx.gz")) else "k")
            assert str(caught.value).isprintable()


def test_a_text_that_is_in_no_dictionary_is_refused_and_not_looked_up(tmp_path):
    path, refused = tmp_path / "t.parquet", 0
    pq.write_table(pa.table({"k": ["u", "v", "w"] * 8, "a": range(24)}), path, compression="none")
    content = path.read_bytes()
    for at in range(4, 100):  # the dictionary, and the places in it
        path.write_bytes(content[:at] + b"\xff" + content[at + 1 :])
        with suppress(BadInput):
            survey(source(path), rows=8)
            continue
        refused += 1
    assert refused > 5
