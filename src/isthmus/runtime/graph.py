"""A graph, and rows in the forms in which people have them."""

from __future__ import annotations

import datetime
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.runtime import protobuf

ABOUT = "isthmus"
"""The name under which a graph tells of its columns."""
LARGEST = 1 << 31
"""Bytes of a file; protocol buffers end there."""
AT_ONCE = 1024
"""Rows of one run: distances of more to the places of a score do not fit into a processor's cache."""
FAR = float(np.finfo(np.float32).max)
"""Numbers beyond have no place in a network of 32 bits."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"^(-?(?:0|[1-9]\d*))\.0+$", re.ASCII)
"""A whole number as frames write it where a column has gaps: ``3.0``."""
DIGITS = b"0123456789+-.eE\n"
"""Characters of which float() reads what NUMBER does, and nothing else: no underscores, words or other digits."""
DATES = re.compile(r"(?:(?:\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d:\d\d)?)?\n)*", re.ASCII)
MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d([ T]([01]\d|2[0-3])(:\d\d(:\d\d(\.\d{1,6})?)?)?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII
)
"""What isthmus reads as a moment too; datetime reads weeks and days without dashes besides."""
UTC = datetime.UTC


class Refused(ValueError):
    """A graph or rows that are not usable as given. The message says what was expected, what came, and what to do."""


def load(path: str | os.PathLike[str], threads: int | None = None) -> Graph:
    """A graph from the file that ``isthmus export`` wrote.

    Parameters
    ----------
    path : path
    threads : int, optional
        Threads of one run, 1 or more; by default one for each core.

    Raises
    ------
    Refused
        If the file is not such a graph, or brings more than ONNX's own operations.
    """
    place = Path(path)
    try:
        if place.stat().st_size > LARGEST:
            raise Refused(f"{place}: larger than 2 GiB, no ONNX file; give the file that isthmus export wrote")
        content = place.read_bytes()
    except OSError as error:
        raise Refused(f"{place}: {error.strerror}; give the file that isthmus export wrote") from None
    return Graph(content, str(place), threads)


class Graph:
    """A model that was exported; rows in, arrays out.

    Parameters
    ----------
    content : bytes
        Of the file.
    place : str, default "graph"
        Its name in messages.
    threads : int, optional
        Threads of one run, 1 or more; by default one for each core.

    Attributes
    ----------
    columns : tuple of str
        What rows must have, in order; none where a row is an array without names.
    outputs : tuple of str
        ``code`` (N, L), ``score`` (N,) and, where the model was exported with a threshold, ``p_value`` (N,) and
        ``anomaly`` (N,).
    shape : tuple of int
        Of a row.
    """

    def __init__(self, content: bytes, place: str = "graph", threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ImportError("running a graph needs onnxruntime: pip install 'isthmus[runtime]'") from None
        if threads is not None and threads < 1:
            raise Refused(f"threads must be 1 or more; got {threads}")
        remedy = "give the file that isthmus export wrote"
        if (fault := protobuf.fault(content)) is not None:
            raise Refused(f"{place}: {fault}; {remedy}")
        if not protobuf.whole(content):
            raise Refused(f"{place}: changed since it was written, or not by isthmus export; export the model again")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # blocks are short: waiting would cost
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            about = json.loads(self._session.get_modelmeta().custom_metadata_map[ABOUT])
            self._columns = [dict(column) for column in about["columns"]]
            self.shape, self._table = tuple(int(n) for n in about["shape"]), bool(about["table"])
            self._counts, self._flags = bool(about.get("counts")), dict[str, float]()
            for value, words in enumerate(about.get("flags", ())):
                self._flags |= dict.fromkeys(map(str, words), float(value))
            self._missing, self._dashes = frozenset(about["missing"]), frozenset(about["dashes"])
            self.columns = tuple(str(column["name"]) for column in self._columns)
            inputs = {one.name for one in self._session.get_inputs()}
            wanted = {str(column["input"]) for column in self._columns} if self._table else {"rows"}
        except Exception as error:  # onnxruntime has errors of a dozen types
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise Refused(f"{place}: no graph that can be run ({first:.200}); {remedy}") from None
        if inputs != wanted:
            raise Refused(f"{place}: its inputs are not the columns that it tells of; {remedy}")
        self._place = place
        self.outputs = tuple(one.name for one in self._session.get_outputs())

    def run(self, rows: Any, outputs: Sequence[str] | None = None, first: int = 0) -> dict[str, NDArray[Any]]:
        """What the graph makes of rows.

        Parameters
        ----------
        rows : mapping of columns, frame, or array (N, *D)
            Columns by name, in any order; others are left out. Numbers may be texts, dates texts such as 2024-01-31 or
            numbers of numpy's own; a gap is None, NaN or an empty text.
        outputs : sequence of str, optional
            By default all of ``self.outputs``.
        first : int, default 0
            The number of the first row less one, in messages.

        Raises
        ------
        Refused
            If a column is not there, or a cell is not of its kind.
        """
        wanted = list(self.outputs if outputs is None else outputs)
        if unknown := [name for name in wanted if name not in self.outputs]:
            raise Refused(f"the graph has no output {unknown[0]!r}; it has {', '.join(self.outputs)}")
        fed = self._fed(rows, first)
        count = len(next(iter(fed.values())))
        if not count:  # onnxruntime before 1.20 divides by the number of rows
            fed = {
                name: np.full((1, *cells.shape[1:]), "" if cells.dtype == object else 0.0, cells.dtype)
                for name, cells in fed.items()
            }
        try:
            parts = [
                self._session.run(wanted, {name: cells[at : at + AT_ONCE] for name, cells in fed.items()})
                for at in range(0, max(count, 1), AT_ONCE)
            ]
        except Exception as error:
            said = str(error).strip().splitlines()[0]
            raise Refused(f"{self._place}: the graph cannot be run ({said:.200}); export the model again") from None
        found = [one[0] if len(one) == 1 else np.concatenate(one) for one in zip(*parts, strict=True)]
        return {name: one[:count] for name, one in zip(wanted, found, strict=True)}

    def _fed(self, rows: Any, first: int) -> dict[str, NDArray[Any]]:
        names = getattr(rows, "column_names", None) or getattr(rows, "columns", None)
        names = rows.keys() if isinstance(rows, Mapping) else names
        if names is None:
            if self._table:
                raise Refused(
                    f"expected columns by name ({', '.join(self.columns[:5])}{', ...' * (len(self.columns) > 5)}); got "
                    f"{'an array' if isinstance(rows, np.ndarray) else type(rows).__name__}"
                )
            return {"rows": self._array(rows, first)}
        if not self.columns:
            raise Refused(f"expected an array of rows of shape {self.shape}; got columns by name")
        if absent := [name for name in self.columns if name not in set(names)]:
            raise Refused(f"no column {absent[0]!r}; the columns needed are {', '.join(self.columns)}")
        given = {column["input"]: self._cells(column, rows[column["name"]], first) for column in self._columns}
        if self._table:
            return given
        return {"rows": self._array(np.column_stack([*given.values()]).reshape(-1, *self.shape), first)}

    def _array(self, rows: Any, first: int) -> NDArray[np.float64]:
        found = np.asarray(rows)
        if found.dtype.kind not in "biuf" or found.shape[1:] != self.shape:
            raise Refused(f"rows must be numbers of shape {self.shape}; got {found.dtype} of shape {found.shape[1:]}")
        out = found.astype(np.float64)
        if not (good := (np.abs(out) <= FAR).all(axis=tuple(range(1, out.ndim)))).all():
            raise Refused(
                f"row {first + int(np.argmin(good)) + 1}: a value is missing, infinite or beyond 3.4e38; fill it in"
            )
        if self._counts and not (good := ((out >= 0) & (out == np.floor(out))).all(axis=1)).all():
            at = int(np.argmin(good))
            odd = out[at][(out[at] < 0) | (out[at] != np.floor(out[at]))][0]
            raise Refused(f"row {first + at + 1}: {odd:.6g} is no count; give whole numbers of 0 or more")
        return out

    def _cells(self, column: Mapping[str, Any], cells: Any, first: int) -> NDArray[Any]:
        out = self._read(column, cells, first)
        if not column["text"] and column["kind"] in ("flag", "count"):
            flag = column["kind"] == "flag"
            with np.errstate(invalid="ignore"):
                good = np.isnan(out) | ((out == 0) | (out == 1) if flag else (out >= 0) & (out == np.floor(out)))
            if not good.all():
                at, kind = int(np.argmin(good)), "flag, which is 0 or 1" if flag else "count, a whole number, 0 or more"
                raise Refused(f"row {first + at + 1}, column {column['name']!r}: {out[at]:g} is no {kind}; correct it")
        return out

    def _read(self, column: Mapping[str, Any], cells: Any, first: int) -> NDArray[Any]:
        mark = column.get("mark", ".")
        cells = self._pointed(column["name"], cells, first) if mark == "," else cells
        if (texts := _texts(cells)) is not None and (found := self._at_once(column, texts)) is not None:
            return found
        values = np.asarray(cells)
        if column["text"]:
            return np.array([self._text(value, column) for value in values.tolist()], dtype=object)
        if column["kind"] == "date" and values.dtype.kind == "M":
            moments = values.astype("datetime64[us]")
            return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e6)
        if values.dtype.kind in "biuf":
            out = values.astype(np.float64)
            if column["kind"] == "date" and not np.isnan(out).all():
                raise Refused(f"column {column['name']!r} holds numbers, where training had dates; write 2024-01-31")
        else:
            read = {"date": self._moment, "flag": self._flag}.get(column["kind"], self._number)
            out = np.empty(len(values))
            for k, value in enumerate(values.tolist()):
                try:
                    out[k] = read(value)
                except ValueError:
                    kind = "date; write 2024-01-31" if column["kind"] == "date" else f"number; write it as 1234{mark}5"
                    raise Refused(
                        f"row {first + k + 1}, column {column['name']!r}: {value!r:.60} is no {kind}"
                    ) from None
        if not (good := ~(np.abs(out) > FAR)).all():
            at = int(np.argmin(good))
            said = "the value is infinite" if np.isinf(out[at]) else f"{out[at]:g} is beyond 32-bit floats (3.4e38)"
            raise Refused(f"row {first + at + 1}, column {column['name']!r}: {said}")
        return out

    def _pointed(self, name: str, cells: Any, first: int) -> Any:
        """Texts of a column that had decimal commas in training, with points; a point there may part thousands."""
        values = cells if isinstance(cells, list) else np.asarray(cells)
        if isinstance(values, np.ndarray) and values.dtype.kind in "biufM":
            return cells
        gone, found = self._missing | self._dashes, [*values]
        for k, value in enumerate(found):
            if not isinstance(value, str):
                continue
            text = "" if value.strip() in gone else value
            if "." in text:
                raise Refused(
                    f"row {first + k + 1}, column {name!r}: {value!r:.60} has a point, and training had decimal "
                    "commas; write 1234,5, or give numbers that are no texts"
                )
            found[k] = text.replace(",", ".")
        return found

    def _at_once(self, column: Mapping[str, Any], texts: list[str]) -> NDArray[Any] | None:
        """The cells of a column of texts; None where one must be looked at by itself."""
        if column["text"]:
            known = {text: self._text(text, column) for text in {*texts}}
            return np.array([*map(known.__getitem__, texts)], dtype=object)
        read, gone = (_moments, self._missing) if column["kind"] == "date" else (_numbers, self._missing | self._dashes)
        found = read(texts)
        if found is None:  # other gaps than empty texts, or spaces
            found = read(["" if (text := cell.strip()) in gone else text for cell in texts])
        return None if found is None or (np.abs(found) > FAR).any() else found

    def _text(self, value: Any, column: Mapping[str, Any]) -> str:
        """A cell without the blanks around it, but for texts that the model knows as they are ``written``; of the
        ``codes`` that it knows the one that is meant."""
        if isinstance(value, str) and value in column.get("written", ()):
            return value
        if isinstance(value, bool | float):  # as isthmus spells them: true, and 3 rather than 3.0
            value = str(value).lower() if isinstance(value, bool) else int(value) if value.is_integer() else value
        text = "" if value is None else str(value).strip()  # nan, NaT and <NA> are among what is missing
        known: Mapping[str, str] = column.get("codes", {})
        return "" if text in self._missing else known.get(text, known.get(WHOLE.sub(r"\1", text), text))

    def _flag(self, value: Any) -> float:
        known = self._flags.get(value.strip().lower()) if isinstance(value, str) else None
        return self._number(value) if known is None else known

    def _number(self, value: Any) -> float:
        if value is None or isinstance(value, bool | int | float):
            return np.nan if value is None else float(value)
        text = str(value).strip()
        if text in self._missing or text in self._dashes:
            return np.nan
        if NUMBER.fullmatch(text) is None:
            raise ValueError(text)
        return float(text)

    def _moment(self, value: Any) -> float:
        if not (text := self._text(value, {})):
            return np.nan
        if not isinstance(value, datetime.date):
            if MOMENT.fullmatch(text) is None:
                raise ValueError(text)
            value = datetime.datetime.fromisoformat(text)
        if not isinstance(value, datetime.datetime):
            value = datetime.datetime(value.year, value.month, value.day)
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def _texts(cells: Any) -> list[str] | None:
    """A column of texts, gaps being empty ones; None where something else is in it."""
    if not isinstance(cells, list):
        if (values := np.asarray(cells)).dtype != object:
            return None
        cells = values.tolist()
    if not (kinds := {*map(type, cells)}) <= {str, float, type(None)} or not kinds:
        return None
    if kinds == {str}:
        return cells
    if not all(math.isnan(cell) for cell in cells if isinstance(cell, float)):
        return None
    return [cell if isinstance(cell, str) else "" for cell in cells]


def _numbers(texts: list[str]) -> NDArray[Any] | None:
    """Numbers of plain digits, and gaps; None where there is anything else."""
    if "\n".join(texts).encode().translate(None, DIGITS):
        return None
    try:
        return np.array([float(text or "nan") for text in texts])
    except ValueError:
        return None


def _moments(texts: list[str]) -> NDArray[Any] | None:
    """Seconds since 1970 of dates such as 2024-01-31, with or without a time, and gaps; None where there is another."""
    if DATES.fullmatch("\n".join([*texts, ""])) is None:
        return None
    try:
        moments = np.array([text or "NaT" for text in texts], "datetime64[us]")
    except ValueError:
        return None
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e6)
