"""Free text as weights of its terms: words, or groups of characters."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields.field import Documents, Field, missing
from isthmus.data.fields.plain import number, only, positive
from isthmus.errors import BadInput

WORD = r"\w+"
LEAST_ROWS = 2
"""Fewer training rows say nothing of a term, and what stands in one row only is in no file that leaves the house."""
SHARED = 10
"""Texts that share a term if there is something to learn from a column."""
FEWEST, MOST = 32, 1000
"""Terms that are kept unless another number is asked for: as many as there are training rows, within these."""
WIDEST = 1 << 15
"""Terms that may be asked for."""
LARGEST = 1 << 29
"""Weights of all training rows together, which are kept dense: 2 GiB."""
READ = 100_000
"""Characters of a text that are read."""
LONGEST = 40
"""Characters of a term; what is longer is no word."""
LEAST_WORDS = 4
"""Fewer words are a name."""
LOOKED_AT = 1000
"""Characters by which the script of a text is told."""
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
TOLD = 8
"""Terms by which a row is told."""


@dataclass(frozen=True, eq=False)
class Text:
    """Texts as TF-IDF: what is common in a text and rare in others weighs most.

    The weight of a term is (1 + ln count) (1 + ln((1 + n) / (1 + rows with it))), and the weights of a text have
    length 1 (Salton and Buckley 1988, as scikit-learn has it). The terms are those that most training rows hold.
    From each weight the mean is subtracted, and all are divided by one number, so that their variances sum to the root
    of the number of terms: a text says more than a number does, and does not drown twenty of them.

    Examples
    --------
    >>> texts = np.array(["good film", "bad film", "Good!", "bad, bad"], dtype=object)
    >>> column = Text.fit(texts, Field("review", "text"))
    >>> column.terms, column.encode(texts).shape
    (('bad', 'film', 'good'), (4, 3))
    >>> column.decode(column.encode(np.array(["a film, a good one"], dtype=object))).tolist()
    ['film good']
    """

    kind: ClassVar[str] = "text"
    outcome: ClassVar[str] = "number"
    analyzer: ClassVar[str] = "word"
    lengths: ClassVar[tuple[int, int]] = (1, 1)
    unit: ClassVar[str] = "word"
    between: ClassVar[str] = " "
    """What stands between the terms by which a row is told."""

    terms: tuple[str, ...]
    """In alphabetic order."""
    idf: tuple[float, ...]
    means: tuple[float, ...]
    """Of the weights, over the training rows."""
    scale: float

    @property
    def shares(self) -> tuple[float, ...]:
        return ()

    @property
    def width(self) -> int:
        return len(self.terms)

    @classmethod
    def fit(cls, cells: Documents, field: Field) -> Self:
        texts = cells[~missing(cells)]
        wanted = usual_width(field, len(texts))
        counts, terms = cls._counted(texts)
        rows = np.bincount(counts.indices, minlength=len(terms))
        best = np.argsort(-rows, kind="stable")[:wanted]
        kept = np.sort(best[rows[best] >= LEAST_ROWS])
        if not len(kept):
            raise BadInput(
                f"column {field.name!r:.60}: no {cls.unit} stands in two training rows, so nothing can be learnt from "
                f"it; leave it out (drop)"
            )
        idf = 1 + np.log((1 + len(texts)) / (1 + rows[kept]))
        bare = cls(tuple(terms[k] for k in kept), tuple(idf.tolist()), (0.0,) * len(kept), 1.0)
        weights = bare._weights(counts[:, kept])
        means, scale = spread(weights)
        return cls(bare.terms, bare.idf, means, scale)

    @classmethod
    def tells(cls, texts: Documents) -> bool:
        """Whether some term stands in so many texts that the training rows of any split will share some."""
        counts, terms = cls._counted(texts)
        return len(terms) > 0 and int(np.bincount(counts.indices).max()) >= SHARED

    @classmethod
    def _counted(cls, texts: Sequence[str] | Documents) -> tuple[Any, list[str]]:
        """How often each term of texts stands in each, sparse (n, T), and the T terms in alphabetic order."""
        counter = cls._counter()
        try:
            counts = counter.fit_transform(texts)
        except ValueError:  # no term in all texts
            from scipy.sparse import csr_array

            return csr_array((len(texts), 0)), []
        names = counter.get_feature_names_out().tolist()
        short = [k for k, name in enumerate(names) if len(name) <= LONGEST]
        return counts[:, short], [names[k] for k in short]

    @classmethod
    def _counter(cls, vocabulary: Sequence[str] | None = None) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(
            preprocessor=plain,
            token_pattern=WORD if cls.analyzer == "word" else None,
            analyzer=cls.analyzer,
            ngram_range=cls.lengths,
            vocabulary=vocabulary,
            dtype=np.float64,
        )

    @cached_property
    def _known(self) -> Any:
        return self._counter(list(self.terms))

    def _weights(self, counts: Any) -> Any:
        """Counts (n, T) as TF-IDF, sparse."""
        from sklearn.preprocessing import normalize

        counts = counts.copy()
        counts.data = 1 + np.log(counts.data)
        return normalize(counts.multiply(np.asarray(self.idf)).tocsr())

    def encode(self, cells: Documents) -> NDArray[np.float64]:
        if not len(cells):
            return np.zeros((0, self.width))
        weights = self._weights(self._known.transform(map(str, cells))).toarray()
        return np.asarray((weights - np.asarray(self.means)) / self.scale)

    def decode(self, x: NDArray[np.float64]) -> Documents:
        """The terms that weigh most in each row, those above their mean, the heaviest first; never a sentence."""
        best = np.argsort(-(x * self.scale + np.asarray(self.means)), axis=1, kind="stable")[:, :TOLD]
        told = [
            self.between.join(self.terms[k] for k in row if cells[k] > 0) for row, cells in zip(best, x, strict=True)
        ]
        return np.array([*told, None], dtype=object)[:-1]

    def names(self, field: Field) -> list[str]:
        return [f"{field.name}: {term}" for term in self.terms]

    def to_json(self) -> dict[str, Any]:
        return {"terms": list(self.terms), "idf": list(self.idf), "means": list(self.means), "scale": self.scale}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        only(cls.kind, data, "terms", "idf", "means", "scale")
        terms, idf, means = data["terms"], data["idf"], data["means"]
        if not isinstance(terms, list) or not 0 < len(terms) <= WIDEST:
            raise BadInput(f"{cls.kind}: terms must be a list of 1 to {WIDEST:,}")
        if any(not isinstance(term, str) or not 0 < len(term) <= LONGEST for term in terms):
            raise BadInput(f"{cls.kind}: terms must be texts of 1 to {LONGEST} characters")
        if len(set(terms)) < len(terms):
            raise BadInput(f"{cls.kind}: a term stands twice")
        if not isinstance(idf, list) or not isinstance(means, list) or not len(idf) == len(means) == len(terms):
            raise BadInput(f"{cls.kind}: expected a weight and a mean for each term")
        weights = tuple(number(f"{cls.kind}.idf", value) for value in idf)
        if min(weights) <= 0:
            raise BadInput(f"{cls.kind}: weights must be positive")
        centres = tuple(number(f"{cls.kind}.means", value) for value in means)
        return cls(tuple(terms), weights, centres, positive(cls.kind, data, "scale"))


class Characters(Text):
    """The same of all groups of two to four characters: for scripts without blanks, and for words that are misspelt or
    bent in many ways. Groups do not reach over the blanks between words.

    Examples
    --------
    >>> column = Characters.fit(np.array(["好电影", "坏电影"], dtype=object), Field("review", "characters"))
    >>> column.terms
    ('影 ', '电影', '电影 ')
    """

    kind: ClassVar[str] = "characters"
    analyzer: ClassVar[str] = "char_wb"
    lengths: ClassVar[tuple[int, int]] = (2, 4)
    unit: ClassVar[str] = "group of characters"
    between: ClassVar[str] = " · "


def usual_width(field: Field, rows: int) -> int:
    """How many elements a column of free text takes: as many as are asked for, or as there are rows, within bounds.

    Raises
    ------
    BadInput
        If so many of so many training rows would fill the memory.
    """
    if rows * field.terms > LARGEST:
        raise BadInput(
            f"column {field.name!r:.60}: {field.terms:,} terms of {rows:,} rows would take "
            f"{rows * field.terms * 4 / 2**30:.1f} GiB; ask for {max(1, LARGEST // rows):,} terms at most (terms), or "
            "give fewer rows"
        )
    return field.terms or min(int(np.clip(rows, FEWEST, MOST)), LARGEST // max(1, rows))


def spread(weights: Any) -> tuple[tuple[float, ...], float]:
    """Means of sparse weights (n, T), and what they are divided by, so that their variances sum to the root of T."""
    if not weights.shape[0]:
        return (0.0,) * weights.shape[1], 1.0
    means = np.asarray(weights.mean(axis=0)).ravel()
    whole = float(weights.power(2).mean(axis=0).sum() - np.square(means).sum())
    return tuple(means.tolist()), math.sqrt(whole / math.sqrt(len(means))) if whole > 1e-12 else 1.0


def plain(text: str) -> str:
    """A text as it is counted: its beginning, in one form of Unicode (NFKC), in small letters, without control signs.

    Examples
    --------
    >>> plain("Ｆｕｌｌ\\x00 WIDTH")
    'full  width'
    """
    text = unicodedata.normalize("NFKC", text[:READ]).lower()
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


def worded(text: str) -> bool:
    """Whether a text is more than a name: four words, or eight signs of a script without blanks.

    Examples
    --------
    >>> worded("a very good film"), worded("John Smith"), worded("这部电影非常好看")
    (True, False, True)
    """
    return len(text[:READ].split(maxsplit=LEAST_WORDS)) >= LEAST_WORDS or (
        unspaced(text) and len(text) >= 2 * LEAST_WORDS
    )


def unspaced(text: str) -> bool:
    """Whether most letters of a text are of a script without blanks between words: Chinese, Japanese, Thai, Lao, Khmer
    or Burmese."""
    letters = [sign for sign in text[:LOOKED_AT] if sign.isalpha()]
    return 2 * sum(bool(UNSPACED.match(sign)) for sign in letters) > len(letters)
