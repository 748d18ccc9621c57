"""A training that is killed goes on to the same bits: every family, in a stack, in stages; and what a file may be."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from isthmus.errors import BadInput
from isthmus.families import FAMILIES, named
from isthmus.seeds import seed
from isthmus.train import checkpoint
from isthmus.train.checkpoint import Checkpoint, Keeper, tensors_of
from isthmus.train.plan import Plan
from isthmus.train.stack import Stack
from isthmus.train.stages import train
from isthmus.train.tape import Tape
from isthmus.train.task import Task

DIGITS = torch.tensor(load_digits().data[:300] / 16, dtype=torch.float32)
SHORT = Plan(steps=30, batch=16, check=7, patience=1)


class Killed(BaseException):
    """As good as SIGKILL: nothing is tidied up afterwards."""


def task(recipe, plan=SHORT, number=3):
    model = recipe.build((64,), "bernoulli", number=number)
    return Task(recipe, model, DIGITS[:200], DIGITS[200:], plan.of(recipe), number)


def left(tasks, outcomes):
    """All that a training left, in bits; but for its seconds."""
    weights = [{name: t.clone() for name, t in tensors_of(one.model).items()} for one in tasks]
    facts = [json.dumps({k: v for k, v in vars(o).items() if k != "seconds"}) for o in outcomes]
    return weights, facts


def same(one, other):
    (weights, facts), (others, more) = one, other
    assert facts == more
    for here, there in zip(weights, others, strict=True):
        assert here.keys() == there.keys()
        for name, t in here.items():
            assert t.dtype == there[name].dtype, name
            assert torch.equal(t.view(-1).view(torch.uint8), there[name].contiguous().view(-1).view(torch.uint8)), name


def killed(make, kept, monkeypatch, steps, saves):
    """Train; keep the state before the steps numbered ``saves``, and be killed after each of as many ``steps``."""
    own, ask = Stack.step, Keeper.due
    count = [0]

    def due(keeper):
        return count[0] in saves

    def step(stack, *args, **more):
        own(stack, *args, **more)
        count[0] += 1
        if count[0] in steps:
            raise Killed

    monkeypatch.setattr(Keeper, "due", due)
    monkeypatch.setattr(Stack, "step", step)
    deaths = 0
    while True:
        tasks = make()
        try:
            outcomes = train(tasks, keeper=Keeper(kept, tasks))
        except Killed:
            deaths += 1
            continue
        monkeypatch.setattr(Stack, "step", own)
        monkeypatch.setattr(Keeper, "due", ask)
        assert deaths == len(steps)
        return left(tasks, outcomes)


def straight(make):
    tasks = make()
    return left(tasks, train(tasks))


TRAINED = [name for name in FAMILIES if name != "pca"]
QUICK = {"plain", "vq", "topk"}


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in TRAINED])
def test_killed_at_random_steps_it_ends_with_the_same_bits(name, tmp_path, monkeypatch):
    random = torch.Generator().manual_seed(seed("killed", name) % 2**31)
    drawn = (1 + torch.randperm(27, generator=random)).tolist()
    steps, saves = set(drawn[:3]), set(drawn[3:9])

    def make():
        return [task(clone(FAMILIES[name]))]

    same(killed(make, Checkpoint(tmp_path / "kept"), monkeypatch, steps, saves), straight(make))


def test_pca_has_no_steps_and_is_kept_when_it_is_done(tmp_path):
    kept = Checkpoint(tmp_path / "kept")
    tasks = [task(named("pca").set_params(latents=3))]
    first = left(tasks, train(tasks, keeper=Keeper(kept, tasks)))
    again = [task(named("pca").set_params(latents=3))]
    same(first, left(again, train(again, keeper=Keeper(kept, again))))
    assert kept.steps() == 0


def stack():
    """Models that end at different steps, one diverged, and one of another structure."""
    plan = Plan(steps=80, batch=16, check=5, patience=2, drops=0, tolerance=0.05)
    rates = [1e-3, 1e30, 0.02, 2e-3, 5e-3, 0.1]
    many = [task(named("plain"), Plan(**(plan.to_json() | {"learning_rate": rate}))) for rate in rates]
    return [*many, task(named("l1"), plan)]


def staged():
    recipe = named("plain").set_params(hidden=(12,), latents=3)
    return [task(recipe, Plan(steps=36, batch=16, check=3, stages="layerwise"))]


@pytest.mark.slow
@pytest.mark.parametrize("make", [stack, staged])
@pytest.mark.parametrize("draw", [2, *(pytest.param(i, marks=pytest.mark.slow) for i in (0, 1, *range(3, 8)))])
def test_stacks_and_stages_go_on_too(make, draw, tmp_path, monkeypatch):
    random = torch.Generator().manual_seed(draw)
    drawn = (1 + torch.randperm(32, generator=random)).tolist()
    found = straight(make)
    same(killed(make, Checkpoint(tmp_path / "kept"), monkeypatch, set(drawn[:4]), set(drawn[4:10])), found)
    if make is stack:
        ends = [json.loads(one)["steps"] for one in found[1]]
        assert json.loads(found[1][1])["status"] == "diverged"
        assert len(set(ends)) > 2


def test_every_step_of_a_training_that_goes_on_is_a_replay(tmp_path, monkeypatch):
    """The step that is recorded may round otherwise (:mod:`isthmus.train.tape`), so it is none of the training's."""
    kept, count, own = Checkpoint(tmp_path / "kept"), [0], Tape.replay

    def replay(*args):
        count[0] += 1
        own(*args)

    def make():
        return [task(named("plain"))]

    monkeypatch.setattr(Keeper, "due", lambda keeper: True)
    with pytest.raises(Killed):
        train(tasks := make(), watch=dead, keeper=Keeper(kept, tasks))
    monkeypatch.setattr(Tape, "replay", replay)
    taken = kept.steps()
    train(tasks := make(), keeper=Keeper(kept, tasks))
    assert (taken, count[0]) == (6, SHORT.steps - 6)


def test_a_file_serves_its_own_training_only(tmp_path):
    kept, recipe = Checkpoint(tmp_path / "kept"), named("plain").set_params(latents=4)
    one = task(recipe)
    train([one], keeper=Keeper(kept, [one]))
    for other, what in [
        (task(recipe.set_params(latents=5)), "recipe.latents is 4 there and 5 here"),
        (task(named("plain").set_params(latents=4), Plan(**(SHORT.to_json() | {"steps": 31}))), "plan.steps is 30"),
        (task(named("plain").set_params(latents=4), number=4), "seed is 3 there and 4 here"),
        (task(named("plain").set_params(latents=4))._replace(train=DIGITS[:199]), "rows is "),
        (task(named("plain").set_params(latents=4))._replace(valid=DIGITS[201:]), "rows is "),
    ]:
        with pytest.raises(BadInput, match=f"keeps another training: {what}.*remove the file"):
            Keeper(kept, [other])
    Keeper(kept, [task(named("plain").set_params(latents=4))])


@pytest.mark.slow
def test_a_file_that_was_changed_anywhere_is_refused(tmp_path, monkeypatch):
    kept = Checkpoint(tmp_path / "kept")
    make = lambda: [task(named("vq").set_params(latents=2), Plan(steps=4, batch=4, check=2))]  # noqa: E731
    killed(make, kept, monkeypatch, {3}, {2})
    content = Path(kept.path).read_bytes()
    for place in [0, 8, 9, 60, *range(100, len(content), len(content) // 60), len(content) - 1]:
        Path(kept.path).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(BadInput, match=r"remove (it|the file)"):
            Keeper(kept, make())
    for cut in [0, 7, 100, len(content) // 2, len(content) - 1]:
        Path(kept.path).write_bytes(content[:cut])
        with pytest.raises(BadInput, match="remove it to train from the start"):
            kept.steps()


@pytest.mark.slow
def test_a_file_that_was_changed_and_sealed_again_is_refused_too(tmp_path, monkeypatch):
    kept = Checkpoint(tmp_path / "kept")
    make = lambda: [task(named("vq").set_params(latents=2), Plan(steps=4, batch=4, check=2))]  # noqa: E731
    killed(make, kept, monkeypatch, {3}, {2})
    train(tasks := make(), keeper=Keeper(kept, tasks))
    done = Path(kept.path).read_bytes()
    monkeypatch.setattr(Keeper, "due", lambda keeper: True)
    Path(kept.path).unlink()
    with pytest.raises(Killed):
        train(tasks := make(), watch=dead, keeper=Keeper(kept, tasks))
    for content in (done, Path(kept.path).read_bytes()):
        Path(kept.path).write_bytes(content)
        tensors, facts = checkpoint._read(Path(kept.path))
        forged = [({k: v for k, v in tensors.items() if k != name}, facts) for name in tensors]
        forged += [({**tensors, name: t.reshape(1, -1)}, facts) for name, t in tensors.items() if t.ndim != 2]
        forged += [(tensors, {k: v for k, v in facts.items() if k != name}) for name in ("bound", "units")]
        forged += [(tensors, facts | {"units": [{}]}), (tensors, facts | {"units": 3}), (tensors, [])]
        for one in forged:
            Path(kept.path).write_bytes(checkpoint._sealed(*one))
            with pytest.raises(BadInput, match=r"remove (it|the file)"):
                train(tasks := make(), keeper=Keeper(kept, tasks))
    left = torch.full((4,), 200)  # the first row that there is not
    Path(kept.path).write_bytes(checkpoint._sealed(tensors | {"0/order/0/1": left}, facts))
    with pytest.raises(BadInput, match="does not fit"):
        train(tasks := make(), keeper=Keeper(kept, tasks))


def dead(check):
    raise Killed


def test_it_is_written_as_often_as_asked_for(tmp_path, monkeypatch):
    clock = [0.0]
    own = Stack.step
    monkeypatch.setattr("isthmus.train.checkpoint.time.monotonic", lambda: clock[0])

    def step(*args, **more):
        clock[0] += 1.0
        own(*args, **more)

    monkeypatch.setattr(Stack, "step", step)
    written = []
    for every in (1000.0, 9.0):
        one = task(named("plain"), Plan(steps=30, batch=16, check=7, drops=9))
        keeper = Keeper(Checkpoint(tmp_path / str(every), every), [one])
        train([one], keeper=keeper)
        written.append(keeper.written)
    assert written == [1, 4]  # at the end; after 9, 18 and 27 steps too
    with pytest.raises(BadInput, match="every is a number of seconds"):
        Checkpoint("kept", every=-1.0)


SCRIPT = """
import os, signal, sys, numpy as np, isthmus
from isthmus.train.stack import Stack
own, count, number, end = Stack.step, [0], int(sys.argv[1]), int(sys.argv[2])
def step(*args, **more):
    own(*args, **more)
    count[0] += 1
    if count[0] == end:
        os.kill(os.getpid(), number)
Stack.step = step
rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
isthmus.fit(isthmus.named(sys.argv[3]), rows, plan=isthmus.Plan(steps=60, check=10, drops=9), checkpoint="kept")
"""


@pytest.mark.slow
def test_a_signal_in_python_keeps_the_step_and_then_does_what_it_does(tmp_path):
    for number, end, code in [(signal.SIGTERM, 7, -signal.SIGTERM), (signal.SIGINT, 23, -signal.SIGINT)]:
        command = [sys.executable, "-c", SCRIPT, str(int(number)), str(end), "plain"]
        ran = subprocess.run(command, cwd=tmp_path, check=False, stderr=subprocess.DEVNULL)
        assert ran.returncode == code
    assert Checkpoint(tmp_path / "kept").steps() == 7 + 23 - 1  # going on takes a step that records
