"""Rows of numbers in many files, as those who collect activations of networks write them: a folder of shards.

A shard is a ``.npy`` file, or a ``.safetensors`` file with one matrix (or one that is named as rows are). All headers
are read before any number: they say how many rows there are in all, and a file that does not hold what it declares is
refused by its name. Shards follow each other in the natural order of their names, in which 2 comes before 10.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.arrays import npy_head
from isthmus.data.dataset import element_names
from isthmus.data.files import check, fits, parsing
from isthmus.data.images import entries_of, pictured, text
from isthmus.data.unchecked import Unchecked, enough
from isthmus.data.wording import number_of, place, shown, some
from isthmus.errors import BadInput

SUFFIXES = (".npy", ".safetensors")
"""Ends of the names of shards."""
MODEL = "model.json"
"""What lies in the folder of a saved model."""
FLOATS: dict[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
"""Types of numbers in safetensors that are read; numpy has no bfloat16, whose 16 bits begin those of a float32."""
WORDS = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
EXPECTED = "expected float16, float32, float64 or (in .safetensors) bfloat16; save X.astype('f4')"
NAMES = ("activations", "X", "x", "data")
"""Names of the tensor of rows, where a file holds several."""
LONGEST_HEADER = 1 << 20
"""Bytes in which the header of a safetensors file ends."""
PIECE = 1 << 22
"""Numbers that are read at a time."""


class Shard(NamedTuple):
    """A matrix in a file."""

    path: Path
    rows: int
    width: int
    kind: str
    """Its type, in words: ``bfloat16``."""
    dtype: np.dtype[Any]
    """As its numbers lie in the file."""
    start: int
    """The byte at which they begin."""
    fortran: bool = False

    def blocks(self, step: int) -> Iterator[NDArray[Any]]:
        """Its rows (n, width), ``step`` at a time: floats as they are, of bfloat16 the float32 that they equal."""
        if not self.rows:
            return
        with parsing(place(self.path), "a shard"):
            held = np.memmap(
                self.path, self.dtype, "r", self.start, (self.rows, self.width), "F" if self.fortran else "C"
            )
        for begin in range(0, self.rows, step):
            some_ = np.array(held[begin : begin + step], order="C")
            yield (some_.astype("<u4") << 16).view("<f4") if self.kind == "bfloat16" else some_


def shards_in(folder: Path) -> list[Path]:
    """The shards of a folder, in the natural order of their names; none of a folder of pictures, of a saved model, or
    of something else.

    Raises
    ------
    BadInput
        If the folder cannot be read, or pictures lie there as well.
    """
    there = entries_of(folder)
    if any(entry.name == MODEL for entry in there):
        return []
    found = sorted((Path(entry) for entry in there if _is_shard(entry)), key=lambda one: natural(one.name))
    if found and pictured(folder):
        raise BadInput(
            f"{place(folder)}: holds arrays ({some([path.name for path in found], 2)}) and pictures; give a folder of "
            "one of them"
        )
    return found


def _is_shard(entry: os.DirEntry[str]) -> bool:
    plain = not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)
    return plain and entry.name.lower().endswith(SUFFIXES)


def natural(name: str) -> tuple[list[str | int], str]:
    """A key by which numbers in names are ordered as numbers.

    Examples
    --------
    >>> sorted(["part10", "part2", "part2b"], key=natural)
    ['part2', 'part2b', 'part10']
    """
    parts = re.split("([0-9]+)", name)
    return [int(part) if j % 2 else part for j, part in enumerate(parts)], name


def folder_of_shards(folder: Path, paths: Sequence[Path]) -> Unchecked:
    """The rows of all shards of a folder, one after the other.

    Raises
    ------
    BadInput
        If a shard is damaged, holds something else than a matrix of floats, or is of another width than the first; if
        all together would fill the memory.
    """
    left = sum(not _is_shard(entry) for entry in entries_of(folder))
    told = [f"{number_of(left, 'other entry', 'other entries')} of the folder left out"] if left else []
    return _joined(place(folder), [text(path.name) for path in paths], opened(paths), told)


def safetensors_file(path: Path) -> Unchecked:
    """The matrix of a ``.safetensors`` file.

    Raises
    ------
    BadInput
        As :func:`folder_of_shards`.
    """
    return _joined(place(path), [""], [shard(path)], [])


def blocks_of_shards(paths: Sequence[Path], step: int) -> Iterator[NDArray[Any]]:
    """The rows of shards, about ``step`` numbers at a time, none of which spans two; at least one block."""
    found = opened(paths)
    if not sum(one.rows for one in found):
        yield np.empty((0, found[0].width), np.float32)
    for one in found:
        yield from one.blocks(max(1, step // one.width))


def _joined(where: str, names: Sequence[str], found: Sequence[Shard], told: Sequence[str]) -> Unchecked:
    rows, width = sum(one.rows for one in found), found[0].width
    enough(where, rows, width)
    fits(where, 4 * rows * width)
    # 16-bit floats stay so until they are scaled, which spares a third of the memory
    x = np.empty((rows, width), np.result_type(*{_read_as(one) for one in found}))
    begins = np.cumsum([0, *(one.rows for one in found)])
    filled = 0
    for one in found:
        for block in one.blocks(max(1, PIECE // width)):
            x[filled : filled + len(block)] = block
            filled += len(block)
    columns = element_names((width,))

    def spot(i: int, j: int | None) -> str:
        which = int(np.searchsorted(begins, i, "right")) - 1
        head = f"{names[which]}, " if names[which] else ""
        row = i - int(begins[which])
        return f"{head}row {row + 1} (index {row})" + ("" if j is None else f", column {shown(columns[j])}")

    kinds = " and ".join(sorted({one.kind for one in found}))
    many = f", in the order of their names: {shown(names[0])} to {shown(names[-1])}" if len(found) > 1 else ""
    said = f"{number_of(len(found), 'shard')} of {kinds}, {rows:,} rows x {width:,} columns in all{many}"
    return Unchecked(where, x, None, columns, spot, told=(said, *told), images=False)


def _read_as(one: Shard) -> np.dtype[Any]:
    return np.dtype(np.float32) if one.kind == "bfloat16" else one.dtype.newbyteorder("=")


def opened(paths: Sequence[Path]) -> list[Shard]:
    """What the headers of shards say, which must agree in their width."""
    found = [shard(path) for path in paths]
    for one in found:
        if one.width != found[0].width:
            raise BadInput(
                f"{place(one.path)}: {one.width:,} columns, and {found[0].path.name} has {found[0].width:,}; "
                "give a folder of shards of one width"
            )
    return found


def shard(path: Path) -> Shard:
    """What the header of a shard says, checked against the length of the file; no number is read.

    Raises
    ------
    BadInput
        If it is damaged or cut short, or holds something else than a matrix of floats.
    """
    check(path)
    return _of_safetensors(path) if path.name.lower().endswith(".safetensors") else _of_npy(path)


def _of_npy(path: Path) -> Shard:
    where, size = place(path), path.stat().st_size
    with parsing(where, "a .npy file"), path.open("rb") as stream:
        head = npy_head(where, stream)
    rows, width = _matrix(where, head.shape)
    if head.dtype.kind != "f" or head.dtype.itemsize > 8:
        raise BadInput(f"{where}: numbers of type {head.dtype}; {EXPECTED}")
    _whole(where, rows * width * head.dtype.itemsize, size - head.length, head.shape)
    return Shard(path, rows, width, head.dtype.name, head.dtype, head.length, head.fortran)


def _matrix(where: str, shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2 or shape[1] < 1:
        remedy = "X.reshape(-1, X.shape[-1])" if len(shape) > 2 else "X.reshape(-1, 1)"
        raise BadInput(f"{where}: shape {tuple(shape)}; expected rows x columns; save {remedy}")
    return shape[0], shape[1]


def _whole(where: str, declared: int, held: int, shape: Sequence[int]) -> None:
    if declared != held:
        raise BadInput(
            f"{where}: declares {declared:,} bytes of numbers (shape {tuple(shape)}) but holds {held:,}; "
            "fetch the file again"
        )


def _of_safetensors(path: Path) -> Shard:
    where, size = place(path), path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise BadInput(f"{where}: no safetensors file, or cut short: its header would end behind it")
        if length > LONGEST_HEADER:
            raise BadInput(f"{where}: declares a header of {length:,} bytes; the limit is {LONGEST_HEADER:,}")
        head = stream.read(length)
    with parsing(where, "a safetensors file"):
        about = json.loads(head)
        about.pop("__metadata__", None)
        tensors = {name: _entry(entry) for name, entry in about.items()}
    name = _chosen(where, tensors)
    kind, shape, begin, end = tensors[name]
    spot = f"{where}, tensor {shown(name)}"
    if kind not in FLOATS:
        raise BadInput(f"{spot}: numbers of type {shown(kind)}; {EXPECTED}")
    rows, width = _matrix(spot, shape)
    last = max(entry[3] for entry in tensors.values())
    _whole(spot, rows * width * FLOATS[kind].itemsize, end - begin, shape)
    if last != size - 8 - length:
        raise BadInput(
            f"{where}: declares {last:,} bytes of numbers but holds {size - 8 - length:,}; fetch the file again"
        )
    return Shard(path, rows, width, WORDS[kind], FLOATS[kind], 8 + length + begin)


def _entry(about: Any) -> tuple[str, list[int], int, int]:
    """Type, shape, first and last byte of a tensor; what is none of it ends in an error, whatever it is."""
    kind, shape, (begin, end) = about["dtype"], about["shape"], about["data_offsets"]
    if not isinstance(kind, str) or not all(type(n) is int and 0 <= n < 1 << 48 for n in (*shape, begin, end)):
        raise ValueError("a tensor without type, shape and place")
    if begin > end:
        raise ValueError("a tensor that ends before it begins")
    return kind, list(shape), begin, end


def _chosen(where: str, tensors: dict[str, tuple[str, list[int], int, int]]) -> str:
    """The one tensor, or the one whose name says that it holds rows."""
    found = list(tensors) if len(tensors) == 1 else [name for name in NAMES if name in tensors]
    if len(found) != 1:
        raise BadInput(
            f"{where}: rows could be any of {len(tensors):,} tensors ({some(tensors) or 'none'}); save a file with one "
            f"of them, or name it {NAMES[0]}"
        )
    return found[0]
