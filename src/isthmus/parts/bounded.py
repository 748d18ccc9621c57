"""Compressors of numbers that others wrote, at a bound on the error of each: what the codec has to beat.

pcodec packs whole numbers without loss (so rows are rounded first); SZ3 predicts each number from those before it (Zhao
et al. 2021, Optimizing error-bounded lossy compression, ICDE); zfp transforms blocks of four in each direction
(Lindstrom 2014, Fixed-rate compressed floating-point arrays, TVCG 20). They are an extra: ``pip install
'isthmus[bytes]'``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import MissingExtra

Numbers = NDArray[np.floating[Any]]
EXTRA = "pip install 'isthmus[bytes]'"
MODULES = {"pcodec": "pcodec", "sz3": "pysz", "zfp": "zfpy"}
"""Compressor -> the module that it needs."""
AXES = 4
"""The most that zfp knows, and SZ3."""


def installed() -> list[str]:
    """Those that are there."""
    return [name for name, module in MODULES.items() if find_spec(module) is not None]


def needed(name: str) -> None:
    """Refuse a compressor whose module is not installed.

    Raises
    ------
    MissingExtra
        With the command that installs it.
    """
    if find_spec(MODULES[name]) is None:
        raise MissingExtra(f"{name} needs {MODULES[name]}: {EXTRA}")


def compressed(name: str, x: Numbers, bound: float) -> tuple[int, Numbers]:
    """Bytes that rows (n, *D) take, and what comes back of them, no element off by more than ``bound``.

    Parameters
    ----------
    name : str
        One of :data:`MODULES`.
    x : array (n, *D)
        Finite numbers, float32 or float64.
    bound : float
        Above 0.

    Raises
    ------
    MissingExtra
        If its module is not installed.
    """
    needed(name)
    rows = np.ascontiguousarray(x)
    axes = [size for size in rows.shape if size > 1] or [1]
    whole = rows.reshape(axes if len(axes) <= AXES else (len(rows), -1))
    size, made = WAYS[name](whole, bound)
    return size, made.reshape(rows.shape)


def _pcodec(x: Numbers, bound: float) -> tuple[int, Numbers]:
    """Multiples of twice the bound, in the narrowest type that pcodec has for them."""
    from pcodec import ChunkConfig, standalone

    whole = np.rint(x.astype(np.float64) / (2 * bound))
    kind = next(k for k in (np.int16, np.int32, np.int64) if np.abs(whole).max(initial=0) <= np.iinfo(k).max)
    content = standalone.simple_compress(whole.astype(kind).ravel(), ChunkConfig())
    back = standalone.simple_decompress(content)
    return len(content), back.astype(np.float64) * (2 * bound)


def _sz3(x: Numbers, bound: float) -> tuple[int, Numbers]:
    from pysz import sz, szConfig, szErrorBoundMode

    config = szConfig()
    config.errorBoundMode, config.absErrorBound = szErrorBoundMode.ABS, bound
    content, _ = sz.compress(x, config)
    back, _ = sz.decompress(content, x.dtype.type, x.shape)
    return len(content), back


def _zfp(x: Numbers, bound: float) -> tuple[int, Numbers]:
    import zfpy

    content = zfpy.compress_numpy(x, tolerance=bound)
    return len(content), zfpy.decompress_numpy(content)


WAYS: dict[str, Callable[[Numbers, float], tuple[int, Numbers]]] = {"pcodec": _pcodec, "sz3": _sz3, "zfp": _zfp}
