"""Do the corrected intervals hold when training sets truly overlap? Small models on resampled digits.

The 1797 digits play the population. One study draws 200 of them and splits these 120/40/40 in every replicate, as a
user with 200 rows would; the 40 validation rows are not used. Two contenders are compared by accuracy on the test rows.

- Coverage: PCA codes of 4 of the 8 pixel rows, then ridge classification; a contender is a choice of rows. The truth is
  the mean difference over all studies, of which each sees only its own 200 digits. Counted are intervals that hold it.
- Null: the same recipe twice with other seeds (64 random ReLU features, then ridge), so no winner is true.

    python benchmarks/calibration/real.py            # 300 studies per line
    python benchmarks/calibration/real.py 50
"""

from __future__ import annotations

import sys

import numpy as np
from sklearn.datasets import load_digits

from isthmus.evidence.stats import interval
from isthmus.evidence.verdict import judge

ROWS, TRAIN, TEST = 200, 120, 40
X, Y = load_digits(return_X_y=True)
X = X / 16


def accuracy(z: np.ndarray, y: np.ndarray, z_test: np.ndarray, y_test: np.ndarray) -> float:
    """Of a ridge classifier on standardised codes."""
    shift, scale = z.mean(0), z.std(0) + 1e-9
    z, z_test = (z - shift) / scale, (z_test - shift) / scale
    weights = np.linalg.solve(z.T @ z + 10 * np.eye(z.shape[1]), z.T @ (np.eye(10)[y] - 0.1))
    return float(np.mean((z_test @ weights).argmax(1) == y_test))


def bands(rows: list[int], x: np.ndarray, x_test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eight principal components of some pixel rows of the digits."""
    seen = np.concatenate([np.arange(8 * r, 8 * r + 8) for r in rows])
    centre = x[:, seen].mean(0)
    basis = np.linalg.eigh((x[:, seen] - centre).T @ (x[:, seen] - centre))[1][:, -8:]
    return (x[:, seen] - centre) @ basis, (x_test[:, seen] - centre) @ basis


def sprinkled(rng: np.random.Generator, x: np.ndarray, x_test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """64 random ReLU features."""
    weights, bias = rng.standard_normal((x.shape[1], 64)) / 8, rng.standard_normal(64)
    return np.maximum(x @ weights + bias, 0), np.maximum(x_test @ weights + bias, 0)


def study(seed: int, replicates: int, pair: tuple[list[int], list[int]] | None) -> np.ndarray:
    """Accuracies of two contenders, (2, replicates); without a pair of pixel rows it is one recipe with two seeds."""
    rng = np.random.default_rng(seed)
    mine = rng.choice(len(X), ROWS, replace=False)
    scores = np.zeros((2, replicates))
    for r in range(replicates):
        order = rng.permutation(mine)
        train, test = order[:TRAIN], order[-TEST:]
        for c in range(2):
            codes = bands(pair[c], X[train], X[test]) if pair else sprinkled(rng, X[train], X[test])
            scores[c, r] = accuracy(codes[0], Y[train], codes[1], Y[test])
    return scores


PAIRS = [([0, 1, 2, 3], [4, 5, 6, 7]), ([0, 2, 4, 6], [1, 3, 5, 7]), ([2, 3, 4, 5], [1, 3, 4, 6])]


def held(differences: list[np.ndarray], truth: float, fraction: float) -> float:
    """Share of 95 % intervals that hold the truth."""
    ends = [interval(d, fraction, grain=1 / TEST) for d in differences]
    return float(np.mean([end is not None and end[0] <= truth <= end[1] for end in ends]))


def main(studies: int) -> None:
    print(f"{studies} studies per line, 200 digits each, 120 to train and 40 to test\n")
    print("| pixel rows | replicates | true difference | corrected interval holds it | uncorrected holds it |")
    print("|---|---|---|---|---|")
    for pair in PAIRS:
        for replicates in (5, 10):
            scores = [study(seed, replicates, pair) for seed in range(studies)]
            differences = [s[0] - s[1] for s in scores]
            truth = float(np.mean(differences))
            both = [f"{held(differences, truth, fraction):.3f}" for fraction in (TEST / TRAIN, 0.0)]
            print(f"| {pair[0]} / {pair[1]} | {replicates} | {truth:.4f} | {' | '.join(both)} |", flush=True)
    print("\n| same recipe twice: replicates | rope | winner claimed | called practically equal |")
    print("|---|---|---|---|")
    for replicates in (5, 10):
        scores = [study(seed, replicates, None) for seed in range(studies)]
        for rope in (0.0, 0.01, 0.05, 0.1):
            kinds = [verdict(s, rope) for s in scores]
            told = [f"{kinds.count(kind) / studies:.3f}" for kind in ("better", "equal")]
            print(f"| {replicates} | {rope} | {' | '.join(told)} |", flush=True)


def verdict(scores: np.ndarray, rope: float) -> str:
    """What is said of two contenders, (2, replicates)."""
    table = {"one": scores[0], "two": scores[1]}
    v = judge(table, metric="accuracy", higher=True, rope=rope, rivals=set(), test_fraction=TEST / TRAIN)
    return v.kind


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
