"""What a notebook shows: how far a study is while it runs, and its answer as the small table of the report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from isthmus.answers.words import Words
from isthmus.data.wording import number_of

if TYPE_CHECKING:
    from isthmus.answers.brief import Line
    from isthmus.study.jobs import Job, Progress
    from isthmus.study.record import Record

EVERY = 0.5
"""Seconds between two changes of the line, at least; the last one is always shown."""


def table(lines: Sequence[Line], folder: str, words: Words) -> str:
    """The ten-second answer as an HTML table without styles: a notebook brings its own. Every text is escaped."""
    keys = ("purpose", "take_head", "sure", "gain_head", "command")
    heads = "".join(f"<th>{escape(words('brief.' + key))}</th>" for key in keys)
    rows = []
    for line in lines:
        typed = [f"isthmus take {folder} {line.command}"] if line.command else []
        typed += [f"isthmus compare --out {folder} {line.more}"] if line.more else []
        command = "<br>".join(f"<code>{escape(one)}</code>" for one in typed)
        cells = [f"<b>{escape(line.take)}</b>", escape(line.sure), escape(line.gain), command]
        rows.append(f"<tr><th>{escape(line.purpose)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def watcher(name: str) -> Progress | None:
    """A line below the cell that says how many runs are done; None where no notebook is there to show it.

    A notebook is known by its kernel. The line is plain text that IPython changes in place, so no widget need be there.

    Parameters
    ----------
    name : str
        What the data are called.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if ipython is None or getattr(shell, "kernel", None) is None:
        return None
    handle = ipython.display.display(Said(f"{name}: 0 runs done"), display_id=True)
    began = shown = time.monotonic()

    def tell(job: Job, record: Record, done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < EVERY and done < total:
            return
        shown = now
        spent = f"{now - began:.0f} s"
        handle.update(Said(f"{name}: {done} of {number_of(total, 'run')} done, {spent}; last: {job.name.name}"))

    return tell


class Said:
    """One line of text; IPython shows its ``repr``."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text
