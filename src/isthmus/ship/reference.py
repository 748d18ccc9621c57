"""What normal rows look like, in counts: the reference that new rows are compared with once the model is at work.

For each column, for units of the code and for the score it holds how many reference rows fell into each of a few bins,
and of columns mean and deviation. No row can be read off it: edges lie halfway between values, and each bin of numbers
has :data:`LEAST` rows or more.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.data.counts import Counts
from isthmus.data.dataset import element_names
from isthmus.data.fields.category import Category
from isthmus.data.layout import Table, measured
from isthmus.data.sparse import SparseRows
from isthmus.errors import BadInput
from isthmus.rivals.rival import Rival

if TYPE_CHECKING:
    from isthmus.ship.deployed import Deployed

Numbers = dict[str, NDArray[Any]]

GROUPS = ("column", "code", "score")
SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Of the reference rows, those below an edge, about."""
LEAST = 20
"""Reference rows in a bin of numbers, at least."""
COLUMNS, UNITS = 512, 64
"""Columns and units of the code that are watched each, at most: of columns as many, evenly spread; of units those that
vary most."""
OTHER, GAP = -2, -1
"""The last two bins: values that are new or no number, and missing ones."""
ELEMENTS = 1 << 25
"""Numbers whose columns are counted, at most."""
MOST = 1 << 20
"""Bins in all, at most."""


@dataclass(frozen=True, eq=False)
class Channel:
    """One thing that is watched: a column, a unit of the code, or the score."""

    name: str
    group: str
    """``column``, ``code`` or ``score``."""
    place: int
    """Which column of a row, or unit of the code; 0 for the score."""
    edges: NDArray[np.float64]
    """(K,), rising; a value up to and with an edge lies below it."""
    codes: NDArray[np.float64] | None
    """The cells of a category that have a bin of their own; None where cells are numbers."""
    counts: NDArray[np.int64]
    """(B,) reference rows in each bin, then those of other values, then gaps."""
    moments: NDArray[np.float64]
    """(4,) of the numbers among them: mean and deviation, and those of log |x| where x is not 0."""

    def bins(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """The bin of each value, (n,) -> (n,)."""
        last = len(self.counts) - 2
        if self.codes is None:
            found = np.where(np.isinf(values), last, np.searchsorted(self.edges, values))
        else:
            own = np.minimum(np.searchsorted(self.codes, values), max(last - 1, 0))
            known = self.codes[own] == values if last else np.zeros(len(values), bool)
            found = np.where(known, own, last)
        return np.where(np.isnan(values), last + 1, found)

    def counted(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Values (n,) in each bin, (B,)."""
        return np.bincount(self.bins(values), minlength=len(self.counts))


@dataclass(frozen=True, eq=False)
class Reference:
    """All that is watched, as it is in normal rows; made by :meth:`of`."""

    channels: tuple[Channel, ...]

    @classmethod
    def of(cls, deployed: Deployed, parts: Sequence[ArrayLike], held: ArrayLike) -> Self:
        """Count normal rows.

        Parameters
        ----------
        deployed : Deployed
        parts : sequence of arrays (n, *D), or frames
            Normal rows in the units of the data: their columns are counted, of very many those of some rows, evenly
            spread.
        held : array (k, *D), or frame
            Those that the model was not trained on: their codes and scores are counted.

        Examples
        --------
        >>> import isthmus
        >>> from isthmus.ship.deployed import Deployed
        >>> x = np.random.default_rng(0).normal(size=(400, 3))
        >>> model = isthmus.fit(isthmus.named("pca").set_params(latents=2), x[:300])
        >>> found = Reference.of(Deployed.of(model), [x], x[300:])
        >>> [(one.name, int(one.counts.sum())) for one in found.channels]
        [('x0', 400), ('x1', 400), ('x2', 400), ('code0', 100), ('code1', 100), ('score', 100)]
        """
        cells = np.concatenate([columns_of(deployed, _some(part)) for part in parts])
        values = {"column": cells, **answers(deployed, held)}
        if not len(cells):
            raise BadInput("a reference needs at least one row; give normal rows")
        return cls(
            tuple(
                _channel(deployed, group, place, values[group][:, place])
                for group in GROUPS
                if group in values
                for place in _places(group, values[group])
            )
        )

    @property
    def digest(self) -> str:
        """A name for its content."""
        held = self.arrays()
        return hashlib.sha256(b"".join(held[name].tobytes() for name in sorted(held))).hexdigest()

    def arrays(self) -> Numbers:
        """The numbers of it, as they are saved."""
        each = self.channels
        return {
            "group": np.array([GROUPS.index(one.group) for one in each], np.uint8),
            "place": np.array([one.place for one in each], np.int64),
            "edges": np.concatenate([one.edges for one in each]),
            "spans": np.array([len(one.edges) for one in each], np.int64),
            "counts": np.concatenate([one.counts for one in each]).astype(np.int64),
            "bins": np.array([len(one.counts) for one in each], np.int64),
            "moments": np.stack([one.moments for one in each]),
        }

    @classmethod
    def read(cls, deployed: Deployed, found: Mapping[str, NDArray[Any]]) -> Self:
        """From arrays that may come from anywhere.

        Raises
        ------
        BadInput
            If they make no reference for this model.
        """
        kinds = {"group": np.uint8, "place": np.int64, "spans": np.int64, "bins": np.int64, "counts": np.int64}
        kinds |= {"edges": np.float64, "moments": np.float64}  # type: ignore[dict-item]
        if set(found) != set(kinds) or any(found[name].dtype != kind for name, kind in kinds.items()):
            raise BadInput("reference: expected exactly the arrays " + ", ".join(sorted(kinds)))
        group, place, spans, bins = (found[name] for name in ("group", "place", "spans", "bins"))
        number = len(group)
        if any(one.shape != (number,) for one in (group, place, spans, bins)) or found["moments"].shape != (number, 4):
            raise BadInput("reference: expected as many entries in all of its arrays")
        if not number or min(spans.min(), bins.min() - 2, place.min()) < 0 or max(spans.max(), bins.max()) > MOST:
            raise BadInput("reference: sizes must be whole numbers that make sense")
        if found["edges"].shape != (int(spans.sum()),) or found["counts"].shape != (int(bins.sum()),):
            raise BadInput("reference: sizes do not fit its edges and counts")
        if not (np.isfinite(found["edges"]).all() and np.isfinite(found["moments"]).all()):
            raise BadInput("reference: it holds a number that is not finite")
        if found["counts"].min() < 0 or found["counts"].max() >= 1 << 40 or found["moments"][:, [1, 3]].min() < 0:
            raise BadInput("reference: counts and deviations must be at least 0")
        pieces = zip(
            *(np.split(found[name], np.cumsum(size)[:-1]) for name, size in (("edges", spans), ("counts", bins))),
            strict=True,
        )
        width = {"column": math.prod(deployed.shape), "code": deployed.model.latents, "score": 1}
        made, seen = [], set[tuple[int, int]]()
        for j, (edges, counts) in enumerate(pieces):
            if group[j] >= len(GROUPS) or place[j] >= width[GROUPS[group[j]]] or (group[j], place[j]) in seen:
                raise BadInput("reference: it tells of what the model does not have, or twice of the same")
            seen.add((int(group[j]), int(place[j])))
            name, codes = _named(deployed, GROUPS[group[j]], int(place[j]))
            if len(counts) != 2 + (len(edges) + 1 if codes is None else len(codes)) or not counts.sum():
                raise BadInput(f"reference: bins of {name!a:.60} do not fit the column")
            if bool((np.diff(edges) <= 0).any()) or (codes is not None and len(edges)):
                raise BadInput(f"reference: edges of {name!a:.60} must rise")
            made.append(
                Channel(name, GROUPS[group[j]], int(place[j]), edges, codes, counts, found["moments"][j].copy())
            )
        return cls(tuple(made))


def columns_of(deployed: Deployed, rows: ArrayLike) -> NDArray[np.float64]:
    """The cells of rows, (n, *D) -> (n, F), NaN where one is missing; of a text the number of its characters."""
    if deployed.fields:
        from isthmus.data.read import cells

        found = measured(cells(rows, deployed.fields), deployed.fields)
        for j, field in enumerate(deployed.fields):
            if field.kind == "ordered":  # a new value stands nowhere in the order
                found[found[:, j] < 0, j] = np.inf
        return found
    flat = np.asarray(rows, np.float64)
    return flat.reshape(len(flat), math.prod(flat.shape[1:]))


def answers(deployed: Deployed, rows: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """What the model makes of rows that it can answer: codes (n, L) and scores (n, 1), as far as it has them."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in which way rows are unlike those of the training is what comes of this
        laid = deployed.scaled(rows)
    if not isinstance(deployed.model, Rival):
        found["code"] = deployed.encode_scaled(laid).astype(np.float64)
    if deployed.target_layout is None:
        found["score"] = deployed.score_laid_out(laid)[:, None]
    return found


def _some(rows: ArrayLike) -> ArrayLike:
    """As many rows as memory is taken for, evenly spread; a frame as it is."""
    if not isinstance(rows, np.ndarray | SparseRows):
        return rows
    return rows[:: max(1, math.ceil(rows.size / ELEMENTS))]


def _places(group: str, values: NDArray[np.float64]) -> list[int]:
    """Which columns, or units, are watched each."""
    width = values.shape[1]
    if group == "code" and width > UNITS:
        return sorted(np.argsort(-values.std(axis=0), kind="stable")[:UNITS].tolist())
    if width > COLUMNS:
        return np.linspace(0, width - 1, COLUMNS).astype(int).tolist()
    return list(range(width))


def _named(deployed: Deployed, group: str, place: int) -> tuple[str, NDArray[np.float64] | None]:
    """What a channel is called, and the cells of its category that have a bin of their own."""
    if group != "column":
        return ("score" if group == "score" else f"code{place}"), None
    layout = deployed.layout
    if isinstance(layout, Counts):
        return (deployed.columns or element_names(deployed.shape))[place], None
    if not isinstance(layout, Table):
        return deployed.elements[place], None
    column = layout.columns[place]
    codes = np.asarray(column.codes, np.float64) if isinstance(column, Category) else None
    return layout.fields[place].name, codes


def _channel(deployed: Deployed, group: str, place: int, values: NDArray[np.float64]) -> Channel:
    name, codes = _named(deployed, group, place)
    there = values[np.isfinite(values)]
    edges = _edges(there) if codes is None else np.zeros(0)
    size = 2 + (len(edges) + 1 if codes is None else len(codes))
    moments = np.zeros(4) if codes is not None else np.array([*_moments(there), *_moments(logs(there))])
    empty = Channel(name, group, place, edges, codes, np.zeros(size, np.int64), moments)
    return Channel(name, group, place, edges, codes, empty.counted(values), moments)


def logs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """log |x| of the values that are not 0."""
    return np.log(np.abs(values[values != 0]))


def _moments(values: NDArray[np.float64]) -> tuple[float, float]:
    if not len(values):
        return 0.0, 0.0
    clipped = np.clip(values, -1e150, 1e150)
    return float(clipped.mean()), float(clipped.std())


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges near quantiles, halfway between values that are there; a value that never changed lies between two."""
    there, counts = np.unique(values, return_counts=True)
    below, total = np.cumsum(counts)[:-1], len(values)
    if len(there) == 1 and total >= LEAST:
        return np.array([np.nextafter(there[0], -np.inf), there[0]])
    kept, last = [], 0
    for i in sorted({int(np.argmin(np.abs(below - share * total))) for share in SHARES} if len(below) else ()):
        if below[i] - last >= LEAST and total - below[i] >= LEAST:
            kept.append(i)
            last = int(below[i])
    at = np.array(kept, np.int64)
    middle = there[at] / 2 + there[at + 1] / 2 if kept else np.zeros(0)
    return np.where(middle < there[at + 1], middle, there[at]) if kept else middle
