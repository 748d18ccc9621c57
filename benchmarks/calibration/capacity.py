"""How near a sweep of code widths comes to the truth, on data whose dimension is known.

    python benchmarks/calibration/capacity.py [--seeds 3]

Rows are points of a linear subspace or of a curved surface, turned into more columns, plus Gaussian noise in all of
them. The network has the hidden layers that the table names; a surface that only a bent map can flatten needs some.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from isthmus.data.read import read
from isthmus.study.capacity import Point, mean_and_error, one_standard_error, sweep
from isthmus.train.plan import Plan

Rows = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Rows]


def placed(points: Rows, columns: int, noise: float, random: np.random.Generator) -> Rows:
    """Points (n, k) of unit variance, turned into ``columns`` columns of unit variance on average, plus noise."""
    points = (points - points.mean(0)) / points.std(0)
    axes = np.linalg.qr(random.normal(size=(columns, points.shape[1])))[0]
    x = points @ axes.T * math.sqrt(columns / points.shape[1])
    return x + noise * random.normal(size=x.shape)


def subspace(dimension: int, columns: int, rows: int, noise: float) -> Draw:
    """Directions of a standard deviation from 1 down to 0.4."""

    def draw(random: np.random.Generator) -> Rows:
        spread = np.linspace(1, 0.4, dimension)
        axes = np.linalg.qr(random.normal(size=(columns, dimension)))[0]
        x = random.normal(size=(rows, dimension)) * spread @ axes.T * math.sqrt(columns / dimension)
        return x + noise * random.normal(size=x.shape)

    return draw


def sphere(dimension: int) -> Draw:
    """The surface of a ball in dimension + 1."""

    def draw(random: np.random.Generator) -> Rows:
        ball = random.normal(size=(1000, dimension + 1))
        return placed(ball / np.linalg.norm(ball, axis=1, keepdims=True), 20, 0.2, random)

    return draw


def roll(random: np.random.Generator) -> Rows:
    """The Swiss roll."""
    turn, height = 1.5 * math.pi * (1 + 2 * random.random(1000)), 21 * random.random(1000)
    return placed(np.stack([turn * np.cos(turn), height, turn * np.sin(turn)], axis=1), 20, 0.2, random)


def trail(random: np.random.Generator) -> Rows:
    """A curve that winds through five dimensions."""
    along = random.random(1000)
    return placed(np.stack([np.cos(math.pi * k * along) for k in range(1, 6)], axis=1), 20, 0.2, random)


def bent(dimension: int) -> Draw:
    """Random sums of tanh of random sums: curved everywhere, in as many directions as there are columns."""

    def draw(random: np.random.Generator) -> Rows:
        inner = random.normal(size=(dimension, 20)) / math.sqrt(dimension)
        x = np.tanh(1.5 * random.normal(size=(1000, dimension)) @ inner) @ random.normal(size=(20, 20))
        return (x - x.mean(0)) / x.std() + 0.2 * random.normal(size=x.shape)

    return draw


CASES: dict[str, tuple[int, tuple[int, ...], Draw]] = {
    "subspace in 10 columns, 300 rows": (1, (), subspace(1, 10, 300, 0.5)),
    "subspace in 12 columns, 300 rows": (3, (), subspace(3, 12, 300, 0.5)),
    "subspace in 20 columns, 500 rows": (5, (), subspace(5, 20, 500, 0.3)),
    "subspace in 50 columns, 1000 rows": (10, (), subspace(10, 50, 1000, 0.3)),
    "subspace in 150 columns, 600 rows": (6, (128,), subspace(6, 150, 600, 0.5)),
    "winding curve": (1, (64, 64), trail),
    "Swiss roll": (2, (64, 64), roll),
    "sphere": (2, (64, 64), sphere(2)),
    "sphere in 5 dimensions": (4, (64, 64), sphere(4)),
    "bent sheet": (2, (64, 64), bent(2)),
    "bent solid": (4, (64, 64), bent(4)),
}
"""Name -> its dimension, the hidden layers of the network, how it is drawn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    print(
        "| data | true | hidden layers | chosen | linear code alone | TwoNN | seconds |\n|---|---|---|---|---|---|---|"
    )
    right = 0
    for name, (truth, hidden, draw) in CASES.items():
        chosen, linear, dimension, began = [], [], [], time.process_time()
        for seed in range(seeds):
            x = draw(np.random.default_rng(seed))
            found = sweep(read(x), replicates=5, hidden=hidden, backbone=None, plan=Plan(), seed=seed)
            chosen.append(found.chosen)
            pairs = zip(found.widths, found.linear, strict=True)
            linear.append(one_standard_error([Point(w, *mean_and_error(e, found.ratio)) for w, e in pairs]))
            dimension.append(f"{found.dimension:.1f}")
        right += sum(abs(one - truth) <= 1 for one in chosen)
        took = (time.process_time() - began) / seeds
        cells = [name, truth, hidden or "none", *(", ".join(map(str, c)) for c in (chosen, linear, dimension))]
        print("|", " | ".join(map(str, cells)), f"| {took:.0f} |", flush=True)
    print(f"\nwithin one of the truth: {right} of {seeds * len(CASES)}")


if __name__ == "__main__":
    main()
