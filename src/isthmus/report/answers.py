"""The verdicts as cards: what to take for each purpose, and the evidence for it, in the words of the study."""

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from isthmus.answers import advice
from isthmus.answers.sentences import sentence
from isthmus.answers.words import Words, capital
from isthmus.evidence.purposes import PurposeVerdict, decided_first
from isthmus.evidence.verdict import FacetVerdict
from isthmus.report.contests import Contest
from isthmus.report.figures import plain


class Answer(NamedTuple):
    """One card at the top of the page; ``kind`` gives its colour."""

    title: str
    """The facets that speak."""
    question: str
    kind: str
    badge: str
    sentence: str
    evidence: list[str]
    """One sentence for each facet."""


def answers(
    contests: Sequence[Contest], purposes: Sequence[PurposeVerdict], t: Words, shown: Mapping[str, str]
) -> tuple[list[Answer], list[str]]:
    """One card for each purpose, one for each facet that only describes, and what the facets say together."""
    say = Words(t.lang, shown)
    verdicts = {contest.verdict.facet: contest.verdict for contest in contests}
    kinds = {contest.verdict.facet: contest.kind for contest in contests}
    said = [(one.verdicts, _kind(one, kinds), advice.for_purpose(one, say)) for one in decided_first(purposes)]
    said += [((v,), kinds[v.facet], advice.for_facet(v, say)) for v in advice.apart(verdicts, purposes)]
    cards: list[Answer] = []
    told: set[str] = set()
    for speaks, kind, line in said:
        cards.append(_card(speaks, told, kind, line, say))
        told |= {v.facet for v in speaks}
    return cards, advice.together(verdicts.values(), say)


def skipped(left: Mapping[str, str], t: Words) -> list[Answer]:
    """The questions that were not asked: one card for each reason, however many facets it keeps out."""
    facets: dict[str, list[str]] = {}
    for facet, reason in left.items():
        facets.setdefault(reason, []).append(facet)
    return [_unasked(names, t.name("skipped", plain(reason, 200)), t) for reason, names in facets.items()]


def _unasked(facets: Sequence[str], reason: str, t: Words) -> Answer:
    names = [t.name("facets", facet) for facet in facets]
    question = t("page.gap").join(t.name("questions", facet, "") for facet in facets)
    text = t("answer.skipped", reason=reason.rstrip("."))
    return Answer(_title(names, t), question, "none", t("answer.badge_skipped"), text, [])


def _title(names: Sequence[str], t: Words) -> str:
    return t.phrase([names[0], *(name.lower() for name in names[1:])])


def _card(verdicts: Sequence[FacetVerdict], told: Set[str], kind: str, line: str, say: Words) -> Answer:
    """A facet that speaks on two cards gives its evidence on the first."""
    names = [say.title(v.facet) for v in verdicts]
    questions = [say.name("questions", v.facet, "") for v in verdicts]
    evidence = [sentence(v, say.lang, say.titles) for v in verdicts if v.facet not in told]
    if len(verdicts) == len(evidence) == 1:
        evidence = [capital(evidence[0].removeprefix(names[0] + say("page.colon")))]
    return Answer(
        _title(names, say), say("page.gap").join(questions), kind, say("answer.badge_" + kind), line, evidence
    )


def _kind(one: PurposeVerdict, kinds: Mapping[str, str]) -> str:
    """How it ended: as its only facet did, or as several together."""
    if len(one.verdicts) == 1:
        return kinds[one.verdicts[0].facet]
    if one.kind in {"rival", "rival enough"}:
        return "pca" if one.take == "pca" else "rival"
    if one.kind in {"autoencoder", "no contest"}:
        return "which" if one.open else "equal" if one.equal else "best"
    return {"no evidence": "none"}.get(one.kind, one.kind)
