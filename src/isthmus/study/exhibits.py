"""What a report shows of a run besides numbers: rows, their reconstructions, what code elements do, a map of codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.explain import explains, shares_of
from isthmus.facets.facet import Rows, Splits, atoms
from isthmus.scorer import Scorer
from isthmus.train.fitted import Fitted

SHOWN_ROWS = 8
SHOWN_FILTERS = 16
SHOWN_POINTS = 1000
SHOWN_ODD = 8


def exhibits(fitted: Fitted, test: Rows) -> dict[str, NDArray[np.generic]]:
    """Arrays to be drawn, from the first test rows.

    Returns
    -------
    dict of str to array
        ``rows`` and ``reconstructions`` (8, *D) in the units of the data; ``filters`` (<= 16, *D), see
        :func:`directions`; ``map`` (n, 2), see :func:`plane`; ``map_label`` (n,) class codes if there are labels.
    """
    codes = fitted.encode_scaled(test.x[:SHOWN_POINTS])
    shown = test.x[:SHOWN_ROWS]
    found: dict[str, NDArray[np.generic]] = {
        "rows": fitted.layout.invert(shown),
        "reconstructions": fitted.layout.invert(fitted.decode_scaled(codes[:SHOWN_ROWS])),
        "filters": directions(fitted, codes),
        "map": plane(codes),
    }
    if test.y is not None:
        found["map_label"] = test.y[: len(codes)]
    return _kept(found)


def oddities(fitted: Fitted, splits: Splits, numbers: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
    """The test rows that score highest, and what of them made the score; nothing if no column's share can be told.

    Parameters
    ----------
    fitted : Fitted
    splits : Splits
        Those of the facet whose score it is.
    numbers : array (n,)
        Numbers of the test rows in the data.

    Returns
    -------
    dict of str to array
        ``odd`` (<= 8, *D) rows in the units of the data; ``odd_number``, ``odd_score`` (<= 8,); ``odd_share``
        (<= 8, *D), see :func:`isthmus.explain.explain`; ``odd_label`` (<= 8,) 1 for an anomaly, if there are labels.
    """
    test, scorer = splits.test, Scorer.fit(fitted, splits.train.x, splits.valid.x, splits.seed, odd=splits.odd)
    score = scorer.scores(test.x)
    if not explains(fitted) or not np.isfinite(score).all():
        return {}
    chosen = np.argsort(-score, kind="stable")[:SHOWN_ODD]
    rows = test.x[chosen]
    found: dict[str, NDArray[np.generic]] = {
        "odd": fitted.layout.invert(rows),
        "odd_number": numbers[chosen],
        "odd_score": score[chosen],
        "odd_share": shares_of(fitted, rows, scorer).astype(np.float32),
    }
    if test.y is not None:
        found["odd_label"] = test.y[chosen]
    return _kept(found)


def _kept(found: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """What a file of arrays can hold: rows with free text are not drawn, and not kept."""
    return {name: np.ascontiguousarray(array) for name, array in found.items() if array.dtype != object}


def directions(fitted: Fitted, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """What one code element adds to a row, (<= 16, *D), in scaled units; the elements that vary most come first.

    See :func:`isthmus.facets.facet.atoms`.
    """
    return atoms(fitted, codes)[np.argsort(-codes.std(axis=0), kind="stable")[:SHOWN_FILTERS]]


def plane(codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The codes on their two leading principal axes, (n, 2), for the eye; a missing axis is zero."""
    centred = codes.astype(np.float64) - codes.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.where(np.take_along_axis(axes[:2], np.abs(axes[:2]).argmax(1)[:, None], 1) < 0, -1.0, 1.0)
    seen = np.zeros((len(codes), 2), dtype=np.float32)
    seen[:, : len(axes)] = centred @ axes.T
    return seen
