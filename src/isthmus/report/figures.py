"""The drawings of the page as plain data: traces and a layout. :mod:`isthmus.report.drawing` turns them into SVG.

A trace has ``x`` and ``y``, a ``marker``, a ``line`` or both, and the ends of its intervals; a layout has two axes.
Texts from outside stand here as they are, cut and without control signs; the drawing escapes them.
"""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Figure = dict[str, Any]

ACCENT, SECOND, QUIET, ALARM = "#4477AA", "#CC8822", "#888888", "#CC3311"
"""Autoencoders and validation; training; rivals; outside the rope. Readable on light and dark ground."""
PALETTE = (
    "#4477AA",
    "#EE6677",
    "#228833",
    "#CCBB44",
    "#66CCEE",
    "#AA3377",
    "#999999",
    "#E03FD8",
    "#784B0F",
    "#33C24D",
    "#7A2BE0",
    "#F0A5FF",
    "#E07B00",
    "#2B3FE8",
    "#A578FF",
    "#005A5A",
)
"""Paul Tol's *bright* scheme, then colours as far from those before them as there are, in a space of equal differences
(Ottosson's OKLab), that can be seen on light and on dark ground."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")
"""Shapes differ too: 16 colours and 7 shapes make 112 marks before one comes again."""
SHAPES = {
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "diamond": "M0-5L5 0L0 5L-5 0z",
    "square": "M-4-4H4V4H-4z",
    "triangle-up": "M0-4.5L5 4.5H-5z",
    "cross": "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7z",
    "x": "M-4.5-2.2L-2.2-4.5L0-2.2L2.2-4.5L4.5-2.2L2.2 0L4.5 2.2L2.2 4.5L0 2.2L-2.2 4.5L-4.5 2.2L-2.2 0z",
    "star": "M0-5L1.5-1.6H5L2.1.7L3.2 4.4L0 2.2L-3.2 4.4L-2.1.7L-5-1.6H-1.5z",
}
"""The same shapes as SVG paths, for legends in the page."""
POINTS = 90
"""A curve is thinned to about this many points; its last one is always kept."""


class Interval(NamedTuple):
    """A mean with its interval; ``low`` and ``high`` are None where there is none."""

    mean: float
    low: float | None
    high: float | None


def plain(text: object, most: int = 60) -> str:
    """Text from outside, made harmless to layout: control and direction marks become visible, long texts are cut.

    Examples
    --------
    >>> plain("a\\x00b\\u202ec")
    'a�b�c'
    >>> plain("x" * 9, most=5)
    'xxxx…'
    """
    shown = "".join("�" if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} else c for c in str(text))
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def forest(rows: Sequence[tuple[str, Interval, bool]], rope: float, axis: str, *, relative: bool = False) -> Figure:
    """Differences with intervals against the region of practical equivalence.

    Parameters
    ----------
    rows : sequence of (name, difference, rival)
        Top to bottom.
    rope : float
        Half-width of the grey band around zero.
    axis : str
        What the horizontal axis says.
    relative : bool, default False
        Whether differences are shares, to be read in per cent.
    """
    data = []
    for rival, colour in ((False, ACCENT), (True, QUIET)):
        part = [(name, e) for name, e, is_rival in rows if is_rival == rival]
        if part:
            data.append(
                {
                    "x": [e.mean for _, e in part],
                    "y": [name for name, _ in part],
                    "marker": {"color": colour, "size": 9, "symbol": "square" if rival else "circle"},
                    "error_x": _bars([e for _, e in part]),
                    "notes": [_told(name, e.mean, relative) for name, e in part],
                }
            )
    layout = _layout(height=0, xaxis=axis, yaxis="")
    layout["yaxis"]["categories"] = [name for name, _, _ in rows]
    ends = [end for _, e, _ in rows for end in (e.mean, e.low, e.high) if end is not None]
    low, high = min([*ends, -rope]), max([*ends, rope])
    pad = 0.06 * (high - low) or 1.0
    layout["xaxis"] |= {"zero": True, "range": (low - pad, high + pad), "percent": relative}
    layout["shapes"] = [{"type": "rect", "x0": -rope, "x1": rope}]
    return {"data": data, "layout": layout}


def curves(
    histories: Sequence[tuple[Mapping[str, Sequence[float | None]], int]], steps: str, train: str, valid: str
) -> Figure:
    """Training and validation loss against steps, one pair of lines per replicate, a dot where the kept weights are.

    Parameters
    ----------
    histories : sequence of (history, best_step)
        ``history`` has the keys "step", "train" and "valid".
    steps, train, valid : str
        Words for the axis and the two kinds of line.
    """
    data: list[Figure] = []
    seen: list[float] = []
    for history, best in histories:
        xs = list(history.get("step", ()))
        for key, name, colour, dash in (("train", train, SECOND, "dot"), ("valid", valid, ACCENT, "solid")):
            points = [(x, y) for x, y in zip(xs, history.get(key, ()), strict=False) if x is not None and _real(y)]
            if not points:
                continue
            line = _thin(points)
            seen += [y for _, y in line]
            trace: Figure = {"name": name, "x": [x for x, _ in line], "y": [y for _, y in line]}
            data.append(trace | {"line": {"color": colour, "width": 1.4, "dash": dash}})
            if key == "valid":
                x, y = min(points, key=lambda point: abs(point[0] - best))
                data.append({"x": [x], "y": [y], "marker": {"color": ACCENT, "size": 6}})
    layout = _layout(height=130, xaxis=steps, yaxis="")
    if seen and min(seen) > 0 and max(seen) > 8 * min(seen):
        layout["yaxis"]["type"] = "log"
    return {"data": data, "layout": layout}


def profiles(
    lines: Sequence[tuple[str, bool, Sequence[tuple[float, Interval]], str, str]], xaxis: str, yaxis: str, *, log: bool
) -> Figure:
    """How one number moves along an axis, a line for each contender; intervals are faint, rivals are dotted.

    Parameters
    ----------
    lines : sequence of (name, rival, points, colour, symbol)
        ``points`` are (x, estimate) from left to right.
    xaxis, yaxis : str
        What the axes say.
    log : bool
        Logarithmic horizontal axis; every x is positive then.
    """
    data = []
    for name, rival, points, colour, symbol in lines:
        data.append(
            {
                "name": name,
                "x": [x for x, _ in points],
                "y": [e.mean for _, e in points],
                "line": {"color": colour, "width": 1.6, "dash": "dot" if rival else "solid"},
                "marker": {"color": colour, "symbol": symbol, "size": 7},
                "error_y": _bars([e for _, e in points], faint=True),
                "notes": [f"{name}: {e.mean:.4g} ({x:.4g})" for x, e in points],
            }
        )
    layout = _layout(height=250, xaxis=xaxis, yaxis=yaxis)
    if log:
        layout["xaxis"]["type"] = "log"
    return {"data": data, "layout": layout}


def upright(x: float, dash: str) -> Figure:
    """A thin vertical line across a drawing."""
    return {"type": "line", "x0": x, "x1": x, "line": {"dash": dash}}


def scatter(
    points: Sequence[tuple[str, Interval, Interval, bool]], xaxis: str, yaxis: str, *, log: bool = False
) -> Figure:
    """One named point per contender with the intervals of both coordinates.

    Parameters
    ----------
    points : sequence of (name, x, y, rival)
    xaxis, yaxis : str
        What the axes say.
    log : bool, default False
        Logarithmic horizontal axis; drawn only if every x is positive.
    """
    log = log and all(x.mean > 0 for _, x, _, _ in points)
    data = []
    for rival, colour in ((False, ACCENT), (True, QUIET)):
        part = [p for p in points if p[3] == rival]
        if part:
            data.append(
                {
                    "x": [x.mean for _, x, _, _ in part],
                    "y": [y.mean for _, _, y, _ in part],
                    "marker": {"color": colour, "size": 10, "symbol": "square" if rival else "circle"},
                    "error_x": _bars([x for _, x, _, _ in part], faint=True),
                    "error_y": _bars([y for _, _, y, _ in part], faint=True),
                    "notes": [f"{name}: {x.mean:.4g}, {y.mean:.4g}" for name, x, y, _ in part],
                }
            )
    layout = _layout(height=300, xaxis=xaxis, yaxis=yaxis)
    if log:
        layout["xaxis"]["type"] = "log"
    layout["names"] = [(name, x.mean, y.mean) for name, x, y, _ in points]
    return {"data": data, "layout": layout}


def codes(points: Sequence[tuple[float, float]], labels: Sequence[int] | None, classes: Sequence[str]) -> Figure:
    """Codes on a plane, coloured by label (all alike if there are no labels)."""
    kinds = sorted(set(labels)) if labels is not None else [None]
    data = []
    for kind in kinds:
        part = [p for i, p in enumerate(points) if labels is None or labels[i] == kind]
        colour, symbol = (QUIET, "circle") if kind is None else label_mark(kind, len(classes))
        name = "" if kind is None else str(classes[kind] if 0 <= kind < len(classes) else kind)
        data.append(
            {
                "name": name,
                "x": [round(float(x), 3) for x, _ in part],
                "y": [round(float(y), 3) for _, y in part],
                "marker": {"color": colour, "symbol": symbol, "size": 4.5},
            }
        )
    return {"data": data, "layout": _layout(height=0, xaxis="", yaxis="") | {"map": True}}


def tuning(rows: Sequence[tuple[str, float, bool]], axis: str, chosen: str, tried: str) -> Figure:
    """Every tried configuration as a dot, the chosen ones filled: ``rows`` are (family, criterion, is chosen)."""
    names = list(dict.fromkeys(name for name, _, _ in rows))
    data = []
    for is_chosen in (False, True):
        part = [(name, value) for name, value, picked in rows if picked == is_chosen]
        data.append(
            {
                "name": chosen if is_chosen else tried,
                "x": [value for _, value in part],
                "y": [name for name, _ in part],
                "marker": {"color": ACCENT, "size": 9} if is_chosen else {"color": QUIET, "size": 8, "open": True},
                "notes": [_told(name, value) for name, value in part],
            }
        )
    layout = _layout(height=0, xaxis=axis, yaxis="")
    layout["yaxis"]["categories"] = names
    values = [value for _, value, _ in rows]
    if values and min(values) > 0 and max(values) > 8 * min(values):
        layout["xaxis"]["type"] = "log"
    return {"data": data, "layout": layout}


def mark(kind: int) -> tuple[str, str]:
    """Colour and shape of the label or contender number ``kind``."""
    return PALETTE[kind % len(PALETTE)], SYMBOLS[kind % len(SYMBOLS)]


def marks(kinds: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Colour and shape of contenders in one drawing: each its own colour, or the next that no other there has.

    Examples
    --------
    >>> found = marks([0, 1, 16])
    >>> found[0] == mark(0), found[1] == mark(1), found[16][0] == PALETTE[2]
    (True, True, True)
    """
    found: dict[int, tuple[str, str]] = {}
    for kind in sorted(kinds):
        taken = {colour for colour, _ in found.values()}
        turned = [PALETTE[(kind + i) % len(PALETTE)] for i in range(len(PALETTE))]
        found[kind] = next((colour for colour in turned if colour not in taken), turned[0]), mark(kind)[1]
    return found


def label_mark(kind: int, of: int) -> tuple[str, str]:
    """Colour and shape of the label number ``kind`` of so many: shapes differ only where colours do not suffice."""
    colour, symbol = mark(kind)
    return colour, symbol if of > len(PALETTE) else "circle"


def _told(name: str, value: float, relative: bool = False) -> str:
    """What a mark says when it is pointed at."""
    return f"{name}: {value:+.1%}" if relative else f"{name}: {value:.4g}"


def _real(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _thin(points: Sequence[tuple[float, Any]]) -> list[tuple[float, float]]:
    step = max(1, len(points) // POINTS)
    kept = list(points[::step])
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return [(x, float(f"{y:.5g}")) for x, y in kept]


def _bars(estimates: Sequence[Interval], *, faint: bool = False) -> Figure:
    """The ends of intervals; an estimate without interval has none."""
    return {"ends": [(e.low, e.high) for e in estimates], "width": 1 if faint else 2}


def _layout(height: int, xaxis: str, yaxis: str) -> Figure:
    """What every drawing shares: the height of its field, and what its axes say."""
    return {"height": height, "xaxis": {"title": xaxis}, "yaxis": {"title": yaxis}}
