"""The width of the code: the sweep's rule in numbers, on data of known dimension, and as part of a study."""

import json
import math
import time
from collections import defaultdict

import numpy as np
import pytest
import torch

from isthmus.api.study import Study, compare
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.study import capacity
from isthmus.study import outline as outlines
from isthmus.study.capacity import Point, Sweep, mean_and_error, one_standard_error, sweep
from isthmus.study.design import design
from isthmus.study.estimate import Estimate, Reading
from isthmus.study.material import prepare
from isthmus.study.outline import outline
from isthmus.train.plan import Plan

QUICK = {"families": "plain", "facets": "reconstruction", "replicates": 2, "configs": 1, "steps": 60, "jobs": 1}


def linear(dimension, columns, rows=400, noise=0.3, seed=0):
    """Rows near a linear subspace."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(columns, dimension)))[0]
    signal = random.normal(size=(rows, dimension)) @ axes.T * math.sqrt(columns / dimension)
    return (signal + noise * random.normal(size=signal.shape)).astype(np.float32)


def swept(x, replicates=3, hidden=(), seed=0, **plan):
    return sweep(read(x), replicates=replicates, hidden=hidden, backbone=None, plan=Plan(**plan), seed=seed)


def test_the_rule_is_that_of_one_standard_error():
    points = [Point(1, 9.0, 0.1), Point(2, 1.2, 5.0), Point(3, 1.05, 0.0), Point(4, 1.0, 0.1), Point(8, 1.0, 0.1)]
    assert one_standard_error(points) == 3
    assert one_standard_error([*points, Point(16, 0.9, 0.01)]) == 16
    assert one_standard_error([Point(1, math.inf, math.inf), Point(2, 3.0, 0.0)]) == 2
    with pytest.raises(BadInput, match="every width diverged"):
        one_standard_error([Point(1, math.inf, math.inf)])


def test_the_standard_error_knows_that_splits_overlap():
    values = [1.0, 2.0, 4.0]
    mean, se = mean_and_error(values, 1 / 3)
    assert mean == pytest.approx(7 / 3)
    assert se == pytest.approx(math.sqrt((1 / 3 + 1 / 3) * np.var(values, ddof=1)))
    assert mean_and_error([1.0, None, 2.0], 0.3) == mean_and_error([1.0, math.nan, 2.0], 0.3) == (math.inf, math.inf)


@pytest.mark.slow
@pytest.mark.parametrize(("dimension", "columns", "seed"), [(1, 10, 0), (3, 12, 1), (5, 16, 2)])
def test_a_subspace_with_noise_is_told_within_one(dimension, columns, seed):
    found = swept(linear(dimension, columns, rows=300, seed=seed), seed=seed, steps=800)
    assert abs(found.chosen - dimension) <= 1
    assert np.mean(found.linear[found.widths.index(found.chosen)]) < 1.3 * np.min(np.mean(found.linear, axis=1))


@pytest.mark.slow
def test_a_curved_sheet_is_told_within_one_by_a_network_that_can_bend():
    random = np.random.default_rng(0)
    turn, height = 1.5 * math.pi * (1 + 2 * random.random(500)), 21 * random.random(500)
    roll = np.stack([turn * np.cos(turn), height, turn * np.sin(turn)], axis=1)
    roll = (roll - roll.mean(0)) / roll.std(0)
    x = roll @ np.linalg.qr(random.normal(size=(15, 3)))[0].T * math.sqrt(5) + 0.2 * random.normal(size=(500, 15))
    found = swept(x, hidden=(32, 32), steps=700)
    assert 2 <= found.chosen <= 3


def test_the_best_of_three_starts_counts_where_there_are_hidden_layers(monkeypatch):
    data, found = read(linear(2, 6, rows=80)), []
    splits = [capacity._Split.of(data, replicate, seed=0) for replicate in (0, 1)]
    trained = capacity.train
    monkeypatch.setattr(capacity, "train", lambda tasks: found.append(len(tasks)) or trained(tasks))
    ends = []
    monkeypatch.setattr(capacity._Split, "error", lambda split, x_hat: ends.append(float(x_hat.mean())) or ends[-1])
    best = capacity._network(splits, 2, (8,), None, Plan(steps=40))
    assert best == [min(ends[:3]), min(ends[3:])]
    assert len(set(ends)) == 6
    assert len(capacity._network(splits, 2, (), None, Plan(steps=40))) == 2
    assert found == [6, 2]
    monkeypatch.setattr(capacity._Split, "error", lambda *_: math.nan)
    assert capacity._network(splits, 2, (8,), None, Plan(steps=40)) == [None, None]


@pytest.mark.slow
def test_a_winding_curve_is_told_within_one_from_most_starts():
    """From a single start a code of two units is caught in a poor optimum here, and so it may be from all of them: how
    sums are rounded decides."""
    random = np.random.default_rng(1)
    along = random.random(300)
    curve = np.stack([np.cos(math.pi * k * along) for k in (1, 2, 3)], axis=1)
    curve = (curve - curve.mean(0)) / curve.std(0)
    x = curve @ np.linalg.qr(random.normal(size=(10, 3)))[0].T * math.sqrt(10 / 3)
    noisy = x + 0.2 * random.normal(size=x.shape)
    near = 0
    for seed in (1, 2, 3):
        near += swept(noisy, hidden=(32, 32), seed=seed, steps=1000).chosen <= 2
        if near == 2:
            break
    assert near == 2


@pytest.mark.slow
def test_widths_between_are_looked_at_and_no_wider_than_rows():
    found = swept(linear(5, 14, rows=200), steps=300)
    assert found.chosen > 4
    assert found.chosen - 1 in found.widths
    assert found.widths == sorted(found.widths)
    assert max(swept(linear(1, 5, rows=60), steps=50).widths) == 4
    assert max(swept(linear(1, 3, rows=60), steps=50).widths) == 3
    alone = swept(np.random.default_rng(0).normal(size=(40, 1)), steps=50)
    assert (alone.chosen, alone.widths) == (1, [1])


def test_components_are_the_conditional_mean_of_the_hidden_elements():
    """Against the textbook: mean and covariance of a normal distribution given some of its elements."""
    data = read(linear(3, 8))
    one = capacity._Split.of(data, 0, seed=0)
    train, valid = one.train.double().numpy(), one.valid.double().numpy()
    mean, covariance = train.mean(0), np.cov(train.T, bias=True)
    values, axes = np.linalg.eigh(covariance)
    for width in (1, 3):
        noise = values[:-width].mean()
        model = axes[:, -width:] * (values[-width:] - noise) @ axes[:, -width:].T + noise * np.eye(8)
        wanted = valid.copy()
        for row, hidden in zip(wanted, one.hidden.numpy(), strict=True):
            seen = ~hidden
            gain = model[np.ix_(hidden, seen)] @ np.linalg.inv(model[np.ix_(seen, seen)])
            row[hidden] = mean[hidden] + gain @ (row[seen] - mean[seen])
        expected = one.error(torch.from_numpy(wanted))
        assert capacity._components(one, [width]) == pytest.approx([expected], rel=1e-4)


def test_the_same_number_of_elements_is_hidden_in_every_row_and_counts_alone():
    one = capacity._Split.of(read(linear(2, 12)), 0, seed=0)
    assert set(one.hidden.sum(dim=1).tolist()) == {2}
    elsewhere = torch.where(one.hidden, one.valid, one.valid + 100)
    assert one.error(elsewhere) == 0
    assert one.error(torch.where(one.hidden, one.valid + 2, one.valid)) == pytest.approx(4, rel=1e-5)


def test_it_looks_at_the_rows_that_the_study_trains_and_validates_on(monkeypatch):
    data = read("iris")
    job = next(job for job in design(data, seed=3).jobs() if job.name.replicate == 1)
    splits, one = prepare(job, data).splits, capacity._Split.of(data, 1, seed=3)
    assert np.array_equal(one.train.numpy(), splits.train.x)
    assert np.array_equal(one.valid.numpy(), splits.valid.x)
    monkeypatch.setattr(capacity, "MOST", 20)
    few = capacity._Split.of(data, 1, seed=3)
    assert (len(few.train), len(few.valid)) == (20, 7)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_sweep_and_another_seed_another():
    x = linear(2, 6, rows=120)
    first = swept(x, steps=60)
    assert first == swept(x, steps=60)
    assert first.errors != swept(x, steps=60, seed=1).errors
    assert first.errors != swept(x, steps=50).errors
    assert first.errors != swept(x, steps=60, hidden=(8,)).errors
    assert Sweep.from_json(json.loads(json.dumps(first.to_json()))) == first


def test_flat_data_need_one_unit():
    found = swept(np.full((40, 4), 2.5), steps=50)
    assert (found.chosen, found.nothing, found.dimension) == (1, 0.0, None)


@pytest.mark.slow
def test_a_study_with_auto_keeps_its_sweep_and_never_does_it_again(tmp_path, monkeypatch):
    x = linear(2, 6, rows=120)
    study = compare(x, latents="auto", out=tmp_path / "s", **QUICK)
    assert study.sweep is not None
    assert study.design.latents == study.sweep.chosen == study.records[0].configs[0].recipe["latents"]
    assert len(study.sweep.errors[0]) == QUICK["replicates"]
    monkeypatch.setattr(outlines, "sweep", lambda *_, **__: pytest.fail("swept again"))
    again = outline(x, latents="auto", out=tmp_path / "s", **QUICK)
    assert again.design == study.design
    number = outline(x, latents=study.sweep.chosen, out=tmp_path / "s", **QUICK)
    assert number.design == study.design
    assert Study(tmp_path / "s").sweep == study.sweep
    assert outline(x, out=tmp_path / "other", **QUICK).note.get("sweep") is None


def test_what_latents_may_be(tmp_path):
    with pytest.raises(BadInput, match="whole number, or auto to sweep widths; got 'best'"):
        outline(linear(1, 3), latents="best", out=tmp_path / "s", **QUICK)


@pytest.mark.slow
def test_a_budget_pays_for_the_sweep(tmp_path, monkeypatch):
    seen = []
    free = Estimate(defaultdict(lambda: Reading(0.0)), {}, {}, {}, 0.0, 1)
    monkeypatch.setattr(outlines, "estimate", lambda *_, **__: free)
    monkeypatch.setattr(outlines, "afford", lambda planned, found, left: seen.append(left) or planned)
    pair = [[1.0, 1.0]]
    fake = Sweep(chosen=2, widths=[2], errors=pair, linear=pair, nothing=1, ratio=0.3, dimension=None, seconds=30.0)
    monkeypatch.setattr(outlines, "sweep", lambda *_, **__: time.sleep(0.4) or fake)
    options = {**QUICK, "steps": None, "budget": 90}
    assert outline(linear(1, 4), latents="auto", out=tmp_path / "s", **options).design.latents == 2
    assert 60 < seen[0] < 89.6
