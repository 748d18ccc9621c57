"""A stream is fed to a watch, row by row, and the state of the watch is kept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from isthmus.data.blocks import Block
    from isthmus.monitor.gathered import Gathered
    from isthmus.monitor.state import Kept
    from isthmus.monitor.watch import Alarm, Watch
    from isthmus.ship.deployed import Deployed

SUSPECT = {("score", "score"), ("threshold", "threshold")}
"""What calls the threshold into question."""
PAUSE = 1.0
"""Seconds between two states on the disk, at least, where nothing is to be told."""


class Feed:
    """One stream on its way into a watch.

    Parameters
    ----------
    watch : Watch
    data : Path
        A file, or ``-``.
    state : Path or None
        Where the state is kept.
    kept : Kept
        Where the watch stands in its files.
    gathered : Gathered, optional
        Takes the rows, those of before too that are not counted again.
    """

    def __init__(
        self, watch: Watch, data: Path, state: Path | None, kept: Kept, gathered: Gathered | None = None
    ) -> None:
        from isthmus.data.blocks import STDIN

        self.watch, self.data, self.state, self.kept, self.gathered = watch, data, state, kept, gathered
        self.named = data != Path(STDIN)
        before = kept.known(data) if self.named and data.is_file() else None
        self.skip, self.suspect = (0, None) if before is None else (before.rows, before.suspect)
        self.seen, self.whole = 0, True

    def run(self, graph: Any, tell: Callable[[Alarm], None]) -> None:
        """Feed all of it, and keep the state: before an alarm is told, once in a while, and at the end."""
        from isthmus.data.wording import place

        last = 0.0
        try:
            for raised in self._fed(graph):
                if raised or time.monotonic() - last > PAUSE:
                    self.save()
                    last = time.monotonic()
                for alarm in raised:
                    tell(alarm)
        except BadInput:
            if self.seen > self.skip:
                self.save()  # what came before the row that could not be read
            raise
        except KeyboardInterrupt as stopped:
            if self.whole and self.seen > self.skip:
                self.save()
            stopped.add_note(self._left())
            raise
        if self.seen < self.skip:
            raise BadInput(
                f"{place(self.data)}: {self.seen:,} rows, but {self.skip:,} were counted before: the file was cut; "
                "give another --state"
            )
        self.save()

    def save(self) -> None:
        """Keep how far the stream was watched."""
        from isthmus.monitor import state as states

        if self.state is not None:
            kept = self.kept.at(self.data, self.seen, self.suspect) if self.named else self.kept
            states.save(self.state, self.watch, kept)

    def _fed(self, graph: Any) -> Iterator[list[Alarm]]:
        """What each piece of a block raises."""
        from isthmus.data.blocks import blocks
        from isthmus.ship import verbs

        deployed = self.watch.deployed
        wanted = verbs.wanted(deployed)
        for block in blocks(self.data, wanted, *graph, lenient=True):
            rows, good = verbs.rows_of(deployed, block)
            absent, start = _absent(wanted, block), max(0, min(len(rows), self.skip - self.seen))
            self._again(rows[:start], good[:start])
            while start < len(rows):
                stop = min(len(rows), start + self.watch.room)
                strangers = _strangers(deployed, block, start, stop)
                self._gather(rows[start:stop], good[start:stop])
                self.whole = False
                raised = self.watch.feed(rows[start:stop], good[start:stop], absent=absent, strangers=strangers)
                self.seen, start, self.whole = self.seen + stop - start, stop, True
                yield raised

    def _again(self, rows: NDArray[Any], good: NDArray[np.bool_]) -> None:
        """Rows that were counted before."""
        if self.gathered is not None and len(rows):
            cut = len(rows) if self.suspect is None else max(0, min(len(rows), self.suspect - self.seen))
            self.gathered.put(rows[:cut][good[:cut]], since=False)
            self.gathered.put(rows[cut:][good[cut:]], since=True)
        self.seen += len(rows)

    def _gather(self, rows: NDArray[Any], good: NDArray[np.bool_]) -> None:
        """Rows that are about to be counted."""
        since = bool(self.watch.open & SUSPECT)
        if since and self.suspect is None:
            self.suspect = self.seen
        if self.gathered is not None:
            self.gathered.put(rows[good], since=since)

    def _left(self) -> str:
        """What is kept of a stream that was left."""
        if not self.whole:  # numbers are half of one state and half of the next
            told = "rows since the last state are not kept"
        else:
            told = f"the watch of {self.seen:,} rows is kept "
            told += f"in {self.state}" if self.state else "nowhere (--state FILE)"
        return told + ("" if self.named else "; what else came through the pipe was not looked at")


def _absent(wanted: Sequence[Any], block: Block) -> list[str]:
    """Columns that the stream does not have; pictures, beside whose names no column stands, have them all."""
    there = set() if block.table is None else set(block.table.column_names)
    return [one.name for one in wanted if one.name not in there] if there & {one.name for one in wanted} else []


def _strangers(deployed: Deployed, block: Block, start: int, stop: int) -> dict[str, list[str]]:
    """New values of categories in some rows of a block, as they are written there."""
    import numpy as np

    found: dict[str, list[str]] = {}
    if block.table is None:
        return found
    for j, one in enumerate(deployed.fields):
        if one.values and one.name in block.table.column_names:
            at = np.flatnonzero(block.rows[start:stop, j].astype(float) < 0)  # beside text, cells are objects
            texts = block.table.column(one.name).take(at + start).to_pylist() if len(at) else []
            if texts:
                found[one.name] = list(dict.fromkeys(str(text).strip()[:100] for text in texts))
    return found
