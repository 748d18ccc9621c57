"""Sparsity: how few units the code needs for one row, in the model that was chosen for its reconstruction.

Choosing by sparsity itself would choose the model that says nothing. Rivals: the dense code of ``pca``, and sparse
coding, which looks for the code of each row anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Contender, Facet, Parts, validation_error
from isthmus.facets.purpose import NEEDED
from isthmus.facets.rivals import sparse_coding
from isthmus.metrics.sparsity import Activity
from isthmus.said import Said


def measure(contender: Contender, parts: Parts) -> dict[str, float]:
    """``hoyer``, ``l0``, ``dead`` and ``always_on`` of the codes of the test rows; exact zero is silent."""
    return activity(contender.encode_scaled(parts.test.x))


def coded(parts: Parts) -> dict[str, float]:
    """The same of sparse coding."""
    return activity(sparse_coding(parts).codes)


def activity(codes: NDArray[np.float32]) -> dict[str, float]:
    """The facet's four numbers of codes (n, L)."""
    seen = Activity.of(codes)
    return {"hoyer": seen.hoyer, "l0": seen.l0, "dead": seen.dead, "always_on": seen.always_on}


SPARSITY = Facet(
    name="sparsity",
    title=Said("Sparsity", "稀疏性"),
    question=Said("How few units does the code need for one row?", "编码一行数据最少要用多少个单元？"),
    purposes={"interpret": NEEDED},
    wanted=Said("For codes of few active units", "若要活跃单元少的编码"),
    stands_out=Said(
        "{leader} is the sparsest; see what it pays in reconstruction", "{leader}最稀疏；请留意它在重构上的代价"
    ),
    caveat=Said(
        "; sparser is not better in itself, weigh it against reconstruction",
        "；更稀疏本身并不等于更好，应与重构误差一并权衡",
    ),
    spoiled_by=("dead units",),
    faults=False,
    primary="hoyer",
    crowns=False,
    view="all",
    labels=False,
    sees=Said(
        "rows of the validation split, no labels: the configuration with the smallest reconstruction error",
        "验证集的数据，不看标签：取重构误差最小的参数组",
    ),
    criterion=validation_error,
    measure=measure,
    metrics=("hoyer", "l0", "dead", "always_on", "mse"),
    rivals={"sparse coding": coded},
)
