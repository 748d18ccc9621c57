"""What general compressors make of MNIST: bits per pixel of the test images, as stored and as drawn zeros and ones.

Townsend, Bird and Barber (2019), Practical lossless compression with latent variables using bits back coding, ICLR:
bz2 1.42 and gzip 1.64 on grey values; 0.25 and 0.33 on pixels drawn as zeros and ones, eight in a byte.

    python benchmarks/published/lossless.py

Seconds; nothing is trained. It shows that the bytes and the division behind every rate are those of the literature.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from table import Row, mnist, options, show

from isthmus.facets.compression import zstd

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "bz2": partial(bz2.compress, compresslevel=9),
    "gzip": partial(gzip.compress, compresslevel=9, mtime=0),
    "xz": partial(lzma.compress, preset=9),
    "zstd": zstd,
}
GREY: dict[str, float | str] = {"bz2": 1.42, "gzip": 1.64, "xz": 1.39, "zstd": "–"}
BINARY: dict[str, float | str] = {"bz2": 0.25, "gzip": 0.33, "zstd": "–"}
WITHOUT_PAPER = {"xz": "1.39 is a measurement without a paper", "zstd": "none published"}


def bits_per_pixel(compress: Callable[[bytes], bytes], images: NDArray[np.uint8]) -> float:
    """Of images (n, pixels) with values 0 to 255, one byte each; or 0 and 1, eight in a byte."""
    binary = int(images.max(initial=0)) <= 1
    stored = np.packbits(images, axis=None) if binary else images
    return 8 * len(compress(stored.tobytes())) / images.size


def rows(images: NDArray[np.uint8], published: dict[str, float | str], what: str) -> list[Row]:
    """One for each compressor; the same is within one unit of the last published digit."""
    found = {name: bits_per_pixel(COMPRESSORS[name], images) for name in published}
    return [
        Row(
            f"{name}, {what}",
            given,
            found[name],
            not isinstance(given, str) and abs(found[name] - given) < 0.01,
            WITHOUT_PAPER.get(name, ""),
        )
        for name, given in published.items()
    ]


def main() -> None:
    """Compress the 10,000 test images twice."""
    given = options(__doc__).parse_args()
    x = mnist(given.data)[1].x
    drawn = (np.random.default_rng(given.seed).random(x.shape, dtype=np.float32) < x).astype(np.uint8)
    grey = np.rint(x * 255).astype(np.uint8)
    show("Bits per pixel of the MNIST test images", rows(grey, GREY, "grey") + rows(drawn, BINARY, "zeros and ones"))


if __name__ == "__main__":
    main()
