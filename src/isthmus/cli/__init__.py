"""The command line. Nothing heavy is imported before a command runs, so that help comes at once.

Results go to stdout, messages and progress to stderr; how the program ends is in :mod:`isthmus.cli.ends`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from isthmus.cli import ends
from isthmus.errors import BadInput


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and say how it ended.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands behind ``isthmus``; by default that of this process.

    Returns
    -------
    int
        The exit code.
    """
    _open_what_is_closed()
    _write_what_can_be_written()
    _leave_words_to_rank_0()
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]

    def run() -> int:
        from isthmus.cli import app  # inside, so that Ctrl-C during the import is heard

        _check_text(given)
        _check_ranks(given)
        return app.run(given)

    return ends.guard(run, debug="--debug" in given)


def _open_what_is_closed() -> None:
    """A program started with a stream closed (``>&-``) has none; what it says there goes nowhere, and ends nothing.

    Processes that it starts have the stream too.
    """
    for name in ("stdin", "stdout", "stderr"):  # in this order each takes its own descriptor
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(handle, True)
            setattr(sys, name, os.fdopen(handle, "r" if name == "stdin" else "w"))


def _write_what_can_be_written() -> None:
    """A stream of few letters (Latin-1, ASCII) shows a question mark for any other, rather than end the program."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse what is no text, before any work: it could not stand in a study, on a page or in an answer."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise BadInput(
                f"{argument}: contains bytes that are not text in this system's encoding; rename it"
            ) from None


def _leave_words_to_rank_0() -> None:
    """Of processes that torchrun started, one speaks."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and os.environ.get("RANK", "0") != "0":
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _check_ranks(arguments: Sequence[str]) -> None:
    """Refuse what several ranks would do several times."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and arguments[0] != "train":
        raise BadInput(
            f"several ranks share the work of isthmus train alone; got {arguments[0]}: start it without torchrun"
        )
