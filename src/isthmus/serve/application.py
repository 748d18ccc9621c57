"""The web application of a model: routes, what a request asks, and the reply."""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pacsv

from isthmus.data.frames import in_text
from isthmus.data.wording import shown
from isthmus.errors import BadInput, MissingExtra
from isthmus.rivals.rival import Rival
from isthmus.serve.desk import Desk
from isthmus.serve.offer import CSV, JSON, beside, columns, offered, schema
from isthmus.serve.turns import Asked, Limits, Refused, Told, Turns, few
from isthmus.serve.wire import dumped
from isthmus.ship.deployed import Deployed

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response


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
        import orjson  # noqa: F401
        from fastapi import FastAPI, Response
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise MissingExtra(f"a server needs {error.name}: pip install 'isthmus[serve]'") from None

    known = limits or Limits()
    desk = Desk(Turns(model, known))

    app = FastAPI(title="isthmus", docs_url=None, redoc_url=None, lifespan=_life(desk))
    if hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    for verb, summary in offered(model).items():
        app.post(f"/{verb}", summary=summary, response_class=Response, name=verb, openapi_extra=schema(model, verb))(
            _route(desk, verb)
        )

    @app.get("/health", summary="Whether the server answers")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "waiting": len(desk.waiting)}

    @app.get("/model", summary="What the model is")
    async def about() -> dict[str, Any]:
        """Family, columns, calibration, verbs and limits."""
        return _about(model, known)

    return app


def _life(desk: Desk) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Turns begin with the server and end with it."""

    @asynccontextmanager
    async def life(_: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(desk.run())
        yield
        task.cancel()
        desk.thread.shutdown()

    return life


def _route(desk: Desk, verb: str) -> Callable[[Request], Awaitable[Response]]:
    """What answers requests of a verb."""
    from fastapi import Request, Response

    async def answer(request: Request) -> Response:
        try:
            told = await desk.ask(await _asked(verb, request, desk.turns.limits))
        except (BadInput, Refused) as error:
            status = error.status if isinstance(error, Refused) else 422
            headers = {"Retry-After": "1"} if status == 503 else {}
            return Response(dumped({"error": str(error)}), status, headers, JSON)
        if CSV in request.headers.get("accept", ""):
            return Response(_written(told), 200, {}, CSV)
        return Response(_listed(told), 200, {}, JSON)

    answer.__annotations__ = {"request": Request}  # FastAPI reads them, and they are names of this function
    return answer


def _about(model: Deployed, limits: Limits) -> dict[str, Any]:
    own = model.calibration
    calibrated = None if own is None else {"rows": len(own.scores), "rate": own.rate, "threshold": own.threshold}
    return {
        "family": model.recipe.family,
        "row": list(model.shape),
        "columns": [*columns(model), *({"name": name} for name in beside(model))],
        "code": None if isinstance(model.model, Rival) else model.model.latents,
        "calibration": calibrated,
        "verbs": list(offered(model)),
        "limits": limits._asdict(),
    }


async def _asked(verb: str, request: Request, limits: Limits) -> Asked:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {JSON, CSV}:
        raise Refused(415, f"Content-Type must be {JSON} or {CSV}")
    rate = request.query_params.get("rate")
    if strange := sorted(set(request.query_params) - ({"rate"} if verb == "flag" else set())):
        raise BadInput(f"{verb} takes no {shown(strange[0])}")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20:
        few(int(declared), limits.bytes, "bytes")
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
            few(size, limits.bytes, "bytes")
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


def _plain(values: Any) -> list[Any]:
    """Values of a column as JSON has them: a gap, and what is not finite, is null."""
    listed = values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else values.tolist()
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in listed]


def _listed(told: Told) -> bytes:
    """The answer as JSON."""
    lists = {name: _plain(values) for name, values in told.columns.items()}
    return dumped({"rows": told.rows, **lists, "notes": list(told.notes)})


def _written(told: Told) -> bytes:
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in told.columns.items()})
    with io.BytesIO() as file:
        pacsv.write_csv(in_text(table, told.commas), file)
        return file.getvalue()
