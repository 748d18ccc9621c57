"""Checks of plain data that may come from anywhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from isthmus.errors import BadInput


def only(what: str, data: Any, *names: str) -> None:
    """Refuse what is no mapping with exactly these keys."""
    if not isinstance(data, Mapping) or set(data) != set(names):
        raise BadInput(f"{what}: expected exactly the fields {', '.join(names)}")


def number(what: str, value: Any) -> float:
    """A finite number."""
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise BadInput(f"{what}: expected a finite number; got {value!r:.60}")
    return float(value)


def finite(what: str, data: Mapping[str, Any], name: str) -> float:
    """The finite number under a name."""
    return number(f"{what}.{name}", data[name])


def positive(what: str, data: Mapping[str, Any], name: str) -> float:
    """The positive finite number under a name."""
    if (value := finite(what, data, name)) <= 0:
        raise BadInput(f"{what}.{name}: expected a positive number; got {value!r}")
    return value
