"""IDX files, the format of MNIST: a magic number, big-endian sizes, raw numbers.

References
----------
LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import gzip
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dataset import element_names
from isthmus.data.files import check, fits, honest, parsing
from isthmus.data.unchecked import Unchecked, array_words, enough
from isthmus.data.wording import place
from isthmus.errors import BadInput

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NAME = re.compile(r"([-._]idx\d?([-._]u?byte)?|[-._]ubyte)(\.gz)?$", re.IGNORECASE)


def idx(path: Path) -> Unchecked:
    """Images of an IDX file, with the labels of the file beside it where there is one."""
    where = place(path)
    x = array(path)
    if x.ndim < 2:
        raise BadInput(f"{where}: holds one number for each row, probably labels; give the file of the images")
    shape = x.shape[1:]
    enough(where, len(x), math.prod(shape))
    beside = labels_beside(path)
    y = None if beside is None else array(beside)
    if y is not None and y.shape != (len(x),):
        raise BadInput(
            f"{where}: {len(x)} rows, but {place(beside)} beside it has shape {y.shape}; "
            "give files that belong together, or move the labels away"
        )
    columns = element_names(shape)
    return Unchecked(where, x, y, columns, array_words(shape, columns, "X"))


def labels_beside(path: Path) -> Path | None:
    """``train-labels-idx1-ubyte(.gz)`` for ``train-images-idx3-ubyte(.gz)``, if it is there."""
    if "images" not in path.name:
        return None
    stem = re.sub(r"idx\d", "idx1", path.name.replace("images", "labels")).removesuffix(".gz")
    found = [path.with_name(name) for name in (stem, f"{stem}.gz") if path.with_name(name).is_file()]
    return found[0] if found else None


def array(path: Path) -> NDArray[Any]:
    """The array of one IDX file; its sizes are checked against the file before memory is taken."""
    check(path)
    where, packed = place(path), path.stat().st_size
    gzipped = path.suffix.lower() == ".gz"
    with parsing(where, "an IDX file"), gzip.open(path) if gzipped else path.open("rb") as stream:
        magic = stream.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 8:
            raise BadInput(
                f"{where}: not an IDX file: it should begin with bytes 0, 0, a type and a rank; got {magic.hex(' ')}"
            )
        sizes = struct.unpack(f">{magic[3]}I", stream.read(4 * magic[3]))
        dtype = np.dtype(TYPES[magic[2]])
        expected = math.prod(sizes) * dtype.itemsize
        fits(where, max(expected, 4 * math.prod(sizes)))
        if gzipped:
            honest(where, packed, expected, "unpack it first")
        elif expected > packed:
            raise _cut(where, sizes, expected, packed - 4 - 4 * magic[3])
        data = stream.read(expected + 1)
    if len(data) != expected:
        raise _cut(where, sizes, expected, len(data))
    return np.frombuffer(data, dtype).reshape(sizes)


def written(x: NDArray[Any]) -> bytes:
    """An array as the bytes of an IDX file, numbers in the order that the format wants.

    Examples
    --------
    >>> written(np.array([[1, 2]], np.uint8)).hex(" ")
    '00 00 08 02 00 00 00 01 00 00 00 02 01 02'
    """
    code = next(code for code, kind in TYPES.items() if np.dtype(kind).newbyteorder("=") == x.dtype.newbyteorder("="))
    head = bytes([0, 0, code, x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape)
    return head + x.astype(TYPES[code]).tobytes()


def _cut(where: str, sizes: tuple[int, ...], expected: int, got: int) -> BadInput:
    shape = " x ".join(map(str, sizes))
    amount = f"{got:,}" if got <= expected else "more"
    return BadInput(f"{where}: declares {shape} numbers ({expected:,} bytes) but holds {amount}; fetch the file again")
