"""Likelihoods of the output. The decoder's last layer is raw; here it becomes a loss, or a mean as rows are laid out.

A likelihood whose elements are all alike has a name (:mod:`isthmus.parts.heads.elements`); that of a table is a
:class:`isthmus.parts.heads.table.TableHead`, that of counts a :class:`isthmus.parts.heads.counts.CountHead`.
"""

from torch import Tensor

from isthmus.parts.heads import elements
from isthmus.parts.heads.counts import CountHead
from isthmus.parts.heads.elements import FREEDOM, SCALE
from isthmus.parts.heads.table import Counted, Slot, TableHead

__all__ = ["FREEDOM", "SCALE", "CountHead", "Counted", "Head", "Slot", "TableHead", "link", "mean", "nll", "whole"]

Head = str | TableHead | CountHead


def nll(head: Head, raw: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of each element, up to a constant; same shape as ``target``.

    Examples
    --------
    >>> import torch
    >>> nll("gaussian", torch.tensor([1.0]), torch.tensor([3.0]))
    tensor([2.])
    """
    return elements.nll(head, raw, target) if isinstance(head, str) else head.nll(raw, target)


def whole(head: Head, noise: Tensor) -> Tensor:
    """Uniform noise by which elements of rows are hidden, such that what stands for one column is hidden together."""
    return noise if isinstance(head, str) else head.whole(noise)


def mean(head: Head, raw: Tensor) -> Tensor:
    """The expected value of the data under the likelihood, as rows are laid out."""
    return elements.mean(head, raw) if isinstance(head, str) else head.mean(raw)


def link(head: Head, value: Tensor) -> Tensor:
    """The raw output whose mean is ``value``; the inverse of :func:`mean`, logits cut at 5.3."""
    return elements.link(head, value) if isinstance(head, str) else head.link(value)
