"""A training that left the finite numbers says at which step, by which term and through which column."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from isthmus.data.scale import Scaler
from isthmus.families import named
from isthmus.families.plain import Plain, PlainModel
from isthmus.model import Loss, knob
from isthmus.train.cause import standing_out
from isthmus.train.fitted import fit, fit_many
from isthmus.train.loop import train
from isthmus.train.plan import Plan
from isthmus.train.task import Task

ROWS = np.random.default_rng(0).normal(size=(200, 5))
PLAN = {"steps": 200, "check": 20}


class Clocked(PlainModel):
    """Its second term fails at step ``at``: its value, or only its gradient (0 / 0 under a root)."""

    def __init__(self, recipe, shape, head):
        super().__init__(recipe, shape, head)
        self.weights |= {"clock": 1.0}
        self.how = recipe.how
        self.register_buffer("left", torch.tensor(float(recipe.at)))

    def forward(self, x, target, noise=None):
        z = self.encode(x)
        size = z.square().mean()
        clock = torch.log(self.left) + size if self.how == "value" else torch.sqrt(self.left * size)
        if not self.training:
            clock = size
        return Loss({"reconstruction": self.misfit(z, target), "clock": clock}, {"steps": x.new_ones(())})

    @torch.no_grad()
    def absorb(self, seen):
        self.left.sub_(seen["steps"])


@dataclass(kw_only=True, eq=False, repr=False)
class Timed(Plain):
    family: ClassVar[str] = "timed"
    at: int = knob(30, "The step.", stacks=True)
    how: str = knob("value", "Which fails.")

    def _build(self, shape, head):
        return Clocked(self, shape, head)


@pytest.mark.parametrize("options", [{}, {"warmup": 0.2}, {"schedule": "cosine"}, {"clip": 1.0}])
@pytest.mark.parametrize("how", ["value", "gradient"])
@pytest.mark.parametrize("at", [1, 30])
def test_the_step_and_the_term_are_named(how, at, options):
    outcome = fit(Timed(latents=2, how=how, at=at), ROWS, plan=Plan(**PLAN, **options)).outcome
    assert outcome.status == "diverged"
    assert (outcome.cause.how, outcome.cause.step, outcome.cause.term) == (how, at, "clock")
    assert outcome.cause.column is None


def test_the_best_weights_are_kept_as_they_were():
    one = fit(Timed(latents=2, at=30), ROWS, plan=Plan(**PLAN))
    well = fit(Timed(latents=2, at=10**6), ROWS, plan=Plan(steps=20, check=20))
    assert one.outcome.best_step == 20
    assert all(bool(p.isfinite().all()) for p in one.model.parameters())
    held = {k: v for k, v in one.model.state_dict().items() if k != "left"}
    assert all(torch.allclose(v, well.model.state_dict()[k], atol=1e-2) for k, v in held.items())


def test_a_column_of_the_validation_rows_that_is_not_finite():
    held = ROWS[:50].copy()
    held[3, 2] = math.nan
    outcome = fit(Plain(latents=2), ROWS, valid=held, plan=Plan(**PLAN)).outcome
    assert (outcome.status, outcome.steps, outcome.best_step) == ("diverged", 0, 0)
    assert outcome.cause == ("validation", 0, "reconstruction", 2)


@pytest.mark.parametrize("value", [math.inf, 1e30])
def test_a_column_of_the_training_rows_that_stands_out(value):
    rows = torch.tensor(ROWS, dtype=torch.float32)
    rows[:, 4] = value
    model = Plain(latents=2).build((5,), "gaussian", number=0)
    task = Task(Plain(latents=2), model, rows, torch.zeros(4, 5), Plan(**PLAN), 0)
    (outcome,) = train([task])
    assert outcome.status == "diverged"
    assert (outcome.cause.term, outcome.cause.column) == ("reconstruction", 4)


@pytest.mark.parametrize("name", ["plain", "vae", "topk"])
def test_what_rose_is_named_without_a_second_training(name):
    outcome = fit(named(name).set_params(latents=4), ROWS, plan=Plan(**PLAN, learning_rate=1e3)).outcome
    assert outcome.status == "diverged"
    assert outcome.cause.term in outcome.history.keys() | {k.removeprefix("valid/") for k in outcome.history}
    assert 0 < outcome.cause.step <= outcome.steps


def test_a_healthy_training_has_no_cause():
    assert fit(Plain(latents=2), ROWS, plan=Plan(**PLAN)).outcome.cause is None


@pytest.mark.slow
def test_a_training_in_stages_counts_the_steps_before():
    plan = Plan(steps=240, check=10, stages="layerwise", learning_rate=1e30)
    outcome = fit(Plain(latents=2, hidden=(8,)), ROWS, plan=plan).outcome
    assert outcome.status == "diverged"
    assert outcome.cause.step == 1
    late = Plan(steps=240, check=10, stages="layerwise")
    outcome = fit(Timed(latents=2, hidden=(8,), at=35), ROWS, plan=late).outcome
    assert outcome.cause.step >= 35


def test_the_farthest_column_wins_and_scaled_rows_have_none():
    rows = torch.tensor([[0.0, 2e3, -1e6], [1.0, 2.0, 3.0]])
    assert standing_out(rows) == 2
    assert standing_out(torch.tensor(ROWS)) is None


def test_one_of_a_stack_diverges_and_the_others_go_on():
    scaler = Scaler.fit(ROWS)
    rows = scaler.apply(ROWS)
    recipes = [Timed(latents=2, at=at) for at in (10**6, 30, 7)]
    fitted = fit_many(recipes, rows[:150], rows[150:], [Plan(**PLAN)] * 3, layout=scaler, seed=0)
    assert [one.outcome.status == "diverged" for one in fitted] == [False, True, True]
    assert [one.outcome.cause and one.outcome.cause.step for one in fitted] == [None, 30, 7]
    alone = fit_many(recipes[:1], rows[:150], rows[150:], [Plan(**PLAN)], layout=scaler, seed=0)[0]
    assert alone.outcome.history["valid"] == pytest.approx(fitted[0].outcome.history["valid"], rel=1e-4)
