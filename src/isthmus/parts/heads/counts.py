"""Likelihoods of counts.

A row of counts has a total, and each column a share of it: the mean of a count is total x share. Raw outputs are the
logarithms of shares, up to a constant that a row has in common, and the standardised logarithm of the total. The total
itself is taken from the target, as where a cell's library size is observed (Lopez et al. 2018, Deep generative modeling
for single-cell transcriptomics, Nature Methods 15), and is predicted beside it as a log-normal number.

``poisson`` has variance = mean; ``negative_binomial`` has variance = mean + mean^2 / size, with a size for each column,
which is learnt as a parameter of the model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import BadInput

POISSON, NEGATIVE_BINOMIAL = NAMES = ("poisson", "negative_binomial")
PLAIN = ("gaussian", "huber", "student")
"""Likelihoods that rows of counts can have besides, as they are laid out."""
TINY = 1e-8
"""Least share of a column when a model starts."""
AT_ONCE = 1 << 22
"""Numbers of rows whose likelihood is computed at once where no gradient is asked for."""
LOWEST, HIGHEST = -12.0, 12.0
"""Bounds of the logarithm of a size: beyond, a likelihood in 32-bit floats is noise."""


def poisson(log_mean: Tensor, count: Tensor) -> Tensor:
    """The negative log-likelihood of counts under Poisson distributions, in nats; all of one shape.

    Examples
    --------
    >>> poisson(torch.zeros(1), torch.zeros(1))
    tensor([1.])
    """
    return log_mean.exp() - count * log_mean + torch.lgamma(count + 1)


def negative_binomial(log_mean: Tensor, log_size: Tensor, count: Tensor) -> Tensor:
    """The same under negative binomial distributions of variance mean + mean^2 / size.

    Examples
    --------
    >>> negative_binomial(torch.zeros(1), torch.zeros(1), torch.zeros(1)).exp()
    tensor([2.])
    """
    size, odds = log_size.exp(), log_mean - log_size
    cost = (count + size) * functional.softplus(odds, threshold=80.0) - count * odds
    return cost + torch.lgamma(size) + torch.lgamma(count + 1) - torch.lgamma(count + size)


class CountHead(nn.Module):
    """The likelihood of rows of counts as :class:`isthmus.data.counts.Counts` lays them out, (B, K + 1).

    Parameters
    ----------
    name : {"negative_binomial", "poisson"}
    shift : Tensor (K,)
        Means of the elements of columns.
    scale, usual : float
        What they are divided by, and the usual total of a row.
    total : (float, float)
        Mean and standard deviation of the logarithm of a total.
    dispersion : Tensor (K,)
        The inverse of the sizes that learning starts from.

    Examples
    --------
    >>> head = CountHead("poisson", torch.zeros(2), 1.0, 4.0, (0.0, 1.0), torch.ones(2))
    >>> row = torch.tensor([[0.0, 1.6094, 1.0986]])  # 0 and 3 of 3
    >>> head.nll(torch.zeros(1, 3), row).exp().round(decimals=2)
    tensor([[4.4800, 7.9700, 1.8300]])
    """

    def __init__(
        self, name: str, shift: Tensor, scale: float, usual: float, total: tuple[float, float], dispersion: Tensor
    ) -> None:
        super().__init__()
        self.name, self.scale, self.usual, self.total = name, scale, usual, total
        self.begun = shift, dispersion
        self.register_buffer("shift", shift.clone(), persistent=False)
        self.log_size = nn.Parameter(-dispersion.log().clamp(LOWEST, HIGHEST)) if name == NEGATIVE_BINOMIAL else None

    shift: Tensor

    def but(self, name: str) -> CountHead | str:
        """Another one, that shares no parameter: ``auto`` of the same name; or the name of a likelihood of numbers."""
        if name in PLAIN:
            return name
        if name not in ("auto", *NAMES):
            raise BadInput(f"head: counts can be {', '.join((*NAMES, *PLAIN))}; got {name}")
        shift, dispersion = self.begun
        return CountHead(self.name if name == "auto" else name, shift, self.scale, self.usual, self.total, dispersion)

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        """The negative log-likelihood of each count, in nats, and that of the total, up to a constant: (B, K + 1)."""
        if torch.is_grad_enabled() or raw.numel() <= AT_ONCE:
            return self._nll(raw, target)
        rows = max(1, AT_ONCE // raw.shape[1])  # many validation rows: what is made on the way is large beside them
        return torch.cat([self._nll(*part) for part in zip(raw.split(rows), target.split(rows), strict=True)])

    def _nll(self, raw: Tensor, target: Tensor) -> Tensor:
        log_total = target[:, -1:] * self.total[1] + self.total[0]
        count = torch.expm1(target[:, :-1] * self.scale + self.shift) * (log_total.exp() / self.usual)
        log_mean = torch.log_softmax(raw[:, :-1], dim=1) + log_total
        if self.log_size is None:
            cost = poisson(log_mean, count.clamp(min=0.0))
        else:
            cost = negative_binomial(log_mean, self.log_size.clamp(LOWEST, HIGHEST), count.clamp(min=0.0))
        return torch.cat([cost, 0.5 * (raw[:, -1:] - target[:, -1:]).square()], dim=1)

    def mean(self, raw: Tensor) -> Tensor:
        """The row of the mean shares and the usual total, laid out: (B, K + 1) -> (B, K + 1)."""
        bent = torch.log1p(torch.softmax(raw[:, :-1], dim=1) * self.usual)
        return torch.cat([(bent - self.shift) / self.scale, raw[:, -1:]], dim=1)

    def link(self, value: Tensor) -> Tensor:
        """The raw output whose mean is ``value`` (..., K + 1), if its shares sum to 1; they are cut at 1e-8."""
        share = torch.expm1(value[..., :-1] * self.scale + self.shift) / self.usual
        return torch.cat([share.clamp(min=TINY).log(), value[..., -1:]], dim=-1)

    def whole(self, noise: Tensor) -> Tensor:
        """An element is a column here."""
        return noise

    @property
    def dispersion(self) -> Tensor | None:
        """What was learnt, (K,): a variance is mean + dispersion mean^2; None of ``poisson``."""
        return None if self.log_size is None else (-self.log_size.detach().clamp(LOWEST, HIGHEST)).exp()
