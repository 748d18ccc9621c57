"""Adam on the flat state of a stack: one row per replicate, each row with a learning rate of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isthmus import dispatch

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
FUSED = dispatch.fused_adamw()


class Adam:
    """Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019), as ``torch.optim.AdamW``.

    The update is PyTorch's fused kernel, called on whole rows: building an optimiser of ``torch.optim`` would load the
    compiler stack, which costs more than many fits.

    Parameters
    ----------
    state : Tensor of shape (R, P)
        Parameters of R replicates, updated in place.
    weight_decay : float
        Decoupled decay, the same for all rows.
    """

    def __init__(self, state: Tensor, weight_decay: float = 0.0) -> None:
        self.state = state
        self.mean = torch.zeros_like(state)
        self.square = torch.zeros_like(state)
        self.steps = torch.zeros((), dtype=torch.float32, device=state.device)
        self.weight_decay = weight_decay
        self._groups: list[tuple[float, list[list[Tensor]]]] = []
        self._grouped: tuple[Tensor, Sequence[float]] | None = None

    def keep(self, state: Tensor, rows: Sequence[int]) -> Adam:
        """The same optimiser for some of the rows, whose parameters now live in ``state``."""
        kept = Adam(state, self.weight_decay)
        kept.mean.copy_(self.mean[list(rows)])
        kept.square.copy_(self.square[list(rows)])
        kept.steps.copy_(self.steps)
        return kept

    def step(self, gradient: Tensor, rates: Sequence[float]) -> None:
        """One update. ``gradient`` (R, P); a row whose rate is 0 stays as it is."""
        self.steps += 1
        if self._grouped is None or self._grouped[0] is not gradient or self._grouped[1] != rates:
            self._group(gradient, rates)
        for rate, (parameters, gradients, means, squares) in self._groups:
            update(parameters, gradients, means, squares, self.steps, rate, self.weight_decay)

    def _group(self, gradient: Tensor, rates: Sequence[float]) -> None:
        """One call of the kernel for each distinct rate. Views are made once: they cost as much as a small update."""
        whole = [t.unbind(0) for t in (self.state, gradient, self.mean, self.square)]
        self._groups = [
            (rate, [[rows[r] for r, own in enumerate(rates) if own == rate] for rows in whole])
            for rate in dict.fromkeys(rates)
            if rate > 0
        ]
        self._grouped = (gradient, list(rates))


def fused_update(
    parameters: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: Tensor,
    rate: float,
    weight_decay: float,
) -> None:
    """One AdamW update of several rows by the fused kernel, in place; where there is one, see ``update``."""
    FUSED(
        parameters,
        gradients,
        means,
        squares,
        [],
        [steps] * len(parameters),
        lr=rate,
        beta1=BETA1,
        beta2=BETA2,
        weight_decay=weight_decay,
        eps=EPSILON,
        amsgrad=False,
        maximize=False,
    )


def plain_update(
    parameters: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: Tensor,
    rate: float,
    weight_decay: float,
) -> None:
    """The same update in separate operations: the reference, and what runs where the kernel is missing."""
    count = float(steps)
    for p, g, m, v in zip(parameters, gradients, means, squares, strict=True):
        p.mul_(1 - rate * weight_decay)
        m.mul_(BETA1).add_(g, alpha=1 - BETA1)
        v.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
        scale = (v / (1 - BETA2**count)).sqrt_().add_(EPSILON)
        p.addcdiv_(m, scale, value=-rate / (1 - BETA1**count))


update = plain_update if FUSED is None else fused_update
