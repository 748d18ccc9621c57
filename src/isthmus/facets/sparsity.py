"""Sparsity: how few units the code needs for one row, in the model that was chosen for its reconstruction.

Choosing by sparsity itself would choose the model that says nothing. The rival is the dense code of ``pca``.
"""

from __future__ import annotations

from isthmus.facets.facet import Facet, Parts, Subject, validation_error
from isthmus.metrics.sparsity import Activity


def measure(subject: Subject, parts: Parts) -> dict[str, float]:
    """``hoyer``, ``l0``, ``dead`` and ``always_on`` of the codes of the test rows; exact zero is silent."""
    seen = Activity.of(subject.encode_scaled(parts.test.x))
    return {"hoyer": seen.hoyer, "l0": seen.l0, "dead": seen.dead, "always_on": seen.always_on}


SPARSITY = Facet(
    name="sparsity",
    title="Sparsity",
    question="How few units does the code need for one row?",
    primary="hoyer",
    view="all",
    labels=False,
    sees="rows of the validation split, no labels: the configuration with the smallest reconstruction error",
    criterion=validation_error,
    measure=measure,
)
