"""Numbers become text once, and every way a contest can end has its own sentence."""

import re

import numpy as np
import pytest

from isthmus.report.answers import BADGES, answer
from isthmus.report.contests import Contest, Standing, estimate
from isthmus.report.figures import Estimate
from isthmus.report.tables import chance, decimals, interval, number, order, rope, share
from isthmus.report.words import LANGUAGES, Words
from isthmus.study.verdict import judge

SHOWN = {"plain": "plain", "topk": "TopK", "vae": "VAE", "pca": "PCA", "raw": "raw columns"}
WOBBLE = np.array([0.0, 0.001, -0.001, 0.002, -0.002])
WIDE = np.array([0.2, -0.2, 0.1, -0.15, 0.05])
NOWHERE = np.full(5, np.nan)


def contest(**scores: np.ndarray) -> Contest:
    """A contest over five replicates in which lower is better, as its own verdict sees it."""
    rivals = {"pca", "raw"}
    verdict = judge(
        scores, metric="mse", higher=False, rope=0.02, rivals=rivals, test_fraction=1 / 3, facet="reconstruction"
    )
    relations = {name: kind for kind in ("equal", "undecided", "worse") for name in getattr(verdict, kind)}
    relations |= dict.fromkeys(verdict.excluded, "excluded")
    made = [
        Standing(name, name in {"pca", "raw"}, relations.get(name, "leader"))
        for name in [*verdict.means, *verdict.excluded]
    ]
    return Contest(verdict, False, tuple(made))


FLIP = WOBBLE[::-1]
ENDS = {
    "none": contest(plain=NOWHERE),
    "alone": contest(plain=1 + WOBBLE, vae=NOWHERE),
    "autoencoder_best": contest(plain=1 + WOBBLE, topk=1.5 + FLIP, pca=2 + FLIP),
    "autoencoder_equal": contest(plain=1 + WOBBLE, topk=1.001 + FLIP, pca=2 + FLIP),
    "autoencoder_undecided": contest(plain=1 + WOBBLE, topk=1.05 + WIDE, pca=9 + FLIP),
    "pca_best": contest(plain=2 + WOBBLE, pca=1 + FLIP),
    "pca_enough": contest(plain=1 + WOBBLE, pca=1.001 + FLIP),
    "rival_best": contest(plain=2 + WOBBLE, raw=1 + FLIP, pca=2 + FLIP),
    "rival_enough": contest(plain=1 + WOBBLE, raw=1.001 + FLIP, pca=2 + FLIP),
    "open": contest(plain=1 + WOBBLE, pca=1.05 + WIDE),
    "unopposed_best": contest(plain=1 + WOBBLE, topk=2 + FLIP),
    "unopposed_equal": contest(plain=1 + WOBBLE, topk=1.001 + FLIP),
    "unopposed_undecided": contest(plain=1 + WOBBLE, topk=1.05 + WIDE),
}


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_end_of_a_contest_has_its_sentence(kind: str, lang: str) -> None:
    duel, t = ENDS[kind], Words(lang)
    assert duel.kind == kind
    said = answer(duel, t, SHOWN)
    assert said.badge == t("answer.badge_" + BADGES[kind])
    if duel.verdict.leader is not None:
        assert number(duel.verdict.means[duel.verdict.leader]) in said.sentence
    for word in ("None", "{", "}"):
        assert word not in said.sentence + said.evidence


def test_sentences_in_english() -> None:
    t = Words("en")
    assert answer(ENDS["pca_enough"], t, SHOWN).sentence == (
        "PCA is enough: no autoencoder beats its mean squared error of 1.00 by a margin that matters; "
        "the best is plain with 1.00."
    )
    assert answer(ENDS["autoencoder_best"], t, SHOWN).sentence == (
        "Use plain: it is better than every other contestant, with mean squared error 1.00."
    )
    assert answer(ENDS["autoencoder_best"], t, SHOWN).evidence == ""
    assert answer(ENDS["open"], t, SHOWN).evidence.startswith("Worse than the leader beyond doubt: 0 of 1 others. ")


def test_long_lists_of_names_are_cut() -> None:
    names = {f"n{i}": f"name {i}" for i in range(9)}
    duel = contest(**{name: 1 + WIDE * (1 + i / 10) for i, name in enumerate(names)})
    assert re.search("name ., name ., name . and 6 others", answer(duel, Words("en"), names).sentence)


def test_every_kind_is_covered() -> None:
    assert set(ENDS) == set(BADGES)


def test_order_puts_autoencoders_first_then_pca_then_rivals() -> None:
    first = contest(raw=1 + WOBBLE, pca=2 + WOBBLE, vae=3 + WOBBLE, plain=4 + WOBBLE)
    second = contest(raw=1 + WOBBLE, plain=2 + WOBBLE, vae=3 + WOBBLE, pca=4 + WOBBLE)
    assert list(order([first, second])) == ["plain", "vae", "pca", "raw"]


def test_means_have_the_corrected_interval() -> None:
    # t(0.975, 4) = 2.776445; variance of (1, 2, 3, 4, 5) is 2.5; (1/5 + 1/3) * 2.5 = 4/3
    one = estimate([1.0, 2.0, 3.0, 4.0, 5.0], "probe_accuracy", 1 / 3)
    half = 2.7764451 * (4 / 3) ** 0.5
    assert one == pytest.approx((3.0, 3.0 - half, 3.0 + half))


def test_what_compares_by_ratio_has_the_geometric_mean() -> None:
    one = estimate([1.0, 100.0, None], "rows_per_second", 1 / 3)
    assert one is not None
    assert one.mean == pytest.approx(10.0)
    assert one.low is not None
    assert one.low > 0


def test_estimates_of_one_and_of_no_value() -> None:
    assert estimate([2.0, None], "auroc", 1 / 3) == Estimate(2.0, None, None)
    assert estimate([None, float("nan")], "auroc", 1 / 3) is None


def test_shares_and_ropes() -> None:
    assert share(0.25) == "+25.0 %"
    assert rope(ENDS["open"]) == "±0.02"
    ratio = judge(
        {"a": [1.0, 2.0]}, metric="mse", higher=False, rope=0.05, rivals=set(), test_fraction=0, relative=True
    )
    assert rope(Contest(ratio, False, ())) == "±5 %"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
        (1.0, "1.00"),
        (0.5, "0.500"),
        (-0.00123456, "−0.00123"),
        (123456.7, "123,457"),
        (1e-7, "1e−7"),
        (3.21e12, "3.21e12"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_small_values_of_a_coarse_column_are_not_shown_as_zero() -> None:
    assert decimals([12.0, 15.0, 0.001]) == 1
    assert number(0.001, 1) == "0.001"
    assert number(0.0, 1) == "0.0"


def test_intervals_take_the_digits_of_their_mean() -> None:
    assert interval(Estimate(0.5, 0.4, 0.6)) == "0.400 … 0.600"
    assert interval(Estimate(0.5, None, None)) == ""
    assert interval(None) == ""


def test_chances() -> None:
    assert [chance(p) for p in (0.0, 0.5, 1.0, None)] == ["< 0.001", "0.500", "> 0.999", "–"]
