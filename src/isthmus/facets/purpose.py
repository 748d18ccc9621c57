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
    "compress": Said("To compress and rebuild rows", "用于压缩和重构"),
    "classify": Said("To feed a classifier", "用于给分类器提供特征"),
    "find_anomalies": Said("To find anomalies", "用于发现异常"),
    "generate": Said("To make new rows", "用于生成新样本"),
    "interpret": Said("To read meaning from codes", "用于解读编码的含义"),
}
"""Name -> what is said of it, in the order of an answer."""
