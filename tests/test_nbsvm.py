"""NBSVM as an estimator: scikit-learn's checks, and what the facet features measures of the rival ``nbsvm``."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus import NBSVM
from isthmus.errors import BadInput
from isthmus.facets import texts


@parametrize_with_checks([NBSVM()])
def test_scikit_learn_finds_nothing(estimator, check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else one check would be skipped
    check(estimator)


@pytest.mark.parametrize("classes", [2, 3])
def test_it_says_what_the_facet_measures(classes: int) -> None:
    random = np.random.default_rng(0)
    counts, y = csr_matrix(random.poisson(0.5, (90, 20))), random.integers(0, classes, 90)
    named = np.array(["c", "a", "b"])[:classes]
    names = np.sort(named)[y]
    told = {}
    for cost, share in ((0.1, 0.25), (0.1, 1.0), (1.0, 0.25)):
        expected = texts.nbsvm(counts, y, cost).scores(counts, share)
        model = pickle.loads(pickle.dumps(NBSVM(C=cost, beta=share).fit(counts, names)))
        found = model.decision_function(counts)
        np.testing.assert_allclose(found, expected if classes > 2 else expected[:, 1])
        assert (model.predict(counts) == np.sort(named)[expected.argmax(axis=1)]).all()
        assert (model.predict(counts.toarray()) == model.predict(counts)).all()
        told[cost, share] = found
    assert not any(np.allclose(told[0.1, 0.25], told[other]) for other in ((0.1, 1.0), (1.0, 0.25)))


def test_what_it_cannot_learn_from_is_refused() -> None:
    rows = np.ones((4, 2))
    with pytest.raises(BadInput, match="beta must lie between 0 and 1; got 2"):
        NBSVM(beta=2).fit(rows, [0, 1, 0, 1])
    with pytest.raises(BadInput, match="there is 1 class"):
        NBSVM().fit(rows, [1, 1, 1, 1])
    with pytest.raises(ValueError, match="Negative values"):
        NBSVM().fit(-rows, [0, 1, 0, 1])
