"""Text tables: ``.csv`` and ``.tsv``, plain or gzipped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from isthmus.data.files import LARGEST_TEXT, content, parsing
from isthmus.data.numbers import spelled
from isthmus.data.raw import Raw
from isthmus.data.table import named, table
from isthmus.data.wording import place, shown
from isthmus.errors import BadInput

SEPARATORS = ",;\t|"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLOCK = 1 << 22
"""Bytes that are parsed at a time: several times faster than all at once; a line has to fit, however wide."""
MOST_COLUMNS = 100_000
MISSING = ["", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NULL", "null", "None"]
"""What stands for a missing number."""


def text_table(path: Path, label: str | None) -> Raw:
    """A table in UTF-8 whose first line names the columns; the separator is what parts most of these names."""
    where, data, names, separator, head = _opened(path, label)
    cells = _parse(where, data, head, names, separator, [] if label is None else [label])
    return table(where, names, cells, _Lines(data, separator), label)


def spelled_table(path: Path) -> tuple[pa.Table, str]:
    """The same table with every cell as it is spelled, and its separator."""
    where, data, names, separator, head = _opened(path, None)
    return pa.table(_parse(where, data, head, names, separator, names), names=names), separator


def _opened(path: Path, label: str | None) -> tuple[str, bytes, list[str], str, int]:
    """Words for the place, the text, names of the columns, the separator, and where the body begins."""
    where = place(path)
    data = content(path, LARGEST_TEXT)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(f"{where}: the text is UTF-16; save the file as UTF-8")
    names, separator, head = _header(where, path, data)
    named(where, names, label)
    if len(names) > MOST_COLUMNS:
        raise BadInput(f"{where}: {len(names):,} columns; text tables may have {MOST_COLUMNS:,}; save it as .npy")
    if not re.compile(rb"\S").search(data, head):
        raise BadInput(f"{where}: no rows below the line of column names; give a file with rows")
    return where, data, names, separator, head


def _header(where: str, path: Path, data: bytes) -> tuple[list[str], str, int]:
    """Names of the columns, the separator, and where the body begins."""
    line_break = re.compile(rb"[\r\n]+")  # searched in place: the file may be large
    start = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
    blank = line_break.match(data, start)
    start = blank.end() if blank else start
    end = found.start() if (found := line_break.search(data, start)) else len(data)
    try:
        line = data[start:end].decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{where}: the line of column names is not UTF-8; save the file as UTF-8") from None
    if "\0" in line:
        raise BadInput(f"{where}: holds binary data, not text; check what the file is")
    if not line.strip():
        raise BadInput(f"{where}: no text in the file; check where it came from")
    outside = re.sub(r'"[^"]*"', "", line)
    tsv = path.name.lower().removesuffix(".gz").endswith(".tsv")
    separator = "\t" if tsv else max(SEPARATORS, key=outside.count)
    if '"' in outside:
        raise BadInput(f"{where}: a quote opens in the line of column names and does not close there; close it")
    names = [name.strip() for name in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    if _is_data(names):
        raise BadInput(
            f"{where}: the first line holds numbers ({', '.join(names[:3])}, …) where the names of the columns should "
            "stand; put a line of names above it"
        )
    return names, separator, end


def _is_data(names: list[str]) -> bool:
    """Whether a first line is a row: mostly numbers, that do not count up as numbered columns or wavelengths do."""
    values = [value for name in names if (value := spelled(name)) is not None]
    if len(values) * 2 <= len(names):
        return False
    counted = values[0] in (0, 1) and all(b - a == 1 for a, b in pairwise(values))
    rising = len(values) >= 8 and all(b > a for a, b in pairwise(values))
    return not (counted or rising)


def _parse(
    where: str, data: bytes, head: int, names: list[str], separator: str, texts: list[str]
) -> list[pa.ChunkedArray]:
    # Columns go by position here: their true names may be anything.
    columns = [str(i) for i in range(len(names))]
    types = {str(names.index(name)): pa.string() for name in texts}
    try:
        found = pacsv.read_csv(
            pa.BufferReader(_apart(data, head)),
            read_options=pacsv.ReadOptions(column_names=columns, block_size=min(max(BLOCK, 64 * head), 2**31 - 1)),
            parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in data),
            convert_options=pacsv.ConvertOptions(column_types=types, null_values=MISSING),
        )
    except Exception as error:
        ragged = re.search(r"Expected \d+ columns, got \d+", str(error))
        if ragged:
            raise _ragged(where, data, separator, len(names), ragged.group()) from None
        with parsing(where, "a text table"):
            raise
    return list(found.columns)


def _apart(data: bytes, head: int) -> pa.Buffer:
    """The body in memory of Arrow's own. A thread of Arrow's may let go of it late, when Python is already ending; were
    it Python's memory, the process would abort there."""
    body = pa.allocate_buffer(len(data) - head)
    np.frombuffer(body, np.uint8)[:] = np.frombuffer(data, np.uint8, offset=head)
    return body


def _records(data: bytes, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header, each with the number of the line it begins on; slow, for messages only."""
    text = data.removeprefix(BYTE_ORDER_MARK).decode("utf-8", errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    seen, line = 0, 1
    for record in reader:
        if record:
            seen += 1
            if seen > 1:
                yield line, record
        line = reader.line_num + 1


class _Lines:
    """The line on which row i stands, as an editor counts: found only when a message needs it."""

    def __init__(self, data: bytes, separator: str) -> None:
        self.data, self.separator = data, separator

    def __call__(self, i: int) -> str:
        try:
            for k, (line, _) in enumerate(_records(self.data, self.separator)):
                if k == i:
                    return f"line {line}"
        except csv.Error:  # cells longer than the csv module takes
            pass
        return f"row {i + 1}"


def _ragged(where: str, data: bytes, separator: str, expected: int, said: str) -> BadInput:
    try:
        for line, record in _records(data, separator):
            if len(record) != expected:
                return BadInput(
                    f"{where}: line {line}: expected {expected} values as in the first line, got {len(record)}; "
                    f"mend the line (separator {shown(separator)})"
                )
    except csv.Error:
        pass
    return BadInput(f"{where}: {said.lower()} in some line; mend it (separator {shown(separator)})")
