"""Images by the codecs that everybody has: JPEG and WebP, through Pillow, quality swept.

A file for each small image would be mostly headers. So all images lie on one sheet, side by side, which is one file.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

QUALITIES = (1, 3, 5, 8, 12, 18, 26, 38, 55, 75, 88, 95, 100)
LARGEST, LONGEST = 4096, 64
"""Pixels along a side of an image, and sides for one of the other: a sheet must fit WebP, 16,383 pixels."""


def drawable(shape: Sequence[int]) -> bool:
    """Whether rows of this shape are grey or colour images, small enough to lie on a sheet.

    Examples
    --------
    >>> drawable((28, 28)), drawable((32, 32, 3)), drawable((64,))
    (True, True, False)
    """
    if len(shape) not in (2, 3) or tuple(shape[2:]) not in ((), (1,), (3,)):
        return False
    return max(shape[:2]) <= min(LARGEST, LONGEST * min(shape[:2]))


def sweep(kind: str, x: NDArray[np.float32], low: float, high: float) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Images as they come back, (n, H, W[, C]), and the bytes of the file, from poor to good quality.

    Parameters
    ----------
    kind : {"JPEG", "WEBP"}
    x : array (n, H, W) or (n, H, W, C)
        Drawable, about two million elements at most.
    low, high : float
        What becomes black and white; 256 levels lie between.
    """
    from PIL import Image

    wide = high - low if high > low else 1.0
    levels = np.rint((x.astype(np.float64) - low) * (255 / wide)).clip(0, 255).astype(np.uint8)
    page = sheet(levels.reshape(*levels.shape[:3], -1))
    image = Image.fromarray(page[:, :, 0] if page.shape[2] == 1 else page)
    for quality in QUALITIES:
        with io.BytesIO() as file:
            image.save(file, kind, quality=quality)
            size = file.tell()
            with Image.open(file) as again:
                back = np.asarray(again.convert(image.mode)).reshape(page.shape)
        yield cut(back, levels.shape[:3]).reshape(x.shape).astype(np.float64) * (wide / 255) + low, size


def sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (n, H, W, C) side by side on one that is about square, black where there are none.

    Examples
    --------
    >>> sheet(np.arange(1, 4, dtype=np.uint8).reshape(3, 1, 1, 1))[:, :, 0].tolist()
    [[1, 2], [3, 0]]
    """
    n, height, width, channels = images.shape
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    page = np.zeros((down * across, height, width, channels), np.uint8)
    page[:n] = images
    return page.reshape(down, across, height, width, channels).swapaxes(1, 2).reshape(down * height, -1, channels)


def cut(page: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The first n images (n, H, W, C) of a sheet."""
    n, height, width = shape
    across = page.shape[1] // width
    tiles = page.reshape(-1, height, across, width, page.shape[2]).swapaxes(1, 2)
    return tiles.reshape(-1, height, width, page.shape[2])[:n]
