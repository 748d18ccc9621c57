"""Rows into bytes by a trained autoencoder, and back, with every element within a bound.

The code of each row is rounded (a discrete code is taken as it is), decoded, and what is still missing of an element is
rounded to multiples of twice the bound, which is nothing where the model is good enough. Both go through the entropy
coder. Elements that rounding to the numbers' own type would push over the bound are kept as they are. What comes out
holds everything that a decoder needs beside the model.

One step rules all elements of a code: each is rounded so that its error is equally large in the decoded row (for an
orthonormal decoder, PCA, this is the optimum at high rate: Goyal 2001, Theoretical foundations of transform coding,
IEEE Signal Processing Magazine 18). A bound on the largest error is what error-bounded compressors keep (Liu et al.
2021, Exploring autoencoder-based error-bounded compression for scientific data, CLUSTER).
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.abilities import Discrete
from isthmus.data.files import fits, honest
from isthmus.errors import BadInput
from isthmus.parts.entropy import FARTHEST, MOST_SYMBOLS, pack, unpack
from isthmus.train.inference import in_chunks

Array = NDArray[np.float32]
Wide = NDArray[np.float64]

HEAD = struct.Struct("<IIIIddI")
"""Rows, elements of a row, positions of the code, elements kept as they are; step, bound; checksum of all."""
LENGTH = struct.Struct("<I")
MARGIN = 0.01
"""Steps are so much narrower than the bound allows: another machine may decode the last digits differently."""
PROBES, LEAST_PROBES, NUDGED = 64, 8, 1 << 16
"""Codes at which the decoder's answer to a change is measured: fewer for wide codes, so that ``NUDGED`` are decoded."""
CELLS = 1 << 20
"""Elements of codes that are decoded at once for it."""
TURN = 4
"""Steps of code elements are powers of the fourth root of two."""
UNUSED = -128
PACKED = 4096
"""Bytes of rows that one byte of coded rows may stand for, once they are many: a number in a 64th of a bit."""
DOUBLE, SINGLE, HALF = -1, -2, -3
"""Numbers of 64, 32 and 16 bits, as a grid; 0 and more are decimals behind the point."""


class Way(Protocol):
    """What the codec asks of a model; rows and codes in scaled units."""

    def encode_scaled(self, x: Array) -> Array:
        """``x`` (n, *D) -> (n, L)."""

    def decode_scaled(self, z: Array) -> Array:
        """``z`` (n, L) -> (n, *D)."""

    @property
    def model(self) -> Any:
        """The network; asked for symbols if it is :class:`Discrete`."""


class Units(NamedTuple):
    """How scaled values become those of the data, column by column; each (D,)."""

    shift: Wide
    scale: Wide
    grid: NDArray[np.int8]
    """Which numbers there are: decimals behind the point (0: whole numbers), or DOUBLE, SINGLE, HALF."""

    @classmethod
    def scaled(cls, elements: int) -> Units:
        """No units: values stay scaled."""
        return cls(np.zeros(elements), np.ones(elements), np.full(elements, DOUBLE, np.int8))

    def bounds(self, bound: float) -> Wide:
        """The largest error of each column, in its own unit, (D,): whole numbers within less than 1 are exact."""
        allowed = bound * self.scale
        tick = 10.0 ** -np.maximum(self.grid, 0).astype(np.float64)
        return np.where(self.grid >= 0, np.floor(allowed / tick * (1 + 1e-9)) * tick, allowed)

    def steps(self, bound: float) -> Wide:
        """Distances of the residual's multiples, (D,)."""
        tick = np.where(self.grid >= 0, 10.0 ** -np.maximum(self.grid, 0).astype(np.float64), 0.0)
        return (2 * self.bounds(bound) + tick) * (1 - MARGIN)

    def settle(self, values: Wide) -> Wide:
        """Values (n, D), rounded to numbers that the columns can hold."""
        out = values.copy()
        for kind in np.unique(self.grid):
            here = self.grid == kind
            if kind >= 0:
                out[:, here] = np.rint(values[:, here] * 10.0 ** int(kind)) / 10.0 ** int(kind)
            elif kind != DOUBLE:
                narrow = np.float32 if kind == SINGLE else np.float16
                most = float(np.finfo(narrow).max)
                out[:, here] = values[:, here].clip(-most, most).astype(narrow)
        return out


class Read(NamedTuple):
    """What a model reads in rows, before anything is rounded: it is the same for every step."""

    z: NDArray[Any]
    """Codes (n, L); of a discrete model its symbols (n, P)."""
    centre: NDArray[np.float32] | None
    """Of each element of the code, (L,); None for a discrete code."""
    turns: NDArray[np.int8] | None
    """How fine each is rounded, in powers of the fourth root of two, (L,)."""


class Coded(NamedTuple):
    """Rows as numbers to be written, and what a decoder will make of them."""

    symbols: NDArray[np.int64]
    """(n, P), of the code."""
    about: bytes | None
    """Centres and steps of its elements; None for a discrete code."""
    missing: NDArray[np.int64] | None
    """(n, D), steps of the residual; None without a bound."""
    wrong: NDArray[np.int64]
    """Places (in n * D) of elements that are kept as they are."""
    made: Wide
    """(n, D), in the units of the data."""
    step: float
    bound: float

    def to_bytes(self) -> bytes:
        """All that a decoder needs beside the model."""
        parts = [pack(self.symbols, measured=self.about is not None), self.about or b""]
        if self.missing is not None:
            parts.append(pack(self.missing, measured=True))
        if len(self.wrong):
            gaps = np.diff(self.wrong, prepend=0).astype("<i8")
            kept = self.made.ravel()[self.wrong].astype("<f8")
            parts += [zlib.compress(gaps.tobytes()), zlib.compress(kept.tobytes())]
        rest = b"".join(LENGTH.pack(len(part)) + part for part in parts)
        sizes = (*self.made.shape, self.symbols.shape[1], len(self.wrong), self.step, self.bound)
        return HEAD.pack(*sizes, zlib.crc32(HEAD.pack(*sizes, 0) + rest)) + rest


def code(
    way: Way,
    x: Array,
    *,
    step: float,
    bound: float = math.inf,
    rows: Wide | None = None,
    units: Units | None = None,
    seen: Read | None = None,
) -> Coded:
    """Round the codes of rows, and what the decoder then misses.

    Parameters
    ----------
    way : Way
        The model.
    x : array (n, *D)
        Scaled rows.
    step : float
        Of the rounding of codes, as it is felt in the decoded row; scaled units. A discrete code has none.
    bound : float, default infinity
        Largest error of an element, scaled. Without one, errors are whatever the model leaves.
    rows, units : array (n, D) and Units, optional
        The same rows in the units of the data, if the bound is to be kept there; by default ``x`` itself.
    seen : Read, optional
        What :func:`reading` says of these rows, where several steps are tried.

    Raises
    ------
    BadInput
        If codes or reconstructions are not finite.
    """
    flat = x.reshape(len(x), math.prod(x.shape[1:])).astype(np.float64) if rows is None else rows
    units = Units.scaled(flat.shape[1]) if units is None else units
    symbols, about = _symbols(reading(way, x) if seen is None else seen, step)
    guess = _guess(way, symbols, about, step, units)
    nothing: NDArray[np.int64] = np.zeros(0, np.int64)
    if bound == math.inf:
        return Coded(symbols, about, None, nothing, units.settle(guess), step, bound)
    width = units.steps(bound)
    with np.errstate(over="ignore"):
        missing = np.clip(np.rint((flat - guess) / width), -FARTHEST, FARTHEST).astype(np.int64)
    made = units.settle(guess + missing * width)
    wrong = np.flatnonzero(np.abs(made - flat) > units.bounds(bound))
    made.ravel()[wrong] = flat.ravel()[wrong]
    missing.ravel()[wrong] = 0
    return Coded(symbols, about, missing, wrong, made, step, bound)


def decode(way: Way, content: bytes, *, units: Units | None = None) -> Wide:
    """The rows (n, D) that :func:`code` made into bytes, in the units of the data.

    Raises
    ------
    BadInput
        If the bytes are damaged, or those of another model.
    """
    try:
        rows, elements, positions, kept, step, bound, told = HEAD.unpack_from(content)
    except struct.error:
        raise BadInput("damaged: its coded rows are cut short") from None
    rest = content[HEAD.size :]
    if zlib.crc32(HEAD.pack(rows, elements, positions, kept, step, bound, 0) + rest) != told:
        raise BadInput("damaged: its coded rows do not match their checksum")
    size = 8 * rows * max(elements, positions)
    fits("its coded rows", size)
    honest("its coded rows", len(content), size, "compress fewer rows at a time", PACKED)
    if not (0 < step < math.inf and bound > 0 and kept <= rows * elements):
        raise BadInput("damaged: its coded rows have step sizes that isthmus never writes")
    units = Units.scaled(elements) if units is None else units
    try:
        with np.errstate(all="ignore"):
            return _decoded(way, rest, (rows, elements, positions, kept), step, bound, units)
    except (ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
    except (struct.error, zlib.error):
        pass
    raise BadInput("damaged, or made by another model: its coded rows do not fit together")


def _decoded(way: Way, rest: bytes, sizes: tuple[int, int, int, int], step: float, bound: float, units: Units) -> Wide:
    """What :func:`decode` makes of the parts behind the head."""
    rows, elements, positions, kept = sizes
    parts = _split(rest)
    guess = _guess(way, unpack(parts[0], rows, positions), parts[1] or None, step, units)
    if bound == math.inf:
        return units.settle(guess)
    made = units.settle(guess + unpack(parts[2], rows, elements) * units.steps(bound))
    if kept:
        wrong = np.frombuffer(_inflated(parts[3], 8 * kept), "<i8").cumsum()
        made.ravel()[wrong] = np.frombuffer(_inflated(parts[4], 8 * kept), "<f8")
    return made


def _split(rest: bytes) -> list[bytes]:
    parts, start = [], 0
    while start < len(rest):
        size = LENGTH.unpack_from(rest, start)[0]
        parts.append(rest[start + LENGTH.size : start + LENGTH.size + size])
        start += LENGTH.size + size
    return parts


def _inflated(packed: bytes, size: int) -> bytes:
    """What zlib packed, if it has the size that it should have."""
    found = zlib.decompressobj().decompress(packed, size + 1)
    if len(found) != size:
        raise ValueError("another size")
    return found


def reading(way: Way, x: Array) -> Read:
    """What a model reads in rows (n, *D), for :func:`code` at any step.

    Raises
    ------
    BadInput
        If codes are not finite.
    """
    if _discrete(way.model):
        return Read(in_chunks(way.model.tokens, x).astype(np.int64), None, None)
    z = way.encode_scaled(x)
    if not np.isfinite(z).all():
        raise BadInput("the model's code of these rows is not finite: it cannot compress them")
    with np.errstate(divide="ignore"):
        turns = np.clip(np.rint(TURN * np.log2(gains(way, z))), UNUSED, 127).astype(np.int8)
    return Read(z, _short(np.median(z, axis=0)), turns)


def _symbols(seen: Read, step: float) -> tuple[NDArray[np.int64], bytes | None]:
    """The code of rows as whole numbers (n, P), and what turns them into a code again."""
    if seen.centre is None or seen.turns is None:
        return seen.z, None
    about = seen.turns.tobytes() + (seen.centre.view("<u4") >> 16).astype("<u2").tobytes()
    far = (seen.z.astype(np.float64) - seen.centre) / _widths(seen.turns, step)
    return np.clip(np.rint(far), -FARTHEST, FARTHEST).astype(np.int64), about


def _guess(way: Way, symbols: NDArray[np.int64], about: bytes | None, step: float, units: Units) -> Wide:
    """What the decoder makes of the symbols (n, P): (n, D), in the units of the data."""
    if about is None:
        with torch.no_grad():
            z = way.model.embed(torch.from_numpy(symbols)).numpy()
    else:
        turns = np.frombuffer(about, np.int8, symbols.shape[1])
        centre = (np.frombuffer(about, "<u2", symbols.shape[1], len(turns)).astype("<u4") << 16).view("<f4")
        with np.errstate(over="ignore"):
            z = (symbols * _widths(turns, step) + centre).astype(np.float32)
    guess = way.decode_scaled(z).reshape(len(z), -1).astype(np.float64) * units.scale + units.shift
    if not np.isfinite(guess).all():
        raise BadInput("the model's reconstruction of these rows is not finite: it cannot compress them")
    return guess


def gains(way: Way, z: Array) -> Wide:
    """How far the decoded row moves when an element of its code moves by one, (L,): root mean square over codes.

    Measured at up to 64 of the codes ``z`` (n, L), by a tenth of the element's standard deviation.
    """
    probes = max(LEAST_PROBES, min(PROBES, NUDGED // max(1, z.shape[1])))
    some = z[:: max(1, len(z) // probes)][:probes]
    spread = z.std(axis=0, dtype=np.float64)
    found = np.zeros(z.shape[1])
    moving = np.flatnonzero(spread > 0)
    base = way.decode_scaled(some).reshape(len(some), -1).astype(np.float64)
    for part in np.array_split(moving, max(1, len(moving) * some.size // CELLS)):
        if not len(part):
            continue
        wide = np.repeat(some[None], len(part), axis=0)
        nudge = np.maximum(0.1 * spread[part], 1e-6 * np.abs(some).max()).astype(np.float32)
        wide[np.arange(len(part)), :, part] += nudge[:, None]
        there = way.decode_scaled(wide.reshape(-1, z.shape[1])).reshape(len(part), len(some), -1)
        found[part] = np.sqrt(np.square(there - base).sum(axis=2).mean(axis=1)) / nudge
    return found


def _widths(turns: NDArray[np.int8], step: float) -> Wide:
    """The rounding step of each element of the code, (L,): infinite where it changes nothing."""
    return np.where(turns == UNUSED, np.finfo(np.float32).max, step * 2.0 ** (-turns.astype(np.float64) / TURN))


def _short(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """The nearest float32 below in size whose last sixteen bits are zero."""
    return (values.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def _discrete(model: Any) -> bool:
    return isinstance(model, Discrete) and model.entries <= MOST_SYMBOLS
