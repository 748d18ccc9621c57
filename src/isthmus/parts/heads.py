"""Likelihoods of the output. The decoder's last layer is raw; here it becomes a loss, or a mean in the data's units.

``gaussian``: unit variance, raw output = mean, half squared error (constants dropped). ``bernoulli``: raw output =
logits, cross-entropy; data in [0, 1]. There is no hidden sigmoid anywhere else.
"""

import torch
from torch import Tensor
from torch.nn import functional


def nll(head: str, raw: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of each element, up to a constant; same shape as ``target``.

    Examples
    --------
    >>> nll("gaussian", torch.tensor([1.0]), torch.tensor([3.0]))
    tensor([2.])
    """
    if head == "bernoulli":
        # Cross-entropy with logits. In this form its gradient needs one exponential; the threshold guards overflow.
        return functional.softplus(raw, threshold=80.0) - target * raw
    return 0.5 * (raw - target).square()


def mean(head: str, raw: Tensor) -> Tensor:
    """The expected value of the data under the likelihood, in the data's units."""
    return torch.sigmoid(raw) if head == "bernoulli" else raw


def link(head: str, value: Tensor) -> Tensor:
    """The raw output whose mean is ``value``; the inverse of :func:`mean`, logits cut at 5.3."""
    return torch.logit(value, eps=0.005) if head == "bernoulli" else value
