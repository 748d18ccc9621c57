"""What an alarm says, and what to do about all of them: in English and in Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from isthmus.data.wording import shown
from isthmus.monitor.breaks import BROKEN
from isthmus.monitor.watch import THRESHOLD, Alarm
from isthmus.said import Said

FEW = 3
"""Columns that are named in one piece of advice."""

TOLD = {
    "missing": Said("column {name} is not in the stream", "数据流中没有列 {name}"),
    "gaps": Said(
        "column {name}: missing in {after} of the rows, was {before}", "列 {name}：{after} 的行缺失，原为 {before}"
    ),
    "constant": Said(
        "column {name} stands still at {at}: a dead sensor?", "列 {name} 停在 {at} 不再变化：传感器失灵？"
    ),
    "values": Said(
        "column {name}: new values in {after} of the rows, were {before}{names}",
        "列 {name}：{after} 的行是新取值，原为 {before}{names}",
    ),
    "unit": Said(
        "column {name}: values are about {factor} times what they were: another unit?",
        "列 {name}：数值约为原来的 {factor} 倍：单位变了？",
    ),
    "shift": Said(
        "column {name}: the mean is {after}, was {before} ({steps} standard deviations)",
        "列 {name}：均值为 {after}，原为 {before}（{steps} 个标准差）",
    ),
    "spread": Said(
        "column {name}: the standard deviation is {deviation_after}, was {deviation}",
        "列 {name}：标准差为 {deviation_after}，原为 {deviation}",
    ),
    "share": Said(
        "column {name}: {value} in {after} of the rows, was {before}", "列 {name}：{value} 占 {after}，原为 {before}"
    ),
    "shape": Said(
        "{kind} {name}: {after} of the rows lie above {edge}, were {before}",
        "{kind} {name}：{after} 的行高于 {edge}，原为 {before}",
    ),
    "bare": Said("{kind} {name}: other values than before", "{kind} {name}：取值与以前不同"),
    THRESHOLD: Said(
        "the threshold does not hold: scores do not rank among calibration scores as they should "
        "({flagged} of the rows are flagged so far, at a rate of {rate})",
        "阈值不再成立：新行的分数在校准分数中的排位不再正常（至今标记了 {flagged} 的行，目标为 {rate}）",
    ),
}
SHARES = ("gaps", "values", "share", "shape")
"""What is told in shares of rows."""
KINDS = {"column": Said("column", "列"), "code": Said("code", "编码"), "score": Said("score", "分数")}
AMONG = Said(" ({names})", "（{names}）")
SEPARATOR = Said(", ", "、")
MORE = Said(" and {n} more", " 等另外 {n} 列")

ADVICE = {
    "look": Said(
        "look at {names} first: what comes in is broken, and no model mends that",
        "先检查{names}：输入的数据有问题，换模型也无济于事",
    ),
    "retrain": Said(
        "retrain: rows come from elsewhere than those that the model learnt from, and it scores them otherwise; go on "
        "training with those that came (--adapt train), or train anew",
        "重新训练：新的行与模型学习过的行来源不同，模型对它们的评分也变了；"
        "可用已到来的行继续训练（--adapt train），或从头训练",
    ),
    "recalibrate": Said(
        "recalibrate: the model still sees rows like its own, but the threshold no longer keeps its rate; give new "
        "normal rows (--against FILE), or take those that came (--adapt recalibrate)",
        "重新校准：新的行仍像训练时的行，但阈值已不再保持其误报率；"
        "请给出新的正常行（--against FILE），或采用已到来的行（--adapt recalibrate）",
    ),
    "watch": Said(
        "watch {names}: it moved, and nothing in it is broken",
        "留意{names}：数据有所移动，但没有损坏",
    ),
    "nothing": Said("nothing to do: rows are as the model knows them", "无需处理：数据与模型所知相符"),
}


class Advice(NamedTuple):
    """One thing to do."""

    do: str
    """``look``, ``retrain``, ``recalibrate``, ``watch`` or ``nothing``."""
    columns: tuple[str, ...]
    """Which columns it is about."""

    def of(self, lang: str) -> str:
        """As a sentence, without its full stop."""
        return ADVICE[self.do].of(lang).format(names=_listed(self.columns, lang))


def advice(alarms: Sequence[Alarm]) -> list[Advice]:
    """What to do, the most urgent first.

    Examples
    --------
    >>> advice([Alarm(640, "column", "speed", "unit", 64, 1e-9, {"factor": 1000.0})])[0].of("en")
    "look at column 'speed' first: what comes in is broken, and no model mends that"
    >>> advice([])[0].do
    'nothing'
    """
    broken = tuple(one.channel for one in alarms if one.what in BROKEN)
    moved = tuple(one.channel for one in alarms if one.group == "column" and one.what not in BROKEN)
    codes = any(one.group == "code" for one in alarms)
    scores = any(one.group == "score" for one in alarms)
    scored = scores or any(one.group == THRESHOLD for one in alarms)
    made = [Advice("look", broken)] if broken else []
    if scored and not broken:
        made.append(Advice("retrain" if codes or scores else "recalibrate", ()))
    if moved:
        made.append(Advice("watch", moved))
    if codes and not (moved or scored or broken):
        made.append(Advice("watch", ()))
    return made or [Advice("nothing", ())]


def sentence(alarm: Alarm, lang: str) -> str:
    """What an alarm says, without a full stop."""
    numbers: dict[str, Any] = dict(alarm.numbers)
    what = alarm.what if alarm.what != "shape" or "edge" in numbers else "bare"
    shares = {"rate", "flagged"} | ({"before", "after"} if alarm.what in SHARES else set())
    names = numbers.pop("names", ())
    said = {key: _percent(value) if key in shares else _number(value) for key, value in numbers.items()}
    if alarm.what == "shift":
        said["steps"] = f"{(numbers['after'] - numbers['before']) / (numbers['deviation'] or 1.0):+.2g}"
    listed = SEPARATOR.of(lang).join(shown(name) for name in names[:FEW])
    said["names"] = AMONG.of(lang).format(names=listed) if names else ""
    kind = KINDS[alarm.group].of(lang) if alarm.group in KINDS else ""
    name = shown(alarm.channel) if alarm.group == "column" else alarm.channel.removeprefix("code")
    found = TOLD[what].of(lang).format(name=name, kind=kind, **said)
    return found.replace("score score:", "score:").replace("分数 score：", "分数：")


def _listed(columns: Sequence[str], lang: str) -> str:
    if not columns:
        return KINDS["code"].of(lang)
    named = SEPARATOR.of(lang).join(f"{KINDS['column'].of(lang)} {shown(one)}" for one in columns[:FEW])
    return named + (MORE.of(lang).format(n=len(columns) - FEW) if len(columns) > FEW else "")


def _percent(share: float) -> str:
    return f"{share:.3g}" if 0 < share < 1e-4 else f"{100 * share:.3g} %"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown(value)
