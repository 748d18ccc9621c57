"""Early stopping leaves a method its time: patience begins where schedules end, and what ships is from after that."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from isthmus.families import named
from isthmus.model import Ramp, Timed
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

ROWS = load_digits().data[:400] / 16
PLAN = Plan(steps=400, check=20, patience=1, drops=0)  # impatient: without a schedule it stops long before its end


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fields", "share"),
    [
        ("sae", {"warmup": 0.8, "strength": 0.3}, 0.8),
        ("vae", {"warmup": 0.6}, 0.6),
        ("panneal", {"anneal": 0.7, "strength": 0.1}, 0.7),
        ("panneal", {"anneal": 0.2, "warmup": 0.5}, 0.5),
        ("ksparse", {"anneal": 0.5}, 0.5),
        ("gumbel", {"cooling": 0.6}, 0.6),
    ],
)
def test_patience_begins_at_the_end_of_schedules_and_nothing_from_before_it_ships(name, fields, share):
    fitted = fit(named(name).set_params(**fields), ROWS, plan=PLAN)
    assert fitted.model.settles == pytest.approx(share)
    assert fitted.outcome.best_step >= share * PLAN.steps - 1e-6
    history = fitted.outcome.history
    late = [v for step, v in zip(history["step"], history["valid"], strict=True) if step >= share * PLAN.steps - 1e-6]
    assert fitted.outcome.best_step == history["step"][history["valid"].index(min(late))]


def test_a_warm_up_of_the_learning_rate_is_waited_for():
    hasty = fit(named("plain"), ROWS, plan=Plan(steps=400, check=10, patience=1, drops=0, tolerance=0.5))
    patient = fit(named("plain"), ROWS, plan=Plan(steps=400, check=10, patience=1, drops=0, tolerance=0.5, warmup=0.5))
    assert hasty.outcome.steps < 200 <= patient.outcome.steps


@pytest.mark.slow
@pytest.mark.parametrize("steps", [60, 300])
def test_what_ships_is_what_was_trained_however_few_steps_there_are(steps):
    one = fit(named("ksparse").set_params(latents=16, k=4), ROWS, plan=Plan(steps=steps))
    assert int(one.model.passing()) == 4
    assert one.outcome.best_step >= 0.2 * steps
    other = fit(named("panneal").set_params(p_end=0.2), ROWS, plan=Plan(steps=steps, check=20))
    assert float(other.model.p) == pytest.approx(0.2, abs=1e-6)


def test_winner_take_all_at_the_rate_of_its_paper_is_trained():
    fitted = fit(named("wta").set_params(latents=64, rate=0.05), ROWS, plan=Plan(steps=600))
    assert fitted.outcome.best_step > 100
    valid = fitted.outcome.history["valid"]
    assert min(valid) < 0.9 * valid[0]


@pytest.mark.slow
def test_a_stack_of_models_with_schedules_of_their_own_lets_each_have_its_time():
    from isthmus.train.fitted import fit_many

    rows = ROWS.astype(np.float32)
    recipes = [named("sae").set_params(warmup=w, strength=0.3) for w in (0.2, 0.9)]
    found = fit_many(
        recipes, rows[:300], rows[300:], [PLAN] * 2, layout=fit(named("pca"), ROWS).layout, seed=0
    )  # fmt: skip
    short, long = (one.outcome for one in found)
    assert short.steps < long.steps
    assert short.best_step >= 80
    assert long.best_step >= 360


def test_a_ramp_is_a_share_of_the_steps():
    assert [Ramp(2.0, 0.5, start=1.0).at(done) for done in (0.0, 0.25, 0.5, 1.0)] == [1.0, 1.5, 2.0, 2.0]
    assert isinstance(named("gumbel").build((4,), "gaussian"), Timed)
