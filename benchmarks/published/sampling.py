"""A density fitted to codes closes the sampling gap of a deterministic autoencoder.

Ghosh, Sajjadi, Vergari, Black and Schölkopf (2020), From variational to deterministic autoencoders, ICLR, table 1,
MNIST: a plain autoencoder whose codes are drawn from one normal distribution samples badly (FID 58.73), from a mixture
of ten better than a variational one (10.66 against 19.21).

The distance here is the Fréchet distance of test images and samples in the space of a small classifier's last hidden
layer, trained on the training images. It is not FID, which needs a network that is not ours; orders are compared, not
values.

    python benchmarks/published/sampling.py [--steps N]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from table import Digits, Row, mnist, options, show

from isthmus.families import named
from isthmus.metrics.frechet import frechet
from isthmus.sampler import Sampler
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan

PUBLISHED = {
    ("vae", "prior"): 19.21,
    ("plain", "normal"): 58.73,
    ("plain", "mixture"): 10.66,
    ("rae", "normal"): 22.22,
    ("rae", "mixture"): 8.69,
    ("wae", "prior"): 20.42,
}


def features(judge: MLPClassifier, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the classifier's last hidden layer says of images."""
    h = np.asarray(x, dtype=np.float64)
    for weight, bias in zip(judge.coefs_[:-1], judge.intercepts_[:-1], strict=True):
        h = np.maximum(h @ weight + bias, 0)
    return h


def trained(family: str, train: Digits, steps: int, seed: int) -> Fitted:
    """One family with 16 units in the middle. The first 5,000 images are held back, 2,000 of them for validation."""
    plan = Plan(steps=steps, batch=128, learning_rate=1e-3, schedule="cosine", check=min(200, steps))
    recipe = named(family).set_params(latents=16, hidden=(256, 128))
    return fit(recipe, train.x[5000:], valid=train.x[:2000], plan=plan, seed=seed, scale="none")


def distance(judge: MLPClassifier, fitted: Fitted, kind: str, x: NDArray[np.float32], test: Digits, seed: int) -> float:
    """Of as many samples as there are test images to these; ``x`` are the images whose codes the density is of."""
    sampler = Sampler.fit(fitted, x, kind=kind, components=10, seed=seed)
    made = np.clip(sampler.draw(len(test.x), seed), 0, 1)
    return frechet(features(judge, test.x), features(judge, made))


def main() -> None:
    """Train four autoencoders, draw from each, measure."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    given = parser.parse_args()
    train, test = mnist(given.data)
    judge = MLPClassifier((128, 64), max_iter=8, random_state=given.seed).fit(train.x, train.y)
    fits = {family: trained(family, train, given.steps, given.seed) for family in ("vae", "plain", "rae", "wae")}
    found = {
        (family, kind): distance(judge, fits[family], kind, train.x[5000:25000], test, given.seed)
        for family, kind in PUBLISHED
    }
    closes = found["plain", "mixture"] < 0.5 * found["plain", "normal"]
    beats = found["plain", "mixture"] < found["vae", "prior"]
    same = {
        ("vae", "prior"): found["vae", "prior"] > found["rae", "mixture"],
        ("plain", "normal"): found["plain", "normal"] > found["vae", "prior"],
        ("plain", "mixture"): closes and beats,
        ("rae", "normal"): found["rae", "normal"] > found["rae", "mixture"],
        ("rae", "mixture"): found["rae", "mixture"] == min(found.values()),
        ("wae", "prior"): abs(found["wae", "prior"] / found["vae", "prior"] - 1) < 0.5,
    }
    words = {
        ("vae", "prior"): "above the regularised one with a mixture?",
        ("plain", "normal"): "worse than the VAE?",
        ("plain", "mixture"): "less than half of one normal, and below the VAE?",
        ("rae", "normal"): "worse than with a mixture?",
        ("rae", "mixture"): "the least of all?",
        ("wae", "prior"): "near the VAE?",
    }
    show(
        f"Fréchet distance of 10,000 samples to the MNIST test images, features of a classifier "
        f"({judge.score(test.x, test.y):.1%} correct); published: FID",
        [Row(f"{f}, {k}", PUBLISHED[f, k], d, same[f, k], words[f, k]) for (f, k), d in found.items()],
        f"dense layers 256 and 128 instead of convolutions, {given.steps} steps of 128 images; one seed; not FID.",
    )


if __name__ == "__main__":
    main()
