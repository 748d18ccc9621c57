"""Made rows against real ones, by boosted trees: can they be told apart, and do they teach what real rows teach?

Trees take a table as it is: each column on its own scale, categories as such, gaps as gaps. So they see what distances
between rows do not: a value that never occurs, a rule between two columns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import SHARE, Metric
from isthmus.said import Said

Columns = NDArray[np.float64]
Labels = NDArray[np.integer]

FOLDS = 3
TREES, RATE, DEPTH, LEAST_ROWS, RIDGE = 100, 0.3, 6, 4, 1.0
"""Of :func:`boosted`, as XGBoost has them where nothing is asked, with which published scores were made."""
SLOWLY, LEAVES, LEAF = 0.1, 31, 20
"""Rate, leaves of a tree and rows in a leaf of :func:`taught`, as scikit-learn has them: published ones are tuned, and
trees that learn so fast as those above are 0.01 behind these."""


def boosted(real: Columns, made: Columns, categories: NDArray[np.bool_], seed: int = 0) -> float:
    """How well made rows hide among real ones from boosted trees: 1 where they can't be told apart, 0 where all can.

    The score is ``1 - mean(2 max(AUC, 0.5) - 1)`` over three folds, each judged by trees that did not see it, as the
    detection scores of SDMetrics are. With more rows trees learn more: compare scores of equal numbers of rows only.

    Parameters
    ----------
    real, made : arrays (n, C), (m, C)
        Numbers, and categories as whole numbers below 255; NaN where a cell is missing.
    categories : array (C,) of bool
        Which columns are categories.
    seed : int, default 0
        Of the folds.

    Returns
    -------
    float
        NaN with fewer than 3 rows on a side, or if something is infinite.

    References
    ----------
    Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, ICLR. The trees are those of Chen and Guestrin
    (2016), XGBoost, KDD, by their defaults, in the histogram form of scikit-learn.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> far, near = random.normal(size=(60, 2)) + 9, random.normal(size=(60, 2))
    >>> boosted(near, far, np.zeros(2, bool)), boosted(near, near, np.zeros(2, bool)) > 0.7
    (0.0, True)
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    if min(len(real), len(made)) < FOLDS or np.isinf(real).any() or np.isinf(made).any():
        return math.nan
    rows, side = np.concatenate([real, made]), np.repeat([1, 0], [len(real), len(made)])
    told = []
    for seen, held in StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32).split(side, side):
        trees = _trees(
            categories,
            seed,
            max_iter=TREES,
            learning_rate=RATE,
            max_depth=DEPTH,
            max_leaf_nodes=None,
            min_samples_leaf=LEAST_ROWS,
            l2_regularization=RIDGE,
        ).fit(rows[seen], side[seen])
        told.append(2 * max(0.5, roc_auc_score(side[held], trees.predict_proba(rows[held])[:, 1])) - 1)
    return float(1 - np.mean(told))


def taught(
    made: Columns, made_y: Labels, real: Columns, real_y: Labels, categories: NDArray[np.bool_], seed: int = 0
) -> float:
    """Trained on made rows, tested on real ones: the area under the curve with which boosted trees tell the classes.

    Of more than two classes it is the mean over pairs of one class with all others.

    Parameters
    ----------
    made, real : arrays (n, C), (m, C)
        As in :func:`boosted`.
    made_y, real_y : arrays (n,), (m,)
        Class codes.
    categories : array (C,) of bool
    seed : int, default 0

    Returns
    -------
    float
        0.5 is chance. NaN if made rows lack a class that real ones have, if there is one class only, or if something is
        infinite.

    References
    ----------
    Esteban, Hyland and Rätsch (2017), Real-valued (medical) time series generation with recurrent conditional GANs.

    Examples
    --------
    >>> x, y = np.arange(80.0)[:, None], np.repeat([0, 1], 40)
    >>> taught(x, y, x, y, np.zeros(1, bool)), taught(x, y[::-1], x, y, np.zeros(1, bool))
    (1.0, 0.0)
    """
    from sklearn.metrics import roc_auc_score

    classes = np.unique(real_y)
    if len(classes) < 2 or np.isinf(made).any() or np.isinf(real).any():
        return math.nan
    there = np.isin(made_y, classes)
    if len(np.unique(made_y[there])) < len(classes):
        return math.nan
    count = TREES if len(classes) == 2 else max(10, TREES // len(classes))
    shape = {"max_leaf_nodes": LEAVES, "min_samples_leaf": LEAF}
    trees = _trees(categories, seed, max_iter=count, learning_rate=SLOWLY, **shape)
    share = trees.fit(made[there], made_y[there]).predict_proba(real)
    if len(classes) == 2:
        return float(roc_auc_score(real_y, share[:, 1]))
    each = [roc_auc_score(real_y == one, share[:, i]) for i, one in enumerate(classes)]
    return float(np.mean(each))


def _trees(categories: NDArray[np.bool_], seed: int, **shape: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    asked = {"categorical_features": categories, "early_stopping": False, "random_state": seed % 2**32}
    return HistGradientBoostingClassifier(**shape, **asked)


TABLE = [
    Metric(
        "boosted",
        boosted,
        True,
        "1 - (2 AUC - 1)",
        Said("two-sample score of boosted trees", "提升树双样本得分"),
        0.05,
        "Lopez-Paz and Oquab 2017",
        bounds=SHARE,
    ),
    Metric(
        "tstr",
        taught,
        True,
        "area under the curve",
        Said("trained on made rows, tested on real ones: AUC", "用生成数据训练、在真实数据上测试的 AUC"),
        0.01,
        "Esteban, Hyland and Rätsch 2017",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
