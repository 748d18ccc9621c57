"""Compression: how many bytes rows really take, at the same error for everybody.

The codec rounds codes, corrects what is missing, and codes both by one entropy coder; a step is swept, and what it
writes is counted. Rivals, at the same error: ``pca`` by the same codec; the rows rounded and coded by the same coder
without a model; the rounded rows by zstd, xz and bz2; for images JPEG and WebP, all test images on one sheet; and where
the extra ``bytes`` is installed the rounded rows by pcodec, and the rows by SZ3 and zfp, whose bound is swept.
"""

from __future__ import annotations

import bz2
import lzma
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from isthmus import codec
from isthmus.errors import BadInput
from isthmus.facets import pictures
from isthmus.facets.facet import Coder, Contender, Curve, CurveTitle, Facet, Found, Rows, Splits, some
from isthmus.facets.kin import Lines
from isthmus.facets.purpose import NEEDED
from isthmus.metrics.fidelity import ROUNDING, mse
from isthmus.metrics.likelihood import obstacle
from isthmus.metrics.rate import RANGE, TARGET, bits_back, hull, mean_rate, rate_at
from isthmus.parts.bounded import EXTRA, MODULES, compressed
from isthmus.parts.entropy import FARTHEST, likely_bits, pack, pieces
from isthmus.rivals.rival import Network
from isthmus.rivals.rounding import Rounding
from isthmus.said import Said
from isthmus.seeds import seed as hashed

CELLS = 1 << 21
"""Elements of test rows, or of their codes, that are coded at most: more hardly move a rate."""
FIRST, LAST = 3.5, 0.2
"""The sweep of the step: from this many standard deviations down to that."""
COARSE, FINE = 2, 4
"""Steps in each halving, to choose and to measure; one, where wide codes would take more than ``TABLES``."""
TABLES = 1e6
"""Tables that a sweep may make: minutes of one core. Each column of code and rows has one for each piece of it."""
BOUNDS = (math.inf, 0.5)
"""In steps: the code alone, and corrections as fine as the code."""
Point = tuple[float, float]
"""Distortion as a share of the variance, and bits per element."""
Array = NDArray[np.float32]
Bits = Callable[[codec.Coded], float]
ZSTD_LEVEL = 19
"""The highest whose window every decoder grants: 8 MiB (RFC 8878)."""
TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64)
INDEPENDENT = 1.984
"""Bits per element that Gaussian columns without relation and of one variance take, rounded to the step that gives the
target error (1.095 standard deviations): the entropy of the whole numbers. Who needs as many has found nothing."""
NAMES = ("bits_per_element", "bits_with_model", "bits_mean")


def criterion(coder: Coder, splits: Splits) -> float:
    """Bits per element at the target error on the validation rows, as entropies promise them."""

    def promised(coded: codec.Coded) -> float:
        missing = 0.0 if coded.missing is None else likely_bits(coded.missing)
        return likely_bits(coded.symbols) + missing

    x = _some(splits.valid, splits)
    points = _points(coder, splits, x, min(COARSE, _fineness(splits, x)), promised, TARGET)
    return rate_at([d for d, _ in points], [b for _, b in points])


def measure(contender: Contender, splits: Splits) -> Found:
    """Bits per element, without and with the model's own bytes, and the curve; bits back where the family has them."""
    x = _some(splits.test, splits)
    points = _points(contender, splits, x, _fineness(splits, x), lambda coded: 8 * len(coded.to_bytes()), RANGE[0])
    if not points:
        return dict.fromkeys(NAMES, math.nan)
    found = told(points, 8 * contender.artefact_bytes / splits.test.x.size)
    if not obstacle(contender.model):
        found = {
            **found,
            "bits_back": bits_back(contender.model, x, math.sqrt(12 * TARGET) * _spread(splits), splits.seed),
        }
    return found


def told(points: Sequence[Point], extra: float = 0.0) -> Found:
    """The facet's numbers and curve from measured points; ``extra`` bits per element are the model's own."""
    distortion, bits = zip(*points, strict=True)
    rate = rate_at(distortion, bits)
    found = {"bits_per_element": rate, "bits_with_model": rate + extra, "bits_mean": mean_rate(distortion, bits)}
    if not math.isfinite(rate):
        return found
    best = hull(distortion, bits)
    return {**found, "rate_distortion": Curve(tuple(b for _, b in best[::-1]), tuple(d for d, _ in best[::-1]))}


def _points(coder: Coder, splits: Splits, x: Array, each: int, bits: Bits, enough: float) -> list[Point]:
    """What the codec can do to rows, each way from coarse to fine; nothing if the model's numbers are not finite."""
    points: list[Point] = []
    spread = _spread(splits)
    try:
        seen = codec.reading(coder, x)
        for bound in BOUNDS:
            for step in _steps(spread, each):
                coded = codec.code(coder, x, step=step, bound=bound * step, seen=seen)
                points.append((_distortion(x, coded.made, spread), bits(coded) / x.size))
                if points[-1][0] < enough:
                    break
    except BadInput:
        return []
    return points


def rounded(write: Callable[[NDArray[np.int64]], bytes], splits: Splits) -> Found:
    """Rows rounded to multiples of a step, no model: the rate of what ``write`` makes of the whole numbers (n, D)."""
    x, spread = _some(splits.test, splits), _spread(splits)

    def points() -> Iterator[Point]:
        for step in _steps(spread, FINE):
            far = np.rint(x.reshape(len(x), -1).astype(np.float64) / step)
            whole = far.clip(-FARTHEST, FARTHEST).astype(np.int64)
            yield _distortion(x, whole * step, spread), 8 * len(write(whole)) / x.size

    return _rival(points())


def stored(squeeze: Callable[[bytes], bytes]) -> Callable[[NDArray[np.int64]], bytes]:
    """A general compressor of the whole numbers, in the narrowest type that holds them."""

    def write(whole: NDArray[np.int64]) -> bytes:
        low, high = int(whole.min()), int(whole.max())
        kind = next(k for k in TYPES if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
        return squeeze(whole.astype(kind).tobytes())

    return write


def zstd(content: bytes) -> bytes:
    """One frame of Zstandard (RFC 8878)."""
    import pyarrow

    return pyarrow.Codec("zstd", compression_level=ZSTD_LEVEL).compress(content, asbytes=True)


def drawn(kind: str, splits: Splits) -> Found:
    """The test images by JPEG or WebP; missing where rows are no pictures."""
    x, spread = _some(splits.test, splits), _spread(splits)
    if not pictures.drawable(x.shape[1:]):
        return dict.fromkeys(NAMES, math.nan)
    low, high = float(splits.train.x.min()), float(splits.train.x.max())
    found = pictures.sweep(kind, x, low, high)
    return _rival((_distortion(x, y, spread), 8 * size / x.size) for y, size in found)


def at_bound(name: str, splits: Splits) -> Found:
    """The rows by a compressor of others, at bounds on the error of each element from coarse to fine."""
    x, spread = _some(splits.test, splits), _spread(splits)
    reach = 0.5 if name == "pcodec" else 1.0  # rounding errs by half a step; zfp keeps far within its bound

    def points() -> Iterator[Point]:
        for step in _steps(spread, FINE):
            size, made = compressed(name, x, reach * step)
            yield _distortion(x, made, spread), 8 * size / x.size

    return _rival(points())


def whole_numbers(back: Sequence[str], splits: Splits) -> Lines:
    """Python that rounds rows to the coarsest step at which validation rows keep to the target error, and packs them:
    imports, what is made of the whole numbers, and how they come back."""
    imports, packed, again = back
    return Lines(
        f"{imports}\nimport numpy as np\n\n"
        f"step = {_step(lambda x, step: np.rint(x / step) * step, splits):.4g}  # of scaled rows: "
        f"the error is a {1 / TARGET:.0f}th of the variance\n"
        "whole = np.rint(X / step).astype(np.int64)\n"
        f"kinds = ({', '.join(f'np.{kind.__name__}' for kind in TYPES)})\n"
        "kind = next(k for k in kinds if np.iinfo(k).min <= whole.min() and whole.max() <= np.iinfo(k).max)\n"
        f"content = {packed}\n"
        f"back = {again}.reshape(X.shape) * step"
    )


def within_bound(name: str, splits: Splits) -> Lines:
    """The same of the rows themselves at the coarsest bound."""
    step = _step(lambda x, step: compressed(name, x, step)[1], splits)
    lines = "\n".join(BOUNDED[name])
    return Lines(f"import numpy as np\n\nbound = {step:.4g}  # of scaled rows\nX = np.asarray(X, np.float32)\n{lines}")


def sheet_of(kind: str, suffix: str, splits: Splits) -> Lines:
    """Python that draws images on a sheet, as a file of the worst quality that keeps to the target error."""
    x, spread = _some(splits.valid, splits), _spread(splits)
    quality = pictures.QUALITIES[-1]
    if pictures.drawable(x.shape[1:]):
        found = pictures.sweep(kind, x, float(splits.train.x.min()), float(splits.train.x.max()))
        tried = zip(pictures.QUALITIES, found, strict=True)
        quality = next((one for one, (y, _) in tried if _distortion(x, y, spread) <= TARGET), quality)
    return Lines(
        "# X: images (n, H, W) or (n, H, W, C), as they come\n"
        "import numpy as np\nfrom PIL import Image\n\n"
        "from isthmus.facets.pictures import cut, sheet\n\n"
        "low, high = X.min(), X.max()\n"
        "levels = np.rint((X - low) * (255 / (high - low))).astype(np.uint8)\n"
        "page = sheet(levels.reshape(*levels.shape[:3], -1))\n"
        f"Image.fromarray(page[:, :, 0] if page.shape[2] == 1 else page).save('rows.{suffix}', quality={quality})\n"
        f"back = np.asarray(Image.open('rows.{suffix}').convert('RGB' if page.shape[2] == 3 else 'L'))\n"
        "back = cut(back.reshape(page.shape), X.shape[:3]).reshape(X.shape) * ((high - low) / 255) + low",
        takes="cells",
    )


def _step(made: Callable[[Array, float], NDArray[np.floating]], splits: Splits) -> float:
    """The coarsest step of the sweep at which validation rows, made of it, keep to the target error; or the finest."""
    x, spread = _some(splits.valid if len(splits.valid.x) else splits.train, splits), _spread(splits)
    steps = _steps(spread, FINE) or [1.0]
    return next((step for step in steps if _distortion(x, made(x, step), spread) <= TARGET), steps[-1])


def _rival(points: Iterator[Point]) -> Found:
    taken = list(_until(points))
    return told(taken) if taken else dict.fromkeys(NAMES, math.nan)


def _until(points: Iterator[Point]) -> Iterator[Point]:
    """Points up to the first that is better than all that rates are averaged over."""
    for point in points:
        yield point
        if point[0] < RANGE[0]:
            return


def _fineness(splits: Splits, x: Array) -> int:
    """Steps in each halving for rows (n, *D): the same for all who are compared."""
    columns = len(BOUNDS) * splits.latents + math.prod(x.shape[1:])
    tables = columns * sum(1 for _ in pieces(len(x)))
    return next((each for each in (FINE, COARSE) if len(_steps(1.0, each)) * tables <= TABLES), 1)


def _steps(spread: float, each: int) -> list[float]:
    """The sweep, from coarse to fine, ``each`` steps in a halving; nothing for rows that do not vary."""
    if not spread > 0:
        return []
    return [FIRST * spread * 2 ** (-k / each) for k in range(math.ceil(each * math.log2(FIRST / LAST)) + 1)]


def _spread(splits: Splits) -> float:
    """Root mean square of the training rows about their mean."""
    x = splits.train.x
    about = np.square(x - x.mean(axis=0, dtype=np.float64)).mean()
    size = float(np.square(x, dtype=np.float64).mean())
    return math.sqrt(about) if about > ROUNDING * size else 0.0


def _distortion(x: Array, made: NDArray[np.floating], spread: float) -> float:
    return mse(x.reshape(len(x), -1), made.reshape(len(x), -1)) / spread**2


def _some(rows: Rows, splits: Splits) -> Array:
    most = max(1, CELLS // max(1, math.prod(rows.x.shape[1:]), splits.latents))
    return some(rows, most, hashed(splits.seed, "compression", "rows")).x


GENERAL = {
    "zstd": (
        "import pyarrow",
        f"pyarrow.Codec('zstd', compression_level={ZSTD_LEVEL}).compress(whole.astype(kind).tobytes(), asbytes=True)",
        "np.frombuffer(pyarrow.decompress(content, whole.astype(kind).nbytes, 'zstd'), kind)",
    ),
    "xz": (
        "import lzma",
        "lzma.compress(whole.astype(kind).tobytes(), preset=6)",
        "np.frombuffer(lzma.decompress(content), kind)",
    ),
    "bz2": (
        "import bz2",
        "bz2.compress(whole.astype(kind).tobytes())",
        "np.frombuffer(bz2.decompress(content), kind)",
    ),
    "pcodec": (
        f"# {EXTRA}\nfrom pcodec import ChunkConfig, standalone\n",
        "standalone.simple_compress(whole.astype(np.int32).ravel(), ChunkConfig())",
        "standalone.simple_decompress(content)",
    ),
}
"""Compressors of whole numbers: imports, and how numbers are packed and come back."""
BOUNDED = {
    "sz3": (
        f"# {EXTRA}",
        "from pysz import sz, szConfig, szErrorBoundMode",
        "",
        "config = szConfig()",
        "config.errorBoundMode, config.absErrorBound = szErrorBoundMode.ABS, bound",
        "content, _ = sz.compress(X, config)",
        "back, _ = sz.decompress(content, np.float32, X.shape)",
    ),
    "zfp": (
        f"# {EXTRA}",
        "import zfpy",
        "",
        "content = zfpy.compress_numpy(X, tolerance=bound)",
        "back = zfpy.decompress_numpy(content)",
    ),
}
"""Those of numbers, at a bound on the error of each."""


COMPRESSION = Facet(
    name="compression",
    title=Said("Compression", "压缩"),
    question=Said("How few bytes do the rows take, at the same error?", "误差相同时，最少用多少字节就能存下这些数据？"),
    purposes={"compress": NEEDED},
    wanted_by={"bits_per_element": Said("To compress rows into few bytes", "把数据压缩成更少的字节")},
    spoiled_by=(
        "constant output",
        "identity copying",
    ),
    primary="bits_per_element",
    view="all",
    labels=False,
    sees=Said("validation rows, without labels", "验证集，不使用标签"),
    criterion=criterion,
    free=criterion,
    measure=measure,
    metrics=(*NAMES, "bits_back"),
    floor=INDEPENDENT,
    floor_title=Said("rounding unrelated Gaussian columns", "对互不相关的高斯数据取整"),
    simplest="rounding",
    rivals={
        "rounding": partial(rounded, partial(pack, measured=True)),
        "zstd": partial(rounded, stored(zstd)),
        "xz": partial(rounded, stored(partial(lzma.compress, preset=6))),
        "bz2": partial(rounded, stored(bz2.compress)),
        "jpeg": partial(drawn, "JPEG"),
        "webp": partial(drawn, "WEBP"),
        **{name: partial(at_bound, name) for name in MODULES},
    },
    networks={"rounding": lambda _: Network(Rounding(), {})},
    kin={
        **{name: partial(whole_numbers, back) for name, back in GENERAL.items()},
        **{name: partial(within_bound, name) for name in BOUNDED},
        "jpeg": partial(sheet_of, "JPEG", "jpg"),
        "webp": partial(sheet_of, "WEBP", "webp"),
    },
    extras=frozenset(MODULES),
    only={"jpeg": "pictures", "webp": "pictures"},
    curves={
        "rate_distortion": CurveTitle(
            Said("Rate and distortion", "码率与失真"),
            x=Said("bits per element", "每个元素的比特数"),
            y=Said("squared error as a share of the variance", "平方误差占方差的比例"),
            log=False,
            bounds=(0.0, math.inf),
        ),
    },
)
