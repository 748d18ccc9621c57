"""What the record batches of an Arrow IPC file hold and unpack to, from the file's own tables: none is unpacked.

References
----------
Apache Arrow, "Arrow columnar format: serialization and interprocess communication", ``File.fbs`` and ``Message.fbs``;
FlatBuffers, "FlatBuffer internals".
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from isthmus.data.files import stranger
from isthmus.data.wording import place
from isthmus.errors import BadInput

MAGIC, CONTINUED = b"ARROW1", 0xFFFFFFFF
DICTIONARIES, BATCHES = 2, 3
"""Fields of a footer."""
HEADER, DATA, LENGTH, BUFFERS, COMPRESSION = 2, 1, 0, 2, 3
"""Fields of a message, of a batch of a dictionary, and of a batch."""
OF_DICTIONARY = 2
"""The kind of a message that holds a dictionary."""
LARGEST = 1 << 26
"""Bytes of a table about a batch."""


class Batch(NamedTuple):
    """A record batch, or a piece of a dictionary."""

    rows: int
    unpacked: int
    """Bytes of its buffers, unpacked."""


def batches(path: Path) -> tuple[list[Batch], list[Batch]]:
    """The record batches of a file, and its dictionaries.

    Raises
    ------
    BadInput
        If there are no such tables where the file says.
    """
    size = path.stat().st_size
    if what := stranger(path):
        raise BadInput(f"{place(path)}: this is {what}")
    try:
        with path.open("rb") as file:
            file.seek(max(0, size - 10))
            (length,), magic = struct.unpack("<i", file.read(4)), file.read(6)
            if magic != MAGIC or not 0 < length <= min(size, LARGEST):
                raise ValueError("no footer")
            file.seek(size - 10 - length)
            footer = _Table.root(file.read(length))
            found = [[_batch(file, size, *one) for one in footer.blocks(field)] for field in (BATCHES, DICTIONARIES)]
            return found[0], found[1]
    except (ValueError, struct.error, IndexError):
        raise BadInput(
            f"{place(path)}: can't be read as an Arrow IPC file; the file may be damaged or cut short: fetch it again, "
            "or save it as Parquet"
        ) from None


def _batch(file: BinaryIO, end: int, at: int, length: int) -> Batch:
    if not 8 <= length <= LARGEST or not 0 <= at <= end - length:
        raise ValueError("no message")
    file.seek(at)
    about = file.read(length)
    start = 8 if struct.unpack_from("<I", about)[0] == CONTINUED else 4
    message = _Table.root(about[start:])
    header = message.table(HEADER)
    if message.number(1, "<B") == OF_DICTIONARY:
        header = header.table(DATA)
    packed, unpacked = header.at(COMPRESSION) is not None, 0
    for begin, size in header.structs(BUFFERS, "<qq"):
        whole = size
        if packed and size >= 8:
            if not 0 <= begin <= end - at - length - size:
                raise ValueError("a buffer beyond the file")
            file.seek(at + length + begin)
            (told,) = struct.unpack("<q", file.read(8))
            whole = size - 8 if told < 0 else told
        if whole < 0:
            raise ValueError("a buffer of negative length")
        unpacked += whole
    rows = header.number(LENGTH, "<q")
    if rows < 0:
        raise ValueError("a batch of negative length")
    return Batch(rows, unpacked)


class _Table(NamedTuple):
    """A table of a FlatBuffer."""

    data: bytes
    start: int

    @classmethod
    def root(cls, data: bytes) -> _Table:
        """The one that a buffer begins with."""
        return cls(data, _unpack("<I", data, 0)[0])

    def at(self, field: int) -> int | None:
        """Where a field stands; None where it is left out."""
        names = self.start - _unpack("<i", self.data, self.start)[0]
        place = 4 + 2 * field
        if place >= _unpack("<H", self.data, names)[0]:
            return None
        offset = _unpack("<H", self.data, names + place)[0]
        return self.start + offset if offset else None

    def number(self, field: int, form: str) -> int:
        """The number in a field, of a form of :mod:`struct`; 0 where it is left out."""
        at = self.at(field)
        return 0 if at is None else int(_unpack(form, self.data, at)[0])

    def table(self, field: int) -> _Table:
        """The table that a field refers to."""
        if (at := self.at(field)) is None:
            raise ValueError("a table is missing")
        return _Table(self.data, at + _unpack("<I", self.data, at)[0])

    def structs(self, field: int, form: str) -> list[tuple[int, ...]]:
        """All structs of a vector."""
        if (at := self.at(field)) is None:
            return []
        at += _unpack("<I", self.data, at)[0]
        count, step = _unpack("<I", self.data, at)[0], struct.calcsize(form)
        if count * step > len(self.data):
            raise ValueError("a vector that is longer than its table")
        return [_unpack(form, self.data, at + 4 + k * step) for k in range(count)]

    def blocks(self, field: int) -> list[tuple[int, int]]:
        """Where messages begin, and how long the tables about them are."""
        return [(begin, length) for begin, length, _, _ in self.structs(field, "<qiiq")]


def _unpack(form: str, data: bytes, at: int) -> tuple[int, ...]:
    if at < 0:
        raise ValueError("before the beginning")
    return struct.unpack_from(form, data, at)
