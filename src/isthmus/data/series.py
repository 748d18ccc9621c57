"""What windows of a series are made of, and how they are scaled: each channel by itself, fitted on training windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from isthmus.data.fields import Field
from isthmus.data.fields.field import DECIMAL_MARKS
from isthmus.data.fields.plain import number, only
from isthmus.data.metadata import IN_ORDER
from isthmus.data.scale import Scaler
from isthmus.errors import BadInput

LONGEST = 1 << 20
"""Steps of a window, and steps between two of them, at most."""
MOST_CHARACTERS = 1000


@dataclass(frozen=True)
class Series:
    """How steps of a series become windows.

    Examples
    --------
    >>> Series(32, 1, ("temperature", "pressure")).shape
    (32, 2)
    """

    length: int
    """Steps of a window."""
    stride: int
    """Steps from the beginning of one window to that of the next."""
    channels: tuple[str, ...]
    """The columns that a step is read from, in this order."""
    time: str = IN_ORDER
    """The column that says when a step was taken, or ``rows`` where steps stand in their order."""
    group: str | None = None
    """The column that says of which series a step is; None where there is one series."""
    missing: tuple[float, ...] = ()
    """Numbers that stand for a missing one."""
    habit: str = ""
    """The decimal mark of the training rows in their file, where ``1.234`` could be meant in two ways."""

    @property
    def shape(self) -> tuple[int, int]:
        """Of a window: steps x channels."""
        return self.length, len(self.channels)

    @property
    def elements(self) -> tuple[str, ...]:
        """One name for each element of a window: the channel, and the step counted from 0."""
        return tuple(f"{channel}@{step}" for step in range(self.length) for channel in self.channels)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The channels as columns of a table."""
        own = Field("", "number", gaps=True, missing=self.missing, habit=self.habit)
        return tuple(replace(own, name=channel) for channel in self.channels)

    @property
    def beside(self) -> tuple[str, ...]:
        """The columns that say when a step was taken, and of which series it is."""
        return (*(() if self.time == IN_ORDER else (self.time,)), *(() if self.group is None else (self.group,)))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        found = {**vars(self), "channels": list(self.channels), "missing": list(self.missing)}
        return found if self.habit else {name: value for name, value in found.items() if name != "habit"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From plain data that may come from anywhere; refused with BadInput if it makes no sense."""
        wont = ["habit"] if isinstance(data, Mapping) and "habit" in data else []
        only("series", data, "length", "stride", "channels", "time", "group", "missing", *wont)
        for name in ("length", "stride"):
            if type(data[name]) is not int or not 1 <= data[name] <= LONGEST:
                raise BadInput(f"series: {name} must be a whole number from 1 to {LONGEST}; got {data[name]!r:.60}")
        channels = data["channels"]
        if not isinstance(channels, list) or not channels or len(set(map(str, channels))) < len(channels):
            raise BadInput("series: channels must be names, each once")
        for text in (*channels, data["time"], *([] if data["group"] is None else [data["group"]])):
            if not isinstance(text, str) or not 0 < len(text) <= MOST_CHARACTERS:
                raise BadInput(f"series: a name must be a text of 1 to {MOST_CHARACTERS} characters; got {text!r:.60}")
        gone = data["missing"]
        if not isinstance(gone, list) or len(gone) > MOST_CHARACTERS:
            raise BadInput(f"series: missing must be a list of at most {MOST_CHARACTERS} numbers")
        missing = tuple(number("series.missing", value) for value in gone)
        if (habit := data.get("habit", "")) not in ("", *DECIMAL_MARKS):
            raise BadInput(f"series: habit must be a comma or a point; got {habit!r:.60}")
        return cls(data["length"], data["stride"], tuple(channels), data["time"], data["group"], missing, habit)


@dataclass(frozen=True, eq=False, kw_only=True)
class Windowed(Scaler):
    """A scaler of windows (N, T, C): mean 0 and deviation 1 for each channel, over all steps of the training windows.

    It travels with a model, which so knows of what windows it was trained on.

    Examples
    --------
    >>> steps = np.arange(12.0)[:, None] * [1, 1000]
    >>> windows = np.stack([steps[i : i + 4] for i in range(9)])
    >>> layout = Windowed.of(windows, Series(4, 1, ("a", "b")))
    >>> bool(np.ptp(layout.apply(windows), axis=2).max() < 1e-6)
    True
    """

    series: Series

    @classmethod
    def of(cls, x: ArrayLike, series: Series) -> Self:
        """Learn shift and scale from training windows (N, T, C)."""
        return cls(**vars(Scaler.fit(x, kind="standard")), series=series)

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "series": self.series.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """From plain data that may come from anywhere; refused with BadInput if it makes no sense."""
        plain = Scaler.from_json({name: value for name, value in data.items() if name != "series"})
        series = Series.from_json(data["series"])
        if len(plain.shift) != np.prod(series.shape):
            raise BadInput(f"series: windows of {series.shape} elements do not fit a scaler of {len(plain.shift)}")
        return cls(**vars(plain), series=series)
