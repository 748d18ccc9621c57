"""The verdicts in plain words: one sentence for each purpose, and what stands behind it."""

from collections.abc import Mapping
from typing import NamedTuple

from isthmus.report.contests import Contest
from isthmus.report.tables import number
from isthmus.report.words import Words

BADGES = {
    "none": "none",
    "alone": "none",
    "best": "best",
    "best_pca": "pca",
    "best_rival": "rival",
    "pca_enough": "pca",
    "pca_enough_first": "pca",
    "rival_enough": "rival",
    "equal": "equal",
    "undecided": "undecided",
    "undecided_pca": "undecided",
}


MOST = 5
"""More names than this are not all said in one sentence."""


class Answer(NamedTuple):
    """One card at the top of the page; ``kind`` gives its colour."""

    facet: str
    question: str
    kind: str
    badge: str
    sentence: str
    evidence: str


def answer(contest: Contest, t: Words, shown: Mapping[str, str]) -> Answer:
    """What this contest says, in one sentence, with the count of those that are beaten."""
    kind = BADGES[contest.kind]
    return Answer(
        facet=t.name("facets", contest.facet),
        question=t.name("questions", contest.facet, ""),
        kind=kind,
        badge=t("answer.badge_" + kind),
        sentence=_sentence(contest, t, shown),
        evidence=_evidence(contest, t),
    )


def skipped(facet: str, reason: str, classes: int, t: Words) -> Answer:
    """A question that these data cannot answer."""
    sentence = t("answer.skipped_labels") if classes < 2 else t("answer.skipped", reason=reason.rstrip("."))
    name, question = t.name("facets", facet), t.name("questions", facet, "")
    return Answer(name, question, "none", t("answer.badge_skipped"), sentence, "")


def _sentence(contest: Contest, t: Words, shown: Mapping[str, str]) -> str:
    leader = contest.leader
    if leader is None or leader.estimate is None:
        return t("answer.none")
    pca = next((s.estimate.mean for s in contest.ranked if s.name == "pca" and s.estimate), None)
    near = contest.among("leader", "equal", "undecided")
    return t(
        "answer." + contest.kind,
        leader=shown[leader.name],
        metric=t.name("metrics", contest.metric),
        value=number(leader.estimate.mean),
        pca_value=number(pca),
        names=_few([shown[name] for name in near], t),
    )


def _few(names: list[str], t: Words) -> str:
    """All names, or the first three and how many more."""
    return (
        t.phrase(names)
        if len(names) <= MOST
        else t("answer.others", names=t("page.comma").join(names[:3]), n=len(names) - 3)
    )


def _evidence(contest: Contest, t: Words) -> str:
    others, worse = len(contest.ranked) - 1, len(contest.among("worse"))
    if others < 1 or contest.kind in {"best", "best_pca", "best_rival"}:
        return ""
    count = t("answer.beaten", count=worse, others=others) if worse else t("answer.beaten_none", others=others)
    return count + t("page.gap") + t("answer.more") if contest.kind.startswith("undecided") else count
