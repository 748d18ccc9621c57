"""One file, four roads: Python, the shell, the graph without torch and the server flag the same rows.

Here each of eight families meets one of five kinds of data; ``python tests/ship/test_same_decision.py`` tries all 40.
"""

import asyncio
import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.cli import main
from isthmus.data.read import read
from isthmus.families import named
from isthmus.runtime.__main__ import main as run
from isthmus.serve import CSV, application
from isthmus.ship.artefact import save
from isthmus.ship.deployed import Deployed
from isthmus.ship.graph import export
from isthmus.train.plan import Plan

pytestmark = pytest.mark.usefixtures("many_graphs")

N = 240
FAMILIES = ("pca", "plain", "vae", "denoising", "topk", "batchtopk", "vq", "svdd")


def numbers(random: np.random.Generator) -> pd.DataFrame:
    """Numbers alone, without a gap: laid out by a scaler."""
    return pd.DataFrame(random.normal(50, 9, (N, 4)).round(3), columns=list("abcd"))


def gaps(random: np.random.Generator) -> pd.DataFrame:
    frame = numbers(random)
    return frame.mask(random.random(frame.shape) < 0.1)


def words(random: np.random.Generator) -> pd.DataFrame:
    held = {"city": random.choice(["Bergen", "Oslo", "Rome"], N), "paid": random.choice(["no", "yes"], N)}
    return pd.DataFrame({**held, "size": random.normal(size=N).round(3)})


def amounts(random: np.random.Generator) -> pd.DataFrame:
    """Eight orders of magnitude, both signs."""
    pay = (random.lognormal(3, 4, N) * random.choice([-1, 1], N)).round(2)
    return pd.DataFrame({"pay": pay, "rate": random.normal(size=N).round(4), "rare": random.poisson(0.2, N)})


def moments(random: np.random.Generator) -> pd.DataFrame:
    days = pd.Timestamp("2021-03-01") + pd.to_timedelta(random.integers(0, 900 * 86400, N), unit="s")
    when = pd.Series(days.strftime("%Y-%m-%d %H:%M:%S")).mask(random.random(N) < 0.1)
    return pd.DataFrame({"when": when, "load": random.normal(size=N).round(3)})


KINDS: dict[str, Callable[[np.random.Generator], pd.DataFrame]] = {
    one.__name__: one for one in (numbers, gaps, words, amounts, moments)
}


async def served(model: Deployed, content: bytes) -> bytes:
    """What the server answers to a POST of CSV to /flag."""
    app, sent = application(model), []
    head = {"host": "localhost", "content-type": CSV, "accept": CSV}
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"}
    scope |= {"path": "/flag", "raw_path": b"/flag", "query_string": b"", "root_path": "", "server": ("127.0.0.1", 80)}
    scope |= {"headers": [(a.encode(), b.encode()) for a, b in head.items()], "client": ("127.0.0.1", 1)}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    assert sent[0]["status"] == 200
    return b"".join(one.get("body", b"") for one in sent[1:])


@pytest.mark.slow
@pytest.mark.parametrize(("family", "kind"), [(family, list(KINDS)[i % 5]) for i, family in enumerate(FAMILIES)])
def test_the_same_rows_are_flagged_by_all(family: str, kind: str, tmp_path: Path) -> None:
    random = np.random.default_rng([FAMILIES.index(family), list(KINDS).index(kind)])
    rows = KINDS[kind](random)
    # Calibration rows are asked again: their scores tie with themselves, which is where roads would part.
    rows.to_csv(tmp_path / "rows.csv", index=False)
    frame = pd.read_csv(tmp_path / "rows.csv")
    recipe = named(family).set_params(latents=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = read(frame)
        fitted = isthmus.fit(recipe, data.x, fields=data.fields, columns=data.columns, plan=Plan(steps=20, check=10))
        model = Deployed.of(fitted, data.x[:120], data.x[120:160], data.x[160:], rate=0.1)
        place = isthmus.load(save(model, tmp_path / "model"))
        python = place.flags(data.x)
        assert main(["flag", str(tmp_path / "model"), str(tmp_path / "rows.csv"), "-o", str(tmp_path / "o.csv")]) == 0
        server = pd.read_csv(io.BytesIO(asyncio.run(served(place, (tmp_path / "rows.csv").read_bytes()))))
        assert (
            run([str(export(place, tmp_path / "m.onnx")), str(tmp_path / "rows.csv"), "-o", str(tmp_path / "r")]) == 0
        )
    shell, graph = pd.read_csv(tmp_path / "o.csv"), pd.read_csv(tmp_path / "r")
    assert python.tolist() == shell["flag"].tolist() == server["flag"].tolist()
    assert python.tolist() == graph["anomaly"].astype(bool).tolist()
    assert 0 < python.sum() < N / 2
    for one in (server, graph):
        np.testing.assert_allclose(one["score"], shell["score"], rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    for family in FAMILIES:
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as place:
                test_the_same_rows_are_flagged_by_all(family, kind, Path(place))
            print(family, kind, "the same", flush=True)
