"""A saved model as a single file: an uncompressed zip archive of exactly the members of its folder.

Whatever opens zip archives opens it. What is read is narrower: the one archive of these members that is written here,
byte for byte. So nothing hides in it (no second directory, no gap, no comment, no other name, path, link or packed
member), and every size agrees with the file before memory is taken.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from isthmus.data.files import PACKED_ROWS, opened
from isthmus.errors import BadEnvironment, BadInput
from isthmus.ship.manifest import refuse

SUFFIX = ".isthmus"
"""How the name of such a file ends; a path with another end is a folder."""
LOCAL, CENTRAL, END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
"""The records of a zip archive (PKWARE, APPNOTE 6.3.10): before a member, of it in the directory, and the last one."""
FIRST, LISTED = b"PK\x03\x04", b"PK\x01\x02"
"""How a record before a member begins, and one of the directory."""
VERSION, UNIX, STORED, DAY = 20, 3 << 8, 0, 1 << 5 | 1
"""2.0; names and modes of Unix; nothing is packed; 1 January 1980, so that equal models make equal files."""
MODE = 0o100644 << 16
MOST = (1 << 32) - 2
"""Bytes of an archive: more do not fit into its records."""
TAIL = 2 << 10
"""Bytes at the end of an archive that are looked at: more than its directory takes."""


class Entry(NamedTuple):
    """A member of an archive."""

    name: str
    record: int
    """Where its record begins."""
    size: int
    crc: int

    @property
    def start(self) -> int:
        """Where its bytes begin."""
        return self.record + LOCAL.size + len(self.name)

    @property
    def stop(self) -> int:
        """Where they end."""
        return self.start + self.size

    def before(self) -> bytes:
        """What stands before its bytes."""
        sizes = self.crc, self.size, self.size, len(self.name), 0
        return LOCAL.pack(FIRST, VERSION, 0, STORED, 0, DAY, *sizes) + self.name.encode()

    def listed(self) -> bytes:
        """What stands of it in the directory."""
        sizes = self.crc, self.size, self.size, len(self.name), 0, 0, 0, 0
        made = VERSION | UNIX, VERSION, 0, STORED, 0, DAY
        return CENTRAL.pack(LISTED, *made, *sizes, MODE, self.record) + self.name.encode()


def packed(members: Mapping[str, bytes]) -> Iterator[bytes]:
    """The bytes of an archive of these members, by name, piece by piece.

    Raises
    ------
    BadInput
        If they do not fit into one.

    Examples
    --------
    >>> import io, zipfile
    >>> with zipfile.ZipFile(io.BytesIO(b"".join(packed({"a": b"one", "b": b""})))) as file:
    ...     file.namelist(), file.read("a"), file.testzip()
    (['a', 'b'], b'one', None)
    """
    found: list[Entry] = []
    for name, content in members.items():
        entry = Entry(name, found[-1].stop if found else 0, len(content), zlib.crc32(content))
        if entry.stop > MOST - TAIL:
            raise BadInput(
                f"a model of more than {MOST >> 30} GiB does not fit into a single file: save it as a folder"
            )
        found.append(entry)
        yield entry.before()
        yield content
    yield _directory(found)


def members(path: Path, names: Sequence[str]) -> dict[str, Entry]:
    """The members of an archive, some of ``names`` in that order.

    Raises
    ------
    BadInput
        If it is not, byte for byte, what :func:`packed` makes of its members.
    """
    with _file(path) as file:
        return _members(path, file, names)


def read(path: Path, names: Sequence[str], name: str, most: int) -> bytes:
    """The bytes of a member, ``most`` of them at most.

    Raises
    ------
    BadInput
        As :func:`members`, and if it is not there, larger, or damaged.
    """
    with _file(path) as file:
        entry = _members(path, file, names).get(name)
        if entry is None:
            refuse(path / name, "missing")
        if entry.size > most:
            refuse(path / name, f"larger than the {most} bytes it may have")
        file.seek(entry.start)
        content = file.read(entry.size)
    if zlib.crc32(content) != entry.crc:
        refuse(path / name, "damaged: its bytes do not match their checksum")
    return content


def _file(path: Path) -> BufferedReader:
    try:
        return opened(path, MOST)
    except PermissionError:
        raise BadEnvironment(f"no permission to read {path}") from None
    except BadInput as error:
        refuse("", str(error))
    except OSError as error:  # the disk refuses, which says nothing of the file
        raise BadEnvironment(f"cannot read {path}: {error.strerror}") from None


def _members(path: Path, file: BufferedReader, names: Sequence[str]) -> dict[str, Entry]:
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - TAIL))
    tail = file.read()
    if not file.seek(0) and file.read(len(PACKED_ROWS)) == PACKED_ROWS:
        refuse(
            path, "rows that isthmus compress wrote, no model: isthmus decompress FILE MODEL takes both, in this order"
        )
    if file.seek(0) or file.read(len(FIRST)) != FIRST or len(tail) < END.size:
        refuse(path, "not a saved model: give the folder of one, or the single file")
    found = _listed(path, tail, names)
    if not found or found[-1].stop > size:
        refuse(path, CHANGED)
    whole = _directory(found)
    if found[-1].stop + len(whole) != size or tail[-len(whole) :] != whole:
        refuse(path, CHANGED)
    for entry in found:
        file.seek(entry.record)
        if file.read(entry.start - entry.record) != entry.before():
            refuse(path, CHANGED)
    return {entry.name: entry for entry in found}


CHANGED = "damaged, packed or edited: it is not byte for byte the archive that isthmus writes of its members"


def _listed(path: Path, tail: bytes, names: Sequence[str]) -> list[Entry]:
    """What the directory says, as far as it is one; the caller compares it with what it should be."""
    found: list[Entry] = []
    at = len(tail) - END.size - END.unpack(tail[-END.size :])[5]
    while 0 <= at <= len(tail) - END.size - CENTRAL.size:
        fields = CENTRAL.unpack_from(tail, at)
        if fields[0] != LISTED:
            break
        name = tail[at + CENTRAL.size : at + CENTRAL.size + fields[10]].decode("latin-1")
        left = names[names.index(found[-1].name) + 1 :] if found else names
        if name not in left:
            refuse(path, f"it holds a member that is none of a model, or not in its place: {name[:60]!a}")
        found.append(Entry(name, found[-1].stop if found else 0, fields[9], fields[7]))
        at += CENTRAL.size + len(name)
    return found


def _directory(found: Sequence[Entry]) -> bytes:
    """The end of an archive."""
    listed = b"".join(entry.listed() for entry in found)
    at = found[-1].stop if found else 0
    return listed + END.pack(b"PK\x05\x06", 0, 0, len(found), len(found), len(listed), at, 0)
