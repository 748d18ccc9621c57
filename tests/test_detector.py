"""The detector: scikit-learn's own checks, false alarms at their rate, and one artefact for Python and the shell."""

import inspect
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy.stats import betabinom
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import isthmus
from isthmus.cli import main
from isthmus.errors import BadInput
from isthmus.estimator.detector import AnomalyDetector
from isthmus.estimator.transformer import Autoencoder
from isthmus.families import FAMILIES, named
from isthmus.scorer import Scorer
from isthmus.ship import calibrate
from scikit import asked

IRIS = load_iris().data
SMALL = {"steps": 20, "check": 10, "batch": 16, "random_state": 0}
MIXING = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 1.0]])

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def plane(n: int, seed: int) -> np.ndarray:
    """Five columns of two hidden causes."""
    random = np.random.default_rng(seed)
    causes = random.normal(size=(n, 2))
    return np.hstack([causes, causes @ MIXING + 0.3 * random.normal(size=(n, 3))])


def odd(n: int, seed: int) -> np.ndarray:
    return 6 * np.random.default_rng(seed).normal(size=(n, 5))


def pca(**more: object) -> AnomalyDetector:
    return AnomalyDetector("pca", latents=2, random_state=0, **more)


@parametrize_with_checks([AnomalyDetector("plain", **SMALL)])
def test_scikit_learn_finds_nothing(estimator, check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [AnomalyDetector("pca", calibration=how, folds=3, random_state=0) for how in ("cross", "jackknife+")]
)
def test_scikit_learn_finds_nothing_in_other_calibrations(estimator, check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "check"), asked({name: AnomalyDetector(name, **SMALL) for name in FAMILIES if name != "plain"})
)
def test_scikit_learn_finds_nothing_in_any_family(estimator, check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


# ------------------------------------------------------------------------------------------------------- parameters


def test_its_settings_are_those_of_the_autoencoder_and_its_own() -> None:
    own, other = (inspect.signature(one).parameters for one in (AnomalyDetector, Autoencoder))
    assert set(own) - set(other) == {"rate", "contamination", "calibration", "aside", "folds"}
    assert all(own[name].default == other[name].default for name in other)


@pytest.mark.slow
def test_every_setting_of_its_own_changes_the_answer() -> None:
    x, asked = plane(200, 0), plane(100, 1)
    usual = pca().fit(x)
    for other in (
        {"rate": 0.2}, {"contamination": 0.1}, {"aside": 0.5}, {"rate": 0.1, "contamination": 0.1},
        {"calibration": "cross"}, {"calibration": "jackknife+"}, {"validation": 0.5}, {"random_state": 1},
    ):  # fmt: skip
        found = clone(usual).set_params(**other).fit(x)
        assert not np.allclose(found.decision_function(asked), usual.decision_function(asked)), other
    two, five = (pca(calibration="cross", folds=n).fit(x).score_samples(asked) for n in (2, 5))
    assert not np.allclose(two, five)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"calibration": "loo"}, "calibration must be one of split, cross, jackknife"),
        ({"contamination": 0.7}, "contamination must be above 0 and at most 0.5"),
        ({"aside": 1.0}, "aside must lie between 0 and 1"),
        ({"folds": 1, "calibration": "cross"}, "folds must be a whole number of at least 2"),
        ({"rate": 2.0}, "false-alarm rate must lie between 0 and 1"),
        ({"rate": 0.01}, "38 calibration rows say nothing of a false-alarm rate of 0.01: expected at least 99"),
        ({"rate": 0.005, "calibration": "cross"}, "150 calibration rows say nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_training(params: dict, message: str, monkeypatch) -> None:
    monkeypatch.setattr(AnomalyDetector, "_train", lambda *_: pytest.fail("it trained"))
    with pytest.raises(BadInput, match=message):
        pca(**params).fit(IRIS)


def test_by_name_pca_leaves_something_of_every_row() -> None:
    assert AnomalyDetector("pca", random_state=0).fit(IRIS[:, :3]).deployed_.model.latents == 2
    assert AnomalyDetector("pca", latents=3, random_state=0).fit(IRIS[:, :3]).deployed_.model.latents == 3
    assert AnomalyDetector(named("pca").set_params(latents=3), random_state=0).fit(IRIS[:, :3]).deployed_.crowd is None


# ---------------------------------------------------------------------------------------------------------- decisions


def test_scores_are_those_of_studies() -> None:
    x = plane(400, 0)
    detector = AnomalyDetector("plain", latents=2, steps=60, random_state=0).fit(x)
    one = detector.deployed_
    study = Scorer(one, one.crowd, one.units)
    np.testing.assert_allclose(-detector.score_samples(x), study.scores(one.scaled(x)), rtol=1e-4, atol=1e-4)
    auto = Autoencoder("plain", latents=2, steps=60, random_state=0).fit(x)
    assert auto.deployed_.crowd is not None
    assert np.corrcoef(auto.score_samples(odd(50, 1)), -auto.deployed_.errors(odd(50, 1)))[0, 1] < 0.999


@pytest.mark.slow
@pytest.mark.parametrize("calibration", ["split", "cross", "jackknife+"])
def test_flags_are_p_values_up_to_the_rate(calibration: str) -> None:
    asked = np.vstack([plane(300, 1), odd(30, 2), 1.5 * plane(300, 3)])
    for rate in (0.05, 0.1, 0.3):
        detector = pca(calibration=calibration, rate=rate).fit(plane(200, 0))
        p = detector.p_values(asked)
        np.testing.assert_array_equal(detector.predict(asked) == -1, calibrate.flags(p, rate))
        assert p.min() > 0
        assert p.max() <= 1
        assert detector.rate_ == rate
        assert (detector.predict(odd(200, 4)) == -1).mean() > 0.95


@pytest.mark.slow
def test_false_alarms_keep_their_rate() -> None:
    """How many of 100 fresh normal rows are flagged follows the beta-binomial law of split conformal p-values."""
    law, found = betabinom(100, 3, 28), []  # 30 calibration rows: floor(0.1 * 31) of 31
    for seed in range(40):
        detector = AnomalyDetector("pca", latents=2, rate=0.1, random_state=seed).fit(plane(120, seed))
        found.append(int((detector.predict(plane(100, 1000 + seed)) == -1).sum()))
    assert abs(np.mean(found) - law.mean()) < 3.3 * law.std() / np.sqrt(len(found))


@pytest.mark.slow
def test_a_batch_has_discoveries_a_bound_on_false_ones_and_a_share_of_anomalies() -> None:
    x = np.vstack([plane(900, 5), odd(100, 6)])
    detector = pca(rate=0.02).fit(plane(800, 0))
    p = detector.p_values(x)
    few, many = (detector.discoveries(x, share) == -1 for share in (0.1, 0.5))
    np.testing.assert_array_equal(many, calibrate.discoveries(p, 0.5))
    assert 90 < few.sum() < many.sum()
    assert few[900:].mean() > 0.9
    usual = detector.false_share(x)
    assert usual == calibrate.false_share(p, 0.02, 200)
    assert usual.false > detector.false_share(x, confidence=0.5).false
    assert usual.flagged < detector.false_share(x, rate=0.2).flagged
    share = detector.anomalous_share(x)
    assert share.low < 0.1 < share.high
    surer = detector.anomalous_share(x, confidence=0.5)
    assert share.low < surer.low < surer.high < share.high
    crossed = pca(calibration="cross").fit(plane(200, 0))
    for ask in (crossed.false_share, crossed.anomalous_share):
        with pytest.raises(BadInput, match="fit with calibration='split', not 'cross'"):
            ask(x)
    assert (crossed.discoveries(odd(50, 1)) == -1).all()


def test_few_calibration_rows_lower_the_usual_rate_as_far_as_they_can_tell() -> None:
    assert pca().fit(plane(200, 0)).rate_ == 0.05
    assert pca().fit(plane(20, 0)).rate_ == pytest.approx(1 / 6)


def test_contamination_alone_flags_that_share_and_with_a_rate_it_cleans_the_calibration() -> None:
    x = np.vstack([plane(180, 0), odd(20, 1)])
    alone = pca(contamination=0.1).fit(x)
    assert (alone.predict(x) == -1).sum() == 20
    assert (alone.predict(x[180:]) == -1).mean() > 0.9
    np.testing.assert_array_equal(alone.fit_predict(x), alone.predict(x))
    kept, cleaned = (pca(rate=0.1, contamination=c).fit(x) for c in (None, 0.1))
    assert len(cleaned.deployed_.calibration.scores) == 45
    fresh = plane(2000, 2)
    few, more = ((one.predict(fresh) == -1).mean() for one in (kept, cleaned))
    assert few < more < 0.25
    assert (cleaned.predict(odd(200, 3)) == -1).mean() > (kept.predict(odd(200, 3)) == -1).mean() - 1e-9


def test_it_says_which_columns_made_a_row_odd() -> None:
    x = plane(300, 0)
    x[:, 0] += 5
    strange = plane(20, 1) + np.array([5, 0, 0, 0, 8])
    for calibration in ("split", "cross"):
        share = pca(calibration=calibration).fit(x).explain(strange)
        assert share.shape == (20, 5)
        assert (np.abs(share).argmax(axis=1) == 4).all()
        assert (share[:, 4] > 0).all()


# ------------------------------------------------------------------------------------------------------- one artefact


def test_python_and_the_shell_flag_the_same_rows(tmp_path) -> None:
    frame = pd.DataFrame(plane(300, 0), columns=list("abcde"))
    detector = AnomalyDetector("plain", latents=2, steps=60, rate=0.1, random_state=0).fit(frame)
    asked = pd.DataFrame(np.vstack([plane(60, 1), odd(9, 2)]), columns=list("abcde"))
    asked.to_csv(tmp_path / "rows.csv", index=False)
    place = str(detector.save(tmp_path / "model"))
    assert main(["flag", place, str(tmp_path / "rows.csv"), "-o", str(tmp_path / "flags.csv")]) == 0
    shell = pd.read_csv(tmp_path / "flags.csv")
    again = AnomalyDetector.load(place)
    flagged = [shell["flag"].to_numpy(), detector.predict(asked) == -1, again.predict(asked) == -1]
    assert 9 <= flagged[0].sum() < 30
    for one in flagged:
        np.testing.assert_array_equal(one, flagged[0])
    np.testing.assert_allclose(shell["score"], -detector.score_samples(asked), atol=1e-4)
    np.testing.assert_array_equal(shell["p_value"], again.p_values(asked))
    np.testing.assert_allclose(shell["p_value"], detector.p_values(asked))
    assert list(again.feature_names_in_) == list("abcde")
    np.testing.assert_allclose(isthmus.load(isthmus.save(detector, tmp_path / "two")).scores(asked), shell["score"])
    with pytest.raises(BadInput, match="5 models, and a folder holds one"):
        pca(calibration="cross").fit(frame).save(tmp_path / "three")
    with pytest.raises(NotFittedError):
        pca().save(tmp_path / "three")
    bare = isthmus.save(Autoencoder("pca", random_state=0).fit(IRIS), tmp_path / "bare")
    with pytest.raises(BadInput, match="no calibration rows"):
        AnomalyDetector.load(bare)


# --------------------------------------------------------------------------------------------------- among the others


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X. :UserWarning")
def test_tables_with_words_and_gaps(tmp_path) -> None:
    random = np.random.default_rng(0)
    place = random.integers(0, 3, 300)
    frame = pd.DataFrame(
        {"city": np.array(["Bergen", "Oslo", "Rome"])[place], "size": place + random.normal(size=300) / 9}
    )
    frame.loc[::9, "size"] = np.nan
    detector = AnomalyDetector("plain", latents=2, steps=200, rate=0.1, random_state=0).fit(frame)
    strange = pd.DataFrame({"city": ["Rome"] * 3, "size": [-3.0, 7.0, 9.0]})
    assert (detector.predict(strange) == -1).all()
    assert (detector.predict(frame) == -1).mean() < 0.25
    np.testing.assert_array_equal(detector.predict(pl.from_pandas(frame)), detector.predict(frame))
    again = AnomalyDetector.load(detector.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(frame), detector.predict(frame))
    for calibration in ("cross", "jackknife+"):
        assert (clone(detector).set_params(calibration=calibration, folds=2).fit(frame).predict(strange) == -1).all()


def test_pipelines_searches_copies_and_weights() -> None:
    x, y = np.vstack([plane(150, 0), odd(10, 1)]), np.r_[np.ones(150), -np.ones(10)]
    line = make_pipeline(StandardScaler(), pca(rate=0.1)).fit(x[:150])
    assert (line.predict(odd(20, 2)) == -1).all()
    search = GridSearchCV(
        pca(contamination=0.06), {"latents": [1, 2], "recipe__latents": [2]}, cv=2, scoring="accuracy"
    )
    assert search.fit(x, y).best_score_ > 0.8
    again = pickle.loads(pickle.dumps(line[-1]))
    np.testing.assert_array_equal(again.decision_function(x), line[-1].decision_function(x))
    often = np.arange(len(x)) % 3
    with sklearn.config_context(enable_metadata_routing=True):
        routed = make_pipeline(pca().set_fit_request(sample_weight=True)).fit(x, sample_weight=often)
    np.testing.assert_array_equal(routed.score_samples(x), pca().fit(np.repeat(x, often, axis=0)).score_samples(x))
