"""Purposes, Pareto sets, pros and cons: planted relations, exact sentences in both languages, nothing under nulls."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus.answers import advice
from isthmus.answers.advice import recommend, together
from isthmus.answers.words import Words
from isthmus.evidence.pareto import Pareto, pareto
from isthmus.evidence.proscons import MOST, proscons
from isthmus.evidence.purposes import PURPOSES, PurposeVerdict, answered, speaking, standing
from isthmus.evidence.verdict import FacetVerdict, judge

CALIBRATION = Path(__file__).parents[2] / "benchmarks" / "calibration"
simulated = SimpleNamespace(**runpy.run_path(str(CALIBRATION / "simulated.py")))
EN, ZH = Words("en"), Words("zh")
WOBBLE = np.array([0.001, -0.001, 0.002, -0.002, 0.0])
RIVALS = {"pca", "raw columns", "knn"}


def facet(name: str, metric: str = "auroc", noise: float = 1.0, *, relative: bool = False, **means: float):
    """Five replicates around planted means; each contender's wobble is its own rotation, so differences are spread."""
    table = {
        who: mean * np.exp(noise * np.roll(WOBBLE, i)) if relative else mean + noise * np.roll(WOBBLE, i)
        for i, (who, mean) in enumerate(means.items())
    }
    rope = 0.25 if relative else 0.01
    return judge(
        table, metric=metric, higher=True, rope=rope, rivals=RIVALS, test_fraction=1 / 3, relative=relative, facet=name
    )


def lower(name: str, metric: str, **means: float) -> FacetVerdict:
    """A cost that compares by ratio."""
    table = {who: mean * np.exp(np.roll(WOBBLE, i)) for i, (who, mean) in enumerate(means.items())}
    return judge(
        table, metric=metric, higher=False, rope=0.1, rivals=RIVALS, test_fraction=1 / 3, relative=True, facet=name
    )


def interpret(sparse: FacetVerdict, stable: FacetVerdict) -> PurposeVerdict:
    """What they say of codes where everybody rebuilds alike."""
    names = dict.fromkeys([*sparse.means, *stable.means], 0.9)
    every = (sparse, stable, facet("reconstruction", "explained_variance", **names))
    return next(found for found in answered({v.facet: v for v in every}) if found.purpose == "interpret")


def one(*verdicts: FacetVerdict, costs: tuple[FacetVerdict, ...] = ()) -> PurposeVerdict:
    (found,) = answered({v.facet: v for v in verdicts}, {v.facet: costs for v in verdicts})
    return found


# --- Pareto ----------------------------------------------------------------------------------------------------------


def test_a_trade_keeps_both_sides_and_rules_out_whom_one_of_them_beats() -> None:
    a = facet("features", topk=0.9, plain=0.7, pca=0.6)
    b = facet("anomaly", topk=0.6, plain=0.9, pca=0.5)
    assert pareto([a, b]) == Pareto(("topk", "plain"), (("pca", "topk"),))


def test_practical_equality_does_not_save_who_is_worse_elsewhere() -> None:
    a = facet("features", topk=0.9, plain=0.8, pca=0.7)
    b = facet("anomaly", topk=0.8, plain=0.8, pca=0.8)
    assert pareto([a, b]).members == ("topk",)


def test_who_is_not_told_apart_is_not_ruled_out() -> None:
    a = facet("features", topk=0.9, plain=0.8, pca=0.7)
    b = facet("anomaly", noise=50, topk=0.8, plain=0.79, pca=0.78)
    assert b.kind == "undecided"
    assert pareto([a, b]).members == ("topk", "plain", "pca")


def test_only_those_who_stand_in_every_facet_are_asked() -> None:
    a = facet("features", topk=0.9, **{"raw columns": 0.95}, pca=0.7)
    b = facet("anomaly", topk=0.9, knn=0.95, pca=0.7)
    assert pareto([a, b]) == Pareto(("topk",), (("pca", "topk"),))
    assert pareto([]) == Pareto((), ())


def test_a_ring_rules_nobody_out() -> None:
    """Equality within a rope is not transitive: three verdicts can set each ahead of the next."""
    low, middle, high = 0.7, 0.7055, 0.712
    spread = {"noise": 0.05}
    ring = [
        facet("features", **spread, x=high, y=low, z=middle),
        facet("anomaly", **spread, y=high, z=low, x=middle),
        facet("generation", **spread, z=high, x=low, y=middle),
    ]
    assert ring[0].relations["x", "y"] == "better"
    assert ring[0].relations["x", "z"] == ring[0].relations["z", "y"] == "equal"
    assert set(pareto(ring).members) == {"x", "y", "z"}


# --- purposes --------------------------------------------------------------------------------------------------------


def test_who_speaks_for_what() -> None:
    assert speaking(["compression", "reconstruction"]) == {"compress": ("compression",)}
    assert speaking(["reconstruction"]) == {"compress": ("reconstruction",)}
    three = ("sparsity", "stability", "reconstruction")
    assert speaking(three) == {"compress": ("reconstruction",), "interpret": three}
    assert speaking([*three, "factors"])["interpret"] == (*three, "factors"), "where the factors are known"
    assert speaking(["sparsity", "stability"]) == {}, "sparse, stable codes may have lost the data"
    assert set(speaking(["compression", "features", "anomaly", "generation", "imputation", *three])) == set(PURPOSES)


def test_every_purpose_has_its_words() -> None:
    for say in (EN, ZH):
        assert set(say.texts["purposes"]) == set(PURPOSES)


def test_one_facet_answers_with_its_effect_and_its_price() -> None:
    features = facet("features", "probe_accuracy", plain=0.9, topk=0.9009, kl=0.8, pca=0.7, **{"raw columns": 0.75})
    costs = (
        lower("cost", "parameters", plain=3100, topk=3100, kl=3100, pca=1000),
        lower("cost", "train_seconds", plain=40, topk=40, kl=40, pca=1),
    )
    found = one(features, costs=costs)
    assert (found.kind, found.take, found.against, found.equal) == ("autoencoder", "topk", "raw columns", ("plain",))
    assert [(p.metric, p.other, round(p.times, 1)) for p in found.prices] == [
        ("parameters", "pca", 3.1),  # raw columns have no cost, so PCA stands in
        ("train_seconds", "pca", 40.0),
    ]
    assert advice.for_purpose(found, EN) == (
        "To classify rows by their codes: take TopK (probe accuracy 0.901 against 0.75 of raw data); "
        "practically equal: plain; compared with PCA it takes 3.1 times the parameters and 40 times the training time."
    )
    assert advice.for_purpose(found, ZH) == (
        "用编码做分类：选 TopK（与原始数据相比：线性探针准确率 0.901 对 0.75）；普通自编码器与它实际等价；"
        "与 PCA 相比，它需要 3.1 倍的参数量和 40 倍的训练时间。"
    )


def test_a_price_is_that_of_the_configuration_chosen_for_the_purpose() -> None:
    verdicts = {name: facet(name, plain=0.9, pca=0.7) for name in ("features", "anomaly", "cost")}
    costs = {"features": 3, "anomaly": 5, "cost": 7}
    found = answered(verdicts, {name: (lower(name, "parameters", plain=n, pca=1),) for name, n in costs.items()})
    assert {p.purpose: round(p.prices[0].times, 1) for p in found} == {"classify": 3.0, "find_anomalies": 5.0}


def test_several_facets_have_a_price_only_if_they_choose_alike() -> None:
    every = [facet(name, topk=0.8, pca=0.2) for name in ("sparsity", "stability", "reconstruction", "factors")]
    cost = (lower("sparsity", "parameters", topk=3, pca=1),)
    for speaks, told in ((every[:3], 1), (every, 0)):
        costs = {v.facet: cost for v in speaks}
        found = {p.purpose: p for p in answered({v.facet: v for v in speaks}, costs)}
        assert (found["interpret"].take, len(found["interpret"].prices)) == ("topk", told)


def test_rows_per_second_are_told_as_time_and_small_differences_are_not_told() -> None:
    anomaly = facet("anomaly", vae=0.9, pca=0.7)
    speed = facet("cost", "rows_per_second", relative=True, vae=1000, pca=4000)
    same = lower("cost", "parameters", vae=1020, pca=1000)
    line = advice.for_purpose(one(anomaly, costs=(same, speed)), EN)
    assert line.endswith("(AUROC 0.9 against 0.7 of PCA); compared with PCA it takes 4 times as long to encode a row.")


def test_a_facet_that_is_no_purpose_alone_answers_for_itself() -> None:
    """Compression decides for its purpose; then reconstruction stands for itself, with effect and price."""
    bits = lower("compression", "bits_per_element", plain=1.0, pca=1.3)
    rebuilt = facet("reconstruction", "explained_variance", plain=0.88, pca=0.84)
    verdicts = {v.facet: v for v in (rebuilt, bits, facet("sparsity", "hoyer", plain=0.2, pca=0.3))}
    found = answered(verdicts, dict.fromkeys(verdicts, (lower("cost", "parameters", plain=2000, pca=1000),)))
    assert [one.purpose for one in found] == ["compress", "reconstruction"]
    assert [advice.for_purpose(one, EN) for one in found] == [
        "To compress rows into few bytes: take plain (bits per element at 10% error 1 against 1.3 of PCA); "
        "compared with PCA it takes 2 times the parameters.",
        "To rebuild rows: take plain (explained variance 0.88 against 0.84 of PCA); "
        "compared with PCA it takes 2 times the parameters.",
    ]
    assert [v.facet for v in advice.apart(verdicts, found)] == ["sparsity"]


def test_a_rival_that_is_enough_says_what_it_saves() -> None:
    found = one(facet("anomaly", plain=0.9, pca=0.9), costs=(lower("cost", "parameters", plain=4000, pca=1000),))
    assert (found.kind, found.take, found.against) == ("rival enough", "pca", "plain")
    assert advice.for_purpose(found, EN) == (
        "To find anomalies: PCA is enough (AUROC 0.9 against 0.9 of plain); "
        "compared with plain it takes 0.25 times the parameters."
    )


def test_an_open_question_says_how_many_replicates_would_tell() -> None:
    table = {"plain": [0.82, 0.85, 0.80, 0.86, 0.835], "pca": [0.80, 0.80, 0.81, 0.80, 0.805]}
    v = judge(table, metric="auroc", higher=True, rope=0.0, rivals=RIVALS, test_fraction=0.1, facet="anomaly")
    found = one(v)
    assert (found.kind, found.proven, found.replicates_needed) == ("undecided", False, v.replicates_needed)
    assert (found.take, found.against, found.open) == ("plain", "pca", ("pca",)), "whoever is expected to lose least"
    assert v.replicates_needed is not None
    assert advice.for_purpose(found, EN) == (
        "To find anomalies: undecided between plain and PCA; take plain, which is not proven: it is expected to fall "
        f"short of the best by {found.regret:.2g} (AUROC); about {v.replicates_needed} replicates would settle it."
    )


def test_two_facets_that_agree_take_one() -> None:
    sparse = facet("sparsity", "hoyer", topk=0.8, plain=0.3, pca=0.2)
    stable = facet("stability", "auroc", topk=0.9, plain=0.7, pca=0.6)
    found = interpret(sparse, stable)
    assert (found.kind, found.take, found.against, found.pareto.members) == ("autoencoder", "topk", "pca", ("topk",))
    assert advice.for_purpose(found, EN) == (
        "To interpret codes: take TopK (Hoyer sparsity 0.8 against 0.2, AUROC 0.9 against 0.6, "
        "explained variance 0.9 against 0.9 of PCA)."
    )


def test_two_facets_that_disagree_show_the_trade() -> None:
    sparse = facet("sparsity", "hoyer", topk=0.8, plain=0.5, vae=0.1, pca=0.2)
    stable = facet("stability", "auroc", topk=0.5, plain=0.7, vae=0.5, pca=0.9)
    found = interpret(sparse, stable)
    assert (found.kind, found.take, found.prices) == ("depends", None, ())
    assert found.pareto.members == ("topk", "plain", "pca")
    assert advice.for_purpose(found, EN) == (
        "To interpret codes: it is a trade-off: TopK leads in sparsity, PCA leads in "
        "stability and reconstruction; also on the Pareto front: plain."
    )
    assert advice.for_purpose(found, Words("zh", {"stability": "稳定性"})) == (
        "解读编码的含义：取决于更看重什么：TopK 在稀疏性上领先，PCA 在稳定性和重构上领先；"
        "同在帕累托前沿的还有普通自编码器。"
    )


def test_two_facets_of_noise_rule_nobody_out() -> None:
    sparse = facet("sparsity", "hoyer", noise=50, topk=0.5, pca=0.49)
    stable = facet("stability", "auroc", noise=50, topk=0.5, pca=0.51)
    found = interpret(sparse, stable)
    assert (found.kind, found.take, set(found.open)) == ("undecided", None, {"topk", "pca"})
    assert "none of TopK and PCA is ruled out" in advice.for_purpose(found, EN)


def test_a_rival_at_the_top_of_both_is_enough() -> None:
    sparse = facet("sparsity", "hoyer", topk=0.8, pca=0.8)
    stable = facet("stability", "auroc", topk=0.7, pca=0.7)
    assert (interpret(sparse, stable).kind, interpret(sparse, stable).take) == ("rival enough", "pca")


def test_without_evidence_nothing_is_said() -> None:
    found = interpret(facet("sparsity", "hoyer", topk=0.8), facet("stability", topk=0.7, pca=0.6))
    assert (found.kind, found.take) == ("no evidence", None)
    assert advice.for_purpose(found, EN) == "To interpret codes: nothing can be said yet."
    assert (
        one(judge({}, metric="auroc", higher=True, rope=0, rivals=set(), test_fraction=0, facet="anomaly")).take is None
    )


def test_purposes_are_plain_data() -> None:
    found = one(facet("anomaly", vae=0.9, pca=0.7), costs=(lower("cost", "parameters", vae=2000, pca=1000),))
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (said["take"], said["pareto"], said["behind"]) == ("vae", ["vae"], {"pca": "vae"})
    assert said["prices"][0]["times"] == pytest.approx(2, rel=0.01)


# --- all facets ------------------------------------------------------------------------------------------------------


def test_recommendations_name_purposes_then_other_facets_then_the_whole() -> None:
    verdicts = {
        v.facet: v
        for v in (
            facet("reconstruction", "explained_variance", plain=0.935, topk=0.88, pca=0.85),
            facet("features", "probe_accuracy", plain=0.90, topk=0.95, pca=0.86),
            facet("sparsity", "hoyer", plain=0.2, topk=0.8, pca=0.2),
            facet("cost", "rows_per_second", relative=True, plain=10, topk=5, pca=30),
        )
    }
    lines = recommend(verdicts, answered(verdicts))
    assert lines == [
        "To compress and rebuild rows: take plain (explained variance 0.935 against 0.85 of PCA).",
        "To classify rows by their codes: take TopK (probe accuracy 0.95 against 0.86 of PCA).",
        "For codes with few active units: TopK is the sparsest; check its reconstruction error.",
        "For speed: PCA was the best in rows encoded per second on this machine.",
        "No contender is shown to be best everywhere; by their means alone, plain leads in reconstruction, TopK leads "
        "in features.",
        "On the Pareto front, dominated by no other contender as far as is shown: plain and TopK (2 of 3).",
    ]
    assert standing(verdicts.values()).members == ("plain", "topk")
    assert recommend(verdicts, answered(verdicts), "zh", {"plain": "我们的"})[-1] == (
        "位于帕累托前沿、未被证明全面落后的有我们的和 TopK（3 个中的 2 个）。"
    )


def test_facets_that_agree_say_so() -> None:
    both = [facet("reconstruction", plain=0.9, pca=0.7), facet("features", plain=0.8, pca=0.6)]
    assert together(both, EN) == [
        "Plain is best, or practically equal to the best, in all of reconstruction and features."
    ]
    assert together(both[:1], EN) == []


def test_if_nobody_is_ruled_out_it_is_said() -> None:
    noisy = [facet("reconstruction", noise=50, plain=0.9, pca=0.89), facet("features", noise=50, plain=0.8, pca=0.81)]
    assert together(noisy, EN)[-1] == "No contender is shown to dominate another over all facets."


# --- pros and cons ---------------------------------------------------------------------------------------------------


def test_pros_and_cons_say_what_is_shown_and_how_large_it_is() -> None:
    found = proscons(
        [
            facet("reconstruction", "explained_variance", topk=0.887, plain=0.86, vae=0.80, pca=0.844),
            facet("features", "probe_accuracy", topk=0.932, plain=0.93, vae=0.93, pca=0.93, **{"raw columns": 0.95}),
            facet("cost", "rows_per_second", relative=True, topk=1000, plain=2100, vae=2200, pca=3400),
        ]
    )
    said = {
        who: ([advice.claim(c, EN) for c in x.pros], [advice.claim(c, EN) for c in x.cons]) for who, x in found.items()
    }
    assert said["topk"] == (
        ["best reconstruction (explained variance 0.887 against 0.844 of PCA)"],
        [
            "weak in features (probe accuracy 0.932 against 0.95 of raw data)",
            "takes 3.4 times as long to encode as PCA",
        ],
    )
    assert said["raw columns"] == (["best features (probe accuracy 0.95 against 0.932 of TopK)"], [])
    assert said["pca"][0] == ["encodes 1.5 times as fast as VAE"]
    assert said["vae"][1][0] == "weak in reconstruction (explained variance 0.8 against 0.844 of PCA)"
    assert said["plain"][0] == [], "better than PCA, but TopK is better: nothing sets it apart there"
    assert "encode" not in str(said["vae"]), "slower than PCA, as nearly all are"
    assert advice.claim(found["topk"].pros[0], ZH) == "重构最好（解释方差 0.887，PCA 为 0.844）"
    assert advice.claim(found["topk"].cons[1], ZH) == "编码时间是 PCA 的 3.4 倍"


def test_the_largest_claims_are_kept_and_cost_comes_last() -> None:
    sizes = {"reconstruction": 0.02, "features": 0.05, "anomaly": 0.3, "generation": 0.1}
    table = [facet(name, plain=0.6 + size, pca=0.6) for name, size in sizes.items()]
    table.append(facet("cost", "rows_per_second", relative=True, plain=1e6, pca=1.0))
    pros = proscons(table)["plain"].pros
    assert [claim.facet for claim in pros] == ["anomaly", "generation", "features"]
    assert len(pros) == MOST
    assert pros[0].ropes == pytest.approx(30, rel=0.05)


def test_a_rival_that_repeats_itself_by_construction_is_no_fault_of_the_others() -> None:
    found = proscons([facet("stability", "cka", plain=0.98, topk=0.98, kl=0.98, pca=1.0)])
    assert found["plain"] == ((), ())
    assert found["pca"].pros[0].best


def test_dense_codes_are_no_fault() -> None:
    found = proscons([facet("sparsity", "hoyer", topk=0.9, plain=0.3, pca=0.2)])
    assert found["topk"].pros[0].best
    assert found["plain"] == ((), ())


def test_every_claim_about_cost_has_its_words() -> None:
    for say in (EN, ZH):
        for v in (lower("cost", "parameters", plain=10, pca=1), lower("cost", "train_seconds", plain=10, pca=1)):
            for found in proscons([v]).values():
                assert "10" in "".join(advice.claim(c, say) for c in (*found.pros, *found.cons))


# --- nothing under nulls ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_under_the_null_claims_are_rarer_than_the_nominal_rate() -> None:
    """Three facets of ten equal contenders, three of them rivals, noise as large as the rope, 70 studies."""
    pros, taken, three = 0, 0, ("sparsity", "stability", "reconstruction")
    for seed in range(70):
        made = [simulated.study([0.0] * 10, 5, 1.0, 3 * seed + i, rivals=3) for i in range(3)]
        claims = [any(x.pros or x.cons for x in proscons([v]).values()) for v in made]
        pros += sum(claims)
        verdicts = {name: replace(v, facet=name) for name, v in zip(three, made, strict=True)}
        (purpose,) = (one for one in answered(verdicts) if one.purpose == "interpret")
        taken += purpose.kind in {"autoencoder", "rival", "depends"}
        assert len(purpose.pareto.members) == 10 or any(claims)
    assert pros <= 0.05 * 210
    assert taken <= 0.05 * 70
