"""The ten-second answer on a terminal: one small table, each choice with the commands that follow from it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.cli import show

if TYPE_CHECKING:
    from isthmus.answers.brief import Line
    from isthmus.answers.words import Words

LEAST = 60
"""Columns of a terminal from which there is room for a table; below that each purpose is a block of lines."""
MOST = (24, 30, 18, 34)
"""Columns that purpose, choice, certainty and gain may take before they are wrapped."""


def table(lines: Sequence[Line], folder: str, words: Words) -> None:
    """Print it: as wide as the terminal, or 100 columns in a pipe; texts are wrapped between words.

    Parameters
    ----------
    lines : sequence of Line
        As :func:`isthmus.answers.brief.brief` gives them.
    folder : str
        The study's folder as a shell takes it.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    width = console.width if sys.stdout.isatty() else show.PIPE
    heads = [words("brief." + key) for key in ("purpose", "take_head", "sure", "gain_head")]
    rows = [[line.purpose, line.take, line.sure, line.gain] for line in lines]
    if width < LEAST:
        for row, line in zip(rows, lines, strict=True):
            console.print(row[0], style="bold", soft_wrap=True)
            for head, text in zip(heads[1:], row[1:], strict=True):
                if text == words("brief.unknown"):
                    continue
                for i, part in enumerate(show.wrapped(f"{head}{words('page.colon')}{text}", width - 4)):
                    show.line("  " + "  " * (i > 0) + part)
            _command(line, folder)
        return
    widths = show.fitted([heads, *rows], MOST, width)
    show.wrapped_row(heads, widths, strong=True)
    for row, line in zip(rows, lines, strict=True):
        show.wrapped_row(row, widths)
        _command(line, folder)


def _command(line: Line, folder: str) -> None:
    if line.command:
        show.line(f"  $ isthmus take {folder} {line.command}")
    if line.more:
        show.line(f"  $ isthmus compare --out {folder} {line.more}")
