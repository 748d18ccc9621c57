"""A world whose disk, clock and processes fail by a seed, for code that believes that it runs in this one.

While a world is there, calls of the operating system that concern its folder pass through it: it may let a process end
in front of any of them, write a part, refuse, wait, or let another process go first. It knows what was synced. After a
power cut the folder holds what a disk may hold that keeps no more than it promised: of every change of a name that was
not synced it is open whether it happened, and in which company; of every content that was not, how much of it.

Files are real, in memory where the system has such a place, so that code under test reads and writes as ever.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import random
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

KINDS = ("kill", "power", "full", "refuse", "slow", "jump", "rival")
"""What may happen at a call: the process ends; the machine does; the disk is full; it refuses this call; the call takes
long; the clock jumps; another process goes first."""
WRITES = {"write", "create", "mkdir"}
FULL = 3
"""Calls that a full disk refuses before there is room again."""


class Killed(BaseException):
    """The process has ended: whatever it still does has no effect."""


class Fault(NamedTuple):
    """What happens, and after how many more calls."""

    after: int
    kind: str


class Change(NamedTuple):
    """A change of names that is not synced: ``(folder, name, what it names now)`` of each; they happen together."""

    open: set[int]
    """Folders that were not synced since."""
    names: tuple[tuple[int, str, int | None], ...]


class World:
    """A folder on a disk that fails, a clock that jumps, and a process that may end.

    Parameters
    ----------
    root : Path
        An empty folder, best in memory.
    dice : random.Random
        Says what happens where it is open.
    """

    def __init__(self, root: Path, dice: random.Random) -> None:
        self.root, self.dice = root, dice
        self.alive, self.cut = True, False
        self.clock = 1e6
        self.faults: list[Fault] = []
        self.rival: Callable[[], Any] | None = None
        self.calls, self.full = 0, 0
        self.told: list[str] = []
        self._device = os.stat(root).st_dev
        self._names: dict[int, dict[str, int]] = {}
        self._synced: dict[int, bytes] = {}
        self._gone: dict[int, bytes] = {}
        self._changes: list[Change] = []
        self._settle()

    # -------------------------------------------------------------------------------- what happens when

    def expect(self, *faults: Fault) -> None:
        """Faults from now on, each so many calls after the one before."""
        self.faults = list(faults)

    def calm(self) -> None:
        """Nothing happens any more."""
        self.faults, self.full = [], 0

    def step(self, what: str, path: Any) -> None:
        """A call is about to be made."""
        if not self.alive:
            raise Killed
        self.calls += 1
        self.clock += 1e-3
        if self.full and what in WRITES:
            self.full -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if not self.faults:
            return
        after, kind = self.faults[0]
        if after > 0:
            self.faults[0] = Fault(after - 1, kind)
            return
        self._happen(kind, what, path)

    def _happen(self, kind: str, what: str, path: Any) -> None:
        if (kind == "full" and what not in WRITES) or (kind == "refuse" and what not in {*WRITES, "sync", "read"}):
            return  # at the next call that it can befall
        self.faults.pop(0)
        self.told.append(f"{kind} at call {self.calls} ({what} {os.path.relpath(str(path), self.root)})")
        if kind in {"kill", "power"}:
            self.alive, self.cut = False, kind == "power"
            raise Killed
        if kind == "full":
            self.full = self.dice.randrange(FULL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if kind == "refuse":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        if kind == "slow":
            self.clock += self.dice.uniform(1, 100)
        if kind == "jump":
            self.clock += self.dice.choice([3600.0, 86400.0])
        if kind == "rival" and self.rival is not None:
            rival, self.rival, faults, self.faults = self.rival, None, self.faults, []
            try:
                rival()
            finally:
                self.rival, self.faults = rival, faults

    def revive(self) -> None:
        """Another process begins; after a power cut on what the disk kept."""
        if self.cut:
            self._reboot()
        self.alive, self.cut = True, False

    def rot(self, path: Path, content: bytes) -> None:
        """The disk itself changes what it holds."""
        with _real["open"](path, "wb") as file:
            file.write(content)
        self._synced[_number(path)] = content
        self.told.append(f"{path.relative_to(self.root)} rots")

    # -------------------------------------------------------------------------------- what the disk promised

    def _settle(self) -> None:
        """All that is there is on the disk."""
        self._names, self._synced, self._gone, self._changes = {}, {}, {}, []
        for place, folders, files in os.walk(self.root):
            self._names[_number(place)] = {name: _number(f"{place}/{name}") for name in [*folders, *files]}
            for name in files:
                self._synced[_number(f"{place}/{name}")] = _content(f"{place}/{name}")

    def _note(self, *names: tuple[str, str, int | None]) -> None:
        """Names changed: ``(folder, name, what it names)``."""
        found = tuple((_number(folder), name, what) for folder, name, what in names)
        self._changes.append(Change({folder for folder, _, _ in found}, found))

    def _lost(self, path: str) -> None:
        """A name is about to lose its file."""
        with suppress(OSError):
            if stat.S_ISREG(os.lstat(path).st_mode):
                self._gone[_number(path)] = _content(path)

    def _sync(self, handle: int) -> None:
        about = os.fstat(handle)
        if stat.S_ISREG(about.st_mode):
            self._synced[about.st_ino] = _content(f"/proc/self/fd/{handle}")
            return
        for change in list(self._changes):
            change.open.discard(about.st_ino)
            if not change.open:
                self._changes.remove(change)
                _rename(self._names, change)

    def _reboot(self) -> None:
        """Put into the folder what a disk may hold after a power cut."""
        names = {folder: dict(inside) for folder, inside in self._names.items()}
        mode, upto = self.dice.choice(["none", "all", "some", "first"]), self.dice.randrange(len(self._changes) + 1)
        for number, change in enumerate(self._changes):
            if mode == "all" or (mode == "some" and self.dice.random() < 0.5) or (mode == "first" and number < upto):
                _rename(names, change)
        now = dict(self._gone)
        folders = set(names)
        for place, inside, files in os.walk(self.root):
            folders |= {_number(f"{place}/{name}") for name in inside}
            now |= {_number(f"{place}/{name}"): _content(f"{place}/{name}") for name in files}
        _empty(self.root)
        self._lay(_number(self.root), self.root, names, now, folders)
        self._settle()

    def _lay(
        self, number: int, place: Path, names: dict[int, dict[str, int]], now: dict[int, bytes], folders: set[int]
    ) -> None:
        for name, what in sorted(names.get(number, {}).items()):
            if what in folders:
                _real["mkdir"](place / name)
                self._lay(what, place / name, names, now, folders)
            else:
                with _real["open"](place / name, "wb") as file:
                    file.write(self._kept(what, now.get(what, b"")))

    def _kept(self, number: int, now: bytes) -> bytes:
        """What a disk may have kept of a file."""
        synced = self._synced.get(number)
        if synced == now:
            return now
        part = now[: self.dice.randrange(len(now) + 1)]
        return self.dice.choice([now, part, part + bytes(len(now) - len(part)), b"" if synced is None else synced])

    # -------------------------------------------------------------------------------- calls it listens to

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Calls pass through this world."""
        places: list[tuple[Any, str, Any]] = [
            (os, "open", self._os_open),
            (os, "fsync", self._os_fsync),
            (os, "rename", self._os_rename),
            (os, "replace", self._os_rename),
            (os, "mkdir", self._os_mkdir),
            (os, "unlink", self._os_unlink),
            (os, "remove", self._os_unlink),
            (os, "rmdir", self._os_rmdir),
            (io, "open", self._io_open),
            (fcntl, "flock", self._flock),
            (time, "monotonic", lambda: self.clock),
            (time, "time", lambda: self.clock),
            (time, "sleep", self._sleep),
            (tempfile, "_name_sequence", map("{:08}".format, count())),
            (shutil, "_use_fd_functions", False),  # names, not numbers of folders
        ]
        before = [(module, name, getattr(module, name)) for module, name, _ in places]
        for module, name, put in places:
            setattr(module, name, put)
        try:
            yield
        finally:
            for module, name, put in before:
                setattr(module, name, put)

    def _mine(self, path: Any) -> bool:
        if isinstance(path, int):
            return os.fstat(path).st_dev == self._device
        return f"{os.fsdecode(path)}/".startswith(f"{self.root}/")

    def _sleep(self, seconds: float) -> None:
        self.clock += seconds

    def _flock(self, handle: int, kind: int) -> None:
        if not self.alive:
            raise Killed
        _real["flock"](handle, kind)

    def _os_open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if not self._mine(path):
            return int(_real["os.open"](path, flags, mode, **more))
        new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        if new or not os.path.isdir(path):
            self.step("create" if new else "read", path)
        elif not self.alive:
            raise Killed
        handle = int(_real["os.open"](path, flags, mode, **more))
        if new:
            self._made(path, os.fstat(handle).st_ino)
        return handle

    def _made(self, path: Any, number: int) -> None:
        folder, name = os.path.split(os.fsdecode(path))
        self._synced.pop(number, None)
        self._note((folder, name, number))

    def _io_open(self, path: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        writes = any(letter in mode for letter in "wax+")
        if not self._mine(path):
            return _real["open"](path, mode, *rest, **more)
        if isinstance(path, int):
            return _Pen(self, _real["open"](path, mode, *rest, **more)) if writes else _real["open"](path, mode, *rest)
        new = writes and not os.path.lexists(path)
        self.step("create" if new else "write" if writes else "read", path)
        file = _real["open"](path, mode, *rest, **more)
        if new:
            self._made(path, os.fstat(file.fileno()).st_ino)
        return _Pen(self, file) if writes else file

    def _os_fsync(self, handle: int) -> None:
        if os.fstat(handle).st_dev == self._device:
            self.step("sync", os.readlink(f"/proc/self/fd/{handle}"))
            self._sync(handle)

    def _os_rename(self, source: Any, target: Any, **more: Any) -> None:
        if not self._mine(source):
            _real["rename"](source, target, **more)
            return
        self.step("rename", target)
        self._lost(os.fsdecode(target))
        number = _number(source)
        _real["rename"](source, target, **more)
        (there, old), (here, new) = (os.path.split(os.fsdecode(one)) for one in (source, target))
        self._note((there, old, None), (here, new, number))

    def _os_mkdir(self, path: Any, *rest: Any, **more: Any) -> None:
        if self._mine(path) and not os.path.lexists(path):
            self.step("mkdir", path)
        _real["mkdir"](path, *rest, **more)
        if self._mine(path):
            self._names[_number(path)] = {}
            self._made(path, _number(path))

    def _os_unlink(self, path: Any, **more: Any) -> None:
        self._remove("unlink", path, **more)

    def _os_rmdir(self, path: Any, **more: Any) -> None:
        self._remove("rmdir", path, **more)

    def _remove(self, call: str, path: Any, **more: Any) -> None:
        if self._mine(path):
            self.step("remove", path)
            self._lost(os.fsdecode(path))
        _real[call](path, **more)
        if self._mine(path):
            folder, name = os.path.split(os.fsdecode(path))
            self._note((folder, name, None))


class _Pen:
    """A file that is written in this world: what is written passes through it, and may be a part."""

    def __init__(self, world: World, file: Any) -> None:
        self._world, self._file = world, file

    def write(self, content: Any) -> int:
        """As of a file; who is stopped has written a part."""
        try:
            self._world.step("write", self._file.name if isinstance(self._file.name, str) else self._world.root)
        except BaseException:
            if len(content):
                self._file.write(content[: self._world.dice.randrange(len(content))])
            self._file.flush()
            raise
        return int(self._file.write(content))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Pen:
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()


_real: dict[str, Any] = {
    "os.open": os.open,
    "open": io.open,
    "rename": os.rename,
    "mkdir": os.mkdir,
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "flock": fcntl.flock,
}


def _rename(names: dict[int, dict[str, int]], change: Change) -> None:
    """Let a change happen, if what it is of is there."""
    moved = [what for _, _, what in change.names if what is not None]
    for folder, name, what in change.names:
        inside = names.get(folder, {})
        if what is None and moved and inside.get(name) != moved[0]:
            return
    for folder, name, what in change.names:
        inside = names.setdefault(folder, {})
        if what is None:
            inside.pop(name, None)
        else:
            inside[name] = what


def _empty(folder: Path) -> None:
    """Remove what a folder holds."""
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            _real["unlink"](f"{place}/{name}")
        for name in folders:
            _real["rmdir"](f"{place}/{name}")


def _number(path: Any) -> int:
    return os.lstat(path).st_ino


def _content(path: str) -> bytes:
    handle = _real["os.open"](path, os.O_RDONLY)
    try:
        return os.pread(handle, os.fstat(handle).st_size, 0)
    finally:
        os.close(handle)
