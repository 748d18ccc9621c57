"""Corrupt the input of training, so that every family can denoise.

References
----------
Vincent, Larochelle, Lajoie, Bengio and Manzagol (2010), "Stacked Denoising Autoencoders", JMLR 11, section 3.3:
additive Gaussian noise, masking noise, salt-and-pepper noise. Simard, Steinkraus and Platt (2003), "Best Practices for
Convolutional Neural Networks Applied to Visual Document Analysis", ICDAR: pictures that are moved and mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isthmus.errors import BadInput

KINDS = ("none", "gaussian", "mask", "salt", "shift", "flip", "crop")


def draw(kind: str, shape: Sequence[int], generator: torch.Generator) -> Tensor | None:
    """The randomness of one batch, which does not depend on the level.

    Parameters
    ----------
    kind : {"none", "gaussian", "mask", "salt", "shift", "flip", "crop"}
    shape : sequence of int
        (B, *D), the shape of the batch.
    generator : torch.Generator

    Returns
    -------
    Tensor or None
        ``gaussian``: standard normal (B, *D); ``mask``: uniform (B, *D); ``salt``: uniform (2, B, *D), which elements
        and which way; ``shift`` and ``crop``: uniform (B, 2), down and across; ``flip``: uniform (B, 1); ``none``:
        None.
    """
    _known(kind)
    if kind in {"shift", "flip", "crop"}:
        return torch.rand((shape[0], 1 if kind == "flip" else 2), generator=generator, device=generator.device)
    if kind == "none":
        return None
    if kind == "gaussian":
        return torch.randn(tuple(shape), generator=generator, device=generator.device)
    size = tuple(shape) if kind == "mask" else (2, *shape)
    return torch.rand(size, generator=generator, device=generator.device)


def corrupt(kind: str, x: Tensor, noise: Tensor | None, level: float | Tensor) -> Tensor:
    """The corrupted batch. Pure, and safe under ``vmap``: the level may be a 0-dim tensor.

    Parameters
    ----------
    kind : {"none", "gaussian", "mask", "salt", "shift", "flip", "crop"}
    x : Tensor (B, *D)
    noise : Tensor or None
        What :func:`draw` gave for the same kind and shape.
    level : float or Tensor
        Standard deviation that ``gaussian`` adds; share of elements that ``mask`` sets to 0, or ``salt`` to 0 or 1
        with equal chance (for data in [0, 1]). Of pictures (B, H, W) or (B, H, W, C): how far ``shift`` moves them at
        most, as a share of each side, where edges are drawn out; the chance that ``flip`` mirrors them, left to right;
        the share of each side that ``crop`` cuts off, setting to 0 what lies outside a window. Level 0 changes nothing.

    Examples
    --------
    >>> x = torch.full((1, 4), 0.5)
    >>> corrupt("mask", x, torch.tensor([[0.1, 0.2, 0.3, 0.9]]), 0.25)
    tensor([[0.0000, 0.0000, 0.5000, 0.5000]])
    """
    _known(kind)
    if kind == "none":
        return x
    if noise is None:
        raise BadInput(f"corruption {kind} needs noise: give what draw({kind!r}, x.shape, generator) returns")
    if kind == "gaussian":
        return x + level * noise
    if kind == "mask":
        return torch.where(noise < level, 0.0, x)
    if kind == "flip":
        return torch.where(noise.reshape(-1, *[1] * (x.dim() - 1)) < level, x.flip(2), x)
    if kind == "shift":
        return _moved(_moved(x, 1, noise[:, 0], level), 2, noise[:, 1], level)
    if kind == "crop":
        inside = _inside(x.shape[1], noise[:, 0], level)[:, :, None] & _inside(x.shape[2], noise[:, 1], level)[:, None]
        return torch.where(inside.reshape(*x.shape[:3], *[1] * (x.dim() - 3)), x, 0.0)
    return torch.where(noise[0] < level, (noise[1] < 0.5).to(x.dtype), x)


def _moved(x: Tensor, axis: int, noise: Tensor, level: float | Tensor) -> Tensor:
    """Each picture moved along an axis by whole pixels, the nearest edge drawn out."""
    side = x.shape[axis]
    by = torch.floor((2 * noise - 1) * level * side + 0.5)
    source = torch.clamp(torch.arange(side, device=x.device) - by[:, None], 0, side - 1).long()
    return torch.gather(
        x, axis, source.reshape(len(x), *[side if k == axis else 1 for k in range(1, x.dim())]).expand(x.shape)
    )


def _inside(side: int, noise: Tensor, level: float | Tensor) -> Tensor:
    """Which pixels along a side lie in a window that is shorter than it by a share, (B, side)."""
    start = (noise * level * side)[:, None]
    centre = torch.arange(side, device=noise.device) + 0.5
    return (centre > start) & (centre < start + (1 - level) * side)


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise BadInput(f"corruption must be {', '.join(KINDS[:-1])} or {KINDS[-1]}; got {kind!r}")
