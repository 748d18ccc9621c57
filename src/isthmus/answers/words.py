"""What people read in English and Chinese: one text file each under ``texts``, same keys, no fallback.

What facets, metrics and purposes are called stands in their own declarations, and joins the texts here.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence, Set
from functools import cache
from importlib import resources
from string import Formatter
from typing import Any

from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Facet
from isthmus.facets.purpose import PURPOSES
from isthmus.metrics import METRICS
from isthmus.said import Said

LANGUAGES = ("en", "zh")
NAMED = ("facets", "metrics", "contenders")
"""Sections that say what things are called; no name stands in two of them."""
MOST = 4
"""More names than this are counted instead."""
NUMBER = re.compile(r"[\d.,−-]+")
MEETING = re.compile("[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]")


class Words:
    """The texts of one language.

    Parameters
    ----------
    lang : {"en", "zh"}
    titles : mapping of str to str, optional
        Other names for facets, metrics and contenders; they win over ours.

    Examples
    --------
    >>> Words("en")("page.yes")
    'yes'
    >>> Words("zh")("method.replicate", n=2)
    '第 2 次重复'
    """

    def __init__(self, lang: str, titles: Mapping[str, str] | None = None) -> None:
        if lang not in LANGUAGES:
            raise BadInput(f"lang must be en or zh; got {lang!r}")
        self.lang = lang
        self.texts = _texts(lang)
        self.titles = {key: title for section in NAMED for key, title in self.texts[section].items()} | dict(
            titles or {}
        )
        self.plural = {self.title(name) for name in self.texts["grammar"]["plural"].split(", ")}
        """Titles that are plurals."""

    def __call__(self, key: str, **values: object) -> str:
        """The sentence ``section.key`` with its ``{places}`` filled; a missing one is our mistake: KeyError.

        ``{n|row|rows}`` is the word that goes with a number: the first for 1, the second for all others.
        ``{leader|is|are}`` is the one that goes with a name: the second where its title is a plural.
        """
        section, _, name = key.partition(".")
        text: str = self.texts[section][name]
        pieces: list[str] = []
        for before, place, _, _ in Formatter().parse(text):
            pieces += [before] if place is None else [before, _filled(place, values, self.plural)]
        return self._join(pieces)

    def name(self, section: str, key: str, otherwise: str | None = None) -> str:
        """What people call a facet, metric, contender or status; one that is not ours keeps its own name."""
        return self.texts[section].get(key, key if otherwise is None else otherwise)

    def title(self, name: str | None) -> str:
        """What people call a facet, a metric or a contender; a name that is not ours is said as it is."""
        return self.titles.get(name or "", name or "")

    def some(self, names: Sequence[str]) -> str:
        """The titles of all names in one phrase, or the first three and how many more."""
        shown = [self.title(name) for name in names]
        if len(shown) > MOST:
            return self("verdict.others", names=self("page.comma").join(shown[:3]), n=len(shown) - 3)
        return self.phrase(shown)

    def either(self, names: Sequence[str]) -> str:
        """Names of which one may be the one: "a, b or c"."""
        if len(names) < 2:
            return "".join(names)
        return self._join([self("page.comma").join(names[:-1]), self("page.or"), names[-1]])

    def close(self, key: str, **values: object) -> str:
        """A whole sentence: it starts with a capital."""
        return capital(self(key, **values))

    def phrase(self, names: Sequence[str]) -> str:
        """Names in one phrase: "a, b and c"."""
        if len(names) < 2:
            return "".join(names)
        return self._join([self("page.comma").join(names[:-1]), self("page.and"), names[-1]])

    def _join(self, pieces: list[str]) -> str:
        """Pieces in a row. Chinese typography sets a space where a Chinese sign meets a Latin letter or a digit."""
        text = ""
        for piece in pieces:
            meet = text[-1:] + piece[:1]
            text += " " * bool(self.lang == "zh" and MEETING.fullmatch(meet)) + piece
        return text


def _filled(place: str, values: Mapping[str, object], plural: Set[str] = frozenset()) -> str:
    """What stands in a place: a value, or the word that goes with a number or a name; some names are ``plural``.

    Examples
    --------
    >>> _filled("n", {"n": 2}), _filled("n|row|rows", {"n": 2}), _filled("n|row|rows", {"n": "1"})
    ('2', 'rows', 'row')
    >>> _filled("who|is|are", {"who": "PCA"}), _filled("who|is|are", {"who": "trees"}, {"trees"})
    ('is', 'are')
    """
    name, _, forms = place.partition("|")
    if not forms:
        return str(values[name])
    one, _, many = forms.partition("|")
    text = str(values[name])
    several = text != "1" if NUMBER.fullmatch(text) else text in plural
    return many if several else one


def capital(text: str) -> str:
    """A capital at the start, unless it begins with a name that has its capitals elsewhere.

    Examples
    --------
    >>> capital("plain wins"), capital("kNN wins")
    ('Plain wins', 'kNN wins')
    """
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


@cache
def _texts(lang: str) -> dict[str, dict[str, Any]]:
    path = resources.files("isthmus.answers").joinpath("texts", f"{lang}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8")) | _declared(lang)


def _declared(lang: str) -> dict[str, dict[str, Any]]:
    """What facets, metrics and purposes say of themselves, as sections of the texts."""
    facets = FACETS.values()
    curves = {name: curve for facet in facets for name, curve in facet.curves.items()}
    return {
        "facets": {facet.name: facet.title.of(lang) for facet in facets},
        "questions": {facet.name: facet.question.of(lang) for facet in facets},
        "sees": {facet.name: facet.sees.of(lang) for facet in facets},
        "flags": {flag: why.of(lang) for facet in facets for flag, why in facet.flags.items()},
        "wanted": {name: said.of(lang) for facet in facets for name, said in _wanted(facet)},
        "floor": {facet.name: facet.floor_title.of(lang) for facet in facets if facet.floor_title},
        "stands_out": {facet.name: facet.stands_out.of(lang) for facet in facets if facet.stands_out},
        "caveats": {facet.name: facet.caveat.of(lang) for facet in facets if facet.caveat},
        "unlabelled": {facet.name: facet.unlabelled_caveat.of(lang) for facet in facets if facet.unlabelled_caveat},
        "against": {facet.name: facet.against.title.of(lang) for facet in facets if facet.against},
        "against_text": {facet.name: facet.against.text.of(lang) for facet in facets if facet.against},
        "facet_curves": {name: curve.title.of(lang) for name, curve in curves.items()}
        | {f"{name}_x": curve.x.of(lang) for name, curve in curves.items()}
        | {f"{name}_y": curve.y.of(lang) for name, curve in curves.items()},
        "metrics": {metric.name: metric.title.of(lang) for metric in METRICS.values()},
        "purposes": {name: said.of(lang) for name, said in PURPOSES.items()},
    }


def _wanted(facet: Facet) -> list[tuple[str, Said]]:
    """By the facet's name, and by the metrics that make it another wish."""
    return [*([(facet.name, facet.wanted)] if facet.wanted else []), *facet.wanted_by.items()]
