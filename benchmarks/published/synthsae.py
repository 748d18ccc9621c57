"""SynthSAEBench at a size that one machine holds: are the published orders of architectures found again?

Chanin and Garriga-Alonso (2026), SynthSAEBench, arXiv 2602.14687: 16,384 features in 768 columns, dictionaries of 4,096
units, 200 million samples. Here the same world with a sixteenth of the features, in 128 columns: probabilities of a
power law, trees of features whose children exclude each other and are as strong as their parent, correlations of low
rank, nearly orthogonal directions. Published at L0 = 25: Matryoshka first in F1 (0.879) and MCC (0.793), matching
pursuit first in explained variance (0.835) and last in F1 (0.446).

    python benchmarks/published/synthsae.py [--features 1024] [--columns 128] [--seeds 2] [--steps 2000]

L0 is that of the most frequent features, as many as there are units, as 25 is there. Every finished training is a line
of ``--out``; the same command goes on behind the last one.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm

from isthmus.facets.facet import Rows, Splits
from isthmus.facets.random_dictionary import RandomDictionary
from isthmus.families import named
from isthmus.metrics.recovery import absorption, detection, mean_correlation, uniqueness
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan

Array = NDArray[np.float32]
FAMILIES = ("random", "batchtopk", "matryoshka", "jumprelu", "sae", "gated", "matching", "topk")
PUBLISHED = {  # F1, MCC, uniqueness, explained variance at L0 = 25
    "matryoshka": (0.8793, 0.7927, 0.9987, 0.7792),
    "batchtopk": (0.7316, 0.7574, 0.9837, 0.7923),
    "jumprelu": (0.7317, 0.7527, 0.9885, 0.7951),
    "sae": (0.5562, 0.6039, 0.8976, 0.7654),
    "matching": (0.4464, 0.6930, 0.8281, 0.8351),
}
TEST = 10_000
BLOCK = 4096


class World(NamedTuple):
    """Features and how they come about, the most frequent first."""

    features: Array
    """(F, D), of unit norm."""
    chance: NDArray[np.float64]
    """(F,) of firing, given that the parent fires and before siblings exclude each other."""
    parents: NDArray[np.int64]
    """(F,), -1 of a root or of a feature without a tree."""
    levels: list[NDArray[np.int64]]
    """Features of each depth below the roots."""
    factor: NDArray[np.float64]
    """(F, 25): what correlates the draws."""
    sizes: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Mean and spread of the coefficients, (F,) each."""
    bias: Array


def world(features: int, columns: int, seed: int = 42) -> World:
    """The printed configuration; roots in proportion to the features."""
    draw = np.random.default_rng(seed)
    rank = np.arange(1, features + 1) ** -0.5
    usual = 5e-4 + (0.4 - 5e-4) * (rank - rank[-1]) / (rank[0] - rank[-1])
    parents, levels = trees(features, features // 128)
    chance = usual.copy()
    for level in levels:
        above = parents[level]
        siblings = np.bincount(above, usual[level], features)[above] - usual[level]
        chance[level] *= (1 + siblings / usual[above]) / usual[above]
    factor = 0.1 * draw.standard_normal((features, 25))
    factor /= np.maximum(1.0, np.linalg.norm(factor, axis=1, keepdims=True) / np.sqrt(0.99))
    sizes = np.linspace(5.0, 4.0, features), np.abs(0.5 + 0.5 * draw.standard_normal(features))
    bias = draw.standard_normal(columns)
    directions = spread(features, columns, seed)
    return World(
        directions,
        np.minimum(chance, 1.0),
        parents,
        levels,
        factor,
        sizes,
        (0.5 * bias / np.linalg.norm(bias)).astype("f4"),
    )


def trees(features: int, roots: int) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Parents (F,) and the features of each depth: four children each, three deep, numbered breadth first."""
    parents, levels, above, first = np.full(features, -1), [], np.arange(roots), roots
    for _ in range(3):
        level = np.arange(first, min(features, first + 4 * len(above)))
        parents[level] = np.repeat(above, 4)[: len(level)]
        levels.append(level)
        above, first = level, first + len(level)
    return parents, levels


def spread(features: int, columns: int, seed: int) -> Array:
    """Random directions, pushed apart: 100 steps of Adam at 3e-4 on their squared cosines."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.nn.functional.normalize(torch.randn(features, columns, generator=generator), dim=1)
    made.requires_grad_()
    adam = torch.optim.Adam([made], lr=3e-4)
    for _ in range(100):
        adam.zero_grad()
        unit = torch.nn.functional.normalize(made, dim=1)
        sum((part @ unit.t()).square().sum() for part in unit.split(1024)).backward()
        adam.step()
    return torch.nn.functional.normalize(made.detach(), dim=1).numpy()


def sample(one: World, rows: int, seed: int) -> tuple[Array, NDArray[np.bool_]]:
    """Rows (N, D), and which features are in each (N, F)."""
    draw, made, there = np.random.default_rng(seed), [], []
    border = norm.isf(np.clip(one.chance, 1e-12, 1 - 1e-12))
    own = np.sqrt(1 - np.square(one.factor).sum(axis=1))
    mean, deviation = one.sizes
    for begin in range(0, rows, BLOCK):
        n = min(BLOCK, rows - begin)
        common = draw.standard_normal((n, one.factor.shape[1])).astype("f4") @ one.factor.T.astype("f4")
        fires = common + own.astype("f4") * draw.standard_normal((n, len(border)), dtype="f4") > border
        z = fires * np.maximum(0, mean + deviation * draw.standard_normal((n, len(border)), dtype="f4"))
        for level in one.levels:
            above = one.parents[level]
            z[:, level] *= z[:, above] / mean[above]
            alone(z, level, draw)
        made.append((z @ one.features + one.bias).astype("f4"))
        there.append(z > 0)
    return np.concatenate(made), np.concatenate(there)


def alone(z: NDArray[np.float64], level: NDArray[np.int64], draw: np.random.Generator) -> None:
    """Of siblings that fire together one is left, by lot; in place."""
    whole = len(level) // 4 * 4
    groups = z[:, level[:whole]].reshape(len(z), -1, 4)
    luck = np.where(groups > 0, draw.random(groups.shape, dtype="f4"), -1)
    z[:, level[:whole]] = np.where(luck == luck.max(axis=2, keepdims=True), groups, 0).reshape(len(z), -1)


def trained(family: str, x: Array, units: int, k: int, given: argparse.Namespace, seed: int) -> Fitted:
    """One family at its defaults, with as many units a row as asked."""
    fields: dict[str, Any] = {"target": float(k)} if family in {"jumprelu", "sae", "gated"} else {"k": k}
    plan = Plan(
        steps=given.steps, batch=given.batch, learning_rate=given.learning_rate, schedule="cosine", check=given.steps
    )
    return fit(named(family).set_params(latents=units, **fields), x, plan=plan, seed=seed)


def measured(encode: Any, decode: Any, entries: Array, one: World, test: Array, there: Any) -> dict[str, float]:
    """What is printed."""
    codes = encode(test)
    left = np.square(test - decode(codes)).sum() / np.square(test - test.mean(axis=0)).sum()
    found = detection(codes, there, entries, one.features)
    return {
        "f1": found.f1,
        "mcc": mean_correlation(entries, one.features),
        "uniqueness": uniqueness(entries, one.features),
        "explained": float(1 - left),
        "l0": float((codes != 0).sum(1).mean()),
        "dead": float((codes == 0).all(0).mean()),
        "absorption": absorption(codes, there, entries, one.features, one.parents),
    }


def piece(family: str, seed: int, one: World, given: argparse.Namespace, k: int) -> dict[str, float]:
    """One training, measured on rows of its own."""
    x, _ = sample(one, given.rows, 1000 + seed)
    test, there = sample(one, TEST, 7)
    units = given.features // 4
    if family == "random":
        cut = len(x) // 5
        splits = Splits(Rows(x[cut:], None), Rows(x[:cut], None), Rows(test, None), seed, units, k=k)
        blind = RandomDictionary.of(splits)
        return measured(blind.encode_scaled, blind.decode_scaled, blind.directions, one, test, there)
    fitted = trained(family, x, units, k, given, seed)
    model = fitted.model
    entries = model.entries if family == "matching" else model.decoder.dictionary.t()
    scaled = entries.detach().numpy() * np.asarray(fitted.layout.scale).ravel()
    return measured(fitted.encode, fitted.decode, scaled, one, test, there)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (
        ("features", 1024),
        ("columns", 128),
        ("rows", 40_000),
        ("steps", 2000),
        ("seeds", 2),
        ("batch", 256),
    ):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--out", type=Path, default=Path("synthsae.jsonl"))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    one = world(given.features, given.columns)
    _, there = sample(one, TEST, 7)
    k = round(float(there[:, : given.features // 4].sum(1).mean()))
    print(f"{there.sum(1).mean():.1f} features a row, {k} of them among the most frequent quarter", flush=True)
    done = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    about = {name: getattr(given, name) for name in ("features", "columns", "rows", "steps", "batch", "learning_rate")}
    mine = {(p["family"], p["seed"]): p["found"] for p in done if p["about"] == about}
    for seed in range(given.seeds):
        for family in given.families:
            if (family, seed) in mine:
                continue
            began = time.process_time()
            found = mine[family, seed] = piece(family, seed, one, given, k)
            with given.out.open("a") as file:
                print(json.dumps({"about": about, "family": family, "seed": seed, "found": found}), file=file)
            told = "  ".join(f"{name} {value:.3f}" for name, value in found.items())
            print(f"{family:11s} {seed}  {told}  {time.process_time() - began:.0f} s", flush=True)
    show(mine, given.families)


def show(mine: dict[tuple[str, int], dict[str, float]], families: list[str]) -> None:
    """Means over seeds, in the published order of columns; and which published orders hold."""
    kinds = ("f1", "mcc", "uniqueness", "explained", "l0", "dead", "absorption")
    means = {}
    print("| family | " + " | ".join(kinds) + " | published |\n|" + "---|" * (len(kinds) + 2))
    for family in families:
        own = [found for (name, _), found in mine.items() if name == family]
        if own:
            means[family] = {kind: float(np.mean([found[kind] for found in own])) for kind in kinds}
            spread_ = {kind: float(np.std([found[kind] for found in own], ddof=len(own) > 1)) for kind in kinds}
            cells = (f"{means[family][kind]:.3f} ± {spread_[kind]:.3f}" for kind in kinds)
            print(f"| {family} | " + " | ".join(cells) + f" | {PUBLISHED.get(family, '')} |")
    theirs = {name: means[name] for name in PUBLISHED if name in means}
    if len(theirs) == len(PUBLISHED):
        first = {kind: max(theirs, key=lambda name: theirs[name][kind]) for kind in kinds[:4]}
        last = min(theirs, key=lambda name: theirs[name]["f1"])
        print(f"first: {first}; last in F1: {last}")


if __name__ == "__main__":
    main()
