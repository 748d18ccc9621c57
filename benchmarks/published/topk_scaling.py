"""The error of a top-k autoencoder falls with width and k as a power law; its dead units, with the auxiliary term.

Gao, la Tour, Tillman, Goh, Troll, Radford, Sutskever, Leike and Wu (2024), Scaling and evaluating sparse autoencoders:
log error is linear in log n, log k and their product, on activations of language models; up to 90 % of the units die
without the auxiliary term and a tied start, 7 % with them.

    python benchmarks/published/topk_scaling.py [--steps N]
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from table import Digits, Row, mnist, options, show

from isthmus.data.scale import Scaler
from isthmus.families import named
from isthmus.train.fitted import Fitted, fit_many
from isthmus.train.plan import Plan

WIDTHS = (64, 128, 256, 512)
CHOICES = (4, 8, 16, 32)


def trained(settings: Sequence[dict[str, Any]], train: Digits, test: Digits, steps: int, seed: int) -> list[Fitted]:
    """One linear top-k autoencoder for each setting; the first 2,000 test images are for validation."""
    base = named("topk").set_params(backbone="linear", head="gaussian", dead_after=10_000)
    plan = Plan(steps=steps, batch=256, learning_rate=2e-3, schedule="cosine", check=steps)
    recipes = [replace(base, **setting) for setting in settings]
    scaler = Scaler.fit(train.x, kind="none")
    return fit_many(recipes, train.x, test.x[:2000], [plan] * len(recipes), layout=scaler, seed=seed)


def left(fitted: Fitted, train: Digits, test: Digits) -> float:
    """Share of the variance of the test images, less those for validation, that the model leaves."""
    return float(fitted.errors(test.x[2000:]).mean() / np.square(test.x - train.x.mean(0)).mean())


def silent(fitted: Fitted, x: NDArray[np.float32]) -> float:
    """Units that no row uses, in per cent."""
    return 100 * float((fitted.encode(x) == 0).all(0).mean())


def law(error: dict[tuple[int, int], float]) -> tuple[NDArray[np.float64], float]:
    """Least squares of the log error on log n, log k and their product: coefficients, share of variance explained."""
    log_n, log_k = np.log(np.array(list(error), dtype=float)).T
    log_e = np.log(np.array(list(error.values())))
    design = np.stack([np.ones_like(log_n), log_n, log_k, log_n * log_k], axis=1)
    found, *_ = np.linalg.lstsq(design, log_e, rcond=None)
    return found, float(1 - np.square(log_e - design @ found).sum() / np.square(log_e - log_e.mean()).sum())


def falls(error: dict[tuple[int, int], float], axis: int) -> float:
    """Share of the steps from one width (axis 0) or k (axis 1) to the next that lower the error."""
    steps = [
        (a, b) for a, b in itertools.permutations(error, 2) if a[1 - axis] == b[1 - axis] and b[axis] == 2 * a[axis]
    ]
    return float(np.mean([error[a] > error[b] for a, b in steps]))


def main() -> None:
    """Train the grid, fit the law."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    train, test = mnist(given.data)
    train = Digits(train.x[:20000], train.y[:20000])
    grid: list[dict[str, Any]] = [{"latents": n, "k": k} for n, k in itertools.product(WIDTHS, CHOICES)]
    largest = {"latents": WIDTHS[-1], "k": CHOICES[0]}
    *fits, bare = trained([*grid, largest | {"aux": 0.0}], train, test, given.steps, given.seed)
    error = {(s["latents"], s["k"]): left(f, train, test) for s, f in zip(grid, fits, strict=True)}
    dead = [silent(f, test.x) for f in (bare, fits[grid.index(largest)])]
    (a, b, c, d), explained = law(error)
    print("share of the variance left\n   n " + "".join(f"  k={k:<5}" for k in CHOICES))
    for n in WIDTHS:
        print(f"{n:4d} " + "".join(f"  {error[n, k]:.4f} " for k in CHOICES))
    in_n, in_k = falls(error, 0), falls(error, 1)
    show(
        f"Top-k on MNIST: log error = {a:.2f} + {b:.3f} log n + {c:.3f} log k + {d:.3f} log n log k",
        [
            Row("share of the log error's variance that the law explains", "a law", explained, explained > 0.95),
            Row("share of the steps in k that lower the error", "all", in_k, in_k == 1),
            Row("share of the steps in width that lower it", "all", in_n, in_n == 1),
            Row(f"% dead units, n = {WIDTHS[-1]}, k = 4, without auxiliary term", "up to 90", dead[0], dead[0] > 50),
            Row("% dead units, with it", "7", dead[1], dead[1] <= 7, "not more?"),
        ],
        f"20,000 images of MNIST instead of activations of a language model, widths to {WIDTHS[-1]}, {given.steps} "
        "steps; the start is tied in both of the last rows.",
    )


if __name__ == "__main__":
    main()
