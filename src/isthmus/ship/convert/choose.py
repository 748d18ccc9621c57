"""What a foreign configuration may say: each value is checked, and what can't be expressed is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.ship.convert.form import Config

T = TypeVar("T")
MOST = 1 << 24
"""Most units, or elements of a row."""


def known(config: Config, names: Sequence[str], what: str) -> None:
    """Refuse keys whose meaning is unknown: one of them may change the codes."""
    if strange := sorted(set(config) - set(names)):
        raise BadInput(f"unknown key {strange[0]!a}: {what} has {', '.join(names)}")


def only(name: str, value: Any, choices: Sequence[T], remedy: str = "") -> T:
    """The value, if it is one of these few; another one is refused."""
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
    expected = " or ".join(map(str, dict.fromkeys(choices)))
    then = f": {remedy}" if remedy else ""
    raise BadInput(f"{name} must be {expected}, as isthmus has no other; got {value!a:.60}{then}")


def count(config: Config, name: str, most: int = MOST) -> int:
    """A whole number, at least 1."""
    value = config.get(name)
    if type(value) is not int or not 1 <= value <= most:
        raise BadInput(f"{name} must be a whole number from 1 to {most}; got {value!a:.60}")
    return value


def flag(config: Config, name: str, default: bool) -> bool:
    """True or false."""
    value = config.get(name, default)
    if type(value) is not bool:
        raise BadInput(f"{name} must be true or false; got {value!a:.60}")
    return value


def largest(raw: Tensor, k: int) -> Tensor:
    """The ``k`` largest of each row, the others 0, as ``torch.topk`` finds them: (B, L) -> (B, L)."""
    values, units = raw.topk(k, dim=-1)
    return torch.zeros_like(raw).scatter(-1, units, values)
