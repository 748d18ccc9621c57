"""Which rows of a file are trained on, and which are drawn to be held out, before any of them is held in memory.

Rows that are held out are a bounded, seeded draw, and all others are trained on. Where rows belong to groups, so are no
others of the groups of those that are drawn; where they have times, what is held out is the latest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.data.metadata import NONE, Metadata, counted, in_proportion, sentences
from isthmus.data.metadata import known as metadata_of
from isthmus.data.source import Source
from isthmus.data.split import FRACTIONS, Split, grouped, ordered
from isthmus.data.table import table
from isthmus.data.unchecked import Unchecked, row_words
from isthmus.seeds import seed as hashed

ROWS, NUMBERS = 20_000, 1 << 21
"""Most rows of a draw, and most numbers in it: a share of explained variance is told to 0.1 % by so many rows."""
LEAST = 1000
"""Rows of a draw, however wide they are."""
BESIDE = 96
"""Bytes for each row of the file that it takes at most to tell by groups, times or weights which rows are held out."""


@dataclass(frozen=True, eq=False)
class Holdout:
    """Which rows are trained on, and which are drawn."""

    drawn: Split
    """Sorted numbers of the rows that were drawn: some of the training rows, and validation and test rows."""
    held: NDArray[np.int64]
    """Sorted numbers of the rows that are not trained on."""
    taken: NDArray[np.int64] | None = None
    """Sorted numbers of those that are, as often as they count; None where each of them does once."""
    dead: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Sorted numbers of the rows of weight 0."""
    beside: Metadata = NONE
    """Of the rows that were drawn, one after the other: their groups and times, and how much test rows count."""
    told: tuple[str, ...] = ()
    """What follows from groups, times and weights, a sentence each."""
    where: str = ""
    """Where the rows lie that were drawn, in words."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return sum(one.nbytes for one in (self.held, self.taken, self.dead) if one is not None)

    def sizes(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """(K,): how many training rows blocks hold that begin with rows ``starts`` (K + 1,), as often as they count."""
        if self.taken is not None:
            return np.diff(np.searchsorted(self.taken, starts))
        return np.diff(starts) - np.diff(np.searchsorted(self.held, starts))

    def numbers(self, begin: int, end: int) -> NDArray[np.int64]:
        """Sorted numbers of the training rows from one row up to another."""
        if self.taken is not None:
            return self.taken[slice(*np.searchsorted(self.taken, (begin, end)))]
        return np.delete(np.arange(begin, end), self.held[slice(*np.searchsorted(self.held, (begin, end)))] - begin)

    def living(self, begin: int, rows: NDArray[Any]) -> NDArray[Any]:
        """The rows of a block that begins with row ``begin``, but those of weight 0."""
        own = self.dead[slice(*np.searchsorted(self.dead, (begin, begin + len(rows))))] - begin
        return np.delete(rows, own, axis=0) if len(own) else rows


def holdout(source: Source, seed: int, most: int | None = None) -> tuple[Holdout, Metadata]:
    """Draw rows of a source; and what is known of all its rows of weight besides their columns.

    Parameters
    ----------
    source : Source
    seed : int
    most : int, optional
        Most rows of a draw: 20,000, fewer of very wide rows, and never more than a fifth of the rows.

    Raises
    ------
    BadInput
        If a column of groups, times or weights cannot be one, or there are too few groups or times.
    """
    count = int(source.starts[-1])
    most = max(LEAST, min(ROWS, NUMBERS // len(source.columns))) if most is None else most
    if source.asked.beside:
        found, kept = _metadata(source)
        return _beside(count, seed, most, found, kept), found
    aside = max(1, min(most, int(count * FRACTIONS[1])))
    drawn = _drawn(count, aside, min(most, count - 2 * aside), seed)
    return Holdout(drawn, np.sort(np.concatenate(drawn[1:]))), NONE


def _drawn(count: int, aside: int, some: int, seed: int) -> Split:
    """Sorted numbers of ``some`` rows, and twice ``aside`` others."""
    chosen = np.random.default_rng(hashed(seed, "holdout")).choice(count, some + 2 * aside, replace=False)
    return Split(*map(np.sort, np.split(chosen, [some, some + aside])))


def _beside(rows: int, seed: int, most: int, found: Metadata, kept: NDArray[np.int64]) -> Holdout:
    """The same where something is known of rows besides their columns; ``kept`` are those of weight."""
    aside = max(1, min(most, int(len(kept) * FRACTIONS[1])))
    share, where = aside / len(kept), ""
    fractions = (1 - 2 * share, share, share)
    if found.time is not None:
        parts, where = ordered(found.time, fractions=fractions), " of the latest rows"
    elif found.group is not None:
        parts, where = grouped(found.group, seed, fractions=fractions), " of other groups"
    else:
        parts = _drawn(len(kept), aside, 0, seed)
        parts = parts._replace(train=np.delete(np.arange(len(kept)), np.concatenate(parts[1:])))
    taken = [parts.train, parts.valid]
    if found.weight is not None:
        taken = [part[in_proportion(found.weight[part], hashed(seed, "weights", k))] for k, part in enumerate(taken)]
    random = np.random.default_rng(hashed(seed, "draws"))
    drawn = Split(*(_some(part, most, random) for part in (*taken, parts.test)))
    beside = found.take(np.concatenate(drawn))
    if beside.weight is not None:  # others stand as often as they count
        beside.weight[: -len(drawn.test)] = 1.0
    return Holdout(
        Split(*(kept[part] for part in drawn)),
        np.delete(np.arange(rows), kept[parts.train]),
        None if found.weight is None else kept[taken[0]],
        np.delete(np.arange(rows), kept),
        beside,
        tuple(sentences(found, rows - len(kept))),
        where,
    )


def _some(numbers: NDArray[np.int64], most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """At most so many of sorted numbers, sorted."""
    return numbers if len(numbers) <= most else np.sort(random.choice(numbers, most, replace=False))


def _metadata(source: Source) -> tuple[Metadata, NDArray[np.int64]]:
    """What is known of the rows of weight besides their columns, and which these are."""
    rows, names = int(source.starts[-1]), source.beside
    raw = Unchecked(source.place, np.empty((rows, 0)), None, source.columns, row_words((), lambda i: f"row {i + 1:,}"))
    if names:
        parts = [source.table(k, names) for k in range(len(source.starts) - 1)]
        content = pa.concat_tables(parts).unify_dictionaries()
        raw = table(source.place, names, content.columns, lambda i: f"row {i + 1:,}", None)
    asked = {what: source.asked.beside.get(what) for what in ("group", "time", "weights")}
    raw, found = metadata_of(None, raw, group=asked["group"], time=asked["time"], weights=asked["weights"])
    _, found, kept = counted(raw, found)
    return found, np.arange(rows) if kept is None else kept
