"""A model and its graph decide the same, on all kinds of columns and for all kinds of families."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

import isthmus
from isthmus import runtime
from isthmus.cli import main
from isthmus.data.read import read
from isthmus.data.scale import Scaler
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.networks import NETWORKS
from isthmus.families import named
from isthmus.runtime.__main__ import main as run
from isthmus.ship import graph, rivals
from isthmus.ship.deployed import TIE, Deployed
from isthmus.train.fitted import Fitted
from isthmus.train.plan import Plan

N, PLAN = 160, Plan(steps=12, check=6, batch=32)
RANDOM = np.random.default_rng(3)
NUMBERS = RANDOM.normal(50.0, 9.0, (N, 6))

pytestmark = [pytest.mark.filterwarnings("ignore:.*:UserWarning"), pytest.mark.usefixtures("many_graphs")]


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
def test_names_that_differ_in_blanks_stay_apart(tmp_path: Path) -> None:
    cells = {"city": ["Oslo", "Oslo ", "Rome "] * 20, "size": RANDOM.normal(size=60)}
    model = fitted("pca", pd.DataFrame(cells))
    run = runtime.load(graph.export(model, tmp_path / "model.onnx"))
    new = pd.DataFrame({"city": ["Oslo", "Oslo ", " Oslo", "Rome", "Rome "], "size": 0.5})
    for rows in (new, {name: np.asarray(cells, object) for name, cells in new.items()}):
        codes = run.run(rows)["code"]
        assert codes == pytest.approx(model.encode(new), abs=1e-5)
        assert np.abs(codes[0] - codes[1]).max() > 0.1
        assert codes[2] == pytest.approx(codes[0])
        assert codes[3] == pytest.approx(codes[4])


KINDS = pd.DataFrame({"code": RANDOM.integers(1, 5, 80), "ok": RANDOM.random(80) < 0.5, "seen": RANDOM.poisson(3, 80)})


@pytest.mark.slow
def test_codes_flags_and_counts_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    """A frame writes whole numbers with gaps as 3.0, and flags as True or 1.0."""
    data = read(KINDS, kinds={"code": "category", "seen": "count"})
    model = isthmus.fit(named("pca").set_params(latents=2), data.x, fields=data.fields, columns=data.columns)
    run = runtime.load(graph.export(model, tmp_path / "model.onnx"))
    asked = KINDS[:12]
    wanted = model.encode(asked)
    assert len(np.unique(wanted.round(3), axis=0)) > 5
    ways = [
        asked.astype({"code": float, "ok": float, "seen": float}),
        asked.astype({"code": float}).astype(str).replace({"True": "yes", "False": "no"}),
        asked.astype({"code": str, "ok": float, "seen": str}).astype(str),
        asked.astype({"ok": int}).astype(str),
    ]
    for way in ways:
        assert model.encode(way) == pytest.approx(wanted)
        assert run.run(way)["code"] == pytest.approx(wanted, abs=1e-5)
        assert run.run(way.to_dict("list"))["code"] == pytest.approx(wanted, abs=1e-5)
    new = asked.assign(code=["01", "9", "3.5"] * 4)
    assert run.run(new)["code"] == pytest.approx(model.encode(new), abs=1e-5)
    assert np.abs(run.run(new)["code"] - wanted).max(axis=1).min() > 1e-3
    for column, cell in (("ok", 2), ("seen", -1), ("seen", 2.5)):
        for one in (model.encode, run.run):
            with pytest.raises((BadInput, runtime.Refused), match=f"row 2.*'{column}': {cell} is no "):
                one(asked.astype(float).assign(**{column: np.where(np.arange(12) == 1, cell, 1)}))


@pytest.mark.slow
def test_no_and_yes_mean_the_same_in_other_words(tmp_path: Path) -> None:
    model = fitted("pca", pd.DataFrame({"paid": ["nein", "ja"] * 30, "size": RANDOM.normal(size=60)}))
    run = runtime.load(graph.export(model, tmp_path / "model.onnx"))
    wanted = model.encode(pd.DataFrame({"paid": ["nein", "ja", None], "size": 0.5}))
    for no, yes in (("no", "YES"), ("0", "1"), ("False", "true"), ("nein", "oui")):
        new = pd.DataFrame({"paid": [no, yes, "perhaps"], "size": 0.5})
        assert np.array_equal(model.encode(new), wanted)
        assert run.run(new)["code"] == pytest.approx(wanted, abs=1e-5)


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
@pytest.mark.parametrize("name", list(NETWORKS))
def test_rivals_that_find_anomalies_have_graphs_without_codes(name: str, tmp_path: Path) -> None:
    scaler = Scaler.fit(NUMBERS[:100])
    train, valid, test = (Rows(scaler.apply(part), None) for part in (NUMBERS[:100], NUMBERS[100:130], NUMBERS[130:]))
    odd = scaler.apply(3 * NUMBERS[:10]) if name == "trees on known" else None
    splits = Splits(train, valid, test, seed=0, latents=2, layout=scaler, odd=odd)
    ships = Deployed.of(rivals.fitted(name, "anomaly", splits, scaler), normal=NUMBERS[130:], rate=0.2)
    found = runtime.load(graph.export(ships, tmp_path / "model.onnx")).run(NUMBERS)
    assert list(found) == ["score", "p_value", "anomaly"]
    assert found["score"] == pytest.approx(ships.scores(NUMBERS), rel=1e-5)
    assert (found["anomaly"] == ships.flags(NUMBERS)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["knn", "raw columns"])
def test_a_row_at_a_known_place_is_as_near_in_the_model_as_in_the_graph(name: str, tmp_path: Path) -> None:
    """A distance of 0 is where products of rows lose it, the more so the further from the mean rows lie."""
    rows = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32) * np.float32([3e4, 1, 1, 1, 1, 1])
    none = Scaler.fit(rows, kind="none")
    splits = Splits(*(Rows(rows[a:b], None) for a, b in ((0, 100), (100, 130), (130, N))), seed=0, latents=2)
    fitted = rivals.fitted(name, "anomaly", splits, none)
    ships = Deployed.of(fitted, normal=rows[130:], rate=0.2)
    buffers = dict(fitted.model.named_buffers())
    if name == "knn":
        places = buffers["known"].numpy().astype(np.float64)
        gaps = np.sqrt(np.square(rows[:, None].astype(np.float64) - places).sum(axis=2))
        assert ships.scores(rows) == pytest.approx(np.sort(gaps, axis=1)[:, 4], rel=1e-9)
    found = runtime.load(graph.export(ships, tmp_path / "model.onnx"))
    known = next(values for key, values in buffers.items() if key.endswith("known")).numpy()
    if name == "raw columns":
        centre, units = (next(v for k, v in buffers.items() if k.endswith(end)).numpy() for end in ("centre", "units"))
        known = (known + centre) * units
    same = known.astype(np.float32).astype(np.float64)
    assert found.run(same)["score"] == pytest.approx(ships.scores(same), rel=1e-9, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("facet", ["features", "robustness", "compression"])
def test_rivals_with_codes_have_graphs(facet: str, tmp_path: Path) -> None:
    scaler = Scaler.fit(NUMBERS[:100])
    y = (NUMBERS[:, 0] > 0).astype(np.int64)
    parts = (Rows(scaler.apply(NUMBERS[a:b]), y[a:b]) for a, b in ((0, 100), (100, 130), (130, N)))
    splits = Splits(*parts, seed=0, latents=2, layout=scaler)
    (name,) = FACETS[facet].networks
    ships = Deployed.of(rivals.fitted(name, facet, splits, scaler))
    found = runtime.load(graph.export(ships, tmp_path / "model.onnx")).run(NUMBERS)
    assert found["code"] == pytest.approx(ships.encode(NUMBERS), rel=1e-5, abs=1e-5)
    assert found["score"] == pytest.approx(ships.scores(NUMBERS), rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_every_kind_of_column_is_laid_out_as_the_model_does(tmp_path: Path) -> None:
    rows = table()
    data = read(rows, kinds={"size": "ordered", "pay": "amount"})
    assert {field.kind for field in data.fields} == {"number", "amount", "flag", "category", "ordered", "date"}
    model = isthmus.fit(named("vae").set_params(latents=4), data.x, fields=data.fields, columns=data.columns, plan=PLAN)
    parts = data.x[:60], data.x[60:90], data.x[90:]
    ships = Deployed.of(model, *parts, rate=0.1)
    assert ships.crowd is not None
    limit = ships.needed().threshold
    made = runtime.load(graph.export(ships, tmp_path / "model.onnx"))
    asked = rows.astype(object)
    asked.loc[0, ["city", "size", "paid"]] = ["Ulm", "XL", "perhaps"]
    asked.loc[1, ["pay", "linear"]] = [3e38, -3e38]
    asked.loc[2] = None
    asked.loc[3, "pay"] = 1e-9
    found = made.run(asked)
    laid = model.layout.apply(graph_cells(model, asked))
    assert found["code"] == pytest.approx(model.encode_scaled(laid), rel=1e-5, abs=1e-5)
    score = ships.score_laid_out(laid)
    assert found["score"] == pytest.approx(score, rel=1e-5, abs=1e-5)
    assert found["p_value"] == pytest.approx(ships.needed().p_values(score))  # calibration rows are asked again, too
    assert (found["anomaly"] == (score - TIE * np.maximum(1, np.abs(score)) > limit)).all()
    assert (found["anomaly"] == (found["p_value"] <= 0.1 + 1e-12)).all()
    stricter = runtime.load(graph.export(ships, tmp_path / "other.onnx", threshold=limit + 1)).run(asked)
    assert stricter["anomaly"].sum() < found["anomaly"].sum()
    assert 0 < found["anomaly"].mean() < 1


def graph_cells(model: Fitted, rows: pd.DataFrame) -> np.ndarray:
    """Cells by the plainest reading: the place of a text, -1 for a new one, NaN of a flag; seconds of a moment."""
    out = np.full((len(rows), len(model.fields)), np.nan)
    for j, field in enumerate(model.fields):
        for i, value in enumerate(rows[field.name]):
            if pd.isna(value):
                continue
            if field.values:
                new = np.nan if field.kind == "flag" else -1
                out[i, j] = field.values.index(value) if value in field.values else new
            else:
                out[i, j] = value.timestamp() if field.kind == "date" else float(value)
    return out


@pytest.mark.slow
def test_the_shell_and_the_runtime_flag_the_same_rows_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibration rows are among them: their scores tie with themselves."""
    monkeypatch.chdir(tmp_path)
    load_breast_cancer(as_frame=True).data.to_csv("rows.csv", index=False)
    for command in (
        "train pca rows.csv --measure none --out model --quiet",
        "export model --out model.onnx --quiet",
        "flag model rows.csv --out flags.csv --quiet",
    ):
        assert main(command.split()) == 0
    assert run(["model.onnx", "rows.csv", "--out", "same.csv"]) == 0
    ours, theirs = pd.read_csv("flags.csv"), pd.read_csv("same.csv")
    assert ours["flag"].tolist() == theirs["anomaly"].astype(bool).tolist()
    assert 0 < ours["flag"].sum() < len(ours) / 5
    assert theirs["p_value"].to_numpy() == pytest.approx(ours["p_value"].to_numpy(), abs=2 / len(ours))


@pytest.mark.slow
def test_a_graph_that_decides_otherwise_is_not_written(tmp_path: Path) -> None:
    model, other = (Deployed.of(fitted("pca", rows)) for rows in (NUMBERS, NUMBERS[::-1] * 1.5))
    content = graph.graph(other)
    graph.verify(other, content)
    with pytest.raises(BadInput, match="the graph of pca gives other scores than the model"):
        graph.verify(model, content)


@pytest.mark.slow
def test_codes_of_wide_rows_are_held_against_the_size_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        rows = np.random.default_rng(seed).normal(size=(60, 3000))
        model = Deployed.of(isthmus.fit(isthmus.named("pca").set_params(latents=8), rows))
        content = graph.graph(model)
        graph.verify(model, content)
    run = runtime.Graph.run

    def shifted(self: runtime.Graph, rows: Any) -> dict[str, Any]:
        """Codes that are wrong in one number, by a little more than float32 rounds at the row's size."""
        found = run(self, rows)
        code = found["code"].copy()
        code[:, :1] += 5e-5 * np.maximum(np.abs(code), 1).max(axis=1, keepdims=True, initial=1)
        return found | {"code": code}

    monkeypatch.setattr(runtime.Graph, "run", shifted)
    with pytest.raises(BadInput, match="the graph of pca gives other codes than the model"):
        graph.verify(model, content)


def test_what_has_no_graph_is_told(tmp_path: Path) -> None:
    model = fitted("pca")
    with pytest.raises(BadInput, match=r"ends in \.onnx"):
        graph.export(model, tmp_path / "model.bin")
    predicts = isthmus.fit(named("transcoder").set_params(latents=4), NUMBERS, NUMBERS[:, :2], plan=PLAN)
    with pytest.raises(BadInput, match="predict something else than its rows has no graph"):
        graph.export(predicts, tmp_path / "model.onnx")


def test_a_threshold_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="threshold must be a finite number"):
        graph.export(fitted("pca"), tmp_path / "model.onnx", threshold=float("nan"))
    assert not list(tmp_path.iterdir())
