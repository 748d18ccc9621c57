"""Whole numbers into few bytes and back: each column has a table that both sides learn as they go.

No table is sent. A column is coded in pieces, each half as long as what came before; the table of a piece is made of
the pieces before it, so that the decoder has it too.

Symbols, whose neighbours mean nothing: one seen c times among m, of which d were different, has probability
c / (m + d); those never seen share the rest (Witten and Bell 1991, The zero-frequency problem, IEEE Transactions on
Information Theory 37, method C). Measured numbers, whose neighbours are about as likely: they are counted from their
median in buckets, narrow in the middle and a sixteenth to an eighth of their distance wide in the tails; the place
within a bucket is coded as it is. Counts are smoothed over five buckets as long as few numbers are known.

The coder is the range coder of constriction (Bamler 2022, Understanding entropy coding with asymmetric numeral
systems, arXiv 2201.01741); it takes at most about a word of 32 bits more than the tables promise. Tables are sums and
quotients of whole numbers, which every machine computes alike.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput

Symbols = NDArray[np.int64]

FIRST = 4
"""Rows that are coded before anything is known."""
LINEAR, OCTAVE = 4, 3
"""Buckets grow beyond a distance of 2^4, to 2^3 in each octave."""
KERNEL = np.array([1, 4, 6, 4, 1]) / 16
SMOOTHED = 4
"""Smoothed counts weigh this often the share of different numbers among those that are known."""
FARTHEST = 1 << 30
"""Numbers lie between minus this and this."""
MOST_SYMBOLS = 1 << 20
"""A table has at most so many."""
HEAD = struct.Struct("<III")


def pack(symbols: Symbols, *, measured: bool) -> bytes:
    """Numbers (n, P) into bytes; columns are independent, rows are taken for exchangeable.

    Parameters
    ----------
    symbols : array (n, P) of int64
        Within 2^30 of 0.
    measured : bool
        Whether near numbers are alike; if not, they are names.

    Raises
    ------
    BadInput
        If a number is too large.

    Examples
    --------
    >>> coins = np.random.default_rng(0).integers(0, 2, (8000, 1))
    >>> len(pack(coins, measured=False))
    1031
    """
    from constriction import stream

    if symbols.size and max(-int(symbols.min()), int(symbols.max())) > FARTHEST:
        raise BadInput(f"numbers to be coded must be within 2^30 of 0; got {symbols.min()} to {symbols.max()}")
    middle, fine = _centres(symbols) if measured else np.zeros((2, symbols.shape[1]), np.int64)
    coarse, rest, bits = buckets(symbols - middle, fine) if measured else (symbols, symbols, 0 * symbols)
    low = coarse.min(axis=0, initial=FARTHEST) if len(coarse) else middle
    width = (coarse - low).max(axis=0, initial=0) + 1
    coder = stream.queue.RangeEncoder()
    within: NDArray[np.bool_] = np.any(bits, axis=0)
    for j in range(symbols.shape[1]):
        _write(coder, coarse[:, j] - low[j], int(width[j]), measured)
        if within[j]:
            _write_rest(coder, rest[:, j], bits[:, j])
    about = np.array([low, width, middle, fine], "<i4")
    head = zlib.compress(about.tobytes(), 9)
    body = np.asarray(coder.get_compressed(), "<u4").tobytes()
    return HEAD.pack(len(head), len(body), measured) + head + body


def unpack(content: bytes, rows: int, columns: int) -> Symbols:
    """The numbers (rows, columns) that :func:`pack` made into ``content``.

    The caller vouches for the bytes by a checksum; what is refused here was never written by :func:`pack`.

    Raises
    ------
    BadInput
        If sizes contradict each other.
    """
    from constriction import stream

    try:
        head, body, measured = HEAD.unpack_from(content)
        told = zlib.decompressobj().decompress(content[HEAD.size : HEAD.size + head], 16 * columns + 1)
        about = np.frombuffer(told, "<i4").reshape(4, columns).T.tolist()
        words = np.frombuffer(content[HEAD.size + head :][:body], "<u4").astype(np.uint32)
    except (struct.error, zlib.error, ValueError):
        raise BadInput("damaged: its coded numbers are cut short") from None
    coder, found = stream.queue.RangeDecoder(words), np.zeros((rows, columns), np.int64)
    for j, (low, width, middle, fine) in enumerate(about):
        if not (1 <= width <= MOST_SYMBOLS and 0 <= fine <= 30):
            raise BadInput("damaged: its coded numbers have a table that isthmus never writes")
        coarse = _read(coder, rows, width, bool(measured)) + low
        found[:, j] = _unbucket(coder, coarse, fine) + middle if measured else coarse
    return found


def likely_bits(symbols: Symbols) -> float:
    """About how many bits :func:`pack` takes for measured numbers (n, P): their entropy, and the price of a table.

    Each of d different buckets costs half of log2(n) to learn (Rissanen 1984). Far cheaper than coding.

    Examples
    --------
    >>> round(likely_bits(np.repeat([[0], [1]], 500, axis=0)))
    1010
    """
    rows, columns = symbols.shape
    middle, fine = _centres(symbols)
    coarse, _, bits = buckets(symbols - middle, fine)
    coarse = coarse - coarse.min(initial=0)
    top = int(coarse.max(initial=0)) + 1
    places = (coarse + np.arange(columns) * top).ravel()
    counts = np.bincount(places, minlength=columns * top)
    counts = counts[counts > 0]
    entropy = symbols.size * np.log2(max(rows, 1)) - float(counts @ np.log2(counts))
    return float(entropy + bits.sum() + 0.5 * np.log2(max(rows, 1)) * len(counts))


def pieces(rows: int) -> Iterator[tuple[int, int]]:
    """Where a column is cut: the first pieces have 4 rows, each later one half of what came before it.

    Examples
    --------
    >>> list(pieces(20))
    [(0, 4), (4, 8), (8, 12), (12, 18), (18, 20)]
    """
    start = 0
    while start < rows:
        end = min(rows, start + max(FIRST, start // 2))
        yield start, end
        start = end


def table(counts: Symbols, measured: bool) -> NDArray[np.float64]:
    """Probabilities (K,) of the next number, up to a factor, from how often each came so far.

    Examples
    --------
    >>> table(np.array([2, 1, 0, 0]), measured=False).tolist()
    [2.0, 1.0, 1.0, 1.0]
    """
    total, seen = int(counts.sum()), int((counts > 0).sum())
    if not total:
        return np.ones(len(counts))
    if measured:
        smooth = np.convolve(counts, KERNEL)[2:-2]
        return counts + smooth * (SMOOTHED * seen / total) + 0.5 / len(counts)
    return np.where(counts > 0, counts, seen / max(len(counts) - seen, 1))


def buckets(numbers: Symbols, fine: Symbols | int) -> tuple[Symbols, Symbols, Symbols]:
    """The bucket of each number, its place within, and the bits of that place: three arrays of the same shape.

    Examples
    --------
    >>> [a.tolist() for a in buckets(np.array([0, -1, 15, 16, 18, 40]), 0)]
    [[0, -1, 15, 16, 17, 26], [0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 2]]
    """
    coarse: Symbols = numbers >> fine
    far: Symbols = np.where(coarse < 0, -1 - coarse, coarse)
    octave: Symbols = np.maximum(np.frexp(far.astype(np.float64))[1].astype(np.int64) - 1, LINEAR)
    more: Symbols = np.where(far >> LINEAR == 0, 0, octave - OCTAVE)
    spot: Symbols = np.where(more > 0, (octave - LINEAR + 1 << OCTAVE) + (far >> more), far)
    rest: Symbols = (far & (1 << more) - 1) << fine | numbers & (1 << fine) - 1
    bits: Symbols = more + fine
    return np.where(coarse < 0, -1 - spot, spot), rest, bits


def _unbucket(coder: Any, spots: Symbols, fine: int) -> Symbols:
    """Numbers from their buckets, the places within read from the coder."""
    spot = np.where(spots < 0, -1 - spots, spots)
    octave = np.maximum((spot - (1 << LINEAR) >> OCTAVE) + LINEAR, LINEAR)
    more = np.where(spot >> LINEAR == 0, 0, octave - OCTAVE)
    rest = _read_rest(coder, more + fine)
    far = np.where(more > 0, spot - (octave - LINEAR + 1 << OCTAVE) << more, spot) + (rest >> fine)
    return np.where(spots < 0, -1 - far, far) << fine | rest & (1 << fine) - 1


def _centres(symbols: Symbols) -> tuple[Symbols, Symbols]:
    """Of each column the median, and how many low bits to leave: a bucket is a quarter to half the usual distance."""
    if not len(symbols):
        return np.zeros((2, symbols.shape[1]), np.int64)  # type: ignore[return-value]
    middle = np.median(symbols, axis=0).astype(np.int64)
    distance = np.median(np.abs(symbols - middle), axis=0)
    return middle, np.maximum(np.log2(np.maximum(distance, 1.0)).astype(np.int64) - 1, 0)


def _write(coder: Any, spots: Symbols, width: int, measured: bool) -> None:
    from constriction import stream

    if width > MOST_SYMBOLS:
        raise BadInput(f"a table of {width} symbols is too large to be learnt; at most {MOST_SYMBOLS}")
    counts = np.zeros(width, np.int64)
    for start, end in pieces(len(spots)) if width > 1 else ():
        piece = spots[start:end]
        coder.encode(piece.astype(np.int32), stream.model.Categorical(table(counts, measured), perfect=False))
        counts += np.bincount(piece, minlength=width)


def _read(coder: Any, rows: int, width: int, measured: bool) -> Symbols:
    from constriction import stream

    counts, found = np.zeros(width, np.int64), np.zeros(rows, np.int64)
    for start, end in pieces(rows) if width > 1 else ():
        model = stream.model.Categorical(table(counts, measured), perfect=False)
        found[start:end] = coder.decode(model, end - start)
        counts += np.bincount(found[start:end], minlength=width)
    return found


def _portions(bits: Symbols) -> Iterator[tuple[int, NDArray[np.intp], Symbols]]:
    """Bits in portions that the coder takes: their shift, where there are any, and how many."""
    for shift in (0, 16):
        here = np.flatnonzero(bits > shift)
        if len(here):
            yield shift, here, np.minimum(bits[here] - shift, 16)


def _write_rest(coder: Any, rest: Symbols, bits: Symbols) -> None:
    from constriction import stream

    for shift, here, count in _portions(bits):
        portion = rest[here] >> shift & (1 << count) - 1
        coder.encode(portion.astype(np.int32), stream.model.Uniform(), (1 << count).astype(np.int32))


def _read_rest(coder: Any, bits: Symbols) -> Symbols:
    from constriction import stream

    rest = np.zeros(len(bits), np.int64)
    for shift, here, count in _portions(bits):
        rest[here] += coder.decode(stream.model.Uniform(), (1 << count).astype(np.int32)).astype(np.int64) << shift
    return rest
