"""Do alarms keep their rate on series, whose rows depend on each other? A fixed threshold beside a level that follows.

    python benchmarks/calibration/dependent.py elec
    python benchmarks/calibration/dependent.py nab --series 30     # minutes
    python benchmarks/calibration/dependent.py blocks              # seconds

elec (45,312 half-hours, six columns): the first 3,000 train (PCA of three components), 1,000 are held out, 2,000
calibrate, all others are the stream. Of each series of NAB the windows of 32 steps within the first 40 % train (PCA of
eight components) and, the last third of them, calibrate, and the rest of the steps is the stream, its labelled
anomalies included, as nobody takes them out of a real one either.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pyarrow.csv as pacsv
from scipy.stats import binom

import isthmus
from isthmus.data.read import read
from isthmus.ship import calibrate
from isthmus.ship.adaptive import Follower
from isthmus.ship.deployed import Calibration, Deployed

BESIDE = Path(os.environ.get("ISTHMUS_SHARED", Path(__file__).parents[3] / "shared")) / "data"
RATES = (0.01, 0.05, 0.1)


def shares(model: Deployed, scores: np.ndarray, rate: float) -> tuple[float, float]:
    """Alarms for each row of a stream over the rate: with a fixed threshold, and with a level that follows."""
    own, there = model.needed(), scores[~np.isnan(scores)]
    fixed = calibrate.flags(own.p_values(there), rate).mean()
    return float(fixed / rate), float(Follower(own, rate).follow(there)[1].mean() / rate)


def blocks(series: int = 1000, count: int = 50) -> None:
    """Of many series that remember (steps of an AR(1)), is any step of a new block flagged?"""
    rate = 0.1
    low, high = binom.interval(0.95, series, np.floor(rate * (count + 1)) / (count + 1))
    print(f"| memory | block | expected ({low:.0f} to {high:.0f}) | by steps | by blocks |")
    print("|---|---|---|---|---|")
    for memory in (0.0, 0.9, 0.98):
        for length in (10, 100, 300):
            random, found = np.random.default_rng([int(100 * memory), length]), np.zeros(2, int)
            x = np.empty((series, (count + 1) * length))
            x[:, 0] = random.normal(size=series)
            for i in range(1, x.shape[1]):
                x[:, i] = memory * x[:, i - 1] + np.sqrt(1 - memory**2) * random.normal(size=series)
            for known, new in zip(x[:, : count * length], x[:, count * length :], strict=True):
                steps, highest = Calibration.of(known, ""), Calibration.of(calibrate.highest(known, length), "")
                found += [bool(calibrate.flags(own.p_values(new), rate).any()) for own in (steps, highest)]
            print(f"| {memory:g} | {length} | | {found[0]} | {found[1]} |", flush=True)


def elec() -> None:
    held = pacsv.read_csv(BESIDE / "drift" / "elec.csv.gz")
    x = np.column_stack([held[name] for name in held.column_names if name != "target"])
    fitted = isthmus.fit(isthmus.named("pca").set_params(latents=3), x[:3000])
    model = Deployed.of(fitted, x[:3000], x[3000:4000], x[4000:6000])
    scores = model.scores(x[6000:])
    print("| rate asked | fixed threshold | level that follows |")
    print("|---|---|---|")
    for rate in RATES:
        fixed, follows = shares(model, scores, rate)
        print(f"| {rate:g} | {fixed * rate:.4f} | {follows * rate:.4f} |")


def nab(count: int) -> None:
    names = sorted(json.loads((BESIDE / "nab" / "combined_windows.json").read_text()))[:count]
    found: dict[float, list[tuple[float, float]]] = {rate: [] for rate in RATES}
    steps: list[int] = []
    length = 32
    for name in names:
        values = np.asarray(pacsv.read_csv(BESIDE / "nab" / f"{name}.gz")["value"], np.float64)[:, None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = read(values, window=length, time="rows")
            known = np.flatnonzero(data.windows.first + length <= 0.4 * len(values))
            cut = 2 * len(known) // 3
            train, normal = known[:cut], known[cut + length - 1 :]
            recipe = isthmus.named("pca").set_params(latents=8)
            fitted = isthmus.fit(recipe, data.x[train], images=False, series=data.series)
            parts = data.x[train[: 3 * cut // 4]], data.x[train[3 * cut // 4 :]]
            model = Deployed.of(fitted, *parts, data.x[normal], first=data.windows.first[normal])
            scores = model.step_scores(values[int(0.4 * len(values)) :])
        steps.append(int((~np.isnan(scores)).sum()))
        for rate in RATES:
            found[rate].append(shares(model, scores, rate))
    print("| rate asked | | all steps together | median of series | middle 80 % | series within 10 % of the rate |")
    print("|---|---|---|---|---|---|")
    for rate, pairs in found.items():
        for who, each in zip(("fixed threshold", "level that follows"), np.array(pairs).T, strict=True):
            low, high = rate * np.quantile(each, [0.1, 0.9])
            good = (np.abs(each - 1) <= 0.1).sum()
            print(
                f"| {rate:g} | {who} | {rate * np.average(each, weights=steps):.4f} | "
                f"{rate * np.median(each):.4f} | {low:.4f} to {high:.4f} | {good} of {len(each)} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["elec", "nab", "blocks"])
    parser.add_argument("--series", type=int, default=30)
    asked = parser.parse_args()
    {"elec": elec, "blocks": blocks, "nab": lambda: nab(asked.series)}[asked.what]()
