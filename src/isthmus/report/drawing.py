"""A figure becomes SVG in the page: sharp at any size, in the colours of the page's theme, without a script.

Lines and marks have their own colours; axes, grid and text take those of the style sheet, so that light, dark and print
need no second drawing. A figure is drawn for a width of 440 units and may be shown at half or one and a half of that.
"""

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from isthmus.report.figures import QUIET, SHAPES, Figure, plain

WIDE = 440
"""Units from edge to edge."""
TEXT = 12
"""Size of letters."""
NARROW = 300
"""Units of a figure that stands beside two others."""
LINE = 15
DASHES = {"dot": "2 3", "dash": "7 4", "solid": ""}
Point = tuple[float, float]


class Axis(NamedTuple):
    """One axis: where values fall, and which of them are labelled."""

    place: Callable[[Any], float]
    """Value -> units from the left, or from the top."""
    ticks: list[tuple[float, str]]
    """Units and label."""


def svg(figure: Figure, alt: str, wide: int = WIDE) -> Markup:
    """The drawing.

    Parameters
    ----------
    figure : dict
        As the functions of :mod:`isthmus.report.figures` make it.
    alt : str
        What the drawing shows, for those who hear it.
    wide : int, default 440
        Units from edge to edge; letters are 12 units high.
    """
    layout, traces = figure["layout"], figure["data"]
    if layout.get("map"):
        return _map(traces, alt, wide)
    over = _wrapped(layout["yaxis"]["title"], wide)
    under = _wrapped(layout["xaxis"]["title"], wide - 20)
    rows = layout["yaxis"].get("categories")
    ys = [] if rows else _values(traces, "y")
    upright = layout["yaxis"] if rows else _spread(layout["yaxis"], ys)
    labels = rows or [text for _, text in _ticks(upright, 5)]
    left = min(0.42 * wide, 8 + max((_length(text) for text in labels), default=0)) + 4
    top, right = 8 + LINE * len(over), wide - 14
    bottom = top + (len(rows) * 24 + 8 if rows else layout["height"])
    x = _axis(_spread(layout["xaxis"], _values(traces, "x")), left, right, 5 if wide > NARROW else 4)
    y = _rows(rows, top, bottom) if rows else _axis(upright, bottom, top, 5)
    high = bottom + 22 + LINE * len(under)
    parts = [_text(4, 12 + LINE * i, line, "start") for i, line in enumerate(over)]
    parts += [_band(one, x, top, bottom) for one in layout.get("shapes", ())]
    parts += [_path(f"M{_n(at)} {_n(top)}V{_n(bottom)}", "grid") for at, _ in x.ticks]
    parts += [_path(f"M{_n(left)} {_n(at)}H{_n(right)}", "grid") for at, _ in y.ticks]
    if layout["xaxis"].get("zero"):
        parts.append(_path(f"M{_n(x.place(0.0))} {_n(top)}V{_n(bottom)}", "axis"))
    parts += [_text(at, bottom + 15, text, "middle") for at, text in _apart(x.ticks, wide)]
    parts += [_text(left - 6, at + 4, _cut(text, left - 8), "end") for at, text in y.ticks]
    middle = (left + right) / 2
    for i, line in enumerate(under):
        half = _length(line) / 2
        at = min(max(middle, half + 2), wide - half - 2)
        parts.append(_text(at, bottom + 32 + LINE * i, line, "middle"))
    for trace in traces:
        parts.append(_trace(trace, x, y))
    parts += _names(layout.get("names", ()), x, y, (left, top, right, bottom))
    return _whole(parts, alt, wide, high)


def _whole(parts: Sequence[str], alt: str, wide: float, high: float) -> Markup:
    head = f'<svg class="drawing" viewBox="0 0 {_n(wide)} {_n(high)}" role="img" aria-label="{escape(alt)}">'
    return Markup(head + "".join(parts) + "</svg>")


def _map(traces: Sequence[Figure], alt: str, wide: float) -> Markup:
    """Points on a plane, one scale for both directions, no axes."""
    xs, ys = _values(traces, "x"), _values(traces, "y")
    low, span = (min(xs, default=0.0), min(ys, default=0.0)), 1.0
    span = max(max(xs, default=1.0) - low[0], max(ys, default=1.0) - low[1]) or 1.0
    edge, size = 8, wide - 16
    pad = [(size - (max(v, default=0.0) - least) / span * size) / 2 for v, least in zip((xs, ys), low, strict=True)]
    x = Axis(lambda v: edge + pad[0] + (v - low[0]) / span * size, [])
    y = Axis(lambda v: edge + size - pad[1] - (v - low[1]) / span * size, [])
    return _whole([_trace(trace, x, y) for trace in traces], alt, wide, wide)


def _trace(trace: Figure, x: Axis, y: Axis) -> str:
    """One line with its marks and the bars of its intervals."""
    points = [(x.place(a), y.place(b)) for a, b in zip(trace["x"], trace["y"], strict=True)]
    colour = (trace.get("line") or trace["marker"])["color"]
    parts = _bars(trace, points, x, y, colour)
    if "line" in trace:
        line, dash = trace["line"], DASHES[trace["line"].get("dash", "solid")]
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        d = "M" + "L".join(f"{_n(a)} {_n(b)}" for a, b in points)
        parts.append(f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{line["width"]}"{dashed}/>')
    if "marker" in trace:
        parts.append(_marks(trace, points))
    return "".join(parts)


def _bars(trace: Figure, points: Sequence[Point], x: Axis, y: Axis, colour: str) -> list[str]:
    """Intervals as lines through the marks; those of many points are thin."""
    found = []
    for key, axis in (("error_x", x), ("error_y", y)):
        d = ""
        for value, (a, b), (low, high) in zip(
            trace[key[-1]], points, trace.get(key, {}).get("ends", [(None, None)] * len(points)), strict=True
        ):
            if low is None or high is None or not low <= value <= high:
                continue
            ends = axis.place(low), axis.place(high)
            d += (
                f"M{_n(ends[0])} {_n(b)}H{_n(ends[1])}" if key == "error_x" else f"M{_n(a)} {_n(ends[0])}V{_n(ends[1])}"
            )
        if d:
            width = trace[key]["width"]
            found.append(f'<path d="{d}" stroke="{colour}" stroke-width="{width}"{_faint(width)}/>')
    return found


def _faint(width: float) -> str:
    return ' opacity=".55"' if width <= 1 else ""


def _marks(trace: Figure, points: Sequence[Point]) -> str:
    """Marks; where they have names, each says its own when it is pointed at. Many dots become one path."""
    marker = trace["marker"]
    colour, size, symbol = marker["color"], marker["size"], marker.get("symbol", "circle")
    notes = trace.get("notes")
    if symbol == "circle" and notes is None:
        d = "".join(f"M{_n(a)} {_n(b)}h0" for a, b in points)
        return f'<path d="{d}" stroke="{colour}" stroke-width="{size}" stroke-linecap="round" fill="none"/>'
    paint = f'fill="none" stroke="{colour}"' if marker.get("open") else f'fill="{colour}"'
    scale = _n(size / 9)
    return "".join(
        f'<path transform="translate({_n(a)} {_n(b)}) scale({scale})" d="{SHAPES[symbol]}" {paint}>{note}</path>'
        for (a, b), note in zip(points, [_note(one) for one in notes or [None] * len(points)], strict=True)
    )


def _note(text: str | None) -> str:
    return "" if text is None else f"<title>{escape(text)}</title>"


def _names(names: Sequence[tuple[str, float, float]], x: Axis, y: Axis, box: tuple[float, ...]) -> list[str]:
    """Names beside their points with a thin line to each, placed one after another where the fewest things lie."""
    _, top, right, bottom = box
    spots = [(x.place(a), y.place(b)) for _, a, b in names]
    taken = [(a - 7, b - 7, a + 7, b + 7) for a, b in spots]
    found = []
    for (name, _, _), (a, b) in zip(names, spots, strict=True):
        text = plain(name, 28)
        half = _length(text) / 2 + 3

        def place(move: Point, a: float = a, b: float = b, half: float = half) -> tuple[float, ...]:
            return a + move[0] - half, b + move[1] - 8, a + move[0] + half, b + move[1] + 8

        def crowd(move: Point, place: Callable[..., tuple[float, ...]] = place) -> Point:
            west, north, east, south = place(move)
            outside = max(0, 2 - west) + max(0, east - right - 10) + max(0, top - 6 - north) + max(0, south - bottom)
            over = sum(west < r and east > q and north < u and south > t for q, t, r, u in taken)
            return over + outside / 10, math.hypot(*move)

        sides = [(0, -1), (0, 1), (1, 0), (-1, 0), (0.8, -0.7), (-0.8, -0.7), (0.8, 0.7), (-0.8, 0.7)]
        moves = [(dx * (half + far - 8), dy * far) for far in (17, 32, 50, 70, 95) for dx, dy in sides]
        move = min(moves, key=crowd)
        taken.append(place(move))  # type: ignore[arg-type]
        found.append(_path(f"M{_n(a)} {_n(b)}L{_n(a + move[0])} {_n(b + move[1])}", "axis"))
        found.append(_text(a + move[0], b + move[1] + 4, text, "middle", "name"))
    return found


def _band(shape: Mapping[str, Any], x: Axis, top: float, bottom: float) -> str:
    """A grey band between two places of the horizontal axis, or an upright line."""
    start, end = x.place(shape["x0"]), x.place(shape["x1"])
    if shape["type"] == "rect":
        return (
            f'<rect class="band" x="{_n(start)}" y="{_n(top)}" width="{_n(end - start)}" height="{_n(bottom - top)}"/>'
        )
    dash = DASHES[shape["line"]["dash"]]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="M{_n(start)} {_n(top)}V{_n(bottom)}" stroke="{QUIET}" stroke-width="1.4"{dashed}/>'


def _values(traces: Sequence[Figure], key: str) -> list[float]:
    """All that an axis must reach: points and the ends of their intervals; thin ones are cut half a field away."""
    found = [v for trace in traces for v in trace[key] if isinstance(v, int | float) and math.isfinite(v)]
    low, high = min(found, default=0.0), max(found, default=0.0)
    for trace in traces:
        bars = trace.get("error_" + key, {})
        room = (high - low) / 2 if bars.get("width", 0) <= 1 else math.inf
        ends = [end for pair in bars.get("ends", ()) for end in pair if end is not None]
        found += [min(max(end, low - room), high + room) for end in ends]
    return [float(v) for v in found if math.isfinite(v)]


def _spread(axis: Mapping[str, Any], values: Sequence[float]) -> dict[str, Any]:
    """The axis with a range: its own, or that of the values with a little room."""
    log = axis.get("type") == "log" and all(v > 0 for v in values)
    if "range" in axis:
        return {**axis, "log": False}
    scaled = [math.log10(v) for v in values] if log else list(values)
    low, high = min(scaled, default=0.0), max(scaled, default=1.0)
    pad = 0.05 * (high - low) or 0.5 * (abs(high) or 1.0) * (1 if not log else 0.3)
    return {**axis, "range": (low - pad, high + pad), "log": log}


def _axis(axis: Mapping[str, Any], start: float, end: float, most: int) -> Axis:
    low, high = axis["range"]

    def place(value: float) -> float:
        scaled = math.log10(max(value, 1e-300)) if axis["log"] else value
        return start + (min(max(scaled, low), high) - low) / (high - low) * (end - start)

    return Axis(place, [(place(value), text) for value, text in _ticks(axis, most)])


def _rows(rows: Sequence[str], top: float, bottom: float) -> Axis:
    """One line for each name, the first on top."""
    height = (bottom - top) / max(len(rows), 1)
    where = {name: top + (i + 0.5) * height for i, name in enumerate(rows)}
    return Axis(lambda name: where[name], [(at, name) for name, at in where.items()])


def _ticks(axis: Mapping[str, Any], most: int) -> list[tuple[float, str]]:
    """Values at 1, 2 or 5 times a power of ten, about ``most`` of them, and how they are written."""
    low, high = axis["range"]
    if axis["log"]:
        powers = range(math.floor(low) - 1, math.ceil(high) + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            values = [d * 10.0**power for power in powers for d in digits]
            values = [v for v in values if low <= math.log10(v) <= high]
            if len(values) <= most + 1:
                break
        values = values[:: math.ceil(len(values) / (most + 1)) or 1] or [10 ** ((low + high) / 2)]
        return [(v, _label(v, axis)) for v in values]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [(i * step, _label(i * step, axis)) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _label(value: float, axis: Mapping[str, Any]) -> str:
    if axis.get("percent"):
        text = f"{100 * value:+.4g}%" if abs(value) > 1e-12 else "0%"
    elif abs(value) >= 1e4:
        size = next(s for s in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= s[0])
        text = f"{value / size[0]:.4g}{size[1]}"
    else:
        text = f"{value:.6g}" if abs(value) > 1e-12 else "0"
    return text.replace("-", "−")


def _apart(ticks: Sequence[tuple[float, str]], wide: float) -> list[tuple[float, str]]:
    """Labels that do not touch each other nor leave the drawing."""
    kept: list[tuple[float, str]] = []
    end = -math.inf
    for at, text in sorted(ticks):
        half = _length(text) / 2
        place = min(max(at, half + 1), wide - half - 1)
        if place - half > end + 4:
            kept.append((place, text))
            end = place + half
    return kept


def _length(text: str) -> float:
    """About how many units a text takes; Chinese signs are square."""
    return sum(TEXT if _square(c) else 0.56 * TEXT for c in text)


def _cut(text: str, room: float) -> str:
    """As much of a text as there is room for."""
    if _length(text) <= room:
        return text
    while text and _length(text) > room - 10:
        text = text[:-1]
    return text.rstrip() + "…"


def _wrapped(text: str, room: float) -> list[str]:
    """Lines no longer than the room, broken between words, or anywhere among Chinese signs."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line and _length((line + piece).rstrip()) > room:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str) -> list[str]:
    """Words with their space behind them; each Chinese sign for itself, closing signs with what they close."""
    found = [""]
    for c in text:
        before = found[-1][-1:]
        apart = before == " " or (_square(c) and c not in "，。；：）、”") or (_square(before) and c != " ")
        if before and apart:
            found.append(c)
        else:
            found[-1] += c
    return found


def _square(sign: str) -> bool:
    """Whether a sign is as wide as it is high, as Chinese ones are."""
    return sign != "" and unicodedata.east_asian_width(sign) in "WF"


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}"{named}>{escape(words)}</text>'


def _path(d: str, kind: str) -> str:
    return f'<path class="{kind}" d="{d}"/>'


def _n(value: float) -> str:
    """A coordinate in tenths of a unit."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
