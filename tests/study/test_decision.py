"""Whom to take where nothing is proven: the posterior behind it in closed form, and what following it costs."""

import numpy as np
import pytest
from scipy.stats import t

from isthmus.evidence import decision
from isthmus.evidence.decision import bet, expected_regret
from isthmus.evidence.purposes import answered
from isthmus.evidence.stats import masses
from isthmus.evidence.verdict import FacetVerdict, judge

USUAL = {"higher": True, "test_fraction": 1 / 3}


def noise(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("gap", [0.0, 0.02, -0.05])
def test_of_two_it_is_the_mean_of_what_a_student_t_has_above_zero(gap):
    a, b = 0.8 + 0.03 * noise(0, 6), 0.8 + gap + 0.03 * noise(1, 6)
    found = expected_regret({"a": a, "b": b}, **USUAL)
    d, freedom = b - a, 5
    scale = np.sqrt((1 / 6 + 1 / 3) * d.var(ddof=1))
    for name, sign in (("a", 1), ("b", -1)):
        u = sign * d.mean() / scale
        above = scale * (u * t.cdf(u, freedom) + (freedom + u**2) / (freedom - 1) * t.pdf(u, freedom))
        assert found[name] == pytest.approx(above, rel=0.1, abs=2e-4)


def test_every_pair_has_the_posterior_of_its_verdict():
    scores = 0.8 + 0.02 * noise(2, 4, 5) + np.array([[0.0], [0.01], [0.02], [0.03]])
    theta = scores.mean(axis=1) + decision._spread(scores, np.sqrt(1 / 5 + 1 / 3), 0.0)
    for i, j in ((0, 1), (0, 3), (2, 1)):
        mass = masses(scores[i] - scores[j], 0.01, 1 / 3)
        gap = theta[:, i] - theta[:, j]
        found = [(gap < -0.01).mean(), (np.abs(gap) <= 0.01).mean(), (gap > 0.01).mean()]
        assert found == pytest.approx(list(mass), abs=0.03)


def test_the_least_is_that_of_the_best_mean_in_the_unit_of_the_metric():
    table = {"a": 0.8 + 0.001 * noise(3, 5), "b": 0.85 + 0.001 * noise(4, 5)}
    found = expected_regret(table, **USUAL)
    assert list(found) == ["b", "a"]
    assert found["a"] == pytest.approx(0.05, abs=0.003)
    assert list(expected_regret(table, **{**USUAL, "higher": False})) == ["a", "b"]
    logs = {name: np.log(x) for name, x in table.items()}
    assert expected_regret(logs, **USUAL, relative=True)["a"] == pytest.approx(0.85 / 0.8 - 1, abs=0.004)


def test_who_lacks_a_replicate_is_not_asked_and_one_replicate_says_nothing():
    table = {"a": np.array([0.9, 0.9, np.nan]), "b": np.array([0.7, 0.72, 0.71]), "c": np.array([0.6, 0.62, 0.61])}
    assert list(expected_regret(table, **USUAL)) == ["b", "c"]
    assert expected_regret({"a": np.array([0.9]), "b": np.array([0.7])}, **USUAL) == {}
    assert expected_regret({}, **USUAL) == {}
    assert all(np.isfinite(list(expected_regret({n: x[:2] for n, x in table.items()}, **USUAL).values())))


def test_coarse_scores_that_agree_by_chance_are_no_certainty():
    same = {"a": np.array([0.75, 0.5, 0.75]), "b": np.array([0.5, 0.25, 0.5])}
    assert expected_regret(same, **USUAL)["a"] > 0.001


def test_a_rival_within_a_rope_is_taken_and_beyond_it_not():
    assert bet({"plain": 0.002, "knn": 0.0119}, {"knn"}, 0.01) == "knn"
    assert bet({"plain": 0.002, "knn": 0.0121}, {"knn"}, 0.01) == "plain"
    assert bet({"plain": 0.002, "knn": 0.0021}, {"knn"}, 0.0) == "plain"
    assert bet({"knn": 0.004, "lof": 0.003}, {"knn", "lof"}, 0.01) == "lof"
    assert bet({}, {"knn"}, 0.01) is None


def verdict(seed, gap, replicates=3, spread=0.02):
    """Ten contenders of which three are rivals; one autoencoder is better by ``gap``."""
    names = [*(f"net{i}" for i in range(7)), "knn", "pca", "lof"]
    scores = 0.8 + spread * noise(seed, 10, replicates)
    scores[0] += gap
    return judge(
        dict(zip(names, scores, strict=True)),
        metric="auroc",
        facet="anomaly",
        rivals={"knn", "pca", "lof"},
        rope=0.01,
        **USUAL,
    )


def test_a_bet_never_makes_a_claim_and_is_kept_with_the_verdict():
    """Under the null and under an effect: the relations, p-values and outcome are what they were without it."""
    for seed in range(20):
        v = verdict(seed, 0.02 * (seed % 2))
        (found,) = answered({"anomaly": v})
        assert found.proven == (v.outcome != "undecided" and not v.useless)
        assert FacetVerdict.from_json(v.to_json()) == v
        if not found.proven:
            assert found.regret == v.regret[found.take] <= min(v.regret.values()) + v.rope
            assert found.to_json()["expected_regret"] == found.regret
        else:
            assert found.regret is None


@pytest.mark.slow
def test_among_equals_a_rival_is_taken_more_often_than_not_and_a_better_one_is_found():
    """What replaces "the rival, which is simpler": it costs nothing under the null, and much less under an effect."""
    null = [answered({"anomaly": verdict(seed, 0.0, spread=0.005)})[0].take for seed in range(60)]
    assert np.mean([take in {"knn", "pca", "lof"} for take in null]) > 0.8
    found = [answered({"anomaly": verdict(seed, 0.06)})[0].take for seed in range(60)]
    assert found.count("net0") > 45
    told = [verdict(seed, 0.0) for seed in range(60)]
    expected = np.mean([v.regret[answered({"anomaly": v})[0].take] for v in told])
    assert 0 < expected < 0.08, "all are equal, so that the regret is 0, which three replicates do not tell"
