"""What classifies rows without any code: rivals of the facet features, tuned on validation rows as codes are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.classes import many_classes
from isthmus.metrics.probes import Answers, answers, balanced_accuracy, by_neighbours, knn_balanced

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]

RATES = (0.1, 0.3)
"""Learning rates of the trees, which are tried."""
LEAVES = 8
ROUNDS, LEAST_ROUNDS = 50, 5
"""Trees of each class, at most; as many are kept as have the best balanced accuracy on validation rows."""
WORK = 3e9
"""Cells that the trees may look at: some seconds of one core. Rounds go down to as many as that allows."""
COUNTS = (1, 3, 5, 10, 20)
"""Neighbours that are tried."""


class Tuned(NamedTuple):
    """What a classifier says of the test rows, and the settings chosen on validation rows, in names of scikit-learn."""

    said: Answers
    settings: Mapping[str, float]


def boosted_trees(train: Rows, train_y: Labels, valid: Rows, valid_y: Labels, test: Rows, seed: int) -> Tuned:
    """Classes of test rows (m, D) by gradient-boosted trees (Friedman 2001), scikit-learn's by histograms.

    Learning rate and number of rounds are those of the best balanced accuracy on validation rows; the earlier
    wins a tie.

    Parameters
    ----------
    train, valid, test : arrays (n, D), (v, D), (m, D)
    train_y, valid_y : arrays (n,), (v,)
    seed : int
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    classes = len(np.unique(train_y))
    if classes < 2:
        return Tuned(Answers(*[np.full(len(test), train_y[0])] * 2), {})
    rounds = trees(len(train), train.shape[1], classes)
    best, found = -1.0, Tuned(Answers(*[np.full(len(test), train_y[0])] * 2), {})
    for rate in RATES:
        with many_classes():
            model = HistGradientBoostingClassifier(
                learning_rate=rate,
                max_iter=rounds,
                max_leaf_nodes=LEAVES,
                early_stopping=False,
                random_state=seed % 2**32,
            ).fit(train, train_y)
        staged = (answers(model.classes_, one, train_y) for one in model.staged_predict_proba(valid))
        right = [balanced_accuracy(said.fair, valid_y) for said in staged]
        stage = int(np.argmax(right))
        if right[stage] > best:
            best = right[stage]
            chances = next(one for i, one in enumerate(model.staged_predict_proba(test)) if i == stage)
            settings = {"learning_rate": rate, "max_iter": stage + 1, "max_leaf_nodes": LEAVES}
            found = Tuned(answers(model.classes_, chances, train_y), settings)
    return found


def trees(rows: int, columns: int, classes: int) -> int:
    """Rounds of boosting that so many rows, columns and classes allow.

    Examples
    --------
    >>> trees(1000, 64, 10), trees(10_000, 3000, 10)
    (50, 5)
    """
    each = rows * columns * (classes if classes > 2 else 1) * len(RATES)
    return int(np.clip(WORK // max(each, 1), LEAST_ROUNDS, ROUNDS))


def nearest_rows(train: Rows, train_y: Labels, valid: Rows, valid_y: Labels, test: Rows) -> Tuned:
    """Classes of test rows by the votes of their nearest training rows; how many is tuned as above."""
    best = max(COUNTS, key=lambda k: (knn_balanced(train, train_y, valid, valid_y, k=k), -k))
    return Tuned(by_neighbours(train, train_y, test, k=best), {"n_neighbors": min(best, len(train))})
