"""Stacked denoising against stacked plain layers: the noise that pretraining sees lowers the final test error.

Vincent, Larochelle, Lajoie, Bengio and Manzagol (2010), Stacked denoising autoencoders, JMLR 11, table 3 ("basic":
10,000 training images): three hidden layers, 3.46 % wrong with plain layers, 2.84 % with masking noise of 10 %; figure
7: the error falls with a little noise and rises again with much.

    python benchmarks/published/stacked_denoising.py [--steps N] [--tune N] [--seeds N]
"""

from __future__ import annotations

import numpy as np
from table import Digits, Row, mnist, options, show

from isthmus.families import named
from isthmus.train.finetune import finetune
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

NOISE = (0.0, 0.1, 0.25, 0.4)
PUBLISHED = {0.0: 3.46, 0.1: 2.84}


def wrong(
    level: float, train: Digits, held: Digits, test: Digits, *, units: int, steps: int, tune: int, seed: int
) -> float:
    """Test error in per cent after pretraining with so much masking noise and fine-tuning."""
    recipe = named("plain").set_params(
        latents=units,
        hidden=(units, units),
        activation="sigmoid",
        code_activation="sigmoid",
        head="bernoulli",
        corruption="mask" if level else "none",
        corruption_level=level or 0.1,
    )
    plan = Plan(
        steps=steps, batch=100, learning_rate=1e-3, schedule="cosine", check=100, patience=5, stages="layerwise"
    )
    pretrained = fit(recipe, train.x, valid=held.x, plan=plan, seed=seed, scale="none")
    plan = Plan(steps=tune, batch=100, learning_rate=1e-3, schedule="cosine", check=150)
    tuned = finetune(pretrained, train.x, train.y, valid=held.x, valid_y=held.y, plan=plan, seed=seed)
    return 100 * float((tuned.predict(test.x) != test.y).mean())


def main() -> None:
    """Pretrain with each noise, fine-tune, test."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--tune", type=int, default=1500)
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    train, test = mnist(given.data)
    train, held = (Digits(train.x[part], train.y[part]) for part in (slice(10000), slice(10000, 12000)))
    sizes = {"units": given.units, "steps": given.steps, "tune": given.tune}
    each: dict[float, list[float]] = {level: [] for level in NOISE}
    for seed in range(given.seed, given.seed + given.seeds):
        for level in NOISE:
            each[level].append(wrong(level, train, held, test, **sizes, seed=seed))
            print(f"seed {seed}, masking {level:.0%}: {each[level][-1]:.2f} % wrong", flush=True)
    found = {level: float(np.mean(errors)) for level, errors in each.items()}
    best = min(found, key=found.__getitem__)
    rows = [Row("plain layers", PUBLISHED[0.0], found[0.0], best != 0.0, "not the best?")]
    for level in NOISE[1:]:
        below = found[level] < found[0.0]
        rows.append(Row(f"masking {level:.0%}", PUBLISHED.get(level, "none"), found[level], below, "below plain?"))
    show(
        f"Three stacked layers of {given.units} units, 10,000 images of MNIST: % wrong after fine-tuning "
        f"(one standard error of one test error: {100 * np.sqrt(0.03 * 0.97 / len(test.y)):.2f})",
        rows,
        f"{given.steps} Adam steps of 100 images over all stages of pretraining, {given.tune} of fine-tuning; "
        f"{given.seeds} seed(s); MNIST's own test set of 10,000; rates not tuned.",
    )


if __name__ == "__main__":
    main()
