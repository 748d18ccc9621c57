"""The contract over every family and over the variants that change its graph; and every check can fail."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from isthmus.families import FAMILIES, named
from isthmus.families.plain import Plain, PlainModel
from isthmus.model import Loss, knob
from isthmus.testing import (
    CHECKS,
    check_abilities,
    check_encode,
    check_fields,
    check_gradcheck,
    check_gradients,
    check_noise,
    check_overfits,
    check_pure,
    check_saved,
    check_shapes,
    check_stack,
    check_symbols,
    check_tape,
    check_terms,
)

QUICK = [c for c in CHECKS if c not in (check_fields, check_overfits)]
LIGHT = [c for c in QUICK if c is not check_tape]
ROUNDED = [check_gradients, check_encode, check_gradcheck, check_stack]
"""Of the light ones, what other processors may see otherwise."""
EXACT = [c for c in LIGHT if c not in ROUNDED]
KINDS = [pytest.param(EXACT, id="exact"), pytest.param(ROUNDED, id="rounded", marks=pytest.mark.sensitive)]
ALONE = {"pca", "matching", "archetypal", "transcoder", "cvae"}  # fields of their own kind: varied in their own tests
TRAINED = [name for name in FAMILIES if name not in ALONE]
VARIANTS = {
    "gaussian": ({}, (6,), "gaussian"),
    "deep": ({"hidden": (7, 5), "activation": "silu"}, (6,), "gaussian"),
    "image": ({"hidden": (5,)}, (4, 4), "bernoulli"),
    "tiny": ({"latents": 1}, (1,), "gaussian"),
    "wide": ({"latents": 20}, (3,), "bernoulli"),
}
SPECIAL = {
    "plain linear": ("plain", {"backbone": "linear"}),
    "plain tied deep": ("plain", {"tied": True, "hidden": (5,), "code_activation": "tanh"}),
    "plain relu": ("plain", {"code_activation": "relu"}),
    "plain sigmoid": ("plain", {"code_activation": "sigmoid"}),
    "kl relu": ("kl", {"code_activation": "relu", "bound": 2.0}),
    "kl drop and threshold": ("kl", {"drop": 0.3, "target": 0.3, "threshold": 0.2}),  # from the target on, some pass
    "contractive tied": ("contractive", {"tied": True}),
    "contractive tanh": ("contractive", {"code_activation": "tanh"}),
    "contractive jvp": ("contractive", {"estimator": "jvp", "hidden": (5,), "activation": "tanh"}),
    "contractive exact": (
        "contractive",
        {"estimator": "exact", "tied": True, "hidden": (5,), "activation": "tanh"},
    ),
    "topk with dead units": ("topk", {"dead_after": 1, "k": 1, "latents": 8}),
    "batchtopk with dead units": ("batchtopk", {"dead_after": 1, "k": 1, "latents": 8}),
    "matryoshka of rows": ("matryoshka", {"choice": "row", "prefixes": (3, 5)}),
    "sae unit": ("sae", {"dictionary_norm": "unit", "warmup": 0.5}),
    "panneal at its end": ("panneal", {"anneal": 0.0}),
    "gated weighted": ("gated", {"dictionary_norm": "weighted"}),
    "jumprelu tanh": ("jumprelu", {"loss": "tanh", "dictionary_norm": "weighted"}),
    "vae warm-up": ("vae", {"warmup": 0.5}),
    "vae free bits": ("vae", {"free_bits": 0.1}),
    "vae unit scale": ("vae", {"scale": "unit", "head": "gaussian"}),
    "vae learned scale": ("vae", {"scale": "learned", "head": "gaussian"}),
    "iwae of one draw": ("iwae", {"samples": 1, "head": "gaussian"}),
    "flow of none": ("flow", {"flows": 0}),
    "cvae of two columns": ("cvae", {"condition": 2, "latents": 5}),
    "ksparse at once": ("ksparse", {"anneal": 0.0, "tied": False}),
    "contractive_h deep": ("contractive_h", {"hidden": (5,), "activation": "tanh", "samples": 1}),
    "rda of rows": ("rda", {"outliers": "l21"}),
    "infovae rbf": ("infovae", {"kernel": "rbf"}),
    "rae gradient": ("rae", {"regulariser": "gradient", "activation": "tanh", "hidden": (5,)}),
    "rae spectral": ("rae", {"regulariser": "spectral"}),
    "dip 2": ("dip", {"version": 2}),
    "betatc weighted": ("betatc", {"estimator": "weighted"}),
    "vq learnt": ("vq", {"codebook": "gradient", "first": "kmeans", "estimator": "rotation", "least": 0.5}),
    "vq rotation": ("vq", {"estimator": "rotation"}),
    "rvq learnt": ("rvq", {"codebook": "gradient", "depth": 2}),
    "fsq even": ("fsq", {"levels": (4, 3), "latents": 5}),
    "gumbel soft": ("gumbel", {"hard": False}),
    "vq positions": ("vq", {"width": 2, "codes": 5, "latents": 6}),
    "masked": ("plain", {"corruption": "mask", "corruption_level": 0.2}),
}


ONE = [pytest.param(c, id=c.__name__, marks=[pytest.mark.sensitive] * (c in ROUNDED)) for c in LIGHT]


@pytest.mark.parametrize("check", ONE)
@pytest.mark.parametrize("name", list(FAMILIES))
def test_family(name, check):
    check(named(name))


@pytest.mark.slow
@pytest.mark.parametrize("check", [c for c in CHECKS if c not in LIGHT], ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", list(FAMILIES))
def test_family_at_length(name, check):
    check(named(name))


def varied(name, variant):
    """The recipe of a family with the fields of a variant, the shape of its rows, and its head."""
    fields, shape, head = VARIANTS[variant]
    recipe = named(name).set_params(**fields)
    if hasattr(recipe, "k"):
        recipe.set_params(k=min(recipe.k or 4, recipe.latents))
    return recipe, shape, head


@pytest.mark.slow
@pytest.mark.parametrize("checks", KINDS)
@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("name", TRAINED)
def test_variant(name, variant, checks):
    for check in checks:
        check(*varied(name, variant))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_the_graph_of_a_deep_variant(name):
    """Graphs of other shapes are like this one; that of the other head is every family's own."""
    check_tape(*varied(name, "deep"))


@pytest.mark.sensitive
@pytest.mark.parametrize("shape", [(1,), (4, 4), (30,)])
@pytest.mark.parametrize("latents", [1, 2, 20])
def test_pca(shape, latents):
    for check in QUICK:
        check(named("pca").set_params(latents=latents), shape)


@pytest.mark.slow
@pytest.mark.parametrize("checks", KINDS)
@pytest.mark.parametrize("variant", list(SPECIAL))
def test_special(variant, checks):
    name, fields = SPECIAL[variant]
    for check in checks:
        check(named(name).set_params(**fields))


@pytest.mark.slow
@pytest.mark.parametrize("variant", list(SPECIAL))
def test_the_graph_of_a_special_one(variant):
    name, fields = SPECIAL[variant]
    check_tape(named(name).set_params(**fields))


class Broken(Plain):
    """Fields have no say, and each model below breaks one promise."""

    def _build(self, shape, head):
        return MODELS[self.code_activation](self, shape, head)

    def _check(self):
        pass


@dataclass(kw_only=True, eq=False, repr=False)
class Forgotten(Plain):
    """Has a field that nothing reads."""

    unused: float = knob(1.0, "Does nothing.")


@pytest.mark.slow
def test_a_forgotten_field_is_found():
    with pytest.raises(AssertionError, match="field unused is ignored"):
        check_fields(Forgotten())


class OtherTerms(PlainModel):
    def forward(self, x, target, noise=None):
        return Loss({"error": super().forward(x, target).terms["reconstruction"]}, {})


class Unreached(PlainModel):
    def __init__(self, *args):
        super().__init__(*args)
        self.spare = nn.Parameter(torch.ones(1))


class Random(PlainModel):
    def encode(self, x):
        return self.encoder(x) + torch.rand(self.latents)


class Coupled(PlainModel):
    def encode(self, x):
        return self.encoder(x - x.mean(0))


class Counting(PlainModel):
    def __init__(self, *args):
        super().__init__(*args)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x, target, noise=None):
        self.count.add_(1)
        return super().forward(x, target)


class Detached(PlainModel):
    def forward(self, x, target, noise=None):
        z = self.encode(x)
        return Loss({"reconstruction": self.misfit(z + (z.detach() - z).square(), target) * (1 + z.detach().sum())}, {})


class Branching(PlainModel):
    def forward(self, x, target, noise=None):
        return Loss({"reconstruction": self.misfit(self.encode(x), target) * (2.0 if x.sum() > 7 else 1.0)}, {})


class Freezing(PlainModel):
    def forward(self, x, target, noise=None):
        first = self.__dict__.setdefault("first", float(torch.rand(()) + 1))
        self.__dict__["first"] = first + 1
        return Loss({"reconstruction": self.misfit(self.encode(x), target) * first}, {})


class Forgetful(PlainModel):
    def start(self, x):
        super().start(x)
        self.offset = torch.rand(())

    def encode(self, x):
        return self.encoder(x) + self.__dict__.get("offset", 0.0)


class Flat(PlainModel):
    def decode(self, z):
        return super().decode(z).flatten(1)


class Lazy(PlainModel):
    def decode(self, z):
        return 0 * super().decode(z)


class Unseeded(PlainModel):
    def draw(self, x, generator):
        return torch.randn(x.shape)


class Stubborn(PlainModel):
    def prior(self, n, generator):
        return torch.randn((n, self.latents), generator=torch.Generator().manual_seed(0))


class Misspelt(PlainModel):
    entries = 2

    def tokens(self, x):
        return (self.encode(x) > 0).long()

    def embed(self, tokens):
        return tokens.float()


class Half(PlainModel):
    entries = 2

    def tokens(self, x):
        return (self.encode(x) > 0).long()


class Swapped(PlainModel):
    def prior(self, generator, n):
        return torch.randn((n, self.latents), generator=generator)


BREAKS = {
    "terms": (OtherTerms, check_terms),
    "unreached": (Unreached, check_gradients),
    "random": (Random, check_encode),
    "coupled": (Coupled, check_encode),
    "counting": (Counting, check_pure),
    "detached": (Detached, check_gradcheck),
    "branching": (Branching, check_stack),
    "freezing": (Freezing, check_tape),
    "forgetful": (Forgetful, check_saved),
    "flat": (Flat, check_shapes),
    "lazy": (Lazy, check_overfits),
    "unseeded": (Unseeded, check_noise),
    "stubborn": (Stubborn, check_noise),
    "half": (Half, check_abilities),
    "swapped": (Swapped, check_abilities),
    "misspelt": (Misspelt, check_symbols),
}
MODELS = {name: model for name, (model, _) in BREAKS.items()}


@pytest.mark.parametrize("name", list(BREAKS))
def test_every_check_can_fail(name):
    with pytest.raises((AssertionError, RuntimeError, TypeError)):
        BREAKS[name][1](Broken(code_activation=name), (2, 3))
