"""What is written of a rival for scikit-learn does what the rival did."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from isthmus.data.read import read
from isthmus.facets import FACETS
from isthmus.facets.kin import Kin
from isthmus.facets.rivals import mixture_on
from isthmus.study.design import design
from isthmus.study.material import prepare


def splits_of(data, facet):
    """The first split of a study of these rows that asks one facet."""
    job = next(iter(design(data, families="pca", facets=facet, replicates=2, configs=1).jobs()))
    return prepare(job, data).splits


def made(kin: Kin, x, y=None):
    """The model of its code, fitted as the code says; and what the last line asks of it.

    Numbers are of 64 bits, as in a table of a person's own: covariances of 32 bits are not as symmetric as numpy
    wants those to be that it draws from.
    """
    *lines, ask = kin.code().splitlines()
    x = x.astype(np.float64) if getattr(x, "dtype", None) == np.float32 else x
    names = {"X": x, "y": y}
    exec("\n".join(lines), names)
    return names["model"], lambda asked: eval(ask, {**names, "X": asked})


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return splits_of(read(x[:300], y[:300]), "features")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raw columns", "boosted trees", "nearest rows"])
def test_a_classifier_is_as_right_as_the_rival(digits, name):
    facet, flat = FACETS["features"], [part.x.reshape(len(part.x), -1) for part in digits[:3]]
    said = made(facet.kin[name](digits), flat[0], digits.train.y)[1](flat[2])
    right = float(np.mean(said == digits.test.y))
    assert right == pytest.approx(facet.rivals[name](digits)["probe_accuracy"], abs=2.01 / len(said))
    assert right > 0.8


def test_settings_are_those_that_validation_rows_choose(digits):
    """Labels that only the nearest row knows ask for one neighbour; labels of large groups for more."""
    from isthmus.facets.classifiers import nearest_rows

    random = np.random.default_rng(0)
    places = random.normal(size=(200, 2)).astype(np.float32)
    own = random.integers(0, 2, 200)
    near = places + np.float32(1e-4)
    assert nearest_rows(places, own, near, own, near).settings == {"n_neighbors": 1}
    noisy = (places[:, 0] > 0).astype(np.int64)
    told = np.where(random.random(200) < 0.3, 1 - noisy, noisy)
    fresh = random.normal(size=(400, 2)).astype(np.float32)
    sides = (fresh, (fresh[:, 0] > 0).astype(np.int64))
    assert nearest_rows(places, told, *sides, fresh).settings["n_neighbors"] > 3


def test_a_mixture_has_the_components_of_the_rival():
    random = np.random.default_rng(0)
    centres = np.array([[-9.0, 0], [9, 0], [0, 9], [0, -9], [0, 0]])
    x = centres[random.integers(0, 5, 400)] + random.normal(size=(400, 2))
    splits = splits_of(read(x), "generation")
    kin = FACETS["generation"].kin["gaussian mixture"](splits)
    model, draw = made(kin, splits.train.x)
    best, _ = mixture_on(splits)
    assert kin.steps[0][1]["n_components"] == len(best.weights) >= 5
    assert draw(None).shape == (1000, 2)
    known = splits.train.x.astype(np.float64)
    assert kin.steps[0][1]["reg_covar"] == pytest.approx(0.01 * known.var(axis=0).mean(), rel=0.01)
    assert model.score(splits.test.x) == pytest.approx(best.score(splits.test.x.astype(np.float64)), abs=0.05)


def test_a_wide_mixture_is_one_of_principal_axes_and_its_rows_are_wide():
    x = np.random.default_rng(0).normal(size=(200, 70))
    splits = splits_of(read(x), "generation")
    kin = FACETS["generation"].kin["gaussian mixture"](splits)
    assert [name.rpartition(".")[2] for name, _ in kin.steps] == ["PCA", "GaussianMixture"]
    assert made(kin, splits.train.x)[1](None).shape == (1000, 70)


@pytest.mark.parametrize("name", ["naive bayes", "tf-idf"])
def test_a_classifier_of_texts_is_as_right_as_the_rival(name):
    random = np.random.default_rng(0)
    kinds = [["good", "great", "lovely"], ["bad", "awful", "dull"]]
    y = random.integers(0, 2, 200)
    lines = [" ".join(["the", "film", *random.choice(kinds[k], 3), *random.choice(kinds[1 - k], 1), "and"]) for k in y]
    frame = {"text": lines, "kind": [["no", "yes"][k] for k in y]}
    import pandas as pd

    splits = splits_of(read(pd.DataFrame(frame), label="kind"), "features")
    facet = FACETS["features"]
    said = made(facet.kin[name](splits), splits.train.text, splits.train.y)[1](splits.test.text)
    assert np.mean(said == splits.test.y) == pytest.approx(facet.rivals[name](splits)["probe_accuracy"], abs=0.001)


@pytest.mark.parametrize("name", ["lof", "one-class svm"])
def test_a_detector_ranks_rows_as_the_rival(digits, name):
    from isthmus.facets.outliers import SCORERS

    splits = digits._replace(train=digits.train._replace(x=digits.train.x.reshape(len(digits.train.x), -1)))
    asked = digits.test.x.reshape(len(digits.test.x), -1)
    score = made(FACETS["anomaly"].kin[name](splits), splits.train.x)[1](asked)
    np.testing.assert_allclose(score, SCORERS[name](splits)(asked), rtol=1e-4)
