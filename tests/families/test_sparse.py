"""The families with a sparse code: l1, kl, topk."""

import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from isthmus.families.kl import KL
from isthmus.families.l1 import L1
from isthmus.families.topk import TopK
from isthmus.testing import made, noise, rows, train
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

pytestmark = pytest.mark.sensitive

X = rows((8,), 64)


@pytest.mark.parametrize("hidden", [(), (6,)])
def test_l1_dictionary_keeps_unit_norm(hidden):
    model = made(L1(latents=5, hidden=hidden), X, "gaussian")
    torch.testing.assert_close(model.decoder.dictionary.norm(dim=0), torch.ones(5))
    train(model, X, steps=20, rate=0.05)
    torch.testing.assert_close(model.decoder.dictionary.norm(dim=0), torch.ones(5))


def test_l1_terms():
    model = made(L1(latents=5, strength=0.25), X, "gaussian")
    z = model.encode(X)
    terms = model(X, X).terms
    torch.testing.assert_close(terms["l1"], z.sum(1).mean() / 8)
    torch.testing.assert_close(terms["reconstruction"], 0.5 * (model.decode(z) - X).square().mean())
    assert model.weights == {"reconstruction": 1.0, "l1": 0.25}


@pytest.mark.slow
def test_more_l1_is_more_zeros():
    share = []
    for strength in (0.0, 0.05, 0.5):
        model = made(L1(latents=12, strength=strength), X, "gaussian")
        train(model, X, steps=200, rate=0.03)
        share.append((model.encode(X) > 1e-4).float().mean().item())
    assert share[0] > share[1] > share[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields", [{}, {"code_activation": "relu"}, {"bound": 4.0}, {"code_activation": "relu", "bound": 3.0}]
)
def test_kl_reaches_its_target_within_the_bound(fields):
    recipe = KL(latents=6, target=0.15, strength=8.0, **fields)
    model = made(recipe, X, "bernoulli")
    train(model, X, steps=600, rate=0.03)
    z = model.activate(X)
    assert z.min() >= 0
    assert z.max() <= recipe.bound
    torch.testing.assert_close(z.mean(0) / recipe.bound, torch.full((6,), 0.15), rtol=0, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("data", [load_digits, load_wine, load_breast_cancer])
def test_kl_default_holds_its_target_on_rows_of_any_width(data):
    recipe, x = KL(), data().data
    mean = fit(recipe, x, plan=Plan(steps=1000)).encode(x).mean()
    assert mean == pytest.approx(recipe.target, rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)])
def test_kl_holds_its_target_wherever_tuning_may_look(corner):
    strength, target = (KL().space()[name].at(u) for name, u in zip(("strength", "target"), corner, strict=True))
    x = load_wine().data
    mean = fit(KL(strength=strength, target=target), x, plan=Plan(steps=1000)).encode(x).mean()
    assert mean == pytest.approx(target, rel=0.2)


@pytest.mark.parametrize(
    "fields",
    [{}, {"target": 0.3, "bound": 4.0}, {"code_activation": "relu"}, {"code_activation": "relu", "bound": 3.0}],
)
def test_kl_begins_at_its_target(fields):
    recipe = KL(latents=6, **fields)
    model = made(recipe, 3 * X - 1, "gaussian")
    z = model.encode(3 * X - 1)
    torch.testing.assert_close(z.mean(0) / recipe.bound, torch.full((6,), recipe.target), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.decoder(z).mean(0), (3 * X - 1).mean(0), rtol=1e-4, atol=1e-5)


def test_kl_is_of_the_batch_mean():
    model = made(KL(latents=3, target=0.2), X, "bernoulli")
    share = model.activate(X).mean(0)
    want = (0.2 * (0.2 / share).log() + 0.8 * (0.8 / (1 - share)).log()).mean()
    torch.testing.assert_close(model(X, X).terms["kl"], want, rtol=1e-4, atol=1e-7)


def test_kl_relu_is_cut_at_the_bound():
    model = made(KL(latents=3, code_activation="relu", bound=0.5), X, "bernoulli")
    raw = model.encoder(X)
    torch.testing.assert_close(model.encode(X), raw.clamp(0, 0.5))
    assert (raw > 0.5).any()


def test_kl_threshold_masks_also_at_inference():
    loose, strict = (made(KL(latents=4, threshold=t), X, "bernoulli") for t in (0.0, 0.5))
    z = loose.encode(X)
    torch.testing.assert_close(strict.encode(X), torch.where(z >= 0.5, z, 0.0))
    torch.testing.assert_close(strict(X, X).terms["reconstruction"], strict.misfit(strict.encode(X), X))


def test_kl_drop_zeroes_its_share_and_keeps_the_mean():
    model = made(KL(latents=4, drop=0.25), X, "gaussian")
    drawn = noise(model, X)
    assert drawn.shape == (64, 4)
    z = model.encode(X)
    want = model.misfit(torch.where(drawn >= 0.25, z / 0.75, 0.0), X)
    torch.testing.assert_close(model(X, X, drawn).terms["reconstruction"], want)
    torch.testing.assert_close(model(X, X, None).terms["reconstruction"], model.misfit(z, X))
    wide = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    assert ((wide >= 0.25) / 0.75).mean().item() == pytest.approx(1, abs=0.01)
    assert made(KL(latents=4), X, "gaussian").draw(X, torch.Generator()) is None


@pytest.mark.parametrize("k", [1, 3, 8])
def test_topk_uses_at_most_k(k):
    model = made(TopK(latents=8, k=k), X, "gaussian")
    used = (model.encode(X) > 0).sum(1)
    assert used.max() <= k
    raw = model.encoder(X - model.pre)
    assert torch.equal(used, (raw > 0).sum(1).clamp(max=k))  # relu after the choice


def test_topk_pre_bias_starts_at_the_mean():
    torch.testing.assert_close(made(TopK(latents=8), X, "gaussian").pre, X.mean(0))


def test_topk_clock_counts_rows_without_firing():
    model = made(TopK(latents=4, k=1), X, "gaussian")
    with torch.no_grad():
        model.encoder.layers[0].bias.copy_(torch.tensor([100.0, 0.0, 0.0, 0.0]))
    for _ in range(2):
        model.absorb(model(X, X).seen)
    assert model.idle.tolist() == [0, 128, 128, 128]
    with torch.no_grad():
        model.encoder.layers[0].bias.copy_(torch.tensor([0.0, 100.0, 0.0, 0.0]))
    model.absorb(model(X, X).seen)
    assert model.idle.tolist() == [64, 0, 192, 192]


def test_topk_auxiliary_is_the_residual_fit_of_gao_et_al():
    model = made(TopK(latents=4, k=1, dead_after=10), X, "gaussian")
    assert model(X, X).terms["auxiliary"].item() == 0
    model.idle.copy_(torch.tensor([0.0, 11.0, 0.0, 11.0]))
    with torch.no_grad():
        model.encoder.last.bias[3] = -20.0  # negative everywhere: not rectified
    x = X[~(model.encode(X)[:, [1, 3]] > 0).any(1)]  # rows in which the dead units stay silent
    assert len(x) > 5
    residual = x - model.decode(model.encode(x))
    raw = model.encoder(x - model.pre)
    assert 0 < (raw[:, 1] > 0).sum() < len(x)
    dead = torch.stack([torch.relu(raw[:, 1]), raw[:, 3]], dim=1)
    want = 0.5 * (residual - dead @ model.decoder.dictionary[:, [1, 3]].t()).square().mean()
    torch.testing.assert_close(model(x, x).terms["auxiliary"], want)


@pytest.mark.parametrize(("latents", "hidden"), [(12, ()), (12, (6,)), (2048, ())])
def test_topk_starts_centred_and_reads_what_it_writes(latents, hidden):
    x = X + 5.0
    model = made(TopK(latents=latents, k=4, hidden=hidden), x, "gaussian")
    assert model.wide == (latents == 2048)
    torch.testing.assert_close(model.encoder(x - x.mean(0)).mean(0), torch.zeros(latents), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.reconstruct(x).mean(0), x.mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(model.encoder.last.weight, model.decoder.dictionary.t())


@pytest.mark.slow
def test_topk_dead_units_learn_to_fire_by_themselves():
    g = torch.Generator().manual_seed(1)
    centres = torch.nn.functional.normalize(torch.randn(64, 24, generator=g), dim=1)
    x = centres[torch.arange(512) % 64] * (0.5 + torch.rand(512, 1, generator=g))  # one unit for each centre
    silent = []
    for aux in (0.0, 0.03125):
        model = made(TopK(latents=64, k=1, dead_after=2000, aux=aux), x, "gaussian")
        train(model, x, steps=300, rate=0.02)
        silent.append((model.encode(x) == 0).all(0).sum().item())
    assert silent[1] < 0.6 * silent[0]  # as many as without, if dead units are not rectified


@pytest.mark.slow
def test_topk_revives_dead_units():
    """Five of eight units are silenced; without the auxiliary term none comes back, with it most do."""
    back = {0.0: 0, 0.5: 0}
    for seed in range(3):
        x = torch.randn(64, 8, generator=torch.Generator().manual_seed(seed))  # eight factors: work for every unit
        for aux in back:
            model = made(TopK(latents=8, k=2, dead_after=64, aux=aux), x, "gaussian", seed)
            with torch.no_grad():
                model.encoder.layers[0].bias[:5].sub_(4.0)
            assert not (model.encode(x)[:, :5] > 0).any()
            train(model, x, steps=300, rate=0.02)
            back[aux] += (model.encode(x)[:, :5] > 0).any(0).sum().item()
    assert back[0.0] == 0
    assert back[0.5] > 3 * 5 / 2


def test_topk_space_and_structure():
    assert TopK(latents=16).space()["k"][:2] == (1, 8)
    assert TopK(latents=1, k=1).space()["k"][:2] == (1, 1)
    assert TopK(latents=16, k=1).structure() == TopK(latents=16, k=8, aux=0.5, dead_after=7).structure()
    assert TopK(latents=16, k=8).structure() != TopK(latents=16, k=9).structure()
    assert TopK(latents=1024, k=33).limit == TopK(latents=1024, k=64).limit == 64
