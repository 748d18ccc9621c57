"""Arrays in memory, and the ``.npy`` and ``.npz`` files that hold them."""

from __future__ import annotations

import io
import math
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from isthmus.data.axes import channels_lead, pictures
from isthmus.data.dataset import element_names
from isthmus.data.files import fits, honest, parsing
from isthmus.data.numbers import WHOLE, too_fine
from isthmus.data.sparse import SparseRows, scattered
from isthmus.data.unchecked import Unchecked, array_words, enough
from isthmus.data.wording import brief, meant, place, shown, some
from isthmus.errors import BadInput, NoSuchColumn

ROWS = ("X", "x", "data", "images")
LABELS = ("y", "labels", "target")
TRAINING = re.compile(r"(train|training)[_-]?|[_-]?(train|training)", re.IGNORECASE)
"""What names of members begin or end with in archives of training and test rows: ``x_train``, ``train_images``."""
LOWER_ROWS = {name.lower() for name in ROWS}
FACTORS = "factors"
SPARSE = {"data", "indices", "indptr", "shape"}
"""Members that together are a sparse matrix."""
LONGEST_HEADER = 1 << 16
"""Bytes in which numpy's format tells type and shape."""


def memory(source: Any, where: str = "X", y: Any = None) -> Unchecked:
    """Rows in memory: anything that numpy takes for an array of at least two axes."""
    if scattered(source):
        return sparse_rows(SparseRows.of(where, source), where, y)
    if (beside := getattr(source, "tensors", None)) is not None or hasattr(source, "dataset"):
        remedy = "X.tensors[0]" if beside is not None else "its rows as one tensor"
        raise BadInput(f"{where}: a {type(source).__name__} of torch, not an array; give {remedy}")
    if isinstance(source, tuple) and len(source) == 2 and [np.ndim(one) for one in source] in ([2, 1], [3, 1], [4, 1]):
        raise BadInput(f"{where}: a pair, perhaps of rows and labels; give them as two arguments")
    if hasattr(source, "detach") and hasattr(source, "layout"):
        source = _tensor(where, source)
    if np.ma.is_masked(source):
        source = source.astype(np.float64).filled(np.nan)  # what is masked is a gap
    try:
        x = np.asarray(source)
    except Exception as error:  # whatever an object that poses as an array may raise
        raise BadInput(
            f"{where}: can't be read as an array ({brief(error)}); give rows of equal length, as numpy.asarray takes"
        ) from None
    if x.dtype == object and x.ndim:
        x = _objects(where, x)
    x = _short(x)
    real(where, x.dtype)
    if x.ndim < 2:
        remedy = "for one column give X.reshape(-1, 1), for a single row X.reshape(1, -1)"
        raise BadInput(f"{where}: shape {x.shape}; expected rows x columns; {remedy if x.ndim else 'give an array'}")
    shape = x.shape[1:]
    enough(where, len(x), math.prod(shape))
    fits(where, 4 * x.size)
    columns = element_names(shape)
    return Unchecked(where, x, y, columns, array_words(shape, columns, "X"))


def sparse_rows(rows: SparseRows, where: str, y: Any = None, columns: tuple[str, ...] | None = None) -> Unchecked:
    """Rows that are sparse; of columns that have names where these are given."""
    enough(where, len(rows), rows.shape[1])
    names = columns or element_names(rows.shape[1:])
    return Unchecked(where, rows, y, names, array_words(rows.shape[1:], names, "X"))


def _tensor(where: str, source: Any) -> Any:
    """A torch tensor as numpy takes it: off its device and its graph, in a type that numpy has."""
    if "strided" not in str(source.layout):
        raise BadInput(f"{where}: a sparse tensor; give X.to_dense()")
    if source.is_quantized:
        raise BadInput(f"{where}: a quantised tensor; give X.dequantize()")
    if source.is_meta:
        raise BadInput(f"{where}: a tensor without numbers (on the device meta); give one that holds them")
    plain = source.detach().cpu()
    known = ("float16", "float32", "float64")
    return plain.float() if plain.is_floating_point() and str(plain.dtype).split(".")[-1] not in known else plain


def _short(x: NDArray[Any]) -> NDArray[Any]:
    """Floats of other libraries, such as bfloat16 of JAX, as numpy's own; they all are 32-bit floats without loss."""
    return x.astype(np.float32) if x.dtype.kind in "Vf" and re.match(r"bfloat16|float[4-8]_", x.dtype.name) else x


def real(where: str, dtype: np.dtype[Any]) -> None:
    """Refuse numbers that are not real, and what is no number."""
    if dtype.kind in "biuf":
        return
    what, remedy = {
        "c": ("complex numbers", "give real and imaginary parts as columns of their own"),
        "M": ("dates", "give numbers, such as days since the first one"),
        "m": ("time spans", "give numbers, such as X / numpy.timedelta64(1, 's')"),
        "O": ("Python objects", "give an array of numbers: X.astype(float)"),
        **dict.fromkeys("UST", ("text", "if it spells numbers give X.astype(float), else drop or encode it")),
    }.get(dtype.kind, (f"records of type {dtype}", "give one array of numbers"))
    if dtype.str == "|V2":
        what, remedy = (
            "values of 2 bytes of a type that numpy does not know",
            "if they are bfloat16, save X.astype('f4')",
        )
    raise BadInput(f"{where}: holds {what}, not real numbers; {remedy}")


def _objects(where: str, x: NDArray[Any]) -> NDArray[np.float64]:
    """Python objects that are all numbers, as float64; None is a missing number."""
    for index, cell in np.ndenumerate(x):
        if (cell is not None and not isinstance(cell, int | float | np.bool_ | np.number)) or isinstance(cell, complex):
            spot = ", ".join(map(str, index))
            raise BadInput(
                f"{where}: X[{spot}] is {shown(cell)} of type {type(cell).__name__}, not a number; "
                "drop or encode such columns"
            )
    try:
        found: NDArray[np.float64] = x.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"{where}: can't be read as numbers ({brief(error)}); give X.astype(float)") from None
    flat, given = found.reshape(len(x), -1), x.reshape(len(x), -1)
    for j in np.flatnonzero((np.abs(flat) >= WHOLE).all(axis=0) & (flat == flat[:1]).all(axis=0)):
        if (low := min(given[:, j])) != (high := max(given[:, j])):
            raise BadInput(too_fine(where, f"x{j}", low, high))
    return found


def channels_last(raw: Unchecked, axes: str | None = None, images: bool | None = None) -> Unchecked:
    """Rows of pictures with their channels last, (N, H, W, C), where they stand first: told, or asked of the shape.

    Parameters
    ----------
    raw : Unchecked
    axes : {"first", "last"}, optional
        Where they stand; by default they are first if the shape says so, and the numbers make it plausible.
    images : bool, optional
        Whether rows are pictures, if somebody says so.

    Raises
    ------
    BadInput
        If ``axes`` is given for rows that have not three axes, or of encoded pictures.
    """
    if axes not in (None, "first", "last"):
        raise BadInput(f"axes must be first or last; got {shown(axes)}")
    shape = raw.x.shape[1:]
    if axes is not None and (len(shape) != 3 or raw.canvas is not None):
        raise BadInput(f"{raw.place}: axes are for arrays of rows with three axes, such as channels x height x width")
    if axes == "last" or raw.canvas is not None or not (axes or channels_lead(shape)):
        return raw
    x = np.moveaxis(raw.x, 1, -1)
    if axes is None and not (images or raw.images or (images is None and pictures(x))):
        return raw

    def where(i: int, j: int | None) -> str:
        there = None if j is None else np.moveaxis(np.arange(x[0].size).reshape(shape), 0, -1).flat[j]
        return raw.where(i, None if there is None else int(there))

    told = () if axes else (f"channels stand first in rows of shape {shape} and are put last (--axes last: they do)",)
    return raw._replace(x=x, columns=element_names(x.shape[1:]), where=where, told=(*raw.told, *told))


def npy_file(path: Path) -> Unchecked:
    """A ``.npy`` file."""
    return memory(npy_array(path), place(path))


def npy_array(path: Path) -> NDArray[Any]:
    """The array of a ``.npy`` file, of the type that it has there."""
    where, packed = place(path), path.stat().st_size
    with parsing(where, "a .npy file"), path.open("rb") as stream:
        return _load(where, stream, packed, packed, text=False)


class Member(NamedTuple):
    """A file in a ``.npz`` archive."""

    name: str
    packed: bool
    """Whether it is compressed there."""
    content: bytes


def npz_rows(path: Path) -> tuple[NDArray[Any], int, list[Member]]:
    """The rows of a ``.npz`` file, which member they are, and all members; the content of the rows' one is left out."""
    where = place(path)
    with parsing(where, "a .npz file"), zipfile.ZipFile(path) as archive:
        members = _members(where, path, archive)
        rows, _, _ = _chosen(where, members, None)
        infos = archive.infolist()
        whole = sum(info.file_size for info in infos)
        fits(where, whole)
        honest(where, path.stat().st_size, whole, "save it with numpy.savez")
        at = infos.index(members[rows])
        found = [
            Member(info.filename, info.compress_type != zipfile.ZIP_STORED, b"" if i == at else _bytes(archive, info))
            for i, info in enumerate(infos)
        ]
        return _member(where, archive, members[rows], path, text=False), at, found


def _bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A member as long as it is said to be, and no longer: what unpacks to more is not unpacked."""
    with archive.open(info) as stream:
        return stream.read(info.file_size + 1)


def npz_file(path: Path, label: str | None) -> Unchecked:
    """A ``.npz`` file: rows in member X, x, data or images; labels in ``label``, or in y, labels or target.

    Where there are none, those of training rows are taken: ``X_train`` and ``y_train``, ``train_images`` and
    ``train_labels`` and the like. Known factors are read from member factors, if there is one.
    """
    where = place(path)
    with parsing(where, "a .npz file"), zipfile.ZipFile(path) as archive:
        members = _members(where, path, archive)
        if label is not None and label not in members:
            raise NoSuchColumn(
                f"{where}: no member {shown(label)}{meant(label, members)}; it holds {some(members)}", label, "label"
            )
        if members.keys() >= SPARSE:
            return _sparse(where, path, archive, members, label)
        rows, labels, told = _chosen(where, members, label)
        x = _member(where, archive, members[rows], path, text=False)
        y = None if labels is None else _member(where, archive, members[labels], path, text=True)
        known = FACTORS in members and FACTORS not in (rows, labels)
        factors = _member(where, archive, members[FACTORS], path, text=False) if known else None
    images = True if "images" in rows.lower() and x.ndim in (3, 4) else None
    return memory(x, where, y)._replace(factors=factors, told=told, images=images)


def _sparse(
    where: str, path: Path, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], label: str | None
) -> Unchecked:
    """A sparse matrix in the members that ``scipy.sparse.save_npz`` writes; their form is CSR where it is not said."""
    from scipy import sparse

    parts = {name: _member(where, archive, members[name], path, text=False) for name in SPARSE}
    form = "csr"
    if "format" in members:
        said = _member(where, archive, members["format"], path, text=True)
        form = said.astype(str).item() if said.dtype.kind in "SU" and said.size == 1 else "unknown"
    if form not in ("csr", "csc"):
        raise BadInput(f"{where}: a sparse matrix of form {shown(form)}; save X.tocsr()")
    shape = parts["shape"]
    flat = [parts[name] for name in ("data", "indices", "indptr")]
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or any(one.ndim != 1 for one in flat):
        raise BadInput(
            f"{where}: shape, data, indices and indptr make no sparse matrix; save it with scipy.sparse.save_npz"
        )
    lines, across = int(shape[0]), int(shape[1])
    enough(where, lines, across)
    kind = sparse.csr_array if form == "csr" else sparse.csc_array
    with parsing(where, "a sparse matrix"):
        matrix = kind(tuple(flat), shape=(lines, across))
    labels = label or _choose(where, members, LABELS, "labels", None)
    y = None if labels is None else _member(where, archive, members[labels], path, text=True)
    return sparse_rows(SparseRows.of(where, matrix), where, y)


def _members(where: str, path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """All members by name, packed as numpy packs them: what other methods unpack to can't be bounded."""
    for info in archive.infolist():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInput(
                f"{where}, member {shown(info.filename)}: packed in a way that numpy does not write; save the arrays "
                "again with numpy.savez_compressed"
            )
    return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _chosen(where: str, members: Mapping[str, Any], label: str | None) -> tuple[str, str | None, tuple[str, ...]]:
    """Which members are rows and labels, and what was inferred."""
    rows, labels = _choose(where, members, ROWS, "rows", label), label
    if rows is not None:
        return rows, labels or _choose(where, members, LABELS, "labels", None), ()
    others = [name for name in members if name != label]
    if len(others) == 1 and others[0] not in (*LABELS, FACTORS):  # numpy.savez(file, X) calls it arr_0
        return others[0], label, (f"rows are member {shown(others[0])}",)
    training = {name: TRAINING.sub("", name) for name in members if TRAINING.search(name)}
    found = [name for name, plain in training.items() if plain.lower() in LOWER_ROWS and name != label]
    if len(found) > 1:
        raise BadInput(f"{where}: rows could be any of {some(found)}; save a file with one of them")
    if not found:
        raise BadInput(
            f"{where}: no member named X, x, data or images (or X_train and the like); it holds "
            f"{some(members) or 'nothing'}; save the rows with numpy.savez(file, X=...)"
        )
    beside = [name for name, plain in training.items() if plain.lower() in LABELS]
    if label is None and len(beside) > 1:
        raise BadInput(f"{where}: labels could be any of {some(beside)}; name the labels (--label)")
    labels = label if label is not None else beside[0] if beside else None
    left = [name for name in members if name not in (found[0], labels)]
    told = f"rows are member {shown(found[0])}" + (f"; {some(left, 3)} left out" if left else "")
    return found[0], labels, (told,)


def _choose(where: str, members: Mapping[str, Any], names: tuple[str, ...], what: str, taken: str | None) -> str | None:
    found = [name for name in names if name in members and name != taken]
    if len(found) > 1:
        remedy = "name the labels (--label)" if what == "labels" else "save a file with one of them"
        raise BadInput(f"{where}: {what} could be any of {some(found)}; {remedy}")
    return found[0] if found else None


def _member(where: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, *, text: bool) -> NDArray[Any]:
    where = f"{where}, member {shown(info.filename.removesuffix('.npy'))}"
    packed = min(info.compress_size, path.stat().st_size)
    with parsing(where, "an array"), archive.open(info) as stream:
        return _load(where, stream, info.file_size, packed, text=text)


class Head(NamedTuple):
    """What numpy's format says above the numbers."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    length: int
    """Bytes above the numbers."""


def npy_head(where: str, stream: IO[bytes], *, text: bool = False) -> Head:
    """The header of an array in numpy's format, of real numbers, or of texts where they are wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers written by Python 2, which are read all the same
        version = npy.read_magic(stream)
        width = 2 if version == (1, 0) else 4
        count = stream.read(width)
        if (length := int.from_bytes(count, "little")) > LONGEST_HEADER:
            raise BadInput(f"{where}: declares a header of {length:,} bytes; fetch the file again")
        about = io.BytesIO(count + stream.read(length))
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = header(about)
    if text and dtype.kind == "O":
        raise BadInput(f"{where}: holds Python objects, which are never unpacked; save the labels as y.astype(str)")
    if not (text and dtype.kind in "US"):
        real(where, dtype)
    if any(size < 0 for size in shape):
        raise BadInput(f"{where}: declares the shape {shape}; save the array again")
    return Head(shape, fortran, dtype, npy.MAGIC_LEN + width + length)


def _load(where: str, stream: IO[bytes], size: int, packed: int, *, text: bool) -> NDArray[Any]:
    """One array in numpy's format, whose declared size is checked against its length before memory is taken."""
    shape, fortran, dtype, above = npy_head(where, stream, text=text)
    declared, held = math.prod(shape) * dtype.itemsize, size - above
    fits(where, max(declared, 4 * math.prod(shape)))
    honest(where, packed, declared, "save it with numpy.save")
    if declared != held:
        raise BadInput(
            f"{where}: declares {declared:,} bytes of numbers (shape {shape}) but holds {held:,}; fetch the file again"
        )
    data = stream.read(declared + 1)  # the byte that is not there makes a zip member check its sum
    array = np.frombuffer(data, dtype, math.prod(shape))
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
