"""Can the evidence be trusted: rows on both sides of a split, and numbers that do not follow from their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.doctor.finding import Finding
from isthmus.metrics import METRICS
from isthmus.metrics.ranking import auroc, average_precision

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


def inconsistencies(facets: Mapping[str, Mapping[str, float | None]], raw: Mapping[str, NDArray[Any]]) -> list[Finding]:
    """Recorded metrics that do not follow from the raw scores beside them, or that no metric can be.

    Parameters
    ----------
    facets : mapping
        Facet -> metric -> recorded value.
    raw : mapping of str to array
        What a run keeps, as far as it has them: ``row_error``, ``anomaly_score``, ``anomaly_label``, ``test_weight``.
    """
    again: dict[tuple[str, str], float] = {}
    weight = raw.get("test_weight")
    if "reconstruction" in facets and "row_error" in raw:
        again["reconstruction", "mse"] = float(np.average(raw["row_error"], weights=weight))
    if (
        "anomaly" in facets
        and {"anomaly_label", "anomaly_score"} <= raw.keys()
        and not facets["anomaly"].get("constant_scorer")
    ):
        label, score = raw["anomaly_label"], raw["anomaly_score"]
        again["anomaly", "auroc"] = auroc(label, score, weight)
        again["anomaly", "average_precision"] = average_precision(label, score, weight)
    found = []
    for (facet, metric), value in again.items():
        recorded = facets[facet].get(metric)
        if not same(recorded, value):
            found.append(mismatch(metric, recorded, value))
    for values in facets.values():
        for metric, recorded in values.items():
            low, high = METRICS[metric].bounds if metric in METRICS else (-math.inf, math.inf)
            if recorded is not None and not low - CLOSE <= recorded <= high + CLOSE:
                found.append(Finding("metric inconsistency", {"metric": metric, "recorded": recorded}))
    return found


def unlike(
    metric: str,
    recorded: float | None,
    spread: float,
    errors: NDArray[np.float64],
    weight: NDArray[np.float64] | None = None,
) -> Finding | None:
    """Whether an explained variance disagrees with the row errors and the rows' spread about the training mean.

    ``spread`` is the mean of squares about it per element, and ``errors`` (n,) the squared error per element; by
    ``weight`` (n,) each row counts in both.
    """
    value = 1 - float(np.average(errors, weights=weight)) / spread if spread > 0 else math.nan
    return None if same(recorded, value) else mismatch(metric, recorded, value)


def mismatch(metric: str, recorded: float | None, recomputed: float) -> Finding:
    """A finding with both numbers; one that is missing or not finite is told as text."""
    told: dict[str, float | str] = {"metric": metric, "recorded": "none" if recorded is None else recorded}
    return Finding("metric inconsistency", {**told, "recomputed": recomputed if math.isfinite(recomputed) else "none"})


def same(recorded: float | None, value: float) -> bool:
    """Whether two values are one number; what has no value is recorded as missing."""
    if recorded is None or not math.isfinite(value):
        return recorded is None and not math.isfinite(value)
    return math.isclose(recorded, value, rel_tol=CLOSE, abs_tol=1e-12)
