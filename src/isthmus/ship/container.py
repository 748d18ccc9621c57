"""A data file in few bytes: what a trained model and the codec make of it, in one file that vouches for every byte.

    ISTHMUS + format | head | remainder | rows | SHA-256 of all before it

each part with its length before it. The head is JSON: the model's fingerprint, the bound, and what the remainder is of;
the remainder (:mod:`isthmus.ship.remainder`) is packed by xz; the rows are those of :mod:`isthmus.codec`. Nothing
beside the model is needed to decode them. The checksum proves damage, not origin, so lengths and sizes are checked
before memory is taken, and whatever still makes no sense is refused in one line.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from isthmus import codec
from isthmus.data.counts import Counts
from isthmus.data.files import LARGEST, PACKED_ROWS, SUSPECT, check, honest
from isthmus.data.files import content as unzipped
from isthmus.data.scale import Scaler
from isthmus.data.wording import place
from isthmus.durable import whole
from isthmus.errors import BadInput
from isthmus.parts import bounded
from isthmus.parts.entropy import likely_bits
from isthmus.ship import artefact, remainder
from isthmus.train.inference import Inference

MAGIC = PACKED_ROWS + b"\x01"
LENGTH = struct.Struct("<Q")
SEAL = 32
SUFFIX = ".isthmus"
TRIED = (0.5, 1.0, 2.0, 4.0, 8.0, 1e6)
"""Steps of the code that are tried for a bound, in steps of the corrections; the last one switches the code off."""
SPARED = 0.01
"""Without a bound, rounding codes adds about this share to the model's own squared error."""

LEAST_STEP = 1e-6
PACKED_KEPT = 1000
"""Bytes that one byte of what is kept may stand for, above :data:`isthmus.data.files.SUSPECT`."""
MEMORY = 256 << 20
"""Bytes that unpacking by xz may take itself."""
FEWER = "compress fewer rows at a time"


@dataclass(frozen=True)
class Written:
    """What :func:`compress` did."""

    bytes: int
    """Of the container, as it lies on disk."""
    before: int
    """Of the file."""
    xz: int
    """Of the file as xz packs it, unzipped first, without loss: what the container should beat."""
    others: Mapping[str, int]
    """Of the same numbers by compressors of others at the same bound; none without a bound or the extra."""
    kept_bytes: int
    """Of all that is kept without loss."""
    elements: int
    """Numbers that the model codes."""
    worst: float
    """Largest error of an element, scaled."""
    mse: float
    """Mean squared error of an element, scaled."""


def fingerprint(fitted: Inference) -> str:
    """A hash of all in a model that decoding depends on: recipe, shape, head, scaling, columns, weights.

    The same model, saved again by another version, keeps it.
    """
    facts = [fitted.recipe.to_json(), list(fitted.shape), fitted.head, fitted.layout.to_json(), list(fitted.columns)]
    return hashlib.sha256(json.dumps(facts).encode() + artefact.pack(fitted)[artefact.TENSORS]).hexdigest()


def _scaler(fitted: Inference) -> Scaler:
    """How rows were scaled; a model of columns of several kinds is refused."""
    if isinstance(fitted.layout, Scaler):
        return fitted.layout
    if isinstance(fitted.layout, Counts):
        raise BadInput("a container holds rows of numbers, and this model is of counts; keep these in a sparse file")
    kinds = sorted({field.kind for field in fitted.fields} - {"number"}) or ["gaps"]
    raise BadInput(
        f"a container holds rows of numbers without gaps; this model is of a table with {kinds[0]}: train one on its "
        "columns of numbers (isthmus train --drop)"
    )


def compress(
    fitted: Inference, source: str | os.PathLike[str], out: str | os.PathLike[str], *, bound: float | None = None
) -> Written:
    """Write a data file as a container.

    Parameters
    ----------
    fitted : Inference
        A model of such rows.
    source : path
        ``.npy``, IDX, ``.csv`` or ``.tsv`` (all also ``.gz``), ``.npz``, ``.parquet``, ``.arrow`` or ``.feather``.
    out : path
        The container; it is there whole or not at all.
    bound : float, optional
        Largest error of every element, in scaled units: standard deviations of its column for a table, the range of
        all elements for images, the unit of the data where they were not scaled. Kept for every element of the file
        as it will be written again. By default only codes are kept, and errors are what the model leaves.

    Raises
    ------
    BadInput
        If the file does not fit the model, or the bound is no positive number.
    """
    if bound is not None and not 0 < bound < math.inf:
        raise BadInput(f"bound must be a positive number; got {bound!r}")
    if fitted.target_layout is not None:
        raise BadInput("this model predicts a target other than its rows, so it cannot restore them; train another")
    _scaler(fitted)
    path, target = Path(source), Path(out)
    _apart(path, target)
    taken = remainder.take(path, fitted.columns, fitted.shape)
    units = _units(fitted, taken.grid)
    x = fitted.layout.apply(taken.rows.reshape(-1, *fitted.shape))
    best = _coded(fitted, x, taken.rows, units, bound)
    head = {"model": fingerprint(fitted), "bound": bound, "grid": _runs(taken.grid), "remainder": taken.remainder.about}
    kept = lzma.compress(taken.remainder.kept, preset=9)
    honest(f"{place(path)}: what the model does not code", len(kept), len(taken.remainder.kept), FEWER, PACKED_KEPT)
    content = _sealed([json.dumps(head, separators=(",", ":")).encode(), kept, best.to_bytes()])
    again = codec.decode(fitted, _opened("the container", content)[2], units=units)
    gap = np.abs(again - taken.rows) / units.scale
    whole(target, content)
    return Written(
        bytes=len(content),
        before=path.stat().st_size,
        xz=len(lzma.compress(unzipped(path, LARGEST))),
        others={} if bound is None else _others(taken.rows / units.scale, bound),
        kept_bytes=len(kept),
        elements=taken.rows.size,
        worst=float(gap.max(initial=0)),
        mse=float(np.square(gap).mean()),
    )


def _others(scaled: NDArray[np.float64], bound: float) -> dict[str, int]:
    """Bytes that the numbers take by compressors of others at the same bound, of those that are installed."""
    return {name: bounded.compressed(name, scaled.astype(np.float32), bound)[0] for name in bounded.installed()}


def decompress(
    source: str | os.PathLike[str], fitted: Inference, out: str | os.PathLike[str] | None = None
) -> tuple[Path, float | None]:
    """Write the data file that a container stands for.

    Parameters
    ----------
    source : path
        What :func:`compress` wrote.
    fitted : Inference
        The same model.
    out : path, optional
        The file to write. By default the container's name with the end of the original's; it must not exist.

    Returns
    -------
    (Path, float or None)
        The file, and the bound that it keeps.

    Raises
    ------
    BadInput
        If the container is damaged, of another model, or no container at all.
    """
    path = Path(source)
    check(path)
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{place(path)}: larger than the {LARGEST:,} bytes that a container may have")
    head, kept, coded = _opened(place(path), path.read_bytes())
    about, kind, grid = _head(place(path), head, math.prod(fitted.shape))
    if about.model != fingerprint(fitted):
        raise BadInput(f"{place(path)}: made by another model; give the one that compressed it")
    bare = path.name.removesuffix(SUFFIX)
    target = path.with_name(bare if bare.lower().endswith(kind) else bare + kind) if out is None else Path(out)
    if out is None and os.path.lexists(target):
        raise BadInput(f"{place(target)} exists; name the file to write (--out)")
    _apart(path, target)
    try:
        rows = codec.decode(fitted, coded, units=_units(fitted, grid))
        content = remainder.fill(remainder.Remainder(about.remainder, _unpacked(kept)), rows)
    except BadInput as error:
        raise BadInput(f"{place(path)}: {error}") from None
    whole(target, content)
    return target, about.bound


def _apart(source: Path, target: Path) -> None:
    """Refuse to write over what is being read."""
    if target.exists() and target.samefile(source):
        raise BadInput(f"{place(target)} is the file that is read; name another one to write (--out)")


class Head(BaseModel):
    """What the head of a container says, as far as it is read here."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    model: str
    bound: Annotated[float, Field(gt=0)] | None
    grid: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    """Which numbers the columns can hold: a kind, and how many columns in a row have it."""
    remainder: dict[str, JsonValue]


def _head(where: str, text: bytes, columns: int) -> tuple[Head, str, NDArray[np.int8]]:
    """The head, the end of the file's name, and the grid of the columns, before any of them takes memory."""
    try:
        head = Head.model_validate_json(text)
        kind = head.remainder["kind"]
        known = all(codec.HALF <= value <= remainder.FINEST and count > 0 for value, count in head.grid)
        if not known or sum(count for _, count in head.grid) != columns:
            raise ValueError
        if not isinstance(kind, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInput(f"{where}: damaged: its header is not valid, or it belongs to another model") from None
    if kind not in remainder.FILLERS:
        raise BadInput(f"{where}: holds a file of an unknown kind; upgrade isthmus")
    return head, kind, np.repeat(*np.array(head.grid, np.int64).T).astype(np.int8)


def _units(fitted: Inference, grid: NDArray[np.int8]) -> codec.Units:
    size = math.prod(fitted.shape)
    if len(grid) != size:
        raise BadInput(f"damaged: it has {len(grid)} columns, the model {size}")
    scaler = _scaler(fitted)
    shift, scale = (np.broadcast_to(part, size).copy() for part in (scaler.shift, scaler.scale))
    return codec.Units(shift, scale, grid)


def _coded(
    fitted: Inference, x: NDArray[np.float32], rows: NDArray[np.float64], units: codec.Units, bound: float | None
) -> codec.Coded:
    """The rows at the step that takes the fewest bits; without a bound, at one whose error hardly shows."""
    if bound is None:
        own = float(np.square(fitted.decode_scaled(fitted.encode_scaled(x)).astype(np.float64) - x).mean())
        share = 12 * SPARED * own * math.prod(fitted.shape) / fitted.model.latents
        return codec.code(fitted, x, step=max(math.sqrt(share), LEAST_STEP), rows=rows, units=units)
    seen = codec.reading(fitted, x)
    steps = (2 * bound * part for part in TRIED)
    tried = (codec.code(fitted, x, step=s, bound=bound, rows=rows, units=units, seen=seen) for s in steps)
    return min(tried, key=lambda coded: sum(likely_bits(n) for n in (coded.symbols, coded.missing) if n is not None))


def _sealed(parts: Sequence[bytes]) -> bytes:
    text = MAGIC + b"".join(LENGTH.pack(len(part)) + part for part in parts)
    return text + hashlib.sha256(text).digest()


def _opened(where: str, content: bytes) -> list[bytes]:
    """The three parts of a container whose every byte is as it was written."""
    if content[: len(MAGIC) - 1] != MAGIC[:-1]:
        raise BadInput(f"{where}: not a container of isthmus; give a file that isthmus compress wrote")
    text = content[:-SEAL]
    if hashlib.sha256(text).digest() != content[-SEAL:]:
        raise BadInput(f"{where}: damaged: its bytes do not match its checksum; fetch it again")
    if text[len(MAGIC) - 1] > MAGIC[-1]:
        raise BadInput(f"{where}: format {text[len(MAGIC) - 1]} is newer than this version reads: upgrade isthmus")
    parts, start = [], len(MAGIC)
    while start + LENGTH.size <= len(text):
        size = LENGTH.unpack_from(text, start)[0]
        parts.append(text[start + LENGTH.size : start + LENGTH.size + size])
        start += LENGTH.size + size
    if len(parts) != 3 or start != len(text):
        raise BadInput(f"{where}: damaged: its parts do not fit together")
    return parts


def _unpacked(kept: bytes) -> bytes:
    """What xz packed, unless it is far larger than honest files are."""
    most = min(LARGEST, max(SUSPECT, PACKED_KEPT * len(kept)))
    try:
        unpacker = lzma.LZMADecompressor(memlimit=MEMORY)
        found = unpacker.decompress(kept, max_length=most)
    except lzma.LZMAError:
        raise BadInput("damaged: what was kept of the file cannot be unpacked") from None
    if not unpacker.eof:
        raise BadInput(f"damaged: what was kept of the file unpacks to more than {most:,} bytes")
    return found


def _runs(grid: NDArray[np.int8]) -> list[list[int]]:
    """Equal neighbours together: [value, how many]."""
    starts = np.flatnonzero(np.diff(grid, prepend=grid[0] - 1))
    lengths = np.diff(np.append(starts, len(grid)))
    return [[int(grid[i]), int(n)] for i, n in zip(starts, lengths, strict=True)]
