"""Mixtures of normal distributions: scikit-learn's numbers, which another library made."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from isthmus import mixture


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("rows", "width", "count"), [(400, 3, 1), (400, 3, 4), (300, 12, 6), (60, 2, 12)])
def test_it_is_what_scikit_learn_fits(rows, width, count):
    random = np.random.default_rng(count)
    x = random.normal(size=(rows, width)) @ random.normal(size=(width, width)) + 50
    x[: rows // 3] += 3 * random.normal(size=width)
    theirs = GaussianMixture(count, reg_covar=1e-3, random_state=7).fit(x)
    ours = mixture.fit(x, count, 1e-3, seed=7)
    assert ours.weights == pytest.approx(theirs.weights_, abs=1e-8)
    assert ours.means == pytest.approx(theirs.means_, abs=1e-6)
    assert ours.covariances == pytest.approx(theirs.covariances_, abs=1e-6)
    assert ours.score(x[:50]) == pytest.approx(theirs.score(x[:50]), abs=1e-8)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_that_repeat_leave_components_that_the_floor_holds_open():
    found = mixture.fit(np.repeat([[0.0, 1.0], [5.0, 5.0]], 10, axis=0), 4, 1e-2, seed=0)
    assert np.isfinite(found.covariances).all()
    assert found.weights.sum() == pytest.approx(1)
    assert (np.linalg.eigvalsh(found.covariances) >= 0.99e-2).all()
