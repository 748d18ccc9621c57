"""Anomaly: does the model notice rows that do not belong? It is trained on normal rows alone.

A row's score is its squared reconstruction error per element, unless its family has a score of its own. It is judged
on the anomalies that the labels tell, and on made-up ones, which need no labels. Rivals: isolation forest (Liu, Ting
and Zhou 2008), the distance to the fifth nearest training row (Ramaswamy, Rastogi and Shim 2000), and the residual of
the family ``pca``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from isthmus.data.windows import per_step
from isthmus.facets.facet import Contender, Facet, Found, Kept, Raw, Splits, validation_error
from isthmus.facets.known import trees_on_known
from isthmus.facets.networks import NETWORKS
from isthmus.facets.outliers import KIN, SCORERS, Score, Scores
from isthmus.facets.planted import planted
from isthmus.facets.purpose import NEEDED
from isthmus.facets.scores import scores
from isthmus.facets.windows import KIN as KIN_OF_WINDOWS
from isthmus.facets.windows import NETWORKS as NETWORKS_OF_WINDOWS
from isthmus.facets.windows import SCORERS as OF_WINDOWS
from isthmus.metrics import METRICS
from isthmus.metrics.fidelity import explained_variance
from isthmus.metrics.ranking import auroc, average_precision, degenerate, rounding
from isthmus.metrics.vus import vus_pr
from isthmus.said import Said
from isthmus.scorer import Scorer


def grade(
    label: NDArray[np.int64], score: Scores, floor: float = 0.0, weight: NDArray[np.float64] | None = None
) -> dict[str, float]:
    """``auroc`` and ``average_precision`` of scores, in which rounding ranks nothing.

    Parameters
    ----------
    label : array (n,)
        1 for an anomaly, 0 for a normal row.
    score : array (n,)
        High means anomalous.
    floor : float, default 0
        Differences up to here are rounding.
    weight : array (n,), optional
        How much each row counts.

    Returns
    -------
    dict
        Scores that differ by rounding only count as one tie (0.5, and the share of anomalies), and ``constant_scorer``
        is 1. NaN if a score is not finite or a kind of row is missing.

    Examples
    --------
    >>> grade(np.array([0, 1]), np.array([1.0, 1.0]))
    {'auroc': 0.5, 'average_precision': 0.5, 'constant_scorer': 1.0}
    """
    finite = bool(np.isfinite(score).all())
    flat = finite and degenerate(score, floor) is not None
    ranked = np.zeros(len(score)) if flat else score
    found = {"auroc": auroc(label, ranked, weight), "average_precision": average_precision(label, ranked, weight)}
    return found | ({"constant_scorer": 1.0} if flat else {})


def measure(contender: Contender, splits: Splits) -> Found:
    """As :func:`judged` by the model's score; where there are labels, AUROC of scores from its parts as well.

    ``untrained_scorer`` is 1 if the model has learned nothing.
    """
    floor, y, weight = rounding(splits.train.x), splits.test.y, splits.test.weight
    scorer = Scorer.fit(contender, splits.train.x, splits.valid.x, splits.seed, odd=splits.odd)
    found = dict(judged(scorer.scores, splits, 0.0 if scorer.crowd else floor))
    if y is not None:
        floors = {"reconstruction": floor}
        for name, score in scores(contender, splits, floor).items():
            found[f"auroc_{name}"] = grade(y, score, floors.get(name, 0.0), weight)["auroc"]
    return found | ({} if learned(contender, splits) else {"untrained_scorer": 1.0})


def judged(scorer: Score, splits: Splits, floor: float = 0.0) -> Found:
    """Metrics of a scorer: on the labelled anomalies among the test rows, if there are labels, and on made-up ones.

    Parameters
    ----------
    scorer : callable
    splits : Splits
        Labels of the test rows: 1 for an anomaly, 0 for a normal row; None if all of them count as normal.
    floor : float, default 0
        Differences of scores up to here are rounding.

    Returns
    -------
    dict
        Those of :func:`grade` if there are labels, and of :func:`of_steps`; ``auroc_local``, ``auroc_global``,
        ``auroc_dependency`` and ``auroc_cluster`` against the normal test rows, and ``auroc_planted``, which is their
        mean. Besides these metrics ``anomaly_score`` (n,) of every test row and, if there are labels, ``anomaly_label``
    """
    x, y, weight = splits.test.x, splits.test.y, splits.test.weight
    score = scorer(x)
    found: dict[str, float | NDArray[np.generic]] = {}
    if y is not None:
        found = {**grade(y, score, floor, weight), **of_steps(score, splits), "anomaly_label": y}
    normal = np.ones(len(x), bool) if y is None else y == 0
    usual, odd = score[normal], {name: scorer(rows) for name, rows in planted(splits, x[normal]).items()}
    for name, high in odd.items():
        found[f"auroc_{name}"] = against(usual, high, floor)["auroc"]
    whole = against(usual, np.concatenate(list(odd.values())), floor)
    found["auroc_planted"] = whole["auroc"]
    if y is None and "constant_scorer" in whole:
        found["constant_scorer"] = 1.0
    return {**found, "anomaly_score": score}


def of_steps(score: Scores, splits: Splits) -> dict[str, float]:
    """``vus_pr`` of test windows with a score each, (n,), and ``vus_pr_flat`` of equal scores; none of other rows.

    A step has the mean score of the test windows that hold it. The widest buffer is as long as a window. Where there
    are several series, they are put one behind the other.
    """
    first, label = splits.test.first, splits.steps
    if first is None or label is None:
        return {}
    length = splits.test.x.shape[1]
    mean = per_step(np.where(np.isfinite(score), score, np.inf), first, length, len(label))
    there = ~np.isnan(mean)
    flat = np.zeros(int(there.sum()))
    return {
        "vus_pr": vus_pr(label[there], mean[there], length),
        "vus_pr_flat": vus_pr(label[there], flat, length),
    }


def against(normal: Scores, odd: Scores, floor: float = 0.0) -> dict[str, float]:
    """:func:`grade` of the scores of normal rows (n,) and of anomalies (m,).

    Examples
    --------
    >>> against(np.array([0.0, 1.0]), np.array([1.0]))["auroc"]
    0.75
    """
    label = np.repeat(np.array([0, 1]), (len(normal), len(odd)))
    return grade(label, np.concatenate([normal, odd]), floor)


def learned(contender: Contender, splits: Splits) -> bool:
    """Whether a step of training was kept, and normal validation rows come back better than as the training mean.

    Better means by more than the rope of explained variance, 0.01: a constant near the mean beats it by luck.
    """
    x = splits.valid.x
    x_hat = contender.decode_scaled(contender.encode_scaled(x))
    gain = explained_variance(x, x_hat, splits.train.x.mean(axis=0, dtype=np.float64))
    return contender.trained and (math.isnan(gain) or gain > METRICS["explained_variance"].rope)


def recomputed(raw: Raw, recorded: Mapping[str, float | None], splits: Splits | None) -> dict[str, float]:
    """The two metrics of scores and labels; scores that only differ by rounding were not ranked."""
    if recorded.get("constant_scorer"):
        return {}
    label, score, weight = raw["anomaly_label"], raw["anomaly_score"], raw.get("test_weight")
    return {"auroc": auroc(label, score, weight), "average_precision": average_precision(label, score, weight)}


def _rival(fit: Callable[[Splits], Score]) -> Callable[[Splits], Found]:
    return lambda splits: judged(fit(splits), splits)


ANOMALY = Facet(
    name="anomaly",
    title=Said("Anomaly detection", "异常检测"),
    question=Said("Do anomalies get higher scores than normal rows?", "异常数据的得分是否高于正常数据？"),
    purposes={"find_anomalies": NEEDED},
    wanted_by={"auroc_planted": Said("To find anomalies like the synthetic ones", "发现类似合成异常的数据")},
    flags={
        "constant_scorer": Said("its scores do not distinguish rows", "它给所有数据的得分都一样"),
        "untrained_scorer": Said("training did not improve the model", "训练没有给模型带来任何改进"),
    },
    spoiled_by=(
        "constant output",
        "identity copying",
        "constant scorer",
    ),
    primary="auroc",
    view="normal",
    labels=True,
    weighs=True,
    unlabelled="auroc_planted",
    unlabelled_caveat=Said(
        "The data have no labels, so the true anomalies are unknown. Synthetic anomalies were used instead: normal "
        "test rows, moved, shuffled or replaced in four ways. How well real anomalies would be found is not known.",
        "这份数据没有标签，真实的异常无从得知，因此使用合成的异常：把正常的测试数据按四种方式移动、打乱或替换。真实的异常能否被发现，由此不能得知。",
    ),
    kept={"anomaly_score": Kept(), "anomaly_label": Kept(of_rows=lambda splits: splits.test.y)},
    recomputed=recomputed,
    shows_rows=True,
    sees=Said("normal validation rows, without anomalies and labels", "验证集中的正常数据，不使用异常样本和标签"),
    criterion=validation_error,
    free=validation_error,
    widens=False,
    measure=measure,
    metrics=(
        "auroc",
        "average_precision",
        "vus_pr",
        "vus_pr_flat",
        *(f"auroc_{kind}" for kind in ("planted", "local", "global", "dependency", "cluster")),
        *(f"auroc_{score}" for score in ("reconstruction", "density", "both")),
        "constant_scorer",
        "untrained_scorer",
        "mse",
    ),
    floor=0.5,
    floor_title=Said("chance", "随机猜测"),
    rivals={name: _rival(fit) for name, fit in (SCORERS | OF_WINDOWS | {"trees on known": trees_on_known}).items()},
    only={**dict.fromkeys(OF_WINDOWS, "windows"), "trees on known": "known"},
    of_steps=("vus_pr", "vus_pr_flat"),
    kin=KIN | KIN_OF_WINDOWS,
    networks=NETWORKS | NETWORKS_OF_WINDOWS,
)
