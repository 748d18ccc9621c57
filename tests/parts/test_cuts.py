"""Values planted on a cut: what rounding makes of them, and the rows beside a row, decide nothing."""

import pytest
import torch

from isthmus.families import FAMILIES, named
from isthmus.families.fsq import FSQ, level
from isthmus.families.gated import Gated
from isthmus.families.jumprelu import JumpReLU
from isthmus.families.kl import KL
from isthmus.families.lfq import LFQ
from isthmus.families.matching import pursue
from isthmus.families.pca import PCA
from isthmus.families.topk import TopK
from isthmus.families.vq import VQ
from isthmus.parts.gates import chosen, cut, topk
from isthmus.parts.sparse import settled
from isthmus.testing import made, rows

X = rows((6,), 48)
NOISE = 4e-7 * (2 * torch.rand(64, 40, generator=torch.Generator().manual_seed(0)) - 1)
"""What rounding does to sums about as large as 1."""


def test_of_units_that_tie_up_to_rounding_the_first_pass():
    values = torch.tensor([2.0, 1.0, 0.0, 1.0, 1.0, -1.0, 1.0, 2.0]).repeat(64, 5)
    want = torch.zeros(40, dtype=torch.bool)
    want[values[0] == 2] = True
    want[(values[0] == 1).nonzero().flatten()[:7]] = True
    for noisy in (values, values + NOISE, (values + NOISE).flip(0)):
        assert torch.equal(chosen(noisy, torch.tensor(17), 20), want.expand(64, 40))
    assert torch.equal(topk(values + NOISE, torch.tensor(17), 20) != 0, want.expand(64, 40))


@pytest.mark.parametrize("width", [40, 640])
def test_a_wide_search_settles_ties_as_a_narrow_one(width):
    raw = torch.randint(-1, 2, (32, width), generator=torch.Generator().manual_seed(1)).float()
    raw = raw + 4e-7 * torch.rand(raw.shape, generator=torch.Generator().manual_seed(2))
    for k in (1, 3, 15, width):
        values, units = settled(raw, k)
        passed = torch.zeros(raw.shape, dtype=torch.bool).scatter(1, units, True)
        assert torch.equal(passed, chosen(raw, torch.tensor(k), k))
        assert torch.equal(values, raw.gather(1, units))


SAME = [name for name in FAMILIES if hasattr(FAMILIES[name], "k") or name in {"fsq", "lfq", "gumbel", "vq", "rvq"}]


@pytest.mark.parametrize("name", [name for name in SAME if name != "cvae"])
def test_units_made_alike_are_told_apart_by_their_number(name):
    """All units read the same: rounding alone tells them apart, differently in every batch."""
    model = made(named(name).set_params(latents=8), X, "gaussian")
    with torch.no_grad():
        for weight in (model.entries,) if name == "matching" else (p for p in encoder(model).parameters()):
            weight.copy_(weight[:1].expand_as(weight))
    whole = model.encode(X)
    for size in (1, 3, 17):
        parts = torch.cat([model.encode(part) for part in X.split(size)])
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


def encoder(model):
    """The affine layer that gives the raw code."""
    return getattr(model.encoder, "last", model.encoder)


def planted(model, raw):
    """Give every unit the raw code that the first column of a row says."""
    with torch.no_grad():
        encoder(model).weight.zero_()
        encoder(model).weight[:, 0] = 1.0
        encoder(model).bias.zero_()
        if hasattr(model, "pre"):
            model.pre.zero_()
    return torch.cat([raw.unsqueeze(1), torch.zeros(len(raw), 5)], 1)


def near(value):
    return value + NOISE[0, :20]


def test_a_code_on_the_threshold_of_jumprelu_is_silent_and_folded_alike():
    model = made(JumpReLU(latents=3, threshold=0.5), X, "gaussian")
    x = planted(model, near(0.5))
    assert not model.encode(x).any()
    assert not model.folded().encode(x).any()
    assert model.encode(planted(model, near(0.5001))).all()


def test_a_gate_at_zero_is_shut_and_folded_alike():
    model = made(Gated(latents=3), X, "gaussian")
    with torch.no_grad():
        model.offset.fill_(0.7)
    x = planted(model, near(0.0))
    assert not model.encode(x).any()
    assert not model.folded().encode(x).any()
    assert model.encode(planted(model, near(1e-4))).all()


def test_a_bit_at_zero_is_minus_one():
    model = made(LFQ(latents=3), X, "gaussian")
    assert (model.encode(planted(model, near(0.0))) == -1).all()
    assert (model.encode(planted(model, near(1e-4))) == 1).all()


def test_half_way_between_two_levels_is_the_upper():
    for half in (-2.5, -0.5, 0.5, 1.5):
        assert (level(near(half)) == half + 0.5).all()
    model = made(FSQ(latents=3, levels=(5,)), X, "gaussian")
    edge = torch.atanh(torch.tensor(0.5 / (2 * 0.999)))
    assert (model.encode(planted(model, near(edge))) == 0.5).all()
    assert (model.encode(planted(model, near(0.0))) == 0).all()


def test_an_activation_on_the_threshold_of_kl_stays():
    model = made(KL(latents=3, threshold=0.5), X, "gaussian")
    assert model.encode(planted(model, near(0.0))).all()


def test_a_code_half_way_between_two_entries_takes_the_first():
    model = made(VQ(latents=1, width=1, codes=4), X, "gaussian")
    model.books[0].entries.copy_(torch.tensor([[-1.0], [1.0], [5.0], [-5.0]]))
    x = planted(model, near(0.0))
    assert (model.encode(x) == -1).all()
    assert (model.tokens(x) == 0).all()
    torch.testing.assert_close(model.embed(model.tokens(x)), model.encode(x))


def test_a_pursuit_takes_the_first_of_entries_alike():
    entries = torch.nn.functional.normalize(torch.randn(1, 6, generator=torch.Generator().manual_seed(0)), dim=1)
    code, _ = pursue(X, entries.expand(5, 6) + 1e-7 * torch.rand(5, 6), 2)
    assert not code[:, 1:].any()


def test_a_component_with_two_largest_elements_has_the_sign_of_the_first():
    g = torch.Generator().manual_seed(0)
    for sign in (1.0, -1.0):
        along = torch.randn(200, 1, generator=g) @ (sign * torch.tensor([[1.0, -1.0, 0.5]]))
        model = made(PCA(latents=1), along + 1e-8 * torch.randn(200, 3, generator=g), "gaussian")
        assert model.components[0, 0] > 0


def test_of_units_silent_equally_long_the_first_are_helped():
    model = made(TopK(latents=8, k=1, k_aux=2, dead_after=10), X, "gaussian")
    model.idle.copy_(torch.tensor([0.0, 50, 50, 50, 60, 50, 0, 50]))
    assert model.longest().tolist() == [False, True, False, False, True, False, False, False]


def test_a_cut_stands_above_its_threshold_by_more_than_rounding():
    thresholds = torch.tensor([0.0, 0.1, 1.0, 30.0])
    assert ((cut(thresholds) - thresholds) > 2e-7 * (1 + thresholds)).all()
