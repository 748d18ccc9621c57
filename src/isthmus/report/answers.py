"""The verdicts as cards: what to take for each purpose, and the evidence for it, in the words of the study."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from isthmus.report.contests import Contest
from isthmus.study.sentences import recommend, sentence
from isthmus.study.words import Words


class Answer(NamedTuple):
    """One card at the top of the page; ``kind`` gives its colour."""

    facet: str
    question: str
    kind: str
    badge: str
    sentence: str
    evidence: str


def answers(contests: Sequence[Contest], t: Words, shown: Mapping[str, str]) -> tuple[list[Answer], list[str]]:
    """One card for each contest, and what they say together."""
    verdicts = [contest.verdict for contest in contests]
    lines = recommend(verdicts, t.lang, shown)
    cards = []
    for contest, line in zip(contests, lines, strict=False):
        facet = t.name("facets", contest.verdict.facet)
        evidence = sentence(contest.verdict, t.lang, shown).removeprefix(facet + t("page.colon"))
        question = t.name("questions", contest.verdict.facet, "")
        badge = t("answer.badge_" + contest.kind)
        cards.append(Answer(facet, question, contest.kind, badge, line, evidence[:1].upper() + evidence[1:]))
    return cards, lines[len(cards) :]


def skipped(facet: str, reason: str, classes: int, t: Words) -> Answer:
    """A question that these data cannot answer."""
    text = t("answer.skipped_labels") if classes < 2 else t("answer.skipped", reason=reason.rstrip("."))
    name, question = t.name("facets", facet), t.name("questions", facet, "")
    return Answer(name, question, "none", t("answer.badge_skipped"), text, "")
