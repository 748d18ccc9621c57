"""Open a file with care: it exists, it can be read, and what it unpacks to has a bearable size."""

from __future__ import annotations

import gzip
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def fits(where: str, size: int) -> None:
    """Refuse data that would take more than ``LARGEST`` bytes, before anything is allocated."""
    if size > LARGEST:
        raise BadInput(
            f"{where}: would take {size / 2**30:,.1f} GiB of memory; the limit is {LARGEST >> 30} GiB; give fewer rows"
        )


def honest(where: str, packed: int, unpacked: int, remedy: str) -> None:
    """Refuse what unpacks to far more than honest data do: a file made to fill the memory.

    Parameters
    ----------
    where : str
        Head of the message.
    packed, unpacked : int
        Bytes in the file, and bytes that they stand for.
    remedy : str
        What to do if the data are honest all the same.
    """
    if unpacked > SUSPECT and unpacked > PACKED * packed:
        raise BadInput(
            f"{where}: {packed:,} bytes would unpack to {unpacked:,} or more, over {PACKED} times as many; "
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
