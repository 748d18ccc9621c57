"""The drawings of the page, as plain plotly dictionaries: numbers and structure here, colours of the theme in the page.

Plotly reads a small markup language in every text it draws, so each text from outside goes through :func:`label`.
Hover templates are ours alone; outside texts reach them as data, never as part of the template.
"""

import html
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Figure = dict[str, Any]

ACCENT, SECOND, QUIET, ALARM = "#4477AA", "#CC8822", "#888888", "#CC3311"
"""Autoencoders and validation; training; rivals; outside the rope. Readable on light and dark ground."""
PALETTE = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")
"""Paul Tol's *bright* scheme, safe for colour-blind readers."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")
"""After seven labels the colours start again with the next shape."""
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
POINTS = 160
"""A curve is thinned to about this many points; its last one is always kept."""


class Estimate(NamedTuple):
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


def label(text: object, most: int = 28) -> str:
    """Text from outside for plotly: :func:`plain`, then every sign of its markup language escaped.

    Examples
    --------
    >>> label("<b>&")
    '&lt;b&gt;&amp;'
    """
    return html.escape(plain(text, most), quote=False)


def forest(rows: Sequence[tuple[str, Estimate, bool]], rope: float, axis: str, *, relative: bool = False) -> Figure:
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
                    "type": "scatter",
                    "mode": "markers",
                    "x": [e.mean for _, e in part],
                    "y": [label(name) for name, _ in part],
                    "marker": {"color": colour, "size": 9, "symbol": "square" if rival else "circle"},
                    "error_x": _bars([e for _, e in part], colour),
                    "hovertemplate": f"%{{y}}: %{{x:{'+.1%' if relative else '.4g'}}}<extra></extra>",
                }
            )
    layout = _layout(height=70 + 30 * len(rows), xaxis=axis, yaxis="")
    layout["yaxis"] |= {"categoryorder": "array", "categoryarray": [label(name) for name, _, _ in rows][::-1]}
    ends = [end for _, e, _ in rows for end in (e.mean, e.low, e.high) if end is not None]
    low, high = min([*ends, -rope]), max([*ends, rope])
    pad = 0.06 * (high - low) or 1.0
    layout["xaxis"] |= {"zeroline": True, "range": [low - pad, high + pad]}
    if relative:
        layout["xaxis"] |= {"tickformat": "+.0%"}
    layout["shapes"] = [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": -rope,
            "x1": rope,
            "y0": 0,
            "y1": 1,
            "layer": "below",
            "line": {"width": 0},
            "fillcolor": "rgba(128,128,128,0.22)",
        }
    ]
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
            seen += [y for _, y in line if y is not None]
            trace: Figure = {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": [x for x, _ in line],
                "y": [y for _, y in line],
            }
            trace |= {"line": {"color": colour, "width": 1.4, "dash": dash}, "opacity": 0.85}
            data.append(trace | {"hovertemplate": f"{name}: %{{y:.4g}} (%{{x}})<extra></extra>"})
            if key == "valid":
                x, y = min(points, key=lambda point: abs(point[0] - best))
                dot: Figure = {"type": "scatter", "mode": "markers", "x": [x], "y": [y], "hoverinfo": "skip"}
                data.append(dot | {"marker": {"color": ACCENT, "size": 6}})
    layout = _layout(height=210, xaxis=steps, yaxis="")
    layout["margin"] |= {"l": 46, "t": 6, "b": 38}
    if seen and min(seen) > 0 and max(seen) > 8 * min(seen):
        layout["yaxis"] |= _log(min(seen), max(seen))
    return {"data": data, "layout": layout}


def profiles(
    lines: Sequence[tuple[str, bool, Sequence[tuple[float, Estimate]], str, str]], xaxis: str, yaxis: str, *, log: bool
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
                "type": "scatter",
                "mode": "lines+markers",
                "name": label(name),
                "x": [x for x, _ in points],
                "y": [e.mean for _, e in points],
                "line": {"color": colour, "width": 1.6, "dash": "dot" if rival else "solid"},
                "marker": {"color": colour, "symbol": symbol, "size": 7},
                "error_y": _bars([e for _, e in points], colour, faint=True),
                "hovertemplate": "%{fullData.name}: %{y:.4g} (%{x:.4g})<extra></extra>",
            }
        )
    layout = _layout(height=400, xaxis=xaxis, yaxis=yaxis)
    layout["yaxis"]["title"]["font"] = {"size": 13 if len(yaxis) < 45 else 11}
    xs = [x for _, _, points, _, _ in lines for x, _ in points]
    if log:
        layout["xaxis"] |= _log(min(xs), max(xs))
    return {"data": data, "layout": layout}


def upright(x: float, dash: str) -> Figure:
    """A thin vertical line across a drawing."""
    line = {"color": QUIET, "width": 1.4, "dash": dash}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "layer": "below"} | {
        "line": line
    }


def scatter(
    points: Sequence[tuple[str, Estimate, Estimate, bool]], xaxis: str, yaxis: str, *, log: bool = False
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
                    "type": "scatter",
                    "mode": "markers",
                    "x": [x.mean for _, x, _, _ in part],
                    "y": [y.mean for _, _, y, _ in part],
                    "text": [label(name) for name, _, _, _ in part],
                    "cliponaxis": False,
                    "marker": {"color": colour, "size": 10, "symbol": "square" if rival else "circle"},
                    "error_x": _bars([x for _, x, _, _ in part], colour, faint=True),
                    "error_y": _bars([y for _, _, y, _ in part], colour, faint=True),
                    "hovertemplate": "%{text}: %{x:.4g}, %{y:.4g}<extra></extra>",
                }
            )
    layout = _layout(height=440, xaxis=xaxis, yaxis=yaxis)
    layout["margin"] |= {"r": 40, "t": 30}
    if log:
        layout["xaxis"] |= _log(min(x.mean for _, x, _, _ in points), max(x.mean for _, x, _, _ in points))
    layout["annotations"] = _names([(name, math.log10(x.mean) if log else x.mean, y.mean) for name, x, y, _ in points])
    return {"data": data, "layout": layout}


def codes(points: Sequence[tuple[float, float]], labels: Sequence[int] | None, classes: Sequence[str]) -> Figure:
    """Codes on a plane, coloured by label (all alike if there are no labels)."""
    kinds = sorted(set(labels)) if labels is not None else [None]
    data = []
    for kind in kinds:
        part = [p for i, p in enumerate(points) if labels is None or labels[i] == kind]
        colour, symbol = (QUIET, "circle") if kind is None else mark(kind)
        name = "" if kind is None else label(classes[kind] if 0 <= kind < len(classes) else kind)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [round(float(x), 3) for x, _ in part],
                "y": [round(float(y), 3) for _, y in part],
                "marker": {"color": colour, "symbol": symbol, "size": 5, "opacity": 0.8},
                "hovertemplate": "%{fullData.name}<extra></extra>" if name else "<extra></extra>",
            }
        )
    layout = _layout(height=240, xaxis="", yaxis="")
    layout["margin"] = {"l": 8, "r": 8, "t": 8, "b": 8}
    for axis in ("xaxis", "yaxis"):
        layout[axis] |= {"showticklabels": False, "showgrid": False, "showline": False}
    layout["yaxis"] |= {"scaleanchor": "x"}
    return {"data": data, "layout": layout}


def tuning(rows: Sequence[tuple[str, float, bool]], axis: str, chosen: str, tried: str) -> Figure:
    """Every tried configuration as a dot, the chosen ones filled: ``rows`` are (family, criterion, is chosen)."""
    names = list(dict.fromkeys(name for name, _, _ in rows))
    data = []
    for is_chosen in (False, True):
        part = [(name, value) for name, value, picked in rows if picked == is_chosen]
        marker = {"color": ACCENT, "size": 9} if is_chosen else {"color": QUIET, "size": 8, "symbol": "circle-open"}
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": chosen if is_chosen else tried,
                "x": [value for _, value in part],
                "y": [label(name) for name, _ in part],
                "marker": marker,
                "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
            }
        )
    layout = _layout(height=90 + 30 * len(names), xaxis=axis, yaxis="")
    layout["yaxis"] |= {"categoryorder": "array", "categoryarray": [label(name) for name in names][::-1]}
    values = [value for _, value, _ in rows]
    if values and min(values) > 0 and max(values) > 8 * min(values):
        layout["xaxis"] |= _log(min(values), max(values))
    return {"data": data, "layout": layout}


def mark(kind: int) -> tuple[str, str]:
    """Colour and shape of the label number ``kind``."""
    return PALETTE[kind % len(PALETTE)], SYMBOLS[kind // len(PALETTE) % len(SYMBOLS)]


def _real(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _thin(points: Sequence[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    step = max(1, len(points) // POINTS)
    kept = list(points[::step])
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return [(x, None if y is None else float(f"{y:.5g}")) for x, y in kept]


def _bars(estimates: Sequence[Estimate], colour: str, *, faint: bool = False) -> Figure:
    """Plotly's error bars; an estimate without interval gets none."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if e.high is None else e.high - e.mean for e in estimates],
        "arrayminus": [0 if e.low is None else e.mean - e.low for e in estimates],
        "color": colour,
        "thickness": 1 if faint else 2,
        "width": 0 if faint else 4,
    }


def _layout(height: int, xaxis: str, yaxis: str) -> Figure:
    """What every drawing shares. Ranges are fixed, so that a finger on a phone scrolls the page."""
    axis: Figure = {"fixedrange": True, "automargin": True, "zeroline": False, "ticks": ""}
    return {
        "height": height,
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "margin": {"l": 10, "r": 16, "t": 10, "b": 44},
        "xaxis": axis | {"nticks": 7, "title": {"text": xaxis, "font": {"size": 13}}},
        "yaxis": axis | {"title": {"text": yaxis, "font": {"size": 13}}},
    }


def _log(low: float, high: float) -> Figure:
    """A logarithmic axis with whole labels at 1, 2 and 5, or at powers of ten only if there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    wide = math.log10(high / low) > 2.2
    ticks = [digit * 10.0**power for power in powers for digit in ((1,) if wide else (1, 2, 5))]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _names(points: Sequence[tuple[str, float, float]], width: float = 380, height: float = 340) -> list[Figure]:
    """Names beside their points with a thin line to each, placed one after another where the fewest things lie.

    ``width`` and ``height`` are the pixels that the plot is expected to have; being wrong only costs beauty.
    """
    if not points:
        return []
    xs, ys = [x for _, x, _ in points], [y for _, _, y in points]
    wide, tall = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0
    spots = [((x - min(xs)) / wide * width, (max(ys) - y) / tall * height) for _, x, y in points]
    taken = [(px - 7, py - 7, px + 7, py + 7) for px, py in spots]
    found = []
    for (name, x, y), (px, py) in zip(points, spots, strict=True):
        half = 3.6 * len(plain(name, 28)) + 3

        def box(move: tuple[float, float], px: float = px, py: float = py, half: float = half) -> tuple[float, ...]:
            return px + move[0] - half, py + move[1] - 8, px + move[0] + half, py + move[1] + 8

        def crowd(move: tuple[float, float], box: Any = box) -> tuple[float, float]:
            left, top, right, bottom = box(move)
            outside = max(0, -20 - left) + max(0, right - width - 40) + max(0, -28 - top) + max(0, bottom - height)
            over = sum(left < r and right > a and top < b and bottom > t for a, t, r, b in taken)
            return over + outside / 10, math.hypot(*move)

        sides = [(0, -1), (0, 1), (1, 0), (-1, 0), (0.8, -0.7), (-0.8, -0.7), (0.8, 0.7), (-0.8, 0.7)]
        moves = [(dx * (half + far - 8), dy * far) for far in (17, 32, 50, 70) for dx, dy in sides]
        move = min(moves, key=crowd)
        taken.append(box(move))  # type: ignore[arg-type]
        arrow = {"showarrow": True, "arrowhead": 0, "arrowwidth": 1, "arrowcolor": QUIET, "standoff": 5}
        found.append(arrow | {"x": x, "y": y, "ax": round(move[0], 1), "ay": round(move[1], 1), "text": label(name)})
    return found
