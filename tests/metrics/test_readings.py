import pytest
import torch
from torch import nn

from isthmus.metrics.cost import REPEATS, SHORTEST, flops, seconds


def test_a_product_counts_two_for_each_multiply_add():
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
    assert flops(lambda: net(torch.zeros(3, 64))) == 3 * 2 * (64 * 32 + 32 * 8)
    with torch.no_grad():
        assert flops(lambda: net(torch.zeros(3, 64))) == 3 * 2 * (64 * 32 + 32 * 8)
    assert flops(lambda: torch.zeros(4).exp()) == 0


def test_stacked_products_and_convolutions_count_too():
    assert flops(lambda: torch.zeros(5, 2, 3) @ torch.zeros(5, 3, 4)) == 5 * 2 * (2 * 3 * 4)
    assert flops(lambda: torch.baddbmm(torch.zeros(2, 4), torch.zeros(5, 2, 3), torch.zeros(5, 3, 4))) == 240
    image, kernel = torch.zeros(1, 3, 8, 8), torch.zeros(6, 3, 3, 3)
    assert flops(lambda: torch.nn.functional.conv2d(image, kernel)) == 2 * 6 * 6 * 6 * 3 * 3 * 3


class Clock:
    """A clock that a call pushes forward by what is due."""

    def __init__(self, due):
        self.now, self.due, self.calls = 0.0, iter(due), 0

    def __call__(self):
        return self.now

    def work(self):
        self.calls += 1
        self.now += next(self.due)


def test_the_median_of_nine_after_one_to_warm_up():
    slow = SHORTEST * 10
    clock = Clock([1e3, slow, 1e3, 1e3, slow * 2, slow, slow, slow, slow * 3, slow * 1.5])
    assert seconds(clock.work, clock) == pytest.approx(slow * 1.5)
    assert clock.calls == REPEATS + 1


def test_short_calls_are_repeated_until_the_clock_can_tell():
    clock = Clock(iter(lambda: SHORTEST / 7, None))
    assert seconds(clock.work, clock) == pytest.approx(SHORTEST / 7)
    # One to warm up, 1 + 2 + 4 to find the count, then 9 readings of 8 calls.
    assert clock.calls == 1 + 7 + REPEATS * 8
