"""A study heeds groups, times and weights: a planted leak is closed, the future is not seen, weights count."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import isthmus
from isthmus.cli import main
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.metrics.fidelity import explained_variance, mse
from isthmus.metrics.ranking import auroc, average_precision
from isthmus.study.design import design
from isthmus.study.examine import data_of, examine
from isthmus.study.material import prepare
from isthmus.study.options import Beside, declared

pytestmark = pytest.mark.filterwarnings("ignore:.*(groups|in the order of time|weights)")
FEW = {"families": "pca", "replicates": 2, "configs": 1, "jobs": 1}


def leaky(groups=30, each=6):
    """Rows of a group are nearly copies, and its label is drawn at random: nothing is to be learnt of new groups."""
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(groups), each)
    x = rng.normal(size=(groups, 4))[of] + 0.01 * rng.normal(size=(groups * each, 4))
    label = np.where(rng.random(groups) < 0.5, "yes", "no")[of]
    return pd.DataFrame(x, columns=list("abcd")).assign(who=[f"g{k}" for k in of], kind=label)


@pytest.mark.slow
def test_a_leak_between_groups_is_closed(tmp_path):
    table, asked = leaky(), {"label": "kind", "facets": "features", "rivals": "raw columns", **FEW}
    open_ = isthmus.compare(table.drop(columns="who"), out=tmp_path / "open", **asked)
    closed = isthmus.compare(table, group="who", out=tmp_path / "closed", **asked)
    scores = [np.mean(s.scores("features", "knn_accuracy")["raw columns"]) for s in (open_, closed)]
    assert scores[0] > 0.85
    assert scores[1] < 0.75
    assert closed.note["data"]["groups"] == 30
    assert closed.note["reading"]["group"] == "who"


@pytest.mark.slow
def test_report_dry_run_and_doctor_know_of_them(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = leaky().assign(w=np.tile([0.5, 1.0, 4.0], 60))
    table.to_csv("t.csv", index=False)
    words = [
        "t.csv",
        "--label",
        "kind",
        "--group",
        "who",
        "--weights",
        "w",
        "--facets",
        "reconstruction,features,anomaly",
    ]
    words += ["--families", "pca", "--rivals", "knn", "--replicates", "2", "--configs", "1", "--jobs", "1"]
    assert main(["compare", *words, "--dry-run", "--quiet"]) == 0
    said = capsys.readouterr()
    assert "none of the 30 groups stands in two parts" in said.out
    assert "by the column “w”" in said.out
    assert "30 groups: no group stands on both sides" in said.err
    assert main(["compare", *words, "--quiet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    page = (tmp_path / "isthmus-t" / "report.html").read_text()
    assert "none of the 30 groups" in page
    assert "Test rows are weighted for" in page
    study = isthmus.Study(found["folder"])
    data, why = data_of(study)
    assert data is not None
    assert not why
    assert data.metadata.weight is not None
    assert [one.finding for one in examine(study, data) if "metric" in one.finding.name] == []
    assert main(["report", "isthmus-t", "--lang", "zh"]) == 0


def test_training_rows_stand_as_often_as_their_weights_say():
    table = leaky().drop(columns=["who", "kind"])
    weighted = read(table, weights=np.tile([1, 2, 3], 60))
    job = design(weighted, facets="reconstruction", **{k: v for k, v in FEW.items() if k != "jobs"}).jobs()[0]
    found = prepare(job, weighted)
    assert len(found.rows.train) == 108
    assert found.sizes["duplicates"] == 0
    train = weighted.x[found.rows.train].astype(np.float64)
    often = weighted.metadata.weight[found.rows.train]
    assert len(found.splits.train.x) == often.sum()
    centre = np.average(train, axis=0, weights=often)
    np.testing.assert_allclose(found.layout.shift, centre, rtol=1e-6)
    assert found.splits.test.weight.tolist() == weighted.metadata.weight[found.rows.test].tolist()


def test_a_weighted_score_is_that_of_rows_that_stand_so_often():
    rng = np.random.default_rng(0)
    x, made, mean = rng.normal(size=(3, 40, 5))
    often = rng.integers(1, 5, 40)
    label, score = rng.integers(0, 2, 40), rng.integers(0, 9, 40).astype(float)
    again = np.repeat(np.arange(40), often)
    assert mse(x, made, often) == pytest.approx(mse(x[again], made[again]))
    whole = explained_variance(x[again], made[again], mean[0])
    assert explained_variance(x, made, mean[0], often) == pytest.approx(whole)
    assert auroc(label, score, often) == pytest.approx(roc_auc_score(label, score, sample_weight=often))
    expected = average_precision_score(label, score, sample_weight=often)
    assert average_precision(label, score, often) == pytest.approx(expected)


@pytest.mark.slow
def test_models_learn_from_the_past_and_persistence_takes_part(tmp_path):
    rng = np.random.default_rng(1)
    state = np.cumsum(rng.random(300) < 0.1) % 2  # a label that seldom turns
    table = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc")).assign(up=np.where(state, "up", "down"))
    asked = {"label": "up", "facets": "features", "rivals": "raw columns,persistence", **FEW}
    study = isthmus.compare(table, time="rows", out=tmp_path / "s", **asked)
    scores = study.scores("features", "probe_accuracy")
    for replicate, value in enumerate(scores["persistence"]):
        test = read(table, label="up", time="rows").split(0, replicate).test
        assert value == pytest.approx(float(np.mean(state[test] == state[test - 1])))
    assert np.mean(scores["persistence"]) > 0.8 > np.mean(scores["raw columns"])
    assert "persistence" not in isthmus.compare(table, out=tmp_path / "t", **asked).contenders("features")


def test_persistence_on_elec(shared):
    data = read(shared("data/drift/elec.csv.gz"), label="target", time="rows")
    assert round(float(np.mean(data.before[1:] == data.y[1:])), 3) == 0.853


def test_fit_heeds_them():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) + np.repeat([0.0, 10.0], 100)[:, None]
    recipe = isthmus.named("pca").set_params(latents=1)
    plain = isthmus.fit(recipe, x, seed=0)
    light = isthmus.fit(recipe, x, seed=0, weights=np.repeat([1, 4], 100))
    np.testing.assert_allclose(light.layout.shift, 8, atol=0.4)
    np.testing.assert_allclose(plain.layout.shift, 5, atol=0.4)
    none = isthmus.fit(recipe, x, seed=0, weights=np.repeat([0, 1], 100))
    assert (none.layout.shift == isthmus.fit(recipe, x[100:], seed=0).layout.shift).all()
    past = isthmus.fit(recipe, x, seed=0, time=np.arange(200))
    np.testing.assert_allclose(past.layout.shift, x[:160].mean(axis=0), rtol=1e-9)
    frame = pd.DataFrame(x, columns=list("abc")).assign(who=np.repeat(np.arange(20), 10))
    whole = isthmus.fit(recipe, frame, seed=0, group="who")
    assert whole.columns == ("a", "b", "c")
    assert whole.layout.shift[0] in [
        pytest.approx(np.delete(x[:, 0].reshape(20, 10), left, axis=0).mean())
        for left in itertools.combinations(range(20), 4)
    ]


@pytest.mark.slow
def test_train_and_ablate_and_several_heed_them(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    leaky().to_csv("a.csv", index=False)
    leaky(groups=20).to_csv("b.csv", index=False)
    short = ["--label", "kind", "--group", "who"]
    assert main(["train", "pca", "a.csv", *short, "--measure", "20s", "--json", "--quiet"]) == 0
    grouped = json.loads(capsys.readouterr().out)["test"]["pca"]["knn_accuracy"]
    assert main(["train", "pca", "a.csv", "--label", "kind", "--drop", "who", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["pca"]["knn_accuracy"] > grouped + 0.1
    few = ["--facets", "reconstruction", "--replicates", "2", "--configs", "1", "--jobs", "1", "--quiet", "--json"]
    assert main(["ablate", "plain", "a.csv", *short, *few, "--set", "tied=true", "--steps", "5"]) == 0
    folder = json.loads(capsys.readouterr().out)["folder"]
    note = isthmus.Ablation(folder).study.note
    assert note["data"]["groups"] == 30
    assert note["reading"] == {"group": "who"}
    assert main(["compare", "a.csv", "b.csv", *short, *few, "--families", "pca,plain", "--steps", "5"]) == 0
    sets = json.loads(capsys.readouterr().out)["sets"]
    assert [one["data"]["groups"] for one in sets.values()] == [30, 20]


def test_too_few_groups_are_refused_before_anything_runs(tmp_path):
    with pytest.raises(BadInput, match="2 groups cannot stand in three parts"):
        isthmus.compare(leaky(groups=2, each=20), label="kind", group="who", out=tmp_path / "s", **FEW)
    assert not (tmp_path / "s").exists()


def test_every_option_is_declared_once():
    assert list(declared(Beside)) == ["group", "time", "weights"]
