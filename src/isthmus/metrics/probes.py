"""How much a simple classifier can read from codes: what is there for the taking, not what a deep net could dig out."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.classes import many_classes
from isthmus.metrics.metric import SHARE, Metric
from isthmus.said import Said
from isthmus.seeds import seed as hashed

Codes = NDArray[np.floating]
Labels = NDArray[np.integer]
Accuracy = Callable[[Codes, Labels, Codes, Labels], float]

NEIGHBOURS = 5
STRENGTH = 1.0  # C: weight of the summed log loss against half the squared weights
FEW = 10  # labelled rows per class
DRAWS = 5


def nearest(known: Codes, asked: Codes, k: int = NEIGHBOURS) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Euclidean distances to, and numbers of, the ``min(k, n)`` nearest known rows, nearest first.

    ``known`` (n, L), ``asked`` (m, L) -> (m, k) and (m, k). Every pair is compared: nothing is approximate.
    """
    from sklearn.neighbors import NearestNeighbors

    finder = NearestNeighbors(n_neighbors=min(k, len(known)), algorithm="brute", metric="euclidean")
    distances, numbers = finder.fit(_wide(known)).kneighbors(_wide(asked))
    return distances, numbers


def knn_accuracy(train: Codes, train_y: Labels, test: Codes, test_y: Labels, k: int = NEIGHBOURS) -> float:
    """Share of test rows whose class most of their k nearest training rows have (Cover and Hart 1967).

    Distances are taken in the code as it is, unscaled, for that is the geometry the model made. A tied vote goes to
    the tied class of the nearest row. ``train`` (n, L), ``test`` (m, L), labels (n,) and (m,) -> share, or NaN if
    something is not finite or empty.

    Examples
    --------
    >>> knn_accuracy(np.array([[0.0], [1.0]]), np.array([0, 1]), np.array([[0.2], [0.1]]), np.array([0, 1]), k=1)
    0.5
    """
    if not _usable(train, test):
        return math.nan
    _, numbers = nearest(train, test, k)
    classes, coded = np.unique(train_y, return_inverse=True)
    cells = np.arange(len(test))[:, None] * len(classes) + coded[numbers]
    # One vote each; the halves, quarters, … never outvote a vote, and break ties in favour of the nearest row.
    weights = np.broadcast_to(1 + 0.5 ** (1 + np.arange(numbers.shape[1])), numbers.shape)
    votes = np.bincount(cells.ravel(), weights.ravel(), len(test) * len(classes)).reshape(len(test), -1)
    return float(np.mean(classes[votes.argmax(axis=1)] == test_y))


def probe_accuracy(train: Codes, train_y: Labels, test: Codes, test_y: Labels) -> float:
    """Share of test rows that a linear classifier gets right (Alain and Bengio 2016).

    Multinomial logistic regression with C = 1 (L2), on codes standardised by their training rows; an element whose
    spread is below a millionth of the widest one's counts as constant. ``train`` (n, L), ``test`` (m, L), labels (n,)
    and (m,) -> share, or NaN if something is not finite or empty.
    """
    from sklearn.linear_model import LogisticRegression

    if not _usable(train, test):
        return math.nan
    if len(np.unique(train_y)) < 2:
        return float(np.mean(test_y == train_y[0]))
    wide = _wide(train)
    centre, spread = wide.mean(axis=0), wide.std(axis=0)
    moving = spread > 1e-6 * spread.max()
    scale = np.where(moving, spread, 1.0)
    seen, asked = ((z - centre) * moving / scale for z in (wide, _wide(test)))
    with many_classes():
        model = LogisticRegression(C=STRENGTH, max_iter=10_000).fit(seen, train_y)
    return float(np.mean(model.predict(asked) == test_y))


def commonest_class(train_y: Labels, test_y: Labels) -> float:
    """Share of test rows that are of the commonest class among the training rows: what naming it always gets right.

    Labels (n,) and (m,) -> share, or NaN if there are none. Of classes equally common the lowest counts.

    Examples
    --------
    >>> commonest_class(np.array([0, 1, 1]), np.array([1, 1, 0, 1]))
    0.75
    """
    if not (len(train_y) and len(test_y)):
        return math.nan
    classes, counts = np.unique(train_y, return_counts=True)
    return float(np.mean(test_y == classes[counts.argmax()]))


def with_few(
    accuracy: Accuracy, train: Codes, train_y: Labels, test: Codes, test_y: Labels, *, seed: int, rows: int = FEW
) -> float:
    """Mean accuracy over 5 seeded draws of at most ``rows`` labelled training rows per class.

    Parameters
    ----------
    accuracy : callable
        :func:`probe_accuracy` or :func:`knn_accuracy`.
    train, train_y, test, test_y : arrays (n, L), (n,), (m, L), (m,)
    seed : int
        The same seed draws the same rows, whatever the codes: models are compared on equal terms.
    rows : int, default 10
        Labelled rows per class.
    """
    found = []
    for draw in range(DRAWS):
        picked = few(train_y, rows, hashed(seed, "few labels", draw))
        found.append(accuracy(train[picked], train_y[picked], test, test_y))
    return float(np.mean(found))


def few(y: Labels, rows: int, seed: int) -> NDArray[np.int64]:
    """Numbers of at most ``rows`` rows per class of ``y`` (n,), drawn without replacement, sorted."""
    order = np.random.default_rng(seed).permutation(len(y))
    return np.sort(np.concatenate([order[y[order] == c][:rows] for c in np.unique(y)]))


def _wide(z: Codes) -> NDArray[np.float64]:
    return np.asarray(z, dtype=np.float64).reshape(len(z), math.prod(z.shape[1:]))


def _usable(train: Codes, test: Codes) -> bool:
    return bool(len(train) and len(test) and np.isfinite(train).all() and np.isfinite(test).all())


TABLE = [
    Metric(
        "probe_accuracy",
        probe_accuracy,
        True,
        "share of rows",
        Said("probe accuracy", "线性探针准确率"),
        0.01,
        "Alain and Bengio 2016",
        bounds=SHARE,
    ),
    Metric(
        "probe_accuracy_few",
        with_few,
        True,
        "share of rows",
        Said("probe accuracy, few labels", "线性探针准确率（少量标签）"),
        0.02,
        "Alain and Bengio 2016",
        bounds=SHARE,
    ),
    Metric(
        "knn_accuracy",
        knn_accuracy,
        True,
        "share of rows",
        Said("kNN accuracy", "kNN 准确率"),
        0.01,
        "Cover and Hart 1967",
        bounds=SHARE,
    ),
    Metric(
        "knn_accuracy_few",
        with_few,
        True,
        "share of rows",
        Said("kNN accuracy, few labels", "kNN 准确率（少量标签）"),
        0.02,
        "Cover and Hart 1967",
        bounds=SHARE,
    ),
    Metric(
        "commonest_class",
        commonest_class,
        None,
        "share of rows",
        Said("accuracy of naming the commonest class", "总猜最多的一类的准确率"),
        0.01,
        "Witten and Frank 2005, the rule ZeroR",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
