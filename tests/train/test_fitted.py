"""What a trained model takes, and what it refuses rather than guess."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from isthmus.data.read import read
from isthmus.data.scale import Scaler
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.train.fitted import fit

X = np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 10.0, 100.0]
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
MODEL = fit(named("pca").set_params(latents=2), X, columns=["a", "b", "c"])


def test_frames_with_the_names_of_the_training_are_rows():
    for rows in (FRAME, pl.from_pandas(FRAME), pd.DataFrame(X), pd.DataFrame(X, columns=["u", "v", "w"])):
        assert np.array_equal(MODEL.encode(rows), MODEL.encode(X))
    assert np.array_equal(MODEL.encode(pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]})), MODEL.encode(X))


@pytest.mark.parametrize(
    "use", [MODEL.encode, MODEL.reconstruct, MODEL.errors], ids=["encode", "reconstruct", "errors"]
)
@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_columns_of_a_frame_go_by_their_names(use, kind):
    def given(frame):
        return {"pandas": frame, "polars": pl.from_pandas(frame), "pyarrow": pa.Table.from_pandas(frame)}[kind]

    assert np.array_equal(use(given(FRAME[["c", "a", "b"]])), use(X))
    assert np.array_equal(use(given(FRAME.assign(city="Oslo")[["city", "a", "c", "b"]])), use(X))
    with pytest.raises(BadInput, match="no column 'b', which the model was trained on; the columns are 'a', 'c'"):
        use(given(FRAME[["a", "c"]]))
    if kind == "pandas":
        with pytest.raises(BadInput, match=r"several columns have the same name \('b'\)"):
            use(pd.concat([FRAME, FRAME[["b"]]], axis=1))


def test_values_that_are_no_finite_numbers_are_refused():
    for bad in (np.nan, np.inf):
        rows = X.copy()
        rows[4, 1] = bad
        with pytest.raises(BadInput, match=r"row 5 \(position 4\): a value is missing or infinite"):
            MODEL.encode(rows)
    with pytest.raises(BadInput, match="rows must be numbers; got dtype object"):
        MODEL.encode(FRAME.assign(b="Oslo"))


@pytest.mark.parametrize("shape", [(60, 5), (60, 8, 8), (60, 9, 7, 3), (60, 50, 2), (60, 3, 2, 2, 2)])
def test_an_array_is_scaled_alike_by_a_fit_and_by_a_study(shape):
    """Bytes of pictures, of series and of tables: whatever a study takes them for, a fit does too."""
    x = np.random.default_rng(0).integers(0, 256, size=shape).astype(np.float32)
    data = read(x)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        mine = fit(named("pca").set_params(latents=2), x, valid=x[:5])
    assert [str(one.message) for one in said] == [f"X: {caution}" for caution in data.cautions]
    theirs = Scaler.fit(data.x, images=data.images)
    assert mine.layout.to_json() == theirs.to_json()
    other = fit(named("pca").set_params(latents=2), x, valid=x[:5], images=not data.images)
    assert other.layout.kind != mine.layout.kind


def test_a_name_is_no_recipe():
    with pytest.raises(BadInput, match="such as isthmus"):
        fit("plain", X)


def test_a_model_is_shown_in_one_line():
    assert repr(MODEL) == "Fitted(PCA(latents=2), rows of shape (3,), closed form)"
