"""Every family with every network: it trains, or says in one line why it cannot."""

import math

import pytest
import torch
from torch import nn

from isthmus.errors import BadInput
from isthmus.families import FAMILIES, named
from isthmus.registry import OWN, register_backbone
from isthmus.study.capacity import match
from isthmus.testing import rows
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

NETWORKS = {"linear": (), "conv1d": (4,), "conv2d": (4, 6), "vit": (8,), "mine": ()}
NEEDS_A_DICTIONARY = {"l1", "batchtopk", "matryoshka", "sae", "panneal", "gated", "jumprelu", "crosscoder"}
X = rows((6, 5), 60)


@pytest.fixture
def mine():
    register_backbone(
        "mine",
        lambda shape, outputs: nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs)),
        lambda latents, shape: nn.Sequential(nn.Linear(latents, math.prod(shape)), nn.Unflatten(1, shape)),
    )
    yield
    del OWN["mine"]


@pytest.mark.slow
@pytest.mark.parametrize("network", list(NETWORKS))
@pytest.mark.parametrize("name", [n for n, recipe in FAMILIES.items() if not recipe.wants])
def test_trains_or_refuses(name, network, mine):
    recipe = match(name, named(name), 4, NETWORKS[network], network)
    if network == "mine" and name in NEEDS_A_DICTIONARY:
        with pytest.raises(BadInput, match=r"a registered .* this family needs") as refused:
            recipe.build((6, 5), "gaussian")
        assert "\n" not in str(refused.value)
        return
    if name == "svdd":
        with pytest.raises(BadInput, match="its encoder has hidden layers and no biases: backbone must be mlp"):
            recipe.build((6, 5), "gaussian")
        return
    fitted = fit(recipe, X.numpy(), images=False, plan=Plan(steps=20, batch=16, check=20))
    assert fitted.outcome.status in {"cut", "converged", "closed form"}
    assert all(math.isfinite(v) for v in fitted.outcome.history["valid"])
    back = torch.from_numpy(fitted.reconstruct(X.numpy()))
    assert back.shape == X.shape
    assert back.isfinite().all()


@pytest.mark.parametrize("field", [{"norm": "layer"}, {"residual": True}, {"activation": "elu"}, {"backbone": "mlp"}])
def test_principal_components_take_none(field):
    with pytest.raises(BadInput, match=f"pca: {next(iter(field))} has no meaning"):
        named("pca").set_params(**field).build((4,), "gaussian")


@pytest.mark.parametrize("head", ["huber", "student", "bernoulli"])
def test_principal_components_are_gaussian(head):
    with pytest.raises(BadInput, match="head must be gaussian"):
        named("pca").set_params(head=head).build((4,), "gaussian")
