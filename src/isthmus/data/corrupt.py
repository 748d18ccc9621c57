"""Corrupt the input of training, so that every family can denoise.

References
----------
Vincent, Larochelle, Lajoie, Bengio and Manzagol (2010), "Stacked Denoising Autoencoders", JMLR 11, section 3.3:
additive Gaussian noise, masking noise, salt-and-pepper noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isthmus.errors import BadInput

KINDS = ("none", "gaussian", "mask", "salt")


def draw(kind: str, shape: Sequence[int], generator: torch.Generator) -> Tensor | None:
    """The randomness of one batch, which does not depend on the level.

    Parameters
    ----------
    kind : {"none", "gaussian", "mask", "salt"}
    shape : sequence of int
        (B, *D), the shape of the batch.
    generator : torch.Generator

    Returns
    -------
    Tensor or None
        ``gaussian``: standard normal (B, *D); ``mask``: uniform (B, *D); ``salt``: uniform (2, B, *D), which elements
        and which way; ``none``: None.
    """
    _known(kind)
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
    kind : {"none", "gaussian", "mask", "salt"}
    x : Tensor (B, *D)
    noise : Tensor or None
        What :func:`draw` gave for the same kind and shape.
    level : float or Tensor
        Standard deviation that ``gaussian`` adds; share of elements that ``mask`` sets to 0, or ``salt`` to 0 or 1
        with equal chance (for data in [0, 1]). Level 0 changes nothing.

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
    return torch.where(noise[0] < level, (noise[1] < 0.5).to(x.dtype), x)


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise BadInput(f"corruption must be none, gaussian, mask or salt; got {kind!r}")
