"""What is most of the variance: planted rows, cells and columns are found, with numbers of a closed form; clean data
raise nothing."""

import numpy as np
import pytest

from isthmus.data.bundled import DATASETS
from isthmus.data.dominance import dominant, explained
from isthmus.data.fields import Field
from isthmus.data.layout import laid_out
from isthmus.data.read import read

RNG = np.random.default_rng(0)
NAMES = [f"x{j}" for j in range(64)]


def low_rank(rows: int = 1200) -> np.ndarray:
    return RNG.normal(size=(rows, 4)) @ RNG.normal(size=(4, 64)) + 2 * RNG.normal(size=(rows, 64))


def test_a_few_rows_of_a_hundred_times_the_norm():
    x = low_rank()
    clean = explained(laid_out(x[100:]).apply(x[100:]).astype(np.float64), 8)
    x[[3, 50, 700]] *= 100
    (found,) = dominant(x.astype(np.float32), NAMES, 8)
    assert (found.what, found.column, found.rows, found.components) == ("rows", "", (3, 50, 700), 8)
    assert found.share > 0.8
    assert found.size > 30
    assert found.explained > 0.85
    assert abs(found.without - clean) < 0.03, "as it is without them"
    assert found.without < 0.65


def test_the_share_is_that_of_the_squared_distances():
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]] * 25)
    x[0] = [100.0, 100.0]
    (found,) = [one for one in dominant(x, ["a", "b"], 1) if one.what == "rows"]
    scaled = laid_out(x).apply(x).astype(np.float64)
    far = ((scaled - np.median(scaled, axis=0)) ** 2).sum(axis=1)
    assert found.rows == (0,)
    assert found.share == pytest.approx(far[0] / far.sum(), rel=1e-9)
    assert found.size == pytest.approx(np.sqrt(far[0] / np.median(far)), rel=1e-9)


def test_rows_drawn_for_components_count_for_all():
    x = low_rank(9000)
    x[[4, 5000]] *= 100
    (found,) = dominant(x.astype(np.float32), NAMES, 8)
    z = laid_out(x).apply(x).astype(np.float64)
    assert abs(found.explained - explained(z, 8)) < 0.02


@pytest.mark.parametrize("value", [1e12, -1e9, 1e30])
def test_one_cell_beyond_all_others(value):
    x = RNG.normal(size=(500, 6))
    x[9, 2] = value
    (found,) = dominant(x.astype(np.float32), list("abcdef"), 2)
    assert (found.what, found.column, found.rows) == ("cells", "c", (9,))
    assert found.share > 0.99
    assert found.size == pytest.approx(value, rel=1e-6)


def test_a_cell_among_gaps_and_in_pictures():
    x = RNG.normal(size=(500, 2))
    x[::7, 0] = np.nan
    x[9, 0] = 1e12
    fields = Field("a", "number", gaps=True), Field("b", "number")
    assert [(one.what, one.column, one.rows) for one in dominant(x, "ab", 1, fields=fields)][-1] == ("cells", "a", (9,))
    pictures = RNG.integers(0, 17, size=(60, 8, 8)).astype(np.float32)
    pictures[7, 3, 3] = 1e12
    found = dominant(pictures, NAMES, 8, images=True)
    assert {one.rows for one in found} == {(7,)}


def test_one_column_of_those_that_keep_their_scale():
    x = 0.5 + 0.01 * RNG.random((400, 30))
    x[:, 4] = RNG.random(400) < 0.5
    (found,) = dominant(x.astype(np.float32), NAMES[:30], 3)
    assert (found.what, found.column, found.rows) == ("column", "x4", ())
    assert found.share > 0.95
    assert found.explained > 0.95
    assert found.without < 0.3
    assert dominant(x.astype(np.float32) * 50, NAMES[:30], 3) == [], "columns on scales of their own weigh the same"


@pytest.mark.parametrize("name", DATASETS)
def test_no_bundled_set_raises_it(name):
    data = read(name)
    assert dominant(data.x, data.columns, 8, fields=data.fields, images=data.images) == []


@pytest.mark.parametrize(
    "x",
    [
        RNG.normal(size=(300, 5)),
        RNG.exponential(size=(1000, 5)),
        RNG.lognormal(sigma=1.0, size=(1000, 5)),
        RNG.standard_t(3, size=(1000, 5)),
        RNG.poisson(0.2, size=(1000, 20)).astype(float),
        (RNG.random((1000, 20)) < 0.01).astype(float),
        np.ones((50, 3)) * np.arange(3),
    ],
    ids=["normal", "exponential", "lognormal", "student", "counts", "bits", "constant"],
)
def test_tails_as_they_are_usual_raise_nothing(x):
    assert dominant(x.astype(np.float32), [f"x{j}" for j in range(x.shape[1])], 2) == []
