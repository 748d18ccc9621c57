"""A model and its graph decide the same, on all kinds of columns and for all kinds of families."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus import runtime
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.ship import graph
from isthmus.train.fitted import Fitted
from isthmus.train.plan import Plan

N, PLAN = 160, Plan(steps=12, check=6, batch=32)
RANDOM = np.random.default_rng(3)
NUMBERS = RANDOM.normal(50.0, 9.0, (N, 6))

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")


def table() -> pd.DataFrame:
    holes = np.random.default_rng(4).random((N, 7)) < 0.1
    days = pd.Timestamp("1969-06-01") + pd.to_timedelta(RANDOM.integers(0, 900 * 86400, N), unit="s")
    frame = pd.DataFrame(
        {
            "code": RANDOM.normal(size=N),  # named as an output of the graph is
            "linear": RANDOM.normal(size=N).round(2),
            "city": RANDOM.choice(["Bergen", "Oslo", "Rome"], N),
            "pay": RANDOM.lognormal(3, 4, N) * RANDOM.choice([-1, 1], N),
            "paid": RANDOM.choice(["no", "yes"], N),
            "when": days,
            "size": RANDOM.choice(["S", "M", "L"], N),
        }
    )
    return frame.mask(holes).assign(pay=frame["pay"])


def fitted(family: str, rows: object = NUMBERS, **options: object) -> Fitted:
    return isthmus.fit(named(family).set_params(latents=4, **options), rows, plan=PLAN)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["pca", "batchtopk", "vq", "svdd"])
def test_families_of_all_kinds_have_graphs(family: str, tmp_path: Path) -> None:
    model = fitted(family)
    found = runtime.load(graph.export(model, tmp_path / "model.onnx")).run(NUMBERS)
    assert found["code"] == pytest.approx(model.encode(NUMBERS), rel=1e-5, abs=1e-5)
    assert found["score"] == pytest.approx(model.score_scaled(model.scaled(NUMBERS)), rel=1e-5)


@pytest.mark.slow
def test_pictures_have_graphs(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((N, 8, 8)).astype(np.float32) * 255
    model = fitted("plain", read(rows, images=True).x, backbone="conv2d", hidden=(4,))
    found = runtime.load(graph.export(model, tmp_path / "model.onnx")).run(rows)
    assert found["code"] == pytest.approx(model.encode(rows), rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_every_kind_of_column_is_laid_out_as_the_model_does(tmp_path: Path) -> None:
    rows = table()
    data = read(rows, kinds={"size": "ordered", "pay": "amount"})
    assert {field.kind for field in data.fields} == {"number", "amount", "flag", "category", "ordered", "date"}
    model = isthmus.fit(named("vae").set_params(latents=4), data.x, fields=data.fields, columns=data.columns, plan=PLAN)
    known = np.sort(model.score_scaled(model.scaled(rows))[:50])
    made = runtime.load(graph.export(model, tmp_path / "model.onnx", threshold=float(known[40]), calibration=known))
    asked = rows.astype(object)
    asked.loc[0, ["city", "size", "paid"]] = ["Ulm", "XL", "perhaps"]
    asked.loc[1, ["pay", "linear"]] = [1e300, -1e300]
    asked.loc[2] = None
    asked.loc[3, "pay"] = 1e-9
    found = made.run(asked)
    laid = model.layout.apply(graph_cells(model, asked))
    assert found["code"] == pytest.approx(model.encode_scaled(laid), rel=1e-5, abs=1e-5)
    score = model.score_scaled(laid)
    assert found["score"] == pytest.approx(score, rel=1e-5)
    at_least = (known >= found["score"][:, None]).sum(axis=1)
    assert found["p_value"] == pytest.approx((1 + at_least) / (1 + len(known)))
    assert (found["anomaly"] == (found["score"] > known[40])).all()
    assert 0 < found["anomaly"].mean() < 1


def graph_cells(model: Fitted, rows: pd.DataFrame) -> np.ndarray:
    """Cells by the plainest reading: the place of a text, -1 for a new one; seconds of a moment."""
    out = np.full((len(rows), len(model.fields)), np.nan)
    for j, field in enumerate(model.fields):
        for i, value in enumerate(rows[field.name]):
            if pd.isna(value):
                continue
            if field.values:
                out[i, j] = field.values.index(value) if value in field.values else -1
            else:
                out[i, j] = value.timestamp() if field.kind == "date" else float(value)
    return out


@pytest.mark.slow
def test_a_graph_that_decides_otherwise_is_not_written(tmp_path: Path) -> None:
    model, other = fitted("pca"), fitted("pca", NUMBERS[::-1] * 1.5)
    content = graph.graph(other)
    graph.verify(other, content)
    with pytest.raises(BadInput, match="the graph of pca gives other codes than the model"):
        graph.verify(model, content)


def test_what_has_no_graph_is_told(tmp_path: Path) -> None:
    model = fitted("pca")
    with pytest.raises(BadInput, match=r"ends in \.onnx"):
        graph.export(model, tmp_path / "model.bin")
    predicts = isthmus.fit(named("transcoder").set_params(latents=4), NUMBERS, NUMBERS[:, :2], plan=PLAN)
    with pytest.raises(BadInput, match="predict something else than its rows has no graph"):
        graph.export(predicts, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": float("nan")}, "threshold must be a finite number"),
        ({"calibration": []}, "calibration must be finite scores"),
        ({"calibration": [1.0, float("inf")]}, "calibration must be finite scores"),
    ],
)
def test_decisions_that_cannot_be_are_refused(options: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        graph.export(fitted("pca"), tmp_path / "model.onnx", **options)
    assert not list(tmp_path.iterdir())
