"""Corruptions do what their level says, and nothing at level 0."""

import numpy as np
import pytest
import torch

from isthmus.data.corrupt import corrupt, draw
from isthmus.data.layout import laid_out
from isthmus.errors import BadInput
from isthmus.families.plain import Plain
from isthmus.train.fitted import fit_many
from isthmus.train.plan import Plan

KINDS = ["gaussian", "mask", "salt"]
MOVES = ["shift", "flip", "crop"]


def noise(kind, shape, seed=0):
    return draw(kind, shape, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", [*KINDS, *MOVES])
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


@pytest.mark.parametrize("kind", [*KINDS, *MOVES])
def test_a_stack_with_a_level_each_equals_one_by_one(kind):
    x = torch.rand(3, 16, 6, 5)
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
    with pytest.raises(BadInput, match="none, gaussian, mask, salt, shift, flip or crop; got 'blur'"):
        noise("blur", (2, 2))
    with pytest.raises(BadInput, match="got 'blur'"):
        corrupt("blur", torch.zeros(2, 2), None, 0.1)
    with pytest.raises(BadInput, match="mask needs noise"):
        corrupt("mask", torch.zeros(2, 2), None, 0.1)


def marked(height=8, width=10, channels=None):
    """Pictures that are all alike, whose pixels have the numbers of their places."""
    one = torch.arange(height * width, dtype=torch.float32).reshape(height, width) + 1
    one = one if channels is None else torch.stack([one + 100 * c for c in range(channels)], dim=-1)
    return one.expand(400, *one.shape).clone()


@pytest.mark.parametrize("channels", [None, 3])
def test_shift_moves_by_whole_pixels_as_far_as_its_level_and_draws_edges_out(channels):
    x = marked(channels=channels)
    found = corrupt("shift", x, noise("shift", x.shape), 0.25)
    seen = set()
    for picture in found:
        plain = picture if channels is None else picture[..., 0]
        down, across = divmod(int(plain[4, 5]) - 1, 10)
        by = 4 - down, 5 - across
        rows = (torch.arange(8) - by[0]).clamp(0, 7)
        columns = (torch.arange(10) - by[1]).clamp(0, 9)
        assert torch.equal(picture, x[0][rows][:, columns])
        seen.add(by)
    assert {d for d, _ in seen} == {-2, -1, 0, 1, 2}
    assert {a for _, a in seen} <= {-3, -2, -1, 0, 1, 2, 3}
    assert {a for _, a in seen} >= {-2, -1, 0, 1, 2}


def test_flip_mirrors_its_share_left_to_right():
    x = marked(channels=2)
    found = corrupt("flip", x, noise("flip", x.shape), 0.3)
    mirrored = torch.tensor([torch.equal(one, x[0].flip(1)) for one in found])
    same = torch.tensor([torch.equal(one, x[0]) for one in found])
    assert (mirrored | same).all()
    assert mirrored.float().mean().item() == pytest.approx(0.3, abs=0.07)
    assert torch.equal(corrupt("flip", x, noise("flip", x.shape), 1.0), x.flip(2))


def test_crop_keeps_a_window_and_hides_the_rest():
    x = marked()
    found = corrupt("crop", x, noise("crop", x.shape), 0.5)
    assert ((found == 0) | (found == x)).all()
    kept = found != 0
    rows, columns = kept.any(dim=2).sum(dim=1), kept.any(dim=1).sum(dim=1)
    assert set(rows.tolist()) == {4}
    assert set(columns.tolist()) == {5}
    assert (kept.sum(dim=(1, 2)) == rows * columns).all()  # one rectangle
    assert len({tuple(one.nonzero()[0].tolist()) for one in kept}) > 15  # in many places
    assert (corrupt("crop", x, noise("crop", x.shape), 1.0) == 0).all()


@pytest.mark.parametrize("kind", MOVES)
def test_moves_are_pure_and_seeded(kind):
    x = marked()
    before, one, other = x.clone(), noise(kind, x.shape), noise(kind, x.shape)
    assert torch.equal(one, other)
    assert not torch.equal(one, noise(kind, x.shape, seed=1))
    corrupt(kind, x, one, 0.5)
    assert torch.equal(x, before)


@pytest.mark.parametrize("kind", MOVES)
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_every_move_trains_a_stack_as_it_trains_alone_and_changes_the_model(kind, shape):
    rows = np.random.default_rng(0).random((60, *shape)).astype(np.float32)
    plan = Plan(steps=12, batch=16, check=6)
    levels = [0.2, 0.5]
    recipes = [
        Plain(latents=3, backbone="conv2d", hidden=(4,), corruption=kind, corruption_level=level) for level in levels
    ]
    layout = laid_out(rows, images=True)
    together = fit_many(recipes, rows, rows[:20], [plan] * 2, layout=layout, seed=0)
    alone = [fit_many([recipe], rows, rows[:20], [plan], layout=layout, seed=0)[0] for recipe in recipes]
    clean = fit_many(
        [Plain(latents=3, backbone="conv2d", hidden=(4,))], rows, rows[:20], [plan], layout=layout, seed=0
    )[0]
    codes = [one.encode(rows) for one in together]
    for mine, theirs in zip(codes, alone, strict=True):
        np.testing.assert_allclose(mine, theirs.encode(rows), atol=1e-4)
    assert np.abs(codes[0] - codes[1]).max() > 1e-3
    assert np.abs(codes[0] - clean.encode(rows)).max() > 1e-3


@pytest.mark.parametrize("kind", MOVES)
def test_moves_need_pictures_and_a_share(kind):
    with pytest.raises(BadInput, match=rf"corruption {kind} is for pictures, rows \(height, width\)"):
        Plain(corruption=kind, corruption_level=0.2).build((64,), "gaussian")
    with pytest.raises(BadInput, match="corruption_level must be at most 1, a share"):
        Plain(corruption=kind, corruption_level=1.2).build((8, 8), "gaussian")
