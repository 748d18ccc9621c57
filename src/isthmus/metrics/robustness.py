"""What a disturbed row does to a model: how far its code moves, and the small step that hurts reconstruction most."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.fidelity import ROUNDING, explained_variance
from isthmus.metrics.metric import Metric
from isthmus.metrics.moments import Moments
from isthmus.said import Said

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.floating]


def spread(rows: Array) -> float:
    """Root mean square distance of rows from their mean. ``rows`` (n, *D); NaN if they are all equal, up to rounding.

    Examples
    --------
    >>> spread(np.array([[0.0, 0.0], [6.0, 8.0]]))
    5.0
    """
    wide = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
    with np.errstate(all="ignore"):
        square = float(np.square(wide - wide.mean(axis=0)).sum())
        return math.sqrt(square / len(wide)) if square > ROUNDING * float(np.square(wide).sum()) else math.nan


def movement(z: Array, moved: Array) -> float:
    """Root mean square distance between the codes of rows and of the same rows disturbed, over the spread of the codes.

    Parameters
    ----------
    z, moved : arrays (n, L)
        Codes of the rows as they are, and disturbed.

    Returns
    -------
    float
        0 if no code moves; the square root of 2 if codes of disturbed rows are as good as those of other rows. It does
        not depend on the scale of the code. NaN for a constant code: what says nothing is not robust.

    Examples
    --------
    >>> movement(np.array([[0.0], [2.0]]), np.array([[0.5], [1.5]]))
    0.5
    """
    with np.errstate(all="ignore"):
        gap = np.asarray(moved, dtype=np.float64) - z
        return math.sqrt(float(np.square(gap).sum()) / len(gap)) / spread(z)


def movement_of(codes: Moments, gaps: Moments) -> float:
    """:func:`movement` from the moments of the codes and of how far each moved: of rows that do not fit in memory."""
    with np.errstate(all="ignore"):
        apart = codes.squares > ROUNDING * codes.size
        return math.sqrt(gaps.size / codes.squares) if apart else math.nan


def adversarial(
    rebuild: Callable[[Tensor], Tensor], x: Tensor, radius: float, *, steps: int = 4, seed: int = 0
) -> Tensor | None:
    """Rows moved by at most ``radius`` in each element so that they are rebuilt as far from the clean rows as can be.

    Steps of half the radius along the sign of the gradient of ``sum (rebuild(x + d) - x)^2``, each cut back to the ball
    (projected gradient ascent, Madry, Makelov, Schmidt, Tsipras and Vladu 2018; one step is the fast gradient sign
    method of Goodfellow, Shlens and Szegedy 2015). They start at a random point of the ball: at the clean row itself
    the gradient of a projection, such as principal components, is zero.

    Parameters
    ----------
    rebuild : callable
        (B, *D) -> (B, *D), differentiable, rows independent of each other.
    x : Tensor (N, *D)
    radius : float
        In the units of ``x``.
    steps : int, default 4
    seed : int
        Of the starting point.

    Returns
    -------
    Tensor (N, *D) or None
        None if no row has a gradient at the start: there is no slope to follow (a discrete code), which does not make
        a model robust.

    Examples
    --------
    >>> import torch
    >>> adversarial(lambda x: 2 * x, torch.tensor([[1.0, -1.0]]), 0.5)
    tensor([[ 1.5000, -1.5000]])
    """
    import torch

    start = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    moved = x + radius * (2 * start - 1)
    for step in range(steps):
        slope = gradient(rebuild, moved, x)
        if step == 0 and not bool(slope.any()):
            return None
        moved = x + (moved + radius / 2 * slope.sign() - x).clamp(-radius, radius)
    return moved


def gradient(rebuild: Callable[[Tensor], Tensor], x: Tensor, target: Tensor) -> Tensor:
    """Of the sum of ``(rebuild(x) - target)^2`` with respect to ``x`` (N, *D); zero where nothing depends on it."""
    import torch

    with torch.enable_grad():
        moving = x.detach().clone().requires_grad_()
        error = (rebuild(moving) - target).square().sum()
        if not error.requires_grad:
            return torch.zeros_like(x)
        return torch.autograd.grad(error, moving, allow_unused=True, materialize_grads=True)[0]


def _explained(name: str, title: Said, citation: str) -> Metric:
    return Metric(name, explained_variance, True, "share", title, 0.01, citation, bounds=(-math.inf, 1.0))


TABLE = [
    _explained(
        "explained_disturbed",
        Said("explained variance, disturbed rows", "解释方差（受干扰的数据）"),
        "mean over the three disturbances, docs/facets/robustness.md",
    ),
    _explained(
        "explained_noise", Said("explained variance, noisy rows", "解释方差（加噪的数据）"), "Vincent et al. 2010"
    ),
    _explained(
        "explained_mask", Said("explained variance, masked rows", "解释方差（遮挡的数据）"), "Vincent et al. 2010"
    ),
    _explained(
        "explained_shift",
        Said("explained variance, shifted rows", "解释方差（偏移的数据）"),
        "docs/facets/robustness.md",
    ),
    _explained(
        "explained_adversarial",
        Said("explained variance, adversarial rows", "解释方差（对抗扰动的数据）"),
        "Madry et al. 2018",
    ),
    Metric(
        "code_movement",
        movement,
        False,
        "standard deviations of the code",
        Said("shift of the code under noise", "噪声下编码的偏移"),
        0.02,
        "Rifai et al. 2011",
        bounds=(0.0, math.inf),
    ),
    Metric(
        "jacobian_norm",
        None,
        None,
        "standard deviations of the code per standard deviation of the rows",
        Said("norm of the encoder's Jacobian", "编码器雅可比矩阵的范数"),
        0.05,
        "Rifai et al. 2011",
        bounds=(0.0, math.inf),
        relative=True,
    ),
]
"""What the numbers of this file mean."""
