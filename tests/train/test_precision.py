"""Products of a step in half the bits: another arithmetic, nearly the same training, and weights as ever."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from isthmus.errors import BadInput
from isthmus.families import FAMILIES
from isthmus.train.checkpoint import Checkpoint
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

ROWS = (load_digits().data[:400] / 16).astype(np.float32)
NEAR = 0.03
"""How far apart the least validation losses may be, as a share."""
TRAINED = [name for name in FAMILIES if name != "pca"]


def trained(name, precision, steps=100, **more):
    plan = Plan(steps=steps, schedule="constant", precision=precision)
    return fit(clone(FAMILIES[name]), ROWS, plan=plan, images=False, **more)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_every_family_trains_as_well_in_half_the_bits(name):
    whole, half = (trained(name, precision) for precision in ("float32", "bfloat16"))
    assert whole.outcome.history["train"][1:] != half.outcome.history["train"][1:]
    least = [min(fitted.outcome.history["valid"]) for fitted in (whole, half)]
    assert least[1] == pytest.approx(least[0], rel=NEAR)
    assert {tensor.dtype for tensor in half.model.parameters()} == {torch.float32}


def test_products_are_in_half_the_bits_and_nothing_else_is():
    whole, half = (trained("plain", precision, steps=1) for precision in ("float32", "bfloat16"))
    assert whole.outcome.history["valid"][0] == half.outcome.history["valid"][0]  # rows are looked at in float32
    one, other = (fitted.outcome.history["train"][1] for fitted in (whole, half))
    assert 1e-7 < abs(other / one - 1) < 2**-7


def test_a_training_goes_on_in_the_same_numbers_only(tmp_path):
    kept = Checkpoint(tmp_path / "kept", every=0.0)
    trained("plain", "bfloat16", steps=3, checkpoint=kept)
    with pytest.raises(BadInput, match="precision"):
        trained("plain", "float32", steps=3, checkpoint=Checkpoint(tmp_path / "kept", every=0.0))


def test_what_was_kept_before_there_was_a_choice_is_the_usual():
    assert "precision" not in Plan().to_json()
    assert Plan.from_json(Plan(precision="bfloat16").to_json()).precision == "bfloat16"
