"""What a person sees: results on stdout, messages and progress on stderr; nothing moves unless it is a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

BLANK = "–"
"""A cell without a value."""
PIPE = 100
"""Columns of a pipe, which has no width of its own."""


class Step(Protocol):
    """Tells a progress bar how far the work is, and what it is at."""

    def __call__(self, done: float, about: str = "", total: float | None = None) -> None: ...


def note(text: str, *, quiet: bool = False) -> None:
    """A message for a person who watches: only on a terminal."""
    if not quiet and sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """A message that must not be missed, one line."""
    print(f"isthmus: {text}", file=sys.stderr, flush=True)


def machine(content: Any) -> None:
    """One JSON object on stdout."""
    from isthmus.study.record import finite

    print(json.dumps(finite(content), ensure_ascii=False, allow_nan=False, indent=1))


def say(text: str, *, indent: int = 0, strong: bool = False) -> None:
    """A sentence on stdout: one line in a pipe; on a terminal wrapped between words, further lines indented.

    Parameters
    ----------
    text : str
    indent : int
        Blanks before the second and further lines.
    strong : bool
        Bold, where there are colours.
    """
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    styled = Text(text, style="bold" if strong else "")
    for i, line in enumerate(styled.wrap(console, max(20, console.width - indent))):
        line.rstrip()
        console.print(" " * indent * (i > 0), line, sep="")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> None:
    """A table on stdout: the first ``words`` columns are text, the others are numbers and end flush right.

    On a terminal the heads are bold. Where number columns are too many for the width (that of the terminal, or 100 in a
    pipe), they stand in several tables below each other, each with the columns of text. Where a terminal is too narrow
    even for that, each row becomes a block of ``head  value`` lines, so that nothing is cut.
    """
    from rich.cells import cell_len
    from rich.console import Console

    console, terminal = Console(highlight=False, markup=False, emoji=False), sys.stdout.isatty()
    widths = [max(cell_len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    groups = _grouped(widths, words, console.width if terminal else PIPE)
    if terminal and max(sum(widths[i] + 2 for i in group) - 2 for group in groups) > console.width:
        for row in rows:
            console.print(row[0], style="bold", soft_wrap=True)
            for head, value in zip(heads[1:], row[1:], strict=True):
                if value.strip() not in {"", BLANK}:
                    say(f"  {head}: {value.strip()}", indent=4)
        return

    def line(cells: Sequence[str], group: Sequence[int]) -> str:
        padded = []
        for i in group:
            gap = " " * (widths[i] - cell_len(cells[i]))
            padded.append(cells[i] + gap if i < words else gap + cells[i])
        return "  ".join(padded).rstrip()

    for number, group in enumerate(groups):
        if number:
            print()
        if terminal:
            console.print(line(heads, group), style="bold", soft_wrap=True)
        else:
            print(line(heads, group))
        for row in rows:
            if not number or any(row[i].strip() not in {"", BLANK} for i in group[words:]):
                print(line(row, group))


def _grouped(widths: Sequence[int], words: int, room: int) -> list[list[int]]:
    """Which columns stand side by side: the text columns in every group, then as many others as there is room for.

    Examples
    --------
    >>> _grouped([10, 8, 8, 8], 1, 30)
    [[0, 1, 2], [0, 3]]
    """
    text = list(range(words))
    groups, taken = [text.copy()], sum(widths[:words]) + 2 * (words - 1)
    left = taken
    for i in range(words, len(widths)):
        if left + 2 + widths[i] > room and len(groups[-1]) > words:
            groups.append(text.copy())
            left = taken
        groups[-1].append(i)
        left += 2 + widths[i]
    return groups


@contextmanager
def progress(title: str, total: float, *, done: float = 0, unit: str = "", quiet: bool = False) -> Iterator[Step]:
    """A bar on stderr while the block runs, if stderr is a terminal.

    Parameters
    ----------
    title : str
        What is done.
    total, done : float
        How much there is, and how much of it was there before.
    unit : str
        What is counted.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done, about="", total=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    count = f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"
    wide: list[Any] = [TextColumn("[dim]{task.fields[about]}")] if console.width >= 100 else []
    columns = [TextColumn(title), BarColumn(None if console.width < 60 else 30), TextColumn(count)]
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), *wide, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total, about="")
        bar.update(task, completed=done)
        yield lambda done, about="", total=None: bar.update(task, completed=done, about=about, total=total)
