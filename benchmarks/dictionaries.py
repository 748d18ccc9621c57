"""Are planted atoms found by each architecture of sparse dictionaries, at one width and one number of steps?

    python benchmarks/dictionaries.py --rows 12000 --columns 192 --atoms 512 --units 1024 topk,k=8 jumprelu,target=8

Rows are sums of a few of many random directions, the first ones far oftener than the last, each with a positive
coefficient, and a little noise. Printed for each contender, FAMILY[,FIELD=VALUE...]: the mean cosine of atoms with the
columns that an optimal assignment gives them (MCC), units a row (L0), explained variance, the share of units that fire
in no row, and seconds. Unique: atoms that are nearest to some column, per column.
"""

import argparse
import time
import warnings

import numpy as np
import torch

from isthmus.families import named
from isthmus.metrics.recovery import mean_correlation, uniqueness
from isthmus.study.options import value
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan


def world(rows: int, columns: int, atoms: int, active: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, D) and the atoms (A, D) that they are made of, ``active`` of them a row on average."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(atoms, columns))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    often = np.arange(1, atoms + 1) ** -0.5
    often = np.minimum(1.0, often * active / often.sum())
    present = random.random((rows, atoms)) < often
    coefficients = present * np.abs(1 + 0.3 * random.normal(size=present.shape))
    return (coefficients @ directions + 0.01 * random.normal(size=(rows, columns))).astype(np.float32), directions


def measured(fitted: Fitted, x: np.ndarray, directions: np.ndarray) -> dict[str, float]:
    """What is printed of a model."""
    columns = fitted.model.decoder.dictionary.detach().numpy().T * np.asarray(fitted.layout.scale).ravel()
    rows = torch.as_tensor(fitted.layout.apply(x[:2000]))
    with torch.no_grad():
        fires = fitted.model.encode(rows) != 0
        left = (fitted.model.reconstruct(rows) - rows).square().sum() / (rows - rows.mean(0)).square().sum()
    return {
        "MCC": mean_correlation(columns, directions),
        "unique": uniqueness(columns, directions),
        "L0": float(fires.sum(1).double().mean()),
        "explained": 1 - float(left),
        "dead": float((~fires.any(0)).double().mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("rows", 12000), ("columns", 192), ("atoms", 512), ("active", 8), ("units", 1024)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("contenders", nargs="+")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    x, directions = world(asked.rows, asked.columns, asked.atoms, asked.active)
    for contender in asked.contenders:
        family, *fields = contender.split(",")
        given = (field.partition("=") for field in fields)
        recipe = named(family).set_params(latents=asked.units, **{name: value(text) for name, _, text in given})
        began = time.perf_counter()
        fitted = fit(recipe, x, plan=Plan(steps=asked.steps))
        took = time.perf_counter() - began
        told = "  ".join(f"{name} {value:.3f}" for name, value in measured(fitted, x, directions).items())
        print(f"{contender:36s} {told}  {took:.0f} s", flush=True)


if __name__ == "__main__":
    main()
