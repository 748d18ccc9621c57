import numpy as np
import pytest
from contenders import Fixed, digits, pca, split
from sklearn.decomposition import PCA

from isthmus.facets import FACETS
from isthmus.facets.facet import numbers

X, Y = digits()
FACET = FACETS["reconstruction"]
SPLITS = split(X, None)


def test_principal_components_explain_what_scikit_learn_says():
    theirs = PCA(8, svd_solver="full").fit(SPLITS.train.x.reshape(-1, 64).astype(float))
    test = SPLITS.test.x.reshape(-1, 64).astype(float)
    lost = np.square(test - theirs.inverse_transform(theirs.transform(test)))
    found = FACET.measure(pca(SPLITS.train.x, 8), SPLITS)
    assert found["mse"] == pytest.approx(lost.mean(), rel=1e-5)
    assert found["explained_variance"] == pytest.approx(1 - lost.sum() / np.square(test - theirs.mean_).sum(), rel=1e-5)


def test_the_training_mean_explains_nothing():
    mean = SPLITS.train.x.mean(axis=0, dtype=np.float64)
    constant = Fixed(lambda x: x.reshape(len(x), -1)[:, :1], lambda z: np.repeat(mean[None], len(z), axis=0))
    assert FACET.measure(constant, SPLITS)["explained_variance"] == 0


def test_everything_kept_explains_everything():
    found = FACET.measure(Fixed(lambda x: x.reshape(len(x), -1), lambda z: z.reshape(-1, 8, 8)), SPLITS)
    assert numbers(found) == {"mse": 0.0, "explained_variance": 1.0}
    assert not found["row_error"].any()


def test_the_criterion_is_the_error_on_validation_rows():
    contender = pca(SPLITS.train.x, 8)
    gap = SPLITS.valid.x - contender.decode_scaled(contender.encode_scaled(SPLITS.valid.x))
    assert FACET.criterion(contender, SPLITS) == pytest.approx(np.square(gap, dtype=np.float64).mean(), rel=1e-6)
