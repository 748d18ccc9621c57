"""The modern sparse autoencoders: sae, panneal, gated, jumprelu, batchtopk, matryoshka, and what they share."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from isthmus.errors import BadInput
from isthmus.families.abstopk import AbsTopK
from isthmus.families.batchtopk import BatchTopK
from isthmus.families.crosscoder import Crosscoder
from isthmus.families.gated import Gated
from isthmus.families.jumprelu import HOLD, JumpReLU, jump, step
from isthmus.families.ksparse import KSparse
from isthmus.families.matching import Matching
from isthmus.families.matryoshka import Matryoshka
from isthmus.families.panneal import SMALL, PAnneal
from isthmus.families.sae import BEND, PRICE, SAE
from isthmus.families.topk import TopK
from isthmus.metrics.recovery import mean_correlation
from isthmus.model import Range
from isthmus.parts.penalties import crowding
from isthmus.testing import made, train
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

pytestmark = pytest.mark.sensitive

G = torch.Generator().manual_seed(0)
X = torch.randn(48, 8, generator=G)
ALL = [SAE, PAnneal, Gated, JumpReLU, BatchTopK, Matryoshka, Crosscoder]
FOLDS = {kind.family: kind() for kind in ALL} | {
    "sae unit": SAE(dictionary_norm="unit"),
    "gated weighted": Gated(dictionary_norm="weighted"),
    "jumprelu tanh": JumpReLU(loss="tanh", dictionary_norm="weighted"),
    "matryoshka row": Matryoshka(choice="row", k=3),
    "topk": TopK(k=3),
    "abstopk": AbsTopK(k=3),
    "crosscoder layers": Crosscoder(layers=2),
}


def shaken(recipe, dtype=torch.float64, head="gaussian"):
    """A model a few steps away from its start, all of whose parameters are moved."""
    model = made(recipe, X, head).to(dtype)
    train(model, X.to(dtype), steps=5, rate=0.02)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    return model


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", list(FOLDS))
def test_folded_is_the_inference_form(name, dtype, tolerance):
    model = shaken(FOLDS[name], dtype)
    x, folded = X.to(dtype), model.folded()
    norms = model.decoder.dictionary.norm(dim=0)
    torch.testing.assert_close(folded.encode(x), model.encode(x) * norms, rtol=0, atol=tolerance)
    torch.testing.assert_close(folded(x), model.reconstruct(x), rtol=0, atol=tolerance)
    torch.testing.assert_close(folded.dictionary.norm(dim=0), torch.ones_like(norms))
    assert folded.encode(x).any()
    assert not list(folded.parameters())


def test_folded_keeps_head_and_shape_and_refuses_depth():
    x = torch.rand(9, 2, 3, generator=G)
    model = made(SAE(latents=5), x, "bernoulli")
    torch.testing.assert_close(model.folded()(x), model.decode(model.encode(x)), rtol=0, atol=1e-6)
    with pytest.raises(BadInput, match="more layers"):
        made(SAE(latents=5, hidden=(4,)), x, "bernoulli").folded()


@pytest.mark.parametrize("kind", [*ALL, TopK])
def test_one_convolution_each_way_is_no_affine_map(kind):
    """Dead units help through it as through any deep decoder, and there is nothing to fold."""
    x = torch.randn(20, 4, 4, generator=torch.Generator().manual_seed(0))
    gated = {"k": 1} if "k" in kind().get_params() else {}
    model = made(kind(backbone="conv2d", hidden=(3,), latents=12, dead_after=1, **gated), x, "gaussian")
    model.idle.fill_(2.0)
    terms = model(x, x, model.draw(x, torch.Generator().manual_seed(0))).terms
    terms["auxiliary"].backward()
    assert float(terms["auxiliary"].detach()) > 0
    assert model.encoder.last.weight.grad.any()
    with pytest.raises(BadInput, match="only a linear encoder and decoder can be folded"):
        model.folded()


@pytest.mark.parametrize("kind", ALL)
def test_start_is_tied_centred_and_as_long_as_the_rows(kind):
    x = X + 3
    model = made(kind(latents=12), x, "gaussian")
    encoder, columns = model.encoder.last.weight, model.decoder.dictionary
    short = kind in (BatchTopK, Matryoshka)
    if short:
        assert (columns.norm(dim=0) - 1).abs().max() > 0.05
        torch.testing.assert_close(encoder, columns.t())
    else:
        torch.testing.assert_close(columns.norm(dim=0), torch.ones(12))
        torch.testing.assert_close(encoder / encoder.norm(dim=1, keepdim=True), columns.t())
    torch.testing.assert_close(model.pre, x.mean(0))
    back = model.decoder(model.train_gate(model.raw(x)))
    torch.testing.assert_close(back.mean(0), x.mean(0), rtol=1e-4, atol=1e-5)
    if kind is not JumpReLU and not short:  # its threshold does not scale
        ratio = (back - back.mean(0)).square().sum() / (x - x.mean(0)).square().sum()
        assert ratio.item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("kind", [BatchTopK, Matryoshka])
def test_a_deep_dictionary_starts_long(kind):
    """Short columns turn faster, which is measured of affine dictionaries alone."""
    model = made(kind(latents=12, hidden=(5,)), X, "gaussian")
    torch.testing.assert_close(model.decoder.dictionary.norm(dim=0), torch.ones(12))


def test_abstopk_is_a_hard_threshold_with_signs():
    """In numpy, row by row, in float64: loss, code and reconstruction."""
    model, x = shaken(AbsTopK(latents=12, k=3)), X.double()
    encoder, decoder = model.encoder.last, model.decoder
    raw = ((x - model.pre) @ encoder.weight.t() + encoder.bias).detach().numpy()
    want = np.zeros_like(raw)
    for row, code in zip(raw, want, strict=True):
        kept = np.argsort(-np.abs(row))[:3]
        code[kept] = row[kept]
    assert (want < 0).any()
    np.testing.assert_allclose(model.encode(x).detach().numpy(), want, atol=1e-12)
    back = want @ decoder.dictionary.detach().numpy().T + decoder.last_bias.detach().numpy()
    misfit = 0.5 * np.square(back - x.numpy()).mean()
    assert model(x, x).terms["reconstruction"].item() == pytest.approx(misfit, rel=1e-12)
    assert model(x, x).seen["fired"].tolist() == (want != 0).sum(0).tolist()


@pytest.mark.slow
def test_abstopk_finds_both_ends_of_a_direction_with_one_unit():
    """Rows are a few of twelve directions, times a number of either sign; topk would need twice as many units."""
    g = torch.Generator().manual_seed(0)
    atoms = functional.normalize(torch.randn(12, 24, generator=g), dim=1)
    chosen = torch.rand(800, 12, generator=g).argsort(1) < 2
    x = (chosen * torch.randn(800, 12, generator=g)) @ atoms
    left = {}
    for kind in (AbsTopK, TopK):
        model = made(kind(latents=12, k=2), x, "gaussian")
        train(model, x, steps=200, rate=0.02)
        left[kind] = (model.reconstruct(x) - x).square().mean().item()
    assert left[AbsTopK] < 0.5 * left[TopK]


def test_crosscoder_is_its_formula():
    """Layer by layer in numpy, float64."""
    x = X.reshape(48, 2, 4)
    model = made(Crosscoder(latents=7, strength=0.2), x, "gaussian").double()
    x = x.double()
    train(model, x, steps=5, rate=0.02)
    weight = model.encoder.last.weight.detach().numpy().reshape(7, 2, 4)
    entries = model.decoder.dictionary.detach().numpy().reshape(2, 4, 7)
    bias, pre = model.encoder.last.bias.detach().numpy(), model.pre.detach().numpy()
    offset = model.decoder.last_bias.detach().numpy().reshape(2, 4)
    z = np.maximum(0, sum((x.numpy()[:, i] - pre[i]) @ weight[:, i].T for i in range(2)) + bias)
    misfit = sum(0.5 * np.square(z @ entries[i].T + offset[i] - x.numpy()[:, i]).sum(1) for i in range(2)).mean() / 8
    price = (z * sum(np.linalg.norm(entries[i], axis=0) for i in range(2))).sum(1).mean() / 8
    terms = model(x, x).terms
    assert terms["reconstruction"].item() == pytest.approx(misfit, rel=1e-12)
    assert terms["sparsity"].item() == pytest.approx(price, rel=1e-12)
    assert model.weights["sparsity"] == 0.2
    np.testing.assert_allclose(model.norms().detach().numpy(), [np.linalg.norm(entries[i], axis=0) for i in range(2)])


def test_crosscoder_counts_layers_and_is_sae_where_there_is_one():
    flat = made(Crosscoder(latents=7, layers=2), X, "gaussian")
    deep = made(Crosscoder(latents=7), X.reshape(48, 2, 4), "gaussian")
    assert (flat.layers, deep.layers, made(Crosscoder(latents=7), X, "gaussian").layers) == (2, 2, 1)
    torch.testing.assert_close(flat.norms(), deep.norms())
    with pytest.raises(BadInput, match="crosscoder: layers must divide the 8 elements of a row; got 3"):
        Crosscoder(layers=3).build((8,), "gaussian")
    one, other = (made(r, X, "gaussian") for r in (Crosscoder(latents=7), SAE(latents=7)))
    train(one, X, steps=5, rate=0.01)
    train(other, X, steps=5, rate=0.01)
    torch.testing.assert_close(one.encode(X), other.encode(X))


def test_layers_are_told_apart_by_one_affine_map_only():
    deep = Crosscoder(latents=4, hidden=(8,))
    assert deep.build((2, 6), "gaussian").layers == 1
    with pytest.raises(BadInput, match="crosscoder: layers are told apart by one affine map"):
        deep.set_params(layers=2).build((2, 6), "gaussian")


def test_a_unit_of_one_layer_pays_less_than_one_of_two():
    """Of two units that write pieces of equal length, the one that writes into both layers pays root two times more."""
    model = made(Crosscoder(latents=2), X.reshape(48, 2, 4), "gaussian")
    with torch.no_grad():
        model.decoder.dictionary.zero_()
        model.decoder.dictionary[0, 0] = 1.0
        model.decoder.dictionary[[0, 4], 1] = 0.5**0.5
    assert model.norms().sum(0).tolist() == pytest.approx([1.0, 2**0.5])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [TopK, AbsTopK, BatchTopK, Matryoshka])
def test_entries_are_kept_apart(kind):
    """Rows of a few directions that are all alike: the term lowers the largest cosine that an entry has with others."""
    g = torch.Generator().manual_seed(1)
    atoms = functional.normalize(torch.randn(10, 12, generator=g) + 1.5, dim=1)
    x = ((torch.rand(300, 10, generator=g) < 0.3) * torch.rand(300, 10, generator=g)) @ atoms
    ends = {}
    for ortho in (0.0, 1.0):
        model = made(kind(latents=16, k=3, ortho=ortho), x, "gaussian")
        assert ("orthogonality" in model.weights) == ("orthogonality" in model(x, x).terms) == bool(ortho)
        train(model, x, steps=150, rate=0.01)
        ends[ortho] = crowding(model.decoder.dictionary, 99).item()
    assert ends[1.0] < 0.8 * ends[0.0]


def test_crowding_is_the_mean_of_largest_cosines_within_chunks():
    columns = torch.randn(5, 9, generator=G).double()
    cosines = functional.normalize(columns, dim=0).t() @ functional.normalize(columns, dim=0)
    for chunk, parts in ((9, 1), (5, 2), (3, 3), (2, 5)):
        most = []
        for j in range(9):
            others = [cosines[j, i].item() for i in range(j % parts, 9, parts) if i != j]
            most += [max(others)] if others else [0.0]
        assert crowding(columns, chunk).item() == pytest.approx(sum(most) / 9, rel=1e-12)


@pytest.mark.parametrize("norm", ["unit", "weighted"])
def test_sae_pays_for_what_it_writes(norm):
    model = shaken(SAE(latents=12, dictionary_norm=norm))
    z, x = model.encode(X.double()), X.double()
    price = torch.ones(12).double() if norm == "unit" else model.decoder.dictionary.norm(dim=0)
    torch.testing.assert_close(model(x, x).terms["sparsity"], (z @ price).mean() / 8)
    model.project()
    held = torch.allclose(model.decoder.dictionary.norm(dim=0), torch.ones(12).double())
    assert held == (norm == "unit")


def test_panneal_ends_at_p_end_and_keeps_the_penalty():
    model = made(PAnneal(latents=12, p_end=0.3, anneal=0.5), X, "gaussian").double()
    x = X.double()
    seen = []
    for i in range(15):
        model.clock.fill_(i / 20)
        seen.append(model(x, x).terms["sparsity"].item())
        model.absorb(model(x, x).seen)
        assert model.p.item() == pytest.approx(max(0.3, 1 - 0.07 * i), abs=1e-6)
    assert model.p.item() == pytest.approx(0.3, abs=1e-7)
    assert seen == pytest.approx([seen[0]] * 15)  # same codes: the coefficient makes up for p
    assert model.settles == 0.5
    sized = model.encode(x) * model.decoder.dictionary.norm(dim=0)
    now = ((sized + SMALL) ** model.p - SMALL**model.p).sum(1).mean()
    torch.testing.assert_close(model.coefficient, sized.sum(1).mean() / now)


def test_panneal_with_p_one_is_sae():
    one, other = (made(r, X, "gaussian") for r in (PAnneal(p_end=1.0), SAE()))
    train(one, X, steps=5, rate=0.01)
    train(other, X, steps=5, rate=0.01)
    torch.testing.assert_close(one.encode(X), other.encode(X), rtol=1e-4, atol=1e-6)


def test_gated_is_sae_where_its_paths_agree():
    one, other = (made(r, X, "gaussian") for r in (Gated(), SAE(dictionary_norm="unit")))
    torch.testing.assert_close(one.encode(X), other.encode(X))


def test_gated_closed_form():
    model, x = shaken(Gated(latents=5)), X.double()
    h = (x - model.pre) @ model.encoder.last.weight.t()
    opened = h + model.encoder.last.bias
    z = (opened > 0) * (model.stretch.exp() * h + model.offset).clamp(min=0)
    torch.testing.assert_close(model.encode(x), z)
    terms = model(x, x).terms
    alone = opened.clamp(min=0) @ model.decoder.dictionary.t() + model.decoder.last_bias
    torch.testing.assert_close(terms["gate_reconstruction"], 0.5 * (alone - x).square().mean())
    torch.testing.assert_close(terms["sparsity"], opened.clamp(min=0).sum(1).mean() / 8)


def test_gated_own_reconstruction_reaches_no_decoder():
    model = shaken(Gated(latents=5))
    named = dict(model.named_parameters())
    grads = torch.autograd.grad(
        model(X.double(), X.double()).terms["gate_reconstruction"], list(named.values()), allow_unused=True
    )
    reached = {name for name, grad in zip(named, grads, strict=True) if grad is not None and grad.any()}
    assert reached == {"pre", "encoder.layers.0.weight", "encoder.layers.0.bias"}


@pytest.mark.parametrize("width", [0.1, 0.5])
def test_jumprelu_gradient_of_a_threshold_is_the_integral_over_its_window(width):
    """With raw codes spread evenly, the smoothed derivative of the mean is a finite difference over the window."""
    raw = torch.linspace(0, 2, 200_001).double().unsqueeze(1)
    for t in (0.6, 1.1):
        threshold = torch.tensor([t], dtype=torch.float64, requires_grad=True)
        bandwidth = torch.tensor(width, dtype=torch.float64)
        got = torch.autograd.grad(step(raw, threshold, bandwidth).mean(), threshold)[0].item()
        low, high = ((raw > t + d).double().mean().item() for d in (-width / 2, width / 2))
        assert got == pytest.approx((high - low) / width, rel=1e-4)
        got = torch.autograd.grad(jump(raw, threshold, bandwidth).square().mean(), threshold)[0].item()
        inside = ((raw - t).abs() < width / 2) & (raw > t)  # z^2 has slope 2 z, which is 0 below the threshold
        assert got == pytest.approx(-(t / width) * (2 * raw * inside).mean().item(), rel=5e-4)  # one is on it


def test_jumprelu_pseudo_derivatives_entry_by_entry():
    raw = torch.tensor([[0.1, 0.45, 0.55, 0.9, -1.0]], dtype=torch.float64, requires_grad=True)
    threshold = torch.full((5,), 0.5, dtype=torch.float64, requires_grad=True)
    width = torch.tensor(0.2, dtype=torch.float64)
    z = jump(raw, threshold, width)
    assert z.tolist() == [[0, 0, 0.55, 0.9, 0]]
    up = torch.arange(1.0, 6.0).double()
    to_raw, to_threshold = torch.autograd.grad((up * z).sum(), (raw, threshold))
    assert to_raw.tolist() == [[0, 0, 3, 4, 0]]
    assert to_threshold.tolist() == pytest.approx([0, -2 * 0.5 / 0.2, -3 * 0.5 / 0.2, 0, 0])
    counted = step(raw, threshold, width)
    assert counted.tolist() == [[0, 0, 1, 1, 0]]
    (to_threshold,) = torch.autograd.grad((up * counted).sum(), threshold)
    assert to_threshold.tolist() == pytest.approx([0, -2 / 0.2, -3 / 0.2, 0, 0])


def test_jumprelu_terms():
    x = X.double()
    model = shaken(JumpReLU(latents=12))
    t, raw = model.log_threshold.exp(), model.raw(x)
    fires = raw > t
    terms = model(x, x).terms
    torch.testing.assert_close(terms["sparsity"], fires.double().sum(1).mean() / 8)
    torch.testing.assert_close(terms["pull"], (t - raw).clamp(min=0).sum(1).mean() / 8)
    torch.testing.assert_close(model.encode(x), torch.where(fires, raw, 0.0))
    model = shaken(JumpReLU(latents=12, loss="tanh", steepness=2.0, dictionary_norm="weighted"))
    length = model.encode(x) * model.decoder.dictionary.norm(dim=0)
    torch.testing.assert_close(model(x, x).terms["sparsity"], torch.tanh(2 * length).sum(1).mean() / 8)


def test_jumprelu_starts_at_its_target_and_is_pulled_towards_it_from_either_side():
    x = torch.randn(400, 8, generator=torch.Generator().manual_seed(3))
    model = made(JumpReLU(latents=64, target=5.0), x, "gaussian")
    assert (model.encode(x) > 0).sum(1).double().mean().item() == pytest.approx(5, abs=0.05)
    for factor, side in ((0.5, 1), (2.0, -1)):
        moved = made(JumpReLU(latents=64, target=5.0), x, "gaussian").double()
        with torch.no_grad():
            moved.log_threshold.add_(torch.tensor(factor).log())
        fires = (moved.encode(x.double()) > 0).sum(1).double().mean()
        term = moved(x.double(), x.double()).terms["sparsity"]
        torch.testing.assert_close(term, HOLD * (fires - 5).square() / 5 / 8)
        (slope,) = torch.autograd.grad(term, moved.log_threshold)
        assert (slope.sum() * side).item() < 0  # too many fire: descent raises thresholds


@pytest.mark.slow
def test_jumprelu_with_a_lower_target_fires_fewer_units():
    x = torch.randn(600, 24, generator=torch.Generator().manual_seed(4))
    fires = {}
    for target in (0.0, 4.0, 12.0):
        model = made(JumpReLU(latents=256, target=target, strength=0.1), x, "gaussian")
        train(model, x, steps=200, rate=5e-3)
        fires[target] = (model.encode(x) > 0).sum(1).double().mean().item()
    assert fires[4.0] < 0.8 * fires[12.0] < 0.6 * fires[0.0]


@pytest.mark.parametrize("kind", [SAE, Gated, PAnneal, Crosscoder])
def test_with_a_target_the_penalty_follows_the_length_of_a_piece_and_how_many_fire(kind):
    x = X.double()
    free, terms = shaken(kind(latents=12, target=0.0)), {}
    for target in (0.0, 0.5, 5.0, 11.9):
        model = made(kind(latents=12, target=target), X, "gaussian").double()
        model.load_state_dict(free.state_dict())
        terms[target] = model(x, x).terms["sparsity"]
    raw = free.raw(x)
    fires = (raw > 0).sum(1).double().mean()
    assert 5 / BEND < fires < 5 * BEND
    assert fires > 0.5 * BEND
    for target, share in ((0.5, BEND), (5.0, fires / 5), (11.9, max(fires / 11.9, 1 / BEND))):
        torch.testing.assert_close(terms[target], terms[0.0] * PRICE * (8 / target) ** 0.5 * share)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SAE, Gated, PAnneal])
@pytest.mark.parametrize(("columns", "units"), [(64, 256), (128, 512)])
def test_untuned_as_many_units_fire_as_are_aimed_at_and_stand_for_the_atoms(kind, columns, units):
    """Rows of 4 of half as many atoms as units; without a target, far more units fire and the atoms are not found."""
    draw = np.random.default_rng(units)
    atoms = draw.normal(size=(units // 2, columns))
    present = draw.random((3000, units // 2)) < 8 / units
    x = (present * np.abs(1 + 0.3 * draw.normal(size=present.shape)) @ atoms).astype(np.float32)
    fires, found = {}, {}
    for target in (None, 0.0):
        fitted = fit(kind(latents=units, target=target), x, plan=Plan(steps=400))
        fires[target] = float((fitted.encode(x[:500]) != 0).sum(1).mean())
        entries = fitted.model.decoder.dictionary.detach().numpy().T * np.ravel(fitted.layout.scale)
        found[target] = mean_correlation(entries, atoms)
    aim = units / 32
    assert aim / 2 < fires[None] < 2 * aim < fires[0.0] / 2
    assert found[None] > 0.8
    assert found[0.0] < 0.6


@pytest.mark.parametrize("kind", [SAE, Gated, PAnneal, Crosscoder])
def test_wide_codes_aim_at_one_in_32(kind):
    assert [kind(latents=n).aim for n in (128, 256, 1024)] == [0.0, 8.0, 32.0]
    assert [kind(latents=1024, target=target).aim for target in (0.0, 7.0)] == [0.0, 7.0]


def test_jumprelu_aims_at_one_in_32_of_a_wide_code():
    narrow, wide = JumpReLU(latents=128), JumpReLU(latents=1024)
    assert (narrow.aim, wide.aim) == (0.0, 32.0)
    assert JumpReLU(latents=1024, target=0.0).aim == JumpReLU(latents=1024, loss="tanh").aim == 0.0
    assert JumpReLU(latents=1024, target=7.0).aim == 7.0
    assert "threshold" in wide.idle()
    assert "threshold" not in narrow.idle()


@pytest.mark.slow
@pytest.mark.parametrize("latents", [256, 1024])
def test_jumprelu_fires_about_as_many_units_as_topk_by_its_defaults(latents):
    """Without a target 1,024 units fire by the hundred, whatever the strength."""
    g = torch.Generator().manual_seed(5)
    atoms = functional.normalize(torch.randn(96, 32, generator=g), dim=1)
    x = (torch.rand(600, 96, generator=g) < 4 / 96).float() @ atoms
    model = made(JumpReLU(latents=latents), x, "gaussian")
    train(model, x, steps=150, rate=5e-3)
    fires = (model.encode(x) > 0).sum(1).double().mean().item()
    assert 0.4 < fires / TopK(latents=latents).passing < 2


def test_the_number_that_passes_follows_the_width_where_nobody_sets_it():
    for latents, k in ((6, 3), (32, 4), (160, 5), (4096, 128)):
        assert TopK(latents=latents).passing == BatchTopK(latents=latents).passing == k
    assert TopK(latents=4096, k=9).passing == 9
    x = torch.randn(40, 12, generator=G)
    fired = (made(TopK(latents=640), x, "gaussian").encode(x) > 0).sum(1)
    assert 4 < fired.max() <= 20
    assert TopK(latents=32).space()["k"] == Range(1, 16, whole=True)
    wide = [family(latents=4096).space()["k"] for family in (TopK, Matryoshka, KSparse, Matching)]
    assert wide == [Range(16, 256, log=True, whole=True)] * 4


@pytest.mark.parametrize("k", [1, 3])
def test_batchtopk_passes_k_a_row_on_average(k):
    model = shaken(BatchTopK(latents=12, k=k))
    raw = model.raw(X.double())
    z = model.train_gate(raw)
    assert (z > 0).sum() == k * len(X)
    assert (z > 0).sum(1).unique().numel() > 1
    torch.testing.assert_close(z[z > 0].min(), raw.flatten().sort().values[-k * len(X)])
    torch.testing.assert_close(z[z > 0], raw[z > 0])


def test_batchtopk_of_one_row_is_topk():
    model, x = made(BatchTopK(latents=12, k=3), X, "gaussian"), X[:1]
    raw = model.raw(x)
    want = torch.zeros(12).scatter(0, raw[0].topk(3).indices, raw[0].topk(3).values.clamp(min=0))
    assert torch.equal(model.train_gate(raw)[0], want)


def test_batchtopk_threshold_reaches_the_training_form():
    model = made(BatchTopK(latents=12, k=3, decay=0.5), X, "gaussian").double()
    x = X.double()
    model.threshold.fill_(7.0)
    for _ in range(80):
        model.absorb(model(x, x).seen)
    z = model.train_gate(model.raw(x))
    ordered = model.raw(x).flatten().sort(descending=True).values
    torch.testing.assert_close(model.threshold, (ordered[3 * 48 - 1] + ordered[3 * 48]) / 2)
    torch.testing.assert_close(model.encode(x), z)
    torch.testing.assert_close(model.encode(x[:1]), z[:1])
    assert "threshold" in model.state_dict()


def test_batchtopk_average_forgets_its_start_and_then_by_its_decay():
    model = made(BatchTopK(latents=12, k=3, decay=0.9), X, "gaussian").double()
    seen = model(X.double(), X.double()).seen
    model.threshold.fill_(7.0)
    model.absorb(seen | {"border": torch.tensor(1.0)})
    assert model.threshold.item() == 1.0
    model.age.fill_(1e4)
    model.absorb(seen | {"border": torch.tensor(2.0)})
    assert model.threshold.item() == pytest.approx(1.1)


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_batchtopk_border_lies_on_no_code(copies):
    """Also where rows stand in the data several times, and the last place falls among the copies."""
    x = X.repeat(copies, 1)
    model = made(BatchTopK(latents=12, k=2), x, "gaussian")
    raw = model.raw(x)
    gap = (raw - model.threshold).abs().min()
    assert gap > 1e-5
    passed = (raw > model.threshold).sum().item()
    assert 2 * len(x) <= passed < 2 * len(x) + copies
    alone = torch.cat([model.encode(row.unsqueeze(0)) for row in x])
    torch.testing.assert_close(alone, model.encode(x))


def test_batchtopk_threshold_starts_on_training_rows_and_survives_silence():
    model = made(BatchTopK(latents=12, k=2), X, "gaussian")
    assert (model.encode(X) > 0).sum().item() == 2 * len(X)
    with torch.no_grad():
        model.encoder.last.bias.fill_(-100.0)
    assert model(X, X).seen["border"].item() == 0


def test_matryoshka_prefixes():
    assert Matryoshka(latents=64).widths == (4, 8, 16, 32)
    assert Matryoshka(latents=3, k=1).widths == (1,)
    assert Matryoshka(latents=1, k=1).widths == ()
    for wrong in ((3, 3), (5, 2), (16,), (0,)):
        with pytest.raises(BadInput, match=r"prefixes must be (growing|whole numbers of at least 1)"):
            Matryoshka(latents=16, prefixes=wrong).build((8,), "gaussian")


@pytest.mark.parametrize("choice", ["batch", "row"])
def test_matryoshka_terms_are_those_of_its_prefixes(choice):
    x = X.double()
    model = shaken(Matryoshka(latents=12, prefixes=(2, 5), choice=choice))
    z = model.train_gate(model.raw(x))
    want = 0.0
    for m in (2, 5):
        back = z[:, :m] @ model.decoder.dictionary[:, :m].t() + model.decoder.last_bias
        want += 0.5 * (back - x).square().mean()
    terms = model(x, x).terms
    torch.testing.assert_close(terms["nested"], want)
    torch.testing.assert_close(terms["reconstruction"], 0.5 * (model.decoder(z) - x).square().mean())
    used = (z > 0).sum(1)
    assert (used.max() <= 4) if choice == "row" else (used.sum() == 4 * len(x))


def test_the_auxiliary_term_is_a_reconstruction_by_the_largest_dead_units():
    model = shaken(SAE(latents=6, k_aux=2, dead_after=10))
    x = X.double()
    assert model(x, x).terms["auxiliary"].item() == 0
    model.idle.copy_(torch.tensor([0.0, 11.0, 11.0, 10.0, 0.0, 12.0]))
    with torch.no_grad():
        model.encoder.last.bias[5] = -9.0
    assert model.dead().tolist() == [False, True, True, False, False, True]
    raw = model.raw(x).detach()
    want = torch.relu(raw)
    assert [int((raw[:, j] > 0).sum()) > 0 for j in (1, 2, 5)] == [True, True, False]
    for i, values in enumerate(raw):
        for j in sorted((1, 2, 5), key=lambda j: -values[j])[:2]:
            want[i, j] += values[j] if j == 5 else max(values[j], 0.0)  # negative in every row: not rectified
    torch.testing.assert_close(model(x, x).terms["auxiliary"], 0.5 * (model.decoder(want) - x).square().mean())


@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("kind", [SAE, BatchTopK, TopK])
def test_the_auxiliary_term_moves_dead_units_alone(kind, hidden):
    model = made(kind(latents=6, k_aux=2, dead_after=10, hidden=hidden), X, "gaussian").double()
    x = X.double()
    model.idle.copy_(torch.tensor([0.0, 11.0, 0.0, 0.0, 0.0, 12.0]))
    wanted = model.encoder.last.weight, model.encoder.last.bias, model.decoder.dictionary, model.decoder.last_bias
    reads, shifts, writes, offset = torch.autograd.grad(
        model(x, x).terms["auxiliary"], wanted, allow_unused=True, materialize_grads=True
    )
    for gradient in (reads, shifts, writes.t()) if not hidden else (reads, shifts):  # hidden layers are shared by all
        assert gradient[[0, 2, 3, 4]].abs().max() < 1e-12
        assert gradient[[1, 5]].any()
    assert offset.abs().max() < 1e-12


def test_tuning_tries_higher_strengths_on_wide_codes_without_a_target_and_fewer_with_one():
    for kind in (SAE, Gated):
        narrow, wide, aiming = (
            kind(latents=n, target=target).space()["strength"] for n, target in ((255, None), (256, 0.0), (256, None))
        )
        assert (wide.low, wide.high) == pytest.approx((10 * narrow.low, 10 * narrow.high))
        assert aiming == kind(latents=16, target=3.0).space()["strength"]
        assert (aiming.low, aiming.high) == pytest.approx((kind().strength / 10**0.5, kind().strength * 10**0.5))
        assert kind(latents=255).space().keys() == kind(latents=256).space().keys()
    usual = JumpReLU(latents=255).space()["strength"]
    assert JumpReLU(latents=256).space()["strength"] == usual  # it has a target
    assert JumpReLU(latents=256, target=0.0).space()["strength"].high == pytest.approx(10 * usual.high)


def test_the_clock_counts_rows():
    model = made(SAE(latents=4), X, "gaussian")
    model.absorb({"fired": torch.tensor([0.0, 2.0, 0.0, 1.0]), "rows": torch.tensor(48.0)})
    model.absorb({"fired": torch.tensor([0.0, 0.0, 5.0, 1.0]), "rows": torch.tensor(48.0)})
    assert model.idle.tolist() == [96, 48, 0, 0]
