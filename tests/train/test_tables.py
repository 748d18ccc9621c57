"""Models of tables with columns of several kinds and gaps: what goes in comes out, and gaps are filled in sensibly."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import isthmus
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.explain import explain
from isthmus.families import DEFAULT, FAMILIES, named
from isthmus.sampler import Sampler
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

PLAN = Plan(steps=400, batch=64, check=100, learning_rate=0.01)
MASKED = {"latents": 3, "corruption": "mask", "corruption_level": 0.25}
CITIES = np.array(["Bergen", "Oslo", "Rome"])
pytestmark = pytest.mark.filterwarnings("ignore:X. :UserWarning")


def people(rows, seed=0, gaps=0.1):
    """Size says the city, the wage and whether it was paid; the day is of no matter."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 3, rows)
    size = 10.0 * place + rng.normal(size=rows)
    frame = pd.DataFrame(
        {
            "size": size,
            "wage": np.exp(0.2 * size + 0.1 * rng.normal(size=rows)),
            "city": pd.Categorical(CITIES[place]),
            "paid": np.where(size > 10, "yes", "no"),
            "children": rng.integers(0, 5, rows),
            "day": pd.Timestamp("2021-03-01") + pd.to_timedelta(rng.integers(0, 300, rows), "D"),
        },
        index=pd.Index(np.arange(rows) + 1000, name="person"),
    )
    whole = frame.copy()
    for name in ("size", "city", "paid"):
        frame.loc[rng.random(rows) < gaps, name] = None
    return frame, whole


FRAME, WHOLE = people(600)


@pytest.fixture(scope="module")
def model():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(named("plain").set_params(**MASKED), FRAME, plan=PLAN)


@pytest.mark.slow
def test_gaps_are_filled_in_from_the_rest_of_the_row(model):
    made = model.impute(FRAME)
    size, city, paid = (FRAME[name].isna() for name in ("size", "city", "paid"))
    assert not made.isna().any().any()
    spread = WHOLE["size"].std()
    assert (made["size"] - WHOLE["size"])[size].abs().median() < 0.4 * spread
    assert (made["city"] == WHOLE["city"])[city].mean() > 0.8
    assert (made["paid"] == WHOLE["paid"])[paid].mean() > 0.8


def test_what_is_there_stays_with_types_categories_index_and_order(model):
    made = model.impute(FRAME)
    assert list(made.columns) == list(FRAME.columns)
    assert made.index.equals(FRAME.index)
    assert made["city"].dtype == FRAME["city"].dtype
    assert made["children"].dtype == FRAME["children"].dtype
    assert made["day"].dtype.kind == "M"
    for name in FRAME:
        there = FRAME[name].notna()
        kept, had = made.loc[there, name], FRAME.loc[there, name]
        if name in ("size", "wage"):
            np.testing.assert_allclose(kept, had, rtol=1e-12)
        else:
            assert (kept.to_numpy() == had.to_numpy()).all()


def test_frames_of_other_libraries_come_back_as_such(model):
    few = FRAME[:5].reset_index(drop=True)
    made = model.impute(pl.from_pandas(few))
    assert isinstance(made, pl.DataFrame)
    assert made["city"].to_list() == model.impute(few)["city"].tolist()
    table = pl.from_pandas(few).to_arrow()
    assert model.impute(table).column("paid").to_pylist() == model.impute(few)["paid"].tolist()


def test_rows_come_back_as_a_frame_and_are_judged_without_their_gaps(model):
    made = model.reconstruct(FRAME)
    assert (made["city"] == WHOLE["city"])[FRAME["city"].notna()].mean() > 0.9
    row = FRAME[FRAME["size"].notna()][:1]
    hidden, absurd = row.copy(), row.copy()
    hidden["size"], absurd["size"] = np.nan, 1e4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hidden, absurd = (float(model.errors(one)[0]) for one in (hidden, absurd))
    assert hidden < 1 < absurd


def test_new_values_single_rows_other_orders_and_rows_of_gaps_are_taken(model):
    row = FRAME[:1].copy()
    row["city"] = "Atlantis"
    assert np.isfinite(model.encode(row)).all()
    assert np.isfinite(model.encode(FRAME[:1][FRAME.columns[::-1]])).all()
    np.testing.assert_array_equal(model.encode(FRAME[:3].assign(other="x")), model.encode(FRAME[:3]))
    nothing = FRAME[:2].astype(object).copy()
    nothing.loc[:, :] = None
    assert np.isfinite(model.encode(nothing)).all()
    assert not model.impute(nothing).isna().any().any()
    with pytest.raises(BadInput, match="no column 'wage', which the model was trained on"):
        model.encode(FRAME[:3].drop(columns="wage"))


def test_saved_and_loaded_it_is_the_same(model, tmp_path):
    isthmus.save(model, tmp_path / "m")
    again = isthmus.load(tmp_path / "m")
    np.testing.assert_array_equal(again.encode(FRAME), model.encode(FRAME))
    assert [field.name for field in again.fields] == list(FRAME.columns)
    pd.testing.assert_frame_equal(again.impute(FRAME), model.impute(FRAME))


def test_what_stands_in_one_row_only_is_in_no_file(tmp_path):
    frame = FRAME.astype({"city": object})
    frame.iloc[0, 2] = "Utopia"
    made = fit(named("pca").set_params(latents=2), frame, plan=PLAN)
    isthmus.save(made, tmp_path / "m")
    assert b"Utopia" not in (tmp_path / "m" / "model.json").read_bytes()
    again = isthmus.load(tmp_path / "m")
    np.testing.assert_array_equal(again.encode(frame), made.encode(frame))
    pd.testing.assert_frame_equal(again.reconstruct(frame), made.reconstruct(frame))


def test_shares_of_a_score_are_those_of_the_columns(model):
    odd = FRAME[FRAME.notna().all(axis=1)][:1].copy()
    odd["city"] = CITIES[(list(CITIES).index(odd["city"].iloc[0]) + 1) % 3]
    share = explain(model, odd)
    assert share.shape == (1, 6)
    assert np.abs(share).sum() == pytest.approx(1)


def test_drawn_rows_are_rows_that_could_stand_in_the_table(model):
    data = read(FRAME)
    made = Sampler.fit(model, data.x).noisy(data.x).draw(200, seed=1)
    frame = model.frame(made, FRAME)
    assert set(frame["city"].dropna()) <= set(CITIES)
    assert set(frame["paid"].dropna()) <= {"yes", "no"}
    assert 0.02 < frame["city"].isna().mean() < 0.25  # as in the data, a tenth
    joint = (frame["city"] == "Rome") & (frame["paid"] == "no")
    assert joint.mean() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("family", DEFAULT)
def test_every_default_family_takes_them(family):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = fit(named(family).set_params(latents=4), FRAME, plan=Plan(steps=150, batch=64, check=50))
        found = made.impute(FRAME)
    assert made.outcome.status != "diverged"
    assert (found["paid"] == WHOLE["paid"])[FRAME["paid"].isna()].mean() > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "cvae"])
def test_every_other_family_trains_on_them(family):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = fit(named(family).set_params(latents=4), FRAME[:200], plan=Plan(steps=30, batch=64, check=10))
    assert made.outcome.status != "diverged"
    assert np.isfinite(made.encode(FRAME[:200])).all()


def test_a_table_of_numbers_without_gaps_is_what_it_was():
    numbers = WHOLE[["size", "wage"]]
    made = fit(named("pca").set_params(latents=1), numbers, plan=PLAN)
    same = fit(named("pca").set_params(latents=1), numbers.to_numpy(), plan=PLAN)
    assert made.fields == ()
    np.testing.assert_array_equal(made.encode(numbers), same.encode(numbers.to_numpy()))
    with pytest.raises(BadInput, match="only a model of rows with gaps"):
        made.impute(numbers)
