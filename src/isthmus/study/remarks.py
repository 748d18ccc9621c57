"""What the doctor found in the chosen models of a study: counted, and one line for each contestant and defect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.study.words import Words

MILD = ("stopped too early",)
"""Findings that do not spoil a result; tables hold them, sentences do not."""
ZH = {
    "diverged": "训练发散",
    "not trained": "没有学到东西",
    "posterior collapse": "后验坍缩",
    "codebook collapse": "码本坍缩",
    "dead units": "大量失活单元",
    "constant code": "编码恒定",
    "constant output": "输出不优于均值",
    "stopped too early": "训练过早截断",
}
LINE = {
    "en": "{who}: {name} in {n} of {total} runs ({evidence}).",
    "zh": "{who}：{total} 次运行中有 {n} 次出现{name}（{evidence}）。",
}


@dataclass(frozen=True)
class Remark:
    """One defect of one contestant over all its runs."""

    who: str
    name: str
    n: int
    """Runs that have it."""
    total: int
    """Runs of this contestant."""
    evidence: dict[str, float | None]
    """The numbers of the first of them."""

    def title(self, lang: str) -> str:
        """The name of the defect for people."""
        return ZH.get(self.name, self.name) if lang == "zh" else self.name

    @property
    def numbers(self) -> str:
        """The evidence in one phrase."""
        known = {key: value for key, value in self.evidence.items() if value is not None}
        return ", ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in known.items())


def remarks(records: Iterable[Mapping[str, Any]]) -> list[Remark]:
    """All defects in ``records`` (as plain data), in the order of the records; each run counts once for each."""
    total: dict[str, int] = {}
    found: dict[tuple[str, str], list[dict[str, float | None]]] = {}
    for record in records:
        who = record["job"]["name"]
        total[who] = total.get(who, 0) + 1
        for name, evidence in {f["name"]: f["evidence"] for f in reversed(record["findings"])}.items():
            found.setdefault((who, name), []).append(evidence)
    return [Remark(who, name, len(all_), total[who], all_[0]) for (who, name), all_ in found.items()]


def lines(found: Iterable[Remark], lang: str = "en", titles: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each grave defect; ``titles`` as in :func:`isthmus.study.sentences.sentence`."""
    say = Words(lang, titles)
    return [
        LINE[lang].format(who=say.title(r.who), name=r.title(lang), n=r.n, total=r.total, evidence=r.numbers)
        for r in found
        if r.name not in MILD
    ]
