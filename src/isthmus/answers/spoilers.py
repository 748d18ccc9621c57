"""What may make an answer worthless, in plain English and Chinese: it stands before the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from isthmus.answers.sentences import ground
from isthmus.answers.words import Words, capital
from isthmus.data.dates import written
from isthmus.data.wording import shown
from isthmus.evidence.verdict import FacetVerdict
from isthmus.study.profile import Spoiler
from isthmus.study.results import Results

ONE_BY_ONE = 3
"""Columns that tell the label, each of which has a line of its own; more are one line."""
NAMED = 5


def first(study: Results, say: Words) -> list[str]:
    """All that may make the answer of a study worthless: what its data hold, and floors that nobody beats."""
    known = study.profile
    return lines([] if known is None else known.spoilers, say) + useless(study.verdict().values(), say)


def lines(found: Sequence[Spoiler], say: Words) -> list[str]:
    """One line for each, the gravest first.

    Examples
    --------
    >>> lines([Spoiler(what="identifier", columns=["id"], count=1)], Words("en"))
    ["Column 'id' only numbers the rows, and models learn from it; leave it out (--drop) if it is an id."]
    """
    told = [one for one in found if one.what == "leak"]
    said = []
    if len(told) > ONE_BY_ONE:
        names = [name for one in told for name in one.columns]
        said.append(say("spoil.leaks", n=f"{told[0].count:,}", names=_names(names, told[0].count, say)))
    else:
        for one in told:
            name = shown(one.columns[0])
            share = "100%" if one.share == 1 else f"{100 * one.share:.1f}%"
            said.append(say("spoil.leak", name=name, share=share, option=f"--drop {name}"))
    return said + [_line(one, say) for one in found if one.what != "leak"]


def useless(verdicts: Iterable[FacetVerdict], say: Words) -> list[str]:
    """One line for each trivial floor that nobody is shown to beat, with the questions that it is the floor of: whether
    somebody seems to beat it, or nobody even does."""
    found: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if verdict.useless:
            key = "spoil.unproven" if verdict.seems else "spoil.floor"
            found.setdefault((key, ground(verdict, say)), []).append(say.title(verdict.facet))
    return [
        capital(say(key, facets=say.phrase([facets[0], *(name.lower() for name in facets[1:])]), floor=floor))
        for (key, floor), facets in found.items()
    ]


def _line(one: Spoiler, say: Words) -> str:
    places: Mapping[str, object] = {
        "n": f"{one.count:,}",
        "name": shown(one.columns[0]) if one.columns else "",
        "names": _names(one.columns, one.count, say),
        "value": written(one.value) if one.what == "day" else f"{one.value:.6g}",
        "size": f"{one.value:.3g}",
        "numbers": _rows(one, say),
        "share": percent(one.share),
        "chance": percent(one.value) if one.what == "group" else "",
        "k": one.components,
        "explained": percent(one.explained),
        "without": percent(one.without),
    }
    return say("spoil.anywhere" if one.what == "cells" and not one.columns else "spoil." + one.what, **places)


def percent(share: float) -> str:
    """A share for people.

    Examples
    --------
    >>> percent(0.5174), percent(0.0004), percent(1.0)
    ('52%', '< 0.1%', '100%')
    """
    if share >= 0.1 or share == 0:
        return f"{100 * share:.0f}%" if share in (0, 1) or share < 0.995 else f"{min(100 * share, 99.9):.1f}%"
    return f"{100 * share:.1f}%" if share >= 0.001 else "< 0.1%"


def _names(names: Sequence[str], count: int, say: Words) -> str:
    """The first names of so many."""
    first = [shown(name) for name in names[:NAMED]]
    if count > len(first):
        return say("profile.others", names=say("page.comma").join(first), n=f"{count - len(first):,}")
    return say.phrase(first)


def _rows(one: Spoiler, say: Words) -> str:
    """Which rows, counted from 1."""
    first = say("page.comma").join(f"{row + 1:,}" for row in one.rows[:NAMED])
    if one.count > NAMED:
        return say("spoil.numbers_more", rows=first, more=f"{one.count - NAMED:,}")
    return say("spoil.numbers", n=one.count, rows=first)
