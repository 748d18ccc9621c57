"""A detector as PyOD's (extra ``pyod``): high scores are odd, 1 is an outlier, and its combinations take it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_array, check_is_fitted

from isthmus.errors import BadEnvironment
from isthmus.estimator.detector import AnomalyDetector

try:
    from pyod.models.base import BaseDetector
except ImportError:  # an extra: who makes a detector is told what to install
    BaseDetector = None

Base: Any = object if BaseDetector is None else BaseDetector


class PyODDetector(Base):
    """An :class:`isthmus.AnomalyDetector` that follows the conventions of PyOD (Zhao, Nasrullah and Li 2019, JMLR 20).

    Parameters
    ----------
    detector : AnomalyDetector, optional
        With all its settings but ``rate``, ``contamination`` and ``calibration``, which are PyOD's business here;
        reachable as ``detector__latents``. By default ``AnomalyDetector()``.
    contamination : float, default 0.1
        Share of outliers among the rows of ``fit``, at most 0.5; or a thresholder of PyThresh.

    Attributes
    ----------
    detector_ : AnomalyDetector
        Fitted.
    decision_scores_, labels_, threshold_
        Of the rows of ``fit``, as PyOD has them.

    Raises
    ------
    BadEnvironment
        If PyOD is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(100, 3))
    >>> detector = PyODDetector(AnomalyDetector("pca", random_state=0)).fit(rows)  # doctest: +SKIP
    >>> detector.predict(9 * rows[:1])  # doctest: +SKIP
    array([1])
    """

    def __init__(self, detector: AnomalyDetector | None = None, contamination: Any = 0.1) -> None:
        if BaseDetector is None:
            raise BadEnvironment("PyODDetector needs PyOD: pip install 'isthmus[pyod]'")
        super().__init__(contamination=contamination)
        self.detector = detector

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train on rows (n, n_features); labels are ignored.

        Raises
        ------
        BadInput
            A ``ValueError``: as :meth:`isthmus.AnomalyDetector.fit`.
        """
        rows = check_array(X)
        self._set_n_classes(y)
        own = AnomalyDetector() if self.detector is None else clone(self.detector)
        share = float(self.contamination) if isinstance(self.contamination, float | int) else 0.1
        # No row is kept aside: the threshold is a quantile of the scores of all of them, which PyOD takes.
        self.detector_ = own.set_params(rate=None, contamination=share, calibration="split").fit(rows)
        self.decision_scores_ = self.decision_function(rows)
        self._process_decision_scores()
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """How odd each row is, (n,): the score of studies, high for outliers."""
        check_is_fitted(self, "detector_")
        return -self.detector_.score_samples(check_array(X))
