"""How much a simple classifier can read from codes: what is there for the taking, not what a deep net could dig out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

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


class Answers(NamedTuple):
    """What a classifier says of rows."""

    usual: Labels
    """The likeliest class of each: what gets most rows right."""
    fair: Labels
    """The class that gains most on its share of the training rows: what gets most of every class right."""


def answers(classes: Labels, chances: NDArray[Any], train_y: Labels) -> Answers:
    """Both from the chances (m, C) of each of the classes (C,) that the training rows have.

    Where chances are right, the likeliest class has the best accuracy, and the one whose chance divided by its share is
    largest the best balanced accuracy (Menon, Narasimhan, Agarwal and Chawla 2013): nothing is fitted twice.

    Examples
    --------
    >>> answers(np.array([0, 1]), np.array([[0.8, 0.2]]), np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1]))
    Answers(usual=array([0]), fair=array([1]))
    """
    share = np.unique(train_y, return_counts=True)[1] / len(train_y)
    return Answers(classes[chances.argmax(axis=1)], classes[(chances / share).argmax(axis=1)])


def balanced_accuracy(said: Labels, y: Labels) -> float:
    """Mean over the classes of ``y`` of the share of their rows that are named rightly; NaN if there are none.

    Naming one class always gets 1 / C of C classes, however common it is (Brodersen, Ong, Stephan and Buhmann 2010).

    Examples
    --------
    >>> balanced_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]))
    0.5
    """
    if not len(y):
        return math.nan
    _, numbers = np.unique(y, return_inverse=True)
    return float(np.mean(np.bincount(numbers, said == y) / np.bincount(numbers)))


def nearest(known: Codes, asked: Codes, k: int = NEIGHBOURS) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Euclidean distances to, and numbers of, the ``min(k, n)`` nearest known rows, nearest first.

    ``known`` (n, L), ``asked`` (m, L) -> (m, k) and (m, k). Every pair is compared: nothing is approximate.
    """
    return neighbours(known, k)(asked)


def neighbours(known: Codes, k: int = NEIGHBOURS) -> Callable[[Codes], tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """What :func:`nearest` says of rows, for who asks again and again."""
    from sklearn.neighbors import NearestNeighbors

    rows = _wide(known)
    finder = NearestNeighbors(n_neighbors=min(k, len(known)), algorithm="brute", metric="euclidean").fit(rows)

    def found(asked: Codes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        numbers = finder.kneighbors(wide := _wide(asked), return_distance=False)
        distances = lengths(rows, wide, numbers)
        order = distances.argsort(axis=1, kind="stable")
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(numbers, order, axis=1)

    return found


def lengths(known: Codes, asked: Codes, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Euclidean distances of rows (m, L) to known ones (n, L) of these numbers (m, k): (m, k).

    From differences. A search takes them from products of all rows, ``|a|^2 + |b|^2 - 2 a b``, which is fast, and tells
    who is near, but of rows that are the same finds distances of up to 1e-8 times their size.

    Examples
    --------
    >>> lengths(np.array([[3e9], [1.0]]), np.array([[3e9 + 1]]), np.array([[0, 1]])).tolist()
    [[1.0, 3000000000.0]]
    """
    found = np.empty(numbers.shape)
    with np.errstate(over="ignore"):  # as far as that is infinitely far
        for i, column in enumerate(numbers.T):
            gaps = asked - known[column]
            found[:, i] = np.sqrt(np.einsum("ml,ml->m", gaps, gaps))
    return found


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
    return float(np.mean(by_neighbours(train, train_y, test, k).usual == test_y))


def knn_balanced(train: Codes, train_y: Labels, test: Codes, test_y: Labels, k: int = NEIGHBOURS) -> float:
    """The same as balanced accuracy, each vote counting the less, the commoner its class is among the training rows."""
    if not _usable(train, test):
        return math.nan
    return balanced_accuracy(by_neighbours(train, train_y, test, k).fair, test_y)


def by_neighbours(train: Codes, train_y: Labels, test: Codes, k: int = NEIGHBOURS) -> Answers:
    """What the votes of the k nearest training rows say of finite test rows."""
    _, numbers = nearest(train, test, k)
    classes, coded = np.unique(train_y, return_inverse=True)
    cells = np.arange(len(test))[:, None] * len(classes) + coded[numbers]
    # One vote each; the halves, quarters, … never outvote a vote, and break ties in favour of the nearest row.
    weights = np.broadcast_to(1 + 0.5 ** (1 + np.arange(numbers.shape[1])), numbers.shape)
    votes = np.bincount(cells.ravel(), weights.ravel(), len(test) * len(classes)).reshape(len(test), -1)
    return answers(classes, votes, train_y)


def probe_accuracy(train: Codes, train_y: Labels, test: Codes, test_y: Labels) -> float:
    """Share of test rows that a linear classifier gets right (Alain and Bengio 2016).

    Multinomial logistic regression with C = 1 (L2), on codes standardised by their training rows; an element whose
    spread is below a millionth of the widest one's counts as constant. ``train`` (n, L), ``test`` (m, L), labels (n,)
    and (m,) -> share, or NaN if something is not finite or empty.
    """
    if not _usable(train, test):
        return math.nan
    return float(np.mean(by_probe(train, train_y, test).usual == test_y))


def probe_balanced(train: Codes, train_y: Labels, test: Codes, test_y: Labels) -> float:
    """Balanced accuracy of the same classifier, its chances divided by the shares of the classes in training.

    Where classes are unequal, an accuracy is mostly that of naming the commonest; here each class counts the same.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = (np.arange(400) % 30 == 0).astype(int)
    >>> noise = rng.normal(size=(400, 2))
    >>> probe_accuracy(noise[:200], y[:200], noise[200:], y[200:]) > 0.95
    True
    >>> 0.2 < probe_balanced(noise[:200], y[:200], noise[200:], y[200:]) < 0.8
    True
    """
    if not _usable(train, test):
        return math.nan
    return balanced_accuracy(by_probe(train, train_y, test).fair, test_y)


def by_probe(train: Codes, train_y: Labels, test: Codes) -> Answers:
    """What a linear classifier says of finite test rows, see :func:`probe_accuracy`."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(train_y)) < 2:
        return Answers(*[np.full(len(test), train_y[0])] * 2)
    wide = _wide(train)
    centre, spread = wide.mean(axis=0), wide.std(axis=0)
    moving = spread > 1e-6 * spread.max()
    scale = np.where(moving, spread, 1.0)
    seen, asked = ((z - centre) * moving / scale for z in (wide, _wide(test)))
    with many_classes():
        model = LogisticRegression(C=STRENGTH, max_iter=10_000).fit(seen, train_y)
    return answers(model.classes_, model.predict_proba(asked), train_y)


def commonest_class(train_y: Labels, test_y: Labels) -> float:
    """Balanced accuracy of naming the commonest class of the training rows always: one in as many as there are classes.

    Labels (n,) and (m,) -> share, or NaN if there are none. Of classes equally common the lowest counts.

    Examples
    --------
    >>> commonest_class(np.array([0, 1, 1]), np.array([1, 1, 0, 1]))
    0.5
    """
    if not (len(train_y) and len(test_y)):
        return math.nan
    classes, counts = np.unique(train_y, return_counts=True)
    return balanced_accuracy(np.full(len(test_y), classes[counts.argmax()]), test_y)


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
        "probe_balanced",
        probe_balanced,
        True,
        "share of rows, mean over classes",
        Said("balanced probe accuracy", "线性探针均衡准确率"),
        0.01,
        "Alain and Bengio 2016; Brodersen, Ong, Stephan and Buhmann 2010",
        bounds=SHARE,
    ),
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
        "share of rows, mean over classes",
        Said("balanced accuracy of naming the commonest class", "总猜最多的一类的均衡准确率"),
        0.01,
        "Witten and Frank 2005, the rule ZeroR",
        version=2,
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
