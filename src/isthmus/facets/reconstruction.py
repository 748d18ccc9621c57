"""Reconstruction: how much of a row survives the narrow code.

Rivals at the same width: ``pca``, sparse coding, where rows are windows of a series the last value, and where they are
counts a non-negative factorisation. Counts are rebuilt in the units of counts: what decides is their deviance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from isthmus.data.counts import Counts
from isthmus.facets.counts import factorisation, factors_kin
from isthmus.facets.facet import (
    Contender,
    Facet,
    Found,
    Kept,
    Raw,
    Splits,
    known,
    reconstruct,
    row_error,
    validation_error,
)
from isthmus.facets.kin import Lines
from isthmus.facets.purpose import INSTEAD, NEEDED
from isthmus.facets.random_dictionary import NAME as RANDOM
from isthmus.facets.random_dictionary import random_dictionary
from isthmus.facets.random_dictionary import written as random_written
from isthmus.facets.rivals import sparse_kin, sparsely_coded
from isthmus.facets.windows import held
from isthmus.metrics.deviance import explained_deviance
from isthmus.metrics.fidelity import explained_variance, mse, row_errors
from isthmus.said import Said


def measure(contender: Contender, splits: Splits) -> Found:
    """``mse`` and ``explained_variance`` on the test rows, and ``row_error``, the error of each."""
    x_hat = reconstruct(contender, splits.test.x, splits.k)
    return {**fidelity(x_hat, splits), "row_error": row_errors(splits.test.x, x_hat)}


def recomputed(raw: Raw, recorded: Mapping[str, float | None], splits: Splits | None) -> dict[str, float]:
    """``mse`` from the errors of rows, and where training rows are there ``explained_variance``."""
    weight = raw.get("test_weight")
    found = {"mse": float(np.average(raw["row_error"], weights=weight))}
    if splits is not None:
        mean = splits.train.x.mean(axis=0, dtype=np.float64)
        spread = float(np.average(row_errors(splits.test.x, mean), weights=weight))
        found["explained_variance"] = 1 - found["mse"] / spread if spread > 0 else math.nan
    return found


def coded(splits: Splits) -> dict[str, float]:
    """The same of sparse coding."""
    return fidelity(sparsely_coded(splits).rebuilt, splits)


def kept(splits: Splits) -> dict[str, float]:
    """The same of as many values of each window as codes have elements, each held until the next."""
    return fidelity(held(splits.test.x, splits.latents), splits)


def fidelity(x_hat: NDArray[np.float32], splits: Splits) -> dict[str, float]:
    """The facet's two numbers for the test rows rebuilt, (n, *D)."""
    x, weight = splits.test.x, splits.test.weight
    mean = splits.train.x.mean(axis=0, dtype=np.float64)
    found = {"mse": mse(x, x_hat, weight), "explained_variance": explained_variance(x, x_hat, mean, weight)}
    if isinstance(layout := splits.layout, Counts):
        usual = layout.shares[layout.kept]
        found["deviance_explained"] = explained_deviance(layout.counted(x), layout.rates(x_hat), usual, weight)
    return known(found)


def factorised(splits: Splits) -> dict[str, float]:
    """The same of a non-negative factorisation of counts."""
    if not isinstance(splits.layout, Counts):
        return fidelity(np.full_like(splits.test.x, np.nan), splits)
    return fidelity(factorisation(splits).rebuilt, splits)


def _held(splits: Splits) -> Lines:
    return Lines(
        "# X: windows (n, T, C), as they come\n"
        "from isthmus.facets.windows import held\n\n"
        "centre = X.mean(axis=(0, 1))\n"
        f"held(X - centre, {splits.latents}) + centre",
        takes="cells",
    )


RECONSTRUCTION = Facet(
    name="reconstruction",
    title=Said("Reconstruction", "重构"),
    question=Said("How well can rows be rebuilt from their codes?", "由编码重构数据的效果如何？"),
    purposes={"compress": INSTEAD, "interpret": NEEDED},
    wanted=Said("To rebuild rows", "重构数据"),
    spoiled_by=(
        "constant output",
        "identity copying",
    ),
    kept={"row_error": Kept(of_model=lambda coder, splits: row_error(coder, splits.test.x, splits.k))},
    recomputed=recomputed,
    primary="explained_variance",
    view="all",
    labels=False,
    weighs=True,
    sees=Said("validation rows, without labels", "验证集，不使用标签"),
    criterion=validation_error,
    measure=measure,
    metrics=("mse", "explained_variance", "deviance_explained"),
    decided={"counts": "deviance_explained"},
    floor=0.0,
    floor_title=Said("predicting the mean of each column", "只用每列的均值预测"),
    rivals={"sparse coding": coded, "persistence": kept, "nmf": factorised, RANDOM: random_dictionary(measure)},
    only={RANDOM: "dictionaries", "persistence": "windows", "nmf": "counts"},
    kin={
        "sparse coding": sparse_kin,
        "persistence": _held,
        "nmf": factors_kin,
        RANDOM: random_written,
    },
)
