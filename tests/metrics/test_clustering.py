import math
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.metrics.clustering import adjusted_rand, clusters, mutual_information
from isthmus.metrics.probes import probe_accuracy

PARTITIONS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30).map(
    lambda pairs: np.array(pairs).T
)


def pairs_of(counts):
    return sum(comb(int(c), 2) for c in np.ravel(counts))


@pytest.mark.slow
@given(PARTITIONS)
def test_the_formulas_of_the_papers(both):
    """Hubert and Arabie's equation 5 and Strehl and Ghosh's quotient, from the table of counts."""
    a, b = both
    table = np.zeros((4, 4))
    np.add.at(table, (a, b), 1)
    rows, columns, both_, every = (
        pairs_of(table.sum(1)),
        pairs_of(table.sum(0)),
        pairs_of(table),
        comb(len(a), 2),
    )
    expected, most = rows * columns / every, (rows + columns) / 2
    if most != expected:
        assert adjusted_rand(a, b) == pytest.approx((both_ - expected) / (most - expected), abs=1e-12)
    p = table / len(a)
    entropy = lambda q: -sum(v * math.log(v) for v in np.ravel(q) if v > 0)  # noqa: E731
    mean = (entropy(p.sum(0)) + entropy(p.sum(1))) / 2
    if mean > 0:
        shared = entropy(p.sum(0)) + entropy(p.sum(1)) - entropy(p)
        assert mutual_information(a, b) == pytest.approx(shared / mean, abs=1e-9)


@pytest.mark.slow
@given(PARTITIONS, st.permutations(range(4)))
def test_names_of_clusters_do_not_matter(both, names):
    a, b = both
    renamed = np.array(names)[b]
    assert adjusted_rand(a, renamed) == pytest.approx(adjusted_rand(a, b), abs=1e-12)
    assert mutual_information(a, renamed) == pytest.approx(mutual_information(a, b), abs=1e-12)
    assert adjusted_rand(a, a) == mutual_information(a, a) == 1


def test_independent_partitions_agree_by_chance():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 20_000))
    assert abs(adjusted_rand(a, b)) < 0.01
    assert mutual_information(a, b) < 0.01
    assert math.isnan(adjusted_rand(a[:0], b[:0]))
    assert math.isnan(mutual_information(a[:0], b[:0]))


def test_clusters_are_fitted_on_training_rows_and_named_for_test_rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    z = np.eye(3)[y] * 10 + rng.normal(size=(120, 3))
    found = clusters(z[:90], z[90:], 3, seed=0)
    assert adjusted_rand(y[90:], found) == 1
    assert found.tolist() == clusters(z[:90], z[90:], 3, seed=0).tolist()
    alone = clusters(z[:90], z[90:91], 3, seed=0)
    assert alone[0] == found[0]  # a row's cluster does not depend on the other test rows


def test_fewer_codes_than_clusters():
    assert set(clusters(np.zeros((20, 2)), np.ones((5, 2)), 4, seed=0)) == {0}


@pytest.mark.slow
def test_the_best_of_ten_starts_counts_and_the_seed_draws_them():
    rng = np.random.default_rng(2)
    y = np.repeat(np.arange(25), 12)
    grid = np.stack([y % 5, y // 5], axis=1) + 0.2 * rng.normal(size=(300, 2))
    assert np.mean([adjusted_rand(y, clusters(grid, grid, 25, seed=s)) for s in range(6)]) > 0.92  # of one start: 0.89
    even = rng.uniform(size=(300, 2))
    assert clusters(even, even, 9, seed=0).tolist() != clusters(even, even, 9, seed=1).tolist()


def test_a_label_for_nearly_every_row_is_no_word_of_scikit_learn():
    """Warnings are errors here: rows of which most have a class of their own are measured in silence."""
    truth = np.array([*range(25), 0, 1, 2, 3, 4])
    assert adjusted_rand(truth, truth) == 1.0
    assert mutual_information(truth, truth) == pytest.approx(1.0)
    codes = truth[:, None].astype(np.float32)
    assert probe_accuracy(codes, truth, codes, truth) > 0
