"""Elementwise activations by name: torch's own, without those that have parameters or draw random numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,
    "relu6": functional.relu6,
    "elu": functional.elu,
    "selu": functional.selu,
    "celu": functional.celu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "tanh": torch.tanh,
    "tanhshrink": functional.tanhshrink,
    "hardtanh": functional.hardtanh,
    "hardswish": functional.hardswish,
    "sigmoid": torch.sigmoid,
    "logsigmoid": functional.logsigmoid,
    "hardsigmoid": functional.hardsigmoid,
}
