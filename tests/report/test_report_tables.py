"""Numbers become text once, and every way a contest can end has its own sentence."""

import pytest

from isthmus.report.answers import BADGES, answer
from isthmus.report.contests import Contest, Standing
from isthmus.report.figures import Estimate
from isthmus.report.tables import chance, decimals, interval, number, order
from isthmus.report.words import LANGUAGES, Words

SHOWN = {"plain": "plain", "topk": "TopK", "vae": "VAE", "pca": "PCA", "raw": "raw columns"}


def contest(*standings: tuple[str, str]) -> Contest:
    rivals = {"pca", "raw"}
    made = []
    for i, (name, relation) in enumerate(standings):
        estimate = None if relation == "excluded" else Estimate(1.0 + i, 0.5 + i, 1.5 + i)
        made.append(Standing(name, name in rivals, relation, estimate))
    return Contest("reconstruction", "mse", False, 0.01, tuple(made))


ENDS = {
    "none": contest(("plain", "excluded")),
    "alone": contest(("plain", "leader"), ("vae", "excluded")),
    "best": contest(("plain", "leader"), ("pca", "worse"), ("topk", "worse")),
    "best_pca": contest(("pca", "leader"), ("plain", "worse"), ("raw", "worse")),
    "best_rival": contest(("raw", "leader"), ("plain", "worse"), ("pca", "worse")),
    "pca_enough": contest(("plain", "leader"), ("pca", "equal"), ("topk", "undecided")),
    "pca_enough_first": contest(("pca", "leader"), ("plain", "equal"), ("topk", "worse")),
    "rival_enough": contest(("raw", "leader"), ("plain", "equal"), ("pca", "worse")),
    "equal": contest(("plain", "leader"), ("topk", "equal"), ("pca", "worse")),
    "undecided": contest(("plain", "leader"), ("topk", "undecided"), ("pca", "worse")),
    "undecided_pca": contest(("plain", "leader"), ("topk", "equal"), ("pca", "undecided")),
}


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_end_of_a_contest_has_its_sentence(kind: str, lang: str) -> None:
    duel, t = ENDS[kind], Words(lang)
    assert duel.kind == kind
    said = answer(duel, t, SHOWN)
    assert said.badge == t("answer.badge_" + BADGES[kind])
    if duel.leader is not None:
        assert SHOWN[duel.leader.name] in said.sentence or "PCA" in said.sentence
        assert "1.00" in said.sentence


def test_sentences_in_english() -> None:
    t = Words("en")
    assert answer(ENDS["pca_enough"], t, SHOWN).sentence == (
        "PCA is enough: its mean squared error of 2.00 is practically equal to the best, 1.00 by plain."
    )
    undecided = answer(ENDS["undecided"], t, SHOWN)
    assert undecided.sentence.startswith("Undecided between plain and TopK: ")
    assert undecided.evidence.startswith("1 of 2 others")
    assert answer(ENDS["best"], t, SHOWN).evidence == ""


def test_long_lists_of_names_are_cut() -> None:
    names = {f"n{i}": f"name {i}" for i in range(9)}
    duel = contest(("n0", "leader"), *((f"n{i}", "undecided") for i in range(1, 9)))
    assert "name 0, name 1, name 2 and 6 others" in answer(duel, Words("en"), names).sentence


def test_every_kind_is_covered() -> None:
    assert set(ENDS) == set(BADGES)


def test_order_puts_autoencoders_first_then_pca_then_rivals() -> None:
    first = contest(("raw", "leader"), ("pca", "worse"), ("vae", "worse"), ("plain", "worse"))
    second = contest(("raw", "leader"), ("plain", "worse"), ("vae", "worse"), ("pca", "worse"))
    assert list(order([first, second])) == ["plain", "vae", "pca", "raw"]


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
