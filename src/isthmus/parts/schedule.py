"""Schedules inside a model: what moves during training, by the share of the plan's steps that has been taken.

A weight of the loss that moves is a :class:`isthmus.model.Ramp`, and the engine's business. What moves inside
``forward`` follows the ``clock`` of a :class:`isthmus.model.Timed` model.
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.errors import BadInput


def passed(clock: Tensor, share: Tensor) -> Tensor:
    """How much of a schedule over a ``share`` of the plan's steps is behind: 0 to 1, 0-dim; all of one of share 0.

    Examples
    --------
    >>> passed(torch.tensor(0.25), torch.tensor(0.5)), passed(torch.tensor(0.0), torch.tensor(0.0))
    (tensor(0.5000), tensor(1.))
    """
    return torch.where(share > 0, (clock / share.clamp_min(1e-9)).clamp_max(1), 1.0)


def check_share(family: str, name: str, value: object) -> None:
    """Refuse a length of a schedule that is no share of the plan's steps."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise BadInput(
            f"{family}: {name} must be a share of the plan's steps, 0 to 1; got {value!r}: for 500 of 2500 steps give "
            "0.2"
        )
