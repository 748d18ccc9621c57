"""Would another rule choose a detector better, and how much of a regret is the noise of the rows that tell it?

Seven detectors are fitted on the normal rows of three splits of each table of OddBench. Nobody trains on anomalies, so
these can be parted anew as often as we like: a quarter put aside, the others tested in turn, a third in each replicate.
A rule chooses by the three scores of everybody. Its regret is told twice: on the anomalies put aside, as
``benchmarks/regret.py`` does, and on all of them. ``oracle`` chooses by all of them, so that what it loses on those
put aside is the noise of that yardstick.

    python benchmarks/calibration/choosing.py            # all tables, each parted 100 times
    python benchmarks/calibration/choosing.py --part 0/2
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

sys.path.append(str(Path(__file__).parents[1]))
from published.table import BESIDE
from regret import KNOWN, Set, sets

from isthmus.data.layout import laid_out
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.outliers import SCORERS

Floats = NDArray[np.float64]
REPLICATES = 3
ROPE = 0.01
TIE = 1e-6

RULES: dict[str, Callable[[Floats], Floats]] = {
    "mean of replicates": lambda a: a.mean(axis=1),
    "median": lambda a: np.median(a, axis=1) + TIE * a.mean(axis=1),
    "mean rank": lambda a: TIE * a.mean(axis=1) - rankdata(-a, axis=0).mean(axis=1),
    "cut at 2 ropes": lambda a: (
        np.clip(a - np.median(a, axis=0), -2 * ROPE, 2 * ROPE).mean(axis=1) + TIE * a.mean(axis=1)
    ),
}
"""What a rule makes of AUROCs (contenders, replicates); the largest is taken."""


def shares(one: Set) -> tuple[Floats, Floats]:
    """Share of normal rows below each anomaly's score, (replicates, contenders, anomalies): of the test rows of a
    replicate, and of the rows put aside."""
    x, labels, _ = one
    odd = np.asarray(labels).astype(str) == "1"
    normal = np.random.default_rng(0).permutation(np.flatnonzero(~odd))
    aside, there = np.split(normal, [len(normal) // 4])
    found = []
    for replicate in range(REPLICATES):
        order = np.random.default_rng(replicate + 1).permutation(there)
        train, valid, test = np.split(order, [int(0.6 * len(order)), int(0.8 * len(order))])
        data = read(x)
        layout = laid_out(data.x[train], data.fields)
        rows = {name: layout.apply(data.x[which]) for name, which in {"odd": odd, "test": test, "aside": aside}.items()}
        zeros = [Rows(layout.apply(data.x[which]), np.zeros(len(which), np.int64)) for which in (train, valid, test)]
        splits = Splits(*zeros, replicate, 2, layout)
        fitted = [make(splits) for make in SCORERS.values()]
        found.append(
            [[_below(score(rows[part]), score(rows["odd"])) for score in fitted] for part in ("test", "aside")]
        )
    told = np.array(found)
    return told[:, 0], told[:, 1]


def _below(normal: Floats, odd: Floats) -> Floats:
    ranked = np.sort(normal)
    return (np.searchsorted(ranked, odd, "left") + np.searchsorted(ranked, odd, "right")) / (2 * len(ranked))


def regrets(seen: Floats, truth: Floats, draws: int) -> dict[str, Floats]:
    """Rule -> its mean regret in ropes, on the anomalies put aside and on all."""
    random, found = np.random.default_rng(0), defaultdict(list)
    all_ = truth.mean(axis=(0, 2))
    for _ in range(draws):
        aside, rest = np.split(random.permutation(seen.shape[2]), [seen.shape[2] // 4])
        turns = np.array_split(rest, REPLICATES)
        scores = np.stack([seen[r][:, turn].mean(axis=1) for r, turn in enumerate(turns)], axis=1)
        there = truth[:, :, aside].mean(axis=(0, 2))
        for name, rule in {**RULES, "oracle": lambda _: all_}.items():
            who = int(np.argmax(rule(scores)))
            found[name].append([(there.max() - there[who]) / ROPE, (all_.max() - all_[who]) / ROPE])
        found["a random one"].append([(there.max() - there.mean()) / ROPE, (all_.max() - all_.mean()) / ROPE])
    return {name: np.mean(values, axis=0) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--part", default="0/1", help="0/2 and 1/2 are every other table")
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    first, step = map(int, options.part.split("/"))
    found: dict[str, list[dict[str, Floats]]] = {name: [] for name in KNOWN}
    for name, load in list(sets(options.data, "oddbench").items())[first::step]:
        try:
            seen, truth = shares(load())
        except BadInput as refused:
            print(f"{name} is refused: {refused}")
            continue
        if seen.shape[2] >= 12:
            kind = next(kind for kind, least in KNOWN.items() if seen.shape[2] >= least)
            found[kind].append(regrets(seen, truth, options.draws))
    found["all"] = [one for some in found.values() for one in some]
    print("| anomalies in the table | tables | rule | regret on those put aside | on all |\n|---|---|---|---|---|")
    for kind, some in found.items():
        for rule in some[0] if some else ():
            near, far = np.mean([one[rule] for one in some], axis=0)
            print(f"| {kind} | {len(some)} | {rule} | {near:.2f} | {far:.2f} |")


if __name__ == "__main__":
    main()
