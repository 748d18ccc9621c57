"""The robust heads: exact likelihoods, their limits, their gradients, and what they are for."""

import numpy as np
import pytest
import torch
from torch.distributions import StudentT

from isthmus.families.plain import Plain
from isthmus.families.vae import VAE
from isthmus.parts import heads
from isthmus.parts.heads import FREEDOM, SCALE
from isthmus.testing import check_gradcheck, check_overfits, check_stack, check_tape
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

RAW = torch.tensor([-50.0, -3.0, -0.6, -0.25, -0.1, 0.0, 1e-3, 0.2, 0.3, 4.0, 1e6], dtype=torch.float64)
ZERO = torch.zeros_like(RAW)
ROBUST = ["huber", "student"]


def test_huber_is_that_of_torch():
    want = torch.nn.functional.huber_loss(RAW, ZERO, reduction="none", delta=SCALE)
    torch.testing.assert_close(heads.nll("huber", RAW, ZERO), want)


def test_student_is_the_likelihood_of_its_distribution():
    t = StudentT(torch.tensor(FREEDOM, dtype=torch.float64), RAW, SCALE)
    centre = StudentT(torch.tensor(FREEDOM, dtype=torch.float64), ZERO, SCALE)
    want = (centre.log_prob(ZERO) - t.log_prob(ZERO)) * SCALE**2 * FREEDOM / (FREEDOM + 1)
    torch.testing.assert_close(heads.nll("student", RAW, ZERO), want)


@pytest.mark.parametrize("head", ROBUST)
def test_small_residuals_cost_half_their_square(head):
    r = torch.tensor([1e-4, -1e-3], dtype=torch.float64)
    torch.testing.assert_close(heads.nll(head, r, torch.zeros_like(r)), 0.5 * r.square(), rtol=1e-5, atol=0)


def test_how_far_residuals_pull():
    r = torch.tensor([0.1, 1.0, 10.0, 1e3, 1e6], dtype=torch.float64, requires_grad=True)
    (huber,) = torch.autograd.grad(heads.nll("huber", r, torch.zeros_like(r)).sum(), r)
    assert huber.tolist() == pytest.approx([0.1, SCALE, SCALE, SCALE, SCALE])
    (student,) = torch.autograd.grad(heads.nll("student", r, torch.zeros_like(r)).sum(), r)
    torch.testing.assert_close(student, r.detach() / (1 + r.detach() ** 2 / (FREEDOM * SCALE**2)))
    far = heads.nll("student", torch.tensor([1e3, 1e4, 1e5], dtype=torch.float64), torch.zeros(3).double()).diff()
    assert far.tolist() == pytest.approx([FREEDOM * SCALE**2 * np.log(10)] * 2, rel=1e-5)


@pytest.mark.parametrize("head", ROBUST)
def test_mean_and_link_are_the_centre(head):
    assert torch.equal(heads.mean(head, RAW), RAW)
    assert torch.equal(heads.link(head, RAW), RAW)


@pytest.mark.parametrize("head", ROBUST)
def test_huge_residuals_stay_finite(head):
    r = torch.tensor([1e9, -1e9, 0.0], requires_grad=True)
    loss = heads.nll(head, r, torch.zeros(3))
    (slope,) = torch.autograd.grad(loss.sum(), r)
    assert loss.isfinite().all()
    assert slope.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("head", ROBUST)
def test_contract(head):
    for check in (check_gradcheck, check_stack, check_tape, check_overfits):
        check(Plain(latents=4, hidden=(6,), activation="tanh", head=head))
        check(VAE(latents=4, head=head)) if check is not check_overfits else None


def outliers(seed):
    """Clean rows with three factors in twelve columns; 10 % of the training rows are gross nonsense."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(3, 12))
    train, test = (rng.normal(size=(n, 3)) @ loadings + 0.1 * rng.normal(size=(n, 12)) for n in (400, 200))
    bad = rng.choice(400, 40, replace=False)
    train[bad] = rng.normal(scale=12.0, size=(40, 12))
    return train.astype(np.float32), test.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("head", ROBUST)
def test_clean_rows_are_reconstructed_better_among_outliers(head):
    plan = Plan(steps=600, batch=64, check=200, learning_rate=0.01)
    for seed in (0, 1):
        train, test = outliers(seed)
        left = {}
        for name in ("gaussian", head):
            fitted = fit(Plain(latents=3, backbone="linear", head=name), train, plan=plan, seed=seed)
            assert fitted.head == name
            left[name] = np.square(fitted.reconstruct(test) - test).mean() / test.var()
        assert left[head] < 0.5 * left["gaussian"], left
