"""Penalties on the code, as pure functions: each a sum over the elements of a row, averaged over the batch.

Families divide them by ``D``. All work under ``torch.func`` transforms and are exact in their dtype.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor


def l1(z: Tensor) -> Tensor:
    """Mean over rows of sum_j |z_j|; ``z`` (B, L) -> 0-dim."""
    return z.abs().sum(1).mean()


def crowding(columns: Tensor, chunk: int) -> Tensor:
    """Mean over columns of the largest cosine with another one of their chunk; ``columns`` (E, L) -> 0-dim.

    Korznikov, Galichin, Dontsov, Rogov, Tutubalina and Oseledets (2025), OrtSAE: orthogonal sparse autoencoders uncover
    atomic features, arXiv 2509.22033. Column j is of chunk j modulo the number of chunks, of ``chunk`` columns at most;
    the paper draws chunks anew for each step. Zero where there is one column only.

    Examples
    --------
    >>> crowding(torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]]), 8)
    tensor(0.6667)
    """
    unit = columns / columns.norm(dim=0).clamp_min(1e-12)
    parts = -(-columns.shape[1] // chunk)
    total = unit.new_zeros(())
    for part in (unit[:, start::parts] for start in range(parts)):
        if part.shape[1] > 1:
            near = part.t() @ part
            total = (
                total
                + torch.where(torch.eye(len(near), dtype=torch.bool, device=near.device), -1.0, near).amax(1).sum()
            )
    return total / columns.shape[1]


def kl_bernoulli(target: Tensor | float, share: Tensor, eps: float = 1e-6) -> Tensor:
    """sum_j KL(Bernoulli(target) || Bernoulli(share_j)); ``share`` (L,) is a mean over a batch, in [0, 1].

    ``share`` is kept ``eps`` away from 0 and 1: the penalty of a silent unit is large but finite.
    """
    q = share * (1 - 2 * eps) + eps  # an affine squeeze, not a clamp: a silent unit keeps its gradient
    p = torch.as_tensor(target, dtype=share.dtype, device=share.device)
    return (torch.xlogy(p, p / q) + torch.xlogy(1 - p, (1 - p) / (1 - q))).sum()


def kl_gauss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Mean over rows of KL(N(mean, variance) || N(0, I)); both (B, L)."""
    return kl_gauss_each(mean, log_variance).sum(1).mean()


def kl_gauss_each(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each code element of each row: (B, L) -> (B, L).

    In log space: expm1 keeps the digits where the variance is close to 1.
    """
    return 0.5 * (mean.square() + torch.expm1(log_variance) - log_variance)


def contraction(z: Tensor, weight: Tensor, activation: str) -> Tensor:
    """Mean over rows of the squared Frobenius norm of dz/dx for z = a(W x + b): sum_j a'_j^2 ||W_j||^2.

    Parameters
    ----------
    z : Tensor (B, L)
        The code, after its activation: the slope is a function of it.
    weight : Tensor (L, D)
    activation : {"sigmoid", "tanh"}

    References
    ----------
    Rifai, Vincent, Muller, Glorot and Bengio (2011), Contractive auto-encoders, ICML, equation 6.
    """
    return (slope(z, activation).square() @ weight.square().sum(1)).mean()


def slope(z: Tensor, activation: str) -> Tensor:
    """The derivative of ``activation`` (sigmoid or tanh) where its value is ``z``; same shape."""
    return z * (1 - z) if activation == "sigmoid" else 1 - z.square()


def jacobian_norm(encode: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Mean over rows of ||d encode(x) / dx||_F^2, exactly: one backward pass for each code element.

    ``encode`` (B, *D) -> (B, L) must treat rows independently.
    """
    z, pull, *_ = torch.func.vjp(encode, x)
    basis = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    rows = torch.func.vmap(lambda e: pull(e.expand_as(z))[0])(basis)
    return rows.square().sum() / len(x)


def jacobian_norm_estimate(encode: Callable[[Tensor], Tensor], x: Tensor, noise: Tensor) -> Tensor:
    """An unbiased estimate of :func:`jacobian_norm` from one probe for each row: E ||J v||^2 = ||J||_F^2.

    ``noise`` is standard normal and shaped like ``x`` (Hutchinson 1990).
    """
    return pushed(encode, x, noise).square().sum() / len(x)


def pushed(encode: Callable[[Tensor], Tensor], x: Tensor, direction: Tensor) -> Tensor:
    """The derivative of the code along a direction for each row, J v: (B, *D), (B, *D) -> (B, L)."""
    with warnings.catch_warnings():  # the first jvp of a process loads a part of torch that warns of torch itself
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
        return torch.func.jvp(encode, (x,), (direction,))[1]
