"""More draws, tighter bound, better model: the likelihood of test digits for IWAE with k = 1, 5 and 50.

Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, ICLR, table 1: MNIST, pixels drawn as zeros
and ones, one stochastic layer of 50, two tanh layers of 200: 86.76, 85.54, 84.78 nats.

    python benchmarks/published/iwae.py [--steps N] [--draws N]
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from table import Row, mnist, options, show

from isthmus.families import named
from isthmus.metrics.likelihood import log_likelihood_bound
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan

PUBLISHED = {1: 86.76, 5: 85.54, 50: 84.78}


def drawn(images: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Pixels drawn as zeros and ones, each with its grey value as the chance."""
    return (rng.random(images.shape, dtype=np.float32) < images).astype(np.float32)


def trained(
    k: int,
    x: NDArray[np.float32],
    held: NDArray[np.float32],
    steps: int,
    seed: int,
    hidden: tuple[int, ...] = (200, 200),
) -> Fitted:
    """The model that learns from k draws for each image."""
    recipe = named("iwae").set_params(
        latents=50, hidden=hidden, activation="tanh", head="bernoulli", samples=k, beta=1.0, scale="average"
    )
    plan = Plan(steps=steps, batch=100, learning_rate=1e-3, schedule="cosine", check=max(1, steps // 8))
    return fit(recipe, x, valid=held, plan=plan, seed=seed, scale="none")


def nats(fitted: Fitted, x: NDArray[np.float32], draws: int, seed: int) -> float:
    """Negative log-likelihood of an image by a bound of so many draws, mean over images."""
    return -log_likelihood_bound(fitted.model, torch.from_numpy(x), k=draws, seed=seed).mean().item()


def main() -> None:
    """Train three models on the same drawn pixels, bound the likelihood of the same test images."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--draws", type=int, default=500, help="draws for each test image (default: %(default)s)")
    given = parser.parse_args()
    train, test = mnist(given.data)
    rng = np.random.default_rng(given.seed)
    x, held, report = (
        drawn(rows, rng) for rows in (np.concatenate([train.x[1000:]] * 3), train.x[:1000], test.x[:2000])
    )
    found = {}
    for k in PUBLISHED:
        found[k] = nats(trained(k, x, held, given.steps, given.seed), report, given.draws, given.seed)
        print(f"k = {k}: {found[k]:.2f} nats", flush=True)
    show(
        f"IWAE on MNIST: negative log-likelihood in nats, {given.draws} draws for each of 2,000 test images",
        [
            Row("k = 1 (the VAE)", PUBLISHED[1], found[1], found[1] == max(found.values()), "the worst?"),
            Row("k = 5", PUBLISHED[5], found[5], found[50] < found[5] < found[1], "between the two?"),
            Row("k = 50", PUBLISHED[50], found[50], found[50] == min(found.values()), "the best?"),
        ],
        f"{given.steps} Adam steps of 100 images ({given.steps * 100 / 59000:.0f} passes of 3,280) on three draws of "
        "the pixels rather than a new one each pass; order, not values.",
    )


if __name__ == "__main__":
    main()
