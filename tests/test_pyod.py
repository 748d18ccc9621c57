"""PyOD's conventions, where PyOD is installed: what its own tests ask of every detector."""

import pickle

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.base import clone

from isthmus.errors import BadEnvironment
from isthmus.estimator import pyod as adapter
from isthmus.estimator.detector import AnomalyDetector

pytestmark = pytest.mark.filterwarnings("ignore")  # those of PyOD itself
RANDOM = np.random.default_rng(0)
USUAL, ODD = RANDOM.normal(size=(180, 4)), 6 + 4 * RANDOM.uniform(-1, 1, (20, 4))
X, Y = np.vstack([USUAL, ODD]), np.repeat([0, 1], (180, 20))


def test_without_pyod_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(adapter, "BaseDetector", None)
    with pytest.raises(BadEnvironment, match=r"pip install 'isthmus\[pyod\]'"):
        adapter.PyODDetector()


@pytest.fixture(scope="module")
def fitted():
    pytest.importorskip("pyod")
    return adapter.PyODDetector(AnomalyDetector("pca", latents=2, random_state=0), contamination=0.1).fit(X)


def test_scores_labels_and_threshold_are_those_of_the_rows(fitted) -> None:
    assert len(fitted.decision_scores_) == 200
    np.testing.assert_array_equal(fitted.decision_function(X), fitted.decision_scores_)
    np.testing.assert_array_equal(fitted.labels_, (fitted.decision_scores_ > fitted.threshold_).astype(int))
    np.testing.assert_array_equal(fitted.labels_, fitted.predict(X))
    assert fitted.labels_.sum() == 20
    assert (fitted.labels_ == Y).mean() > 0.9
    np.testing.assert_array_equal(fitted.labels_ == 1, fitted.detector_.predict(X) == -1)


def test_chances_confidence_and_ranks(fitted) -> None:
    for method in ("linear", "unify"):
        chance, sure = fitted.predict_proba(X, method=method, return_confidence=True)
        assert chance.shape == (200, 2)
        assert min(chance.min(), sure.min()) >= 0
        assert max(chance.max(), sure.max()) <= 1
        np.testing.assert_allclose(chance.sum(1), 1)
    with pytest.raises(ValueError):
        fitted.predict_proba(X, method="something")
    assert fitted.predict_with_rejection(X).shape == (200,)
    _, (expected, most, cost) = fitted.predict_with_rejection(X, return_stats=True)
    assert 0 <= expected <= 1
    assert 0 <= most <= 1
    assert cost >= 0
    for normalized, top in ((False, len(X) + 1), (True, 1.01)):
        ranks = fitted._predict_rank(X, normalized=normalized)
        assert ranks.min() > -0.1
        assert ranks.max() < top
        np.testing.assert_allclose(rankdata(ranks), rankdata(fitted.decision_scores_), atol=2)
    other = clone(fitted)
    np.testing.assert_array_equal(other.fit_predict(X), fitted.labels_)
    assert other.fit_predict_score(X, Y) > 0.95
    assert other.fit_predict_score(X, Y, scoring="prc_n_score") > 0.5  # PyOD asks this of every detector
    with pytest.raises(NotImplementedError):
        other.fit_predict_score(X, Y, scoring="something")


def test_settings_copies_and_combinations(fitted) -> None:
    again = clone(fitted).set_params(contamination=0.2, detector__latents=1)
    assert fitted.get_params()["detector__latents"] == 2
    assert again.fit(X).labels_.sum() == 40
    back = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(back.decision_function(X), fitted.decision_function(X))
    from pyod.models.hbos import HBOS
    from pyod.models.knn import KNN
    from pyod.models.lscp import LSCP

    own = adapter.PyODDetector(AnomalyDetector("pca", latents=1, random_state=0))
    assert (LSCP([KNN(), HBOS(), own], random_state=0).fit(X).labels_ == Y).mean() > 0.9
    with pytest.raises(ValueError):
        adapter.PyODDetector(contamination=0.7)
