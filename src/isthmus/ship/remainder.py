"""A data file without its rows of numbers: all that must be kept to write the file again.

:func:`take` parts the rows that a model codes from the rest; :func:`fill` puts rows back. The format, the type and
order of every column or array, names, text, labels and whatever else the model does not code come back as they were, of
a text table cell by cell. What is not kept: how a text table was quoted and its numbers spelled (they come back with as
many decimals as their column had), lines of comment and a line ``sep=;`` above the names, how a file of columns was cut
into groups and what was noted in its schema, dates in a .npz archive, and the layout of compressed wrappings.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import ipc

from isthmus.codec import DOUBLE, HALF, SINGLE
from isthmus.data import arrays, arrow_file, idx, table, text_table, written
from isthmus.data.read import form
from isthmus.data.wording import place, shown, some
from isthmus.errors import BadInput

Wide = NDArray[np.float64]
WHOLE = 2.0**53
"""Whole numbers beyond this are not all 64-bit floats."""
FLOATS = {"f2": HALF, "f4": SINGLE, "f8": DOUBLE}
FINEST = 9
"""Decimals behind the point up to which a column of text counts as a grid."""


class Remainder(NamedTuple):
    """A file without its rows; plain data and bytes."""

    about: dict[str, Any]
    """``kind`` is the end of the file's name; the rest is what its format needs."""
    kept: bytes
    """What the model does not code."""


class Taken(NamedTuple):
    """A file, taken apart."""

    rows: Wide
    """(n, D)."""
    grid: NDArray[np.int8]
    """Which numbers the columns can hold, (D,), as in :class:`isthmus.codec.Units`."""
    remainder: Remainder


def take(path: Path, columns: Sequence[str], shape: Sequence[int]) -> Taken:
    """Part a file from the rows that a model of these columns and this shape codes.

    Raises
    ------
    BadInput
        If the file cannot be read, lacks a column, or holds what is no number where the model wants one.
    """
    kind = form(path)
    if kind in TABLES:
        found = _take_table(path, kind, columns)
    else:
        found = _take_arrays(path, kind)
        if (got := tuple(found.remainder.about["shape"][1:])) != tuple(shape):
            raise BadInput(f"{place(path)}: rows of shape {got}, the model's have {tuple(shape)}; give its own data")
    if not len(found.rows):
        raise BadInput(f"{place(path)}: no rows; give a file with rows")
    if not np.isfinite(found.rows).all():
        i, j = np.argwhere(~np.isfinite(found.rows))[0]
        column = f"column {shown(columns[j])}" if columns else f"element {j + 1}"
        raise BadInput(f"{place(path)}: row {i + 1}, {column}: not a finite number; fill it in")
    if bool((np.abs(found.rows[:, found.grid >= 0]) > WHOLE).any()):
        raise BadInput(
            f"{place(path)}: holds whole numbers beyond 2^53, which a 64-bit float cannot hold exactly; rescale them"
        )
    return found


def fill(remainder: Remainder, rows: Wide) -> bytes:
    """The file again, with these rows (n, D).

    Raises
    ------
    BadInput
        If rows and remainder do not belong together.
    """
    about = remainder.about
    try:
        return FILLERS[about["kind"]](about, remainder.kept, rows)
    except Exception as error:  # whatever another library says of a file that was never written
        raise BadInput(f"damaged: its description of the file is not valid ({type(error).__name__})") from None


# ------------------------------------------------------------------------------------------------------------- arrays


def grid_of(dtype: np.dtype[Any]) -> int:
    """Which numbers a type can hold.

    Examples
    --------
    >>> grid_of(np.dtype(">f4")), grid_of(np.dtype("uint8"))
    (-2, 0)
    """
    return FLOATS[f"f{dtype.itemsize}"] if dtype.kind == "f" else 0


def typed(rows: Wide, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers as a type holds them: cut at its limits, which never takes them further from what they were."""
    if dtype.kind == "f":
        most = float(np.finfo(dtype).max)
        return rows.clip(-most, most).astype(dtype)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.rint(rows).clip(max(low, -WHOLE), min(high, WHOLE)).astype(dtype)


def _take_arrays(path: Path, kind: str) -> Taken:
    kept = b""
    about: dict[str, Any] = {"kind": kind}
    if kind == ".npz":
        raw, at, members = arrays.npz_rows(path)
        about |= {"at": at, "members": [[m.name, m.packed, len(m.content)] for m in members]}
        kept = b"".join(m.content for m in members)
    elif kind == ".npy":
        raw = arrays.npy_array(path)
    elif kind in (".idx", ".idx.gz"):
        raw = idx.array(path)
    else:
        raise BadInput(f"{place(path)}: a {kind} file can't be written again; give {', '.join(FILLERS)}")
    if raw.ndim < 2:
        raise BadInput(f"{place(path)}: holds one number for each row, probably labels; give the file of the rows")
    if raw.dtype.itemsize > 8:
        raise BadInput(f"{place(path)}: numbers of {8 * raw.dtype.itemsize} bits; save them as float64")
    about |= {"dtype": raw.dtype.str, "shape": list(raw.shape), "fortran": bool(np.isfortran(raw))}
    rows = raw.reshape(len(raw), math.prod(raw.shape[1:])).astype(np.float64)
    return Taken(rows, np.full(rows.shape[1], grid_of(raw.dtype), np.int8), Remainder(about, kept))


def _array(about: dict[str, Any], rows: Wide) -> NDArray[Any]:
    dtype = np.dtype(about["dtype"])
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError("no numbers")
    return typed(rows, dtype).reshape(about["shape"], order="C")


def _npy(about: dict[str, Any], rows: Wide) -> bytes:
    array = _array(about, rows)
    with io.BytesIO() as file:
        np.save(file, np.asfortranarray(array) if about["fortran"] else array, allow_pickle=False)
        return file.getvalue()


def _fill_npz(about: dict[str, Any], kept: bytes, rows: Wide) -> bytes:
    start = 0
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for i, (name, packed, size) in enumerate(about["members"]):
                content = _npy(about, rows) if i == about["at"] else kept[start : start + size]
                how = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
                archive.writestr(zipfile.ZipInfo(name), content, how)
                start += size
        return file.getvalue()


def _fill_idx(about: dict[str, Any], kept: bytes, rows: Wide) -> bytes:
    content = idx.written(_array(about, rows))
    return gzip.compress(content, mtime=0) if about["kind"].endswith(".gz") else content


# ------------------------------------------------------------------------------------------------------------- tables


def _take_table(path: Path, kind: str, columns: Sequence[str]) -> Taken:
    where = place(path)
    about: dict[str, Any] = {"kind": kind}
    typed_file = kind in TYPED
    if typed_file:
        whole = arrow_file.arrow_table(path) if kind in arrow_file.ENDS else table.parquet_table(path)
    else:
        whole, about["separator"] = text_table.spelled_table(path)
    if not columns:
        raise BadInput(f"{where}: the model does not know the names of its columns; train it on such a file")
    if missing := [name for name in columns if name not in whole.column_names]:
        raise BadInput(
            f"{where}: no column {some(missing)}, which the model needs; give the data that it was trained on"
        )
    about["names"] = whole.column_names
    read: Callable[..., tuple[Wide, int, str | int]] = _measured if typed_file else _spelled
    found = [read(where, name, whole[name].combine_chunks()) for name in columns]
    about["columns"] = [[name, said] for name, (_, _, said) in zip(columns, found, strict=True)]
    kept = (_parquet if typed_file else _spelling)(whole.drop_columns(list(columns)))
    rows = np.stack([values for values, _, _ in found], axis=1)
    return Taken(rows, np.array([grid for _, grid, _ in found], np.int8), Remainder(about, kept))


def _measured(where: str, name: str, cells: Any) -> tuple[Wide, int, str]:
    """Numbers, grid and type of a typed column."""
    kind = cells.type
    if cells.null_count:
        raise BadInput(f"{where}: column {shown(name)} has {cells.null_count} missing cells; fill them in")
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise BadInput(f"{where}: column {shown(name)} is of type {kind}; the model codes numbers: store it as floats")
    values = cells.cast(pa.uint8()) if pa.types.is_boolean(kind) else cells
    plain = values.to_numpy(zero_copy_only=False)
    return plain.astype(np.float64), grid_of(plain.dtype), "bool" if pa.types.is_boolean(kind) else str(plain.dtype)


def _spelled(where: str, name: str, cells: Any) -> tuple[Wide, int, int]:
    """Numbers, grid and decimals of a column of text."""
    try:
        numbers = pc.utf8_trim_whitespace(cells).cast(pa.float64())
    except pa.ArrowInvalid:
        if written.seen(cells) is not None:
            raise BadInput(
                f"{where}: column {shown(name)} writes its numbers in a way that is not kept (decimal commas, marks "
                "between thousands, or a sign such as %); write them as 1234.5 in all columns that the model codes"
            ) from None
        raise BadInput(
            f"{where}: column {shown(name)} contains a cell that is not a number; the model codes numbers"
        ) from None
    values: Wide = np.array(numbers, np.float64)
    texts = cells.to_pylist()
    plain = all(text.strip().lstrip("+-").replace(".", "", 1).isdigit() for text in texts)
    decimals = max((len(text.strip().partition(".")[2]) for text in texts), default=0)
    if plain and decimals <= FINEST and float(np.abs(values).max(initial=0)) * 10.0**decimals < WHOLE:
        return values, decimals, decimals
    return values, DOUBLE, DOUBLE


def _parquet(content: pa.Table) -> bytes:
    """A table in Parquet, not compressed: what holds it is."""
    with io.BytesIO() as file:
        pq.write_table(content, file, compression="none")
        return file.getvalue()


def _spelling(content: pa.Table) -> bytes:
    """The cells of a table of text, column by column."""
    return json.dumps([column.to_pylist() for column in content.columns], separators=(",", ":")).encode()


def _ordered(about: dict[str, Any], others: Mapping[str, Any], coded: Sequence[Any]) -> list[Any]:
    """All columns of a table in their order."""
    own = {name: column for (name, _), column in zip(about["columns"], coded, strict=True)}
    return [own[name] if name in own else others[name] for name in about["names"]]


def _fill_typed(about: dict[str, Any], kept: bytes, rows: Wide) -> bytes:
    with NamedTemporaryFile(suffix=".parquet") as file:  # as any file: what it unpacks to is checked beforehand
        file.write(kept)
        file.flush()
        others = table.parquet_table(Path(file.name), beside=rows.nbytes)
    known = dict(zip(others.column_names, others.columns, strict=True))
    coded = [pa.array(typed(rows[:, j], np.dtype(said))) for j, (_, said) in enumerate(about["columns"])]
    whole = pa.table(_ordered(about, known, coded), names=about["names"])
    with io.BytesIO() as out:
        if about["kind"] in arrow_file.ENDS:
            with ipc.new_file(out, whole.schema) as writer:
                writer.write_table(whole)
        else:
            pq.write_table(whole, out)
        return out.getvalue()


def _fill_text(about: dict[str, Any], kept: bytes, rows: Wide) -> bytes:
    coded = [_written(rows[:, j], said) for j, (_, said) in enumerate(about["columns"])]
    known = {name for name, _ in about["columns"]}
    others = dict(zip([name for name in about["names"] if name not in known], json.loads(kept), strict=True))
    columns = _ordered(about, others, coded)
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, delimiter=about["separator"], lineterminator="\n")
        writer.writerow(about["names"])
        writer.writerows(zip(*columns, strict=True))
        content = text.getvalue().encode()
    return gzip.compress(content, mtime=0) if about["kind"].endswith(".gz") else content


def _written(values: Wide, said: int) -> list[str]:
    """Numbers as text, with so many decimals, or as many as they need."""
    if 0 <= said <= FINEST:
        return [f"{value:.{said}f}" for value in (values + 0.0).tolist()]
    return [repr(value) for value in values.tolist()]


TYPED = (".parquet", *arrow_file.ENDS)
TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", *TYPED)
FILLERS: dict[str, Callable[[dict[str, Any], bytes, Wide], bytes]] = {
    **dict.fromkeys(TABLES[:4], _fill_text),
    **dict.fromkeys(TYPED, _fill_typed),
    ".npy": lambda about, kept, rows: _npy(about, rows),
    ".npz": _fill_npz,
    ".idx": _fill_idx,
    ".idx.gz": _fill_idx,
}
"""End of a name -> what writes such a file."""
