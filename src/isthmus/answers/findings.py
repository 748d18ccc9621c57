"""What the doctor found in the chosen models of a study: counted, and one line for each contender and defect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.answers.words import Words
from isthmus.doctor import words as defects

LINE = {
    "en": "{who}: {name} in {n} of {total} runs ({evidence}).",
    "zh": "{who}：{total} 次运行中有 {n} 次出现{name}（{evidence}）。",
}
LINE_OF_DATA = {
    "en": "Data: {name} in {n} of {total} splits ({evidence}).",
    "zh": "数据：{total} 次划分中有 {n} 次出现{name}（{evidence}）。",
}


@dataclass(frozen=True)
class Counted:
    """One defect of one contender over all its runs, or of the data over all splits."""

    who: str | None
    """None: the data."""
    name: str
    n: int
    """Runs, or splits, that have it."""
    total: int
    """Runs of this contender, or splits."""
    evidence: dict[str, float | str | None]
    """The numbers of the first of them."""

    def title(self, lang: str) -> str:
        """The name of the defect for people."""
        return defects.text(self.name, lang).title

    def numbers(self, lang: str) -> str:
        """The evidence in one phrase."""
        return defects.numbers(self.evidence, lang)


def count(records: Iterable[Mapping[str, Any]]) -> list[Counted]:
    """All defects in ``records`` (as plain data), in the order of the records; each run, or split, counts once."""
    total: dict[str | None, dict[Any, None]] = {}
    found: dict[tuple[str | None, str], dict[Any, dict[str, float | str | None]]] = {}
    for number, record in enumerate(records):
        job = record["job"]
        keys = {job["name"]: number, None: (job.get("view"), job.get("replicate"))}
        for who, key in keys.items():
            total.setdefault(who, {})[key] = None
        for name, evidence in {f["name"]: f["evidence"] for f in reversed(record["findings"])}.items():
            who = None if name in defects.OF_DATA else job["name"]
            found.setdefault((who, name), {}).setdefault(keys[who], evidence)
    return [
        Counted(who, name, len(seen), len(total[who]), next(iter(seen.values()))) for (who, name), seen in found.items()
    ]


def lines(found: Iterable[Counted], lang: str = "en", titles: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each grave defect; ``titles`` as in :func:`isthmus.answers.sentences.sentence`."""
    say = Words(lang, titles)
    return [
        (LINE_OF_DATA if r.who is None else LINE)[lang].format(
            who=say.title(r.who), name=r.title(lang), n=r.n, total=r.total, evidence=r.numbers(lang)
        )
        for r in found
        if r.name not in defects.MILD
    ]
