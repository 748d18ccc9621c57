"""A user's networks: what is checked, what is refused, and that they train, stack with nobody and come back."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import isthmus
from isthmus.errors import BadInput
from isthmus.families.l1 import L1
from isthmus.families.plain import Plain
from isthmus.families.vae import VAE
from isthmus.registry import OWN
from isthmus.testing import CHECKS, check_fields, check_overfits, rows
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

PLAN = Plan(steps=30, batch=16, check=30)


def flat(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 7), nn.Tanh(), nn.Linear(7, outputs))


def grown(latents, shape):
    return nn.Sequential(nn.Linear(latents, math.prod(shape)), nn.Unflatten(1, shape))


@pytest.fixture
def register():
    """Registers under the name ``mine`` and forgets it afterwards."""
    yield lambda encoder=flat, decoder=grown: isthmus.register_backbone("mine", encoder, decoder)
    OWN.pop("mine", None)


@pytest.mark.slow
def test_contract(register):
    register()
    for check in CHECKS:
        if check not in (check_fields, check_overfits):
            check(Plain(latents=3, backbone="mine"), (2, 3))
            check(VAE(latents=2, backbone="mine"), (2, 3), "gaussian")
    check_overfits(Plain(latents=3, backbone="mine"), (2, 3))


def test_what_it_computes_is_the_module_and_a_bias(register):
    register()
    model = Plain(latents=3, backbone="mine").build((2, 3), "gaussian")
    x = rows((2, 3))
    torch.testing.assert_close(model.encoder(x), model.encoder.module(x))
    model.start(x)
    torch.testing.assert_close(model.encode(x).mean(0), torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(model.decode(model.encode(x)).mean(0), x.mean(0))


class Returns(nn.Module):
    """Gives what a function makes of rows (B, 6)."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        return self.function(self, x.flatten(1))


def counting(module, x):
    module.count += 1
    return x[:, :2]


def taking(function):
    return lambda shape, outputs: Returns(function)


BAD = {
    r"must give shape \(3, 2\) for 3 rows; got \(3, 4\)": lambda shape, outputs: flat(shape, 4),
    r"must be a torch.nn.Module; the factory gave function": lambda shape, outputs: lambda x: x,
    "holds BatchNorm1d": lambda shape, outputs: nn.Sequential(flat(shape, 2), nn.BatchNorm1d(2)),
    "holds Dropout": lambda shape, outputs: nn.Sequential(nn.Dropout(0.1), flat(shape, 2)),
    "must give a tensor of real numbers; got torch.int64": taking(lambda m, x: x[:, :2].long()),
    "must give a tensor of real numbers; got tuple": taking(lambda m, x: (x, x)),
    "another result the second time": taking(lambda m, x: x[:, :2] + torch.rand(())),
    "changes its own tensors": taking(counting),
    "rows of a batch see each other": taking(lambda m, x: x[:, :2] - x[:, :2].mean(0)),
    r"failed on rows of shape \(2, 3\)": lambda shape, outputs: nn.Linear(5, 2),
    "the factory failed: no such thing": lambda shape, outputs: (_ for _ in ()).throw(ValueError("no such thing")),
}


@pytest.mark.parametrize("message", list(BAD))
def test_refused_at_build(register, message):
    register(encoder=BAD[message])
    with pytest.raises(BadInput, match=f"backbone 'mine': encoder.*{message}") as caught:
        Plain(latents=2, backbone="mine").build((2, 3), "gaussian")
    assert "\n" not in str(caught.value)


def test_a_decoder_is_checked_too(register):
    register(decoder=lambda latents, shape: nn.Linear(latents, math.prod(shape)))
    with pytest.raises(BadInput, match=r"backbone 'mine': decoder must give shape \(3, 2, 3\)"):
        Plain(latents=2, backbone="mine").build((2, 3), "gaussian")


@pytest.mark.parametrize("name", ["mlp", "conv2d", "mine"])
def test_a_taken_name(register, name):
    register()
    with pytest.raises(BadInput, match=f"the backbone '{name}' is taken"):
        isthmus.register_backbone(name, flat, grown)


@pytest.mark.parametrize("name", ["", "two words", 3])
def test_a_name_that_is_none(name):
    with pytest.raises(BadInput, match="must be a Python identifier"):
        isthmus.register_backbone(name, flat, grown)


def test_factories_are_functions():
    with pytest.raises(BadInput, match="encoder must be a function that makes"):
        isthmus.register_backbone("mine", 3, grown)


@pytest.mark.parametrize("fields", [{"hidden": (4,)}, {"activation": "tanh"}, {"norm": "layer"}, {"residual": True}])
def test_fields_without_effect_are_refused(register, fields):
    register()
    with pytest.raises(BadInput, match=f"backbone mine takes no {next(iter(fields))}"):
        Plain(backbone="mine", **fields).build((6,), "gaussian")


def test_families_that_need_more_say_so(register):
    register()
    with pytest.raises(BadInput, match="without a dictionary: this family needs one"):
        L1(backbone="mine").build((6,), "gaussian")
    with pytest.raises(BadInput, match="tied weights need backbone linear or mlp"):
        Plain(backbone="mine", tied=True).build((6,), "gaussian")


def test_one_module_given_twice_ties_no_models(register):
    shared = flat((6,), 2)
    register(encoder=lambda shape, outputs: shared)
    before = [p.clone() for p in shared.parameters()]
    one, two = (fit(Plain(latents=2, backbone="mine"), rows((6,)).numpy(), plan=PLAN, seed=seed) for seed in (0, 1))
    assert all(torch.equal(p, old) for p, old in zip(shared.parameters(), before, strict=True))
    assert not torch.equal(one.model.encoder.module[1].weight, two.model.encoder.module[1].weight)


def test_saved_and_loaded(register, tmp_path):
    register()
    x = rows((2, 3)).numpy()
    fitted = fit(Plain(latents=2, backbone="mine"), x, plan=PLAN, images=False)
    place = isthmus.save(fitted, tmp_path / "model")
    assert np.array_equal(isthmus.load(place).encode(x), fitted.encode(x))
    del OWN["mine"]
    with pytest.raises(BadInput, match="Register a network of your own first"):
        isthmus.load(place)
