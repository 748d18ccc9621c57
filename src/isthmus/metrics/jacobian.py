"""How a code answers to small changes of its row: slope, directions, contraction, saturation.

All take an ``encode`` that treats rows independently, (B, *D) -> (B, L), and rows (N, *D); the Jacobians of ``BLOCK``
rows are held at a time.

References
----------
Rifai, Vincent, Muller, Glorot and Bengio (2011), Contractive auto-encoders, ICML, sections 5.2 and 5.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from isthmus.errors import BadInput

Encode = Callable[[Tensor], Tensor]
BLOCK = 64
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


def jacobians(encode: Encode, x: Tensor) -> Iterator[Tensor]:
    """d encode(x) / dx of each row, in blocks: (B, L, D); zero where a code does not depend on its row smoothly."""
    for rows in x.split(BLOCK):
        with torch.enable_grad():  # one element of all codes at a time: any network can do that, not all do vmap
            moving = rows.detach().clone().requires_grad_()
            elements = encode(moving).sum(0)
            each = [_slope(elements, one, moving) for one in torch.eye(len(elements), dtype=elements.dtype)]
        yield torch.stack(each, dim=1).flatten(2)


def _slope(values: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    """d (weights . values) / dx, like ``x``: a single weight of 1 picks a value, which costs less than to index it."""
    if not values.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(values, x, weights, retain_graph=True, allow_unused=True, materialize_grads=True)[0]


def norm_and_spectrum(encode: Encode, x: Tensor) -> tuple[float, Tensor]:
    """:func:`jacobian_norm` and :func:`jacobian_spectrum`, from Jacobians that are taken once."""
    found = [(j.flatten(1).norm(dim=1), _sizes(j)) for j in jacobians(encode, x)]
    norms, sizes = (torch.cat(part) for part in zip(*found, strict=True))
    return norms.mean().item(), sizes.mean(0)


def jacobian_norm(encode: Encode, x: Tensor) -> float:
    """Mean over rows of the Frobenius norm of the Jacobian.

    Examples
    --------
    >>> jacobian_norm(lambda x: 2 * x, torch.zeros(3, 4))
    4.0
    """
    return torch.cat([j.flatten(1).norm(dim=1) for j in jacobians(encode, x)]).mean().item()


def jacobian_spectrum(encode: Encode, x: Tensor) -> Tensor:
    """The singular values of the Jacobian, largest first, each averaged over rows: (min(L, D),).

    Few large ones: the code follows rows along few directions and is flat along the others. NaN if a slope is not
    finite.
    """
    return torch.cat([_sizes(j) for j in jacobians(encode, x)]).mean(0)


def _sizes(slopes: Tensor) -> Tensor:
    """Singular values of matrices (B, L, D), (B, min(L, D)); NaN for those that are not finite."""
    sound = slopes.isfinite().all(2).all(1)
    return torch.linalg.svdvals(slopes.nan_to_num(0, 0, 0)).where(sound.unsqueeze(1), torch.nan)


@torch.no_grad()
def contraction_curve(encode: Encode, x: Tensor, radii: Tensor, seed: int = 0) -> Tensor:
    """How far codes move for rows that move by a radius, as a share of it: (R,) for ``radii`` (R,), all positive.

    One random direction for each row, the same at every radius. Below 1 the code contracts; where the curve rises with
    the radius, rows are flat close by and not farther off.

    Examples
    --------
    >>> contraction_curve(lambda x: 0.5 * x, torch.zeros(10, 3), torch.tensor([0.1, 1.0]))
    tensor([0.5000, 0.5000])
    """
    if bool((radii <= 0).any()):
        raise BadInput(f"radii must be positive; got {radii.tolist()}")
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    way = way / way.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *[1] * (x.dim() - 1))
    here = encode(x)
    return torch.stack([((encode(x + r * way) - here).norm(dim=1) / r).mean() for r in radii])


def saturated(z: Tensor, activation: str, margin: float = 0.05) -> float:
    """Share of code elements within ``margin`` of the range's width of either end of it.

    ``z`` (N, L); ``activation`` sigmoid (range 0 to 1) or tanh (-1 to 1).

    Examples
    --------
    >>> saturated(torch.tensor([[0.01, 0.5, 0.96, 0.9]]), "sigmoid")
    0.5
    """
    if activation not in RANGES:
        raise BadInput(f"saturation is defined for bounded activations, sigmoid and tanh; got {activation!r}")
    low, high = RANGES[activation]
    edge = margin * (high - low)
    return ((z < low + edge) | (z > high - edge)).double().mean().item()
