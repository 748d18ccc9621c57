"""Generation on tables of several kinds of columns: its rival knows them, trees decide, classes are taught."""

import numpy as np
import pytest
from contenders import Fixed

from isthmus.data.columns import columns, rows
from isthmus.data.fields import Field
from isthmus.data.layout import Table
from isthmus.facets import generation, mixtures
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.generation import GENERATION, measure
from isthmus.facets.mixtures import coding, decoded, encoded, generator

FIELDS = (
    Field("age", "number"),
    Field("gain", "number", gaps=True),
    Field("sex", "flag", ("f", "m")),
    Field("city", "category", ("Bergen", "Oslo", "Rome"), gaps=True),
    Field("day", "date", gaps=True),
)


def people(n, seed=0):
    """Cells (n, 5) and classes: whole years, a gain that is mostly 0, a city that goes with both, gaps in three."""
    random = np.random.default_rng(seed)
    old = random.random(n) < 0.4
    age = np.where(old, random.integers(50, 90, n), random.integers(17, 40, n)).astype(float)
    gain = np.where(random.random(n) < 0.8, 0.0, 1000 + 100 * random.random(n))
    sex = (random.random(n) < np.where(old, 0.8, 0.3)).astype(float)
    city = np.where(old, random.choice([0, 1], n), random.choice([1, 2], n)).astype(float)
    day = 86_400.0 * random.integers(0, 4000, n)
    cells = np.column_stack([age, gain, sex, city, day])
    for j, share in ((1, 0.1), (3, 0.2), (4, 0.1)):
        cells[random.random(n) < share, j] = np.nan
    return cells, old.astype(np.int64)


@pytest.fixture(scope="module")
def splits():
    cells, y = people(1500)
    table = Table.fit(cells[:900], FIELDS)
    train, valid, test = (
        Rows(table.apply(cells[part]), y[part]) for part in (slice(900), slice(900, 1200), slice(1200, None))
    )
    return Splits(train, valid, test, seed=1, latents=4, layout=table)


def test_columns_and_rows_are_inverses(splits):
    table = columns(splits.train.x, splits.layout)
    assert rows(table.cells, splits.layout, splits.train.x.shape[1:]) == pytest.approx(splits.train.x, abs=1e-3)
    assert table.sizes == (0, 0, 2, 4, 0)  # a place for values that are new; a date is one column
    assert table.categories.tolist() == [False, False, True, True, False]
    gone = np.isnan(people(1500)[0][:900])
    assert (np.isnan(table.cells) == gone).all()
    plain = columns(splits.train.x, None)
    assert np.array_equal(plain.cells.astype("f4"), splits.train.x)
    assert not plain.categories.any()


def test_what_a_column_becomes():
    random = np.random.default_rng(0)
    few = coding(random.integers(0, 9, 500).astype(float), 0, gap=False)
    assert (few.size, len(few.values), len(few.ranked)) == (9, 9, 0)
    zero = coding(np.where(random.random(500) < 0.7, 0.0, random.normal(size=500)), 0, gap=True)
    assert (zero.size, zero.values.tolist()) == (2, [0.0])
    assert 100 < len(zero.ranked) < 200
    smooth = coding(random.normal(size=500), 0, gap=False)
    assert (smooth.size, len(smooth.ranked)) == (0, 500)
    category = coding(random.integers(0, 4, 500).astype(float), 4, gap=False)
    assert (category.size, len(category.values), len(category.ranked)) == (4, 0, 0)


def test_a_round_trip_through_the_codings_keeps_cells(splits):
    table = columns(splits.train.x, splits.layout)
    codings = [coding(table.cells[:, j], n, gap=j in {1, 3, 4}) for j, n in enumerate(table.sizes)]
    mixed = encoded(table.cells, codings, 0, None, 0)
    again = decoded(mixed._replace(numbers=np.nan_to_num(mixed.numbers)), codings, table.owners)
    assert (np.isnan(again) == np.isnan(table.cells)).all()
    spread = np.nanmean(np.abs(again - table.cells), axis=0) / np.nanstd(table.cells, axis=0)
    assert spread == pytest.approx(0, abs=0.02)  # a number comes back by its rank
    assert np.nanstd(mixed.numbers, axis=0) == pytest.approx(1, abs=0.1)


def test_the_mixture_makes_rows_as_the_data_are(splits):
    made, y = generator(splits, labelled=True).draw(4000, seed=0)
    cells, real = splits.layout.invert(made), splits.layout.invert(splits.train.x)
    assert np.isin(cells[:, 0].round(3), real[:, 0].round(3)).all()  # whole years
    assert np.isnan(cells).mean(0) == pytest.approx(np.isnan(real).mean(0), abs=0.03)
    assert (np.abs(cells[:, 1]) < 1e-3).mean() == pytest.approx((np.abs(real[:, 1]) < 1e-3).mean(), abs=0.03)
    old, rome = cells[:, 0] > 45, cells[:, 3] == 2
    assert (old & rome).mean() < 0.03
    assert (old == (y == 1)).mean() > 0.85  # of 0.52 by chance
    assert np.array_equal(made, generator(splits, labelled=True).draw(4000, seed=0)[0])
    assert generator(splits).draw(5, 0)[1] is None


def test_it_takes_as_many_components_as_validation_rows_want(splits, monkeypatch):
    chosen = len(generator(splits).mixture.weights)
    assert chosen > 1
    monkeypatch.setattr(mixtures, "WORK", 1.0)
    assert len(generator(splits).mixture.weights) == 1


@pytest.mark.slow
def test_rivals_stand_in_their_order(splits):
    found = {
        name: GENERATION.rivals[name](splits) for name in ("mixed-type mixture", "shuffled columns", "training rows")
    }
    mixture, floor, ceiling = found.values()
    assert floor["boosted"] + 0.2 < mixture["boosted"]
    assert ceiling["boosted"] > 0.85
    assert mixture["boosted"] > 0.75
    assert (mixture["tstr"], ceiling["tstr"]) == pytest.approx((1, 1), abs=0.02)
    assert floor["tstr"] == pytest.approx(0.5, abs=0.15)


@pytest.mark.slow
def test_a_contender_makes_values_that_the_data_hold(splits):
    """Codes are the rows; what is decoded is blurred, and must come out whole years, mostly 0, one city."""
    random = np.random.default_rng(0)
    blurred = Fixed(lambda x: x, lambda z: (z + 0.2 * random.normal(size=z.shape)).astype(np.float32))
    found = measure(blurred, splits)
    assert found["boosted"] > 0.3  # without the marginals trees tell all: no age is whole
    assert found["tstr"] > 0.9
    way = generation.Way("mixture", True)
    made = generation.makers(blurred, splits)[way](500, 3)
    cells, real = splits.layout.invert(made), splits.layout.invert(splits.train.x)
    assert np.isin(cells[:, 0].round(3), real[:, 0].round(3)).all()


def test_categories_are_drawn_from_their_shares_and_get_no_noise(splits):
    """A decoder that gives everybody the shares of the data: drawn cities have these shares, none is always taken."""
    shares = Fixed(lambda x: x[:, :2], lambda z: np.zeros((len(z), splits.train.x.shape[1]), np.float32))
    real = splits.layout.invert(splits.train.x)[:, 3]
    for way, make in generation.makers(shares, splits).items():
        cells = splits.layout.invert(make(4000, 1))[:, 3]
        there = ~np.isnan(real)
        wanted = [(real[there] == code).mean() for code in range(3)]
        got = [(cells[~np.isnan(cells)] == code).mean() for code in range(3)]
        assert got == pytest.approx(wanted, abs=0.03), way
        assert np.isnan(cells).mean() == pytest.approx((~there).mean(), abs=0.03)


@pytest.mark.slow
def test_trees_are_asked_of_tables_only(splits):
    assert GENERATION.decided == {"table": "boosted"}
    assert "mixed-type mixture" in GENERATION.rivals_on("table")
    assert "mixed-type mixture" not in GENERATION.rivals_on()
    pictures = Rows(np.random.default_rng(0).random((60, 4, 4)).astype("f4"), np.arange(60) % 2)
    found = GENERATION.rivals["training rows"](Splits(pictures, pictures, pictures, seed=0, latents=2))
    assert not {"boosted", "tstr"} & set(found)
    many = splits._replace(test=splits.test._replace(y=np.arange(300)))
    assert "tstr" not in GENERATION.rivals["training rows"](many)
