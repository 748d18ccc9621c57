"""The command line. Nothing heavy is imported before a command runs, so that help comes at once.

Results go to stdout, messages and progress to stderr; how the program ends is in :mod:`isthmus.cli.ends`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from isthmus.cli import ends


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
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]

    def run() -> int:
        from isthmus.cli import app  # inside, so that Ctrl-C during the import is heard

        return app.run(given)

    return ends.guard(run, debug="--debug" in given)
