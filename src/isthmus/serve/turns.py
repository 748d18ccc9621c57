"""Requests are read, and answered together by one pass of the model."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from isthmus.data.blocks import Block, table_block, text_blocks
from isthmus.data.fields import Field
from isthmus.data.wording import shown
from isthmus.errors import BadInput
from isthmus.serve.offer import CSV, JSON, beside
from isthmus.ship import calibrate, verbs
from isthmus.ship.deployed import Deployed
from isthmus.ship.verbs import Answer


class Limits(NamedTuple):
    """What a request may take."""

    rows: int = 10_000
    """Rows of one request."""
    bytes: int = 8 << 20
    """Bytes of its body."""
    seconds: float = 30.0
    """Until its body is there."""
    waiting: int = 64
    """Requests that wait for their turn; more are refused, to be sent again."""


class Refused(Exception):
    """A request that is not answered, with the status that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Asked(NamedTuple):
    """What one request asks."""

    verb: str
    body: bytes
    kind: str
    """Its media type: :data:`JSON` or :data:`CSV`."""
    rate: float | None = None
    """False alarms per normal row, for ``flag``; None: as it ships."""


class Told(NamedTuple):
    """What it is told."""

    columns: Mapping[str, Any]
    rows: int
    notes: tuple[str, ...]
    commas: frozenset[str] = frozenset()
    """Columns whose numbers have a decimal comma in text."""


class Turns:
    """A model that answers what waits, all at once, on one thread.

    Examples
    --------
    >>> from isthmus.families import named
    >>> from isthmus.train.fitted import fit
    >>> x = np.random.default_rng(0).normal(size=(60, 3))
    >>> model = Deployed.of(fit(named("pca").set_params(latents=2), x, columns=("a", "b", "c")))
    >>> [told] = Turns(model).answer([Asked("encode", b'{"rows": [{"a": 1, "b": 0, "c": 0}]}', JSON)])
    >>> list(told.columns), told.rows
    (['code0', 'code1'], 1)
    """

    def __init__(self, model: Deployed, limits: Limits | None = None) -> None:
        self.model, self.limits = model, limits or Limits()

    def answer(self, asked: Sequence[Asked]) -> list[Told | Exception]:
        """An answer or a refusal for each request."""
        out: list[Told | Exception] = []
        read: list[tuple[int, Asked, Block]] = []
        for i, one in enumerate(asked):
            try:
                read.append((i, one, self._read(one)))
                out.append(Told({}, 0, ()))
            except (BadInput, Refused) as error:
                out.append(error)
        groups: dict[tuple[str, float | None, bool], list[tuple[int, Asked, Block]]] = {}
        for i, one, block in read:
            groups.setdefault((one.verb, one.rate, block.table is None), []).append((i, one, block))
        for same in groups.values():
            for (i, _, _), told in zip(same, self._together([(one, block) for _, one, block in same]), strict=True):
                out[i] = told
        return out

    def _together(self, same: Sequence[tuple[Asked, Block]]) -> list[Told | Exception]:
        """Answers to requests of one verb: in one pass, or each alone where that cannot be or something is said."""
        if self.model.series is not None and len(same) > 1:  # no window lies across two requests
            return [self._alone(one) for one in same]
        blocks = [block for _, block in same]
        try:
            whole = Block(np.concatenate([block.rows for block in blocks]), blocks[0].table)
            found, notes = self._pass(same[0][0], whole)
        except ValueError as error:  # BadInput too
            if len(same) == 1:
                return [error if isinstance(error, BadInput) else BadInput(str(error))]
            return [self._alone(one) for one in same]
        if notes and len(same) > 1:  # of whose rows is not known
            return [self._alone(one) for one in same]
        ends = np.cumsum([len(block.rows) for block in blocks]).tolist()
        spans = zip([0, *ends], ends, strict=False)
        return [
            Told({name: values[start:end] for name, values in found.columns.items()}, end - start, notes, found.commas)
            for start, end in spans
        ]

    def _alone(self, one: tuple[Asked, Block]) -> Told | Exception:
        return self._together([one])[0]

    def _pass(self, asked: Asked, block: Block) -> tuple[Answer, tuple[str, ...]]:
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            found = self._verb(asked)(block)
        return found, tuple(dict.fromkeys(str(doubt.message) for doubt in doubts))

    def _verb(self, asked: Asked) -> Callable[[Block], Answer]:
        model = self.model
        if asked.verb == "flag":
            own = model.needed()
            rate = own.rate if asked.rate is None else asked.rate
            calibrate.enough(len(own.scores), rate)
            return lambda block: verbs.flag(model, block, own, rate)
        if asked.verb == "score":
            return lambda block: verbs.score(model, block, model.calibration)
        plain = {"encode": verbs.encode, "reconstruct": verbs.reconstruct, "decode": verbs.decode}
        return lambda block: plain[asked.verb](model, block)

    def _read(self, asked: Asked) -> Block:
        fields = verbs.codes(self.model) if asked.verb == "decode" else verbs.wanted(self.model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            block = _csv(asked.body, fields) if asked.kind == CSV else self._json(asked.body, fields)
        few(len(block.rows), self.limits.rows, "rows")
        return block

    def _json(self, body: bytes, fields: Sequence[Field]) -> Block:
        rows = _rows(body)
        few(len(rows), self.limits.rows, "rows")  # before they are laid out
        if not rows:
            raise BadInput('"rows" is empty: send at least one row')
        if all(isinstance(row, dict) for row in rows):
            if not fields:
                raise BadInput("the model does not know names of columns: send each row as a list of numbers")
            return table_block(
                "the request",
                _table(rows, fields, beside(self.model) if fields == verbs.wanted(self.model) else ()),
                fields,
            )
        if self.model.fields and fields == self.model.fields:
            raise BadInput("send each row as an object of column names and values, for columns are of several kinds")
        try:
            numbers = np.asarray(rows, np.float64)
        except (ValueError, TypeError, OverflowError):
            raise BadInput(
                "rows must all be objects of column names and values, or all lists of numbers of one shape"
            ) from None
        if numbers.ndim < 2:
            raise BadInput("a row must be an object of column names and values, or a list of numbers")
        return Block(numbers, None)


def few(count: int, most: int, what: str) -> None:
    """Refuse a request that is too large."""
    if count > most:
        raise Refused(413, f"{count:,} {what}; a request may have {most:,}: send it in parts")


def _rows(body: bytes) -> list[Any]:
    try:
        held = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the body is no JSON ({' '.join(str(error).split())[:120]})") from None
    rows = held.get("rows") if isinstance(held, dict) else held
    if not isinstance(rows, list):
        raise BadInput('expected {"rows": [{"column": value, ...}, ...]}, or a list of such rows')
    return rows


def _table(rows: Sequence[Mapping[str, Any]], fields: Sequence[Field], beside: Sequence[str]) -> pa.Table:
    """The wanted columns of JSON rows, and those that stand ``beside`` them; what is not there is a gap."""
    columns = {}
    for name in (*(field.name for field in fields), *beside):
        cells = [row.get(name) for row in rows]
        if all(name not in row for row in rows):
            raise BadInput(f"no column {shown(name)}, which the model was trained on")
        try:
            columns[name] = pa.array(cells)
        except (pa.ArrowException, OverflowError, UnicodeError):
            raise BadInput(
                f"column {shown(name)}: values of several kinds, or too large; send numbers, texts, true and "
                "false, or null for a gap"
            ) from None
    return pa.table(columns)


def _csv(body: bytes, fields: Sequence[Field]) -> Block:
    if not fields:
        raise BadInput(f"the model does not know names of columns: send rows as {JSON}, each a list of numbers")
    return verbs.together(text_blocks("the request", io.BytesIO(body), fields))
