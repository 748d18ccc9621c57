"""One pass over rows that do not fit into memory: their moments and digest, and draws of them that do fit.

Rows that are held out are a bounded, seeded draw, and everything else is trained on. What needs some training rows at
once, such as the start of a family, gets a draw of those.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dataset import Dataset
from isthmus.data.layout import Layout
from isthmus.data.moments import Moments
from isthmus.data.numbers import COARSE, too_fine
from isthmus.data.scale import Scaler
from isthmus.data.source import TILE, Source, release
from isthmus.data.split import FRACTIONS, Split
from isthmus.data.wording import shown
from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed

Item = TypeVar("Item")
Found = TypeVar("Found")
ROWS, NUMBERS = 20_000, 1 << 21
"""Most rows of a draw, and most numbers in it: a share of explained variance is told to 0.1 % by so many rows."""
LEAST = 1000
"""Rows of a draw, however wide they are."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of the rows of a source after one pass; made by :func:`survey`."""

    source: Source
    seed: int
    layout: Layout
    """Fitted on all training rows."""
    moments: Moments
    """Of all training rows, in the units of the data."""
    digest: str
    """SHA-256 of the rows, as :attr:`isthmus.data.dataset.Dataset.digest` gives it of the same rows in memory."""
    drawn: Split
    """Sorted numbers of the rows that were drawn: some of the training rows, and all validation and test rows."""
    x: NDArray[np.float32] = field(repr=False)
    """The rows of these draws, one after the other, (n, D)."""

    @cached_property
    def held(self) -> NDArray[np.int64]:
        """Sorted numbers of the rows that are not trained on."""
        return np.sort(np.concatenate(self.drawn[1:]))

    @property
    def rows(self) -> int:
        """All rows of the source."""
        return int(self.source.starts[-1])

    @property
    def width(self) -> int:
        """E, the elements of a row that is laid out."""
        return len(self.source.columns)

    @property
    def count(self) -> int:
        """How many rows are trained on."""
        return self.moments.rows

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """(K,): how many training rows each block holds."""
        return np.diff(self.source.starts) - np.diff(np.searchsorted(self.held, self.source.starts))

    def numbers(self, block: int) -> NDArray[np.int64]:
        """Which rows of the source the training rows of a block are, sorted."""
        begin, end = self.source.starts[block : block + 2]
        return np.delete(np.arange(begin, end), self.held[slice(*np.searchsorted(self.held, (begin, end)))] - begin)

    def load(self, block: int) -> Iterator[NDArray[np.float32]]:
        """The training rows of a block, laid out, some (n, E) at a time."""
        found, own = self.source.block(block), self.numbers(block) - self.source.starts[block]
        step, whole = max(1, TILE // found.shape[1]), len(own) == len(found)
        for begin in range(0, len(own), step):
            tile = slice(begin, begin + step)
            yield self.layout.apply(found[tile] if whole else found[own[tile]])

    def dataset(self) -> tuple[Dataset, Split]:
        """The rows that were drawn as data in memory, and which of them are training, validation and test rows."""
        ends = np.cumsum([0, *map(len, self.drawn)])
        parts = Split(*(np.arange(a, b) for a, b in itertools.pairwise(ends)))
        return Dataset(self.source.name, self.x, None, (), self.source.columns, source=self.source.place), parts

    def laid_out(self) -> list[NDArray[np.float32]]:
        """The rows of the draws as models take them, (n, E)."""
        return [self.layout.apply(part) for part in np.split(self.x, np.cumsum([len(n) for n in self.drawn[:2]]))]

    @property
    def said(self) -> str:
        """What was drawn, a sentence."""
        train, valid, test = (f"{len(part):,}" for part in self.drawn)
        return (
            f"validation: {valid} rows drawn of {self.rows:,}, and test: {test} others; all other rows are trained on, "
            f"and {train} drawn of them start the model and are what it is measured beside"
        )


def survey(source: Source, seed: int = 0, *, scale: str = "auto", readers: int = 1, rows: int | None = None) -> Survey:
    """Read all rows once.

    Parameters
    ----------
    source : Source
    seed : int
        Of the draws.
    scale : {"auto", "standard", "unit", "none"}
        Of the layout (:meth:`isthmus.data.scale.Scaler.fit`).
    readers : int
        Threads that read; nothing but time hangs on their number.
    rows : int, optional
        Most rows of a draw: 20,000, fewer of very wide rows, and never more than a fifth of the rows.

    Raises
    ------
    BadInput
        If a cell is missing, infinite or beyond 32-bit floats.
    """
    drawn = _drawn(source, seed, rows)
    moments: Moments | None = None
    count, width = int(source.starts[-1]), len(source.columns)
    digest = hashlib.sha256(json.dumps([[count, width], False, [], None]).encode())
    ends = np.cumsum([0, *map(len, drawn)])
    whole = np.empty((int(ends[-1]), width), np.float32)
    kept = [whole[a:b] for a, b in itertools.pairwise(ends)]
    error = np.zeros(width)
    held = np.sort(np.concatenate(drawn[1:]))

    def look(block: int) -> _Seen:
        return _seen(source, block, held, drawn)

    for seen in in_order(look, range(len(source.starts) - 1), readers):
        digest.update(np.ascontiguousarray(seen.rows, "<f4").data)
        if seen.moments is not None:
            moments = seen.moments if moments is None else moments + seen.moments
        error = np.maximum(error, seen.error)
        for part, (where, some) in zip(kept, seen.drawn, strict=True):
            part[where] = some
    release()
    assert moments is not None
    low, high = moments.low, moments.high
    if len(fine := np.flatnonzero((low < high) & (error / COARSE > high - low))):
        j = int(fine[0])
        raise BadInput(too_fine(source.place, source.columns[j], f"{low[j]:.12g}", f"{high[j]:.12g}"))
    return Survey(source, seed, Scaler.of_moments(moments, scale, kept[0]), moments, digest.hexdigest(), drawn, whole)


def in_order(function: Callable[[Item], Found], items: Iterable[Item], readers: int) -> Iterator[Found]:
    """``function`` of each item, in the order of the items; so many threads work on the next ones."""
    if readers < 2:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(readers) as threads:
        waiting: deque[Future[Found]] = deque()
        for item in items:
            waiting.append(threads.submit(function, item))
            if len(waiting) >= readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Seen(NamedTuple):
    """A block, looked at."""

    rows: NDArray[np.float32]
    moments: Moments | None
    error: NDArray[np.float64]
    drawn: list[tuple[slice, NDArray[np.float32]]]
    """For each draw, which places of it the rows have."""


def _seen(source: Source, block: int, held: NDArray[np.int64], drawn: Split) -> _Seen:
    begin, end = source.starts[block : block + 2]
    error = np.zeros(len(source.columns))
    rows, known = source.block(block, error), None
    own = np.ones(len(rows), bool)
    own[held[slice(*np.searchsorted(held, (begin, end)))] - begin] = False
    step = max(1, TILE // rows.shape[1])
    for at in range(0, len(rows), step):  # what is looked at several times stays near the processor
        tile = rows[at : at + step]
        tile += np.float32(0.0)  # one zero, as rows in memory have
        if not np.isfinite(tile).all():
            raise _unusable(source, begin + at, tile)
        if (mine := own[at : at + step]).any():
            more = Moments.of(tile if mine.all() else tile[mine])
            known = more if known is None else known + more
    places = [slice(*np.searchsorted(part, (begin, end))) for part in drawn]
    parts = [(where, rows[part[where] - begin]) for part, where in zip(drawn, places, strict=True)]
    return _Seen(rows, known, error, parts)


def _unusable(source: Source, begin: int, rows: NDArray[np.float32]) -> BadInput:
    """What is said of the first cell that cannot be used."""
    i, j = np.argwhere(~np.isfinite(rows))[0]
    what = "missing" if np.isnan(rows[i, j]) else "infinite, or beyond 32-bit floats"
    return BadInput(
        f"{source.place}: row {begin + i + 1:,}, column {shown(source.columns[j])}: the value is {what}; fill it in or "
        "drop the row"
    )


def _drawn(source: Source, seed: int, most: int | None) -> Split:
    """Sorted numbers of some training rows, of validation and of test rows."""
    count = int(source.starts[-1])
    most = max(LEAST, min(ROWS, NUMBERS // len(source.columns))) if most is None else most
    aside = max(1, min(most, int(count * FRACTIONS[1])))
    some = min(most, count - 2 * aside)
    chosen = np.random.default_rng(hashed(seed, "holdout")).choice(count, some + 2 * aside, replace=False)
    return Split(*map(np.sort, np.split(chosen, [some, some + aside])))
