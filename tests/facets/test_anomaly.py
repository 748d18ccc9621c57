import math

import numpy as np
import pytest
import torch
from contenders import Fixed, digits, pca
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from isthmus.errors import BadInput
from isthmus.evidence.stats import corrected_variance
from isthmus.facets import FACETS
from isthmus.facets.anomaly import grade, learned
from isthmus.facets.facet import Rows, Splits, numbers, row_error
from isthmus.facets.normal import PARTS, normal_view, overlap, turn
from isthmus.facets.outliers import SCORERS
from isthmus.families import named
from isthmus.metrics.ranking import auroc
from isthmus.scorer import Scorer

X, Y = digits()
FACET = FACETS["anomaly"]
ORDER = np.random.default_rng(0).permutation(len(X))
SPLIT = tuple(np.sort(n) for n in np.split(ORDER, [1078, 1437]))


def view(anomaly):
    v = normal_view(SPLIT, Y, anomaly)
    zeros = [np.zeros(len(n), dtype=np.int64) for n in v[:2]]
    return Splits(Rows(X[v.train], zeros[0]), Rows(X[v.valid], zeros[1]), Rows(X[v.test], v.label), 0, 16)


SPLITS = view(0)


def flat(x):
    return x.reshape(len(x), -1)


def test_metrics_are_those_of_the_stored_scores():
    contender = pca(SPLITS.train.x, 16)
    found, error = FACET.measure(contender, SPLITS), row_error(contender, SPLITS.test.x)
    score = Scorer.fit(contender, SPLITS.train.x, SPLITS.valid.x, SPLITS.seed).scores(SPLITS.test.x)
    assert found["anomaly_score"] == pytest.approx(score, abs=1e-12)
    assert found["auroc"] == pytest.approx(roc_auc_score(SPLITS.test.y, score), abs=1e-12)
    assert found["auroc_reconstruction"] == pytest.approx(roc_auc_score(SPLITS.test.y, error), abs=1e-12)
    assert found["average_precision"] == pytest.approx(average_precision_score(SPLITS.test.y, score), abs=1e-12)
    assert 0.85 < found["auroc"] < 1


@pytest.mark.slow
def test_planted_anomalies_are_found():
    planted = SPLITS.test.x.copy()
    planted[SPLITS.test.y == 1] = np.random.default_rng(0).random((int(SPLITS.test.y.sum()), 8, 8))
    splits = SPLITS._replace(test=Rows(planted, SPLITS.test.y))
    assert FACET.measure(pca(SPLITS.train.x, 16), splits)["auroc"] == 1
    assert FACET.rivals["knn"](splits)["auroc"] == 1
    assert FACET.rivals["isolation forest"](splits)["auroc"] > 0.99


def test_shuffled_labels_are_chance():
    mixed = np.random.default_rng(1).permutation(SPLITS.test.y)
    splits = SPLITS._replace(test=Rows(SPLITS.test.x, mixed))
    assert FACET.measure(pca(SPLITS.train.x, 16), splits)["auroc"] == pytest.approx(0.5, abs=0.15)


def test_the_distance_to_the_fifth_neighbour():
    finder = NearestNeighbors(n_neighbors=5).fit(flat(SPLITS.train.x))
    assert SCORERS["knn"](SPLITS)(SPLITS.test.x) == pytest.approx(
        finder.kneighbors(flat(SPLITS.test.x))[0][:, 4], abs=1e-5
    )


@pytest.mark.slow
def test_the_forest_is_scikit_learns_and_its_seed_counts():
    forest = IsolationForest(random_state=0).fit(flat(SPLITS.train.x))
    score = SCORERS["isolation forest"](SPLITS)(SPLITS.test.x)
    assert score == pytest.approx(-forest.score_samples(flat(SPLITS.test.x)), abs=1e-12)
    assert not np.array_equal(score, SCORERS["isolation forest"](SPLITS._replace(seed=2**40 + 1))(SPLITS.test.x))


def constant(x):
    return np.zeros((len(x), 2), dtype=np.float32)


def echo(change):
    """A contender whose squared error per element of a row is about what ``change`` says (n,)."""
    memory = {}

    def encode(x):
        memory["x"] = x
        return constant(x)

    def decode(z):
        x = memory["x"].astype(np.float64)
        return x + np.sqrt(change(len(x)))[:, None, None]

    return Fixed(encode, decode)


CONSTANT = {
    "perfect": np.zeros,
    "one error": lambda n: np.full(n, 0.25),
    "1e-24 apart around zero": lambda n: 1e-24 * np.arange(n),
    "1e-24 apart around 0.0025": lambda n: 0.0025 + 1e-24 * np.arange(n),
    "rounding of float32": lambda n: 0.0025 * (1 + 1e-7 * np.random.default_rng(0).random(n)),
}


@pytest.mark.parametrize("change", CONSTANT.values(), ids=CONSTANT)
def test_a_constant_scorer_is_caught(change):
    found = FACET.measure(echo(change), SPLITS)
    share = float(SPLITS.test.y.mean())
    assert found["constant_scorer"] == 1
    assert (found["auroc"], found["average_precision"]) == (0.5, pytest.approx(share, abs=1e-15))


def test_components_that_keep_everything_leave_only_rounding():
    found = FACET.measure(pca(SPLITS.train.x, 64), SPLITS)
    assert found["constant_scorer"] == 1
    assert found["auroc"] == 0.5


def test_a_scorer_with_something_to_say_is_not_caught():
    found = FACET.measure(echo(lambda n: 1e-4 * (1 + np.arange(n) / n)), SPLITS)
    assert not set(FACETS["anomaly"].flags) & set(found)


def test_grade_is_honest_about_scores_that_are_not_finite():
    found = grade(np.array([0, 1]), np.array([1.0, math.nan]))
    assert math.isnan(found["auroc"])
    assert math.isnan(found["average_precision"])


@pytest.mark.slow
@pytest.mark.parametrize("family", ["plain", "l1", "kl", "contractive", "denoising", "topk", "vae", "vq"])
def test_an_untrained_network_is_caught(family):
    torch.manual_seed(0)
    model = named(family).set_params(latents=16, hidden=()).build((8, 8), "gaussian").eval()

    def untrained(x):
        with torch.no_grad():
            return model.encode(torch.from_numpy(x)).numpy()

    def decode(z):
        with torch.no_grad():
            return model.decode(torch.from_numpy(z)).numpy()

    found = FACET.measure(Fixed(untrained, decode, trained=False), SPLITS)
    assert found["untrained_scorer"] == 1


def test_a_model_no_better_than_the_mean_has_learned_nothing():
    mean = SPLITS.train.x.mean(axis=0, dtype=np.float64)
    worse = Fixed(constant, lambda z: np.repeat(mean[None] + 1e-3, len(z), axis=0))
    assert not learned(worse, SPLITS)
    found = FACET.measure(worse, SPLITS)
    assert found["untrained_scorer"] == 1, "what it scores is the merit of its neighbours"
    assert found["auroc_reconstruction"] == auroc(SPLITS.test.y, row_error(worse, SPLITS.test.x))


def test_a_trained_model_has_learned_and_one_without_a_step_has_not():
    contender = pca(SPLITS.train.x, 4)
    assert learned(contender, SPLITS)
    contender.trained = False
    assert not learned(contender, SPLITS)
    assert FACET.measure(contender, SPLITS)["untrained_scorer"] == 1


@pytest.mark.parametrize("anomaly", [0, 7])
def test_nobody_trains_on_anomalies_and_the_test_rows_stay(anomaly):
    v = normal_view(SPLIT, Y, anomaly)
    assert not (Y[v.train] == anomaly).any()
    assert not (Y[v.valid] == anomaly).any()
    assert v.test.tolist() == SPLIT[2].tolist()
    assert v.label.tolist() == (Y[v.test] == anomaly).astype(int).tolist()
    assert sorted(v.train) == sorted(n for n in SPLIT[0] if Y[n] != anomaly)


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_a_share_of_anomalies_stays_in_training_and_nowhere_else(share):
    clean, v = normal_view(SPLIT, Y, 3), normal_view(SPLIT, Y, 3, share, seed=5)
    odd = Y[v.train] == 3
    assert odd.mean() == pytest.approx(share, abs=0.5 / len(v.train))
    assert v.train[~odd].tolist() == clean.train.tolist()
    assert set(v.train[odd]) <= set(SPLIT[0])
    assert (v.valid.tolist(), v.test.tolist()) == (clean.valid.tolist(), clean.test.tolist())
    assert v.train.tolist() == normal_view(SPLIT, Y, 3, share, seed=5).train.tolist()
    assert v.train.tolist() != normal_view(SPLIT, Y, 3, share, seed=6).train.tolist()
    assert len(normal_view(SPLIT, Y, 3, 1e-6).train) == len(clean.train) + 1


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_anomalies_whose_turn_it_is_are_tested_wherever_the_split_put_them(share):
    tested = turn(np.flatnonzero(Y == 3), 0, seed=4)
    v = normal_view(SPLIT, Y, 3, share, 5, tested)
    assert v.test[v.label == 1].tolist() == tested.tolist()
    assert v.test[v.label == 0].tolist() == [n for n in SPLIT[2] if Y[n] != 3]
    kept = v.train[Y[v.train] == 3]
    assert len(kept) == round(share * len(v.train))
    assert not np.isin(kept, tested).any()
    assert v.valid.tolist() == [n for n in SPLIT[1] if Y[n] != 3]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 60])
def test_three_replicates_test_every_anomaly_and_the_next_three_in_another_order(count):
    odd = np.arange(100, 100 + count)
    parts = [turn(odd, replicate, seed=1) for replicate in range(2 * PARTS)]
    for first in (0, PARTS):
        found = np.concatenate(parts[first : first + PARTS])
        assert set(found) == set(odd)
        assert len(found) == max(count, PARTS)
    assert all(len(part) for part in parts)
    if count == 60:
        shared = [len(np.intersect1d(a, b)) for a in parts[:PARTS] for b in parts[PARTS:]]
        assert 1 < min(shared) <= max(shared) < 14
        assert parts[0].tolist() != turn(odd, 0, seed=2).tolist()


@pytest.mark.parametrize("replicates", [3, 4, 5, 7, 9, 12])
def test_the_correction_for_shared_anomalies_is_the_variance_of_the_mean(replicates):
    """Scores of replicates are means over the anomalies of their turn; the truth is the mean over endless anomalies."""
    random = np.random.default_rng(replicates)
    merits = random.normal(size=(3000, 30))
    turns = [turn(np.arange(30), r, seed=0) for r in range(replicates)]
    scores = np.stack([merits[:, part].mean(axis=1) for part in turns], axis=1)
    told = np.mean([corrected_variance(one, overlap(replicates)) for one in scores])
    assert told == pytest.approx(scores.mean(axis=1).var(), rel=0.12)


def test_a_share_that_the_anomalies_cannot_make_up_is_refused():
    with pytest.raises(BadInput, match=r"contamination 0.3 needs \d+ anomalies .*: ask for at most 0.\d") as caught:
        normal_view(SPLIT, Y, 3, 0.3)
    assert "\n" not in str(caught.value)


def test_neighbours_miss_anomalies_that_stand_in_training():
    dirty = normal_view(SPLIT, Y, 3, 0.05)
    splits = view(3)
    worse = splits._replace(train=Rows(X[dirty.train], (Y[dirty.train] == 3).astype(np.int64)))
    assert FACET.rivals["knn"](worse)["auroc"] < FACET.rivals["knn"](splits)["auroc"] - 0.05


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ([0, 0, 0, 0, 0, 0], "anomalous test"),
        ([1, 1, 0, 0, 0, 1], "normal training"),
        ([0, 0, 1, 1, 0, 1], "normal validation"),
        ([0, 0, 0, 0, 1, 1], "normal test"),
    ],
)
def test_too_few_rows_of_a_kind_are_refused_in_one_line(y, kind):
    with pytest.raises(BadInput, match=f"needs {kind} rows; got none") as caught:
        normal_view((np.array([0, 1]), np.array([2, 3]), np.array([4, 5])), np.array(y), 1)
    assert "\n" not in str(caught.value)


def test_without_labels_the_anomalies_are_made_up():
    bare = SPLITS._replace(test=Rows(SPLITS.test.x[SPLITS.test.y == 0], None))
    contender = pca(SPLITS.train.x, 16)
    found = FACET.measure(contender, bare)
    types = [f"auroc_{name}" for name in ("local", "global", "dependency", "cluster")]
    assert set(numbers(found)) == {*types, FACET.unlabelled}
    assert found[FACET.unlabelled] == pytest.approx(np.mean([found[name] for name in types]), abs=1e-12)
    labelled = FACET.measure(contender, SPLITS)
    assert numbers(found) == {name: labelled[name] for name in numbers(found)}
    assert FACET.measure(pca(SPLITS.train.x, 64), bare)["constant_scorer"] == 1
    assert set(FACET.rivals["knn"](bare)) == set(found)
