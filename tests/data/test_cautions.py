"""What is odd about data that can be read: numbers of rows, numbers for missing ones, axes that are not as meant."""

import numpy as np
import pandas as pd
import pytest

from isthmus.data import cautions
from isthmus.data.bundled import DATASETS
from isthmus.data.cautions import belonging, identifiers, leaks, sentinels
from isthmus.data.read import read
from isthmus.errors import BadInput

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "column",
    [
        np.arange(200),
        np.arange(200)[::-1],
        1000 + RNG.permutation(200),
        np.sort(RNG.permutation(230)[:200]),
        RNG.permutation(230)[:200],
        10 * RNG.permutation(200),
        np.sort(RNG.permutation(2000)[:200]),
    ],
)
def test_columns_that_number_the_rows(column):
    x = np.column_stack([RNG.normal(size=200), column])
    assert identifiers(x, ["a", "id"]) == ("id",)
    assert "column 'id' only numbers the rows" in read(pd.DataFrame(x, columns=["a", "id"])).cautions[0]


@pytest.mark.parametrize(
    "column",
    [
        RNG.normal(size=200),
        RNG.integers(0, 400, 200),
        RNG.integers(0, 10_000, 200),
        RNG.permutation(1_000_000)[:200],
        np.arange(200) / 7,
        np.ones(200),
        np.arange(200) % 7,
    ],
)
def test_columns_that_measure(column):
    assert identifiers(column[:, None], ["a"]) == ()


@pytest.mark.parametrize("value", [-200, 999, -999, 9999, 99, -1e20])
def test_a_value_that_stands_for_a_missing_one(value):
    x = RNG.gamma(4, 2, size=(400, 4))
    x[RNG.random((400, 4)) < [0, 0.05, 0.3, 0.9]] = value
    assert sentinels(x, list("abcd")) == {float(value): ["b", "c", "d"]}
    said = read(x).cautions[0]
    assert said.startswith(f"{float(np.float32(value)):.9g} is the commonest value of 3 columns ('x1', 'x2', 'x3')")


def test_in_other_columns_the_same_value_need_only_be_outside():
    x = RNG.gamma(4, [2, 300], size=(400, 2))
    x[:40] = -200
    assert sentinels(x, ["a", "b"]) == {-200.0: ["a", "b"]}
    assert sentinels(x[:, 1:], ["b"]) == {}


@pytest.mark.parametrize(
    "column",
    [
        np.where(RNG.random(400) < 0.3, 0.0, RNG.gamma(4, 2, 400) + 50),  # zero is a number
        RNG.integers(0, 2, 400) * 100.0,
        np.where(RNG.random(400) < 0.1, 9.5, RNG.random(400)),
        np.minimum(RNG.gamma(4, 2, 400), 9),
        np.append(RNG.normal(size=399), 1000.0),
        RNG.normal(size=400),
    ],
)
def test_values_that_are_meant(column):
    assert sentinels(column[:, None], ["a"]) == {}


def smooth(*shape):
    return sum(np.cumsum(RNG.normal(size=shape), axis=axis) for axis in (1, 2))


def test_pictures_are_told_from_series_by_their_numbers():
    assert read(RNG.integers(0, 256, (20, 8, 8), dtype=np.uint8)).images
    assert read(RNG.random((20, 8, 8)) > 0.5).images
    assert read(smooth(20, 9, 9)).images
    assert read(smooth(20, 9, 9, 3)).images
    two = np.stack([RNG.normal(size=(50, 24)), 1000 + 300 * RNG.normal(size=(50, 24))], axis=2)
    for series in (two, smooth(20, 40, 6), RNG.normal(size=(20, 16, 16)), smooth(20, 16, 16, 9)):
        data = read(series)
        assert not data.images
        assert "are not taken for images" in data.cautions[0]
        assert read(series, images=False).images is False
    assert read(two, images=True).images
    assert read(two, images=True).cautions == ()
    with pytest.raises(BadInput, match="not images"):
        read(two.reshape(50, -1), images=True)


@pytest.mark.parametrize("shape", [(20, 3, 12, 12), (20, 1, 9, 9)])
def test_channels_first_are_asked_of_the_shape_and_put_last(shape):
    x = RNG.integers(0, 256, shape, dtype=np.uint8)
    data = read(x)
    np.testing.assert_array_equal(data.x, x.transpose(0, 2, 3, 1))
    assert data.images
    assert data.cautions == (
        f"channels stand first in rows of shape {shape[1:]} and are put last (--axes last: they do)",
    )
    assert read(x.transpose(0, 2, 3, 1)).cautions == ()
    kept = read(x, axes="last")
    np.testing.assert_array_equal(kept.x, x)
    assert "looks like channels first, but channels are expected last" in kept.cautions[0]


def test_many_channels_and_numbers_that_are_no_pixels_stay_as_they_are_unless_asked():
    many = RNG.integers(0, 256, (20, 12, 32, 32), dtype=np.uint8)
    noise = RNG.normal(size=(20, 3, 12, 12))
    for x in (many, noise):
        data = read(x)
        assert data.shape == x.shape[1:]
        assert "looks like channels first, but channels are expected last; give X.transpose" in data.cautions[0]
        assert read(x, axes="first").shape == (*x.shape[2:], x.shape[1])
    np.testing.assert_array_equal(read(noise, images=True).x, noise.transpose(0, 2, 3, 1).astype(np.float32))
    with pytest.raises(BadInput, match="axes are for arrays of rows with three axes"):
        read(noise[:, 0], axes="first")
    with pytest.raises(BadInput, match="axes must be first or last"):
        read(noise, axes="middle")


def test_a_cell_of_pictures_with_channels_first_is_named_where_it_stands():
    x = RNG.random((20, 3, 8, 8))
    x[4, 2, 5, 6] = np.inf
    with pytest.raises(BadInput, match=r"row 5, column 'x2_5_6' \(X\[4, 2, 5, 6\]\): the value is infinite"):
        read(x, axes="first")


def test_channels_before_time_are_asked_of_the_numbers():
    x = np.cumsum(RNG.normal(size=(50, 4, 60)), axis=2) * [[1], [50], [3], [200]]
    assert "give X.transpose(0, 2, 1)" in read(x).cautions[0]
    assert "transpose" not in read(x.transpose(0, 2, 1)).cautions[0]


def test_labels_and_factors_with_an_index_of_their_own_follow_the_rows():
    frame = pd.DataFrame(RNG.normal(size=(30, 2)), columns=["a", "b"], index=RNG.permutation(30))
    kinds = pd.Series(np.arange(30) % 3, index=range(30))
    data = read(frame, kinds, factors=pd.DataFrame({"f": np.arange(30.0)}))
    assert data.y.tolist() == [i % 3 for i in frame.index]
    assert data.factors[:, 0].tolist() == frame.index.tolist()
    assert data.cautions[:2] == (
        "the labels were put in the order of the rows, by their index",
        "the factors were put in the order of the rows, by their index",
    )
    assert read(frame, kinds.to_numpy()).y.tolist() == [i % 3 for i in range(30)]
    assert read(frame[:20], kinds).y.tolist() == [i % 3 for i in frame.index[:20]]
    assert read(frame, pd.Series(np.arange(30) % 3, index=frame.index)).cautions == ()
    for other in (range(100, 130), [0] * 30):
        with pytest.raises(BadInput, match=r"index that differs from that of the rows; .* labels.to_numpy\(\)"):
            read(frame, pd.Series(np.arange(30) % 3, index=other))


OWN = np.random.default_rng(1)
Y = OWN.permutation(np.arange(600) % 3)


@pytest.mark.parametrize(
    "column",
    [
        Y,
        Y + 0.05 * OWN.normal(size=600),
        np.where(Y == 1, np.nan, Y),
        np.where(OWN.random(600) < 0.01, (Y + 1) % 3, Y),
        np.exp(3.0 * Y) + OWN.random(600),
    ],
    ids=["copy", "noisy", "gaps", "some wrong", "another scale"],
)
def test_columns_that_tell_the_label(column):
    x = np.column_stack([OWN.normal(size=600), column])
    (found,) = leaks(x, Y, ["a", "twin"]).items()
    assert found[0] == "twin"
    assert 0.97 <= found[1] <= 1
    assert any(
        "column 'twin' tells the label of" in one for one in read(x, labels=Y, kinds={}).cautions
    ) or "x1" in str(read(x, labels=Y).cautions)


def test_the_share_that_is_told_is_the_mean_over_classes():
    rare = np.arange(1000) < 30
    assert leaks(OWN.normal(size=(1000, 4)), rare.astype(np.int64), list("abcd")) == {}, (
        "the commonest class is no news"
    )
    assert leaks(np.zeros((1000, 1)), np.sort(rare).astype(np.int64), ["still"]) == {}, "nor is the order of the rows"
    found = leaks((rare + 0.001 * OWN.normal(size=1000))[:, None], rare.astype(np.int64), ["a"])
    assert found["a"] > 0.98


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_stand_there_several_times_are_one_piece_of_evidence(seed):
    random = np.random.default_rng(seed)
    y = np.arange(400) % 2
    once = np.column_stack([random.normal(size=(400, 2)), y, y + 0.01 * random.normal(size=400)])
    again = random.permutation(np.repeat(np.arange(400), 8))
    assert set(leaks(once[again], y[again], ["any", "day", "twin", "near"])) == {"twin", "near"}
    codes = np.column_stack([y, random.integers(0, 3, 400)])[again]  # so few rows differ that they are codes, no copies
    assert list(leaks(codes, y[again], ["twin", "size"])) == ["twin"]


@pytest.mark.parametrize("name", DATASETS)
def test_no_bundled_set_has_a_column_that_tells_its_label(name):
    data = read(name)
    assert data.y is None or data.x.ndim > 2 or leaks(data.x, data.y, data.columns) == {}


def test_features_that_are_merely_good_are_no_leak():
    good = Y + 0.35 * OWN.normal(size=600)  # right in about nine of ten rows
    assert leaks(good[:, None], Y, ["good"]) == {}
    few = np.arange(30) % 2
    assert leaks((few + 0.01 * OWN.normal(size=30))[:, None], few, ["a"]) == {}, "too few rows to judge by"


def visits(people, times, noise, seed=0):
    """Who comes how often, and the rows (N, 4): two columns that stay with who comes but for some noise, two that do
    not."""
    random = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), random.integers(times[0], times[1] + 1, people))
    own = random.normal(size=(people, 2))[who] + noise * random.normal(size=(len(who), 2))
    return who, np.column_stack([own, random.normal(size=(len(who), 2))])


def test_rows_that_belong_together_are_told_from_those_that_only_share_a_value():
    who, rows = visits(60, (2, 8), 0.1)
    share, chance = belonging(who, rows)
    assert share > 0.5
    assert chance == pytest.approx(np.mean([(who == one).sum() - 1 for one in who]) / (len(who) - 1))
    order = np.random.default_rng(1).permutation(len(who))
    assert belonging(who[order], rows[order])[0] == pytest.approx(share)
    assert belonging(who, rows[:, [0, 2, 3]]) is None  # one column is an attribute of what the column names
    assert belonging(who, rows[:, 2:]) is None
    assert belonging(who, visits(60, (2, 8), 1.5)[1]) is None


@pytest.mark.parametrize(
    ("people", "times"),
    [(9, (4, 8)), (60, (1, 1)), (12, (60, 80))],
    ids=["few groups", "no groups", "large groups"],
)
def test_values_that_name_no_groups_are_left(people, times):
    assert belonging(*visits(people, times, 0.01)) is None


def test_by_chance_no_column_names_groups():
    found = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        codes = random.integers(0, random.integers(10, 80), 300)
        found.append(belonging(codes, random.normal(size=(300, 5)) @ random.normal(size=(5, 5))))
    assert found == [None] * 60


def test_rows_without_a_value_count_for_nothing_and_many_rows_are_drawn():
    who, rows = visits(2000, (2, 8), 0.05)
    assert belonging(who, rows)[0] > 0.5
    few, some = visits(60, (2, 8), 0.1)
    known = belonging(few, some)
    codes = np.r_[few.astype(float), np.full(200, np.nan), np.full(200, -1.0)]
    assert belonging(codes, np.r_[some, np.zeros((400, 4))]) == pytest.approx(known)


def test_the_correlation_within_groups_is_that_of_its_definition():
    who, rows = visits(40, (5, 5), 0.7)
    table = rows[:, 0].reshape(40, 5)
    between, within = 5 * table.mean(axis=1).var(ddof=1), table.var(axis=1, ddof=1).mean()
    sizes = np.bincount(who)
    assert cautions._within(rows, who, sizes)[0] == pytest.approx((between - within) / (between + 4 * within))
