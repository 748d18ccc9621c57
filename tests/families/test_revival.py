"""Dead units come back in the dictionaries that have no common ancestor with sae: one mechanism, seen from outside."""

import numpy as np
import pytest
import torch

from isthmus.families import named
from isthmus.parts.dictionary import Reviving
from isthmus.testing import made, rows

X = rows((6,), 64, seed=4).double()
Y = (X @ torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).double()
NAMES = ["matching", "archetypal", "transcoder"]


def dictionary(name, dead=(1, 5), **fields):
    """A model of 12 units, of which some have been silent for longer than they may be."""
    one = named(name).set_params(**{"latents": 12, "k": 2, "dead_after": 10, **fields})
    target = Y if name == "transcoder" else X
    model = made(one, X, "gaussian").double() if name != "transcoder" else one.build((6,), "gaussian", (5,)).double()
    if name == "transcoder":
        model.start(X, Y)
    with torch.no_grad():
        for unit in dead:  # a unit that no row chooses
            if name == "matching":
                away = torch.eye(6, dtype=torch.float64)[unit % 6] - 3 * X.mean(0)
                model.entries[unit] = away / away.norm()
            else:
                last = getattr(model.encoder, "last", model.encoder)
                last.bias[unit] = -2.0
        model.idle[list(dead)] = 11.0
    return model, target


def entries(model):
    """What the units write: the tensor whose row or column belongs to one of them."""
    if hasattr(model, "entries") and "entries" in dict(model.named_parameters()):
        return model.entries
    return model.drift if hasattr(model, "drift") else model.decoder.layers[0].weight


@pytest.mark.parametrize("name", NAMES)
def test_the_term_moves_dead_units_alone(name):
    model, target = dictionary(name)
    assert isinstance(model, Reviving)
    assert model.weights["auxiliary"] == named(name).aux > 0
    loss = model(X, target)
    wanted = entries(model)
    gradient = torch.autograd.grad(loss.terms["auxiliary"], wanted, retain_graph=True)[0]
    each = gradient.abs().sum(0 if name == "transcoder" else 1)
    assert each[[1, 5]].min() > 0 if name != "matching" else each[[1, 5]].max() > 0
    assert each[[i for i in range(12) if i not in (1, 5)]].max() < 1e-12
    model.idle.zero_()
    assert model(X, target).terms["auxiliary"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_clock_follows_what_fires(name):
    model, target = dictionary(name, dead=())
    seen = model(X, target).seen
    codes = model.encode(X)
    assert torch.equal(seen["fired"], (codes > 0).sum(0).to(codes.dtype))
    model.absorb(seen)
    assert torch.equal(model.idle, torch.where((codes > 0).any(0), 0.0, 64.0).to(model.idle.dtype))


@pytest.mark.parametrize("name", NAMES)
def test_how_many_help_is_said(name):
    one, two = (dictionary(name, dead=(1, 3, 5), k_aux=k) for k in (1, 3))
    two[0].load_state_dict(one[0].state_dict())
    assert one[0](X, one[1]).terms["auxiliary"] != two[0](X, two[1]).terms["auxiliary"]
    assert (one[0].k_aux, two[0].k_aux) == (1, 3)
    usual = {"matching": 1, "archetypal": 3, "transcoder": 3}
    assert dictionary(name)[0].k_aux == usual[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["archetypal", "transcoder"])
def test_units_come_back(name):
    alive = []
    for aux in (0.0, 1.0):
        model, target = dictionary(name, dead=tuple(range(4)), aux=aux, k=4)
        descent = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(300):
            descent.zero_grad()
            loss = model(X, target)
            sum(weight * loss.terms[term] for term, weight in model.weights.items()).backward()
            descent.step()
            model.project()
            model.absorb(loss.seen)
        alive.append(int((model.encode(X)[:, :4] > 0).any(0).sum()))
    assert alive[0] == 0
    assert alive[1] >= 2


def test_a_pursuit_of_dead_entries_goes_on_with_what_is_left():
    model, _ = dictionary("matching", dead=(2,))
    with torch.no_grad():
        model.entries[2] = torch.nn.functional.normalize(torch.ones(6, dtype=torch.float64), dim=0)
        model.pre.zero_()
    code = model.encode(X)
    left = (X - code @ model.entries).detach().numpy()
    added = np.maximum(left @ model.entries[2].detach().numpy(), 0)[:, None] * model.entries[2].detach().numpy()
    wanted = np.square(left - added).mean() / 2
    assert float(model(X, X).terms["auxiliary"].detach()) == pytest.approx(wanted, rel=1e-9)
