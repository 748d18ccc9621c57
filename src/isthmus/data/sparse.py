"""Rows most of whose numbers are 0: kept by what is not, and made dense some at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.files import fits
from isthmus.data.wording import shown
from isthmus.errors import BadInput

KINDS = ("csr", "csc", "coo")
"""Forms of scipy's sparse matrices that are read."""


class SparseRows:
    """Rows (N, D) as a compressed sparse matrix, with as much of an array's ways as rows need.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array (N, D)
        float32, indices in order, nothing twice, no zero that is written down.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows = SparseRows(csr_array(np.eye(3, dtype=np.float32)))
    >>> len(rows), rows.shape, rows[1:].shape, np.asarray(rows[:1])
    (3, (3, 3), (2, 3), array([[1., 0., 0.]], dtype=float32))
    """

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix

    @classmethod
    def of(cls, where: str, matrix: Any) -> SparseRows:
        """Any sparse matrix, or an array of two axes, checked; ``where`` is the head of every message.

        Raises
        ------
        BadInput
            If its parts contradict each other, or a number is missing, infinite or beyond 32-bit floats.
        """
        from scipy import sparse

        if isinstance(matrix, SparseRows):
            return matrix
        found: Any = matrix if sparse.issparse(matrix) else _plain(where, matrix)
        if sparse.issparse(found):
            if found.ndim != 2:
                raise BadInput(f"{where}: a sparse array of shape {found.shape}; expected rows x columns")
            if found.dtype.kind not in "biuf":
                raise BadInput(f"{where}: a sparse matrix of {found.dtype}; give X.astype('float32')")
            found = found if found.format in KINDS else found.tocsr()  # lil, dok, bsr, dia
            if found.format in ("csr", "csc"):
                _sound(where, found)
        with np.errstate(over="ignore"):  # what is not finite is named below
            rows = sparse.csr_array(found, dtype=np.float32, copy=True)  # what comes from outside stays as it is
        rows.sum_duplicates()
        rows.eliminate_zeros()
        if not (good := np.isfinite(rows.data)).all():
            at = int(np.argmin(good))
            i, j = int(np.searchsorted(rows.indptr, at, side="right")) - 1, int(rows.indices[at])
            raise BadInput(
                f"{where}: row {i + 1}, column {j + 1} (X[{i}, {j}]): the value is missing, infinite or beyond 32-bit "
                "floats; correct it or drop the row"
            )
        return cls(rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        rows, columns = self.matrix.shape
        return int(rows), int(columns)

    @property
    def size(self) -> int:
        """N D, zeros included."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return int(self.matrix.data.nbytes + self.matrix.indices.nbytes + self.matrix.indptr.nbytes)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> SparseRows:
        """Some rows, or some columns of all of them: ``rows[numbers]``, ``rows[:, numbers]``."""
        return SparseRows(self.matrix[key] if isinstance(key, tuple) else self.matrix[key, :])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them, dense."""
        fits("rows", 4 * self.size)
        return np.asarray(self.matrix.toarray(), dtype)

    def into(self, digest: Any) -> None:
        """Add the numbers to a digest of :mod:`hashlib`: equal rows, equal digest."""
        for part, kind in ((self.matrix.indptr, "<i8"), (self.matrix.indices, "<i8"), (self.matrix.data, "<f4")):
            digest.update(np.ascontiguousarray(part, kind).data)

    def whole(self) -> bool:
        """Whether all are counts: whole numbers of 0 or more."""
        data = self.matrix.data
        return bool((data >= 0).all() and (data == np.floor(data)).all())

    def __repr__(self) -> str:
        return f"SparseRows({shown(self.shape)}, {self.matrix.nnz:,} numbers other than 0)"


def scattered(x: Any) -> bool:
    """Whether this is a sparse matrix of scipy, or sparse rows; nothing is imported to tell.

    Examples
    --------
    >>> scattered(np.eye(2))
    False
    """
    return isinstance(x, SparseRows) or type(x).__module__.startswith("scipy.sparse")


def _plain(where: str, x: Any) -> NDArray[Any]:
    """An array of two axes, of real numbers."""
    found = np.asarray(x)
    if found.ndim != 2 or found.dtype.kind not in "biuf":
        raise BadInput(f"{where}: expected numbers, rows x columns; got shape {found.shape} of {found.dtype}")
    return found


def counts_of(where: str, x: Any, columns: int | None = None) -> SparseRows:
    """Rows of counts (N, D): a sparse matrix, or an array; ``where`` is the head of every message.

    Raises
    ------
    BadInput
        If some number is no count, or rows are not of ``columns`` columns.
    """
    rows = x if isinstance(x, SparseRows) else SparseRows.of(where, x)
    if columns is not None and rows.shape[1] != columns:
        raise BadInput(f"{where} must have shape ({columns},), as in training; got {rows.shape[1:]}")
    if not rows.whole():
        data = rows.matrix.data
        at = int(np.argmax((data < 0) | (data != np.floor(data))))
        i, j = int(np.searchsorted(rows.matrix.indptr, at, side="right")) - 1, int(rows.matrix.indices[at])
        other = ", or read them as other numbers (counts=False, --no-counts)" if columns is None else ""
        raise BadInput(
            f"{where}: row {i + 1}, column {j + 1} (X[{i}, {j}]): {data[at]:.6g} is no count; give whole numbers of 0 "
            f"or more{other}"
        )
    return rows


def _sound(where: str, matrix: Any) -> None:
    """Refuse a compressed matrix whose parts contradict each other: scipy's own code would read beyond them."""
    lines, across = matrix.shape if matrix.format == "csr" else matrix.shape[::-1]
    starts, places, count = matrix.indptr, matrix.indices, len(matrix.data)
    sound = (
        len(starts) == lines + 1
        and len(places) == count
        and starts[0] == 0
        and starts[-1] == count
        and bool((np.diff(starts) >= 0).all())
        and (not count or (int(places.min()) >= 0 and int(places.max()) < across))
    )
    if not sound:
        raise BadInput(
            f"{where}: data, indices and indptr do not fit a matrix of shape {matrix.shape}; write it again with "
            "scipy.sparse.save_npz"
        )
