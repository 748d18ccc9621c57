"""What an expert tries on rows of counts before a network: a non-negative factorisation."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.counts import Counts
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.kin import Kin

Array = NDArray[np.float32]

WORK = 2e10
"""Multiplications that it may take: tens of seconds of one core. Of more, it is learnt on the first training rows."""
ROUNDS, LEAST_ROWS = 200, 500
"""Rounds of multiplicative updates, and how few training rows these may be of."""
COST = 6.0
"""Multiplications of a round for each count that is not 0, and each component."""


USUAL: dict[str, Any] = {"init": "nndsvda", "solver": "mu", "beta_loss": "kullback-leibler"}


class Factors(NamedTuple):
    """A factorisation."""

    train: Array
    """(n, L), the parts of the components in each training row."""
    test: Array
    rebuilt: Array
    """The test rows rebuilt, laid out: (m, K + 1)."""


def factorisation(splits: Splits) -> Factors:
    """Counts = parts x components, both of 0 or more, by Kullback-Leibler divergence: Poisson's likelihood.

    As many components as codes have elements (Lee and Seung 2001, Algorithms for non-negative matrix factorization),
    learnt on training rows; the parts of a test row are found anew, as for sparse coding.
    """
    from scipy.sparse import csr_array
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    layout = splits.layout
    assert isinstance(layout, Counts)

    def counts(rows: Rows) -> csr_array:
        return csr_array(layout.counted(rows.x))

    train, test = counts(splits.train), counts(splits.test)
    units = min(splits.latents, *train.shape)
    visits = WORK / (ROUNDS * COST * units)
    fewer = int(np.clip(visits / max(1.0, train.nnz / train.shape[0]), min(LEAST_ROWS, train.shape[0]), train.shape[0]))
    model = NMF(units, **USUAL, max_iter=ROUNDS, random_state=splits.seed % 2**32)
    with warnings.catch_warnings():  # parts that still move are as good as any
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train[:fewer, :])
        parts, own = model.transform(train), model.transform(test)
    made = own @ model.components_
    sums = made.sum(axis=1, keepdims=True)
    rates = np.where(sums > 0, made / np.where(sums > 0, sums, 1.0), layout.shares[layout.kept])
    laid = np.column_stack([(np.log1p(rates * layout.usual) - layout.shift) / layout.scale, splits.test.x[:, -1]])
    return Factors(_shared(parts), _shared(own), laid.astype(np.float32))


def factors_kin(splits: Splits) -> Kin:
    """scikit-learn's factorisation, which that is."""
    rows, elements = splits.train.x.shape
    units = min(splits.latents, rows, elements - 1)  # but for the total
    return Kin.of("code", "sklearn.decomposition.NMF", n_components=units, **USUAL, max_iter=ROUNDS)._replace(
        takes="counts"
    )


def _shared(parts: NDArray[np.floating]) -> Array:
    """Parts of each row as shares of what they add up to."""
    sums = parts.sum(axis=1, keepdims=True)
    return (parts / np.where(sums > 0, sums, 1.0)).astype(np.float32)
