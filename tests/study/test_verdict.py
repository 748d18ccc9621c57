"""Verdicts on planted truths, under nulls, and in words."""

import json
import math
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus.answers.advice import for_facet
from isthmus.answers.sentences import sentence, size
from isthmus.answers.words import Words
from isthmus.errors import BadInput
from isthmus.evidence.verdict import FacetVerdict, judge

BENCHMARKS = Path(__file__).parents[2] / "benchmarks" / "calibration"
simulated = SimpleNamespace(**runpy.run_path(str(BENCHMARKS / "simulated.py")))
real = SimpleNamespace(**runpy.run_path(str(BENCHMARKS / "real.py")))
RIVALS = {"pca", "raw columns", "knn"}


def scores(rng: np.random.Generator, n: int = 5, **means: float) -> dict[str, list[float]]:
    """Replicates of known means, with noise of 0.002 beside a shared effect of 0.02."""
    shared = 0.02 * rng.standard_normal(n)
    return {name: list(mean + shared + 0.002 * rng.standard_normal(n)) for name, mean in means.items()}


def verdict(table, **options) -> FacetVerdict:
    usual = {"metric": "auroc", "higher": True, "rope": 0.01, "rivals": RIVALS, "test_fraction": 1 / 3}
    return judge(table, **usual | {"facet": "anomaly"} | options)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


# --- one study -------------------------------------------------------------------------------------------------------


def test_a_clear_autoencoder_wins(rng):
    v = verdict(scores(rng, plain=0.8, topk=0.9, pca=0.7))
    assert (v.kind, v.leader, v.outcome, v.worse) == ("better", "topk", "autoencoder", ("plain", "pca"))
    assert (v.autoencoder, v.rival, v.rivals, v.replicates) == ("topk", "pca", ("pca",), 5)
    pair = v.pair("topk", "pca")
    assert (pair.relation, pair.n) == ("better", 5)
    assert pair.low < 0.2 < pair.high
    assert v.pair("pca", "topk").relation == "worse"


def test_rounding_noise_is_no_difference():
    v = verdict({"plain": [0.8, 0.9, 0.7], "pca": [0.8, 0.9, 0.7]})
    assert (size(-5.55e-17, v), size(-5.55e-7, v), size(-0.1, v)) == ("0", "-5.55e-07", "−0.1")


def test_practical_equality_comes_out(rng):
    v = verdict(scores(rng, plain=0.900, topk=0.901, kl=0.9005, pca=0.7))
    assert (v.kind, v.outcome) == ("equal", "autoencoder")
    assert {v.leader, *v.equal} == {"plain", "topk", "kl"}
    assert v.worse == ("pca",)


def test_a_linear_truth_gives_pca_is_enough():
    """Data on a plane: a linear autoencoder finds what PCA finds, up to its optimiser's last digits."""
    rng = np.random.default_rng(0)
    table: dict[str, list[float]] = {"plain": [], "topk": [], "pca": []}
    for _ in range(5):
        x = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 20)) + 0.1 * rng.standard_normal((200, 20))
        train, test = x[:150], x[150:] - x[:150].mean(0)
        basis = np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:3]
        rough = np.linalg.qr((basis + 0.01 * rng.standard_normal(basis.shape)).T)[0].T
        for name, b in (("plain", rough), ("topk", rough[:2]), ("pca", basis)):
            table[name].append(1 - float(np.sum((test - test @ b.T @ b) ** 2) / np.sum(test**2)))
    v = verdict(table, metric="explained_variance", facet="reconstruction")
    assert (v.outcome, v.autoencoder, v.rival) == ("rival enough", "plain", "pca")
    assert sentence(v).startswith("Reconstruction: PCA is enough")
    assert sentence(v, "zh").startswith("重构：PCA 就够了")


def test_a_rival_that_is_at_least_as_good_is_enough_even_if_equality_is_open(rng):
    """Whether the autoencoder is worse or equal stays open; that it is not better does not."""
    shift = np.array([0.004, 0.018, 0.009, 0.016, 0.003])
    base = np.array([0.8, 0.83, 0.79, 0.81, 0.84])
    v = verdict({"plain": base - shift, "pca": base})
    assert v.pair("plain", "pca").relation == "undecided"
    assert v.outcome == "rival enough"
    assert "not better by more than 0.01" in sentence(v)


def test_a_better_rival_is_said_to_be_better(rng):
    v = verdict(scores(rng, plain=0.8, pca=0.7, knn=0.9))
    assert (v.outcome, v.rival, v.kind) == ("rival", "knn", "better")


def test_an_autoencoder_must_beat_every_rival():
    base = np.array([0.8, 0.81, 0.79, 0.8, 0.82])
    wild = base + np.array([-0.9, 0.3, -0.7, 0.4, -0.5])
    v = verdict({"plain": base + 0.1, "pca": base + np.array([1, 0, 2, 0, 1]) / 1000, "knn": wild})
    assert v.pair("plain", "pca").relation == "better"
    assert v.outcome == "undecided"
    assert "kNN distance" in sentence(v)


def test_direction_counts(rng):
    table = scores(rng, plain=0.8, pca=0.9)
    assert verdict(table).leader == "pca"
    assert verdict(table, higher=False).leader == "plain"
    assert verdict(table, higher=False).outcome == "autoencoder"


def test_rope_counts(rng):
    table = scores(rng, plain=0.85, pca=0.8)
    assert verdict(table).outcome == "autoencoder"
    assert verdict(table, rope=0.2).outcome == "rival enough"


def test_rivals_count(rng):
    table = scores(rng, plain=0.85, pca=0.8)
    assert verdict(table, rivals=set()).outcome == "no contest"
    assert verdict(table, rivals={"plain"}).rival == "plain"


def test_test_fraction_counts(rng):
    table = {"plain": [0.82, 0.85, 0.84, 0.83, 0.86], "pca": [0.80, 0.80, 0.81, 0.80, 0.805]}
    assert verdict(table, rope=0.0, test_fraction=0.0).outcome == "autoencoder"
    assert verdict(table, rope=0.0, test_fraction=3.0).outcome == "undecided"


def test_ratios_count():
    speed = {"plain": [1e5, 2e5, 4e5], "pca": [3e5, 6e5, 12.1e5]}
    v = verdict(speed, relative=True, rope=0.25, metric="rows_per_second")
    assert (v.kind, v.leader) == ("better", "pca")
    assert v.means["plain"] == pytest.approx(2e5)
    assert v.pair("plain", "pca").mean == pytest.approx(-2 / 3, abs=0.01)
    assert verdict(speed, rope=0.25).kind == "undecided"


def test_nan_never_wins(rng):
    table = scores(rng, plain=0.9, topk=0.8, pca=0.7)
    for hole in (None, math.nan, math.inf):
        v = verdict({**table, "plain": [*table["plain"][:4], hole]})
        assert v.leader == "topk"
        assert v.missing == {"plain": 1}
        assert (v.undecided, v.worse) == (("plain",), ("pca",))
        assert v.pair("plain", "pca").n == 4
        assert v.pair("plain", "pca").dropped == 1


def test_means_in_a_sentence_are_of_the_replicates_that_both_finished(rng):
    """After a race one of them has more; a mean over other splits would not fit the difference beside it."""
    table = {"plain": [0.80, 0.81, 0.82, 0.40, 0.41], "pca": [0.70, 0.71, 0.72, None, None]}
    v = verdict(table)
    assert v.means["plain"] == pytest.approx(0.648)
    assert v.side_by_side("plain", "pca") == pytest.approx((0.81, 0.71))
    assert v.side_by_side("pca", "plain") == pytest.approx((0.71, 0.81))
    assert "AUROC 0.81 against 0.71 of PCA; difference 0.1" in sentence(v)
    ratio = verdict({"plain": [1.0, 4.0, None], "pca": [2.0, 8.0, 9.0]}, relative=True, metric="mse", higher=False)
    assert ratio.side_by_side("plain", "pca") == pytest.approx((2.0, 4.0))
    apart = verdict({"plain": [0.8, None], "pca": [None, 0.7]})
    assert apart.side_by_side("plain", "pca") == (0.8, 0.7)


def test_a_hole_does_not_shield_the_worse(rng):
    table = scores(rng, plain=0.9, pca=0.7)
    v = verdict({**table, "pca": [None, *table["pca"][1:]]})
    assert (v.kind, v.outcome) == ("better", "autoencoder")


def test_a_hole_is_no_equality(rng):
    table = scores(rng, plain=0.9, topk=0.9)
    assert verdict(table).kind == "equal"
    assert verdict({**table, "plain": [None, *table["plain"][1:]]}).kind == "undecided"


def test_excluded_are_named_and_not_compared(rng):
    table = scores(rng, plain=0.8, topk=0.9, pca=0.7)
    v = verdict({**table, "vae": [None] * 5}, excluded={"topk": "constant scorer"})
    assert v.leader == "plain"
    assert v.excluded == {"topk": "constant scorer", "vae": "no finite score"}
    assert "topk" not in v.means


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_replicates_decide_nothing(rng, n):
    v = verdict(scores(rng, n, plain=0.9, pca=0.5))
    assert (v.kind, v.outcome, v.leader) == ("undecided", "undecided", "plain")
    assert v.pair("plain", "pca").p_adjusted is None or n == 2
    assert sentence(v)
    assert sentence(v, "zh")


def test_no_evidence():
    for table, leader in (({}, None), ({"plain": [0.9, 0.8]}, "plain"), ({"plain": [None]}, None)):
        v = verdict(table)
        assert (v.kind, v.outcome, v.leader) == ("no evidence", "no contest", leader)
        assert sentence(v)


def test_identical_scores_are_practically_equal():
    v = verdict({"plain": [0.9, 0.912, 0.887, 0.9], "pca": [0.9, 0.912, 0.887, 0.9]})
    assert (v.kind, v.outcome) == ("equal", "rival enough")


def test_holm_over_the_whole_table_holds_a_single_claim_back():
    """A difference that is enough among two, or to be ahead of all, is not enough when it was picked out of 78."""
    rng = np.random.default_rng(3)
    shared = rng.standard_normal(5)
    pair = {"best": shared + 1.8 + 0.1 * rng.standard_normal(5), "c0": shared + 0.5 * rng.standard_normal(5)}
    assert verdict(pair, rivals=set()).kind == "better"
    field = {f"c{i}": shared + 0.5 * rng.standard_normal(5) for i in range(1, 11)}
    alone = verdict(pair | field, rivals=set())
    assert (alone.kind, alone.leader, alone.pair("best", "c0").relation) == ("better", "best", "better")
    assert alone.pair("best", "c0").p_adjusted == max(one.p for one in alone.pairs if "best" in {one.a, one.b})
    level = pair | field | {"as good": pair["best"] + 0.1 * rng.standard_normal(5)}
    assert verdict(level, rivals=set()).pair("best", "c0").relation == "undecided"


def test_a_headline_needs_the_rope_in_every_pair(rng):
    """With one of the others within the rope the leader is not ahead of all, and Holm decides on the rest."""
    table = scores(rng, top=0.92, **{f"c{i}": 0.9 for i in range(12)}, near=0.912)
    assert verdict(table, rivals=set(), rope=0.001).kind == "better"
    v = verdict(table, rivals=set(), rope=0.01)
    assert v.kind != "better"
    assert all(one.p_adjusted >= 12 * one.p or one.p_adjusted == 1 for one in v.pairs if "top" in {one.a, one.b})


def test_the_best_of_many_autoencoders_pays_for_the_choice(rng):
    """Whoever leads its own side by chance is set against the rivals at a level for all of that side."""
    rival = np.array([0.80, 0.83, 0.79, 0.81, 0.84])
    gain = np.array([0.020, 0.024, 0.012, 0.027, 0.015])
    few = {"plain": rival + gain, "pca": rival}
    assert verdict(few, rope=0.0).outcome == "autoencoder"
    many = {**few, **{f"c{i}": rival + gain + 0.001 * rng.standard_normal(5) for i in range(30)}}
    v = verdict(many, rope=0.0)
    assert (v.outcome, v.kind) == ("undecided", "undecided")
    some = {name: many[name] for name in [*few, "c1", "c2"]}
    v = verdict(some, rope=0.0)
    best = v.pair(v.autoencoder, "pca")
    assert (v.outcome, best.p_adjusted) == ("autoencoder", pytest.approx(3 * best.p))


def test_json_round_trip(rng):
    v = verdict({**scores(rng, plain=0.9, topk=0.8, pca=0.7), "vae": [math.nan] * 5}, excluded={"kl": "diverged"})
    assert FacetVerdict.from_json(json.loads(json.dumps(v.to_json(), allow_nan=False))) == v


def test_bad_input_is_one_line():
    for table, options in [
        ({"a": [0.1, 0.2], "b": [0.1]}, {}),
        ({"a": [0.1, 0.2]}, {"rope": -1.0}),
        ({"a": [0.1, 0.2]}, {"test_fraction": math.nan}),
        ({"a": [-0.1, 0.2]}, {"relative": True}),
    ]:
        with pytest.raises(BadInput) as caught:
            verdict(table, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="no pair"):
        verdict({"a": [0.1, 0.2, 0.3], "b": [0.1, 0.2, 0.3]}).pair("a", "z")


def test_estimate_of_replicates_is_for_the_open_question(rng):
    table = {"plain": [0.83, 0.86, 0.80, 0.87, 0.845], "pca": [0.80, 0.80, 0.81, 0.80, 0.805]}
    v = verdict(table, rope=0.0)
    assert v.outcome == "undecided"
    assert 5 < v.replicates_needed <= 100
    assert f"about {v.replicates_needed} replicates" in sentence(v)
    far = verdict(table, rope=0.0, test_fraction=3.0)
    assert far.replicates_needed is None
    assert "even 100" in sentence(far)


# --- many studies ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("replicates", [5, 10])
@pytest.mark.parametrize("contenders", [2, 10])
def test_null_a_winner_is_claimed_in_at_most_five_percent(contenders, replicates):
    """Nothing differs, noise as large as the rope: 200 studies, overlap as the correction assumes."""
    s = simulated.rates([0.0] * contenders, replicates, 1.0, 200)
    assert s["better"] <= 0.05
    assert s["any pair"] <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("replicates", [3, 5])
def test_null_with_coarse_scores(replicates):
    """Scores in steps as large as the noise agree by chance; nobody may win by that, not even on some pair."""
    s = simulated.rates([0.0] * 10, replicates, 0.0, 100, step=1.0)
    assert s["better"] <= 0.05
    assert s["any pair"] <= 0.05


@pytest.mark.slow
def test_planted_effects_are_found():
    assert simulated.rates([4.0, 0.0], 5, 1.0, 200)["found"] >= 0.9
    assert simulated.rates([4.0] + [0.0] * 9, 5, 1.0, 100)["found"] >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("truth", "rivals"), [([0.0, 0.0] + [-50.0] * 8, 0), ([0.0] * 5 + [-50.0] * 4 + [0.0], 1)])
def test_a_headline_is_wrong_in_at_most_five_percent_where_it_is_hardest(truth, rivals):
    """Two level at the top and the others far below; a rival that is level with five autoencoders. No rope."""
    s = simulated.rates(truth, 5, 0.0, 300, rivals=rivals)
    assert s["better"] <= 0.09  # 0.05 and three standard errors
    assert s["outcome autoencoder"] <= 0.06


@pytest.mark.slow
def test_planted_equality_is_called_so():
    assert simulated.rates([1.0, 0.0, 0.0], 5, 6.0, 200)["equal"] >= 0.9


@pytest.mark.slow
def test_planted_rival_is_enough():
    s = simulated.rates([0.0, -1.0, -2.0, 0.0], 5, 3.0, 200, rivals=1)
    assert s["outcome rival enough"] >= 0.9
    assert s["outcome autoencoder"] <= 0.05


@pytest.mark.slow
def test_intervals_cover_within_binomial_bounds():
    """400 intervals of level 0.95: 0.917 and 0.983 are three standard errors away."""
    assert 0.917 <= simulated.coverage(5, 400, simulated.RHO, 1 / 3) <= 0.983
    assert simulated.coverage(5, 400, simulated.RHO, 0.0) < 0.917, "without the correction they are too narrow"


@pytest.mark.slow
def test_real_null_and_real_coverage():
    """Small models on really overlapping training sets: the same recipe twice, and intervals of a real difference."""
    kinds = [real.verdict(real.study(seed, 5, None), 0.0) for seed in range(60)]
    assert kinds.count("better") <= 3
    differences = [np.subtract(*real.study(seed, 5, real.PAIRS[2])) for seed in range(60)]
    truth = float(np.mean(differences))
    assert real.held(differences, truth, 1 / 3) >= 0.9


# --- in words --------------------------------------------------------------------------------------------------------


def facets(rng) -> list[FacetVerdict]:
    def one(facet, metric, table, **options):
        return verdict(table, facet=facet, metric=metric, **options)

    return [
        one("reconstruction", "explained_variance", scores(rng, plain=0.935, l1=0.93, topk=0.88, pca=0.85)),
        one("features", "probe_accuracy", scores(rng, plain=0.90, l1=0.85, topk=0.95, pca=0.90, raw=0.92)),
        one("anomaly", "auroc", scores(rng, plain=0.93, l1=0.93, topk=0.88, pca=0.930, knn=0.6)),
        one("sparsity", "hoyer", scores(rng, plain=0.2, l1=0.6, topk=0.8, pca=0.2), rope=0.02),
        one("cost", "rows_per_second", scores(rng, plain=10, l1=11, topk=5, pca=30), rope=0.25, relative=True),
    ]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_facet_is_one_sentence(rng, lang):
    for v in facets(rng):
        text = sentence(v, lang)
        assert text.endswith("." if lang == "en" else "。")
        assert "\n" not in text
        assert "None" not in text
        assert not re.search(r"[{}]", text)
        if lang == "zh":
            assert not re.search("[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", text)


def test_a_sentence_carries_its_evidence(rng):
    v = facets(rng)[0]
    text, pair = sentence(v), v.pair("plain", "pca")
    for number in (v.means["plain"], v.means["pca"], pair.mean, pair.low, pair.high):
        assert f"{number:.3g}" in text
    assert "probability > 0.99" in text
    assert "5 replicates" in text
    assert "practically equal to it: sparse (L1)" in text


def test_sparsity_and_cost_crown_nobody(rng):
    sparse, cost = facets(rng)[3:]
    assert "sparser is not better in itself" in sentence(sparse)
    assert "no winner is declared" in sentence(cost)
    assert "25%" in sentence(cost)
    for v in (sparse, cost):
        assert not re.search("is enough|needed|is better than", sentence(v))


def test_stability_crowns_nobody_and_says_what_a_closed_form_does(rng):
    table = {"plain": [0.9, 0.91, 0.92], "topk": [0.5, 0.6, 0.5], "pca": [1.0] * 3}
    v = verdict(table, facet="stability", metric="cka", rope=0.02)
    assert "PCA has the highest similarity of codes (CKA) on average, 1; " in sentence(v)
    assert "closed-form methods give the same result each time by construction" in sentence(v)
    assert not re.search("is enough|needed|is better than", sentence(v))
    assert for_facet(v, Words("en")).startswith("For codes that do not depend on the seed: PCA is the most repeatable")


def test_titles_of_the_caller_win(rng):
    text = sentence(facets(rng)[0], titles={"plain": "our model", "explained_variance": "R2"})
    assert "our model is better than every rival" in text
    assert "(R2 0.9" in text


def test_unknown_language_is_refused(rng):
    with pytest.raises(BadInput, match="en or zh"):
        sentence(facets(rng)[0], "fr")


def test_those_who_were_left_out_are_named_and_those_without_a_run_are_not(rng):
    table = scores(rng, plain=0.8, topk=0.9, pca=0.7) | {"vae": [math.nan] * 5}
    v = verdict(table, excluded={"topk": "scores rank nothing in 5 of 5 replicates"})
    assert sentence(v).endswith("; not compared: TopK.")
    assert sentence(v, "zh").endswith("；未参与比较：TopK。")
    assert "not compared" not in sentence(verdict(table))
