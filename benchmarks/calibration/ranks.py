"""Ranks over data sets: how often are they wrong where nothing differs, and how often do they find a planted best?

A contender's score on a data set is ``difficulty + truth + noise``: all contenders of a data set share its difficulty,
noise is normal with standard deviation 1 and independent, as it is between sets that do not overlap. With ``heavy``
the noise has Student's t with 2 degrees of freedom, and with ``step`` scores are rounded, so that there are ties.

    python benchmarks/calibration/ranks.py            # 1000 tables of scores per line
    python benchmarks/calibration/ranks.py 200
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np

from isthmus.evidence.ranking import Ranking, rank


def table(truth: Sequence[float], sets: int, seed: int, *, heavy: bool = False, step: float = 0.0) -> np.ndarray:
    """Scores of shape (contenders, sets)."""
    rng = np.random.default_rng(seed)
    shape = (len(truth), sets)
    noise = rng.standard_t(2, shape) if heavy else rng.standard_normal(shape)
    found = 5 * rng.standard_normal(sets) + np.asarray(truth)[:, None] + noise
    return np.round(found / step) * step if step else found


def ranking(truth: Sequence[float], sets: int, seed: int, *, rope: float = 0.0, **options: float) -> Ranking:
    """The ranking of one simulated table."""
    scores = {f"c{i}": row for i, row in enumerate(table(truth, sets, seed, **options))}
    names = [str(i) for i in range(sets)]
    about = {"facet": "", "metric": "score", "higher": True, "relative": False}
    return rank(scores, names, rope=rope, rivals=set(), draws=2000, **about)


def rates(truth: Sequence[float], sets: int, studies: int, **options: float) -> dict[str, float]:
    """Share of tables with each kind of claim."""
    seen: Counter[str] = Counter()
    for seed in range(studies):
        found = ranking(truth, sets, seed, **options)
        seen["friedman"] += found.friedman.p < 0.05
        seen["nemenyi"] += any(pair.p_nemenyi < 0.05 for pair in found.pairs)
        seen["holm"] += any(pair.p_holm < 0.05 for pair in found.pairs)
        seen["claim"] += any(pair.relation in {"better", "worse"} for pair in found.pairs)
        seen["named"] += found.first == "c0" and len(found.worse) == len(truth) - 1
        seen["first"] += found.first == "c0"
    return {key: count / studies for key, count in seen.items()}


def main(studies: int) -> None:
    print(f"{studies} tables per line\n\nNothing differs: share of tables with any claim, rope 0\n")
    print("| contenders | data sets | noise | Friedman p < 0.05 | Nemenyi | Wilcoxon, Holm | claimed |")
    print("|---|---|---|---|---|---|---|")
    lines = [(k, n, "normal", {}) for k in (2, 5, 12) for n in (5, 8, 12, 24)]
    lines += [(5, 12, "heavy tails", {"heavy": True}), (5, 12, "ties", {"step": 1.0}), (2, 12, "ties", {"step": 1.0})]
    for k, n, noise, options in lines:
        s = rates([0.0] * k, n, studies, **options)
        shares = [f"{s[key]:.3f}" for key in ("friedman", "nemenyi", "holm", "claim")]
        print(f"| {k} | {n} | {noise} | {' | '.join(shares)} |", flush=True)
    print("\nOne is better than all others by `effect` standard deviations, rope 0.1\n")
    print("| contenders | data sets | effect | ranked first | shown better than all | any claim |")
    print("|---|---|---|---|---|---|")
    for k, n, effect in [(k, n, e) for k in (2, 5, 12) for n in (5, 12, 24) for e in (1.0, 2.0, 4.0)]:
        s = rates([effect] + [0.0] * (k - 1), n, studies, rope=0.1)
        shares = [f"{s[key]:.3f}" for key in ("first", "named", "claim")]
        print(f"| {k} | {n} | {effect} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
