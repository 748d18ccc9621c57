"""Gaps filled in with what may stand there: intervals and sets of values that hold the truth as often as said.

Known cells of rows that the model was not trained on are hidden and filled in; how far off that is says how far off it
is where nobody knows. If gaps arise without regard to what they hide, a new cell lies in its interval with the stated
probability (split-conformal prediction: Vovk, Gammerman and Shafer 2005, Algorithmic learning in a random world; for
gaps Zaffran, Dieuleveut, Josse and Romano 2023, Conformal prediction with missing values, ICML: what is hidden with a
cell must be what is missing with it, so gap patterns are copied from the rows that are to be filled in).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields import TEXTS, missing
from isthmus.data.fields.ordered import Ordered
from isthmus.data.layout import Part, Table
from isthmus.data.read import cells
from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed
from isthmus.train.inference import Inference

DRAWS = 2000
"""Hidden cells of a column by which its intervals are calibrated, at most."""
AT_ONCE = 2000
"""Calibration rows that patterns are fitted to, at most."""
LEAST = 25
"""Rows among which one is drawn to a pattern, at least, where there are so many."""
ROWS = 20_000
"""Calibration rows that are looked at, at most."""


class Imputed(NamedTuple):
    """Rows whose gaps are filled in, and what may stand in each gap."""

    rows: Any
    """An array (N, F), or a frame for a frame."""
    low: NDArray[np.float64]
    """(N, F), the lower end of the interval of a number; NaN where nothing was filled in, and of what is no number."""
    high: NDArray[np.float64]
    """(N, F), its upper end."""
    among: NDArray[np.object_]
    """(N, F), the values that a category or a flag may have, as texts, likeliest first; None elsewhere."""


class Reach(NamedTuple):
    """How far off hidden cells of a column were.

    Examples
    --------
    >>> Reach(np.arange(1.0, 20.0), 19).at(0.9), Reach(np.arange(5.0), 5).at(0.9)
    (18.0, inf)
    """

    scores: NDArray[np.float64]
    """(d,), in order: of numbers distances on the scale on which they are learnt, of categories one less the share that
    the model gave the right one."""
    rows: int
    """How many rows they are of: each may have been hidden from several times."""

    def at(self, level: float) -> float:
        """What a new cell does not exceed with probability ``level``; infinite if too few rows say so."""
        share = level * (1 + 1 / self.rows) if self.rows else math.inf
        place = math.ceil(share * len(self.scores) - 1e-9) if share <= 1 + 1e-9 else 0
        return float(self.scores[place - 1]) if place else math.inf


@dataclass(frozen=True)
class Imputer:
    """Fills gaps in with a model, and says what may stand there; made by :meth:`of`.

    Attributes
    ----------
    model : Inference
    reach : dict of str to Reach
        For each column how far off hidden cells were.

    Examples
    --------
    >>> from isthmus.data.read import read
    >>> from isthmus.families import named
    >>> from isthmus.train.fitted import fit
    >>> height = np.random.default_rng(0).normal(size=(900, 1))
    >>> rows = np.hstack([height, 2 * height, -height]) + 0.1 * np.random.default_rng(1).normal(size=(900, 3))
    >>> rows[:90, 0] = np.nan
    >>> table = read(rows)
    >>> model = fit(named("pca").set_params(latents=1), table.x[:500], fields=table.fields, columns=table.columns)
    >>> found = Imputer.of(model, table.x[500:]).fill(np.array([[np.nan, 2.0, -1.0]]), level=0.9)
    >>> bool(found.low[0, 0] < found.rows[0, 0] < found.high[0, 0])
    True
    """

    model: Inference
    reach: Mapping[str, Reach]

    @classmethod
    def of(cls, model: Inference, held: Any, asked: Any = None, *, draws: int = DRAWS, seed: int = 0) -> Self:
        """Calibrate on known cells.

        Parameters
        ----------
        model : Inference
        held : array (n, F), or frame
            Rows that the model was not trained on, with or without gaps.
        asked : array (m, F), or frame, optional
            Rows that are to be filled in, whose gap patterns are copied; by default those of ``held``.
        draws : int, default 2000
            Cells of each column that are hidden; of few rows some several times.
        seed : int, default 0
            Of which cells are hidden.

        Raises
        ------
        BadInput
            If the model was trained on rows of numbers without gaps.
        """
        if not isinstance(model.layout, Table):
            raise BadInput("only a model of rows with gaps, or of columns of several kinds, fills gaps in; train one")
        known = cells(held, model.fields)
        random = np.random.default_rng(hashed(seed, "imputer"))
        if len(known) > ROWS:
            known = known[np.sort(random.permutation(len(known))[:ROWS])]
        own = missing(known)
        patterns = own if asked is None else missing(cells(asked, model.fields))
        found = {}
        for j, part in enumerate(model.layout.parts):
            if part.field.kind in TEXTS or own[:, j].all():
                continue
            alike = patterns[patterns[:, j]]
            if not len(alike):
                alike = patterns | (np.arange(own.shape[1]) == j)
            rows, hidden = hide(own, alike, j, draws, random)
            given = known[rows].copy()
            given[hidden] = np.nan
            scores = np.sort(_scores(part, model.filling(given), known[rows, j]))
            found[part.field.name] = Reach(scores, len(np.unique(rows)))
        return cls(model, found)

    def fill(self, x: Any, level: float) -> Imputed:
        """Rows with their gaps filled in, and what holds the truth in a share ``level`` of all gaps of each column.

        Warns
        -----
        UserWarning
            If a column has too few known cells for such a level: its intervals are left out. If the model was not
            trained to rebuild what is hidden from it.
        """
        if not isinstance(level, int | float) or isinstance(level, bool) or not 0 < level < 1:
            raise BadInput(f"intervals need a share of gaps between 0 and 1, such as 0.9; got {level!r}")
        model, layout = self.model, self.model.with_gaps()
        given = cells(x, model.fields)
        gaps, made = missing(given), model.filling(given)
        low, high = np.full(given.shape, np.nan), np.full(given.shape, np.nan)
        among = np.full(given.shape, None, dtype=object)
        for j, part in enumerate(layout.parts):
            where = np.flatnonzero(gaps[:, j])
            if not len(where) or part.field.kind in TEXTS:
                continue
            reach = self.reach.get(part.field.name, NOTHING).at(level)
            if not math.isfinite(reach):
                least = math.ceil(level / (1 - level) - 1e-9)
                warnings.warn(
                    f"column {part.field.name!r:.60}: intervals of {level:g} need {least} known cells of it, so its "
                    "gaps get none; give more rows to calibrate on",
                    stacklevel=2,
                )
                continue
            laid = made[where, part.start : part.stop].astype(np.float64)
            if part.column.outcome == "number":
                for ends, step in ((low, -reach), (high, reach)):
                    moved = laid.copy()
                    moved[:, 0] += step
                    ends[where, j] = part.column.decode(moved)
            else:
                share, names = _shares(part, laid), _names(part)
                order = np.argsort(-share, axis=1, kind="stable")
                for i, ranked, row in zip(where, order, share, strict=True):
                    kept = [k for k in ranked if 1 - row[k] <= reach] or [ranked[0]]
                    among[i, j] = tuple(names[k] for k in kept)
        filled = np.where(gaps, layout.filled(made), given)
        return Imputed(model.frame(filled, x, ~gaps) if hasattr(x, "columns") else filled, low, high, among)


NOTHING = Reach(np.empty(0), 0)


def hide(
    own: NDArray[np.bool_], patterns: NDArray[np.bool_], j: int, draws: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows whose cell ``j`` is hidden with others, as a pattern says: their numbers (d,), what is hidden (d, F).

    To each pattern a row is drawn that knows cell ``j`` and has no gap besides those of the pattern, so that what is
    missing of it is the pattern. Where such rows are few, it is drawn among those with the fewest gaps besides.
    ``own`` (n, F) are gaps of the rows, ``patterns`` (m, F) have one at ``j``.
    """
    able = np.flatnonzero(~own[:, j])
    some = able if len(able) <= AT_ONCE else random.choice(able, AT_ONCE, replace=False)
    drawn = patterns[random.integers(0, len(patterns), draws)]
    beyond = own[some].astype(np.float32) @ (~drawn).T.astype(np.float32)  # gaps that the pattern does not have
    place = min(LEAST, len(some)) - 1
    most = np.partition(beyond, place, axis=0)[place]
    rows = some[(random.random(beyond.shape) - (beyond > most)).argmax(axis=0)]
    return rows, drawn & ~own[rows]


def _scores(part: Part, made: NDArray[np.float32], truth: NDArray[Any]) -> NDArray[np.float64]:
    """How far off what was made of hidden cells is."""
    laid = made[:, part.start : part.stop].astype(np.float64)
    right = part.column.encode(truth.astype(np.float64))
    if part.column.outcome == "number":
        return np.abs(right[:, 0] - laid[:, 0])
    share = _shares(part, laid)
    which = _shares(part, right).argmax(axis=1)
    return 1 - share[np.arange(len(share)), which]


def _shares(part: Part, laid: NDArray[np.float64]) -> NDArray[np.float64]:
    """What share each value of a category, or of a flag no and yes, is given: (n, width) -> (n, values)."""
    share = np.clip(laid * part.column.scale + np.asarray(part.column.shares), 0.0, 1.0)
    if part.column.outcome == "order":  # what is beyond a step and not beyond the next
        bounded = np.pad(np.minimum.accumulate(share, axis=1), ((0, 0), (1, 1)), constant_values=(1.0, 0.0))
        bounded[:, 0] = 1.0
        return -np.diff(bounded, axis=1)
    return np.hstack([1 - share, share]) if part.column.outcome == "bit" else share


def _names(part: Part) -> list[str]:
    """What the values are called."""
    if part.column.outcome == "bit":
        return list(part.field.values) or ["0", "1"]
    if isinstance(part.column, Ordered):
        return [part.field.values[code] for code in part.column.codes]
    return [name.removeprefix(f"{part.field.name}=") for name in part.column.names(part.field)]
