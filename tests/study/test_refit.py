"""A contender trained again on all rows: with what was chosen, calibrated by models that did not see a row."""

import json

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.cli import ends, main
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.ship import artefact
from isthmus.ship.card import markdown
from isthmus.study.examine import data_of
from isthmus.study.refit import FOLDS, refitted, setting

COLUMNS = list("abcd")
SMALL = {"families": "plain", "facets": "reconstruction,anomaly", "rivals": "pca,knn", "capacity": "matched"}
SMALL |= {"replicates": 2, "configs": 2, "steps": 60, "plan": {"check": 10}, "jobs": 1}


def rows(seed, count):
    return np.random.default_rng(seed).normal(size=(count, 2)) @ np.random.default_rng(9).normal(size=(2, 4)) + (
        0.1 * np.random.default_rng(seed + 1).normal(size=(count, 4))
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    place = tmp_path_factory.mktemp("refit")
    pd.DataFrame(rows(0, 160), columns=COLUMNS).to_csv(place / "rows.csv", index=False)
    return isthmus.compare(str(place / "rows.csv"), out=place / "s", **SMALL)


@pytest.mark.slow
def test_the_setting_is_the_one_that_most_replicates_chose_and_steps_are_their_median(study):
    found = setting(study, "plain", "reconstruction")
    runs = [one for one in study.records if one.job.name == "plain" and "reconstruction" in one.facets]
    chosen = [one.facets["reconstruction"].config for one in runs]
    number = max(sorted(set(chosen)), key=chosen.count)
    ends_ = [one.configs[number].best_step for one, own in zip(runs, chosen, strict=True) if own == number]
    assert found.replicates == len(ends_)
    assert found.recipe.to_json() == study.design.families["plain"][number]["recipe"]
    assert abs(found.steps - np.median(ends_)) < 10
    assert found.steps % 10 == 0
    with pytest.raises(BadInput, match="no run of vae for anomaly"):
        setting(study, "vae", "anomaly")


@pytest.mark.slow
def test_it_is_trained_on_all_rows_and_says_what_was_measured_and_what_not(study, tmp_path):
    model = study.refit("plain", "reconstruction")
    assert model.origin.refitted == 160
    assert all(one.own is None for one in model.origin.measured)
    assert model.origin.measured[0].value == study.scores("reconstruction")["plain"].mean()
    layout = model.layout.to_json()
    np.testing.assert_allclose(layout["shift"], rows(0, 160).mean(axis=0), atol=1e-4)
    assert not np.array_equal(model.encode(rows(0, 5)), study.model("plain").encode(rows(0, 5)))
    again = study.refit("plain", "reconstruction")
    assert np.array_equal(model.encode(rows(0, 5)), again.encode(rows(0, 5))), "the same study, the same model"
    artefact.save(model, tmp_path / "m")
    kept = artefact.load(tmp_path / "m")
    assert kept.origin == model.origin
    assert "trained again on 160 rows, test rows among them: of it nothing was measured" in markdown(kept)
    assert "重新训练" in markdown(kept, "zh")


@pytest.mark.filterwarnings("ignore:these rows lie")
@pytest.mark.parametrize("name", ["plain", "knn"])
def test_flags_keep_their_rate_on_new_rows(study, name):
    model = study.refit(name, "anomaly")
    assert len(model.calibration.scores) == 160, "each row once"
    assert f"one of {FOLDS} models" in model.calibration.about
    share = np.mean(model.p_values(rows(5, 1500)) <= 0.1)
    assert 0.03 < share < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 160), share
    assert model.p_values(rows(5, 3) + 50).max() <= 1 / 161 + 1e-9


def test_whoever_is_recommended_is_trained_again_from_the_shell(study, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = str(study.folder)
    assert main(["take", folder, "plain", "--for", "reconstruction", "--refit", "--out", "m", "--json"]) == ends.DONE
    found = json.loads(capsys.readouterr().out)
    assert found["refit"] == {"rows": 160, "steps": setting(study, "plain", "reconstruction").steps}
    assert found["calibration"]["rows"] == 160
    assert artefact.load("m").origin.refitted == 160
    assert main(["take", folder, "knn", "--for", "anomaly", "--refit", "--out", "n"]) == ends.DONE
    out = capsys.readouterr().out
    assert "knn as chosen for anomaly, trained again on all 160 rows." in out
    assert "Not measured: this one" in out
    assert main(["take", folder, "plain", "--refit", "--replicate", "2"]) == ends.INPUT
    assert "leave --replicate out" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tells the label of")
def test_declared_anomalies_are_not_trained_on(tmp_path):
    x = np.concatenate([rows(0, 100), rows(3, 40) + 5])
    frame = pd.DataFrame(x, columns=COLUMNS).assign(kind=["fine"] * 100 + ["odd"] * 40)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    asked = SMALL | {"facets": "anomaly", "configs": 1, "families": "pca", "rivals": "pca,knn"}
    study = isthmus.compare(str(tmp_path / "rows.csv"), label="kind", anomaly="odd", out=tmp_path / "s", **asked)
    model = study.refit("knn", "anomaly")
    assert model.origin.refitted == 100
    assert model.flags(x[100:], 0.05).mean() > 0.9


def test_windows_of_a_series_are_refused(study, monkeypatch):
    data, _ = data_of(study)
    series = read(np.sin(np.arange(200.0))[:, None].repeat(2, 1), time="rows", window=8)
    with pytest.raises(BadInput, match="windows of a series share steps"):
        refitted(study, "plain", "reconstruction", series)
    assert data is not None
