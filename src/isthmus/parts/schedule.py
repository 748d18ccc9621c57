"""Schedules inside a model: what moves during training, by the share of the plan's steps that has been taken.

A weight of the loss that moves is a :class:`isthmus.model.Ramp`, and the engine's business. What moves inside
``forward`` follows the ``clock`` of a :class:`isthmus.model.Timed` model.
"""

from __future__ import annotations

import torch
from torch import Tensor


def passed(clock: Tensor, share: Tensor) -> Tensor:
    """How much of a schedule over a ``share`` of the plan's steps is behind: 0 to 1, 0-dim; all of one of share 0.

    Examples
    --------
    >>> passed(torch.tensor(0.25), torch.tensor(0.5)), passed(torch.tensor(0.0), torch.tensor(0.0))
    (tensor(0.5000), tensor(1.))
    """
    return torch.where(share > 0, (clock / share.clamp_min(1e-9)).clamp_max(1), 1.0)
