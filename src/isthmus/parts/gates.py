"""Which code elements pass, so that rounding decides nothing.

A product of the same row and the same weights differs in its last bits with the number of rows beside it and with the
processor. Where a code jumps, a value that lies on the jump, or two that tie for the last place, would then come out
one way in one batch and another way in the next. So jumps stand ``SLACK`` beside the numbers on which values do lie
(zero, a threshold, half way between two levels), and values that differ by less than ``SLACK`` tie, which the number of
the unit decides.
"""

import torch
from torch import Tensor

from isthmus.dispatch import seldom
from isthmus.model import Range

SLACK = 3e-6
"""25 units of a float32's last place: above what rounding makes of a sum of hundreds, far below what matters."""

SHARE = 32
"""Of so many units of a wide code one passes. On MNIST (5,000 rows, 1,024 units, 600 steps) a linear probe gets 0.933
from 32 units of ``topk`` and 0.884 from 4."""


FEW, WIDE = 4, 256
"""Elements that pass where nobody says how many; units from which a code counts as wide in what tuning draws."""


def usual(latents: int) -> int:
    """How many elements of a code pass where nobody says it: ``FEW``, but at most half, and one in ``SHARE`` of many.

    Examples
    --------
    >>> usual(6), usual(32), usual(4096)
    (3, 4, 128)
    """
    return max(min(FEW, max(1, latents // 2)), latents // SHARE)


def counts(latents: int) -> Range:
    """What tuning draws for that number: 1 to half of a code, and of a wide one from one in 256 to one in 16.

    Examples
    --------
    >>> counts(32), counts(4096)
    (Range(low=1, high=16, log=False, whole=True), Range(low=16, high=256, log=True, whole=True))
    """
    if latents < WIDE:
        return Range(1, max(1, latents // 2), whole=True)
    return Range(latents // 256, latents // 16, log=True, whole=True)


def cut(threshold: Tensor) -> Tensor:
    """What a raw code must exceed to pass ``threshold``: a code on it does not. Same shape."""
    return threshold + SLACK * (1 + threshold.abs())


def tied(values: Tensor, border: Tensor, scale: Tensor) -> Tensor:
    """Which ``values`` tie with ``border``, for codes as large as ``scale``; shapes broadcast."""
    return (values - border).abs() <= SLACK * scale.abs()


def first(among: Tensor, dim: int = -1) -> Tensor:
    """The first of those that are true along ``dim``, alone; same shape, of bool.

    Examples
    --------
    >>> first(torch.tensor([False, True, True]))
    tensor([False,  True, False])
    """
    return among & (among.cumsum(dim) == 1)


def chosen(values: Tensor, k: Tensor, limit: int) -> Tensor:
    """Which elements are the ``k`` largest of their row, exactly ``k``; of those that tie, the first. (B, L) of bool.

    Parameters
    ----------
    values : Tensor (B, L)
    k : Tensor, 0-dim integer
        A tensor, so that it may differ between the replicates of a stack; at most ``limit``.
    limit : int
        The largest ``k`` that this graph can serve, at most L.

    Examples
    --------
    >>> chosen(torch.tensor([[3.0, 1.0, 2.0, 2.0]]), torch.tensor(2), limit=4)
    tensor([[ True, False,  True, False]])
    """
    best = values.topk(limit, dim=-1).values
    border = best.gather(-1, (k - 1).long().expand(*best.shape[:-1], 1))
    gap, slack = values - border, SLACK * best[..., :1].abs()
    sure, close = gap > slack, gap.abs() <= slack
    places = k - sure.to(values.dtype).sum(-1, keepdim=True)
    return sure | (close & (close.to(values.dtype).cumsum(-1) <= places))


def farthest(values: Tensor, k: Tensor, limit: int) -> Tensor:
    """Keep the ``k`` elements of each row that are farthest from zero, with their signs, and set the others to zero.

    Examples
    --------
    >>> farthest(torch.tensor([[3.0, 1.0, -2.0]]), torch.tensor(2), limit=3)
    tensor([[ 3.,  0., -2.]])
    """
    return torch.where(topk(values.detach().abs(), k, limit) > 0, values, 0.0)


def topk(values: Tensor, k: Tensor, limit: int) -> Tensor:
    """Keep the ``k`` largest elements of each row, as :func:`chosen` finds them, and set the others to zero.

    Most batches have no tie for the last place, and then a search for the largest says all: the rule is asked only
    where the next element is as near as rounding.

    Examples
    --------
    >>> topk(torch.tensor([[3.0, 1.0, 2.0, 2.0]]), torch.tensor(2), limit=4)
    tensor([[3., 0., 2., 0.]])
    """
    raw = values.detach()
    width = raw.shape[-1]
    best, units = raw.topk(min(limit + 1, width), dim=-1)
    around = (k - 1 + torch.arange(2, device=raw.device)).long().clamp(max=width - 1)
    last = best.gather(-1, around.expand(*best.shape[:-1], 2))
    tie = (last[..., :1] - last[..., 1:] <= SLACK * best[..., :1].abs()) & (k < width)  # nothing follows the last unit
    units = seldom(tie, lambda: chosen(raw, k, limit).to(raw.dtype).topk(limit, dim=-1).indices, units[..., :limit])
    passes = (torch.arange(limit, device=raw.device) < k).to(raw.dtype).expand_as(units)
    return values * torch.zeros_like(raw).scatter(-1, units, passes)
