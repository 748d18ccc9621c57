"""Numbers as people write them: decimal commas, marks between thousands, currency and percent signs.

Which mark does what is a habit of who wrote the file, so the whole file is asked, and one cell that can be meant in one
way only (``0,5``; ``1.234,5``) decides for those that could be meant in two (``1,279``). What stays open is refused.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data.wording import shown, some
from isthmus.errors import BadInput

Texts = Any
"""An Arrow array of strings."""
MISSING = (
    *("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-nan", "NaT", "NULL", "null", "None"),
    *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NA", "#N/A N/A", "-NaN", "\\N", "(null)", "[NULL]"),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "0000-00-00", "0000-00-00 00:00:00"),
)
"""What stands for a missing value, in columns of every kind."""
DASHES = (
    *("-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*", "na", "n.a.", "N.A.", "k.A.", "nil", "none"),
    *("missing", "Missing", "unknown", "Unknown", "NONE", "NIL", "NAN"),
    *(f".{letter}" for letter in f"_{string.ascii_letters}"),
)
"""What stands for a missing number, among numbers: in a column of texts it may be one of them. ``.a`` to ``.z`` are
those of SAS and Stata."""
BLANKS = " '\u2019\u00a0\u2009\u202f"
"""Blanks and apostrophes that part thousands and are never a decimal mark."""
UNIT = r"[\p{Sc}%\x{2030}]"
EXPONENT = r"([eE][+-]?\d+)?"
EITHER = {mark: rf"^[+-]?[1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}$" for mark in ",."}
"""``1,279``: thousands or thousandths."""


def _kinds(mark: str, other: str) -> dict[str, str]:
    """Patterns of cells in which ``mark`` can be meant in one way only."""
    m, o = re.escape(mark), re.escape(other)
    return {
        "decimal": rf"^[+-]?(\d*{m}\d*|\d{{1,3}}({o}\d{{3}})+{m}\d*|\d{{1,3}}([{BLANKS}]\d{{3}})+{m}\d*){EXPONENT}$",
        "thousands": rf"^[+-]?\d{{1,3}}(({m}\d{{2,3}})+{m}\d{{3}}|({m}\d{{2,3}})*{m}\d{{3}}{o}\d*)$",
    }


KINDS = {",": _kinds(",", "."), ".": _kinds(".", ",")}


def _valid(decimal: str, other: str) -> str:
    """The pattern of a number, once it is known which mark is the decimal one."""
    d, m = re.escape(decimal), re.escape(other)
    whole = rf"(\d+|\d{{1,3}}({m}\d{{2,3}})*{m}\d{{3}}|\d{{1,3}}([{BLANKS}]\d{{3}})+)"
    return rf"^[+-]?({whole}({d}\d*)?|{d}\d+){EXPONENT}$"


VALID = {",": _valid(",", "."), ".": _valid(".", ",")}
OTHER = {",": ".", ".": ","}
NAMES = {",": "comma", ".": "point"}


BOTH = (
    "is the decimal mark in one and separates thousands in the other; write decimals with a point, thousands together"
)
CLASHES = {
    ((",", "decimal"), (".", "decimal")): "some decimals have a comma, others a point; write all with a point",
    (
        (",", "thousands"),
        (".", "thousands"),
    ): "thousands are separated by commas and by points; write them together",
    ((",", "decimal"), (",", "thousands")): f"the comma {BOTH}",
    ((".", "decimal"), (".", "thousands")): f"the point {BOTH}",
}
"""What two cells of one file cannot both be."""


BRACKETS = re.compile(r"\(\s*[0-9][0-9.,]*\s*\)")
NEGATIVE = r"^(\p{Sc}?)\s*\(\s*([^()+\s\x{2212}-][^()]*?)\s*\)(\s*%?)$"
"""``(1,234.50)``: how bookkeepers write a negative number."""
BEHIND = r"^([0-9][0-9.,]*)-$"
"""``1,234.50-``: a minus behind the number, as SAP and mainframes write it."""
WITH_UNIT = re.compile(r"[+-]?[0-9][0-9.,]*\s*([^\W\d_]{1,4}([/^][^\W_]{1,4})?)")
WITH_CODE = re.compile(r"(USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|Rs\.?)\s*[+-]?[0-9][0-9.,]*")
"""A code of a currency before a number; other letters before one may be the beginning of a name."""


class Spot(NamedTuple):
    """A cell that proves something."""

    column: str
    row: int
    text: str


class Column(NamedTuple):
    """A column of text, looked at."""

    core: Texts
    """Cells without blanks around them and without their unit; null where the number is missing."""
    unit: str
    """The sign that every cell carries, such as ``%``; empty if none does."""
    dashes: tuple[str, ...] = ()
    """Which of :data:`DASHES` stand for a missing number."""
    brackets: str = ""
    """One of the cells in brackets, or with a minus behind, which are negative numbers; empty if there is none."""


def seen(cells: Any) -> Column | None:
    """A column of text whose filled cells all look like numbers; None if some do not, or if all are missing."""
    text = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    if pa.types.is_dictionary(text.type):
        text = text.dictionary_decode()
    if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)) or not _all(_core(text[:1000])):
        return None
    core = _core(text)
    if not _all(core) or core.null_count == len(core) or len(units := _units(text, core)) != 1 or len(units[0]) > 1:
        return None
    bare = pc.utf8_trim_whitespace(text)
    bracketed = bare.filter(pc.or_(*(pc.match_substring_regex(bare, form) for form in (NEGATIVE, BEHIND))))
    if len(bracketed) == len(core) - core.null_count:  # perhaps the numbers of notes: nothing shows what marks mean
        return None
    dashes = pc.unique(bare.filter(pc.is_in(bare, pa.array(DASHES, bare.type)))).to_pylist()
    return Column(core, units[0], tuple(dashes), bracketed[0].as_py() if len(bracketed) else "")


def looks(texts: Any) -> NDArray[np.bool_]:
    """Which of several different texts look like numbers as people write them, with a sign of unit or without."""
    found: NDArray[np.bool_] = _fits(_core(texts)).fill_null(True).to_numpy(zero_copy_only=False)
    return found


def signs(texts: Any) -> tuple[str, str] | None:
    """Two of several texts that all look like numbers, and carry different signs of unit; None if all carry one."""
    core = _core(texts)
    if core.null_count == len(core) or not _all(core) or len(_units(texts, core)) == 1:
        return None
    filled = texts.filter(core.is_valid()).to_pylist()
    unit = {text: "".join(re.findall(r"[^\d\s.,+eE'\u2212-]", text)) for text in filled}
    return filled[0], next(text for text in filled if unit[text] != unit[filled[0]])


def _units(text: Any, core: Texts) -> list[str]:
    """The signs of unit in filled cells, all different ones."""
    filled = pc.utf8_trim_whitespace(text).filter(core.is_valid())
    found: list[str] = pc.unique(pc.replace_substring_regex(filled, rf"[^{UNIT[1:]}", "")).to_pylist()
    return found


def decimal(
    columns: Mapping[str, Column], where: Callable[[Spot], str], habit: str = ""
) -> tuple[str, tuple[str, ...]]:
    """The decimal mark of a file, and what was inferred, in words.

    Parameters
    ----------
    columns : mapping of names to columns
        All columns of numbers, spelled as in the file.
    where : callable
        Words for a cell, to begin a message with.
    habit : {"", ",", "."}
        The mark, where it is known, of the training or of earlier rows: no cell need prove it, and none may be against
        it.

    Raises
    ------
    BadInput
        If cells contradict each other or the habit, or could all be meant in two ways.
    """
    proofs = {(m, use): _first(columns, kind, EITHER[m]) for m, uses in KINDS.items() for use, kind in uses.items()}
    if habit and (against := proofs[OTHER[habit], "decimal"] or proofs[habit, "thousands"]) is not None:
        known, name = (NAMES[mark] for mark in (habit, OTHER[habit]))
        raise BadInput(
            f"{where(against)}: {shown(against.text)} is a number only where decimals have a {name}, and those of "
            f"the training, or of earlier rows, have a {known}; write all with a {known}, or give them as numbers in "
            "Parquet"
        )
    for (this, that), said in CLASHES.items():
        a, b = proofs[this], proofs[that]
        if a is not None and b is not None:
            raise BadInput(f"{where(a)}: {shown(a.text)} does not fit {shown(b.text)}: {said}")
    comma, point, either = proofs[",", "decimal"], proofs[".", "decimal"], _first(columns, EITHER[","])
    # A bare 1.234 is a number to every reader, so that its point is in doubt only beside a sign such as that of money.
    doubt = _first({name: column for name, column in columns.items() if column.unit}, EITHER["."])
    if either is not None and not _thousands(columns):
        doubt = either
    if habit:
        mark = habit
    elif comma or proofs[".", "thousands"]:
        mark = ","
    elif point or proofs[",", "thousands"] or doubt is None:
        mark = "."
    else:
        raise BadInput(f"{where(doubt)}: {_open(doubt.text)}")
    other = OTHER[mark]
    parting, blank = (_first(columns, pattern) for pattern in _parting(mark))
    told: dict[Spot, list[str]] = {}
    for what, spot in (
        ("decimal commas", (comma or either) if mark == "," else None),
        (f"{'commas' if other == ',' else 'points'} between thousands", parting),
        ("blanks between thousands", blank),
    ):
        if spot is not None:
            told.setdefault(spot, []).append(what)
    return mark, tuple(_as(" and ".join(what), spot, mark) for spot, what in told.items())


def marked(columns: Mapping[str, Column], mark: str) -> str:
    """The decimal mark that is to be remembered of columns: none where no cell has a comma or a point."""
    return mark if any(pc.any(pc.match_substring_regex(one.core, "[.,]")).as_py() for one in columns.values()) else ""


def numbers(column: Column, mark: str) -> NDArray[np.float64] | None:
    """The numbers of a column, missing ones as NaN; None if a cell is no number under this decimal mark."""
    if not pc.all(pc.match_substring_regex(column.core, VALID[mark])).as_py():
        return None
    bare = pc.replace_substring_regex(column.core, rf"[{OTHER[mark]}{BLANKS}]", "")
    found: NDArray[np.float64] = (
        pc.replace_substring(bare, ",", ".").cast(pa.float64()).to_numpy(zero_copy_only=False).copy()
    )
    return found


def proofs(column: Column) -> list[int]:
    """Places of the first cells of a column that tell which mark does what, each in another way."""
    one = {"": column}
    found = [_first(one, kind, EITHER[m]) for m, uses in KINDS.items() for kind in uses.values()]
    found += [_first(one, EITHER[m]) for m in OTHER]
    found += [_first(one, pattern) for mark in OTHER for pattern in _parting(mark)]
    return sorted({spot.row for spot in found if spot is not None})


def blank(texts: Any) -> bool:
    """Whether no cell holds a number: all are empty, or stand for a missing one."""
    core = _core(texts)
    return bool(core.null_count == len(core))


def _parting(mark: str) -> tuple[str, str]:
    """Patterns of numbers whose thousands are parted by the other mark, and by blanks."""
    other = OTHER[mark]
    return (
        rf"^[+-]?\d{{1,3}}(\{other}\d{{2,3}})*\{other}\d{{3}}(\{mark}\d*)?$",
        rf"^[+-]?\d{{1,3}}([{BLANKS}]\d{{3}})+(\{mark}\d*)?$",
    )


def other_than_text(value: str, distinct: Sequence[str | None]) -> str | None:
    """What a cell is that is no plain number and no mere text, and what to do about its column; None if it is text.

    Parameters
    ----------
    value : str
        The first filled cell.
    distinct : sequence of str
        Different cells of the beginning of the column.

    Examples
    --------
    >>> other_than_text("3.5 kg", ["3.5 kg", "4 kg"])
    'is a number with a unit; write the number alone, and the unit in the name of the column'
    >>> other_than_text("Oslo", ["Oslo", "Bergen"]) is None
    True
    """
    text = value.strip()
    if BRACKETS.fullmatch(text):
        return f"is a number in brackets, as bookkeepers write negative ones; write -{text[1:-1].strip()}"
    cells = [cell.strip() for cell in distinct if cell is not None]
    units = {found[1] if (found := WITH_UNIT.fullmatch(cell) or WITH_CODE.fullmatch(cell)) else "" for cell in cells}
    if len(units) == 1 and "" not in units:
        return "is a number with a unit; write the number alone, and the unit in the name of the column"
    return None


def units(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """In words, which signs were taken off, and what stands for a missing number."""
    found: dict[str, list[str]] = {}
    for name, column in columns.items():
        if column.unit:
            found.setdefault(f"{column.unit} taken off", []).append(name)
        if column.brackets:
            how = "a minus behind" if column.brackets.endswith("-") else "brackets for"
            found.setdefault(f"{how} a negative number ({shown(column.brackets)})", []).append(name)
        for dash in column.dashes:
            found.setdefault(f"{shown(dash)} for a missing number", []).append(name)
    return tuple(f"{what} in {some(names, 3)}" for what, names in found.items())


def _core(text: Any) -> Texts:
    core = pc.utf8_trim_whitespace(text)
    core = pc.if_else(pc.is_in(core, pa.array([*MISSING, *DASHES], core.type)), None, core)
    core = pc.replace_substring_regex(core, NEGATIVE, r"-\1\2\3")
    core = pc.replace_substring_regex(core, BEHIND, r"-\1")
    core = pc.replace_substring(core, "\u2212", "-")
    core = pc.replace_substring_regex(core, r"^([+-]?)\s*\p{Sc}\s*", r"\1")
    return pc.replace_substring_regex(core, rf"[\s\x{{a0}}\x{{202f}}]*{UNIT}$", "")


def _all(core: Texts) -> bool:
    """Whether all filled cells are numbers, under one decimal mark or the other."""
    return pc.all(_fits(core)).as_py() is not False


def _fits(core: Texts) -> Any:
    return pc.or_(*(pc.match_substring_regex(core, pattern) for pattern in VALID.values()))


def _first(columns: Mapping[str, Column], pattern: str, but: str = "^$") -> Spot | None:
    """The first cell of a pattern, and not of another one."""
    for name, (core, *_) in columns.items():
        fits = pc.and_not(pc.match_substring_regex(core, pattern), pc.match_substring_regex(core, but))
        row = pc.index(fits, pa.scalar(True)).as_py()
        if row >= 0:
            return Spot(name, row, core[row].as_py())
    return None


def _open(text: str) -> str:
    mark = "," if "," in text else "."
    name = NAMES[mark]
    small, large = text.replace(",", "."), text.replace(mark, "")
    return (
        f"{shown(text)} may be {small} or {large}; write {large} if its {name} separates thousands, "
        f"{small} if it is a decimal {name}, and all others so"
    )


def _thousands(columns: Mapping[str, Column]) -> bool:
    """Whether ``1,279`` beside whole numbers below 1000 is 1279: if numbers lie closer together so than as 1.279."""
    votes = []
    for core, *_ in columns.values():
        open_ = core.filter(pc.fill_null(pc.match_substring_regex(core, EITHER[","]), False))
        plain = core.filter(pc.fill_null(pc.match_substring_regex(core, r"^[+-]?\d+$"), False))
        if len(open_) == 0 or len(plain) == 0:
            continue
        small = np.abs(plain.cast(pa.float64()).to_numpy())
        large = np.abs(pc.replace_substring(open_, ",", "").cast(pa.float64()).to_numpy())
        spreads = [np.log(np.concatenate([small[small > 0], large / part])).std() for part in (1, 1000)]
        votes.append(bool(small.max() < 1000 and spreads[0] < spreads[1]))
    return bool(votes) and all(votes)


def _as(what: str, spot: Spot, mark: str) -> str:
    """``decimal commas ('8,3' is 8.3)``."""
    bare = re.sub(rf"[{OTHER[mark]}{BLANKS}]", "", spot.text).replace(",", ".")
    return f"{what} ({shown(spot.text)} is {bare})"
