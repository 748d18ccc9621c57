"""The scikit-learn face: its own checks, and what they do not ask."""

import copy
import inspect
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from isthmus.errors import BadInput
from isthmus.estimator.classifier import AutoencoderClassifier
from isthmus.estimator.detector import AnomalyDetector
from isthmus.estimator.network import PLAN, in_order
from isthmus.estimator.transformer import Autoencoder
from isthmus.families import DEFAULT, FAMILIES, named
from isthmus.ship.artefact import load, save
from isthmus.train.plan import Plan
from scikit import KINDS, OWN, asked
from scikit import named as checked

IRIS = load_iris().data
SMALL = {"steps": 20, "check": 10, "batch": 16, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([Autoencoder("plain", **SMALL)])
def test_scikit_learn_finds_nothing(estimator, check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else one check would be skipped
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "check"), asked({name: Autoencoder(name, **SMALL) for name in FAMILIES if name != "plain"})
)
def test_scikit_learn_finds_nothing_in_any_family(estimator, check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else one check would be skipped
    check(estimator)


def test_checks_in_which_families_have_a_say_are_there() -> None:
    both = (Autoencoder(), AnomalyDetector())
    assert {checked(check) for one in both for _, check in estimator_checks_generator(one)} > OWN
    assert set(KINDS) < set(FAMILIES)


@pytest.mark.slow
@parametrize_with_checks(
    [AutoencoderClassifier(Autoencoder(name, **SMALL), steps=40) for name in ("plain", "topk", "pca")]
)
def test_scikit_learn_finds_nothing_in_the_classifier(estimator, check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


# --------------------------------------------------------------------------------------------------- parameters


def test_the_parameters_are_those_of_the_plan_with_its_defaults() -> None:
    own = inspect.signature(Autoencoder).parameters
    assert set(PLAN) < set(own)
    assert all(own[name].default == getattr(Plan(), name) for name in PLAN)


@pytest.mark.slow
def test_every_plan_field_reaches_the_training() -> None:
    other = {
        "steps": 7, "batch": 5, "learning_rate": 0.5, "schedule": "cosine", "warmup": 0.4, "clip": 0.1, "check": 3,
        "weight_decay": 0.2, "patience": 2, "tolerance": 0.5, "factor": 0.7, "drops": 5,
        "stages": "layerwise", "precision": "bfloat16",
    }  # fmt: skip
    assert set(other) == set(PLAN)
    for name, value in other.items():
        deep = named("plain").set_params(hidden=(6,))
        plan = Autoencoder(deep, **(SMALL | {name: value})).fit(IRIS).fitted_.plan
        given = {k: v for k, v in SMALL.items() if k != "random_state"} | {name: value}
        assert plan == Plan(**given).of(deep)


def test_recipe_fields_are_reached_through_a_name_and_through_a_recipe() -> None:
    by_name = Autoencoder("l1", **SMALL).set_params(recipe__strength=0.5, recipe__latents=3)
    by_recipe = Autoencoder(named("l1"), **SMALL).set_params(recipe__strength=0.5, recipe__latents=3)
    together = Autoencoder(**SMALL).set_params(recipe="l1", recipe__strength=0.5, recipe__latents=3)
    for model in (by_name, by_recipe, together):
        assert model.get_params()["recipe__strength"] == 0.5
        fitted = model.fit(IRIS).fitted_
        assert fitted.recipe.to_json() == named("l1").set_params(strength=0.5, latents=3).to_json()
        assert fitted.model.weights["l1"] == 0.5
    assert FAMILIES["l1"].strength != 0.5


def test_latents_wins_over_the_recipe_and_leaves_it_alone() -> None:
    recipe = named("plain").set_params(latents=3)
    model = Autoencoder(recipe, latents=6, **SMALL).fit(IRIS)  # wider than the data: allowed
    assert model.transform(IRIS).shape == (150, 6)
    assert recipe.latents == 3
    assert Autoencoder(recipe, **SMALL).fit(IRIS).transform(IRIS).shape == (150, 3)


def test_numpy_numbers_from_a_grid_are_numbers() -> None:
    model = Autoencoder(
        named("topk").set_params(k=np.int64(2)), latents=np.int64(5), steps=np.int64(4), learning_rate=np.float32(0.25)
    )
    assert model.fit(IRIS).fitted_.recipe.to_json()["k"] == 2
    assert model.fitted_.plan.learning_rate == 0.25


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"recipe": "plane"}, "did you mean plain"),
        ({"recipe": 3}, "recipe must be"),
        ({"recipe": named("topk").set_params(k=4), "latents": 2}, "k must be"),
        ({"latents": 0}, "latents"),
        ({"steps": 0}, "steps"),
        ({"validation": 0.0}, "validation"),
        ({"validation": 1}, "validation"),
        ({"validation": "much"}, "validation"),
        ({"scale": "log"}, "log"),
    ],
)
def test_parameters_without_sense_are_refused_in_fit(params: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Autoencoder(**(SMALL | params)).fit(IRIS)


def test_validation_sets_the_share_of_rows_held_out() -> None:
    """The scaler is fitted on the training rows, so it shows which they were."""
    rows = np.arange(20.0).reshape(10, 2)
    for share, aside in ((0.2, 2), (0.5, 5), (0.01, 1), (0.99, 9)):
        train, valid, _ = Autoencoder(validation=share, random_state=0)._split(len(rows))
        assert len(valid) == aside
        assert sorted([*train, *valid]) == list(range(10))
        scaler = Autoencoder("pca", latents=1, validation=share, random_state=0).fit(rows).fitted_.layout
        np.testing.assert_allclose(scaler.shift, rows[in_order(rows)][train].mean(0))


def test_scale_is_honoured() -> None:
    for kind in ("standard", "unit", "none"):
        assert Autoencoder(scale=kind, **SMALL).fit(IRIS).fitted_.layout.kind == kind


def test_verbose_speaks_and_is_silent_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    Autoencoder(**SMALL).fit(IRIS)
    assert capsys.readouterr() == ("", "")
    Autoencoder(**SMALL, verbose=1).fit(IRIS)
    out = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in out] == ["[Autoencoder] step 10 of 20", "[Autoencoder] step 20 of 20"]


# ------------------------------------------------------------------------------------------------------ numbers


def test_pca_is_scikit_learns() -> None:
    """On all rows but the held-out ones, standardised: same subspace, same reconstruction, same explained variance."""
    model = Autoencoder("pca", latents=2, random_state=0, scale="none").fit(IRIS)
    train, _, _ = model._split(len(IRIS))
    exact = PCA(2).fit(IRIS[in_order(IRIS)][train])
    back = exact.inverse_transform(exact.transform(IRIS))
    np.testing.assert_allclose(model.inverse_transform(model.transform(IRIS)), back, atol=1e-5)
    np.testing.assert_allclose(model.deployed_.errors(IRIS), np.square(IRIS - back).mean(1), atol=1e-5)
    expected = 1 - np.square(IRIS - back).sum() / np.square(IRIS - IRIS.mean(0)).sum()
    assert model.score(IRIS) == pytest.approx(expected, abs=1e-6)
    assert model.n_iter_ == 0


def test_score_counts_scaled_columns_about_the_training_mean() -> None:
    rows = IRIS * [1.0, 10.0, 100.0, 1000.0]
    model = Autoencoder("pca", latents=1, random_state=0).fit(rows)
    scaler = model.fitted_.layout
    back = model.inverse_transform(model.transform(rows))
    error, spread = (((rows - other) / scaler.scale) ** 2 for other in (back, rows.mean(0)))
    assert model.score(rows) == pytest.approx(1 - error.sum() / spread.sum())
    np.testing.assert_allclose(model.deployed_.errors(rows), error.mean(1), atol=1e-6)
    assert model.score(rows + 5 * rows.std(0)) < 1  # another mean in the test rows is not forgiven
    exact = Autoencoder("pca", latents=4, random_state=0).fit(rows)
    assert exact.score(rows) == pytest.approx(1.0, abs=1e-10)
    alone = np.tile(rows.mean(0), (3, 1))
    assert model.score(alone) in {0.0, 1.0}


def test_score_samples_finds_what_is_unlike_the_training() -> None:
    rows = IRIS.copy()
    rows[7] = [9.0, 0.1, 0.1, 9.0]
    model = Autoencoder("pca", latents=2, random_state=0).fit(IRIS)
    assert np.argmin(model.score_samples(rows)) == 7


def test_the_face_agrees_with_the_model_it_wraps() -> None:
    model = Autoencoder("vae", latents=2, **SMALL).fit(IRIS)
    fitted, rows = model.fitted_, IRIS.astype(np.float32)
    np.testing.assert_allclose(model.transform(rows), fitted.encode(rows), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.transform(IRIS), fitted.encode(rows), rtol=1e-4, atol=1e-5)
    codes = fitted.encode(rows)
    np.testing.assert_allclose(model.inverse_transform(codes), fitted.decode(codes), rtol=1e-5)
    np.testing.assert_allclose(model.score_samples(rows), -model.deployed_.scores(rows), rtol=1e-4, atol=1e-5)


def test_many_rows_are_taken_in_blocks_without_a_difference() -> None:
    rows = np.random.default_rng(0).normal(size=(9000, 4))
    model = Autoencoder(latents=2, **SMALL).fit(rows[:100])
    codes = model.transform(rows)
    assert codes.shape == (9000, 2)
    np.testing.assert_allclose(codes[4090:4100], model.transform(rows[4090:4100]), rtol=1e-12, atol=1e-12)


def test_codes_of_the_wrong_width_are_refused() -> None:
    model = Autoencoder(latents=2, **SMALL).fit(IRIS)
    with pytest.raises(BadInput, match="3 columns, but the code of this autoencoder has 2"):
        model.inverse_transform(np.zeros((1, 3)))
    for name in ("transform", "inverse_transform", "score", "score_samples"):
        with pytest.raises(NotFittedError):
            getattr(Autoencoder(), name)(IRIS)


# -------------------------------------------------------------------------------------------------- determinism


def test_random_state_fixes_everything_and_nothing_else_does() -> None:
    fit = [Autoencoder("vae", **(SMALL | {"random_state": s})).fit_transform(IRIS) for s in (0, 0, 1)]
    np.testing.assert_array_equal(fit[0], fit[1])
    assert not np.allclose(fit[0], fit[2])
    same = [np.random.RandomState(3) for _ in range(2)]
    again = [Autoencoder(**(SMALL | {"random_state": s})).fit_transform(IRIS) for s in same]
    np.testing.assert_array_equal(*again)


def test_the_global_state_of_torch_is_left_alone() -> None:
    before = torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    model = Autoencoder("vae", **SMALL).fit(IRIS)
    model.inverse_transform(model.transform(IRIS))
    model.score(IRIS)
    after = torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_a_training_cut_short_and_one_that_diverged_are_told() -> None:
    with pytest.warns(ConvergenceWarning, match="cut at 20 steps"):
        Autoencoder(**SMALL).fit(IRIS)
    with pytest.warns(ConvergenceWarning, match="diverged at step"):
        model = Autoencoder(**(SMALL | {"learning_rate": 1e30})).fit(IRIS)
    assert np.isfinite(model.transform(IRIS)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Autoencoder("pca").fit(IRIS)
        Autoencoder(latents=2, random_state=0, schedule="cosine", steps=20, check=10).fit(IRIS)


# ------------------------------------------------------------------------------------------------------ labels


def digits() -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(1797)
    X, y = load_digits(return_X_y=True)
    return X[order], y[order]


@pytest.mark.slow
def test_labels_of_a_few_rows_and_the_shape_of_all() -> None:
    """Fine-tuning beats the same code frozen; rows without a label help the autoencoder and not the labels."""
    X, y = digits()
    some = np.where(np.arange(1200) < 300, y[:1200], -1)
    base = Autoencoder(named("denoising").set_params(hidden=(48,)), steps=800, random_state=0)
    tuned, frozen = (AutoencoderClassifier(base, frozen=f, random_state=0).fit(X[:1200], some) for f in (False, True))
    assert tuned.score(X[1200:], y[1200:]) > frozen.score(X[1200:], y[1200:])
    assert tuned.score(X[1200:], y[1200:]) > 0.9
    assert list(tuned.classes_) == list(range(10))
    alone = clone(base).fit(X[:1200])
    np.testing.assert_array_equal(tuned.autoencoder_.transform(X[:9]), alone.transform(X[:9]))
    proba = tuned.predict_proba(X[1200:])
    np.testing.assert_allclose(proba.sum(1), 1.0)
    np.testing.assert_array_equal(tuned.predict(X[1200:]), tuned.classes_[proba.argmax(1)])


@pytest.mark.slow
def test_every_parameter_of_the_classifier_has_an_effect() -> None:
    y = load_iris().target
    base = Autoencoder("denoising", **SMALL)
    usual = {"autoencoder": base, "steps": 30, "learning_rate": 0.01, "random_state": 0}
    first, again = (AutoencoderClassifier(**usual).fit(IRIS, y).predict_proba(IRIS) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = {
        "autoencoder": Autoencoder("l1", **SMALL), "frozen": True, "corrupt": True, "steps": 9, "learning_rate": 0.1,
        "random_state": 1,
    }  # fmt: skip
    assert set(other) == set(inspect.signature(AutoencoderClassifier).parameters)
    for name, value in other.items():
        changed = AutoencoderClassifier(**(usual | {name: value})).fit(IRIS, y).predict_proba(IRIS)
        assert not np.allclose(first, changed), name
    free = AutoencoderClassifier(Autoencoder(**(SMALL | {"random_state": None})), steps=5, random_state=4)
    twice = [clone(free).fit(IRIS, y).autoencoder_.transform(IRIS) for _ in range(2)]
    np.testing.assert_array_equal(*twice)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["pca", "vq", "rvq", "lfq"])
def test_an_encoder_that_no_gradient_reaches_is_left_as_it_is(family: str) -> None:
    y, base = np.arange(150) // 50, Autoencoder(family, **SMALL)
    usual, frozen = (
        AutoencoderClassifier(base, steps=40, random_state=0, **more).fit(IRIS, y) for more in ({}, {"frozen": True})
    )
    np.testing.assert_array_equal(usual.predict_proba(IRIS), frozen.predict_proba(IRIS))
    with pytest.raises(BadInput, match="no gradient reaches the encoder"):
        AutoencoderClassifier(base, frozen=False, random_state=0).fit(IRIS, y)


@pytest.mark.slow
def test_labels_may_be_words_and_the_classifier_stands_in_pipelines() -> None:
    names = load_iris().target_names[load_iris().target]
    model = AutoencoderClassifier(Autoencoder(latents=4, steps=300, random_state=0), learning_rate=0.02, random_state=0)
    assert cross_val_score(make_pipeline(StandardScaler(), model), IRIS, names, cv=3).mean() > 0.85
    grid = GridSearchCV(clone(model).set_params(steps=200), {"autoencoder__latents": [1, 4]}, cv=2).fit(IRIS, names)
    assert set(grid.predict(IRIS)) <= set(names)
    frame = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    assert list(clone(model).fit(frame, names).autoencoder_.feature_names_in_) == ["a", "b", "c", "d"]


def test_the_classifier_says_what_is_wrong() -> None:
    with pytest.raises(BadInput, match="no row has a label"):
        AutoencoderClassifier(Autoencoder(**SMALL)).fit(IRIS, np.full(150, -1))
    with pytest.raises(BadInput, match="corruption"):
        AutoencoderClassifier(Autoencoder(**SMALL), corrupt=True).fit(IRIS, load_iris().target)
    with pytest.warns(ConvergenceWarning, match="fine-tuning: training was cut at 5 steps"):
        AutoencoderClassifier(Autoencoder(**SMALL), steps=5).fit(IRIS, load_iris().target)
    with pytest.raises(NotFittedError):
        AutoencoderClassifier().predict(IRIS)


# ----------------------------------------------------------------------------------------------- among the others


def test_frames_in_frames_out() -> None:
    frame = pd.DataFrame(IRIS, columns=["a", "b", "c", "d"])
    model = Autoencoder(latents=2, **SMALL).set_output(transform="pandas").fit(frame)
    codes = model.transform(frame)
    assert list(codes.columns) == list(model.get_feature_names_out()) == ["autoencoder0", "autoencoder1"]
    assert list(model.feature_names_in_) == list(model.fitted_.columns) == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(codes, clone(model).set_output(transform="default").fit(frame).transform(frame))
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame.rename(columns={"a": "z"}))
    polar = pl.DataFrame(IRIS, schema=["a", "b", "c", "d"])
    assert isinstance(Autoencoder(**SMALL).set_output(transform="polars").fit_transform(polar), pl.DataFrame)


@pytest.mark.slow
def test_in_a_pipeline_and_a_grid_search() -> None:
    y = load_iris().target
    grid = GridSearchCV(
        Autoencoder("l1", latents=2, **SMALL), {"recipe__strength": [0.01, 100.0], "steps": [20, 40]}, cv=2
    ).fit(IRIS)
    assert grid.best_params_["recipe__strength"] == 0.01
    assert grid.best_estimator_.fitted_.recipe.strength == 0.01
    pipe = make_pipeline(Autoencoder("pca", latents=3, random_state=0), LogisticRegression(max_iter=1000))
    assert cross_val_score(pipe, IRIS, y, cv=3).mean() > 0.9
    assert GridSearchCV(pipe, {"autoencoder__latents": [1, 3]}, cv=2).fit(IRIS, y).best_params_ is not None


@pytest.mark.slow
def test_a_grid_search_in_two_processes_finds_the_same() -> None:
    search = [
        GridSearchCV(Autoencoder("kl", latents=2, **SMALL), {"recipe__target": [0.1, 0.3]}, cv=2, n_jobs=n).fit(IRIS)
        for n in (1, 2)
    ]
    np.testing.assert_array_equal(*(s.cv_results_["mean_test_score"] for s in search))


@pytest.mark.parametrize("family", DEFAULT)
def test_clone_copies_the_settings_and_pickle_in_memory_the_rest(family: str) -> None:
    model = Autoencoder(named(family), **SMALL).fit(IRIS)
    assert not hasattr(clone(model), "fitted_")
    assert clone(model).recipe.to_json() == model.recipe.to_json()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(IRIS), model.transform(IRIS))


def test_what_it_fitted_can_be_saved(tmp_path) -> None:
    model = Autoencoder("topk", **SMALL).fit(IRIS)
    back = load(save(model, tmp_path / "iris"))
    np.testing.assert_array_equal(back.encode(IRIS), model.fitted_.encode(IRIS))


def test_it_shows_itself() -> None:
    model = Autoencoder(named("l1").set_params(strength=0.5), latents=3)
    assert repr(model) == "Autoencoder(latents=3, recipe=L1(strength=0.5))"
    assert "strength" in model._repr_html_()


def convolutional():
    return named("plain").set_params(backbone="conv2d", hidden=(2, 4), latents=3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_with_axes_of_their_own_keep_them():
    X = load_digits().images[:200]
    model = Autoencoder(convolutional(), steps=5, random_state=0).fit(X)
    codes = model.transform(X)
    assert codes.shape == (200, 3)
    assert model.inverse_transform(codes).shape == X.shape
    assert (model.n_features_in_, model.fitted_.shape, model.fitted_.layout.kind) == (64, (8, 8), "unit")
    np.testing.assert_array_equal(model.transform(X.reshape(200, 64)), codes)
    assert model.score_samples(X).shape == (200,)
    assert np.isfinite(model.score(X))
    with pytest.raises(ValueError, match=r"rows must have shape \(8, 8\)"):
        model.transform(X.reshape(200, 4, 16))
    labels = AutoencoderClassifier(Autoencoder(convolutional(), steps=5), steps=5, random_state=0)
    assert labels.fit(X, load_digits().target[:200]).predict(X).shape == (200,)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_flat_rows_are_given_their_shape_in_a_pipeline():
    X = load_digits().data[:200]
    line = make_pipeline(StandardScaler(), Autoencoder(convolutional(), steps=5, shape=(8, 8), random_state=0)).fit(X)
    assert line[-1].fitted_.shape == (8, 8)
    assert line.inverse_transform(line.transform(X)).shape == X.shape
    with pytest.raises(ValueError, match=r"takes images .*\(64,\): .* in their shape \(Autoencoder: shape=\)"):
        Autoencoder(convolutional(), steps=5).fit(X)
    with pytest.raises(ValueError, match=r"shape=\(8, 9\) does not fit rows of shape \(64,\)"):
        Autoencoder(convolutional(), steps=5, shape=(8, 9)).fit(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_in_another_unit_are_told_once_where_models_meet_them():
    import isthmus

    X = load_digits().images[:200] / 16 * 255
    model = Autoencoder(steps=5, random_state=0).fit(X)
    for call in (model.transform, model.score_samples, isthmus.fit(named("pca"), X).encode):
        call(X)
        with pytest.warns(UserWarning, match="in another unit, such as 0 to 1 for 0 to 255"):
            call(X / 255)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_axes_are_as_said_or_a_warning_says_how_they_are_taken():
    X = np.random.default_rng(0).normal(size=(60, 6, 6))
    with pytest.warns(UserWarning, match="not taken for images"):
        model = Autoencoder(steps=5, random_state=0).fit(X)
    assert model.fitted_.layout.kind == "standard"
    assert Autoencoder(steps=5, images=False, random_state=0).fit(X).fitted_.layout.kind == "standard"
    assert Autoencoder(steps=5, images=True, random_state=0).fit(X).fitted_.layout.kind == "unit"


def test_a_model_is_copied_to_float64_when_it_is_fitted_and_never_when_it_answers(monkeypatch):
    made, real = [], copy.deepcopy
    monkeypatch.setattr("copy.deepcopy", lambda one, *more: made.append(type(one).__name__) or real(one, *more))
    model = Autoencoder("plain", latents=2, steps=40, random_state=0).fit(IRIS)
    assert made.count("PlainModel") == 1
    made.clear()
    model.inverse_transform(model.transform(IRIS))
    model.score(IRIS)
    model.score_samples(IRIS)
    assert made == []
    single = Autoencoder("plain", latents=2, steps=40, random_state=0, dtype="float32").fit(IRIS)
    assert "PlainModel" not in made
    assert single._answers.precision == np.float32
    np.testing.assert_allclose(single.transform(IRIS), model.transform(IRIS), atol=1e-5)
    assert not np.array_equal(single.transform(IRIS), model.transform(IRIS))
    with pytest.raises(BadInput, match="dtype must be float64 or float32"):
        Autoencoder(dtype="half", **SMALL).fit(IRIS)


# ------------------------------------------------------------------------------------------- weights, order, more rows


def test_order_says_nothing_and_a_weight_says_how_often() -> None:
    random = np.random.default_rng(0)
    often = random.integers(0, 4, len(IRIS))
    turn = random.permutation(len(IRIS))
    rows = np.repeat(IRIS, often, axis=0)
    weighed = Autoencoder("vae", latents=2, **SMALL).fit(IRIS[turn], sample_weight=often[turn])
    repeated = Autoencoder("vae", latents=2, **SMALL).fit(rows)
    other = Autoencoder("vae", latents=2, **SMALL).fit(IRIS)
    np.testing.assert_array_equal(weighed.transform(IRIS), repeated.transform(IRIS))
    np.testing.assert_array_equal(weighed.mean_, repeated.mean_)
    assert not np.allclose(weighed.transform(IRIS), other.transform(IRIS))
    with pytest.raises(BadInput, match="above 0 for two rows"):
        Autoencoder(**SMALL).fit(IRIS, sample_weight=np.eye(1, len(IRIS))[0])
    y = load_iris().target
    kinds = [
        AutoencoderClassifier(Autoencoder(latents=2, **SMALL), steps=9, random_state=0).fit(*given).predict_proba(IRIS)
        for given in ((IRIS[turn], y[turn], often[turn]), (rows, np.repeat(y, often)), (IRIS, y))
    ]
    np.testing.assert_array_equal(kinds[0], kinds[1])
    assert not np.allclose(kinds[0], kinds[2])


def test_weights_are_routed_through_a_pipeline() -> None:
    often = np.arange(len(IRIS)) % 3
    alone = Autoencoder("pca", latents=2, random_state=0).fit(IRIS, sample_weight=often)
    with sklearn.config_context(enable_metadata_routing=True):
        step = Autoencoder("pca", latents=2, random_state=0).set_fit_request(sample_weight=True)
        routed = make_pipeline(step).fit(IRIS, sample_weight=often)
    np.testing.assert_array_equal(routed.transform(IRIS), alone.transform(IRIS))


@pytest.mark.slow
def test_training_goes_on_with_more_rows() -> None:
    first, later = IRIS[::2], IRIS[1::2] + 0.5
    once = Autoencoder("plain", latents=2, **SMALL).partial_fit(first)
    np.testing.assert_array_equal(
        once.transform(first), Autoencoder("plain", latents=2, **SMALL).fit(first).transform(first)
    )
    before, weights = once.score(later), once.deployed_.model.state_dict()
    weights = {name: value.clone() for name, value in weights.items()}
    for _ in range(20):
        once.partial_fit(later)
    assert once.score(later) > before
    assert any(not torch.equal(value, weights[name]) for name, value in once.deployed_.model.state_dict().items())
    assert once.n_iter_ > 20
    np.testing.assert_allclose(once.mean_, (first.sum(0) + 20 * later.sum(0)) / (21 * 75))
    assert not hasattr(Autoencoder("pca"), "partial_fit")
    with pytest.raises(BadInput, match="needs two rows or more"):
        once.partial_fit(later[:1])


def test_every_training_is_where_it_is_asked_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def find(name: str) -> torch.device:
        asked.append(name)
        return torch.device("cpu")

    monkeypatch.setattr("isthmus.train.fitted.find", find)
    monkeypatch.setattr("isthmus.train.further.find", find)
    for name in ("cpu", "cuda"):
        Autoencoder(device=name, **SMALL).partial_fit(IRIS).partial_fit(IRIS)
        AnomalyDetector(device=name, **SMALL).fit(IRIS)
    assert asked == ["cpu"] * 3 + ["cuda"] * 3
    monkeypatch.undo()
    with pytest.raises(BadInput, match="device must be one of"):
        Autoencoder(device="abacus", **SMALL).fit(IRIS)


def test_new_rows_come_from_the_prior_or_are_like_others() -> None:
    model = Autoencoder("vae", latents=2, **SMALL).fit(IRIS)
    number = int(np.random.RandomState(1).randint(2**31 - 1))
    assert model.sample(7, random_state=1).shape == (7, 4)
    np.testing.assert_array_equal(model.sample(7, random_state=1), model.deployed_.sample(7, number))
    plain = Autoencoder("pca", latents=2, random_state=0).fit(IRIS)
    drawn = plain.sample(2000, like=IRIS, random_state=0)
    np.testing.assert_allclose(drawn.mean(0), IRIS.mean(0), atol=0.1)
    assert not np.allclose(drawn, plain.sample(2000, like=IRIS, random_state=1))
    with pytest.raises(BadInput, match="pca has no prior to draw from: give rows to be like"):
        plain.sample(3)
