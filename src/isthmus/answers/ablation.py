"""What parts are worth in plain English and Chinese: one sentence for each facet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isthmus.answers.sentences import number
from isthmus.answers.words import Words
from isthmus.evidence.outcome import Relation
from isthmus.metrics import METRICS

if TYPE_CHECKING:
    from isthmus.study.ablation import AblationResults, Effect, Part

ORDER: tuple[Relation, ...] = ("better", "worse", "equal", "undecided")


def lines(ablation: AblationResults, lang: str = "en", titles: Mapping[str, str] | None = None) -> list[str]:
    """One line for each facet that decides, then one for each part that could not be taken away."""
    say = Words(lang, titles)
    said = [line for facet, found in ablation.effects().items() if (line := _facet(facet, found, say))]
    return said + [say("ablation.refused", part=part, reason=why) for part, why in ablation.refused.items()]


def _facet(facet: str, found: Sequence[Effect], say: Words) -> str:
    """What is worth it, harmful and so on; "" where the facet only describes."""
    groups = {claim: [one for one in found if one.claim == claim] for claim in ORDER}
    texts = [
        say("ablation.claim", claim=say("ablation." + claim), parts=_all(ones, claim, say))
        for claim, ones in groups.items()
        if ones
    ]
    if not texts:
        return ""
    text = say("page.stop").join(texts)
    return say.close(
        "verdict.facet", facet=say.title(facet), text=text + say("ablation.by", metric=say.title(found[0].metric))
    )


def _all(ones: Sequence[Effect], claim: str, say: Words) -> str:
    return say.phrase([_part(one, say) if claim in {"better", "worse"} else one.part.field for one in ones])


def _part(one: Effect, say: Words) -> str:
    pair = one.pair
    if pair.mean is None or pair.low is None or pair.high is None:
        return one.part.field
    values = {"mean": pair.mean, "low": pair.low, "high": pair.high}
    return say("ablation.size", part=one.part.field, **{name: change(one, value) for name, value in values.items()})


def change(one: Effect, value: float) -> str:
    """A difference, full minus without, with its sign: in the metric's unit, or in per cent where that is a ratio."""
    text = f"{number(100 * value)}%" if METRICS[one.metric].relative else number(value)
    return text if value < 0 else "+" + text


def spelled(part: Part) -> str:
    """The part and what becomes of it.

    Examples
    --------
    >>> from isthmus.study.ablation import Part
    >>> spelled(Part("strength", 0.03, 0.0)), spelled(Part("hidden", [64, 32], []))
    ('strength 0.03 → 0', 'hidden 64,32 → none')
    """
    return f"{part.field} {_value(part.value)} → {_value(part.off)}"


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
