"""Reconstruction: how much of a row survives the narrow code. Rivals at the same width: ``pca``, and sparse coding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Facet, Parts, Subject, known, reconstruct, validation_error
from isthmus.facets.rivals import sparse_coding
from isthmus.metrics.fidelity import explained_variance, mse


def measure(subject: Subject, parts: Parts) -> dict[str, float]:
    """``mse`` and ``explained_variance`` on the test rows."""
    return fidelity(reconstruct(subject, parts.test.x), parts)


def coded(parts: Parts) -> dict[str, float]:
    """The same of sparse coding."""
    return fidelity(sparse_coding(parts).rebuilt, parts)


def fidelity(x_hat: NDArray[np.float32], parts: Parts) -> dict[str, float]:
    """The facet's two numbers for the test rows rebuilt, (n, *D)."""
    x = parts.test.x
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
    metrics=("mse", "explained_variance"),
    rivals={"sparse coding": coded},
)
