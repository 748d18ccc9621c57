"""Cost: what it takes to train, keep and use the model that was chosen for its reconstruction.

Parameters, FLOPs and bytes are exact. Seconds and rows per second are readings of a clock on this machine: they differ
from run to run.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Facet, Parts, Subject, reconstruct, validation_error
from isthmus.metrics.cost import flops, seconds

BATCH = 256


def measure(subject: Subject, parts: Parts) -> dict[str, float]:
    """Numbers of the model; the clock runs on encoding a batch of 256 training rows, repeated if there are fewer."""
    batch = np.resize(parts.train.x, (BATCH, *parts.train.x.shape[1:]))
    return {
        "rows_per_second": speed(subject, batch),
        "train_seconds": float(subject.train_seconds),
        "parameters": float(subject.parameters),
        "flops_per_row": float(flops(lambda: reconstruct(subject, batch[:1]))),
        "artefact_bytes": float(subject.artefact_bytes),
    }


def speed(subject: Subject, batch: NDArray[np.float32]) -> float:
    """Rows of ``batch`` (n, *D) encoded per second of processor time, on one thread; NaN if the clock stands still."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        took = seconds(lambda: subject.encode_scaled(batch))
    finally:
        torch.set_num_threads(before)
    return len(batch) / took if took else math.nan


COST = Facet(
    name="cost",
    title="Cost",
    question="What does it take to train and to use?",
    primary="rows_per_second",
    view="all",
    labels=False,
    sees="rows of the validation split, no labels: the configuration with the smallest reconstruction error",
    criterion=validation_error,
    measure=measure,
)
