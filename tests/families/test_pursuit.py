"""Matching pursuit and archetypal dictionaries: what can be said without training, and that they learn."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from isthmus.families.archetypal import Archetypal, simplex
from isthmus.families.matching import Matching, pursue
from isthmus.testing import CHECKS, made, rows, train
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_contract(check):
    check(Archetypal(delta=0.0, candidates=40))


@pytest.mark.slow
def test_residuals_never_grow():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(30, 8, generator=g, dtype=torch.float64)
    entries = torch.nn.functional.normalize(torch.randn(20, 8, generator=g, dtype=torch.float64), dim=1)
    norms = torch.stack([pursue(x, entries, k)[1].norm(dim=1) for k in range(6)])
    assert (norms.diff(dim=0) <= 1e-12).all()
    code, left = pursue(x, entries, 5)
    torch.testing.assert_close(code @ entries + left, x)
    code, left = pursue(x, entries, 1)
    torch.testing.assert_close(left.norm(dim=1) ** 2, x.norm(dim=1) ** 2 - code.sum(1) ** 2)


@pytest.mark.slow
def test_with_an_orthonormal_dictionary_it_is_the_rectified_top_k():
    g = torch.Generator().manual_seed(1)
    entries = torch.linalg.qr(torch.randn(8, 8, generator=g, dtype=torch.float64)).Q
    x = torch.randn(50, 8, generator=g, dtype=torch.float64)
    parts = x @ entries.t()
    wanted = torch.where(parts >= parts.topk(3).values[:, -1:], parts, 0.0).relu()
    torch.testing.assert_close(pursue(x, entries, 3)[0], wanted)


@pytest.mark.slow
def test_entries_keep_unit_norm():
    x = rows((6,))
    model = made(Matching(latents=8, k=2), x, "gaussian")
    train(model, x, steps=20, rate=0.05)
    torch.testing.assert_close(model.entries.norm(dim=1), torch.ones(8))


def test_simplex_is_the_nearest_point():
    torch.testing.assert_close(simplex(torch.tensor([[0.2, 0.3, 0.5]])), torch.tensor([[0.2, 0.3, 0.5]]))
    torch.testing.assert_close(simplex(torch.tensor([[2.0, 0.0, -1.0]])), torch.tensor([[1.0, 0.0, 0.0]]))
    torch.testing.assert_close(simplex(torch.tensor([[1.0, 1.0, -5.0]])), torch.tensor([[0.5, 0.5, 0.0]]))
    given = torch.randn(40, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    near = simplex(given)
    assert (near >= 0).all()
    torch.testing.assert_close(near.sum(1), torch.ones(40, dtype=torch.float64))
    for other in torch.eye(7, dtype=torch.float64):  # the obtuse angle that only the nearest point makes
        assert (((given - near) * (other - near)).sum(1) <= 1e-12).all()


@pytest.mark.parametrize("delta", [0.0, 0.3])
def test_entries_stay_by_the_convex_hull(delta):
    x = rows((6,))
    model = made(Archetypal(latents=8, k=2, candidates=10, delta=delta), x, "gaussian")
    points = model.points.clone()
    train(model, x, steps=50, rate=0.05)
    assert torch.equal(model.points, points)
    assert (model.mixture >= 0).all()
    torch.testing.assert_close(model.mixture.sum(1), torch.ones(8))
    away = (model.entries - model.mixture @ points).norm(dim=1)
    assert away.max() <= delta + 1e-6
    assert delta == 0 or away.max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [Matching(), Archetypal()], ids=["matching", "archetypal"])
def test_digits(recipe):
    x = (load_digits().data / 16).astype(np.float32)
    fitted = fit(recipe, x, plan=Plan(steps=600))
    share = fitted.errors(x).mean() / np.square(x - x.mean(0)).mean()
    print(recipe.family, share)
    assert share < 0.6
