"""Rankings over data sets in plain English and Chinese: one line for each facet, one for each pair that shares rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from isthmus.answers.words import Words
from isthmus.evidence.ranking import LEAST_SETS, Ranking


def lines(
    rankings: Iterable[Ranking],
    alike: Sequence[tuple[str, str, float]] = (),
    lang: str = "en",
    titles: Mapping[str, str] | None = None,
) -> list[str]:
    """One line for each facet, then one for each pair that shares rows ``(name, name, share of rows)``.

    Examples
    --------
    >>> from isthmus.evidence.ranking import rank
    >>> scores = {"plain": [0.9, 0.8, 0.9, 0.8, 0.9, 0.8], "pca": [0.5, 0.6, 0.5, 0.6, 0.5, 0.6]}
    >>> about = {"facet": "anomaly", "metric": "auroc", "higher": True, "rope": 0.01, "relative": False}
    >>> lines([rank(scores, list("abcdef"), rivals={"pca"}, **about)])[0].split(";")[0]
    'Anomaly detection: over 6 data sets plain ranks first by AUROC (mean rank 1.00 of 2)'
    """
    say = Words(lang, titles)
    said = [say.close("verdict.facet", facet=say.title(one.facet), text=_placed(one, say)) for one in rankings]
    return said + [say("ranking.overlap", a=a, b=b, share=f"{100 * share:.0f}") for a, b, share in alike]


def _placed(one: Ranking, say: Words) -> str:
    if one.first is None or all(v is None for values in one.scores.values() for v in values):
        return say("verdict.nothing")
    best = one.ranks[one.first]
    text = say(
        "ranking.first",
        n=len(one.sets),
        first=say.title(one.first),
        metric=say.title(one.metric),
        rank=f"{best:.2f}",
        k=len(one.ranks),
    )
    level = [name for name, mean in one.ranks.items() if mean == best and name != one.first]
    text += say("ranking.level", names=say.some(level)) if level else ""
    if not one.enough:
        return text + say("ranking.few", least=LEAST_SETS)
    for key, names in (("ranking.better", one.worse), ("ranking.equal", one.equal), ("ranking.open", one.undecided)):
        text += say(key, first=say.title(one.first), names=say.some(names)) if names else ""
    text += _other_side(one, one.first, say)
    return text + (say("ranking.tested", p=_chance(one.friedman.p)) if one.friedman is not None else "")


def _other_side(one: Ranking, first: str, say: Words) -> str:
    """The best of the side that the first does not belong to: an autoencoder or a rival."""
    rival = first in one.rivals
    other = one.autoencoder if rival else next(iter(one.rivals), None)
    if other is None:
        return ""
    shown = {"name": say.title(other), "first": say.title(first), "rank": f"{one.ranks[other]:.2f}"}
    text = say("ranking.other_autoencoder" if rival else "ranking.other_rival", **shown)
    return text + say("ranking.is_" + one.relation(other, first), **shown)


def _chance(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
