"""Commands in children of this process, which has imported all that they need: an interpreter of its own takes seconds.

What a child starts, its workers, begins as it always does. Where it matters how an interpreter begins, tests start one.
"""

import os
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from isthmus.cli import main


def command(arguments: Sequence[str]) -> int:
    """What ``isthmus`` does in a child, with streams of its own: the exit code."""
    import sys

    with ExitStack() as streams, warnings.catch_warnings():
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115
            setattr(sys, name, streams.enter_context(stream))
        warnings.simplefilter("default")
        return main(arguments)


def leave(run: Callable[[], int]) -> None:
    """The end of a child: with what ``run`` returns, or 70 and a traceback. Nothing of the parent's ends with it."""
    code = 70
    try:
        code = run()
    except BaseException:
        traceback.print_exc(file=open(2, "w", closefd=False))  # noqa: SIM115
    finally:
        os._exit(code)


class Command:
    """``isthmus`` with these arguments in a child that leads a session of its own, as on a terminal of its own.

    Parameters
    ----------
    arguments : str
        What stands behind ``isthmus``.
    cwd : Path
        Where it runs. What it says goes to files beside this folder.
    """

    def __init__(self, *arguments: str, cwd: Path) -> None:
        self._said = [cwd.with_name(f"{cwd.name}.{name}") for name in ("out", "err")]
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            leave(lambda: self._begin(arguments, cwd))

    def _begin(self, arguments: Sequence[str], cwd: Path) -> int:
        os.setsid()
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(self._said, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        return command(arguments)

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None if it is still running."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Wait until it has ended: what it said to stdout and to stderr."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        out, err = (path.read_text() for path in self._said)
        return out, err
