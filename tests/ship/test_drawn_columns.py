"""The mixture of columns of several kinds ships: it draws the rows that a study measured, and does nothing else."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.cli import main
from isthmus.data.layout import laid_out
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.mixtures import generator
from isthmus.seeds import seed as hashed
from isthmus.serve.offer import offered
from isthmus.ship import artefact, graph
from isthmus.study.deploy import _job, deployed
from isthmus.study.examine import data_of
from isthmus.study.material import prepare

NAME, FACET = "mixed-type mixture", "generation"


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(0)
    old = random.random(300) < 0.5
    people = {
        "age": np.where(old, random.integers(50, 90, 300), random.integers(17, 40, 300)),
        "city": np.where(random.random(300) < 0.9, np.where(old, "Oslo", "Rome"), None),
        "spent": np.where(random.random(300) < 0.5, 0.0, (100 * random.gamma(2, 1, 300)).round(2)),
        "height": np.where(random.random(300) < 0.1, np.nan, random.normal(170, 10, 300)),
        "member": np.where(old, "yes", "no"),
        "since": np.datetime64("2001-01-01") + random.integers(0, 4000, 300).astype("m8[D]"),
    }
    return pd.DataFrame(people)


@pytest.fixture(scope="module")
def study(frame, tmp_path_factory):
    place = tmp_path_factory.mktemp("mixture")
    frame.to_csv(place / "people.csv", index=False)
    asked = {"families": "pca", "facets": FACET, "replicates": 2, "configs": 1, "rivals": NAME, "jobs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan = isthmus.Plan(steps=50, check=50)
        return isthmus.compare(place / "people.csv", **asked, plan=plan, out=place / "study")


@pytest.fixture(scope="module")
def data(study):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return data_of(study)[0]


@pytest.fixture(scope="module")
def ships(study, data):
    return deployed(study, NAME, FACET, 0, data)


@pytest.mark.slow
def test_what_ships_draws_the_rows_that_were_measured(study, data, ships, tmp_path):
    again = artefact.load(artefact.save(ships, tmp_path / "model"))
    made = again.sample(500, seed=3)
    assert np.array_equal(made.astype(str), ships.sample(500, seed=3).astype(str))
    assert not np.array_equal(made.astype(str), again.sample(500, seed=4).astype(str))
    splits = prepare(_job(study, NAME, FACET, 0), data).splits
    measured = splits.layout.invert(generator(splits).draw(500, hashed(3, "sample"))[0])
    numbers = [j for j, field in enumerate(data.fields) if field.kind != "category"]
    exact, rounded = (rows[:, numbers].astype(float) for rows in (measured, made))
    assert rounded[:, :-1] == pytest.approx(exact[:, :-1], rel=1e-5, abs=0.006, nan_ok=True)
    assert np.abs(rounded[:, -1] - exact[:, -1]).max() <= 43_200 + 60  # to the nearest whole day
    assert np.array_equal(made.astype(str)[:, 1], measured.astype(str)[:, 1])


@pytest.mark.slow
def test_rows_hold_what_the_data_hold(frame, study, ships, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["take", str(study.folder), NAME, "--for", FACET, "--out", "model"]) == 0
    assert "New rows: isthmus sample" in capsys.readouterr().out
    assert main(["sample", "model", "-n", "400", "-o", "new.csv"]) == 0
    made = pd.read_csv("new.csv")
    assert list(made) == list(frame)
    assert set(made["age"]) <= set(frame["age"])
    assert set(made["city"].dropna()) == {"Oslo", "Rome"}
    assert 0 < made["city"].isna().mean() < 0.2 < (made["spent"] == 0).mean() < 0.8
    assert 0 < made["height"].isna().mean() < 0.25
    assert (made["spent"] == made["spent"].round(2)).all()
    assert ",-0," not in Path("new.csv").read_text()
    since = pd.to_datetime(made["since"])
    assert since.between("2000-12-31", "2012-01-01").all()
    assert (since == since.dt.normalize()).all()
    told = pd.crosstab(made["member"], made["age"] > 45, normalize="index")
    assert told.loc["yes", True] > 0.8  # of columns that are independent half
    assert told.loc["no", True] < 0.2
    whole = [tuple(row) for row in made.dropna().itertuples(index=False)]
    assert not set(whole) & {tuple(row) for row in frame.dropna().itertuples(index=False)}


@pytest.mark.slow
def test_it_does_nothing_else(frame, ships, tmp_path, capsys):
    artefact.save(ships, tmp_path / "model")
    frame.to_csv(tmp_path / "people.csv", index=False)
    for verb in ("encode", "score", "flag", "reconstruct"):
        assert main([verb, str(tmp_path / "model"), str(tmp_path / "people.csv")]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert "draws new rows and does nothing else" in told or "no calibration rows" in told
    for verb in (["export", str(tmp_path / "model")], ["serve", str(tmp_path / "model"), "--port", "1"]):
        assert main(verb) == 2
        assert "draws new rows and does nothing else" in capsys.readouterr().err
    with pytest.raises(BadInput, match="draws new rows"):
        offered(ships)
    with pytest.raises(BadInput, match="draws new rows"):
        graph.export(ships, tmp_path / "model.onnx")
    assert main(["inspect", str(tmp_path / "model")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "new rows: mixed-type mixture draws new rows and does nothing else" in told
    assert "threshold" not in told
    assert main(["card", str(tmp_path / "model")]) == 0
    assert "draws new rows and does nothing else" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [("chances", "sum to 1"), ("shares", "sum to 1"), ("variances", "above 0"), ("ranked", "in order")],
)
def test_what_no_fit_gives_is_refused(name, said, ships, tmp_path):
    place = artefact.save(ships, tmp_path / "model")
    model = artefact.load(place)
    model.model.get_buffer(name).view(-1)[0] = 1e6 if name != "variances" else 0.0
    artefact.save(model, place)
    with pytest.raises(BadInput, match=said):
        artefact.load(place)


def test_columns_of_another_table_are_refused(ships):
    other = read(pd.DataFrame({"a": ["x", "y", "z"] * 9, "b": [0.5, 7.0, 3.0] * 9}))
    with pytest.raises(BadInput, match="not those of the layout"):
        ships.model.rows(3, 0, laid_out(other.x, other.fields))


def test_components_are_chosen_on_rows_held_apart(study, data):
    splits = prepare(_job(study, NAME, FACET, 0), data).splits
    with pytest.raises(BadInput, match="leave --refit out"):
        FACETS[FACET].networks[NAME](splits._replace(valid=splits.train))
