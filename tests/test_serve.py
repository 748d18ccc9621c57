"""A model behind HTTP: the answers of the shell, limits that hold, and nothing that a request could do to end it.

``python tests/test_serve.py`` sends 10,000 mutated requests over sockets to a server of its own.
"""

import asyncio
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isthmus import serve
from isthmus.cli import main
from isthmus.data.layout import laid_out
from isthmus.data.read import read
from isthmus.errors import BadEnvironment, MissingExtra
from isthmus.facets.facet import Rows, Splits
from isthmus.families import named
from isthmus.serve import CSV, JSON, Limits, application, wire
from isthmus.serve.desk import QUICK, Desk
from isthmus.serve.turns import Asked, Told, Turns
from isthmus.serve.wire import protocol
from isthmus.ship import rivals, verbs
from isthmus.ship.artefact import load, save
from isthmus.ship.deployed import Deployed
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

PLAN = Plan(steps=40, check=20, batch=32)
X = np.random.default_rng(0).normal(size=(300, 3)).round(3)
NUMBERS = pd.DataFrame(X, columns=["a", "b", "c"])
PEOPLE = pd.DataFrame(
    {"age": np.where(np.arange(300) % 9, X[:, 0], np.nan), "city": np.array(["Oslo", "Rome"])[np.arange(300) % 2]}
)


def saved(place: Path) -> Path:
    """Models in a folder: of numbers, and of a table with texts and gaps."""
    model = fit(named("plain").set_params(latents=2), X[:150], valid=X[150:200], plan=PLAN, columns=tuple("abc"))
    save(Deployed.of(model, X[:150], X[150:200], X[200:]), place / "numbers")
    data = read(PEOPLE)  # says what it infers; here it is not asked
    mixed = fit(named("plain").set_params(latents=2), data.x, plan=PLAN, fields=data.fields, columns=data.columns)
    save(Deployed.of(mixed, PEOPLE[:200], PEOPLE[200:250], PEOPLE[250:]), place / "people")
    return place


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models"))


Reply = tuple[int, dict[str, str], bytes]


async def ask(
    app: Any, path: str, parts: Sequence[bytes] = (), kind: str | None = JSON, *, method: str = "POST", **headers: str
) -> Reply:
    """One request, without a network."""
    where, _, query = path.partition("?")
    given = {"host": "localhost", **({"content-type": kind} if kind else {}), **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": where,
        "raw_path": where.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    left = list(parts) or [b""]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.sleep(60)
        part = left.pop(0)
        if part == b"...":
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], head, b"".join(one.get("body", b"") for one in sent[1:])


@asynccontextmanager
async def open_app(model: Path, limits: Limits | None = None, hosts: Sequence[str] = ()) -> AsyncIterator[Any]:
    app = application(load(model), limits, hosts=hosts)
    async with app.router.lifespan_context(app):
        yield app


def one(
    model: Path, path: str, *parts: bytes, limits: Limits | None = None, kind: str | None = JSON, **more: Any
) -> Reply:
    async def go() -> Reply:
        async with open_app(model, limits, more.pop("hosts", ())) as app:
            return await ask(app, path, parts, kind, **more)

    return asyncio.run(go())


def rows(frame: pd.DataFrame) -> bytes:
    """As JSON; a gap is null."""
    return json.dumps({"rows": json.loads(frame.to_json(orient="records"))}).encode()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "frame"), [("numbers", NUMBERS), ("people", PEOPLE)])
def test_the_shell_and_the_server_flag_the_same_rows(models, name, frame, tmp_path) -> None:
    frame = frame.assign(note="carried along")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    assert main(["flag", str(models / name), str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out.csv")]) == 0
    shell = pd.read_csv(tmp_path / "out.csv")
    status, head, body = one(models / name, "/flag", (tmp_path / "rows.csv").read_bytes(), kind=CSV, accept=CSV)
    assert (status, head["content-type"]) == (200, f"{CSV}; charset=utf-8")
    Path(tmp_path / "server.csv").write_bytes(body)
    by_csv = pd.read_csv(tmp_path / "server.csv")
    by_json = json.loads(one(models / name, "/flag", rows(frame))[2])
    assert by_json["rows"] == len(frame)
    assert by_json["flag"] == by_csv["flag"].tolist() == shell["flag"].tolist()
    np.testing.assert_allclose(by_json["score"], shell["score"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(by_csv["p_value"], shell["p_value"], rtol=1e-12)


@pytest.mark.slow
def test_a_rate_of_its_own(models) -> None:
    flagged = [
        sum(json.loads(one(models / "numbers", f"/flag?rate={r}", rows(NUMBERS))[2])["flag"]) for r in (0.01, 0.5)
    ]
    assert flagged[0] < 30
    assert flagged[1] > 100
    for rate, said in (("2", "between 0 and 1"), ("x", "between 0 and 1"), ("1e-9", "calibration rows say nothing")):
        status, _, body = one(models / "numbers", f"/flag?rate={rate}", rows(NUMBERS[:3]))
        assert status == 422
        assert said in json.loads(body)["error"]
    assert one(models / "numbers", "/score?rate=0.1", rows(NUMBERS[:3]))[0] == 422  # an option that does nothing


def test_codes_go_out_and_come_back(models) -> None:
    model = load(models / "people")
    coded = json.loads(one(models / "people", "/encode", rows(PEOPLE[:5]))[2])
    codes = np.column_stack([coded["code0"], coded["code1"]])
    np.testing.assert_allclose(codes, model.encode(PEOPLE[:5]), rtol=1e-5, atol=1e-6)
    again = json.loads(one(models / "people", "/decode", rows(pd.DataFrame(codes, columns=["code0", "code1"])))[2])
    made = json.loads(one(models / "people", "/reconstruct", rows(PEOPLE[:5]))[2])
    assert again["city"] == made["city"]
    np.testing.assert_allclose(again["age"], made["age"], rtol=1e-4)
    arrays = json.dumps(codes.tolist()).encode()
    assert json.loads(one(models / "people", "/decode", arrays)[2])["city"] == made["city"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is no JSON"),
        (b'{"rows": 3}', 'expected {"rows": ['),
        (b'{"rows": []}', '"rows" is empty'),
        (b'{"rows": [1]}', "send each row as an object"),
        (b'{"rows": [{"age": 1}]}', "no column 'city'"),
        (b'{"rows": [{"age": "x", "city": "Oslo"}]}', "'x' is not a number"),
        (b'{"rows": [{"age": [1], "city": "Oslo"}]}', "the request:"),
        (
            b'{"rows": [{"age": 1, "city": "Oslo"}, {"age": "x", "city": "Oslo"}]}',
            "column 'age': values of several kinds",
        ),
        (b'{"rows": [{"age": 1e400, "city": "Oslo"}]}', "infinite"),
        (b"[" * 100_000, "the body is no JSON"),
        (b'{"rows": [{"age": ' + b"1" * 5000 + b', "city": "Oslo"}]}', "the body is no JSON"),
        (b'{"rows": [{"age": 1, "city": "\xff"}]}', "the body is no JSON"),
        (b'{"rows": [{"age": 1, "city": "\\ud800"}]}', "column 'city'"),
    ],
)
def test_what_is_refused_is_told(models, body, said) -> None:
    status, _, answer = one(models / "people", "/score", body)
    assert status == 422
    assert said in json.loads(answer)["error"]


def test_each_limit_holds(models) -> None:
    place, body = models / "numbers", rows(NUMBERS[:20])
    assert one(place, "/score", body)[0] == 200
    for limits in (Limits(rows=19), Limits(bytes=100)):
        status, _, answer = one(place, "/score", body, limits=limits)
        assert status == 413
        assert "send it in parts" in json.loads(answer)["error"]
    assert one(place, "/score", NUMBERS[:20].to_csv(index=False).encode(), kind=CSV, limits=Limits(rows=19))[0] == 413
    assert one(place, "/score", body, limits=Limits(bytes=100), content_length="101")[0] == 413
    assert one(place, "/score", body[:9], b"...", limits=Limits(seconds=0.05))[0] == 408
    assert one(place, "/score", body, kind="text/plain")[0] == 415
    assert one(place, "/score", body, kind=None)[0] == 415


def test_what_waits_is_answered_together_and_too_much_is_sent_away(models, monkeypatch) -> None:
    """While the first request is answered twenty more come: one pass for those that may wait, 503 for the others."""
    passes, begun, go_on = [], threading.Event(), threading.Event()
    own = verbs.score

    def slow(model, block, calibration):
        passes.append(len(block.rows))
        begun.set()
        assert go_on.wait(60)
        return own(model, block, calibration)

    monkeypatch.setattr(verbs, "score", slow)

    async def go() -> list[Reply]:
        async with open_app(models / "numbers", Limits(waiting=12)) as app:
            first = asyncio.create_task(ask(app, "/score", [rows(NUMBERS[:1])]))
            await asyncio.to_thread(begun.wait, 60)
            more = [asyncio.create_task(ask(app, "/score", [rows(NUMBERS[i : i + 2])])) for i in range(20)]
            while sum(task.done() for task in more) < 8:
                await asyncio.sleep(0.001)
            go_on.set()
            return [await first, *[await task for task in more]]

    replies = asyncio.run(go())
    assert passes == [1, 24]
    good = [(i, json.loads(body)) for i, (status, _, body) in enumerate(replies[1:]) if status == 200]
    assert len(good) == 12
    for i, answer in good:
        np.testing.assert_allclose(answer["score"], load(models / "numbers").scores(X[i : i + 2]), rtol=1e-5, atol=1e-5)
    away = [head for status, head, _ in replies if status == 503]
    assert len(away) == 8
    assert away[0]["retry-after"] == "1"


def test_one_bad_request_costs_no_other_its_answer(models) -> None:
    turns = Turns(load(models / "people"))
    good, odd = rows(PEOPLE[1:3]), b'{"rows": [{"age": 1e30, "city": "Oslo"}]}'
    found = turns.answer([Asked("score", body, JSON) for body in (good, b"{", odd, good)])
    assert isinstance(found[1], ValueError)
    assert [type(one) for one in (found[0], found[3])] == [Told, Told]
    assert found[0].notes == ()
    assert found[0].columns["score"].tolist() == pytest.approx(found[3].columns["score"].tolist())


def test_a_host_of_another_name_is_refused(models) -> None:
    get = {"method": "GET", "kind": None, "hosts": serve.LOCAL}
    assert one(models / "numbers", "/health", **get)[0] == 200
    assert one(models / "numbers", "/health", host="evil.example", **get)[0] == 400


def test_a_rival_offers_no_codes(tmp_path: Path) -> None:
    layout = laid_out(X[:150])
    splits = Splits(
        *(Rows(layout.apply(x), None) for x in (X[:150], X[150:200], X[200:])), seed=0, latents=2, layout=layout
    )
    place = save(
        Deployed.of(rivals.fitted("isolation forest", "anomaly", splits, layout), normal=X[200:]), tmp_path / "m"
    )
    about = json.loads(one(place, "/model", method="GET", kind=None)[2])
    assert (about["code"], about["verbs"]) == (None, ["score", "flag"])
    assert one(place, "/encode", b'{"rows": []}')[0] == 404
    assert one(place, "/score", json.dumps({"rows": X[:2].tolist()}).encode())[0] == 200


def test_openapi_tells_the_columns_of_this_model(models) -> None:
    told = json.loads(one(models / "people", "/openapi.json", method="GET", kind=None)[2])
    assert set(told["paths"]) == {"/encode", "/reconstruct", "/decode", "/score", "/flag", "/health", "/model"}
    body = told["paths"]["/score"]["post"]["requestBody"]["content"]
    row = body[JSON]["schema"]["properties"]["rows"]["items"]["properties"]
    assert row["age"]["type"] == ["number", "null"]
    assert row["city"]["examples"] == ["Oslo", "Rome"]
    assert CSV in body
    about = json.loads(one(models / "people", "/model", method="GET", kind=None)[2])
    assert (about["family"], about["calibration"]["rows"]) == ("plain", 50)
    assert one(models / "people", "/docs", method="GET", kind=None)[0] == 404  # its page would ask other servers


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes, str]]:
    """Requests that were right once."""
    draw = random.Random(seed)
    begin = [(rows(PEOPLE[:3]), JSON), (PEOPLE[:3].to_csv(index=False).encode(), CSV)]
    bits = [
        b"\x00",
        b"\xff\xfe",
        b'"',
        b"{",
        b"]",
        b"1e999",
        b"null",
        b"\n",
        b",",
        b"-0",
        b"\\u0000",
        b"age",
        b"[[",
        b"=",
    ]
    for _ in range(count):
        body, kind = draw.choice(begin)
        for _ in range(draw.randint(1, 4)):
            at, what = draw.randint(0, len(body)), draw.choice(bits)
            cut = draw.choice([0, 0, 1, 5, len(body)])
            body = body[:at] + what * draw.choice([1, 1, 3, 50]) + body[at + cut :]
        verb = draw.choice(
            ["score", "flag", "encode", "reconstruct", "decode", "flag?rate=", "flag?rate=0.1", "nothing"]
        )
        yield f"/{verb}", body, draw.choice([kind, kind, kind, JSON, CSV, "application/x", f"{kind}; charset=x"])


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutants_end_nothing(models, count) -> None:
    async def go() -> None:
        async with open_app(models / "people") as app:
            for path, body, kind in mutants(count, count):
                status, _, answer = await ask(app, path, [body], kind)
                assert status in {200, 404, 415, 422}, (status, path, body)
                if status in {415, 422}:
                    assert "\n" not in json.loads(answer)["error"]
            assert (await ask(app, "/score", [rows(PEOPLE[:3])]))[0] == 200

    asyncio.run(go())


def spoilt(count: int, seed: int) -> Iterator[bytes]:
    """The bytes of requests that were right once, with heads that lie, are cut, doubled, or hold what none may."""
    draw = random.Random(seed)
    heads = [
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Host: elsewhere\r\n",
        b" folded: a\r\n",
        b"\r\n",
        b"\x00",
        b"\xff\xfe",
        b" HTTP/1.0\r\n",
        b"ffffffffffffffff\r\n",
        b"%00%ff/../",
    ]
    for path, spoilt_body, kind in mutants(count, seed):
        body = rows(PEOPLE[:3]) if draw.random() < 0.5 else spoilt_body
        text = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        whole = text.encode() + body
        for _ in range(draw.randint(0, 3)):
            at = draw.randint(0, draw.choice([len(text), len(whole)]))
            what, cut = draw.choice([*heads, whole[: draw.randint(0, 99)]]), draw.choice([0, 0, 1, 9, len(whole)])
            whole = whole[:at] + what + whole[at + cut :]
        yield whole


def answered(port: int, request: bytes, wait: float = 0.5) -> bytes:
    """What a server says to the bytes of a request, or to the first of them that is one; nothing where it waits on."""
    said = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 60) as line:  # it may have heard enough
        line.sendall(request)
        line.settimeout(wait)
        while b"\r\n\r\n" not in said and (part := line.recv(1 << 16)):
            said += part
    return said


def bombard(port: int, count: int) -> Counter[str]:
    """Send mutants, some at a time; how often the server said what. A fault of its own is none of it."""

    def send(request: bytes) -> str:
        said = answered(port, request)
        status = said[9:12].decode() if said.startswith(b"HTTP/1.1 ") else "nothing"
        assert status in {"100", "200", "400", "404", "405", "408", "413", "415", "417", "422", "503", "nothing"}, (
            request,
            said,
        )
        return status

    with ThreadPoolExecutor(16) as pool:
        return Counter(pool.map(send, spoilt(count, count)))


def test_what_is_missing_is_named_with_its_remedy(models, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[serve\]'"):
        application(load(models / "numbers"))


def test_an_address_that_is_taken_is_told(models) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BadEnvironment, match="give another --port"):
            serve.serve(load(models / "numbers"), port=taken.getsockname()[1])
    assert main(["serve", str(models / "numbers"), "--host", "no.such.host.invalid"]) == 3


class Line:
    """What a protocol of asyncio writes to."""

    def __init__(self) -> None:
        self.sent, self.closed = b"", False

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        """Nothing to pause."""

    def resume_reading(self) -> None:
        """Nothing to resume."""

    def is_closing(self) -> bool:
        return self.closed


FIRST = b"POST /score HTTP/1.1\r\nHost: localhost\r\n"
PIECES = FIRST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        ([FIRST + b"Content-Length: 999999\r\n\r\n", *[b"x" * 999] * 1001], True),
        ([FIRST + b"Content-Length: 1\r\n\r\nx"] * 9999, True),
        ([PIECES, *[b"3e8\r\n" + b"x" * 1000 + b"\r\n"] * 2000], True),
        ([FIRST + b"A: ", *[b"a" * 999] * 1000], False),
        ([FIRST, *[b"A: a\r\n" * 99] * 1000], False),
        ([b"POST /" + b"a" * 999, *[b"a" * 999] * 1000], False),
        ([PIECES + b"0\r\n", *[b"A: a\r\n" * 99] * 1000], False),
    ],
    ids=[
        "a long body",
        "many requests",
        "many pieces",
        "an endless header",
        "many headers",
        "an endless path",
        "trailers",
    ],
)
def test_the_head_of_a_request_is_bounded(parts: list[bytes], kept: bool) -> None:
    """httptools has no bound of its own."""
    import uvicorn
    from uvicorn.server import ServerState

    async def end(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def told() -> Line:
        config = uvicorn.Config(end, log_config=None, log_level="critical", ws="none", http=protocol())
        config.load()
        spoken, line = config.http_protocol_class(config, ServerState(), {}), Line()
        spoken.connection_made(line)
        for part in parts:
            if line.closed:
                break
            spoken.data_received(part)
            await asyncio.sleep(0)
        spoken.connection_lost(RuntimeError())
        return line

    line = asyncio.run(told())
    assert (b"is too long" not in line.sent) == kept
    assert line.closed != kept


def test_json_is_that_of_the_standard_library() -> None:
    value = {
        "rows": 3,
        "score": [1e-300, -0.0, 1 / 3, None, 2**53],
        "flag": [True, False],
        "notes": ["naïve \u2028 🙂"],
        "when": [np.datetime64("2024-01-31").item(), np.datetime64("2024-01-31T10:00:00").item()],
    }
    assert json.loads(wire.dumped(value)) == json.loads(json.dumps(value, default=str))


@pytest.mark.slow
def test_a_server_of_its_own_answers_lives_through_garbage_and_ends_when_asked(models) -> None:
    words = [sys.executable, "-m", "isthmus", "serve", str(models / "numbers"), "--port", "0", "--timeout", "5"]
    pipe, env = subprocess.PIPE, os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*words], stdout=pipe, stderr=pipe, text=True, env=env) as server:
        try:
            where = server.stdout.readline().strip()
            assert where.startswith("http://127.0.0.1:")
            port = int(where.rpartition(":")[2])
            for garbage in (
                b"\x16\x03\x01\x00",
                b"GET / HTTP/9\r\n\r\n",
                b"POST /score HTTP/1.1\r\nA: " + b"a" * 400_000,
                b"\r\n" * 99,
            ):
                with socket.create_connection(("127.0.0.1", port), 10) as line:
                    line.sendall(garbage)
            assert len(bombard(port, 60)) > 2
            request = urllib.request.Request(f"{where}/score", rows(NUMBERS[:4]), {"Content-Type": JSON})
            with urllib.request.urlopen(request, timeout=60) as reply:
                found = json.load(reply)
            np.testing.assert_allclose(found["score"], load(models / "numbers").scores(X[:4]), rtol=1e-5, atol=1e-5)
            with socket.create_connection(("127.0.0.1", port), 60) as line:  # half of a request is there when it ends
                body = rows(NUMBERS[:4])
                head = f"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}"
                line.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode() + body[:5])
                with urllib.request.urlopen(f"{where}/health", timeout=60) as reply:
                    assert json.load(reply)["status"] == "ok"
                server.send_signal(signal.SIGTERM)
                line.sendall(body[5:])
                answer = b"".join(iter(lambda: line.recv(1 << 16), b""))
            assert answer.startswith(b"HTTP/1.1 200")
            assert server.wait(60) == 128 + signal.SIGTERM
            assert server.stderr.read() == "isthmus: stopped\n"
        finally:
            server.kill()


def test_a_model_of_a_series_answers_steps_by_the_names_of_time_and_channels(tmp_path, monkeypatch) -> None:
    steps = pd.DataFrame({"when": np.arange(300), "a": np.sin(np.arange(300) / 5).round(4), "b": X[:300, 0]})
    steps.to_csv(tmp_path / "steps.csv", index=False)
    place, words = tmp_path / "watcher", ["--window", "8", "--time", "when", "--measure", "none", "--steps", "60"]
    assert main(["train", "plain", str(tmp_path / "steps.csv"), *words, "--out", str(place)]) == 0
    assert main(["score", str(place), str(tmp_path / "steps.csv"), "-o", str(tmp_path / "out.csv")]) == 0
    told = json.loads(one(place, "/score", rows(steps.iloc[::-1]))[2])  # in any order: the time tells
    np.testing.assert_allclose(told["score"][::-1], pd.read_csv(tmp_path / "out.csv")["score"], rtol=1e-4, atol=1e-4)
    monkeypatch.setattr("isthmus.data.blocks.BATCH", 64)  # a request that is read in several blocks is one series
    text = one(place, "/score", steps.to_csv(index=False).encode(), kind=CSV, accept=CSV)[2]
    np.testing.assert_allclose(pd.read_csv(io.BytesIO(text))["score"], told["score"][::-1], rtol=1e-4, atol=1e-4)
    status, _, body = one(place, "/score", rows(steps[["a", "b"]]))
    assert (status, "no column 'when'" in json.loads(body)["error"]) == (422, True)
    about = json.loads(one(place, "/model", method="GET", kind=None)[2])
    assert [column["name"] for column in about["columns"]] == ["a", "b", "when"]
    schema = json.loads(one(place, "/openapi.json", method="GET", kind=None)[2])["paths"]["/score"]["post"]
    row = schema["requestBody"]["content"][JSON]["schema"]["properties"]["rows"]["items"]["properties"]
    assert set(row) == {"a", "b", "when"}


def test_quick_turns_are_answered_at_once_and_long_ones_beside_the_requests(monkeypatch) -> None:
    """What is expected to take long is handed to another thread, so that the server answers meanwhile."""
    places: list[str] = []
    now = [0.0]
    monkeypatch.setattr("isthmus.serve.desk.time", SimpleNamespace(perf_counter=lambda: now[0]))

    class Slow(Turns):
        def __init__(self) -> None:
            self.limits, self.seconds = Limits(), 0.0

        def answer(self, asked):
            places.append(threading.current_thread().name)
            now[0] += self.seconds
            return [Told({}, 0, ()) for _ in asked]

    async def asked() -> None:
        turns = Slow()
        desk = Desk(turns)
        running = asyncio.create_task(desk.run())
        await asyncio.sleep(0)
        for body, seconds in ((b"x", 0.0), (b"x", 2 * QUICK), (b"x", 0.0), (b"x", 0.0)):
            turns.seconds = seconds
            await desk.ask(Asked("score", body, JSON))
        desk.pace = QUICK / 10
        for body in (b"x" * 10, b"x" * 11):
            await desk.ask(Asked("score", body, JSON))
            desk.pace = QUICK / 10
        running.cancel()
        desk.thread.shutdown()

    asyncio.run(asked())
    here = [name == "MainThread" for name in places]
    # the first of which nothing is known, one quick and one slow in its place, after which the next goes beside
    assert here == [False, True, False, True, True, False]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as where:
        words = [sys.executable, "-m", "isthmus", "serve", str(saved(Path(where)) / "people"), "--port", "0"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            try:
                at = int(process.stdout.readline().strip().rpartition(":")[2])
                print(bombard(at, int(sys.argv[1]) if len(sys.argv) > 1 else 10_000), flush=True)
                body = rows(PEOPLE[:3])
                head = f"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}"
                print(answered(at, f"{head}\r\n\r\n".encode() + body, 60)[:15].decode(), flush=True)
            finally:
                process.terminate()
        print(process.returncode)
