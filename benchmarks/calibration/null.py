"""The same recipe twice, other seeds: how often does each facet name a winner? And does it see a code half as wide?

The 1,797 digits, averaged to 4 x 4 pixels, play the population. One study draws 200 of them and splits these 120/40/40
in every replicate, as a user with 200 rows would. Three autoencoders are trained on each split and measured by every
facet that decides: ``plain`` with 6 units, the same from another seed, and with 2 units. Verdicts are those of the
package. *Once* looks at 4 replicates; *race* begins with 4 and adds some for those in doubt, to 12 at the most (4
looks, each at the level of a race of 5).

    python benchmarks/calibration/null.py --out null.jsonl             # 200 studies; runs what is missing there
    python benchmarks/calibration/null.py --out null.jsonl --studies 20
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binom
from sklearn.datasets import load_digits

from isthmus.data.scale import Scaler
from isthmus.facets import FACETS
from isthmus.facets.facet import Candidate, Parts, Rows, numbers
from isthmus.families import named
from isthmus.metrics import METRICS
from isthmus.study.racing import LOOKS, doubts, further
from isthmus.study.sentences import DESCRIPTIVE
from isthmus.study.verdict import FacetVerdict, judge
from isthmus.train.fitted import fit_many
from isthmus.train.plan import Plan

ROWS, TRAIN, VALID, MOST, FIRST = 200, 120, 40, 12, 4
ASKED = [name for name in FACETS if name not in {*DESCRIPTIVE, "factors"}]  # what made a digit is not known
WIDTHS = {"one": 6, "two": 6, "narrow": 2}
X, Y = load_digits(return_X_y=True)
X = X.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(len(X), 16)
Scores = dict[str, dict[str, list[float]]]


def parts(mine: np.ndarray, stream: np.random.Generator, view: str) -> tuple[Parts, Scaler]:
    """One split; in view ``normal`` a digit is left out of training and validation, and plays the anomaly."""
    order = stream.permutation(mine)
    cut = np.split(order, [TRAIN, TRAIN + VALID])
    labels = Y.astype(np.int64)
    if view == "normal":
        labels = (stream.integers(10) == Y).astype(np.int64)
        cut[:2] = [rows[labels[rows] == 0] for rows in cut[:2]]
    scaler = Scaler.fit(X[cut[0]])
    train, valid, test = (Rows(scaler.apply(X[rows]), labels[rows]) for rows in cut)
    return Parts(train, valid, test, int(stream.integers(2**31)), 6), scaler


def study(seed: int) -> Scores:
    """Facet -> contender -> the deciding metric in each of 12 replicates; None where there is none."""
    stream = np.random.default_rng(seed)
    mine = stream.choice(len(X), ROWS, replace=False)
    scores: Scores = {facet: {who: [] for who in WIDTHS} for facet in ASKED}
    for _ in range(MOST):
        for view in ("all", "normal"):
            split, scaler = parts(mine, stream, view)
            for who, width in WIDTHS.items():
                recipe, plan = named("plain").set_params(latents=width), Plan(steps=100, check=50, batch=60)
                rows, number = (split.train.x, split.valid.x), int(stream.integers(2**31))
                subject = Candidate(fit_many([recipe], *rows, [plan], scaler=scaler, seed=number)[0], 1000)
                for facet in (f for f in ASKED if FACETS[f].view == view):
                    value = numbers(FACETS[facet].measure(subject, split))[FACETS[facet].primary]
                    scores[facet][who].append(value if math.isfinite(value) else None)
    return scores


def look(table: Mapping[str, list[float]], facet: str, looks: int) -> FacetVerdict:
    metric = METRICS[FACETS[facet].primary]
    return judge(
        table,
        metric=metric.name,
        higher=bool(metric.higher),
        rope=metric.rope,
        relative=metric.relative,
        rivals=set(),
        test_fraction=(ROWS - TRAIN - VALID) / TRAIN,
        looks=looks,
        facet=facet,
    )


def once(table: Mapping[str, list[float]], facet: str) -> str | None:
    """Who is named after 4 replicates."""
    verdict = look({who: values[:FIRST] for who, values in table.items()}, facet, 1)
    return verdict.leader if verdict.kind == "better" else None


def raced(table: Mapping[str, list[float]], facet: str) -> str | None:
    """Who is named at the end of a race."""
    rounds, done = [], FIRST
    while True:
        verdict = look({who: values[:done] for who, values in table.items()}, facet, LOOKS)
        one = further(doubts([verdict]), rounds, done, MOST - done)
        if one is None:
            return verdict.leader if verdict.kind == "better" else None
        rounds.append(one)
        done += len(one.replicates)


def tables(studies: list[Scores]) -> Iterator[str]:
    """Shares of studies that name somebody, and what chance allows at 5 %."""
    count = len(studies)
    yield f"{count} studies; at a rate of 5 % chance gives at most {binom.ppf(0.99, count, 0.05) / count:.3f} (99 %)\n"
    yield "| facet | same recipe: once | race | six units or two: six named, once | race | two named, either |"
    yield "|---|---|---|---|---|---|"
    for facet in ASKED:
        cells = []
        for pair in (("one", "two"), ("one", "narrow")):
            named_ = [[how({who: s[facet][who] for who in pair}, facet) for s in studies] for how in (once, raced)]
            if pair[1] == "two":
                cells += [f"{np.mean([who is not None for who in found]):.3f}" for found in named_]
            else:
                cells += [f"{np.mean([who == 'one' for who in found]):.3f}" for found in named_]
                cells += [f"{np.mean([who == 'narrow' for found in named_ for who in found]):.3f}"]
        yield f"| {facet} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="one line of JSON for each study")
    parser.add_argument("--studies", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    for seed in range(len(done), options.studies):
        done.append(study(seed))
        with options.out.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    print("\n".join(tables(done[: options.studies])))


if __name__ == "__main__":
    main()
