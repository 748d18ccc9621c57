"""What kind each column of a table is, and its cells as numbers: inferred, said, and overruled where asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data import blanks, dates
from isthmus.data.fields import KINDS, TEXTS, Cells, Field
from isthmus.data.fields import missing as gaps_of
from isthmus.data.fields.field import DECIMAL_MARKS, MEASURED
from isthmus.data.fields.text import READ, WIDEST, Characters, Text, unspaced, worded
from isthmus.data.meanings import YES_NO, no_or_yes, places, undotted
from isthmus.data.numbers import spelled, unusable
from isthmus.data.sparse import SparseRows
from isthmus.data.strays import stray
from isthmus.data.table import NO_VALUE, is_number, is_text, numbers
from isthmus.data.unchecked import LEAST_ROWS, LONGEST_NAME, Unchecked, enough
from isthmus.data.wording import meant, option, shown, some
from isthmus.data.words import Words, distinct, whole, words_of
from isthmus.data.written import DASHES, blank, decimal, looks, marked, seen, signs, units
from isthmus.data.written import numbers as written_numbers
from isthmus.errors import BadInput, NoSuchColumn
from isthmus.said import Said

OTHERS = ("drop",)
"""What ``--kind`` takes besides :data:`isthmus.data.fields.KINDS`: a column set aside."""
REPEATED, HALF = 3, 0.5
"""Texts are categories if so many rows or more hold the same one, for this share of the rows; else they are names or
free text, which tell nothing that repeats."""
LOOKED_AT = 1000
"""Texts by which it is told whether a column holds sentences."""
MOST_VALUES = 10_000
"""Most different texts of a column that are kept by name."""
SKEWED, ENOUGH = 3.0, 20
"""Skewness from which a column of amounts has a long tail, and fewest different values for it to be one."""
LARGEST = float(np.finfo(np.float32).max)
NUMBERS = ("number", "amount", "count", "flag", "category", "ordered")
"""Kinds that a column of numbers can be of."""
ZERO_FIRST, DIGITS = r"^0\d+$", r"^\d+$"


class Known(NamedTuple):
    """A column, understood."""

    field: Field | None
    """None where it is set aside."""
    cells: NDArray[Any] | None
    why: str = ""
    """Why it is set aside, to stand behind its name and "it"."""
    told: tuple[str, ...] = ()
    """What was inferred of this column alone, a sentence each."""
    plain: bool = False
    """Whether it holds numbers in the source."""


def settle(
    raw: Unchecked,
    kinds: Mapping[str, str] | None = None,
    drop: Iterable[str] = (),
    missing: Iterable[float] = (),
    known: Sequence[Field] = (),
    terms: int | None = None,
) -> Unchecked:
    """The columns of a table as numbers (N, F), with what each of them is; those of free text stay texts.

    Parameters
    ----------
    raw : Unchecked
        With ``cells``, as tables have them, or with an array of two axes.
    kinds : mapping of column names to kinds, optional
        Overrules what is inferred; ``drop`` sets a column aside.
    drop : iterable of str, optional
        Columns to set aside.
    missing : iterable of float, optional
        Numbers that stand for a missing one.
    known : sequence of Field, optional
        What the columns are, where a model was trained on such: then nothing is inferred, columns besides these are
        left out, and a text that was not there in training has a place of its own.
    terms : int, optional
        Most terms that are kept of each column of free text.

    Returns
    -------
    Unchecked
        Without ``cells``; with ``fields`` if some column is more than a number without gaps.

    Raises
    ------
    BadInput
        If a column cannot be read as it should be, or is not there.
    """
    asked, gone = {**(kinds or {}), **dict.fromkeys(drop, "drop")}, tuple(float(value) for value in missing)
    checked_terms(terms)
    if raw.cells is None:
        return _array(raw, asked, gone, known)
    asked = spread(raw, asked)
    refuse_names(raw, asked, known)
    kept = [j for j, name in enumerate(raw.columns) if asked.get(name) != "drop"]
    if known:
        kept = [raw.columns.index(field.name) for field in known]
    names, cells = tuple(raw.columns[j] for j in kept), [raw.cells[j] for j in kept]
    aside = {name: why for name, why in raw.aside.items() if name not in asked}
    if not kept and aside:
        raise BadInput(f"{raw.place}: {none_left(aside)}")
    rows = len(cells[0]) if cells else 0
    if known and not rows:
        raise BadInput(f"{raw.place}: no rows; give at least one")
    enough(raw.place, max(rows, LEAST_ROWS) if known else rows, len(kept))
    raw = raw._replace(columns=names, cells=(), where=_at(raw.where, kept), aside=aside, trained=bool(known))
    if known:
        return _put_together(raw, [_as(raw, j, field, cells[j], gone) for j, field in enumerate(known)], said=False)
    found = [_understood(raw, j, cells[j], asked.get(name, ""), gone) for j, name in enumerate(names)]
    found = [one if one.field is None else one._replace(field=replace(one.field, missing=gone)) for one in found]
    found = of_terms(raw.place, found, terms)
    wanted = any(kind != "drop" for kind in asked.values()) or gone
    habits = {one.field.habit for one in found if one.field is not None and one.field.habit}
    plain = not wanted and all(one.field is None or (one.plain and not one.field.gaps) for one in found)
    plain = plain and len(habits) < 2  # plain numbers have one decimal mark
    together = _put_together(raw, found, said=not plain)
    return together._replace(fields=()) if plain else together


def checked_terms(terms: int | None) -> None:
    """Refuse what is no number of terms."""
    if terms is not None and not (type(terms) is int and 0 < terms <= WIDEST):
        raise BadInput(f"terms must be a whole number of 1 to {WIDEST:,}; got {shown(terms)}")


def of_terms(where: str, found: Sequence[Known], terms: int | None) -> list[Known]:
    """Columns, those of free text with so many terms, if a number was asked for.

    Raises
    ------
    BadInput
        If no column is free text.
    """
    if terms is None:
        return list(found)
    textual = [one.field is not None and one.field.kind in TEXTS for one in found]
    if not any(textual):
        raise BadInput(f"{where}: terms are of free text, and no column is one; leave terms out, or name one")
    return [
        one._replace(field=replace(one.field, terms=terms)) if text and one.field is not None else one
        for one, text in zip(found, textual, strict=True)
    ]


def _at(where: Callable[[int, int | None], str], kept: Sequence[int]) -> Callable[[int, int | None], str]:
    """Words for a place in some of the columns."""
    return lambda i, j: where(i, None if j is None else kept[j])


def _array(raw: Unchecked, asked: Mapping[str, str], gone: tuple[float, ...], known: Sequence[Field]) -> Unchecked:
    """Rows of numbers without names: gaps are NaN, and kinds are asked for by the names x0, x1 ..."""
    if isinstance(raw.x, SparseRows):
        return _sparse(raw, asked, gone)
    gaps = raw.x.dtype.kind == "f" and raw.x.ndim == 2 and bool(np.isnan(raw.x).any())
    if not (asked or gone or known or gaps):
        return raw
    if raw.x.ndim != 2:
        raise BadInput(f"{raw.place}: kinds, drop and missing are for tables; these rows have shape {raw.x.shape[1:]}")
    plain = np.float64 if raw.x.dtype.kind == "f" else raw.x.dtype.newbyteorder("=")
    cells = tuple(pa.array(raw.x[:, j].astype(plain)) for j in range(raw.x.shape[1]))
    return settle(raw._replace(cells=cells), asked, (), gone, known)


def _sparse(raw: Unchecked, asked: Mapping[str, str], gone: tuple[float, ...]) -> Unchecked:
    """Sparse rows without the columns that are dropped."""
    if gone or any(kind != "drop" for kind in asked.values()):
        raise BadInput(f"{raw.place}: kinds and missing are for tables; a sparse matrix has columns of one kind")
    if not asked:
        return raw
    refuse_names(raw, asked, ())
    kept = [j for j, name in enumerate(raw.columns) if name not in asked]
    enough(raw.place, len(raw.x), len(kept))
    return raw._replace(x=raw.x[:, kept], columns=tuple(raw.columns[j] for j in kept), where=_at(raw.where, kept))


def spread(raw: Unchecked, asked: Mapping[str, str]) -> dict[str, str]:
    """What is asked of columns, where a column of lists stands for the columns as which it is read; what is asked of
    one of these itself goes before."""
    parts = {part: kind for name, kind in asked.items() for part in raw.lists.get(name, ())}
    return {**parts, **{name: kind for name, kind in asked.items() if name not in raw.lists}}


def refuse_names(raw: Unchecked, asked: Mapping[str, str], known: Sequence[Field]) -> None:
    """Refuse names that are not there, and kinds that are none."""
    names = (*raw.columns, *raw.aside)
    for name, kind in asked.items():
        if name not in names:
            raise NoSuchColumn(
                f"{raw.place}: no column {shown(name)} to have a kind or to drop{meant(name, names)}; "
                f"the columns are {some(names)}",
                name,
                "kinds",
            )
        if kind not in (*KINDS, *OTHERS):
            near = meant(kind, [*KINDS, *OTHERS])
            raise BadInput(
                f"{raw.place}: column {shown(name)} cannot be of kind {shown(kind)}{near}; the kinds are "
                f"{', '.join((*KINDS, *OTHERS))}"
            )
        if name in raw.aside and kind != "drop":
            raise BadInput(f"{raw.place}: column {shown(name)} cannot be of kind {kind}: it {raw.aside[name]}")
    for field in known:
        if field.name not in raw.columns:
            raise NoSuchColumn(
                f"{raw.place}: no column {shown(field.name)}, which the model was trained on"
                f"{meant(field.name, raw.columns)}; the columns are {some(raw.columns)}",
                field.name,
                "fields",
            )


def none_left(aside: Mapping[str, str]) -> str:
    """What to say where all columns were set aside."""
    name, why = next(iter(aside.items()))
    return f"no column is left to learn from: {shown(name)} {why}"


def _put_together(raw: Unchecked, found: list[Known], *, said: bool) -> Unchecked:
    """The columns that are learnt from, and what was inferred of all; of kinds and gaps if ``said``."""
    fields = tuple(one.field for one in found if one.field is not None)
    at = [j for j, one in enumerate(found) if one.field is not None]
    aside = {name: one.why for name, one in zip(raw.columns, found, strict=True) if one.field is None}
    aside |= raw.aside
    if not fields:
        raise BadInput(f"{raw.place}: {none_left(aside)}")
    x = np.column_stack([one.cells for one in found if one.cells is not None])
    told = [sentence for one in found for sentence in one.told]
    told += sentences(fields, gaps_of(x).sum(axis=0)) if said else []
    told += set_aside(aside)
    return raw._replace(
        x=x,
        cells=None,
        columns=tuple(field.name for field in fields),
        where=_at(raw.where, at),
        fields=fields,
        told=(*raw.told, *told),
        aside=aside,
        habits={field.name: field.habit for field in fields if field.habit},
    )


def set_aside(aside: Mapping[str, str]) -> list[str]:
    """Which columns are not learnt from, and why, a line each."""
    return [f"column {shown(name)} is set aside: it {why}" for name, why in aside.items()]


def sentences(fields: Sequence[Field], gaps: NDArray[np.int64]) -> list[str]:
    """What was inferred, a line each; ``gaps`` are the missing cells of each column."""
    told = []
    for kind, said in SAID.items():
        if names := [field.name for field in fields if field.kind == kind]:
            told.append(f"{_columns(names)} {said[len(names) > 1]} (--kind COLUMN=KIND overrules)")
    if gaps.any():
        names = [field.name for field, count in zip(fields, gaps, strict=True) if count]
        count = int(gaps.sum())
        told.append(
            f"{count:,} cell{'s are' if count > 1 else ' is'} missing, in {_columns(names)}: a gap is learnt as a gap, "
            "and nothing is filled in"
        )
    return told


SAID = {
    "category": ("is read as categories", "are read as categories"),
    "ordered": ("is read as values that stand in an order", "are read as values that stand in an order"),
    "date": ("is read as dates and times", "are read as dates and times"),
    "text": ("is read as free text, by its words", "are read as free text, by their words"),
    "characters": ("is read as free text, by groups of characters", "are read as free text, by groups of characters"),
    "hashed": ("is read as free text, hashed into buckets", "are read as free text, hashed into buckets"),
    "count": ("is read as counts", "are read as counts"),
    "amount": ("has a long tail and is learnt on a log scale", "have long tails and are learnt on a log scale"),
}


def _columns(names: Sequence[str]) -> str:
    return f"{len(names)} columns ({some(names, 4)})" if len(names) > 1 else f"column {shown(names[0])}"


# ---------------------------------------------------------------------------------------------------------- inferring


def _understood(raw: Unchecked, j: int, cells: Any, kind: str, gone: tuple[float, ...], habit: str = "") -> Known:
    """One column, as the kind that is asked for or the likeliest one, its texts meant as in training."""
    name, cells = raw.columns[j], whole(cells)
    moments = pa.types.is_temporal(cells.type) and not pa.types.is_time(cells.type)
    if moments and not pa.types.is_duration(cells.type):
        only(raw, name, kind, "date", "category", "ordered")
        if kind in ("category", "ordered"):
            return categories(name, words_of(raw, j, cells), kind)
        return _known(Field(name, "date"), dates.seconds(cells))
    if pa.types.is_temporal(cells.type):
        return _number(raw, j, dates.elapsed(cells), kind, gone)._replace(told=in_seconds(name))
    if not is_number(cells.type):
        return of_texts(raw, j, words_of(raw, j, cells), kind, gone, habit)
    habit = raw.habits.get(name, "")
    if kind in ("category", "ordered"):
        found = categories(name, words_of(raw, j, without(cells, gone)), kind)
        return found if found.field is None else found._replace(field=replace(found.field, habit=habit))
    boolean = bool(pa.types.is_boolean(cells.type))
    return _number(raw, j, numbers(raw.place, name, cells), kind, gone, boolean, habit=habit)._replace(plain=True)


def in_seconds(name: str) -> tuple[str]:
    """What is said of a column of times of the day, or of time spans."""
    return (f"column {shown(name)} holds times, which are read as numbers of seconds",)


def _known(field: Field, cells: Cells, told: tuple[str, ...] = ()) -> Known:
    """A column whose field knows whether it has gaps; one without any value is set aside."""
    if np.isnan(cells).all():
        return Known(None, None, NO_VALUE)
    return Known(field.with_gaps(bool(np.isnan(cells).any())), cells, told=told)


def _number(
    raw: Unchecked,
    j: int,
    values: Cells,
    kind: str,
    gone: tuple[float, ...],
    boolean: bool = False,
    often: NDArray[np.int64] | None = None,
    habit: str = "",
) -> Known:
    name = raw.columns[j]
    only(raw, name, kind, *NUMBERS)
    values = np.where(np.isin(values, gone), np.nan, values) if gone else values
    if (bad := np.flatnonzero(np.abs(values) > LARGEST)).size:
        raise BadInput(unusable(raw, int(bad[0]), j, float(values[bad[0]]), len(bad)))
    if kind == "flag" and (odd := np.flatnonzero(~np.isnan(values) & (values != 0) & (values != 1))).size:
        raise BadInput(f"{raw.place}: {raw.where(int(odd[0]), j)}: {values[odd[0]]:g} is no flag, which is 0 or 1")
    if kind == "count" and (odd := np.flatnonzero((values < 0) | (np.floor(values) < values))).size:
        raise BadInput(
            f"{raw.place}: {raw.where(int(odd[0]), j)}: {values[odd[0]]:g} is no count, a whole number of 0 or more; "
            f"correct it, or {_otherwise(raw, f'read the column as numbers (--kind {name}=number)')}"
        )
    if not kind:
        there = np.unique(values[~np.isnan(values)])
        kind = of_numbers(there, lambda: (_skewness(values, often), _skewness(np.arcsinh(values), often)), boolean)
    return _known(Field(name, kind, habit=habit), values)


def of_numbers(few: Cells, skewness: Callable[[], tuple[float, float]], boolean: bool = False) -> str:
    """The kind of a column of numbers: ``flag`` for 0 and 1, ``amount`` for numbers of 0 or more whose tail a log scale
    takes away, else ``number``.

    Parameters
    ----------
    few : array
        Its different values, sorted; of more than ``ENOUGH`` the first ones suffice.
    skewness : callable
        That of the numbers, and of them on the log scale.
    boolean : bool
        Whether the type says that it is a flag.
    """
    if boolean or (len(few) == 2 and set(few.tolist()) == {0.0, 1.0}):
        return "flag"
    if len(few) < ENOUGH or few[0] < 0:
        return "number"
    plain, bent = skewness()
    return "amount" if plain > SKEWED and abs(bent) < plain / 2 else "number"


def _skewness(values: Cells, often: NDArray[np.int64] | None) -> float:
    there = ~np.isnan(values)
    found, weights = values[there], None if often is None else often[there]
    found = found - np.average(found, weights=weights)
    found = found / max(float(np.sqrt(np.average(found**2, weights=weights))), np.finfo(float).tiny)
    return float(np.average(found**3, weights=weights))


def of_texts(raw: Unchecked, j: int, words: Words, kind: str, gone: tuple[float, ...], habit: str = "") -> Known:
    """A column of texts: numbers, dates, two words, categories, or names that tell nothing; ``habit`` is how they were
    meant in training."""
    name = raw.columns[j]
    only(raw, name, kind, *KINDS)
    if not len(words.texts) or (raw.trained and kind in MEASURED and blank(words.texts)):
        return Known(None, None, NO_VALUE)
    if kind in TEXTS or (not kind and name in raw.stated and raw.stated[name] in TEXTS):
        return _free(name, words, kind or _script(words).kind)
    if (longest := pc.max(pc.utf8_length(words.texts)).as_py()) > LONGEST_NAME:
        if kind:
            raise BadInput(
                f"{raw.place}: column {shown(name)} holds texts of up to {longest:,} characters and cannot be of kind "
                f"{kind}; it can be {', '.join(TEXTS)}, or drop"
            )
        return _inferred(name, words)
    if kind in ("number", "amount", "count"):
        return _written(raw, j, words, kind, gone, habit)
    if kind == "date":
        return _date(raw, j, words, habit)
    if kind == "flag":
        return _flag(raw, j, words, gone, habit)
    if kind or name in raw.stated:
        return categories(name, words, kind or raw.stated[name], in_order=name in raw.stated)
    return _guessed(raw, j, words, gone)


def _guessed(raw: Unchecked, j: int, words: Words, gone: tuple[float, ...]) -> Known:
    """A column of texts of which nobody says what it is."""
    name, texts = raw.columns[j], words.texts
    zeros = bool(pc.any(pc.match_substring_regex(texts, ZERO_FIRST)).as_py())
    if zeros and _repeats(words) and pc.all(pc.match_substring_regex(texts, DIGITS)).as_py():
        said = f"column {shown(name)} holds codes with zeros in front, which are categories and not numbers"
        found = categories(name, words, "category")
        return found._replace(told=(said, *found.told))
    if seen(texts) is not None or dates.clock(texts) is not None:
        return _written(raw, j, words, "", gone)
    if dates.alike(texts) and dates.moments(texts).most:
        return _date(raw, j, words)
    if dates.alike(texts) and not _repeats(words):
        return Known(None, None, dates.FORMS_DIFFER)
    if (said_of := stray(texts, words.counts(), name)) is not None:
        at, why = said_of
        raise BadInput(f"{raw.place}: {raw.where(words.row(at), j)}: {shown(texts[at].as_py())} {why}")
    if len(texts) == 2 and _pair(texts.to_pylist(), YES_NO) is not None:
        return _flag(raw, j, words, gone)
    return categories(name, words, "")


def _flag(raw: Unchecked, j: int, words: Words, gone: tuple[float, ...], habit: str = "") -> Known:
    """Words for no and yes, or one of them alone; or 0 and 1 as numbers, beside a dash for a gap."""
    numbered, words = words, distinct(undotted(words.texts), words)
    name, texts = raw.columns[j], words.texts.to_pylist() if len(words.texts) <= 2 else []
    if (pair := _pair(texts, (*YES_NO, ("0", "1")))) is None:
        if seen(numbered.texts) is not None:
            return _written(raw, j, numbered, "flag", gone, habit)
        raise BadInput(f"{raw.place}: column {shown(name)} is no flag: it holds {some(words.texts.to_pylist(), 3)}")
    field = Field(name, "flag", pair)
    return _known(field, places(field, words))


def _pair(texts: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """The words for no and yes, as they are written; None if the texts are none of these pairs, nor part of one."""
    written = {text.lower(): text for text in texts}
    if not texts or len(written) != len(texts):
        return None
    pair = next((pair for pair in pairs if set(written) <= set(pair)), None)
    return pair and (written.get(pair[0], pair[0]), written.get(pair[1], pair[1]))


def _written(raw: Unchecked, j: int, words: Words, kind: str, gone: tuple[float, ...], habit: str = "") -> Known:
    """Numbers as people write them, with the decimal mark that they had in training."""
    name = raw.columns[j]
    column, values = seen(words.texts), dates.clock(words.texts)
    told: tuple[str, ...] = ()
    if column is not None:
        one = {name: column}
        mark, how = decimal(one, lambda spot: f"{raw.place}: {raw.where(words.row(spot.row), j)}", habit)
        habit = marked(one, mark)
        values, how = written_numbers(column, mark), (*how, *units({name: column}))
        told = (f"column {shown(name)} is read with {'; '.join(how)}",) if how else ()
    elif values is not None:
        told = in_seconds(name)
    if values is None:
        if (pair := signs(words.texts)) is not None:
            at, why = words.texts.to_pylist().index(pair[1]), f"carries another sign than {shown(pair[0])}, or none"
        else:
            dashes = pc.is_in(words.texts, pa.array(DASHES)).to_numpy(zero_copy_only=False)
            at, why = int(np.argmin(looks(words.texts) | dashes)), "is not a number"
        raise BadInput(
            f"{raw.place}: {raw.where(words.row(at), j)}: {shown(words.texts[at].as_py())} {why}; correct it, or "
            f"{_otherwise(raw, 'give the column another kind')}"
        )
    found = _number(raw, j, words.spread(values), kind, gone, often=words.often, habit=habit)
    return found._replace(told=told, plain=True)


def _date(raw: Unchecked, j: int, words: Words, habit: str = "") -> Known:
    """Dates, all in one form, in the order of day and month that they had in training."""
    found, name = dates.moments(words.texts, habit), raw.columns[j]
    if (bad := np.flatnonzero(np.isnan(found.seconds))).size:
        at = int(bad[0])
        if habit and not np.isnan(dates.moments(words.texts[at : at + 1]).seconds[0]):
            other = "month" if habit == "day" else "day"
            raise BadInput(
                f"{raw.place}: {raw.where(words.row(at), j)}: {shown(words.texts[at].as_py())} is a date only where "
                f"the {other} comes first, and in training the {habit} did; write all dates so, or as 2024-01-31"
            )
        raise BadInput(
            f"{raw.place}: {raw.where(words.row(at), j)}: {shown(words.texts[at].as_py())} is no date that is "
            "understood; write dates as 2024-01-31 or 2024-01-31 13:05, or "
            f"{_otherwise(raw, 'leave the column out (--drop)')}"
        )
    first = words.texts[0].as_py()
    if found.twofold:
        raise BadInput(
            f"{raw.place}: column {shown(name)}: {shown(first)} may be day before month or month before day, and so "
            "may all others; write dates as 2024-01-31"
        )
    iso = dates.written(float(found.seconds[0]))
    told = () if first[:4].isdecimal() else (f"column {shown(name)}: {shown(first)} is read as {iso}",)
    return _known(Field(name, "date", habit=found.first), words.spread(found.seconds), told)


def _otherwise(raw: Unchecked, remedy: str) -> str:
    """What else is to be done about a cell; the columns of a model are what they are."""
    return "leave it empty" if raw.trained else remedy


def _repeats(words: Words) -> bool:
    """Whether enough rows hold texts that others hold too."""
    counts = words.counts()
    return bool(counts[counts >= REPEATED].sum() >= HALF * (counts.sum() + words.lost))


def categories(name: str, words: Words, kind: str, *, in_order: bool = False) -> Known:
    """Texts by the place of their value among all values: numbers in numeric, texts in alphabetic order, or as they
    come if they stand in an order."""
    words = _named(words)
    counts, missing = words.counts(), bool((words.codes < 0).any())
    if not len(words.texts):
        return Known(None, None, NO_VALUE)
    if not kind and len(counts) == 1 and not missing:
        only = shown(words.texts[0].as_py())
        return Known(None, None, Said(f"holds one text only ({only})", f"只有一种文本（{only}）"))
    if not kind and not _repeats(words):
        if _sentences_in(words):
            return _inferred(name, words)
        alone, keeps = counts.max() == 1, f"{option(name, 'category')} keeps it, and so does {option(name, 'text')}"
        what = "another text in each row" if alone else f"{len(counts):,} different texts"
        zh = "每行都不同" if alone else f"{len(counts):,} 种不同的文本"
        if words.lost:
            what, zh = f"more than {len(counts):,} different texts", f"超过 {len(counts):,} 种不同的文本"
        kept = f"{option(name, 'category')} 或 {option(name, 'text')} 可以保留它"
        why = Said(f"holds names ({what}); {keeps}", f"是名称（{zh}）；{kept}")
        return Known(None, None, why)
    distinct = words.texts.to_pylist()
    if len(distinct) > MOST_VALUES:
        best = np.sort(np.argsort(-counts, kind="stable")[:MOST_VALUES])
        distinct = [distinct[k] for k in best]
    if not in_order:
        numeric = all(spelled(word) is not None for word in distinct)
        distinct = sorted(distinct, key=(lambda word: (float(word), word)) if numeric else str)
    field, said = Field(name, kind or "category", tuple(distinct)), blanks.alike(f"column {shown(name)}:", distinct)
    return _known(field, places(field, words), (said,) if said else ())


def _named(words: Words) -> Words:
    """Texts as the names of values: without the blanks around them, unless these alone tell two apart."""
    if words.written is None or len(words.written.texts) == len(words.texts):
        return words
    return words.written._replace(texts=blanks.trimmed(words.written.texts))


def _free(name: str, words: Words, kind: str) -> Known:
    """Free text: its cells are the texts themselves."""
    texts = np.array([*words.texts.to_pylist(), np.nan], dtype=object)
    cells = texts[words.codes]
    long = int(pc.sum(pc.greater(pc.utf8_length(words.texts), READ)).as_py() or 0)
    told = (f"column {shown(name)}: of {long:,} texts the first {READ:,} characters are read",) if long else ()
    return Known(Field(name, kind, gaps=bool((words.codes < 0).any())), cells, told=told)


def _script(words: Words) -> type[Text]:
    """How free text is best counted: by groups of characters where there are no blanks between words."""
    some_of = words.texts.to_pylist()[:LOOKED_AT]
    return Characters if 2 * sum(map(unspaced, some_of)) > len(some_of) else Text


def _inferred(name: str, words: Words) -> Known:
    """Free text of which nobody said that it is; set aside where its texts have nothing in common."""
    some_of = np.array([*words.texts.to_pylist()[:LOOKED_AT], None], dtype=object)[:-1]
    script = _script(words)
    if not script.tells(some_of):
        keeps, zh = option(name, script.kind), "字符" if script is Characters else "词"
        why = Said(
            f"holds texts that hardly share a {script.unit}; {keeps} keeps it",
            f"是几乎没有相同{zh}的文本；{keeps} 可以保留它",
        )
        return Known(None, None, why)
    return _free(name, words, script.kind)


def _sentences_in(words: Words) -> bool:
    """Whether texts that do not repeat are sentences, rather than names."""
    some_of = words.texts.to_pylist()[:LOOKED_AT]
    return 2 * sum(worded(text) for text in some_of) > len(some_of)


def without(cells: Any, gone: tuple[float, ...]) -> Any:
    """Numbers without those that stand for a missing one."""
    if not gone or pa.types.is_boolean(cells.type):
        return cells
    return pc.if_else(pc.is_in(cells.cast(pa.float64(), safe=False), pa.array(gone, pa.float64())), None, cells)


def only(raw: Unchecked, name: str, kind: str, *can: str) -> None:
    """Refuse a kind that somebody asked for, where the column can be of others only."""
    if kind and kind not in can:
        raise BadInput(
            f"{raw.place}: column {shown(name)} cannot be of kind {kind}; it can be {', '.join(can)}, or drop"
        )


# ------------------------------------------------------------------------------------------------- as it was trained


def _as(raw: Unchecked, j: int, field: Field, cells: Any, gone: tuple[float, ...]) -> Known:
    """A column read as the field that a model was trained on, its texts meant as there."""
    cells, gone = whole(cells), gone or field.missing
    if field.kind in TEXTS:
        free = _free(field.name, words_of(raw, j, cells), field.kind)
        return free._replace(field=field, told=())
    if cells.null_count == len(cells):
        return Known(field, np.full(len(cells), np.nan))
    if (pa.types.is_date(cells.type) or pa.types.is_timestamp(cells.type)) and field.kind not in ("date", "category"):
        raise BadInput(
            f"{raw.place}: column {shown(field.name)} holds dates, and was of kind {field.kind} in training; give it so"
        )
    if field.kind == "date" and is_number(cells.type) and not pa.types.is_null(cells.type):
        raise BadInput(
            f"{raw.place}: column {shown(field.name)} holds numbers, and was of kind date in training; write dates as "
            "2024-01-31"
        )
    if not field.values:
        own = _understood(raw, j, cells, field.kind, gone, field.habit)
        return Known(field, np.full(len(cells), np.nan) if own.cells is None else own.cells)
    words = words_of(raw, j, cells)
    if field.habit in DECIMAL_MARKS and is_text(cells.type) and len(words.texts):  # its values were numbers in training
        written = _written(raw, j, words, "number", gone, field.habit)
        words = words_of(raw, j, pa.array(written.cells, from_pandas=True))
    if field.kind == "flag":
        return Known(field, no_or_yes(raw, j, field, words))
    found = places(field, words)
    if words.written is not None:  # a value that has blanks around it is known as it is written
        found = np.where((exact := places(field, words.written)) >= 0, exact, found)
    return Known(field, found)
