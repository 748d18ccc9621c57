"""What must survive a power cut: content is on the disk before a name points to it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def put(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has its content. The name may still be lost: see :func:`sync`."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until the disk has a file's content, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def whole(path: Path, content: bytes) -> None:
    """Put a file in place, whole or not at all, instead of one that may be there. What fails names that place."""
    with placed(path) as file:
        file.write(content)


@contextmanager
def placed(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which is put in place when the block ends well, and else is gone; as :func:`whole`."""
    try:
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException as error:
        os.unlink(draft)
        if isinstance(error, OSError) and error.filename in (None, draft):
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise
    sync(path.parent)
