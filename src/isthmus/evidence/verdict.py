"""One facet's scores become one verdict: better, practically equal, undecided, or no evidence.

One contender is called better than another only if the posterior says so beyond the rope *and* an adjusted p-value
does. Over all pairs of the table the adjustment is Holm's. A headline, "the leader is better than all others", is one
claim: it needs every one of its pairs and no adjustment for their number, although the leader is chosen from the data,
for the chance of a wrong one is largest where only two are level (Gutmann and Maymin 1987). The second question, "which
autoencoder, if any", sets the best autoencoder against the rivals: an autoencoder must be better than every rival, a
rival need only be as good. There the best of a side is not held against its own side, so p-values are multiplied by the
number of those it was chosen from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from isthmus.errors import BadInput
from isthmus.evidence import floor as ground
from isthmus.evidence.cut import Cut, lost
from isthmus.evidence.decision import expected_regret
from isthmus.evidence.outcome import Kind, Outcome, Relation
from isthmus.evidence.stats import (
    ALPHA,
    ENDLESS,
    TINY,
    TURNED,
    Floats,
    Pair,
    Values,
    average,
    comparable,
    finite,
    pairs,
    replicates_to_decide,
    steps,
    sure,
)

LEAST = 3
"""Pairs from which anything may be claimed: two differences of a coarse metric can be the same by chance."""
UNSCORED = "no finite score"
"""Why somebody is not compared who has no run yet, or none that gave a number."""
UNBEATEN = "not shown to beat a random dictionary"
"""Why a sparse dictionary is not compared."""


@dataclass(frozen=True, kw_only=True)
class FacetVerdict:
    """What follows from one facet's scores, with all numbers it rests on; plain data with a JSON round trip."""

    facet: str
    metric: str
    higher: bool
    rope: float
    relative: bool
    test_fraction: float
    replicates: int
    looks: float
    """How often the table may be looked at before it is complete, or as how many times that counts: claims are made at
    a level this many times stricter, so that all looks together are wrong no more often than one."""
    kind: Kind
    leader: str | None
    """The best mean among those with the fewest missing replicates."""
    equal: tuple[str, ...]
    """Practically equal to the leader."""
    undecided: tuple[str, ...]
    """Neither shown worse than the leader nor practically equal to it."""
    worse: tuple[str, ...]
    outcome: Outcome
    autoencoder: str | None
    rival: str | None
    rivals: tuple[str, ...]
    """All that were compared, best first."""
    replicates_needed: int | None
    """If the outcome is undecided: about how many replicates would decide it; None if 100 would not."""
    means: dict[str, float] = field(default_factory=dict)
    """Mean of each contender, best first; the geometric mean where ``relative``."""
    floor: float | None = None
    """Mean of the trivial floor: what the metric comes to without learning anything; None where nobody knows one."""
    above: tuple[str, ...] | None = None
    """Who is shown to beat the floor; None where that cannot be told."""
    missing: dict[str, int] = field(default_factory=dict)
    """Contenders with replicates that have no finite score, and how many."""
    excluded: dict[str, str] = field(default_factory=dict)
    """Who was not compared, and why."""
    cut: dict[str, int] = field(default_factory=dict)
    """Contenders whose trainings were cut while they were still getting better, where a claim on the leader or on the
    best autoencoder would have rested on that, and after how many steps (:mod:`isthmus.evidence.cut`)."""
    steps_needed: int | None = None
    """Steps that would do for all of them, as their loss curves promise."""
    halted: bool = False
    """Whether more steps may tell if an autoencoder is needed: some were cut, and nothing else decides."""
    regret: dict[str, float] = field(default_factory=dict)
    """What each contender is expected to fall short of the best by, in the metric's unit or, where ``relative``, as a
    share, the least first (:mod:`isthmus.evidence.decision`): for a choice where there is no claim. Empty if no spread
    is known."""
    pairs: tuple[Pair, ...] = ()
    """Every pair of the table; of two, the one with the better mean is ``a``."""

    @property
    def useless(self) -> bool:
        """Whether nobody is shown to beat the floor, with replicates enough to show it."""
        return self.above == () or self.unbeaten

    @property
    def seems(self) -> bool:
        """Whether the best mean lies more than a rope above the floor, whether that is shown or not."""
        best, floor = next(iter(self.means.values()), math.nan), self.floor
        if floor is None or self.unbeaten:
            return False
        if self.relative:
            best, floor = math.log(max(best, TINY)), math.log(max(floor, TINY))
        gap = best - floor if self.higher else floor - best
        return gap > (math.log1p(self.rope) if self.relative else self.rope)

    @property
    def unbeaten(self) -> bool:
        """Whether no autoencoder is left, as sparse dictionaries are not shown to beat a random one."""
        return self.autoencoder is None and UNBEATEN in self.excluded.values()

    def pair(self, a: str | None, b: str | None) -> Pair:
        """The evidence on ``a`` against ``b``, in that order."""
        for one in self.pairs:
            if (one.a, one.b) == (a, b):
                return one
            if (one.a, one.b) == (b, a):
                return one.flipped(self.relative)
        raise BadInput(f"{self.facet or self.metric}: no pair {a!r}, {b!r}; compared are {', '.join(self.means)}")

    def side_by_side(self, a: str | None, b: str | None) -> tuple[float, float]:
        """Means of two contenders over the replicates that both finished, as their difference is.

        Each over its own where they share none.
        """
        pair = self.pair(a, b)
        if pair.mean_a is None or pair.mean_b is None:
            return self.means[pair.a], self.means[pair.b]
        return pair.mean_a, pair.mean_b

    @cached_property
    def relations(self) -> dict[tuple[str, str], str]:
        """What may be claimed of the first of two contenders against the second: better, equal, worse or undecided."""
        told = {(one.a, one.b): one.relation for one in self.pairs}
        return told | {(b, a): TURNED.get(relation, relation) for (a, b), relation in told.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON; every number is finite or None."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FacetVerdict:
        """The inverse of :meth:`to_json`."""
        lists: dict[str, Any] = {key: tuple(content[key]) for key in ("equal", "undecided", "worse", "rivals")}
        lists["above"] = None if content.get("above") is None else tuple(content["above"])
        return cls(**{**content, **lists, "pairs": tuple(Pair(**one) for one in content["pairs"])})


def judge(
    scores: Mapping[str, Values],
    *,
    metric: str,
    higher: bool,
    rope: float,
    rivals: Set[str],
    test_fraction: float,
    excluded: Mapping[str, str] | None = None,
    cut: Mapping[str, Cut] | None = None,
    relative: bool = False,
    looks: float = 1,
    later: float | None = None,
    facet: str = "",
    floor: Values | None = None,
    bounds: tuple[float, float] = ENDLESS,
) -> FacetVerdict:
    """The verdict on one facet.

    Parameters
    ----------
    scores : mapping of str to sequence of R floats
        Contender -> test value of the primary metric in each replicate, in the same order for all; None or NaN where a
        replicate is missing or diverged.
    metric : str
        Name of the metric.
    higher : bool
        Whether higher is better.
    rope : float
        Half-width of practical equivalence, in the metric's unit or, if ``relative``, as a share of the value.
    rivals : set of str
        Which contenders are not autoencoders.
    test_fraction : float
        Test rows per training row, ``n_test / n_train``.
    excluded : mapping of str to str, optional
        Contender -> reason; these are not compared.
    cut : mapping of str to Cut, optional
        Contenders whose trainings were cut while they were still getting better: what more steps may change is not
        claimed (:mod:`isthmus.evidence.cut`).
    relative : bool, default False
        Compare ratios instead of differences.
    looks : float, default 1
        As how many looks it counts, if replicates are added while a verdict is open.
    later : float, optional
        The same for a verdict with more replicates, to tell how many would decide; by default as ``looks``.
    facet : str, default ""
        Its name, for sentences.
    floor : sequence of R floats, optional
        What the metric comes to in each replicate without learning anything; None or NaN where that is not known.
    bounds : (float, float), optional
        The least and the largest value that the metric can have.

    Raises
    ------
    BadInput
        If contenders have different numbers of replicates, a rope or fraction is negative, or values to be compared by
        ratio are negative.

    Examples
    --------
    >>> scores = {"plain": [0.90, 0.91, 0.92, 0.90, 0.91], "pca": [0.80, 0.81, 0.82, 0.81, 0.80]}
    >>> v = judge(scores, metric="auroc", higher=True, rope=0.01, rivals={"pca"}, test_fraction=1 / 3)
    >>> v.kind, v.leader, v.outcome
    ('better', 'plain', 'autoencoder')
    """
    _check(scores, metric, rope, test_fraction, relative)
    table = {name: comparable(values, relative) for name, values in scores.items()}
    gone = dict(excluded or {})
    gone |= {n: UNSCORED for n, x in table.items() if n not in gone and not np.isfinite(x).any()}
    table = {name: table[name] for name in _ranked(table, higher) if name not in gone}
    made = pairs(
        {n: scores[n] for n in table},
        rope=rope,
        higher=higher,
        test_fraction=test_fraction,
        relative=relative,
        bounds=bounds,
    )
    made = _with_headlines(made, table, rivals, looks)
    made = tuple(replace(one, relation=relation(one, table[one.a], table[one.b], looks)) for one in made)
    rules: dict[str, Any] = {
        "rope": rope,
        "higher": higher,
        "test_fraction": test_fraction,
        "relative": relative,
        "looks": looks,
    }
    level = None if floor is None else comparable(floor, relative)
    sides = [n for n in table if n not in rivals], [n for n in table if n in rivals]
    contest, early = _contest(made, *sides, looks), {n: one for n, one in (cut or {}).items() if n in table}
    gains = _gains(early, table, level, bounds, higher, relative)
    made, held = _shaken(made, gains, table, higher, float(np.log1p(rope)) if relative else rope)
    lagging = _lagging(gains, contest, table, higher, float(np.log1p(rope)) if relative else rope)
    halted = bool(lagging) and (contest["outcome"] != "undecided" or contest["autoencoder"] in lagging)
    if halted:
        contest, held = {**contest, "outcome": "undecided"}, held | lagging
    leader = next(iter(table), None)
    against = {one.b: one.relation for one in made if one.a == leader}
    return FacetVerdict(
        facet=facet,
        metric=metric,
        higher=higher,
        rope=rope,
        relative=relative,
        test_fraction=test_fraction,
        replicates=max((len(x) for x in table.values()), default=0),
        looks=looks,
        kind=_kind(against.values()),
        leader=leader,
        equal=tuple(n for n, r in against.items() if r == "equal"),
        undecided=tuple(n for n, r in against.items() if r == "undecided"),
        worse=tuple(n for n, r in against.items() if r == "better"),
        **contest,
        replicates_needed=None
        if halted
        else _needed(contest, made, table, higher, rope, relative, test_fraction, later or looks),
        means={n: average(x, relative) for n, x in table.items()},
        floor=None if level is None else ground.mean(level, relative),
        above=None if level is None else ground.above(table, level, **rules),
        missing={n: int(np.isnan(x).sum()) for n, x in table.items() if np.isnan(x).any()},
        excluded=gone,
        cut={n: early[n].steps for n in table if n in held},
        regret=expected_regret(table, higher=higher, test_fraction=test_fraction, relative=relative),
        steps_needed=max((early[n].needed for n in held), default=None),
        halted=halted,
        pairs=made,
    )


def _check(scores: Mapping[str, Any], metric: str, rope: float, test_fraction: float, relative: bool) -> None:
    sizes = {name: len(values) for name, values in scores.items()}
    if len(set(sizes.values())) > 1:
        raise BadInput(f"{metric}: every contender needs one value for each replicate, None where missing; got {sizes}")
    if not (rope >= 0 and test_fraction >= 0):
        raise BadInput(f"{metric}: rope and test_fraction must be at least 0; got {rope!r} and {test_fraction!r}")
    for name, values in scores.items() if relative else ():
        if any(value is not None and value < 0 for value in values):
            raise BadInput(f"{metric}: values compared by ratio cannot be negative; {name} has one; use relative=False")


def _ranked(table: Mapping[str, Floats], higher: bool) -> list[str]:
    """Those with the fewest missing replicates first, then by mean: who fails in a replicate cannot lead by it."""

    def place(name: str) -> tuple[int, float, str]:
        known = table[name][np.isfinite(table[name])]
        mean = float(known.mean()) if len(known) else 0.0
        return -len(known), -mean if higher else mean, name

    return sorted(table, key=place)


def relation(pair: Pair, x: Floats, y: Floats, looks: float) -> Relation:
    """What may be claimed of the pair's ``a``. A contender cannot gain by replicates in which it alone has no score."""
    if pair.better is None or pair.equal is None or pair.worse is None or pair.p_adjusted is None:
        return "undecided"
    if pair.n < LEAST:
        return "undecided"
    a_failed, b_failed = pair.n < np.isfinite(y).sum(), pair.n < np.isfinite(x).sum()
    enough, certain = sure(looks), pair.p_adjusted < ALPHA / looks
    if pair.better >= enough and certain and not a_failed:
        return "better"
    if pair.worse >= enough and certain and not b_failed:
        return "worse"
    return "equal" if pair.equal >= enough and not a_failed and not b_failed else "undecided"


def _with_headlines(
    made: tuple[Pair, ...], table: Mapping[str, Floats], rivals: Set[str], looks: float
) -> tuple[Pair, ...]:
    """The pairs; those of a headline that holds have its p-value, if that is smaller."""
    autoencoders, others = [n for n in table if n not in rivals], [n for n in table if n in rivals]
    leader, *field = table or ("",)
    headlines = [(leader, field, 1)]
    if autoencoders and others:
        headlines += [(autoencoders[0], others, len(autoencoders)), (others[0], autoencoders, len(others))]
    for best, beaten, chosen_from in headlines:
        told = [_told(made, best, name) for name in beaten]
        p = min(1.0, chosen_from * max((1.0 if one.p is None else one.p for one in told), default=1.0))
        claims = [replace(one, p_adjusted=p) for one in told]
        if all(relation(one, table[best], table[one.b], looks) == "better" for one in claims):
            ours = [{best, name} for name in beaten]
            made = tuple(
                replace(one, p_adjusted=min(p, one.p_adjusted or 0.0)) if {one.a, one.b} in ours else one
                for one in made
            )
    return made


def _kind(relations: Iterable[str]) -> Kind:
    """Of the leader's relations to all others."""
    seen = set(relations)
    if not seen:
        return "no evidence"
    if seen == {"better"}:
        return "better"
    return "undecided" if "undecided" in seen else "equal"


def _contest(made: Sequence[Pair], autoencoders: Sequence[str], rivals: Sequence[str], looks: float) -> dict[str, Any]:
    """The best autoencoder against the rivals, best first on both sides."""
    best, rival = next(iter(autoencoders), None), next(iter(rivals), None)
    outcome: Outcome = "no contest"
    if best is not None and rival is not None:
        against = {r: _told(made, best, r) for r in rivals}
        first = against[rival]
        no_better = (first.equal or 0.0) + (first.worse or 0.0)
        if all(one.relation == "better" for one in against.values()):
            outcome = "autoencoder"
        elif first.relation == "worse":
            outcome = "rival"
        elif first.relation == "equal" or (no_better >= sure(looks) and first.n >= LEAST and not first.dropped):
            outcome = "rival enough"
        else:
            outcome = "undecided"
    return {"autoencoder": best, "rival": rival, "rivals": tuple(rivals), "outcome": outcome}


def _gains(
    early: Mapping[str, Cut],
    table: Mapping[str, Floats],
    floor: Floats | None,
    bounds: tuple[float, float],
    higher: bool,
    relative: bool,
) -> dict[str, float]:
    """What more steps may add to the mean of each contender that was cut, at most."""
    ends = (math.log(max(bounds[0], TINY)), math.log(bounds[1])) if relative else bounds
    known = finite(floor) if floor is not None else np.empty(0)
    start = float(known.mean()) if len(known) else math.nan
    means = {n: float(np.nanmean(table[n])) for n in early}
    most = {
        n: one.at_best(means[n], higher=higher, floor=start, bounds=ends, relative=relative) for n, one in early.items()
    }
    return {n: abs(most[n] - means[n]) for n in early}


def _shaken(
    made: Sequence[Pair], gains: Mapping[str, float], table: Mapping[str, Floats], higher: bool, rope: float
) -> tuple[tuple[Pair, ...], set[str]]:
    """The pairs without the claims that more steps may change, and who took one on the leader away."""
    kept, held, leader = [], set[str](), next(iter(table), None)
    for one in made:
        lead = float(np.nanmean(table[one.a]) - np.nanmean(table[one.b])) * (1 if higher else -1)
        fell = lost(one.relation, lead, rope, (gains.get(one.a, 0.0), gains.get(one.b, 0.0)))
        kept.append(replace(one, relation="undecided") if any(fell) else one)
        if leader in {one.a, one.b}:
            held |= {name for name, gone in zip((one.a, one.b), fell, strict=True) if gone}
    return tuple(kept), held


def _lagging(
    gains: Mapping[str, float], contest: Mapping[str, Any], table: Mapping[str, Floats], higher: bool, rope: float
) -> set[str]:
    """Autoencoders that were cut, and may come as far as would contradict what is said of the best rival."""
    rival, outcome = contest["rival"], contest["outcome"]
    if rival is None or outcome not in {"rival", "rival enough", "undecided"}:
        return set()
    behind = {n: (1 if higher else -1) * float(np.nanmean(table[rival]) - np.nanmean(table[n])) for n in gains}
    mark = rope if outcome == "rival enough" else -rope
    return {n for n, gain in gains.items() if n not in contest["rivals"] and gain > 0 and gain >= behind[n] + mark}


def _told(made: Sequence[Pair], a: str, b: str) -> Pair:
    """The pair as told of ``a``; only probabilities and relation are asked of it, so shares need no turning."""
    one = next(one for one in made if {one.a, one.b} == {a, b})
    return one if one.a == a else one.flipped()


def _needed(
    contest: Mapping[str, Any],
    made: Sequence[Pair],
    table: Mapping[str, Floats],
    higher: bool,
    rope: float,
    relative: bool,
    test_fraction: float,
    looks: float,
) -> int | None:
    """For the best rival that the best autoencoder is not shown to beat."""
    if contest["outcome"] != "undecided":
        return None
    a = contest["autoencoder"]
    b = next(r for r in contest["rivals"] if _told(made, a, r).relation != "better")
    tests = sum(name not in contest["rivals"] for name in table)
    width, grain = (float(np.log1p(rope)), 0.0) if relative else (rope, steps(table.values()))
    differences = (1 if higher else -1) * (table[a] - table[b])
    return replicates_to_decide(differences, width, test_fraction, tests=tests, looks=looks, grain=grain)
