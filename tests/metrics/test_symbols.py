import math

import numpy as np
import pytest

from isthmus.metrics import symbols


def test_perplexity_of_equal_shares_is_their_number():
    tokens = np.arange(60).reshape(-1, 1) % 6
    assert symbols.perplexity(tokens) == pytest.approx(6.0)
    assert symbols.usage(tokens, 8) == 0.75


def test_one_symbol():
    tokens = np.full((10, 3), 4)
    assert symbols.perplexity(tokens) == 1.0
    assert symbols.usage(tokens, 10) == pytest.approx(0.1)


def test_perplexity_is_the_exponent_of_the_entropy():
    tokens = np.array([[0], [0], [0], [5]])
    assert symbols.perplexity(tokens) == pytest.approx(4 / 3**0.75)


def test_positions_are_averaged():
    tokens = np.array([[0, 1], [1, 1]])
    assert symbols.perplexity(tokens) == pytest.approx(1.5)
    assert symbols.usage(tokens, 2) == pytest.approx(0.75)


def test_no_rows():
    assert math.isnan(symbols.perplexity(np.zeros((0, 3), int)))
    assert math.isnan(symbols.usage(np.zeros((0, 3), int), 2))


def test_symbols_that_never_occur_take_no_memory():
    tokens = np.array([[0], [10**15], [10**15], [0]])
    assert symbols.perplexity(tokens) == pytest.approx(2)
    assert symbols.usage(tokens, 4 * 10**15) == pytest.approx(0.5e-15)
