"""Numbers become text once, and every way a contest can end has its own sentence."""

from dataclasses import replace

import numpy as np
import pytest

from isthmus.answers.words import LANGUAGES, Words
from isthmus.evidence.purposes import answered
from isthmus.evidence.verdict import judge
from isthmus.report.answers import Answer, answers
from isthmus.report.contests import Contest, Standing, estimate
from isthmus.report.figures import Interval
from isthmus.report.tables import (
    Cell,
    Grid,
    Row,
    chance,
    decimals,
    folded,
    interval,
    number,
    order,
    overview,
    rope,
    share,
)

SHOWN = {"plain": "plain", "topk": "TopK", "vae": "VAE", "pca": "PCA", "raw columns": "raw columns"}
WOBBLE = np.array([0.0, 0.001, -0.001, 0.002, -0.002])
WIDE = np.array([0.2, -0.2, 0.1, -0.15, 0.05])
NOWHERE = np.full(5, np.nan)


def cards_of(*duels: Contest, lang: str = "en") -> tuple[list[Answer], list[str]]:
    """What the page says of these contests."""
    return answers(duels, answered({duel.verdict.facet: duel.verdict for duel in duels}), Words(lang), SHOWN)


def contest(**scores: np.ndarray) -> Contest:
    """A contest over five replicates in which lower is better, as its own verdict sees it."""
    rivals = {"pca", "raw columns"}
    verdict = judge(
        scores, metric="mse", higher=False, rope=0.02, rivals=rivals, test_fraction=1 / 3, facet="reconstruction"
    )
    relations = {name: kind for kind in ("equal", "undecided", "worse") for name in getattr(verdict, kind)}
    some = Interval(1.0, 0.0, 2.0)
    made = [Standing(name, name in rivals, relations.get(name, "leader"), some) for name in verdict.means]
    made += [Standing(name, name in rivals, "excluded") for name in verdict.excluded]
    return Contest(verdict, False, tuple(made))


FLIP = WOBBLE[::-1]
ENDS = {
    "no finite score": ("none", contest(plain=NOWHERE)),
    "only one": ("none", contest(plain=1 + WOBBLE, vae=NOWHERE)),
    "one winner": ("best", contest(plain=1 + WOBBLE, topk=1.5 + FLIP, pca=2 + FLIP)),
    "two winners": ("equal", contest(plain=1 + WOBBLE, topk=1.001 + FLIP, pca=2 + FLIP)),
    "which one": ("which", contest(plain=1 + WOBBLE, topk=1.05 + WIDE, pca=9 + FLIP)),
    "pca wins": ("pca", contest(plain=2 + WOBBLE, pca=1 + FLIP)),
    "pca is enough": ("pca", contest(plain=1 + WOBBLE, pca=1.001 + FLIP)),
    "raw wins": ("rival", contest(plain=2 + WOBBLE, **{"raw columns": 1 + FLIP}, pca=2 + FLIP)),
    "open": ("undecided", contest(plain=1 + WOBBLE, pca=1.05 + WIDE)),
    "no rival": ("best", contest(plain=1 + WOBBLE, topk=2 + FLIP)),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_end_of_a_contest_has_its_card(end: str, lang: str) -> None:
    (kind, duel), t = ENDS[end], Words(lang)
    assert duel.kind == kind
    (card,), together = cards_of(duel, lang=lang)
    assert not together
    assert card.badge == t("answer.badge_" + kind)
    assert not card.evidence[0].startswith(card.title)
    for word in ("None", "{", "}"):
        assert word not in card.sentence + card.evidence[0]


def test_cards_say_what_the_study_says() -> None:
    (card,), _ = cards_of(ENDS["pca is enough"][1])
    assert card.sentence == "To compress and rebuild rows: PCA is enough (mean squared error 1 against 1 of plain)."
    assert card.evidence[0].startswith("PCA is enough: plain, the best autoencoder, is practically equal to it (mean")
    (card,), _ = cards_of(ENDS["one winner"][1])
    assert card.sentence == "To compress and rebuild rows: take plain (mean squared error 1 against 2 of PCA)."


def test_contests_speak_together() -> None:
    duel = ENDS["one winner"][1]
    other = duel._replace(verdict=replace(duel.verdict, facet="features"))
    cards, together = cards_of(duel, other)
    assert len(cards) == 2
    assert together[0].startswith("Plain is best, or practically equal")


def test_facets_that_only_describe_crown_nobody() -> None:
    duel = ENDS["one winner"][1]
    cost = duel._replace(verdict=replace(duel.verdict, facet="cost"))
    assert cost.kind == "described"
    grid = overview([duel, cost], Words("en"), SHOWN)
    assert [row.cells[1].sign for row in grid.rows] == ["", "", ""]
    assert sorted(row.cells[0].sign for row in grid.rows) == sorted("★▽▽")


def test_order_puts_autoencoders_first_then_pca_then_rivals() -> None:
    first = contest(**{"raw columns": 1 + WOBBLE}, pca=2 + WOBBLE, vae=3 + WOBBLE, plain=4 + WOBBLE)
    second = contest(**{"raw columns": 1 + WOBBLE}, plain=2 + WOBBLE, vae=3 + WOBBLE, pca=4 + WOBBLE)
    assert list(order([first, second])) == ["plain", "vae", "pca", "raw columns"]


def test_means_have_the_corrected_interval() -> None:
    # t(0.975, 4) = 2.776445; variance of (1, 2, 3, 4, 5) is 2.5; (1/5 + 1/3) * 2.5 = 4/3
    one = estimate([1.0, 2.0, 3.0, 4.0, 5.0], "unbounded", 1 / 3)
    half = 2.7764451 * (4 / 3) ** 0.5
    assert one == pytest.approx((3.0, 3.0 - half, 3.0 + half))


def test_what_compares_by_ratio_has_the_geometric_mean() -> None:
    one = estimate([1.0, 100.0, None], "rows_per_second", 1 / 3)
    assert one is not None
    assert one.mean == pytest.approx(10.0)
    assert one.low is not None
    assert one.low > 0


def test_estimates_of_one_and_of_no_value() -> None:
    assert estimate([0.7, None], "auroc", 1 / 3) == Interval(0.7, None, None)
    assert estimate([None, float("nan")], "auroc", 1 / 3) is None


def test_an_interval_stays_within_what_the_metric_can_be() -> None:
    free, bound = (estimate([0.9, 0.99, 1.0], metric, 1 / 3) for metric in ("unbounded", "auroc"))
    assert free.high > 1
    assert bound == free._replace(high=1.0)


def test_shares_and_ropes() -> None:
    assert share(0.25) == "+25.0%"
    assert rope(ENDS["open"][1]) == "±0.02"
    ratio = judge(
        {"a": [1.0, 2.0]}, metric="mse", higher=False, rope=0.05, rivals=set(), test_fraction=0, relative=True
    )
    assert rope(Contest(ratio, False, ())) == "±5%"


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
    assert interval(Interval(0.5, 0.4, 0.6)) == "0.400 … 0.600"
    assert interval(Interval(0.5, None, None)) == ""
    assert interval(None) == ""


def test_chances() -> None:
    assert [chance(p) for p in (0.0, 0.5, 1.0, None)] == ["< 0.001", "0.500", "> 0.999", "–"]


def test_columns_in_which_nobody_has_anything_fold_away_with_the_rows() -> None:
    def row(name: str, *means: str) -> Row:
        return Row(name, [Cell(mean) for mean in means], name == "pca")

    heads = [(head, list[str]()) for head in ("Contender", "a", "b", "c")]
    grid = Grid("", heads, [row("plain", "1", "2", "3"), row("pca", "1", "2", "–"), row("zstd", "–", "4", "–")])
    seen, others = folded(grid, 5)
    assert [r.name for r in seen.rows] == ["plain", "pca"]
    assert (seen.heads, [r.name for r in others.rows]) == (heads, ["zstd"])
    assert ([head for head, _ in others.heads], others.rows[0].cells) == (["Contender", "b"], [Cell("4")])


def test_heads_of_texts_begin_where_the_texts_do() -> None:
    rows = [Row("row 3", [Cell("0.1"), Cell("normal", relation="text")])]
    assert Grid("", [("", list[str]())] * 3, rows).texts == [False, False, True]
