"""One plain sentence in English or Chinese for the verdict on a facet, with the evidence that it rests on."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.answers import cut
from isthmus.answers.words import Words
from isthmus.evidence.stats import Pair
from isthmus.evidence.verdict import LEAST, UNBEATEN, UNSCORED, FacetVerdict
from isthmus.facets import crowns


def sentence(verdict: FacetVerdict, lang: str = "en", titles: Mapping[str, str] | None = None) -> str:
    """What one facet says of "which autoencoder, if any", with its evidence, in one sentence.

    Parameters
    ----------
    verdict : FacetVerdict
    lang : {"en", "zh"}, default "en"
    titles : mapping of str to str, optional
        What people call facets, metrics and contenders; names that stand nowhere are said as they are.

    Examples
    --------
    >>> from isthmus.evidence.verdict import judge
    >>> scores = {"plain": [0.901, 0.905, 0.902], "pca": [0.902, 0.904, 0.902]}
    >>> v = judge(scores, metric="auroc", higher=True, rope=0.01, rivals={"pca"}, test_fraction=1 / 3, facet="anomaly")
    >>> sentence(v).split(" (")[0]
    'Anomaly detection: PCA is enough: plain, the best autoencoder, is practically equal to it'
    """
    say = Words(lang, titles)
    text = _described(verdict, say) if not crowns(verdict.facet) else _decided(verdict, say)
    out = [name for name, reason in verdict.excluded.items() if reason not in {UNSCORED, UNBEATEN}]
    text += say("verdict.left_out", names=say.some(out)) if out else ""
    no_better = [name for name, reason in verdict.excluded.items() if reason == UNBEATEN]
    text += say("verdict.random", names=say.some(no_better)) if no_better else ""
    return say.close("verdict.facet", facet=say.title(verdict.facet or verdict.metric), text=text)


def _decided(v: FacetVerdict, say: Words) -> str:
    if v.unbeaten:
        return useless(v, say)
    if v.kind == "no evidence":
        return _nothing(v, say)
    if v.useless:
        return useless(v, say)
    names = _names(v, say)
    if v.outcome == "rival":
        return say("verdict.rival", **names) + _evidence(v, v.rival, v.autoencoder, say)
    if v.outcome == "rival enough":
        key = "enough_equal" if v.pair(v.autoencoder, v.rival).relation == "equal" else "enough"
        return say("verdict." + key, **names, rope=size(v.rope, v)) + _evidence(v, v.autoencoder, v.rival, say)
    if v.outcome == "undecided":
        return _undecided(v, say)
    second = v.rival if v.outcome == "autoencoder" else list(v.means)[1]
    key = "best" if v.kind == "better" else "autoencoder" if v.outcome == "autoencoder" else "tops"
    text = say("verdict." + key, **names)
    text += say("verdict.equal", **names, names=say.some(v.equal)) if v.equal else ""
    text += say("verdict.open", **names, names=say.some(v.undecided)) if v.undecided else ""
    text += cut.held(v, say) if v.cut else ""
    return text + _evidence(v, v.leader, second, say)


def ground(v: FacetVerdict, say: Words) -> str:
    """What nobody beats in a table of no use, in words."""
    return say("verdict.random_one") if v.unbeaten else say("floor." + v.facet)


def useless(v: FacetVerdict, say: Words) -> str:
    """That nobody is shown to beat what comes without learning; or that nobody even seems to."""
    if v.unbeaten:
        return say("verdict.random_unbeaten")
    best = next(iter(v.means.values()))
    seems = v.floor is not None and (best > v.floor if v.higher else best < v.floor)
    shown = {"floor": say("floor." + v.facet), "leader": say.title(v.leader), **_value(v, say)}
    return say("verdict.unproven" if seems else "verdict.useless", **shown, level=number(v.floor or 0.0))


def _undecided(v: FacetVerdict, say: Words) -> str:
    """Of the best autoencoder and the best rival that it is not shown to beat."""
    rival = next(r for r in v.rivals if v.pair(v.autoencoder, r).relation != "better")
    pair = v.pair(v.autoencoder, rival)
    shown = {"autoencoder": say.title(v.autoencoder), "rival": say.title(rival)}
    if v.halted:
        return say("cut.undecided", **shown) + cut.held(v, say) + _evidence(v, v.autoencoder, rival, say)
    text = say("verdict.undecided", **shown)
    text += _evidence(v, v.autoencoder, rival, say)
    if pair.n < LEAST or pair.dropped:
        return text
    return text + (
        say("verdict.needed", needed=v.replicates_needed) if v.replicates_needed else say("verdict.hopeless")
    )


def _names(v: FacetVerdict, say: Words) -> dict[str, str]:
    return {"autoencoder": say.title(v.autoencoder), "rival": say.title(v.rival), "leader": say.title(v.leader)}


def _described(v: FacetVerdict, say: Words) -> str:
    if v.kind == "no evidence":
        return _nothing(v, say)
    top, *others = v.means.items()
    leader = say.title(top[0])
    text = say("verdict.highest" if v.higher else "verdict.lowest", leader=leader, **_value(v, say))
    near = [name for name, mean in others if _gap(top[1], mean, v.relative) <= v.rope]
    text += say("verdict.near", leader=leader, names=say.some(near), rope=size(v.rope, v)) if near else ""
    return text + say("caveats." + v.facet, rope=size(v.rope, v))


def _gap(one: float, two: float, relative: bool) -> float:
    """How far two means are from each other, on the scale of the rope."""
    low, high = sorted([one, two])
    return high / low - 1 if relative and low > 0 else high - low


def _nothing(v: FacetVerdict, say: Words) -> str:
    return say("verdict.alone", leader=say.title(v.leader), **_value(v, say)) if v.leader else say("verdict.nothing")


def _value(v: FacetVerdict, say: Words) -> dict[str, str]:
    """The metric and the leader's mean, which is the first."""
    return {"metric": say.title(v.metric), "value": number(next(iter(v.means.values())))}


def _evidence(v: FacetVerdict, a: str | None, b: str | None, say: Words) -> str:
    pair = v.pair(a, b)
    x, y = map(number, v.side_by_side(a, b))
    shown = {"metric": say.title(v.metric), "x": x, "y": y, "other": say.title(b)}
    if pair.low is None or pair.high is None or pair.mean is None:
        return say("verdict.one_replicate", **shown)
    ends = {key: size(value, v) for key, value in (("mean", pair.mean), ("low", pair.low), ("high", pair.high))}
    return say("verdict.evidence", **shown, **ends, claim=_claim(v, pair, say), n=pair.n)


def _claim(v: FacetVerdict, pair: Pair, say: Words) -> str:
    rope, worse, equal, better = size(v.rope, v), pair.worse or 0.0, pair.equal or 0.0, pair.better or 0.0
    if pair.relation == "better":
        return say("verdict.sure", p=chance(better), rope=rope, p_value=f"{pair.p_adjusted:.2g}")
    if pair.relation == "equal":
        return say("verdict.within", p=chance(equal), rope="±" + rope)
    if v.outcome == "rival enough" and pair.a == v.autoencoder:
        return say("verdict.no_more", p=chance(equal + worse), rope=rope)
    return say("verdict.three", worse=chance(worse), equal=chance(equal), better=chance(better))


def size(value: float, v: FacetVerdict) -> str:
    """A difference in the metric's unit, or in per cent where the metric compares by ratio; rounding noise is none."""
    value = 0.0 if abs(value) < v.rope * 1e-9 else value
    return f"{number(100 * value)}%" if v.relative else number(value)


def number(value: float) -> str:
    """Three digits, no exponent for large ones, and a real minus sign."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−") if "e" not in text else text


def chance(p: float) -> str:
    """A probability in two digits, never a certainty."""
    return "> 0.99" if p > 0.99 else "< 0.01" if p < 0.01 else f"{p:.2f}"
