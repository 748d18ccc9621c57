"""What a person sees: results on stdout, messages and progress on stderr; nothing moves unless it is a terminal.

A long work that nobody watches at a terminal, in a pipe or a log, says now and then on a line of its own how far it is.

Names of files, columns, classes and the like come from anywhere, so every line goes through :func:`plain`, and nothing
in a line is taken for markup. Nothing is printed elsewhere in this package.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

BLANK = "–"
"""A cell without a value."""
GAP = 2
"""Blanks between two columns of text."""
PIPE = 100
"""Columns of a pipe, which has no width of its own."""
SILENT = 30.0
"""Seconds after which a log hears how far a work is; then again after so many, or a tenth of what has passed."""
OPEN, CLOSE, HAN = "（《“‘【", "，。、；：！？）》”’】", "\u2e80-\u2fff\u3040-\u9fff\uf900-\ufaff"
PIECES = re.compile(rf"[{OPEN}]*(?:[{HAN}]|[^\s{HAN}{OPEN}{CLOSE}]+)[{CLOSE}]*|[{OPEN}{CLOSE}]+|\s+")
"""What stays together on a line: a Chinese sign or a word, with the marks that belong to it."""


def plain(text: object) -> str:
    r"""Text on one line that no terminal obeys: what is not a visible character is spelled out.

    Escape sequences, other control characters, line breaks, marks that turn the direction of writing, and bytes of
    file names that are no text are spelled out; the joiners that some scripts need are left.

    Examples
    --------
    >>> plain("a\x1b[31mred\n.csv")
    'a\\x1b[31mred\\n.csv'
    """
    return "".join(_spelled(sign) if _obeyed(sign) else sign for sign in str(text))


def _obeyed(sign: str) -> bool:
    return unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and sign not in "\u200c\u200d"


def _spelled(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


class Screen(io.RawIOBase):
    """Where a table goes, as bytes of UTF-8, that is shown on a terminal: lines stay, the rest is :func:`plain`."""

    def __init__(self) -> None:
        super().__init__()
        self._decoded = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        """Yes: that is all it is for."""
        return True

    def write(self, content: Any) -> int:
        """Show some bytes; a sign that they cut in two waits for its rest."""
        sys.stdout.write("\n".join(map(plain, self._decoded.decode(bytes(content)).split("\n"))))
        return len(content)


class Step(Protocol):
    """Tells a progress bar how far the work is, and what it is at."""

    def __call__(self, done: float, about: str = "", total: float | None = None) -> None: ...


def note(text: str, *, quiet: bool = False) -> None:
    """A message for a person who watches: only on a terminal."""
    if not quiet and sys.stderr.isatty():
        print(plain(text), file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """A message that must not be missed, one line."""
    print(f"isthmus: {plain(text)}", file=sys.stderr, flush=True)


def line(text: object = "", *, apart: bool = False) -> None:
    """One line on stdout; ``apart`` puts an empty one before it."""
    print("\n" * apart + plain(text))


def machine(content: Any, *, line: bool = False) -> None:
    """One JSON object on stdout, on one line if asked: in the letters of its texts, where the stream can write them."""
    from isthmus.study.record import finite

    indent = None if line else 1
    text = json.dumps(finite(content), ensure_ascii=False, allow_nan=False, indent=indent)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(finite(content), allow_nan=False, indent=indent)
    print(re.sub(r"[^\n -~]", lambda one: json.dumps(one[0])[1:-1] if _obeyed(one[0]) else one[0], text), flush=line)


def say(text: str, *, indent: int = 0, strong: bool = False, apart: bool = False) -> None:
    """A sentence on stdout: one line in a pipe; on a terminal wrapped between words, further lines indented.

    Parameters
    ----------
    text : str
    indent : int
        Blanks before the second and further lines.
    strong : bool
        Bold, where there are colours.
    apart : bool
        An empty line before it.
    """
    text = plain(text)
    if apart:
        print()
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    style = "bold" if strong else None
    for i, line in enumerate(wrapped(text, max(20, console.width - indent))):
        console.print(" " * indent * (i > 0) + line, style=style, soft_wrap=True)


def wrapped(text: str, width: int) -> list[str]:
    """Lines no wider than so many columns of a terminal, of which a Chinese sign takes two.

    They are broken at blanks and between Chinese signs; no line begins with a mark that closes, or ends with one that
    opens. A word that is wider is cut.

    Examples
    --------
    >>> wrapped("two words", 6), wrapped("重构误差（小）。", 8)
    (['two', 'words'], ['重构误差', '（小）。'])
    """
    from rich.cells import cell_len, chop_cells

    lines = [""]
    for piece in PIECES.findall(text):
        if cell_len(lines[-1]) + cell_len(piece.rstrip()) <= width:
            lines[-1] += piece
        elif piece.strip():
            *whole, rest = chop_cells(piece, width)
            lines += [*whole, rest]
    return [line.rstrip() for line in lines if line.strip()] or [""]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> None:
    """A table on stdout: the first ``words`` columns are text, the others are numbers and end flush right.

    On a terminal the heads are bold. Where number columns are too many for the width (that of the terminal, or 100 in a
    pipe), they stand in several tables below each other, each with the columns of text. Where a terminal is too narrow
    even for that, each row becomes a block of ``head  value`` lines, so that nothing is cut.

    ``rich`` tells the width of a text, and writes it. Its ``Table`` is not used: where there is no room it cuts words
    (``marginali…``), and it can't set columns below each other.
    """
    from rich.cells import cell_len
    from rich.console import Console

    heads, rows = [plain(head) for head in heads], [[plain(cell) for cell in row] for row in rows]
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

    def side_by_side(cells: Sequence[str], group: Sequence[int]) -> str:
        padded = []
        for i in group:
            gap = " " * (widths[i] - cell_len(cells[i]))
            padded.append(cells[i] + gap if i < words else gap + cells[i])
        return "  ".join(padded).rstrip()

    for number, group in enumerate(groups):
        if number:
            print()
        if terminal:
            console.print(side_by_side(heads, group), style="bold", soft_wrap=True)
        else:
            print(side_by_side(heads, group))
        for row in rows:
            if not number or any(row[i].strip() not in {"", BLANK} for i in group[words:]):
                print(side_by_side(row, group))


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


def fitted(rows: Sequence[Sequence[str]], most: Sequence[int], width: int) -> list[int]:
    """Widths of columns of text: what they need, no more than each may take, and all together no more than there is."""
    from rich.cells import cell_len

    found = [
        min(least, max(map(cell_len, column))) for least, column in zip(most, zip(*rows, strict=True), strict=True)
    ]
    room = width - GAP * (len(found) - 1)
    while sum(found) > room:
        found[found.index(max(found))] -= 1
    return found


def wrapped_row(cells: Sequence[str], widths: Sequence[int], *, strong: bool = False) -> None:
    """One row of a table of texts, each wrapped between words within its column."""
    from rich.cells import cell_len
    from rich.console import Console

    parts = [wrapped(plain(text), width) for text, width in zip(cells, widths, strict=True)]
    console = Console(highlight=False, markup=False, emoji=False)
    for i in range(max(map(len, parts))):
        there = [part[i] if i < len(part) else "" for part in parts]
        padded = [text + " " * (width - cell_len(text)) for text, width in zip(there, widths, strict=True)]
        text = (" " * GAP).join(padded).rstrip()
        if strong:
            console.print(text, style="bold", soft_wrap=True)
        else:
            print(text)


@contextmanager
def progress(
    title: str, total: float, *, done: float = 0, unit: str = "", most: float | None = None, quiet: bool = False
) -> Iterator[Step]:
    """A bar on stderr while the block runs; where stderr is no terminal, a line now and then.

    Parameters
    ----------
    title : str
        What is done.
    total, done : float
        How much there is, and how much of it was there before.
    unit : str
        What is counted.
    most : float, optional
        Seconds that it may take: told in place of a guess of how long the rest will take.
    """
    if quiet or not sys.stderr.isatty():
        yield (lambda done, about="", total=None: None) if quiet else _lines(title, total, done, unit, most)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    count = f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"
    wide: list[Any] = []
    if console.width >= 100:
        wide = [TextColumn("{task.fields[about]}", style="dim", markup=False)]
    columns: list[Any] = [TextColumn("{task.description}", markup=False), BarColumn(None if console.width < 60 else 30)]
    rest = TimeRemainingColumn() if most is None else TextColumn(f"of {clock(most)}")
    columns += [TextColumn(count), TimeElapsedColumn(), rest, *wide]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(plain(title), total=total, about="")
        bar.update(task, completed=done)
        yield lambda done, about="", total=None: bar.update(task, completed=done, about=plain(about), total=total)


def _lines(title: str, whole: float, before: float, unit: str, most: float | None = None) -> Step:
    """Progress for a log: no line in the first 30 seconds, and ever fewer of them in a work of hours."""
    began = time.monotonic()
    due = began + SILENT

    def tell(done: float, about: str = "", total: float | None = None) -> None:
        nonlocal due, whole
        whole = whole if total is None else total
        now = time.monotonic()
        if now < due or done >= whole:
            return
        passed = now - began
        due = now + max(SILENT, passed / 10)
        guess = f", about {clock(passed * (whole - done) / (done - before))} left" if done > before else ""
        left = guess if most is None else f" of {clock(most)}"
        warn(f"{title}: {done:.0f} of {whole:.0f} {unit} after {clock(passed)}{left}")

    return tell


def clock(seconds: float) -> str:
    """A time for people.

    Examples
    --------
    >>> clock(42.3), clock(90), clock(8000)
    ('42 s', '1 min 30 s', '2 h 13 min')
    """
    whole = math.ceil(seconds) if seconds >= 1 else 1
    if whole < 60:
        return f"{round(seconds) or 1} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
