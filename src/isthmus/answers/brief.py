"""The ten-second answer: one short line for each purpose, what was decided before what is open."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from isthmus.answers.advice import aim, loss
from isthmus.answers.sentences import chance, ground, number
from isthmus.answers.words import Words
from isthmus.evidence.purposes import PurposeVerdict, decided_first
from isthmus.evidence.verdict import LEAST, FacetVerdict
from isthmus.facets import FACETS


class Line(NamedTuple):
    """One row of the table."""

    purpose: str
    take: str
    """Whom to take, or why nobody."""
    sure: str
    """The probability that carries the choice, or what a bet is expected to lose and what would tell."""
    gain: str
    """What the choice gains over the simplest rival."""
    command: str
    """What follows ``isthmus take FOLDER``, if the choice is a model of the study or a rival that it saves."""
    more: str
    """What follows ``isthmus compare --out FOLDER``, if more replicates would tell."""
    kind: str
    """How it ended, as in :class:`isthmus.evidence.purposes.PurposeVerdict`."""


def brief(
    purposes: Sequence[PurposeVerdict],
    families: Sequence[str],
    lang: str = "en",
    titles: Mapping[str, str] | None = None,
) -> list[Line]:
    """The lines, what was decided first.

    Parameters
    ----------
    purposes : sequence of PurposeVerdict
        As :func:`isthmus.evidence.purposes.answered` finds them.
    families : sequence of str
        Contenders of which the study keeps models.
    lang : {"en", "zh"}, default "en"
    titles : mapping of str to str, optional
        Other names for facets, metrics and contenders.

    Examples
    --------
    >>> from isthmus.evidence.purposes import answered
    >>> from isthmus.evidence.verdict import judge
    >>> scores = {"plain": [0.9, 0.91, 0.92], "pca": [0.8, 0.81, 0.82]}
    >>> about = {"metric": "auroc", "higher": True, "rope": 0.01, "rivals": {"pca"}, "test_fraction": 1 / 3}
    >>> line, = brief(answered({"anomaly": judge(scores, facet="anomaly", **about)}), ["plain", "pca"])
    >>> line.take, line.sure, line.gain, line.command
    ('plain', '> 0.99', '+0.1 AUROC against PCA', 'plain --for anomaly --out model')
    """
    say = Words(lang, titles)
    return [_line(one, families, say) for one in decided_first(purposes)]


def _line(one: PurposeVerdict, families: Sequence[str], say: Words) -> Line:
    facet = one.verdicts[0].facet
    saved = one.take in families or one.take in FACETS[facet].networks
    place = "model" if saved else "model.py" if one.take in FACETS[facet].kin else ""
    command = f"{_word(one.take)} --for {facet} --out {place}" if place else ""
    gain, more = _gain(one.take, one.verdicts, say), _more(one)
    return Line(aim(one, say), _take(one, say), _sure(one, say), gain, command, more, one.kind)


def _more(one: PurposeVerdict) -> str:
    """The replicates that are missing to what would tell."""
    if one.kind != "undecided" or not one.replicates_needed:
        return ""
    return f"--more {max(1, one.replicates_needed - max(v.replicates for v in one.verdicts))}"


def _word(name: str | None) -> str:
    """A name as a shell takes it; what does not show is shown as such, for names come from files.

    Examples
    --------
    >>> _word("plain"), _word("two words"), _word("a\\u202eb")
    ('plain', "'two words'", "'a�b'")
    """
    return shlex.quote("".join(sign if sign.isprintable() else "�" for sign in name or ""))


def _take(one: PurposeVerdict, say: Words) -> str:
    if one.kind == "useless":
        floor = ground(next(v for v in one.verdicts if v.useless), say)
        return (
            say("brief.at_best", name=say.title(one.take), floor=floor)
            if one.take
            else say("brief.nobody", floor=floor)
        )
    if one.kind == "undecided" and one.take:
        return say("brief.bet", name=say.title(one.take), names=say.either([say.title(name) for name in one.open]))
    if one.kind in {"undecided", "depends"}:
        shown = [say.title(name) for name in one.open]
        text = say("brief.others", names=say.either(shown[:2]), n=len(shown) - 2) if len(shown) > 3 else ""
        return say("brief." + one.kind, names=text or say.either(shown))
    if one.take is None:
        return say("brief.nothing")
    key = "brief.rival" if one.kind in {"rival", "rival enough"} else "brief.take"
    text = say(key, name=say.title(one.take))
    return text + (say("brief.equal", names=say.some(one.equal)) if one.equal else "")


def _sure(one: PurposeVerdict, say: Words) -> str:
    """The least sure of what the choice rests on."""
    if one.kind == "undecided":
        text = _open(one, say)
        known = one.take is not None and one.regret is not None
        return say("brief.loss", loss=loss(one.regret or 0.0, one.verdicts[0]), text=text) if known else text
    if one.kind == "useless":
        return say("brief.useless")
    if one.kind == "no contest":
        alone = all(name in v.rivals for v in one.verdicts for name in v.means)
        return say("brief.no_autoencoder" if alone else "brief.no_rival")
    chances = [p for v in one.verdicts if (p := _chance(one, v)) is not None]
    return chance(min(chances)) if chances and len(one.verdicts) == 1 else say("brief.unknown")


def _open(one: PurposeVerdict, say: Words) -> str:
    """What would settle it: more steps, more replicates, or nothing that is known."""
    if steps := max((v.steps_needed or 0 for v in one.verdicts if v.halted), default=0):
        return say("brief.steps", n=steps)
    if one.replicates_needed:
        return say("brief.needed", n=one.replicates_needed)
    few = all(pair.n < LEAST for v in one.verdicts for pair in v.pairs)
    return say("brief.few", n=LEAST) if few else say("brief.open")


def _chance(one: PurposeVerdict, v: FacetVerdict) -> float | None:
    """That the choice beats every rival; or that the best autoencoder does not beat the rival that was chosen."""
    if one.kind == "autoencoder":
        found = [v.pair(one.take, name).better for name in v.rivals]
        return None if None in found else min(p for p in found if p is not None)
    if one.kind == "rival":
        return v.pair(v.rival, v.autoencoder).better
    if one.kind == "rival enough":
        pair = v.pair(v.autoencoder, v.rival)
        return None if pair.equal is None or pair.worse is None else pair.equal + pair.worse
    return None


def _gain(who: str | None, verdicts: Sequence[FacetVerdict], say: Words) -> str:
    """What the first facet that decides says of the choice against its simplest rival."""
    v = next((v for v in verdicts if FACETS[v.facet].crowns), verdicts[0])
    simplest = FACETS[v.facet].simplest
    if who is None or {who, simplest} - v.means.keys():
        return say("brief.unknown")
    if who == simplest:
        return say("brief.simplest")
    mean = v.pair(who, simplest).mean
    if mean is None:
        return say("brief.unknown")
    size = f"{number(float(f'{100 * mean:.2g}'))}%" if v.relative else number(float(f"{mean:.2g}"))
    key = "brief.gain" if v.higher else "brief.gain_lower"
    return say(key, size=size if mean < 0 else "+" + size, metric=say.title(v.metric), other=say.title(simplest))
