"""Features of a k-sparse autoencoder for a linear classifier: error over k is a U with its bottom near 25.

Makhzani and Frey (2014), k-sparse autoencoders, ICLR, table 1: 1,000 units, MNIST, logistic regression on the frozen
code: 2.10 % wrong at k = 10, 1.35 % at 25, 1.54 % at 40; 7.20 % on raw pixels.

    python benchmarks/published/ksparse.py [--steps N] [--rows N] [--k K ...]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from table import Digits, Row, mnist, options, show

from isthmus.families import named
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan

PUBLISHED = {10: 2.10, 25: 1.35, 40: 1.54}
STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # inverse, of the classifier's penalty; the validation images choose


def trained(k: int, train: Digits, held: Digits, steps: int, seed: int, alpha: float = 2.0) -> Fitted:
    """The autoencoder of 1,000 units; from 200 that pass, k are left after half of the steps."""
    recipe = named("ksparse").set_params(latents=1000, k=k, tied=True, first=max(200, k), anneal=0.5, alpha=alpha)
    plan = Plan(steps=steps, batch=100, learning_rate=1e-3, schedule="cosine", check=steps)
    return fit(recipe, train.x, valid=held.x, plan=plan, seed=seed, scale="none")


def wrong(features: list[NDArray[np.float32]], splits: list[Digits], most: int = 2000) -> float:
    """Test error of logistic regression in per cent; features and digits of training, validation and test images.

    Columns are scaled by one number. The penalty is chosen by the validation images.
    """
    train, held, test = (z / (float(features[0].std()) or 1.0) for z in features)
    y, held_y, truth = (part.y for part in splits)
    judges = [LogisticRegression(C=c, max_iter=most, tol=1e-3).fit(train, y) for c in STRENGTHS]
    best = max(judges, key=lambda judge: judge.score(held, held_y))
    return 100 * (1 - best.score(test, truth))


def main() -> None:
    """Train one model for each k, classify its code."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--k", type=int, nargs="+", default=[10, 25, 40, 100])
    given = parser.parse_args()
    digits, test = mnist(given.data)
    train, held = (Digits(digits.x[part], digits.y[part]) for part in (slice(given.rows), slice(50000, 55000)))
    splits = [train, held, test]
    raw = wrong([part.x for part in splits], splits)
    print(f"raw pixels: {raw:.2f} % wrong", flush=True)
    found = {}
    for k in given.k:
        fitted = trained(k, train, held, given.steps, given.seed)
        found[k] = wrong([fitted.encode(part.x) for part in splits], splits)
        print(f"k = {k}: {found[k]:.2f} % wrong", flush=True)
    best = min(found, key=found.__getitem__)
    rows = [Row("raw pixels", 7.20, raw, abs(raw - 7.2) < 1.5)]
    rows += [
        Row(f"k = {k}", PUBLISHED.get(k, "none"), error, error < raw, "better than raw?") for k, error in found.items()
    ]
    rows.append(Row("the best k", 25, best, best in {25, 40}, "near 25, inside the range?"))
    show(
        "k-sparse features on MNIST: test error of logistic regression, %",
        rows,
        f"{len(train.x)} training images of 60,000, {given.steps} steps of Adam (batches of 100) instead of momentum.",
    )


if __name__ == "__main__":
    main()
