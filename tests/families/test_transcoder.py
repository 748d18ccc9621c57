"""A transcoder finds planted maps, and its skip a planted linear one."""

import numpy as np
import pytest
import torch

from isthmus.errors import BadInput
from isthmus.families.transcoder import Transcoder
from isthmus.testing import CHECKS, made, rows
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 8)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("fields", [{"skip": 2, "hidden": (5,)}, {"gate": "relu", "skip": 7}], ids=str)
def test_contract(fields, check):
    check(Transcoder(**fields))


@pytest.mark.parametrize("skip", [2, 8])
def test_the_skip_starts_as_a_planted_linear_map(skip):
    x = torch.from_numpy(X).double()
    g = torch.Generator().manual_seed(0)
    maps = [torch.randn(s, generator=g, dtype=torch.float64) for s in [(8, skip), (skip, 5)]]
    y = x @ maps[0] @ maps[1] + 3.0
    model = Transcoder(latents=skip + 4, k=2, skip=skip).build((8,), "gaussian", (5,)).double()
    with torch.no_grad():
        model.decoder.dictionary.zero_()
    model.start(x, y)
    torch.testing.assert_close(model.decode(model.encode(x)), y, rtol=0, atol=1e-9)
    torch.testing.assert_close(model.encode(x)[:, -skip:], model.down(x))


@pytest.mark.slow
def test_a_planted_sparse_map_is_learnt():
    weight, out = RNG.normal(size=(8, 3)), RNG.normal(size=(3, 5))
    y = (np.maximum(X @ weight, 0) @ out).astype(np.float32)
    plan = Plan(steps=1500)
    fitted = fit(Transcoder(latents=12, k=3), X, y, plan=plan)
    share = fitted.errors(X, y).mean()  # targets are standardised: 1 is the mean predictor
    assert fitted.out == (5,)
    assert share < 0.15


@pytest.mark.slow
def test_the_penalty_makes_codes_sparse():
    y = np.maximum(X @ RNG.normal(size=(8, 5)), 0).astype(np.float32)
    used = []
    for strength in (0.0, 1.0):
        fitted = fit(Transcoder(latents=16, gate="relu", strength=strength), X, y, plan=Plan(steps=400))
        used.append((fitted.encode(X) > 0).sum(1).mean())
    assert used[1] < 0.7 * used[0]


def test_refused():
    with pytest.raises(BadInput, match="skip must be from 0 to below latents = 4; got 4"):
        Transcoder(latents=4, skip=4).build((3,), "gaussian")
    with pytest.raises(BadInput, match="k must be from 1 to latents - skip = 2; got 4"):
        Transcoder(latents=4, skip=2).build((3,), "gaussian")
    assert set(Transcoder(gate="relu").space()) == {"strength"}
    assert set(Transcoder().space()) == {"k"}
    made(Transcoder(), rows((2, 3)), "bernoulli")
