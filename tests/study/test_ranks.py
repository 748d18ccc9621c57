"""Ranks over data sets: closed forms, other implementations, error rates where nothing differs, and what is found."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from isthmus.answers.ranking import lines
from isthmus.errors import BadInput
from isthmus.evidence.ranking import LEAST_SETS, rank
from isthmus.evidence.ranks import (
    critical_difference,
    friedman,
    lead,
    nemenyi,
    ranks,
    signed_rank,
    wilcoxon,
)

REFERENCE = json.loads((Path(__file__).parent / "expected" / "ranks.json").read_text())
ABOUT = {"facet": "anomaly", "metric": "auroc", "higher": True, "rope": 0.01, "relative": False}


def ranked(table, **options):
    scores = {f"c{i}": row for i, row in enumerate(np.asarray(table, float))}
    names = [str(i) for i in range(np.shape(table)[1])]
    return rank(scores, names, **{**ABOUT, "rivals": set(), **options})


# --------------------------------------------------------------------------------------------------------- pure numbers


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=2, max_size=6))
def test_ranks_are_those_of_scipy_and_sum_to_what_they_must(table):
    x = np.array(table, float)
    assert np.array_equal(ranks(x, higher=False), stats.rankdata(x, axis=0))
    assert np.array_equal(ranks(x, higher=True), stats.rankdata(-x, axis=0))
    assert np.allclose(ranks(x, higher=True).sum(axis=0), len(x) * (len(x) + 1) / 2)


def test_who_has_no_score_is_last_either_way():
    for higher in (True, False):
        assert ranks([[1.0], [np.nan], [2.0], [np.inf]], higher=higher)[[1, 3], 0].tolist() == [3.5, 3.5]
    assert lead([np.nan, 1.0], [5.0, np.nan], higher=False).tolist() == [-np.inf, np.inf]
    assert lead([1.0, 3.0], [2.0, 1.0], higher=False).tolist() == [1.0, -2.0]


@pytest.mark.parametrize("case", REFERENCE["tables"])
def test_friedman_and_nemenyi_agree_with_scipy_and_scikit_posthocs(case):
    placed = ranks(case["scores"], higher=True)
    k, n = placed.shape
    found = friedman(placed)
    assert found.chi2 == pytest.approx(case["chi2"], rel=1e-12)
    assert found.p_chi2 == pytest.approx(case["p_chi2"], rel=1e-10)
    assert found.f == pytest.approx((n - 1) * case["chi2"] / (n * (k - 1) - case["chi2"]), rel=1e-12)
    assert found.p == pytest.approx(stats.f.sf(found.f, k - 1, (k - 1) * (n - 1)), rel=1e-10)
    mean = placed.mean(axis=1)
    ours = [[nemenyi(a, b, k, n) for b in mean] for a in mean]
    assert np.allclose(ours, case["nemenyi"], atol=1e-12)


def test_friedman_at_its_ends():
    assert friedman([[1, 1, 1], [2, 2, 2], [3, 3, 3]]).chi2 == 6.0  # n (k - 1): all agree
    assert friedman([[1, 1, 1], [2, 2, 2], [3, 3, 3]]).p == 0.0
    assert friedman([[2, 2], [2, 2], [2, 2]]) == (0.0, 1.0, 0.0, 1.0)
    assert friedman([[1, 1, 1], [2, 2, 2]]) is friedman([[1], [2], [3]]) is None


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_those_of_the_paper(k, q):
    assert critical_difference(k, 25) == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 25)), abs=2e-3)
    assert critical_difference(k, 25, alpha=0.1) < critical_difference(k, 25) < critical_difference(k, 24)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_wilcoxon_is_the_count_of_all_signs(values):
    d = np.array(values, float)
    sizes = stats.rankdata(np.abs(d))[d != 0]
    plus, whole = sizes[d[d != 0] > 0].sum(), sizes.sum()
    sums = [sum(s for s, taken in zip(sizes, signs, strict=True) if taken)
            for signs in itertools.product([0, 1], repeat=len(sizes))]  # fmt: skip
    expected = min(1.0, 2 * np.mean(np.array(sums) <= min(plus, whole - plus)))
    assert wilcoxon(d) == pytest.approx(expected, abs=1e-12)
    assert wilcoxon(-d) == wilcoxon(3 * d) == wilcoxon(d)


def test_wilcoxon_agrees_with_scipy_and_takes_the_infinite():
    d = np.random.default_rng(3).normal(0.5, 1, 25)
    assert wilcoxon(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=1e-12)
    assert wilcoxon([np.inf, 1, 2, 3, -0.5, np.inf]) == wilcoxon([9, 1, 2, 3, -0.5, 9])


@pytest.mark.parametrize("case", REFERENCE["bayes"])
def test_the_bayesian_signed_rank_test_agrees_with_baycomp(case):
    found = signed_rank(np.subtract(case["x"], case["y"]), case["rope"], draws=100_000)
    assert np.allclose(found, case["masses"], atol=0.006)
    assert sum(found) == pytest.approx(1.0)


def test_the_bayesian_test_is_symmetric_seeded_and_sees_the_rope():
    d = np.random.default_rng(0).normal(0.02, 0.03, 12)
    one, other = signed_rank(d, 0.01), signed_rank(-d, 0.01)
    assert (one.left, one.right) == (other.right, other.left)
    assert signed_rank(d, 0.01, seed=1) != one == signed_rank(d, 0.01)
    assert signed_rank(d, 0.2).rope == 1.0
    assert signed_rank([np.inf] * 10 + [-np.inf], 0.01).right > 0.95
    assert signed_rank([0.0] * 6, 0.0).rope == 1.0


# -------------------------------------------------------------------------------------------------------------- claims


def test_a_clear_best_is_shown_and_a_twin_of_it_is_practically_equal():
    rng = np.random.default_rng(0)
    hard = 0.1 * rng.normal(size=12)
    x = 0.7 + hard + np.array([0.2, 0.2, 0.0, 0.0])[:, None] + 0.001 * rng.normal(size=(4, 12))
    found = ranked(x, rivals={"c2"})
    assert found.first in {"c0", "c1"}
    assert set(found.worse) == {"c2", "c3"}
    assert set(found.equal) == {"c0", "c1"} - {found.first}
    assert found.autoencoder == found.first
    assert found.relation("c2", found.first) == "worse"
    assert json.loads(json.dumps(found.to_json()))["first"] == found.first
    with pytest.raises(BadInput, match="no pair"):
        found.relation("c2", "c9")


def test_direction_ratio_and_rope_are_heeded():
    x = np.array([[1.0, 2.0, 4.0, 8.0, 16.0, 32.0], [1.1, 2.2, 4.4, 8.8, 17.6, 35.2]])
    assert ranked(x).first == "c1"
    low = ranked(x, higher=False, relative=True, rope=0.05)
    assert (low.first, low.worse) == ("c0", ("c1",))
    assert low.scores["c1"] == pytest.approx(x[1])
    assert ranked(x, higher=False, relative=True, rope=0.2).equal == ("c1",)


def test_few_data_sets_claim_nothing():
    x = np.array([[0.9] * 4, [0.5] * 4, [0.1] * 4])
    found = ranked(x)
    assert (found.first, found.worse, found.undecided) == ("c0", (), ("c1", "c2"))
    assert len(found.sets) < LEAST_SETS
    assert "no claim is made" in lines([found])[0]
    assert "不下结论" in lines([found], lang="zh")[0]


def test_overlapping_sets_count_once_with_their_mean():
    x = np.array([[0.9, 0.7, 0.5], [0.6, 0.6, 0.6]])
    found = ranked(x, together=[[0, 1], [2]])
    assert found.sets == ("0 + 1", "2")
    assert found.scores["c0"] == (pytest.approx(0.8), 0.5)
    assert found.ranks == {"c0": 1.5, "c1": 1.5}
    assert ranked([[0.9, None, 0.5], [0.6, 0.6, 0.6]], together=[[0, 1], [2]]).scores["c0"] == (None, 0.5)
    assert ranked([[4.0, 1.0], [1.0, 1.0]], together=[[0, 1]], relative=True).scores["c0"] == (pytest.approx(2.0),)


def test_a_gap_never_helps():
    x = np.array([[0.9] * 8, [0.8] * 8])
    assert ranked(x).first == "c0"
    x[0, :5] = np.nan
    found = ranked(x)
    assert (found.first, found.ranks["c0"]) == ("c1", 1 + 5 / 8)


@pytest.mark.slow
def test_where_nothing_differs_claims_are_rarer_than_the_nominal_level():
    def claims(k, n, seed):
        x = np.random.default_rng(seed).normal(size=(k, n))
        return any(p.relation in {"better", "worse"} for p in ranked(x, rope=0.0, draws=1000).pairs)

    for k, n in ((2, 8), (4, 10)):
        found = sum(claims(k, n, seed) for seed in range(200))
        assert found <= stats.binom.ppf(0.999, 200, 0.05), (k, n)


@pytest.mark.slow
def test_a_planted_best_is_found():
    def named(seed):
        x = np.random.default_rng(seed).normal(size=(4, 15)) + np.array([3.0, 0, 0, 0])[:, None]
        found = ranked(x, rope=0.1, draws=1000)
        return found.first == "c0" and len(found.worse) == 3

    assert sum(named(seed) for seed in range(40)) >= 36


# ----------------------------------------------------------------------------------------------------------- sentences


def test_sentences_say_who_is_first_and_who_is_not_told_apart():
    rng = np.random.default_rng(1)
    hard = 0.1 * rng.normal(size=12)
    x = 0.7 + hard + np.array([0.2, 0.19, 0.0])[:, None] + 0.02 * rng.normal(size=(3, 12))
    scores = dict(zip(("vae", "plain", "pca"), x, strict=True))
    found = rank(scores, [str(i) for i in range(12)], rivals={"pca"}, **ABOUT)
    text = lines([found])[0]
    assert text.startswith("Anomaly detection: over 12 data sets VAE ranks first by AUROC (mean rank ")
    assert (
        "; better than PCA; not distinguishable from plain; the best rival is PCA (mean rank 3.00), which is worse"
        in text
    )
    assert lines([found], titles={"vae": "V!"})[0].count("V!") == 1
    chinese = lines([found], [("a", "b", 0.5)], "zh")
    assert chinese[0].startswith("异常检测：在 12 个数据集上，按 AUROC，VAE 平均排名第一")
    assert "50%" in chinese[1]
    level = rank({"plain": [0.9, 0.8], "pca": [0.8, 0.9]}, ["a", "b"], rivals={"pca"}, **ABOUT)
    assert "PCA ranks first by AUROC (mean rank 1.50 of 2), tied with plain;" in lines([level])[0]
    assert "tied with" not in text
    nobody = rank({"plain": [None] * 6, "pca": [None] * 6}, list("abcdef"), rivals={"pca"}, **ABOUT)
    assert lines([nobody]) == ["Anomaly detection: no contender has a score yet."]
