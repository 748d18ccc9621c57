"""What the pages of a Parquet file unpack to, from the pages' own headers: a footer may say anything.

References
----------
Apache Parquet, "File format" and ``parquet.thrift``: ``PageHeader``; Apache Thrift, "Compact protocol".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow.parquet as pq

from isthmus.data.wording import place
from isthmus.errors import BadInput

HEADER = 1 << 16
"""Bytes in which a page header ends, statistics included."""
ENCODING = {5: 2, 8: 4}
"""Fields of a page header that tell of data pages, of version 1 and 2, and in these the one that tells the encoding."""
DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY = 6, 7
DEEPEST = 8


class Column(NamedTuple):
    """The pages of one column."""

    name: str
    """Of the column of the table that it belongs to."""
    values: int
    """Values, of a list all its elements."""
    unpacked: int
    """Bytes of all pages, unpacked."""
    shared: int
    """Bytes of the largest one in which a text may be the one before it and a little more, so that it unpacks to more
    than its bytes; 0 if there is none."""
    delta: bool
    """Whether texts are stored by their differences, which cannot be read as codes."""


class Page(NamedTuple):
    values: int
    size: int
    encoding: int


def columns(path: Path, footer: pq.FileMetaData) -> list[Column]:
    """The pages of each leaf column of a file.

    Raises
    ------
    BadInput
        If there are no such pages where the footer says.
    """
    found = []
    with path.open("rb") as file:
        for j in range(footer.num_columns):
            pages = [_pages(path, file, footer.row_group(g).column(j)) for g in range(footer.num_row_groups)]
            every = [page for group in pages for page in group]
            encodings = {page.encoding for page in every}
            found.append(
                Column(
                    name=footer.schema.column(j).path.split(".")[0],
                    values=sum(page.values for page in every),
                    unpacked=sum(page.size for page in every),
                    shared=max((page.size for page in every if page.encoding == DELTA_BYTE_ARRAY), default=0),
                    delta=bool(encodings & {DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY}),
                )
            )
    return found


def _pages(path: Path, file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> list[Page]:
    """The pages of a piece of a column, as a reader goes through them."""
    at, first = chunk.data_page_offset, chunk.dictionary_page_offset
    if chunk.has_dictionary_page and first is not None and 0 < first < at:
        at = first
    end, seen = at + chunk.total_compressed_size, 0
    found: list[Page] = []
    while at < end and seen < chunk.num_values:
        file.seek(at)
        bytes_ = file.read(HEADER)
        try:
            header, length = _struct(bytes_, 0, 0)
            size, packed = int(header[2]), int(header[3])
            field = next((field for field in ENCODING if field in header), None)
            values, encoding = (0, 0) if field is None else (int(header[field][1]), int(header[field][ENCODING[field]]))
        except (IndexError, KeyError, TypeError, ValueError):
            raise _damaged(path) from None
        if min(size, packed, values) < 0:
            raise _damaged(path)
        found.append(Page(values, size, encoding))
        seen += values
        at += length + packed
    return found


def _damaged(path: Path) -> BadInput:
    return BadInput(
        f"{place(path)}: can't be read as a Parquet file (a page has no valid header); the file may be damaged or cut "
        "short: fetch it again"
    )


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """A struct in Thrift's compact protocol, its numbers and structs by field, and where it ends."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    fields: dict[int, Any] = {}
    number = 0
    while (head := data[at]) != 0:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _whole(data, at)
        fields[number], at = _value(data, at, head & 15, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true and false
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _whole(data, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _varint(data, at)
        if at + length > len(data):
            raise ValueError("beyond the header")
        return None, at + length
    if kind in (9, 10):
        head, at = data[at], at + 1
        count = head >> 4
        if count == 15:
            count, at = _varint(data, at)
        for _ in range(count):
            _, at = _value(data, at + (head & 15 in (1, 2)), head & 15, depth + 1)
            data[at - 1]
        return None, at
    if kind == 12:
        return _struct(data, at, depth + 1)
    raise ValueError(f"type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("too long")


def _whole(data: bytes, at: int) -> tuple[int, int]:
    """A signed number: zigzag."""
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
