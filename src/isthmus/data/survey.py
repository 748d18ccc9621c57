"""One pass over rows that do not fit into memory: their moments and digest, and draws of them that do fit.

Which rows are held out, and which are trained on, :mod:`isthmus.data.holdout` says. What needs some training rows at
once, such as the start of a family, gets a draw of those.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.data.columnar import TILE
from isthmus.data.dataset import Dataset
from isthmus.data.fields import TALLIED, TEXTS, Field, Tally, missing
from isthmus.data.fields.field import agreed
from isthmus.data.holdout import Holdout, holdout
from isthmus.data.inferred import inferred
from isthmus.data.labels import classes
from isthmus.data.layout import Layout, Table, cells_of
from isthmus.data.metadata import Metadata
from isthmus.data.moments import Moments
from isthmus.data.numbers import COARSE, too_fine
from isthmus.data.ordered import in_order
from isthmus.data.scale import Scaler
from isthmus.data.source import Source, release
from isthmus.data.split import Split
from isthmus.data.unchecked import Unchecked, row_words
from isthmus.data.wording import shown
from isthmus.errors import BadInput


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of the rows of a source after one pass; made by :func:`survey`."""

    source: Source
    """Of cells, where rows are no plain numbers."""
    seed: int
    layout: Layout
    """Fitted on all training rows."""
    count: int
    """How many rows are trained on."""
    moments: Moments | None
    """Of all training rows, in the units of the data; None of cells."""
    digest: str
    """SHA-256 of the rows, as :attr:`isthmus.data.dataset.Dataset.digest` gives it of the same rows in memory, unless
    some are free text."""
    holdout: Holdout
    """Which rows are trained on, and which were drawn."""
    x: NDArray[Any] = field(repr=False)
    """The rows of these draws, one after the other, (n, D); cells (n, F), where the source has fields."""
    y: tuple[NDArray[np.int64], tuple[str, ...]] | None = field(default=None, repr=False)
    """The classes of these rows, and their names, where a label was asked for."""

    @property
    def drawn(self) -> Split:
        """Sorted numbers of the rows that were drawn: some of the training rows, and validation and test rows."""
        return self.holdout.drawn

    @property
    def rows(self) -> int:
        """All rows of the source."""
        return int(self.source.starts[-1])

    @property
    def width(self) -> int:
        """E, the elements of a row that is laid out."""
        return self.layout.width if isinstance(self.layout, Table) else len(self.source.columns)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """(K,): how many training rows each block holds, as often as they count."""
        return self.holdout.sizes(self.source.starts)

    def numbers(self, block: int) -> NDArray[np.int64]:
        """Which rows of the source the training rows of a block are, sorted."""
        return self.holdout.numbers(*self.source.starts[block : block + 2])

    def load(self, block: int) -> Iterator[NDArray[np.float32]]:
        """The training rows of a block, laid out, some (n, E) at a time."""
        found, own = self.source.block(block), self.numbers(block) - self.source.starts[block]
        step, whole = max(1, TILE // self.width), self.holdout.taken is None and len(own) == len(found)
        for begin in range(0, len(own), step):
            tile = slice(begin, begin + step)
            yield self.layout.apply(found[tile] if whole else found[own[tile]])

    def dataset(self) -> tuple[Dataset, Split]:
        """The rows that were drawn as data in memory, and which of them are training, validation and test rows."""
        ends = np.cumsum([0, *map(len, self.drawn)])
        parts = Split(*(np.arange(a, b) for a, b in itertools.pairwise(ends)))
        codes, names = self.y or (None, ())
        source = self.source
        return Dataset(
            source.name,
            self.x,
            codes,
            names,
            source.columns,
            source=source.place,
            label=source.asked.label,
            told=(*source.told, *self.holdout.told),
            fields=source.fields,
            metadata=self.holdout.beside,
            habit=agreed(source.habits.values()),
        ), parts

    def laid_out(self) -> list[NDArray[np.float32]]:
        """The rows of the draws as models take them, (n, E)."""
        return [self.layout.apply(part) for part in np.split(self.x, np.cumsum([len(n) for n in self.drawn[:2]]))]

    @property
    def said(self) -> str:
        """What was drawn, a sentence."""
        train, valid, test = (f"{len(part):,}" for part in self.drawn)
        trained = "all other rows"
        if self.source.asked.beside:
            trained = f"{self.rows - len(self.holdout.held):,} rows"
        return (
            f"validation: {valid} rows drawn of {self.rows:,}{self.holdout.where}, and test: {test} others; {trained} "
            f"are trained on, and {train} drawn of them start the model and are what it is measured beside"
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
        If a cell cannot be used, or a column cannot be read as it should be.

    Notes
    -----
    Rows that are no plain numbers are read twice: what the columns are is known after the first time.
    """
    found = source if source.plain else inferred(source, readers)
    apart, beside = holdout(found, seed, rows)
    try:
        return _pass(found, seed, scale, readers, apart, beside)
    except _Missing:  # numbers with gaps are cells
        return _pass(inferred(source, readers), seed, scale, readers, apart, beside)


def _pass(source: Source, seed: int, scale: str, readers: int, apart: Holdout, beside: Metadata) -> Survey:
    """All rows, once."""
    width = len(source.columns)
    known: Moments | Tallies | None = None
    digest, drawn = _digest(source, len(apart.dead)), apart.drawn
    ends = np.cumsum([0, *map(len, drawn)])
    whole = (
        cells_of(np.zeros((int(ends[-1]), width)), source.fields)
        if source.fields
        else np.zeros((int(ends[-1]), width), np.float32)
    )
    kept = [whole[a:b] for a, b in itertools.pairwise(ends)]
    error = np.zeros(width)

    def look(block: int) -> _Seen:
        return _seen(source, block, apart)

    for block, seen in enumerate(in_order(look, range(len(source.starts) - 1), readers)):
        living = apart.living(int(source.starts[block]), seen.rows)
        _into(digest, living, source.fields)
        if seen.known is not None:
            known = seen.known if known is None else known + seen.known
        error = np.maximum(error, seen.error)
        for part, (where, some) in zip(kept, seen.drawn, strict=True):
            part[where] = some
    release()
    assert known is not None
    beside.into(digest)
    count, y = int(apart.sizes(source.starts).sum()), _labels(source, drawn)
    if isinstance(known, Tallies):
        layout = Table.of(known.columns, source.fields, kept[0])
        return Survey(source, seed, layout, count, None, digest.hexdigest(), apart, whole, y)
    low, high = known.low, known.high
    if len(fine := np.flatnonzero((low < high) & (error / COARSE > high - low))):
        j = int(fine[0])
        raise BadInput(too_fine(source.place, source.columns[j], f"{low[j]:.12g}", f"{high[j]:.12g}", known=True))
    scaler = replace(Scaler.of_moments(known, scale, kept[0]), habit=agreed(source.habits.values()))
    return Survey(source, seed, scaler, count, known, digest.hexdigest(), apart, whole, y)


def _into(digest: Any, rows: NDArray[Any], fields: Sequence[Field]) -> None:
    """Add rows to a digest: their numbers, and then their texts, so that with free text it is one of its own."""
    textual = np.array([one.kind in TEXTS for one in fields], bool)
    if not textual.any():
        digest.update(np.ascontiguousarray(rows, "<f8" if fields else "<f4").data)
        return
    digest.update(np.ascontiguousarray(rows[:, ~textual], "<f8").data)
    digest.update(json.dumps(rows[:, textual].tolist()).encode())


def _digest(source: Source, dead: int) -> Any:
    """The beginning of the digest of such rows, of which so many have no weight; see
    :attr:`isthmus.data.dataset.Dataset.digest`."""
    shape = [int(source.starts[-1]) - dead, len(source.columns)]
    digest = hashlib.sha256(json.dumps([shape, False, [], None]).encode())
    if source.fields:
        digest.update(json.dumps([replace(one, habit="").to_json() for one in source.fields]).encode())
    return digest


def _labels(source: Source, drawn: Split) -> tuple[NDArray[np.int64], tuple[str, ...]] | None:
    """The classes of the rows that were drawn, and their names."""
    if (label := source.asked.label) is None:
        return None
    numbers, cells = np.concatenate(drawn), []
    order = np.argsort(numbers)
    for block, (begin, end) in enumerate(itertools.pairwise(source.starts)):
        if len(own := numbers[order][slice(*np.searchsorted(numbers, (begin, end), sorter=order))]):
            cells.append(source.table(block, [label]).take(pa.array(own - begin)))
    found = pa.concat_tables(cells).unify_dictionaries().column(0).combine_chunks().take(pa.array(np.argsort(order)))
    words = row_words((), lambda i: f"row {numbers[i] + 1:,}")
    return classes(Unchecked(source.place, np.empty((len(numbers), 0)), None, (), words), found)


class Tallies(NamedTuple):
    """What is told of the cells of some rows, column by column; ``+`` puts two sets of rows together."""

    columns: tuple[Tally, ...]

    @classmethod
    def of(cls, cells: NDArray[np.float64], fields: Sequence[Field]) -> Tallies:
        """Of cells (n, F)."""
        return cls(tuple(_tally(cells[:, j], one) for j, one in enumerate(fields)))

    def __add__(self, other: object) -> Tallies:
        if not isinstance(other, Tallies):
            return NotImplemented
        return Tallies(tuple(a + b for a, b in zip(self.columns, other.columns, strict=True)))


def _tally(cells: NDArray[Any], of: Field) -> Tally:
    """What is told of some cells of a column; of free text, how many are there."""
    if of.kind in TEXTS:
        return Tally.of(np.where(missing(cells), np.nan, 0.0))
    return TALLIED[of.kind].tally(np.ascontiguousarray(cells, np.float64))


class _Missing(Exception):
    """A number is missing where all were to be plain."""


class _Seen(NamedTuple):
    """A block, looked at."""

    rows: NDArray[Any]
    known: Moments | Tallies | None
    """Of its training rows."""
    error: NDArray[np.float64]
    drawn: list[tuple[slice, NDArray[Any]]]
    """For each draw, which places of it the rows have."""


def _seen(source: Source, block: int, apart: Holdout) -> _Seen:
    begin, end = source.starts[block : block + 2]
    error, drawn = np.zeros(len(source.columns)), apart.drawn
    rows = source.block(block, error)
    own = apart.numbers(int(begin), int(end)) - begin
    known: Tallies | Moments | None
    if source.fields:
        known = Tallies.of(rows[own], source.fields) if len(own) else None
    else:
        known = _moments(source, int(begin), rows, own)
    places = [slice(*np.searchsorted(part, (begin, end))) for part in drawn]
    parts = [(where, rows[part[where] - begin]) for part, where in zip(drawn, places, strict=True)]
    return _Seen(rows, known, error, parts)


def _moments(source: Source, begin: int, rows: NDArray[np.float32], own: NDArray[np.int64]) -> Moments | None:
    """The moments of training rows, whose sorted places are ``own``."""
    known, step = None, max(1, TILE // rows.shape[1])
    for at in range(0, len(rows), step):  # what is looked at several times stays near the processor
        tile = rows[at : at + step]
        tile += np.float32(0.0)  # one zero, as rows in memory have
        if not np.isfinite(tile).all():
            if np.isnan(tile).any():
                raise _Missing
            raise _unusable(source, begin + at, tile)
        if len(mine := own[slice(*np.searchsorted(own, (at, at + len(tile))))] - at):
            more = Moments.of(tile if np.array_equal(mine, np.arange(len(tile))) else tile[mine])
            known = more if known is None else known + more
    return known


def _unusable(source: Source, begin: int, rows: NDArray[np.float32]) -> BadInput:
    """What is said of the first cell that cannot be used."""
    i, j = np.argwhere(~np.isfinite(rows))[0]
    return BadInput(
        f"{source.place}: row {begin + i + 1:,}, column {shown(source.columns[j])}: the value is infinite, or beyond "
        "32-bit floats; fill it in or drop the row"
    )
