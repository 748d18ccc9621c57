"""All that a study says, in plain English and Chinese: what to take, who is ill, what a race did."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.answers import cut, findings, racing
from isthmus.answers.advice import recommend
from isthmus.answers.spoilers import first
from isthmus.answers.words import Words
from isthmus.study.results import Results


def recommendation(study: Results, lang: str = "en", titles: Mapping[str, str] | None = None) -> list[str]:
    """What may spoil the answer, and that trainings were cut too early; then what to take for each purpose, whether the
    facets agree, and who is ill.

    Parameters
    ----------
    study : Results
    lang : {"en", "zh"}, default "en"
    titles : mapping of str to str, optional
        Other names for facets, metrics and contenders.
    """
    ills = findings.count(record.model_dump(include={"job", "findings"}) for record in study.records)
    early = cut.notice(study.verdict().values(), Words(lang, titles))
    said = first(study, Words(lang, titles)) + [early] * bool(early)
    said += recommend(study.verdict(), study.purposes(), lang, titles)
    return said + findings.lines(ills, lang, titles) + racing.lines(study, lang)
