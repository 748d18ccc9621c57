"""What is written of a rival as Python does what the rival did, and there is no rival that cannot be had."""

import ast
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from isthmus.data.read import read
from isthmus.facets import FACETS, compression, imputation
from isthmus.facets.kin import Kin, Lines
from isthmus.facets.rivals import mixture_on
from isthmus.study.deploy import GAPS
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

    def wide(rows):
        return rows.astype(np.float64) if getattr(rows, "dtype", None) == np.float32 else rows

    names = {"X": wide(x), "y": y}
    exec("\n".join(lines), names)
    return names["model"], lambda asked: eval(ask, {**names, "X": wide(asked)})


def ran(lines: Lines, **names):
    """What the lines leave, and the value of the last of them."""
    tree = ast.parse(lines.code())
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "lines", "exec"), names)
    return names, None if last is None else eval(ast.unparse(last), names)


@pytest.mark.parametrize(("facet", "rival"), [(name, one) for name, facet in FACETS.items() for one in facet.rivals])
def test_every_rival_is_saved_as_a_model_or_written_as_python(facet, rival):
    one = FACETS[facet]
    assert (rival in one.networks) != (rival in one.kin), "neither, or both"


def test_nothing_is_handed_over_that_is_no_rival():
    assert all(facet.networks.keys() | facet.kin.keys() <= facet.rivals.keys() for facet in FACETS.values())


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
    assert made(kin, splits.train.x.astype(float))[1](None).shape == (1000, 70)


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


@pytest.mark.parametrize("name", ["zstd", "xz", "bz2", "pcodec", "sz3", "zfp"])
def test_a_compressor_takes_as_few_bytes_as_the_rival_at_its_error(digits, name):
    if name in compression.MODULES:
        pytest.importorskip(compression.MODULES[name])
    splits = digits._replace(latents=16)
    x = splits.test.x.reshape(len(splits.test.x), -1)
    names, _ = ran(FACETS["compression"].kin[name](splits), X=x)
    error = np.square(names["back"] - x).mean() / np.square(splits.train.x - splits.train.x.mean(axis=0)).mean()
    assert 0.02 < error < 0.13, "the target is 0.1, met by validation rows; zfp knows powers of two alone"
    curve = FACETS["compression"].rivals[name](splits)["rate_distortion"]
    assert 8 * len(names["content"]) / x.size == pytest.approx(np.interp(error, curve.y[::-1], curve.x[::-1]), rel=0.1)


@pytest.mark.parametrize(("name", "file"), [("jpeg", "rows.jpg"), ("webp", "rows.webp")])
def test_images_take_as_few_bytes_as_the_rival_at_its_error(name, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    splits = splits_of(read(load_digits().images[:300] / 16, images=True), "compression")
    raw = load_digits().images[:60]
    names, _ = ran(FACETS["compression"].kin[name](splits), X=raw)
    rows = raw.reshape(len(raw), -1)
    assert np.square(names["back"] - raw).sum() < 0.15 * np.square(rows - rows.mean(axis=0)).sum()
    rival = FACETS["compression"].rivals[name](splits)
    assert 8 * (tmp_path / file).stat().st_size / raw.size == pytest.approx(rival["bits_per_element"], rel=0.35)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sparse_coding_rebuilds_as_well_as_the_rival(digits):
    splits = digits._replace(latents=12)
    flat = [part.x.reshape(len(part.x), -1) for part in splits[:3]]
    kin = FACETS["reconstruction"].kin["sparse coding"](splits)
    model, code = made(kin, flat[0])
    rebuilt = (
        code(flat[2]) @ model[-1].components_ + flat[0].mean(axis=0)
        if len(kin.steps) > 1
        else (code(flat[2]) @ model.components_)
    )
    told = FACETS["reconstruction"].rivals["sparse coding"](splits)["mse"]
    assert np.square(rebuilt - flat[2]).mean() == pytest.approx(told, rel=0.15)
    assert (code(flat[2]) == 0).mean() > 0


def test_components_and_factors_are_as_many_as_the_rival_has():
    random = np.random.default_rng(0)
    rows = random.laplace(size=(200, 5)).astype(np.float32)
    splits = splits_of(read(rows), "reconstruction")._replace(latents=3)
    model, code = made(FACETS["factors"].kin["independent components"](splits), splits.train.x)
    assert code(splits.test.x).shape[1] == 3 == model.n_components
    counts = random.poisson(random.gamma(1.0, 2.0, (120, 3)) @ random.gamma(0.5, 1.0, (3, 8)))
    splits = splits_of(read(counts, counts=True), "reconstruction")
    kin = FACETS["reconstruction"].kin["nmf"](splits)
    parts = made(kin, counts)[1](counts)
    assert parts.shape == (120, kin.steps[0][1]["n_components"])
    assert (parts >= 0).all()


def test_values_that_stand_until_the_next_are_those_of_the_rival():
    x = np.cumsum(np.random.default_rng(0).normal(size=(90, 12, 2)), axis=1).astype(np.float32)
    splits = SimpleNamespace(latents=6)
    _, found = ran(FACETS["reconstruction"].kin["persistence"](splits), X=x)
    assert found.shape == x.shape
    assert found[:, [0, 4, 8]] == pytest.approx(x[:, [0, 4, 8]], abs=1e-5)
    assert found[:, 3] == pytest.approx(x[:, 0], abs=1e-5)


def test_the_class_of_the_time_before_is_said():
    _, said = ran(FACETS["features"].kin["persistence"](None), y=np.array(["b", "a", "a", "b", "a"]))
    assert said.tolist() == ["a", "b", "a", "a", "b"]


@pytest.mark.parametrize("facet", [name for name, facet in FACETS.items() if "random dictionary" in facet.kin])
def test_a_random_dictionary_has_the_directions_of_the_rival(facet):
    from isthmus.facets.random_dictionary import RandomDictionary

    x = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    splits = splits_of(read(x), "reconstruction")._replace(latents=10, k=2)
    names, codes = ran(FACETS[facet].kin["random dictionary"](splits), X=splits.train.x)
    assert np.array_equal(names["model"].directions, RandomDictionary.of(splits).directions)
    assert np.count_nonzero(codes) / len(codes) == pytest.approx(2, abs=0.3)


def test_new_rows_are_shuffled_columns_or_rows():
    x = np.random.default_rng(0).normal(size=(50, 3))
    kin = FACETS["generation"].kin
    _, shuffled = ran(kin["shuffled columns"](None), X=x)
    assert np.array_equal(np.sort(shuffled, axis=0), np.sort(x, axis=0))
    assert not (shuffled == x).all(axis=1).any()
    _, rows = ran(kin["training rows"](None), X=x)
    assert sorted(map(tuple, rows)) == sorted(map(tuple, x))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mean or mode", "nearest known rows", "iterated trees"])
def test_gaps_are_filled_in_as_well_as_by_the_rival(name):
    import pandas as pd

    random = np.random.default_rng(0)
    base = random.normal(size=(400, 2))
    frame = pd.DataFrame(np.hstack([base, base @ np.array([[1, 0.5], [-0.5, 1]]) + 0.2 * random.normal(size=(400, 2))]))
    frame["kind"] = np.where(base[:, 0] + 0.3 * random.normal(size=400) > 0, "high", "low")
    frame.columns = list("abcde")
    data = read(frame.mask(random.random(frame.shape) < 0.05))
    splits = splits_of(data, "imputation")
    columns, one = imputation.asked(splits)
    laid = one.truth.copy()
    for cell in columns:
        laid[one.gone[:, columns.index(cell)], cell.gap] = 1 - cell.absent
    rows = {}
    for part, x in (("train", splits.train.x), ("asked", laid)):
        rows[part] = {"X": x, "layout": splits.layout}
        exec(GAPS, rows[part])
    kin = FACETS["imputation"].kin[name](splits)
    if isinstance(kin, Lines):
        trees = partial(imputation.by_trees, rows["train"]["X"], rows["asked"]["X"], splits.layout)
        found = trees(seed=int(re.search(r"seed=(\d+)", kin.code()).group(1)))
    else:
        found = made(kin, rows["train"]["X"])[1](rows["asked"]["X"])
    told = FACETS["imputation"].rivals[name](splits)["imputation_error"]
    found = imputation.settled(found.astype(np.float32), splits.layout)
    assert imputation.graded(found, one, columns)["imputation_error"] == pytest.approx(told, rel=0.02)
    cells, known = splits.layout.filled(found), ~one.gone
    assert cells[known] == pytest.approx(splits.layout.filled(one.truth)[known])
