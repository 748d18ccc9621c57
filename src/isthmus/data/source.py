"""Rows that stay where they are: files that need not fit into memory, read a block of rows at a time, in any order.

A block is what a file lets one read by itself: a row group of Parquet, a few megabytes of ``.npy`` and of shards.
Rows are counted from 0 through all blocks. A source holds no row; readers in several threads may share it.
"""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.data.arrays import memory, npy_head
from isthmus.data.arrow_file import ENDS as ARROW
from isthmus.data.columnar import Arrow, Asked, Columnar, Parquet, short
from isthmus.data.dataset import element_names
from isthmus.data.encoded import pictures_in
from isthmus.data.fields import Field
from isthmus.data.files import check, parsing
from isthmus.data.kinds import checked_terms
from isthmus.data.shards import Shard, opened, shards_in
from isthmus.data.spool import ENDS as SPOOLED
from isthmus.data.spool import Spooled
from isthmus.data.table import table
from isthmus.data.unchecked import LEAST_ROWS, Unchecked, array_words, enough
from isthmus.data.wording import place, shown
from isthmus.errors import BadInput, NoSuchColumn
from isthmus.seeds import seed as hashed

PIECE = 1 << 21
"""Bytes of an array that are a block, about: large enough to be read at the rate of the disk, small enough that many
of them, from all over the file, are in memory at once."""
COPIES = 8
"""Times that its rows are there while a study works on them, as 64-bit numbers, about."""
BEARABLE = 1 << 30
"""Bytes of numbers above which only a draw of the rows is read into memory, where nobody says how many."""
PACKED = 16
"""Bytes out of one byte of a file, of so large a file as is looked at."""
ENDS = (".parquet", *ARROW, ".npy", ".safetensors")
"""Ends of names of files of which some rows are drawn."""


@runtime_checkable
class Source(Protocol):
    """Where rows come from: how many, what their columns are called, and the rows themselves by blocks."""

    @property
    def place(self) -> str:
        """Head of every message: the path as given."""

    @property
    def name(self) -> str:
        """Short name shown to people."""

    @property
    def columns(self) -> tuple[str, ...]:
        """One name for each number of a row."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the columns are; none where all are plain numbers."""

    @property
    def told(self) -> tuple[str, ...]:
        """What was inferred to read the rows, a sentence each."""

    @property
    def plain(self) -> bool:
        """Whether rows may be plain numbers, as far as can be told without looking at them."""

    @property
    def stated(self) -> Mapping[str, str]:
        """Of which columns the file itself says that they are of kind ``category`` or ``ordered``."""

    @property
    def habits(self) -> Mapping[str, str]:
        """How columns of numbers are written, where that is known and could be otherwise
        (:attr:`isthmus.data.fields.Field.habit`)."""

    @property
    def asked(self) -> Asked:
        """What was asked of the columns."""

    @property
    def beside(self) -> tuple[str, ...]:
        """Columns that say groups, times and weights; they are no part of the rows."""

    @property
    def starts(self) -> NDArray[np.int64]:
        """(K + 1,): block k holds the rows from ``starts[k]`` on, up to ``starts[k + 1]``."""

    @property
    def bytes(self) -> int:
        """Bytes of the files."""

    @property
    def most(self) -> int:
        """Bytes that reading one block takes at most, its rows as they come included."""

    def block(self, number: int, error: NDArray[np.float64] | None = None) -> NDArray[Any]:
        """The rows of a block as 32-bit floats, (n, D), NaN where a number is missing. ``error`` (D,) is raised to by
        how much that differs at most from what stands in the file. Where there are ``fields``, the cells of a table
        (n, F), as 64-bit floats."""

    def table(self, number: int, names: Sequence[str] | None = None) -> pa.Table:
        """The rows of a block as the file has them: all its columns, or some."""


def source(
    path: str | os.PathLike[str],
    *,
    kinds: Mapping[str, str] | None = None,
    drop: str | Iterable[str] | None = None,
    missing: Iterable[float] | None = None,
    terms: int | None = None,
    label: str | None = None,
    group: str | None = None,
    time: str | None = None,
    weights: str | None = None,
) -> Source:
    """A file, or a folder of shards, to train on without holding it in memory.

    Parameters
    ----------
    path : path
        ``.parquet``, ``.arrow`` or ``.feather`` (Arrow IPC), ``.csv``, ``.tsv``, ``.jsonl``, ``.json`` or ``.txt``
        (plain or ``.gz``; put into a temporary file of columns once), ``.npy`` (rows x columns), ``.safetensors``, or a
        folder of shards.
    kinds : mapping of column names to kinds, optional
        What columns are, where something else was inferred, as :func:`isthmus.data.read.read` takes it.
    drop : str or iterable of str, optional
        Columns to leave out.
    missing : iterable of float, optional
        Numbers that stand for a missing value, such as -999.
    terms : int, optional
        Most terms that are kept of each column of free text, which are taken of the training rows that are drawn.
    label : str, optional
        The column of the labels: nothing is trained on it, and the saved model is measured by it.
    group : str, optional
        The column that says which rows belong together: no group stands both among the rows that are trained on and
        among those that are held out.
    time : str, optional
        The column that says when a row was taken, or ``"rows"`` where they stand in order: the latest rows are held
        out.
    weights : str, optional
        The column that says how much a row counts in training; rows of weight 0 are left out.

    Returns
    -------
    Source

    Raises
    ------
    BadInput
        If it is none of these, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/rows.npy", np.arange(24.0).reshape(12, 2))
    ...     found = source(f"{folder}/rows.npy")
    ...     rows = found.block(0)
    >>> found.columns, rows.shape
    (('x0', 'x1'), (12, 2))
    """
    where, kinds = (
        Path(path),
        {**(kinds or {}), **dict.fromkeys((drop,) if isinstance(drop, str) else drop or (), "drop")},
    )
    said = {"group": group, "time": time, "weights": weights}
    beside = {what: name for what, name in said.items() if name is not None}
    checked_terms(terms)
    asked = Asked(kinds, tuple(float(one) for one in missing or ()), label, terms, beside)
    if os.path.isdir(where):
        if not (paths := shards_in(where)):
            raise BadInput(f"{place(where)}: no folder of shards (.npy or .safetensors); give one, or a file")
        return Arrays(where, opened(paths), asked)
    if not os.path.lexists(where):
        raise BadInput(f"{place(where)}: no such file")
    check(where)
    lower = where.name.lower()
    if lower.endswith(".parquet"):
        return Parquet(where, asked)
    if lower.endswith(SPOOLED):
        return Spooled(where, asked)
    if lower.endswith(ARROW):
        return Arrow(where, asked)
    if lower.endswith(".npy"):
        return Arrays(where, [_npy(where)], asked)
    if lower.endswith(".safetensors"):
        return Arrays(where, opened([where]), asked)
    raise BadInput(
        f"{place(where)}: rows of such a file cannot stay in it while they are trained on; expected a name that ends "
        f"in {', '.join((*ENDS, *SPOOLED))}, or a folder of shards: convert it, or leave --memory out"
    )


class Arrays:
    """The matrices of one ``.npy`` file or of many shards, one after the other, read by position."""

    def __init__(self, path: Path, parts: Sequence[Shard], asked: Asked | None = None) -> None:
        self.place, self.name, self.parts = place(path), path.resolve().name.removesuffix(".npy") or "data", parts
        self.name = self.name.removesuffix(".safetensors")
        if stored := next((one for one in parts if one.fortran), None):
            raise BadInput(
                f"{place(stored.path)}: is stored by columns, so its rows cannot be read some at a time; save "
                "numpy.ascontiguousarray(X)"
            )
        self.width, self.asked = parts[0].width, asked or Asked()
        self.fields: tuple[()] = ()
        self.told: tuple[str, ...] = ()
        self.stated: dict[str, str] = {}
        self.habits: dict[str, str] = {}
        if (label := self.asked.label) is not None:
            raise NoSuchColumn(
                f"{self.place}: label {shown(label)} names a column, and an array has none", label, "label"
            )
        self.beside = self.asked.found(self.place, ())
        enough(self.place, sum(one.rows for one in parts), self.width)
        self._step = [max(1, PIECE // (one.width * one.dtype.itemsize)) for one in parts]
        self._blocks = [
            (i, begin, min(step, one.rows - begin))
            for i, (one, step) in enumerate(zip(parts, self._step, strict=True))
            for begin in range(0, one.rows, step)
        ]
        self.starts = np.cumsum([0, *(count for _, _, count in self._blocks)], dtype=np.int64)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return element_names((self.width,))

    @property
    def plain(self) -> bool:
        return self.asked.plain

    @property
    def bytes(self) -> int:
        return sum(one.rows * one.width * one.dtype.itemsize for one in self.parts)

    @property
    def most(self) -> int:
        item = max(one.dtype.itemsize for one in self.parts)
        return max(count for _, _, count in self._blocks) * self.width * (item + 4)

    def block(self, number: int, error: NDArray[np.float64] | None = None) -> NDArray[np.float32]:
        return short(self.raw(number), error)

    def table(self, number: int, names: Sequence[str] | None = None) -> pa.Table:
        rows = self.raw(number)
        plain = np.float64 if rows.dtype.kind == "f" else rows.dtype.newbyteorder("=")
        found = pa.table([rows[:, j].astype(plain) for j in range(self.width)], names=list(self.columns))
        return found if names is None else found.select(list(names))

    def raw(self, number: int) -> NDArray[Any]:
        """The rows of a block of the type that they have in the file."""
        which, begin, count = self._blocks[number]
        one = self.parts[which]
        size = one.width * one.dtype.itemsize
        # Read, not mapped: pages of a map count as memory of this process for as long as the system likes.
        with parsing(place(one.path), "an array"), one.path.open("rb") as stream:
            flat = np.fromfile(stream, one.dtype, count * one.width, offset=one.start + begin * size)
            rows = flat.reshape(count, one.width)
        if one.kind == "bfloat16":
            return (rows.astype("<u4") << 16).view("<f4")
        return rows


def _npy(path: Path) -> Shard:
    """A ``.npy`` file of any real numbers."""
    where = place(path)
    with parsing(where, "a .npy file"), path.open("rb") as stream:
        head = npy_head(where, stream)
    if len(head.shape) != 2:
        raise BadInput(f"{where}: shape {head.shape}; rows that stay in their file are rows x columns")
    declared, held = int(np.prod(head.shape)) * head.dtype.itemsize, path.stat().st_size - head.length
    if declared != held:
        raise BadInput(f"{where}: declares {declared:,} bytes of numbers but holds {held:,}; fetch the file again")
    return Shard(path, *head.shape, head.dtype.name, head.dtype, head.length, head.fortran)


def release() -> None:
    """Give memory that is free back to the system, which libraries else keep for later."""
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


class Limit(NamedTuple):
    """How many rows may be read into memory; by default as many as hold ``BEARABLE`` bytes of numbers."""

    rows: int | None = None
    memory: int | None = None
    """Bytes that a study of them may take."""

    def of(self, width: int) -> int:
        """The same in rows of so many columns."""
        if self.rows is not None:
            return self.rows
        return (BEARABLE if self.memory is None else self.memory // COPIES) // (8 * width)


def drawn(path: Path, label: str | None, limit: Limit) -> Unchecked | None:
    """Some rows of a file with many, drawn by a seed and read alone; None where all are to be read, as ever.

    Parameters
    ----------
    path : Path
        Parquet, Arrow IPC, ``.npy``, ``.safetensors``, or a folder of shards; None of anything else.
    label : str, optional
        A column that must be there.
    limit : Limit

    Raises
    ------
    BadInput
        If a limit is given for another kind of file, or allows too few rows.
    """
    if limit == Limit() and _bytes(path) < BEARABLE // PACKED:
        return None
    found = _drawable(path)
    if found is None:
        if limit != Limit():
            raise BadInput(
                f"{place(path)}: rows are drawn from Parquet, Arrow IPC, .npy, .safetensors and folders of shards; "
                "convert it, or leave --rows and --memory out"
            )
        return None
    count, many = int(found.starts[-1]), limit.of(len(found.columns))
    if many < LEAST_ROWS:
        raise BadInput(f"{found.place}: {many} rows may be read, and at least {LEAST_ROWS} are needed; allow more")
    if count <= many:
        return None
    numbers = np.sort(np.random.default_rng(hashed("rows")).choice(count, many, replace=False))
    said = f"{many:,} of {count:,} rows are drawn and read (--rows takes more or fewer)"
    if isinstance(found, Columnar):
        parts = [found.table(k).take(own) for k, own in _by_blocks(found, numbers)]
        content = pa.concat_tables(parts)
        raw = table(found.place, content.column_names, content.columns, lambda i: f"row {numbers[i] + 1}", label)
        return raw._replace(told=(said, *found.told, *raw.told))
    if label is not None:
        raise NoSuchColumn(f"{found.place}: label {shown(label)} names a column, and an array has none", label, "label")
    x = np.concatenate([found.raw(k)[own] for k, own in _by_blocks(found, numbers)])
    words = array_words(x.shape[1:], found.columns, "X")
    raw = memory(x, found.place)
    return raw._replace(told=(said,), where=lambda i, j: words(int(numbers[i]), j), images=False)


def _bytes(path: Path) -> int:
    """Of a file, or of the files of a folder."""
    with suppress(OSError, ValueError):
        return sum(one.stat().st_size for one in path.iterdir()) if os.path.isdir(path) else path.stat().st_size
    return 0


def _drawable(path: Path) -> Arrays | Columnar | None:
    if os.path.isdir(path):
        shards = opened(paths) if (paths := shards_in(path)) else []
        return Arrays(path, shards) if shards and not any(one.fortran for one in shards) else None
    lower = path.name.lower()
    if not lower.endswith(ENDS) or not path.is_file() or not path.stat().st_size:
        return None
    if lower.endswith(".parquet"):
        return None if pictures_in(path) is not None else Parquet(path)
    if lower.endswith(ARROW):
        return None if pictures_in(path) is not None else Arrow(path)
    if lower.endswith(".safetensors"):
        return Arrays(path, opened([path]))
    with parsing(place(path), "a .npy file"), path.open("rb") as stream:
        head = npy_head(place(path), stream)
    return None if len(head.shape) != 2 or head.fortran or head.shape[0] < LEAST_ROWS else Arrays(path, [_npy(path)])


def _by_blocks(found: Source, numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Which blocks hold some of the rows, and which rows of the block these are."""
    for k, (begin, end) in enumerate(itertools.pairwise(found.starts)):
        if len(own := numbers[slice(*np.searchsorted(numbers, (begin, end)))]):
            yield k, own - begin
