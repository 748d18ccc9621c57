"""Put columns on one scale: fitted on training rows, carried with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.data.fields.field import DECIMAL_MARKS
from isthmus.data.moments import Moments
from isthmus.errors import BadInput

KINDS = ("standard", "unit", "none")
FARTHEST = 1e9
"""Scaled values are cut to this distance from 0, so that squared errors stay finite. Standardised training rows
never come near: N rows lie within sqrt(N) of their mean."""
BLOCK = 1 << 22
OWN = 0.25
"""A channel that spans a smaller share of what all channels span has a scale of its own."""
LOOKED_AT, ENOUGH, ELEMENTS = 1000, 10, 64
"""Most rows that are looked at for their unit, and fewest rows, and elements, whose spread says something."""
FAR = 10.0
"""Rows all of which lie so many standard deviations, or widths of the range, outside the training rows are in another
unit."""
MOST = (0.01, 0.99)
"""Quantiles between which most elements lie, whatever a few strange ones do."""
NARROW = {"standard": 0.02, "unit": 0.1, "none": 0.1}
"""So are rows that spread less than this share of what training rows do. A few rows of a table may be much alike."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """``(x - shift) / scale``, computed in float64.

    Examples
    --------
    >>> Scaler.fit([[0.0, 5.0], [2.0, 5.0]]).apply([[4.0, 5.0]])
    array([[3., 0.]], dtype=float32)
    """

    kind: str
    """``standard``: mean 0 and standard deviation 1 for each column, or each channel of a series; ``unit``: one minimum
    and one maximum over all elements, or over those of each channel, go to 0 and 1; ``none``: left as is."""
    shift: NDArray[np.float64]
    """(D,) for ``standard`` and for channels on scales of their own, else (1,); in the units of the data."""
    scale: NDArray[np.float64]
    """Like ``shift``; positive."""
    constant: int = 0
    """How many columns had one value in all rows that it was fitted on. They are kept, with scale 1."""
    span: tuple[float, float] | None = None
    """Numbers between which all but 2 % of the elements of the training rows lie; kept where ``none`` was asked for, as
    nothing else tells then in which unit they were."""
    habit: str = ""
    """The decimal mark of the training rows in their file, where ``1.234`` could be meant in two ways."""

    @classmethod
    def fit(cls, x: ArrayLike, kind: str = "auto", images: bool = False) -> Scaler:
        """Learn shift and scale from training rows.

        Parameters
        ----------
        x : array (N, *D)
            Finite numbers.
        kind : {"auto", "standard", "unit", "none"}
            ``auto`` is ``none`` if all values lie in [0, 1], else ``unit`` for images, else ``standard``. Rows of two
            axes that are no images are series (time, channels): the steps of a channel share its scale.
        images : bool, default False
            Whether rows are images, whose elements share one scale. Channels (last) share it too, unless one of them
            spans less than a quarter of what all together span: beside the others it would hardly count.

        Raises
        ------
        BadInput
            For another kind, for no rows, and for values that are not finite.
        """
        if kind not in ("auto", *KINDS):
            raise BadInput(f"scale must be auto, standard, unit or none; got {kind!r}")
        rows = _flat(x)
        if rows.size == 0:
            raise BadInput(f"a scaler needs rows and columns; got shape {np.shape(x)}")
        low, high = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise BadInput("a scaler needs finite values; got NaN or infinity: fill them in or drop these rows")
        constant = int((low == high).sum())
        span = _span(rows) if kind == "none" else None
        if kind == "auto":
            kind = "none" if low.min() >= 0 and high.max() <= 1 else "unit" if images else "standard"
        if kind == "none":
            return cls(kind, np.zeros(1), np.ones(1), constant, span)
        if kind == "unit":
            least, most = _channels(low, high, np.shape(x) if images else ())
            width = most / 2 - least / 2  # halves: the width of float64 data may exceed float64
            scale = np.where(width > 0, np.maximum(width, np.finfo(np.float64).tiny) * 2, 1.0)
            return cls(kind, least, scale, constant)
        if np.ndim(x) == 3 and not images:
            time, channels = np.shape(x)[1:]
            ends = low.reshape(time, channels).min(axis=0), high.reshape(time, channels).max(axis=0)
            shift, scale = (np.tile(one, time) for one in _moments(rows.reshape(-1, channels), *ends))
        else:
            shift, scale = _moments(rows, low, high)
        return cls(kind, shift, scale, constant)

    @classmethod
    def of_moments(cls, known: Moments, kind: str = "auto", some: ArrayLike = ()) -> Scaler:
        """As :meth:`fit`, of rows (N, D) that are no images and that came some at a time.

        Parameters
        ----------
        known : Moments
            Of all training rows, which were finite.
        kind : {"auto", "standard", "unit", "none"}
        some : array (n, D)
            Some of the rows, by which their span is told.

        Examples
        --------
        >>> Scaler.of_moments(Moments.of(np.array([[0.0, 5.0], [2.0, 5.0]]))).apply([[4.0, 5.0]])
        array([[3., 0.]], dtype=float32)
        """
        if kind not in ("auto", *KINDS):
            raise BadInput(f"scale must be auto, standard, unit or none; got {kind!r}")
        constant, span = int((known.low == known.high).sum()), _span(_flat(some)) if kind == "none" else None
        if kind == "auto":
            kind = "none" if known.low.min() >= 0 and known.high.max() <= 1 else "standard"
        if kind == "none":
            return cls(kind, np.zeros(1), np.ones(1), constant, span)
        if kind == "unit":
            least, most = known.low.min(keepdims=True), known.high.max(keepdims=True)
            return cls(kind, least, np.where(most > least, most - least, 1.0), constant)
        varies = known.low < known.high
        scale = np.where(varies & (known.deviation > 0), known.deviation, 1.0)
        return cls(kind, np.where(varies, known.mean, known.low), scale, constant)

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """Scaled rows, float32 and finite, of the shape of ``x`` (N, *D); cut at a distance of 1e9 from 0."""
        if self.kind == "none" and np.asarray(x).dtype == np.float32:  # the same bits, without float64
            return np.clip(_flat(x), -FARTHEST, FARTHEST).reshape(np.shape(x))
        return self._blockwise(x, lambda rows: np.clip((rows - self.shift) / self.scale, -FARTHEST, FARTHEST))

    def invert(self, x: ArrayLike) -> NDArray[np.floating]:
        """Back to the units of the data: float32, or float64 where ``x`` is; cut at the largest finite number of it."""
        kind = np.float64 if np.asarray(x).dtype == np.float64 else np.float32
        most = float(np.finfo(kind).max)
        with np.errstate(over="ignore"):  # in float64; what is beyond is cut
            return self._blockwise(x, lambda rows: np.clip(rows * self.scale + self.shift, -most, most), kind)

    def astray(self, x: ArrayLike, bounded: bool = False) -> str | None:
        """A sentence about rows that hardly are in the unit of the rows that the scaler was fitted on, or None.

        Parameters
        ----------
        x : array (n, *D)
            New rows, in their own unit.
        bounded : bool, default False
            Whether the training rows lay in [0, 1], which a scaler of kind ``none`` that ``auto`` chose does not
            know: artefacts have no room for it there, and a Bernoulli likelihood tells it. Of a model with rows in
            [0, 1] and another likelihood nothing is said, and nothing where an artefact without a span was made with
            ``scale="none"``.

        Examples
        --------
        >>> pixels = np.arange(256.0).reshape(4, 8, 8)
        >>> Scaler.fit(pixels, images=True).astray(pixels / 255)[:64]
        'these rows span 0.39% of the range of the training rows; if they'
        >>> Scaler.fit(pixels, images=True).astray(pixels) is None
        True
        """
        rows = _flat(x)
        if (
            not rows.size
            or (self.kind == "none" and not bounded and self.span is None)
            or len(self.shift) not in (1, rows.shape[1])
        ):
            return None
        some = rows[np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(int)].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (some - self.shift) / self.scale
            if self.kind == "none" and self.span is not None:
                low, high = self.span
                scaled = (some - low) / (high - low)
                far = float(np.median(np.abs(scaled - 0.5), axis=1).min()) - 0.5
                wide = float(np.subtract(*np.quantile(scaled, MOST[::-1])))
            elif self.kind == "standard":
                far = float(np.median(np.abs(scaled), axis=1).min())
                wide = float(np.median(scaled.std(axis=0))) if len(scaled) >= ENOUGH else 1.0
            else:
                far = float(np.abs(scaled - 0.5).max(axis=1).min()) - 0.5
                wide = float(scaled.max() - scaled.min())
        if far > FAR:
            unit = "standard deviations" if self.kind == "standard" else "times its width"
            how = f"lie {far:.3g} {unit} outside"
        elif 0 < wide < NARROW[self.kind] and scaled.size >= ELEMENTS:
            how = f"span {100 * wide:.2g}% of"
        else:
            return None
        return (
            f"these rows {how} the range of the training rows; if they are in another unit, such as 0 to 1 for 0 to "
            "255, give them in that of the training"
        )

    @property
    def parts(self) -> tuple[()]:
        """A number is a number here: there are no columns of several elements."""
        return ()

    def settled(self, x: ArrayLike, random: np.random.Generator | None = None) -> NDArray[np.float32]:
        """Rows as they are: any number may stand among plain numbers."""
        return np.asarray(x, np.float32)

    def observed(self, x: NDArray[np.float32]) -> None:
        """Everything is there: rows of plain numbers have no gaps."""

    def to_json(self) -> dict[str, Any]:
        """Plain data; floats survive exactly."""
        return {
            "kind": self.kind,
            "shift": self.shift.tolist(),
            "scale": self.scale.tolist(),
            "constant": self.constant,
            **({} if self.span is None else {"span": list(self.span)}),
            **({"habit": self.habit} if self.habit else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scaler:
        """A scaler from plain data that may come from anywhere.

        Raises
        ------
        BadInput
            If a field is missing, unknown or impossible; the message names it.
        """
        if not isinstance(data, Mapping) or set(data) - {"span", "habit"} != {"kind", "shift", "scale", "constant"}:
            raise BadInput(
                "scaler: expected exactly the fields kind, shift, scale and constant, and perhaps span and habit"
            )
        kind, constant = data["kind"], data["constant"]
        if kind not in KINDS:
            raise BadInput(f"scaler: kind must be standard, unit or none; got {kind!r:.60}")
        shift, scale = _floats("shift", data["shift"]), _floats("scale", data["scale"])
        if len(shift) != len(scale) or (kind == "none" and len(shift) != 1):
            raise BadInput(f"scaler: shift and scale of kind {kind} do not fit: {len(shift)} and {len(scale)} numbers")
        if not (scale > 0).all():
            raise BadInput("scaler: every scale must be positive")
        if type(constant) is not int or constant < 0 or (kind == "standard" and constant > len(shift)):
            raise BadInput(f"scaler: constant must be a count of columns; got {constant!r:.60}")
        span = None if data.get("span") is None else _floats("span", data["span"])
        if span is not None and (kind != "none" or len(span) != 2 or not span[0] < span[1]):
            raise BadInput("scaler: span must be two numbers, the smaller one first, and go with kind none")
        if (habit := data.get("habit", "")) not in ("", *DECIMAL_MARKS):
            raise BadInput(f"scaler: habit must be a comma or a point; got {habit!r:.60}")
        return cls(kind, shift, scale, constant, None if span is None else (float(span[0]), float(span[1])), habit)

    def _blockwise(
        self, x: ArrayLike, change: Any, kind: type[np.floating[Any]] = np.float32
    ) -> NDArray[np.floating[Any]]:
        """Change rows in float64, some at a time: a wide set is never held twice in float64."""
        rows = _flat(x)
        if len(self.shift) not in (1, rows.shape[1]):
            raise BadInput(f"the scaler was fitted on {len(self.shift)} columns; got {rows.shape[1]}")
        out = np.empty(rows.shape, kind)
        step = max(1, BLOCK // max(1, rows.shape[1]))
        for start in range(0, len(rows), step):
            out[start : start + step] = change(rows[start : start + step].astype(np.float64))
        return out.reshape(np.shape(x))


def _flat(x: ArrayLike) -> NDArray[Any]:
    rows = np.asarray(x)
    if rows.ndim < 2:
        raise BadInput(f"expected rows of shape (N, *D); got shape {rows.shape}")
    return rows.reshape(len(rows), int(np.prod(rows.shape[1:])))


def _span(rows: NDArray[Any]) -> tuple[float, float] | None:
    """Where most elements lie, of some rows; None if they are one number."""
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(int)].astype(np.float64)
    low, high = np.quantile(some, MOST).tolist()
    return (low, high) if low < high and np.isfinite(high - low) else None


def _channels(
    low: NDArray[np.float64], high: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What goes to 0 and what goes to 1: of all elements, or of each element's channel where channels differ widely."""
    if len(shape) == 4 and shape[3] > 1:
        least, most = low.reshape(-1, shape[3]).min(axis=0), high.reshape(-1, shape[3]).max(axis=0)
        widths, whole = most / 2 - least / 2, most.max() / 2 - least.min() / 2
        if (widths[widths > 0] < OWN * whole).any():
            pixels = shape[1] * shape[2]
            return np.tile(least, pixels), np.tile(most, pixels)
    return low.min(keepdims=True), high.max(keepdims=True)


def _moments(
    rows: NDArray[Any], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column; constant columns give their value and 1."""
    shift, scale = low.copy(), np.ones_like(low)
    peak = np.maximum(np.abs(low), np.abs(high))  # dividing by it first keeps squares of 1e300 and 1e-300 in range
    varies = np.flatnonzero(low < high)
    for columns in np.array_split(varies, max(1, len(varies) * len(rows) // BLOCK)):
        part = rows[:, columns].astype(np.float64) / peak[columns]
        shift[columns] = part.mean(axis=0) * peak[columns]
        scale[columns] = part.std(axis=0) * peak[columns]
    return shift, np.where(scale > 0, np.maximum(scale, np.finfo(np.float64).tiny), 1.0)


def _floats(name: str, values: object) -> NDArray[np.float64]:
    if not isinstance(values, list) or not values or any(type(v) not in (int, float) for v in values):
        raise BadInput(f"scaler: {name} must be a list of numbers")
    try:
        found = np.array(values, np.float64)
    except OverflowError:
        raise BadInput(f"scaler: {name} must hold finite numbers") from None
    if not np.isfinite(found).all():
        raise BadInput(f"scaler: {name} must hold finite numbers")
    return found
