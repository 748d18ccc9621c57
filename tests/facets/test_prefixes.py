"""What the first units tell, of codes whose explained variance is known in closed form."""

from types import SimpleNamespace

import numpy as np
import pytest
from contenders import split

from isthmus.facets import FACETS
from isthmus.facets.facet import lengths
from isthmus.facets.nesting import HALVINGS, nesting
from isthmus.metrics.nesting import nested

WIDTH = 16
SIZES = 0.7 ** np.arange(WIDTH)


def splits(k=None):
    """Independent columns, the first ones largest."""
    x = np.random.default_rng(0).normal(size=(4000, WIDTH)) * SIZES
    return split(x.astype(np.float32), None, latents=WIDTH)._replace(k=k)


def coder(order, lengths=1.0):
    """Each unit is one column, in this order, and writes so long a piece with a code of 1."""
    order = np.asarray(order)

    def decode(z):
        x = np.zeros((len(z), WIDTH), np.float32)
        x[:, order] = z * lengths
        return x

    return SimpleNamespace(encode_scaled=lambda x: x[:, order] / np.float32(lengths), decode_scaled=decode)


def found(one, parts):
    return nesting(one, parts, lengths(one, WIDTH))


def explained(parts, order):
    """Of each prefix, from the columns' own variances."""
    mean = parts.train.x.mean(axis=0)
    left = np.square(parts.test.x).sum(axis=0)
    whole = np.square(parts.test.x - mean).sum()
    kept = [order[: WIDTH >> i] for i in range(4, -1, -1)]
    return [1 - (left.sum() - left[some].sum()) / whole for some in kept]


def test_prefixes_explain_what_their_columns_do():
    parts = splits()
    parts = parts._replace(test=parts.test._replace(x=parts.test.x[:400]))
    order = np.arange(WIDTH)
    seen = found(coder(order), parts)
    wanted = explained(parts, order)
    assert seen["prefixes"].x == (1, 2, 4, 8, 16)
    assert HALVINGS > 4
    assert seen["prefixes"].y == pytest.approx(wanted, abs=1e-4)
    assert seen["nested"] == pytest.approx(nested([1, 2, 4, 8, 16], wanted), abs=1e-4)
    assert seen["nested_by_use"] == pytest.approx(seen["nested"])


@pytest.mark.parametrize("long", [1.0, 10.0 ** np.arange(WIDTH)])
def test_the_order_of_use_is_that_of_what_units_write(long):
    """In the reverse order the first units tell next to nothing; by their use it is what it was, whatever codes are."""
    parts, order = splits(), np.arange(WIDTH)[::-1]
    usual, back = found(coder(order[::-1]), parts), found(coder(order, long), parts)
    assert back["nested_by_use"] == pytest.approx(usual["nested"], abs=1e-4)
    assert back["nested"] < usual["nested"] - 0.4


def test_codes_are_held_to_the_units_of_the_study_and_only_there_it_is_asked():
    parts = splits(2)
    one = coder(np.arange(WIDTH))
    assert found(one, parts)["nested"] < found(one, splits())["nested"] - 0.02
    facet = FACETS["sparsity"]
    assert {"nested", "nested_by_use", "prefixes"} <= set(facet.measure(one, parts))
    assert not {"nested", "prefixes"} & set(facet.measure(one, splits()))
