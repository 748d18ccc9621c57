"""Reconstruction: how much of a row survives the narrow code. Its rival is the family ``pca`` at the same width."""

from __future__ import annotations

import numpy as np

from isthmus.facets.facet import Facet, Parts, Subject, known, reconstruct, validation_error
from isthmus.metrics.fidelity import explained_variance, mse


def measure(subject: Subject, parts: Parts) -> dict[str, float]:
    """``mse`` and ``explained_variance`` on the test rows."""
    x = parts.test.x
    x_hat = reconstruct(subject, x)
    mean = parts.train.x.mean(axis=0, dtype=np.float64)
    return known({"mse": mse(x, x_hat), "explained_variance": explained_variance(x, x_hat, mean)})


RECONSTRUCTION = Facet(
    name="reconstruction",
    title="Reconstruction",
    question="How much of a row survives the narrow code?",
    primary="explained_variance",
    view="all",
    labels=False,
    sees="rows of the validation split, no labels",
    criterion=validation_error,
    measure=measure,
)
