"""Free text as a bag of words and of parts of words, hashed into a fixed number of buckets: no term is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields.field import Documents, Field, missing
from isthmus.data.fields.plain import number, only, positive
from isthmus.data.fields.text import LONGEST, TOLD, WIDEST, WORD, plain, spread, usual_width
from isthmus.errors import BadInput

PARTS = (3, 4, 5)
"""Characters of a part of a word."""


@dataclass(frozen=True, eq=False)
class Hashed:
    """Texts by their words and the parts of these, three to five characters with marks where a word begins and ends
    (Bojanowski et al. 2017, Enriching word vectors with subword information, TACL 5), each counted in the bucket that
    its hash says, with a sign of its own (Weinberger et al. 2009, Feature hashing for large scale multitask learning,
    ICML; scikit-learn's ``HashingVectorizer``).

    Buckets are weighed by (1 + ln((1 + n) / (1 + rows that fill them))), and the weights of a text have length 1. A
    word that was not there in training fills the buckets of its parts, and nothing that is kept tells a word.

    Examples
    --------
    >>> texts = np.array(["good film", "bad film", "Good!", "bad, bad"], dtype=object)
    >>> column = Hashed.fit(texts, Field("review", "hashed", terms=8))
    >>> column.encode(texts).shape, column.decode(column.encode(texts))[0]
    ((4, 8), '#5 #6 #1')
    """

    kind: ClassVar[str] = "hashed"
    outcome: ClassVar[str] = "number"

    idf: tuple[float, ...]
    """Weights of the buckets."""
    means: tuple[float, ...]
    """Of what is in them, over the training rows."""
    scale: float

    @property
    def shares(self) -> tuple[float, ...]:
        return ()

    @property
    def width(self) -> int:
        return len(self.idf)

    @classmethod
    def fit(cls, cells: Documents, field: Field) -> Self:
        texts = cells[~missing(cells)]
        width = usual_width(field, len(texts))
        counts = _counts(texts, width)
        idf = 1 + np.log((1 + len(texts)) / (1 + np.bincount(counts.indices, minlength=width)))
        means, scale = spread(_weights(counts, idf))
        return cls(tuple(idf.tolist()), means, scale)

    def encode(self, cells: Documents) -> NDArray[np.float64]:
        if not len(cells):
            return np.zeros((0, self.width))
        weights = _weights(_counts([*map(str, cells)], self.width), np.asarray(self.idf)).toarray()
        return np.asarray((weights - np.asarray(self.means)) / self.scale)

    def decode(self, x: NDArray[np.float64]) -> Documents:
        """The numbers of the buckets that are fullest in each row, those above their mean: no word can be told."""
        best = np.argsort(-(x * self.scale + np.asarray(self.means)), axis=1, kind="stable")[:, :TOLD]
        told = [" ".join(f"#{k}" for k in row if cells[k] > 0) for row, cells in zip(best, x, strict=True)]
        return np.array([*told, None], dtype=object)[:-1]

    def names(self, field: Field) -> list[str]:
        return [f"{field.name}: #{k}" for k in range(self.width)]

    def to_json(self) -> dict[str, Any]:
        return {"idf": list(self.idf), "means": list(self.means), "scale": self.scale}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        only(cls.kind, data, "idf", "means", "scale")
        idf, means = data["idf"], data["means"]
        if not isinstance(idf, list) or not isinstance(means, list) or not 0 < len(idf) == len(means) <= WIDEST:
            raise BadInput(f"hashed: expected weights of 1 to {WIDEST:,} buckets, and a mean for each")
        weights = tuple(number("hashed.idf", value) for value in idf)
        if min(weights) <= 0:
            raise BadInput("hashed: weights must be positive")
        return cls(weights, tuple(number("hashed.means", value) for value in means), positive(cls.kind, data, "scale"))


def pieces(text: str) -> list[str]:
    """The words of a text, and their parts.

    Examples
    --------
    >>> pieces("Good!")
    ['good', '<go', 'goo', 'ood', 'od>', '<goo', 'good', 'ood>', '<good', 'good>']
    """
    found = []
    for word in re.findall(WORD, plain(text)):
        marked = f"<{word}>"
        found += [word] * (len(word) <= LONGEST)
        found += [marked[i : i + n] for n in PARTS for i in range(len(marked) - n + 1)]
    return found


def _counts(texts: Any, width: int) -> Any:
    """How often each bucket is hit, less how often with the other sign, sparse (n, width)."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import HashingVectorizer

    if not len(texts):
        return csr_matrix((0, width))
    return HashingVectorizer(analyzer=pieces, n_features=width, norm=None).transform(texts)


def _weights(counts: Any, idf: NDArray[np.float64]) -> Any:
    from sklearn.preprocessing import normalize

    return normalize(counts.multiply(idf).tocsr()) if counts.shape[0] else counts
