"""The verdicts in plain words: one sentence for each purpose, and what stands behind it."""

from collections.abc import Mapping
from typing import NamedTuple

from isthmus.report.contests import Contest
from isthmus.report.tables import number
from isthmus.report.words import Words

BADGES = {
    "none": "none",
    "alone": "none",
    "autoencoder_best": "best",
    "autoencoder_equal": "equal",
    "autoencoder_undecided": "which",
    "pca_best": "pca",
    "pca_enough": "pca",
    "rival_best": "rival",
    "rival_enough": "rival",
    "open": "undecided",
    "unopposed_best": "best",
    "unopposed_equal": "equal",
    "unopposed_undecided": "undecided",
}
"""Each way a contest can end, and the badge (and colour) of its card."""
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
        facet=t.name("facets", contest.verdict.facet),
        question=t.name("questions", contest.verdict.facet, ""),
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
    verdict = contest.verdict

    def told(name: str | None) -> dict[str, str]:
        if name is None:
            return {"name": "", "value": ""}
        return {"name": shown[name], "value": number(verdict.means[name])}

    leader, autoencoder, rival = told(verdict.leader), told(verdict.autoencoder), told(verdict.rival)
    near = [shown[name] for name in contest.among("leader", "equal", "undecided")]
    return t(
        "answer." + contest.kind,
        metric=t.name("metrics", verdict.metric),
        leader=leader["name"],
        value=leader["value"],
        autoencoder=autoencoder["name"],
        autoencoder_value=autoencoder["value"],
        rival=rival["name"],
        rival_value=rival["value"],
        names=_few(near, t),
    )


def _few(names: list[str], t: Words) -> str:
    """All names, or the first three and how many more."""
    if len(names) <= MOST:
        return t.phrase(names)
    return t("answer.others", names=t("page.comma").join(names[:3]), n=len(names) - 3)


def _evidence(contest: Contest, t: Words) -> str:
    """How many are beaten and, where it is open, what would close it."""
    others, worse = len(contest.ranked) - 1, len(contest.among("worse"))
    if others < 1:
        return ""
    said = [t("answer.beaten", count=worse, others=others)] if worse < others else []
    if contest.kind == "open":
        needed = contest.verdict.replicates_needed
        said.append(t("answer.more_none") if needed is None else t("answer.more", n=needed))
    return t("page.gap").join(said)
