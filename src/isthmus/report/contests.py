"""One facet's contest as the page shows it: who leads, who is as good, who is worse, who was excluded and why."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from isthmus.answers.words import Words
from isthmus.doctor import words as defects
from isthmus.evidence import stats
from isthmus.evidence.exclusion import spoils
from isthmus.evidence.stats import ENDLESS
from isthmus.evidence.verdict import UNBEATEN, FacetVerdict
from isthmus.facets import FACETS, crowns
from isthmus.facets.facet import RIVAL_FAMILY
from isthmus.metrics import METRICS
from isthmus.report.figures import Interval

Record = Mapping[str, Any]


class Standing(NamedTuple):
    """One contender in one facet."""

    name: str
    rival: bool
    relation: str
    """leader, equal, undecided, worse or excluded."""
    estimate: Interval | None = None
    """Mean and interval of the primary metric; None if excluded."""
    difference: Interval | None = None
    """This contender minus the leader, in the metric's unit or, where metrics compare by ratio, as a share of the
    leader's value; None for the leader and the excluded."""
    p_leader: float | None = None
    """Probability that the leader is better beyond the rope."""
    p_equal: float | None = None
    p_other: float | None = None
    p_value: float | None = None
    reason: str = ""
    """Why it is excluded, or what is missing of it."""


class Contest(NamedTuple):
    """All contenders of one facet, best mean first, the excluded last."""

    verdict: FacetVerdict
    higher: bool | None
    standings: tuple[Standing, ...]

    @property
    def ranked(self) -> tuple[Standing, ...]:
        """Those that were not excluded."""
        return tuple(s for s in self.standings if s.relation != "excluded")

    @property
    def decides(self) -> bool:
        """Whether the facet crowns anybody; some only describe."""
        return crowns(self.verdict.facet)

    @property
    def kind(self) -> str:
        """How it ended: none, described, useless, best, equal, which, pca, rival or undecided."""
        verdict = self.verdict
        if verdict.kind == "no evidence":
            return "none"
        if not self.decides:
            return "described"
        if verdict.useless:
            return "useless"
        ends = {"better": "best", "equal": "equal", "undecided": "undecided"}
        if verdict.outcome == "autoencoder" and verdict.kind == "undecided":
            return "which"
        if verdict.outcome in {"autoencoder", "no contest"}:
            return ends[verdict.kind]
        if verdict.outcome == "undecided":
            return "undecided"
        return "pca" if verdict.rival == "pca" else "rival"


def contests(study: Any, records: Sequence[Record], t: Words) -> list[Contest]:
    """The contests of a study in the order of its facets."""
    verdicts: Mapping[str, FacetVerdict] = study.verdict()
    found = []
    for facet in study.note["facets"]:
        if facet in verdicts:
            one = verdicts[facet]
            higher = METRICS[one.metric].higher
            seen = [r for r in records if r["job"]["view"] == study.design.view(facet)]
            found.append(Contest(one, higher, _standings(one, study.scores(facet), seen, t)))
    return found


def estimate(values: Any, metric: str, test_fraction: float) -> Interval | None:
    """Mean and corrected 95 % interval over replicates, within what the metric can be; geometric where it compares by
    ratio."""
    known = METRICS.get(metric)
    relative, bounds = (False, ENDLESS) if known is None else (known.relative, known.bounds)
    found = stats.estimate(values, test_fraction, relative=relative, bounds=bounds)
    return None if found is None else Interval(*found)


def estimates(study: Any, contest: Contest, metrics: Sequence[str]) -> dict[str, dict[str, Interval]]:
    """Every metric of every contender of a facet: ``[contender][metric]``, where there is a number."""
    found: dict[str, dict[str, Interval]] = {}
    for metric in metrics:
        for name, values in study.scores(contest.verdict.facet, metric).items():
            one = estimate(values, metric, contest.verdict.test_fraction)
            if one is not None:
                found.setdefault(name, {})[metric] = one
    return found


def _standings(
    verdict: FacetVerdict, scores: Mapping[str, Any], records: Sequence[Record], t: Words
) -> tuple[Standing, ...]:
    relations = {name: kind for kind in ("equal", "undecided", "worse") for name in getattr(verdict, kind)}
    found = []
    for name in verdict.means:
        mean = estimate(scores[name], verdict.metric, verdict.test_fraction)
        reason = _reason(name, verdict, records, t)
        standing = Standing(name, name in verdict.rivals, relations.get(name, "leader"), mean, reason=reason)
        if verdict.leader is not None and name != verdict.leader:
            pair = verdict.pair(name, verdict.leader)
            difference = None if pair.mean is None else Interval(pair.mean, pair.low, pair.high)
            standing = standing._replace(
                difference=difference,
                p_leader=pair.worse,
                p_equal=pair.equal,
                p_other=pair.better,
                p_value=pair.p_adjusted,
            )
        found.append(standing)
    for name in verdict.excluded:
        reason = _reason(name, verdict, records, t)
        if reason:  # without one its runs are still to come
            rival = name == RIVAL_FAMILY or name in FACETS[verdict.facet].rivals
            found.append(Standing(name, rival, "excluded", reason=reason))
    return tuple(found)


def _reason(name: str, verdict: FacetVerdict, records: Sequence[Record], t: Words) -> str:
    """What went wrong in finished runs of this contender, in the reader's language; "" if nothing did."""
    facet = verdict.facet
    mine = [r for r in records if r["job"]["name"] == name and r["job"]["facet"] in (None, facet)]
    ends = [r["status"] for r in mine]
    said = [t("table.reason_" + end, n=ends.count(end)) for end in ("diverged", "failed") if end in ends]
    # of a question that came back a family has runs of their own, which say nothing of the others
    facts = [r["facets"][facet]["metrics"] for r in mine if r["status"] == "ok" and facet in r["facets"]]
    said += [t("flags." + flag) for flag in FACETS[facet].flags if any(fact.get(flag) for fact in facts)]
    said += [t("table.reason_random")] if verdict.excluded.get(name) == UNBEATEN else []
    said += [t("table.reason_finding", name=defects.text(ill, t.lang).title, n=n) for ill, n in _ills(mine, facet)]
    empty = sum(fact.get(verdict.metric) is None for fact in facts)
    return t("page.stop").join([*said, t("table.reason_missing", n=empty)] if empty else said)


def _ills(mine: Sequence[Record], facet: str) -> Iterator[tuple[str, int]]:
    """Defects that spoil a facet in the models chosen for it, and in how many runs each was found."""
    found = [
        {f["name"] for f in r["findings"] if f["config"] == r["facets"][facet]["config"]}
        for r in mine
        if facet in r["facets"]
    ]
    for name in defects.EN:
        count = sum(name in names for names in found)
        if count and spoils(name, facet):
            yield name, count
