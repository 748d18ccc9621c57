"""The table, and recipes from untrusted JSON."""

import dataclasses
import math

import pytest
import torch

from isthmus.errors import BadInput
from isthmus.families import ABOUT, DEFAULT, FAMILIES, named, recipe


def test_table():
    assert set(DEFAULT) <= set(FAMILIES)
    assert list(ABOUT) == list(FAMILIES)
    assert all(text.endswith(".") and "\n" not in text for text in ABOUT.values())


@pytest.mark.parametrize("name", list(FAMILIES))
def test_named_is_a_fresh_copy(name):
    one = named(name)
    assert one is not FAMILIES[name]
    assert one.to_json() == FAMILIES[name].to_json() == recipe(one.to_json()).to_json()
    assert type(recipe(one.to_json())) is type(one)


def test_denoising_is_plain_with_corruption():
    fields = named("denoising").to_json()
    assert fields == named("plain").to_json() | {"corruption": "gaussian", "corruption_level": 0.3}
    assert set(named("denoising").space()) == {"corruption_level"}
    assert set(named("plain").space()) == set()


FREE = [name for name in FAMILIES if name != "cvae"]
"""All whose code may have any width: a condition is a part of the code and of the row."""


@pytest.mark.parametrize("name", FREE)
def test_ranges_are_accepted_at_both_ends(name):
    for latents in (1, 2, 3, 16):
        made = named(name).set_params(latents=latents)
        for field, where in made.space().items():
            for u in (0.0, 0.5, 0.999999):
                other = named(name).set_params(latents=latents, **({"k": 1} if hasattr(named(name), "k") else {}))
                other.set_params(**{field: where.at(u)}).build((4,), "bernoulli")


@pytest.mark.parametrize("name", list(FAMILIES))
def test_every_field_has_help(name):
    for field in dataclasses.fields(FAMILIES[name]):
        assert len(field.metadata["text"]) > 15, field.name
        assert field.metadata["text"].endswith("."), field.name


@pytest.mark.parametrize(
    ("json", "says"),
    [
        ({"family": "plane"}, "did you mean plain"),
        ({"family": "os.system"}, "unknown family"),
        ({"family": ["plain"]}, "unknown family"),
        ({"family": None}, "unknown family"),
        ({"latents": 3}, "key family"),
        ([], "key family"),
        ({"family": "plain", "latent": 3}, "did you mean latents"),
        ({"family": "plain", "__class__": 3}, "unknown field"),
        ({"family": "plain", "latents": "3"}, "latents must be of type int"),
        ({"family": "plain", "latents": True}, "latents must be of type int"),
        ({"family": "plain", "latents": 3.0}, "latents must be of type int"),
        ({"family": "plain", "latents": 0}, "at least 1"),
        ({"family": "plain", "hidden": 32}, "hidden must be a list"),
        ({"family": "plain", "hidden": [32, "8"]}, r"hidden\[1\] must be of type int"),
        ({"family": "plain", "tied": 1}, "tied must be of type bool"),
        ({"family": "plain", "activation": "exec"}, "activation must be"),
        ({"family": "plain", "code_activation": "gelu"}, "code_activation must be"),
        ({"family": "l1", "strength": None}, "strength must be of type float"),
        ({"family": "l1", "strength": math.nan}, "strength must be"),
        ({"family": "l1", "strength": math.inf}, "strength must be"),
        ({"family": "vq", "width": "4"}, "width must be of type int"),
        ({"family": "vq", "width": 3}, "width must divide latents"),
        ({"family": "vq", "codes": 1}, "codes must be"),
        ({"family": "vq", "decay": 1.0}, "decay must be"),
        ({"family": "vq", "commitment": -1.0}, "commitment must be"),
        ({"family": "topk", "k": 17}, "k must be a whole number from 1 to latents = 16"),
        ({"family": "topk", "k": 0}, "k must be"),
        ({"family": "topk", "aux": -1.0}, "aux must be"),
        ({"family": "topk", "dead_after": 0}, "dead_after must be"),
        ({"family": "kl", "target": 1.0}, "target must"),
        ({"family": "kl", "strength": -0.1}, "strength must"),
        ({"family": "kl", "bound": 0.0}, "bound must"),
        ({"family": "kl", "drop": 1.0}, "drop must"),
        ({"family": "kl", "threshold": 1.0}, "threshold must"),
        ({"family": "kl", "code_activation": "tanh"}, "code_activation must"),
        ({"family": "contractive", "code_activation": "relu"}, "code_activation must"),
        ({"family": "contractive", "estimator": "trace"}, "estimator must"),
        ({"family": "contractive", "strength": -1.0}, "strength must"),
        ({"family": "vae", "beta": -1.0}, "beta must"),
        ({"family": "vae", "warmup": -1}, "warmup must"),
        (
            {"family": "sae", "warmup": 2000},
            "warmup must be a number of at least 0 and at most 1; got 2000.0: Share of the plan's steps",
        ),
        ({"family": "ksparse", "anneal": 500}, "ksparse: anneal must be a number of at least 0 and at most 1"),
        ({"family": "panneal", "anneal": 1.5}, "panneal: anneal must be a number of at least 0 and at most 1"),
        ({"family": "gumbel", "cooling": -0.1}, "gumbel: cooling must be a number of at least 0 and at most 1"),
        ({"family": "pca", "hidden": [3]}, "hidden has no meaning"),
        ({"family": "pca", "backbone": "mlp"}, "backbone has no meaning"),
        ({"family": "pca", "head": "bernoulli"}, "head must be gaussian"),
        ({"family": "pca", "corruption": "mask"}, "corruption has no meaning"),
    ],
)
def test_bad_json_is_refused_in_one_line(json, says):
    with pytest.raises(BadInput, match=says) as caught:
        recipe(json)
    assert "\n" not in str(caught.value)


def test_unknown_name_gives_the_closest():
    with pytest.raises(BadInput, match="did you mean contractive"):
        named("contractiv")
    with pytest.raises(BadInput, match="choose one of plain, l1"):
        named("zzz")


def test_whole_numbers_serve_as_floats_and_lists_as_tuples():
    made = recipe({"family": "kl", "bound": 2, "hidden": [8, 4]})
    assert made.bound == 2.0
    assert isinstance(made.bound, float)
    assert made.hidden == (8, 4)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("name", FREE)
def test_one_row_constant_rows_and_one_column_stay_finite(name, head):
    for x in (torch.full((1, 1), 0.3), torch.zeros(5, 3), torch.ones(4, 2), torch.rand(1, 4)):
        for latents in (1, 2):
            made = named(name).set_params(latents=latents, **({"k": 1} if hasattr(named(name), "k") else {}))
            model = made.build(tuple(x.shape[1:]), head)
            model.start(x)
            generator = torch.Generator().manual_seed(0)
            for _ in range(3):
                loss = model(x, x, model.draw(x, generator))
                if params := list(model.parameters()):
                    grads = torch.autograd.grad(sum(loss.terms.values()), params)
                    assert all(g.isfinite().all() for g in grads)
                model.project()
                model.absorb(loss.seen)
            assert all(t.isfinite() for t in loss.terms.values())
            assert all(v.isfinite().all() for v in model.state_dict().values())
