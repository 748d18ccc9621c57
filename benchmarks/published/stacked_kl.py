"""Two stacked KL-sparse layers: 87.7 % correct on the frozen code, 97.6 % after fine-tuning.

Ng, Ngiam, Foo, Mai and Suen, UFLDL tutorial, exercise "Implement deep networks for digit classification": 784-200-200
sigmoid units, target 0.1, weight of the divergence 3, MNIST, a softmax layer on top.

    python benchmarks/published/stacked_kl.py [--steps N] [--tune N]
"""

from __future__ import annotations

from table import Digits, Row, mnist, options, show

from isthmus.families import named
from isthmus.train.finetune import finetune
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan


def pretrained(train: Digits, held: Digits, steps: int, seed: int) -> Fitted:
    """Two layers, one after the other, then both."""
    recipe = named("kl").set_params(
        latents=200, hidden=(200,), activation="sigmoid", target=0.1, strength=3.0, head="bernoulli"
    )
    plan = Plan(
        steps=steps, batch=250, learning_rate=3e-3, schedule="cosine", check=min(250, steps), weight_decay=0.5,
        stages="layerwise",
    )  # fmt: skip
    return fit(recipe, train.x, valid=held.x, plan=plan, seed=seed, scale="none")


def correct(body: Fitted, train: Digits, held: Digits, test: Digits, steps: int, seed: int, *, frozen: bool) -> float:
    """Test images that a softmax layer names, in per cent: on the frozen code, or with the layers under it trained."""
    tune = Plan(steps=steps, batch=250, learning_rate=2e-3, schedule="cosine", check=min(250, steps))
    tuned = finetune(body, train.x, train.y, valid=held.x, valid_y=held.y, plan=tune, seed=seed, frozen=frozen)
    return 100 * float((tuned.predict(test.x) == test.y).mean())


def main() -> None:
    """Pretrain layer by layer, then train the label layer alone, then everything under it too."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--tune", type=int, default=4000)
    given = parser.parse_args()
    train, test = mnist(given.data)
    held, train = (Digits(train.x[part], train.y[part]) for part in (slice(5000), slice(5000, None)))
    body = pretrained(train, held, given.steps, given.seed)
    before, after = (
        correct(body, train, held, test, given.tune, given.seed, frozen=frozen) for frozen in (True, False)
    )
    show(
        "Stacked KL-sparse autoencoder 784-200-200 on MNIST, % correct",
        [
            Row("before fine-tuning", 87.7, before, before < after - 1, "more than a point below the next row?"),
            Row("after fine-tuning", 97.6, after, after >= 97.6 - 0.3, "not more than 0.3 below?"),
        ],
        f"{given.steps} Adam steps of 250 images over all stages, {given.tune} for each classifier; 55,000 images.",
    )


if __name__ == "__main__":
    main()
