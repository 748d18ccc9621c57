import numpy as np
from contenders import Fixed, digits, pca, split

from isthmus.facets import FACETS

X, Y = digits()
FACET = FACETS["sparsity"]
SPLITS = split(X, None)


def test_one_hot_codes():
    found = FACET.measure(Fixed(lambda x: np.eye(16, dtype=np.float32)[np.arange(len(x)) % 8], None), SPLITS)
    assert found == {"hoyer": 1.0, "l0": 1.0, "dead": 0.5, "always_on": 0.0}


def test_a_dense_code_is_dense():
    found = FACET.measure(pca(SPLITS.train.x, 16), SPLITS)
    assert (found["l0"], found["dead"], found["always_on"]) == (16, 0, 1)
    assert 0.1 < found["hoyer"] < 0.6


def test_the_model_is_chosen_by_its_reconstruction():
    # The silent model would be the sparsest; it must not be chosen for it.
    silent = Fixed(lambda x: np.zeros((len(x), 4), dtype=np.float32), lambda z: np.zeros((len(z), 8, 8)))
    assert FACET.criterion(silent, SPLITS) > FACET.criterion(pca(SPLITS.train.x, 4), SPLITS)
