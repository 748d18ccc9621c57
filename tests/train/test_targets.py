"""A target that is not the input: through the engine, in the target's units, in another shape, and on disk."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

from isthmus.data.corrupt import corrupt
from isthmus.data.corrupt import draw as draw_corruption
from isthmus.errors import BadInput
from isthmus.families import FAMILIES, named
from isthmus.model import Loss, Model, Recipe
from isthmus.parts import heads
from isthmus.seeds import seed
from isthmus.train.fitted import fit
from isthmus.train.loop import train
from isthmus.train.order import Order
from isthmus.train.plan import Plan
from isthmus.train.task import Task

pytestmark = pytest.mark.sensitive

DIGITS = torch.tensor(load_digits().data[:600] / 16, dtype=torch.float32)
TRAIN, VALID = DIGITS[:400], DIGITS[400:]
SUMS = DIGITS.view(600, 8, 8).mean(1)  # another shape: eight column means of each image
PLAN = Plan(steps=40, batch=32, check=40, schedule="constant")


@dataclass(kw_only=True, eq=False, repr=False)
class Across(Recipe):
    """Rows in, something else out: the smallest transcoder."""

    family: ClassVar[str] = "across"
    targets: ClassVar[bool] = True

    def _build(self, shape, head, out=None):
        return AcrossModel(self, shape, head, out)


class AcrossModel(Model):
    def __init__(self, recipe, shape, head, out):
        super().__init__()
        self.shape, self.latents, self.head, self.out = shape, recipe.latents, head, out
        self.weights = {"reconstruction": 1.0}
        self.down = nn.Linear(math.prod(shape), recipe.latents)
        self.up = nn.Linear(recipe.latents, math.prod(out))

    def encode(self, x):
        return torch.relu(self.down(x.flatten(1)))

    def raw(self, z):
        return self.up(z).view(len(z), *self.out)

    def decode(self, z):
        return heads.mean(self.head, self.raw(z))

    def forward(self, x, target, noise=None):
        return Loss({"reconstruction": heads.nll(self.head, self.raw(self.encode(x)), target).mean()}, {})

    @torch.no_grad()
    def start(self, x, target=None):
        self.up.bias.copy_(heads.link(self.head, (x if target is None else target).mean(0)).flatten())


def paired(recipe, goal, number=1, plan=PLAN, kept=None):
    """A task from digits to ``goal``, a function of rows."""
    aims = [goal(TRAIN), goal(VALID)] if kept is None else kept
    model = recipe.build((64,), "bernoulli", tuple(aims[0].shape[1:]), number=number)
    return Task(recipe, model, TRAIN, VALID, plan, number, *aims)


def columns(x):
    return x.view(len(x), 8, 8).mean(1)


def by_hand(recipe, goal, number):
    aims = goal(TRAIN)
    model = recipe.build((64,), "bernoulli", tuple(aims.shape[1:]), number=number)
    model.start(*([TRAIN, aims] if recipe.targets else [TRAIN]))
    order, noise = Order(len(TRAIN), seed(number, "order")), torch.Generator().manual_seed(seed(number, "noise"))
    optimiser = torch.optim.Adam(model.parameters(), lr=PLAN.step_size(named("plain")))
    for _ in range(PLAN.steps):
        numbers = order.take(PLAN.batch)
        blur = draw_corruption(recipe.corruption, (PLAN.batch, 64), noise)
        x = TRAIN[numbers]
        if blur is not None:
            x = corrupt(recipe.corruption, x, blur, torch.tensor(recipe.corruption_level))
        optimiser.zero_grad()
        model(x, aims[numbers]).terms["reconstruction"].backward()
        optimiser.step()
    return model


CASES = [
    (named("plain"), lambda x: 1 - x),
    (named("plain").set_params(corruption="mask", corruption_level=0.3), lambda x: 1 - x),
    (Across(), columns),
    (Across(corruption="gaussian", corruption_level=0.2), columns),
]


@pytest.mark.parametrize(("recipe", "goal"), CASES)
def test_the_engine_ends_where_a_loop_by_hand_ends(recipe, goal):
    mine = paired(recipe, goal)
    (outcome,) = train([mine])
    reference = by_hand(recipe, goal, 1)
    for key, value in mine.model.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[key], rtol=2e-4, atol=2e-5)
    with torch.no_grad():
        valid = float(reference(VALID, goal(VALID)).terms["reconstruction"])
    assert outcome.history["valid"][-1] == pytest.approx(valid, rel=1e-4)


@pytest.mark.parametrize(("recipe", "goal"), CASES)
def test_a_stack_ends_where_each_model_ends_alone(recipe, goal):
    """Also where the models of a stack have targets of their own for the same rows."""
    shared, own = [[f(goal(part)) for part in (TRAIN, VALID)] for f in (torch.clone, torch.sqrt)]
    together = [paired(recipe, goal, n, kept=kept) for n, kept in enumerate((shared, shared, own))]
    outcomes = train(together)
    for n, kept in enumerate((shared, shared, own)):
        alone = paired(recipe, goal, n, kept=kept)
        (outcome,) = train([alone])
        for key, value in alone.model.state_dict().items():
            torch.testing.assert_close(together[n].model.state_dict()[key], value, rtol=1e-4, atol=1e-6)
        assert outcomes[n].history["valid"] == pytest.approx(outcome.history["valid"], rel=1e-5)


@pytest.mark.parametrize("name", ["plain", "denoising", "vae", "topk"])
def test_the_rows_as_their_own_target_change_no_bit(name):
    with_target = paired(clone(FAMILIES[name]), torch.clone)
    without = with_target._replace(
        model=with_target.recipe.build((64,), "bernoulli", number=1), target=None, valid_target=None
    )
    histories = [train([t])[0].history["valid"] for t in (with_target, without)]
    assert histories[0] == histories[1]
    for key, value in without.model.state_dict().items():
        assert torch.equal(value, with_target.model.state_dict()[key])


def test_a_family_without_targets_refuses_another_shape():
    with pytest.raises(BadInput, match=r"plain gives back rows of the shape it takes, \(64,\); got a target of .*\(8,"):
        named("plain").build((64,), "gaussian", (8,))
    assert Across().build((64,), "gaussian").out == (64,)


def test_real_pairs_are_denoised_in_the_units_of_the_target():
    """Clean rows live on another scale than noisy ones; what comes out is clean, and in clean units."""
    random = np.random.default_rng(0)
    clean = 1000 + 50 * random.normal(size=(400, 2)) @ random.normal(size=(2, 8))
    noisy = clean / 1000 + 0.02 * random.normal(size=clean.shape)
    model = fit(named("plain").set_params(latents=2), noisy[:300], clean[:300], plan=Plan(steps=400))
    made = model.reconstruct(noisy[300:])
    assert model.target_layout is not None
    np.testing.assert_allclose(made, model.decode(model.encode(noisy[300:])), rtol=1e-6)
    direct = 1000 * noisy[300:]
    assert np.square(made - clean[300:]).mean() < 0.5 * np.square(direct - clean[300:]).mean()
    scaled = model.target_layout.apply(clean[300:]).astype(np.float64)
    errors = np.square(model.target_layout.apply(made) - scaled).mean(1)
    np.testing.assert_allclose(model.errors(noisy[300:], clean[300:]), errors, rtol=1e-3, atol=1e-6)


def test_another_shape_comes_out():
    recipe = Across(latents=4)
    model = fit(recipe, DIGITS, SUMS, plan=Plan(steps=300))
    assert model.head == "bernoulli"
    assert model.out == (8,)
    assert model.reconstruct(DIGITS).shape == (600, 8)
    spread = np.square(SUMS.numpy() - SUMS.numpy().mean(0)).mean()
    assert model.errors(DIGITS, SUMS).mean() < 0.5 * spread
    assert fit(recipe, DIGITS, 9 * SUMS, plan=PLAN).head == "gaussian"  # the target decides, not the rows
    given = fit(recipe, DIGITS[:400], SUMS[:400], valid=DIGITS[400:], valid_target=SUMS[400:], plan=PLAN)
    assert given.outcome.history["valid"][0] > 0


def test_what_does_not_fit_together_is_refused():
    plain = fit(named("plain"), DIGITS, plan=PLAN)
    across = fit(Across(), DIGITS, SUMS, plan=PLAN)
    with pytest.raises(BadInput, match="no target of its own: leave target out"):
        plain.errors(DIGITS, DIGITS)
    with pytest.raises(BadInput, match="a target of its own: give target="):
        across.errors(DIGITS)
    with pytest.raises(BadInput, match=r"targets must have shape \(600, 8\).*got \(599, 8\)"):
        across.errors(DIGITS, SUMS[1:])
    with pytest.raises(BadInput, match="got 600 rows and 599 targets"):
        fit(Across(), DIGITS, SUMS[1:])
    with pytest.raises(BadInput, match="valid_target goes with target and valid"):
        fit(Across(), DIGITS, SUMS, valid=DIGITS)
    with pytest.raises(BadInput, match="valid_target goes with target and valid"):
        fit(named("plain"), DIGITS, valid=DIGITS, valid_target=SUMS)
