"""Do flags keep what they promise? False alarms, bounds on false discoveries, and anomalies among calibration rows.

    python benchmarks/calibration/flags.py alarms          # some seconds
    python benchmarks/calibration/flags.py bound
    python benchmarks/calibration/flags.py contaminated
    python benchmarks/calibration/flags.py shift           # a minute
    python benchmarks/calibration/flags.py weighted        # --fdr with --weights and with --shift; a minute
    python benchmarks/calibration/flags.py model           # the same of a trained detector; minutes

Splits are drawn anew 1,000 times. Where only ranks of scores matter, scores are drawn from a normal distribution, for
the law is the same for any; ``model`` draws rows, trains a detector on each draw and counts flags of fresh rows.
"""

from __future__ import annotations

import argparse
import math
import warnings

import numpy as np
from scipy.stats import betabinom, binom

from isthmus.ship import calibrate
from isthmus.ship.shift import Ratio, Shift

SIZES = (20, 50, 99, 200, 500, 999, 2000)
RATES = (0.05, 0.1, 0.2)
ROWS = 1000
"""New rows of a batch."""


def alarms(splits: int) -> None:
    """Of each split one new normal row: flagged or not, a coin with a known chance, so that counts are binomial."""
    print(
        "| calibration rows | "
        + " | ".join(f"rate {rate:g}: expected, found (95 % of counts)" for rate in RATES)
        + " |"
    )
    print("|---|" + "---|" * len(RATES))
    for n in SIZES:
        random, cells = np.random.default_rng(n), []
        known, asked = random.normal(size=(splits, n)), random.normal(size=(splits, 1))
        p = np.array([calibrate.p_values(k, a)[0] for k, a in zip(known, asked, strict=True)])
        for rate in RATES:
            if calibrate.most(n, rate) < 0:
                cells.append("refused")
                continue
            exact = math.floor(rate * (n + 1) + 1e-9) / (n + 1)
            count = int(calibrate.flags(p, rate).sum())
            low, high = binom.interval(0.95, splits, exact)
            inside = "" if low <= count <= high else " **outside**"
            cells.append(f"{splits * exact:.1f}, {count} ({low:.0f} to {high:.0f}){inside}")
        print(f"| {n:,} | " + " | ".join(cells) + " |")


def bound(splits: int) -> None:
    """Batches with and without anomalies: is any threshold's bound below the false flags that there are?"""
    print("| calibration rows | batch | anomalies | bound holds at all thresholds | anomalies flagged, bound 10 % |")
    print("|---|---|---|---|---|")
    for n, m in ((100, 200), (500, 1000), (2000, 1000)):
        limits = calibrate.envelope(n, m, 0.95)
        for odd in (0, m // 20, m // 5):
            random, good, found = np.random.default_rng([n, m, odd]), 0, []
            for _ in range(splits):
                known = random.normal(size=n)
                scores = np.r_[random.normal(size=m - odd), random.normal(4.0, 1.0, size=odd)]
                rank = np.round(calibrate.p_values(known, scores) * (n + 1)).astype(int)
                upto = np.cumsum(np.bincount(rank - 1, minlength=n + 1))
                false = np.cumsum(np.bincount(rank[: m - odd] - 1, minlength=n + 1))
                good += bool((false <= np.minimum(limits, upto)).all())
                if odd:
                    fits = np.flatnonzero((limits <= 0.1 * upto) & (upto > 0))
                    found.append((rank[m - odd :] <= fits[-1] + 1).mean() if len(fits) else 0.0)
            print(f"| {n:,} | {m:,} | {odd} | {good / splits:.3f} | {np.mean(found):.2f} |" if odd else
                  f"| {n:,} | {m:,} | 0 | {good / splits:.3f} | |")  # fmt: skip


def contaminated(splits: int) -> None:
    """Anomalies among 500 calibration rows: kept, or cut off by a share that is known or told by clean rows."""
    print("| anomalies among calibration rows | kept | their share cut off | the estimated share cut off | "
          "estimate, mean | its 95 % interval holds |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    rate, n = 0.05, 500
    for share in (0.0, 0.01, 0.05, 0.1):
        random, rows, inside, told = np.random.default_rng(int(1000 * share)), [], 0, []
        for _ in range(splits):
            odd = round(share * n)
            mixed = np.r_[random.normal(size=n - odd), random.normal(4.0, 1.0, size=odd)]
            clean, fresh, strange = random.normal(size=n), random.normal(size=ROWS), random.normal(4.0, 1.0, size=100)
            known = calibrate.contamination(clean, mixed)
            inside += known.low <= share <= known.high
            told.append(known.share)
            cells = []
            for kept in (mixed, calibrate.trimmed(mixed, share), calibrate.trimmed(mixed, known.share)):
                cells.append([calibrate.flags(calibrate.p_values(kept, one), rate).mean() for one in (fresh, strange)])
            rows.append(cells)
        mean = np.mean(rows, axis=0)
        said = " | ".join(f"{alarm:.3f}, {power:.2f}" for alarm, power in mean)
        print(f"| {100 * share:g} % | {said} | {np.mean(told):.3f} | {inside / splits:.3f} |")


def moved(random: np.random.Generator, n: int, mean: float) -> np.ndarray:
    """Rows (n, 2) with a column that stands at a mean, and another that is noisier where it is large."""
    at = random.normal(mean, 1.0, n)
    return np.column_stack([at, np.exp(0.7 * at) * random.normal(size=n)])


def shift(splits: int) -> None:
    """New rows of another population: one new normal row of each split, flagged unweighted and weighted."""
    rate = 0.1
    low, high = binom.interval(0.95, splits, rate)
    print(f"| calibration rows | unweighted | known ratio | estimated ratio | worth | ({low:.0f} to {high:.0f}) |")
    print("|---|---|---|---|---|---|")
    for n in (100, 300, 1000):
        random, counts, worth = np.random.default_rng(n), np.zeros(3, int), 0.0
        for _ in range(splits):
            known, other, new = moved(random, n, 0.0), moved(random, n, 1.0), moved(random, 1, 1.0)
            scores, asked = np.abs(known[:, 1]), np.abs(new[:, 1])
            exact, own = np.exp(known[:, 0] - 0.5), np.exp(new[:, 0] - 0.5)
            found = Shift(scores, (ratio := Ratio.of(known[:, :1], other[:, :1])).at(known[:, :1]), ratio)
            p = calibrate.p_values(scores, asked), calibrate.weighted_p_values(scores, asked, exact, own)
            counts += [int(one[0] <= rate) for one in (*p, found.p_values(asked, new[:, :1]))]
            worth += found.rows / splits
        print(f"| {n:,} | " + " | ".join(map(str, counts)) + f" | {worth:.0f} | |", flush=True)


def weighted(splits: int) -> None:
    """Batches of 100 rows of another population, 20 of them anomalies, at a share of false flags of 0.2."""
    level, odd = 0.2, np.arange(100) < 20
    print("| calibration rows | unweighted: false, found | known ratio | estimated ratio |")
    print("|---|---|---|---|")
    for n in (100, 300, 1000):
        random, told = np.random.default_rng([n, 2]), np.zeros((splits, 3, 2))
        for run in range(splits):
            known, other, new = moved(random, n, 0.0), moved(random, n, 1.0), moved(random, 100, 1.0)
            scores, asked = np.abs(known[:, 1]), np.abs(new[:, 1]) + 60 * odd
            given = Shift(scores, np.exp(known[:, 0] - 0.5))
            guessed = Shift(scores, (ratio := Ratio.of(known[:, :1], other[:, :1])).at(known[:, :1]), ratio)
            flags = (
                calibrate.discoveries(calibrate.p_values(scores, asked), level),
                given.discoveries(asked, np.exp(new[:, 0] - 0.5), level),
                guessed.discoveries(asked, ratio.at(new[:, :1]), level),
            )
            told[run] = [((one & ~odd).sum() / max(1, one.sum()), one[odd].mean()) for one in flags]
        mean, error = told.mean(axis=0), told[:, :, 0].std(axis=0) / splits**0.5
        cells = (f"{m[0]:.3f} ± {e:.3f}, {m[1]:.2f}" for m, e in zip(mean, error, strict=True))
        print(f"| {n:,} | " + " | ".join(cells) + " |", flush=True)


def model(splits: int) -> None:
    """A trained detector: flags of 1,000 fresh rows on each of some draws, beside their beta-binomial law."""
    from isthmus import AnomalyDetector

    print("| calibration | expected | found, mean ± standard error |")
    print("|---|---|---|")
    mixing = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 1.0]])

    def plane(count: int, random: np.random.Generator) -> np.ndarray:
        causes = random.normal(size=(count, 2))
        return np.hstack([causes, causes @ mixing + 0.3 * random.normal(size=(count, 3))])

    for how in ("split", "cross", "jackknife+"):
        found = []
        for seed in range(splits):
            random = np.random.default_rng(seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                one = AnomalyDetector("pca", latents=2, rate=0.1, calibration=how, random_state=seed)
                one.fit(plane(160, random))
            found.append(float((one.predict(plane(ROWS, random)) == -1).mean()))
        law = betabinom(ROWS, 4, 37)
        expected = f"{law.mean() / ROWS:.4f}" if how == "split" else "at most 0.1, nearly"
        print(f"| {how} | {expected} | {np.mean(found):.4f} ± {np.std(found) / splits**0.5:.4f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["alarms", "bound", "contaminated", "shift", "weighted", "model"])
    parser.add_argument("--splits", type=int, default=1000)
    asked = parser.parse_args()
    ways = {"alarms": alarms, "bound": bound, "contaminated": contaminated}
    ways |= {"shift": shift, "weighted": weighted, "model": model}
    ways[asked.what](asked.splits)
