"""How far a batch of codes is from a sample of the prior, and how much its elements depend on each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
KERNELS = ("imq", "rbf")
BLOCK = 512
"""Rows that are compared with each other; of more, blocks are, and averaged: memory grows with the square."""


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances of rows: (n, L), (m, L) -> (n, m)."""
    return (a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.t()).clamp(min=0)


def kernel(name: str, square: Tensor, width: int) -> Tensor:
    """A sum of kernels over ``SCALES``, of squared distances; same shape.

    ``imq``: C / (C + d^2) with C = 2 L scale (Tolstikhin et al. 2018, section 4); ``rbf``: exp(-d^2 / C). 2 L is the
    expected squared distance of two standard normal codes of width L.
    """
    wide = (2 * width * scale for scale in SCALES)
    found = torch.zeros_like(square)
    for c in wide:
        found = found + (torch.exp(-square / c) if name == "rbf" else c / (c + square))
    return found


def mmd(a: Tensor, b: Tensor, name: str) -> Tensor:
    """The unbiased estimate of the squared maximum mean discrepancy of two samples, 0-dim; it may fall below 0.

    ``a``, ``b`` (n, L). Of a sample of one there are no pairs, and its own part counts as 0.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schölkopf and Smola (2012), A kernel two-sample test, JMLR 13, lemma 6.
    """
    found = torch.zeros((), dtype=a.dtype, device=a.device)
    for x, y in zip(a.split(BLOCK), b.split(BLOCK), strict=True):
        across = kernel(name, distances(x, y), a.shape[1]).mean()
        found = found + (_own(x, name) + _own(y, name) - 2 * across) * (len(x) / len(a))
    return found


def _own(x: Tensor, name: str) -> Tensor:
    """The mean kernel over pairs of different rows."""
    n = len(x)
    apart = 1 - torch.eye(n, dtype=x.dtype, device=x.device)
    return (kernel(name, distances(x, x), x.shape[1]) * apart).sum() / max(n * (n - 1), 1)


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log density of each element under a normal distribution; shapes broadcast."""
    return -0.5 * ((z - mean).square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))


def stratified(n: int, rows: Tensor) -> Tensor:
    """Log weights (n, n) that make a batch speak for all ``rows``: how often row j of it stands for q(z_i).

    The row itself, once among ``rows``; one other for all that are not in the batch; the rest for themselves.

    References
    ----------
    Chen, Li, Grosse and Duvenaud (2018), Isolating sources of disentanglement in VAEs, NeurIPS, appendix C.2.
    """
    if n == 1:
        return torch.zeros((1, 1), dtype=rows.dtype, device=rows.device)
    own = torch.eye(n, dtype=rows.dtype, device=rows.device)
    stand_in = own.roll(1, dims=1)
    others = n - 1
    weights = own / rows + stand_in * (rows - others) / (rows * others) + (1 - own - stand_in) / others
    return torch.log(weights)


def weighted(n: int, rows: Tensor) -> Tensor:
    """The same with equal weights 1 / (n rows): biased, by the log of how few rows come close (appendix C.1)."""
    return -torch.log(n * rows).expand(n, n)


def decomposed(z: Tensor, mean: Tensor, log_variance: Tensor, log_weights: Tensor) -> dict[str, Tensor]:
    """The KL divergence from the prior in three parts, each a mean over the batch, 0-dim.

    Parameters
    ----------
    z, mean, log_variance : Tensors (B, L)
        Codes, and the posteriors they were drawn from.
    log_weights : Tensor (B, B)
        See :func:`stratified` and :func:`weighted`.

    Returns
    -------
    dict
        ``information``: mutual information of row and code; ``correlation``: total correlation of the code's elements;
        ``marginal``: divergence of each element from its prior, summed.
    """
    pairs = log_normal(z.unsqueeze(1), mean, log_variance)  # (B, B, L): z_i under the posterior of row j
    joint = log_normal(z, mean, log_variance).sum(1)
    whole = torch.logsumexp(pairs.sum(2) + log_weights, dim=1)
    each = torch.logsumexp(pairs + log_weights.unsqueeze(2), dim=1).sum(1)
    prior = log_normal(z, torch.zeros_like(z), torch.zeros_like(z)).sum(1)
    parts = {"information": joint - whole, "correlation": whole - each, "marginal": each - prior}
    return {name: part.mean() for name, part in parts.items()}
