"""Who is not compared in a facet: a model that would win there by being degenerate."""

from __future__ import annotations

from isthmus.doctor.words import HOPELESS
from isthmus.facets import FACETS


def spoils(defect: str, facet: str) -> bool:
    """Whether a model with this defect must not be compared in a facet.

    Examples
    --------
    >>> spoils("not trained", "cost"), spoils("dead units", "sparsity"), spoils("dead units", "features")
    (True, True, False)
    """
    return defect in HOPELESS or (facet in FACETS and defect in FACETS[facet].spoiled_by)
