"""Frozen parameters stay where they are, cost no gradient, and leave the rest of the training as it is."""

import copy

import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from isthmus.families import FAMILIES
from isthmus.seeds import seed
from isthmus.train.loop import train
from isthmus.train.order import Order
from isthmus.train.plan import Plan
from isthmus.train.stack import Stack
from isthmus.train.task import Task

DIGITS = torch.tensor(load_digits().data[:600] / 16, dtype=torch.float32)
TRAIN, VALID = DIGITS[:400], DIGITS[400:]
PLAN = Plan(steps=40, batch=32, check=20, schedule="constant", weight_decay=0.3, clip=0.5)


def task(part="encoder", number=1, plan=PLAN, name="plain"):
    recipe = clone(FAMILIES[name]).set_params(hidden=(12,))
    model = recipe.build((64,), "bernoulli", number=number)
    model.get_submodule(part).requires_grad_(False)
    return Task(recipe, model, TRAIN, VALID, plan, number)


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.sensitive
@pytest.mark.parametrize("part", ["encoder", "decoder", "encoder.layers.0"])
def test_the_engine_ends_where_a_loop_by_hand_ends(part):
    mine = task(part)
    mine.model.start(TRAIN)
    reference = copy.deepcopy(mine.model)
    mine.model.start = lambda x: None
    order = Order(len(TRAIN), seed(1, "order"))
    moving = [p for p in reference.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(moving, lr=PLAN.step_size(mine.recipe), weight_decay=PLAN.weight_decay)
    for _ in range(PLAN.steps):
        x = TRAIN[order.take(PLAN.batch)]
        optimiser.zero_grad()
        reference(x, x).terms["reconstruction"].backward()
        torch.nn.utils.clip_grad_norm_(moving, PLAN.clip)
        optimiser.step()
    before = state(mine.model)
    (outcome,) = train([mine])
    assert outcome.best_step == 40
    for key, value in mine.model.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[key], rtol=2e-4, atol=2e-5)
        assert torch.equal(value, before[key]) == key.startswith(part)


@pytest.mark.slow
@pytest.mark.sensitive
@pytest.mark.parametrize("name", ["plain", "topk", "vae"])
def test_a_stack_ends_where_each_model_ends_alone(name):
    """Each keeps its own frozen weights, also when the stack narrows because a neighbour stopped."""
    plans = [Plan(**(PLAN.to_json() | {"learning_rate": r})) for r in (5e-3, 1e6, 1e6, 1e-3)]
    together = [task("encoder.layers.0", n, plan, name) for n, plan in enumerate(plans)]
    first = [t.model.encoder.layers[0].weight.clone() for t in together]
    outcomes = train(together)
    assert [o.status for o in outcomes] == ["cut", "diverged", "diverged", "cut"]
    for n, t in enumerate(together):
        assert torch.equal(t.model.encoder.layers[0].weight, first[n])
    for n in (0, 3):
        alone = task("encoder.layers.0", n, plans[n], name)
        train([alone])
        for key, value in alone.model.state_dict().items():
            torch.testing.assert_close(together[n].model.state_dict()[key], value, rtol=1e-4, atol=1e-6)


def test_frozen_and_free_models_do_not_share_a_stack():
    mixed = [task("encoder"), task("decoder"), task("encoder", 2)]
    train(mixed)
    for part, t in zip(("encoder", "decoder", "encoder"), mixed, strict=True):
        alone = task(part, t.seed)
        train([alone])
        for key, value in alone.model.state_dict().items():
            torch.testing.assert_close(t.model.state_dict()[key], value, rtol=1e-4, atol=1e-6)


def test_no_gradient_is_computed_for_what_is_frozen():
    mine = task("encoder")
    free = sum(p.numel() for p in mine.model.decoder.parameters())
    stack = Stack(
        [mine.model], corruption="none", levels=[0.0], generators=[torch.Generator()], rows=(TRAIN,), batch=32
    )
    stack.step(torch.arange(32), 0, [1e-3])
    (gradient, _), _ = stack._step.result
    assert gradient.shape == stack.state.shape == stack.adam.mean.shape == (1, free)


def test_nothing_free_is_nothing_to_train():
    mine = task("encoder")
    mine.model.requires_grad_(False)
    (outcome,) = train([mine])
    assert (outcome.status, outcome.steps) == ("closed form", 0)


def test_a_model_that_does_not_stack_is_trained_alone():
    tasks = [task(number=n) for n in (1, 2)]
    heard = []
    for t in tasks:
        t.model.stacks = False
    train(tasks, heard.append)
    assert {len(p.valid) for p in heard} == {1}
    heard.clear()
    train([task(number=n) for n in (1, 2)], heard.append)
    assert {len(p.valid) for p in heard} == {2}
