"""A deep autoencoder against PCA at 30 units: squared error per MNIST test image, 3.00 against 13.87.

Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with neural networks, Science 313: layers
784-1000-500-250-30 and back, pretrained layer by layer.

    python benchmarks/published/deep.py [--steps N]
"""

from __future__ import annotations

from table import Digits, Row, mnist, options, show

from isthmus.families import named
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan


def per_image(fitted: Fitted, images: object) -> float:
    """Squared error, summed over the pixels of an image, mean over images."""
    return float(fitted.errors(images).mean() * 784)


def trained(train: Digits, held: Digits, steps: int, seed: int, hidden: tuple[int, ...] = (1000, 500, 250)) -> Fitted:
    """The deep autoencoder, with 30 units in the middle."""
    recipe = named("plain").set_params(latents=30, hidden=hidden, activation="gelu")
    plan = Plan(
        steps=steps,
        batch=256,
        learning_rate=1e-3,
        schedule="cosine",
        warmup=min(200 / steps, 0.2),
        check=min(500, steps),
    )
    return fit(recipe, train.x, valid=held.x, plan=plan, seed=seed, scale="none")


def main() -> None:
    """Train one network, solve one PCA."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=12000)
    given = parser.parse_args()
    train, test = mnist(given.data)
    pca = fit(named("pca").set_params(latents=30), train.x, valid=train.x[:2000], scale="none")
    held, rest = (Digits(train.x[part], train.y[part]) for part in (slice(5000), slice(5000, None)))
    deep = trained(rest, held, given.steps, given.seed)
    linear, ours = per_image(pca, test.x), per_image(deep, test.x)
    show(
        "784-1000-500-250-30 on MNIST: squared error per test image",
        [
            Row("PCA, 30 components", 13.87, linear, abs(linear - 13.87) < 0.005),
            Row("deep autoencoder", 3.00, ours, ours <= 3.3),
        ],
        f"{deep.outcome.steps} Adam steps of 256 images ({deep.outcome.steps * 256 / 55000:.0f} passes) without "
        "pretraining, GELU units, 55,000 training images.",
    )


if __name__ == "__main__":
    main()
