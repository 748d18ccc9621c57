"""Text tables: ``.csv`` and ``.tsv``, plain or gzipped."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from isthmus.data import heading
from isthmus.data.dataset import element_names
from isthmus.data.fields import Field
from isthmus.data.fields.field import DECIMAL_MARKS, MEASURED
from isthmus.data.files import LARGEST_TEXT, content, fits, parsing, stranger
from isthmus.data.numbers import WHOLE, spelled, too_fine
from isthmus.data.table import named, table
from isthmus.data.unchecked import Unchecked
from isthmus.data.wording import place, shown
from isthmus.data.written import MISSING, OTHER, decimal, looks, marked, numbers, seen, units
from isthmus.errors import BadInput

SEPARATORS = ",;\t|"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLOCK = 1 << 22
"""Bytes that are parsed at a time: several times faster than all at once; a line has to fit, however wide."""
MOST_COLUMNS = 100_000
MARKS = {b"\xff\xfe\0\0": "utf-32-le", b"\0\0\xfe\xff": "utf-32-be", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
"""Byte order marks and what they mean; the longer ones first, which begin like shorter ones."""
BREAK = re.compile(rb"[\r\n]+")
STRANGE = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\x81\x8d\x8f\x90\x9d]")
"""Bytes that stand in no text in Windows-1252."""
MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
"""A letter of several bytes in UTF-8."""
SEPARATOR_LINE = re.compile(r'"?sep=([^"\w\s]|\t|\\t)"?[,;\t]*', re.IGNORECASE)
"""What Excel writes and reads above the names."""
LONGEST_HEADER = 1 << 26
"""Bytes in which the line of names ends."""
SAMPLE, LINES = 1 << 16, 50
"""Bytes and lines of rows that are looked at to understand the line of names."""


class Marks(NamedTuple):
    """The decimal marks that are known of a text table before it is read; an empty one is not."""

    own: Mapping[str, str] = MappingProxyType({})
    """Of columns that a model was trained on."""
    rest: str = ""
    """Of all others."""

    @classmethod
    def of(cls, known: Sequence[Field]) -> Marks:
        """Those of columns that a model was trained on."""
        return cls({field.name: field.habit for field in known if field.habit in DECIMAL_MARKS})

    def of_column(self, name: str) -> str:
        """That of one column."""
        return self.own.get(name, self.rest)


class Opened(NamedTuple):
    """A text table whose first lines are understood."""

    where: str
    """Head of every message."""
    data: bytes
    """The whole text, in UTF-8."""
    names: list[str]
    separator: str
    start: int
    """Where the names begin."""
    head: int
    """Where the line of names ends and the rows begin; where it begins, if the first line is a row."""
    comments: int = 0
    """Lines above the names that only comment."""
    told: tuple[str, ...] = ()
    """What was inferred to read the letters, and the names."""
    before: int = 0
    """Lines of the file between the line of names and the first row here, where this is a piece of a file."""


def text_table(path: Path, label: str | None, known: Sequence[Field] = ()) -> Unchecked:
    """A table of text whose first line names the columns, or is a row (:mod:`isthmus.data.heading`); what parts most of
    its cells is the separator. ``known`` are the columns that a model was trained on, meant as they were there."""
    found = _opened(path, label)
    names, words = found.names, _Lines(found)
    texts = [name for name in names if name == label or name in exact(known)]
    cells, comments = parsed(found, texts)
    cells, told, _, habits = _people(found, cells, texts, Marks.of(known))
    parted(found, cells)
    cells = _codes(found, cells, label)
    _apart_from_float64(found, cells)
    if comments:
        told = (f"{comments} line{'s' * (comments > 1)} of comment (#) left out", *told)
    if len(names) == 1 and (count := empty_lines(found)):
        told = (f'{count:,} empty line{"s" * (count > 1)} left out, which are no rows (a gap is written as "")', *told)
    told = (*found.told, *told)
    made = table(found.where, names, cells, words, label)
    return made._replace(told=((f"read with {'; '.join(told)}",) if told else ()) + made.told, habits=habits)


def pieces_of(where: str, path: Path, text: bytes) -> Opened:
    """The beginning of a text table, in UTF-8, whose rest is still to come."""
    found = _header(where, path, text)
    named(where, found.names, None)
    if len(found.names) > MOST_COLUMNS:
        raise BadInput(f"{where}: {len(found.names):,} columns; text tables may have {MOST_COLUMNS:,}; save it as .npy")
    return found


def opened_piece(found: Opened, texts: Sequence[str], marks: Marks) -> tuple[pa.Table, Marks]:
    """The columns of a piece, those in ``texts`` as they are spelled, and the decimal marks, kept for later pieces."""
    if not found.data[found.head :].strip():
        return pa.table({name: pa.array([], pa.string()) for name in found.names}), marks
    cells, _, mark, _ = _people(found, parsed(found, texts)[0], texts, marks)
    return pa.table(cells, names=found.names), marks._replace(rest=marks.rest or mark)


def exact(known: Sequence[Field]) -> set[str]:
    """Which columns that a model was trained on are to be read as they are spelled, for numbers lose how."""
    return {one.name for one in known if (one.values or one.kind not in MEASURED) and one.habit not in DECIMAL_MARKS}


def changed(known: Sequence[Field]) -> list[str]:
    """Columns with a value that a number would lose: ``01``, or ``1,5``."""
    return [one.name for one in known if one.habit not in DECIMAL_MARKS and any(map(_lost, one.values))]


def _lost(value: str) -> bool:
    number = spelled(value)
    if number is None:
        return bool(looks(pa.array([value]))[0])
    return value != f"{int(number) if number == int(number) else number}"


def encoded(where: str, first: bytes) -> tuple[Callable[..., bytes], tuple[str, ...]]:
    """What turns pieces of a text into UTF-8, told by its first bytes, and how it is read, in words; a piece may end
    within a letter."""
    name = next((name for mark, name in MARKS.items() if first.startswith(mark)), "")
    told: tuple[str, ...] = ()
    skipped = next((len(mark) for mark in MARKS if first.startswith(mark)), 0)
    if not name:
        whole = first[: first.rfind(b"\n") + 1] if b"\0" not in first else first[: len(first) // 4 * 4]
        _, told = utf8(where, whole)
        if told:
            name = "cp1252" if "1252" in told[0] else "utf-16-be" if first[:1] == b"\0" else "utf-16-le"
    if not name:
        return lambda data, final: data, ()  # Arrow says which cell is no UTF-8
    decoder, left = codecs.getincrementaldecoder(name)(), [skipped]

    def turn(data: bytes, final: bool) -> bytes:
        data, left[0] = data[left[0] :], 0
        try:
            return decoder.decode(data, final).encode()
        except UnicodeDecodeError:
            raise BadInput(f"{where}: begins as {name} text, which it is not; save the file as UTF-8") from None

    return turn, told


def empty_lines(found: Opened) -> int:
    """Empty lines between rows, which may be gaps where there is one column: others have separators in each row."""
    body = found.data[found.head :].strip(b"\r\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return 0 if b'"' in body else body.count(b"\n\n")


def spelled_table(path: Path) -> tuple[pa.Table, str]:
    """The same table with every cell as it is spelled, and its separator."""
    found = _opened(path, None)
    return pa.table(parsed(found, found.names)[0], names=found.names), found.separator


class _Read(NamedTuple):
    """Columns, with those read that only people can read (:mod:`isthmus.data.written`)."""

    cells: list[pa.ChunkedArray]
    told: tuple[str, ...]
    """What was inferred."""
    mark: str
    """The decimal mark of columns of which it was not known; empty where no cell has one."""
    habits: Mapping[str, str]
    """The same of each column, where cells that only people can read have one."""


def _people(found: Opened, cells: list[pa.ChunkedArray], texts: Sequence[str], marks: Marks) -> _Read:
    """The columns of a table, of which those in ``texts`` are as they are spelled and stay so."""
    place, words = {name: j for j, name in enumerate(found.names) if name not in texts}, _Lines(found)
    looked = {name: seen(cells[j]) for name, j in place.items() if _textual(cells[j])}
    odd = {name: column for name, column in looked.items() if column is not None}
    floats = [name for name, j in place.items() if pa.types.is_floating(cells[j].type)]
    if not odd and not any(marks.of_column(name) == "," for name in floats):
        return _Read(cells, (), "." if any(not marks.of_column(name) for name in floats) else "", {})
    again = dict(zip(found.names, parsed(found, [*floats, *texts])[0], strict=True)) if floats else {}
    plain = {name: column for name in floats if (column := seen(again[name])) is not None}
    mark, told, read = "", list[str](), dict[str, Any]()
    for known in ("", *OTHER):
        own = {name: column for name, column in (odd | plain).items() if marks.of_column(name) == known}
        if not own:
            continue
        used, how = decimal(own, lambda spot: f"{found.where}: {words(spot.row)}, column {shown(spot.column)}", known)
        mark, told = mark if known else marked(own, used), [*told, *how]
        read |= {name: numbers(column, used) for name, column in own.items() if name in odd or used == ","}
    changed = [
        cells[j] if read.get(name) is None else pa.chunked_array([pa.array(read[name], from_pandas=True)])
        for j, name in enumerate(found.names)
    ]
    return _Read(changed, (*told, *units(odd)), mark, dict.fromkeys(place, mark) if mark else {})


def _codes(found: Opened, cells: list[pa.ChunkedArray], label: str | None) -> list[pa.ChunkedArray]:
    """The columns, with those as texts whose whole numbers have zeros in front (``007``), which numbers would lose."""
    whole = [
        name
        for name, column in zip(found.names, cells, strict=True)
        if name != label and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
    ]
    mark = re.escape(found.separator.encode())
    if not whole or not re.compile(rb"(?:^|[\n\r\" ]|" + mark + rb")0[0-9]").search(found.data, found.head):
        return cells
    again = dict(zip(found.names, parsed(found, whole)[0], strict=True))
    zeros = {name for name in whole if all(zeros_in_front(again[name]))}
    return [again[name] if name in zeros else column for name, column in zip(found.names, cells, strict=True)]


def zeros_in_front(texts: pa.ChunkedArray) -> tuple[bool, bool]:
    """Whether a cell is a whole number with zeros in front, and whether all that are there are whole numbers."""
    texts = pc.utf8_trim_whitespace(texts)
    texts = texts.filter(pc.invert(pc.is_in(texts, pa.array(MISSING))))
    zeros = pc.any(pc.match_substring_regex(texts, r"^0[0-9]+$")).as_py()
    return bool(zeros), pc.all(pc.match_substring_regex(texts, r"^[0-9]+$")).as_py() is not False


def parted(found: Opened, cells: list[pa.ChunkedArray]) -> None:
    """Refuse one column of text whose cells are parted by blanks, as its names are, or into one more as R does it."""
    if len(cells) != 1 or not _textual(cells[0]):
        return
    names = len(found.names[0].split())
    counts = {len(text.split()) for text in cells[0][:LINES].to_pylist() if text}
    if names > 1 and len(counts) == 1 and counts <= {names, names + 1}:
        raise BadInput(
            f"{found.where}: the cells seem to be separated by spaces ({shown(found.names[0])}); separate them by "
            "commas or tabs"
        )


def _textual(cells: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(cells.type))


def _apart_from_float64(found: Opened, cells: list[pa.ChunkedArray]) -> None:
    """Refuse a column of whole numbers that differ, and are one number in 64-bit floats."""
    wide = []
    for name, column in zip(found.names, cells, strict=True):
        if pa.types.is_floating(column.type):
            low, high = pc.min_max(column).as_py().values()
            wide += [name] * (low is not None and low == high and WHOLE <= abs(low) < math.inf)
    if not wide:
        return
    again = dict(zip(found.names, parsed(found, wide)[0], strict=True))
    for name in wide:
        values = [Decimal(text) for text in pc.unique(again[name]).to_pylist() if spelled(text) is not None]
        if values and min(values) != max(values):
            raise BadInput(too_fine(found.where, name, min(values), max(values)))


def _opened(path: Path, label: str | None) -> Opened:
    """The text, and what its first lines say."""
    where = place(path)
    if what := stranger(path):
        raise BadInput(f"{where}: no text table, but {what}")
    given = content(path, LARGEST_TEXT)
    data, told = utf8(where, given)
    found = _header(where, path, data)
    found = found._replace(told=(*told, *found.told))
    if data is given and not is_utf8(data):
        raise _foreign(where, data, found)
    named(where, found.names, label)
    if len(found.names) > MOST_COLUMNS:
        raise BadInput(f"{where}: {len(found.names):,} columns; text tables may have {MOST_COLUMNS:,}; save it as .npy")
    if not re.compile(rb"\S").search(data, found.head):
        raise BadInput(f"{where}: no rows below the header line; give a file with rows")
    fits(where, 8 * (data.count(found.separator.encode()) + data.count(b"\n")))
    return found


def utf8(where: str, data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The text in UTF-8, from whatever its byte order mark says it is in, or its bytes make plain; and how it was read,
    in words. Text that may be in several encodings comes as it is."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding).encode(), ()
            except UnicodeDecodeError:
                raise BadInput(
                    f"{where}: begins as {encoding[:6].upper()} text, which it is not; save the file as UTF-8"
                ) from None
    first = data[:400]
    zeros = [len(first) >= 8 and first[i::2].count(0) > 0.9 * len(first[i::2]) for i in (0, 1)]
    if any(zeros):
        try:
            return data.decode("utf-16-be" if zeros[0] else "utf-16-le").encode(), ("text in UTF-16",)
        except UnicodeDecodeError:
            raise BadInput(
                f"{where}: looks like UTF-16 without a byte order mark, and is none; save the file as UTF-8"
            ) from None
    if not data.isascii() and not is_utf8(data) and _western(data):
        return data.decode("cp1252").encode(), ("letters in Windows-1252, because they are not UTF-8",)
    return data, ()


def is_utf8(data: bytes) -> bool:
    """Whether bytes are text in UTF-8, from their first to their last."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), BLOCK):
            decoder.decode(data[start : start + BLOCK], start + BLOCK >= len(data))
    except UnicodeDecodeError:
        return False
    return True


def _western(data: bytes) -> bool:
    """Whether bytes that are not UTF-8 are Windows-1252, which holds Latin-1: letters with accents stand apart there,
    and no two bytes mean a letter of UTF-8, as they do in a damaged file, or are ones that no letter has."""
    if STRANGE.search(data) or MULTIBYTE.search(data):
        return False
    high = np.frombuffer(data, np.uint8) >= 128
    return bool(2 * (high[1:] & high[:-1]).sum() < high.sum())


def _header(where: str, path: Path, data: bytes) -> Opened:
    """Names of the columns, the separator, and where the body begins."""
    given, comments, at = "", 0, len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
    tsv = path.name.lower().removesuffix(".gz").endswith(".tsv")
    while True:
        blank = BREAK.match(data, at)
        start = blank.end() if blank else at
        end, closed = _line_end(data, start)
        try:
            line = data[start:end].decode("utf-8")
        except UnicodeDecodeError:
            raise _foreign(where, data, Opened(where, data, [], given or ",", start, end)) from None
        if "\0" in line:
            raise BadInput(f"{where}: holds binary data, not text; check what the file is")
        if not line.strip():
            raise BadInput(f"{where}: no text in the file; check where it came from")
        if said := SEPARATOR_LINE.fullmatch(line):
            given, at = said[1].replace("\\t", "\t"), end
            continue
        following = _sample(data, end)
        separator = given or ("\t" if tsv else _separator(line, following))
        if line.startswith("#") and not (following and _names_rows(line, following[0], separator)):
            comments, at = comments + 1, end
            continue
        break
    if not closed:
        raise BadInput(f"{where}: a quote in the header line is not closed; close it")
    try:
        names = [name.strip() for name in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error:
        raise BadInput(f"{where}: a column name has more than 131,072 characters; give short names") from None
    if all(len(name) > 1 and name[0] == name[-1] == "'" for name in names):
        raise BadInput(
            f"{where}: cells stand in single quotes ({shown(names[0])}), which are taken for letters; write "
            "double ones, or none"
        )
    row = heading.row(names, [_cells(one, separator) for one in following])
    if row:
        how = f"columns named x0 to x{len(names) - 1}, for the first line is a row as those below it are"
        return Opened(where, data, [*element_names((len(names),))], separator, start, start, comments, (how,))
    if row is None:
        raise BadInput(
            f"{where}: the first line holds numbers ({_beginning(names)}) where column names "
            "are expected, and not as the rows below it do; add a header line above it"
        )
    if _rows_named(names, following, separator):
        names = ["", *names]
    told = (
        (f"the numbers of the first line ({_beginning(names)}) as names of columns",) if heading.numbered(names) else ()
    )
    return Opened(where, data, names, separator, start, end, comments, told)


def _beginning(names: Sequence[str]) -> str:
    return f"{shown(', '.join(names[:3]))[1:-1]}, …"


def _line_end(data: bytes, start: int) -> tuple[int, bool]:
    """Where the line ends that begins at ``start``, line breaks in quotes apart; and whether all quotes close."""
    first = BREAK.search(data, start)
    plain = first.start() if first else len(data)
    quoted = False
    for found in re.compile(rb'["\r\n]').finditer(data, start, start + LONGEST_HEADER):
        if found.group() == b'"':
            quoted = not quoted
        elif not quoted:
            return found.start(), True
    if quoted or len(data) > start + LONGEST_HEADER:
        return plain, not quoted
    return len(data), True


def _sample(data: bytes, start: int) -> list[str]:
    """The first lines below the names, those that only comment apart."""
    text = data[start : start + SAMPLE].decode("utf-8", errors="replace")
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip() and not line.startswith("#")]
    return lines[: -1 if len(data) > start + SAMPLE and len(lines) > 1 else None][:LINES]


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []


def _separator(line: str, following: Sequence[str]) -> str:
    """What parts the names, and the rows into as many cells; else what parts most names."""
    outside = re.sub(r'"[^"]*"', "", line)
    order = sorted(SEPARATORS, key=outside.count, reverse=True)
    good = []
    for separator in order:
        count = len(_cells(line, separator))
        alike = sum(len(_cells(row, separator)) == count for row in following)
        if count > 1 and 2 * alike > len(following):
            good.append(separator)
    decimals = [one for one in good if heading.decimals(_cells(line, one))]
    return (decimals or good or order)[0]


def _names_rows(line: str, row: str, separator: str) -> bool:
    """Whether a line that begins with # names the columns of the row below it, rather than comments on them."""
    cells = _cells(row, separator)
    return len(cells) == len(_cells(line, separator)) > 1 and any(spelled(cell) is not None for cell in cells)


def _rows_named(names: Sequence[str], following: Sequence[str], separator: str) -> bool:
    """Whether rows begin with a name of their own, which R writes without a name above it: all have one cell more than
    there are names, and begin differently. (A separator that ends all lines leaves an empty cell; words above numbers
    are the names, below a title.)"""
    rows = [_cells(line, separator) for line in following]
    if "" in names or len(rows) < 2 or any(len(row) != len(names) + 1 for row in rows):
        return False
    titled = any(
        cell not in MISSING and spelled(cell) is None and all(spelled(row[j]) is not None for row in rows[1:])
        for j, cell in enumerate(rows[0])
    )
    return not titled and len({row[0] for row in rows}) == len(rows) and any(row[-1].strip() for row in rows)


def parsed(
    found: Opened, texts: Sequence[str], kinds: Mapping[str, pa.DataType] | None = None
) -> tuple[list[pa.ChunkedArray], int]:
    """The columns, those in ``texts`` as they are spelled and those in ``kinds`` of the type given, and how many lines
    only comment."""
    # Columns go by position here: their true names may be anything.
    where, position = found.where, {name: str(i) for i, name in enumerate(found.names)}
    types = {**(kinds or {}), **dict.fromkeys(texts, pa.string())}
    comments: list[int] = []

    def stray(row: pacsv.InvalidRow) -> str:
        if not row.text.startswith("#"):
            return "error"
        comments.append(1)
        return "skip"

    try:
        read = pacsv.read_csv(
            pa.BufferReader(_apart(found.data, found.head)),
            read_options=pacsv.ReadOptions(
                column_names=list(position.values()),
                block_size=min(max(BLOCK, 64 * (found.head - found.start)), 2**31 - 1),
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=found.separator,
                newlines_in_values=b'"' in found.data,
                invalid_row_handler=stray if _commented(found) else None,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={position[name]: kind for name, kind in types.items()},
                null_values=list(MISSING),
            ),
        )
    except Exception as error:
        ragged = re.search(r"Expected \d+ columns, got \d+", str(error))
        if ragged:
            raise _ragged(found, ragged.group()) from None
        if "UTF8" in str(error):
            raise _foreign(where, found.data, found) from None
        with parsing(where, "a text table"):
            raise
    return list(read.columns), found.comments + len(comments)


def _commented(found: Opened) -> bool:
    """Whether lines among the rows begin with #. (Rows that are not UTF-8 can't be handed to who would skip them.)"""
    if b"#" not in found.data:  # by far the fastest to ask, and nearly always so
        return False
    if all(found.data.find(end, found.head) < 0 for end in (b"\n#", b"\r#")):  # much faster than a pattern
        return False
    try:
        found.data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _apart(data: bytes, head: int) -> pa.Buffer:
    """The body in memory of Arrow's own. A thread of Arrow's may let go of it late, when Python is already ending; were
    it Python's memory, the process would abort there."""
    body = pa.allocate_buffer(len(data) - head)
    np.frombuffer(body, np.uint8)[:] = np.frombuffer(data, np.uint8, offset=head)
    return body


def _records(found: Opened) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header, each with the number of the line it begins on; slow, for messages only."""
    above = found.data[: found.start].decode("utf-8", errors="replace")
    text = found.data[found.start :].decode("utf-8", errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=found.separator)
    first = 1 + found.before + len(re.findall(r"\r\n|\r|\n", above))
    seen, line, named = 0, first, found.head > found.start
    for record in reader:
        if record:
            seen += 1
            comment = record[0].startswith("#") and len(record) != len(found.names)
            if seen > named and not comment:
                yield line, record
        line = reader.line_num + first


class _Lines:
    """The line on which row i stands, as an editor counts: found only when a message needs it."""

    def __init__(self, found: Opened) -> None:
        self.found = found

    def __call__(self, i: int) -> str:
        try:
            for k, (line, _) in enumerate(_records(self.found)):
                if k == i:
                    return f"line {line}"
        except csv.Error:  # cells longer than the csv module takes
            pass
        return f"row {i + 1}"


def _ragged(found: Opened, said: str) -> BadInput:
    mend = f"correct the line (separator {shown(found.separator)})"
    try:
        if said_once := _titled(found):
            return said_once
        for line, record in _records(found):
            if len(record) != len(found.names):
                return BadInput(
                    f"{found.where}: line {line}: expected {len(found.names)} values as in the first line, got "
                    f"{len(record)}; {mend}"
                )
    except csv.Error:
        pass
    return BadInput(f"{found.where}: {said.lower()} in some line; {mend}")


def _titled(found: Opened) -> BadInput | None:
    """Whether not a row, but the first line is to blame: the rows below it agree on another number of cells."""
    records = [record for _, record in islice(_records(found), LINES)]
    counts = {len(record) for record in records[1:]}
    if len(records) < 3 or len(counts) > 1 or (rows := counts.pop()) == len(found.names):
        return None
    what = f"{len(found.names)} name{'s' * (len(found.names) != 1)}"
    remedy = "take lines of title above the names away" if len(found.names) < rows else "give one name for each column"
    if rows == len(found.names) + 1 and not any(record[-1].strip() for record in records[1:]):
        remedy = f"take the separator ({shown(found.separator)}) at the end of the rows away"
    return BadInput(f"{found.where}: the first line has {what}, and the rows below it have {rows} values; {remedy}")


def _foreign(where: str, data: bytes, found: Opened) -> BadInput:
    """Which cell is not UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
    else:
        return BadInput(f"{where}: holds what is not UTF-8 text; save the file as UTF-8")
    before, after = re.split(rb"\r\n|\r|\n", data[:at]), BREAK.search(data, at)
    line = data[at - len(before[-1]) : after.start() if after else len(data)].decode("utf-8", errors="replace")
    cells = _cells(line, found.separator)
    j = next((j for j, cell in enumerate(cells) if "\ufffd" in cell), 0)
    column = f", column {shown(found.names[j])}" if len(cells) == len(found.names) else ""
    text = shown(cells[j] if cells else line)
    return BadInput(
        f"{where}: line {len(before)}{column}: {text} is neither UTF-8 nor Windows-1252 text; save the file as UTF-8"
    )
