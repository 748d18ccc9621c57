"""The one loop: against a loop by hand, alone and in a stack, until it converges, and when it goes wrong."""

import math

import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from isthmus.data.corrupt import corrupt
from isthmus.data.corrupt import draw as draw_corruption
from isthmus.families import FAMILIES
from isthmus.model import Ramp, Timed
from isthmus.seeds import seed
from isthmus.train.loop import train
from isthmus.train.order import Order
from isthmus.train.plan import Plan
from isthmus.train.task import Task

DIGITS = torch.tensor(load_digits().data[:600] / 16, dtype=torch.float32)
TRAIN, VALID = DIGITS[:400], DIGITS[400:]
SHORT = Plan(steps=40, batch=32, check=20, schedule="constant")


def task(recipe, plan=SHORT, number=1, train_rows=TRAIN):
    return Task(recipe, recipe.build((64,), "bernoulli", number=number), train_rows, VALID, plan, number)


def exact(recipe, plan, number=1):
    """The same in float64, where two orders of the same sums cannot be taken for two meanings."""
    one = task(recipe, plan, number)
    return one._replace(model=one.model.double(), train=TRAIN.double(), valid=VALID.double())


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def by_hand(recipe, plan, number):
    """The same training as an ordinary PyTorch loop, with torch.optim."""
    _, model, rows, *_ = exact(recipe, plan, number)
    model.start(rows)
    order, noise = Order(len(TRAIN), seed(number, "order")), torch.Generator().manual_seed(seed(number, "noise"))
    optimiser = torch.optim.AdamW(model.parameters(), lr=plan.step_size(recipe), weight_decay=plan.weight_decay)
    for step in range(plan.steps):
        done = step / plan.steps
        if isinstance(model, Timed):
            model.clock.fill_(done)
        target = rows[order.take(plan.batch)]
        blur = draw_corruption(recipe.corruption, target.shape, noise)
        drawn = model.draw(target, noise)
        x = target if blur is None else corrupt(recipe.corruption, target, blur, torch.tensor(recipe.corruption_level))
        loss = model(x, target, drawn)
        total = sum((w.at(done) if isinstance(w, Ramp) else w) * loss.terms[name] for name, w in model.weights.items())
        optimiser.zero_grad()
        total.backward()
        if plan.clip is not None:
            pulled = [p.grad for p in model.parameters() if p.grad is not None]
            norm = torch.stack([g.square().sum() for g in pulled]).sum().sqrt()  # torch's own adds 1e-6 to it
            torch._foreach_mul_(pulled, min(1.0, plan.clip / float(norm)))
        optimiser.step()
        model.project()
        model.absorb(loss.seen)
    return model


CLOSE = {"rtol": 1e-6, "atol": 1e-6}
"""Adam divides a gradient by its size plus 1e-8, so one that is all rounding, 1e-16 times a few hundred terms, moves a
weight by the rate times 1e-6 in each step."""


TRAINED = [name for name in FAMILIES if name != "pca"]


@pytest.mark.sensitive
@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("change", [{}, pytest.param({"clip": 0.01, "weight_decay": 0.1}, marks=pytest.mark.slow)])
def test_the_engine_ends_where_a_loop_by_hand_ends(name, change):
    plan = Plan(**(SHORT.to_json() | {"check": 40} | change))
    recipe = clone(FAMILIES[name])
    mine = exact(recipe, plan)
    (outcome,) = train([mine])
    assert outcome.best_step == 40
    reference = by_hand(recipe, plan, 1).state_dict()
    for key, value in mine.model.state_dict().items():
        torch.testing.assert_close(value, reference[key], **CLOSE, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.slow
@pytest.mark.sensitive
@pytest.mark.parametrize("name", FAMILIES)
def test_a_stack_ends_where_each_model_ends_alone(name):
    recipes = [clone(FAMILIES[name]) for _ in range(3)]
    for u, recipe in zip((0.2, 0.5, 0.8), recipes, strict=True):
        recipe.set_params(**{field: span.at(u) for field, span in recipe.space().items()})
    plans = [Plan(**(SHORT.to_json() | {"learning_rate": r})) for r in (1e-3, 3e-3, 1e-2)]
    together = [exact(r, p, n) for n, (r, p) in enumerate(zip(recipes, plans, strict=True))]
    outcomes = train(together)
    for n, (recipe, plan) in enumerate(zip(recipes, plans, strict=True)):
        alone = exact(recipe, plan, n)
        (outcome,) = train([alone])
        for key, value in state(alone.model).items():
            torch.testing.assert_close(together[n].model.state_dict()[key], value, **CLOSE)
        assert outcomes[n].history["valid"] == pytest.approx(outcome.history["valid"], rel=1e-8)


def test_the_same_task_twice_is_bit_equal_and_the_global_random_state_is_left_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (task(clone(FAMILIES["vae"])) for _ in range(2))
    train([first])
    train([second])
    assert torch.equal(torch.random.get_rng_state(), before)
    for key, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[key])


@pytest.mark.sensitive
def test_best_weights_are_kept_and_the_history_tells_where():
    plan = Plan(steps=1500, learning_rate=1e-2, check=25)
    mine = task(clone(FAMILIES["plain"]), plan)
    (outcome,) = train([mine])
    assert outcome.status == "converged"
    assert outcome.steps < 1500
    best = min(outcome.history["valid"])
    assert outcome.history["step"][outcome.history["valid"].index(best)] == outcome.best_step
    with torch.no_grad():
        assert float(mine.model(VALID, VALID).terms["reconstruction"]) == best
    assert outcome.history["learning_rate"][-1] == pytest.approx(1e-2 * plan.factor**plan.drops)


@pytest.mark.slow
@pytest.mark.sensitive
def test_models_of_a_stack_stop_at_their_own_time():
    plans = [Plan(steps=2000, learning_rate=r, check=25) for r in (1e-2, 1e-2, 1e-3)]
    tasks = [task(clone(FAMILIES["plain"]), p, n) for n, p in enumerate(plans)]
    steps = [o.steps for o in train(tasks)]
    assert len(set(steps)) > 1
    assert steps[0] == train([task(clone(FAMILIES["plain"]), plans[0], 0)])[0].steps


@pytest.mark.slow
@pytest.mark.parametrize("field", ["patience", "drops", "check", "tolerance", "factor", "warmup", "schedule", "batch"])
def test_every_field_of_the_plan_has_an_effect(field):
    plan = Plan(steps=600, batch=32, check=20, learning_rate=1e-2)
    other = {"patience": 1, "drops": 0, "check": 30, "tolerance": 0.2, "factor": 0.9, "warmup": 0.1, "batch": 16}
    change = other.get(field, "cosine")
    first, second = (
        train([task(clone(FAMILIES["plain"]), p)])[0] for p in (plan, Plan(**(plan.to_json() | {field: change})))
    )
    assert (first.steps, first.history["valid"]) != (second.steps, second.history["valid"])


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_hopeless_learning_rate_is_marked_diverged_and_leaves_finite_weights(name):
    plan = Plan(steps=400, batch=32, check=10, learning_rate=1e6)
    mine = task(clone(FAMILIES[name]), plan)
    (outcome,) = train([mine])
    assert outcome.status == "diverged"
    assert all(torch.isfinite(v).all() for v in mine.model.state_dict().values() if v.is_floating_point())


@pytest.mark.sensitive
def test_one_diverging_model_does_not_disturb_its_neighbours():
    plans = [Plan(**(SHORT.to_json() | {"learning_rate": r})) for r in (1e-3, 1e12)]
    tasks = [task(clone(FAMILIES["plain"]), p, 1) for p in plans]
    outcomes = train(tasks)
    alone = task(clone(FAMILIES["plain"]), plans[0], 1)
    train([alone])
    assert outcomes[0].status == "cut"
    for key, value in alone.model.state_dict().items():
        torch.testing.assert_close(tasks[0].model.state_dict()[key], value, rtol=1e-5, atol=1e-6)


def test_a_corrupted_input_has_a_clean_target():
    recipe = clone(FAMILIES["denoising"]).set_params(corruption="mask", corruption_level=1.0)
    mine = task(recipe, Plan(**(SHORT.to_json() | {"steps": 200})))
    mine.model.start(TRAIN)
    before = state(mine.model)
    train([mine])
    moved = {key for key, value in mine.model.state_dict().items() if not torch.equal(value, before[key])}
    # Nothing but zeros came in, so no weight of the encoder got a gradient; the clean target still taught the decoder.
    assert "encoder.layers.0.weight" not in moved
    assert "decoder.layers.0.bias" in moved


def test_closed_form_takes_no_steps():
    mine = task(clone(FAMILIES["pca"]))
    (outcome,) = train([mine])
    assert (outcome.status, outcome.steps) == ("closed form", 0)
    assert math.isfinite(outcome.history["valid"][0])


def test_fewer_rows_than_a_batch_train():
    mine = task(clone(FAMILIES["plain"]), SHORT, train_rows=TRAIN[:3])
    (outcome,) = train([mine])
    assert outcome.history["train"][-1] < outcome.history["valid"][0]


def test_watchers_hear_every_check_and_threads_come_back():
    heard, threads = [], torch.get_num_threads()
    train([task(clone(FAMILIES["plain"]))], heard.append)
    assert [(p.step, p.steps, len(p.valid)) for p in heard] == [(20, 40, 1), (40, 40, 1)]
    assert torch.get_num_threads() == threads


def test_validation_noise_is_the_seeds_own_and_the_same_at_every_check():
    recipe = clone(FAMILIES["vae"])
    still = Plan(**(SHORT.to_json() | {"learning_rate": 1e-30}))  # only the head's average variance moves
    tasks = [task(recipe, still)._replace(seed=number) for number in (1, 1, 2)]
    for one in tasks:
        one.model.absorb = lambda seen: None
    one, same, other = (outcome.history["valid"] for outcome in train(tasks))
    assert one == same == [one[0]] * 3
    assert other == [other[0]] * 3
    assert one[0] != other[0]
