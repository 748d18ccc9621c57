"""What people want an autoencoder for, which facets speak for it, and what follows where several do.

One facet answers its purpose by its verdict. Several are joined by :func:`isthmus.evidence.pareto.pareto`: nothing is
weighed against anything else and no means are added, so what is claimed follows from the relations of the verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from isthmus.evidence.decision import bet
from isthmus.evidence.outcome import Outcome
from isthmus.evidence.pareto import Pareto, opposed, pareto
from isthmus.evidence.verdict import FacetVerdict
from isthmus.facets import FACETS, crowns
from isthmus.facets.facet import RIVAL_FAMILY
from isthmus.facets.purpose import ALSO, INSTEAD, NEEDED, PURPOSES, Role

PRICES = tuple(metric for facet in FACETS.values() for metric in facet.prices)
"""Metrics that tell what a choice costs."""
NOBODY = Pareto((), ())
ORDER: tuple[Outcome, ...] = (
    *("autoencoder", "no contest", "rival", "rival enough", "depends", "useless", "undecided", "no evidence"),
)
"""How a purpose may end, the most decided first."""


class Price(NamedTuple):
    """What a choice takes as a multiple of what another takes; only where the difference is shown."""

    metric: str
    other: str
    times: float
    """More than 1: more parameters, more seconds of training, or more time for a row."""


@dataclass(frozen=True)
class PurposeVerdict:
    """What follows for one purpose."""

    purpose: str
    """Its name, or that of a facet that stands for itself."""
    verdicts: tuple[FacetVerdict, ...]
    """Those that speak for it."""
    kind: Outcome
    take: str | None = None
    """Whom to take, unless it depends, several facets leave it open, or there is no evidence. Where one facet is
    undecided, or nobody is shown to beat the trivial floor though somebody seems to, it is a bet: whoever
    :func:`isthmus.evidence.decision.bet` takes."""
    regret: float | None = None
    """Of a bet: what it is expected to fall short of the best contender by, in the unit of its metric
    or as a share; None of a claim."""
    against: str | None = None
    """The best of the other side: what a chosen autoencoder beats, or what a chosen rival makes superfluous."""
    equal: tuple[str, ...] = ()
    """Practically equal to it in all that was asked."""
    open: tuple[str, ...] = ()
    """May be as good."""
    pareto: Pareto = NOBODY
    replicates_needed: int | None = None
    """If undecided: about how many replicates would tell; None if 100 would not."""
    prices: tuple[Price, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether the choice is a claim, and not a bet."""
        return self.take is not None and self.kind not in {"undecided", "useless"}

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON; verdicts by the names of their facets."""
        return {
            "facets": [v.facet for v in self.verdicts],
            "kind": self.kind,
            "take": self.take,
            "proven": self.proven,
            "expected_regret": self.regret,
            "against": self.against,
            "equal": list(self.equal),
            "open": list(self.open),
            "pareto": list(self.pareto.members),
            "behind": dict(self.pareto.behind),
            "replicates_needed": self.replicates_needed,
            "prices": [price._asdict() for price in self.prices],
        }


def speaking(asked: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The purposes for which a study with these facets can speak, and by which facets.

    Examples
    --------
    >>> speaking(["reconstruction", "sparsity", "features"])
    {'compress': ('reconstruction',), 'classify': ('features',)}
    """
    there, found = set(asked), {}
    for purpose in PURPOSES:
        needed, instead, also = (_declared(purpose, role) for role in (NEEDED, INSTEAD, ALSO))
        if there.issuperset(needed):
            found[purpose] = (*needed, *(facet for facet in also if facet in there))
        elif there.issuperset(instead) and instead:
            found[purpose] = instead
    return found


def _declared(purpose: str, role: Role) -> tuple[str, ...]:
    """Those that describe first: the purpose is about them. One that crowns sees to it that the rest is not lost."""
    found = [name for name, facet in FACETS.items() if facet.purposes.get(purpose) == role]
    return tuple(sorted(found, key=crowns))


def answered(
    verdicts: Mapping[str, FacetVerdict], costs: Mapping[str, Sequence[FacetVerdict]] | None = None
) -> list[PurposeVerdict]:
    """What follows for each purpose that a study asked about, then for each deciding facet that is no purpose alone.

    Parameters
    ----------
    verdicts : mapping of str to FacetVerdict
        One for each facet.
    costs : mapping of str to sequence of FacetVerdict, optional
        For each facet those on :data:`PRICES`, of the configurations that were chosen for it. Without them choices have
        no price; nor have they one where several facets speak that choose configurations by different criteria, for
        then no configuration is the one to take.
    """
    asked = speaking(verdicts)
    alone = {facets[0] for facets in asked.values() if len(facets) == 1}
    asked |= {facet: (facet,) for facet in verdicts if facet not in alone and crowns(facet)}
    found = []
    for purpose, facets in asked.items():
        speaks = tuple(verdicts[facet] for facet in facets)
        one = _single(purpose, speaks[0]) if len(speaks) == 1 else _several(purpose, speaks)
        chosen = (costs or {}).get(facets[0], ()) if len({FACETS[f].criterion for f in facets}) == 1 else ()
        found.append(replace(one, prices=tuple(_prices(one.take, one.against, chosen))))
    return found


def decided_first(purposes: Iterable[PurposeVerdict]) -> list[PurposeVerdict]:
    """The same in the order in which they are told and taken: what was decided before what is open.

    Examples
    --------
    >>> open_, decided = PurposeVerdict("compress", (), "undecided"), PurposeVerdict("classify", (), "rival enough")
    >>> [one.purpose for one in decided_first([open_, decided])]
    ['classify', 'compress']
    """
    return sorted(purposes, key=lambda one: ORDER.index(one.kind))


def apart(verdicts: Mapping[str, FacetVerdict], purposes: Iterable[PurposeVerdict]) -> list[FacetVerdict]:
    """Verdicts that only describe and speak for none of the purposes."""
    spoken = {v.facet for one in purposes for v in one.verdicts}
    return [v for facet, v in verdicts.items() if facet not in spoken]


def deciding(verdicts: Iterable[FacetVerdict]) -> list[FacetVerdict]:
    """Verdicts that crown somebody and have evidence."""
    return [v for v in verdicts if crowns(v.facet) and v.kind != "no evidence"]


def standing(verdicts: Iterable[FacetVerdict]) -> Pareto:
    """The Pareto set over all facets that decide; empty if fewer than two do."""
    asked = [v for v in deciding(verdicts) if not v.useless]
    return pareto(asked if len(asked) > 1 else [])


def _single(purpose: str, v: FacetVerdict) -> PurposeVerdict:
    """Only one facet speaks: its verdict is the answer."""
    if v.kind == "no evidence" and not v.unbeaten:
        return PurposeVerdict(purpose, (v,), "no evidence")
    one = PurposeVerdict(purpose, (v,), v.outcome, pareto=pareto([v]))
    if v.useless:
        return replace(one, kind="useless", **(_bet(v) if v.seems else {}))
    if v.outcome == "undecided":
        return replace(one, **_bet(v), replicates_needed=v.replicates_needed)
    if v.outcome in {"rival", "rival enough"}:
        return replace(one, take=v.rival, against=v.autoencoder)
    return replace(one, take=v.leader, against=v.rival, equal=v.equal, open=v.undecided)


def _bet(v: FacetVerdict) -> dict[str, Any]:
    """Whom to take of an undecided table, at which expected regret, and who else is in question."""
    take = bet(v.regret, set(v.rivals), v.rope) or v.rival
    other = v.autoencoder if take in v.rivals else v.rival
    return {
        "take": take,
        "regret": v.regret.get(take or ""),
        "against": other,
        "open": tuple(name for name in (v.autoencoder, v.rival) if name and name != take),
    }


def _several(purpose: str, speaks: tuple[FacetVerdict, ...]) -> PurposeVerdict:
    """The facets agree on somebody, or each side of a trade is shown, or the data are too few."""
    left = NOBODY if any(v.kind == "no evidence" for v in speaks) else pareto(speaks)
    if any(v.useless if left.members else v.unbeaten for v in speaks):
        return PurposeVerdict(purpose, speaks, "useless", pareto=left)
    one = PurposeVerdict(purpose, speaks, "undecided", pareto=left, open=left.members)
    if not left.members:
        return replace(one, kind="no evidence")
    there = {*left.members, *dict(left.behind)}
    rivals = [name for name in left.members if any(name in v.rivals for v in speaks)]
    tops = set.intersection(*(_top(v, there) for v in speaks)) & set(left.members)
    best = [name for name in left.members if name in tops or len(left.members) == 1]
    first = next((name for name in rivals if name in best), None)
    if first is not None and not any(v.halted for v in speaks):
        one = replace(one, kind="rival enough", take=first, against=speaks[0].autoencoder)
    elif best and not rivals:
        kind: Outcome = "autoencoder" if any(n in v.rivals for v in speaks for n in there) else "no contest"
        one = replace(one, kind=kind, take=best[0], against=speaks[0].rival)
    elif not best and opposed(left.members, speaks):
        one = replace(one, kind="depends")
    else:
        needed = [v.replicates_needed for v in speaks if v.outcome == "undecided"]
        one = replace(
            one, replicates_needed=max((n for n in needed if n), default=None) if None not in needed else None
        )
    return replace(
        one,
        equal=tuple(name for name in best if name != one.take) if one.take else (),
        open=tuple(name for name in left.members if name != one.take and (name not in best or not one.take)),
    )


def _top(v: FacetVerdict, there: set[str]) -> set[str]:
    """The best mean among those who are there, and all that are practically equal to it."""
    first = next(name for name in v.means if name in there)
    return {first} | {name for name in there if name != first and v.relations[first, name] == "equal"}


def _prices(take: str | None, against: str | None, costs: Sequence[FacetVerdict]) -> Iterable[Price]:
    """What is shown to differ; where the other side has no cost (raw columns), PCA stands in for it."""
    for v in costs:
        other = against if against in v.means else RIVAL_FAMILY
        if take in v.means and other in v.means and take != other:
            pair = v.pair(take, other)
            if pair.relation in {"better", "worse"} and pair.mean is not None:
                share = 1 + pair.mean
                yield Price(v.metric, str(other), 1 / share if v.higher else share)
