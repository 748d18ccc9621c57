"""A support vector machine on log-count ratios, as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data

from isthmus.errors import BadInput
from isthmus.facets import texts


class NBSVM(ClassifierMixin, BaseEstimator):
    """Naive Bayes and a support vector machine in one (Wang and Manning 2012), on counts of terms.

    What ``isthmus take`` writes of the rival ``nbsvm``. Of several classes each is told from the others.

    Parameters
    ----------
    C : float, default 1
        The cost of the support vector machine.
    beta : float, default 0.25
        From 0, naive Bayes with weights of one size, to 1, the machine alone.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    References
    ----------
    Wang and Manning (2012), Baselines and bigrams: simple, good sentiment and topic classification, ACL.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> texts = ["a good film", "good fun", "a bad film", "so bad"]
    >>> model = make_pipeline(CountVectorizer(ngram_range=(1, 2)), NBSVM()).fit(texts, ["+", "+", "-", "-"])
    >>> model.predict(["good", "bad fun"]).tolist()
    ['+', '-']
    """

    def __init__(self, *, C: float = 1.0, beta: float = 0.25) -> None:
        self.C = C
        self.beta = beta

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Learn from counts of terms and labels.

        Parameters
        ----------
        X : array or sparse matrix (n, T)
            Whether a term stands in a row is all that is used.
        y : array (n,)
            At least two classes.

        Raises
        ------
        BadInput
            If ``beta`` is not between 0 and 1, or there is one class.
        """
        if not 0 <= self.beta <= 1:
            raise BadInput(f"beta must lie between 0 and 1; got {self.beta!r}")
        counts, labels = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        check_non_negative(counts, "NBSVM")
        check_classification_targets(labels)
        self.classes_, number = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise BadInput(f"NBSVM tells classes apart, and there is 1 class: {self.classes_[0]!r}")
        self._machines = texts.nbsvm(csr_matrix(counts), number, self.C)
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """How much speaks for each class, (n, K), or of two for the second, (n,)."""
        check_is_fitted(self)
        counts = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        found = self._machines.scores(csr_matrix(counts), self.beta)
        return found if len(self.classes_) > 2 else found[:, 1]

    def predict(self, X: Any) -> NDArray[Any]:
        """The class for which most speaks, (n,)."""
        found = self.decision_function(X)
        number = found.argmax(axis=1) if found.ndim > 1 else (found > 0).astype(int)
        named: NDArray[Any] = self.classes_[number]
        return named

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.positive_only = True
        tags.classifier_tags.poor_score = True  # of numbers that no zero tells apart, as BernoulliNB of scikit-learn
        return tags
