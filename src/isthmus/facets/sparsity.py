"""Sparsity: how few units the code needs for one row, in the model that was chosen for its reconstruction.

Choosing by sparsity itself would choose the model that says nothing. Rivals: the dense code of ``pca``, and sparse
coding, which looks for the code of each row anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Facet, Parts, Subject, validation_error
from isthmus.facets.rivals import sparse_coding
from isthmus.metrics.sparsity import Activity


def measure(subject: Subject, parts: Parts) -> dict[str, float]:
    """``hoyer``, ``l0``, ``dead`` and ``always_on`` of the codes of the test rows; exact zero is silent."""
    return activity(subject.encode_scaled(parts.test.x))


def coded(parts: Parts) -> dict[str, float]:
    """The same of sparse coding."""
    return activity(sparse_coding(parts).codes)


def activity(codes: NDArray[np.float32]) -> dict[str, float]:
    """The facet's four numbers of codes (n, L)."""
    seen = Activity.of(codes)
    return {"hoyer": seen.hoyer, "l0": seen.l0, "dead": seen.dead, "always_on": seen.always_on}


SPARSITY = Facet(
    name="sparsity",
    title="Sparsity",
    question="How few units does the code need for one row?",
    primary="hoyer",
    crowns=False,
    view="all",
    labels=False,
    sees="rows of the validation split, no labels: the configuration with the smallest reconstruction error",
    criterion=validation_error,
    measure=measure,
    metrics=("hoyer", "l0", "dead", "always_on", "mse"),
    rivals={"sparse coding": coded},
)
