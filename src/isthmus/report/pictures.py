"""Rows as pictures: arrays become PNG files inside ``data:`` addresses, so that the page needs no other file."""

import base64
import io

import numpy as np
from PIL import Image

EDGE = 72
"""Smallest edge of one picture after enlargement, in pixels; pixels stay squares at every zoom."""
MOST = 160
"""Largest edge of one picture before enlargement; larger ones are made smaller, so that a page can be sent."""
LOW, MIDDLE, HIGH = np.array([[0, 90, 181], [247, 247, 247], [220, 50, 32]], dtype=np.float64)
"""Blue through near-white to vermilion: a diverging scale that colour-blind readers can tell apart."""


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether rows of this shape can be drawn: (H, W), or (H, W, C) with one or three channels."""
    return len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))


def strip(rows: np.ndarray, low: float, high: float, *, gap: int = 4, columns: int = 8) -> str:
    """Pictures side by side, black at ``low`` and white (or full colour) at ``high``.

    Parameters
    ----------
    rows : ndarray of shape (n, H, W) or (n, H, W, C)
        One picture per row; values outside ``low``..``high`` are cut, non-finite ones are drawn as ``low``.
    low, high : float
        The values of black and white: the same for an original and its reconstruction, so that they can be compared.
    gap : int, default 4
        Transparent pixels between pictures, after enlargement.
    columns : int, default 8
        Pictures per line.

    Returns
    -------
    str
        A ``data:image/png;base64,`` address.
    """
    span = high - low if high > low else 1.0
    grey = np.clip((np.nan_to_num(rows.astype(np.float64), nan=low) - low) / span, 0, 1)
    return _png(_tile(_rgb(grey) * 255, gap, columns))


def filters(weights: np.ndarray, *, gap: int = 4, columns: int = 8) -> str:
    """Learned filters side by side: blue below zero, white at zero, red above, each scaled to its own largest weight.

    Parameters
    ----------
    weights : ndarray of shape (n, H, W) or (n, H, W, C)
        One filter per row. Colour filters are drawn by their own channels around middle grey.

    Returns
    -------
    str
        A ``data:image/png;base64,`` address.
    """
    values = np.nan_to_num(weights.astype(np.float64))
    peak = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    signed = values / np.where(peak > 0, peak, 1.0)
    if signed.ndim == 4 and signed.shape[-1] == 3:
        return _png(_tile((signed + 1) / 2 * 255, gap, columns))
    flat = signed.reshape(signed.shape[:3])[..., None]
    colours = MIDDLE + np.clip(flat, 0, 1) * (HIGH - MIDDLE) + np.clip(-flat, 0, 1) * (LOW - MIDDLE)
    return _png(_tile(colours, gap, columns))


def _rgb(grey: np.ndarray) -> np.ndarray:
    """(n, H, W) or (n, H, W, 1) -> (n, H, W, 3); colour stays."""
    if grey.ndim == 3:
        grey = grey[..., None]
    return grey if grey.shape[-1] == 3 else np.repeat(grey, 3, axis=-1)


def _tile(pictures: np.ndarray, gap: int, columns: int) -> np.ndarray:
    """(n, H, W, 3) in 0..255 -> one RGBA picture of enlarged tiles with transparent gaps."""
    pictures = _shrunk(np.rint(pictures).astype(np.uint8))
    n, height, width = pictures.shape[:3]
    zoom = max(1, round(EDGE / min(height, width)))
    lines = -(-n // columns)
    tall, wide = height * zoom + gap, width * zoom + gap
    sheet = np.zeros((lines * tall - gap, min(n, columns) * wide - gap, 4), dtype=np.uint8)
    big = pictures.repeat(zoom, axis=1).repeat(zoom, axis=2)
    for i, picture in enumerate(big):
        top, left = (i // columns) * tall, (i % columns) * wide
        sheet[top : top + height * zoom, left : left + width * zoom, :3] = picture
        sheet[top : top + height * zoom, left : left + width * zoom, 3] = 255
    return sheet


def _shrunk(pictures: np.ndarray) -> np.ndarray:
    height, width = pictures.shape[1:3]
    if max(height, width) <= MOST:
        return pictures
    share = MOST / max(height, width)
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in pictures])


def _png(sheet: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG")  # "optimize" takes fifteen times as long for half a per cent
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
