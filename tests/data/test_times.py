"""When a row was taken, as files write it: whole numbers that spell moments, dates in either order, far days."""

import numpy as np
import pandas as pd
import pytest

from isthmus.answers.spoilers import lines
from isthmus.answers.words import Words
from isthmus.data.dates import stamps
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.study.profile import profiled

STEPS = 60
RNG = np.random.default_rng(0)
HOURS = pd.date_range("2021-12-30 20:00", periods=STEPS, freq="h")
TABLE = pd.DataFrame({"t": HOURS, "a": RNG.normal(size=STEPS), "b": RNG.normal(size=STEPS)})


def written(tmp_path, how):
    TABLE.assign(t=how).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


@pytest.mark.parametrize("form", ["%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_steps_whose_times_are_whole_numbers_follow_each_other(tmp_path, form):
    found = read(written(tmp_path, HOURS.strftime(form)), time="t", window=12)
    assert len(found.x) == STEPS - 11
    assert f"column 't': '{HOURS[0].strftime(form)}' is read as 2021-12-30 20:00:00" in found.told


def test_days_as_whole_numbers_of_an_array_too():
    days = pd.date_range("2021-12-01", periods=STEPS, freq="D")
    found = read(TABLE[["a", "b"]], time=days.strftime("%Y%m%d").astype(int).to_numpy(), window=12)
    assert len(found.x) == STEPS - 11


@pytest.mark.parametrize(
    "numbers",
    [
        np.arange(STEPS),
        1640000000 + 3600 * np.arange(STEPS),
        20211201 + np.arange(STEPS),
        20211230.5 + np.arange(STEPS),
        2e10 + np.arange(STEPS),
        np.arange(2021, 2021 + STEPS),
    ],
)
def test_other_numbers_are_no_moments(numbers):
    assert stamps(np.asarray(numbers, np.float64)) is None


def test_moments_are_those_of_pandas():
    moments = pd.to_datetime(RNG.integers(-2_000_000_000, 4_000_000_000, 500), unit="s")
    numbers = moments.strftime("%Y%m%d%H%M%S").astype(np.int64).to_numpy()
    assert np.array_equal(stamps(numbers.astype(np.float64)), moments.as_unit("s").astype(np.int64))


def test_how_days_and_months_are_told_apart_is_said(tmp_path):
    found = read(written(tmp_path, HOURS.strftime("%d/%m/%Y %H:%M")), time="t", window=12)
    assert "column 't': '30/12/2021 20:00' is read as 2021-12-30 20:00:00" in found.told
    with pytest.raises(BadInput, match="column 't': '1/2/2021' may be day before month"):
        read(written(tmp_path, [f"{1 + i % 5}/{2 + i // 5 % 10}/2021" for i in range(STEPS)]), time="t")


def test_one_place_and_one_step_are_in_the_singular(tmp_path):
    table = TABLE.drop(index=30)
    table.loc[5, "a"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    told = read(tmp_path / "t.csv", time="t", window=12).told
    assert "steps are missing in 1 place: no window lies across one" in told
    assert "1 step lacks a value: no window holds one" in told


def test_a_profile_names_far_days_whole_dates_totals_and_notes():
    table = pd.DataFrame(
        {"who": ["x", "y", "z"] * 20, "a": RNG.normal(size=STEPS) ** 2, "b": RNG.normal(size=STEPS) ** 2}
    )
    days = pd.date_range("2021-12-01", periods=STEPS, freq="D")
    sums = pd.concat([table, pd.DataFrame({"who": ["all"], "a": [table.a.sum()], "b": [table.b.sum()]})])
    noted = pd.concat([table, pd.DataFrame({"who": ["from a book"], "a": [np.nan], "b": [np.nan]})])
    far = days.where(np.arange(STEPS) % 6 != 0, pd.Timestamp("1900-01-01"))
    for frame, what, parts in (
        (sums, "total", "2"),
        (noted, "note", "'who'"),
        (table.assign(d=far), "day", "1900-01-01"),
        (table.assign(d=days.strftime("%Y%m%d").astype(int)), "stamps", "'d'"),
    ):
        (one,) = [one for one in profiled(read(frame), 2).spoilers if one.what == what]
        for lang in ("en", "zh"):
            assert parts in lines([one], Words(lang))[0]
    assert not profiled(read(table), 2).spoilers
