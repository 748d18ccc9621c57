"""How the width of the code was chosen, where a sweep chose it: a sentence, the drawing behind it, and its numbers."""

import math
from typing import NamedTuple

from markupsafe import Markup

from isthmus.answers.words import Words
from isthmus.report import figures
from isthmus.report.drawing import svg
from isthmus.report.figures import Interval
from isthmus.report.tables import Cell, Grid, Row, decimals, number
from isthmus.study.capacity import Point, Sweep, mean_and_error


class Choice(NamedTuple):
    """The section of the page."""

    sentence: str
    figure: Markup
    legend: list[tuple[str, str, str]]
    table: Grid


def sentence(found: Sweep, t: Words) -> str:
    """What was chosen, and why, in one line."""
    points = {point.width: point for point in found.summary}
    best = min(points.values(), key=lambda point: point.error)
    mine, places = points[found.chosen], decimals([best.error])
    said = t(
        "capacity.chosen",
        width=found.chosen,
        error=number(mine.error, places),
        best=best.width,
        least=number(best.error, places),
        se=number(best.se),
        widest=found.widths[-1],
    )
    return said if found.dimension is None else said + t("capacity.dimension", dimension=number(found.dimension))


def chosen(found: Sweep, t: Words) -> Choice:
    """The section of the page, and its drawing: error against width with standard errors, the chosen width marked."""
    network = [point for point in found.summary if point.error < math.inf]
    linear = [Point(w, *mean_and_error(e, found.ratio)) for w, e in zip(found.widths, found.linear, strict=True)]
    names, marks = (t("capacity.network"), t("capacity.linear")), (figures.mark(0), figures.mark(1))
    lines = [
        (name, rival, [(p.width, Interval(p.error, p.error - p.se, p.error + p.se)) for p in points], *mark)
        for name, rival, points, mark in zip(names, (False, True), (network, linear), marks, strict=True)
    ]
    figure = figures.profiles(lines, t("capacity.width"), t("capacity.error"), log=True)
    figure["layout"]["shapes"] = [figures.upright(found.chosen, "solid")]
    if found.dimension is not None and found.dimension <= found.widths[-1]:
        figure["layout"]["shapes"].append(figures.upright(max(found.dimension, 1.0), "dot"))
    legend = [(name, colour, figures.SHAPES[symbol]) for name, (colour, symbol) in zip(names, marks, strict=True)]
    drawn = svg(figure, t("capacity.alt", width=found.chosen))
    return Choice(sentence(found, t), drawn, legend, _table(found, linear, t))


def _table(found: Sweep, linear: list[Point], t: Words) -> Grid:
    """A line for each width: both errors, the share of the variance of hidden elements, what each unit more buys."""
    points = found.summary
    places = decimals([p.error for p in points])
    heads: list[tuple[str, list[str]]] = [
        (t("capacity." + key), []) for key in ("width", "network", "se", "linear", "share", "bought")
    ]
    rows = []
    before = Point(0, found.nothing, 0.0)
    for mine, other in zip(points, linear, strict=True):
        bought = (before.error - mine.error) / (mine.width - before.width) / found.nothing if found.nothing else None
        explained = 1 - mine.error / found.nothing if found.nothing else None
        values = [number(mine.error, places), number(mine.se), number(other.error, places)]
        cells = [Cell(text) for text in [*values, number(explained), number(bought)]]
        mark = t("capacity.mark") if mine.width == found.chosen else ""
        rows.append(Row(f"{mine.width}{mark}", cells))
        before = mine
    return Grid(t("capacity.caption", replicates=len(found.errors[0])), heads, rows)
