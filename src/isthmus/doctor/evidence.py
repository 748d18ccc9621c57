"""Can the evidence be trusted: rows on both sides of a split, and numbers that do not follow from their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.doctor.finding import Finding
from isthmus.metrics import METRICS

FEW_COPIES, LEAST_COPIES = 0.02, 2
"""Copies up to 2 % of the held-out rows, or a single one, are chance on coarse columns and move no score by a rope."""
CLOSE = 1e-6
"""Relative difference of two computations of one number in float64."""
CLOSE_AGAIN = 1e-3
"""The same of a model's squared errors in float32, whose sums another machine takes in another order."""


def leakage(sizes: Mapping[str, int], rows: Mapping[str, NDArray[np.int64]]) -> Finding | None:
    """Copies of training rows among the held-out ones, and rows that stand in two parts.

    Parameters
    ----------
    sizes : mapping
        ``valid``, ``test``, and ``duplicates``, the held-out rows that are copies.
    rows : mapping of str to array
        The numbers of the rows of each part, as far as they are known.
    """
    held, copies = sizes["valid"] + sizes["test"], sizes["duplicates"]
    numbers = np.concatenate([np.asarray(part, dtype=np.int64) for part in rows.values()] or [np.zeros(0, np.int64)])
    shared = len(numbers) - len(np.unique(numbers))
    if not shared and (copies < LEAST_COPIES or copies <= FEW_COPIES * held):
        return None
    return Finding("leakage between splits", {"copies": copies, "held_out": held, "shared": shared})


def inconsistencies(recorded: Mapping[str, float | None], again: Mapping[str, float]) -> list[Finding]:
    """Recorded metrics that do not follow from the raw scores beside them, or that no metric can be.

    Parameters
    ----------
    recorded : mapping
        Metric -> recorded value.
    again : mapping
        Metric -> value, of those that were computed again from scores.
    """
    found = []
    for metric, value in again.items():
        if not same(recorded.get(metric), value):
            found.append(mismatch(metric, recorded.get(metric), value))
    for metric, value_of in recorded.items():
        low, high = METRICS[metric].bounds if metric in METRICS else (-math.inf, math.inf)
        if value_of is not None and not low - CLOSE <= value_of <= high + CLOSE:
            found.append(Finding("metric inconsistency", {"metric": metric, "recorded": value_of}))
    return found


def unlike(name: str, kept: NDArray[Any], again: NDArray[Any]) -> Finding | None:
    """Whether numbers of every row, (n,), disagree with those that were found again; the two that differ most."""
    if kept.shape != again.shape:
        return Finding("metric inconsistency", {"metric": name})
    if np.allclose(again, kept, rtol=CLOSE_AGAIN, atol=CLOSE_AGAIN * float(np.mean(again))):
        return None
    worst = int(np.argmax(np.abs(again - kept)))
    return mismatch(name, float(kept[worst]), float(again[worst]))


def mismatch(metric: str, recorded: float | None, recomputed: float) -> Finding:
    """A finding with both numbers; one that is missing or not finite is told as text."""
    told: dict[str, float | str] = {"metric": metric, "recorded": "none" if recorded is None else recorded}
    return Finding("metric inconsistency", {**told, "recomputed": recomputed if math.isfinite(recomputed) else "none"})


def same(recorded: float | None, value: float) -> bool:
    """Whether two values are one number; what has no value is recorded as missing."""
    if recorded is None or not math.isfinite(value):
        return recorded is None and not math.isfinite(value)
    return math.isclose(recorded, value, rel_tol=CLOSE, abs_tol=1e-12)
