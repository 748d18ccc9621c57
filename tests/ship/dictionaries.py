"""Sparse dictionaries whose numbers lie on a grid: then every sum is exact in float32, in whatever order it is taken,
and two libraries agree to the last bit on any processor, or they do not agree."""

import math

import numpy as np
import torch
from sklearn.base import clone

from isthmus.data.scale import Scaler
from isthmus.families import FAMILIES
from isthmus.train.fitted import Fitted
from isthmus.train.loop import Outcome
from isthmus.train.plan import Plan

WIDE, UNITS = 6, 10
HALF = math.log(0.5)
CASES = {
    "l1": {},
    "sae": {},
    "panneal": {},
    "topk": {"k": 3},
    "batchtopk": {"k": 3},
    "matryoshka": {"k": 3, "prefixes": (2, 5)},
    "matryoshka row": {"k": 3, "prefixes": (2, 5), "choice": "row"},
    "gated": {},
    "jumprelu": {},
    "archetypal": {"k": 3, "candidates": 12, "delta": 0.0},
    "matching": {"k": 3},
    "transcoder relu": {"gate": "relu"},
    "transcoder relu skip": {"gate": "relu", "skip": 2},
    "transcoder topk": {"gate": "topk", "k": 3},
    "transcoder topk skip": {"gate": "topk", "k": 3, "skip": 2},
}
"""Ours, with the fields that a recipe needs."""


def grid(draw: np.random.Generator, *shape: int, step: float = 1 / 16, most: float = 1.0) -> torch.Tensor:
    """Multiples of ``step`` between ``-most`` and ``most``."""
    return torch.tensor(draw.integers(-int(most / step), int(most / step) + 1, shape) * step, dtype=torch.float32)


def units(draw: np.random.Generator, rows: int, wide: int = WIDE) -> torch.Tensor:
    """Rows of unit norm on the grid: four elements of a half, with signs."""
    found = torch.zeros(rows, wide)
    for row in found:
        row[draw.permutation(wide)[:4].tolist()] = torch.tensor(draw.choice([-0.5, 0.5], 4), dtype=torch.float32)
    return found


def ours(case: str, *, scaled: bool = False) -> Fitted:
    """A model of ours on the grid, its pre-bias another one than the decoder's bias; ``scaled``: its rows are."""
    family, fields = case.split(maxsplit=1)[0], CASES[case]
    draw = np.random.default_rng(sorted(CASES).index(case))
    more = {} if family == "archetypal" else {"head": "gaussian"}
    recipe = clone(FAMILIES[family]).set_params(latents=UNITS, **more, **fields)
    out = (WIDE,) if family == "transcoder" else None
    model = recipe.build((WIDE,), "gaussian", out)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != "log_threshold":
                parameter.copy_(grid(draw, *parameter.shape))
        if family == "jumprelu":
            model.log_threshold.copy_(torch.tensor(draw.choice([0.25, 0.5, 1.0], UNITS)).log())
        if family == "gated":
            model.stretch.copy_(torch.tensor(draw.choice([0.0, HALF], UNITS)))
        if family in {"batchtopk", "matryoshka"}:
            model.threshold.fill_(0.375)
        if family == "matching":
            model.entries.copy_(units(draw, UNITS))
        if family == "archetypal":
            model.points.copy_(grid(draw, *model.points.shape))
            model.mixture.copy_(torch.eye(len(model.points))[:UNITS])
    plain = Scaler("none", np.zeros(1), np.ones(1))
    layout = Scaler("standard", np.linspace(-1, 1.5, WIDE), np.array([0.5, 1, 2, 1, 4, 0.25])) if scaled else plain
    return Fitted(
        recipe=recipe,
        model=model.eval(),
        layout=layout,
        head="gaussian",
        plan=Plan(),
        outcome=Outcome(status="cut", steps=1, best_step=1, seconds=0.0),
        target_layout=layout if out else None,
    )


def clear(raw: torch.Tensor, k: int) -> torch.Tensor:
    """Rows of raw codes (B, L) with no tie for the last place among the ``k`` largest, (B,) of bool."""
    best = raw.topk(k + 1, dim=1).values
    return (best[:, k - 1] > best[:, k]) | (best[:, k - 1] <= 0)
