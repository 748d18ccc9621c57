"""Open a file with care: it exists, it can be read, and what it unpacks to has a bearable size."""

from __future__ import annotations

import errno
import gzip
import math
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO

from isthmus.data.wording import brief, place
from isthmus.errors import BadInput

LARGEST = 8 << 30
"""Bytes that a data set may take once unpacked."""
LARGEST_TEXT = (2 << 30) - 1
"""Bytes of a text table."""
SUSPECT = 64 << 20
"""Below this size nothing is a bomb."""
PACKED = 200
"""Bytes out of one byte of a compressed file, above ``SUSPECT``."""
PIECE = 1 << 20
SIGNS = (
    (b"\x93NUMPY", ".npy", "a .npy file"),
    (b"PK\x03\x04", ".npz", "a .npz file"),
    (b"PAR1", ".parquet", "a Parquet file"),
    (b"ARROW1", ".arrow", "an Arrow IPC file"),
    (b"\0\0\x08\x03", ".idx", "an IDX file"),
)
"""First bytes of a file, the end of the name it should have, and what it is."""
PACKED_ROWS = b"ISTHMUS"
"""How a file of ``isthmus compress`` begins."""
STRANGERS = (
    (PACKED_ROWS, "what isthmus compress wrote: isthmus decompress FILE MODEL gives the rows back"),
    (b"PK\x03\x04", "a zip archive: unpack it, and give one file of it"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet of old: save it as CSV"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file: save its rows with numpy.save"),
    (b"MATLAB 5.0", "a MATLAB file: save its rows with numpy.save (scipy.io.loadmat reads it)"),
    (b"FEA1", "a Feather file of version 1: save it as Parquet"),
    (b"\xff\xff\xff\xff", "a stream of Arrow: save it as a file of Arrow, or as Parquet"),
    (b"SQLite format 3", "a database: save a table of it as CSV"),
    (b"BZh", "packed by bzip2: unpack it"),
    (b"\xfd7zXZ\0", "packed by xz: unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd: unpack it"),
    (b"\x80\x04\x95", "a pickle, which is never unpacked here: save its rows with numpy.save"),
    (b"%PDF", "a PDF: save the table in it as CSV"),
    (b"\x89PNG", "one picture: save the rows with numpy.save"),
)
"""First bytes of files that are not read here, what they are, and what to do."""
SHEETS = ("xl/workbook", "xl/", "content.xml", "Index/")
"""Beginnings of what lies in a spreadsheet, of Excel, LibreOffice and Numbers."""
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
"""Bytes of what people type behind a number."""
LINES = 20
"""Lines that are looked at to tell a text table."""
JSON = re.compile(rb"\s*(\[\s*)?\{\s*\"")
"""How records in JSON begin, a line each or in one list."""


def check(path: Path) -> None:
    """Refuse what is not a readable file with content."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise BadInput(f"{place(path)}: this is a folder; give one file in it")
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{place(path)}: this is not a regular file; give a data file")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else brief(error)
        raise BadInput(f"{place(path)}: can't be read ({reason}); check the path and its permissions") from None
    if status.st_size == 0:
        raise BadInput(f"{place(path)}: the file is empty; check where it came from")


def opened(path: Path, most: int) -> BufferedReader:
    """A plain file of at most ``most`` bytes, open to be read: no link, device or pipe is followed.

    Raises
    ------
    OSError
        If it is not there, or may not be read.
    BadInput
        If it is something else, or larger.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in {errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG}:
            raise  # the system refuses; a link or a pipe is no plain file
        raise BadInput(f"{place(path)}: not a plain file ({brief(error)})") from None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:
        os.close(handle)
        plain = stat.S_ISREG(found.st_mode)
        raise BadInput(f"{place(path)}: {f'larger than the {most} bytes it may have' if plain else 'not a plain file'}")
    return os.fdopen(handle, "rb")


def bounded(path: Path, most: int) -> bytes:
    """The bytes of a plain file; as :func:`opened`. Memory is taken for what is there, whatever ``most`` says."""
    with opened(path, most) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def size(text: str | int, name: str = "memory") -> int:
    """Bytes, from a number or a text.

    Examples
    --------
    >>> size("2GiB"), size("1.5 MB"), size(4096)
    (2147483648, 1500000, 4096)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([A-Za-z]*)\s*", str(text))
    if not found or found[2].upper() not in UNITS or not 0 < float(found[1]) < 1e18:
        raise BadInput(f"{name} must be a size like 2GiB or 800MB; got {text!r}")
    return int(float(found[1]) * UNITS[found[2].upper()])


def told(count: float) -> str:
    """Bytes for people.

    Examples
    --------
    >>> told(2 << 30), told(300 << 20)
    ('2.00 GiB', '300 MiB')
    """
    return f"{count / 2**30:.2f} GiB" if count >= 1 << 30 else f"{count / 2**20:,.0f} MiB"


def fits(where: str, size: int) -> None:
    """Refuse data that would take more than ``LARGEST`` bytes or the free memory, before anything is allocated."""
    if size > LARGEST:
        raise BadInput(
            f"{where}: would take {size / 2**30:,.1f} GiB of memory; the limit is {LARGEST >> 30} GiB; give fewer rows"
        )
    if size > SUSPECT and size > (left := free()):
        raise BadInput(
            f"{where}: would take {size / 2**30:,.1f} GiB of memory, and {left / 2**30:,.1f} GiB are free; "
            "give fewer rows, or free some"
        )


def free() -> float:
    """Bytes of memory that this process may still take, as far as the system tells; infinity where it does not."""
    left = math.inf
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                left = float(line.split()[1]) * 1024
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            left = min(left, max(0, most - taken))
    return left


def honest(where: str, packed: int, unpacked: int, remedy: str, times: int = PACKED) -> None:
    """Refuse what unpacks to far more than honest data do: a file made to fill the memory.

    Parameters
    ----------
    where : str
        Head of the message.
    packed, unpacked : int
        Bytes in the file, and bytes that they stand for.
    remedy : str
        What to do if the data are honest all the same.
    times : int
        Bytes out of one byte that are still believed, above ``SUSPECT``.
    """
    if unpacked > SUSPECT and unpacked > times * packed:
        raise BadInput(
            f"{where}: {packed:,} bytes would unpack to {unpacked:,} or more, over {times} times as many; "
            f"if you trust the file, {remedy}"
        )


@contextmanager
def parsing(where: str, kind: str) -> Iterator[None]:
    """Whatever another library says of a damaged file becomes one line."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"{where}: can't be read as {kind} ({brief(error)}); "
            "the file may be damaged, cut short or of another format"
        ) from None


class Unpacked(gzip.GzipFile):
    """What a stream that is packed by gzip unpacks to; whatever is wrong with it becomes one line.

    Parameters
    ----------
    where : str
        Head of every message.
    stream : binary stream
    """

    def __init__(self, where: str, stream: IO[bytes]) -> None:
        super().__init__(fileobj=stream)
        self.where = where

    def read(self, size: int | None = -1) -> bytes:
        """As :meth:`io.BufferedIOBase.read`."""
        with parsing(self.where, "a gzip file"):
            return super().read(size)

    def peek(self, n: int) -> bytes:
        """As :meth:`io.BufferedReader.peek`."""
        with parsing(self.where, "a gzip file"):
            return super().peek(n)


def stranger(path: Path) -> str:
    """What a file is whose format is not read here, by its first bytes, and what to do; empty if they say nothing."""
    with path.open("rb") as stream:
        head = stream.read(16)
    if head.startswith(b"PK\x03\x04") and (inside := _inside(path)):
        if all(name.endswith(".npy") for name in inside):
            return ""
        if {"model.json", "model.safetensors"} <= {*inside}:
            return "a saved model: give the file with the rows here"
        if any(name.startswith(SHEETS) for name in inside):
            return "a spreadsheet: save it as CSV"
        if any(name.endswith("data.pkl") for name in inside):
            return "a file of torch.save, which is never unpacked here: save the rows with numpy.save"
    return next((what for start, what in STRANGERS if head.startswith(start)), "")


def _inside(path: Path) -> list[str]:
    """The names in a zip archive; none if it is damaged."""
    with suppress(OSError, zipfile.BadZipFile, NotImplementedError, ValueError), zipfile.ZipFile(path) as archive:
        return archive.namelist()
    return []


def guess(path: Path) -> tuple[str, str]:
    """What a file is by its first bytes: the end that its name should have, and words; empty if they say nothing."""
    with path.open("rb") as stream:
        head = stream.read(PIECE)
    packed = head.startswith(b"\x1f\x8b")
    if packed:
        with suppress(zlib.error):
            head = zlib.decompressobj(wbits=31).decompress(head, PIECE)
    gz = ".gz" if packed else ""
    for start, end, what in SIGNS:
        if head.startswith(start):
            return (f"{end}{gz}", what) if not packed or end == ".idx" else ("", "")
    if JSON.match(head):
        return f".jsonl{gz}", "records in JSON"
    with suppress(UnicodeDecodeError):
        lines = [line for line in head[: head.rfind(b"\n") + 1].decode().splitlines() if line.strip()][:LINES]
        for mark in ",;\t|":
            if lines and (count := lines[0].count(mark)) and all(line.count(mark) == count for line in lines):
                end = ".tsv" if mark == "\t" else ".csv"
                return (
                    f"{end}{gz}",
                    f"a text table with separator {mark!r} (its first line should name the columns)",
                )
    return "", ""


def content(path: Path, largest: int) -> bytes:
    """All bytes of a file, unpacked if its name ends in ``.gz``."""
    where, packed = place(path), path.stat().st_size
    if path.suffix.lower() != ".gz":
        if packed > largest:
            raise BadInput(
                f"{where}: {packed:,} bytes; the limit is {largest:,}; save it as Parquet or .npy, or give fewer rows"
            )
        return path.read_bytes()
    pieces, size = [], 0
    with parsing(where, "a gzip file"), gzip.open(path) as stream:
        while piece := stream.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            honest(where, packed, size, "unpack it first")
            if size > largest:
                raise BadInput(f"{where}: unpacks to more than {largest:,} bytes; give fewer rows")
    return b"".join(pieces)
