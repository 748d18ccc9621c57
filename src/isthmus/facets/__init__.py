"""The facets: one question, one file, and this table."""

from __future__ import annotations

from isthmus.facets.anomaly import ANOMALY
from isthmus.facets.compression import COMPRESSION
from isthmus.facets.cost import COST
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
        COST,
    )
}
"""Name -> facet, in the order in which reports show them."""
ALWAYS = tuple(name for name, facet in FACETS.items() if facet.prices)
"""What is measured whatever is asked: every choice has a price."""


def crowns(facet: str) -> bool:
    """Whether a facet names a winner; one that is not of the table does."""
    return facet not in FACETS or FACETS[facet].crowns
