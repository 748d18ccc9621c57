"""Imputation: what is hidden, what is asked, what an error is, and rivals against closed forms and another library."""

import numpy as np
import pytest
from contenders import Fixed, pca, split
from sklearn.impute import KNNImputer

from isthmus.data.fields import Field
from isthmus.data.layout import Table
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.facets import imputation, rivals
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.imputation import IMPUTATION, cells, criterion, filled, graded, measure, planted
from isthmus.metrics.imputation import category_error, imputation_error, number_error
from isthmus.study.design import design, obstacles

FIELDS = (
    Field("a", "number", gaps=True),
    Field("b", "number"),
    Field("c", "category", ("x", "y", "z"), gaps=True),
    Field("d", "flag", ("no", "yes")),
)


def table(n=900, seed=0):
    """b = 2 a, c says where a lies, d whether it is above 0; gaps in a and c."""
    random = np.random.default_rng(seed)
    a = random.normal(size=n)
    rows = np.column_stack([a, 2 * a + 0.1 * random.normal(size=n), np.digitize(a, [-0.5, 0.5]), a > 0]).astype(float)
    rows[random.random(n) < 0.15, 0] = np.nan
    rows[random.random(n) < 0.15, 2] = np.nan
    return rows


@pytest.fixture(scope="module")
def splits():
    rows = table()
    layout = Table.fit(rows[:500], FIELDS)
    parts = (Rows(layout.apply(rows[part]), None) for part in (slice(500), slice(500, 700), slice(700, None)))
    return Splits(*parts, seed=1, latents=2, layout=layout)


def test_errors_by_hand():
    assert number_error(np.array([[3.0], [1.0]]), np.array([[0.0], [1.0]])) == pytest.approx(np.sqrt(4.5))
    assert number_error(np.zeros((2, 2)), np.ones((2, 2))) == pytest.approx(np.sqrt(2))
    assert category_error(np.array([0, 1, 2, 0]), np.array([0, 0, 2, 0]), 0.75) == pytest.approx(1)
    assert imputation_error([1.0, 0.0, np.nan]) == 0.5
    none = [number_error(np.empty((0, 1)), np.empty((0, 1))), category_error(np.array([1]), np.array([1]), 1.0)]
    assert np.isnan([*none, imputation_error([]), number_error(np.zeros((1, 1)), np.full((1, 1), np.inf))]).all()


def test_known_cells_are_hidden_and_one_is_left(splits):
    one = planted(splits.test.x, cells(splits), 3)
    gaps = splits.layout.missing(splits.test.x)
    assert not (one.hidden & gaps).any()
    assert (one.gone == (one.hidden | gaps)).all()
    assert (~one.gone).any(axis=1).all()
    assert one.hidden[~gaps].mean() == pytest.approx(0.2, abs=0.05)
    assert not np.array_equal(one.hidden, planted(splits.test.x, cells(splits), 4).hidden)


def test_nobody_sees_what_is_hidden_and_what_is_known_stays(splits):
    columns, seen = cells(splits), []
    one = planted(splits.test.x, columns, 3)
    whole = imputation.spread(one.gone, columns, one.truth.shape[1])

    def fill(rows):
        seen.append(rows.copy())
        return np.full_like(rows, 0.3)

    out = filled(fill, one, columns, splits)
    assert len(seen) == 2
    assert (seen[0][whole] == 0).all()  # the mean
    says = [cell.gap for cell in columns if cell.gap is not None]
    assert all(np.ptp(rows[:, says], axis=0) == pytest.approx(0) for rows in (seen[0], out))
    assert seen[1][whole & (np.arange(out.shape[1]) == 0)] == pytest.approx(0.3)
    known = ~whole
    known[:, says] = False
    assert np.array_equal(out[known], one.truth[known])


def test_the_floor_has_one_and_the_truth_none(splits):
    columns, one = imputation.asked(splits)
    floor = IMPUTATION.rivals["mean or mode"](splits)
    assert floor == {name: pytest.approx(1, abs=0.15) for name in IMPUTATION.metrics}
    assert set(graded(one.truth, one, columns).values()) == {0.0}
    assert floor["imputation_error"] == pytest.approx(
        (floor["imputation_numbers"] + floor["imputation_categories"]) / 2
    )


def test_rivals_use_what_columns_have_to_do_with_each_other(splits):
    found = {name: rival(splits)["imputation_error"] for name, rival in IMPUTATION.rivals.items()}
    assert found["nearest known rows"] < 0.6
    assert found["iterated trees"] < 0.6
    assert found["mean or mode"] > 0.85


def test_nearest_rows_are_those_of_scikit_learn():
    x = np.random.default_rng(0).normal(size=(300, 5)) @ np.random.default_rng(1).normal(size=(5, 5))
    plain = split(x.astype(np.float32), None)
    columns, one = imputation.asked(plain)
    train = plain.train.x.astype(np.float64)
    found = imputation._neighbours(train, one, columns, 5)
    asked = np.where(one.gone, np.nan, one.truth)
    told = KNNImputer(n_neighbors=5).fit(train).transform(asked)
    assert found[one.gone] == pytest.approx(told[one.gone], abs=1e-4)


def test_the_number_of_neighbours_follows_validation_rows(splits, monkeypatch):
    usual = IMPUTATION.rivals["nearest known rows"](splits)
    monkeypatch.setattr(imputation, "NEIGHBOURS", (1,))
    assert IMPUTATION.rivals["nearest known rows"](splits) != usual


@pytest.mark.slow
def test_trees_grow_on_fewer_rows_of_wide_tables(splits, monkeypatch):
    usual = IMPUTATION.rivals["iterated trees"](splits)
    monkeypatch.setattr(rivals, "SPLITS", 1.0)
    assert IMPUTATION.rivals["iterated trees"](splits) != usual
    monkeypatch.setattr(imputation, "WIDEST", 3)
    assert IMPUTATION.rivals["iterated trees"](splits) == {}


def test_a_contender_is_measured_and_chosen_by_hidden_cells(splits):
    good, bad = pca(splits.train.x, 2), pca(splits.train.x, 1)
    for one in (good, bad):
        one.shape = splits.train.x.shape[1:]
    constant = Fixed(lambda x: x[:, :1], lambda z: np.zeros((len(z), splits.train.x.shape[1]), np.float32))
    assert measure(constant, splits) == IMPUTATION.rivals["mean or mode"](splits)
    assert measure(good, splits)["imputation_error"] < 0.9
    assert criterion(good, splits) < criterion(constant, splits)
    sick = Fixed(lambda x: x[:, :1], lambda z: np.full((len(z), splits.train.x.shape[1]), np.nan, np.float32))
    assert np.isnan(list(measure(sick, splits).values())).all()


def test_plain_rows_cannot_be_asked_and_tables_with_gaps_are_by_default():
    plain, gaps = read("iris"), read(table(60))
    assert "needs a table with gaps" in obstacles(plain)["imputation"]
    assert "imputation" not in obstacles(gaps)
    assert "imputation" in design(gaps, facets="all", families="pca").facets
    usual = design(plain, facets="all", families="pca")
    assert "imputation" not in {*usual.facets, *usual.skipped}
    with pytest.raises(BadInput, match="needs a table with gaps"):
        design(plain, facets="imputation", families="pca")
