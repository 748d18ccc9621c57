import pytest
import torch
from torch import nn

from isthmus.metrics.cost import REPEATS, SHORTEST, flops, peak_bytes, seconds


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


def test_memory_is_what_lives_at_once_and_views_take_none():
    x = torch.ones(100, 10)
    assert peak_bytes(lambda: x + 1, [x]) == 4000
    assert peak_bytes(lambda: (x + 1).t()[:5] * 1, [x]) == 4000 + 2000
    assert peak_bytes(lambda: [x + 1, x + 2], [x]) == 8000
    assert peak_bytes(lambda: [(x + i).sum() for i in range(9)], [x]) == 4000 + 9 * 4  # one at a time, and the sums
    assert peak_bytes(lambda: x.add_(1), [x]) == 0
    assert peak_bytes(x.double, [x]) == 8000
    assert peak_bytes(lambda: None) == 0


def test_what_autograd_keeps_counts_until_it_is_done_with():
    x = torch.ones(100, 10, requires_grad=True)
    kept = peak_bytes(lambda: (x * 2).exp().sum(), [x])
    with torch.no_grad():
        free = peak_bytes(lambda: (x * 2).exp().sum(), [x])
    assert (kept, free) == (8000, 8000)
    deep = lambda: x.exp().exp().exp().exp().sum()  # noqa: E731
    assert peak_bytes(deep, [x]) == 4 * 4000 + 4
    with torch.no_grad():
        assert peak_bytes(deep, [x]) == 2 * 4000


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
