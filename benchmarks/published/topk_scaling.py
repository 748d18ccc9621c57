"""The error of a top-k autoencoder falls with width and k as a power law; its dead units, with the auxiliary term.

Gao, la Tour, Tillman, Goh, Troll, Radford, Sutskever, Leike and Wu (2024), Scaling and evaluating sparse autoencoders:
log error is linear in log n, log k and their product, on activations of language models; up to 90 % of the units die
without the auxiliary term and a tied start, 7 % with them.

    python benchmarks/published/topk_scaling.py [--steps N]
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from table import Row, mnist, options, show

from isthmus.data.scale import Scaler
from isthmus.families import named
from isthmus.train.fitted import fit_many
from isthmus.train.plan import Plan

WIDTHS = (64, 128, 256, 512)
CHOICES = (4, 8, 16, 32)


def main() -> None:
    """Train the grid, fit the law."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    train, test = mnist(given.data)
    scaler = Scaler.fit(train.x, kind="none")
    base = named("topk").set_params(backbone="linear", head="gaussian", dead_after=10_000)
    plan = Plan(steps=given.steps, batch=256, learning_rate=2e-3, schedule="cosine", check=given.steps)
    recipes = [replace(base, latents=n, k=k) for n, k in itertools.product(WIDTHS, CHOICES)]
    recipes += [replace(base, latents=WIDTHS[-1], k=4, aux=aux) for aux in (0.0, 0.03125)]
    fits = fit_many(recipes, train.x[:20000], test.x[:2000], [plan] * len(recipes), scaler=scaler, seed=given.seed)
    spread = np.square(test.x - train.x.mean(0)).mean()
    error = {(f.recipe.latents, f.recipe.k): float(f.errors(test.x[2000:]).mean() / spread) for f in fits[:-2]}
    log_n, log_k, log_e = (
        np.log(np.array(v)) for v in ([n for n, _ in error], [k for _, k in error], list(error.values()))
    )
    design = np.stack([np.ones_like(log_n), log_n, log_k, log_n * log_k], axis=1)
    law, *_ = np.linalg.lstsq(design, log_e, rcond=None)
    explained = 1 - np.square(log_e - design @ law).sum() / np.square(log_e - log_e.mean()).sum()
    in_k = all(error[n, a] > error[n, b] for n in WIDTHS for a, b in itertools.pairwise(CHOICES))
    in_n = np.mean([error[a, k] > error[b, k] for k in CHOICES for a, b in itertools.pairwise(WIDTHS)])
    dead = [100 * float((f.encode(test.x) == 0).all(0).mean()) for f in fits[-2:]]
    print("share of the variance left\n   n " + "".join(f"  k={k:<5}" for k in CHOICES))
    for n in WIDTHS:
        print(f"{n:4d} " + "".join(f"  {error[n, k]:.4f} " for k in CHOICES))
    a, b, c, d = law
    show(
        f"Top-k on MNIST: log error = {a:.2f} + {b:.3f} log n + {c:.3f} log k + {d:.3f} log n log k",
        [
            Row("share of the log error's variance that the law explains", "a law", explained, explained > 0.95),
            Row("error falls with k at every width", "yes", float(in_k), in_k),
            Row("share of the steps in width that lower it", "all", float(in_n), in_n == 1),
            Row(
                f"% dead units, n = {WIDTHS[-1]}, k = 4, without auxiliary term", "up to 90", dead[0], dead[0] > dead[1]
            ),
            Row("% dead units, with it", "7", dead[1], dead[1] < dead[0], "fewer than without?"),
        ],
        f"MNIST pixels instead of activations of a language model, widths to {WIDTHS[-1]}, {given.steps} steps.",
    )


if __name__ == "__main__":
    main()
