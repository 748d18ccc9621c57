"""Files made to fill the memory are refused while they are still small, whatever they say of themselves."""

import struct
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.lib import format as npy

from isthmus.data.pages import columns
from isthmus.data.read import read
from isthmus.errors import BadInput

BIG = 1 << 27
"""Bytes that a bomb unpacks to: far more than it may take, and quickly made."""
MOST = 64
"""MiB that refusing one may take, the memory of libraries included that are loaded for it."""
READERS = """
import os, resource, sys
from isthmus.data.read import read
from isthmus.errors import BadInput
import isthmus.data.table, isthmus.data.bundled
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for line in sys.stdin:
    path, _, label = line.removesuffix("\\n").partition("\\t")
    if os.fork():
        os.wait()
        continue
    try:
        error = " ".join(read(path, label=label or None).cautions)
    except BadInput as bad:
        error = bad
    print(max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, error, flush=True)
    os._exit(0)
"""
"""A small process that has imported what reads files, and forks a reader for each."""


def head(stream, shape):
    npy.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})


def packed(path, method, shape, size):
    """A member X whose header says ``shape`` and that holds ``size`` zeros."""
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("X.npy", "w", force_zip64=True) as stream:
        head(stream, shape)
        for _ in range(0, size, 1 << 20):
            stream.write(bytes(1 << 20))


def long_header(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", BIG) + b" " * BIG)


def lying(path):
    """A deflated member that is declared to hold 40 bytes of numbers and unpacks to far more."""
    packed(path, zipfile.ZIP_DEFLATED, (10, 4), BIG)
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        size = archive.infolist()[0].file_size
    assert raw.count(struct.pack("<I", size)) >= 1
    path.write_bytes(raw.replace(struct.pack("<I", size), struct.pack("<I", 168)))


def lists(path):
    ends = pa.array(np.linspace(0, BIG // 8, 11).astype(np.int32))
    column = pa.ListArray.from_arrays(ends, pa.array(np.zeros(BIG // 8)))
    pq.write_table(pa.table({"a": column}), path, compression="zstd")


def coded_text(path):
    text = "x" * 200_000
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1] * (BIG // 400_000), pa.int32()), [text, text + "y"])
    plain = column.dictionary_decode()
    pq.write_table(pa.table({"a": np.arange(len(plain)) ** 0.5, "k": plain}), path, compression="zstd")


def shared_beginnings(path):
    texts = pa.array(["x" * (800 * i) for i in range(1, 580)])
    table = pa.table({"a": np.arange(len(texts)) ** 0.5, "k": texts})
    encoding = {"k": "DELTA_BYTE_ARRAY", "a": "PLAIN"}
    pq.write_table(table, path, compression="zstd", use_dictionary=False, column_encoding=encoding)


BOMBS = {
    "bzip2.npz": (lambda path: packed(path, zipfile.ZIP_BZIP2, (10, 4), BIG), "packed in a way that numpy does not"),
    "lzma.npz": (lambda path: packed(path, zipfile.ZIP_LZMA, (10, 4), BIG), "packed in a way that numpy does not"),
    "wide.npz": (
        lambda path: packed(path, zipfile.ZIP_DEFLATED, (10, 6_600_000), 0),
        "(10, 6600000)) but holds 0",
    ),
    "zeros.npz": (lambda path: packed(path, zipfile.ZIP_DEFLATED, (10, BIG // 10), BIG), "over 200 times as many"),
    "lying.npz": (lying, "can't be read as"),
    "header.npz": (long_header, "declares a header of 134,217,728 bytes"),
    "lists.parquet": (lists, "over 200 times as many"),
    "text.parquet": (coded_text, "characters or over 200 times or hardly share a word"),
    "shared.parquet": (shared_beginnings, "characters or over 200 times"),
}


LABELLED = [(name, "k") for name in BOMBS if name.startswith(("text", "shared"))]


@pytest.fixture(scope="module")
def readers():
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", READERS], text=True, **pipes) as process:
        yield process


@pytest.mark.slow
@pytest.mark.parametrize(("name", "label"), [*((name, "") for name in BOMBS), *LABELLED])
def test_a_bomb_is_refused_in_one_line_and_little_memory(tmp_path, readers, name, label):
    make, said = BOMBS[name]
    path = tmp_path / name
    make(path)
    assert path.stat().st_size < 1 << 20
    readers.stdin.write(f"{path}\t{label}\n")
    readers.stdin.flush()
    taken, _, message = readers.stdout.readline().strip().partition(" ")
    assert any(words in message for words in said.split(" or ")), message
    assert message.isprintable()
    assert int(taken) < (MOST if not name.startswith("shared") else 4 * MOST)


def test_no_row_is_wider_than_a_million_numbers(tmp_path):
    np.savez_compressed(tmp_path / "wide.npz", X=np.zeros((10, 1_000_001), np.uint8))
    with pytest.raises(BadInput, match="1,000,001 numbers in a row; the limit is 1,000,000"):
        read(tmp_path / "wide.npz")


def test_more_than_the_free_memory_is_refused_before_it_is_taken(monkeypatch):
    from isthmus.data import files

    monkeypatch.setattr(files, "free", lambda: 1e9)
    with pytest.raises(BadInput, match=r"would take 2\.0 GiB of memory, and 0\.9 GiB are free"):
        read(np.broadcast_to(np.float32(0), (1 << 19, 1 << 10)))


def test_the_free_memory_is_that_of_the_system_or_the_limit_of_the_process():
    code = (
        "import resource; from isthmus.data.files import free; assert free() > 0; "
        "resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)); assert free() < 8 << 30"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_pages_are_counted_from_their_own_headers(tmp_path, version, compression):
    path = tmp_path / "t.parquet"
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "a": rng.normal(size=5000),
            "l": pa.array([[1.0] * (i % 4) for i in range(5000)]),
            "t": pa.array([None if i % 7 == 0 else f"text {i % 50}" for i in range(5000)]),
        }
    )
    pq.write_table(
        table, path, compression=compression, data_page_version=version, row_group_size=1700, data_page_size=900
    )
    footer = pq.ParquetFile(path).metadata
    found = columns(path, footer)
    elements = 5000 // 4 * (1 + 1 + 2 + 3)  # an empty list counts as one value
    assert [(c.name, c.values, c.shared) for c in found] == [("a", 5000, 0), ("l", elements, 0), ("t", 5000, 0)]
    groups = [footer.row_group(g) for g in range(footer.num_row_groups)]
    assert all(c.unpacked <= sum(g.column(j).total_uncompressed_size for g in groups) for j, c in enumerate(found))
    assert all(c.unpacked > 0 for c in found)


def test_page_checksums_are_verified(tmp_path):
    path = tmp_path / "t.parquet"
    x = np.random.default_rng(0).normal(size=1000)
    pq.write_table(pa.table({"a": x}), path, compression="none", use_dictionary=False, write_page_checksum=True)
    assert read(path).x.shape == (1000, 1)
    raw = bytearray(path.read_bytes())
    at = raw.index(x[500:].tobytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BadInput, match=r"t.parquet: can't be read as a Parquet file .*(crc|checksum|CRC)"):
        read(path)


def test_honest_text_of_every_encoding_is_read(tmp_path):
    kinds, x = ["u", "v", "w"] * 100, np.arange(300) ** 0.5
    for encoding in ("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"):
        path = tmp_path / f"{encoding}.parquet"
        pq.write_table(
            pa.table({"a": x, "k": kinds}), path, use_dictionary=False, column_encoding={"k": encoding, "a": "PLAIN"}
        )
        assert read(path, label="k").classes == ("u", "v", "w")
