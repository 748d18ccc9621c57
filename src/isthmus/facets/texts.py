"""What classifies rows by the words of their text: rivals of the facet features, on sparse counts of every term.

They see all terms, pairs of neighbouring words too, where an autoencoder sees the commonest. Each tries a few settings
and keeps the one of the best balanced accuracy on validation rows, as codes are chosen; the earlier wins a tie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields.text import READ, WORD, plain
from isthmus.facets.classifiers import Tuned
from isthmus.metrics.classes import many_classes
from isthmus.metrics.probes import Answers, answers, balanced_accuracy

Documents = NDArray[np.object_]
Labels = NDArray[np.int64]
Sparse = Any
"""A scipy matrix (n, T) of counts or weights."""
Scores = NDArray[np.float64]

PAIRS = (1, 2)
"""Words alone, or pairs of neighbouring words too; of characters, groups of up to so many and one more."""
SMOOTHING = (0.1, 0.5, 1.0)
"""What is added to each count in naive Bayes."""
COSTS = (0.1, 1.0)
"""C of a support vector machine."""
SHARES = (0.25, 0.5, 1.0)
"""Beta of NBSVM: 0 is naive Bayes with weights of one size, 1 the support vector machine alone."""
STRENGTHS = (1.0, 10.0, 100.0)
"""C of logistic regression on TF-IDF."""
ALL = 30_000_000
"""Characters that are read of all training texts together: the beginning of each, where they are more."""


class Counted(NamedTuple):
    """How often each term of the training texts stands in texts."""

    train: Sparse
    valid: Sparse
    test: Sparse


def counted(train: Documents, valid: Documents, test: Documents, *, words: bool = True, pairs: int = 2) -> Counted:
    """Counts of the terms of training texts: words and runs of up to ``pairs`` of them; where not ``words``, groups of
    up to ``pairs`` + 1 characters.

    Examples
    --------
    >>> texts = np.array(["good film", "bad film"], dtype=object)
    >>> counted(texts, texts, texts).train.toarray().astype(int).tolist()  # bad, bad film, film, good, good film
    [[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]]
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(
        preprocessor=plain,
        token_pattern=WORD if words else None,
        analyzer="word" if words else "char",
        ngram_range=(1, pairs if words else pairs + 1),
        dtype=np.float64,
    )
    most = min(READ, max(1, ALL // max(1, len(train))))
    sets = [[text[:most] for text in texts] for texts in (train, valid, test)]
    try:
        return Counted(counter.fit_transform(sets[0]), *(counter.transform(one) for one in sets[1:]))
    except ValueError:  # no term in all texts
        return Counted(*(csr_matrix((len(one), 1)) for one in sets))


def ratios(counts: Sparse, positive: NDArray[np.bool_], smoothing: float = 1.0) -> NDArray[np.float64]:
    """The log of how much commoner each term is in positive rows than in others, (T,).

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> ratios(csr_matrix(np.eye(2)), np.array([True, False])).round(3)
    array([ 0.693, -0.693])
    """
    inside, outside = (
        smoothing + np.asarray(counts[rows].sum(axis=0), np.float64).ravel() for rows in (positive, ~positive)
    )
    found: NDArray[np.float64] = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    return found


class Machines(NamedTuple):
    """Support vector machines on log-count ratios: one that tells the second of two classes, or one for each class."""

    ratios: Scores
    """(M, T)."""
    weights: Scores
    """(M, T)."""
    biases: Scores
    """(M,)."""

    def scores(self, counts: Sparse, share: float) -> Scores:
        """Of counts (m, T) and the paper's beta, what speaks for each class in order, (m, C)."""
        seen = counts.sign()
        even = np.abs(self.weights).mean(axis=1, keepdims=True)
        found: Scores = seen @ (self.ratios * ((1 - share) * even + share * self.weights)).T + self.biases
        return found if found.shape[1] > 1 else np.hstack([-found, found])


def nbsvm(counts: Sparse, y: Labels, cost: float = 1.0) -> Machines:
    """A support vector machine on log-count ratios (Wang and Manning 2012), one class against the others.

    Parameters
    ----------
    counts : sparse (n, T)
        Whether a term stands in a row is all that is used.
    y : array (n,)
        At least two classes.
    cost : float, default 1
        The paper's C.
    """
    from sklearn.svm import LinearSVC

    there, classes = counts.sign(), np.unique(y)
    fitted = []
    for name in classes[1:] if len(classes) == 2 else classes:
        ratio = ratios(there, y == name)
        machine = LinearSVC(C=cost, random_state=0, max_iter=5000).fit(there.multiply(ratio).tocsr(), y == name)
        fitted.append((ratio, machine.coef_[0], machine.intercept_[0]))
    return Machines(*(np.array(one, np.float64) for one in zip(*fitted, strict=True)))


def naive_bayes(*sides: Any, words: bool = True) -> Tuned:
    """Classes of test texts by multinomial naive Bayes: words alone or pairs too, and its smoothing, are tuned."""

    def tried() -> Iterable[tuple[Answers, Tuned]]:
        """For each setting what is answered for validation texts, and for test texts."""
        from sklearn.naive_bayes import MultinomialNB

        train, y, valid, _, test = sides
        for pairs in PAIRS:
            counts = counted(train, valid, test, words=words, pairs=pairs)
            for smoothing in SMOOTHING:
                model = MultinomialNB(alpha=smoothing).fit(counts.train, y)
                said = _answers(model, counts.test, y)
                yield _answers(model, counts.valid, y), Tuned(said, {"pairs": pairs, "alpha": smoothing})

    return _best(tried, *sides)


def support_vectors(*sides: Any, words: bool = True) -> Tuned:
    """Classes of test texts by NBSVM on words and their pairs: cost and share are tuned."""

    def tried() -> Iterable[tuple[Answers, Tuned]]:
        """For each setting what is answered for validation texts, and for test texts."""
        train, y, valid, _, test = sides
        classes, counts = np.unique(y), counted(train, valid, test, words=words)
        for cost in COSTS:
            machines = nbsvm(counts.train, y, cost)
            for share in SHARES:
                held, said = (
                    classes[machines.scores(one, share).argmax(axis=1)] for one in (counts.valid, counts.test)
                )
                found = Tuned(Answers(said, said), {"C": cost, "beta": share})
                yield Answers(held, held), found  # margins are no chances

    return _best(tried, *sides)


def regression(*sides: Any, words: bool = True) -> Tuned:
    """Classes of test texts by logistic regression on TF-IDF: words alone or pairs too, and its C, are tuned."""

    def tried() -> Iterable[tuple[Answers, Tuned]]:
        """For each setting what is answered for validation texts, and for test texts."""
        from sklearn.linear_model import LogisticRegression

        train, y, valid, _, test = sides
        for pairs in PAIRS:
            seen = weighed(counted(train, valid, test, words=words, pairs=pairs))
            for strength in STRENGTHS:
                with many_classes():
                    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3).fit(seen.train, y)
                said = _answers(model, seen.test, y)
                yield _answers(model, seen.valid, y), Tuned(said, {"pairs": pairs, "C": strength})

    return _best(tried, *sides)


def axes(train: Documents, test: Documents, count: int, seed: int, *, words: bool = True) -> tuple[Any, Any]:
    """Rows on the first axes of their TF-IDF, by truncated SVD (latent semantic analysis, Deerwester et al. 1990).

    Returns
    -------
    two arrays (n, L), (m, L)
        Of fewer columns where there are fewer terms or rows.
    """
    from sklearn.decomposition import TruncatedSVD

    seen = weighed(counted(train, train[:0], test, words=words, pairs=1))
    count = max(1, min(count, min(seen.train.shape) - 1))
    if seen.train.shape[1] < 2:
        return seen.train.toarray(), seen.test.toarray()
    svd = TruncatedSVD(count, random_state=seed % 2**32).fit(seen.train)
    return svd.transform(seen.train).astype(np.float32), svd.transform(seen.test).astype(np.float32)


def weighed(counts: Counted) -> Counted:
    """Counts as TF-IDF, weighed by the training rows."""
    from sklearn.feature_extraction.text import TfidfTransformer

    way = TfidfTransformer(sublinear_tf=True).fit(counts.train)
    return Counted(*(way.transform(one) if one.shape[0] else one for one in counts))


def _answers(model: Any, asked: Sparse, y: Labels) -> Answers:
    return answers(model.classes_, model.predict_proba(asked), y)


def _best(
    tried: Callable[[], Iterable[tuple[Answers, Tuned]]],
    train: Documents,
    train_y: Labels,
    valid: Documents,
    valid_y: Labels,
    test: Documents,
) -> Tuned:
    """What the setting says of test rows that has the best balanced accuracy on validation rows."""
    best, found = -1.0, Tuned(Answers(*[np.full(len(test), train_y[0])] * 2), {})
    if len(np.unique(train_y)) < 2:
        return found
    for held, said in tried():
        right = balanced_accuracy(held.fair, valid_y)
        if right > best:
            best, found = right, said
    return found
