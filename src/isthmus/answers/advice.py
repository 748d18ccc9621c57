"""What to take, in plain English and Chinese: one line for each purpose, where facets disagree, pros and cons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from isthmus.answers import cut
from isthmus.answers.sentences import number, size, useless
from isthmus.answers.words import Words
from isthmus.evidence.pareto import pareto
from isthmus.evidence.proscons import Claim
from isthmus.evidence.purposes import PRICES, PurposeVerdict, apart, decided_first, deciding
from isthmus.evidence.verdict import FacetVerdict


def recommend(
    verdicts: Mapping[str, FacetVerdict],
    purposes: Sequence[PurposeVerdict],
    lang: str = "en",
    titles: Mapping[str, str] | None = None,
) -> list[str]:
    """One plain line for each purpose, for each facet that only describes, and what the facets say together.

    There is no overall score.

    Parameters
    ----------
    verdicts : mapping of str to FacetVerdict
        One for each facet.
    purposes : sequence of PurposeVerdict
        As :func:`isthmus.evidence.purposes.answered` finds them.
    lang : {"en", "zh"}, default "en"
    titles : mapping of str to str, optional
        As in :func:`isthmus.answers.sentences.sentence`.
    """
    say = Words(lang, titles)
    lines = [for_purpose(one, say) for one in decided_first(purposes)]
    return lines + [for_facet(v, say) for v in apart(verdicts, purposes)] + together(verdicts.values(), say)


def for_purpose(one: PurposeVerdict, say: Words) -> str:
    """What to take for a purpose, how large the effect is, and what it costs."""
    return say.close("advice.line", purpose=aim(one, say), text=_taken(one, say))


def aim(one: PurposeVerdict, say: Words) -> str:
    """What somebody wants who has this purpose."""
    own = say.name("wanted", one.purpose, say.title(one.purpose))
    return say.name("wanted", one.verdicts[0].metric, say.name("purposes", one.purpose, own))


def for_facet(v: FacetVerdict, say: Words) -> str:
    """Who stands out in a facet that only describes."""
    shown = {"leader": say.title(v.leader), "metric": say.title(v.metric)}
    text = say("advice.take_nothing") if v.kind == "no evidence" else say("stands_out." + v.facet, **shown)
    return say.close("advice.line", purpose=say("wanted." + v.facet), text=text)


def together(verdicts: Iterable[FacetVerdict], say: Words) -> list[str]:
    """Who is at the top of all facets that decide; else who leads in which, and who is not ruled out."""
    asked = [v for v in deciding(verdicts) if not v.useless]  # nobody is at the top of those
    if len(asked) < 2:
        return []
    tops = [{v.leader, *v.equal} for v in asked]  # those not told apart are not shown to be at the top
    common = next((name for name in asked[0].means if all(name in top for top in tops)), None)
    if common is not None:
        facets = say.phrase([say.title(v.facet).lower() for v in asked])
        return [say.close("advice.agree", leader=say.title(common), facets=facets)]
    left = pareto(asked)
    lines = [say.close("advice.apart", leads=_leads(asked, say))]
    if left.behind:
        total = len(left.members) + len(left.behind)
        lines.append(say.close("advice.pareto", names=say.some(left.members), n=len(left.members), total=total))
    elif left.members:
        lines.append(say.close("advice.open"))
    return lines


def claim(one: Claim, say: Words) -> str:
    """A pro or a con in a few words."""
    kind, other = "good" if one.good else "bad", say.title(one.other)
    if one.times is not None and one.metric in PRICES:
        key = f"proscons.{kind}_{one.metric}"
        return say(key, times=multiple(one.times), other=other)
    shown = {"facet": say.title(one.facet).lower(), "metric": say.title(one.metric)}
    return say(
        "proscons.best" if one.best else "proscons." + kind,
        **shown,
        x=number(one.mine),
        y=number(one.theirs),
        other=other,
    )


def multiple(times: float) -> str:
    """How many times as much, in two digits: clocks and differences do not say more.

    Examples
    --------
    >>> multiple(3.14159), multiple(0.4963), multiple(1234.0)
    ('3.1', '0.5', '1,200')
    """
    return number(float(f"{times:.2g}"))


def _taken(one: PurposeVerdict, say: Words) -> str:
    if one.kind == "no evidence":
        return say("advice.take_nothing")
    if one.kind == "useless":
        told = useless(next(v for v in one.verdicts if v.useless), say)
        return told + (say("advice.at_best", choice=say.title(one.take)) if one.take else say("advice.useless"))
    needed = say("advice.needed", needed=one.replicates_needed) if one.replicates_needed else ""
    needed += next((cut.more(v, say) for v in one.verdicts if v.halted), "")
    if one.kind == "undecided":
        if len(one.verdicts) > 1:
            key = "advice.several" if len(one.open) > 1 else "advice.single"
            return say(key, names=say.some(one.open)) + needed
        return _bet(one, one.verdicts[0], say) + needed
    if one.kind == "depends":
        leaders = {next(name for name in v.means if name in one.pareto.members) for v in one.verdicts}
        others = [name for name in one.pareto.members if name not in leaders]
        text = say("advice.depends", leads=_leads(one.verdicts, say, one.pareto.members))
        return text + (say("advice.also", names=say.some(others)) if others else "")
    key = {"rival": "take_rival", "rival enough": "take_enough"}.get(one.kind, "take")
    text = say("advice." + key, leader=say.title(one.take), rival=say.title(one.take)) + _effect(one, say)
    text += say("advice.or", names=say.some(one.equal)) if one.equal else ""
    text += say("advice.maybe", names=say.some(one.open)) if one.open else ""
    return text + _price(one, say)


def _bet(one: PurposeVerdict, v: FacetVerdict, say: Words) -> str:
    """Between whom it is undecided, whom to take nevertheless, and what that is expected to cost."""
    shown = {"autoencoder": say.title(v.autoencoder), "rival": say.title(v.rival), "choice": say.title(one.take)}
    if one.regret is None:
        return say("advice.take_simpler", **shown)
    return say("advice.take_bet", **shown, loss=loss(one.regret, v), metric=say.title(v.metric))


def loss(regret: float, v: FacetVerdict) -> str:
    """An expected regret in the metric's unit or in per cent, in two digits."""
    return size(float(f"{regret:.2g}"), v)


def _effect(one: PurposeVerdict, say: Words) -> str:
    """Means of the one to take and of the best of the other side, in the units of the metrics."""
    shown = [
        (v.metric, v.side_by_side(one.take, one.against))
        for v in one.verdicts
        if one.take != one.against and {one.take, one.against} <= v.means.keys()
    ]
    effects = [say("advice.values", metric=say.title(metric), x=number(x), y=number(y)) for metric, (x, y) in shown]
    joined = say("page.comma").join(effects)
    return say("advice.effect", effects=joined, other=say.title(one.against)) if effects else ""


def _price(one: PurposeVerdict, say: Words) -> str:
    if not one.prices:
        return ""
    prices = [say("advice.price_" + price.metric, times=multiple(price.times)) for price in one.prices]
    shown = {"leader": say.title(one.take), "other": say.title(one.prices[0].other)}
    return say("advice.price", **shown, prices=say.phrase(prices))


def _leads(verdicts: Sequence[FacetVerdict], say: Words, among: Sequence[str] | None = None) -> str:
    """Who has the best mean in which facets."""
    found: dict[str, list[str]] = {}
    for v in verdicts:
        leader = next(name for name in v.means if among is None or name in among)
        found.setdefault(leader, []).append(say.title(v.facet).lower())
    said = [say("advice.leads", leader=say.title(name), facets=say.phrase(facets)) for name, facets in found.items()]
    return say("advice.next").join(said)
