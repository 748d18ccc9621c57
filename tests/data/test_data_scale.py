"""Scaling against closed forms, at the edges of float64, and from hostile JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isthmus.data.scale import Scaler
from isthmus.errors import BadInput

RNG = np.random.default_rng(0)


def test_standard_is_mean_and_deviation_of_each_column():
    x = RNG.normal(size=(200, 3)) * [1, 10, 100] + [5, 0, -3]
    scaler = Scaler.fit(x)
    np.testing.assert_allclose(scaler.shift, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scaler.scale, x.std(axis=0), rtol=1e-12)
    assert (scaler.kind, scaler.constant) == ("standard", 0)
    z = scaler.apply(x)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, (x - x.mean(axis=0)) / x.std(axis=0), rtol=1e-5, atol=1e-6)


def test_statistics_are_float64_whatever_the_data():
    x = (1e6 + RNG.normal(size=(100_000, 1))).astype(np.float32)
    assert Scaler.fit(x).shift[0] == pytest.approx(x.astype(np.float64).mean(), rel=1e-14)


def test_unit_is_one_minimum_and_maximum_over_everything():
    x = np.array([[[2, 4], [6, 10]], [[3, 3], [3, 3]]], np.uint8)
    scaler = Scaler.fit(x, images=True)
    assert (scaler.kind, scaler.shift.tolist(), scaler.scale.tolist()) == ("unit", [2.0], [8.0])
    np.testing.assert_array_equal(scaler.apply(x)[0], [[0, 0.25], [0.5, 1]])


@pytest.mark.parametrize(
    ("x", "images", "kind"),
    [
        ([[0.0, 1.0], [0.5, 0.25]], False, "none"),
        ([[0.0, 1.0], [0.5, 0.25]], True, "none"),
        ([[0.0, 1.5], [0.5, 0.25]], False, "standard"),
        ([[0.0, 1.5], [0.5, 0.25]], True, "unit"),
        ([[-0.1, 1.0], [0.5, 0.25]], True, "unit"),
        ([[True, False], [False, False]], False, "none"),
    ],
)
def test_auto_follows_the_data(x, images, kind):
    assert Scaler.fit(x, images=images).kind == kind


@pytest.mark.parametrize("kind", ["standard", "unit", "none"])
def test_an_explicit_kind_wins(kind):
    assert Scaler.fit([[0.0, 1.0], [0.5, 0.25]], kind=kind).kind == kind


def test_none_changes_nothing():
    x = RNG.random((5, 2, 3), dtype=np.float32)
    np.testing.assert_array_equal(Scaler.fit(x).apply(x), x)


@pytest.mark.slow
@given(
    arrays(np.float64, (6, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    st.sampled_from(["auto", "standard", "unit", "none"]),
    st.booleans(),
)
def test_round_trip_of_any_float32(x, kind, images):
    scaler = Scaler.fit(x, kind=kind, images=images)
    z = scaler.apply(x)
    assert np.isfinite(z).all()
    if scaler.kind == "standard":
        assert np.abs(z).max() <= np.sqrt(6) + 1e-3
    if scaler.kind == "unit":
        assert z.min() >= 0
        assert z.max() <= 1
    if np.abs(z).max() < 1e9:
        tolerance = 1e-5 * scaler.scale.max() + 1e-6 * np.abs(x).max() + 1e-37
        np.testing.assert_allclose(scaler.invert(z).astype(np.float64), x, rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("size", [1e300, 1e30, 1e-12, 1e-300, 5e-324])
@pytest.mark.parametrize("kind", ["standard", "unit"])
def test_extreme_units_stay_finite(size, kind):
    x = np.array([[-1.0], [0.0], [1.0], [1.0]]) * size
    z = Scaler.fit(x, kind=kind).apply(x)
    assert np.isfinite(z).all()
    if size > 1e-307:
        expected = [-1.5075567, -0.30151135, 0.904534, 0.904534] if kind == "standard" else [0, 0.5, 1, 1]
        np.testing.assert_allclose(z.ravel(), expected, rtol=1e-5)


def test_columns_of_different_units_side_by_side():
    base = RNG.normal(size=(50, 1))
    z = Scaler.fit(np.hstack([base * 1e-12, base * 1e12, base * 1e30])).apply(
        np.hstack([base * s for s in (1e-12, 1e12, 1e30)])
    )
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(z[:, 0], z[:, 1], rtol=1e-5, atol=1e-6)


def test_constant_columns_are_kept_and_counted():
    x = np.array([[0.1, 1.0, 7.0], [0.1, 2.0, 7.0], [0.1, 4.0, 7.0]])
    scaler = Scaler.fit(x)
    assert scaler.constant == 2
    assert scaler.scale[[0, 2]].tolist() == [1.0, 1.0]
    assert (scaler.apply(x)[:, [0, 2]] == 0).all()
    np.testing.assert_allclose(scaler.invert(scaler.apply(x)), x, rtol=1e-6)
    assert Scaler.fit(np.full((4, 2), 3.0), kind="unit").apply(np.full((4, 2), 3.0)).tolist() == [[0, 0]] * 4


def test_strange_rows_are_cut_at_a_billion_and_stay_finite():
    scaler = Scaler.fit([[0.0], [1e-20], [2.0]], kind="standard")
    assert scaler.apply([[3e38], [-3e38]]).ravel().tolist() == [1e9, -1e9]
    wide = Scaler("standard", np.array([0.0]), np.array([1e38]))
    for kind, scale in ((np.float32, 1e38), (np.float64, 1e308)):
        found = replace(wide, scale=np.array([scale])).invert(np.array([[1e9]], kind))
        assert found.dtype == kind
        assert found.ravel() == np.finfo(kind).max


def test_any_layout_gives_the_same_numbers():
    x = RNG.normal(size=(40, 6))
    frozen = x.copy()
    frozen.flags.writeable = False
    for other in (np.asfortranarray(x), frozen, np.repeat(x, 2, axis=0)[::2]):
        np.testing.assert_array_equal(Scaler.fit(other).apply(other), Scaler.fit(x).apply(x))


def test_json_keeps_every_bit():
    scaler = Scaler.fit(RNG.normal(size=(20, 4)) / 3)
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    assert (again.kind, again.constant) == (scaler.kind, scaler.constant)
    assert again.shift.tobytes() == scaler.shift.tobytes()
    assert again.scale.tobytes() == scaler.scale.tobytes()


GOOD = {"kind": "standard", "shift": [0.0, 1.0], "scale": [1.0, 2.0], "constant": 0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "robust"}, "kind must be"),
        ({"kind": ["standard"]}, "kind must be"),
        ({"shift": [0.0]}, "do not fit: 1 and 2"),
        ({"kind": "none"}, "do not fit"),
        ({"scale": [1.0, 0.0]}, "positive"),
        ({"scale": [1.0, -1.0]}, "positive"),
        ({"scale": [1.0, float("nan")]}, "finite"),
        ({"shift": [0.0, float("inf")]}, "finite"),
        ({"shift": [0.0, 10**400]}, "finite"),
        ({"shift": "ab"}, "list of numbers"),
        ({"shift": [[0.0], 1.0]}, "list of numbers"),
        ({"shift": [True, 1.0]}, "list of numbers"),
        ({"shift": [], "scale": []}, "list of numbers"),
        ({"constant": -1}, "constant"),
        ({"constant": 1.0}, "constant"),
        ({"constant": 3}, "constant"),
        ({"extra": 1}, "exactly the fields"),
    ],
)
def test_foreign_json_is_checked(change, said):
    with pytest.raises(BadInput, match=said):
        Scaler.from_json(GOOD | change)


@pytest.mark.parametrize("data", [None, [], {}, "standard"])
def test_foreign_json_of_another_kind_is_refused(data):
    with pytest.raises(BadInput, match="exactly the fields"):
        Scaler.from_json(data)


@pytest.mark.parametrize(
    ("x", "options", "said"),
    [
        ([[1.0]], {"kind": "minmax"}, "auto, standard, unit or none"),
        (np.zeros((0, 3)), {}, "needs rows"),
        ([1.0, 2.0], {}, r"shape \(N, \*D\)"),
        ([[np.nan]], {}, "finite"),
        ([[np.inf], [0]], {}, "finite"),
    ],
)
def test_fit_refuses(x, options, said):
    with pytest.raises(BadInput, match=said):
        Scaler.fit(x, **options)


def test_apply_refuses_other_columns_and_takes_no_rows():
    scaler = Scaler.fit(RNG.normal(size=(20, 4)))
    with pytest.raises(BadInput, match="fitted on 4 columns; got 3"):
        scaler.apply(np.zeros((2, 3)))
    assert scaler.apply(np.zeros((0, 4))).shape == (0, 4)


def test_channels_of_very_different_width_have_a_scale_each():
    x = RNG.normal(size=(50, 6, 6, 2)) * [1, 300] + [0, 1000]
    scaler = Scaler.fit(x, images=True)
    z = scaler.apply(x)
    for channel in (0, 1):
        assert (z[..., channel].min(), z[..., channel].max()) == (0, 1)
    np.testing.assert_allclose(scaler.invert(z), x, rtol=1e-4, atol=1e-4)
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    np.testing.assert_array_equal(again.apply(x), z)
    colours = RNG.uniform(size=(50, 6, 6, 3)) * [255, 200, 120]
    assert Scaler.fit(colours, images=True).shift.shape == (1,)


@pytest.mark.parametrize("factor", [1 / 255, 1 / 20, 255])
@pytest.mark.parametrize("images", [True, False])
def test_rows_in_another_unit_are_told(factor, images):
    x = RNG.integers(0, 256, (60, 8, 8)).astype(float)
    scaler = Scaler.fit(x, images=images)
    assert scaler.astray(x) is None
    assert scaler.astray(x[:1]) is None
    if images or factor != 1 / 20:  # columns of a table may be small for a while
        assert "in another unit" in scaler.astray(factor * x)
    assert "in another unit" in Scaler.fit(x / 255).astray(x, bounded=True)


@pytest.mark.parametrize("factor", [1 / 255, 1 / 20, 255])
def test_what_was_left_unscaled_keeps_where_most_of_it_lay(factor):
    x = RNG.integers(0, 256, (60, 8, 8)).astype(float)
    x[0, 0, 0] = 1e6  # one strange number changes nothing
    scaler = Scaler.fit(x, kind="none")
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    for one in (scaler, again):
        assert one.astray(x) is None
        assert one.astray(x[5:6]) is None
        assert "in another unit" in one.astray(factor * x[1:])
    columns = RNG.normal(size=(60, 200)) * np.r_[1e4, np.ones(199)]
    assert Scaler.fit(columns, kind="none").astray(columns[:30]) is None
    assert "span" not in Scaler.fit(x / 1e6).to_json()  # chosen by itself: artefacts of studies stay as they are
    older = {name: value for name, value in scaler.to_json().items() if name != "span"}
    assert Scaler.from_json(older).astray(factor * x) is None
    for bad in ([1.0], [2.0, 1.0], "ab", [0.0, float("inf")]):
        with pytest.raises(BadInput, match="span must"):
            Scaler.from_json({**older, "span": bad})
    with pytest.raises(BadInput, match="span must"):
        Scaler.from_json({**Scaler.fit(x).to_json(), "span": [0.0, 1.0]})


def test_one_strange_row_is_no_other_unit():
    x = RNG.normal(size=(100, 5))
    rows = x.copy()
    rows[3] = 1e6
    assert Scaler.fit(x).astray(rows) is None
    assert "standard deviations outside" in Scaler.fit(x).astray(x + 1000)
