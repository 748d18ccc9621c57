"""Why a row is anomalous: which of its columns, or pixels, made its score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.errors import BadInput
from isthmus.model import Model
from isthmus.scorer import Placed, Scorer
from isthmus.train.inference import Inference

Array = NDArray[np.floating]


def explain(fitted: Inference, x: ArrayLike) -> NDArray[np.float64]:
    """What each element of a row adds to the row's score.

    Of a model that ships with a score (``load``, ``Autoencoder.deployed_``) that is the score of studies: by how much
    it rises as the row moves away along that element (:meth:`isthmus.scorer.Scorer.shares`). Of another model the score
    is the squared reconstruction error in scaled units, a sum over elements, so that every element's share of it is
    exact. It says where the model was surprised, not what caused the anomaly: one odd column can spoil the code and
    with it the reconstruction of others.

    Parameters
    ----------
    fitted : Inference
        Of ``fit``, ``load`` or ``Study.model``, or ``deployed_`` of an estimator.
    x : array (n, *D)
        Rows in the units of the data.

    Returns
    -------
    array (n, *D)
        Shares in -1 to 1, see :func:`shares`.

    Raises
    ------
    BadInput
        If the model does not score rows by how it rebuilds them, or rows have another shape.

    Examples
    --------
    >>> from isthmus.families import named
    >>> from isthmus.train.fitted import fit
    >>> height = np.random.default_rng(0).normal(size=(200, 1))
    >>> model = fit(named("pca").set_params(latents=1), np.hstack([height, 2 * height, -height]))
    >>> share = explain(model, [[1.0, 2.0, 5.0]])
    >>> int(share.argmax()), share.shape
    (2, (1, 3))
    """
    if not explains(fitted):
        raise BadInput(
            f"family {fitted.recipe.family} cannot be explained by columns: it does not score rows by how it rebuilds "
            "them; take a family that does (all but svdd, trained without a target)"
        )
    scaled = fitted.scaled(x)
    return shares_of(fitted, scaled, carried(fitted))


def carried(fitted: Inference) -> Scorer | None:
    """The score that ships with a model; None where the model's own score is all there is."""
    if not isinstance(fitted, Placed) or fitted.crowd is None or fitted.units is None:
        return None
    return Scorer(fitted, fitted.crowd, fitted.units)


def shares_of(fitted: Inference, scaled: NDArray[np.float32], scorer: Scorer | None = None) -> NDArray[np.float64]:
    """The same for rows that are laid out already, (n, *E) -> (n, *D): a column's share is that of all its elements.

    Its sign is that of the element with the largest share; a category has none, so that its share counts as above.
    """
    if scorer is not None and scorer.crowd is not None:
        found = scorer.shares(scaled)
    else:
        found = shares(scaled, fitted.compared(scaled, fitted.reconstruct_scaled(scaled)))
    if not fitted.layout.parts:
        return found
    each = [found[:, p.start : p.end] for p in fitted.layout.parts]
    size = np.column_stack([np.abs(part).sum(axis=1) for part in each])
    first = np.column_stack([part[:, 0] if part.shape[1] == 1 else np.ones(len(part)) for part in each])
    return np.where(first < 0, -size, size)


def explains(fitted: Inference) -> bool:
    """Whether the model's score is the error with which it rebuilds a row."""
    return type(fitted.model).score is Model.score and fitted.target_layout is None


def shares(x: Array, x_hat: Array) -> NDArray[np.float64]:
    """Each element's share of the squared error of its row, with the sign of what is there minus what was expected.

    Parameters
    ----------
    x, x_hat : arrays (n, *D)
        Rows, and what the model makes of them, in scaled units.

    Returns
    -------
    array (n, *D)
        Positive where the row is above what was expected. The sizes of a row sum to 1; all are 0 if it came back
        without an error, and NaN if it did not come back finite.

    Examples
    --------
    >>> shares(np.array([[3.0, 0.0, 1.0]]), np.array([[0.0, 0.0, 2.0]])).tolist()
    [[0.9, 0.0, -0.1]]
    """
    with np.errstate(all="ignore"):  # a diverged model: its shares are NaN
        gap = np.asarray(x, dtype=np.float64) - x_hat
        squares = np.square(gap).reshape(len(gap), -1)
        whole = squares.sum(axis=1, keepdims=True)
        found = squares / np.where(whole == 0, 1.0, whole) * np.where(np.isfinite(whole), 1.0, np.nan)
        return np.sign(gap) * found.reshape(gap.shape)


def leading(share: NDArray[np.floating], most: int = 3) -> NDArray[np.int64]:
    """Numbers of the elements with the largest shares of each row, largest first: (n, *D) -> (n, min(most, prod(D))).

    Examples
    --------
    >>> leading(np.array([[0.1, -0.7, 0.2]]), most=2).tolist()
    [[1, 2]]
    """
    sizes = np.abs(share).reshape(len(share), -1)
    return np.argsort(-sizes, axis=1, kind="stable")[:, :most]
