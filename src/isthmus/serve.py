"""A saved model behind HTTP: rows in a request, answers in the reply.

What waits while the model works is answered together at its next turn, so that many small requests cost one pass of the
network. A turn is as large as what came meanwhile; nobody waits for others to come.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from isthmus.data.blocks import Block, table_block, text_blocks
from isthmus.data.fields import Field
from isthmus.data.wording import shown
from isthmus.errors import BadEnvironment, BadInput, MissingExtra
from isthmus.ship import calibrate, verbs
from isthmus.ship.deployed import Deployed
from isthmus.ship.rivals import Rival
from isthmus.ship.verbs import Answer

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

JSON, CSV = "application/json", "text/csv"
LOCAL = ("127.0.0.1", "localhost", "::1", "[::1]")


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
            Told({name: values[start:end] for name, values in found.columns.items()}, end - start, notes)
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
        _few(len(block.rows), self.limits.rows, "rows")
        return block

    def _json(self, body: bytes, fields: Sequence[Field]) -> Block:
        rows = _rows(body)
        _few(len(rows), self.limits.rows, "rows")  # before they are laid out
        if not rows:
            raise BadInput('"rows" is empty: send at least one row')
        if all(isinstance(row, dict) for row in rows):
            if not fields:
                raise BadInput("the model does not know names of columns: send each row as a list of numbers")
            return table_block(
                "the request",
                _table(rows, fields, _beside(self.model) if fields == verbs.wanted(self.model) else ()),
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


def _few(count: int, most: int, what: str) -> None:
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
    found = list(text_blocks("the request", io.BytesIO(body), fields))
    return Block(np.concatenate([block.rows for block in found]), found[0].table)


class Desk:
    """Takes requests in, and gives them to the model turn by turn."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.waiting = turns, list[tuple[Asked, asyncio.Future[Told]]]()
        self.thread = ThreadPoolExecutor(1, "model")
        self.some: asyncio.Event | None = None

    async def ask(self, asked: Asked) -> Told:
        """The answer, when it is this request's turn."""
        if len(self.waiting) >= self.turns.limits.waiting:
            raise Refused(503, "too many requests wait for an answer: send it again in a moment")
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self.waiting.append((asked, future))
        if self.some is not None:
            self.some.set()
        return await future

    async def run(self) -> None:
        """Answer for ever."""
        loop, self.some = asyncio.get_running_loop(), asyncio.Event()
        while True:
            await self.some.wait()
            self.some.clear()
            turn, self.waiting = self.waiting, []
            if not turn:
                continue
            try:
                told = await loop.run_in_executor(self.thread, self.turns.answer, [asked for asked, _ in turn])
            except Exception as error:  # a fault of ours ends this turn and not the server
                told = [error] * len(turn)
            for (_, future), one in zip(turn, told, strict=True):
                if future.done():  # who asked has gone
                    continue
                if isinstance(one, Exception):
                    future.set_exception(one)
                else:
                    future.set_result(one)


def application(model: Deployed, limits: Limits | None = None, *, hosts: Sequence[str] = ()) -> FastAPI:
    """The web application of a model, for any ASGI server.

    Parameters
    ----------
    model : Deployed
        From :func:`isthmus.ship.artefact.load`.
    limits : Limits, optional
        What a request may take.
    hosts : sequence of str, optional
        Names of this machine that a request may give in its ``Host``; by default any. A web page in the user's browser
        can't reach a server that asks for its own name.

    Raises
    ------
    MissingExtra
        If FastAPI is not there.
    """
    try:
        from fastapi import FastAPI, Request, Response
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise MissingExtra(f"a server needs {error.name}: pip install 'isthmus[serve]'") from None

    known = limits or Limits()
    desk = Desk(Turns(model, known))

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(desk.run())
        yield
        task.cancel()
        desk.thread.shutdown()

    app = FastAPI(title="isthmus", docs_url=None, redoc_url=None, lifespan=life)
    if hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)

    async def reply(verb: str, request: Request) -> Response:
        """The answer, as JSON or as the table that ``Accept`` asks for; or why there is none."""
        try:
            told = await desk.ask(await _asked(verb, request, known))
        except (BadInput, Refused) as error:
            status = error.status if isinstance(error, Refused) else 422
            headers = {"Retry-After": "1"} if status == 503 else {}
            return Response(_dumped({"error": str(error)}), status, headers, JSON)
        if CSV in request.headers.get("accept", ""):
            return Response(_written(told), 200, {}, CSV)
        lists = {name: _plain(values) for name, values in told.columns.items()}
        return Response(_dumped({"rows": told.rows, **lists, "notes": list(told.notes)}), 200, {}, JSON)

    def route(verb: str, summary: str) -> None:
        async def answer(request: Request) -> Response:
            return await reply(verb, request)

        answer.__annotations__ = {"request": Request}  # FastAPI reads them, and they are names of this function
        app.post(f"/{verb}", summary=summary, response_class=Response, name=verb, openapi_extra=_schema(model, verb))(
            answer
        )

    for verb, summary in _offered(model).items():
        route(verb, summary)

    @app.get("/health", summary="Whether the server answers")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "waiting": len(desk.waiting)}

    @app.get("/model", summary="What the model is")
    async def about() -> dict[str, Any]:
        """Family, columns, calibration, verbs and limits."""
        own = model.calibration
        calibrated = None if own is None else {"rows": len(own.scores), "rate": own.rate, "threshold": own.threshold}
        return {
            "family": model.recipe.family,
            "row": list(model.shape),
            "columns": [*_columns(model), *({"name": name} for name in _beside(model))],
            "code": None if isinstance(model.model, Rival) else model.model.latents,
            "calibration": calibrated,
            "verbs": list(_offered(model)),
            "limits": known._asdict(),
        }

    return app


def serve(
    model: Deployed,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    started: Callable[[str], None] = lambda where: None,
) -> None:
    """Answer requests until a signal comes; those that are on their way are answered first.

    Parameters
    ----------
    model : Deployed
        The model.
    host : str, default "127.0.0.1"
        The address to listen on; the default can be reached from this machine only.
    port : int, default 8000
        0 takes any that is free.
    limits : Limits, optional
        What a request may take.
    started : callable, optional
        Is told the address when the server listens.

    Raises
    ------
    BadEnvironment
        If the address can't be had.
    """
    app = application(model, limits, hosts=LOCAL if host in LOCAL else ())
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra(f"a server needs {error.name}: pip install 'isthmus[serve]'") from None
    import socket

    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, proto)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except BaseException:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise BadEnvironment(
            f"can't listen on {host}, port {port} ({error.args[-1]}); give another --port, or 0 for any that is free"
        ) from None
    with listening:
        name = f"[{host}]" if ":" in host else host
        where = f"http://{name}:{listening.getsockname()[1]}"

        class Server(uvicorn.Server):
            async def startup(self, sockets: Any = None) -> None:
                """Listen, then say where."""
                await super().startup(sockets=sockets)
                if self.started:
                    started(where)

        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            loop="asyncio",
            ws="none",
            timeout_graceful_shutdown=10,
            h11_max_incomplete_event_size=1 << 16,
            limit_concurrency=4 * (limits or Limits()).waiting,
        )
        Server(config).run(sockets=[listening])


async def _asked(verb: str, request: Request, limits: Limits) -> Asked:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {JSON, CSV}:
        raise Refused(415, f"Content-Type must be {JSON} or {CSV}")
    rate = request.query_params.get("rate")
    if strange := sorted(set(request.query_params) - ({"rate"} if verb == "flag" else set())):
        raise BadInput(f"{verb} takes no {shown(strange[0])}")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20:
        _few(int(declared), limits.bytes, "bytes")
    try:
        body = await asyncio.wait_for(_body(request, limits), limits.seconds)
    except TimeoutError:
        raise Refused(408, f"the body was not there within {limits.seconds:g} s") from None
    return Asked(verb, body, kind, _rate(rate))


async def _body(request: Request, limits: Limits) -> bytes:
    from starlette.requests import ClientDisconnect

    parts, size = [], 0
    try:
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            _few(size, limits.bytes, "bytes")
    except ClientDisconnect:
        raise Refused(400, "the connection ended before the body did") from None
    return b"".join(parts)


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < 1:
        raise BadInput(f"rate must be a number between 0 and 1; got {shown(text)}")
    return rate


def _offered(model: Deployed) -> dict[str, str]:
    """The verbs that a model can answer, and what each says."""
    offered: dict[str, str] = {}
    if not isinstance(model.model, Rival):
        offered = {"encode": "The code of each row", "reconstruct": "What the model makes of each row"}
        offered["decode"] = "The rows that codes stand for"
    if model.target_layout is None:
        offered["score"] = "How unlike the training rows each row is"
        if model.calibration is not None:
            offered["flag"] = "Which rows are odd, at a stated rate of false alarms"
    return offered


def _columns(model: Deployed) -> list[dict[str, Any]]:
    """The columns of a table, or the channels of a series; none of pictures, whose rows are lists of numbers."""
    if len(model.shape) > 1 and model.series is None:
        return []
    gaps = bool(model.fields)  # else rows with a gap have no answer
    return [{"name": field.name, "kind": field.kind, "gaps": field.gaps and gaps} for field in verbs.wanted(model)]


def _beside(model: Deployed) -> tuple[str, ...]:
    """Columns that a series needs besides its channels."""
    return () if model.series is None else model.series.beside


TYPES = {"number": "number", "amount": "number", "count": "integer", "flag": "boolean", "category": "string"}
"""What a cell of a kind is in JSON, as a rule; others are texts."""


def _schema(model: Deployed, verb: str) -> dict[str, Any]:
    """What OpenAPI says of a request: the columns of this very model."""
    fields = verbs.codes(model) if verb == "decode" else verbs.wanted(model) if _columns(model) else ()
    if fields:
        cells: dict[str, Any] = {}
        for name in _beside(model):
            cells[name] = {
                "type": ["string", "number"],
                "description": "when a step was taken, or of which series it is",
            }
        for field in fields:
            cells[field.name] = {"type": [TYPES.get(field.kind, "string"), "null"], "description": field.kind}
            if field.values:
                cells[field.name] = {"type": ["string", "number", "boolean", "null"], "examples": [*field.values[:5]]}
        row: dict[str, Any] = {"type": "object", "properties": cells}
    else:
        row = {"type": "array", "description": f"numbers of shape {model.shape}"}
    body = {"type": "object", "properties": {"rows": {"type": "array", "items": row}}, "required": ["rows"]}
    said: dict[str, Any] = {"requestBody": {"required": True, "content": {JSON: {"schema": body}}}}
    if fields:
        said["requestBody"]["content"][CSV] = {"schema": {"type": "string"}}
    if verb == "flag":
        said["parameters"] = [{"name": "rate", "in": "query", "required": False, "schema": {"type": "number"}}]
    return said


def _plain(values: Any) -> list[Any]:
    """Values of a column as JSON has them: a gap, and what is not finite, is null."""
    listed = values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else values.tolist()
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in listed]


def _dumped(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str).encode()


def _written(told: Told) -> bytes:
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in told.columns.items()})
    with io.BytesIO() as file:
        pacsv.write_csv(table, file)
        return file.getvalue()
