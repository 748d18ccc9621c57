"""Does a race keep its word? Simulated studies with a known truth, raced and not.

Scores are drawn as in ``simulated.py``. A raced study begins with 5 replicates, or with 3, and adds some, at
most four times, for contenders that are in doubt, until nothing is open: the harshest case, a budget without end.
``spent`` counts one contender in one replicate, on average over studies. A study that is asked for more has no budget:
five replicates are added once, or as often as it may be, while something is open. With ``step`` scores are rounded, as
accuracy on few test rows is.

    python benchmarks/calibration/racing.py            # 1000 studies per line
    python benchmarks/calibration/racing.py 200
    python benchmarks/calibration/racing.py levels     # how a level is spent: 200,000 pairs, by t-tests alone
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from scipy import stats
from simulated import RHO, TEST_FRACTION, scores

from isthmus.evidence.stats import ALPHA
from isthmus.evidence.verdict import FacetVerdict, judge
from isthmus.study.racing import ASKED, LOOKS, STRICT, counted, doubts, extension, further
from isthmus.study.racing import raced as level

MOST = 30  # replicates that are drawn; a race from 5 ends with 27 at the most


def look(table: dict[str, np.ndarray], rope: float, looks: float) -> FacetVerdict:
    """The verdict on what was measured so far."""
    options = {"metric": "score", "higher": True, "test_fraction": TEST_FRACTION, "facet": "one"}
    return judge(table, rope=rope, rivals=set(), looks=looks, **options)


def raced(drawn: dict[str, np.ndarray], rope: float, done: int) -> tuple[FacetVerdict, int]:
    """The last verdict of a race from so many replicates, and what was spent."""
    seen = {name: np.where(np.arange(MOST) < done, x, np.nan) for name, x in drawn.items()}
    rounds = []
    while True:
        verdict = look({name: x[:done] for name, x in seen.items()}, rope, level(len(rounds)))
        one = further(doubts([verdict]), rounds, done)
        if one is None:
            return verdict, int(sum(np.isfinite(x).sum() for x in seen.values()))
        rounds.append(one)
        done += len(one.replicates)
        for name in one.doubts["one"]:
            seen[name][: one.end] = drawn[name][: one.end]


def asked(drawn: dict[str, np.ndarray], rope: float, times: int, start: int) -> tuple[FacetVerdict, int]:
    """The last verdict of a study that is asked for five more replicates, ``times`` times or until nothing is open."""
    seen = {name: np.where(np.arange(MOST) < start, x, np.nan) for name, x in drawn.items()}
    verdict, rounds, done = look({name: x[:start] for name, x in seen.items()}, rope, counted(0)), [], start
    while len(rounds) < times and (one := extension(doubts([verdict]), rounds, done, 5)) is not None:
        rounds.append(one)
        done = one.end
        for name in one.doubts["one"]:
            seen[name][:done] = drawn[name][:done]
        verdict = look({name: x[:done] for name, x in seen.items()}, rope, counted(len(rounds)))
    return verdict, int(sum(np.isfinite(x).sum() for x in seen.values()))


def rates(
    truth: Sequence[float],
    rope: float,
    studies: int,
    *,
    fixed: int = 0,
    times: int = 0,
    start: int = 5,
    step: float = 0.0,
) -> dict[str, float]:
    """Shares of verdicts over many studies: of a race from ``start`` replicates, of ``fixed`` ones looked at once, or
    asked for more."""
    found = {"winner": 0, "wrong": 0, "spent": 0}
    best = int(np.argmax(truth))
    for seed in range(studies):
        drawn = scores(truth, MOST, np.random.default_rng(seed), step=step)
        if fixed:
            cut = {name: x[:fixed] for name, x in drawn.items()}
            verdict, spent = look(cut, rope, counted(0)), fixed * len(truth)
        elif times:
            verdict, spent = asked(drawn, rope, times, start)
        else:
            verdict, spent = raced(drawn, rope, start)
        claims = [(p.a, p.b) if p.relation == "better" else (p.b, p.a) for p in verdict.pairs if p.relation in SIDES]
        found["winner"] += verdict.kind == "better" and truth[int(str(verdict.leader)[1:])] == truth[best]
        found["wrong"] += any(truth[int(a[1:])] <= truth[int(b[1:])] for a, b in claims)
        found["spent"] += spent
    return {key: value / studies for key, value in found.items()}


SIDES = ("better", "worse")
HOW: dict[str, dict[str, int]] = {
    "5 replicates": {"fixed": 5},
    "10 replicates": {"fixed": 10},
    "race from 3": {"start": 3},
    "race from 5": {},
    "5, asked for 5 more": {"times": 1},
    "5, asked for more 4 times": {"times": LOOKS - 1},
}


def pairs(
    strict: Sequence[float], ends: Sequence[int], lead: float = 0.0, studies: int = 200_000
) -> tuple[np.ndarray, np.ndarray]:
    """Two contenders at rope 0, looked at after so many replicates each time until one is claimed to be better: share
    of studies up to each look in which it is the worse one or no worse, and in which it is the better one.
    """
    random = np.random.default_rng(0)
    lasting, passing = random.normal(size=(studies, 1)), random.normal(size=(studies, ends[-1]))
    gaps = lead + np.sqrt(RHO) * lasting + np.sqrt(1 - RHO) * passing
    open_, named = np.ones(studies, bool), np.zeros((2, len(ends)))
    for i, (times, end) in enumerate(zip(strict, ends, strict=True)):
        mean, spread = gaps[:, :end].mean(axis=1), gaps[:, :end].std(axis=1, ddof=1)
        least = stats.t.isf(ALPHA / times / 2, end - 1) * np.sqrt(1 / end + TEST_FRACTION)
        named[:, i] = (open_ & (mean < -least * spread)).mean(), (open_ & (mean > least * spread)).mean()
        open_ &= np.abs(mean) <= least * spread
    wrong, right = named.cumsum(axis=1)
    return (wrong, right) if lead else (wrong + right, np.zeros(len(ends)))


SPENT = {
    "3": [3, 8, 13, 18, 23],
    "5": [5, 10, 15, 20, 25],
    "race from 3": [3, 5, 8, 12, 18],
    "race from 5": [5, 8, 12, 18, 27],
}
"""Replicates at each look: of studies that are asked for five more, and of races."""


def levels() -> None:
    """How a level may be spent over looks: what is wrongly claimed, and what is found."""
    more = [(1, 3, 5, 7, 9), (1.2, 5, 7, 9, 11), (1.3, 5, 7, 9, 11), (1.1, 12, 18, 24, 30), ASKED]
    print("| times as strict | from | wrong: first look | one more | all | named, ahead by 2: first | one more | all |")
    print("|---|---|---|---|---|---|---|---|")
    for start, ends in SPENT.items():
        for way in [STRICT] if "race" in start else more:
            wrong, (_, right) = pairs(way, ends)[0], pairs(way, ends, 2.0)
            told = " | ".join(f"{one[k]:.3f}" for one in (wrong, right) for k in (0, 1, -1))
            print(f"| {', '.join(map(str, way))} | {start} | {told} |", flush=True)


def main(studies: int) -> None:
    print(f"{studies} studies per line; test rows per training row {TEST_FRACTION:.2f}; one look: 5 or 10 replicates\n")
    print("| truth | rope | contenders | how | a winner is named | some wrong claim | spent |")
    print("|---|---|---|---|---|---|---|")
    for label, top in (("all equal", 0.0), ("one ahead by 3", 3.0), ("one ahead by 4", 4.0)):
        for count in (2, 10):
            for rope in (0.0, 1.0):
                for how, options in HOW.items():
                    seen = rates([top] + [0.0] * (count - 1), rope, studies, **options)
                    told = f"{seen['winner']:.3f} | {seen['wrong']:.3f} | {seen['spent']:.1f}"
                    print(f"| {label} | {rope} | {count} | {how} | {told} |", flush=True)
    for step in (0.3, 1.0, 2.0):
        for how, options in {
            "race from 3": {"start": 3},
            "3, asked for more 4 times": {"start": 3, "times": 4},
        }.items():
            seen = rates([0.0, 0.0], 0.0, studies, step=step, **options)
            told = f"{seen['winner']:.3f} | {seen['wrong']:.3f} | {seen['spent']:.1f}"
            print(f"| all equal, scores in steps of {step} | 0.0 | 2 | {how} | {told} |", flush=True)


if __name__ == "__main__":
    levels() if "levels" in sys.argv else main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
