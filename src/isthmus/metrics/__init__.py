"""The metrics: pure functions on arrays, one file for each theme, and this table of what their numbers mean."""

from __future__ import annotations

from isthmus.metrics import (
    boosted,
    clustering,
    copying,
    cost,
    coverage,
    deviance,
    dimension,
    disentanglement,
    fidelity,
    frechet,
    imputation,
    likelihood,
    nesting,
    probes,
    ranking,
    rate,
    recovery,
    robustness,
    similarity,
    sparsity,
    two_sample,
    vus,
)
from isthmus.metrics.metric import Metric

METRICS: dict[str, Metric] = {
    metric.name: metric
    for theme in (
        fidelity,
        deviance,
        sparsity,
        nesting,
        probes,
        clustering,
        dimension,
        disentanglement,
        recovery,
        ranking,
        vus,
        rate,
        two_sample,
        boosted,
        coverage,
        frechet,
        copying,
        likelihood,
        imputation,
        robustness,
        similarity,
        cost,
    )
    for metric in theme.TABLE
}
"""Name -> metric, in the order in which tables show them."""
