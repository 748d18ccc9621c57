"""Any family as a scikit-learn transformer: rows to codes and back, in pipelines, grid searches and frames."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from isthmus.errors import BadInput
from isthmus.estimator.network import CLOSED, NUMBERS, FitRows, Network, beside, in_order, told, weights
from isthmus.imputer import Imputer
from isthmus.model import Recipe
from isthmus.sampler import Sampler
from isthmus.ship.deployed import Deployed
from isthmus.train.fitted import Fitted
from isthmus.train.further import further

STILL = 1e-12
"""Squared distance per element, in scaled units, below which no row differs from the training mean."""


def _by_steps(self: Autoencoder) -> bool:
    """Whether the family is trained step by step, so that there is something to go on with."""
    return (self.recipe.family if isinstance(self.recipe, Recipe) else self.recipe) not in CLOSED


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Network):
    """An autoencoder as a scikit-learn transformer: ``transform`` gives the code, ``inverse_transform`` the data.

    Parameters
    ----------
    recipe : str or Recipe, default "plain"
        A family's name, or a recipe with its hyper-parameters. They are reachable as ``recipe__strength``, also when
        a name was given.
    latents : int, optional
        Width of the code; None leaves it to the recipe.
    steps, batch, learning_rate, schedule, warmup, clip, weight_decay, check, patience, tolerance, factor, drops,
    stages, precision
        How to train: the fields of :class:`isthmus.train.plan.Plan`, with its defaults.
    scale : {"auto", "standard", "unit", "none"}, default "auto"
        Scaling of the columns, fitted on the training rows and undone by ``inverse_transform``.
    shape : tuple of int, optional
        What the columns of a row are put in the shape of, such as ``(28, 28)`` for a convolutional network behind a
        scaler that wants flat rows. Rows (n, *shape) may be given as they are, and come back so from
        ``inverse_transform``; to the rest of scikit-learn they are their columns.
    images : bool, optional
        Whether rows of two axes (three, with channels last) are pictures, whose elements share one scale; by default
        where it is plausible, and a warning says where it is not. Columns of a table are not looked at, as a study
        does: here they may come from other steps of a pipeline.
    validation : float, default 0.2
        Share of the rows that early stopping looks at and training does not.
    device : {"cpu", "cuda", "mps", "auto"}, default "cpu"
        Where training computes. New rows are answered by the processor.
    dtype : {"float64", "float32"}, default "float64"
        In what numbers new rows are answered. In float32, twice as fast, the answer to a row hangs in its last
        digits on the rows beside it.
    random_state : int, RandomState or None, default None
        Fixes the validation rows, the initial weights, the order of the rows and all noise. torch's global random
        state, thread count and default dtype are left alone.
    verbose : int, default 0
        1 prints a line at every check.

    Attributes
    ----------
    fitted_ : Fitted
        Model, recipe, scaler, plan and outcome.
    deployed_ : Deployed
        What ships of it, with the score that studies use; what :func:`isthmus.save` takes.
    mean_ : ndarray of shape (n_features_in_,)
        Mean of the rows given to ``fit``: the reconstruction that ``score`` counts as zero. Of columns of several
        kinds, that of the elements that the network takes.
    n_iter_ : int
        Optimiser steps taken; 0 for a family in closed form.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Notes
    -----
    A frame with columns of texts, dates or flags, or with gaps, is taken as it is: see ``docs/data.md``.

    Codes and reconstructions have the dtype of their input. Training is in float32; rows are answered in float64, so
    that a row's code does not depend on the rows beside it beyond 1e-15.

    What is learnt depends on the rows and not on their order. A row of weight 2 counts as if it stood there twice.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> codes = Autoencoder("pca", latents=2, random_state=0).fit_transform(X)
    >>> codes.shape
    (150, 2)
    """

    _seen: int = 0

    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train on the rows of ``X`` (n, n_features); ``y`` is ignored.

        Parameters
        ----------
        X : array or frame (n, n_features)
        y : ignored
        sample_weight : array (n,), optional
            How often each row counts. Small whole numbers are counts; of others a draw in proportion is trained on.

        Raises
        ------
        BadInput
            A ``ValueError``: if a parameter makes no sense, or ``X`` cannot be used as given.
        """
        rows = self._rows(X, sample_weight)
        train, valid, number = self._split(len(rows.x))
        return self._fitted(self._train(rows, train, valid, number), rows, (train, valid))

    @available_if(_by_steps)
    def partial_fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Go on training with the rows of ``X`` (n, n_features), at most ``steps`` steps; the first call is a ``fit``.

        Scaling and kinds of columns stay those of the first call; give it rows of all kinds. A share of the new rows,
        ``validation``, says when to stop, and the weights are kept that do best on them, be it those of before. Not for
        families in closed form, which have no steps to go on with.
        """
        if "fitted_" not in vars(self):
            return self.fit(X, y, sample_weight)
        rows = self._more(X, sample_weight)
        train, valid, number = self._split(len(rows.x))
        before, laid = self.fitted_, self.deployed_.layout.apply(rows.x)
        made = further(before, laid[train], laid[valid], self._plan(), seed=number, device=self.device)
        told(made.outcome, made.plan, stacklevel=2)
        seen = self._seen
        mean = self.mean_
        self._fitted(made, rows, (train, valid))
        self.mean_ = (seen * mean + len(rows.x) * self.mean_) / (seen + len(rows.x))
        self._seen, self.n_iter_ = seen + len(rows.x), before.outcome.steps + made.outcome.steps
        return self

    def _fitted(self, fitted: Fitted, rows: FitRows, parts: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Self:
        """What is known after training, whatever was trained on."""
        train, valid = (rows.x[part] for part in parts)
        self.fitted_ = fitted
        self.deployed_ = Deployed.of(fitted, train, valid)
        self.deployed_ = self.deployed_.reaching(valid) if self.deployed_.fields else self.deployed_
        self._answers = self.answering(self.deployed_)
        self.n_iter_, self._n_features_out = fitted.outcome.steps, fitted.model.latents
        flat_rows = self.deployed_.layout.apply(rows.x) if self._laid else rows.x
        self.mean_ = flat_rows.mean(axis=0, dtype=np.float64).ravel()
        self._seen = len(rows.x)
        return self

    @property
    def _laid(self) -> bool:
        """Whether the mean of the training rows is told as they are laid out."""
        return self._like is not None or self._counts

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """The codes of rows: (n, n_features) -> (n, latents)."""
        rows = self._asked(X)
        return self._answers.encode(rows).astype(_kind(rows), copy=False)

    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """The rows that codes stand for, in the units of the data: (n, latents) -> (n, n_features).

        A frame of the kind that was given to ``fit``, where its columns are of several kinds or have gaps.
        """
        check_is_fitted(self)
        Z = np.asarray(check_array(X, dtype=NUMBERS))
        if Z.shape[1] != self._n_features_out:
            raise BadInput(f"X has {Z.shape[1]} columns, but the code of this autoencoder has {self._n_features_out}")
        made = self._answers.decode(Z)
        if self._like is not None:
            return self._answers.frame(made, self._like)
        most = np.finfo(Z.dtype).max
        return np.clip(made, -most, most).astype(Z.dtype, copy=False).reshape(-1, *self._axes)

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """How like the training rows each row is, (n,): minus the score that studies give (:mod:`isthmus.scorer`).

        Higher is more normal, as in scikit-learn's outlier detectors.
        """
        rows = self._asked(X)
        return -self._answers.scores(rows)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Explained variance about the training mean, in scaled units: 1 is perfect, 0 is as good as the mean.

        If no row differs from the training mean, a perfect reconstruction scores 1 and any other 0.
        """
        asked, one = self._asked(X), self._answers
        rows = one.scaled(asked)
        made = one.compared(rows, one.decode_scaled(one.encode_scaled(rows)))
        mean = self.mean_ if self._laid else one.layout.apply(self.mean_.reshape(1, *self._shape))[0]
        means = one.compared(rows, np.broadcast_to(mean.astype(np.float32), rows.shape))
        error, spread = (float(np.square(rows - other, dtype=np.float64).sum()) for other in (made, means))
        if spread <= STILL * rows.size:
            return float(error <= STILL * rows.size)
        return 1 - error / spread

    def sample(self, n_samples: int = 1, *, like: Any = None, random_state: Any = None) -> Any:
        """New rows, (n_samples, n_features), in the units of the data; a frame where a frame was given to ``fit``.

        Parameters
        ----------
        n_samples : int, default 1
        like : array or frame (n, n_features), optional
            Rows to whose codes a mixture of normal distributions is fitted, and drawn from. Without them codes come
            from the family's prior.
        random_state : int, RandomState or None, default None

        Raises
        ------
        BadInput
            If the family has no prior and no rows are given.
        """
        rows = None if like is None else self._asked(like)
        check_is_fitted(self)
        number, one = int(check_random_state(random_state).randint(2**31 - 1)), self.deployed_
        if rows is None and one.prior(1, 0) is None:
            raise BadInput(f"{one.recipe.family} has no prior to draw from: give rows to be like (like=)")
        drawer = Sampler.fit(one, rows, kind="prior" if rows is None else "mixture", seed=number)
        made = drawer.draw(int(n_samples), number)
        return one.frame(made, self._like) if self._like is not None else made.reshape(-1, *self._axes)

    def impute(self, X: Any, *, interval: float | None = None, against: Any = None) -> Any:
        """A frame with its gaps filled in by what the model makes of the rest of each row; all else as it is.

        Only where ``fit`` saw a frame with gaps, or with columns of several kinds.

        Parameters
        ----------
        X : frame (n, n_features)
        interval : float, optional
            Also say what may stand in each gap, so that the truth is among it with this probability, such as 0.9: see
            :class:`isthmus.imputer.Imputer`.
        against : frame (m, n_features), optional
            Rows that the model was not trained on, by which intervals are calibrated; by default the rows that ``fit``
            kept for validation.

        Returns
        -------
        frame, or Imputed
            With ``interval`` the frame (``rows``), the ends of intervals (``low`` and ``high``, arrays (n, F), NaN
            elsewhere) and the values that a category may have (``among``, an array of tuples).

        Examples
        --------
        >>> import warnings
        >>> import pandas as pd
        >>> a = np.random.default_rng(0).normal(size=(2, 600))
        >>> frame = pd.DataFrame({"size": a[0], "wage": a[0] + 0.1 * a[1]})
        >>> frame.loc[:49, "wage"] = None
        >>> with warnings.catch_warnings(action="ignore"):  # what is inferred of the frame
        ...     one = Autoencoder("masked", latents=2, steps=300, random_state=0).fit(frame)
        >>> found = one.impute(frame, interval=0.9)
        >>> bool((found.high[:50, 1] > found.low[:50, 1]).all()), bool(np.isnan(found.low[50:]).all())
        (True, True)
        """
        check_is_fitted(self)
        if interval is None:
            return self._answers.impute(X)
        known = self._answers.reach or {}
        reach = known if against is None else Imputer.of(self._answers, against, X).reach
        return Imputer(self._answers, reach).fill(X, interval)

    def _more(self, X: Any, sample_weight: ArrayLike | None) -> FitRows:
        """The rows of a further fit."""
        x, one = self.given(X), self.fitted_
        sample_weight = beside(X, sample_weight, "weights")
        if len(x) < 2:
            raise BadInput(f"partial_fit needs two rows or more, one of them to say when to stop; got {len(x)}")
        if self._counts:
            raise BadInput("partial_fit is not for counts; fit on all rows")
        return FitRows(x[in_order(x, weights(sample_weight, x))], one.fields, one.columns)


def _kind(rows: Any) -> Any:
    """The dtype of an answer: that of rows of numbers, float32 of a frame of several kinds."""
    return rows.dtype if isinstance(rows, np.ndarray) else np.float32
