"""Corruptions do what their level says, and nothing at level 0."""

import pytest
import torch

from isthmus.data.corrupt import corrupt, draw
from isthmus.errors import BadInput

KINDS = ["gaussian", "mask", "salt"]


def noise(kind, shape, seed=0):
    return draw(kind, shape, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_level_zero_changes_nothing(kind):
    x = torch.rand(64, 5, 4)
    assert torch.equal(corrupt(kind, x, noise(kind, x.shape), 0.0), x)


def test_none_draws_nothing_and_changes_nothing():
    x = torch.rand(3, 2)
    assert noise("none", x.shape) is None
    assert corrupt("none", x, None, 0.5) is x


def test_gaussian_adds_its_deviation():
    x = torch.full((1000, 50), 2.0)
    change = corrupt("gaussian", x, noise("gaussian", x.shape), 0.3) - x
    assert change.std().item() == pytest.approx(0.3, rel=0.02)
    assert change.mean().item() == pytest.approx(0.0, abs=0.01)


def test_mask_sets_its_share_to_zero_and_leaves_the_rest():
    x = torch.full((1000, 50), 2.0)
    found = corrupt("mask", x, noise("mask", x.shape), 0.25)
    assert (found == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert ((found == 0) | (found == 2)).all()
    assert (corrupt("mask", x, noise("mask", x.shape), 1.0) == 0).all()


def test_salt_sets_its_share_to_zero_or_one_evenly():
    x = torch.full((1000, 50), 0.5)
    found = corrupt("salt", x, noise("salt", x.shape), 0.4)
    assert (found == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (found == 1).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (found == 0.5).float().mean().item() == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_with_a_level_each_equals_one_by_one(kind):
    x = torch.rand(3, 16, 6)
    drawn = torch.stack([noise(kind, x[0].shape, seed) for seed in range(3)])
    levels = torch.tensor([0.0, 0.2, 0.7])
    together = torch.vmap(lambda rows, n, level: corrupt(kind, rows, n, level))(x, drawn, levels)
    for i in range(3):
        assert torch.equal(together[i], corrupt(kind, x[i], drawn[i], float(levels[i])))
    assert not torch.equal(together[1], x[1])


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_equal_noise_and_pure(kind):
    x = torch.rand(8, 3)
    before = x.clone()
    one, other = noise(kind, x.shape), noise(kind, x.shape)
    assert torch.equal(one, other)
    assert not torch.equal(one, noise(kind, x.shape, seed=1))
    corrupt(kind, x, one, 0.5)
    assert torch.equal(x, before)
    assert corrupt(kind, x.double(), one.double(), 0.5).dtype == torch.float64


def test_refusals():
    with pytest.raises(BadInput, match="none, gaussian, mask or salt; got 'blur'"):
        noise("blur", (2, 2))
    with pytest.raises(BadInput, match="got 'blur'"):
        corrupt("blur", torch.zeros(2, 2), None, 0.1)
    with pytest.raises(BadInput, match="mask needs noise"):
        corrupt("mask", torch.zeros(2, 2), None, 0.1)
