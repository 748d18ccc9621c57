"""Gaps with intervals: they hold the truth as often as they say, on several data sets, and follow the gaps at hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

import isthmus
from isthmus import Autoencoder
from isthmus.cli import main as run
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.imputer import Imputer, Reach, hide
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

pytestmark = [
    pytest.mark.filterwarnings("ignore:X. :UserWarning"),
    pytest.mark.filterwarnings("ignore:training was cut"),
    pytest.mark.filterwarnings("ignore:.*are read as"),
    pytest.mark.filterwarnings("ignore:.*cells are missing"),
]
CITIES = np.array(["Bergen", "Oslo", "Rome", "Paris"])


def people(n=3000, seed=0):
    """Size, wage, city and paid, which depend on each other; a fifth of all cells is missing: (with gaps, whole)."""
    random = np.random.default_rng(seed)
    size = random.normal(size=n)
    whole = pd.DataFrame(
        {
            "size": size,
            "wage": 1000 * np.exp(size + 0.5 * random.normal(size=n)),
            "city": CITIES[np.digitize(size + 0.5 * random.normal(size=n), [-0.7, 0.0, 0.7])],
            "paid": np.where(size + 0.7 * random.normal(size=n) > 0, "yes", "no"),
        }
    )
    return whole.mask(random.random(whole.shape) < 0.2), whole


def numbers(x):
    """A frame of numbers of which a fifth is missing, and the whole."""
    whole = pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])])
    return whole.mask(np.random.default_rng(1).random(x.shape) < 0.2), whole


def covered(found, gaps, whole):
    """For each filled gap of numbers, and of categories, whether the truth is among what may stand there."""
    number, category = [], []
    for j, name in enumerate(whole):
        truth = whole[name].to_numpy()
        for i in np.flatnonzero(gaps[name].isna()):
            if found.among[i, j] is None:
                number.append(found.low[i, j] <= truth[i] <= found.high[i, j])
            else:
                category.append(truth[i] in found.among[i, j])
    return np.array(number), np.array(category)


@pytest.fixture(scope="module")
def parts():
    gaps, whole = people()
    model = fit(named("masked").set_params(latents=3), gaps[:1000], plan=Plan(steps=400))
    return model, gaps[1000:2000], gaps[2000:], whole[2000:]


@pytest.mark.slow
@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say(parts):
    model, held, asked, whole = parts
    imputer = Imputer.of(model, held, asked)
    for level in (0.5, 0.8, 0.9):
        number, _ = covered(imputer.fill(asked, level), asked, whole)
        assert number.mean() == pytest.approx(level, abs=0.05)
    found = imputer.fill(asked, 0.9)
    number, category = covered(found, asked, whole)
    assert 0.88 <= number.mean() <= 0.93
    assert category.mean() >= 0.87
    sizes = [len(one) for one in found.among.ravel() if one is not None]
    assert 1 < np.mean(sizes) < 2.5  # not everything
    wide, narrow = (imputer.fill(asked, level) for level in (0.95, 0.5))
    assert np.nanmean(wide.high - wide.low) > 1.5 * np.nanmean(narrow.high - narrow.low)
    pd.testing.assert_frame_equal(found.rows, model.impute(asked))


@pytest.mark.slow
@pytest.mark.parametrize("load", [load_breast_cancer, load_diabetes, load_wine], ids=lambda load: load.__name__)
def test_over_bundled_data_and_draws_of_gaps_nine_in_ten_are_held(load):
    hits = []
    for draw in range(8):
        random = np.random.default_rng(draw)
        x = load().data[:, :10]
        whole = pd.DataFrame(random.permutation(x), columns=[f"c{i}" for i in range(x.shape[1])])
        gaps = whole.mask(random.random(x.shape) < 0.2)
        a, b = int(0.4 * len(x)), int(0.7 * len(x))
        model = fit(named("pca").set_params(latents=3), gaps[:a])
        found = Imputer.of(model, gaps[a:b], gaps[b:]).fill(gaps[b:], 0.9)
        hits.append(covered(found, gaps[b:], whole[b:])[0])
    assert 0.88 <= np.concatenate(hits).mean() <= 0.92


@pytest.mark.slow
def test_what_is_known_has_no_interval_and_what_is_filled_in_lies_in_it(parts):
    model, held, asked, _ = parts
    found = Imputer.of(model, held, asked).fill(asked, 0.9)
    for j, name in enumerate(asked):
        gone = asked[name].isna().to_numpy()
        value = found.rows[name].to_numpy()
        if name in {"size", "wage"}:
            assert (np.isnan(found.low[:, j]) == ~gone).all()
            assert (found.low[gone, j] < value[gone]).all()
            assert (value[gone] < found.high[gone, j]).all()
        else:
            assert all((one is None) == (not g) for one, g in zip(found.among[:, j], gone, strict=True))
            assert all(one[0] == v for one, v, g in zip(found.among[:, j], value, gone, strict=True) if g)


def test_what_is_hidden_together_is_what_is_missing_together():
    random = np.random.default_rng(0)
    own = random.random((400, 4)) < 0.3
    patterns = np.array([[True, True, False, False], [True, False, False, True]])
    rows, hidden = hide(own, patterns, 0, 500, random)
    assert not own[rows, 0].any()
    assert hidden[:, 0].all()
    together = hidden | own[rows]
    assert {tuple(one) for one in together.tolist()} == {tuple(one) for one in patterns.tolist()}
    assert len(set(rows.tolist())) > 50
    few, _ = hide(own[:60], patterns, 0, 500, random)
    assert len(set(few.tolist())) > 20  # not always the same ones
    full = ~np.eye(4, dtype=bool)[[0] * 9]  # rows that know the first cell alone: none has no other gap
    rows, hidden = hide(full, patterns[:1], 0, 20, random)
    assert (hidden[:, 0] & ~hidden[:, 2:].any(axis=1)).all()


def test_intervals_follow_the_gaps_of_the_rows_at_hand(parts):
    """Where all else is missing too, intervals are wider than where only one cell is."""
    model, held, asked, _ = parts
    full = asked.dropna()[:200]
    alone, all_but_one = full.copy(), full.copy()
    alone["size"] = np.nan
    all_but_one[["size", "wage", "city"]] = None
    ends = [Imputer.of(model, held, x).fill(x, 0.9) for x in (alone, all_but_one)]
    near, far = (np.nanmean(one.high[:, 0] - one.low[:, 0]) for one in ends)
    assert far > 1.3 * near


def test_too_few_cells_give_no_interval_and_wrong_wishes_one_line(parts):
    model, _, asked, _ = parts
    assert Reach(np.arange(9.0), 9).at(0.9) == 8
    assert Reach(np.arange(8.0), 8).at(0.9) == np.inf
    assert Reach(np.repeat(np.arange(9.0), 10), 9).at(0.9) == 8
    imputer = Imputer(model, {"size": Reach(np.arange(5.0), 5)})
    with pytest.warns(UserWarning, match=r"intervals of 0\.9 need 9 known cells"):
        found = imputer.fill(asked, 0.9)
    assert np.isnan(found.low).all()
    assert not found.rows.isna().any().any()
    for level in (0, 1, 90, True, "much"):
        with pytest.raises(BadInput, match=r"between 0 and 1, such as 0\.9"):
            imputer.fill(asked, level)
    plain = fit(named("pca").set_params(latents=1), np.random.default_rng(0).normal(size=(50, 3)))
    with pytest.raises(BadInput, match="only a model of rows with gaps"):
        Imputer.of(plain, np.zeros((9, 3)))


@pytest.mark.slow
def test_the_estimator_calibrates_on_its_validation_rows_or_others():
    gaps, whole = people(2400, seed=3)
    one = Autoencoder("masked", latents=3, steps=300, random_state=0).fit(gaps[:1400])
    found = one.impute(gaps[1400:], interval=0.9)
    number, category = covered(found, gaps[1400:], whole[1400:])
    assert 0.85 <= number.mean() <= 0.95
    assert category.mean() >= 0.85
    other = one.impute(gaps[1400:], interval=0.9, against=gaps[1400:1900])
    assert not np.array_equal(other.low, found.low, equal_nan=True)
    pd.testing.assert_frame_equal(found.rows, one.impute(gaps[1400:]))


@pytest.mark.slow
def test_the_command_writes_intervals_behind_their_columns(parts, tmp_path, capsys):
    model, held, asked, whole = parts
    isthmus.save(model, tmp_path / "m")
    asked.assign(id=range(len(asked)))[["id", *asked]].to_csv(tmp_path / "asked.csv", index=False)
    held.to_csv(tmp_path / "held.csv", index=False)
    call = ["impute", str(tmp_path / "m"), str(tmp_path / "asked.csv"), "-o", str(tmp_path / "out.csv")]
    assert run([*call, "--intervals", "0.9", "--against", str(tmp_path / "held.csv")]) == 0
    assert "too narrow" not in capsys.readouterr().err
    out = pd.read_csv(tmp_path / "out.csv")
    names = ["id", "size", "size low", "size high", "wage", "wage low", "wage high"]
    assert list(out) == [*names, "city", "city among", "paid", "paid among"]
    gone = asked["size"].isna().to_numpy()
    truth = whole["size"].to_numpy()[gone]
    assert ((out["size low"][gone] <= truth) & (truth <= out["size high"][gone])).mean() == pytest.approx(0.9, abs=0.05)
    assert out["size low"][~gone].isna().all()
    assert " | " in out["city among"].dropna().str.cat(sep=",")
    wide = ["--intervals", "0.99", "--against", str(tmp_path / "held.csv")]
    assert run([*call[:-1], str(tmp_path / "wide.csv"), *wide]) == 0
    assert (pd.read_csv(tmp_path / "wide.csv")["size high"] >= out["size high"])[gone].all()
    assert run([*call, "--intervals", "0.9"]) == 0
    assert "too narrow if the model was trained on them" in capsys.readouterr().err
    assert run([*call, "--against", str(tmp_path / "held.csv")]) == 2
    assert "ask for them with --intervals" in capsys.readouterr().err
    assert run([*call, "--intervals", "90"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err
