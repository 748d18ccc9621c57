"""Known factors are set aside, whatever brings them, and never learnt from."""

import numpy as np
import pandas as pd
import pytest

from isthmus.data.read import read
from isthmus.data.shapes import shapes
from isthmus.errors import BadInput

TABLE = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 4)), columns=["a", "b", "c", "d"])


@pytest.mark.parametrize("named", ["b,d", ["b", "d"], ("b", "d"), " b , d "])
def test_columns_are_set_aside(named):
    data = read(TABLE, factors=named)
    assert (data.columns, data.factor_names) == (("a", "c"), ("b", "d"))
    assert np.array_equal(data.factors, TABLE[["b", "d"]].to_numpy())
    assert np.array_equal(data.x, TABLE[["a", "c"]].to_numpy(np.float32))


def test_a_label_stands_beside_them(tmp_path):
    path = tmp_path / "t.csv"
    TABLE.assign(kind=["u", "v"] * 10).to_csv(path, index=False)
    data = read(path, label="kind", factors="a")
    assert (data.columns, data.classes, data.factor_names) == (("b", "c", "d"), ("u", "v"), ("a",))


def test_an_array_and_a_member_bring_them(tmp_path):
    x, made = TABLE.to_numpy(), np.arange(40).reshape(20, 2)
    data = read(x, factors=made)
    assert (data.x.shape, data.factor_names) == ((20, 4), ("factor 0", "factor 1"))
    np.savez(tmp_path / "t.npz", X=x, factors=made)
    assert np.array_equal(read(tmp_path / "t.npz").factors, data.factors)
    assert read(x, factors=np.arange(20)).factors.shape == (20, 1)
    assert read(x).factors is None


def test_they_are_part_of_the_data():
    x = TABLE.to_numpy()
    one, other = read(x, factors=np.arange(20)), read(x, factors=np.arange(20)[::-1])
    assert len({read(x).digest, one.digest, other.digest}) == 3
    assert read(x, factors=np.arange(20)).digest == one.digest


def test_places_are_named_by_the_columns_that_are_left():
    odd = TABLE.copy()
    odd.loc[3, "c"] = np.inf
    with pytest.raises(BadInput, match=r"row 4 .*column 'c'"):
        read(odd, factors="a,b")


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ("aa", r"no factor column 'aa'.*the columns are 'a', 'b'"),
        ("a,b,c,d", "no columns to learn from"),
        (np.ones(20), "factor 'factor 0' is the same in all rows"),
        (np.arange(19), r"factors must have shape \(20, F\), one row each; got \(19, 1\)"),
        (np.where(np.arange(20) == 4, np.nan, 1.0 * np.arange(20)), r"row 5 .*factor 'factor 0' is missing"),
        ([["u"]] * 20, "text"),
    ],
)
def test_what_cannot_be_a_factor(factors, said):
    with pytest.raises(BadInput, match=said):
        read(TABLE, factors=factors)


def test_elements_of_pictures_are_no_factors():
    with pytest.raises(BadInput, match="factors name columns of a table"):
        read("digits", factors="x0_0")


@pytest.mark.slow
def test_shapes_are_what_their_factors_say():
    x, kind, made = shapes()
    assert (x.shape, x.min(), x.max()) == ((1500, 16, 16), 0, 1)
    assert np.array_equal(made[:, 0], kind)
    area = x.sum(axis=(1, 2)) * (2 / 16) ** 2
    for one in range(3):
        assert np.mean(area[kind == one] / (2 * made[kind == one, 3]) ** 2) == pytest.approx(1, abs=0.01)
    centres = (np.arange(16) + 0.5) / 8 - 1
    for axis, factor in ((1, made[:, 1]), (2, made[:, 2])):
        seen = (x.sum(axis=axis) * centres).sum(axis=1) / x.sum(axis=(1, 2))
        assert np.abs(seen - factor).max() < 0.05
    assert np.abs(np.corrcoef(made.T) - np.eye(4)).max() < 0.08
    assert np.array_equal(shapes()[0], x)
