"""What holds for every facet, on good and on odd data."""

import math
import warnings

import numpy as np
import pytest
from contenders import Fixed, digits, pca, split

from isthmus.data.truth import Truth
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Curve, Rows, Splits, known, numbers, row_error, some, validation_error
from isthmus.metrics import METRICS
from isthmus.parts.bounded import installed

pytestmark = pytest.mark.usefixtures("few_trees")

X, Y = digits()
EVERY = pytest.mark.parametrize("facet", FACETS.values(), ids=FACETS)


def parts_of(facet, x, y, latents=4):
    """A split as the facet's view wants it; class 1 plays the anomaly."""
    if facet.factors:  # what the rows say about themselves plays what made them
        splits = split(x, y, latents=latents)
        both = [rows.x.reshape(len(rows.x), -1).astype(float) for rows in splits[:3]]
        known = (np.stack([b.sum(axis=1), b[:, b.shape[1] // 2]], axis=1) for b in both)
        return Splits(*(r._replace(factors=f) for r, f in zip(splits[:3], known, strict=True)), splits.seed, latents)
    if facet.truth:  # any directions will do
        truth = Truth(np.eye(5, x[0].size))
        splits = split(x, y, latents=latents)
        return Splits(*(r._replace(truth=truth) for r in splits[:3]), splits.seed, latents)
    if facet.view == "all":
        return split(x, y, latents=latents)
    splits = split(x, y, latents=latents)
    train, valid = (Rows(p.x[p.y != 1], p.y[p.y != 1] * 0) for p in (splits.train, splits.valid))
    test = Rows(splits.test.x, (splits.test.y == 1).astype(np.int64))
    return Splits(train, valid, test, splits.seed, latents, odd=splits.train.x[splits.train.y == 1])


def there(facet):
    """The rivals that need no extra, or one that is installed."""
    return [rival for name, rival in facet.rivals.items() if name not in facet.extras or name in installed()]


@pytest.mark.slow
@EVERY
def test_names_agree_and_metrics_are_known(facet):
    splits = parts_of(facet, X[:300], Y[:300])
    found = facet.measure(pca(splits.train.x, 4), splits)
    assert FACETS[facet.name] is facet
    assert facet.primary == next(iter(found)) or facet.primary in found
    assert set(numbers(found)) <= set(facet.metrics)
    assert all(type(value) is float and math.isfinite(value) for value in numbers(found).values())
    curves = {name: value for name, value in found.items() if isinstance(value, Curve)}
    assert set(curves) == set(facet.curves) - {"frontier", "prefixes"}  # which are drawn where a study sets k
    assert all(len(one.x) == len(one.y) > 0 and np.isfinite([one.x, one.y]).all() for one in curves.values())
    of_codes = {
        "auroc_reconstruction",
        "auroc_density",
        "auroc_both",
        "code_movement",
        "c2st_smooth",
        "c2st_noisy",
        "with_noise",
        "jacobian_norm",
    }
    for rival in there(facet):
        told = set(numbers(rival(splits)))
        assert told <= set(facet.metrics)
        named, whole = told - set(facet.flags), set(numbers(found)) - of_codes
        classifies = facet.name == "features" and facet.primary in named  # one that gives no codes to be looked at
        assert named <= whole if classifies else named == whole


def test_every_metric_is_declared_by_a_facet_and_so_is_what_chooses():
    assert {name for facet in FACETS.values() for name in facet.metrics} == set(METRICS)
    assert all(len(facet.metrics) == len(set(facet.metrics)) for facet in FACETS.values())
    assert all("mse" in facet.metrics for facet in FACETS.values() if facet.criterion is validation_error)


@EVERY
def test_the_criterion_sees_no_test_row(facet):
    splits = parts_of(facet, X[:300], Y[:300])
    contender = pca(splits.train.x, 4)
    blind = splits._replace(test=splits.test.take(slice(0)))
    assert facet.criterion(contender, blind) == facet.criterion(contender, splits)


@pytest.mark.parametrize("facet", [one for one in FACETS.values() if not one.factors], ids=lambda one: one.name)
def test_the_criterion_prefers_the_better_model(facet):
    splits = parts_of(facet, X[:600], Y[:600])
    assert facet.criterion(pca(splits.train.x, 16), splits) < facet.criterion(pca(splits.train.x, 1), splits)


@EVERY
def test_labels_are_seen_only_where_it_says_so(facet):
    splits = parts_of(facet, X[:300], Y[:300])
    contender = pca(splits.train.x, 4)
    bare = splits._replace(train=splits.train._replace(y=None), valid=splits.valid._replace(y=None))
    if "with their labels" in facet.sees:
        with pytest.raises(BadInput, match="needs a label"):
            facet.criterion(contender, bare)
    else:
        assert facet.criterion(contender, bare) == facet.criterion(contender, splits)


def ones(width):
    return lambda x: np.ones((len(x), width), dtype=np.float32)


def like(x, value):
    return lambda z: np.full((len(z), *x.shape[1:]), value, dtype=np.float32)


ODD = {
    "dead code": Fixed(lambda x: 0 * ones(4)(x), like(X, 0.2)),
    "constant code": Fixed(ones(4), like(X, 0.2)),
    "one element": Fixed(lambda x: x.reshape(len(x), -1)[:, 30:31], like(X, 0.2)),
    "nan code": Fixed(lambda x: ones(4)(x) * np.nan, like(X, np.nan)),
    "infinite code": Fixed(lambda x: ones(4)(x) * np.inf, like(X, np.inf)),
    "huge code": Fixed(lambda x: 1e30 * x.reshape(len(x), -1), like(X, 1e30)),
    "one bad row": Fixed(
        lambda x: np.where(np.arange(len(x))[:, None] == 1, np.nan, ones(2)(x)), lambda z: z[:, :1, None] * X[:1]
    ),
}


@pytest.mark.slow
@EVERY
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_model_gets_numbers_or_none_and_never_a_traceback(facet, odd):
    splits = parts_of(facet, X[:300], Y[:300])
    for value in (facet.criterion(odd, splits), *numbers(facet.measure(odd, splits)).values()):
        assert isinstance(value, float)
        assert math.isfinite(value) or math.isnan(value)


@EVERY
@pytest.mark.parametrize("name", ["nan code", "infinite code", "one bad row"])
def test_a_diverged_model_has_no_number_that_could_win(facet, name):
    splits = parts_of(facet, X[:300], Y[:300])
    assert math.isnan(facet.criterion(ODD[name], splits))
    if facet.name != "cost":
        assert all(
            math.isnan(v) for k, v in numbers(facet.measure(ODD[name], splits)).items() if not k.endswith("_scorer")
        )


def test_some_rows_are_a_seeded_draw_in_their_order():
    rows = Rows(X[:50], Y[:50], np.arange(50.0)[:, None])
    assert some(rows, 50, 0) is rows
    few = some(rows, 20, 0)
    picked = few.factors[:, 0].astype(int)
    assert len(set(picked)) == 20
    assert sorted(picked) == picked.tolist() != list(range(20))
    np.testing.assert_array_equal(few.x, X[picked])
    np.testing.assert_array_equal(few.y, Y[picked])
    assert (some(rows, 20, 0).y == few.y).all()
    assert (some(rows, 20, 1).factors != few.factors).any()


def tiny(n, width, classes, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, width)).astype(np.float32), np.arange(n, dtype=np.int64) % classes


SMALL = {
    "two classes": tiny(40, 3, 2),
    "one column": tiny(40, 1, 2),
    "ten rows": tiny(10, 3, 2),
    "a class with two rows": (tiny(40, 3, 2)[0], np.array([2, 2] + [0, 1] * 19)),
    "constant columns": (tiny(40, 3, 2)[0] * np.float32([1, 0, 0]) + np.float32(0.1), tiny(40, 3, 2)[1]),
    "all rows equal": (np.full((40, 3), 0.1, dtype=np.float32), tiny(40, 3, 2)[1]),
}


@pytest.mark.slow
@EVERY
@pytest.mark.parametrize("data", SMALL.values(), ids=SMALL)
def test_small_and_flat_data_are_finite_or_none(facet, data):
    splits = parts_of(facet, *data)
    contender = pca(splits.train.x, 1)
    found = [facet.criterion(contender, splits), *numbers(facet.measure(contender, splits)).values()]
    for rival in there(facet):
        found += numbers(rival(splits)).values()
    assert all(math.isfinite(value) or math.isnan(value) for value in found)


def plain(found):
    """What was measured, comparable: raw scores as lists."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in found.items()}


@pytest.mark.slow
@EVERY
def test_the_same_seed_gives_the_same_numbers(facet):
    splits = parts_of(facet, X[:300], Y[:300])
    contender, clocks = pca(splits.train.x, 4), {"rows_per_second"}
    first, second = (plain(facet.measure(contender, splits)) for _ in range(2))
    assert {k: v for k, v in first.items() if k not in clocks} == {k: v for k, v in second.items() if k not in clocks}


def test_row_errors_average_to_the_error_reported():
    splits = split(X, Y)
    contender = pca(splits.train.x, 8)
    errors = row_error(contender, splits.test.x)
    assert errors.shape == (len(splits.test.x),)
    assert errors.mean() == pytest.approx(FACETS["reconstruction"].measure(contender, splits)["mse"], rel=1e-12)


def test_infinities_become_none():
    found = known({"a": math.inf, "b": -math.inf, "c": 1.5})
    assert math.isnan(found["a"])
    assert math.isnan(found["b"])
    assert found["c"] == 1.5


@pytest.mark.slow
def test_no_warning_over_many_odd_codes():
    # Columns of all sizes, copies of each other, few rows: what could keep the probe from converging.
    generator = np.random.default_rng(0)
    facet = FACETS["features"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for trial in range(3):
            scale = np.float32(10.0 ** generator.uniform(-12, 12, size=64))
            code = lambda x, scale=scale, power=1 + trial: (x.reshape(len(x), -1) * scale) ** np.float32(power / 3)  # noqa: E731
            found = facet.measure(Fixed(code, like(X, 0)), split(X[:250], Y[:250], seed=trial))
            assert all(0.2 < found[name] <= 1 for name in found if "accuracy" in name)
