"""Few anomalies are known: trees learn to tell them from normal rows, beside the score that knows of none.

Zhao and Hryniewicki (2018), XGBOD: improving supervised outlier detection with unsupervised representation learning,
IJCNN (arXiv:1912.00290): what detectors without labels say of a row stands beside its columns, and boosted trees are
trained on both. With five known anomalies boosted trees find nothing to split, so there are extremely randomised ones
here (Geurts, Ernst and Wehenkel 2006, Machine Learning 63), and the score that knows of no anomaly is added to theirs,
so that an anomaly of a kind that nobody knows is odd still.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Splits
from isthmus.facets.outliers import Score, Scores, crowd
from isthmus.scorer import Crowd
from isthmus.seeds import seed as hashed

TREES = 200


class Known(NamedTuple):
    """A score that knows no anomaly, and trees that know some, each standardised over held-out normal rows."""

    crowd: Crowd
    units: Scores
    """(D,)."""
    trees: Any
    """scikit-learn's ``ExtraTreesClassifier`` of :meth:`Crowd.logs` and the columns; class 1 is an anomaly."""
    usual: NDArray[np.float64]
    """Mean and standard deviation of both over held-out rows, (2, 2); of the trees by those that did not see a row."""

    def score(self, x: NDArray[np.float32]) -> Scores:
        """Scaled rows (n, *D) -> (n,)."""
        rows = x.reshape(len(x), -1) / self.units
        both = np.stack([self.crowd.scores(rows), self.trees.predict_proba(seen(self.crowd, rows))[:, 1]])
        found: Scores = ((both - self.usual[:, :1]) / self.usual[:, 1:]).sum(axis=0)
        return found


def seen(around: Crowd, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """What trees look at: the three distances, as logarithms, and the columns in units, (n, 3 + D)."""
    return np.hstack([around.logs(rows).T, rows])


def known(splits: Splits, *, between: bool = False) -> Known:
    """Fitted on training rows, held-out normal ones and the anomalies that are known (``splits.odd``).

    With ``between`` places between training rows stand for these.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    assert splits.odd is not None
    around, units = crowd(splits, between=between)
    held, odd = (rows.reshape(len(rows), -1) / units for rows in (splits.valid.x, splits.odd))
    label = np.repeat([0, 1], [len(held), len(odd)])
    trees = ExtraTreesClassifier(
        n_estimators=TREES,
        class_weight="balanced",
        bootstrap=True,
        oob_score=True,
        random_state=hashed(splits.seed, "known anomalies") % 2**32,
    )
    with warnings.catch_warnings():  # of anomalies so few that every tree has drawn them; they are not asked for
        warnings.filterwarnings("ignore", "Some inputs do not have OOB scores", UserWarning)
        trees.fit(seen(around, np.vstack([held, odd])), label)
    unseen = np.nan_to_num(trees.oob_decision_function_[: len(held), 1])
    both = np.stack([around.scores(held), unseen])
    spread = both.std(axis=1)
    return Known(around, units, trees, np.stack([both.mean(axis=1), np.where(spread > 0, spread, 1.0)], axis=1))


def trees_on_known(splits: Splits) -> Score:
    """Trees that know some anomalies, and the score that knows none, added (:mod:`isthmus.facets.known`)."""
    return known(splits).score
