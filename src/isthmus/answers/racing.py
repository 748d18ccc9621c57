"""What a race did, in plain English and Chinese."""

from __future__ import annotations

from typing import Any

from isthmus.answers.words import Words
from isthmus.evidence.verdict import LEAST
from isthmus.study.racing import LOOKS, raced
from isthmus.study.results import Results

NUMBERS, NAMES = ("steps", "configs", "replicates"), ("facets", "families", "rivals")
"""What a study may give up for its budget."""


def lines(study: Results, lang: str = "en") -> list[str]:
    """What a study with a budget gave up, took back and did not begin; which replicates were added, and what they cost
    a claim.
    """
    words, rounds = Words(lang), [one for one in study.rounds if one.replicates]
    if not study.design.racing and not study.rounds:
        return _given_up(study, words)
    said = [
        words(
            "race.round",
            n=number,
            last=one.end,
            facets=words.phrase([words.title(facet).lower() for facet in one.doubts]),
        )
        for number, one in enumerate(rounds, 1)
    ]
    if not study.design.racing:
        strict = max(study.looks(facet) for facet in study.design.facets)
        return [*_given_up(study, words), *said, words("race.again", looks=strict)]
    levels = {"first": raced(0), "last": raced(LOOKS - 1)}
    if said:
        return [*_kept(study, words), *said, words("race.level", **levels)]
    why = words("race.no_time" if study.open() else "race.decided")
    return [*_kept(study, words), words("race.none", why=why, count=LOOKS, **levels)]


def _given_up(study: Results, words: Words) -> list[str]:
    """What the study was made smaller by, so that it keeps the time that was asked for, or that is sensible."""
    gone: dict[str, Any] = dict(study.note.get("given_up") or {})
    back = [facet for some in study.design.later for facet in some]
    gone["facets"] = [facet for facet in gone.get("facets", ()) if facet not in back]
    said = [
        words(f"budget.{name}", asked=f"{a:,}", kept=f"{b:,}")
        for name in NUMBERS
        if name in gone
        for a, b in [gone[name]]
    ]
    said += [
        words(f"budget.{name}", names=words.phrase(list(map(words.title, gone[name]))))
        for name in NAMES
        if gone.get(name)
    ]
    why = "budget.given_up" if study.design.racing else "budget.sensible"
    found = [words(why, what=words("page.stop").join(said))] if said else []
    if back:
        found.append(words("budget.back", names=words.phrase(list(map(words.title, back)))))
    return found


def _kept(study: Results, words: Words) -> list[str]:
    """How the time that was asked for was kept."""
    found = _given_up(study, words)
    if missing := study.total - len(study.records):
        found.append(words("budget.ended", missing=missing, total=study.total))
    if study.whole < LEAST:
        found.append(words("budget.few", n=study.whole, least=LEAST))
    return found
