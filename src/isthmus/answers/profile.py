"""A profile of data in plain English and Chinese: what spoils, the columns, the rows, the questions."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.answers.spoilers import NAMED, lines, percent
from isthmus.answers.words import Words, capital
from isthmus.data.fields import TEXTS
from isthmus.data.wording import shown
from isthmus.study.profile import Column, Profile


class Told(NamedTuple):
    """The parts of a profile, in words."""

    title: str
    spoilers: list[str]
    heads: list[str]
    """Of the table of columns."""
    columns: list[list[str]]
    """One row for each column; of those that serve for something else the last cell says for what."""
    more: str
    """How many columns are not listed; empty if none."""
    rows: list[str]
    questions: list[str]


def told(profile: Profile, name: str, lang: str = "en") -> Told:
    """What a profile says.

    Parameters
    ----------
    profile : Profile
    name : str
        Of the data.
    lang : {"en", "zh"}, default "en"

    Examples
    --------
    >>> from isthmus.data.read import read
    >>> from isthmus.study.profile import profiled
    >>> said = told(profiled(read("iris"), 2), "iris")
    >>> said.title
    'iris: 150 rows of 4 columns; 3 classes (setosa 50, versicolor 50 and virginica 50)'
    >>> said.columns[0][:4]
    ['sepal length (cm)', 'number', '–', '4.3 to 7.9']
    """
    say = Words(lang)
    heads = [say("profile." + key) for key in ("name", "kind", "gaps", "values", "use")]
    columns = [_column(one, profile, say) for one in profile.columns]
    dash = say("brief.unknown")
    columns += [
        [shown_plainly(names), dash, dash, dash, say("profile.roles_" + role)] for role, names in profile.beside.items()
    ]
    left = max(0, sum(profile.kinds.values()) - len(profile.columns)) if profile.columns else 0
    more = say("profile.more", n=f"{left:,}") if left else ""
    return Told(
        _title(profile, name, say),
        lines(profile.spoilers, say),
        heads,
        columns,
        more,
        _rows(profile, say),
        _questions(profile, say),
    )


def shown_plainly(text: str) -> str:
    """A name in a table, shortened."""
    return text if len(text) <= 40 else text[:39] + "…"


def _title(profile: Profile, name: str, say: Words) -> str:
    size = "×".join(map(str, profile.shape))
    what = say("profile.columns", n=size) if len(profile.shape) == 1 else size
    said = [say("profile.title", data=name, rows=f"{profile.rows:,}", size=what)]
    if profile.class_count:
        pairs = [f"{shown_plainly(one)} {rows:,}" for one, rows in list(profile.classes.items())[:NAMED]]
        few = len(pairs) == profile.class_count
        classes = (
            say.phrase(pairs)
            if few
            else say("profile.others", names=say("page.comma").join(pairs), n=profile.class_count - len(pairs))
        )
        own = profile.beside.get("label")
        key = "profile.label" if own else "profile.labels"
        said.append(say(key, name=shown(own or ""), n=profile.class_count, classes=classes))
    if profile.anomaly is not None:
        said.append(say("profile.anomaly", name=shown(profile.anomaly)))
    return say("page.stop").join(said)


def _column(one: Column, profile: Profile, say: Words) -> list[str]:
    dash = say("brief.unknown")
    name = shown_plainly(one.name)
    if not one.kind:
        why = one.why_zh if say.lang == "zh" else one.why
        return [name, say("profile.aside"), dash, dash, say("profile.use_aside", why=why)]
    gaps = percent(one.gaps / profile.rows) if one.gaps else dash
    kind = one.kind + (f" ({say('profile.asked')})" if one.asked else "")
    return [name, kind, gaps, _values(one, say), _use(one, say)]


def _values(one: Column, say: Words) -> str:
    low, high, common = (shown_plainly(text) for text in (one.low, one.high, one.common))
    if one.distinct == 1:
        return say("profile.one", low=low)
    if one.kind in ("category", "ordered", "flag", *TEXTS):
        return say("profile.commonest", n=f"{one.distinct:,}", share=percent(one.common_share), common=common)
    return say("profile.range", low=low, high=high)


def _use(one: Column, say: Words) -> str:
    key = one.kind if one.scale == "table" else one.scale
    width = one.elements - (one.gaps > 0) - (one.kind == "category")  # the last place is that of all other values
    said = say("profile.use_" + key, n=f"{width:,}")
    return say("page.stop").join([said, say("profile.use_gaps")]) if one.gaps else said


def _rows(profile: Profile, say: Words) -> list[str]:
    said = []
    if profile.low is not None and profile.high is not None:
        scale = say("profile.numbers_" + profile.scale)
        said.append(say("profile.numbers", low=f"{profile.low:.6g}", high=f"{profile.high:.6g}", scale=scale))
    size = f"{profile.elements:,}"
    if profile.dimension is None:
        said.append(say("profile.elements_only", n=size))
    else:
        said.append(say("profile.elements", n=size, dimension=f"{float(f'{profile.dimension:.2g}'):,g}"))
    if profile.gaps:
        rows, share = profile.rows_with_gaps, percent(profile.rows_with_gaps / profile.rows)
        said.append(say("profile.missing", n=f"{profile.gaps:,}", rows=f"{rows:,}", share=share))
    if profile.copies:
        said.append(say("profile.copies", n=f"{profile.copies:,}", share=percent(profile.copies / profile.rows)))
    for key, names, count in (
        ("constant", profile.constant, profile.constants),
        ("nearly", profile.nearly, profile.nearlies),
        (
            "twins",
            [say("profile.twin_" + one.how, name=shown(one.name), of=shown(one.of)) for one in profile.twins],
            profile.twin_count,
        ),
    ):
        if count:
            some = [name if key == "twins" else shown(name) for name in names[:NAMED]]
            more = count - len(some)
            text = say("page.comma").join(some)
            said.append(
                say(
                    "profile." + key,
                    n=f"{count:,}",
                    names=say("profile.others", names=text, n=f"{more:,}") if more else say.phrase(some),
                )
            )
    for key, value in (("groups", profile.groups), ("times", profile.times), ("worth", profile.worth)):
        if value is not None:
            said.append(say("profile." + key, n=f"{value:,.0f}"))
    return said


def _questions(profile: Profile, say: Words) -> list[str]:
    said = []
    if profile.facets:
        said.append(say("profile.facets", names=say.phrase([say.title(facet).lower() for facet in profile.facets])))
    for facet, reason in profile.skipped.items():
        name = say.title(facet)
        text = say.name("skipped", reason).rstrip(".")
        said.append(capital(say("profile.skipped", name=name.lower(), reason=text)))
    return said
