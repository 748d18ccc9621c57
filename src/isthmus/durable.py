"""What must survive a power cut: content is on the disk before a name points to it."""

import fcntl
import glob
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

FLOW = 4 << 20
"""Bytes of a long file that are sent to the disk together, at least."""


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


def folder(path: Path) -> None:
    """Make a folder, and those above it, and wait until the disk has their names; it may be there already."""
    path.mkdir(parents=True, exist_ok=True)
    disk = path.stat().st_dev
    for above in path.absolute().parents:
        if above.stat().st_dev != disk:
            return
        with suppress(PermissionError):  # one that we may not look into is none that we made
            sync(above)


def whole(path: Path, content: bytes) -> None:
    """Put a file in place, whole or not at all, instead of one that may be there. What fails names that place."""
    with placed(path) as file:
        file.write(content)


@contextmanager
def placed(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which is put in place when the block ends well, and else is gone; as :func:`whole`.

    Who writes holds a lock on the draft: drafts that nobody holds are of who was killed, and are removed.
    """
    try:
        _sweep(path)
        handle, draft = _draft(path)
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
        with suppress(FileNotFoundError):
            os.unlink(draft)
        if isinstance(error, OSError) and error.filename in (None, draft):
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise
    sync(path.parent)


@contextmanager
def flowing(file: IO[bytes]) -> Iterator[Callable[[bytes], None]]:
    """What writes a long file piece by piece, and sends it to the disk meanwhile: who is done with it waits less.

    It is sent by a thread of its own, whenever much was written and the disk is idle. What the disk refuses is raised
    by a later call, or at the end.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    line = ThreadPoolExecutor(1, "isthmus-disk")
    sent, busy = 0, Future[None]()
    busy.set_result(None)

    def put(content: bytes) -> None:
        nonlocal sent, busy
        file.write(content)
        if file.tell() - sent >= FLOW and busy.done():
            busy.result()
            file.flush()
            sent, busy = file.tell(), line.submit(os.fsync, file.fileno())

    try:
        yield put
        busy.result()
    finally:
        line.shutdown()


def _draft(path: Path) -> tuple[int, str]:
    """A new file beside another, locked."""
    while True:
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        _lock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:  # else it was swept before it was locked
            return handle, draft
        os.close(handle)


def _sweep(path: Path) -> None:
    for draft in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
        with suppress(FileNotFoundError), draft.open("rb") as file:
            if _lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB):
                draft.unlink()


def _lock(handle: int, kind: int) -> bool:
    """Lock a file; False if another process has done so, or the disk knows no locks."""
    try:
        fcntl.flock(handle, kind)
    except OSError:
        return False
    return True
