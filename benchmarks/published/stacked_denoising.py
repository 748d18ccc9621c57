"""Stacked denoising against stacked plain layers: the noise that pretraining sees lowers the final test error.

Vincent, Larochelle, Lajoie, Bengio and Manzagol (2010), Stacked denoising autoencoders, JMLR 11, table 3 ("basic":
10,000 training images): three hidden layers, 3.46 % wrong with plain layers, 2.84 % with masking noise of 10 %; figure
7: the error falls with a little noise and rises again with much.

    python benchmarks/published/stacked_denoising.py [--steps N] [--tune N] [--seeds N]
"""

from __future__ import annotations

import numpy as np
from table import Row, mnist, options, show

from isthmus.families import named
from isthmus.train.finetune import finetune
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

NOISE = (0.0, 0.1, 0.25, 0.4)
PUBLISHED = {0.0: 3.46, 0.1: 2.84}


def main() -> None:
    """Pretrain with each noise, fine-tune, test."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--tune", type=int, default=1500)
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    train, test = mnist(given.data)
    x, y, held, held_y = train.x[:10000], train.y[:10000], train.x[10000:12000], train.y[10000:12000]
    plan = Plan(
        steps=given.steps, batch=100, learning_rate=1e-3, schedule="cosine", check=100, patience=5, stages="layerwise"
    )
    tune = Plan(steps=given.tune, batch=100, learning_rate=1e-3, schedule="cosine", check=150)
    wrong: dict[float, list[float]] = {level: [] for level in NOISE}
    for seed in range(given.seed, given.seed + given.seeds):
        for level in NOISE:
            recipe = named("plain").set_params(
                latents=given.units,
                hidden=(given.units, given.units),
                activation="sigmoid",
                code_activation="sigmoid",
                head="bernoulli",
                corruption="mask" if level else "none",
                corruption_level=level or 0.1,
            )
            pretrained = fit(recipe, x, valid=held, plan=plan, seed=seed, scale="none")
            tuned = finetune(pretrained, x, y, valid=held, valid_y=held_y, plan=tune, seed=seed)
            wrong[level].append(100 * float((tuned.predict(test.x) != test.y).mean()))
            print(f"seed {seed}, masking {level:.0%}: {wrong[level][-1]:.2f} % wrong", flush=True)
    found = {level: float(np.mean(each)) for level, each in wrong.items()}
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
