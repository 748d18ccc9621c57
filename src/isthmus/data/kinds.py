"""What kind each column of a table is, and its cells as numbers: inferred, said, and overruled where asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.data.fields import KINDS, Cells, Field
from isthmus.data.numbers import spelled
from isthmus.data.table import dates, is_number, is_text, not_text, numbers, text_message, unreadable
from isthmus.data.unchecked import LEAST_ROWS, LONGEST_NAME, Unchecked, enough, row_words
from isthmus.data.wording import meant, shown, some
from isthmus.data.written import DATE, MISSING, decimal, seen
from isthmus.data.written import numbers as written_numbers
from isthmus.errors import BadInput, NoSuchColumn

OTHERS = {"drop": "set aside"}
"""What ``--kind`` takes besides :data:`isthmus.data.fields.KINDS`."""
REPEATED = 3.0
"""Texts that stand on average in fewer rows each are names or free text, and tell nothing that repeats."""
MOST_VALUES = 10_000
"""Most different texts of a column that are kept by name."""
SKEWED, ENOUGH = 3.0, 20
"""Skewness from which a column of amounts has a long tail, and fewest different values for it to be one."""
YES_NO = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("off", "on"), ("nein", "ja"), ("non", "oui"))


class Known(NamedTuple):
    """A column, understood."""

    field: Field | None
    """None where it is set aside."""
    cells: Cells | None
    why: str = ""
    """Why it is set aside, to stand behind its name."""


def settle(
    raw: Unchecked,
    kinds: Mapping[str, str] | None = None,
    drop: Iterable[str] = (),
    missing: Iterable[float] = (),
    known: Sequence[Field] = (),
) -> Unchecked:
    """The columns of a table as numbers (N, F), with what each of them is.

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
    if raw.cells is None:
        return _array(raw, asked, gone, known)
    _named(raw, asked, known)
    kept = [j for j, name in enumerate(raw.columns) if asked.get(name) != "drop"]
    if known:
        kept = [raw.columns.index(field.name) for field in known]
    names, cells = tuple(raw.columns[j] for j in kept), [raw.cells[j] for j in kept]
    rows = len(raw.cells[0]) if raw.cells else 0
    enough(raw.place, max(rows, LEAST_ROWS) if known and rows else rows, len(kept))
    raw = raw._replace(columns=names, cells=(), where=row_words(names, lambda i: raw.where(i, None)))
    wanted = any(kind != "drop" for kind in asked.values()) or gone or known
    if not wanted and all(is_number(column.type) for column in cells):
        x = np.column_stack([numbers(raw.place, name, column) for name, column in zip(names, cells, strict=True)])
        if not np.isnan(x).any():
            return raw._replace(x=x, cells=None)
    if known:
        found = [_as(raw, j, field, cells[j], gone) for j, field in enumerate(known)]
    else:
        found = [_understood(raw, j, cells[j], asked.get(name, ""), gone) for j, name in enumerate(names)]
    return _put_together(raw, names, found, said=not known)


def _array(raw: Unchecked, asked: Mapping[str, str], gone: tuple[float, ...], known: Sequence[Field]) -> Unchecked:
    """Rows of numbers without names: gaps are NaN, and kinds are asked for by the names x0, x1 ..."""
    gaps = raw.x.dtype.kind == "f" and raw.x.ndim == 2 and bool(np.isnan(raw.x).any())
    if not (asked or gone or known or gaps):
        return raw
    if raw.x.ndim != 2:
        raise BadInput(f"{raw.place}: kinds, drop and missing are for tables; these rows have shape {raw.x.shape[1:]}")
    cells = tuple(pa.array(raw.x[:, j]) for j in range(raw.x.shape[1]))
    return settle(raw._replace(cells=cells), asked, (), gone, known)


def _named(raw: Unchecked, asked: Mapping[str, str], known: Sequence[Field]) -> None:
    """Refuse names that are not there, and kinds that are none."""
    for name, kind in asked.items():
        if name not in raw.columns:
            raise NoSuchColumn(
                f"{raw.place}: no column {shown(name)} to have a kind or to drop{meant(name, raw.columns)}; "
                f"the columns are {some(raw.columns)}"
            )
        if kind not in (*KINDS, *OTHERS):
            near = meant(kind, [*KINDS, *OTHERS])
            raise BadInput(
                f"{raw.place}: column {shown(name)} cannot be of kind {shown(kind)}{near}; the kinds are "
                f"{', '.join((*KINDS, *OTHERS))}"
            )
    for field in known:
        if field.name not in raw.columns:
            raise NoSuchColumn(
                f"{raw.place}: no column {shown(field.name)}, which the model was trained on"
                f"{meant(field.name, raw.columns)}; the columns are {some(raw.columns)}"
            )


def _put_together(raw: Unchecked, names: tuple[str, ...], found: list[Known], *, said: bool) -> Unchecked:
    """The columns that are learnt from, and what was inferred of all."""
    fields = tuple(one.field for one in found if one.field is not None)
    at = [j for j, one in enumerate(found) if one.field is not None]
    aside = {names[j]: one.why for j, one in enumerate(found) if one.field is None}
    if not fields:
        first, why = next(iter(aside.items()))
        raise BadInput(f"{raw.place}: no column is left to learn from: {shown(first)} {why}; see --kind")
    x = np.column_stack([one.cells for one in found if one.cells is not None])
    columns = tuple(field.name for field in fields)
    words = raw.where

    def where(i: int, j: int | None) -> str:
        return words(i, None if j is None else at[j])

    told = (*raw.told, *_sentences(fields, x, aside)) if said else raw.told
    return raw._replace(x=x, cells=None, columns=columns, where=where, fields=fields, told=told)


def _sentences(fields: Sequence[Field], x: Cells, aside: Mapping[str, str]) -> list[str]:
    """What was inferred, a line each."""
    told = []
    for kind, said in SAID.items():
        if names := [field.name for field in fields if field.kind == kind]:
            told.append(f"{_columns(names)} {said[len(names) > 1]} (--kind COLUMN=KIND overrules)")
    gaps = np.isnan(x).sum(axis=0)
    if gaps.any():
        names = [field.name for field, count in zip(fields, gaps, strict=True) if count]
        told.append(
            f"{int(gaps.sum()):,} cells are missing, in {_columns(names)}: a gap is learnt as a gap, and nothing is "
            "filled in"
        )
    told += [f"column {shown(name)} is set aside: it {why}" for name, why in aside.items()]
    return told


SAID = {
    "category": ("is read as categories", "are read as categories"),
    "date": ("is read as dates and times", "are read as dates and times"),
    "amount": ("has a long tail and is learnt on a log scale", "have long tails and are learnt on a log scale"),
}


def _columns(names: Sequence[str]) -> str:
    return f"{len(names)} columns ({some(names, 4)})" if len(names) > 1 else f"column {shown(names[0])}"


# ---------------------------------------------------------------------------------------------------------- inferring


def _understood(raw: Unchecked, j: int, cells: Any, kind: str, gone: tuple[float, ...]) -> Known:
    """One column, as the kind that is asked for or the likeliest one."""
    name, cells = raw.columns[j], _plain(cells)
    if is_text(cells.type):
        return _text(raw, j, cells, kind, gone)
    if pa.types.is_temporal(cells.type) and not pa.types.is_time(cells.type) and not pa.types.is_duration(cells.type):
        _only(raw, name, kind, "date", "category")
        if kind == "category":
            return _category(raw, name, cells.cast(pa.string()), kind)
        return _known(Field(name, "date"), dates(cells))
    if pa.types.is_time(cells.type) or pa.types.is_duration(cells.type):
        unit = cells.cast(pa.time64("us") if pa.types.is_time(cells.type) else pa.duration("us"))
        cells = pc.divide(unit.cast(pa.int64()).cast(pa.float64()), 1e6)  # seconds
    if kind == "category" and is_number(cells.type):
        return _category(raw, name, _spelled(cells), kind)
    values = numbers(raw.place, name, cells)
    return _number(raw, j, values, kind, gone, bool(pa.types.is_boolean(cells.type)))


def _known(field: Field, cells: Cells) -> Known:
    """A column whose field knows whether it has gaps; one without any value is set aside."""
    if np.isnan(cells).all():
        return Known(None, None, "holds no value")
    return Known(field.with_gaps(bool(np.isnan(cells).any())), cells)


def _number(raw: Unchecked, j: int, values: Cells, kind: str, gone: tuple[float, ...], boolean: bool = False) -> Known:
    name = raw.columns[j]
    _only(raw, name, kind, "number", "amount", "flag", "category", "ordered")
    if (bad := np.flatnonzero(np.isinf(values))).size:
        raise BadInput(f"{raw.place}: {raw.where(int(bad[0]), j)}: the value is infinite; mend it, or drop the row")
    values = np.where(np.isin(values, gone), np.nan, values) if gone else values
    there = np.unique(values[~np.isnan(values)])
    two = len(there) == 2 and set(there.tolist()) == {0.0, 1.0}
    if kind == "flag" and len(there) and not set(there.tolist()) <= {0.0, 1.0}:
        raise BadInput(f"{raw.place}: column {shown(name)} is no flag: it holds {there[0]:g}, and flags hold 0 and 1")
    if kind in ("category", "ordered"):
        words = tuple(f"{value:.17g}" for value in there)
        places = np.where(np.isnan(values), np.nan, np.searchsorted(there, values))
        return _known(Field(name, kind, words), places)
    return _known(Field(name, kind or ("flag" if two or boolean else _scale(values, there))), values)


def _scale(values: Cells, there: Cells) -> str:
    """``amount`` for numbers of 0 or more whose tail a log scale takes away, else ``number``."""
    if len(there) < ENOUGH or there[0] < 0:
        return "number"
    plain, bent = _skewness(values), _skewness(np.arcsinh(values))
    return "amount" if plain > SKEWED and abs(bent) < plain / 2 else "number"


def _skewness(values: Cells) -> float:
    found = values[~np.isnan(values)]
    found = (found - found.mean()) / max(float(found.std()), np.finfo(float).tiny)
    return float((found**3).mean())


def _text(raw: Unchecked, j: int, cells: Any, kind: str, gone: tuple[float, ...]) -> Known:
    """A column of texts: two words, dates, categories, or names that tell nothing."""
    name = raw.columns[j]
    _only(raw, name, kind, "number", "amount", "flag", "category", "ordered", "date")
    if (said := not_text(raw, j, cells)) is not None:
        raise BadInput(said)
    words = pc.utf8_trim_whitespace(cells)
    words = pc.if_else(pc.is_in(words, pa.array(MISSING, words.type)), None, words)
    if words.null_count == len(words):
        return Known(None, None, "holds no value")
    if kind in ("number", "amount"):
        column = seen(cells)
        if column is None:
            raise BadInput(f"{raw.place}: {text_message(cells, j, raw.columns, raw.where)}")
        mark, _ = decimal({name: column}, lambda spot: f"{raw.place}: {raw.where(spot.row, j)}")
        values = written_numbers(column, mark)
        return _number(raw, j, np.full(len(cells), np.nan) if values is None else values, kind, gone)
    if not kind and (said := unreadable(cells, j, raw.columns, raw.where)) is not None:
        raise BadInput(f"{raw.place}: {said}")
    if kind == "date" or (not kind and _dated(words)):
        return _known(Field(name, "date"), _dates(raw, j, words))
    distinct = [word for word in pc.unique(words).to_pylist() if word is not None]
    pair = {word.lower(): word for word in distinct}
    for no, yes in YES_NO:
        if kind in ("", "flag") and set(pair) == {no, yes} and len(distinct) == 2:
            return _placed(Field(name, "flag", (pair[no], pair[yes])), words)
    if kind == "flag":
        raise BadInput(f"{raw.place}: column {shown(name)} is no flag: it holds {some(distinct, 3)}")
    return _category(raw, name, words, kind)


def _category(raw: Unchecked, name: str, words: Any, kind: str) -> Known:
    """Texts by the place of their value among all values: numbers in numeric, texts in alphabetic order."""
    distinct = [word for word in pc.unique(words).to_pylist() if word is not None]
    filled = len(words) - words.null_count
    if not kind and len(distinct) == 1:
        return Known(None, None, f"holds one text only ({shown(distinct[0])})")
    if not kind and filled < REPEATED * len(distinct):
        what = "another text in each row" if len(distinct) == filled else f"{len(distinct):,} different texts"
        return Known(None, None, f"holds {what}, names or free text; --kind NAME=category keeps it")
    if max(map(len, distinct)) > LONGEST_NAME:
        return Known(None, None, f"holds texts of more than {LONGEST_NAME:,} characters")
    if len(distinct) > MOST_VALUES:
        counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(words).to_pylist()}
        distinct = sorted(distinct, key=lambda word: (-counts[word], word))[:MOST_VALUES]
    numeric = all(spelled(word) is not None for word in distinct)
    order = sorted(distinct, key=(lambda word: (float(word), word)) if numeric else str)
    return _placed(Field(name, kind or "category", tuple(order)), words)


def _placed(field: Field, words: Any) -> Known:
    return _known(field, _places(field, words))


def _places(field: Field, words: Any) -> Cells:
    """The place of each text among a field's values; -1 for a text besides them, NaN where there is none."""
    places = pc.index_in(words, pa.array(field.values, words.type))
    found = np.asarray(pc.fill_null(places, -1).to_numpy(zero_copy_only=False), np.float64)
    return np.where(words.is_null().to_numpy(zero_copy_only=False), np.nan, found)


def missing(cells: Any) -> Any:
    """Which cells of an Arrow column are gaps: null, NaN, or a text that means it."""
    if is_text(cells.type):
        words = pc.utf8_trim_whitespace(cells.cast(pa.string()))
        return pc.or_kleene(pc.is_null(words), pc.fill_null(pc.is_in(words, pa.array(MISSING)), False))
    return pc.is_null(cells, nan_is_null=pa.types.is_floating(cells.type))


def _spelled(cells: Any) -> Any:
    """Numbers as the texts that people write for them: 3 rather than 3.0."""
    if pa.types.is_boolean(cells.type):
        return cells.cast(pa.string())
    values = cells.to_pylist()
    bare = [None if v is None or math.isnan(v) else str(int(v) if v == int(v) else v) for v in values]
    return pa.array(bare, pa.string())


def _only(raw: Unchecked, name: str, kind: str, *can: str) -> None:
    if kind and kind not in can:
        raise BadInput(
            f"{raw.place}: column {shown(name)} cannot be of kind {kind}; it can be {', '.join(can)}, or drop"
        )


def _plain(cells: Any) -> Any:
    """One Arrow array of plain texts or numbers."""
    cells = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    if isinstance(cells, pa.ChunkedArray):  # several chunks that Arrow cannot join
        cells = pa.concat_arrays(cells.chunks)
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if any(test(cells.type) for test in (pa.types.is_large_string, pa.types.is_string_view)):
        cells = cells.cast(pa.string())
    return cells


# -------------------------------------------------------------------------------------------------------------- dates

DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%d-%b-%Y")
HOURS = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S")
TRIED = 100
"""Cells on which each way of writing is tried before the whole column is."""


def _dated(words: Any) -> bool:
    """Whether the texts look like dates."""
    head = [word for word in words[:1000].to_pylist() if word is not None]
    return bool(head) and all(DATE.search(word) for word in head)


def _dates(raw: Unchecked, j: int, words: Any) -> Cells:
    """Seconds since 1970; refused where a cell is no date, or all cells can be meant in two ways."""
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):  # the ISO forms, without and with a zone
        try:
            return dates(words.cast(kind))
        except pa.ArrowInvalid:
            continue
    read = [found for day in DAYS for hour in HOURS if (found := _parsed(words, day + hour)) is not None]
    first = next(word for word in words.to_pylist() if word is not None)
    if any(not np.array_equal(read[0], other, equal_nan=True) for other in read[1:]):
        raise BadInput(
            f"{raw.place}: column {shown(raw.columns[j])}: {shown(first)} may be day before month or month before day, "
            "and so may all others; write dates as 2024-01-31"
        )
    if read:
        return read[0]
    usual = max(
        (pc.strptime(words[:TRIED], day + hour, "us", error_is_null=True) for day in DAYS for hour in HOURS),
        key=lambda found: len(found) - found.null_count,
    )
    stray = pc.index(pc.and_(usual.is_null(), words[:TRIED].is_valid()), pa.scalar(True)).as_py()
    at = max(stray, 0)
    raise BadInput(
        f"{raw.place}: {raw.where(at, j)}: {shown(words[at].as_py())} is no date that is understood; write dates as "
        "2024-01-31 or 2024-01-31 13:05, or leave the column out (--drop)"
    )


def _parsed(words: Any, form: str) -> Cells | None:
    """The moments, if all cells are written in this form."""
    for some_words in (words[:TRIED], words):
        found = pc.strptime(some_words, form, "us", error_is_null=True)
        if found.null_count > some_words.null_count:
            return None
    return dates(found)


# ------------------------------------------------------------------------------------------------- as it was trained


def _as(raw: Unchecked, j: int, field: Field, cells: Any, gone: tuple[float, ...]) -> Known:
    """A column read as the field that a model was trained on."""
    cells = _plain(cells)
    if cells.null_count == len(cells):
        return Known(field, np.full(len(cells), np.nan))
    if not field.values:
        found = _understood(raw, j, cells, field.kind, gone)
        empty = np.full(len(cells), np.nan)
        return Known(field, empty if found.cells is None else found.cells)
    if not is_text(cells.type):
        cells = _spelled(cells) if is_number(cells.type) else cells.cast(pa.string())
    words = pc.utf8_trim_whitespace(cells)
    words = pc.if_else(pc.is_in(words, pa.array(MISSING, words.type)), None, words)
    places = _places(field, words)
    if field.kind == "flag":
        places = np.where(places < 0, np.nan, places)
    return Known(field, places)
