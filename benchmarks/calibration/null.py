"""The same recipe twice: how often does each facet name a winner? And does it find one that is truly better?

One study draws 400 rows as a user's own, from the 1,797 digits or from the bundled set ``shapes``, and splits them
240/80/80 in every replicate. On each split autoencoders ``plain`` are trained and measured by every facet that decides:
one with 6 units and 100 steps, the same again from another seed, and two of which one is truly better, by what makes a
model better at that facet's purpose. Where families choose their capacity for a question, two take part that choose on
the validation rows of each replicate among 2, 6 and 32 units, trained from either seed. Verdicts are those of the
package. *Once* looks at 4 replicates; *race* begins with 4 and adds some while in doubt, to 9 at the most (3 looks,
each at the level of a race of 5).

How far the better one is ahead is measured on the first 40 studies, and says how often it should be found; how often
it is, the studies after them tell.

    python benchmarks/calibration/null.py --out null.jsonl             # 200 studies; runs what is missing there
    python benchmarks/calibration/null.py --out null.jsonl --studies 60
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom, t
from sklearn.datasets import load_digits

from isthmus.data.scale import Scaler
from isthmus.data.shapes import shapes
from isthmus.evidence.stats import ALPHA, comparable, sure
from isthmus.evidence.verdict import FacetVerdict, judge
from isthmus.facets import FACETS
from isthmus.facets.facet import Facet, FittedContender, Rows, Splits, numbers
from isthmus.facets.normal import normal_view, overlap, turn
from isthmus.families import named
from isthmus.metrics import METRICS, disentanglement, probes
from isthmus.study.racing import LOOKS, doubts, further
from isthmus.train.fitted import fit_many
from isthmus.train.plan import Plan

ROWS, TRAIN, VALID = 400, 240, 80
FIRST, ENDS = 4, (4, 6, 9)
MOST, STATED = ENDS[-1], 40
Scores = dict[str, dict[str, list[float | None]]]


class Net(NamedTuple):
    """A recipe ``plain`` and its training."""

    units: int
    steps: int

    def __str__(self) -> str:
        return f"{self.units} unit{'s' * (self.units > 1)}, {self.steps} steps"


SIX, NARROW, SHORT = Net(6, 100), Net(2, 100), Net(6, 10)
SINGLE, WIDE = Net(1, 100), Net(32, 100)
NETS = {str(net): net for net in (SIX, NARROW, SHORT, SINGLE, WIDE)}
CAPACITIES = (NARROW, SIX, WIDE)
AGAIN, FREE = "again", "free"
FREE_AGAIN = f"{FREE} {AGAIN}"


class Case(NamedTuple):
    """A line of the table."""

    facet: str
    view: str
    """``all`` digits in 4 x 4 pixels; in 8 x 8, those from 5 on play the anomaly (``upper``), or another one in every
    replicate (``turn``); ``shapes`` in 8 x 8."""
    better: Net
    worse: Net

    @property
    def contenders(self) -> dict[str, tuple[str, ...]]:
        """Who takes part, and which trained nets each chooses from."""
        free = {FREE: tuple(map(str, CAPACITIES)), FREE_AGAIN: tuple(f"{net} {AGAIN}" for net in CAPACITIES)}
        fixed = {str(net): (str(net),) for net in (SIX, self.better, self.worse)} | {AGAIN: (f"{SIX} {AGAIN}",)}
        return fixed | free if FACETS[self.facet].free else fixed


CASES = {
    "reconstruction": Case("reconstruction", "all", SIX, NARROW),
    "compression": Case("compression", "all", SIX, SHORT),
    "features": Case("features", "all", SIX, NARROW),
    "factors": Case("factors", "shapes", SINGLE, WIDE),  # a single unit shares no factor, many share each of them
    "anomaly, digits 5 to 9": Case("anomaly", "upper", SIX, SHORT),
    "anomaly, a digit in turn": Case("anomaly", "turn", SIX, SHORT),
    "generation": Case("generation", "all", SIX, SHORT),
    "robustness": Case("robustness", "all", SIX, NARROW),
}


def pooled(x: NDArray[np.floating], by: int) -> NDArray[np.float64]:
    """Pictures (n, H, W), averaged over squares of ``by`` pixels, as flat rows."""
    n, h, w = x.shape
    return x.reshape(n, h // by, by, w // by, by).mean((2, 4), dtype=np.float64).reshape(n, -1)


DIGITS, Y = load_digits(return_X_y=True)
DIGITS, Y = DIGITS.reshape(-1, 8, 8), Y.astype(np.int64)
FIGURES, _, FACTORS = shapes()
X = {"all": pooled(DIGITS, 2), "upper": pooled(DIGITS, 1), "shapes": pooled(FIGURES, 2)}
X["turn"] = X["upper"]


def splits(
    view: str, mine: NDArray[np.int64], stream: np.random.Generator, replicate: int = 0
) -> tuple[Splits, Scaler]:
    """One split of one's own rows; of the anomalies, those are tested whose turn it is in a replicate."""
    cut = np.split(stream.permutation(mine), [TRAIN, TRAIN + VALID])
    y = None if view == "shapes" else Y
    if view in {"upper", "turn"}:
        y = (Y >= 5 if view == "upper" else stream.choice(Y[cut[2]]) == Y).astype(np.int64)
        cut = list(normal_view(tuple(cut), y, 1, tested=turn(mine[y[mine] == 1], replicate, int(mine[0])))[:3])
    x = X[view]
    scaler = Scaler.fit(x[cut[0]])
    known = FACTORS if view == "shapes" else None
    whole = Rows(scaler.apply(x), y, known)
    return Splits(*(whole.take(rows) for rows in cut), int(stream.integers(2**31)), SIX.units), scaler


def study(seed: int, cases: Mapping[str, Case] = CASES, replicates: int = MOST) -> Scores:
    """Case -> contender -> the deciding metric in each replicate; None where there is none."""
    stream = np.random.default_rng(seed)
    mine = {view: stream.choice(len(x), ROWS, replace=False) for view, x in X.items()}
    scores: Scores = {name: {who: [] for who in case.contenders} for name, case in cases.items()}
    for replicate in range(replicates):
        for view in dict.fromkeys(case.view for case in cases.values()):
            split, scaler = splits(view, mine[view], stream, replicate)
            asked = {name: case for name, case in cases.items() if case.view == view}
            names = (name for case in asked.values() for those in case.contenders.values() for name in those)
            made = trained(dict.fromkeys(names), split, scaler, stream)
            for name, case in asked.items():
                facet = FACETS[case.facet]
                for who, those in case.contenders.items():
                    one = _chosen(facet, [made[net] for net in those], split)
                    value = numbers(facet.measure(one, split))[facet.primary]
                    scores[name][who].append(value if math.isfinite(value) else None)
    return scores


def _chosen(facet: Facet, made: Sequence[FittedContender], split: Splits) -> FittedContender:
    """The capacity of least criterion, which looks at validation rows."""
    choose = facet.free
    return made[0] if choose is None or len(made) == 1 else min(made, key=lambda one: choose(one, split))


def trained(
    names: Iterable[str], split: Splits, layout: Scaler, stream: np.random.Generator
) -> dict[str, FittedContender]:
    """All from one seed, as in a study, but for those that are trained again."""
    nets = {name: NETS[name.removesuffix(f" {AGAIN}")] for name in names}
    one, other = (int(number) for number in stream.integers(2**31, size=2))
    made = fit_many(
        [named("plain").set_params(latents=net.units) for net in nets.values()],
        split.train.x,
        split.valid.x,
        [Plan(steps=net.steps, check=min(50, net.steps), batch=60) for net in nets.values()],
        layout=layout,
        seed=[other if who.endswith(AGAIN) else one for who in nets],
    )
    return {who: FittedContender(fitted, 1000) for who, fitted in zip(nets, made, strict=True)}


def fraction(case: Case, replicates: int) -> float:
    """Normal test rows per training row, or what the anomalies that replicates share come to."""
    shared = overlap(replicates) if case.facet == "anomaly" else 0.0
    return max((ROWS - TRAIN - VALID) / TRAIN, shared)


def look(table: Mapping[str, Sequence[float | None]], case: Case, looks: int) -> FacetVerdict:
    metric = METRICS[FACETS[case.facet].primary]
    return judge(
        table,
        metric=metric.name,
        higher=bool(metric.higher),
        rope=metric.rope,
        relative=metric.relative,
        rivals=set(),
        test_fraction=fraction(case, max(map(len, table.values()))),
        looks=looks,
        facet=case.facet,
    )


def once(table: Mapping[str, Sequence[float | None]], case: Case) -> str | None:
    """Who is named after 4 replicates."""
    verdict = look({who: values[:FIRST] for who, values in table.items()}, case, 1)
    return verdict.leader if verdict.kind == "better" else None


def raced(table: Mapping[str, Sequence[float | None]], case: Case) -> str | None:
    """Who is named at the end of a race."""
    rounds, done = [], FIRST
    while True:
        verdict = look({who: values[:done] for who, values in table.items()}, case, LOOKS)
        one = further(doubts([verdict]), rounds, done, MOST - done)
        if one is None:
            return verdict.leader if verdict.kind == "better" else None
        rounds.append(one)
        done += len(one.replicates)


def ahead(studies: Sequence[Scores], name: str) -> NDArray[np.float64]:
    """How far the better one is ahead, in each study and replicate; of logarithms where ratios are compared."""
    case = CASES[name]
    metric = METRICS[FACETS[case.facet].primary]
    better, worse = (
        np.stack([comparable(study[name][str(net)], metric.relative) for study in studies])
        for net in (case.better, case.worse)
    )
    return (better - worse) * (1 if metric.higher else -1)


def power(d: NDArray[np.float64], rope: float, test_fraction: float, ends: Sequence[int], looks: int) -> float:
    """How often a corrected t-test finds normal differences of the mean and spreads of ``d`` (studies, replicates).

    The true difference of a study spreads about their mean as the means of studies do, less what replicates explain.
    A claim at any of the ``ends`` counts, at the level of so many looks. The verdict's levels are used, not its code.
    """
    within, random = math.sqrt(d.var(axis=1, ddof=1).mean()), np.random.default_rng(0)
    between = math.sqrt(max(0.0, d.mean(axis=1).var(ddof=1) - within**2 / d.shape[1]))
    drawn = d.mean() + between * random.normal(size=(20_000, 1)) + within * random.normal(size=(20_000, max(ends)))
    found = np.zeros(len(drawn), bool)
    for n in ends:
        m, s = drawn[:, :n].mean(axis=1), drawn[:, :n].std(axis=1, ddof=1) * math.sqrt(1 / n + test_fraction)
        found |= (t.cdf((m - rope) / s, n - 1) >= sure(looks)) & (2 * t.sf(m / s, n - 1) < ALPHA / looks)
    return float(found.mean())


def _named(
    studies: Sequence[Scores],
    name: str,
    pair: tuple[str, str],
    how: Callable[[Mapping[str, Sequence[float | None]], Case], str | None],
) -> list[str | None]:
    """Whom each study names of two."""
    return [how({who: study[name][who] for who in pair}, CASES[name]) for study in studies]


def tables(studies: Sequence[Scores]) -> Iterator[str]:
    """Shares of studies that name somebody, beside what chance allows and how often the better one should be found."""
    count, stated, later = len(studies), studies[:STATED], studies[STATED:]
    yield f"{count} studies; at a rate of 5 % chance gives at most {binom.ppf(0.99, count, 0.05) / count:.3f} (99 %)\n"
    heads = [
        "facet",
        "same recipe: once",
        "race",
        "same choice of capacity: once",
        "race",
        "better",
        "worse",
        "ahead by",
        "once: expected",
        "found",
    ]
    heads += ["race: expected", "found", "worse one named"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for name, case in CASES.items():
        pairs = [(str(SIX), AGAIN), *((FREE, FREE_AGAIN),) * (FREE in case.contenders)]
        same = [_named(studies, name, pair, how) for pair in pairs for how in (once, raced)]
        planted = [_named(later, name, (str(case.better), str(case.worse)), how) for how in (once, raced)]
        d, metric = ahead(stated, name), METRICS[FACETS[case.facet].primary]
        rope = math.log1p(metric.rope) if metric.relative else metric.rope
        chances = power(d, rope, fraction(case, FIRST), (FIRST,), 1), power(d, rope, fraction(case, MOST), ENDS, LOOKS)
        cells = [f"{np.mean([who is not None for who in found]):.3f}" for found in same]
        cells += ["–"] * (4 - len(cells))
        cells += [str(case.better), str(case.worse), f"{d.mean() / math.sqrt(d.var(axis=1, ddof=1).mean()):.1f}"]
        for chance, found in zip(chances, planted, strict=True):
            cells += [f"{chance:.3f}", f"{np.mean([who == str(case.better) for who in found]):.3f}"]
        cells += [f"{np.mean([who == str(case.worse) for found in planted for who in found]):.3f}"]
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="one line of JSON for each study")
    parser.add_argument("--studies", type=int, default=200, help=f"more than {STATED}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    disentanglement.TREES = probes.DRAWS = 1  # they take most of the time and have no part in what decides
    done = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    for seed in range(len(done), options.studies):
        done.append(study(seed))
        with options.out.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    print("\n".join(tables(done[: options.studies])))


if __name__ == "__main__":
    main()
