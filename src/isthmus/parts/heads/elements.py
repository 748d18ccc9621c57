"""Likelihoods whose elements are all alike.

``gaussian``: unit variance, raw output = mean, half squared error (constants dropped). ``bernoulli``: raw output =
logits, cross-entropy; data in [0, 1]. There is no hidden sigmoid anywhere else.

Two robust heads, for data of which some elements are grossly wrong; raw output = centre. Both cost half a square near
the centre, as the gaussian head does, so that the other terms of a loss keep their meaning. Beyond ``SCALE``, in scaled
units (0.25 is a quarter of a column's standard deviation, or of the range of data in [0, 1]), ``huber`` grows linearly
(Huber 1964, Robust estimation of a location parameter, Annals of Mathematical Statistics 35; delta = ``SCALE``), so an
outlier pulls no harder however far it is. ``student`` grows as a logarithm (Lange, Little and Taylor 1989, Robust
statistical modeling using the t distribution, JASA 84; their ``FREEDOM`` = 4), so a far outlier hardly pulls at all:
the likelihood of Student's t with scale ``SCALE``, times SCALE^2 FREEDOM / (FREEDOM + 1), which makes its curvature at
the centre 1, as half a squared error is a gaussian's likelihood times its variance.
"""

import torch
from torch import Tensor
from torch.nn import functional

SCALE = 0.25
FREEDOM = 4.0


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
    if head == "huber":
        size = (raw - target).abs()
        near = size.clamp(max=SCALE)
        return near * (size - 0.5 * near)
    if head == "student":
        width = FREEDOM * SCALE**2
        return 0.5 * width * torch.log1p((raw - target).square() / width)
    return 0.5 * (raw - target).square()


def mean(head: str, raw: Tensor) -> Tensor:
    """The expected value of the data under the likelihood, in the data's units."""
    return torch.sigmoid(raw) if head == "bernoulli" else raw


def link(head: str, value: Tensor) -> Tensor:
    """The raw output whose mean is ``value``; the inverse of :func:`mean`, logits cut at 5.3."""
    return torch.logit(value, eps=0.005) if head == "bernoulli" else value
