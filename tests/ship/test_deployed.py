"""What ships: a score and a threshold that come back bit for bit, no training row, and what was saved of old."""

import dataclasses
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import safetensors.numpy
import torch

from isthmus import codec
from isthmus.data.layout import laid_out
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.features import denoising
from isthmus.facets.known import known, trees_on_known
from isthmus.facets.networks import MOST_PLACES, NETWORKS
from isthmus.facets.outliers import SCORERS, crowd, tails
from isthmus.facets.rivals import NOISES, Denoising, marginalised_denoising
from isthmus.facets.robustness import solved
from isthmus.families import named
from isthmus.metrics.ranking import auroc
from isthmus.parts.entropy import pack
from isthmus.rivals import RIVALS
from isthmus.rivals.around import Around
from isthmus.scorer import Scorer
from isthmus.ship import rivals
from isthmus.ship.artefact import DECISION, load, save, trained
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import seal
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

EXPECTED = Path(__file__).parent / "expected"
RANDOM = np.random.default_rng(0)
X = (RANDOM.normal(size=(400, 2)) @ RANDOM.normal(size=(2, 5)) + RANDOM.normal(scale=0.3, size=(400, 5))).round(4)
ODD = RANDOM.normal(scale=2.0, size=(60, 5))


@pytest.fixture(scope="module")
def ships() -> Deployed:
    plan = Plan(steps=40, check=20, batch=32)
    model = fit(named("plain").set_params(latents=2), X[:200], valid=X[200:280], plan=plan, columns=tuple("abcde"))
    return Deployed.of(model, X[:200], X[200:280], X[280:], about="the rest", rate=0.02)


def test_score_and_threshold_come_back_bit_for_bit(ships: Deployed, tmp_path: Path) -> None:
    again = load(save(ships, tmp_path / "m"))
    np.testing.assert_array_equal(again.scores(X), ships.scores(X), strict=True)
    np.testing.assert_array_equal(again.flags(ODD), ships.flags(ODD), strict=True)
    assert (again.needed().rate, again.needed().about, len(again.needed().scores)) == (0.02, "the rest", 120)
    assert again.flags(ODD, rate=0.2).sum() > again.flags(ODD).sum()
    assert np.array_equal(again.flags(ODD), again.scores(ODD) > again.needed().threshold)
    assert ships.flags(X[280:]).mean() <= 0.02
    assert again.flags(ODD).mean() > 0.2


def test_the_score_is_that_of_places_between_rows_and_no_row_is_inside(ships: Deployed, tmp_path: Path) -> None:
    """Of each training row, in units of the data, scaled, or placed, in 32 or 64 bits, no bytes are in the files."""
    place = save(ships, tmp_path / "m")
    content = b"".join(path.read_bytes() for path in place.iterdir())
    assert ships.crowd is not None
    assert ships.units is not None
    scaled = ships.scaled(X[:200])
    forms = [X[:200], scaled, scaled / ships.units]
    for form in forms:
        for kind in (np.float32, np.float64):
            assert not any(row.astype(kind).tobytes() in content for row in form)
    half = ships.crowd.known[:, :5] + ships.crowd.known[:, 5:]  # a row is what the model made of it and what that left
    gaps = np.abs(half[:, None] - (scaled / ships.units)[None]).max(axis=2)
    assert gaps.min() > 1e-3
    exact = Scorer.fit(ships, scaled, ships.scaled(X[200:280]))
    y = np.repeat([0, 1], (120, 60))
    both = np.vstack([X[280:], ODD])
    assert abs(auroc(y, ships.scores(both)) - auroc(y, exact.scores(ships.scaled(both)))) < 0.05


def test_the_score_that_known_anomalies_chose_ships_and_is_the_graph_s(ships: Deployed, tmp_path: Path) -> None:
    """The last column follows from the others but for a little: only the distance to the mean knows how."""
    stream = np.random.default_rng(5)
    z = stream.normal(size=(400, 4)) * 9
    rows = np.hstack([z, z[:, :1] + 0.1 * stream.normal(size=(400, 1))])
    odd = rows[300:330] + np.array([0, 0, 0, 0, 0.5])
    model = fit(named("pca").set_params(latents=2), rows[:200], valid=rows[200:300])
    usual, chosen = (Deployed.of(model, rows[:200], rows[200:300], odd=known) for known in (None, odd))
    assert usual.crowd is not None
    assert chosen.crowd is not None
    assert (usual.crowd.weights.tolist(), chosen.crowd.weights.tolist()) == ([1, 0.25, 0.25], [0, 0, 1])
    again = load(save(chosen, tmp_path / "m"))
    np.testing.assert_array_equal(again.scores(rows), chosen.scores(rows), strict=True)
    assert not np.allclose(chosen.scores(rows), usual.scores(rows), atol=0.1)
    for one in (usual, chosen):
        assert one.crowd is not None
        assert one.units is not None
        x = one.scaled(rows[330:350])
        made = one.decode_scaled(one.encode_scaled(x))
        place = np.hstack([made / one.units, (x - made) / one.units])
        found = Around.of(one.crowd)(torch.from_numpy(place))
        assert found.numpy() == pytest.approx(one.scores(rows[330:350]), rel=1e-4, abs=1e-4)
    void = dataclasses.replace(chosen, crowd=dataclasses.replace(chosen.crowd, weights=np.zeros(3)))
    with pytest.raises(BadInput, match="weights must be finite, none below 0 and one above it"):
        load(save(void, tmp_path / "void"))


def test_without_calibration_there_are_scores_and_no_flags(ships: Deployed, tmp_path: Path) -> None:
    bare = load(save(dataclasses.replace(ships, calibration=None), tmp_path / "m"))
    np.testing.assert_array_equal(bare.scores(X), ships.scores(X))
    with pytest.raises(BadInput, match=r"no calibration rows.*--against"):
        bare.flags(X)
    assert bare.calibrated(X[280:], rate=0.1).needed().rate == 0.1
    with pytest.raises(BadInput, match=r"5 calibration rows say nothing of a false-alarm rate of 0\.01"):
        bare.calibrated(X[:5], rate=0.01)
    assert bare.calibrated(X[:5]).needed().rate == pytest.approx(1 / 6)


def test_what_ships_does_not_say_how_it_was_trained(ships: Deployed, tmp_path: Path) -> None:
    place = save(ships, tmp_path / "m")
    found = json.loads((place / "model.json").read_text())
    assert not {"plan", "outcome"} & found.keys()
    with pytest.raises(BadInput, match="does not say how it was trained"):
        trained(place)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("units", lambda a: -a, "above 0"),
        ("known", lambda a: a[:, :-1].copy(), "shape"),
        ("known", lambda a: a.astype(np.float64), "float32"),
        ("reach", lambda a: a * np.nan, "not finite"),
        ("calibration", lambda a: a[::-1].copy(), "sorted"),
        ("strange", lambda a: np.ones(3), "unexpected array 'strange'"),
    ],
)
def test_numbers_that_make_no_decision_are_refused(ships: Deployed, tmp_path: Path, name, change, said) -> None:
    import hashlib

    place = save(ships, tmp_path / "m")
    arrays = safetensors.numpy.load_file(place / DECISION)
    arrays[name] = change(arrays.get(name))
    content = safetensors.numpy.save(arrays)
    (place / DECISION).write_bytes(content)
    with pytest.raises(BadInput, match=r"damaged|larger than"):
        load(place)
    data = {k: v for k, v in json.loads((place / "model.json").read_text()).items() if k != "seal"}
    data["decision"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (place / "model.json").write_bytes(seal(data))
    with pytest.raises(BadInput, match=said):
        load(place)


def test_facets_say_which_of_their_rivals_ship() -> None:
    assert {one for facet in FACETS.values() for one in facet.networks} == set(RIVALS)
    assert all(facet.networks.keys() <= facet.rivals.keys() for facet in FACETS.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_rival_ships_with_its_parameters(name: str, tmp_path: Path) -> None:
    """Its scores are those of the study; of those that keep places between rows they rank as the study's do."""
    layout = laid_out(X[:200])
    parts = [Rows(layout.apply(x), None) for x in (X[:200], X[200:280], X[280:])]
    odd = layout.apply(ODD[:20]) if name == "trees on known" else None
    splits = Splits(*parts, seed=3, latents=2, layout=layout, odd=odd)
    found = Deployed.of(rivals.fitted(name, "anomaly", splits, layout, tuple("abcde")), normal=X[280:])
    again = load(save(found, tmp_path / "m"))
    both = np.vstack([X[280:], ODD])
    np.testing.assert_array_equal(again.scores(both), found.scores(both), strict=True)
    measured = (SCORERS | {"trees on known": trees_on_known})[name](splits)(layout.apply(both))
    assert again.places == {"knn": 200, "raw columns": 200, "trees on known": 200, "ecod": 199}.get(name, 0)
    if again.places:
        assert np.corrcoef(again.scores(both), measured)[0, 1] > 0.98
    else:
        np.testing.assert_allclose(again.scores(both), measured, rtol=1e-6, atol=1e-9)
    assert again.flags(ODD).mean() > again.flags(X[280:]).mean()
    with pytest.raises(BadInput, match="has no codes"):
        again.encode(X)


def test_ecod_keeps_places_between_values_and_no_value_that_stands_once(tmp_path: Path) -> None:
    rows = np.round(X[:200] * 4) / 4  # with ties
    rows[:, 0] = np.random.default_rng(1).normal(size=200)
    layout = laid_out(rows)
    laid = layout.apply(rows)
    splits = Splits(*(Rows(laid, None) for _ in range(3)), seed=3, latents=2, layout=layout)
    found = load(save(Deployed.of(rivals.fitted("ecod", "anomaly", splits, layout)), tmp_path / "m"))
    places = found.model.get_buffer("known").numpy()
    assert not np.isin(places[0], laid[:, 0]).any()
    asked = np.vstack([rows, ODD, places.T[:, :] * layout.scale + layout.shift])  # on a place, too
    own = tails(splits, MOST_PLACES)
    np.testing.assert_array_equal(own.ordered.T, places)
    np.testing.assert_allclose(found.scores(asked), own.score(layout.apply(asked)), rtol=1e-12)
    few = tails(splits, 20).ordered
    assert few.shape == (20, 5)
    np.testing.assert_array_equal(few[[0, -1]], own.ordered[[0, -1]])
    (state := found.model.state_dict())["known"][0, 0] = 99.0
    found.model.load_state_dict(state)
    with pytest.raises(BadInput, match="must be sorted"):
        load(save(found, tmp_path / "n"))


@pytest.mark.parametrize("facet", ["features", "robustness"])
def test_marginalised_denoising_ships_its_map(facet: str, tmp_path: Path) -> None:
    """The features that a study's probe saw, and the rows whose distance from the truth it measured."""
    layout = laid_out(X[:200])
    kinds = (X[:, 0] * X[:, 1] > 0).astype(np.int64)
    parts = [Rows(layout.apply(X[a:b]), kinds[a:b]) for a, b in ((0, 200), (200, 280), (280, len(X)))]
    splits = Splits(*parts, seed=3, latents=2, layout=layout)
    made = Deployed.of(rivals.fitted("marginalised denoising", facet, splits, layout, tuple("abcde")), normal=X[280:])
    found = load(save(made, tmp_path / "m"))
    laid = layout.apply(X)
    weight = solved(splits) if facet == "robustness" else denoising(splits).weight
    np.testing.assert_allclose(found.encode(X), Denoising(weight)(laid), rtol=1e-6, atol=1e-6)
    undone = laid @ weight[:, :-1].T + weight[:, -1]
    np.testing.assert_allclose(layout.apply(found.reconstruct(X)), undone, rtol=1e-4, atol=1e-5)
    assert found.flags(ODD).mean() > found.flags(X[280:]).mean()
    with pytest.raises(BadInput, match="no way back"):
        found.decode(found.encode(X))
    if facet == "features":
        with pytest.raises(BadInput, match="leave --refit out"):
            rivals.fitted("marginalised denoising", facet, splits._replace(valid=splits.train), layout)
        others = [marginalised_denoising(splits.train.x, noise).weight for noise in NOISES]
        assert sum(np.array_equal(weight, other) for other in others) == 1
    with pytest.raises(BadInput, match="of the rivals for anomaly these can: ecod"):
        rivals.fitted("marginalised denoising", "anomaly", splits, layout)
    with pytest.raises(BadInput, match="no rival for stability can"):
        rivals.fitted("marginalised denoising", "stability", splits, layout)


def test_rounding_ships_as_a_model_that_changes_nothing(tmp_path: Path) -> None:
    """Its bytes are those that the study's rounding takes at the same error, but for what the container says."""
    rows = np.random.default_rng(0).normal(size=(4000, 5)) @ np.diag([1.0, 2.0, 3.0, 4.0, 5.0])
    layout = laid_out(rows)
    splits = Splits(*(Rows(layout.apply(rows), None) for _ in range(3)), seed=3, latents=2, layout=layout)
    found = load(save(Deployed.of(rivals.fitted("rounding", "compression", splits, layout)), tmp_path / "m"))
    np.testing.assert_allclose(found.decode(found.encode(rows)), rows, rtol=1e-5, atol=1e-5)
    x = layout.apply(rows)
    for step in (0.5, 0.1):
        coded = codec.code(found, x, step=step)
        far = np.square(coded.made - x).mean()
        plain = len(pack(np.rint(x.astype(np.float64) / step).astype(np.int64), measured=True))
        assert far == pytest.approx(step**2 / 12, rel=0.05)
        assert len(coded.to_bytes()) == pytest.approx(plain, rel=0.03)


def test_a_forest_that_points_nowhere_is_refused(tmp_path: Path) -> None:
    layout = laid_out(X[:200])
    parts = [Rows(layout.apply(x), None) for x in (X[:200], X[200:280], X[280:])]
    found = rivals.fitted("isolation forest", "anomaly", Splits(*parts, seed=3, latents=2, layout=layout), layout)
    found.model.get_buffer("left")[0, 0] = 10**6
    with pytest.raises(BadInput, match="left must lie between"):
        load(save(Deployed.of(found), tmp_path / "m"))


def test_raw_columns_ship_the_study_s_score_with_the_weights_that_known_anomalies_chose(tmp_path: Path) -> None:
    stream = np.random.default_rng(5)
    rows = np.hstack([z := stream.normal(size=(400, 4)) * 9, z[:, :1] + 0.1 * stream.normal(size=(400, 1))])
    layout = laid_out(rows[:200])
    laid = [layout.apply(x) for x in (rows[:200], rows[200:280], rows[280:])]
    usual = Splits(*(Rows(x, None) for x in laid), seed=3, latents=2, layout=layout)
    told = usual._replace(odd=layout.apply(rows[300:330] + np.array([0, 0, 0, 0, 0.5])))
    for splits, weights in ((usual, [1, 0.25, 0.25]), (told, [0, 0, 1])):
        found = load(save(Deployed.of(rivals.fitted("raw columns", "anomaly", splits, layout)), tmp_path / "m"))
        around, units = crowd(splits, between=True)
        assert around.weights.tolist() == weights
        assert found.scores(rows) == pytest.approx(around.scores(layout.apply(rows) / units), rel=1e-6, abs=1e-6)


@pytest.mark.slow
def test_trees_on_known_anomalies_ship_what_they_learnt(tmp_path: Path) -> None:
    layout = laid_out(X[:200])
    parts = [Rows(layout.apply(x), None) for x in (X[:200], X[200:280], X[280:])]
    splits = Splits(*parts, seed=3, latents=2, layout=layout, odd=layout.apply(ODD[:20]))
    found = load(save(Deployed.of(rivals.fitted("trees on known", "anomaly", splits, layout)), tmp_path / "m"))
    both = np.vstack([X[280:], ODD])
    assert found.scores(both) == pytest.approx(
        known(splits, between=True).score(layout.apply(both)), rel=1e-5, abs=1e-5
    )
    with pytest.raises(BadInput, match="leave --refit out"):
        rivals.fitted("trees on known", "anomaly", splits._replace(odd=None), layout)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("units", 0.0, "units must be above 0"), ("around.density", 0.0, "densities"), ("around.weights", -1.0, "weight")],
)
def test_raw_columns_that_divide_by_nothing_are_refused(name: str, value: float, said: str, tmp_path: Path) -> None:
    layout = laid_out(X[:200])
    parts = [Rows(layout.apply(x), None) for x in (X[:200], X[200:280], X[280:])]
    found = rivals.fitted("raw columns", "anomaly", Splits(*parts, seed=3, latents=2, layout=layout), layout)
    found.model.get_buffer(name)[0] = value
    with pytest.raises(BadInput, match=said):
        load(save(Deployed.of(found), tmp_path / "m"))


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_format_3", EXPECTED / "make_format_3.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["format-1", "format-2", "format-3"])
def test_models_of_every_format_are_read(name: str, tmp_path: Path) -> None:
    made = maker()
    for read in (load, trained):
        model = read(EXPECTED / name)
        x = made.frame() if name == "format-3" else made.rows()
        np.testing.assert_allclose(model.encode(x), np.load(EXPECTED / name / "codes.npy"), rtol=1e-4, atol=1e-5)
    assert trained(EXPECTED / name).outcome.steps == 4
    again = save(load(EXPECTED / name), tmp_path / "m")
    assert json.loads((again / "model.json").read_text())["format"] == 4
    np.testing.assert_array_equal(load(again).encode(x), model.encode(x))
