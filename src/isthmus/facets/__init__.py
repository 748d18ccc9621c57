"""The facets: one question, one file, and this table."""

from __future__ import annotations

from isthmus.facets import cost
from isthmus.facets.anomaly import ANOMALY
from isthmus.facets.compression import COMPRESSION
from isthmus.facets.facet import Facet
from isthmus.facets.factors import FACTORS
from isthmus.facets.features import FEATURES
from isthmus.facets.generation import GENERATION
from isthmus.facets.imputation import IMPUTATION
from isthmus.facets.reconstruction import RECONSTRUCTION
from isthmus.facets.recovery import RECOVERY
from isthmus.facets.robustness import ROBUSTNESS
from isthmus.facets.sparsity import SPARSITY
from isthmus.facets.stability import STABILITY

FACETS: dict[str, Facet] = {
    facet.name: facet
    for facet in (
        RECONSTRUCTION,
        COMPRESSION,
        SPARSITY,
        FEATURES,
        FACTORS,
        RECOVERY,
        ANOMALY,
        GENERATION,
        IMPUTATION,
        ROBUSTNESS,
        STABILITY,
        cost.COST,
    )
}
"""Name -> facet, in the order in which reports show them."""
COST = cost.COST.name
"""The facet that is measured whatever is asked: every choice has a price."""


def crowns(facet: str) -> bool:
    """Whether a facet names a winner; one that is not of the table does."""
    return facet not in FACETS or FACETS[facet].crowns
