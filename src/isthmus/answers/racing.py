"""What a race did, in plain English and Chinese."""

from __future__ import annotations

from isthmus.answers.words import Words
from isthmus.study.racing import LOOKS
from isthmus.study.results import Results


def lines(study: Results, lang: str = "en") -> list[str]:
    """What a race did, one line for each round, and what that costs a claim; nothing if there was none."""
    if not study.design.racing:
        return []
    words, rounds = Words(lang), study.rounds
    said = [
        words(
            "race.round",
            n=number,
            last=one.end,
            facets=words.phrase([words.title(facet).lower() for facet in one.doubts]),
        )
        for number, one in enumerate(rounds, 1)
    ]
    return [*(said or [words("race.none")]), words("race.level", looks=LOOKS)]
