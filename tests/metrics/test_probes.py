import math

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from isthmus.metrics.probes import (
    by_neighbours,
    by_probe,
    few,
    knn_accuracy,
    knn_balanced,
    nearest,
    probe_accuracy,
    probe_balanced,
    with_few,
)

GENERATOR = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], 30)
Z = np.eye(3)[Y] * 10 + GENERATOR.normal(size=(90, 3)) * 0.1


def test_classes_that_lie_apart_are_read_without_error():
    assert probe_accuracy(Z, Y, Z, Y) == knn_accuracy(Z, Y, Z, Y) == 1
    assert with_few(probe_accuracy, Z, Y, Z, Y, seed=0) == with_few(knn_accuracy, Z, Y, Z, Y, seed=0) == 1


def test_a_constant_code_is_guessed():
    z = np.ones((90, 4), dtype=np.float32)
    y = np.repeat([0, 1], [60, 30])
    assert probe_accuracy(z, y, z, y) == pytest.approx(2 / 3)


def test_a_line_cannot_read_what_neighbours_can():
    # Exclusive or: no linear rule does better than chance, nearest neighbours are perfect.
    corners = np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (25, 1))
    z = corners + GENERATOR.normal(size=corners.shape) * 0.02
    y = np.tile([0, 1, 1, 0], 25)
    assert probe_accuracy(z, y, z, y) < 0.8
    assert knn_accuracy(z, y, z, y) == 1


def test_as_scikit_learn_has_it():
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(1).permutation(150)
    sets = (x[order[:90]], y[order[:90]], x[order[90:]], y[order[90:]])
    pipe = make_pipeline(StandardScaler(), LogisticRegression(C=1.0)).fit(*sets[:2])
    assert probe_accuracy(*sets) == pipe.score(*sets[2:])
    assert knn_accuracy(*sets, k=1) == KNeighborsClassifier(1).fit(*sets[:2]).score(*sets[2:])


def test_the_probe_ignores_units_and_the_neighbours_do_not():
    wild = np.hstack([Z, GENERATOR.normal(size=(90, 1)) * 1e4])
    tame = wild * [1, 1, 1, 1e-4]
    assert probe_accuracy(wild, Y, wild, Y) == probe_accuracy(tame, Y, tame, Y)
    assert knn_accuracy(wild, Y, wild, Y) < knn_accuracy(tame, Y, tame, Y) == 1


def test_an_element_that_only_rounds_is_not_blown_up():
    noisy = np.hstack([Z, 1e-9 * np.eye(3)[GENERATOR.permutation(Y)]])
    assert probe_accuracy(noisy, Y, Z[:, [0, 1, 2, 0, 0, 0]] * [1, 1, 1, 0, 0, 0], Y) == 1


def test_k_is_how_many_vote():
    known, y = np.array([[0.0], [1.0], [1.1]]), np.array([0, 1, 1])
    asked = np.array([[0.1]])
    assert knn_accuracy(known, y, asked, np.array([0]), k=1) == 1
    assert knn_accuracy(known, y, asked, np.array([0]), k=3) == 0


@pytest.mark.parametrize(("known", "winner"), [([0.0, 1.0, 3.0, 4.0], 7), ([1.0, 0.0, 3.0, 4.0], 2)])
def test_a_tied_vote_goes_to_the_nearest(known, winner):
    # Two votes each; the nearest known row has the class 7, then 2.
    found = knn_accuracy(np.array(known)[:, None], np.array([7, 2, 2, 7]), np.zeros((1, 1)), np.array([winner]), k=4)
    assert found == 1


def test_nearest_are_in_order():
    distances, numbers = nearest(np.array([[0.0], [5.0], [1.0]]), np.array([[0.4]]), k=2)
    assert numbers.tolist() == [[0, 2]]
    assert distances == pytest.approx(np.array([[0.4, 0.6]]), abs=1e-7)


@pytest.mark.parametrize("far", [1.0, 1e6])
def test_rows_that_are_the_same_or_nearly_lie_no_further_apart_than_they_do(far):
    known = np.random.default_rng(0).normal(size=(300, 8)) * np.append(far, np.ones(7))
    asked = np.concatenate([known[:50], known[50:100] + np.append(np.zeros(7), 1e-6 * far)])
    distances, numbers = nearest(known, asked, k=3)
    assert numbers[:, 0].tolist() == list(range(100))
    assert (distances[:50, 0] == 0).all()
    assert distances[50:, 0] == pytest.approx(np.full(50, 1e-6 * far), rel=1e-9)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert distances == pytest.approx(np.sqrt(np.square(asked[:, None] - known[numbers]).sum(axis=2)), rel=1e-12)


def test_fewer_rows_than_neighbours():
    assert nearest(np.zeros((2, 3)), np.ones((1, 3)), k=5)[0].shape == (1, 2)
    assert knn_accuracy(np.array([[0.0], [1.0]]), np.array([0, 1]), np.array([[0.1]]), np.array([0])) == 1


def test_few_draws_that_many_of_each_class():
    y = np.array([0] * 50 + [1] * 3 + [2] * 20)
    picked = few(y, 10, seed=1)
    assert np.bincount(y[picked]).tolist() == [10, 3, 10]
    assert len(set(picked.tolist())) == 23
    assert picked.tolist() == few(y, 10, seed=1).tolist() != few(y, 10, seed=2).tolist()


def test_few_labels_know_less_and_the_number_counts():
    noisy, asked = (np.eye(3)[Y] + GENERATOR.normal(size=(90, 3)) for _ in range(2))
    one = with_few(probe_accuracy, noisy, Y, asked, Y, seed=0, rows=1)
    assert one < probe_accuracy(noisy, Y, asked, Y)
    assert one != with_few(probe_accuracy, noisy, Y, asked, Y, seed=0)
    assert one != with_few(probe_accuracy, noisy, Y, asked, Y, seed=5, rows=1)
    assert one == with_few(probe_accuracy, noisy, Y, asked, Y, seed=0, rows=1)


def test_with_all_rows_few_is_all():
    assert with_few(knn_accuracy, Z, Y, Z, Y, seed=0, rows=30) == knn_accuracy(Z, Y, Z, Y)


def test_classes_missing_on_either_side():
    seen = Y < 2
    assert probe_accuracy(Z[seen], Y[seen], Z, Y) == knn_accuracy(Z[seen], Y[seen], Z, Y) == pytest.approx(2 / 3)
    alone = Y == 1
    assert probe_accuracy(Z[alone], Y[alone], Z, Y) == knn_accuracy(Z[alone], Y[alone], Z, Y) == pytest.approx(1 / 3)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("accuracy", [probe_accuracy, knn_accuracy])
def test_codes_that_are_not_finite_have_no_accuracy(accuracy, broken):
    bad = Z.copy()
    bad[3, 1] = broken
    assert math.isnan(accuracy(bad, Y, Z, Y))
    assert math.isnan(accuracy(Z, Y, bad, Y))
    assert math.isnan(accuracy(Z[:0], Y[:0], Z, Y))
    assert math.isnan(accuracy(Z, Y, Z[:0], Y[:0]))


def test_balanced_accuracy_is_scikit_learns_and_uses_prior_shares():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    y = (np.arange(600) % 10 == 0).astype(int) + (np.arange(600) % 15 == 0)
    z = rng.normal(size=(600, 3)) + np.eye(3)[y]
    parts = z[:400], y[:400], z[400:], y[400:]
    scaler = StandardScaler().fit(parts[0])
    model = LogisticRegression(max_iter=10_000).fit(scaler.transform(parts[0]), parts[1])
    chances = model.predict_proba(scaler.transform(parts[2])) / (np.bincount(parts[1]) / 400)
    said = by_probe(*parts[:3])
    assert (said.fair == chances.argmax(axis=1)).all()
    assert (said.usual == model.predict(scaler.transform(parts[2]))).all()
    assert probe_balanced(*parts) == pytest.approx(balanced_accuracy_score(parts[3], said.fair))
    assert probe_balanced(*parts) > balanced_accuracy_score(parts[3], said.usual) + 0.05
    alike = np.arange(600) % 3
    even = z[:300], alike[:300], z[300:], alike[300:]
    assert probe_balanced(*even) == pytest.approx(probe_accuracy(*even)), "equal shares change nothing"
    assert knn_balanced(*even) == pytest.approx(knn_accuracy(*even))
    assert knn_balanced(*parts) > balanced_accuracy_score(parts[3], by_neighbours(*parts[:3]).usual)
