"""Features: how much the code tells a simple classifier, and whether its rows fall into the classes by themselves.

Rivals: raw columns, marginalised denoising, boosted trees, nearest rows, and ``pca``; where rows have times, the class
of the time before; where rows have free text, naive Bayes, NBSVM, logistic regression and truncated SVD of its words.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.counts import Counts
from isthmus.data.fields.text import WORD, Characters
from isthmus.data.metadata import in_proportion
from isthmus.errors import BadInput
from isthmus.facets import texts
from isthmus.facets.classifiers import Tuned, boosted_trees, nearest_rows
from isthmus.facets.counts import factorisation, factors_kin
from isthmus.facets.facet import Coder, Contender, Curve, CurveTitle, Facet, Found, Rows, Splits, some
from isthmus.facets.kin import Kin, Lines, Step
from isthmus.facets.purpose import NEEDED
from isthmus.facets.random_dictionary import NAME as RANDOM
from isthmus.facets.random_dictionary import random_dictionary, written
from isthmus.facets.rivals import NOISES, SOLVED, Denoising, marginalised_denoising, undoing
from isthmus.metrics.clustering import adjusted_rand, clusters, mutual_information
from isthmus.metrics.dimension import two_nearest
from isthmus.metrics.metric import SHARE
from isthmus.metrics.probes import (
    FEW,
    STRENGTH,
    Answers,
    balanced_accuracy,
    by_probe,
    commonest_class,
    knn_accuracy,
    knn_balanced,
    probe_accuracy,
    probe_balanced,
    with_few,
)
from isthmus.said import Said
from isthmus.seeds import seed as hashed

# More labelled rows than this hardly move an accuracy, and raw columns would take minutes to probe.
MOST = 10_000
LABELLED = (1, 5, FEW, 50, 100)
"""Labelled rows per class at which the curve stands, up to half of what a class has on average; then all."""
METRICS = (
    "probe_balanced",
    "probe_accuracy",
    "knn_accuracy",
    "probe_accuracy_few",
    "knn_accuracy_few",
    "cluster_ari",
    "cluster_nmi",
    "intrinsic_dimension",
    "commonest_class",
)

NAMED = ("probe_balanced", "probe_accuracy", "commonest_class")
"""What classifiers measure that have no code."""


def criterion(coder: Coder, splits: Splits) -> float:
    """Share of validation rows that their 5 nearest training codes misclassify, on average over the classes."""
    return _wrong(coder.encode_scaled, splits)


def probed(coder: Coder, splits: Splits) -> float:
    """Share of validation rows that a linear probe of the codes misclassifies, on average over the classes.

    Codes of unlike widths are told apart by what decides, not by their neighbours: on MNIST 5 nearest codes are right
    more often with 32 units than with 1,024 sparse ones (0.952 and 0.920), and a linear probe less often (0.876 and
    0.947).
    """
    train, valid = _sample(splits, "train"), _sample(splits, "valid")
    codes = coder.encode_scaled(train.x), coder.encode_scaled(valid.x)
    if not all(np.isfinite(part).all() for part in codes):
        return math.nan
    return 1 - probe_balanced(codes[0], _labels(train), codes[1], _labels(valid))


def _wrong(encode: Callable[[NDArray[np.float32]], NDArray[np.float32]], splits: Splits) -> float:
    train, valid = _sample(splits, "train"), _sample(splits, "valid")
    return 1 - knn_balanced(encode(train.x), _labels(train), encode(valid.x), _labels(valid))


def measure(contender: Contender, splits: Splits) -> Found:
    """What a linear probe, 5 nearest neighbours and k-means make of the codes, and the dimension of the codes."""
    train, test = _sample(splits, "train"), _sample(splits, "test")
    return told(
        contender.encode_scaled(train.x), _labels(train), contender.encode_scaled(test.x), _labels(test), splits.seed
    )


def raw(splits: Splits) -> Found:
    """The same of the scaled columns themselves, without any model."""
    train, test = _sample(splits, "train"), _sample(splits, "test")
    return told(_flat(train), _labels(train), _flat(test), _labels(test), splits.seed)


def denoising(splits: Splits) -> Denoising:
    """The features of marginalised denoising with the noise whose features tell classes of validation rows best."""
    train = _sample(splits, "train")
    return min((marginalised_denoising(train.x, noise) for noise in NOISES), key=lambda one: _wrong(one, splits))


def _noise_of_its_own(splits: Splits) -> NDArray[np.float64]:
    if splits.valid.x is splits.train.x:
        raise BadInput(
            "the noise of marginalised denoising is chosen on validation rows, which training on all rows lacks; "
            "leave --refit out"
        )
    return denoising(splits).weight


def denoised(splits: Splits) -> Found:
    """The same of the features of marginalised denoising, as many as there are columns; noise chosen as codes are."""
    train, test = _sample(splits, "train"), _sample(splits, "test")
    if math.prod(train.x.shape[1:]) > SOLVED:
        return dict.fromkeys(METRICS, math.nan)
    encode = denoising(splits)
    return told(encode(train.x), _labels(train), encode(test.x), _labels(test), splits.seed)


def factorised(splits: Splits) -> Found:
    """The same of the parts of a non-negative factorisation of counts."""
    if not isinstance(splits.layout, Counts):
        return dict.fromkeys(METRICS, math.nan)
    train, test = _sample(splits, "train"), _sample(splits, "test")
    found = factorisation(splits._replace(train=train, test=test))
    return told(found.train, _labels(train), found.test, _labels(test), splits.seed)


def trees(splits: Splits) -> Found:
    """What boosted trees make of the scaled columns, in place of a linear probe of codes."""
    return _named(_by_columns(boosted_trees, splits, hashed(splits.seed, "boosted trees")).said, splits)


def neighbours(splits: Splits) -> Found:
    """What the nearest rows make of the scaled columns, in place of a linear probe of codes."""
    return _named(_by_columns(nearest_rows, splits).said, splits)


def persistence(splits: Splits) -> Found:
    """What naming the class of the time before gets right, which whoever forecasts may know; the commonest at first."""
    train, test = _sample(splits, "train"), _sample(splits, "test")
    if test.before is None:
        return dict.fromkeys(NAMED, math.nan)
    usual = np.bincount(_labels(train)).argmax()
    said = np.where(test.before < 0, usual, test.before)
    return _named(Answers(said, said), splits)


def naive_bayes(splits: Splits) -> Found:
    """What multinomial naive Bayes makes of the words of the rows' text, in place of a linear probe of codes."""
    return _by_words(texts.naive_bayes, splits)


def nbsvm(splits: Splits) -> Found:
    """The same by a support vector machine on the log-count ratios of naive Bayes."""
    return _by_words(texts.support_vectors, splits)


def regression(splits: Splits) -> Found:
    """The same by logistic regression on TF-IDF."""
    return _by_words(texts.regression, splits)


def semantic(splits: Splits) -> Found:
    """What a linear probe makes of the first axes of the rows' TF-IDF, as many as codes have elements."""
    train, test = _sample(splits, "train"), _sample(splits, "test")
    if train.text is None or test.text is None:
        return dict.fromkeys(METRICS, math.nan)
    seed = hashed(splits.seed, "truncated svd")
    found = texts.axes(train.text, test.text, splits.latents, seed, words=_words(splits))
    return told(found[0], _labels(train), found[1], _labels(test), splits.seed)


def _by_words(classify: Callable[..., Tuned], splits: Splits) -> Found:
    if splits.train.text is None:
        return dict.fromkeys(NAMED, math.nan)
    return _named(_read(classify, splits).said, splits)


def _read(classify: Callable[..., Tuned], splits: Splits) -> Tuned:
    train, valid, test = (_sample(splits, part) for part in ("train", "valid", "test"))
    return classify(train.text, _labels(train), valid.text, _labels(valid), test.text, words=_words(splits))


def _by_columns(classify: Callable[..., Tuned], splits: Splits, *seed: int) -> Tuned:
    train, valid, test = (_sample(splits, part) for part in ("train", "valid", "test"))
    known, held = (_flat(train), _labels(train)), (_flat(valid), _labels(valid))
    return classify(*known, *held, _flat(test), *seed)


def _words(splits: Splits) -> bool:
    """Whether the rows' text is counted by words, rather than by groups of characters."""
    parts = () if splits.layout is None else splits.layout.parts
    return all(part.field.kind != Characters.kind for part in parts)


def _named(said: Answers, splits: Splits) -> Found:
    """What a classifier without a code measures."""
    known, y = (_labels(_sample(splits, part)) for part in ("train", "test"))
    values = balanced_accuracy(said.fair, y), float(np.mean(said.usual == y)), commonest_class(known, y)
    return dict(zip(NAMED, values, strict=True))


_PROBE: tuple[Step, ...] = (
    ("sklearn.preprocessing.StandardScaler", {}),
    ("sklearn.linear_model.LogisticRegression", {"C": STRENGTH, "max_iter": 10_000}),
)
"""What tells classes by codes."""


def _logistic(_: Splits) -> Kin:
    return Kin("classify", _PROBE)


def _boosted(splits: Splits) -> Kin:
    settings = _by_columns(boosted_trees, splits, hashed(splits.seed, "boosted trees")).settings
    return Kin.of("classify", "sklearn.ensemble.HistGradientBoostingClassifier", **settings, early_stopping=False)


def _voting(splits: Splits) -> Kin:
    return Kin.of("classify", "sklearn.neighbors.KNeighborsClassifier", **_by_columns(nearest_rows, splits).settings)


def _multinomial(splits: Splits) -> Kin:
    settings = dict(_read(texts.naive_bayes, splits).settings)
    terms = ("sklearn.feature_extraction.text.CountVectorizer", _terms(splits, settings.pop("pairs")))
    return Kin("classify", (terms, ("sklearn.naive_bayes.MultinomialNB", settings)), takes="text")


def _weighed(splits: Splits) -> Kin:
    settings = dict(_read(texts.regression, splits).settings)
    terms = _terms(splits, settings.pop("pairs")) | {"sublinear_tf": True}
    model = ("sklearn.linear_model.LogisticRegression", settings | {"max_iter": 1000, "tol": 1e-3})
    return Kin("classify", (("sklearn.feature_extraction.text.TfidfVectorizer", terms), model), takes="text")


def _ratios(splits: Splits) -> Kin:
    terms = ("sklearn.feature_extraction.text.CountVectorizer", _terms(splits, 2))
    return Kin("classify", (terms, ("isthmus.NBSVM", _read(texts.support_vectors, splits).settings)), takes="text")


def _latent(splits: Splits) -> Kin:
    terms = ("sklearn.feature_extraction.text.TfidfVectorizer", _terms(splits, 1) | {"sublinear_tf": True})
    axes = ("sklearn.decomposition.TruncatedSVD", {"n_components": splits.latents})
    return Kin("classify", (terms, axes, *_PROBE), takes="text")


def _terms(splits: Splits, pairs: float) -> dict[str, Any]:
    if _words(splits):
        return {"ngram_range": (1, int(pairs)), "token_pattern": WORD}
    return {"ngram_range": (1, int(pairs) + 1), "analyzer": "char"}


def told(
    train: NDArray[np.float32],
    train_y: NDArray[np.int64],
    test: NDArray[np.float32],
    test_y: NDArray[np.int64],
    seed: int,
) -> Found:
    """The facet's numbers and curve from codes (n, L), (m, L) and labels (n,), (m,); NaN if a code is not finite."""
    sets = (train, train_y, test, test_y)
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        return dict.fromkeys(METRICS, math.nan)
    probed, every = labelled(*sets, seed=seed), len(train_y) / len(np.unique(train_y))
    said = by_probe(train, train_y, test)
    whole = float(np.mean(said.usual == test_y))
    groups = clusters(train, test, len(np.unique(train_y)), seed=hashed(seed, "clusters"))
    shown = {rows: value for rows, value in probed.items() if rows < every} | {every: whole}
    return {
        "probe_balanced": balanced_accuracy(said.fair, test_y),
        "probe_accuracy": whole,
        "knn_accuracy": knn_accuracy(*sets),
        "probe_accuracy_few": probed[FEW],
        "knn_accuracy_few": with_few(knn_accuracy, *sets, seed=seed),
        "cluster_ari": adjusted_rand(test_y, groups),
        "cluster_nmi": mutual_information(test_y, groups),
        "intrinsic_dimension": two_nearest(test),
        "commonest_class": commonest_class(train_y, test_y),
        "few_labels": Curve(tuple(shown), tuple(shown.values())),
    }


def labelled(
    train: NDArray[np.float32],
    train_y: NDArray[np.int64],
    test: NDArray[np.float32],
    test_y: NDArray[np.int64],
    *,
    seed: int,
) -> dict[float, float]:
    """Labelled rows per class, some of those in ``LABELLED`` -> accuracy of the linear probe."""
    every = len(train_y) / len(np.unique(train_y))
    counts = [rows for rows in LABELLED if 2 * rows <= every or rows == FEW]
    sets = (train, train_y, test, test_y)
    return {float(rows): with_few(probe_accuracy, *sets, seed=seed, rows=rows) for rows in counts}


def _sample(splits: Splits, part: str) -> Rows:
    """The rows of a part that we look at, as often as their weights say."""
    rows: Rows = getattr(splits, part)
    if rows.weight is not None:
        rows = rows.take(in_proportion(rows.weight, hashed(splits.seed, "weights", part)))
    return some(rows, MOST, hashed(splits.seed, "features", part))


def _flat(rows: Rows) -> NDArray[np.float32]:
    return rows.x.reshape(len(rows.x), -1)


def _labels(rows: Rows) -> NDArray[np.int64]:
    if rows.y is None:
        raise BadInput("the facet features needs a label for every row; got none: give a label column or leave it out")
    return rows.y


BEFORE = """# y: the class of each row, in the order of time
import numpy as np

classes, counts = np.unique(y, return_counts=True)
np.append(classes[counts.argmax()], y[:-1])  # what is said of each row: the class of the one before"""


FEATURES = Facet(
    name="features",
    title=Said("Features", "特征质量"),
    question=Said("How well does a simple classifier work on the codes?", "简单的分类器用这些编码能分得多准？"),
    purposes={"classify": NEEDED},
    primary="probe_balanced",
    view="all",
    labels=True,
    weighs=True,
    only={
        "persistence": "times",
        **dict.fromkeys(("naive bayes", "nbsvm", "tf-idf", "truncated svd"), "text"),
        RANDOM: "dictionaries",
        "nmf": "counts",
    },
    sees=Said("training and validation rows with their labels", "训练集和验证集及其标签"),
    criterion=criterion,
    free=probed,
    measure=measure,
    metrics=METRICS,
    floor="commonest_class",
    floor_title=Said("always naming the commonest class", "总是猜最常见的类别"),
    simplest="raw columns",
    rivals={
        "raw columns": raw,
        "marginalised denoising": denoised,
        "boosted trees": trees,
        "nearest rows": neighbours,
        "persistence": persistence,
        "naive bayes": naive_bayes,
        "nbsvm": nbsvm,
        "tf-idf": regression,
        "truncated svd": semantic,
        RANDOM: random_dictionary(measure),
        "nmf": factorised,
    },
    networks={"marginalised denoising": lambda splits: undoing(splits, _noise_of_its_own)},
    kin={
        "raw columns": _logistic,
        "boosted trees": _boosted,
        "nearest rows": _voting,
        "naive bayes": _multinomial,
        "tf-idf": _weighed,
        "nbsvm": _ratios,
        "truncated svd": _latent,
        "persistence": lambda _: Lines(BEFORE, takes="cells"),
        RANDOM: written,
        "nmf": factors_kin,
    },
    curves={
        "few_labels": CurveTitle(
            Said("Accuracy with few labels", "少量标签下的准确率"),
            x=Said("labelled rows per class (the last point: all)", "每类的标注行数（最后一点：全部）"),
            y=Said("probe accuracy", "探针准确率"),
            log=True,
            bounds=SHARE,
        ),
    },
)
