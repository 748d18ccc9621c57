"""The metrics: pure functions on arrays, one file for each theme, and this table of what their numbers mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.metrics import cost, fidelity, probes, ranking, sparsity


@dataclass(frozen=True)
class Metric:
    """One definition, under one name."""

    name: str
    function: Callable[..., Any] | None
    """What computes it; None where it is read off a model, a file or a clock."""
    higher: bool | None
    """Whether higher is better; None where neither is."""
    unit: str
    title: str
    rope: float
    """Half-width of practical equivalence: smaller differences are of no use to anybody. In the metric's unit, or,
    if ``relative``, as a share of the value."""
    citation: str
    version: int = 1
    """Goes up whenever the same model would get another number."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """The least and the largest value that there can be: no interval goes beyond."""
    relative: bool = False
    """Whether two values compare by their ratio: take differences of logarithms, and ``log(1 + rope)`` for the rope."""


SHARE = (0.0, 1.0)

_TABLE = [
    Metric(
        "mse",
        fidelity.mse,
        False,
        "squared scaled units per element",
        "mean squared error",
        0.05,
        "textbook definition",
        relative=True,
    ),
    Metric(
        "explained_variance",
        fidelity.explained_variance,
        True,
        "share",
        "explained variance about the training mean",
        0.01,
        "textbook definition; the mean is the training rows'",
        bounds=(-math.inf, 1.0),
    ),
    Metric(
        "l0",
        sparsity.l0,
        False,
        "elements per row",
        "active units (L0)",
        0.5,
        "Hurley and Rickard 2009",
        bounds=(0.0, math.inf),
    ),
    Metric("hoyer", sparsity.hoyer, True, "0 to 1", "Hoyer sparsity", 0.02, "Hoyer 2004", bounds=SHARE),
    Metric("dead", sparsity.dead, False, "share of units", "dead units", 0.02, "Gao et al. 2024", bounds=SHARE),
    Metric(
        "always_on",
        sparsity.always_on,
        False,
        "share of units",
        "always-on units",
        0.02,
        "Bricken et al. 2023",
        bounds=SHARE,
    ),
    Metric(
        "probe_accuracy",
        probes.probe_accuracy,
        True,
        "share of rows",
        "probe accuracy",
        0.01,
        "Alain and Bengio 2016",
        bounds=SHARE,
    ),
    Metric(
        "probe_accuracy_few",
        probes.with_few,
        True,
        "share of rows",
        "probe accuracy, few labels",
        0.02,
        "Alain and Bengio 2016",
        bounds=SHARE,
    ),
    Metric(
        "knn_accuracy",
        probes.knn_accuracy,
        True,
        "share of rows",
        "kNN accuracy",
        0.01,
        "Cover and Hart 1967",
        bounds=SHARE,
    ),
    Metric(
        "knn_accuracy_few",
        probes.with_few,
        True,
        "share of rows",
        "kNN accuracy, few labels",
        0.02,
        "Cover and Hart 1967",
        bounds=SHARE,
    ),
    Metric("auroc", ranking.auroc, True, "0 to 1", "AUROC", 0.01, "Hanley and McNeil 1982", bounds=SHARE),
    Metric(
        "average_precision",
        ranking.average_precision,
        True,
        "0 to 1",
        "average precision",
        0.02,
        "Zhu 2004",
        bounds=SHARE,
    ),
    Metric("constant_scorer", None, False, "0 or 1", "scores that rank nothing", 0.5, "docs/facets/anomaly.md"),
    Metric(
        "untrained_scorer",
        None,
        False,
        "0 or 1",
        "model that learned nothing",
        0.5,
        "docs/facets/anomaly.md",
    ),
    Metric("parameters", None, False, "numbers", "parameters", 0.1, "count", relative=True),
    Metric(
        "flops_per_row",
        cost.flops,
        False,
        "operations",
        "FLOPs per row, encode and decode",
        0.1,
        "matrix products, a multiply-add is two",
        relative=True,
    ),
    Metric("train_seconds", None, False, "seconds", "training seconds", 0.25, "wall clock", relative=True),
    Metric(
        "rows_per_second",
        None,
        True,
        "rows per second",
        "rows encoded per second",
        0.25,
        "processor time of one thread",
        relative=True,
    ),
    Metric("artefact_bytes", None, False, "bytes", "file size in bytes", 0.1, "count", relative=True),
]

METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}
"""Name -> metric, in the order in which tables show them."""
