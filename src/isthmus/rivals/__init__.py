"""Rivals of autoencoders as networks of parameters, so that they ship as families do: no pickle, no training row.

Those that find anomalies score rows and do nothing else. An isolation forest is the cuts of its trees, principal
components are axes and variances; kNN and raw columns keep places between training rows in the stead of the rows
(:func:`isthmus.scorer.blended`), and ECOD places between values of a column, so that their scores are close to those
that a study measured, and not the same. Marginalised denoising and rounding have codes. The mixture of columns
draws rows. How they are fitted is declared
by the facets that measure them (``Facet.networks``).
"""

from isthmus.rivals.columns import RawColumns, TreesOnKnown
from isthmus.rivals.denoising import MarginalisedDenoising
from isthmus.rivals.forest import IsolationForest
from isthmus.rivals.mixture import MixtureOfColumns
from isthmus.rivals.neighbours import Neighbours
from isthmus.rivals.principal import PrincipalAxes
from isthmus.rivals.residual import Persistence, PolynomialResidual, SubPCA
from isthmus.rivals.rival import RivalRecipe
from isthmus.rivals.rounding import Rounding
from isthmus.rivals.tails import EmpiricalTails

__all__ = ["RIVALS"]

RIVALS: dict[str, type[RivalRecipe]] = {
    one.family: one
    for one in (
        EmpiricalTails,
        IsolationForest,
        Neighbours,
        PrincipalAxes,
        RawColumns,
        TreesOnKnown,
        MarginalisedDenoising,
        MixtureOfColumns,
        Persistence,
        PolynomialResidual,
        Rounding,
        SubPCA,
    )
}
"""Name of a rival that ships -> its recipe."""
