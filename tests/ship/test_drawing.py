"""A model that is taken for its new rows draws them as they were measured, also when it is loaded again."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.cli import main
from isthmus.data.columns import columns
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.generation import judged, makers
from isthmus.families import named
from isthmus.metrics.boosted import boosted
from isthmus.sampler import Draws, Sampler, decimals
from isthmus.ship import artefact, drawing
from isthmus.ship.deployed import Deployed
from isthmus.study.deploy import _job, deployed
from isthmus.study.examine import data_of
from isthmus.study.material import prepare
from isthmus.study.refit import refitted
from isthmus.train.fitted import fit


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(0)
    area = random.uniform(30, 200, 240).round(1)
    rooms = np.rint(area / 40 + random.normal(size=240) / 2).clip(1)
    city = np.where(area + 30 * random.normal(size=240) > 100, "Oslo", "Rome")
    spent = np.where(random.random(240) < 0.5, 0.0, (20 * area).round(2))
    return pd.DataFrame({"rooms": rooms, "area": area, "city": city, "spent": spent})


@pytest.fixture(scope="module")
def study(frame, tmp_path_factory):
    asked = {"families": "plain", "facets": "generation", "replicates": 2, "configs": 1}
    place = tmp_path_factory.mktemp("drawing")
    frame.to_csv(place / "flats.csv", index=False)
    plan = isthmus.Plan(steps=200, check=50)
    with pytest.warns(match="'city' is read as categories"):
        return isthmus.compare(place / "flats.csv", **asked, plan=plan, rivals="none", jobs=1, out=place / "study")


def rows_of(study):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return data_of(study)[0]


@pytest.fixture(scope="module")
def ships(study):
    return deployed(study, "plain", "generation", 0, rows_of(study))


@pytest.mark.slow
def test_rows_hold_what_the_data_hold_also_of_a_loaded_model(ships, frame, tmp_path):
    again = artefact.load(artefact.save(ships, tmp_path / "model"))
    made = pd.DataFrame(again.sample(400, seed=3), columns=list(frame))
    pd.testing.assert_frame_equal(made, pd.DataFrame(ships.sample(400, seed=3), columns=list(frame)))
    for name in ("rooms", "area", "spent"):
        assert set(made[name]) <= set(frame[name])  # to the last bit
    assert made.spent.eq(0).mean() == pytest.approx(frame.spent.eq(0).mean(), abs=0.1)
    assert made.area.corr(made.rooms) > 0.5


@pytest.mark.slow
def test_rows_are_those_that_the_study_measured(ships, study):
    splits = prepare(_job(study, "plain", "generation", 0), rows_of(study)).splits
    ways = makers(ships, splits)
    best = next(iter(judged(ways, splits)))
    there, here = (columns(one, splits.layout) for one in (ways[best](600, 1), ships.draws.of(ships).laid_out(600, 1)))
    assert boosted(there.cells, here.cells, there.categories, 0) > 0.85  # 1: trees cannot tell them
    other = columns(ways[best._replace(noisy=not best.noisy)](600, 1), splits.layout)
    assert (best.noisy, best.codes) == (ships.draws.spread is not None, ships.draws.kind)
    assert boosted(other.cells, here.cells, there.categories, 0) < 0.85


@pytest.mark.slow
def test_the_command_draws_them_and_tells_what_is_kept(study, ships, tmp_path, capsys):
    place = tmp_path / "model"
    assert main(["take", str(study.folder), "plain", "--for", "generation", "-o", str(place)]) == 0
    assert f"New rows: isthmus sample {place}" in capsys.readouterr().out
    assert main(["sample", str(place), "-n", "20", "-o", str(tmp_path / "new.csv")]) == 0
    assert (pd.read_csv(tmp_path / "new.csv").rooms % 1 == 0).all()
    capsys.readouterr()
    assert main(["inspect", str(place)]) == 0
    said = capsys.readouterr().out
    assert "new rows:" in said
    assert "144 values of each of 3 columns" in said
    assert "draws.safetensors" in said


@pytest.mark.slow
def test_a_model_of_all_rows_draws_in_the_way_of_one_that_has_not_seen_them(study):
    again = refitted(study, "plain", "generation", rows_of(study)).deployed
    assert again.draws is not None
    assert len(again.draws.marginals.values[0][1]) == 240
    assert np.isin(again.sample(50)[:, 0], np.arange(1, 9)).all()


@pytest.mark.slow
def test_whoever_was_chosen_for_something_else_draws_from_its_prior_or_says_how_to():
    x = np.random.default_rng(0).normal(size=(200, 5))
    plain, vae = (Deployed.of(fit(named(name).set_params(latents=2), x)) for name in ("plain", "vae"))
    with pytest.raises(BadInput, match="plain has no prior to draw from; take it from a study"):
        plain.sample(3)
    np.testing.assert_array_equal(vae.sample(9, seed=1), Sampler.fit(vae, kind="prior").draw(9, seed=1))
    both = dataclasses.replace(vae, draws=Draws("prior", spread=np.full(5, 10.0)))
    assert both.sample(500).std() > 5 * vae.sample(500).std()


def test_wide_codes_are_drawn_alike_after_a_round_trip(tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.sampler.WIDEST", 2)
    monkeypatch.setattr("isthmus.sampler.AXES", 2)
    x = np.random.default_rng(0).normal(size=(200, 6))
    model = fit(named("plain").set_params(latents=5), x)
    own = Sampler.fit(model, x, components=3, seed=1).noisy(x)
    one = dataclasses.replace(Deployed.of(model), draws=Draws("mixture", own.density, own.spread))
    again = artefact.load(artefact.save(one, tmp_path / "model.isthmus"))
    np.testing.assert_array_equal(again.sample(30, seed=2), own.draw(30, seed=2))


FORGED = {
    "weights that do not sum to 1": ("weights", lambda one: one * 2, "sum to 1"),
    "a covariance that is none": ("covariances", lambda one: -one, "positive definite"),
    "a number that is none": ("means", lambda one: one * np.nan, "means must be finite"),
    "another shape": ("means", lambda one: one[:, :1], "means must be finite 64-bit floats of shape"),
    "another type": ("means", lambda one: one.astype(np.float32), "means must be finite 64-bit floats"),
    "values out of order": ("real", lambda one: one[::-1].copy(), "in order"),
    "noise below 0": ("spread", lambda one: one - 1e6, "spread must not be below 0"),
}


@pytest.mark.parametrize("fault", FORGED)
def test_forged_numbers_are_refused(ships, fault):
    name, forge, why = FORGED[fault]
    own = ships.draws._replace(spread=np.ones(ships.model.shape))
    manifest = artefact.parse(
        artefact.Path("model.json"), artefact.pack(dataclasses.replace(ships, draws=own))["model.json"]
    )
    found = drawing.numbers(own)
    drawing.read(manifest, ships.layout, ships.model.latents, found)
    with pytest.raises(BadInput, match=why):
        drawing.read(manifest, ships.layout, ships.model.latents, found | {name: forge(found[name])})
    with pytest.raises(BadInput, match=f"missing array '{name}'"):
        drawing.read(manifest, ships.layout, ships.model.latents, {k: v for k, v in found.items() if k != name})


def test_few_values_of_a_column_keep_its_ends_and_order(ships):
    few = ships.draws.marginals.fewer(7)
    for j, (made, real) in ships.draws.marginals.values.items():
        assert [len(side) for side in few.values[j]] == [7, 7]
        assert (few.values[j][1][[0, -1]] == real[[0, -1]]).all()
        assert np.isin(few.values[j][0], made).all()


def test_decimals_are_those_that_the_data_have():
    values = np.array([-1013010.0, 17.25, 0.1]).astype(np.float32).astype(np.float64)
    assert decimals(values[1:]).tolist() == [17.25, 0.1]
    hours = 1.6e9 - 1.6e9 % 3600 + 3600.0 * np.arange(50)
    assert (decimals(hours + 0.01, dated=True) == hours).all()
    odd = hours + np.random.default_rng(0).uniform(0, 3600, 50).round()
    assert (decimals(odd, dated=True) == odd).all()
    assert (decimals(hours[:3] + 700, hours, dated=True) == hours[:3]).all()
    assert not np.signbit(decimals(np.array([-1e-12, 1.0]))).any()
    assert decimals(np.array([12.000001, -1013010.02])).tolist() == [12.0, -1013010.0]
    odd = np.random.default_rng(0).normal(size=50)
    np.testing.assert_allclose(decimals(odd), odd, atol=3e-6)


def test_one_facet_makes_rows():
    assert [name for name, facet in FACETS.items() if facet.draws] == ["generation"]
