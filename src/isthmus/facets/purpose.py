"""What people want an autoencoder for. Which facets speak for a purpose is declared by each facet."""

from __future__ import annotations

from typing import Literal

from isthmus.said import Said

Role = Literal["needed", "instead", "also"]
NEEDED: Role = "needed"
"""The facet must have been asked for the purpose to be answered."""
INSTEAD: Role = "instead"
"""It answers the purpose alone where those that are needed were not asked."""
ALSO: Role = "also"
"""It speaks too, where it was asked."""

PURPOSES: dict[str, Said] = {
    "compress": Said("To compress and rebuild rows", "压缩并重构数据"),
    "classify": Said("To classify rows by their codes", "用编码做分类"),
    "find_anomalies": Said("To find anomalies", "发现异常"),
    "generate": Said("To generate new rows", "生成新数据"),
    "fill_gaps": Said("To fill gaps in", "填补缺失值"),
    "interpret": Said("To interpret codes", "解读编码的含义"),
}
"""Name -> what is said of it, in the order of an answer."""
