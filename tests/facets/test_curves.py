"""Curves travel from a facet to the record; a contender trains again from another seed."""

import json

import numpy as np
from contenders import digits, split

from isthmus.facets.facet import Curve, FittedContender
from isthmus.families import named
from isthmus.study.perform import _choice
from isthmus.study.record import Choice
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan


def test_a_curve_is_kept_beside_the_numbers_and_survives_json():
    kept = _choice({"mse": 0.5, "decay": Curve((1.0, 2.0), (0.5, float("nan")))}, 3)
    assert kept.metrics == {"mse": 0.5}
    assert kept.curves["decay"].model_dump() == {"x": [1.0, 2.0], "y": [0.5, None]}
    assert Choice.model_validate(json.loads(kept.model_dump_json())) == kept


def test_training_again_depends_on_the_seed_alone():
    splits = split(*digits())
    splits = splits._replace(train=splits.train._replace(x=splits.train.x[:100]))
    recipe = named("plain").set_params(latents=4)
    plan = Plan(steps=20, check=10)
    one = FittedContender(fit(recipe, splits.train.x, valid=splits.valid.x, plan=plan, scale="none"), 10)
    codes = lambda *seeds: [made.encode_scaled(splits.test.x) for made in one.again(splits, *seeds)]  # noqa: E731
    first, other = codes(5, 6)
    same, _ = codes(5, 6)
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)
    np.testing.assert_allclose(codes(6)[0], other, atol=1e-5)
