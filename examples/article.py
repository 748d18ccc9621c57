"""A plain, a sparse and a contractive autoencoder on random numbers, and what such data can show.

The article that started this library trains two Keras programs on 100 rows of 10 columns drawn uniformly from [0, 1]:
one hidden layer of 64 ReLU units, a sigmoid output, mean squared error, Adam, 100 epochs in batches of 32. The second
is contractive in the title and sparse in the text: a target activation, a coefficient, an upper bound, random zeroing
of code elements and a mask of small ones. Here both run as they should, and the contractive one that the title
promised runs too; five times each, measured on rows that they have not seen, next to what needs no autoencoder.

What differs from the article, and why:

- 100 epochs of 100 rows in batches of 32 are 400 steps. Our batches are full; an epoch's fourth had 4 rows there.
- The sparse penalty is the Kullback-Leibler divergence of each unit's mean activation, as a share of the upper bound,
  from the target. Without the bound, a ReLU's mean can pass 1, where that divergence is not defined.
- The contractive penalty wants units that saturate, so that program's are tanh, and its rival has the same.
- The weights that count are those of the best check on 100 further rows; scores are from 2,000 others.
- Each program also runs until it converges, because 400 steps cut it short, and a race that was stopped has no winner.
- A sigmoid output with squared error is not a likelihood of this library (there, a sigmoid goes with cross-entropy),
  so the classes below replace the reconstruction term. With it, the gradient fades where the sigmoid saturates.

Run it with ``python examples/article.py``; it takes some seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from isthmus.families.contractive import Contractive, ContractiveModel
from isthmus.families.kl import KL, KLModel
from isthmus.families.pca import PCA
from isthmus.families.plain import Plain, PlainModel
from isthmus.model import Model, Recipe
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.seeds import seed
from isthmus.train.loop import train
from isthmus.train.plan import Plan
from isthmus.train.task import Task

ROWS, COLUMNS, UNITS, REPLICATES = 100, 10, 64, 5

AS_WRITTEN = Plan(steps=400, batch=32, learning_rate=1e-3, schedule="constant", check=20, patience=20)
CONVERGED = Plan(steps=20_000, batch=32, learning_rate=1e-2, check=50, patience=5)
EQUAL = 0.01  # differences below this share of the rows' variance count as none


class SquaredError(EncoderDecoder):
    """Sigmoid output (the mean of the bernoulli head) with the mean squared error."""

    def misfit(self, z: Tensor, target: Tensor) -> Tensor:
        return (self.decode(z) - target).square().mean()


class ArticlePlainModel(SquaredError, PlainModel):
    """Plain."""


class ArticleSparseModel(SquaredError, KLModel):
    """Sparse."""


class ArticleContractiveModel(SquaredError, ContractiveModel):
    """Contractive."""


@dataclass(kw_only=True, eq=False, repr=False)
class ArticlePlain(Plain):
    """The article's first program."""

    family: ClassVar[str] = "article-plain"

    def _build(self, shape: tuple[int, ...], head: str) -> PlainModel:
        return ArticlePlainModel(self, shape, head, code=self.code_activation)


@dataclass(kw_only=True, eq=False, repr=False)
class ArticleSparse(KL):
    """The article's second program."""

    family: ClassVar[str] = "article-sparse"

    def _build(self, shape: tuple[int, ...], head: str) -> KLModel:
        return ArticleSparseModel(self, shape, head)


@dataclass(kw_only=True, eq=False, repr=False)
class ArticleContractive(Contractive):
    """What the article's title says of its second program."""

    family: ClassVar[str] = "article-contractive"

    def _build(self, shape: tuple[int, ...], head: str) -> ContractiveModel:
        return ArticleContractiveModel(self, shape, head)


def contenders() -> dict[str, tuple[Recipe, Plan]]:
    """What is trained, by the name it has in the table."""
    programs: dict[str, Recipe] = {
        "plain relu": ArticlePlain(code_activation="relu"),
        "sparse relu": ArticleSparse(
            code_activation="relu", target=0.05, strength=0.01, bound=1.0, drop=0.1, threshold=0.01
        ),
        "plain tanh": ArticlePlain(code_activation="tanh"),
        "contractive tanh": ArticleContractive(code_activation="tanh", tied=False, strength=0.003),
    }
    for recipe in programs.values():
        recipe.set_params(latents=UNITS, head="bernoulli")
    return {
        **{f"{name}, 400 steps": (recipe, AS_WRITTEN) for name, recipe in programs.items()},
        **{f"{name}, converged": (recipe, CONVERGED) for name, recipe in programs.items()},
        "PCA, 64 wide": (PCA(latents=UNITS), CONVERGED),
        "PCA, 5 wide": (PCA(latents=5), CONVERGED),
    }


def rows(name: str, replicate: int, count: int) -> Tensor:
    """Uniform random rows of [0, 1], (count, 10); every name and replicate has its own."""
    draw = np.random.default_rng(seed("article", name, replicate))
    return torch.from_numpy(draw.random((count, COLUMNS), dtype=np.float32))


@torch.no_grad()
def measure(model: Model, seen: Tensor, unseen: Tensor) -> dict[str, float]:
    """Squared error per element on rows of the training and on others, and how many units are active in a row."""
    codes = model.encode(unseen)
    active = codes.abs() > 1e-6
    return {
        "trained": float((model.decode(model.encode(seen)) - seen).square().mean()),
        "unseen": float((model.decode(codes) - unseen).square().mean()),
        "active": float(active.sum(1).float().mean()),
        "unused": float((~active.any(0)).sum()),
    }


def run() -> dict[str, dict[str, np.ndarray]]:
    """Every contender on every replicate: name -> number -> (replicates,)."""
    seen, valid, unseen = (
        [rows(part, replicate, count) for replicate in range(REPLICATES)]
        for part, count in (("train", ROWS), ("valid", ROWS), ("test", 2000))
    )
    found: dict[str, list[dict[str, float]]] = {}
    for name, (recipe, plan) in contenders().items():
        seeds = [seed("article", replicate) for replicate in range(REPLICATES)]
        models = [recipe.build((COLUMNS,), "bernoulli", number=number) for number in seeds]
        tasks = [Task(recipe, *each) for each in zip(models, seen, valid, [plan] * REPLICATES, seeds, strict=True)]
        outcomes = train(tasks)
        ends = [{"steps": float(o.steps), "cut": float(o.status == "cut")} for o in outcomes]
        found[name] = [measure(*each) | end for *each, end in zip(models, seen, unseen, ends, strict=True)]
    found["mean of the rows"] = [
        {"trained": float((a - a.mean(0)).square().mean()), "unseen": float((b - a.mean(0)).square().mean())}
        for a, b in zip(seen, unseen, strict=True)
    ]
    found["copy of the row"] = [{"trained": 0.0, "unseen": 0.0}] * REPLICATES
    return {name: {key: np.array([row[key] for row in each]) for key in each[0]} for name, each in found.items()}


def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Mean of ``a - b`` and half the width of its 95 % interval; replicates share no row, so plain t is right."""
    gap = a - b
    half = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / math.sqrt(len(gap))
    return float(gap.mean()), float(half)


def table(results: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """A line for each contender, means over the replicates."""
    spread = results["mean of the rows"]["unseen"].mean()
    lines = [f"{'':28}{'trained':>10}{'unseen':>10}{'explained':>11}{'active':>8}{'unused':>8}{'steps':>7}"]
    for name, numbers in results.items():
        mean = {key: values.mean() for key, values in numbers.items()}
        line = f"{name:28}{mean['trained']:10.5f}{mean['unseen']:10.5f}{1 - mean['unseen'] / spread:11.1%}"
        if "steps" in mean:
            line += f"{mean['active']:8.1f}{mean['unused']:8.1f}{mean['steps']:7.0f}{' cut' if mean['cut'] else ''}"
        lines.append(line)
    return [
        *lines,
        "",
        "trained, unseen: squared error per element; explained: share of the variance of unseen rows;",
        f"active: units of a row that are not zero; unused: units, of {UNITS}, that are zero in every row;",
        "cut: the steps ran out before it converged",
    ]


def contrasts(results: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """Each penalty against none, paired by replicate."""
    equal = EQUAL * results["mean of the rows"]["unseen"].mean()
    lines = [f"Differences on unseen rows with 95 % intervals; those within +-{equal:.5f} count as none:"]
    for name, rival in (("sparse relu", "plain relu"), ("contractive tanh", "plain tanh")):
        for end in ("400 steps", "converged"):
            gap, half = difference(results[f"{name}, {end}"]["unseen"], results[f"{rival}, {end}"]["unseen"])
            words = {gap - half > equal: "worse", gap + half < -equal: "better", abs(gap) + half < equal: "equal"}
            lines.append(f"{f'{name} - {rival}, {end}':42}{gap:+.5f} +- {half:.5f}  {words.get(True, 'undecided')}")
    return lines


def conclusion(results: dict[str, dict[str, np.ndarray]]) -> str:
    """What these data can and can't show."""
    kept = 1 - results["PCA, 5 wide"]["unseen"].mean() / results["mean of the rows"]["unseen"].mean()
    return f"""\
What this shows: how fast such programs learn to copy their input from {ROWS} rows, and what a penalty does to that.
What it can't show:
- Compression. {UNITS} units for {COLUMNS} columns are no bottleneck: copying a row is exact, and so is PCA that wide.
- Structure. The columns are independent, so no narrow code can do well: 5 of 10 principal components keep {kept:.0%}
  of the variance, as 5 columns picked blindly would.
- The use of a penalty. There are no causes behind these rows for a sparse code to find, and no directions in which a
  contractive one had better stay still. Whether a penalty serves is a question for data with structure, and for a
  purpose: isthmus compare digits"""


def main() -> None:
    """Train, measure, say."""
    results = run()
    print(f"{REPLICATES} replicates of {ROWS} rows, {COLUMNS} independent uniform columns; codes of {UNITS} units\n")
    print("\n".join([*table(results), "", *contrasts(results), "", conclusion(results)]))


if __name__ == "__main__":
    main()
