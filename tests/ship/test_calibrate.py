"""Decisions keep what they promise: false alarms at their level, bounds that hold, and a peer's numbers to 1e-12."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from isthmus.errors import BadInput
from isthmus.ship import calibrate
from isthmus.ship.adaptive import Follower
from isthmus.ship.deployed import Calibration

PEER = json.loads((Path(__file__).parent / "expected" / "nonconform.json").read_text())
RUNS, SPLITS = 400, 1000


def within(count: int, runs: int, share: float) -> bool:
    """Whether a count lies in the middle 99.9 % of its binomial law."""
    low, high = binom.interval(0.999, runs, share)
    return bool(low <= count <= high)


@pytest.mark.parametrize("case", PEER["cases"], ids=lambda one: str(len(one["calibration"])))
def test_p_values_are_those_of_nonconform(case: dict) -> None:
    known, asked = case["calibration"], case["scores"]
    weights = case["weights"], case["own"]
    found = {
        "classical": calibrate.p_values(known, asked),
        "randomised": calibrate.p_values(known, asked, random=np.random.default_rng(7)),
        "weighted": calibrate.weighted_p_values(known, asked, *weights),
        "weighted randomised": calibrate.weighted_p_values(known, asked, *weights, random=np.random.default_rng(7)),
    }
    for name, p in found.items():
        np.testing.assert_allclose(p, case[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [20, 50, 99, 200, 500, 999, 2000])
def test_false_alarms_are_as_rare_as_was_asked(n: int) -> None:
    """Over 1,000 splits, one new normal row each: a coin with the stated chance; the middle 95 % of its counts."""
    random = np.random.default_rng(n)
    known, asked = random.normal(size=(SPLITS, n)), random.normal(size=(SPLITS, 1))
    p = np.array([calibrate.p_values(k, a)[0] for k, a in zip(known, asked, strict=True)])
    for rate in (0.05, 0.1, 0.2):
        exact = math.floor(rate * (n + 1) + 1e-9) / (n + 1)
        hits = int(calibrate.flags(p, rate).sum())
        over = sum(float(a[0]) > calibrate.threshold(k, rate) for k, a in zip(known, asked, strict=True))
        assert hits == over
        low, high = binom.interval(0.95, SPLITS, exact)
        assert low <= hits <= high


def test_random_ties_make_p_values_uniform() -> None:
    random = np.random.default_rng(0)
    known, asked = random.integers(0, 3, (2000, 9)), random.integers(0, 3, (2000, 1))
    p = np.array([calibrate.p_values(k, a, random=random)[0] for k, a in zip(known, asked, strict=True)])
    plain = np.array([calibrate.p_values(k, a)[0] for k, a in zip(known, asked, strict=True)])
    assert within(int((p <= 0.05).sum()), 2000, 0.05)
    assert (plain <= 0.05).mean() == 0  # of ten rows none is so rare


def test_too_few_rows_for_a_rate_are_refused_with_the_number_that_is_needed() -> None:
    for n, rate in ((19, 0.05), (99, 0.01), (999, 0.001)):
        calibrate.threshold(np.arange(n), rate)
        with pytest.raises(BadInput, match=f"at least {n:,} rows"):
            calibrate.threshold(np.arange(n - 1), rate)
    with pytest.raises(BadInput, match="between 0 and 1"):
        calibrate.threshold(np.arange(9), 1.0)


def test_discoveries_keep_the_false_discovery_rate() -> None:
    """Benjamini and Hochberg's own example, then on average over batches with 10 % anomalies."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528]
    assert calibrate.discoveries([*p, 0.7590, 1.0], 0.05).sum() == 4  # their section 3.2
    random, shares, found = np.random.default_rng(1), [], 0
    for _ in range(200):
        known, normal, odd = random.normal(size=300), random.normal(size=90), random.normal(4.0, 1.0, size=10)
        flagged = calibrate.discoveries(calibrate.p_values(known, np.r_[normal, odd]), 0.2)
        shares.append(flagged[:90].sum() / max(1, flagged.sum()))
        found += flagged[90:].sum()
    assert np.mean(shares) < 0.2 + 3 * np.std(shares) / math.sqrt(200)
    assert found > 0.5 * 10 * 200
    assert not calibrate.discoveries([0.5, 0.9, np.nan], 0.1).any()


@pytest.mark.slow
def test_counts_of_a_batch_decide_as_its_p_values_do() -> None:
    """Piece by piece, with calibration rows so few that nothing is found, and so many that all is."""
    random = np.random.default_rng(8)
    for n in (9, 99, 1500):
        p = calibrate.p_values(random.normal(size=n), np.r_[random.normal(size=400), random.normal(4.0, 1.0, 100)])
        batch = calibrate.Tally.of(n)
        for piece in np.array_split(np.r_[p, np.nan], 7):
            batch.add(piece)
        assert batch.rows == 500
        for level in (0.001, 0.05, 0.2, 0.9):
            flagged = calibrate.flags(p, batch.discovered(level))
            np.testing.assert_array_equal(flagged, calibrate.discoveries(p, level))
        assert batch.false_share(0.1) == calibrate.false_share(p, 0.1, n)
    alike = calibrate.Tally.of(99)
    alike.add(np.ones(400))
    for k, found in ((39, 0.0), (40, 0.01)):
        assert alike.fewest(0.1) == 40
        batch = calibrate.Tally.of(99)
        batch.add(np.r_[np.full(k, 0.01), np.ones(400 - k)])
        assert batch.discovered(0.1) == found


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(50, 100), (300, 60)])
def test_the_bound_on_false_discoveries_holds_for_every_threshold_at_once(n: int, m: int) -> None:
    random, most = np.random.default_rng(2), calibrate.envelope(n, m, 0.95)
    misses = 0
    for _ in range(SPLITS):
        p = calibrate.p_values(random.normal(size=n), random.normal(size=m))
        counts = np.searchsorted(np.sort(p), (np.arange(n + 1) + 1.5) / (n + 1))
        misses += bool((counts > most).any())
    assert 0 < misses <= 0.05 * SPLITS
    p = np.r_[np.full(40, 1 / (n + 1)), np.linspace(0.1, 1, m - 40)]
    bound = calibrate.false_share(p, 1 / (n + 1), n)
    assert bound.flagged == 40
    assert 0 < bound.share == bound.false / 40 < 1
    assert calibrate.false_share(p, 1 / (n + 1), n, 0.5).false < bound.false
    assert calibrate.false_share(p, 1e-9, n) == calibrate.Bound(0, 0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(20, 50), (50, 100), (100, 200), (300, 60)])
def test_the_chance_in_a_simulated_bound_is_allowed_for(n: int, m: int) -> None:
    """The law that it is simulated from, of far more batches: the bound holds as often as was asked, and not always."""
    random = np.random.default_rng(12)
    counts = np.cumsum(random.multinomial(m, random.dirichlet(np.ones(n + 1), 10_000)), axis=1)
    for confidence in (0.9, 0.95):
        held = (counts <= calibrate.envelope(n, m, confidence)).all(axis=1).mean()
        assert confidence <= held < confidence + 0.04


def test_weights_keep_the_level_where_new_rows_are_drawn_otherwise() -> None:
    """Calibration rows from N(0, 1), new ones from N(1, 1), whose ratio of densities is exp(x - 1/2)."""
    random, plain, weighted = np.random.default_rng(3), 0, 0
    for _ in range(RUNS):
        known, asked = random.normal(size=200), random.normal(1.0, 1.0, size=1)
        weighted += calibrate.weighted_p_values(known, asked, np.exp(known), np.exp(asked))[0] <= 0.1
        plain += calibrate.p_values(known, asked)[0] <= 0.1
    assert binom.sf(weighted - 1, RUNS, 0.1) > 1e-3
    assert plain > 0.25 * RUNS
    with pytest.raises(BadInput, match="must not all be 0"):
        calibrate.weighted_p_values([1.0], [1.0], [0.0], [1.0])


def test_folds_keep_the_level_without_rows_put_aside() -> None:
    """The score is the distance to the mean of the rows that a fold did not hold out."""
    random, hits = np.random.default_rng(4), {False: 0, True: 0}
    for _ in range(RUNS):
        rows, new = random.normal(size=(5, 8)), random.normal(size=1)
        means = [np.delete(rows, k, axis=0).mean() for k in range(5)]
        folds = [np.abs(rows[k] - means[k]) for k in range(5)]
        asked = [np.abs(new - mean) for mean in means]
        for plus in hits:
            hits[plus] += calibrate.cross_p_values(folds, asked, plus=plus)[0] <= 0.1
    for count in hits.values():
        assert binom.sf(count - 1, RUNS, 0.13) > 1e-3
        assert count > 0.04 * RUNS


def test_contamination_is_measured_and_told() -> None:
    random, clean = np.random.default_rng(5), np.random.default_rng(6).normal(size=4000)
    for share in (0.0, 0.05, 0.2):
        odd = random.uniform(size=2000) < share
        found = calibrate.contamination(clean, np.where(odd, 5.0, random.normal(size=2000)))
        assert found.low <= found.share <= found.high
        assert abs(found.share - share) < 0.06
    dirty = np.r_[random.normal(size=950), random.normal(5.0, 1.0, 50)]
    asked = random.normal(size=20_000)
    kept, cut = (
        calibrate.flags(calibrate.p_values(c, asked), 0.05).mean() for c in (dirty, calibrate.trimmed(dirty, 0.05))
    )
    assert kept < 0.02  # anomalies among calibration rows: flags are rarer than asked, not more frequent
    assert abs(cut - 0.05) < 0.02


@pytest.mark.slow
def test_the_share_of_anomalies_lies_in_its_interval_as_often_as_is_said() -> None:
    """Few clean rows: the chance in them is most of the doubt. Anomalies score above all normal rows."""
    random, misses = np.random.default_rng(9), {0.9: 0, 0.5: 0}
    for _ in range(RUNS):
        clean, mixed = random.normal(size=60), np.r_[random.normal(size=160), np.full(40, 9.0)]
        batch = calibrate.Tally.of(60)
        batch.add(calibrate.p_values(clean, mixed))
        for confidence in misses:
            found = calibrate.contamination(clean, mixed, confidence=confidence)
            misses[confidence] += not found.low <= 0.2 <= found.high
            told = batch.anomalous(confidence)
            assert abs(told.share - found.share) < 0.06
    for confidence, count in misses.items():
        assert binom.sf(count - 1, RUNS, 1 - confidence) > 1e-3
    assert misses[0.9] < misses[0.5]


@pytest.mark.slow
def test_a_level_that_follows_keeps_its_bound_on_any_stream() -> None:
    """Scores that rise, jump, or say nothing; of exchangeable ones flags are as with a threshold, on average."""
    random, own = np.random.default_rng(10), Calibration.of(np.random.default_rng(11).normal(size=300), "300", 0.05)
    streams = {
        "rising": random.normal(size=4000) + np.linspace(0, 20, 4000),
        "jumps": random.normal(size=4000) + 9 * (np.arange(4000) // 500 % 2),
        "all the same": np.zeros(4000),
        "waves": random.normal(size=4000) * (1 + np.abs(np.sin(np.arange(4000) / 99))),
    }
    for name, scores in streams.items():
        for step in (0.1, 0.5):
            flags = Follower(own, step=step).follow(scores)[1]
            assert abs(flags.mean() - 0.05) <= (1 + 0.05 * step) / (0.05 * step * 4000), name
    usual = Follower(own).follow(random.normal(size=4000))[1]
    assert abs(usual.mean() - 0.05) < 0.005
    whole, cut = Follower(own), Follower(own)
    scores = np.where(np.arange(4000) % 50, streams["waves"], np.nan)
    one = whole.follow(scores)
    for at in range(0, 4000, 333):
        for a, b in zip(cut.follow(scores[at : at + 333]), one, strict=True):
            np.testing.assert_array_equal(a, b[at : at + 333])
    assert not one[1][::50].any()
    short, long = (Follower(own, latest=n).follow(streams["rising"])[0] for n in (50, 5000))
    assert np.median(short) > 2 * np.median(long)
    assert Follower(own, 0.2).follow(scores)[1].sum() > 3 * one[1].sum()
    with pytest.raises(BadInput, match="at least 19 rows"):
        Follower(own, latest=10)
    with pytest.raises(BadInput, match="a step above 0"):
        Follower(own, step=0.0)


def test_alarms_that_are_owed_come_soon_and_a_pause_is_no_longer() -> None:
    """Of scores that fall for ever none is odd, and only a level of 1 flags one."""
    own = Calibration.of(np.random.default_rng(11).normal(size=300), "300", 0.05)
    falling = Follower(own)
    flags = falling.follow(-np.arange(4000.0) - 9)[1]
    assert 0.05 * 4000 - flags.sum() == pytest.approx(falling.owed)
    assert 0.5 < falling.owed < 2  # 9.5 where the level rises evenly
    _, flags, levels = Follower(own).follow([99.0, *np.full(30, -99.0)])
    assert flags.tolist() == [True] + [False] * 30
    assert np.diff(levels[1:9]) == pytest.approx(np.full(7, 0.1 * 0.05))
    assert levels[1] == pytest.approx(0.05 - 0.1 * 0.95)


def test_a_row_without_a_score_is_never_flagged() -> None:
    p = calibrate.p_values(np.arange(99.0), [np.nan, 1e9])
    assert np.isnan(p[0])
    assert calibrate.flags(p, 0.01).tolist() == [False, True]
    with pytest.raises(BadInput, match="finite scores"):
        calibrate.p_values([1.0, np.nan], [1.0])


def walk(random: np.random.Generator, runs: int, n: int, memory: float = 0.9) -> np.ndarray:
    """Series (runs, n) whose steps remember those before them."""
    x = np.empty((runs, n))
    x[:, 0] = random.normal(size=runs)
    for i in range(1, n):
        x[:, i] = memory * x[:, i - 1] + math.sqrt(1 - memory**2) * random.normal(size=runs)
    return x


def test_blocks_of_a_series_alarm_as_often_as_was_asked() -> None:
    """A new block of each of many series: any flag against highest scores of blocks, and against steps one by one."""
    random, length, rate = np.random.default_rng(3), 100, 0.1
    single, alike = 0, 0
    for known, new in zip(walk(random, RUNS, 50 * length), walk(random, RUNS, length), strict=True):
        blocks = Calibration.of(calibrate.highest(known, length), "blocks")
        assert len(blocks.scores) == 50
        alike += bool(calibrate.flags(blocks.p_values(new), rate).any())
        single += bool(calibrate.flags(Calibration.of(known, "steps").p_values(new), rate).any())
    assert within(alike, RUNS, math.floor(rate * 51) / 51)
    assert single > 0.6 * RUNS


def test_the_highest_scores_of_blocks() -> None:
    assert calibrate.highest([9.0, 1.0, 2.0, 4.0, 3.0, np.nan, np.nan], 2).tolist() == [2.0, 4.0]
    assert calibrate.highest([3.0, 1.0], 1).tolist() == [3.0, 1.0]
    for scores, length, words in (
        ([1.0], 2, "one block"),
        ([np.nan] * 4, 2, "one block"),
        ([1.0], 0, "one row or more"),
    ):
        with pytest.raises(BadInput, match=words):
            calibrate.highest(scores, length)
