"""Rivals that need more than a line: what serves an autoencoder's purpose in closed or convex form."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Parts
from isthmus.metrics.frechet import principal
from isthmus.sampler import density, drawn
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


class Sparse(NamedTuple):
    """Sparse coding of the test rows."""

    codes: Array
    """(n, L)."""
    rebuilt: Array
    """(n, *D), in scaled units."""
    penalty: float
    """The one that was taken."""


def sparse_coding(parts: Parts) -> Sparse:
    """A dictionary with as many atoms as codes have elements, learnt on the training rows; test rows in its terms.

    No encoder: the code of a row is the minimum of half the squared error plus a penalty times its L1 norm (Olshausen
    and Field 1997), found anew for each row. Learning is scikit-learn's (Mairal, Bach, Ponce and Sapiro 2009).
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    sides = (parts.train, parts.valid, parts.test)
    train, valid, test = (rows.x.reshape(len(rows.x), -1).astype(np.float64) for rows in sides)
    mean = train.mean(axis=0)
    found: list[tuple[float, float, Any]] = []
    with warnings.catch_warnings():  # coordinates that have all but settled are settled enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        for penalty in PENALTIES:
            learner = MiniBatchDictionaryLearning(
                n_components=parts.latents,
                alpha=penalty,
                batch_size=min(256, len(train)),
                max_iter=8,
                fit_algorithm="cd",
                transform_algorithm="lasso_cd",
                transform_alpha=penalty,
                random_state=parts.seed % 2**32,
                n_jobs=1,
            ).fit(train - mean)
            rebuilt = learner.transform(valid - mean) @ learner.components_
            found.append((float(np.square(valid - mean - rebuilt).mean()), penalty, learner))
        _, penalty, best = min(found, key=lambda one: one[0])
        codes = best.transform(test - mean)
    rebuilt = codes @ best.components_ + mean
    return Sparse(codes.astype(np.float32), rebuilt.astype(np.float32).reshape(parts.test.x.shape), penalty)


def gaussian_mixture(parts: Parts, n: int) -> Array:
    """``n`` rows drawn from a mixture of normal distributions fitted to the training rows, (n, *D), in scaled units.

    Of rows with more than ``WIDEST`` columns the mixture describes the first principal axes, and one variance what they
    leave, as in probabilistic PCA (Tipping and Bishop 1999).
    """
    seed = hashed(parts.seed, "gaussian mixture")
    train, valid = (rows.x.reshape(len(rows.x), -1).astype(np.float64) for rows in (parts.train, parts.valid))
    width, mean = train.shape[1], train.mean(axis=0)
    axes = principal(train, WIDEST) if width > WIDEST else np.eye(width)
    codes, held = ((x - mean) @ axes for x in (train, valid))
    tried = [density(codes, count, seed, COVARIANCE_FLOOR) for count in COMPONENTS]
    made = drawn(max(tried, key=lambda mixture: mixture.score(held)), n, seed) @ axes.T + mean
    if width > WIDEST:
        left = np.square(train - mean).sum() - np.square(codes).sum()
        noise = np.random.default_rng(seed).normal(size=made.shape) * np.sqrt(left / len(train) / (width - WIDEST))
        made += noise - noise @ axes @ axes.T
    return made.astype(np.float32).reshape(n, *parts.train.x.shape[1:])


def independent_components(parts: Parts) -> tuple[Array, Array]:
    """Codes of the training and test rows: FastICA (Hyvarinen and Oja 2000), as many components as codes have elements.

    Fewer where the training rows have fewer directions. Fitted on the training rows.
    """
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    train, test = (rows.x.reshape(len(rows.x), -1).astype(np.float64) for rows in (parts.train, parts.test))
    mean = train.mean(axis=0)
    _, sizes, axes = np.linalg.svd(train - mean, full_matrices=False)
    count = min(parts.latents, int((sizes > max(train.shape) * np.finfo(np.float32).eps * sizes[0]).sum()))
    if not count:
        return np.zeros((len(train), 1), np.float32), np.zeros((len(test), 1), np.float32)
    white = axes[:count].T / sizes[:count] * np.sqrt(len(train))
    learner = FastICA(whiten=False, max_iter=200, random_state=parts.seed % 2**32)
    with warnings.catch_warnings():  # components that turn on are as good as any
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner.fit((train - mean) @ white)
    codes = (learner.transform((x - mean) @ white) for x in (train, test))
    first, second = (z.astype(np.float32) for z in codes)
    return first, second


def marginalised_denoising(train: Array, hidden: float) -> Callable[[Array], Array]:
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
    weight = denoiser(train.reshape(len(train), -1), hidden)
    return lambda x: np.tanh(_with_one(x.reshape(len(x), -1)) @ weight.T).astype(np.float32)


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


def _with_one(x: Array) -> NDArray[np.float64]:
    return np.append(x.astype(np.float64), np.ones((len(x), 1)), axis=1)
