"""One encoded picture: what its header says of it, and its pixels on a canvas of a stated size.

A picture is untrusted. Its size is looked at before memory is taken, it is read by no other reader than those of the
formats below, and whatever these say of a damaged one is one line with its name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.files import honest, parsing
from isthmus.errors import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""As Pillow calls them; a photograph of several frames (MPO) is a JPEG."""
LARGEST = 1 << 27
"""Pixels of a picture."""
GREY = {"1", "L", "LA", "La", "I", "F"}
"""Pillow's modes without colour, besides those of 16 bits."""
SIDEWAYS = {5, 6, 7, 8}
"""Orientations of EXIF that exchange height and width."""
ORIENTATION = 0x0112
WHITE = (255, 255, 255, 255)
WHOLE_16 = 65535


class Canvas(NamedTuple):
    """What every picture is drawn on, so that all are rows of one shape."""

    height: int
    width: int
    colour: bool
    """Red, green and blue, or one channel."""
    crop: bool = False
    """Whether the middle is cut out of a picture of another shape, which is else stretched."""
    deep: bool = False
    """Whether pixels have 16 bits, which only grey ones have; else 8."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row: (height, width), or (height, width, 3)."""
        return (self.height, self.width, 3) if self.colour else (self.height, self.width)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a pixel."""
        return np.dtype(np.uint16 if self.deep else np.uint8)


def canvas_of(shape: tuple[int, ...]) -> Canvas | None:
    """The canvas of rows of a shape, where nothing else is known of it; None if they are no pictures.

    Examples
    --------
    >>> canvas_of((8, 6)), canvas_of((8,))
    (Canvas(height=8, width=6, colour=False, crop=False, deep=False), None)
    """
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 3):
        return Canvas(shape[0], shape[1], len(shape) == 3)
    return None


class Header(NamedTuple):
    """What a picture says of itself before its pixels are decoded."""

    format: str
    height: int
    """As it is to be seen, the way up that EXIF says."""
    width: int
    colour: bool
    """Whether it may have colours; a palette, or three channels, may hold greys only."""
    deep: bool
    """Whether it is grey of 16 bits."""
    alpha: bool
    """Whether it may be transparent."""


def header(where: str, stream: IO[bytes], packed: int) -> Header:
    """What a picture of ``packed`` bytes says of itself.

    Parameters
    ----------
    where : str
        Head of every message.
    stream : binary file
        At the beginning of the picture.
    packed : int
        Its length in bytes.

    Raises
    ------
    BadInput
        If it is no picture of a known format, or so large that it would fill the memory.
    """
    with _opened(where, stream, packed) as image:
        # A PNG tells its orientation behind the pixels, and is turned when these are there.
        turned = image.format not in {"PNG", "GIF"} and image.getexif().get(ORIENTATION) in SIDEWAYS
        height, width = image.size if turned else image.size[::-1]
        return Header(str(image.format), height, width, _coloured(image), _deep(image), image.has_transparency_data)


def pixels(where: str, stream: IO[bytes], packed: int, canvas: Canvas) -> NDArray[Any]:
    """A picture on a canvas: an array of the shape and type of the canvas. Of several frames, the first.

    Raises
    ------
    BadInput
        As :func:`header`, and if the picture is cut short or damaged.
    """
    from PIL import Image, ImageOps

    with _opened(where, stream, packed) as image:
        longest = 2 * max(canvas.height, canvas.width)
        image.draft(None, (longest, longest))  # a JPEG is decoded no finer than it is needed
        ImageOps.exif_transpose(image, in_place=True)
        if _deep(image):
            image = _shaded(where, image)  # noqa: PLW2901
        elif image.has_transparency_data:
            clear = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", clear.size, WHITE), clear)  # noqa: PLW2901
        if image.mode != "F":
            image = image.convert("RGB" if canvas.colour else "L")  # noqa: PLW2901
        size = canvas.width, canvas.height
        if image.size != size:
            how = Image.Resampling.BILINEAR
            image = ImageOps.fit(image, size, how) if canvas.crop else image.resize(size, how)  # noqa: PLW2901
        found = np.asarray(image)
    if found.dtype == np.uint8:
        return found.astype(np.uint16) * 257 if canvas.deep else found
    levels = found if canvas.deep else found / 257
    grey = np.clip(np.rint(levels), 0, np.iinfo(canvas.dtype).max).astype(canvas.dtype)
    return np.repeat(grey[..., None], 3, axis=2) if canvas.colour else grey


@contextmanager
def _opened(where: str, stream: IO[bytes], packed: int) -> Iterator[Image]:
    """A picture whose size is bearable; nothing is decoded yet."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(), parsing(where, "a picture"):
            warnings.simplefilter("ignore")  # of large pictures, which are measured below, and of odd metadata
            with Image.open(stream, formats=FORMATS) as image:
                width, height = image.size
                if width * height > LARGEST:
                    raise _too_large(where, f"{height:,} x {width:,} pixels")
                size = width * height * len(image.getbands()) * (4 if image.mode in {"I", "F"} else 1)
                honest(where, packed, size, "save it smaller")
                yield image
    except BadInput as error:
        if isinstance(error.__context__, UnidentifiedImageError):
            raise BadInput(f"{where}: not a picture of a known format, or damaged at its beginning") from None
        if isinstance(error.__context__, Image.DecompressionBombError):
            raise _too_large(where, f"over {LARGEST:,} pixels") from None
        raise


def _too_large(where: str, size: str) -> BadInput:
    return BadInput(f"{where}: {size}, and {LARGEST:,} is the limit; save it smaller")


def _coloured(image: Image) -> bool:
    return not (image.mode in GREY or image.mode.startswith("I;16"))


def _deep(image: Image) -> bool:
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def _shaded(where: str, image: Image) -> Image:
    """Grey pixels of more than 8 bits as numbers that can be averaged."""
    from PIL import Image

    levels = np.asarray(image)
    if image.mode == "F" or levels.min() < 0 or levels.max() > WHOLE_16:
        raise BadInput(f"{where}: pixels of 32 bits; save it with 8 or 16 bits, or all pictures as one .npy array")
    return Image.fromarray(levels.astype(np.float32))
