"""Arrays in memory, and the ``.npy`` and ``.npz`` files that hold them."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from isthmus.data.dataset import element_names
from isthmus.data.files import fits, honest, parsing
from isthmus.data.raw import Raw, array_words, enough
from isthmus.data.wording import brief, meant, place, shown, some
from isthmus.errors import BadInput, NoSuchColumn

ROWS = ("X", "x", "data", "images")
LABELS = ("y", "labels", "target")
FACTORS = "factors"


def memory(source: Any, where: str = "X", y: Any = None) -> Raw:
    """Rows in memory: anything that numpy takes for an array of at least two axes."""
    if hasattr(source, "toarray"):
        raise BadInput(f"{where}: a sparse matrix; give X.toarray()")
    if np.ma.is_masked(source):
        raise BadInput(f"{where}: a masked array with masked cells; fill them in with X.filled(...) or drop these rows")
    try:
        x = np.asarray(source)
    except Exception as error:  # whatever an object that poses as an array may raise
        raise BadInput(
            f"{where}: can't be read as an array ({brief(error)}); give rows of equal length, as numpy.asarray takes"
        ) from None
    if x.dtype == object:
        x = _objects(where, x)
    real(where, x.dtype)
    if x.ndim < 2:
        remedy = "for one column give X.reshape(-1, 1), for a single row X.reshape(1, -1)"
        raise BadInput(f"{where}: shape {x.shape}; expected rows x columns; {remedy if x.ndim else 'give an array'}")
    shape = x.shape[1:]
    enough(where, len(x), math.prod(shape))
    fits(where, 4 * x.size)
    columns = element_names(shape)
    return Raw(where, x, y, columns, array_words(shape, columns, "X"))


def real(where: str, dtype: np.dtype[Any]) -> None:
    """Refuse numbers that are not real, and what is no number."""
    if dtype.kind in "biuf":
        return
    what, remedy = {
        "c": ("complex numbers", "give real and imaginary parts as columns of their own"),
        "M": ("dates", "give numbers, such as days since the first one"),
        "m": ("time spans", "give numbers, such as X / numpy.timedelta64(1, 's')"),
        "O": ("Python objects", "give an array of numbers: X.astype(float)"),
        "U": ("text", "drop or encode it"),
        "S": ("text", "drop or encode it"),
        "T": ("text", "drop or encode it"),
    }.get(dtype.kind, (f"records of type {dtype}", "give one array of numbers"))
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
        return x.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"{where}: can't be read as numbers ({brief(error)}); give X.astype(float)") from None


def npy_file(path: Path) -> Raw:
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
        infos = archive.infolist()
        members = {info.filename.removesuffix(".npy"): info for info in infos}
        rows = _choose(where, members, ROWS, "rows", None)
        if rows is None:
            raise BadInput(f"{where}: no member named X, x, data or images; it holds {some(members) or 'nothing'}")
        for info in infos:
            fits(where, info.file_size)
            honest(where, info.compress_size, info.file_size, "save it with numpy.savez")
        at = infos.index(members[rows])
        found = [
            Member(info.filename, info.compress_type != zipfile.ZIP_STORED, b"" if i == at else archive.read(info))
            for i, info in enumerate(infos)
        ]
        return _member(where, archive, members[rows], text=False), at, found


def npz_file(path: Path, label: str | None) -> Raw:
    """A ``.npz`` file: rows in member X, x, data or images; labels in ``label``, or in y, labels or target.

    Known factors are read from member factors, if there is one.
    """
    where = place(path)
    with parsing(where, "a .npz file"), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        rows = _choose(where, members, ROWS, "rows", label)
        if rows is None:
            raise BadInput(
                f"{where}: no member named X, x, data or images; it holds {some(members) or 'nothing'}; "
                "save the rows with numpy.savez(file, X=...)"
            )
        if label is not None and label not in members:
            raise NoSuchColumn(f"{where}: no member {shown(label)}{meant(label, members)}; it holds {some(members)}")
        labels = label if label is not None else _choose(where, members, LABELS, "labels", None)
        x = _member(where, archive, members[rows], text=False)
        y = None if labels is None else _member(where, archive, members[labels], text=True)
        known = FACTORS in members and FACTORS not in (rows, labels)
        factors = _member(where, archive, members[FACTORS], text=False) if known else None
    return memory(x, where, y)._replace(factors=factors)


def _choose(where: str, members: Mapping[str, Any], names: tuple[str, ...], what: str, taken: str | None) -> str | None:
    found = [name for name in names if name in members and name != taken]
    if len(found) > 1:
        remedy = "name the labels (--label)" if what == "labels" else "save a file with one of them"
        raise BadInput(f"{where}: {what} could be any of {some(found)}; {remedy}")
    return found[0] if found else None


def _member(where: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, *, text: bool) -> NDArray[Any]:
    where = f"{where}, member {shown(info.filename.removesuffix('.npy'))}"
    with parsing(where, "an array"), archive.open(info) as stream:
        return _load(where, stream, info.file_size, info.compress_size, text=text)


def _load(where: str, stream: IO[bytes], size: int, packed: int, *, text: bool) -> NDArray[Any]:
    """One array in numpy's format, whose declared size is checked against its length before memory is taken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers written by Python 2, which are read all the same
        version = npy.read_magic(stream)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = header(stream)
    if not (text and dtype.kind in "US"):
        real(where, dtype)
    if any(length < 0 for length in shape):
        raise BadInput(f"{where}: declares the shape {shape}; save the array again")
    declared, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    fits(where, max(declared, 4 * math.prod(shape)))
    honest(where, packed, declared, "save it with numpy.save")
    if declared != held:
        raise BadInput(
            f"{where}: declares {declared:,} bytes of numbers (shape {shape}) but holds {held:,}; fetch the file again"
        )
    data = stream.read(declared + 1)  # the byte that is not there makes a zip member check its sum
    array = np.frombuffer(data, dtype, math.prod(shape))
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
