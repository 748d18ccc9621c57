"""The exhibits of the first replicate, drawn: rows with their reconstructions, filters, and a map of the codes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from safetensors import SafetensorError
from safetensors.numpy import load_file

from isthmus.answers.words import Words
from isthmus.report import figures, pictures
from isthmus.report.drawing import svg

MOST = 400
"""Points that one map draws; of more, every so-many-th is taken."""
MAP = 240
"""Units of a map's edge."""
FILE = "exhibits.safetensors"


class Exhibit(NamedTuple):
    """The arrays of one family, by name: ``rows``, ``reconstructions``, ``filters``, ``map``, ``map_label``."""

    name: str
    arrays: Mapping[str, np.ndarray]


class Picture(NamedTuple):
    """One strip of pictures with the name of who made it."""

    name: str
    source: str
    alt: str
    note: str = ""


class Drawn(NamedTuple):
    """One drawing with its name; without one ``figure`` is empty."""

    name: str
    figure: Markup
    ends: str = ""


def read(folder: Path, records: Sequence[Mapping[str, Any]]) -> list[Exhibit]:
    """One exhibit per family, of its first replicate that has one.

    A missing or damaged file is no reason to have no report: that family has no exhibit then. A file that the record
    does not list is none of its own.
    """
    found: dict[str, Exhibit] = {}
    for record in sorted(records, key=lambda r: int(r["job"]["replicate"])):
        name, path = record["job"]["name"], folder / "runs" / record["id"] / FILE
        if record["status"] == "ok" and name not in found and FILE in record["files"] and path.is_file():
            try:
                found[name] = Exhibit(name, load_file(path))
            except (SafetensorError, OSError, ValueError):
                continue
    return list(found.values())


def reconstructions(exhibits: Sequence[Exhibit], t: Words, shown: Mapping[str, str]) -> list[Picture]:
    """The original rows, then what each family made of them; empty if rows are no pictures."""
    whole = [e for e in exhibits if {"rows", "reconstructions"} <= set(e.arrays) and _drawable(e.arrays["rows"])]
    if not whole:
        return []
    rows = whole[0].arrays["rows"]
    low, high = float(np.nanmin(rows)), float(np.nanmax(rows))
    strips = [Picture(t("pictures.original"), pictures.strip(rows, low, high), t("pictures.alt_original", n=len(rows)))]
    for e in whole:
        built = e.arrays["reconstructions"]
        if built.shape != e.arrays["rows"].shape:
            continue
        error = float(np.mean((built.astype(np.float64) - e.arrays["rows"]) ** 2))
        note = t("pictures.error", value=f"{error:.3g}") if np.isfinite(error) else ""
        alt = t("pictures.alt", n=len(rows), name=shown[e.name])
        strips.append(Picture(shown[e.name], pictures.strip(built, low, high), alt, note))
    return strips


def filters(exhibits: Sequence[Exhibit], t: Words, shown: Mapping[str, str]) -> list[Picture]:
    """What single units write into the picture, for each family that has such units."""
    return [
        Picture(
            shown[e.name],
            pictures.filters(e.arrays["filters"]),
            t("pictures.alt_filters", n=len(e.arrays["filters"]), name=shown[e.name]),
        )
        for e in exhibits
        if "filters" in e.arrays and _drawable(e.arrays["filters"])
    ]


def maps(exhibits: Sequence[Exhibit], classes: Sequence[str], t: Words, shown: Mapping[str, str]) -> list[Drawn]:
    """The codes of each family on a plane."""
    drawn = []
    for e in exhibits:
        points = e.arrays.get("map")
        if points is None or points.ndim != 2 or points.shape[1] != 2 or not len(points):
            continue
        step = -(-len(points) // MOST)
        kept = np.nonzero(np.isfinite(points).all(axis=1))[0][::step]
        kinds = e.arrays.get("map_label")
        labels = [int(k) for k in kinds[kept]] if kinds is not None and len(kinds) == len(points) and classes else None
        figure = figures.codes([(float(x), float(y)) for x, y in points[kept]], labels, classes)
        alt = t("codes.alt", name=shown[e.name], n=len(kept))
        drawn.append(Drawn(shown[e.name], svg(figure, alt, MAP)))
    return drawn


def _drawable(rows: np.ndarray) -> bool:
    return len(rows) > 0 and pictures.is_image(rows.shape[1:]) and bool(np.isfinite(rows).any())
