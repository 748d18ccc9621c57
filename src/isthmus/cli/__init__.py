"""The command line. Nothing heavy is imported before a command runs, so that help comes at once.

Results go to stdout, messages and progress to stderr; how the program ends is in :mod:`isthmus.cli.ends`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from isthmus.cli import ends

TRACKER = "ignore::UserWarning:joblib.externals.loky.backend.resource_tracker"


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
    _quiet_the_tracker()
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]

    def run() -> int:
        from isthmus.cli import app  # inside, so that Ctrl-C during the import is heard

        return app.run(given)

    return ends.guard(run, debug="--debug" in given)


def _quiet_the_tracker() -> None:
    """Joblib's tracker of temporary folders may find, where workers were stopped, a folder gone, and say so last.

    It is a process of its own, which hears of no other filter.
    """
    own = os.environ.get("PYTHONWARNINGS", "")
    if TRACKER not in own:
        os.environ["PYTHONWARNINGS"] = f"{own},{TRACKER}".lstrip(",")


def _open_what_is_closed() -> None:
    """A program started with a stream closed (``>&-``) has none; what it says there goes nowhere, and ends nothing."""
    for name in ("stdin", "stdout", "stderr"):  # in this order each takes its own descriptor
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))
