"""The facet recovery: what it says of dictionaries whose entries are known, and where the truth comes from."""

import json

import numpy as np
import pyarrow as pa
import pytest
from contenders import Fixed
from safetensors.numpy import save_file

from isthmus.cli import main
from isthmus.data.read import read
from isthmus.data.truth import truth_of
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Rows, Splits
from isthmus.metrics.recovery import absorption, detection, mean_correlation
from isthmus.study.design import design
from isthmus.study.examine import data_where
from isthmus.study.material import prepare

RANDOM = np.random.default_rng(0)
UNITS = np.array([1, 5, 1, 1, 1, 1, 9, 1])  # of columns: a standardised row shows features turned
FEATURES = RANDOM.normal(size=(6, 8)) * UNITS
PRESENT = RANDOM.random((200, 6)) < 0.3
PRESENT[:, 3] |= PRESENT[:, 4]
PARENTS = np.array([-1, -1, -1, -1, 3, -1])
X = (PRESENT @ FEATURES + 0.01 * UNITS * RANDOM.normal(size=(200, 8))).astype(np.float32)
TRUTH = {"features": FEATURES, "present": PRESENT, "parents": PARENTS}
FACET = FACETS["recovery"]


def seen(truth):
    """The splits of a study of these rows."""
    data = read(X, truth=truth)
    return prepare(design(data, families="topk", facets="recovery", latents=6).jobs()[0], data).splits


def dictionary(splits, entries):
    """A contender with given entries in the units of the data, and codes by least squares."""
    scaled = (entries - 0) / splits.layout.scale
    back = np.linalg.pinv(scaled)
    mean = splits.layout.apply(np.zeros((1, 8)))
    return Fixed(
        lambda x: np.where((z := ((x - mean) @ back)) > 0.5, z, 0).astype(np.float32),
        lambda z: (z @ scaled + mean).astype(np.float32),
    )


def test_a_dictionary_of_the_features_is_perfect_and_a_turned_one_is_not():
    splits = seen(TRUTH)
    found = FACET.measure(dictionary(splits, 0.5 * FEATURES[::-1]), splits)
    assert found == pytest.approx({"mcc": 1, "uniqueness": 1, "f1": 1, "absorption": 0}, abs=0.02)
    turned = np.linalg.qr(RANDOM.normal(size=(6, 6)))[0] @ FEATURES
    worse = FACET.measure(dictionary(splits, turned), splits)
    assert worse["mcc"] == pytest.approx(mean_correlation(turned, FEATURES), abs=1e-4)
    assert worse["mcc"] < 0.95


def test_units_are_detectors_of_the_test_rows():
    splits = seen(TRUTH)
    one = dictionary(splits, FEATURES)
    codes, present = one.encode_scaled(splits.test.x), splits.test.truth.present
    found = FACET.measure(one, splits)
    assert found["f1"] == pytest.approx(detection(codes, present, FEATURES, FEATURES).f1) == pytest.approx(1, abs=0.02)
    fires = one.encode_scaled
    holes = Fixed(lambda x: fires(x) * np.where(fires(x)[:, 4:5] > 0, [1, 1, 1, 0, 1, 1], 1), one.decoder)
    assert FACET.measure(holes, splits)["absorption"] == pytest.approx(1)  # the child's unit takes over
    assert absorption(codes, present, FEATURES, FEATURES, PARENTS) == pytest.approx(0)


def test_what_is_not_known_is_not_measured():
    splits = seen(FEATURES)
    assert set(FACET.measure(dictionary(splits, FEATURES), splits)) == {"mcc", "uniqueness"}
    bare = Splits(*(Rows(X, None),) * 3, seed=0, latents=6)
    with pytest.raises(BadInput, match="needs the features that made the rows; got none"):
        FACET.measure(dictionary(splits, FEATURES), bare)


def test_it_is_asked_where_the_truth_is_known():
    plain, told = read(X), read(X, truth=FEATURES)
    assert plain.digest != told.digest != read(X, truth=TRUTH).digest
    assert "recovery" in design(told, purpose="interpret").facets
    assert "random dictionary" in design(told, purpose="interpret").rivals_of("recovery")
    assert "recovery" in design(told).facets
    assert "recovery" not in design(plain, purpose="interpret").facets
    assert "recovery" not in design(plain).facets
    with pytest.raises(BadInput, match="needs the features that made the rows: give their file"):
        design(plain, facets="recovery")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors"])
def test_it_comes_from_a_file_and_is_read_again(tmp_path, suffix, capsys):
    path = tmp_path / f"truth.{suffix}"
    if suffix == "npy":
        np.save(path, FEATURES)
    elif suffix == "npz":
        np.savez(path, **TRUTH)
    else:
        save_file({name: np.ascontiguousarray(one, np.float32) for name, one in TRUTH.items()}, path)
    np.save(tmp_path / "x.npy", X)
    found = read(tmp_path / "x.npy", truth=path)
    np.testing.assert_allclose(found.truth.features, FEATURES, rtol=1e-6)
    assert (found.truth.present is None) == (suffix == "npy")
    note = {"data": design(found).data, "reading": dict(found.asked)}
    assert data_where(str(tmp_path / "x.npy"), note).digest == found.digest
    asked = ["compare", str(tmp_path / "x.npy"), "--for", "interpret", "--truth", str(path), "--dry-run", "--json"]
    assert main(asked) == 0
    assert "recovery" in json.loads(capsys.readouterr().out)["facets"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.eye(3), r"features must have shape \(F, 8\), one row each; got \(3, 3\)"),
        ({"present": PRESENT}, "member features is missing"),
        (TRUTH | {"present": PRESENT[:9]}, r"present must have shape \(200, 6\); got \(9, 6\)"),
        (TRUTH | {"parents": [9] * 6}, "parents must be numbers of features"),
        ({"features": FEATURES, "parents": PARENTS}, "come with present"),
        (TRUTH | {"atoms": 1}, "there is no member 'atoms'"),
        (FEATURES * [[0]] * 1.0, "feature 0 is 0 everywhere"),
        (FEATURES * np.nan, "features must be finite"),
        ("nowhere.npy", "no such file"),
        ("truth.csv", "truth is a .npy, .npz or .safetensors file; got .csv"),
    ],
)
def test_what_does_not_fit_is_refused(given, words):
    with pytest.raises(BadInput, match=words):
        truth_of("X", given, 200, 8)


def test_tables_have_no_truth():
    with pytest.raises(BadInput, match="truth is for rows of plain numbers"):
        read(pa.table({"kind": ["a", "b"] * 10, "size": np.arange(20.0)}), truth=np.eye(2))
