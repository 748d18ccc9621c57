"""Rows of counts, such as the molecules of each gene in a cell: how many there are in a row, and what they are of.

A row is laid out as the share of its total that each column has, on a logarithmic scale that goes on through 0, and the
logarithm of its total as one element more: ``log1p(count * usual / total)``, where ``usual`` is the median total of the
training rows (Ahlmann-Eltze and Huber 2023, Nature Methods 20, find no transformation that serves better). All columns
share one scale, so that one that hardly varies weighs little; together they have a mean variance of 1.

Nothing is lost: counts come back exactly, so a likelihood of counts can be had of rows that are laid out
(:mod:`isthmus.parts.heads.counts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.data.fields.plain import number, only, positive
from isthmus.data.files import fits
from isthmus.data.sparse import SparseRows
from isthmus.errors import BadInput

MOST = 2000
"""Columns that are kept where nobody says how many."""
BLOCK = 1 << 22
"""Most numbers that are made dense at a time."""
WIDEST = 1 << 20
TOTAL = "total"
"""What the element of the row's total is called."""
LEAST, LARGEST = 1e-4, 1e4
"""Bounds of a dispersion that is told from the training rows."""
LONGEST = 60.0
"""Logarithms of a total are cut to this."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Rows of counts, laid out by their totals and shares; fitted on training rows.

    Examples
    --------
    >>> rows = np.array([[3, 1, 0], [0, 1, 4], [6, 1, 2.0]])
    >>> layout = Counts.fit(rows, 2)
    >>> layout.kept.tolist(), layout.apply(rows).shape
    ([0, 2], (3, 3))
    >>> layout.counted(layout.apply(rows))
    array([[3., 0.],
           [0., 4.],
           [6., 2.]])
    """

    kind: ClassVar[str] = "counts"

    columns: int
    """D, those of a row of the data."""
    kept: NDArray[np.int64]
    """(K,), the columns that have an element, in order."""
    shift: NDArray[np.float64]
    """(K,), the mean of each on the logarithmic scale."""
    scale: float
    """Of all of them."""
    usual: float
    """The median total of a row, over the columns that are kept."""
    total: tuple[float, float]
    """Mean and standard deviation of a total's logarithm."""
    shares: NDArray[np.float64]
    """(D,), what each column has of all that is counted in those that are kept."""
    dispersion: NDArray[np.float64]
    """(K,), how much more than a Poisson draw each varies where nothing but its share is known: a variance is
    mean + dispersion mean^2."""

    @classmethod
    def fit(cls, x: Any, most: int = MOST) -> Self:
        """Learn from training rows.

        Parameters
        ----------
        x : SparseRows or array (N, D)
            Whole numbers of 0 or more.
        most : int, default 2000
            Columns that are kept: those whose deviance from one share in all rows is largest (Townes et al. 2019,
            Genome Biology 20); never one that is 0 in all rows.

        Raises
        ------
        BadInput
            If nothing was counted.
        """
        matrix = _matrix(x)
        rows, columns = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices
        data, width = matrix.data.astype(np.float64), matrix.shape[1]
        sums, totals = np.bincount(columns, data, width), np.bincount(rows, data, matrix.shape[0])
        if not len(data):
            raise BadInput("rows of counts need something that was counted; all are 0")
        expected = totals[rows] * (sums / sums.sum())[columns]
        far = np.bincount(columns, data * np.log(data / expected), width)
        order = np.argsort(-far, kind="stable")
        kept = np.sort(order[sums[order] > 0][:most])
        place = np.full(width, -1)
        place[kept] = np.arange(len(kept))
        here = place[columns] >= 0
        rows, data, at = rows[here], data[here], place[columns[here]]
        own = np.bincount(rows, data, matrix.shape[0])
        usual = float(np.median(own[own > 0]))
        bent = np.log1p(data * usual / own[rows])
        n, k = matrix.shape[0], len(kept)
        shift = np.bincount(at, bent, k) / n
        spread = np.maximum(np.bincount(at, bent**2, k) / n - shift**2, 0.0).mean()
        logs = np.log(np.maximum(own, 1.0))
        share = sums[kept] / own.sum()
        squares = share**2 * np.square(own).sum()
        over = np.bincount(at, data**2 - 2 * data * share[at] * own[rows], k) + squares - share * own.sum()
        return cls(
            width,
            kept,
            shift,
            float(np.sqrt(spread)) if spread > 0 else 1.0,
            usual,
            (float(logs.mean()), float(logs.std()) or 1.0),
            sums / own.sum(),
            np.clip(over / squares, LEAST, LARGEST),
        )

    @property
    def width(self) -> int:
        """E, the elements of a row that is laid out."""
        return len(self.kept) + 1

    @property
    def constant(self) -> int:
        """How many columns held nothing but zeros."""
        return int((self.shares == 0).sum())

    @property
    def parts(self) -> tuple[()]:
        """There are no columns of several elements."""
        return ()

    def names(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """One for each element."""
        return (*(columns[j] for j in self.kept), TOTAL)

    def apply(self, x: Any) -> NDArray[np.float32]:
        """Counts (N, D), sparse or dense -> (N, K + 1), float32."""
        matrix = _matrix(x)
        if matrix.shape[1] != self.columns:
            raise BadInput(f"rows must have {self.columns} columns, as in training; got {matrix.shape[1]}")
        fits(f"{matrix.shape[0]:,} rows of {self.width - 1:,} counts", 4 * matrix.shape[0] * self.width)
        out = np.empty((matrix.shape[0], self.width), np.float32)
        for part, block in _blocks(matrix, self.width):
            counts = block[:, self.kept].toarray().astype(np.float64)
            totals = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
            out[part, :-1] = (np.log1p(counts * (self.usual / totals)) - self.shift) / self.scale
            out[part, -1] = (np.log(totals[:, 0]) - self.total[0]) / self.total[1]
        return out

    def totals(self, x: ArrayLike) -> NDArray[np.float64]:
        """The totals (N,) that rows (N, K + 1) say."""
        logs = np.asarray(x, np.float64)[:, -1] * self.total[1] + self.total[0]
        return np.exp(np.clip(logs, -LONGEST, LONGEST))

    def counted(self, x: ArrayLike) -> NDArray[np.float64]:
        """The counts (N, K) of rows of the data that are laid out."""
        laid = np.asarray(x, np.float64)
        found = np.expm1(laid[:, :-1] * self.scale + self.shift) * (self.totals(laid) / self.usual)[:, None]
        return np.maximum(np.rint(found), 0.0)

    def rates(self, x: ArrayLike) -> NDArray[np.float64]:
        """What share of its total each column has in rows as a model makes them: (N, K + 1) -> (N, K), of sum 1."""
        bent = np.asarray(x, np.float64)[:, :-1] * self.scale + self.shift
        found = np.expm1(np.clip(bent, 0.0, LONGEST))
        sums = found.sum(axis=1, keepdims=True)
        usual = self.shares[self.kept]
        return np.where(sums > 0, found / np.where(sums > 0, sums, 1.0), usual)

    def invert(self, x: ArrayLike) -> NDArray[np.float32]:
        """(N, K + 1) -> the counts to be expected (N, D); columns that are not kept have their usual shares."""
        totals = self.totals(x)
        found = totals[:, None] * np.where(np.isin(np.arange(self.columns), self.kept), 0.0, self.shares)
        found[:, self.kept] = totals[:, None] * self.rates(x)
        return found.astype(np.float32)

    def settled(self, x: ArrayLike, random: np.random.Generator | None = None) -> NDArray[np.float32]:
        """Rows as a model makes them as rows of whole counts, laid out: the nearest ones, or Poisson draws."""
        return self.drawn(x, None, random)

    def drawn(
        self, x: ArrayLike, dispersion: NDArray[np.float64] | None, random: np.random.Generator | None
    ) -> NDArray[np.float32]:
        """The same, with draws of a negative binomial where dispersions (K,) are given."""
        mean = self.totals(x)[:, None] * self.rates(x)
        if random is None:
            counts = np.rint(mean)
        else:
            if dispersion is not None:
                mean = mean * random.gamma(1 / dispersion, dispersion, mean.shape)
            counts = random.poisson(np.minimum(mean, 1e15)).astype(np.float64)
        whole = np.zeros((len(counts), self.columns))
        whole[:, self.kept] = counts
        return self.apply(whole)

    def observed(self, x: NDArray[np.float32]) -> None:
        """Everything is there."""

    def astray(self, x: ArrayLike, bounded: bool = False) -> None:
        """Counts have one unit."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kind": self.kind,
            "kept": self.kept.tolist(),
            "shift": self.shift.tolist(),
            "scale": self.scale,
            "usual": self.usual,
            "total": list(self.total),
            "shares": self.shares.tolist(),
            "dispersion": self.dispersion.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From plain data that may come from anywhere; refused with BadInput if it makes no sense."""
        only("counts", data, "kind", "kept", "shift", "scale", "usual", "total", "shares", "dispersion")
        shift, total, shares, dispersion = (_floats(data, name) for name in ("shift", "total", "shares", "dispersion"))
        kept = data["kept"]
        if not isinstance(kept, list) or any(type(j) is not int or not 0 <= j < len(shares) for j in kept):
            raise BadInput("counts: kept must be places of columns")
        if not kept or kept != sorted(set(kept)) or len(kept) != len(shift) or len(kept) != len(dispersion):
            raise BadInput("counts: kept, shift and dispersion must be as many, places in order")
        if len(total) != 2 or total[1] <= 0 or (shares < 0).any() or (dispersion <= 0).any():
            raise BadInput("counts: shares must be 0 or more, dispersions and the deviation of totals positive")
        scale, usual = (positive("counts", data, name) for name in ("scale", "usual"))
        at = np.array(kept, np.int64)
        return cls(len(shares), at, shift, scale, usual, (float(total[0]), float(total[1])), shares, dispersion)


def _matrix(x: Any) -> Any:
    """Rows as a matrix of scipy."""
    if isinstance(x, SparseRows):
        return x.matrix
    from scipy import sparse

    return sparse.csr_array(x if sparse.issparse(x) else np.asarray(x, np.float64))


def _blocks(matrix: Any, width: int) -> Iterator[tuple[slice, Any]]:
    """Some rows at a time."""
    step = max(1, BLOCK // width)
    for start in range(0, matrix.shape[0], step):
        part = slice(start, start + step)
        yield part, matrix[part, :]


def _floats(data: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    values = data[name]
    if not isinstance(values, list) or not 0 < len(values) <= WIDEST:
        raise BadInput(f"counts.{name}: expected a list of numbers")
    return np.array([number(f"counts.{name}", value) for value in values])
