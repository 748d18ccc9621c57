"""Features: how much the code tells a simple classifier. Rivals: raw columns, marginalised denoising, and ``pca``."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput
from isthmus.facets.facet import Coder, Facet, Parts, Rows, Subject
from isthmus.facets.rivals import marginalised_denoising
from isthmus.metrics.probes import knn_accuracy, probe_accuracy, with_few
from isthmus.seeds import seed as hashed

# More labelled rows than this hardly move an accuracy, and raw columns would take minutes to probe.
MOST = 10_000


def criterion(coder: Coder, parts: Parts) -> float:
    """Share of validation rows that their 5 nearest training codes misclassify."""
    train, valid = (_sample(rows, parts.seed, part) for rows, part in ((parts.train, "train"), (parts.valid, "valid")))
    return 1 - knn_accuracy(coder.encode_scaled(train.x), _labels(train), coder.encode_scaled(valid.x), _labels(valid))


def measure(subject: Subject, parts: Parts) -> dict[str, float]:
    """Accuracies of a linear probe and of 5 nearest neighbours on test codes, with all labels and with 10 per class."""
    train, test = (_sample(rows, parts.seed, part) for rows, part in ((parts.train, "train"), (parts.test, "test")))
    return accuracies(
        subject.encode_scaled(train.x), _labels(train), subject.encode_scaled(test.x), _labels(test), parts.seed
    )


def raw(parts: Parts) -> dict[str, float]:
    """The same of the scaled columns themselves, without any model."""
    train, test = (_sample(rows, parts.seed, part) for rows, part in ((parts.train, "train"), (parts.test, "test")))
    return accuracies(_flat(train), _labels(train), _flat(test), _labels(test), parts.seed)


def denoised(parts: Parts) -> dict[str, float]:
    """The same of the features of marginalised denoising, as many as there are columns."""
    train, test = (_sample(rows, parts.seed, part) for rows, part in ((parts.train, "train"), (parts.test, "test")))
    codes = marginalised_denoising(_flat(train), _flat(test))
    return accuracies(codes[0], _labels(train), codes[1], _labels(test), parts.seed)


def accuracies(
    train: NDArray[np.float32],
    train_y: NDArray[np.int64],
    test: NDArray[np.float32],
    test_y: NDArray[np.int64],
    seed: int,
) -> dict[str, float]:
    """The facet's four numbers from codes (n, L), (m, L) and labels (n,), (m,); NaN if a code is not finite."""
    sets = (train, train_y, test, test_y)
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        return dict.fromkeys(("probe_accuracy", "knn_accuracy", "probe_accuracy_few", "knn_accuracy_few"), math.nan)
    return {
        "probe_accuracy": probe_accuracy(*sets),
        "knn_accuracy": knn_accuracy(*sets),
        "probe_accuracy_few": with_few(probe_accuracy, *sets, seed=seed),
        "knn_accuracy_few": with_few(knn_accuracy, *sets, seed=seed),
    }


def _sample(rows: Rows, seed: int, part: str) -> Rows:
    """All rows, or a seeded draw of the most we look at."""
    if len(rows.x) <= MOST:
        return rows
    picked = np.sort(np.random.default_rng(hashed(seed, "features", part)).permutation(len(rows.x))[:MOST])
    return Rows(rows.x[picked], None if rows.y is None else rows.y[picked])


def _flat(rows: Rows) -> NDArray[np.float32]:
    return rows.x.reshape(len(rows.x), -1)


def _labels(rows: Rows) -> NDArray[np.int64]:
    if rows.y is None:
        raise BadInput("the facet features needs a label for every row; got none: give a label column or leave it out")
    return rows.y


FEATURES = Facet(
    name="features",
    title="Features",
    question="How much does the code tell a simple classifier?",
    primary="probe_accuracy",
    view="all",
    labels=True,
    sees="rows of the training and validation splits with their labels",
    criterion=criterion,
    measure=measure,
    rivals={"raw": raw, "marginalised denoising": denoised},
)
