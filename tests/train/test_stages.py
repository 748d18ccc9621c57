"""Training in stages: what each stage trains and hands on, its budget, and that the whole never gets worse by it."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from isthmus.errors import BadInput
from isthmus.families import FAMILIES, named
from isthmus.train import loop, stages
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan
from isthmus.train.task import Task

pytestmark = pytest.mark.sensitive

DIGITS = torch.tensor(load_digits().data[:800] / 16, dtype=torch.float32)
TRAIN, VALID = DIGITS[:600], DIGITS[600:]
PLAN = Plan(steps=400, check=20, stages="layerwise")
DEEP = {"hidden": (32, 24), "latents": 8}


def task(name="plain", plan=PLAN, number=1, **fields):
    recipe = clone(FAMILIES[name]).set_params(**(DEEP | fields))
    return Task(recipe, recipe.build((64,), "bernoulli", number=number), TRAIN, VALID, plan, number)


@pytest.fixture
def calls(monkeypatch):
    """Every stage as it was asked for: its tasks, and all tensors of their models before and after."""
    seen, real = [], loop.train

    def spy(tasks, watch=None, *how):
        before = [{k: v.clone() for k, v in t.model.state_dict().items()} for t in tasks]
        outcomes = real(tasks, watch, *how)
        after = [{k: v.clone() for k, v in t.model.state_dict().items()} for t in tasks]
        seen.append((tasks, before, after))
        return outcomes

    monkeypatch.setattr(loop, "train", spy)
    return seen


def test_each_stage_trains_what_it_should_within_the_budget(calls):
    mine = task(corruption="mask", corruption_level=0.2)
    (outcome,) = stages.train([mine])
    one, two, three, decoder, whole = (tasks[0] for tasks, _, _ in calls)
    assert [t.plan.steps for t in (one, two, three, decoder, whole)] == [50, 50, 50, 50, 200]
    assert [(t.recipe.latents, t.recipe.hidden) for t in (one, two, three)] == [(32, ()), (24, ()), (8, ())]
    assert [t.recipe.code_activation for t in (one, two, three)] == ["relu", "relu", "identity"]
    assert {t.recipe.corruption_level for t in (one, two, three)} == {0.2}
    below = TRAIN
    for t, before, layer in ((two, calls[3][1][0], 0), (three, calls[3][1][0], 1)):
        weight, bias = before[f"encoder.layers.{layer}.weight"], before[f"encoder.layers.{layer}.bias"]
        below = torch.relu(below @ weight.t() + bias)
        torch.testing.assert_close(t.train, below)
    for (tasks, _, after), layer in zip(calls[:3], (0, 1, 2), strict=True):
        for part, place in (("encoder", layer), ("decoder", 2 - layer)):
            put = calls[3][1][0][f"{part}.layers.{place}.weight"]
            assert torch.equal(put, after[0][f"{part}.layers.0.weight"]), (tasks, part)
    moved = {k for k, v in calls[3][2][0].items() if not torch.equal(v, calls[3][1][0][k])}
    assert moved == {k for k in calls[3][1][0] if k.startswith("decoder")}
    moved = {k for k, v in calls[4][2][0].items() if not torch.equal(v, calls[4][1][0][k])}
    assert moved == set(calls[4][1][0])
    assert all(p.requires_grad for p in mine.model.parameters())
    assert outcome.steps <= 400
    assert sorted(set(outcome.history["stage"])) == [1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("plain", {}), ("plain", {"tied": True}), ("kl", {"activation": "sigmoid"}), ("l1", {}), ("topk", {}),
        ("contractive", {"activation": "tanh"}), ("vae", {}), ("vq", {}), ("denoising", {}),
    ],
)  # fmt: skip
def test_the_whole_never_ends_worse_than_it_began(name, fields):
    """The objective is that of the best check over both stages of the whole, and no stage loses what it was given."""
    mine = task(name, Plan(steps=240, check=10, learning_rate=0.02, stages="layerwise"), **fields)
    (outcome,) = stages.train([mine])
    history = outcome.history
    valid, stage = np.array(history["valid"]), np.array(history["stage"])
    assert np.isnan(valid[stage < 4]).all()
    assert np.isfinite(np.array(history["layer/valid"])[stage < 4]).all()
    assert valid[stage == 5][0] == pytest.approx(valid[stage == 4].min(), rel=1e-4)
    assert np.nanmin(valid) <= valid[stage == 4][0]
    assert outcome.best_step == history["step"][int(np.nanargmin(valid))] or outcome.best_step > 0
    noise = mine.model.draw(VALID, torch.Generator().manual_seed(stages.seed(1, "validation")))
    with torch.no_grad():
        terms = mine.model(VALID, VALID, noise).terms
    now = sum(w * float(terms[k]) for k, w in mine.model.weights.items())
    assert now == pytest.approx(np.nanmin(valid), rel=1e-4)
    assert history["step"] == sorted(history["step"])


def test_a_last_stage_that_only_harms_changes_nothing(monkeypatch):
    """With a hopeless step size in the last stage, the weights from before it are kept."""
    mine, real = task(), loop.train

    def harm(tasks, watch=None, *how):
        if tasks[0].plan.steps == 200:
            tasks = [t._replace(plan=Plan(**(t.plan.to_json() | {"learning_rate": 1e6}))) for t in tasks]
        return real(tasks, watch, *how)

    monkeypatch.setattr(loop, "train", harm)
    (outcome,) = stages.train([mine])
    assert outcome.status == "diverged"
    with torch.no_grad():
        now = float(mine.model(VALID, VALID).terms["reconstruction"])
    stage = np.array(outcome.history["stage"])
    assert now == pytest.approx(np.array(outcome.history["valid"])[stage == 4].min(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "topk", "vae"])
def test_a_stack_ends_where_each_model_ends_alone(name):
    plans = [Plan(**(PLAN.to_json() | {"learning_rate": r, "steps": 96})) for r in (2e-3, 5e-3)]
    level = {"corruption": "gaussian"}
    together = [task(name, p, n, **level, corruption_level=0.1 + 0.1 * n) for n, p in enumerate(plans)]
    outcomes = stages.train(together)
    for n, plan in enumerate(plans):
        alone = task(name, plan, n, **level, corruption_level=0.1 + 0.1 * n)
        (outcome,) = stages.train([alone])
        for key, value in alone.model.state_dict().items():
            torch.testing.assert_close(together[n].model.state_dict()[key], value, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(outcomes[n].history["valid"], outcome.history["valid"], rtol=1e-4)


@pytest.mark.parametrize(("name", "depth"), [("topk", 0), ("topk", 1), ("vae", 0), ("vae", 2), ("vq", 2), ("kl", 1)])
def test_a_layer_is_taken_over_with_its_biases_and_its_codebook(name, depth):
    """The deep model's layer gives the raw code of the one-layer model, whatever that subtracts from its input."""
    deep = task(name).model
    deep.start(TRAIN)
    x = TRAIN if depth == 0 else torch.rand(600, (32, 24)[depth - 1])
    recipe = clone(FAMILIES[name]).set_params(latents=(32, 24, 8)[depth])
    one = recipe.build(tuple(x.shape[1:]), "gaussian", number=3)
    one.start(x)
    with torch.no_grad():
        if hasattr(one, "codebook"):
            one.codebook.add_(1.0)
        stages._take_over(deep, one, depth)
        given = x - one.pre if hasattr(one, "pre") else x
        wanted = one.encoder(given)
        layer = deep.encoder.layers[depth]
        read = x - deep.pre if depth == 0 and hasattr(deep, "pre") else x
        torch.testing.assert_close(layer(read), wanted[:, : layer.out_features], rtol=1e-4, atol=1e-5)
        if hasattr(one, "codebook"):
            assert torch.equal(deep.codebook, one.codebook)


@pytest.mark.slow
def test_stages_train_a_deep_sigmoid_network_that_training_together_does_not():
    """Saturating units, three hidden layers, few steps: what layer-wise training was invented for."""
    both = [
        task("contractive", Plan(steps=1600, stages=s), hidden=(48, 32, 24), latents=16, activation="sigmoid")
        for s in ("together", "layerwise")
    ]
    stages.train(both)
    with torch.no_grad():
        errors = [float((t.model.reconstruct(VALID) - VALID).square().mean()) for t in both]
    assert errors[1] < 0.8 * errors[0]


def test_watchers_hear_steps_of_the_whole():
    heard = []
    stages.train([task()], heard.append)
    assert [p.step for p in heard] == sorted(p.step for p in heard)
    assert {p.steps for p in heard} == {400}
    assert heard[-1].step > 200


@pytest.mark.slow
def test_fit_and_a_mixture_of_plans():
    fitted = fit(named("plain").set_params(**DEEP), DIGITS, plan=PLAN)
    assert fitted.plan.stages == "layerwise"
    assert fitted.outcome.history["stage"][-1] == 5
    mixed = [task(), task(plan=Plan(steps=40, check=20))]
    assert ["stage" in o.history for o in stages.train(mixed)] == [True, False]
    pca = clone(FAMILIES["pca"])
    closed = Task(pca, pca.build((64,), "gaussian", number=1), TRAIN, VALID, PLAN, 1)
    assert stages.train([closed])[0].status == "closed form"


@pytest.mark.parametrize(
    ("name", "fields", "steps", "message"),
    [
        ("plain", {"hidden": ()}, 400, "an encoder without hidden layers has none"),
        ("l1", {"activation": "tanh"}, 400, "set activation=relu"),
        ("contractive", {}, 400, "layer 1 of the encoder would be trained by itself: contractive: code_activation"),
        ("topk", {"hidden": (3,), "k": 5}, 400, "layer 1 .*topk: k must be"),
        ("plain", {}, 7, "3 layers in stages need at least 8 steps; got 7"),
    ],
)
def test_what_has_no_stages_is_refused(name, fields, steps, message):
    with pytest.raises(BadInput, match=message):
        stages.train([task(name, Plan(steps=steps, stages="layerwise"), **fields)])


def test_the_loop_itself_takes_no_staged_plan():
    with pytest.raises(BadInput, match="goes through"):
        loop.train([task()])
    with pytest.raises(BadInput, match="stages must be one of together, layerwise"):
        Plan(stages="twice")
    assert math.isnan(stages.train([task()])[0].history["valid"][0])
