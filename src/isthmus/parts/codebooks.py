"""Vector quantisation: the nearest entry of a codebook, and its moving averages."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest(codes: Tensor, book: Tensor) -> Tensor:
    """One-hot rows that pick the nearest entry (Euclidean) for each code; the first one among ties.

    ``codes`` (n, W), ``book`` (K, W) -> (n, K). Distances come from one matrix product; ||codes||^2 is the same for all
    entries and left out.
    """
    index = (book.square().sum(1) - 2 * codes @ book.t()).argmin(1)
    return (index.unsqueeze(1) == torch.arange(len(book), device=book.device)).to(codes.dtype)


def move(counts: Tensor, sums: Tensor, seen_counts: Tensor, seen_sums: Tensor, decay: Tensor | float) -> None:
    """Update moving averages in place: ``counts`` (K,) of codes and ``sums`` (K, W) of their vectors.

    The entry of the codebook is ``sums / counts`` (van den Oord et al. 2017, appendix A.1).
    """
    counts.mul_(decay).add_(seen_counts * (1 - decay))
    sums.mul_(decay).add_(seen_sums * (1 - decay))
