"""Groups, times and weights: read from columns and arrays, refused where they say nothing, kept from the models."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.data.metadata import in_proportion
from isthmus.data.read import read
from isthmus.data.split import grouped, ordered
from isthmus.errors import BadInput

RNG = np.random.default_rng(0)
PEOPLE = pd.DataFrame(
    {
        "age": RNG.integers(20, 60, 60),
        "pay": RNG.normal(size=60).round(3),
        "who": [f"p{i // 5}" for i in range(60)],
        "day": pd.date_range("2020-01-01", periods=60).astype(str),
        "w": np.tile([0.0, 1.0, 2.0], 20),
        "kind": ["a", "b"] * 30,
    }
)


@pytest.mark.slow
@given(st.lists(st.integers(1, 40), min_size=3, max_size=30), st.integers(0, 2**40), st.integers(1, 4))
def test_no_group_stands_on_both_sides_whatever_groups_and_classes_are(sizes, seed, classes):
    groups = np.repeat(np.arange(len(sizes)) * 7 - 3, sizes)
    if len(groups) < 10:
        return
    y = np.random.default_rng(seed).integers(0, classes, len(groups))
    parts = grouped(groups, seed, y=y)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(len(groups)))
    assert all(len(part) for part in parts)
    there = [set(groups[part]) for part in parts]
    assert not (there[0] & there[1])
    assert not (there[0] & there[2])
    assert not (there[1] & there[2])


def test_groups_keep_sizes_and_classes_in_proportion_and_replicates_differ():
    groups = np.repeat(np.arange(60), 10)
    y = np.repeat(np.random.default_rng(1).random(60) < 0.2, 10).astype(int)  # whole groups are of one class
    parts = [grouped(groups, seed, y=y) for seed in range(8)]
    for train, valid, test in parts:
        assert [len(train), len(valid), len(test)] == [360, 120, 120]
        assert max(abs(y[part].mean() - y.mean()) for part in (train, valid, test)) < 0.06
    assert len({tuple(test) for _, _, test in parts}) == 8


def test_a_class_of_few_groups_stands_in_test_and_training_first():
    groups, sick = np.repeat(np.arange(12), 5), (3, 8)
    y = np.isin(np.repeat(np.arange(12), 5), sick).astype(int)
    for seed in range(10):
        train, _, test = grouped(groups, seed, y=y)
        assert y[train].any()
        assert y[test].any()


@pytest.mark.slow
@given(st.lists(st.integers(0, 30), min_size=10, max_size=200), st.integers(0, 40))
def test_training_lies_before_validation_before_test(time, origin):
    time = np.array(time)
    if len(np.unique(time)) < 3:
        with pytest.raises(BadInput, match="at least 3 different times"):
            ordered(time, origin)
        return
    train, valid, test = ordered(time, origin)
    assert len(train)
    assert len(valid)
    assert len(test)
    assert time[train].max() < time[valid].min() <= time[valid].max() < time[test].min()


def test_origins_end_at_different_times_and_the_first_sees_all():
    found = [ordered(np.arange(1000), k) for k in range(8)]
    ends = [int(test.max()) for _, _, test in found]
    assert ends[0] == 999
    assert len(set(ends)) == 8
    assert min(ends) > 500
    assert all(abs(len(one.test) / sum(map(len, one)) - 0.2) < 0.01 for one in found)


def test_columns_of_groups_times_and_weights_are_no_part_of_the_rows():
    found = read(PEOPLE, label="kind", group="who", weights="w", drop="day")
    assert found.columns == ("age", "pay")
    assert found.asked == {"drop": ["day"], "group": "who", "weights": "w"}
    assert found.metadata.group.tolist() == np.repeat(np.arange(12), 5)[PEOPLE.w > 0].tolist()
    dated = read(PEOPLE, label="kind", time="day", drop=["who", "w"])
    assert dated.columns == ("age", "pay")
    assert (np.diff(dated.metadata.time) == 86400).all()


@pytest.mark.parametrize("form", [pd.DataFrame, pa.Table.from_pandas, "csv", "parquet", "npy"])
def test_every_form_of_a_table_brings_them(form, tmp_path):
    numeric = PEOPLE[["age", "pay", "w"]].assign(who=np.repeat(np.arange(12), 5))
    if form == "csv":
        numeric.to_csv(tmp_path / "t.csv", index=False)
        found = read(tmp_path / "t.csv", group="who", weights="w")
    elif form == "parquet":
        numeric.to_parquet(tmp_path / "t.parquet")
        found = read(tmp_path / "t.parquet", group="who", weights="w")
    elif form == "npy":
        np.save(tmp_path / "t.npy", numeric.to_numpy())
        found = read(tmp_path / "t.npy", group="x3", weights="x2")
    else:
        found = read(form(numeric), group="who", weights="w")
    assert found.x.shape == (40, 2)
    assert len(np.unique(found.metadata.group)) == 12
    assert set(found.metadata.weight) == {1.0, 2.0}


def test_rows_of_weight_0_are_rows_left_out():
    kept = PEOPLE[PEOPLE.w > 0]
    asked = {"label": "kind", "group": "who", "drop": ["day", "w"]}
    flags = (PEOPLE.w > 0).to_numpy().astype(float)
    assert read(PEOPLE, weights=3 * flags, **asked).digest == read(kept, **asked).digest
    pixels = RNG.integers(0, 255, (40, 6, 6)).astype(np.uint8)
    labels, odd = np.arange(40) // 4 % 2, np.arange(40) % 2
    assert read(pixels, labels, weights=odd).digest == read(pixels[1::2], labels[1::2]).digest


def test_equal_weights_are_none_and_other_weights_change_the_digest():
    plain = read(PEOPLE[["age", "pay"]])
    assert read(PEOPLE[["age", "pay"]], weights=np.full(60, 2.5)).digest == plain.digest
    assert read(PEOPLE[["age", "pay"]], weights=np.arange(1, 61)).digest != plain.digest
    assert read(PEOPLE[["age", "pay"]], group=np.arange(60) // 3).digest != plain.digest
    assert read(PEOPLE[["age", "pay"]], time="rows").digest != plain.digest


def test_a_series_with_an_index_of_its_own_is_put_in_order():
    order = np.random.default_rng(3).permutation(60)
    frame = PEOPLE[["age", "pay"]].set_index(order)
    found = read(frame, group=pd.Series(np.arange(60) // 6)).metadata.group
    assert (np.equal.outer(found, found) == np.equal.outer(order // 6, order // 6)).all()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"group": "whu"}, r"no group column 'whu' \(did you mean 'who'\?\)"),
        ({"time": "kind"}, "time must be numbers or dates, one for each row; it holds texts"),
        ({"weights": "who"}, "weights must be numbers, one for each row; it holds texts"),
        ({"group": "who", "time": "day"}, "group and time exclude each other"),
        ({"weights": -np.arange(60)}, r"row 2 \(position 1\): a weight of -1; weights are at least 0"),
        ({"weights": np.zeros(60)}, "all weights are 0"),
        ({"weights": np.eye(60)[0]}, "only 1 row; at least 10 are needed"),
        ({"group": [1, 2]}, "2 values of group for 60 rows"),
        ({"group": np.ones((60, 2))}, "group can't be read as one value for each row"),
        ({"group": ["a", None] * 30}, r"row 2 \(position 1\): group is missing or not finite in 30 of 60 rows"),
        ({"time": np.append(np.arange(59.0), np.inf)}, r"row 60 \(position 59\)"),
    ],
)
def test_what_says_nothing_is_refused_with_its_place(asked, said):
    with pytest.raises(BadInput, match=said):
        read(PEOPLE, **asked)


def test_too_few_groups_are_refused_and_few_are_told():
    with pytest.raises(BadInput, match=r"2 groups cannot stand in three parts .* at least 3 groups"):
        grouped(np.arange(20) % 2, 0)
    assert any("with 4 groups only" in said for said in read(PEOPLE, group=np.arange(60) % 4).told)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=50), st.integers(0, 1000), st.floats(0.1, 9))
def test_whole_weights_are_counts_and_others_are_so_on_average(weights, seed, scale):
    weight = np.array(weights, float)
    unit = np.gcd.reduce(np.array(weights))
    if weight.sum() / unit <= 4 * len(weight):
        assert (np.bincount(in_proportion(weight, seed)) == weight / unit).all()
    drawn = in_proportion(weight * scale + 0.01, seed)
    share = (weight * scale + 0.01) / (weight * scale + 0.01).sum()
    assert np.abs(np.bincount(drawn, minlength=len(weight)) - len(drawn) * share).max() <= 1 + 1e-9
