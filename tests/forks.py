"""Commands in children of this process, which has imported all that they need: an interpreter of its own takes seconds.

What a child starts, its workers, begins as it always does. Where it matters how an interpreter begins, tests start one.
"""

import atexit
import importlib
import os
import pkgutil
import pty
import select
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TextIO

from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import isthmus
from isthmus.cli import main

for module in pkgutil.walk_packages(isthmus.__path__, "isthmus."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)


def command(arguments: Sequence[str]) -> int:
    """What ``isthmus`` does in a child, with streams of its own: the exit code."""
    return streamed(lambda: main(arguments))


def streamed(run: Callable[[], int]) -> int:
    """What ``run`` returns, with streams of its own as an interpreter begins with them."""
    with ExitStack() as streams, warnings.catch_warnings():
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            setattr(sys, name, streams.enter_context(_stream(number)))
        warnings.simplefilter("default")
        return run()


def _stream(number: int) -> AbstractContextManager[TextIO | None]:
    """A standard stream as an interpreter begins with it: None where it is closed."""
    try:
        return open(number, "w" if number else "r", closefd=False, errors="backslashreplace" if number == 2 else None)
    except OSError:
        return nullcontext()


def leave(run: Callable[[], int]) -> None:
    """The end of a child: with what ``run`` returns, or 70 and a traceback. Nothing of the parent's ends with it."""
    code = 70
    try:
        code = run()
    except BaseException:
        traceback.print_exc(file=open(2, "w", closefd=False))  # noqa: SIM115
    finally:
        os._exit(code)


def terminal(*arguments: str, cwd: Path, width: int = 80, fresh: bool = False, **environment: str) -> tuple[int, str]:
    """Exit code, and all that ``isthmus`` shows on a terminal: of this process forked, or of a fresh interpreter."""
    child, screen = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.environ.update({"COLUMNS": str(width), "TERM": "xterm", **environment})
        if fresh:
            os.execv(sys.executable, [sys.executable, "-m", "isthmus", *arguments])
        leave(lambda: command(arguments))
    seen = b""
    while select.select([screen], [], [], 300)[0]:
        try:
            seen += os.read(screen, 65536)
        except OSError:  # the other side has gone
            break
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen.decode()


def ranks(size: int, run: Callable[[], int | None]) -> list[int]:
    """Exit codes of so many processes that do ``run`` and find each other as those that ``torchrun`` starts do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "GLOO_SOCKET_IFNAME": "lo"}
    children = []
    for rank in range(size):
        children.append(os.fork())
        if children[-1] == 0:
            os.environ.update({**told, "WORLD_SIZE": str(size), "RANK": str(rank), "LOCAL_RANK": str(rank)})
            leave(lambda: run() or 0)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


class Child:
    """A child that leads a session of its own, as on a terminal of its own.

    Parameters
    ----------
    run : callable
        What it does: its exit code.
    cwd : Path
        Where it runs. What it says goes to files beside this folder.
    closed : sequence of int
        Standard streams that it begins without.
    """

    def __init__(self, run: Callable[[], int], cwd: Path, closed: Sequence[int] = ()) -> None:
        self._said = [cwd.with_name(f"{cwd.name}.{name}") for name in ("out", "err")]
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            leave(lambda: self._begin(run, cwd, closed))

    def _begin(self, run: Callable[[], int], cwd: Path, closed: Sequence[int]) -> int:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have ignored it
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(self._said, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        for number in closed:
            os.close(number)
        return run()

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None if it is still running."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it is still running."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float = float("inf")) -> tuple[str, str]:
        """Wait until it has ended: what it said to stdout and to stderr."""
        if timeout == float("inf") and self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise TimeoutError(f"it has not ended within {timeout:.0f} s")
            time.sleep(0.01)
        out, err = (path.read_text() for path in self._said)
        return out, err


class Piped:
    """A child that does ``run`` in a folder, with a pipe for each standard stream."""

    def __init__(self, run: Callable[[], int], cwd: Path) -> None:
        ends = [os.pipe() for _ in range(3)]
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have ignored it
            os.chdir(cwd)
            for number, (reads, writes) in enumerate(ends):
                os.dup2(writes if number else reads, number)
            os.closerange(3, max(map(max, ends)) + 1)
            leave(lambda: streamed(run))
        for number, (reads, writes) in enumerate(ends):
            os.close(writes if number else reads)
        mine = ends[0][1], ends[1][0], ends[2][0]
        self.stdin, self.stdout, self.stderr = map(os.fdopen, mine, ("wb", "rb", "rb"))


class Command(Child):
    """``isthmus`` with these arguments in a child."""

    def __init__(self, *arguments: str, cwd: Path, closed: Sequence[int] = ()) -> None:
        super().__init__(lambda: command(arguments), cwd, closed)


class Torchrun(Child):
    """``torchrun`` in a child, whose ranks are children of it that do ``run``."""

    def __init__(self, size: int, run: Callable[[], int], cwd: Path) -> None:
        self._ranks = cwd.with_name(f"{cwd.name}.ranks")
        self._ranks.mkdir()
        super().__init__(lambda: self._launch(size, run), cwd)

    def rank(self, number: int) -> int:
        """The process of a rank that has begun."""
        return int((self._ranks / str(number)).read_text())

    def _launch(self, size: int, run: Callable[[], int]) -> int:
        os.environ.update({"GLOO_SOCKET_IFNAME": "lo"})
        here = {"rdzv_backend": "c10d", "rdzv_endpoint": "127.0.0.1:0", "local_addr": "127.0.0.1"}  # as --standalone
        plan = LaunchConfig(1, 1, size, run_id="here", max_restarts=0, start_method="fork", **here)
        elastic_launch(plan, lambda: self._rank(run))()
        return 0

    def _rank(self, run: Callable[[], int]) -> None:
        """What an interpreter that torchrun starts does; it inherits no handlers and nothing to do at its end."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        atexit._clear()
        (self._ranks / os.environ["RANK"]).write_text(str(os.getpid()))
        try:
            sys.exit(run())
        finally:
            atexit._run_exitfuncs()
