"""What the axes of a row mean: pictures or something else, channels last or first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS = (1, 2, 3, 4)
"""How many channels a picture has."""
LONGEST = 4
"""Sides of a picture for one of its other: a longer row of axes is a series."""
SMOOTH = 0.3
"""Least likeness of neighbours in a picture, where 1 is equal and 0 unrelated. Handwritten digits of 8 x 8 pixels have
0.4 across and 0.7 down; columns that measure different things have 0 or less."""
LOOKED_AT = 500


def pictures(x: NDArray[Any]) -> bool:
    """Whether rows (N, *D) are plausibly pictures, height x width or height x width x channels.

    Their sides are of like length, and their numbers are bytes or bits, or neighbours along both sides are alike.
    Rows (time, channels) of a series are neither: neighbouring channels measure different things.

    Examples
    --------
    >>> wave = np.sin(np.arange(20)[:, None] / 4 + np.arange(30)[None, :, None, None])
    >>> pictures(np.ones((10, 8, 8), np.uint8)), pictures(np.concatenate([wave[0], 900 + 300 * wave[0]], axis=2))
    (True, False)
    """
    shape = x.shape[1:]
    if len(shape) not in (2, 3) or not x.size or (len(shape) == 3 and shape[2] not in CHANNELS):
        return False
    if max(shape[:2]) > LONGEST * min(shape[:2]):
        return False
    return x.dtype.kind == "b" or x.dtype == np.uint8 or min(_alike(x, 1), _alike(x, 2)) > SMOOTH


def channels_lead(shape: tuple[int, ...]) -> bool:
    """Whether rows of this shape look like channels x height x width.

    Examples
    --------
    >>> channels_lead((3, 32, 32)), channels_lead((32, 32, 3)), channels_lead((3, 3, 3))
    (True, False, False)
    """
    return len(shape) == 3 and shape[0] in CHANNELS and shape[2] not in CHANNELS


def doubts(x: NDArray[Any], images: bool, said: bool | None = None) -> str | None:
    """A sentence about the axes of rows (N, *D) that are probably not as meant here; None if there is none.

    ``images`` is what they are taken for, ``said`` what the user or the format says of them, if anything.
    """
    shape = x.shape[1:]
    if len(shape) == 3 and (channels_lead(shape) or (shape[2] not in CHANNELS and shape[1] == shape[2] > shape[0])):
        return f"shape {shape} looks like channels first, but channels are expected last; give X.transpose(0, 2, 3, 1)"
    if images or len(shape) not in (2, 3):
        return None
    if len(shape) == 2 and shape[0] < shape[1] and _alike(x, 2) > SMOOTH > _alike(x, 1):
        return (
            f"shape {shape} looks like channels x time, but channels are expected last; give X.transpose(0, 2, 1), or "
            "set images=True (--images) if rows are images"
        )
    if said is not None:
        return None
    return (
        f"rows of shape {shape} are not taken for images, so each {'channel' if len(shape) == 2 else 'element'} is "
        "scaled by itself; set images=True (--images) if they are"
    )


def _alike(x: NDArray[Any], axis: int) -> float:
    """How alike neighbours along an axis are: 1 less their squared distance over what it is for unrelated elements."""
    if x.shape[axis] < 2:
        return 1.0
    some = x[np.linspace(0, len(x) - 1, min(len(x), LOOKED_AT)).astype(int)].astype(np.float64)
    some = some[..., None] if some.ndim == 3 else some
    if not np.isfinite(some).all():
        return 0.0  # such numbers are refused elsewhere, by their place
    middle = some - some.mean(axis=(0, 1, 2))
    peak = np.abs(middle).max(axis=(0, 1, 2))
    middle = middle / np.where(peak > 0, peak, 1.0)
    gap, spread = np.square(np.diff(middle, axis=axis)).mean(), 2 * np.square(middle).mean()
    return float(1 - gap / spread) if spread > 0 else 1.0
