"""Steps of a series become windows: in order, across no break, on scales of their own, or they are refused."""

import itertools
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.cli import main
from isthmus.data.layout import from_json, laid_out
from isthmus.data.read import read
from isthmus.data.scale import Scaler
from isthmus.data.series import Series, Windowed
from isthmus.data.windows import Windows, begun, order, per_step, seen
from isthmus.errors import BadInput
from isthmus.study.design import design
from isthmus.study.material import rows

RNG = np.random.default_rng(0)
STEPS = 200
WHEN = pd.date_range("2024-03-01", periods=STEPS, freq="5min")
ODD = np.isin(np.arange(STEPS), [60, 61, 62, 90, 130, 131, 150, 165, 180, 195]).astype(int)
SENSORS = pd.DataFrame(
    {
        "when": WHEN.astype(str),
        "temp": RNG.normal(size=STEPS).cumsum().round(3),
        "flow": (1000 + 300 * RNG.normal(size=STEPS)).round(1),
        "odd": ODD,
    }
)
TWO = pd.concat([SENSORS.assign(line="b"), SENSORS.assign(line="a", temp=SENSORS.temp + 7)], ignore_index=True)
ASK = {"window": 8, "time": "when", "label": "odd", "anomaly": "1"}


def test_windows_hold_consecutive_steps_and_their_labels():
    found = read(SENSORS, **ASK)
    assert found.shape == (8, 2)
    assert found.columns[:3] == ("temp@0", "flow@0", "temp@1")
    steps = SENSORS[["temp", "flow"]].to_numpy(np.float32)
    np.testing.assert_array_equal(found.x, np.stack([steps[i : i + 8] for i in range(STEPS - 7)]))
    np.testing.assert_array_equal(found.y, [int(ODD[i : i + 8].any()) for i in range(STEPS - 7)])
    np.testing.assert_array_equal(found.windows.label, ODD)
    assert found.series == Series(8, 1, ("temp", "flow"), "when", None)
    assert not found.images
    assert found.told[-2:] == (
        "193 windows of 8 steps of 2 channels",
        "a window is an anomaly if one of its steps is",
    )


def test_what_is_odd_about_channels_is_said():
    told = " ".join(read(SENSORS.assign(count=np.arange(STEPS)), **ASK).cautions)
    assert "'count'" in told
    assert told.count("windows of 8 steps") == 1


def test_a_stride_leaves_windows_out():
    np.testing.assert_array_equal(read(SENSORS, **ASK, stride=5).windows.first, np.arange(0, 193, 5))
    assert read(SENSORS, **ASK, stride=5).digest != read(SENSORS, **ASK, stride=4).digest


def test_without_an_anomaly_a_window_has_the_class_of_most_of_its_steps():
    state = np.repeat(["off", "on", "off", "on"], 50)
    found = read(SENSORS.assign(odd=state), window=5, time="when", label="odd")
    assert [found.classes[code] for code in found.y[46:50]] == ["off", "off", "on", "on"]
    assert found.before[:2].tolist() == [-1, 0]
    assert found.before[51] == 1  # of step 50, with which no window that begins at 51 overlaps


@pytest.mark.parametrize("kind", ["csv", "parquet", "npy"])
def test_files_and_frames_give_the_same_windows(tmp_path, kind):
    place = tmp_path / f"s.{kind}"
    ask = {"window": 8, "time": "when", "drop": ["odd"]}
    if kind == "npy":
        np.save(place, SENSORS[["temp", "flow"]].to_numpy())
        ask = {"window": 8, "time": "rows"}
    else:
        getattr(SENSORS, f"to_{kind}")(place, index=False)
    np.testing.assert_array_equal(read(place, **ask).x, read(SENSORS, window=8, time="when", drop="odd").x)


def test_steps_are_sorted_and_no_window_lies_across_what_is_missing():
    gone = SENSORS.drop(index=range(100, 104)).sample(frac=1, random_state=0)
    gone.loc[50, "flow"] = np.nan
    found = read(gone, **ASK)
    held = {(start, start + 7) for start in found.windows.first.tolist()}
    assert all(stop < 50 or start > 50 for start, stop in held)
    assert all(stop < 100 or start >= 100 for start, stop in held)  # steps behind the gap are numbered on
    assert len(held) == (50 - 7) + (49 - 7) + (96 - 7)
    assert np.isfinite(found.x).all()
    told = " | ".join(found.told)
    assert "sorted by it" in told
    assert "steps are missing in 1 place: no window" in told
    assert "1 step lacks a value" in told


def test_several_series_stand_apart():
    found = read(TWO, **ASK, group="line")
    assert np.bincount(found.windows.of).tolist() == [193, 193]
    assert found.series.group == "line"
    assert found.told[-1] == "2 series, each cut into past and future by itself; no window lies across two"
    short = pd.concat([TWO, SENSORS.iloc[:5].assign(line="c")])
    assert "1 of them are too short for a window of 8 steps" in read(short, **ASK, group="line").told[-1]
    joined = read(TWO.drop(columns=["when", "line"]), **{**ASK, "time": "rows"})
    assert len(joined.x) == 393  # as one series, windows lie across the two
    parts = found.split(0)
    for part in parts:
        assert np.unique(found.windows.of[part]).tolist() == [0, 1]


@given(
    st.lists(st.integers(20, 120), min_size=1, max_size=4),
    st.integers(2, 4),
    st.integers(1, 3),
    st.integers(0, 9),
)
def test_no_step_is_both_learnt_from_and_tested(sizes, length, stride, origin):
    ends = np.cumsum(sizes)
    stretches = np.stack([ends - sizes, ends], axis=1)
    first = begun(stretches, length, stride)
    of = np.searchsorted(ends, first, side="right")
    windows = Windows(Series(length, stride, ("a",)), first, of, int(ends[-1]))
    try:
        parts = windows.split(origin)
    except BadInput:
        return
    steps = [set((first[part][:, None] + np.arange(length)).ravel().tolist()) for part in parts]
    assert not (steps[0] & (steps[1] | steps[2]))
    assert not (steps[1] & steps[2])
    for one in np.unique(of):
        inside = [first[part][of[part] == one] for part in parts]
        assert all(a.max() < b.min() for a, b in itertools.pairwise(inside) if len(a) and len(b))
    early, late = windows.halves(parts.test)
    assert not set((first[early][:, None] + np.arange(length)).ravel()) & set(first[late])


def test_forecasts_that_test_no_anomaly_are_passed_over():
    found = read(SENSORS, **ASK)
    odd = found.y == 1
    for replicate in range(5):
        train, valid, test = found.split(0, replicate)
        assert odd[test].any()
        assert not odd[test].all()
        assert not odd[train].all()
        assert not odd[valid].all()
    last = SENSORS.assign(odd=(np.arange(STEPS) == 190).astype(int))
    few = read(last, **ASK)
    assert 0 < len(few.origins) < 64
    with pytest.raises(BadInput, match=f"replicate {len(few.origins) + 1} needs one more"):
        few.split(0, len(few.origins))
    early = SENSORS.assign(odd=(np.arange(STEPS) < 20).astype(int))
    with pytest.raises(BadInput, match="anomalies lie after normal steps to learn from in only 0 forecasts"):
        read(early, **ASK).split(0)


def test_each_channel_has_a_scale_of_its_own_fitted_on_training_rows():
    found = read(SENSORS, **ASK)
    train = found.x[found.split(0).train]
    layout = laid_out(train, series=found.series)
    scaled = layout.apply(train)
    np.testing.assert_allclose(scaled.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), 1, atol=1e-5)
    np.testing.assert_allclose(layout.invert(scaled), train, rtol=1e-5, atol=1e-3)
    again = from_json(json.loads(json.dumps(layout.to_json())))
    assert isinstance(again, Windowed)
    assert again.series == found.series
    np.testing.assert_array_equal(again.apply(train), scaled)


def test_arrays_of_series_too_have_a_scale_for_each_channel():
    x = np.random.default_rng(0).normal(size=(50, 12, 2)) * [1, 300] + [0, 1000]
    scaler = Scaler.fit(x)
    np.testing.assert_allclose(scaler.shift.reshape(12, 2)[0], x.mean(axis=(0, 1)))
    assert np.ptp(scaler.scale.reshape(12, 2), axis=0).max() == 0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read(x).warn()
    assert "each channel is scaled by itself" in str(said[0].message)


@pytest.mark.parametrize(
    ("change", "ask", "said"),
    [
        ({}, {"window": 0}, "window must be a whole number of steps, at least 1; got 0"),
        ({}, {"window": 1}, "a window of 1 step is a row"),
        ({}, {"stride": 0}, "stride must be a whole number of steps, at least 1; got 0"),
        ({}, {"stride": 1.5}, "stride must be a whole number"),
        ({}, {"window": None, "stride": 2}, "a stride is of windows; say how many steps one has"),
        ({}, {"time": None}, r"a window needs an order of rows: .*--time rows"),
        ({}, {"window": 500}, r"0 windows of 500 steps, and at least 10 are needed; the longest run .* has 200"),
        ({}, {"window": 195}, "6 windows of 195 steps"),
        ({}, {"weights": "flow"}, "windows have no weights"),
        ({}, {"factors": "flow"}, "windows have no factors"),
        (
            {"state": ["a", "b"] * 100},
            {},
            "column 'state' is of kind category, and a channel is a number; leave it out",
        ),
        ({"seen": WHEN.astype(str)}, {}, "column 'seen' is of kind date, .*--time"),
        ({"when": WHEN[:100].repeat(2).astype(str)}, {}, r"100 rows have the time of another row; .*--group"),
        ({"when": RNG.exponential(size=STEPS).cumsum()}, {}, "times are uneven"),
        ({"when": [None, *WHEN[1:].astype(str)]}, {}, "time is missing or not finite in 1 of 200 rows"),
        ({"odd": 0, "other": 1}, {}, "all 200 rows have the label '0'"),
        ({"temp": np.nan, "flow": np.r_[np.tile([1.0, np.nan], 100)]}, {}, "0 windows of 8 steps"),
    ],
)
def test_what_makes_no_series_is_refused_with_a_remedy(change, ask, said):
    with pytest.raises(BadInput, match=said) as caught:
        read(SENSORS.assign(**change), **{**ASK, **ask})
    assert "\n" not in str(caught.value)


def test_rows_that_are_windows_already_are_refused():
    with pytest.raises(BadInput, match=r"rows of shape \(12, 3\) are windows or pictures already"):
        read(np.ones((60, 12, 3)), window=4, time="rows")


def test_too_long_a_window_for_three_parts_is_refused():
    with pytest.raises(BadInput, match="hold no windows of 60 steps for training, validation and test"):
        read(SENSORS, window=60, time="when").split(0)


def test_order_and_per_step_means():
    time = np.array([0.0, 1, 2, 3, 10, 11, 0, 1, 2])
    found = order("X", time, np.array([0] * 6 + [1] * 3), np.r_[[True] * 7, False, True])
    assert found.stretches.tolist() == [[0, 4], [4, 6], [6, 7], [8, 9]]
    assert found.breaks == 1
    assert not found.moved
    x = np.arange(9, dtype=np.float32)[:, None]
    first = begun(found.stretches, 2, 1)
    assert first.tolist() == [0, 1, 2, 4]
    assert seen(x, first, 2)[..., 0].tolist() == [[0, 1], [1, 2], [2, 3], [4, 5]]
    scores = per_step(np.array([1.0, 2, 3, 4]), first, 2, 9)
    np.testing.assert_array_equal(scores, [1, 1.5, 2.5, 3, 4, 4, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"stride": True},
        {"channels": []},
        {"channels": ["a", "a"]},
        {"channels": [1]},
        {"time": ""},
        {"group": 3},
        {"length": 9},
        {"more": 1},
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(change):
    good = Windowed.of(np.random.default_rng(0).normal(size=(9, 4, 2)), Series(4, 1, ("a", "b"))).to_json()
    with pytest.raises(BadInput):
        from_json({**good, "series": {**good["series"], **change}})


def test_the_command_line_plans_a_study_of_windows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    SENSORS.to_csv("s.csv", index=False)
    ask = ["--window", "8", "--stride", "2", "--time", "when", "--label", "odd", "--anomaly", "1"]
    run = ["--families", "pca", "--facets", "reconstruction", "--replicates", "2", "--configs", "1", "--jobs", "1"]
    assert main(["compare", "s.csv", *ask, *run, "--dry-run", "--json"]) == 0
    said = capsys.readouterr()
    data = json.loads(said.out)["data"]
    assert (data["shape"], data["window"], data["stride"], data["steps"], data["rows"]) == ([8, 2], 8, 2, 200, 97)
    assert "97 windows of 8 steps of 2 channels" in said.err
    few = ["--replicates", "2", "--facets", "reconstruction", "--steps", "5", "--jobs", "1", "--dry-run", "--json"]
    assert main(["ablate", "l1", "s.csv", *ask[:6], "--drop", "odd", *few]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert (data["shape"], data["stride"]) == ([8, 2], 2)
    assert main(["compare", "s.csv", *ask[:1], "0", *ask[2:], *run, "--dry-run"]) == 2


def test_nobody_trains_on_windows_that_hold_a_step_of_the_class_that_plays_the_anomaly():
    state = np.array(["idle", "run", "stop"])[np.arange(STEPS) // 7 % 3]
    found = read(SENSORS.assign(odd=state), window=5, time="when", label="odd")
    planned = design(found, families="pca", facets="anomaly", rivals="pca", replicates=2, configs=1)
    for job in planned.jobs():
        left_out = str(job.name.left_out)
        parts, label = rows(job, found)
        for part in parts[:2]:
            held = found.windows.first[part][:, None] + np.arange(5)
            assert left_out not in state[held]
        held = found.windows.first[parts.test][:, None] + np.arange(5)
        np.testing.assert_array_equal(label[parts.test], (state[held] == left_out).any(axis=1))
