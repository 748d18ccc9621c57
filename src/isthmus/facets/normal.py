"""The view ``normal``: splits in which nobody trains on anomalies, and which of these a replicate tests."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed

PARTS = 3
"""Of the anomalies, one of which a replicate tests in its turn: as many as there are replicates at least in a claim."""


class View(NamedTuple):
    """Row numbers of an anomaly replicate."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    label: NDArray[np.int64]
    """Of the test rows, (n,): 1 for an anomaly, 0 for a normal row."""


def normal_view(
    split: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    y: NDArray[np.int64],
    anomaly: int,
    share: float = 0.0,
    seed: int = 0,
    tested: NDArray[np.int64] | None = None,
) -> View:
    """A split in which nobody trains on anomalies: they leave the training and validation rows.

    With a share, some of those that are not tested stay in training (never in validation).

    Parameters
    ----------
    split : (train, valid, test)
        Row numbers.
    y : array (N,)
        Class codes of all rows.
    anomaly : int
        The class that plays the anomaly: labelled as such, or left out in this replicate.
    share : float, default 0
        Anomalies per training row, below 1; at least one stays if it is not 0.
    seed : int, default 0
        Says which stay.
    tested : array (m,), optional
        Row numbers of the anomalies that are tested (:func:`turn`). By default those that the split put among the test
        rows; then those that may stay in training are those that it put there.

    Raises
    ------
    BadInput
        If no anomaly or no normal row is left where one is needed, or if there are too few to make up the share.

    Examples
    --------
    >>> view = normal_view((np.array([0, 1]), np.array([2]), np.array([3, 4])), np.array([0, 1, 0, 0, 1]), 1)
    >>> view.train.tolist(), view.test.tolist(), view.label.tolist()
    ([0], [3, 4], [0, 1])
    """
    train, valid, test = split
    odd = train[y[train] == anomaly]
    if tested is not None:
        odd = np.setdiff1d(np.flatnonzero(y == anomaly), tested)
        test = np.sort(np.append(test[y[test] != anomaly], tested))
    label = (y[test] == anomaly).astype(np.int64)
    kept = _kept(odd, int((y[train] != anomaly).sum()), share, seed)
    view = View(np.sort(np.append(train[y[train] != anomaly], kept)), valid[y[valid] != anomaly], test, label)
    counts = {
        "normal training": len(view.train) - len(kept),
        "normal validation": len(view.valid),
        "normal test": int((label == 0).sum()),
        "anomalous test": int(label.sum()),
    }
    for kind, count in counts.items():
        if not count:
            raise BadInput(
                f"the facet anomaly needs {kind} rows; got none with class {anomaly} as the anomaly "
                f"({int((y == anomaly).sum())} of {len(y)} rows): give more rows of it or leave the facet out"
            )
    return view


def turn(odd: NDArray[np.int64], replicate: int, seed: int) -> NDArray[np.int64]:
    """The anomalies that a replicate tests, as many as make up a third of them: (M,) row numbers -> about (M / 3,).

    Nobody trains on anomalies, so all can be tested, and three replicates in a row test each of them once: the mean of
    their scores is as sure as if every replicate had tested all, and what differs between them shows how sure that is.

    Parameters
    ----------
    odd : array (M,)
        Row numbers of all anomalies.
    replicate : int
    seed : int
        The same in all replicates of a study.

    Examples
    --------
    >>> parts = [turn(np.arange(7), replicate, seed=0) for replicate in range(3)]
    >>> [len(part) for part in parts], sorted(np.concatenate(parts).tolist())
    ([3, 2, 2], [0, 1, 2, 3, 4, 5, 6])
    """
    order = np.random.default_rng(hashed(seed, "anomalies", replicate // PARTS)).permutation(odd)
    parts = min(PARTS, max(1, len(odd)))  # of one or two anomalies there is one for everybody
    return np.sort(order[replicate % PARTS % parts :: parts])


def overlap(replicates: int) -> float:
    """How much anomalies that replicates share add to the variance of a mean, as test rows per training row do.

    Two replicates of one round of :data:`PARTS` share no anomaly, two of different rounds a third of them on average,
    which is the correlation of what the draw of anomalies makes of their scores. With a mean correlation ``rho`` of
    pairs, the variance of a mean over R replicates is ``1 / R + rho / (1 - rho)`` times the sample variance (Nadeau and
    Bengio 2003).

    Examples
    --------
    >>> [round(overlap(replicates), 3) for replicates in (3, 5, 9, 100)]
    [0.0, 0.25, 0.333, 0.485]
    """
    pairs = replicates * (replicates - 1) / 2
    rounds, rest = divmod(replicates, PARTS)
    within = rounds * PARTS * (PARTS - 1) / 2 + rest * (rest - 1) / 2
    rho = (pairs - within) / pairs / PARTS if pairs else 0.0
    return rho / (1 - rho)


def _kept(odd: NDArray[np.int64], usual: int, share: float, seed: int) -> NDArray[np.int64]:
    """Numbers of the anomalies that stay in training, beside so many normal rows."""
    wanted = max(1, round(share / (1 - share) * usual)) if share else 0
    if wanted > len(odd):
        raise BadInput(
            f"contamination {share:g} needs {wanted} anomalies beside {usual} normal training rows; there are "
            f"{len(odd)}: ask for at most {len(odd) / (len(odd) + usual):.2g}"
        )
    return np.random.default_rng(seed).permutation(odd)[:wanted]
