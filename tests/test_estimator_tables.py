"""The estimator on frames with words, dates and gaps, as pipelines hand them over."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from isthmus import AnomalyDetector, Autoencoder, AutoencoderClassifier
from isthmus.errors import BadInput
from isthmus.families.plain import Plain

RNG = np.random.default_rng(0)
PLACE = RNG.integers(0, 3, 300)
FRAME = pd.DataFrame(
    {
        "city": np.array(["Bergen", "Oslo", "Rome"])[PLACE],
        "size": 10.0 * PLACE + RNG.normal(size=300),
        "paid": RNG.choice(["yes", "no"], 300),
    }
)
FRAME.loc[::7, "size"] = np.nan
FRAME.loc[::11, "city"] = None
pytestmark = [
    pytest.mark.filterwarnings("ignore:X. :UserWarning"),
    pytest.mark.filterwarnings("ignore:.*training was cut"),
]


def made(**more):
    return Autoencoder(**({"recipe": "plain", "latents": 3, "steps": 150, "random_state": 0} | more))


def test_it_codes_scores_and_brings_back_frames():
    one = made().fit(FRAME)
    codes = one.transform(FRAME)
    assert codes.shape == (300, 3)
    back = one.inverse_transform(codes)
    assert (list(back.columns), len(back)) == (list(FRAME.columns), 300)
    there = FRAME["city"].notna()
    assert (back["city"] == FRAME["city"])[there].mean() > 0.9
    assert 0.3 < one.score(FRAME) <= 1
    assert one.score_samples(FRAME).shape == (300,)
    assert one.get_feature_names_out().tolist() == ["autoencoder0", "autoencoder1", "autoencoder2"]
    assert one.feature_names_in_.tolist() == list(FRAME.columns)


def test_odd_rows_score_lower():
    one = made().fit(FRAME)
    odd = FRAME[FRAME.notna().all(axis=1)][:20].assign(city="Atlantis")
    with pytest.warns(UserWarning, match="column 'city': 20 of 20 values were not there in training"):
        found = one.score_samples(odd)
    assert found.mean() < one.score_samples(FRAME).mean()


def test_gaps_are_filled_in():
    one = made(recipe=Plain(latents=3, corruption="mask", corruption_level=0.3), latents=None, steps=400).fit(FRAME)
    found = one.impute(FRAME)
    assert found.notna().all().all()
    gone = FRAME["city"].isna()
    truth = np.array(["Bergen", "Oslo", "Rome"])[PLACE]
    assert (found["city"][gone] == truth[gone]).mean() > 0.6


def test_who_never_learnt_to_fill_gaps_in_says_so():
    with pytest.warns(
        UserWarning, match="was not trained to rebuild what is hidden .*the family masked, or another one"
    ):
        made().fit(FRAME).impute(FRAME)


@pytest.mark.slow
def test_it_works_in_pipelines_and_searches_and_pickles():
    y = (PLACE == 2).astype(int)
    pipe = make_pipeline(made(), LogisticRegression()).fit(FRAME, y)
    assert pipe.score(FRAME, y) > 0.9
    search = GridSearchCV(pipe, {"autoencoder__latents": [1, 3]}, cv=2).fit(FRAME, y)
    assert search.best_params_["autoencoder__latents"] in (1, 3)
    one = clone(made()).fit(FRAME)
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(again.transform(FRAME), one.transform(FRAME))


def test_no_row_of_the_training_travels_with_it():
    one = made().fit(FRAME.assign(city=FRAME["city"].fillna("nowhere"), size=FRAME["size"].fillna(123.456)))
    assert len(one._like) == 0


@pytest.mark.parametrize("option", [{"scale": "unit"}, {"shape": (3, 1)}, {"images": True}])
def test_options_for_rows_of_numbers_are_refused(option):
    with pytest.raises(BadInput, match="is for rows of numbers"):
        made(**option).fit(FRAME)


def test_a_frame_of_numbers_is_taken_as_ever():
    numbers = pd.DataFrame(RNG.normal(size=(60, 3)), columns=list("abc"))
    one = made().fit(numbers)
    np.testing.assert_array_equal(one.transform(numbers), made().fit(numbers.to_numpy()).transform(numbers.to_numpy()))
    assert isinstance(one.inverse_transform(one.transform(numbers)), np.ndarray)


def test_masked_cells_are_not_shown_to_a_model():
    rows = np.random.default_rng(0).normal(size=(60, 3))
    masked = np.ma.masked_greater(rows, 1.0)
    with pytest.raises(BadInput, match=r"masked cells.*give pandas.DataFrame") as caught:
        Autoencoder("pca", latents=1).fit(masked)
    with pytest.raises(BadInput, match="masked cells"):
        Autoencoder("pca", latents=1).fit(rows).transform(masked)
    given = str(caught.value).split("give ")[1]
    frame = eval(given, {"pandas": pd, "X": masked, "nan": np.nan, "float": float})
    filled = Autoencoder("pca", latents=1).fit(frame)
    assert filled.transform(frame).shape == (60, 1)


@pytest.mark.slow
def test_labels_and_weights_stand_beside_their_rows_by_their_index():
    named = FRAME.set_axis([f"person {i}" for i in range(300)])
    town = pd.Series(np.array(["north", "south"])[(PLACE == 2) * 1], index=named.index)
    weight = pd.Series(1.0 * (PLACE > 0), index=named.index)
    order = np.random.default_rng(1).permutation(300)
    classifier = AutoencoderClassifier(made(steps=50), steps=100, random_state=0)
    straight = classifier.fit(named, town, weight).predict_proba(named)
    score = classifier.score(named, town, weight)
    both = {"y": town.iloc[order], "sample_weight": weight.iloc[order]}
    with pytest.warns(UserWarning, match="were put in the order of the rows, by their index") as told:
        classifier.fit(named, **both)
    assert [str(one.message).split()[1] for one in told if "put in" in str(one.message)] == ["labels", "weights"]
    assert np.array_equal(classifier.predict_proba(named), straight)
    with pytest.warns(UserWarning, match="were put in the order of the rows") as told:
        assert classifier.score(named, **both) == score
    assert len(told) == 2
    for one in (made(steps=50), AnomalyDetector("plain", latents=3, steps=50, random_state=0)):
        alike = one.fit(named, sample_weight=weight).score_samples(named)
        with pytest.warns(UserWarning, match="the weights were put in the order"):
            assert np.array_equal(one.fit(named, sample_weight=weight.iloc[order]).score_samples(named), alike)


def test_labels_and_weights_of_other_rows_are_refused():
    town = pd.Series(np.array(["north", "south"])[(PLACE == 2) * 1], index=range(5, 305))
    with pytest.raises(BadInput, match=r"the labels have an index that differs .* pass labels.to_numpy\(\)"):
        AutoencoderClassifier(made(steps=50), random_state=0).fit(FRAME, town)
    for call in (made(steps=50).fit, made(steps=50).partial_fit, AnomalyDetector(steps=50).fit):
        with pytest.raises(BadInput, match="the weights have an index that differs"):
            call(FRAME, sample_weight=pd.Series(1.0, index=range(5, 305)))
    first = made(steps=50).fit(FRAME)
    with pytest.raises(BadInput, match="the weights have an index that differs"):
        first.partial_fit(FRAME, sample_weight=pd.Series(1.0, index=range(5, 305)))


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA], ids=["None", "nan", "NA"])
@pytest.mark.parametrize("rows", [FRAME, FRAME[["size"]].fillna(0.0)], ids=["words", "numbers"])
def test_a_missing_label_is_named_with_its_row(rows, nothing):
    town = pd.Series(np.where(PLACE == 2, "north", "south"), dtype=object)
    town[[4, 9]] = nothing
    for labels in (town, town.astype("string"), town.to_numpy()):
        with pytest.raises(BadInput, match="y: row 5: the label is missing; 2 of 300 rows have none; drop these rows"):
            AutoencoderClassifier(made(steps=50), random_state=0).fit(rows, labels)


def test_labels_of_several_types_are_refused_with_what_to_give():
    with pytest.raises(BadInput, match="give texts, whole numbers or booleans"):
        AutoencoderClassifier(made(steps=50), random_state=0).fit(FRAME, pd.Series(["north", 1] * 150, dtype=object))


@pytest.mark.parametrize("mark", [",", "."])
def test_numbers_that_are_all_texts_are_rows_again(mark):
    rows = np.random.default_rng(0).normal(size=(60, 3)).round(3)
    texts = pd.DataFrame({name: [f"{v:.3f}".replace(".", mark) for v in rows[:, j]] for j, name in enumerate("abc")})
    model = Autoencoder("pca", latents=2, random_state=0).fit(texts)
    assert model.transform(texts) == pytest.approx(model.transform(pd.DataFrame(rows, columns=list("abc"))), abs=1e-6)
    assert model.transform(texts[:1]) == pytest.approx(model.transform(texts)[:1], abs=1e-6)
    assert AnomalyDetector("pca", latents=2).fit(texts).predict(texts).shape == (60,)
