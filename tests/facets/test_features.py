import numpy as np
import pytest
from contenders import Fixed, digits, pca, split
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from isthmus.errors import BadInput
from isthmus.facets import FACETS, features
from isthmus.facets.facet import Rows
from isthmus.metrics.probes import probe_accuracy, with_few

X, Y = digits()
FACET = FACETS["features"]
SPLITS = split(X, Y)


def flat(x):
    return x.reshape(len(x), -1)


def at_chance(found, clusters=True):
    """Of ten classes; k-means looks at no training label."""
    assert all(found[name] < 0.25 for name in found if "accuracy" in name)
    assert max(found["few_labels"].y) < 0.25
    assert (abs(found["cluster_ari"]) < 0.03) == clusters


@pytest.mark.slow
def test_raw_columns_are_read_as_scikit_learn_reads_them():
    train, test = flat(SPLITS.train.x).astype(float), flat(SPLITS.test.x).astype(float)
    scaler = StandardScaler().fit(train)
    probe = LogisticRegression(C=1.0).fit(scaler.transform(train), SPLITS.train.y)
    found = FACET.rivals["raw columns"](SPLITS)
    assert found["probe_accuracy"] == pytest.approx(probe.score(scaler.transform(test), SPLITS.test.y), abs=0.006)
    theirs = KNeighborsClassifier(5, algorithm="brute").fit(train, SPLITS.train.y).score(test, SPLITS.test.y)
    assert found["knn_accuracy"] == pytest.approx(theirs, abs=0.009)  # tied votes differ
    assert 0.8 < found["probe_accuracy_few"] < found["probe_accuracy"]
    assert 0.8 < found["knn_accuracy_few"] < found["knn_accuracy"]


@pytest.mark.slow
def test_the_identity_is_the_raw_columns():
    assert FACET.measure(Fixed(flat, None), SPLITS) == FACET.rivals["raw columns"](SPLITS)


def test_noise_is_read_at_chance():
    noise = Fixed(lambda x: np.random.default_rng(len(x)).normal(size=(len(x), 8)), None)
    at_chance(FACET.measure(noise, SPLITS))


def test_shuffled_labels_are_read_at_chance():
    mixed = SPLITS.train.y[np.random.default_rng(0).permutation(len(SPLITS.train.y))]
    found = FACET.measure(pca(SPLITS.train.x, 16), SPLITS._replace(train=Rows(SPLITS.train.x, mixed)))
    at_chance(found, clusters=False)


def test_the_criterion_is_the_share_of_validation_rows_that_neighbours_miss():
    contender = pca(SPLITS.train.x, 16)
    train, valid = contender.encode_scaled(SPLITS.train.x), contender.encode_scaled(SPLITS.valid.x)
    theirs = KNeighborsClassifier(5, algorithm="brute").fit(train, SPLITS.train.y).score(valid, SPLITS.valid.y)
    assert FACET.criterion(contender, SPLITS) == pytest.approx(1 - theirs, abs=0.009)


@pytest.mark.slow
def test_few_labels_are_drawn_by_the_seed_of_the_split():
    contender = pca(SPLITS.train.x, 8)
    found, other = FACET.measure(contender, SPLITS), FACET.measure(contender, SPLITS._replace(seed=1))
    assert found["probe_accuracy"] == other["probe_accuracy"]
    assert found["probe_accuracy_few"] != other["probe_accuracy_few"]


@pytest.mark.slow
def test_more_rows_than_it_looks_at(monkeypatch):
    monkeypatch.setattr(features, "MOST", 200)
    contender = pca(SPLITS.train.x, 16)
    found = FACET.measure(contender, SPLITS)
    assert (
        found["probe_accuracy"] < FACETS["features"].measure(contender, SPLITS._replace(seed=3))["probe_accuracy"] + 0.1
    )
    assert found == FACET.measure(contender, SPLITS)
    assert (found["knn_accuracy"] * 200) % 1 == pytest.approx(0, abs=1e-9)


def test_no_labels_no_answer():
    with pytest.raises(BadInput, match="needs a label for every row"):
        FACET.measure(pca(SPLITS.train.x, 2), split(X, None))


def test_the_curve_of_few_labels_goes_through_the_numbers():
    found = FACET.measure(pca(SPLITS.train.x, 8), SPLITS)
    curve = dict(zip(*found["few_labels"], strict=True))
    assert list(curve) == [1, 5, 10, 50, len(SPLITS.train.y) / 10]
    assert curve[10] == found["probe_accuracy_few"]
    assert list(curve.values())[-1] == found["probe_accuracy"]
    assert list(curve.values()) == sorted(curve.values())


def test_the_curve_on_small_data_is_what_there_is():
    small = SPLITS._replace(train=Rows(SPLITS.train.x[:60], SPLITS.train.y[:60] % 2))
    found = FACET.rivals["raw columns"](small._replace(test=Rows(SPLITS.test.x, SPLITS.test.y % 2)))
    assert found["few_labels"].x == (1, 5, 10, 30)
    four = SPLITS._replace(
        train=Rows(SPLITS.train.x[:8], np.arange(8) % 2), test=Rows(SPLITS.test.x, SPLITS.test.y % 2)
    )
    found = FACET.rivals["raw columns"](four)
    assert found["few_labels"].x == (1, 4)
    assert found["probe_accuracy_few"] == found["few_labels"].y[-1] == found["probe_accuracy"]


def test_few_labels_are_few_where_classes_have_ten_rows_on_average():
    y = np.repeat([0, 1], [17, 3])
    uneven = SPLITS._replace(train=Rows(SPLITS.train.x[:20], y), test=Rows(SPLITS.test.x, SPLITS.test.y % 2))
    found = FACET.rivals["raw columns"](uneven)
    train, test = flat(uneven.train.x), flat(uneven.test.x)
    few = with_few(probe_accuracy, train, y, test, uneven.test.y, seed=uneven.seed)
    assert found["probe_accuracy_few"] == few != found["probe_accuracy"]
    assert dict(zip(*found["few_labels"], strict=True))[10] == found["probe_accuracy"]


@pytest.mark.slow
def test_clusters_and_dimension_of_a_code_that_is_known():
    place = np.random.default_rng(0).normal(size=(10, 6)) * 30
    splits = split((place[Y] + np.random.default_rng(1).normal(size=(len(Y), 6))).astype(np.float32), Y)
    found = FACET.rivals["raw columns"](splits)
    assert found["cluster_ari"] == found["cluster_nmi"] == 1
    one = FACET.measure(Fixed(lambda x: x[:, :1], None), splits)
    assert one["intrinsic_dimension"] == pytest.approx(1, abs=0.15)
    assert found["intrinsic_dimension"] > 4
