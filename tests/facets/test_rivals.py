"""Sparse coding and marginalised denoising: their optimality, and that they stand in the facets."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from contenders import digits, split

from isthmus.facets import FACETS, features, lasso, rivals, robustness
from isthmus.facets.facet import Rows, Splits
from isthmus.metrics.fidelity import explained_variance


@pytest.fixture(scope="module")
def splits():
    return split(*digits(), latents=8)


@pytest.mark.slow
def test_sparse_codes_are_minima_for_their_dictionary(splits):
    """A code is the minimum of half the squared error plus the penalty: its subgradient holds 0 in every element."""
    found = rivals.sparse_coding(splits)
    again = rivals.sparse_coding(splits)
    assert np.array_equal(found.codes, again.codes)
    assert found.codes.shape == (len(splits.test.x), 8)
    assert found.rebuilt.shape == splits.test.x.shape
    mean = splits.train.x.mean(axis=0, dtype=np.float64)
    flat = (found.rebuilt - mean.reshape(found.rebuilt.shape[1:])).reshape(len(found.codes), -1)
    atoms = np.linalg.lstsq(found.codes.astype(np.float64), flat, rcond=None)[0]
    residual = (splits.test.x - found.rebuilt).reshape(len(flat), -1)
    pull = residual @ atoms.T
    active = found.codes != 0
    assert np.abs(pull[active] - found.penalty * np.sign(found.codes[active])).max() < 0.02
    assert np.abs(pull[~active]).max() < found.penalty + 0.02


@pytest.mark.slow
def test_sparse_coding_beats_the_mean_and_not_its_own_ceiling(splits):
    share = explained_variance(splits.test.x, rivals.sparse_coding(splits).rebuilt, splits.train.x.mean(axis=0))
    assert 0.3 < share < 0.9


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("units", "penalty"), [(6, 0.3), (12, 0.05), (30, 0.3)])
def test_dictionaries_and_codes_are_those_of_scikit_learn(units, penalty):
    """With fewer atoms than columns the same numbers; with more, where minima lie in a valley, none that is worse."""
    from sklearn.decomposition import MiniBatchDictionaryLearning

    random = np.random.default_rng(units)
    x = random.laplace(size=(150, 20)) @ random.normal(size=(20, 20))
    x -= x.mean(axis=0)
    options = {"max_iter": 4, "transform_max_iter": 5000, "batch_size": 64, "random_state": 5}
    learner = MiniBatchDictionaryLearning(
        units, alpha=penalty, fit_algorithm="cd", transform_algorithm="lasso_cd", transform_alpha=penalty, **options
    )
    theirs = learner.fit_transform(x)
    atoms = lasso.dictionary(x, units, penalty, batch=64, epochs=4, sweeps=5000, seed=5)
    codes = lasso.codes(x, learner.components_, penalty, 5000)

    def cost(z, atoms):
        return 0.5 * np.square(x - z @ atoms).sum() + penalty * np.abs(z).sum()

    assert cost(codes, learner.components_) <= cost(theirs, learner.components_) * (1 + 1e-6)
    if units < x.shape[1]:
        assert atoms == pytest.approx(learner.components_, abs=1e-4)
        assert codes == pytest.approx(theirs, abs=1e-3)


def test_codes_that_trade_places_settle_in_few_passes():
    """Two atoms that are nearly one: passes alone would need thousands."""
    atoms = np.array([[1.0, 0.0], [1.0, 1e-2]]) / 1.0001
    x = np.array([[3.0, 0.01], [2.0, 0.02], [-1.0, 0.0]])
    codes = lasso.codes(x, atoms, 1e-6, 40)
    pull = (x - codes @ atoms) @ atoms.T
    assert np.abs(pull).max() < 1e-6 * (1 + 1e-6)
    assert np.abs(pull[codes != 0] - 1e-6 * np.sign(codes[codes != 0])).max() < 1e-9


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_codes_of_many_atoms_in_few_columns_are_minima_after_few_passes(seed):
    """As in a dictionary that is wider than its rows: several atoms are nearly one, and most go out of use."""
    random = np.random.default_rng(seed)
    x, atoms = random.normal(size=(36, 3)), np.repeat(random.normal(size=(8, 3)), 4, axis=0)
    atoms += 0.02 * random.normal(size=atoms.shape)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = lasso.codes(x, atoms, 0.03, 40)
    pull = (x - codes @ atoms) @ atoms.T
    assert np.abs(pull).max() < 0.03 + 1e-5
    assert np.abs(pull[codes != 0] - 0.03 * np.sign(codes[codes != 0])).max() < 1e-5


@pytest.mark.parametrize("options", [{"hidden": 0.2}, {"hidden": 0.0, "added": 1.0}, {"hidden": 0.3, "added": 0.5}])
def test_the_denoiser_is_least_squares_over_all_ways_to_hide_and_add(options):
    """In closed form what many corrupted copies of the rows come to."""
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 3)).astype(np.float32) + 1
    copies = np.repeat(x.astype(np.float64), 4000, axis=0)
    seen = copies * (random.random(copies.shape) >= options["hidden"])
    seen += options.get("added", 0.0) * random.normal(size=copies.shape)
    hidden = np.append(seen, np.ones((len(copies), 1)), axis=1)
    brute = np.linalg.lstsq(hidden, copies, rcond=None)[0].T
    assert rivals.denoiser(x, **options) == pytest.approx(brute, abs=0.02)


def test_features_are_of_the_training_rows_alone():
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    encode = rivals.marginalised_denoising(x, 0.5)
    assert encode(x).shape == (30, 4)
    assert encode(x[:5]) == pytest.approx(encode(x)[:5])
    assert np.abs(encode(x)).max() < 1
    assert np.isfinite(rivals.marginalised_denoising(np.zeros_like(x), 0.5)(x)).all()


@pytest.mark.parametrize("rows", [100, 1800, 50_000])
@pytest.mark.parametrize("units", [2, 32, 256, 4096])
def test_no_rival_works_longer_than_its_bound(rows, units):
    """Counted, not timed: whatever the rows and the units, and no clock decides what is cut."""
    one = rivals.sparse_bound(rows, rows // 3, rows // 3, units)
    visits = 3 * (8 * one.rows + min(rows // 3, one.rows)) + rows // 3
    assert one.rounds * one.units**2 * visits <= rivals.WORK * 1.01
    assert rivals.LEAST_SWEEPS <= one.rounds <= rivals.SWEEPS
    assert 1 <= one.units <= units
    assert 1 <= one.rows <= rows
    other = rivals.components_bound(rows, units)
    assert other.rounds * (2 * rows * other.units**2 + 10 * other.units**3) <= rivals.WORK_OF_PRODUCTS * 1.01
    assert 1 <= other.units <= units


@pytest.mark.slow
def test_a_bounded_rival_says_so_and_is_bounded(splits, monkeypatch):
    assert rivals.bounded("sparse coding", splits) == ""
    assert rivals.bounded("knn", splits) == ""
    monkeypatch.setattr(rivals, "WORK", 5e6)
    bound = rivals.sparse_bound(*(len(rows.x) for rows in splits[:3]), 8)
    assert bound.rows < len(splits.train.x)
    found = rivals.sparse_coding(splits)
    assert found.codes.shape == (len(splits.test.x), bound.units)
    assert f"{bound.rows:,} of {len(splits.train.x):,} rows" in rivals.bounded("sparse coding", splits)
    monkeypatch.setattr(rivals, "WORK_OF_PRODUCTS", 1e5)
    assert "of 8 units" in rivals.bounded("independent components", splits)
    fewer = rivals.components_bound(len(splits.train.x), 8).units
    assert rivals.independent_components(splits)[0].shape[1] == fewer < 8


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, -1])
def test_the_penalty_is_that_which_rebuilds_validation_rows_best(splits, monkeypatch, order):
    """As families are tuned: by validation rows, and not by the test rows."""
    tried, errors = rivals.PENALTIES[::order], {}
    for penalty in tried:
        monkeypatch.setattr(rivals, "PENALTIES", (penalty,))
        rebuilt = rivals.sparse_coding(splits._replace(test=splits.valid)).rebuilt
        errors[penalty] = float(np.square(rebuilt - splits.valid.x).mean())
    monkeypatch.setattr(rivals, "PENALTIES", tried)
    blind = splits._replace(test=splits.test._replace(x=splits.test.x[:3] * 0))
    assert len(set(errors.values())) == len(tried)
    assert rivals.sparse_coding(blind).penalty == min(errors, key=errors.get)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, -1])
def test_the_noise_is_that_whose_features_tell_validation_rows_apart(splits, monkeypatch, order):
    facet, module = FACETS["features"], sys.modules["isthmus.facets.features"]
    rival, tried, wrong, alone = facet.rivals["marginalised denoising"], rivals.NOISES[::order], {}, {}
    for noise in tried:
        coder = SimpleNamespace(encode_scaled=rivals.marginalised_denoising(splits.train.x, noise))
        wrong[noise] = facet.criterion(coder, splits)
        monkeypatch.setattr(module, "NOISES", (noise,))
        alone[noise] = rival(splits)["probe_accuracy"]
    monkeypatch.setattr(module, "NOISES", tried)
    best = min(wrong, key=wrong.get)
    assert [alone[noise] for noise in tried].count(alone[best]) == 1
    assert rival(splits)["probe_accuracy"] == alone[best]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("facet", "rival"),
    [
        ("reconstruction", "sparse coding"),
        ("sparsity", "sparse coding"),
        ("features", "marginalised denoising"),
        ("robustness", "marginalised denoising"),
    ],
)
def test_they_answer_the_facet(splits, facet, rival):
    found = FACETS[facet].rivals[rival](splits)
    assert FACETS[facet].primary in found
    assert np.isfinite(found[FACETS[facet].primary])


def test_neighbours_among_very_many_rows_are_a_seeded_draw_that_is_told(monkeypatch):
    x = np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32)
    rows = [Rows(part, None) for part in (x[:2000], x[2000:2500], x[2500:])]
    splits = Splits(*rows, seed=1, latents=2)
    whole = FACETS["anomaly"].rivals["knn"](splits)
    assert rivals.bounded("knn", splits) == ""
    monkeypatch.setattr(rivals, "PAIRS", 500 * 1200.0)
    few = FACETS["anomaly"].rivals["knn"](splits)
    assert rivals.bounded("knn", splits) == "bounded to 1,200 of 2,000 rows"
    assert (few["anomaly_score"] >= whole["anomaly_score"]).all()
    assert (few["anomaly_score"] > whole["anomaly_score"]).any()
    assert few["auroc_planted"] == pytest.approx(whole["auroc_planted"], abs=0.05)
    other = FACETS["anomaly"].rivals["knn"](splits._replace(seed=2))
    assert (other["anomaly_score"] != few["anomaly_score"]).any()


@pytest.mark.parametrize("rows", [1000, 400_000, 10**8])
@pytest.mark.parametrize("width", [3, 784, 20_000])
def test_neighbours_take_bounded_work(rows, width):
    known, asked = rivals.known_bound(6 * rows, 2 * rows, width), 2 * rows
    assert known == rivals.LEAST_KNOWN or known * asked <= rivals.PAIRS
    assert known == rivals.LEAST_KNOWN or known * asked * width <= rivals.PRODUCTS


def test_marginalised_denoising_of_very_wide_rows_is_not_asked_and_says_so(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32), np.arange(90) % 2
    splits = Splits(*(Rows(x[i : i + 30], y[i : i + 30]) for i in (0, 30, 60)), seed=0, latents=2)
    monkeypatch.setattr(features, "SOLVED", 5)
    monkeypatch.setattr(robustness, "SOLVED", 5)
    monkeypatch.setattr(rivals, "SOLVED", 5)
    monkeypatch.setattr(features, "marginalised_denoising", lambda *_: pytest.fail("was asked"))
    for facet in ("features", "robustness"):
        found = FACETS[facet].rivals["marginalised denoising"](splits)
        assert all(np.isnan(value) for value in found.values())
    assert rivals.bounded("marginalised denoising", splits) == "not asked: 6 columns, solved up to 5"
