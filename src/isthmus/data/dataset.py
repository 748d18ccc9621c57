"""What every reader hands over: finite rows, and class codes where the data has labels."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.axes import doubts, pictures
from isthmus.data.cautions import note, of_dates, sentences, telling
from isthmus.data.fields import KINDS, TEXTS, Field
from isthmus.data.fields.field import MEASURED
from isthmus.data.layout import coded
from isthmus.data.metadata import NONE, Metadata, in_proportion
from isthmus.data.picture import Canvas
from isthmus.data.series import Series
from isthmus.data.sparse import SparseRows
from isthmus.data.split import Split, grouped, ordered, split
from isthmus.data.truth import Truth
from isthmus.data.windows import Windows
from isthmus.data.wording import shown
from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed

LOOKED_AT = 2000
"""Rows by which the number of terms of free text is told."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows to learn from.

    Examples
    --------
    >>> from isthmus.data.read import read
    >>> digits = read("digits")
    >>> digits.x.shape, digits.images, digits.classes[:3]
    ((1797, 8, 8), True, ('0', '1', '2'))
    """

    name: str
    """Short name shown to people: ``digits``, the stem of a file, ``X`` for an array or a frame."""
    x: Any
    """Rows (N, *D): float32, C-contiguous, finite, in the units of the data; of encoded pictures uint8, or uint16. With
    ``fields``, the cells of a table (N, F): float64, NaN where one is missing, and what a number means is its field's
    affair. Where some are free text, an array of objects, in which these are the texts themselves."""
    y: NDArray[np.int64] | None
    """Class codes (N,), 0 to C - 1, or None."""
    classes: tuple[str, ...]
    """The names of the C classes; empty without labels."""
    columns: tuple[str, ...]
    """One name for each of the prod(D) elements of a row."""
    anomaly: str | None = None
    """The class whose rows are anomalies; None if labels are ordinary classes."""
    source: str = ""
    """Where it came from, as the user gave it."""
    label: str | None = None
    """The column, or member, that the labels were asked from; None if they were not, or came as an array."""
    factors: NDArray[np.float64] | None = None
    """What made each row, where it is known: numbers (N, F), or None. Nothing is trained on them."""
    factor_names: tuple[str, ...] = ()
    """F names."""
    told: tuple[str, ...] = ()
    """What was inferred to read the data, a sentence each."""
    said: bool | None = None
    """Whether rows are images, where the user or the format says so."""
    fields: tuple[Field, ...] = ()
    """What the columns of a table are; none where all are numbers without gaps."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for when a table was read, besides its labels: ``kinds``, ``drop`` and ``missing``, and
    the columns of ``metadata``."""
    metadata: Metadata = NONE
    """What is known of the rows besides their columns: groups, times, weights."""
    canvas: Canvas | None = None
    """What encoded pictures were drawn on; None of other rows."""
    windows: Windows | None = None
    """Which steps of a series the rows are windows of; None where they are no windows."""
    aside: Mapping[str, str] = field(default_factory=dict)
    """Columns of a table that cannot be learnt from, with the reason, to stand behind the name and "it"."""
    network: str | None = None
    """SHA-256 of the graph whose features of pictures the rows are, or of the language model whose embeddings of texts
    they hold; None of other rows."""
    counts: int | None = None
    """Most columns that are kept of rows of counts, which are :class:`isthmus.data.sparse.SparseRows`; None of others.
    """

    habit: str = ""
    """The decimal mark of numbers in the file, where it could be meant otherwise in other rows; empty where it could
    not, or columns have different ones, which their fields tell."""
    truth: Truth | None = None
    """The features that rows are sums of; None where nobody knows. Nothing is trained on them."""

    def __post_init__(self) -> None:
        if self.said and self.x.ndim not in (3, 4):
            raise BadInput(
                f"{self.name}: rows of shape {self.shape} are not images; give (N, H, W) or "
                "(N, H, W, C), or leave images (--images) out"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """``*D``, the shape of one row."""
        return tuple(self.x.shape[1:])

    @property
    def series(self) -> Series | None:
        """What windows the rows are; None where they are none."""
        return None if self.windows is None else self.windows.series

    @property
    def laid(self) -> dict[str, Any]:
        """What a layout is told besides the rows (:func:`isthmus.data.layout.laid_out`)."""
        own = {"fields": self.fields, "images": self.images, "series": self.series, "counts": self.counts}
        return own | {"habit": self.habit}

    @cached_property
    def still(self) -> bool:
        """Whether all rows are the same."""
        if isinstance(self.x, SparseRows):
            columns = self.x.matrix.tocsc()
            return bool((columns.max(axis=0).toarray() == columns.min(axis=0).toarray()).all())
        return bool((self.x == self.x[:1]).all())

    @cached_property
    def extent(self) -> tuple[int, ...]:
        """``*D``, a column of free text counting for its terms, as far as some rows tell, and rows of counts for the
        columns that are kept: what a code is made for."""
        if self.counts is not None:
            return (min(self.counts, self.shape[0]),)
        textual = [j for j, field in enumerate(self.fields) if field.kind in TEXTS]
        if not textual:
            return self.shape
        some = self.x[:: max(1, len(self.x) // LOOKED_AT)]
        terms = sum(KINDS[self.fields[j].kind].fit(some[:, j], self.fields[j]).width for j in textual)
        return (len(self.fields) - len(textual) + terms,)

    @cached_property
    def images(self) -> bool:
        """Whether rows are images, height x width or height x width x channels: as said, else if it is plausible."""
        return self.counts is None and pictures(self.x) if self.said is None else self.said

    @cached_property
    def cautions(self) -> tuple[str, ...]:
        """What a person should know about how these data were read and what is odd about them, a sentence each."""
        if self.counts is not None:
            return self.told
        axes = None if self.said or self.windows else doubts(self.x, self.images, self.said)
        numeric = [j for j, name in enumerate(self.columns) if not self.fields or self.fields[j].kind in MEASURED]
        columns = tuple(self.columns[j] for j in numeric) if self.fields else self.columns
        flat = len(self.shape) == 1
        odd = (
            sentences(self.x[:, numeric].astype(np.float64) if self.fields else self.x, columns)
            if flat and numeric
            else []
        )
        dated = [j for j, field in enumerate(self.fields) if field.kind == "date"]
        odd += of_dates(self.x[:, dated].astype(np.float64), [self.columns[j] for j in dated]) if dated else []
        if (at := self.note) is not None:
            text = self.fields[at].values[int(self.x[-1, at])]
            odd += [f"the last row holds {shown(text)} and nothing else; take it away if it is a note"]
        odd += telling(coded(self.x, self.fields), self.y, self.columns) if flat else []
        return (*self.told, *([] if axes is None else [axes]), *odd)

    @cached_property
    def note(self) -> int | None:
        """The column in which a note below the rows of a table stands; None where there is none."""
        worded = [j for j, field in enumerate(self.fields) if field.kind == "category" and field.values]
        return note(self.x, worded) if worded and self.x.dtype != object else None

    def split(self, seed: int, replicate: int = 0) -> Split:
        """Training, validation and test rows of a replicate, as groups or times allow; time knows no chance."""
        if self.windows is not None:
            origins = self.origins
            if origins is not None and replicate >= len(origins):
                remedy = f"ask for {len(origins)} replicates" if len(origins) > 1 else "leave anomaly out"
                raise BadInput(
                    f"{self.name}: anomalies lie after normal steps to learn from in only {len(origins)} forecasts, "
                    f"and replicate {replicate + 1} needs one more; {remedy}, or give more steps"
                )
            return self.windows.split(replicate if origins is None else origins[replicate])
        if self.metadata.time is not None:
            return ordered(self.metadata.time, replicate)
        if self.metadata.group is not None:
            return grouped(self.metadata.group, seed, y=self.y)
        return split(len(self.x), seed, y=self.y)

    @cached_property
    def origins(self) -> list[int] | None:
        """The origins of forecasts that replicates use, where the windows of a series have anomalies; else None."""
        if self.windows is None or self.anomaly is None or self.y is None:
            return None
        return self.windows.usable(self.y == self.classes.index(self.anomaly))

    def as_often(self, parts: Split, seed: int) -> Split:
        """Training and validation rows as often as their weights say, and every test row once."""
        weight = self.metadata.weight
        if weight is None:
            return parts
        often = (part[in_proportion(weight[part], hashed(seed, "weights", k))] for k, part in enumerate(parts[:2]))
        return parts._replace(**dict(zip(Split._fields, often, strict=False)))

    @cached_property
    def before(self) -> NDArray[np.int64] | None:
        """The commonest class at the time before each row's own, (N,); -1 at the first time. None without times."""
        if self.windows is not None:
            return self.windows.before
        if self.metadata.time is None or self.y is None:
            return None
        times, when = np.unique(self.metadata.time, return_inverse=True)
        counts = np.zeros((len(times), len(self.classes)), np.int64)
        np.add.at(counts, (when.ravel(), self.y), 1)
        return np.append(-1, counts.argmax(axis=1))[when.ravel()]

    def warn(self, level: int = 3) -> None:
        """Say the cautions to who calls the library, as warnings: those can be read, counted, and turned off.

        ``level`` says whom they are for, as in :func:`warnings.warn`: by default the caller of the caller of this.
        """
        for said in self.cautions:
            warnings.warn(f"{self.name}: {said}", UserWarning, stacklevel=level)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of rows, labels, anomaly, factors, truth and metadata: equal data, equal digest, whatever the
        name."""
        about = json.dumps([self.x.shape, self.y is not None, self.classes, self.anomaly])
        found = hashlib.sha256(about.encode())
        textual = [field.kind in TEXTS for field in self.fields]
        numbers = self.x[:, np.logical_not(textual)] if any(textual) else self.x
        written = [self.x[:, j] for j in np.flatnonzero(textual)]
        if self.fields:
            found.update(json.dumps([replace(field, habit="").to_json() for field in self.fields]).encode())
        for text in (text for column in written for text in column):
            found.update(json.dumps(text).encode())
        if isinstance(numbers, SparseRows):
            numbers.into(found)
        else:
            found.update(np.ascontiguousarray(numbers, "<f8" if self.fields else "<f4").data)
        if self.y is not None:
            found.update(np.ascontiguousarray(self.y, "<i8").data)
        if self.factors is not None:
            found.update(json.dumps(self.factor_names).encode())
            found.update(np.ascontiguousarray(self.factors, "<f8").data)
        for name, known in () if self.truth is None else self.truth._asdict().items():
            if known is not None:
                found.update(f"truth {name} {known.shape}".encode())
                found.update(np.ascontiguousarray(known, "<f8").data)
        self.metadata.into(found)
        if self.windows is not None:
            self.windows.into(found)
        return found.hexdigest()


def element_names(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names for the elements of rows that bring none: their indices.

    Examples
    --------
    >>> element_names((3,)), element_names((1, 2))
    (('x0', 'x1', 'x2'), ('x0_0', 'x0_1'))
    """
    return tuple("x" + "_".join(index) for index in product(*([str(k) for k in range(n)] for n in shape)))
