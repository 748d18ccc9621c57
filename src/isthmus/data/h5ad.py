"""Cells x genes as AnnData keeps them: ``.h5ad`` files, and such objects in memory.

A file is read with h5py alone, and with care: nothing outside it is followed, and sizes are checked against what is
stored before memory is taken. Of several matrices that with counts is taken, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.data.arrays import memory, sparse_rows
from isthmus.data.dataset import element_names
from isthmus.data.files import fits, honest, parsing
from isthmus.data.labels import arrow
from isthmus.data.sparse import SparseRows, scattered
from isthmus.data.unchecked import LONGEST_NAME, Unchecked, array_words
from isthmus.data.wording import meant, place, shown, some
from isthmus.errors import BadInput, MissingExtra, NoSuchColumn

WHERE = ("X", "layers/counts", "layers/raw_counts", "raw/X")
"""Where counts may stand, the first first."""
OLD = "__categories"
"""Where old files keep the texts of categories."""


def h5ad(path: Path, label: str | None) -> Unchecked:
    """A ``.h5ad`` file; ``label`` names a column of ``obs``, and so may what groups, orders or weighs its rows.

    Raises
    ------
    BadInput
        If it is damaged, or holds no matrix of numbers.
    MissingExtra
        Without h5py.
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtra(f"{place(path)}: a .h5ad file needs h5py: pip install 'isthmus[counts]'") from None
    where = place(path)
    with parsing(where, "a .h5ad file"), h5py.File(path, "r") as file:
        there = [name for name in WHERE if _held(file, name) is not None]
        if "X" not in there:
            raise BadInput(f"{where}: no matrix X in it; write it again with adata.write_h5ad")
        found = ((name, _matrix(f"{where}, {name}", _held(file, name))) for name in there)
        name, rows = _counted(where, found)
        genes = _names(where, _held(file, "raw/var" if name == "raw/X" else "var"))
        obs = _held(file, "obs")
        columns = _columns(obs)
        y = None if label is None else _column(where, obs, _known(where, label, columns))
    raw = _put_together(where, name, rows, genes, y, columns if label is None else [])
    return raw._replace(beside={column: partial(_beside, path, column) for column in columns})


def _beside(path: Path, name: str) -> pa.Array:
    """A column of ``obs``, read when it is asked for."""
    import h5py

    where = place(path)
    with parsing(where, "a .h5ad file"), h5py.File(path, "r") as file:
        return arrow(where, _column(where, _held(file, "obs"), name))


def annotated(x: Any) -> bool:
    """Whether this is an AnnData; nothing is imported to tell."""
    return type(x).__name__ == "AnnData" and type(x).__module__.startswith("anndata")


def anndata(x: Any, label: str | None) -> Unchecked:
    """The same of an AnnData in memory."""
    layers = {f"layers/{name}": x.layers[name] for name in ("counts", "raw_counts") if name in x.layers}
    held = {"X": x.X, **layers, **({} if x.raw is None else {"raw/X": x.raw.X})}
    name, rows = _counted("X", ((name, _rows("X", one)) for name, one in held.items() if one is not None))
    genes = (x.raw.var_names if name == "raw/X" else x.var_names).astype(str).tolist()
    columns = [str(column) for column in x.obs.columns]
    y = None if label is None else x.obs[_known("X", label, columns)]
    raw = _put_together("X", name, rows, tuple(genes), y, columns if label is None else [])
    return raw._replace(beside={column: partial(_of_frame, x.obs, column) for column in columns})


def _of_frame(obs: Any, name: str) -> pa.Array:
    return pa.array(obs[name], from_pandas=True)


def _put_together(
    where: str, name: str, rows: SparseRows | NDArray[Any], genes: tuple[str, ...], y: Any, beside: list[str]
) -> Unchecked:
    columns = genes if _usable(genes, rows.shape[1]) else None
    if isinstance(rows, SparseRows):
        raw = sparse_rows(rows, where, y, columns)
    else:
        raw = memory(rows, where, y)
        names = columns or element_names(rows.shape[1:])
        raw = raw._replace(columns=names, where=array_words(rows.shape[1:], names, "X"))
    told = [] if name == "X" else [f"rows are {name}, which holds counts, and X does not"]
    told += [f"labels can be taken of {some(beside, 8)} (--label)"] if beside else []
    return raw._replace(told=(*raw.told, *told))


def _usable(genes: tuple[str, ...], columns: int) -> bool:
    """Whether these can be names of so many columns."""
    return len(set(genes)) == columns == len(genes) and all(0 < len(name) <= LONGEST_NAME for name in genes)


def _counted(where: str, found: Iterator[tuple[str, Any]]) -> tuple[str, Any]:
    """The first matrix of counts, as sparse rows; the first one if there is none."""
    first = None
    for name, rows in found:
        first = first or (name, rows)
        if isinstance(rows, SparseRows):
            if rows.whole() and rows.matrix.nnz:
                return name, rows
        elif rows.size and rows.min() >= 0 and rows.max() > 1 and bool((rows == np.floor(rows)).all()):
            return name, SparseRows.of(where, rows)
    assert first is not None
    return first


def _rows(where: str, matrix: Any) -> SparseRows | NDArray[Any]:
    """A matrix in memory, sparse or dense."""
    return SparseRows.of(where, matrix) if scattered(matrix) else np.asarray(matrix)


def _matrix(where: str, held: Any) -> SparseRows | NDArray[Any]:
    """A matrix of a file: a group of the parts of a sparse one, or an array."""
    from scipy import sparse

    if not _group(held):
        found = _array(where, held)
        if found.ndim != 2 or found.dtype.kind not in "biuf":
            raise BadInput(f"{where}: expected numbers, cells x genes; got shape {found.shape} of {found.dtype}")
        return found
    form = _text(held.attrs.get("encoding-type", held.attrs.get("h5sparse_format", ""))).removesuffix("_matrix")
    shape = held.attrs.get("shape", held.attrs.get("h5sparse_shape"))
    if form not in ("csr", "csc") or shape is None or len(shape) != 2:
        raise BadInput(f"{where}: neither an array nor a sparse matrix of form CSR or CSC")
    parts = tuple(_array(where, _held(held, name)) for name in ("data", "indices", "indptr"))
    kind = sparse.csr_array if form == "csr" else sparse.csc_array
    return SparseRows.of(where, kind(parts, shape=(int(shape[0]), int(shape[1]))))


def _held(group: Any, name: str) -> Any:
    """What stands under a name, which is in the file itself; None where nothing does."""
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True) if _group(group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise BadInput(f"{place(Path(group.file.filename))}: {name} lies elsewhere, and links are not followed")
        group = group[part]
    return group


def _group(held: Any) -> bool:
    import h5py

    return isinstance(held, h5py.Group)


def _array(where: str, held: Any) -> NDArray[Any]:
    """All of an array in a file, whose size is checked before."""
    import h5py

    if not isinstance(held, h5py.Dataset):
        raise BadInput(f"{where}: a part of the matrix is missing; write it again with adata.write_h5ad")
    if held.is_virtual or held.external:
        raise BadInput(f"{where}: its numbers lie in other files, which are not read; write them into one")
    size = int(held.size or 0) * held.dtype.itemsize
    fits(where, size)
    honest(where, held.id.get_storage_size(), size, "write it without compression")
    found: NDArray[Any] = held[()] if held.shape is not None else np.zeros(0)
    return found


def _columns(obs: Any) -> list[str]:
    """The names of the columns beside the rows."""
    return [] if not _group(obs) else [name for name in obs if name not in (OLD, _index(obs))]


def _index(frame: Any) -> str:
    """Under which name the names of rows stand."""
    return _text(frame.attrs.get("_index", "_index"))


def _names(where: str, frame: Any) -> tuple[str, ...]:
    """The names of genes; none where there are none."""
    held = _held(frame, _index(frame)) if _group(frame) else None
    return () if held is None or _group(held) else tuple(_text(one) for one in _array(f"{where}, var", held))


def _known(where: str, label: str, columns: list[str]) -> str:
    if label not in columns:
        raise NoSuchColumn(
            f"{where}: no label column {shown(label)} in obs{meant(label, columns)}; the columns are {some(columns)}",
            label,
            "label",
        )
    return label


def _column(where: str, obs: Any, name: str) -> list[Any]:
    """The cells of a column, None where one is missing."""
    where, held, old = f"{where}, obs/{name}", _held(obs, name), _held(obs, f"{OLD}/{name}")
    if _group(held) and _held(held, "codes") is not None:
        return _picked(_array(where, _held(held, "categories")), _array(where, _held(held, "codes")))
    if _group(held):
        values, gone = (_array(where, _held(held, part)) for part in ("values", "mask"))
        return [None if no else _cell(one) for one, no in zip(values, gone, strict=True)]
    cells = _array(where, held)
    return [_cell(one) for one in cells] if old is None else _picked(_array(where, old), cells)


def _picked(texts: NDArray[Any], codes: NDArray[Any]) -> list[Any]:
    known = [_cell(one) for one in texts]
    return [known[code] if 0 <= code < len(known) else None for code in codes.tolist()]


def _cell(one: Any) -> Any:
    return _text(one) if isinstance(one, bytes | str) else one.item()


def _text(one: Any) -> str:
    return one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)
