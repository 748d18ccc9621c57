"""The area under explained variance over prefixes, in closed form."""

import numpy as np
import pytest

from isthmus.metrics.nesting import nested


def test_a_straight_line_over_doublings_has_its_middle():
    units = [1, 2, 4, 8, 16]
    assert nested(units, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx(0.5)
    assert nested(units, [0.3] * 5) == pytest.approx(0.3)
    assert nested(units[::2], [0, 0.5, 1]) == pytest.approx(0.5)


def test_prefixes_that_are_no_doublings_count_by_their_distance():
    assert nested([1, 2, 16], [0.0, 1.0, 1.0]) == pytest.approx((0.5 + 3) / 4)


def test_early_prefixes_count_and_one_prefix_is_its_own():
    units = 2 ** np.arange(6)
    early, late = np.array([0.5, 0.9, 0.9, 0.9, 0.9, 0.9]), np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.9])
    assert nested(units, early) > nested(units, late)
    assert nested([7], [0.6]) == 0.6
