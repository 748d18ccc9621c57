"""The rows that scored highest in the first replicate, and which columns or pixels made their scores."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from isthmus.answers.words import Words
from isthmus.explain import leading
from isthmus.report import pictures
from isthmus.report.figures import plain
from isthmus.report.illustrations import Exhibit, Picture
from isthmus.report.tables import BLANK, Cell, Grid, Row, number

KEYS = {"odd", "odd_number", "odd_score", "odd_share"}


class Oddities(NamedTuple):
    """Those of one family."""

    name: str
    table: Grid
    strips: list[Picture]
    """The rows, and the same with each pixel's share; empty if rows are no pictures."""


def oddities(
    exhibits: Sequence[Exhibit], design: Mapping[str, Any], t: Words, shown: Mapping[str, str]
) -> list[Oddities]:
    """One table for each family whose score is a sum over columns, and pictures where rows are pictures."""
    columns, images = design["data"].get("columns", ()), bool(design["data"].get("images"))
    return [
        Oddities(shown[e.name], _table(e, columns, t, shown, images), _strips(e, t, shown) if images else [])
        for e in exhibits
        if set(e.arrays) >= KEYS and e.arrays["odd"].shape == e.arrays["odd_share"].shape
    ]


def _table(e: Exhibit, columns: Sequence[str], t: Words, shown: Mapping[str, str], images: bool) -> Grid:
    share = e.arrays["odd_share"]
    labels = e.arrays.get("odd_label", [None] * len(share))
    keys = ["score", "kind", *([] if images and pictures.is_image(share.shape[1:]) else ["columns"])]
    rows = []
    for i, (which, score, label) in enumerate(zip(e.arrays["odd_number"], e.arrays["odd_score"], labels, strict=True)):
        kind = BLANK if label is None else t("codes.anomaly" if label else "codes.normal")
        cells = [Cell(number(float(score))), Cell(kind, relation="text")]
        cells += [Cell(_columns(share[i], columns, t), relation="text")] if "columns" in keys else []
        rows.append(Row(t("oddities.row", n=int(which)), cells))
    heads = [(t("oddities." + key), list[str]()) for key in ("which", *keys)]
    return Grid(t("oddities.caption", name=shown[e.name]), heads, rows)


def _columns(share: np.ndarray, columns: Sequence[str], t: Words) -> str:
    """The three columns that made most of a score: ``age ↑ 62%, …``; ↑ above what the model expects, ↓ below."""
    flat = share.ravel()
    said = []
    for place in leading(share[None])[0]:
        name = plain(columns[place], 40) if place < len(columns) else str(place)
        size = 100 * abs(float(flat[place]))
        said.append(f"{name} {'↑' if flat[place] > 0 else '↓'} {size:.0f}%")
    return t("page.comma").join(said)


def _strips(e: Exhibit, t: Words, shown: Mapping[str, str]) -> list[Picture]:
    rows, share = e.arrays["odd"], e.arrays["odd_share"]
    if not pictures.is_image(rows.shape[1:]):
        return []
    grey = share.sum(axis=-1) if share.ndim == 4 else share
    low, high = float(np.nanmin(rows)), float(np.nanmax(rows))
    alts = {key: t(f"oddities.alt_{key}", n=len(rows), name=shown[e.name]) for key in ("rows", "shares")}
    return [
        Picture(t("oddities.rows"), pictures.strip(rows, low, high), alts["rows"]),
        Picture(t("oddities.shares"), pictures.filters(grey), alts["shares"]),
    ]
