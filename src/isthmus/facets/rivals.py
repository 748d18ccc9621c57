"""Rivals that need more than a line: what serves an autoencoder's purpose in closed or convex form.

No rival may take longer than all else. What iterates is bounded by its work, counted in multiplications and never by a
clock, so that the same rows give the same numbers everywhere: :data:`WORK`. Whoever was bounded says so.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput
from isthmus.facets.facet import Splits
from isthmus.facets.kin import Kin, Step
from isthmus.facets.lasso import codes, dictionary
from isthmus.facets.once import once
from isthmus.rivals.denoising import MarginalisedDenoising
from isthmus.rivals.rival import Network
from isthmus.sampler import Axes, density, drawn
from isthmus.seeds import seed as hashed

Array = NDArray[np.float32]

PENALTIES = (0.03, 0.1, 0.3)
"""Of sparse coding, in scaled units: what a unit of L1 norm costs against half a squared error. That which rebuilds
validation rows best is taken."""
NOISES = (0.1, 0.3, 0.5, 0.7)
"""Of marginalised denoising: the probability that an element is set to zero. A facet chooses on validation rows."""
COMPONENTS = (1, 2, 5, 10, 20)
"""Of the Gaussian mixture; as many are taken as make validation rows most likely."""
COVARIANCE_FLOOR = 0.01
"""What the mixture adds to each variance, as a share of the mean variance of a column."""
WIDEST = 64
"""Columns up to which the mixture has full covariances; wider rows keep this many principal axes, and a noise."""


WORK = 2e10
"""Multiplications that sparse coding may take: seconds of one core. First it gets fewer sweeps for each row,
then fewer training rows, then fewer atoms."""
WORK_OF_PRODUCTS = 2e11
"""The same of independent components, whose multiplications are matrix products: first fewer rounds, then fewer
components."""
SWEEPS, LEAST_SWEEPS = 1000, 50
"""Passes over all atoms, at most, by which the code of a row is found."""
EPOCHS, LEAST_ROWS = 8, 256
"""Passes over the training rows of a dictionary, and how few of these there may be."""
ROUNDS, LEAST_ROUNDS = 200, 50
"""Of independent components."""


PAIRS, PRODUCTS = 4e9, 2e11
"""Distances that kNN may take, and multiplications in them: tens of seconds of one core. Of more, a seeded draw of
training rows stands for all."""
SPLITS = 1e9
"""Places at which iterated trees may look for a split of a row: some ten seconds of one core. Of more, they grow on
fewer training rows."""
PASSES, TREES, LEAST_GROWN = 2, 25, 200
"""Rounds over all columns, trees of each, and how few these rows may be."""
LEAST_KNOWN = 1000
"""How few these may be."""
SOLVED = 4096
"""Columns up to which marginalised denoising is solved: the work grows with their cube, the memory with their square.
Of wider rows it is not asked."""


def known_bound(train: int, test: int, width: int) -> int:
    """Training rows among which kNN looks for the neighbours of so many test rows.

    Examples
    --------
    >>> known_bound(12_000, 4000, 784), known_bound(340_498, 113_500, 3)
    (12000, 35242)
    """
    return int(min(train, max(LEAST_KNOWN, min(PAIRS, PRODUCTS / max(1, width)) / max(1, test))))


def trees_bound(train: int, columns: int, elements: int) -> int:
    """Training rows on which iterated trees grow, for each of so many columns of laid out rows of so many elements.

    Examples
    --------
    >>> trees_bound(5000, 14, 113), trees_bound(5000, 256, 256)
    (5000, 305)
    """
    return int(min(train, max(LEAST_GROWN, SPLITS / (columns * elements * PASSES * TREES))))


class Bound(NamedTuple):
    """How large a rival may be."""

    units: int
    """Atoms or components."""
    rounds: int
    """Sweeps for each row, or rounds over all rows."""
    rows: int
    """Training rows."""


def sparse_bound(train: int, valid: int, test: int, units: int) -> Bound:
    """What sparse coding may take of so many rows and atoms; a sweep of a row multiplies each atom with each.

    Examples
    --------
    >>> sparse_bound(1000, 300, 300, 16)
    Bound(units=16, rounds=1000, rows=1000)
    >>> sparse_bound(12000, 4000, 4000, 4096)
    Bound(units=191, rounds=50, rows=256)
    """

    def visits(rows: int) -> int:
        return len(PENALTIES) * (EPOCHS * rows + min(valid, rows)) + test

    rounds = int(np.clip(WORK / (visits(train) * units**2), LEAST_SWEEPS, SWEEPS))
    left = WORK / (rounds * units**2) - test - len(PENALTIES) * min(valid, train)
    rows = int(np.clip(left / (len(PENALTIES) * EPOCHS), min(train, LEAST_ROWS), train))
    return Bound(min(units, max(1, int((WORK / (rounds * visits(rows))) ** 0.5))), rounds, rows)


def components_bound(rows: int, units: int) -> Bound:
    """The same of independent components; a round multiplies all rows with all of them, and makes them orthogonal.

    Examples
    --------
    >>> components_bound(5000, 16), components_bound(5000, 4096).units
    (Bound(units=16, rounds=200, rows=5000), 514)
    """

    def work(count: int) -> float:
        return 2 * rows * count**2 + 10 * count**3

    rounds = int(np.clip(WORK_OF_PRODUCTS / work(units), LEAST_ROUNDS, ROUNDS))
    count = units
    while count > 1 and rounds * work(count) > WORK_OF_PRODUCTS:
        count -= 1
    return Bound(count, rounds, rows)


def work(name: str, train: int, valid: int, test: int, width: int, units: int) -> float | None:
    """Seconds that a rival takes at most, from its bound; None of those that have none and are soon done.

    Taken as five thousand million multiplications a second of sparse coding, and twice as many in matrix products.

    Examples
    --------
    >>> work("sparse coding", 12000, 4000, 4000, 784, 4096) <= WORK / 5e9
    True
    >>> work("knn", 100, 30, 30, 8, 4) is None
    True
    """
    if name == "sparse coding":
        one = sparse_bound(train, valid, test, units)
        visits = len(PENALTIES) * (EPOCHS * one.rows + min(valid, one.rows)) + test
        return one.rounds * one.units**2 * visits / 5e9
    if name == "independent components":
        one = components_bound(train, min(units, train, width))
        return one.rounds * (2 * train * one.units**2 + 10 * one.units**3) / 1e10
    return None


def bounded(name: str, splits: Splits) -> str:
    """How a rival was bounded on these rows, in a few words; "" if it was not, or never is."""
    train, valid, test = (len(rows.x) for rows in (splits.train, splits.valid, splits.test))
    if name == "sparse coding":
        bound, full = sparse_bound(train, valid, test, splits.latents), Bound(splits.latents, SWEEPS, train)
    elif name == "independent components":
        units = min(splits.latents, train, int(np.prod(splits.train.x.shape[1:])))
        bound, full = components_bound(train, units), Bound(units, ROUNDS, train)
    elif name == "knn":
        known = known_bound(train, test, int(np.prod(splits.train.x.shape[1:])))
        return f"bounded to {known:,} of {train:,} rows" if known < train else ""
    elif name == "marginalised denoising":
        width = int(np.prod(splits.train.x.shape[1:]))
        return f"not asked: {width:,} columns, solved up to {SOLVED:,}" if width > SOLVED else ""
    else:
        return ""
    cut = [f"{a:,} of {b:,} {what}" for a, b, what in zip(bound, full, Bound._fields, strict=True) if a < b]
    return f"bounded to {', '.join(cut)}" if cut else ""


class Sparse(NamedTuple):
    """Sparse coding of the test rows."""

    codes: Array
    """(n, L)."""
    rebuilt: Array
    """(n, *D), in scaled units."""
    penalty: float
    """The one that was taken."""


def sparse_coding(splits: Splits) -> Sparse:
    """A dictionary with as many atoms as codes have elements, learnt on the training rows; test rows in its terms.

    No encoder: the code of a row is the minimum of half the squared error plus a penalty times its L1 norm (Olshausen
    and Field 1997), found anew for each row. Learning (Mairal, Bach, Ponce and Sapiro 2009) is within
    :func:`sparse_bound`; validation rows are then no more than training rows.
    """
    sides = (splits.train, splits.valid, splits.test)
    train, valid, test = (rows.x.reshape(len(rows.x), -1).astype(np.float64) for rows in sides)
    mean = train.mean(axis=0)
    bound = sparse_bound(len(train), len(valid), len(test), splits.latents)
    order = np.random.default_rng(hashed(splits.seed, "sparse coding")).permutation(len(train))
    train = train[np.sort(order[: bound.rows])]
    valid = valid[: len(train)]
    found = []
    for penalty in PENALTIES:
        atoms = dictionary(
            train - mean,
            bound.units,
            penalty,
            batch=min(256, len(train)),
            epochs=EPOCHS,
            sweeps=bound.rounds,
            seed=splits.seed % 2**32,
        )
        rebuilt = codes(valid - mean, atoms, penalty, bound.rounds) @ atoms
        found.append((float(np.square(valid - mean - rebuilt).mean()), penalty, atoms))
    _, penalty, atoms = min(found, key=lambda one: one[0])
    z = codes(test - mean, atoms, penalty, bound.rounds)
    if splits.k is not None and np.count_nonzero(z) > splits.k * len(z):  # its atoms have unit norm
        sizes = np.abs(z)
        z[sizes < np.partition(sizes, -splits.k * len(z), axis=None)[-splits.k * len(z)]] = 0
    rebuilt = z @ atoms + mean
    return Sparse(z.astype(np.float32), rebuilt.astype(np.float32).reshape(splits.test.x.shape), penalty)


def sparse_kin(splits: Splits) -> Kin:
    """scikit-learn's dictionary learning, with the penalty that was taken and within the same bounds."""
    train, valid, test = (len(rows.x) for rows in (splits.train, splits.valid, splits.test))
    bound = sparse_bound(train, valid, test, splits.latents)
    penalty = sparsely_coded(splits).penalty
    learner: Step = (
        "sklearn.decomposition.MiniBatchDictionaryLearning",
        {
            "n_components": bound.units,
            "alpha": penalty,
            "fit_algorithm": "cd",
            "max_iter": EPOCHS,
            "batch_size": 256,
            "transform_algorithm": "lasso_cd",
            "transform_alpha": penalty,
            "transform_max_iter": bound.rounds,
            "random_state": splits.seed % 2**32,
        },
    )
    return Kin("code", (*_centred(splits), learner))


def components_kin(splits: Splits) -> Kin:
    """scikit-learn's FastICA, within the same bounds."""
    few = min(splits.latents, len(splits.train.x), int(np.prod(splits.train.x.shape[1:])))
    bound = components_bound(len(splits.train.x), few)
    settings = {"n_components": bound.units, "max_iter": bound.rounds, "random_state": splits.seed % 2**32}
    return Kin.of("code", "sklearn.decomposition.FastICA", **settings)


def _centred(splits: Splits) -> tuple[Step, ...]:
    """What takes the mean from rows that are not standardised."""
    standard = splits.layout is not None and splits.layout.kind == "standard"
    return () if standard else (("sklearn.preprocessing.StandardScaler", {"with_std": False}),)


sparsely_coded = once(sparse_coding)
"""The same, found once for all facets that ask it of the same splits."""


def gaussian_mixture(splits: Splits, n: int) -> Array:
    """``n`` rows drawn from a mixture of normal distributions fitted to the training rows, (n, *D), in scaled units.

    Of rows with more than ``WIDEST`` columns the mixture describes the first principal axes, and one variance what they
    leave, as in probabilistic PCA (Tipping and Bishop 1999).
    """
    seed = hashed(splits.seed, "gaussian mixture")
    mixture, axes = mixture_on(splits)
    made = axes.up(drawn(mixture, n, seed), seed)
    return made.astype(np.float32).reshape(n, *splits.train.x.shape[1:])


def mixture_on(splits: Splits) -> tuple[Any, Axes]:
    """That mixture, of as many components as make validation rows most likely, and the axes that it describes."""
    seed = hashed(splits.seed, "gaussian mixture")
    train, valid = (rows.x.reshape(len(rows.x), -1).astype(np.float64) for rows in (splits.train, splits.valid))
    axes = Axes.of(train, WIDEST)
    tried = [density(axes.down(train), count, seed, COVARIANCE_FLOOR) for count in COMPONENTS]
    return max(tried, key=lambda mixture: mixture.score(axes.down(valid))), axes


def independent_components(splits: Splits) -> tuple[Array, Array]:
    """Codes of the training and test rows: FastICA (Hyvarinen and Oja 2000), as many components as codes have elements.

    Fewer where the training rows have fewer directions, or as :func:`components_bound` says. Fitted on training rows.
    """
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    train, test = (rows.x.reshape(len(rows.x), -1).astype(np.float64) for rows in (splits.train, splits.test))
    mean = train.mean(axis=0)
    _, sizes, axes = np.linalg.svd(train - mean, full_matrices=False)
    count = min(splits.latents, int((sizes > max(train.shape) * np.finfo(np.float32).eps * sizes[0]).sum()))
    if not count:
        return np.zeros((len(train), 1), np.float32), np.zeros((len(test), 1), np.float32)
    bound = components_bound(len(train), count)
    count = bound.units
    white = axes[:count].T / sizes[:count] * np.sqrt(len(train))
    learner = FastICA(whiten=False, max_iter=bound.rounds, random_state=splits.seed % 2**32)
    with warnings.catch_warnings():  # components that turn on are as good as any
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner.fit((train - mean) @ white)
    codes = (learner.transform((x - mean) @ white) for x in (train, test))
    first, second = (z.astype(np.float32) for z in codes)
    return first, second


@dataclass(frozen=True)
class Denoising:
    """Features of marginalised denoising."""

    weight: NDArray[np.float64]
    """(D, D + 1): :func:`denoiser`."""

    def __call__(self, x: Array) -> Array:
        """Rows (n, *D) -> features (n, D)."""
        return np.tanh(_with_one(x.reshape(len(x), -1)) @ self.weight.T).astype(np.float32)


def marginalised_denoising(train: Array, hidden: float) -> Denoising:
    """An encoder, rows (n, *D) -> features tanh(W x), (n, D); W undoes zeroed elements best on average over all ways.

    W = E[x x~'] E[x~ x~']^-1 in closed form, with a constant element that is never zeroed (Chen, Xu, Weinberger and Sha
    2012, Marginalized denoising autoencoders for domain adaptation, ICML; one layer). As many features as columns.

    Parameters
    ----------
    train : array (n, *D)
        W is of these rows.
    hidden : float
        The probability that an element is zeroed.
    """
    return Denoising(denoiser(train.reshape(len(train), -1), hidden))


def denoiser(train: Array, hidden: float, added: float = 0.0) -> NDArray[np.float64]:
    """W of :func:`marginalised_denoising`, (D, D + 1): the last column goes with the constant.

    Parameters
    ----------
    train : array (n, D)
    hidden : float
        The probability that an element is zeroed.
    added : float, default 0
        Standard deviation of Gaussian noise that W undoes besides (a Wiener filter, if nothing is zeroed).
    """
    x = _with_one(train)
    scatter = x.T @ x
    kept = np.append(np.full(train.shape[1], 1 - hidden), 1.0)  # the probability that an element is there
    both = scatter * np.outer(kept, kept)
    np.fill_diagonal(both, kept * np.diag(scatter) + len(x) * np.append(np.full(train.shape[1], added**2), 0.0))
    cross = scatter[:-1] * kept
    ridge = 1e-5 * max(float(np.trace(both)) / len(both), np.finfo(np.float64).tiny)
    return np.linalg.solve(both + ridge * np.eye(len(both)), cross.T).T


def undoing(splits: Splits, weight: Callable[[Splits], NDArray[np.float64]]) -> Network:
    """Marginalised denoising as a network that ships, with such a W of the training rows."""
    if (width := math.prod(splits.train.x.shape[1:])) > SOLVED:
        raise BadInput(f"marginalised denoising is solved for up to {SOLVED:,} columns, and there are {width:,}")
    return Network(MarginalisedDenoising(), {"weight": weight(splits)})


def _with_one(x: Array) -> NDArray[np.float64]:
    return np.append(x.astype(np.float64), np.ones((len(x), 1)), axis=1)
