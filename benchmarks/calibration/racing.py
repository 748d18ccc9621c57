"""Does a race keep its word? Simulated studies with a known truth, raced and not.

Scores are drawn as in ``simulated.py``. A raced study begins with 5 replicates, or with 3, and adds some, at
most four times, for contenders that are in doubt, until nothing is open: the harshest case, a budget without end.
``spent`` counts one contender in one replicate, on average over studies. A study that is asked for more has no budget:
its first verdict is at the usual level; five replicates are added once, or as often as it may be, while something is
open.

    python benchmarks/calibration/racing.py            # 1000 studies per line
    python benchmarks/calibration/racing.py 200
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from simulated import TEST_FRACTION, scores

from isthmus.evidence.verdict import FacetVerdict, judge
from isthmus.study.racing import LOOKS, counted, doubts, extension, further
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


def asked(drawn: dict[str, np.ndarray], rope: float, times: int) -> tuple[FacetVerdict, int]:
    """The last verdict of a study that is asked for five more replicates, ``times`` times or until nothing is open."""
    seen = {name: np.where(np.arange(MOST) < 5, x, np.nan) for name, x in drawn.items()}
    verdict, rounds, done = look({name: x[:5] for name, x in seen.items()}, rope, 1), [], 5
    while len(rounds) < times and (one := extension(doubts([verdict]), rounds, done, 5)) is not None:
        rounds.append(one)
        done = one.end
        for name in one.doubts["one"]:
            seen[name][:done] = drawn[name][:done]
        verdict = look({name: x[:done] for name, x in seen.items()}, rope, counted(len(rounds)))
    return verdict, int(sum(np.isfinite(x).sum() for x in seen.values()))


def rates(
    truth: Sequence[float], rope: float, studies: int, *, fixed: int = 0, times: int = 0, start: int = 5
) -> dict[str, float]:
    """Shares of verdicts over many studies: of a race from ``start`` replicates, of ``fixed`` ones looked at once, or
    asked for more."""
    found = {"winner": 0, "wrong": 0, "spent": 0}
    best = int(np.argmax(truth))
    for seed in range(studies):
        drawn = scores(truth, MOST, np.random.default_rng(seed))
        if fixed:
            cut = {name: x[:fixed] for name, x in drawn.items()}
            verdict, spent = look(cut, rope, 1), fixed * len(truth)
        elif times:
            verdict, spent = asked(drawn, rope, times)
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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
