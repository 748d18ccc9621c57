"""Plans are checked where they are made, and travel as plain data."""

import dataclasses
import math

import numpy as np
import pytest

from isthmus.errors import BadInput
from isthmus.families import FAMILIES, named
from isthmus.model import takes, types_of
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan


def test_json_round_trip():
    plan = Plan(steps=7, clip=1.0, schedule="cosine")
    assert Plan.from_json(plan.to_json()) == plan
    with pytest.raises(BadInput, match="unknown field 'stepps'"):
        Plan.from_json({"stepps": 3})


def refused(name, value, **others):
    with pytest.raises(BadInput) as caught:
        Plan(**{name: value}, **others)
    text = str(caught.value)
    assert text.startswith(f"plan: {name} ")
    assert f"got {value!r}" in text or f"got {name}={value!r}" in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("field", dataclasses.fields(Plan), ids=lambda f: f.name)
def test_what_a_field_does_not_take_is_refused_with_what_it_takes(field):
    """Each field by what is declared beside it: type, bounds, choices."""
    kind, bounds = types_of(Plan)[field.name], field.metadata["bounds"]
    wrong = {int: [True, 1.5, "3", None], float: [True, "0.1", None], str: [0, None, "step"]}
    known = wrong[str if kind == "str" else float if "float" in str(kind) else int if kind is int else kind]
    for value in known if "None" not in str(kind) else [v for v in known if v is not None]:
        text = refused(field.name, value)
        assert f"must be {takes(Plan(), field)}; " in text
        assert text.endswith(field.metadata["text"])
    if not bounds.choices:
        assert bounds.low is not None or bounds.above is not None
        refused(field.name, math.nan)
        refused(field.name, math.inf)
        for edge in (bounds.above, bounds.below):
            if edge is not None:
                refused(field.name, edge)
        for edge, sign in ((bounds.low, -1), (bounds.high, 1)):
            if edge is not None:
                refused(field.name, edge + sign * (1 if kind is int else 1e-6))
                Plan(**{field.name: kind(edge)})
    for value in bounds.among:
        Plan(**{field.name: value})


def test_what_a_schedule_would_ignore_is_refused():
    for name, value in {"patience": 9, "tolerance": 0.1, "factor": 0.5, "drops": 1}.items():
        assert "does nothing unless schedule is plateau" in refused(name, value, schedule="cosine")
    assert "drops above 0" in refused("factor", 0.5, drops=0)
    assert Plan(schedule="constant", patience=9, tolerance=0.1).patience == 9


def test_a_rate_that_is_not_given_is_the_familys():
    assert {name: Plan().step_size(r) for name, r in FAMILIES.items() if r.pace != 1} == dict.fromkeys(
        ("kl", "contractive", "contractive_h"), 0.02
    )
    assert Plan().of(named("plain")) == Plan(learning_rate=0.005)
    assert Plan(learning_rate=0.1).step_size(named("kl")) == 0.1
    wide = named("topk").set_params(latents=2048)
    assert [Plan().step_size(wide, size) for size in (72, 9 * 64)] == pytest.approx([0.005, 0.0025])
    assert Plan().step_size(named("plain").set_params(latents=2048), 9 * 64) == 0.005
    rows = np.random.default_rng(0).normal(size=(60, 4))
    for given, used in (({}, 0.02), ({"learning_rate": 0.1}, 0.1)):
        made = fit(named("kl").set_params(latents=2), rows, plan=Plan(steps=2, check=1, **given))
        assert (made.plan.learning_rate, made.outcome.history["learning_rate"][0]) == (used, used)


def test_rates():
    assert [Plan(steps=10, warmup=0.4).rate(s) for s in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]
    cosine = Plan(schedule="cosine", steps=100)
    assert cosine.rate(0) == 1.0
    assert cosine.rate(50) == pytest.approx(0.5)
    assert cosine.rate(100) == pytest.approx(0.0)
