"""Plans are checked where they are made, and travel as plain data."""

import pytest

from isthmus.errors import BadInput
from isthmus.train.plan import Plan


def test_json_round_trip():
    plan = Plan(steps=7, clip=1.0, schedule="cosine")
    assert Plan.from_json(plan.to_json()) == plan
    with pytest.raises(BadInput, match="unknown field 'stepps'"):
        Plan.from_json({"stepps": 3})


@pytest.mark.parametrize(
    "field",
    [
        {"steps": 0},
        {"batch": 2.5},
        {"check": True},
        {"patience": -1},
        {"drops": -1},
        {"warmup": -1},
        {"warmup": 50},
        {"warmup": True},
        {"schedule": "step"},
        {"stages": "one"},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"clip": -1.0},
        {"weight_decay": -0.1},
        {"factor": 1.0},
        {"tolerance": "small"},
    ],
)
def test_a_bad_value_is_named(field):
    with pytest.raises(BadInput, match=next(iter(field))):
        Plan(**field)


def test_rates():
    assert [Plan(steps=10, warmup=0.4).rate(s) for s in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]
    cosine = Plan(schedule="cosine", steps=100)
    assert cosine.rate(0) == 1.0
    assert cosine.rate(50) == pytest.approx(0.5)
    assert cosine.rate(100) == pytest.approx(0.0)
