"""The modern sparse autoencoders, trained: what a training does, with room to spare whatever the last bits are."""

import pytest
import torch
from sklearn.datasets import load_digits

from isthmus.families.batchtopk import BatchTopK
from isthmus.families.gated import Gated
from isthmus.families.jumprelu import JumpReLU
from isthmus.families.matryoshka import Matryoshka, prefix
from isthmus.families.panneal import PAnneal
from isthmus.families.sae import SAE
from isthmus.families.topk import TopK
from isthmus.testing import made, train
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

pytestmark = pytest.mark.slow

X = torch.randn(48, 8, generator=torch.Generator().manual_seed(0))
ALL = [SAE, PAnneal, Gated, JumpReLU, BatchTopK, Matryoshka]


def test_l1_shrinks_by_its_strength():
    """One unit, one column: the best code for x is x - strength (soft threshold), for penalty strength * z."""
    x = torch.full((4, 1), 3.0)
    model = made(SAE(latents=1, strength=0.5, dictionary_norm="unit"), x, "gaussian")
    with torch.no_grad():
        model.decoder.dictionary.fill_(1.0)
        model.decoder.last_bias.zero_()
        model.encoder.last.weight.zero_()
    for p in (model.pre, model.encoder.last.weight, model.decoder.dictionary, model.decoder.last_bias):
        p.requires_grad_(False)
    with torch.no_grad():
        model.encoder.last.bias.fill_(1.0)
    train(model, x, steps=600, rate=0.02)
    assert model.encode(x)[0].item() == pytest.approx(2.5, abs=0.01)


def test_jumprelu_strength_raises_thresholds():
    ends = []
    for strength in (0.0, 0.3):
        model = made(JumpReLU(latents=12, strength=strength), X, "gaussian")
        train(model, X, steps=200, rate=0.02)
        ends.append((model.encode(X) > 0).float().sum(1).mean().item())
    assert ends[1] < 0.7 * ends[0]


@pytest.mark.parametrize("steps", [50, 100, 400])
@pytest.mark.parametrize("kind", [BatchTopK, Matryoshka])
def test_what_ships_uses_k_units_a_row_however_short_the_training(kind, steps):
    x = load_digits().data
    used = [(fit(kind(latents=32, k=8), x, plan=Plan(steps=steps), seed=s).encode(x) > 0).sum(1).mean() for s in (0, 1)]
    assert sum(used) / 2 == pytest.approx(8, rel=0.1)


def test_matryoshka_first_units_do_alone():
    errors = []
    for nested in (0.0, 1.0):
        model = made(Matryoshka(latents=16, k=4, prefixes=(4,), nested=nested), X, "gaussian")
        train(model, X, steps=300, rate=0.02)
        errors.append((model.decode(prefix(model.encode(X), 4)) - X).square().mean().item())
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("kind", ALL)
def test_dead_units_come_back_with_the_auxiliary_term_only(kind):
    alive = []
    for aux in (0.0, 0.5):
        fields = {"latents": 8, "dead_after": 64, "aux": aux}
        fields |= {"k": 3} if issubclass(kind, TopK) else {"strength": 0.001}
        fields |= {"pull": 0.0} if kind is JumpReLU else {}
        model = made(kind(**fields), X, "gaussian")
        with torch.no_grad():
            model.encoder.last.bias[:4].sub_(4.0)

        def back(model=model):
            return (model.encode(X)[:, :4] > 0).any(0).sum().item()

        assert back() == 0
        train(model, X, steps=500, rate=0.02, enough=lambda: back() >= 3)  # called before the next model
        alive.append(back())
    assert alive[0] <= (kind is JumpReLU)  # a threshold learns in a window around it, and may reach a unit by chance
    assert alive[1] >= 3


def planted(rows=400, columns=16, atoms=24, active=2):
    """Sparse sums of unit atoms with positive weights, and the atoms (columns, atoms)."""
    generator = torch.Generator().manual_seed(3)
    dictionary = torch.randn(columns, atoms, generator=generator)
    dictionary /= dictionary.norm(dim=0)
    chosen = torch.rand(rows, atoms, generator=generator).topk(active, dim=1).indices
    weights = 0.5 + torch.rand(rows, active, generator=generator)
    return torch.zeros(rows, atoms).scatter(1, chosen, weights) @ dictionary.t(), dictionary


def likeness(model, atoms):
    """The mean over atoms of the best cosine with a column of the dictionary."""
    columns = model.decoder.dictionary.detach()
    return (atoms.t() @ (columns / columns.norm(dim=0))).amax(1).mean().item()


TUNED = {
    "sae": SAE(strength=0.1),
    "panneal": PAnneal(strength=0.1, anneal=0.6),
    "gated": Gated(strength=0.3),
    "jumprelu": JumpReLU(strength=0.05),
    "jumprelu tanh": JumpReLU(strength=0.1, loss="tanh"),
    "batchtopk": BatchTopK(k=2),
    "matryoshka": Matryoshka(k=2, prefixes=(24,)),
}


@pytest.mark.parametrize("name", list(TUNED))
def test_planted_dictionary_is_found(name):
    """Over two starts, training closes four fifths of what its first columns lack in likeness to the atoms."""
    x, atoms = planted()
    lacks = []
    for seed in (0, 1):
        model = made(TUNED[name].set_params(latents=32, dead_after=800), x, "gaussian", seed)
        before = likeness(model, atoms)
        train(model, x, steps=300, rate=0.02)
        lacks.append((1 - before, 1 - likeness(model, atoms)))
        fired = (model.encode(x) > 0).float().sum(1).mean().item()
        assert 1 < fired < 5
    at_first, at_last = map(sum, zip(*lacks, strict=True))
    assert at_last < at_first / 5
