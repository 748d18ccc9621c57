"""What the loss curve of a training that was cut promises, against curves whose future is known."""

import numpy as np
import pytest

from isthmus.train.cut import FAR, MOST, WORTH, advised, outlook


def curve(loss, end=800, check=50):
    steps = list(range(0, end + 1, check))
    return {"step": steps, "valid": [float(loss(step)) for step in steps]}


@pytest.mark.parametrize("power", [0.3, 0.5, 1.0])
def test_of_a_power_law_the_next_doubling_is_told(power):
    """loss = t^-p: doublings shrink by 2^-p, and the promised gain is what really follows."""

    def loss(step):
        return 0.2 + (1 + step) ** -power

    told = outlook(curve(loss))
    really = (loss(800) - loss(1600)) / (loss(0) - loss(800))
    assert told.gain == pytest.approx(really, rel=0.05)
    after = loss(told.steps) - loss(2 * told.steps)
    assert after / (loss(0) - loss(800)) < WORTH * 1.1 or told.steps == MOST * 800
    total = (loss(800) - loss(FAR * 800)) / (loss(0) - loss(800))
    assert told.reach == pytest.approx(total, rel=0.1)


def test_what_has_settled_promises_nothing():
    assert not outlook(curve(lambda step: 1 + np.exp(-step / 60))).open
    assert outlook(curve(lambda step: 1 + np.exp(-step / 600))).open


def test_a_fall_that_is_lost_in_noise_promises_nothing():
    """Over many draws noise about a settled curve is hardly ever taken for a fall, and a clear fall is never missed."""
    rng = np.random.default_rng(0)
    flat = [outlook(curve(lambda step: 1 + np.exp(-step / 40) + 0.02 * rng.normal())).open for _ in range(200)]
    falling = [outlook(curve(lambda step: 2 - step / 800 + 0.02 * rng.normal())).open for _ in range(200)]
    assert np.mean(flat) < 0.2
    assert np.mean(falling) > 0.95


@pytest.mark.parametrize(
    "history",
    [
        {},
        {"step": [0], "valid": [1.0]},
        {"step": [0, 50], "valid": [1.0, 1.5]},
        {"step": [0, 50], "valid": [1.0, None]},
    ],
)
def test_without_a_fall_nothing_is_promised(history):
    assert outlook(history)[0] == 0


def test_a_single_check_that_fell_promises_all():
    told = outlook({"step": [0, 50], "valid": [1.0, 0.5]})
    assert (told.gain, told.steps) == (1.0, MOST * 50)


@pytest.mark.parametrize(("pace", "wanted"), [(60, 2), (150, 2), (400, 4), (8000, 4)])
def test_the_steps_advised_follow_from_the_curve(pace, wanted):
    """Twice as many at least, where the curve has settled; never more than four times as many at once."""
    assert advised(curve(lambda step: 1 + np.exp(-step / pace))) == wanted * 800
