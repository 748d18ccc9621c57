"""``shapes``: small pictures made from known factors, so that codes can be held against what made the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS, SIDE, FINE = 1500, 16, 3
KINDS = ("square", "disc", "cross")
FACTORS = ("kind", "across", "down", "size")


def shapes() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Pictures (1500, 16, 16) in 0..1, their kinds (1500,), and their factors (1500, 4): independent, seeded.

    A white figure on black: its kind (0 square, 1 disc, 2 cross, of equal area), the place of its middle (across and
    down, -0.5 to 0.5 where the picture goes from -1 to 1), and its size (half the side of the square, 0.15 to 0.35).
    Each pixel is the mean of 3 x 3 points.
    """
    random = np.random.default_rng(2017)
    kind = random.integers(0, len(KINDS), ROWS)
    across, down = random.uniform(-0.5, 0.5, (2, ROWS))
    size = random.uniform(0.15, 0.35, ROWS)
    points = (np.arange(SIDE * FINE) + 0.5) / (SIDE * FINE) * 2 - 1
    u = np.abs(points[None, None, :] - across[:, None, None]) / size[:, None, None]
    v = np.abs(points[None, :, None] - down[:, None, None]) / size[:, None, None]
    far, near = np.maximum(u, v), np.minimum(u, v)
    arm = 4 / np.sqrt(20)  # a cross of five such squares has the area of the square of side 2
    inside = [far < 1, u**2 + v**2 < 4 / np.pi, (near < arm / 2) & (far < 1.5 * arm)]
    white = np.choose(kind[:, None, None], inside)
    x = white.reshape(ROWS, SIDE, FINE, SIDE, FINE).mean(axis=(2, 4), dtype=np.float32)
    return x, kind, np.stack([kind, across, down, size], axis=1)
