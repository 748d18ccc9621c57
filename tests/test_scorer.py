"""What a score by a model's rebuilding and its residual sees, and that it is what it says."""

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from isthmus import scorer
from isthmus.families import named
from isthmus.metrics.ranking import auroc
from isthmus.scorer import Crowd, Scorer, drawn, places, steps
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

STREAM = np.random.default_rng(0)
ROWS = (STREAM.normal(size=(400, 3)) @ np.array([[1.0, 0.5, 0.2, 0], [0, 1, 0.5, 0], [0, 0, 0.1, 0.1]])).astype("f4")
TRAIN, HELD, NEW = ROWS[:250], ROWS[250:320], ROWS[320:]


def pca(latents=2, rows=TRAIN):
    return fit(
        named("pca").set_params(latents=latents), rows, valid=HELD.reshape(len(HELD), *rows.shape[1:]), scale="none"
    )


def test_each_of_the_three_is_the_library_s():
    known, asked = TRAIN.astype(float), NEW.astype(float)
    crowd = Crowd.fit(known, HELD.astype(float))
    near, factor, far = np.exp(crowd.logs(asked))
    finder = NearestNeighbors(n_neighbors=1).fit(known)
    assert near - crowd.calm == pytest.approx(finder.kneighbors(asked)[0][:, -1])
    outliers = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(known)
    assert factor == pytest.approx(-outliers.score_samples(asked), rel=1e-2)
    expected = np.sqrt(EmpiricalCovariance().fit(known).mahalanobis(asked))
    assert np.corrcoef(far, expected)[0, 1] > 0.98, "but for the calm of directions that hardly vary"


def test_they_are_added_in_deviations_over_held_out_rows():
    crowd = Crowd.fit(TRAIN.astype(float), HELD.astype(float))
    logs, held = crowd.logs(NEW.astype(float)), crowd.logs(HELD.astype(float))
    parts = (logs - held.mean(axis=1, keepdims=True)) / held.std(axis=1, keepdims=True)
    assert crowd.scores(NEW.astype(float)) == pytest.approx(parts[0] + (parts[1] + parts[2]) / 4)


def shifted(count, by):
    """Rows that lie off the surface by so many deviations in the column that moves least, and nothing else."""
    found = STREAM.normal(size=(count, 3)) @ np.array([[1.0, 0.5, 0.2, 0], [0, 1, 0.5, 0], [0, 0, 0.1, 0.1]])
    found[:, 3] += by * 0.1
    return found.astype("f4")


def test_known_anomalies_choose_what_tells_them_and_a_few_that_are_alike_by_chance_do_not():
    crowd, held = Crowd.fit(TRAIN.astype(float), HELD.astype(float)), HELD.astype(float)
    far = crowd.told(held, shifted(30, 3).astype(float))
    assert far.weights.tolist() == [0, 0, 1], "the only one that knows how columns hang together"
    logs, usual = crowd.logs(NEW.astype(float)), crowd.usual
    assert far.scores(NEW.astype(float)) == pytest.approx((logs[2] - usual[2, 0]) / usual[2, 1])
    dense, loose = 0.01 * STREAM.normal(size=(200, 4)), 5 + STREAM.normal(size=(200, 4))
    two = Crowd.fit(np.concatenate([dense[:150], loose[:150]]), np.concatenate([dense[150:], loose[150:]]))
    beside = 0.05 * STREAM.normal(size=(30, 4))
    assert two.told(np.concatenate([dense[150:], loose[150:]]), beside).weights.tolist() == [0, 1, 0]
    same = [crowd.told(held, rows) for rows in (20 * held[:30], held[:1], np.full((9, 4), np.nan))]
    assert all(one.weights.tolist() == scorer.WEIGHTS.tolist() for one in same)


def test_a_model_s_score_is_chosen_by_the_anomalies_it_is_given():
    model = pca()
    found = Scorer.fit(model, TRAIN, HELD, odd=shifted(30, 3))
    assert found.crowd.weights.tolist() != scorer.WEIGHTS.tolist()
    label, asked = np.repeat([0, 1], (len(NEW), 200)), np.concatenate([NEW, shifted(200, 3)])
    usual = Scorer.fit(model, TRAIN, HELD)
    assert auroc(label, found.scores(asked)) > auroc(label, usual.scores(asked)) + 0.02


def test_it_sees_what_lies_off_the_surface_and_what_is_far_out_on_it():
    model = pca()
    found = Scorer.fit(model, TRAIN, HELD)
    off, out = NEW.copy(), 4 * NEW
    off[:, 3] += 1
    label = np.repeat([0, 1], len(NEW))
    for odd in (off, out):
        score = found.scores(np.concatenate([NEW, odd]))
        assert auroc(label, score) > 0.9
    error = model.score_scaled(np.concatenate([NEW, out]))
    assert auroc(label, error) < auroc(label, found.scores(np.concatenate([NEW, out])))


def test_a_row_lies_where_the_model_puts_it():
    model = pca()
    found = places(model, NEW, np.array([1.0, 2.0, 4.0, 8.0]))
    rebuilt = model.decode_scaled(model.encode_scaled(NEW))
    assert found[:, :4] == pytest.approx(rebuilt / [1, 2, 4, 8], abs=1e-6)
    assert found[:, 4:] == pytest.approx((NEW - rebuilt) / [1, 2, 4, 8], abs=1e-6)


def test_columns_have_units_of_their_own_and_pixels_one():
    wide = TRAIN * np.array([1, 100, 1, 1], np.float32)
    assert steps(wide)[1] == pytest.approx(wide[:, 1].std(), rel=1e-2)
    assert steps(wide)[0] > wide[:, 0].std(), "a column that hardly moves is no tell-tale of every step"
    assert len(set(steps(wide.reshape(-1, 2, 2)))) == 1
    assert steps(np.zeros((3, 2), np.float32)).tolist() == [pytest.approx(0.03)] * 2


def test_a_row_is_scored_for_itself():
    found = Scorer.fit(pca(), TRAIN, HELD)
    whole = found.scores(NEW)
    assert found.scores(NEW[::-1][:7]) == pytest.approx(whole[::-1][:7], rel=1e-5)
    assert len(found.scores(NEW[:0])) == 0


def test_blocks_change_nothing(monkeypatch):
    found = Scorer.fit(pca(), TRAIN, HELD)
    whole = found.scores(NEW)
    monkeypatch.setattr(scorer, "BLOCK", 7)
    assert found.scores(NEW) == pytest.approx(whole, rel=1e-5, abs=1e-5)


def test_training_rows_are_bounded_by_a_seeded_draw(monkeypatch):
    assert drawn(TRAIN, 0) is TRAIN
    monkeypatch.setattr(scorer, "KNOWN", 60)
    assert len(drawn(TRAIN, 0)) == 60
    assert np.array_equal(drawn(TRAIN, 0), drawn(TRAIN, 0))
    assert not np.array_equal(drawn(TRAIN, 0), drawn(TRAIN, 1))
    assert len(Scorer.fit(pca(), TRAIN, HELD).crowd.known) == 60
    monkeypatch.setattr(scorer, "CELLS", 8 * 40)
    assert len(drawn(TRAIN, 0)) == 40, "fewer where they are wide"


def test_who_copies_its_rows_or_has_a_score_of_its_own_gets_no_other():
    copies = pca(latents=4)
    assert Scorer.fit(copies, TRAIN, HELD).crowd is None
    assert Scorer.fit(copies, TRAIN, HELD).scores(NEW) == pytest.approx(copies.score_scaled(NEW))
    own = fit(named("svdd").set_params(latents=2), TRAIN, valid=HELD, plan=Plan(steps=5), scale="none")
    found = Scorer.fit(own, TRAIN, HELD)
    assert found.crowd is None
    assert found.scores(NEW) == pytest.approx(own.score_scaled(NEW))


def test_rows_that_are_all_the_same_have_finite_scores():
    same = np.tile(TRAIN[:1], (60, 1))
    crowd = Crowd.fit(same.astype(float), same[:9].astype(float))
    assert np.isfinite(crowd.scores(NEW.astype(float))).all()
    assert np.isnan(crowd.scores(np.full((2, 4), np.nan))).all()
