"""What each field takes: declared beside it, checked in one place, told by the schema; and what would be ignored."""

import dataclasses
import math

import pytest
from sklearn.base import clone

from isthmus.errors import BadInput
from isthmus.families import FAMILIES, named, recipe
from isthmus.families.contractive import Contractive
from isthmus.families.gumbel import Gumbel
from isthmus.families.jumprelu import JumpReLU
from isthmus.families.ksparse import KSparse
from isthmus.families.matryoshka import Matryoshka
from isthmus.families.plain import Plain
from isthmus.families.rae import RAE
from isthmus.families.topk import TopK
from isthmus.families.transcoder import Transcoder
from isthmus.model import Recipe, types_of
from isthmus.testing.variants import Fingerprints, changed, proposals

FIELDS = [
    pytest.param(name, field, id=f"{name}-{field.name}")
    for name, made in FAMILIES.items()
    for field in dataclasses.fields(made)
    if name in {"plain", "topk"} or field.name not in {f.name for f in dataclasses.fields(Recipe)}
]


def with_value(name, field, value):
    """The recipe with a value in one field, and all others such that the field has an effect."""
    made = named(name).set_params(latents=16)
    if name != "pca":
        made.set_params(hidden=(16,) if field == "estimator" else made.hidden)
    if field in {"k", "first"} and hasattr(made, "k"):
        made.set_params(k=1)
    company = {
        "activation": {"hidden": (16,)},
        "steepness": {"loss": "tanh"},
        "corruption_level": {"corruption": "gaussian"},
        "strength": {"gate": "relu"} if name == "transcoder" else {"alpha": 1.0} if name == "infovae" else {},
        "latents": {"k": 1},
        "temperature": {"coolest": 0.01},
    }
    return made.set_params(**{k: v for k, v in company.get(field, {}).items() if hasattr(made, k)}, **{field: value})


def refused(made, field):
    with pytest.raises(BadInput, match=f"{field} (must|does)") as caught:
        made._check()
    assert "\n" not in str(caught.value)
    assert "got" in str(caught.value)


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_what_is_of_another_type_or_not_finite_is_refused(name, field):
    kind = types_of(type(FAMILIES[name]))[field.name]
    wrong = {
        int: [True, 1.5, "3", None, math.nan],
        float: [True, "0.1", None, math.nan, math.inf, -math.inf],
        bool: [0, 1, "true", None],
        str: [0, True, None, "no such thing"],
        tuple[int, ...]: [3, (True,), (1.5,), ("8",), None, "34"],
        int | None: [True, 1.5, "3", math.inf],
        float | None: [True, "0.1", math.nan, math.inf],
    }[kind]
    for value in wrong:
        refused(with_value(name, field.name, value), field.name)


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_bounds_are_taken_and_what_lies_beyond_is_refused(name, field):
    bounds, kind = field.metadata["bounds"], types_of(type(FAMILIES[name]))[field.name]
    step = 1 if "int" in str(kind) else 1e-6
    wrap = (lambda v: (v,)) if kind == tuple[int, ...] else lambda v: v
    assert kind in {bool, str} or bounds.choices or bounds.low is not None or bounds.above is not None
    for least, sign in ((bounds.low, -1), (bounds.high, 1)):
        if least is not None and (name, field.name) != ("iwae", "warmup"):
            refused(with_value(name, field.name, wrap(least + sign * step)), field.name)
            if (name, field.name) not in {("cvae", "latents")}:
                with_value(name, field.name, wrap(least))._check()
    for edge, sign in ((bounds.above, 1), (bounds.below, -1)):
        if edge is not None:
            refused(with_value(name, field.name, wrap(edge)), field.name)
            with_value(name, field.name, wrap(edge + sign * step))._check()
    for value in bounds.among:
        if field.name != "backbone" and (name, value) != ("contractive_h", "exact"):
            with_value(name, field.name, value)._check()


@pytest.mark.parametrize("name", list(FAMILIES))
def test_the_schema_says_what_the_check_says(name):
    schema = type(FAMILIES[name]).schema()
    assert schema["properties"]["family"] == {"const": FAMILIES[name].family}
    for field in dataclasses.fields(FAMILIES[name]):
        about, bounds = schema["properties"][field.name], field.metadata["bounds"]
        assert about["description"] == field.metadata["text"]
        value = next((v for v in about.get("anyOf", ())), about)
        value = value.get("items", value)
        if bounds.choices:
            assert tuple(value["enum"]) == bounds.among
        for key in ("low", "high", "above", "below"):
            word = {"low": "minimum", "high": "maximum", "above": "exclusiveMinimum", "below": "exclusiveMaximum"}[key]
            assert bounds.choices or value.get(word) == getattr(bounds, key)
        assert field.default is None or type(about["default"]) in {type(field.default), list}


IGNORED = [
    (JumpReLU(steepness=9.0), "steepness does nothing unless loss is tanh; got steepness=9.0"),
    (Transcoder(strength=0.2), "strength does nothing unless gate is relu"),
    (Transcoder(gate="relu", k=3), "k does nothing unless gate is topk"),
    (Contractive(estimator="exact"), "estimator does nothing unless the encoder has hidden layers"),
    (RAE(regulariser="spectral", smoothness=0.1), "smoothness does nothing unless regulariser is l2 or gradient"),
    (Matryoshka(choice="row", decay=0.5), "decay does nothing unless choice is batch"),
    (Plain(corruption_level=0.1), "corruption_level does nothing unless there is a corruption"),
    (Plain(activation="tanh"), "activation does nothing unless there are hidden layers"),
    (Gumbel(cooling=0.0, temperature=2.0), "temperature does nothing unless cooling is above 0"),
    (KSparse(k=2, first=6, anneal=0.0), "first does nothing unless anneal is above 0"),
]


@pytest.mark.parametrize(("made", "says"), IGNORED)
def test_what_would_be_ignored_is_refused(made, says):
    with pytest.raises(BadInput, match=says):
        made.build((6,), "gaussian")
    with pytest.raises(BadInput, match=says):
        recipe(made.to_json())
    assert says.split(maxsplit=1)[0] not in made.space()


def test_a_part_that_is_taken_away_takes_what_hung_on_it():
    full = named("denoising")
    assert "corruption" in full.removable()
    assert full.without("corruption", "none").to_json() == Plain().to_json()
    assert full.corruption_level == 0.3


SHARED = {f.name for f in dataclasses.fields(Recipe)}


def speaks(ground, field, known):
    """Whether another value of a field changes what a recipe does; None where no other is taken."""
    others = [changed(ground, {field: value}, known.shape) for value in proposals(clone(ground), field)]
    taken = [other for other in others if other is not None]
    return any(not known.alike(ground, other) for other in taken) if taken else None


LATE = {"aux", "k_aux", "dead_after", "decay", "least"}
"""Felt once a unit has been silent for long, or an entry is forgotten: later than the few steps of these tests."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in {"pca", "cvae"}])
def test_no_field_is_idle_in_silence(name):
    """Every field of a family and of its network has an effect or is refused; also where a schedule has no length."""
    base = named(name).set_params(latents=6, **({"k": 2} if hasattr(named(name), "k") else {}))
    known = Fingerprints((6,), "gaussian")
    own = {f.name for f in dataclasses.fields(base)} - SHARED - LATE | {"activation", "norm", "residual"}
    lengths = sorted(own & {"anneal", "warmup", "cooling"})
    for ground in (base, *(changed(base, {length: 0.0}, (6,)) for length in lengths)):
        for field in sorted(own) if ground is not None else ():
            if field not in ground.idle():
                assert speaks(ground, field, known) is not False, f"{name}: {field} is ignored in {ground}"


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in {"pca", "cvae"}])
def test_no_choice_makes_another_field_idle_in_silence(name):
    """What has an effect beside the default of a choice has one beside its other values, or is refused there.

    The decay of a learnt codebook is left out: it is felt once an entry is forgotten, later than these few steps.
    """
    base = named(name).set_params(latents=6, **({"k": 2} if hasattr(named(name), "k") else {}))
    known = Fingerprints((6,), "gaussian")
    own = [f for f in dataclasses.fields(base) if f.name not in SHARED]
    choices = {f.name: f.metadata["bounds"].among or (True, False) * isinstance(f.default, bool) for f in own}
    grounds = [(f, v, changed(base, {f: v}, (6,))) for f, values in choices.items() for v in values]
    grounds = [(f, v, ground) for f, v, ground in grounds if ground is not None and v != getattr(base, f)]
    for field in (f.name for f in own if grounds and speaks(base, f.name, known)):
        for choice, value, ground in grounds:
            if choice != field and field not in ground.idle() and (name[-2:], field) != ("vq", "decay"):
                assert speaks(ground, field, known) is not False, (
                    f"{name}: {field} is ignored beside {choice}={value!r}"
                )


def test_width_of_no_divisor_is_refused():
    with pytest.raises(BadInput, match="width must divide latents = 16"):
        Gumbel(width=3)._check()
    with pytest.raises(BadInput, match="k must be a whole number from 1 to latents = 4"):
        TopK(latents=4, k=5)._check()
