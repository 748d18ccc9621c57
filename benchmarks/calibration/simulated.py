"""How often do verdicts err, and how often do they find what is there? Simulated studies with a known truth.

A study's scores are ``truth + split effect + own noise``. All contenders of a replicate share the split effect. The own
noise of a contender is correlated between replicates, because their training sets overlap; ``rho`` is that correlation,
and the correction assumes ``n_test / (n_test + n_train)``, which is 0.25 for the usual 60/20/20 split. Noise is scaled
so that the difference of two contenders has standard deviation 1 within one study's replicates when ``rho`` is 0.

    python benchmarks/calibration/simulated.py            # 1000 studies per line
    python benchmarks/calibration/simulated.py 200
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np

from isthmus.evidence.stats import interval
from isthmus.evidence.verdict import FacetVerdict, judge

TEST_FRACTION = 1 / 3
RHO = 0.25


def scores(
    truth: Sequence[float], replicates: int, rng: np.random.Generator, rho: float = RHO, step: float = 0.0
) -> dict[str, np.ndarray]:
    """One study: contender -> (replicates,) scores; ``step`` rounds them, as accuracy on few test rows does."""
    split = 3 * rng.standard_normal(replicates)
    lasting = np.sqrt(rho / 2) * rng.standard_normal((len(truth), 1))
    passing = np.sqrt((1 - rho) / 2) * rng.standard_normal((len(truth), replicates))
    table = np.asarray(truth)[:, None] + split + lasting + passing
    table = np.round(table / step) * step if step else table
    return {f"c{i}": row for i, row in enumerate(table)}


def study(
    truth: Sequence[float],
    replicates: int,
    rope: float,
    seed: int,
    *,
    rivals: int = 0,
    rho: float = RHO,
    step: float = 0.0,
) -> FacetVerdict:
    """The verdict on one simulated study; the last ``rivals`` contenders are rivals."""
    table = scores(truth, replicates, np.random.default_rng(seed), rho, step)
    names = set(list(table)[len(truth) - rivals :]) if rivals else set()
    return judge(table, metric="score", higher=True, rope=rope, rivals=names, test_fraction=TEST_FRACTION)


def rates(truth: Sequence[float], replicates: int, rope: float, studies: int, **options: float) -> dict[str, float]:
    """Shares of verdicts over many studies: kinds, outcomes, a claim on any pair, and the right leader shown best."""
    seen: Counter[str] = Counter()
    best = f"c{int(np.argmax(truth))}"
    for seed in range(studies):
        v = study(truth, replicates, rope, seed, **options)
        seen.update([v.kind, "outcome " + v.outcome])
        seen["any pair"] += any(pair.relation in {"better", "worse"} for pair in v.pairs)
        seen["found"] += v.kind == "better" and v.leader == best
    return {key: count / studies for key, count in seen.items()} | {key: 0.0 for key in KEYS if key not in seen}


LEVEL = ((2, 8, 0), (3, 7, 0), (1, 8, 1), (5, 4, 1), (9, 0, 1))  # level autoencoders, those behind, level rivals
KEYS = ("better", "equal", "undecided", "any pair", "found", "outcome autoencoder", "outcome rival enough",
        "outcome rival", "outcome undecided")  # fmt: skip


def coverage(replicates: int, studies: int, rho: float, test_fraction: float) -> float:
    """Share of 95 % intervals of the difference of two equal contenders that hold 0."""
    held = 0
    for seed in range(studies):
        table = scores([0.0, 0.0], replicates, np.random.default_rng(seed), rho)
        low, high = interval(table["c0"] - table["c1"], test_fraction) or (np.nan, np.nan)
        held += low <= 0 <= high
    return held / studies


def main(studies: int) -> None:
    print(f"{studies} studies per line; test_fraction 1/3; unit: standard deviation of a paired difference\n")
    print("Nothing differs: share of studies with a claimed winner\n")
    print("| contenders | replicates | rho | rope | steps of | winner claimed | any pair claimed | practically equal |")
    print("|---|---|---|---|---|---|---|---|")
    null = [(k, r, RHO, rope, 0.0) for k in (2, 10) for r in (3, 5, 10) for rope in (0.0, 1.0)]
    null += [(2, 5, rho, 0.0, 0.0) for rho in (0.0, 0.5)] + [(k, r, RHO, 0.0, 1.0) for k in (2, 10) for r in (3, 5, 10)]
    for k, r, rho, rope, step in null:
        s = rates([0.0] * k, r, rope, studies, rho=rho, step=step)
        cells = [f"{s[key]:.3f}" for key in ("better", "any pair", "equal")]
        print(f"| {k} | {r} | {rho} | {rope} | {step} | {' | '.join(cells)} |", flush=True)

    print("\nSome are level and the others 50 behind, rope 0: share of studies with a wrong headline\n")
    print("| level | others | replicates | winner claimed | autoencoder better | rival better |")
    print("|---|---|---|---|---|---|")
    for level, others, rivals, r in [(*group, r) for group in LEVEL for r in (3, 5, 10)]:
        truth = [0.0] * level + [-50.0] * others + [0.0] * rivals
        s = rates(truth, r, 0.0, studies, rivals=rivals)
        who = f"{level} autoencoders" + (", 1 rival" if rivals else "")
        told = [f"{s[key]:.3f}" for key in ("better", "outcome autoencoder", "outcome rival")]
        print(f"| {who} | {others} | {r} | {' | '.join(told)} |", flush=True)

    print("\nOne contender is better than all others by `effect`; rope 1: share of studies that name it\n")
    print("| contenders | replicates | effect | named | somebody else named |")
    print("|---|---|---|---|---|")
    for k, r, effect in [(k, r, e) for k in (2, 10) for r in (5, 10) for e in (2, 3, 4, 6)]:
        s = rates([float(effect)] + [0.0] * (k - 1), r, 1.0, studies)
        print(f"| {k} | {r} | {effect} | {s['found']:.3f} | {s['better'] - s['found']:.3f} |", flush=True)

    print("\nAll are equal, or one is ahead by half a rope: share of studies called practically equal\n")
    print("| contenders | replicates | rope | ahead by | practically equal | winner claimed |")
    print("|---|---|---|---|---|---|")
    for k, r, rope, ahead in [(k, r, p, a) for k in (2, 10) for r in (5, 10) for p in (3.0, 6.0) for a in (0.0, 0.5)]:
        s = rates([ahead * rope] + [0.0] * (k - 1), r, rope, studies)
        print(f"| {k} | {r} | {rope} | {ahead * rope} | {s['practically equal']:.3f} | {s['better']:.3f} |", flush=True)

    print("\nFive autoencoders against PCA, rope 3: what is said of `which autoencoder, if any`\n")
    print("| best one minus PCA | replicates | autoencoder better | PCA is enough | PCA is better | undecided |")
    print("|---|---|---|---|---|---|")
    for gap, r in [(gap, r) for gap in (-12.0, -3.0, 0.0, 3.0, 6.0, 12.0) for r in (5, 10)]:
        s = rates([gap, gap - 1, gap - 2, gap - 4, gap - 8, 0.0], r, 3.0, studies, rivals=1)
        told = [f"{s['outcome ' + key]:.3f}" for key in ("autoencoder", "rival enough", "rival", "undecided")]
        print(f"| {gap} | {r} | {' | '.join(told)} |", flush=True)

    print("\nCoverage of the 95 % interval of a difference\n")
    print("| replicates | rho | corrected | uncorrected |")
    print("|---|---|---|---|")
    for r, rho in [(r, rho) for r in (3, 5, 10, 20) for rho in (0.0, RHO, 0.5)]:
        pair = [f"{coverage(r, studies, rho, fraction):.3f}" for fraction in (TEST_FRACTION, 0.0)]
        print(f"| {r} | {rho} | {' | '.join(pair)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
