"""A model of windows that ships answers steps: by the names of columns, in the order of time, across no gap."""

import json

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus import runtime
from isthmus.cli import main
from isthmus.data.layout import laid_out
from isthmus.data.read import read, steps_of
from isthmus.data.windows import per_step
from isthmus.errors import BadInput
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.windows import NETWORKS, SCORERS
from isthmus.families import named
from isthmus.monitor.watch import Watch
from isthmus.ship import rivals
from isthmus.ship.artefact import load, save
from isthmus.ship.deployed import Deployed
from isthmus.ship.graph import export
from isthmus.ship.reference import Reference
from isthmus.train.fitted import fit

RANDOM = np.random.default_rng(0)
STEPS, LENGTH = 400, 6


def sensors(steps=STEPS, begin="2024-03-01"):
    time = np.arange(steps)
    return pd.DataFrame(
        {
            "when": pd.date_range(begin, periods=steps, freq="5min").astype(str),
            "temp": (np.sin(time / 5) + 0.05 * RANDOM.normal(size=steps)).round(4),
            "flow": (1000 + 300 * np.cos(time / 9) + 9 * RANDOM.normal(size=steps)).round(2),
        }
    )


PAST, NEW = sensors(), sensors(60, "2024-04-01")
NEW.loc[30, "temp"] = 9.0


def deployed(stride=1, **asked):
    data = read(PAST, window=LENGTH, stride=stride, **{"time": "when", **asked})
    train, valid, test = data.split(0)
    recipe = named("pca").set_params(latents=4)
    model = fit(recipe, data.x[train], valid=data.x[valid], columns=data.columns, series=data.series, images=False)
    x, first = data.x, data.windows.first
    return Deployed.of(model, x[train], x[valid], x[test], first=first[test], about="test steps")


MODEL = deployed()


def test_a_step_has_the_mean_score_of_the_windows_that_hold_it():
    steps = NEW[["temp", "flow"]].to_numpy(np.float32)
    windows = np.stack([steps[i : i + LENGTH] for i in range(60 - LENGTH + 1)])
    scores = MODEL.scores(windows)
    found = MODEL.step_scores(NEW)
    np.testing.assert_allclose(found, per_step(scores, np.arange(len(windows)), LENGTH, 60), rtol=1e-5)
    assert 30 - LENGTH < found.argmax() < 30 + LENGTH
    assert MODEL.flags(NEW)[30]
    assert MODEL.p_values(NEW)[30] == 1 / (len(MODEL.calibration.scores) + 1)


def test_order_of_rows_and_columns_is_free_and_gaps_have_no_score():
    expected = MODEL.step_scores(NEW)
    mixed = NEW.sample(frac=1, random_state=0)[["flow", "when", "temp"]].assign(note="x")
    np.testing.assert_allclose(MODEL.step_scores(mixed), expected[mixed.index], rtol=1e-5)
    broken = NEW.copy()
    broken.loc[20, "flow"] = np.nan
    broken = broken.drop(index=range(50, 53))  # 7 steps are left behind it
    found = MODEL.step_scores(broken)
    assert np.isnan(found[20])
    assert np.isfinite(found[[19, 21, 49, 50, 56]]).all()
    np.testing.assert_allclose(found[:15], expected[:15], rtol=1e-5)
    lost = NEW.drop(index=[3])
    assert np.isnan(MODEL.step_scores(lost)[:3]).all()


def test_a_stride_leaves_no_step_out():
    model = deployed(stride=4)
    assert model.series.stride == 4
    assert np.isfinite(model.step_scores(NEW)).all()


def test_calibration_is_of_steps():
    data = read(PAST, window=LENGTH, time="when")
    first = data.windows.first[data.split(0).test]
    assert len(MODEL.calibration.scores) == len(first) + LENGTH - 1
    with pytest.raises(BadInput, match="give the first step of each window"):
        MODEL.calibrated(data.x[:50])


def test_it_is_saved_with_window_stride_channels_and_time(tmp_path):
    again = isthmus.load(isthmus.save(deployed(stride=2), tmp_path / "model"))
    assert (again.series.length, again.series.stride, again.series.channels) == (LENGTH, 2, ("temp", "flow"))
    assert again.series.time == "when"
    np.testing.assert_array_equal(again.step_scores(NEW), deployed(stride=2).step_scores(NEW))
    manifest = json.loads((tmp_path / "model" / "model.json").read_text())
    assert manifest["scaler"]["series"]["length"] == LENGTH


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="flow"), "no column 'flow'"),
        (lambda t: t.drop(columns="when"), "no time column 'when'"),
        (lambda t: t.assign(flow="high"), "column 'flow'"),
        (lambda t: pd.concat([t, t]), "60 rows have the time of another row; .* give each by itself$"),
        (lambda t: t.assign(when=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(60) ** 2, "h")), "even times$"),
    ],
)
def test_what_is_no_such_series_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        MODEL.step_scores(change(NEW))


def test_models_of_rows_have_no_steps():
    rows = np.random.default_rng(0).normal(size=(50, 4))
    with pytest.raises(BadInput, match="not trained on windows of a series"):
        Deployed.of(fit(named("pca").set_params(latents=2), rows)).step_scores(rows)


def test_why_windows_are_not_watched_is_told():
    with pytest.raises(BadInput, match=r"overlap are no draws of rows.* side by side, as a \.npy file of windows"):
        Watch(MODEL)
    apart = read(PAST, window=LENGTH, stride=LENGTH, time="when").x
    assert Watch(MODEL, Reference.of(MODEL, [apart], apart)).feed(apart) == []


def test_series_of_one_file_are_told_apart():
    two = pd.concat([PAST.assign(line="a"), PAST.assign(line="b")])
    data = read(two, window=LENGTH, time="when", group="line")
    cells, order = steps_of(two.sample(frac=1, random_state=1), data.series)
    assert cells.shape == (800, 2)
    assert order.stretches.tolist() == [[0, 400], [400, 800]]


def test_the_command_line_scores_flags_and_examines_steps(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    PAST.to_csv("past.csv", index=False)
    NEW.assign(note="kept").to_csv("new.csv", index=False)
    ask = ["--window", "6", "--stride", "2", "--time", "when", "--measure", "none", "--out", "model", "--quiet"]
    assert main(["train", "pca", "past.csv", *ask]) == 0
    model = isthmus.load("model")
    assert (model.series.length, model.series.stride) == (6, 2)
    assert main(["score", "model", "new.csv", "-o", "scores.parquet"]) == 0
    found = pd.read_parquet("scores.parquet")
    assert list(found) == ["when", "note", "score", "p_value"]
    np.testing.assert_allclose(found.score, model.step_scores(NEW), rtol=1e-5)
    assert main(["flag", "model", "new.csv", "--rate", "0.05", "-o", "flags.csv"]) == 0
    assert pd.read_csv("flags.csv").flag[30]
    assert main(["flag", "model", "new.csv", "--against", "past.csv", "-o", "flags.csv"]) == 0
    assert pd.read_csv("flags.csv").flag[30]
    np.save("new.npy", NEW[["temp", "flow"]].to_numpy())
    capsys.readouterr()
    assert main(["score", "model", "new.npy"]) == 2
    assert "no time column 'when'" in capsys.readouterr().err
    assert main(["encode", "model", "new.csv"]) == 2
    assert "these are steps" in capsys.readouterr().err
    NEW.iloc[:4].to_csv("short.csv", index=False)
    assert main(["score", "model", "short.csv"]) == 2
    assert "4 steps cannot tell order and distance" in capsys.readouterr().err
    NEW.iloc[[*range(4), *range(10, 14), *range(20, 24)]].to_csv("broken.csv", index=False)
    assert main(["score", "model", "broken.csv"]) == 0
    assert "12 of 12 steps have no score" in capsys.readouterr().err
    assert main(["doctor", "model", "--data", "past.csv"]) == 0
    assert main(["doctor", "model", "--data", "broken.csv"]) == 2
    assert "no window of 6 steps" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:s. :UserWarning")
def test_what_a_study_chose_goes_home_with_its_windows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = np.isin(np.arange(STEPS), [100, 230, 270, 300, 345, 375])
    table = PAST.assign(temp=PAST.temp + 4 * odd, odd=odd.astype(int))
    table.to_csv("s.csv", index=False)
    ask = {"window": LENGTH, "time": "when", "label": "odd", "anomaly": "1"}
    few = {
        "families": "pca",
        "facets": "anomaly",
        "rivals": "pca,knn,sub-pca",
        "replicates": 2,
        "configs": 1,
        "jobs": 1,
    }
    study = isthmus.compare("s.csv", out="study", **ask, **few)
    assert study.verdict()["anomaly"].metric == "vus_pr"
    assert main(["take", "study", "knn", "--out", "model"]) == 0
    model = isthmus.load("model")
    assert model.series.channels == ("temp", "flow")
    assert np.isfinite(model.step_scores(NEW)).all()
    assert main(["take", "study", "sub-pca", "--out", "other"]) == 0
    assert np.isfinite(isthmus.load("other").step_scores(NEW)).all()
    assert main(["doctor", "study"]) in (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("channels", [["temp"], ["temp", "flow"]])
def test_rivals_of_windows_ship_the_scores_that_were_measured(name, channels, tmp_path):
    data = read(PAST[["when", *channels]], time="when", window=LENGTH)
    train, valid, test = data.split(0)
    layout = laid_out(data.x[train], data.fields, series=data.series)
    parts = [Rows(layout.apply(data.x[part]), None) for part in (train, valid, test)]
    splits = Splits(*parts, seed=3, latents=2, layout=layout)
    found = rivals.fitted(name, "anomaly", splits, layout, data.columns)
    first = data.windows.first
    ships = Deployed.of(found, data.x[train], data.x[valid], data.x[test], first=first[test], about="test steps")
    again = load(save(ships, tmp_path / "m"))
    measured = SCORERS[name](splits)(layout.apply(data.x))
    assert again.scores(data.x) == pytest.approx(measured, rel=1e-6, abs=1e-12)
    found = again.step_scores(NEW[["when", *channels]])
    assert 30 - LENGTH < found.argmax() < 30 + LENGTH
    graph = runtime.load(export(again, tmp_path / "m.onnx"))
    assert graph.run(data.x)["score"] == pytest.approx(measured, rel=1e-5, abs=1e-9)
