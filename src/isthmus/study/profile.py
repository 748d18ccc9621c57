"""What is known of data before anything is trained: columns, gaps, repeats, and what would spoil an answer.

Everything here is plain data, which ``study.json`` keeps; sentences are :mod:`isthmus.answers.profile`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from isthmus.data import dates
from isthmus.data.cautions import belonging, dates_in_numbers, far_days, identifiers, leaks, sentinels, total
from isthmus.data.dataset import Dataset
from isthmus.data.dominance import dominant
from isthmus.data.fields import KINDS, TEXTS, missing
from isthmus.data.fields.field import MEASURED
from isthmus.data.layout import coded, laid_out
from isthmus.data.repeats import copies, twins
from isthmus.metrics.dimension import two_nearest
from isthmus.said import Said

LISTED = 300
"""Columns that are described one by one; of all of them it is said what would spoil an answer."""
NAMED = 20
"""Columns, or rows, that one finding names."""
NEARLY = 0.99
"""A column is nearly constant if its commonest value stands in so many of its rows."""
DRAWN = 2000
"""Rows, taken evenly, from which the intrinsic dimension is estimated."""
ELEMENTS = 1 << 22
"""Most numbers in them."""
DENSE = 1 << 25
"""Most numbers of sparse rows that are made dense to be described."""
LARGEST = 1 << 53
SHOWN = 40
"""Characters of a text that are shown."""

Count = Annotated[int, Field(ge=0, lt=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=2000)]


Scale = Annotated[str, Field(pattern="^(standard|unit|none|table|counts)$")]
"""How rows are laid out: each column on a scale of its own, all on one, as they are, each as its kind says, or counts.
"""


Role = Literal["label", "factors", "group", "time", "weights", "drop"]
"""What a column that models never see serves for."""


class _Plain(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class Column(_Plain):
    """One column of a table."""

    name: Text
    kind: Annotated[str, Field(pattern=f"^({'|'.join(KINDS)}|)$")]
    """One of :data:`isthmus.data.fields.KINDS`; empty where the column is set aside."""
    asked: bool = False
    """Whether somebody said of which kind it is."""
    why: Text = ""
    """Why it is set aside, to stand behind "it"."""
    why_zh: Text = ""
    gaps: Count = 0
    distinct: Count = 0
    low: Text = ""
    """The least value: a number, a moment; of texts the first."""
    high: Text = ""
    common: Text = ""
    """The commonest value."""
    common_share: Share = 0.0
    """Of the rows where there is one."""
    scale: Scale = "table"
    """How a study lays it out: on a scale of its own, on one for all, as it is, or as its kind does."""
    elements: Count = 0
    """How many numbers a study makes of it."""


class Spoiler(_Plain):
    """Something that may make an answer worthless."""

    what: Literal[
        "leak", "group", "identifier", "sentinel", "day", "stamps", "total", "note", "rows", "cells", "column"
    ]
    columns: list[Text] = Field(default=[], max_length=NAMED)
    count: Count = 0
    """Of the columns, for ``total`` those of which the last row is the sum; of rows or cells for ``rows`` and
    ``cells``."""
    rows: list[Count] = Field(default=[], max_length=NAMED)
    """Numbers of rows, counted from 0."""
    value: float = 0.0
    """A sentinel's or a cell's; of a day, its seconds since 1970; of rows, how many times as far out they lie as the
    usual row; of a group, in what share of rows the nearest one would be of the same group by chance."""
    share: Share = 0.0
    """Of the rows whose label a column tells; of those whose nearest row is of the same group; of the variance."""
    components: Count = 0
    explained: float = 0.0
    """Share of the variance that so many principal components explain, and the same without the rows or the column."""
    without: float = 0.0

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.columns and self.what not in ("rows", "cells", "total"):
            raise ValueError(f"{self.what}: it names no column")
        return self


class TwinColumn(_Plain):
    """A column that says the same as an earlier one."""

    name: Text
    of: Text
    how: Literal["equal", "renamed", "linear"]


class Profile(_Plain):
    """What :func:`profiled` finds."""

    told: list[str]
    """What was inferred to read the data, a sentence each, in English."""
    rows: Annotated[int, Field(ge=1, lt=LARGEST)]
    shape: list[Count]
    images: bool
    scale: Scale
    elements: Count
    """Numbers in a row as models see it."""
    low: float | None
    high: float | None
    """Least and greatest number of rows that are no table."""
    columns: list[Column] = Field(max_length=LISTED)
    """The first of them."""
    kinds: dict[str, Count]
    """Of all columns: kind -> how many; those set aside under ``""``."""
    beside: dict[Role, str]
    """What other columns serve for: label, factors, group, time, weights, drop -> names with commas."""
    gaps: Count
    rows_with_gaps: Count
    copies: Count
    """Rows that are equal to an earlier one."""
    constant: list[Text] = Field(max_length=NAMED)
    constants: Count
    nearly: list[Text] = Field(max_length=NAMED)
    nearlies: Count
    twins: list[TwinColumn] = Field(max_length=NAMED)
    twin_count: Count
    dimension: float | None
    """Intrinsic dimension."""
    classes: dict[str, Count] = Field(max_length=NAMED)
    """The largest ones, with their rows."""
    class_count: Count
    anomaly: str | None
    groups: Count | None
    times: Count | None
    worth: float | None
    facets: list[Text]
    """Questions that the data can answer."""
    skipped: dict[str, Text]
    """Those that they cannot, with the reason in English."""
    spoilers: list[Spoiler] = Field(max_length=1000)


def profiled(
    data: Dataset, components: int, facets: Sequence[str] = (), skipped: Mapping[str, str] | None = None
) -> Profile:
    """What is known of data.

    Parameters
    ----------
    data : Dataset
    components : int
        The width of the code, for what principal components explain.
    facets, skipped
        The questions that the data can answer, and why they cannot answer others.

    Examples
    --------
    >>> from isthmus.data.read import read
    >>> found = profiled(read("iris"), 2)
    >>> found.rows, found.kinds, found.copies, found.spoilers
    (150, {'number': 4}, 1, [])
    """
    whole, data = data, _dense(data)
    flat = data.x.ndim == 2
    layout = laid_out(whole.x, data.fields, images=data.images, counts=data.counts)
    table = coded(data.x, data.fields)
    x = table.reshape(len(table), -1)
    gaps = np.isnan(x) if data.fields else np.zeros((len(x), 1), bool)
    low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    still = [name for name, a, b in zip(data.columns, low, high, strict=True) if not a < b] if flat else []
    shares = _commonest(x) if flat else np.zeros(0)
    nearly = (
        [n for n, s in zip(data.columns, shares, strict=True) if s >= NEARLY and n not in set(still)] if flat else []
    )
    same = twins(table, data.columns) if flat else []
    kinds = [field.kind for field in data.fields] or (["number"] * x.shape[1] if flat else [])
    counted = {kind: kinds.count(kind) for kind in (*KINDS, "") if kind in kinds} | (
        {"": n} if (n := len(data.aside)) else {}
    )
    sizes = data.metadata.sizes
    classes = sorted(zip(data.classes, _rows_of(whole), strict=True), key=lambda one: -one[1])
    return Profile(
        told=list(data.told),
        rows=len(whole.x),
        shape=list(data.shape),
        images=data.images,
        scale=layout.kind,
        elements=math.prod(layout.apply(data.x[:1]).shape[1:]),
        low=None if flat else float(low.min()),
        high=None if flat else float(high.max()),
        columns=_columns(data, layout) if flat else [],
        kinds=counted,
        beside=_beside(data),
        gaps=int(gaps.sum()),
        rows_with_gaps=int(gaps.any(axis=1).sum()),
        copies=copies(table),
        constant=still[:NAMED],
        constants=len(still),
        nearly=nearly[:NAMED],
        nearlies=len(nearly),
        twins=[TwinColumn(name=one.second, of=one.first, how=one.how) for one in same[:NAMED]],
        twin_count=len(same),
        dimension=_dimension(data, layout),
        classes=dict(classes[:NAMED]),
        class_count=len(classes),
        anomaly=data.anomaly,
        groups=_whole(sizes.get("groups")),
        times=_whole(sizes.get("times")),
        worth=None if sizes.get("worth") is None else float(sizes["worth"]),
        facets=list(facets),
        skipped=dict(skipped or {}),
        spoilers=spoilers(data, components),
    )


def spoilers(data: Dataset, components: int) -> list[Spoiler]:
    """What may make an answer worthless, the gravest kind first."""
    found: list[Spoiler] = []
    if data.counts is not None:  # a count numbers nothing, and stands for no gap
        return found
    if data.x.ndim == 2:
        numeric = [j for j, name in enumerate(data.columns) if not data.fields or data.fields[j].kind in MEASURED]
        table = coded(data.x, data.fields)
        x, names = table[:, numeric], [data.columns[j] for j in numeric]
        told = leaks(table, data.y, data.columns) if data.y is not None else {}
        for name in list(told)[:NAMED]:
            found.append(Spoiler(what="leak", columns=[name], count=len(told), share=told[name]))
        found += _together(data, table)
        if numbering := identifiers(x, names):
            found.append(Spoiler(what="identifier", columns=list(numbering[:NAMED]), count=len(numbering)))
        for value, where in list(sentinels(x, names).items())[:NAMED]:
            found.append(Spoiler(what="sentinel", columns=where[:NAMED], count=len(where), value=value))
        found += _exported(data, x, names)
    few = dominant(data.x, data.columns, components, fields=data.fields, images=data.images)
    for one in few[:NAMED]:
        found.append(
            Spoiler(
                what=one.what,
                columns=[one.column] if one.column else [],
                count=len(one.rows),
                rows=list(one.rows[:NAMED]),
                value=one.size,
                share=min(1.0, one.share),
                components=one.components,
                explained=one.explained,
                without=one.without,
            )
        )
    return found


def _exported(data: Dataset, x: NDArray[Any], names: Sequence[str]) -> list[Spoiler]:
    """What programs write into tables that is no measurement: far days, days as whole numbers, totals and notes."""
    found = []
    dated = [j for j, field in enumerate(data.fields) if field.kind == "date"]
    if dated:
        days = far_days(data.x[:, dated].astype(np.float64), [data.columns[j] for j in dated])
        for value, where in list(days.items())[:NAMED]:
            found.append(Spoiler(what="day", columns=where[:NAMED], count=len(where), value=value))
    if stamps := dates_in_numbers(x, names):
        found.append(Spoiler(what="stamps", columns=stamps[:NAMED], count=len(stamps)))
    if count := total(x):
        found.append(Spoiler(what="total", count=count))
    if (at := data.note) is not None:
        found.append(Spoiler(what="note", columns=[data.columns[at]], count=1))
    return found


def _together(data: Dataset, table: NDArray[Any]) -> list[Spoiler]:
    """Columns of categories whose rows belong together, where nobody said which rows do."""
    if not data.fields or data.metadata.group is not None:
        return []
    found, rows = [], [one for one, field in enumerate(data.fields) if field.kind in (*MEASURED, "flag")]
    others = np.nan_to_num(table[:, rows] - np.nanmean(table[:, rows], axis=0))
    for j, field in enumerate(data.fields):
        if field.kind == "category" and (known := belonging(table[:, j], others)) is not None:
            share, chance = known
            groups = len(np.unique(table[:, j][table[:, j] >= 0]))
            found.append(Spoiler(what="group", columns=[field.name], count=groups, share=share, value=chance))
    return found[:NAMED]


def _dense(data: Dataset) -> Dataset:
    """The same with dense rows; of many sparse ones some, evenly spread."""
    if data.counts is None:
        return data
    step = math.ceil(data.x.size / DENSE)
    told = data.told if step == 1 else (*data.told, f"columns are described by one row in {step}")
    y = None if data.y is None else data.y[::step]
    return replace(data, x=np.asarray(data.x[::step]), y=y, told=told)


def _columns(data: Dataset, layout: Any) -> list[Column]:
    """The first columns one by one, then those that are set aside."""
    wide = {part.field.name: part.end - part.start for part in layout.parts}
    found, table = [], coded(data.x, data.fields)
    for j, name in enumerate(data.columns[:LISTED]):
        field = data.fields[j] if data.fields else None
        cells = np.asarray(table[:, j], np.float64)
        there = cells[~np.isnan(cells)]
        values, counts = np.unique(there, return_counts=True)
        if not len(values):
            found.append(Column(name=name, kind=field.kind if field else "number", gaps=len(cells)))
            continue
        most = int(np.argmax(counts))
        spell = _texts(data.x[:, j]) if field and field.kind in TEXTS else _speller(field)
        found.append(
            Column(
                name=name,
                kind=field.kind if field else "number",
                asked=name in data.asked.get("kinds", {}),
                gaps=len(cells) - len(there),
                distinct=len(values),
                low=spell(float(values[0])),
                high=spell(float(values[-1])),
                common=spell(float(values[most])),
                common_share=float(counts[most] / len(there)),
                scale=layout.kind,
                elements=wide.get(name, 1),
            )
        )
    for name, why in list(data.aside.items())[: LISTED - len(found)]:
        zh = why.of("zh") if isinstance(why, Said) else why
        found.append(Column(name=name, kind="", why=str(why), why_zh=zh))
    return found


def _texts(cells: NDArray[Any]) -> Any:
    """How the place of a text among those of its column is written: by its beginning."""
    texts = np.unique(cells[~missing(cells)].astype(str))
    return lambda place: str(texts[int(place)]) if len(texts[int(place)]) <= SHOWN else f"{texts[int(place)][:SHOWN]}…"


def _speller(field: Any) -> Any:
    """How a cell is written."""
    if field is not None and field.values:
        return lambda cell: field.values[int(cell)] if cell >= 0 else "…"
    if field is not None and field.kind == "date":
        return dates.written
    return lambda cell: f"{cell:.6g}"


def _commonest(x: NDArray[Any]) -> NDArray[np.float64]:
    """Share of each column's commonest value among the cells that are there, (D,)."""
    shares = np.zeros(x.shape[1])
    for j in range(x.shape[1]):
        there = x[:, j][~np.isnan(x[:, j])] if x.dtype.kind == "f" else x[:, j]
        usual = np.median(there)
        if (share := float((there == usual).mean())) >= NEARLY:  # what most cells are is their median
            shares[j] = share
    return shares


def _dimension(data: Dataset, layout: Any) -> float | None:
    """Intrinsic dimension of rows as models see them; None where it cannot be told."""
    most = max(1, min(DRAWN, ELEMENTS // math.prod(data.extent)))
    rows = layout.apply(data.x[:: -(-len(data.x) // most)])
    found = two_nearest(rows)
    return found if math.isfinite(found) else None


def _beside(data: Dataset) -> dict[Role, str]:
    """Columns that are no part of the rows, by what they serve for."""
    asked: dict[Role, Any] = {
        "label": data.label,
        "factors": ", ".join(data.factor_names),
        "group": data.asked.get("group"),
        "time": data.asked.get("time"),
        "weights": data.asked.get("weights"),
        "drop": ", ".join(data.asked.get("drop", ())),
    }
    return {name: value for name, value in asked.items() if value}


def _rows_of(data: Dataset) -> list[int]:
    return [] if data.y is None else np.bincount(data.y, minlength=len(data.classes)).tolist()


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
