"""ksparse, wta, contractive_h, masked, rda, svdd."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.func import jacrev

from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.families.contractive_h import ContractiveH
from isthmus.families.ksparse import KSparse
from isthmus.families.masked import Masked
from isthmus.families.plain import Plain
from isthmus.families.rda import RDA
from isthmus.families.svdd import OFF, SVDD
from isthmus.families.wta import WTA
from isthmus.parts.heads import Slot, TableHead, nll
from isthmus.testing import made, noise, rows, train
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

X = rows((8,), 64)


@pytest.mark.slow
def test_ksparse_falls_from_many_to_few():
    model = made(KSparse(latents=10, k=2, first=8, anneal=0.5), X, "bernoulli")
    assert model.passing() == 2  # a model at rest has the fall behind it
    assert model.settles == 0.5
    seen = []
    for i in range(6):
        model.clock.fill_(i / 8)
        seen.append(int(model.passing()))
        loss = model(X, X)
        code = model.encoder(X).topk(seen[-1], dim=1)
        want = torch.zeros(64, 10).scatter(1, code.indices, code.values)
        torch.testing.assert_close(loss.terms["reconstruction"], model.misfit(want, X))
    assert seen == [8, 6, 5, 4, 2, 2]  # 6.5 and 3.5 round to even
    assert int(made(KSparse(latents=10, k=2, anneal=0.0), X, "bernoulli").passing()) == 2


def test_ksparse_ships_alpha_times_k_and_is_judged_by_it():
    model = made(KSparse(latents=10, k=2, alpha=1.5, anneal=0.5), X, "bernoulli")
    assert (model.encode(X) != 0).sum(1).unique().tolist() == [3]
    model.eval()
    torch.testing.assert_close(model(X, X).terms["reconstruction"], model.misfit(model.encode(X), X))


def test_a_schedule_does_not_decide_which_weights_are_kept():
    """With many elements the error is small early; kept are the weights that serve the few that ship."""
    x = rows((8,), 200).numpy()
    plan = Plan(steps=400, batch=50, check=20)
    long = fit(KSparse(latents=8, k=1, anneal=0.75), x, plan=plan, scale="none").outcome.best_step
    assert long >= 300


def test_wta_lets_each_unit_pass_in_its_share_of_rows():
    model = made(WTA(latents=5, rate=0.25), X, "bernoulli")
    z = model.encode(X)
    kept = model.winners(z)
    for unit, whole in zip(kept.t(), z.t(), strict=True):
        best = whole.topk(16).values
        torch.testing.assert_close(unit[unit > 0].sort().values, best[best > 0].sort().values)
    torch.testing.assert_close(model(X, X).terms["reconstruction"], model.misfit(kept, X))
    model.eval()
    torch.testing.assert_close(model(X, X).terms["reconstruction"], model.misfit(z, X))


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("code", ["sigmoid", "tanh"])
def test_curvature_of_one_layer_is_the_change_of_its_jacobian(tied, code):
    model = made(ContractiveH(latents=3, tied=tied, code_activation=code, samples=2), X, "bernoulli").double()
    x = X[:5].double()
    drawn = noise(model, x)
    jacobian = torch.func.vmap(jacrev(lambda row: model.encode(row.unsqueeze(0))[0]))
    changes = [(jacobian(x) - jacobian(x + 0.3 * drawn["steps"][:, k])).square().sum() / 5 for k in (0, 1)]
    torch.testing.assert_close(model(x, x, drawn).terms["curvature"], sum(changes) / 2 / 8)
    want = jacobian(x).square().sum() / 5 / 8
    torch.testing.assert_close(model(x, x, drawn).terms["contraction"], want)


@pytest.mark.slow
def test_curvature_of_a_deep_encoder_is_estimated_without_bias():
    model = made(ContractiveH(latents=2, hidden=(4,), activation="tanh", samples=1), X, "bernoulli").double()
    x = X[:3].double()
    drawn = noise(model, x)
    jacobian = torch.func.vmap(jacrev(lambda row: model.encode(row.unsqueeze(0))[0]))
    exact = (jacobian(x) - jacobian(x + 0.3 * drawn["steps"][:, 0])).square().sum() / 3 / 8
    found = []
    for i in range(600):
        drawn["way"] = torch.randn(x.shape, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
        found.append(model(x, x, drawn).terms["curvature"].item())
    assert np.mean(found) == pytest.approx(exact.item(), rel=0.15)


def test_masked_counts_what_was_hidden():
    model = made(Masked(latents=3, share=0.4), X, "gaussian")
    drawn = noise(model, X)
    hidden = (drawn < 0.4).float()
    square = 0.5 * (model.decode(model.encode(X * (1 - hidden) / 0.6)) - X).square()
    terms = model(X, X, drawn).terms
    torch.testing.assert_close(terms["reconstruction"], (square * hidden).mean())
    torch.testing.assert_close(terms["visible"], (square * (1 - hidden)).mean())


@pytest.mark.slow
def test_masked_fills_holes_better_than_plain():
    x, holes = rows((8,), 300), torch.rand(300, 8, generator=torch.Generator().manual_seed(5)) < 0.4
    errors = []
    for recipe in (Plain(latents=4, hidden=(16,)), Masked(latents=4, hidden=(16,), share=0.4)):
        model = made(recipe, x, "bernoulli")
        train(model, x, steps=500, rate=0.01)
        grown = 0.6 if isinstance(recipe, Masked) else 1.0
        back = model.decode(model.encode(torch.where(holes, 0.0, x) / grown))
        errors.append((back - x)[holes].square().mean().item())
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("outliers", ["l1", "l21"])
def test_rda_loss_is_the_least_over_all_splits(outliers):
    model = made(RDA(latents=2, strength=0.4, outliers=outliers), X, "gaussian").double()
    x = 3 * X[:6].double()
    residual = (x - model.decode(model.encode(x))).detach()
    split = torch.zeros_like(residual, requires_grad=True)

    def cost(s):
        size = s.abs().sum(1) if outliers == "l1" else (s.square().sum(1) + 1e-12).sqrt()
        return 0.5 * (residual - s).square().sum(1) + 0.4 * size

    adam = torch.optim.Adam([split], lr=0.02)
    for _ in range(1500):
        adam.zero_grad()
        cost(split).sum().backward()
        adam.step()
    least = cost(split).mean().item() / 8
    assert model(x, x).terms["reconstruction"].item() == pytest.approx(least, rel=2e-3)
    left, out = model.split(x)
    torch.testing.assert_close(left + out, x)
    torch.testing.assert_close(cost(out).mean() / 8, model(x, x).terms["reconstruction"])


@pytest.mark.slow
@pytest.mark.parametrize("outliers", ["l1", "l21"])
def test_rda_rebuilds_clean_rows_though_a_tenth_is_spoilt(outliers):
    generator = torch.Generator().manual_seed(2)
    clean = torch.randn(400, 2, generator=generator) @ torch.randn(2, 20, generator=generator)
    where = torch.rand(400, *((20,) if outliers == "l1" else (1,)), generator=generator) < 0.05
    spoilt = torch.where(where, clean + 15 * torch.randn(400, 20, generator=generator).sign(), clean)
    errors = []
    for recipe in (Plain(latents=2, head="gaussian"), RDA(latents=2, strength=0.3, outliers=outliers)):
        model = made(recipe, spoilt, "gaussian")
        train(model, spoilt, steps=800, rate=0.02)
        alone = ~where.any(1)
        errors.append((model.decode(model.encode(clean)) - clean)[alone].square().mean().item())
    assert errors[1] < 0.5 * errors[0]


def test_svdd_has_no_biases_and_a_centre_off_zero():
    model = made(SVDD(latents=4), X, "bernoulli")
    assert not [name for name, _ in model.encoder.named_parameters() if "bias" in name]
    assert (model.centre.abs() >= OFF).all()
    mean = model.encode(X).mean(0)
    torch.testing.assert_close(model.centre, torch.where(mean < 0, mean.clamp(max=-OFF), mean.clamp(min=OFF)))
    assert mean.min() < -OFF < OFF < mean.max()
    torch.testing.assert_close(model.score(X), (model.encode(X) - model.centre).square().sum(1))
    for wrong in ({"activation": "tanh"}, {"backbone": "linear"}, {"norm": "layer", "hidden": (4,)}):
        with pytest.raises(BadInput, match="svdd: "):
            SVDD(**wrong).build((4,), "gaussian")


def test_svdd_does_not_see_constant_columns():
    x = torch.cat([X, torch.ones(64, 1)], dim=1)
    model = made(SVDD(latents=4), x, "bernoulli")
    torch.testing.assert_close(model.encode(x), model.encode(x - 5 * torch.eye(9)[8]))


@pytest.mark.slow
def test_svdd_scores_vary_and_find_what_is_far_off():
    generator = np.random.default_rng(0)
    loadings = generator.normal(size=(2, 8))
    normal, odd = generator.normal(size=(500, 2)) @ loadings, 3 * generator.normal(size=(50, 8))
    fitted = fit(SVDD(latents=3), normal[:300])
    test = fitted.layout.apply(np.concatenate([normal[300:], odd]))
    scores = fitted.score_scaled(test)
    assert scores.std() > 0.1 * scores.mean()
    assert roc_auc_score(np.repeat([0, 1], [200, 50]), scores) > 0.9
    assert scores.tolist() == pytest.approx(fitted.model.score(torch.from_numpy(test)).tolist())


def test_other_families_score_by_their_error():
    x = X.numpy()
    fitted = fit(named("pca").set_params(latents=2), x, scale="none")
    assert fitted.score_scaled(x) == pytest.approx(fitted.errors(x))
    assert fitted.model.score(X).numpy() == pytest.approx(fitted.errors(x), rel=1e-4)


def gappy(n=9, absent=0.25):
    """Rows whose first cell is missing in every third, and the likelihood of such rows."""
    x = rows((4,), n)
    gone = torch.arange(n) % 3 == 0
    x[:, 1] = gone.float() - absent
    x[gone, 0] = 0.0
    slots = [Slot("number", 0, 1, (), 1.0, 1, absent), *(Slot("number", i, i + 1, (), 1.0, None, 0.0) for i in (2, 3))]
    return x, gone, TableHead(slots)


@pytest.mark.parametrize("copied", [0.0, 0.5, 1.0])
def test_masked_hides_what_the_next_row_lacks(copied):
    x, gone, head = gappy()
    model = made(Masked(latents=2, share=0.4, copied=copied), x, head)
    drawn = torch.rand(9, 4, generator=torch.Generator().manual_seed(0))
    after = torch.roll(gone, -1)
    copies = (drawn[:, 1] < copied) & after
    hidden = (drawn < 0.4).float()
    hidden[:, 1] = 0  # what says that a cell is missing stays
    hidden = torch.where(copies[:, None], torch.tensor([1.0, 0, 0, 0]), hidden)
    left = torch.where(copies, 1.0, 0.6)[:, None]
    cost = nll(head, model.decoder(model.encode(x * (1 - hidden) / left)), x)
    terms = model(x, x, drawn).terms
    torch.testing.assert_close(terms["reconstruction"], (cost * hidden).mean())
    torch.testing.assert_close(terms["visible"], (cost * (1 - hidden)).mean())
    assert (int(copies.sum()) > 0) == (copied > 0)
