"""Sparsity: how few units the code needs for one row, in the model that was chosen for its reconstruction.

Choosing by sparsity itself would choose the model that says nothing. Rivals: the dense code of ``pca``, and sparse
coding, which looks for the code of each row anew.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import (
    SMALLEST_ERROR,
    Against,
    Coder,
    Contender,
    Curve,
    CurveTitle,
    Facet,
    Found,
    Splits,
    held,
    lengths,
    some,
    validation_error,
)
from isthmus.facets.nesting import nesting
from isthmus.facets.purpose import NEEDED
from isthmus.facets.random_dictionary import NAME as RANDOM
from isthmus.facets.random_dictionary import random_dictionary, written
from isthmus.facets.rivals import sparse_kin, sparsely_coded
from isthmus.metrics.fidelity import explained_variance
from isthmus.metrics.sparsity import Activity
from isthmus.said import Said
from isthmus.seeds import seed as hashed

MOST = 500
"""Test rows that the frontier is drawn from."""


def measure(contender: Contender, splits: Splits) -> Found:
    """``hoyer``, ``l0``, ``dead`` and ``always_on`` of the codes of the test rows; exact zero is silent.

    Where the study says how many units may fire, also the ``frontier``, and what prefixes of the code tell.
    """
    codes = contender.encode_scaled(splits.test.x)
    if splits.k is None:
        return activity(codes)
    long = lengths(contender, codes.shape[1])
    return {**activity(codes), "frontier": frontier(contender, splits, long), **nesting(contender, splits, long)}


def frontier(coder: Coder, splits: Splits, long: NDArray[np.float32]) -> Curve:
    """Explained variance of test rows that are rebuilt from 1, 2, 4, ... units a row on average, up to all.

    ``long`` (L,) are the lengths of what units write.
    """
    x = some(splits.test, MOST, hashed(splits.seed, "frontier")).x
    codes, mean = coder.encode_scaled(x), splits.train.x.mean(axis=0, dtype=np.float64)
    every = np.count_nonzero(codes) / len(codes)
    counts = [2**i for i in range(int(every).bit_length()) if 2**i < every]
    shown = [explained_variance(x, coder.decode_scaled(held(coder, codes, k, long)), mean) for k in counts]
    whole = explained_variance(x, coder.decode_scaled(codes), mean)
    return Curve((*map(float, counts), every), (*shown, whole))


def coded(splits: Splits) -> dict[str, float]:
    """The same of sparse coding."""
    return activity(sparsely_coded(splits).codes)


def activity(codes: NDArray[np.float32]) -> dict[str, float]:
    """The facet's four numbers of codes (n, L)."""
    seen = Activity.of(codes)
    return {"hoyer": seen.hoyer, "l0": seen.l0, "dead": seen.dead, "always_on": seen.always_on}


SPARSITY = Facet(
    name="sparsity",
    title=Said("Sparsity", "稀疏性"),
    question=Said("How few units of the code are active for a row?", "每行数据平均激活多少个编码单元？"),
    purposes={"interpret": NEEDED},
    wanted=Said("For codes with few active units", "需要激活单元少的编码"),
    stands_out=Said(
        "{leader} {leader|is|are} the sparsest; check {leader|its|their} reconstruction error",
        "{leader}最稀疏；请同时看它的重构误差",
    ),
    caveat=Said(
        "; sparser is not better in itself: compare the reconstruction",
        "；更稀疏本身并不等于更好，应与重构误差一并权衡",
    ),
    spoiled_by=("dead units",),
    faults=False,
    against=Against(
        "l0",
        ("reconstruction", "mse"),
        title=Said("Sparsity against reconstruction", "稀疏程度与重构误差"),
        text=Said(
            "Sparse families aim at few active units and a small error together: the lower left corner is best.",
            "稀疏模型的目的，是活跃单元少而误差也小：越靠近左下角越好。",
        ),
    ),
    primary="hoyer",
    crowns=False,
    view="all",
    labels=False,
    sees=SMALLEST_ERROR,
    criterion=validation_error,
    measure=measure,
    metrics=("hoyer", "l0", "dead", "always_on", "nested", "nested_by_use", "mse"),
    curves={
        "frontier": CurveTitle(
            Said("Explained variance from few units", "少量激活单元下的解释方差"),
            x=Said("units of a row, on average", "每行平均保留的单元数"),
            y=Said("explained variance", "解释方差"),
            log=True,
            bounds=(-math.inf, 1.0),
        ),
        "prefixes": CurveTitle(
            Said("Explained variance from the first units of the code", "仅用编码前若干单元的解释方差"),
            x=Said("first units of the code", "编码的前若干单元"),
            y=Said("explained variance", "解释方差"),
            log=True,
            bounds=(-math.inf, 1.0),
        ),
    },
    rivals={"sparse coding": coded, RANDOM: random_dictionary(measure)},
    only={RANDOM: "dictionaries"},
    kin={"sparse coding": sparse_kin, RANDOM: written},
)
