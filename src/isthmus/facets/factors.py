"""Factors: does one unit of the code stand for one factor that made the rows? Needs data whose factors are known.

Rival: independent components of the rows, as many as the code has units, and ``pca``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput
from isthmus.facets.facet import Coder, Contender, Facet, Rows, Splits, some
from isthmus.facets.purpose import ALSO
from isthmus.facets.random_dictionary import NAME as RANDOM
from isthmus.facets.random_dictionary import random_dictionary, written
from isthmus.facets.rivals import components_kin, independent_components
from isthmus.metrics.disentanglement import importances, mutual_information_gap, separated_attributes
from isthmus.said import Said
from isthmus.seeds import seed as hashed

MOST = 5000
"""Rows of a part that are looked at, a seeded draw: forests take long, and more hardly change them."""


def criterion(coder: Coder, splits: Splits) -> float:
    """One minus the mutual information gap on validation rows."""
    valid = _sample(splits, "valid")
    return 1 - mutual_information_gap(coder.encode_scaled(valid.x), _factors(valid))


def measure(contender: Contender, splits: Splits) -> dict[str, float]:
    """MIG, DCI and SAP of the codes of test rows; DCI's forests grow on the codes of training rows."""
    train, test = _sample(splits, "train"), _sample(splits, "test")
    codes = contender.encode_scaled(train.x), contender.encode_scaled(test.x)
    return scores(codes[0], _factors(train), codes[1], _factors(test), splits.seed)


def independent(splits: Splits) -> dict[str, float]:
    """The same of independent components."""
    train, test = _sample(splits, "train"), _sample(splits, "test")
    codes = independent_components(splits._replace(train=train, test=test))
    return scores(codes[0], _factors(train), codes[1], _factors(test), splits.seed)


def scores(
    train: NDArray[np.float32],
    train_factors: NDArray[np.float64],
    test: NDArray[np.float32],
    test_factors: NDArray[np.float64],
    seed: int,
) -> dict[str, float]:
    """The facet's numbers from codes (n, L), (m, L) and factors (n, F), (m, F); NaN if a code is not finite."""
    finite = bool(np.isfinite(train).all() and np.isfinite(test).all())
    dci = importances(train, train_factors, test, test_factors, seed=seed)
    return {
        "mig": mutual_information_gap(test, test_factors) if finite else math.nan,
        "dci_disentanglement": dci.disentanglement,
        "dci_completeness": dci.completeness,
        "dci_informativeness": dci.informativeness,
        "sap": separated_attributes(test, test_factors) if finite else math.nan,
    }


def _sample(splits: Splits, part: str) -> Rows:
    """The rows of a part that we look at."""
    return some(getattr(splits, part), MOST, hashed(splits.seed, "factors", part))


def _factors(rows: Rows) -> NDArray[np.float64]:
    if rows.factors is None:
        raise BadInput("the facet factors needs known factors of every row; got none: declare them or leave it out")
    return rows.factors


FACTORS = Facet(
    name="factors",
    title=Said("Factors", "因子"),
    question=Said("Does each unit of the code match one known factor?", "每个编码单元是否对应一个已知因子？"),
    purposes={"interpret": ALSO},
    wanted=Said("For code units that match known factors", "需要每个编码单元对应一个已知因子"),
    primary="mig",
    view="all",
    labels=False,
    factors=True,
    sees=Said("validation rows with their factors, without labels", "验证集及其已知因子，不使用标签"),
    criterion=criterion,
    free=criterion,
    measure=measure,
    metrics=("mig", "dci_disentanglement", "dci_completeness", "dci_informativeness", "sap"),
    rivals={"independent components": independent, RANDOM: random_dictionary(measure)},
    only={RANDOM: "dictionaries"},
    kin={"independent components": components_kin, RANDOM: written},
)
