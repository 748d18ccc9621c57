"""What facets measured along an axis: a drawing for each curve, the mean of each contender, and its numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from isthmus.answers.words import Words
from isthmus.evidence.stats import ENDLESS, estimate
from isthmus.facets import FACETS
from isthmus.report import figures
from isthmus.report.contests import Contest
from isthmus.report.drawing import svg
from isthmus.report.figures import Interval
from isthmus.report.tables import BLANK, Cell, Grid, Row, decimals, interval, number

COLUMNS = 8
"""A table shows at most so many places of the horizontal axis."""
Record = Mapping[str, Any]
Points = Sequence[tuple[float, float]]


class Strand(NamedTuple):
    """One line of a drawing."""

    name: str
    who: int
    """Place of its contender among all; gives colour and shape, the same in every drawing that has the colour free."""
    rival: bool
    points: tuple[tuple[float, Interval], ...]


class FacetCurve(NamedTuple):
    """One curve of one facet as the page shows it."""

    title: str
    drawings: list[tuple[Markup, list[tuple[str, str, str]]]]
    """The drawing, and (name, colour, shape) of each line in it; all but the first unfold."""
    others: int
    """Contenders that are not in the first."""
    table: Grid


def drawn(
    duels: Sequence[Contest],
    records: Sequence[Record],
    order: Mapping[str, bool],
    most: int,
    t: Words,
    shown: Mapping[str, str],
) -> list[FacetCurve]:
    """Every curve of every facet that has one.

    Parameters
    ----------
    duels : sequence of Contest
    records : sequence of mapping
        Finished runs.
    order : mapping of str to bool
        Contenders, the best first, and whether each is a rival. Rivals are drawn first: they are the bar.
    most : int
        Contenders in one drawing.
    """
    places = {name: i for i, name in enumerate(sorted(order, key=lambda name: not order[name]))}
    found = []
    for duel in duels:
        facet = FACETS[duel.verdict.facet]
        for curve, log, bounds in ((name, curve.log, curve.bounds) for name, curve in facet.curves.items()):
            strands = [
                Strand(called, place, order[name], points)
                for name, place in places.items()
                for called, points in average(
                    _lines(records, facet.name, curve, name, log),
                    log,
                    duel.verdict.test_fraction,
                    shown[name],
                    t,
                    bounds,
                )
            ]
            if strands:
                found.append(_drawn(facet.name, curve, strands, log, most, t))
    return found


def average(
    lines: Iterable[Points],
    log: bool,
    test_fraction: float,
    name: str,
    t: Words,
    bounds: tuple[float, float] = ENDLESS,
) -> list[tuple[str, tuple[tuple[float, Interval], ...]]]:
    """One contender's lines, one for each replicate, as one: the mean with its corrected interval at each place.

    Where replicates measured at the same places, the values there are averaged. Where they did not (a rate that follows
    from the data), each line is read between its points at the first one's places, and only in the range that all of
    them reach. If there is no such range, the lines stay apart, each under its replicate's number.
    """
    lines = [line for line in lines if line]
    if not lines:
        return []
    places = [[x for x, _ in line] for line in lines]
    if all(one == places[0] for one in places):
        columns = zip(*([y for _, y in line] for line in lines), strict=True)
    else:
        low, high = max(one[0] for one in places), min(one[-1] for one in places)
        places[0] = [x for x in places[0] if low <= x <= high]
        if len(places[0]) < 2:
            return [(t("curves.facet_replicate", name=name, n=i + 1), _points(line)) for i, line in enumerate(lines)]
        columns = zip(*(_read(line, places[0], log) for line in lines), strict=True)
    points = []
    for x, column in zip(places[0], columns, strict=True):
        known = estimate(list(column), test_fraction, bounds=bounds)
        if known is not None:
            points.append((x, Interval(*known)))
    return [(name, tuple(points))] if points else []


def _points(line: Points) -> tuple[tuple[float, Interval], ...]:
    return tuple((x, Interval(y, None, None)) for x, y in line if math.isfinite(y))


def _read(line: Points, places: Sequence[float], log: bool) -> list[float]:
    """Values between the points of a line; NaN outside of it."""
    known = [(x, y) for x, y in line if math.isfinite(y)]
    if not known:
        return [math.nan] * len(places)
    scale = np.log if log else np.asarray
    xs, ys = zip(*known, strict=True)
    return [float(y) for y in np.interp(scale(places), scale(xs), ys, left=math.nan, right=math.nan)]


def _lines(records: Sequence[Record], facet: str, curve: str, name: str, log: bool) -> list[Points]:
    """What each run of a contender measured, left to right; a logarithmic axis has no place for zero."""
    found: list[Points] = []
    for record in records:
        line = record["facets"].get(facet, {}).get("curves", {}).get(curve)
        if record["job"]["name"] == name and line is not None:
            points = zip(line["x"], line["y"], strict=True)
            found.append(
                sorted((x, math.nan if y is None else y) for x, y in points if x is not None and (x > 0 or not log))
            )
    return found


def _drawn(facet: str, curve: str, strands: Sequence[Strand], log: bool, most: int, t: Words) -> FacetCurve:
    whos = list(dict.fromkeys(strand.who for strand in strands))
    parts = [whos[i : i + most] for i in range(0, len(whos), most)]
    x, y = (t.name("facet_curves", f"{curve}_{axis}") for axis in "xy")
    alt = t("curves.facet_alt", x=x, y=y, n=len(whos))
    drawings = []
    for part in parts:
        mine = [strand for strand in strands if strand.who in part]
        own = figures.marks(part)
        marks = {strand.name: own[strand.who] for strand in mine}
        figure = figures.profiles([(s.name, s.rival, s.points, *marks[s.name]) for s in mine], x, y, log=log)
        legend = [(name, colour, figures.SHAPES[symbol]) for name, (colour, symbol) in marks.items()]
        drawings.append((svg(figure, alt), legend))
    title = f"{t.name('facets', facet)}{t('page.colon')}{t.name('facet_curves', curve)}"
    return FacetCurve(title, drawings, len(whos) - len(parts[0]), _table(strands, log, x, y, t))


def _table(strands: Sequence[Strand], log: bool, x: str, y: str, t: Words) -> Grid:
    """The numbers at some places of the axis; between measured points they are read from the line."""
    every = sorted({place for strand in strands for place, _ in strand.points})
    step = (len(every) - 1) / max(1, min(COLUMNS, len(every)) - 1)
    columns = list(dict.fromkeys(every[round(i * step)] for i in range(min(COLUMNS, len(every)))))
    places = decimals([e.mean for strand in strands for _, e in strand.points])
    rows: list[Row] = []
    for strand in sorted(strands, key=lambda strand: strand.rival):
        exact = dict(strand.points)
        between = _read([(place, e.mean) for place, e in strand.points], columns, log)
        cells = []
        for place, value in zip(columns, between, strict=True):
            one = exact.get(place, Interval(value, None, None))
            cells.append(Cell(number(one.mean, places), interval(one, places)) if math.isfinite(value) else Cell(BLANK))
        rows.append(Row(strand.name, cells, strand.rival and not any(row.first_rival for row in rows)))
    heads: list[tuple[str, list[str]]] = [(t("table.contender"), [])]
    return Grid(t("curves.facet_table", x=x, y=y), heads + [(number(place), list[str]()) for place in columns], rows)
