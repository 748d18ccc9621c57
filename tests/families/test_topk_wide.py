"""The sparse training step of a wide code of which few units fire is the dense one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from isthmus.families import named
from isthmus.families import topk as family
from isthmus.families.abstopk import AbsTopK
from isthmus.families.batchtopk import BatchTopK
from isthmus.families.matryoshka import Matryoshka
from isthmus.families.topk import TopK
from isthmus.parts import dictionary, sparse
from isthmus.parts.sparse import Entries, SparseCode
from isthmus.ship.artefact import load, save
from isthmus.testing import CHECKS, check_stack, check_tape, made, rows, state, step, weights
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

pytestmark = pytest.mark.sensitive

FIELDS = {"latents": 96, "k": 3, "dead_after": 10}
KINDS = [TopK(), AbsTopK(), BatchTopK(), Matryoshka(), Matryoshka(prefixes=(40,), choice="row")]


@pytest.fixture
def small(monkeypatch):
    """Every code counts as wide."""
    monkeypatch.setattr(family, "WIDE", 1)
    monkeypatch.setattr(family, "SPARSE", 1)


def same(wide, dense):
    """Give ``wide`` the weights of ``dense``."""
    own = {k: v for k, v in dense.state_dict().items() if not k.startswith("decoder")}
    own |= {"decoder.rows": dense.decoder.dictionary.t(), "decoder.last_bias": dense.decoder.last_bias}
    wide.load_state_dict(own)


def both(monkeypatch, head="gaussian", kind=KINDS[0], **fields):
    """The same model twice, dense and wide, in float64."""
    x = rows((12,), 40, seed=3)
    recipe = replace(kind).set_params(**(FIELDS | fields))
    dense = made(recipe, x, head).double()
    monkeypatch.setattr(family, "WIDE", 1)
    monkeypatch.setattr(family, "SPARSE", 1)
    wide = recipe.build((12,), head).double()
    same(wide, dense)
    assert wide.wide
    assert not dense.wide
    return dense, wide, x.double()


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: f"{one.family}-{getattr(one, 'choice', '')}")
@pytest.mark.parametrize(("head", "dead"), [("gaussian", 0), ("gaussian", 40), ("bernoulli", 2)])
def test_terms_gradients_and_codes_are_the_dense_ones(monkeypatch, kind, head, dead):
    dense, wide, x = both(monkeypatch, head, kind, k_aux=5)
    with torch.no_grad():
        dense.encoder.last.bias[3:] -= 8.0  # rows with fewer than k positive raw codes
        same(wide, dense)
    for model in (dense, wide):
        model.idle[:dead] = torch.arange(dead, dtype=torch.float64) + 11.0
    if kind.family != "abstopk":
        assert ((wide.encode(x) > 0).sum(1) < 3).any()
    torch.testing.assert_close(wide.encode(x), dense.encode(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(wide.reconstruct(x), dense.decode(dense.encode(x)), rtol=0, atol=1e-12)
    torch.testing.assert_close(wide.folded()(x), wide.reconstruct(x), rtol=0, atol=1e-12)
    wanted = step(dense)(*state(dense), weights(dense), x, 0.9 * x, None)
    found = step(wide)(*state(wide), weights(wide), x, 0.9 * x, None)
    assert bool(found[1]["auxiliary"]) == bool(dead)
    found[0]["decoder.layers.0.weight"] = found[0].pop("decoder.rows").t()
    found[0]["decoder.layers.0.bias"] = found[0].pop("decoder.last_bias")
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine:
            torch.testing.assert_close(mine[name], theirs[name], rtol=0, atol=1e-10)


def test_among_ties_exactly_k_pass(monkeypatch):
    _, wide, x = both(monkeypatch)
    with torch.no_grad():
        wide.encoder.last.weight.zero_()
        wide.encoder.last.bias.fill_(2.0)
    assert ((wide.encode(x) == 2.0).sum(1) == 3).all()
    loss = wide(x, x)
    assert loss.seen["fired"].sum() == 3 * len(x)
    gradient = torch.autograd.grad(loss.terms["reconstruction"], wide.encoder.last.bias)[0]
    assert gradient.count_nonzero() <= 3 * len(x)


@pytest.mark.slow
def test_gradcheck():
    g = torch.Generator().manual_seed(0)
    shapes = [(5, 4), (4,), (40, 4), (40,), (40, 3)]
    inputs = [torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes]

    def written(x, pre, weight, bias, dictionary):
        with torch.no_grad():
            found = Entries.of(*sparse.fire(x - pre, weight, bias, 2))
        return SparseCode.apply(x, pre, weight, bias, dictionary, *found, found.rows, 5)

    assert torch.autograd.gradcheck(written, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("check", [c for c in CHECKS if c not in (check_stack, check_tape)], ids=lambda c: c.__name__)
@pytest.mark.parametrize("family_", ["topk", "abstopk", "matryoshka"])
def test_contract(small, family_, check):
    check(named(family_).set_params(latents=16, k=2))


@pytest.mark.parametrize(("latents", "k", "hidden", "wide"), [
    (2048, 32, (), True), (2047, 4, (), False), (2048, 33, (), False), (4096, 8, (64,), False),
])  # fmt: skip
def test_which_codes_are_wide(latents, k, hidden, wide):
    model = TopK(latents=latents, k=k, hidden=hidden).build((4,), "gaussian")
    assert model.wide == wide
    assert model.stacks == model.replays == (not wide)


@pytest.mark.slow
def test_a_fit_ends_where_the_dense_one_ends(monkeypatch):
    data = np.asarray(rows((10,), 200), dtype=np.float32)
    recipe = TopK(latents=64, k=2, dead_after=100)
    plan = Plan(steps=60, check=20, batch=32)
    dense = fit(recipe, data, plan=plan)
    monkeypatch.setattr(family, "WIDE", 1)
    monkeypatch.setattr(family, "SPARSE", 1)
    wide = fit(recipe, data, plan=plan)
    assert wide.model.wide
    np.testing.assert_allclose(wide.outcome.history["valid"], dense.outcome.history["valid"], rtol=1e-3)
    np.testing.assert_allclose(wide.errors(data), dense.errors(data), rtol=0.05, atol=1e-4)


@pytest.mark.slow
def test_a_search_in_bfloat16_trains_alike_and_is_of_training_alone(monkeypatch):
    data = np.random.default_rng(1).normal(size=(300, 16)).astype(np.float32)
    asked, ends, fire = [], [], sparse.fire

    def heard(*a, rough, **about):
        asked.append(rough)
        return fire(*a, rough=rough, **about)

    for answer in (False, True):
        monkeypatch.setattr(family, "quick", lambda x, answer=answer: answer)
        monkeypatch.setattr(family, "fire", heard)
        ends.append(fit(TopK(latents=2048, k=4), data, plan=Plan(steps=30, check=10, batch=128)))
        monkeypatch.undo()
    assert set(asked[: len(asked) // 2]) == {False}
    assert set(asked[len(asked) // 2 :]) == {False, True}  # validation looks at the form that ships
    exact, rough = (one.outcome.history["valid"] for one in ends)
    np.testing.assert_allclose(rough, exact, rtol=0.02)
    del asked[:]
    monkeypatch.setattr(family, "quick", lambda x: True)
    monkeypatch.setattr(family, "fire", heard)
    ends[1].reconstruct(data)
    assert set(asked) == {False}


def test_a_wide_model_trains_ships_and_stays_sparse(tmp_path, monkeypatch):
    data = np.random.default_rng(0).normal(size=(600, 16)).astype(np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(family.TopKModel, "encode", None)  # training needs no dense code
        fitted = fit(TopK(latents=2048, k=4), data, plan=Plan(steps=30, check=10, batch=128))
    assert fitted.outcome.history["valid"][-1] < 0.7 * fitted.outcome.history["valid"][0]
    codes = fitted.encode(data)
    assert codes.shape == (600, 2048)
    assert ((codes > 0).sum(1) <= 4).all()
    np.testing.assert_allclose(fitted.decode(codes), fitted.reconstruct(data), atol=1e-4)
    save(fitted, tmp_path / "wide.isthmus")
    np.testing.assert_array_equal(load(tmp_path / "wide.isthmus").encode(data), codes)


@pytest.mark.parametrize("name", ["sae", "gated", "jumprelu", "batchtopk"])
@pytest.mark.parametrize("dead", [0, 3, 20])
def test_a_large_dictionary_does_for_dead_units_what_a_small_one_does(monkeypatch, name, dead):
    recipe = named(name).set_params(latents=48, dead_after=10, k_aux=5)
    x = rows((12,), 40, seed=3)
    usual = made(recipe, x, "gaussian").double()
    monkeypatch.setattr(dictionary, "LARGE", 48)
    large = recipe.build((12,), "gaussian").double()
    large.load_state_dict(usual.state_dict())
    assert not large.stacks
    assert not large.replays
    assert usual.replays
    for model in (usual, large):
        model.idle[:dead] = 11.0
    wanted = step(usual)(*state(usual), weights(usual), x.double(), x.double(), None)
    found = step(large)(*state(large), weights(large), x.double(), x.double(), None)
    assert bool(found[1]["auxiliary"]) == bool(dead)
    for mine, theirs in zip(found, wanted, strict=True):
        for one in theirs:
            torch.testing.assert_close(mine[one], theirs[one], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["abstopk", "batchtopk", "matryoshka"])
def test_other_wide_models_ship_too(tmp_path, name):
    data = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    fitted = fit(named(name).set_params(latents=2048, k=4), data, plan=Plan(steps=20, check=10, batch=64))
    assert fitted.model.wide
    assert fitted.outcome.history["valid"][-1] < fitted.outcome.history["valid"][0]
    x = torch.tensor(fitted.layout.apply(data[:20]))
    torch.testing.assert_close(fitted.model.folded()(x), fitted.model.reconstruct(x), rtol=0, atol=1e-4)
    save(fitted, tmp_path / "wide.isthmus")
    again = load(tmp_path / "wide.isthmus")
    np.testing.assert_array_equal(again.encode(data), fitted.encode(data))
    np.testing.assert_array_equal(again.reconstruct(data), fitted.reconstruct(data))


@pytest.mark.slow
@pytest.mark.parametrize("check", [c for c in CHECKS if c not in (check_stack, check_tape)], ids=lambda c: c.__name__)
def test_contract_of_large_dictionaries(monkeypatch, check):
    monkeypatch.setattr(dictionary, "LARGE", 1)
    check(named("gated").set_params(latents=16))
