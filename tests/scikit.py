"""scikit-learn's own checks of an estimator, and those of them in which the family of its network has a say.

Most look at what stands around the network: parameters, what is refused, lists, frames, types and weights of rows. That
is one code for all families, so plain passes all checks, and so does a family of each kind: in closed form, with
draws, with symbols, with dead units, with a condition, with a score of its own. The others pass those of their own.
``benchmarks/scikit_checks.py`` asks everything of every family.
"""

from functools import partial
from typing import Any

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import estimator_checks_generator

KINDS = ("pca", "vae", "vq", "topk", "cvae", "svdd")
OWN = {
    "check_fit_idempotent", "check_methods_subset_invariance", "check_methods_sample_order_invariance",
    "check_estimators_pickle", "check_estimators_overwrite_params", "check_dict_unchanged",
    "check_fit2d_1feature", "check_fit2d_1sample", "check_transformer_general(readonly_memmap=True)",
    "check_outliers_train(readonly_memmap=True)",
}  # fmt: skip


def named(check: Any) -> str:
    """A check's name, with what it is told."""
    if not isinstance(check, partial):
        return str(check.__name__)
    told = ", ".join(f"{name}={value}" for name, value in check.keywords.items())
    return named(check.func) + (f"({told})" if told else "")


def asked(estimators: dict[str, BaseEstimator]) -> list[Any]:
    """An estimator and a check of it, for every estimator, by the name of its family."""
    return [
        pytest.param(one, check, id=f"{family}-{named(check)}")
        for family, estimator in estimators.items()
        for one, check in estimator_checks_generator(estimator)
        if family in KINDS or named(check) in OWN
    ]
