"""Records in JSON: ``.jsonl`` and ``.ndjson``, one on each line, and ``.json``, so or all in one list.

A key is a column; a record that lacks it has a gap there. What a value is, is settled as it is of every other table: a
list is so many columns, a text may be a date. Records within records are set aside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from isthmus.data.files import LARGEST_TEXT, content, fits, honest, parsing, stranger
from isthmus.data.table import is_text, several_types, table
from isthmus.data.text_table import BYTE_ORDER_MARK, MOST_COLUMNS, encoded, utf8
from isthmus.data.unchecked import Unchecked
from isthmus.data.wording import brief, place, shown
from isthmus.errors import BadInput

ENDS = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json", ".json.gz")
"""Ends of names of such files."""
PIECE = 1 << 22
"""Bytes of lines that are read at a time."""
LONGEST = 1 << 26
"""Bytes in which a record ends."""
LARGEST_LIST = 256 << 20
"""Bytes of one list, all of which is in memory as Python's own at once."""
FORM = "records in JSON"
REMEDY = "pandas: frame.to_json(FILE, orient='records', lines=True)"


def records(path: Path, label: str | None) -> Unchecked:
    """The table that the records of a file make."""
    where = place(path)
    if what := stranger(path):
        raise BadInput(f"{where}: no records in JSON, but {what}")
    data, told = utf8(where, content(path, LARGEST_TEXT))
    whole = _joined(where, list(_parts(where, data)))
    whole_columns(where, whole.num_rows, whole.schema)
    made = table(where, whole.column_names, whole.columns, lambda i: f"record {i + 1}", label)
    return made._replace(told=(*told, *made.told))


def pieces(where: str, stream: IO[bytes], most: int = LARGEST_LIST) -> Iterator[pa.Table]:
    """The records of a stream, some at a time; those of one list at once, which has at most ``most`` bytes. One table
    without rows if there are none."""
    data = stream.read(PIECE)
    encoding, _ = encoded(where, data)
    held, began, lines, listed = b"", 0, 0, None
    while True:
        last = not data
        held += encoding(data, final=last)
        if listed is None and held.strip():
            listed = _listed(held)
        if listed:
            if len(held) > most:
                raise _long(where, most)
            at = len(held) if last else 0
        else:
            at = len(held) if last else held.rfind(b"\n") + 1
            if not at and len(held) > LONGEST:
                raise BadInput(f"{where}: a record of more than {LONGEST:,} bytes; is there one on each line?")
        if at or last:
            found = _list(where, held) if listed else _lines(where, held[:at], lines)
            if found or (last and not began):
                yield _table(where, found, began)
            began, lines, held = began + len(found), lines + held.count(b"\n", 0, at), held[at:]
        if last:
            return
        data = stream.read(PIECE)


def begins(first: bytes) -> bool:
    """Whether a text begins as records do, by its first bytes."""
    return first.removeprefix(BYTE_ORDER_MARK).lstrip()[:1] in (b"{", b"[")


def _parts(where: str, data: bytes) -> Iterator[pa.Table]:
    """The records of a text in UTF-8, some at a time."""
    if _listed(data):
        if len(data) > LARGEST_LIST:
            raise _long(where, LARGEST_LIST)
        yield _table(where, _list(where, data), 0)
        return
    began = lines = at = 0
    while at < len(data):
        end = data.find(b"\n", at + PIECE) + 1 or len(data)
        found = _lines(where, data[at:end], lines)
        yield _table(where, found, began)
        began, lines, at = began + len(found), lines + data.count(b"\n", at, end), end


def _listed(data: bytes) -> bool:
    return data.removeprefix(BYTE_ORDER_MARK)[:4096].lstrip().startswith(b"[")


def _long(where: str, most: int) -> BadInput:
    return BadInput(f"{where}: one list of more than {most:,} bytes; write one record on each line ({REMEDY})")


def _list(where: str, data: bytes) -> list[dict[str, Any]]:
    found = _parsed(where, "", data.removeprefix(BYTE_ORDER_MARK))
    for i, one in enumerate(found):
        if not isinstance(one, dict):
            raise BadInput(
                f"{where}: entry {i + 1} of the list is {_what(one)}; expected a record like {{...}} ({REMEDY})"
            )
    return list(found)


def _lines(where: str, data: bytes, above: int) -> list[dict[str, Any]]:
    """One record for each line that is not empty; ``above`` are so many lines."""
    found = []
    for i, line in enumerate(data.removeprefix(BYTE_ORDER_MARK).split(b"\n"), above + 1):
        if line.strip():
            one = _parsed(where, f"line {i}: ", line)
            if not isinstance(one, dict):
                raise BadInput(f"{where}: line {i}: {_what(one)}; expected a record like {{...}} ({REMEDY})")
            found.append(one)
    return found


def _what(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", type(None): "null", dict: "a record"}
    return kinds.get(type(value), "a number")


def _parsed(where: str, line: str, text: bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_record)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else brief(error)
        raise BadInput(
            f"{where}: {line}can't be read as JSON ({reason}); expected one record on each line, or a list of records "
            f"({REMEDY})"
        ) from None


def _record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for i, (name, _) in enumerate(pairs) if name in dict(pairs[:i]))
        raise ValueError(f"the key {shown(twice)} stands twice in a record")
    return found


def _table(where: str, found: Sequence[dict[str, Any]], began: int) -> pa.Table:
    """Records as columns; what they come to is known before memory is taken."""
    names = list(dict.fromkeys(name for one in found for name in one))
    if len(names) > MOST_COLUMNS:
        raise _many(where, len(names))
    size = 8 * len(names) * len(found)
    fits(where, size)
    honest(where, 8 * sum(map(len, found)), size, "write it as Parquet")
    with parsing(where, FORM):
        return pa.table({name: _column(where, name, [one.get(name) for one in found], began) for name in names})


def _column(where: str, name: str, values: list[Any], began: int) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)  # NaN is a gap, among texts too
    except OverflowError:  # whole numbers beyond 64 bits are names of something
        if all(value is None or type(value) is int for value in values):
            return pa.array([None if value is None else str(value) for value in values])
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    raise BadInput(several_types(where, lambda i: f"record {began + i + 1}", name, values))


def _joined(where: str, parts: Sequence[pa.Table]) -> pa.Table:
    """Tables one below the other."""
    types = Types(where)
    for part in parts:
        types.add(part)
    fits(where, 8 * len(types.schema) * types.rows)
    with parsing(where, FORM):
        return pa.concat_tables(parts, promote_options="permissive")


class Types:
    """The columns of records that come some at a time: whole numbers of some are fractions where others are so."""

    def __init__(self, where: str) -> None:
        self.where, self.rows, self.schema = where, 0, pa.schema([])

    def add(self, part: pa.Table) -> None:
        """Some records more."""
        for one in part.schema:
            earlier = self.schema.field(one.name).type if one.name in self.schema.names else pa.null()
            if is_text(earlier) != is_text(one.type) and not {pa.null()} & {earlier, one.type}:
                raise BadInput(
                    f"{self.where}: column {shown(one.name)} holds {earlier} up to record {self.rows}, and {one.type} "
                    "after it; make all texts, or drop this column"
                )
        self.rows += part.num_rows
        with parsing(self.where, FORM):
            self.schema = pa.unify_schemas([self.schema, part.schema], promote_options="permissive")
        if len(self.schema) > MOST_COLUMNS:
            raise _many(self.where, len(self.schema))

    def put(self, part: pa.Table) -> pa.Table:
        """Records as columns of all records have them."""
        with parsing(self.where, FORM):
            return pa.concat_tables([self.schema.empty_table(), part], promote_options="permissive")


def whole_columns(where: str, rows: int, schema: pa.Schema) -> None:
    """Refuse one record that holds a list for each column."""
    if rows == 1 and all(map(pa.types.is_nested, schema.types)):
        raise BadInput(f"{where}: one record that holds whole columns; write one record for each row ({REMEDY})")


def _many(where: str, names: int) -> BadInput:
    return BadInput(f"{where}: {names:,} different keys; a table may have {MOST_COLUMNS:,} columns")
