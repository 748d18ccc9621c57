"""An autoencoder of all rows under the labels of some, as a scikit-learn classifier."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from isthmus.data.labels import arrow
from isthmus.errors import BadInput
from isthmus.estimator.network import NUMBERS, beside, flat, in_order, plain, told
from isthmus.estimator.transformer import Autoencoder
from isthmus.train.finetune import Finetuned, finetune
from isthmus.train.given import mixed


class AutoencoderClassifier(ClassifierMixin, BaseEstimator):
    """An autoencoder trained on all rows, then fine-tuned on the labelled ones, as a scikit-learn classifier.

    Rows whose label is -1 (where labels are numbers) have none, as in scikit-learn's semi-supervised estimators: the
    autoencoder learns from them, the labels are learnt from the others. Beside one other label only, -1 is a label too.

    Parameters
    ----------
    autoencoder : Autoencoder, optional
        What is trained on all rows first, by default ``Autoencoder()``; reachable as ``autoencoder__latents``. Its
        plan serves for the fine-tuning too, but for steps, learning rate and stages.
    frozen : bool, optional
        Whether the encoder stays as it is, and only the linear layer on its code learns from the labels; by default
        where no gradient reaches it through the family's code (``pca``, ``vq``, ``rvq``, ``lfq``).
    corrupt : bool, default False
        Whether rows are corrupted in the fine-tuning as the recipe says, as they are before.
    steps : int, default 2000
        Most optimiser steps of the fine-tuning.
    learning_rate : float, default 3e-3
        Of the fine-tuning.
    random_state : int, RandomState or None, default None
        Fixes the fine-tuning, and the autoencoder if that has none of its own.

    Attributes
    ----------
    autoencoder_ : Autoencoder
        As it was before the fine-tuning.
    finetuned_ : Finetuned
        The network with its labels.
    classes_ : ndarray of shape (K,)
        The labels.
    n_iter_ : int
        Optimiser steps of the fine-tuning.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> y[::2] = -1
    >>> model = AutoencoderClassifier(Autoencoder(latents=4, steps=200, schedule="cosine"), random_state=0)
    >>> model.fit(X, y).predict(X[:2])
    array([0, 0])
    """

    def __init__(
        self,
        autoencoder: Autoencoder | None = None,
        *,
        frozen: bool | None = None,
        corrupt: bool = False,
        steps: int = 2000,
        learning_rate: float = 3e-3,
        random_state: Any = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.frozen = frozen
        self.corrupt = corrupt
        self.steps = steps
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on the rows of ``X`` (n, n_features) and on those labels ``y`` (n,) that are not -1.

        Parameters
        ----------
        X : array or frame (n, n_features)
        y : array (n,)
            A pandas series is put in the order of the rows of a frame, by their index.
        sample_weight : array (n,), optional
            How often each row counts, in the autoencoder and under the labels.

        Raises
        ------
        BadInput
            A ``ValueError``: if a parameter makes no sense, or no row has a label.
        """
        y, sample_weight = beside(X, y, "labels"), beside(X, sample_weight, "weights")
        _all_there(y)
        if words := mixed(X):
            labels = np.asarray(column_or_1d(y, warn=True))
            check_consistent_length(X, labels)
        else:
            _, labels = validate_data(self, flat(X), y, dtype=NUMBERS, ensure_min_samples=2)
        check_classification_targets(labels)
        known = _known(labels)
        random = check_random_state(self.random_state)
        base = Autoencoder() if self.autoencoder is None else clone(self.autoencoder)
        seeds = [int(s) for s in random.randint(2**31 - 1, size=2)]
        if base.random_state is None:
            base.set_params(random_state=seeds[0])
        self.autoencoder_ = base.fit(X, sample_weight=sample_weight)
        if words:
            self.feature_names_in_, self.n_features_in_ = base.feature_names_in_, base.n_features_in_
        fitted, weight = base.fitted_, None if sample_weight is None else np.asarray(sample_weight, np.float64)
        known &= True if weight is None else weight > 0
        self.classes_, found = np.unique(labels[known], return_inverse=True)
        rows = base.given(X)[known]
        numbers = in_order(rows, None if weight is None else weight[known], beside=found)
        self.finetuned_: Finetuned = finetune(
            fitted,
            rows[numbers],
            found[numbers],
            classes=len(self.classes_),
            plan=dataclasses.replace(
                fitted.plan, steps=plain(self.steps), learning_rate=plain(self.learning_rate), stages="together"
            ),
            seed=seeds[1],
            frozen=self.frozen,
            corrupt=self.corrupt,
        )
        self._answers = base.answering(self.finetuned_.inference())
        self.n_iter_ = self.finetuned_.outcome.steps
        told(self.finetuned_.outcome, self.finetuned_.plan, "fine-tuning: ", stacklevel=3)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """The probability of each label: (n, n_features) -> (n, K), in the order of ``classes_``."""
        check_is_fitted(self)
        if not self.autoencoder_.deployed_.fields:
            validate_data(self, flat(X), dtype=NUMBERS, reset=False)
        rows = self.autoencoder_.given(X)
        return self._answers.reconstruct(rows).astype(rows.dtype, copy=False)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label of each row: (n, n_features) -> (n,)."""
        numbers = self.predict_proba(X).argmax(1)
        return self.classes_[numbers]

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The share of rows (n, n_features) whose label is predicted; labels and weights are ordered as in ``fit``."""
        return super().score(X, beside(X, y, "labels"), beside(X, sample_weight, "weights"))


def _all_there(y: Any) -> None:
    """Refuse labels of Python objects, of which some are missing or which are of several types."""
    if (
        y is None
        or np.asarray(y).dtype != object
        or (cells := arrow("y", column_or_1d(y) if np.ndim(y) > 1 else y)).null_count == 0
    ):
        return
    first = next(i for i, there in enumerate(cells.is_valid().to_pylist()) if not there)
    raise BadInput(
        f"y: row {first + 1}: the label is missing; {cells.null_count} of {len(cells)} rows have none; drop these "
        "rows, or give labels as whole numbers, -1 where there is none"
    )


def _known(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have a label: all but those of -1, unless that would leave a single label and nothing to tell."""
    known = np.asarray(labels != -1) if labels.dtype.kind in "iuf" else np.ones(len(labels), bool)
    if not known.any():
        raise BadInput("no row has a label: every y is -1")
    return known if len(np.unique(labels[known])) > 1 else np.ones(len(labels), bool)
