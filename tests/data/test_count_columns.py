"""Whole counts beside columns of other kinds: read, laid out, learnt by a negative binomial, and drawn."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import isthmus
from isthmus.data.fields.count import Count
from isthmus.data.fields.field import Field
from isthmus.data.layout import Table, from_json
from isthmus.data.read import cells, read
from isthmus.errors import BadInput
from isthmus.sampler import Sampler, outcomes
from isthmus.train.fitted import fit
from isthmus.train.likelihood import of_table
from isthmus.train.plan import Plan

RANDOM = np.random.default_rng(0)
KIND = RANDOM.integers(0, 2, 400)
MEAN = np.where(KIND == 1, 20.0, 2.0)
CALLS = RANDOM.poisson(MEAN * RANDOM.gamma(2, 0.5, 400)).astype(float)
CALLS[::20] = np.nan
FRAME = pd.DataFrame({"calls": CALLS, "team": np.where(KIND == 1, "red", "blue"), "age": RANDOM.normal(40, 9, 400)})
DATA = read(FRAME, kinds={"calls": "count"})
LAYOUT = Table.fit(DATA.x, DATA.fields)
PART = LAYOUT.parts[0]


def test_counts_come_back_from_their_layout() -> None:
    assert [field.kind for field in DATA.fields] == ["count", "category", "number"]
    assert read(FRAME).fields[0].kind == "number"
    laid = LAYOUT.apply(DATA.x)
    np.testing.assert_array_equal(LAYOUT.invert(laid)[:, 0], CALLS)
    again = from_json(json.loads(json.dumps(LAYOUT.to_json())))
    assert again.to_json() == LAYOUT.to_json()
    np.testing.assert_array_equal(again.apply(DATA.x), laid)
    there = laid[~np.isnan(CALLS), 0]
    assert there.mean() == pytest.approx(0, abs=1e-6)
    assert there.std() == pytest.approx(1, abs=1e-6)


def test_what_is_no_count_is_refused() -> None:
    with pytest.raises(BadInput, match=r"column .calls.: 0\.5 is no count, a whole number of 0 or more"):
        read(FRAME.assign(calls=0.5), kinds={"calls": "count"})
    with pytest.raises(BadInput, match="-1 is no count"):
        cells(FRAME.assign(calls=-1), DATA.fields)
    with pytest.raises(BadInput, match="dispersion: expected a positive number"):
        Count.from_json({"shift": 0.0, "scale": 1.0, "dispersion": 0.0, "nothing": 1.0})


def test_the_cost_is_scipys_negative_binomial_but_for_a_constant() -> None:
    head, there = of_table(LAYOUT), ~np.isnan(CALLS)
    rows = torch.from_numpy(LAYOUT.apply(DATA.x)).double()
    raw = torch.randn(rows.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    column = PART.column
    assert isinstance(column, Count)
    size = 1 / column.dispersion
    mean = np.exp(raw[there, 0].detach().numpy())
    want = -stats.nbinom.logpmf(CALLS[there], size, size / (size + mean)) - column.nothing + 0.5
    cost = head.nll(raw, rows)
    np.testing.assert_allclose(cost[there, 0].detach().numpy(), want, rtol=1e-4, atol=1e-4)
    assert (cost[~there, 0] == 0).all()
    few = rows[:5], raw[:5].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda r: of_table(LAYOUT).double().nll(r, few[0])[:, :1], (few[1],))


def test_with_nothing_learnt_a_count_costs_what_other_columns_cost() -> None:
    rows = torch.from_numpy(LAYOUT.apply(DATA.x)).double()
    head, there = of_table(LAYOUT), ~np.isnan(CALLS)
    raw = torch.full_like(rows, float(np.log(np.nanmean(CALLS))))
    assert head.nll(raw, rows)[there, 0].mean().item() == pytest.approx(0.5, abs=1e-3)
    mean = head.mean(torch.randn(4, LAYOUT.width))
    torch.testing.assert_close(head.mean(head.link(mean))[:, 0], mean[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_model_learns_the_dispersion_and_its_own_alone() -> None:
    own = {"fields": DATA.fields, "columns": DATA.columns, "plan": Plan(steps=300, learning_rate=0.02)}
    recipe = isthmus.named("plain").set_params(latents=1)
    one, other = (fit(recipe, DATA.x, seed=seed, **own) for seed in (0, 1))
    learnt = float(torch.exp(-one.model.head.log_size.detach())[0])
    assert learnt < PART.column.dispersion  # the team explains much of it
    assert learnt != float(torch.exp(-other.model.head.log_size.detach())[0])


def test_draws_fillings_and_reconstructions_are_whole(tmp_path) -> None:
    own = {"fields": DATA.fields, "columns": DATA.columns, "plan": Plan(steps=60)}
    model = fit(isthmus.named("vae").set_params(latents=2, corruption="mask", corruption_level=0.2), DATA.x, **own)
    isthmus.save(model, tmp_path / "model")
    again = isthmus.load(tmp_path / "model")
    for rows in (again.sample(50), again.reconstruct(DATA.x[:50]), again.impute(DATA.x[:50])):
        counts = rows[~np.isnan(rows[:, 0]), 0]
        assert (counts == np.rint(counts)).all()
        assert (counts >= 0).all()
    frame = again.reconstruct(FRAME[:30])
    assert frame["calls"].dropna().map(float.is_integer).all()


def test_noisy_draws_are_of_the_negative_binomial_that_was_learnt() -> None:
    own = {"fields": DATA.fields, "columns": DATA.columns, "plan": Plan(steps=1)}
    model = fit(isthmus.named("plain").set_params(latents=1), DATA.x, **own)
    row = LAYOUT.apply(np.array([[6.0, 1.0, 40.0]]))
    rows, spread = np.repeat(row, 20_000, axis=0), np.zeros(row.shape[1])
    for dispersion in (1e-6, 0.5, 2.0):
        with torch.no_grad():
            model.model.head.log_size.fill_(-np.log(dispersion))
        made = LAYOUT.invert(outcomes(rows, spread, LAYOUT, model.model, 3))[:, 0]
        made = made[~np.isnan(made)]
        known = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * 6.0)).pmf(np.arange(12))
        found = np.bincount(made.astype(int), minlength=12)[:12] / len(made)
        assert np.abs(found - known).max() < 0.012
        again = LAYOUT.invert(outcomes(rows, spread, LAYOUT, model.model, 3))[:, 0]
        np.testing.assert_array_equal(again[~np.isnan(again)], made)
    nearest = LAYOUT.invert(outcomes(rows, None, LAYOUT, model.model, 3))[:, 0]
    assert set(nearest[~np.isnan(nearest)]) == {6.0}


def test_counts_of_a_family_that_learns_no_dispersion_get_noise_as_numbers_do() -> None:
    model = fit(isthmus.named("pca").set_params(latents=1), DATA.x, fields=DATA.fields, columns=DATA.columns)
    bare = Sampler.fit(model, DATA.x)
    assert bare.noisy(DATA.x).spread[PART.start] > 0
    red, noisy = (
        rows[(rows[:, 1] == 1) & ~np.isnan(rows[:, 0]), 0]
        for rows in (one.draw(3000) for one in (bare, bare.noisy(DATA.x)))
    )
    assert noisy.var() > 1.5 * red.var()


def test_columns_without_a_count_do_no_harm() -> None:
    for values in ([np.nan] * 3, [0.0] * 3, [4.0] * 3):
        column = Count.fit(np.array(values), Field("calls", "count"))
        assert np.isfinite(column.encode(np.array([0.0, 7.0]))).all()
        assert column.dispersion > 0


@pytest.mark.slow
def test_a_graph_lays_counts_out_as_the_model_does(tmp_path) -> None:
    pytest.importorskip("onnxruntime")
    model = fit(isthmus.named("plain").set_params(latents=2), DATA.x, fields=DATA.fields, columns=DATA.columns)
    export = pytest.importorskip("isthmus.ship.graph").export
    assert export(model, tmp_path / "model.onnx").exists()  # which refuses a graph that answers otherwise
