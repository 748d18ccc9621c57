"""Stability: what stays when the same recipe is trained again from other seeds. Rival: ``pca``, which has no seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import (
    SMALLEST_ERROR,
    Coder,
    Contender,
    Curve,
    CurveTitle,
    Facet,
    Found,
    Rows,
    Splits,
    atoms,
    known,
    reconstruct,
    some,
    validation_error,
)
from isthmus.facets.purpose import NEEDED
from isthmus.facets.random_dictionary import NAME as RANDOM
from isthmus.facets.random_dictionary import random_dictionary, written
from isthmus.facets.robustness import explained, sample
from isthmus.metrics.fidelity import explained_variance
from isthmus.metrics.metric import SHARE
from isthmus.metrics.probes import knn_accuracy
from isthmus.metrics.similarity import basis, cka, cosines, matched_atoms, matched_units, overlap, rank_agreement
from isthmus.metrics.sparsity import hoyer
from isthmus.said import Said
from isthmus.seeds import seed as hashed

Array = NDArray[np.float32]

WIDE, MOST_WIDE = 1024, 1000
"""Codes of more elements span all that so many rows can show: no subspace is compared, and fewer rows are looked at."""
AGAIN = 2
"""More trainings; with the model itself three, and three pairs."""
MOST = 2000
"""More rows than this hardly move a correlation."""


def measure(contender: Contender, splits: Splits) -> Found:
    """Likeness of codes, units, atoms and rankings, mean over all pairs of trainings; the spread of their scores.

    The trainings differ in initial weights, order of rows and noise, and share rows, recipe and plan. Where one of them
    kept no step, there is nothing to compare, and all is NaN.
    """
    seeds = [hashed(splits.seed, "stability", number) for number in range(AGAIN)]
    runs = [contender, *contender.again(splits, *seeds)]
    wide = splits.latents > WIDE
    rows = some(splits.test, MOST_WIDE if wide else MOST, hashed(splits.seed, "stability", "rows"))
    codes = [run.encode_scaled(rows.x) for run in runs]
    spaces = [basis(z[:, :0] if wide else z) for z in codes]
    found = {
        "cka": _over_pairs(cka, codes),
        "subspace_overlap": _over_pairs(overlap, spaces),
        "matched_units": _over_pairs(matched_units, codes),
        "matched_atoms": _over_pairs(matched_atoms, [atoms(run, z) for run, z in zip(runs, codes, strict=True)]),
        "rank_agreement": _over_pairs(rank_agreement, [run.score_scaled(rows.x) for run in runs]),
        **spreads([scores(run, rows, splits) for run in runs]),
    }
    if not all(run.trained for run in runs):
        return dict.fromkeys(found, math.nan)
    return {**known(found), **({} if wide else {"angles": angles(spaces, codes[0].shape[1])})}


def scores(coder: Coder, rows: Rows, splits: Splits) -> dict[str, float]:
    """One number of each facet that is quick to ask of this model, on test rows; of features only with labels."""
    codes, mean = coder.encode_scaled(rows.x), splits.train.x.mean(axis=0, dtype=np.float64)
    found = {
        "reconstruction": explained_variance(rows.x, coder.decode_scaled(codes), mean),
        "sparsity": hoyer(codes),
        "robustness": explained(lambda x: reconstruct(coder, x), sample(splits.test, splits), splits)[
            "explained_disturbed"
        ],
    }
    train = some(splits.train, MOST, hashed(splits.seed, "stability", "neighbours"))
    if train.y is not None and rows.y is not None:
        found["features"] = knn_accuracy(coder.encode_scaled(train.x), train.y, codes, rows.y)
    return known(found)


def spreads(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Standard deviation of each score over the trainings."""
    return {f"spread_{name}": float(np.std([one[name] for one in found], ddof=1)) for name in found[0]}


def angles(spaces: Sequence[NDArray[np.float64]], width: int) -> Curve:
    """Squared cosines of the principal angles between the codes of two trainings, largest first; mean over pairs.

    ``spaces`` (n, rank) are the axes of the codes, which have ``width`` elements.
    """
    each = [cosines(a, b) ** 2 for a, b in combinations(spaces, 2)]
    padded = [np.pad(one, (0, width - len(one))) if len(one) else np.full(width, math.nan) for one in each]
    return Curve(tuple(map(float, range(1, width + 1))), tuple(np.mean(padded, axis=0).tolist()))


def _over_pairs(likeness: Callable[[Any, Any], float], found: Sequence[Any]) -> float:
    return float(np.mean([likeness(a, b) for a, b in combinations(found, 2)]))


STABILITY = Facet(
    name="stability",
    title=Said("Stability", "可重复性"),
    question=Said("How similar are results when the same recipe is trained again?", "同一配方重新训练，结果有多接近？"),
    purposes={"interpret": NEEDED},
    wanted=Said("For codes that do not depend on the seed", "需要不随随机种子变化的编码"),
    stands_out=Said(
        "{leader} {leader|is|are} the most repeatable; check that {leader|it serves|they serve} your purpose",
        "{leader}的可重复性最好；还要看它是否合乎用途",
    ),
    caveat=Said(
        "; closed-form methods give the same result each time by construction, and repeatability alone is not a merit: "
        "see how they serve your purpose",
        "；闭式解天然可重复，而可重复本身并不等于更好，应与其他用途一并权衡",
    ),
    primary="cka",
    crowns=False,
    view="all",
    labels=False,
    sees=SMALLEST_ERROR,
    criterion=validation_error,
    measure=measure,
    metrics=(
        "cka",
        "subspace_overlap",
        "matched_units",
        "matched_atoms",
        "rank_agreement",
        *(f"spread_{score}" for score in ("reconstruction", "sparsity", "features", "robustness")),
        "mse",
    ),
    curves={
        "angles": CurveTitle(
            Said("Directions of the code shared by repeated trainings", "多次训练共有的编码方向"),
            x=Said("direction, best agreement first", "方向（一致程度由高到低）"),
            y=Said("squared cosine of the principal angle", "主角余弦的平方"),
            log=False,
            bounds=SHARE,
        ),
    },
    rivals={RANDOM: random_dictionary(measure)},
    only={RANDOM: "dictionaries"},
    kin={RANDOM: written},
    trains=AGAIN,
)
