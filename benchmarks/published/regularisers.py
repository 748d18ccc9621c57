"""One sigmoid layer, five ways to regularise it: test error after fine-tuning, slope and saturation of the code.

Rifai, Vincent, Muller, Glorot and Bengio (2011), Contractive auto-encoders: explicit invariance during feature
extraction, ICML, table 1: 1,000 units, tied weights, cross-entropy, MNIST.

The slope is the mean squared Frobenius norm of the code's Jacobian (the paper's printed numbers are normalised in a way
it does not state: orders are compared); a unit is saturated in a row if it is below 0.05 or above 0.95 there.

    python benchmarks/published/regularisers.py [--steps N] [--tune N]
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from table import Digits, Row, mnist, options, show

from isthmus.families import named
from isthmus.model import Recipe
from isthmus.parts.penalties import contraction
from isthmus.train.finetune import finetune
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan

UNITS = 1000
ERROR = {"CAE": 1.14, "DAE-g": 1.18, "DAE-b": 1.57, "AE+wd": 1.68, "AE": 1.78}
SLOPE = {"CAE": 0.73e-4, "DAE-g": 0.86e-4, "DAE-b": 7.87e-4, "AE+wd": 5.00e-4, "AE": 17.5e-4}
SATURATED = {"CAE": 86.36, "DAE-g": 17.77, "DAE-b": 68.19, "AE+wd": 12.97, "AE": 49.90}


def recipes() -> dict[str, Recipe]:
    """The five contenders; strengths are one choice each, not tuned."""
    plain = named("plain").set_params(latents=UNITS, code_activation="sigmoid", tied=True, head="bernoulli")
    return {
        "CAE": named("contractive").set_params(latents=UNITS, tied=True, head="bernoulli", strength=1.0),
        "DAE-g": replace(plain, corruption="gaussian", corruption_level=0.3),
        "DAE-b": replace(plain, corruption="mask", corruption_level=0.3),
        "AE+wd": plain,
        "AE": replace(plain),
    }


def looked_at(fitted: Fitted, x: np.ndarray) -> tuple[float, float]:
    """Slope of the code, and % of its elements that are saturated."""
    z = torch.from_numpy(fitted.encode(x))
    last = fitted.model.encoder.last  # type: ignore[union-attr]
    with torch.no_grad():
        slope = contraction(z, last.weight, "sigmoid").item()
    return slope, 100 * float(((z < 0.05) | (z > 0.95)).float().mean())


def pretrained(name: str, train: Digits, held: Digits, steps: int, seed: int) -> Fitted:
    """One of the contenders, trained without labels."""
    plan = Plan(
        steps=steps,
        batch=100,
        learning_rate=1e-3,
        schedule="cosine",
        check=min(250, steps),
        weight_decay=1.0 if name == "AE+wd" else 0.0,
    )
    return fit(recipes()[name], train.x, valid=held.x, plan=plan, seed=seed, scale="none")


def wrong(body: Fitted, train: Digits, held: Digits, test: Digits, steps: int, seed: int) -> float:
    """Test error after fine-tuning, in per cent."""
    tune = Plan(steps=steps, batch=100, learning_rate=1e-3, schedule="cosine", check=min(100, steps), patience=10)
    tuned = finetune(body, train.x, train.y, valid=held.x, valid_y=held.y, plan=tune, seed=seed)
    return 100 * float((tuned.predict(test.x) != test.y).mean())


def main() -> None:
    """Pretrain each, look at it, fine-tune it."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--tune", type=int, default=3000)
    given = parser.parse_args()
    train, test = mnist(given.data)
    train, held = (Digits(train.x[part], train.y[part]) for part in (slice(10000), slice(10000, 12000)))
    error, slope, saturated = {}, {}, {}
    for name in recipes():
        body = pretrained(name, train, held, given.steps, given.seed)
        slope[name], saturated[name] = looked_at(body, test.x[:2000])
        error[name] = wrong(body, train, held, test, given.tune, given.seed)
        print(
            f"{name}: {error[name]:.2f} % wrong, slope {slope[name]:.3g}, {saturated[name]:.1f} % saturated", flush=True
        )
    best, worst = min(error, key=error.__getitem__), max(error, key=error.__getitem__)
    rows = [
        Row("CAE: test error, %", ERROR["CAE"], error["CAE"], best == "CAE", "the best?"),
        Row("DAE-g: test error, %", ERROR["DAE-g"], error["DAE-g"], error["DAE-g"] < error["DAE-b"], "below DAE-b?"),
        Row("DAE-b: test error, %", ERROR["DAE-b"], error["DAE-b"], error["DAE-b"] < error["AE+wd"], "below AE+wd?"),
        Row("AE+wd: test error, %", ERROR["AE+wd"], error["AE+wd"], error["AE+wd"] < error["AE"], "below AE?"),
        Row("AE: test error, %", ERROR["AE"], error["AE"], worst == "AE", "the worst?"),
        Row("CAE: slope", SLOPE["CAE"], slope["CAE"], slope["CAE"] == min(slope.values()), "the lowest?"),
        Row("AE: slope", SLOPE["AE"], slope["AE"], slope["AE"] == max(slope.values()), "the highest?"),
    ]
    for name in ERROR:
        least = saturated[name] < saturated["CAE"] or name == "CAE"
        rows.append(Row(f"{name}: % saturated", SATURATED[name], saturated[name], least, "CAE has the most?"))
    noise = 100 * np.sqrt(0.03 * 0.97 / len(test.y))
    show(
        f"One layer of {UNITS} sigmoid units on MNIST (one standard error of a test error: {noise:.2f} points)",
        rows,
        f"10,000 training images of 50,000, {given.steps} steps of pretraining and {given.tune} of fine-tuning, Adam, "
        "strengths not tuned.",
    )


if __name__ == "__main__":
    main()
