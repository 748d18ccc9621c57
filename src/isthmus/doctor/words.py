"""The defects by name: what each means and what to change, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Text(NamedTuple):
    """One defect in one language."""

    title: str
    what: str
    remedy: str


EN: dict[str, tuple[str, str]] = {
    "broken column": (
        "a column that the model read holds values that are not finite, or so extreme that they were clipped",
        "impute, correct or drop that column or those rows",
    ),
    "diverged": (
        "the loss or the weights became infinite or NaN, or the loss rose tenfold",
        "lower the learning rate, or set clip; if a column is named, correct it first",
    ),
    "no training step ran": (
        "the weights are still those from before training: no step was taken, or no step changed them",
        "give at least one step, and a learning rate large enough to change float32 weights",
    ),
    "progress unseen": (
        "the training loss fell, but no step beat the initial weights on the validation rows, so these were kept",
        "give more rows, corrupt the input or narrow the code; for a family of your own whose "
        "training form differs from its inference form, set judged = 'trained'",
    ),
    "not trained": ("no step was better than the initial weights", "lower the learning rate"),
    "schedule too long": (
        "the kept weights are from before the end of the loss's schedules, or the steps ran out soon after it",
        "shorten the schedule (warmup, anneal or cooling, a share of the steps), then give more steps",
    ),
    "parameters without gradient": (
        "some parameters get no gradient from any term of the loss, so they keep their initial values",
        "look for a detached tensor or an unused layer; remove it, or let the loss reach it",
    ),
    "regulariser without effect": (
        "a term of the loss has a weight but no gradient with respect to any parameter",
        "raise its weight, or find what keeps the term constant (a clamp, free bits)",
    ),
    "posterior collapse": (
        "the code says next to nothing about a row and the decoder ignores it",
        "lower beta, or let it grow with warmup",
    ),
    "codebook collapse": (
        "nearly all rows get the same symbol",
        "raise least, start with k-means, or use fsq, which has no codebook",
    ),
    "dead units": (
        "most units fire on no training row",
        "lower the penalty on the code, raise k, or shorten dead_after",
    ),
    "constant code": ("all rows get the same code", "lower the weights of the penalties"),
    "constant output": (
        "the reconstruction is no better than the mean of the training rows",
        "lower the weights of the penalties or widen the code; if nothing helps, the columns may share nothing",
    ),
    "constant scorer": (
        "all rows get the same score, up to rounding, so scores cannot rank them",
        "narrow the code, if rows are rebuilt without error; else raise the weight of the reconstruction",
    ),
    "identity copying": (
        "noise and rows with shuffled columns are rebuilt as well as the data, so the model knows nothing of them",
        "narrow the code, or give it a penalty or a corruption",
    ),
    "output out of reach": (
        "much of the data lies beyond the values that the output can take",
        "use the gaussian head, or scale the data into the range of the output",
    ),
    "over-capacity": (
        "the model has more freedom than the training rows can determine, and fits them far better than new rows",
        "narrow the code or the hidden layers, corrupt the input, or give more rows",
    ),
    "leakage between splits": (
        "held-out rows are copies of training rows or belong to two parts at once, so all scores are too good",
        "remove the copies from the data before they are split",
    ),
    "metric inconsistency": (
        "a recorded number does not follow from the scores that were recorded beside it",
        "repeat the run; if the number stays, the fault lies in the metric or in the order of rows",
    ),
    "stopped too early": ("the steps ran out while the validation loss still fell clearly", "give more steps"),
}
"""Name -> what it means and what to change; the gravest first."""

ZH: dict[str, tuple[str, str, str]] = {
    "broken column": (
        "列数据损坏",
        "模型读入的数据中有一列含有非有限值，或数值极端到被截断",
        "补全、修正或删除该列或相应的行",
    ),
    "diverged": (
        "训练发散",
        "损失或权重变为无穷大或 NaN，或损失升至十倍",
        "降低学习率或设置 clip；若指出了某一列，请先修正该列",
    ),
    "no training step ran": (
        "训练未执行",
        "权重与训练前相同：没有执行任何一步，或没有一步改变权重",
        "至少训练一步，并使用足以改变 float32 权重的学习率",
    ),
    "progress unseen": (
        "验证集看不到进步",
        "训练损失下降了，但在验证样本上没有一步优于初始权重，因此保留了初始权重",
        "提供更多样本、扰动输入或收窄编码；若自定义模型的训练形式与推断形式不同，请设置 judged = 'trained'",
    ),
    "not trained": ("未学到任何东西", "没有一步优于初始权重", "降低学习率"),
    "schedule too long": (
        "调度过长",
        "保留的权重来自损失调度结束之前，或调度刚结束步数就已用尽",
        "缩短调度（warmup、anneal 或 cooling，占总步数的比例），再增加训练步数",
    ),
    "parameters without gradient": (
        "参数无梯度",
        "部分参数得不到任何损失项的梯度，始终停留在初始值",
        "检查是否有 detach 过的张量或未被使用的层；去掉它，或让损失的梯度能到达它",
    ),
    "regulariser without effect": (
        "正则项无效",
        "某个损失项有权重，但对任何参数都没有梯度",
        "提高其权重，或查明该项为何恒定（截断、free bits）",
    ),
    "posterior collapse": (
        "后验坍缩",
        "编码几乎不含关于样本的信息，解码器忽略了它",
        "降低 beta，或用 warmup 让它逐渐增大",
    ),
    "codebook collapse": (
        "码本坍缩",
        "几乎所有样本都得到同一个符号",
        "提高 least，用 k-means 初始化，或改用没有码本的 fsq",
    ),
    "dead units": ("大量失活单元", "多数单元在所有训练样本上都不激活", "降低编码惩罚、提高 k 或缩短 dead_after"),
    "constant code": ("编码恒定", "所有样本得到相同的编码", "降低惩罚项的权重"),
    "constant output": (
        "输出不优于均值",
        "重构不优于训练样本的均值",
        "降低惩罚项的权重或加宽编码；若都无效，各列之间可能没有共同结构",
    ),
    "constant scorer": (
        "得分恒定",
        "除舍入误差外所有样本得分相同，无法排序",
        "若重构毫无误差，请收窄编码；否则提高重构项的权重",
    ),
    "identity copying": (
        "恒等复制",
        "对噪声和打乱列的样本，重构得与数据一样好，说明模型没有学到数据特有的结构",
        "收窄编码，或加入惩罚项或输入扰动",
    ),
    "output out of reach": (
        "输出范围不足",
        "大量数据超出输出所能取的范围",
        "改用 gaussian 输出分布，或把数据缩放到输出的范围内",
    ),
    "over-capacity": (
        "容量过大",
        "模型的自由度超过训练样本所能确定的程度，对训练样本的拟合远好于新样本",
        "收窄编码或隐藏层、扰动输入，或提供更多样本",
    ),
    "leakage between splits": (
        "划分间泄漏",
        "留出的样本是训练样本的副本，或同时属于两个部分，使所有方法的得分都偏高",
        "划分之前先从数据中去掉副本",
    ),
    "metric inconsistency": (
        "指标不一致",
        "记录的数值无法由同时记录的原始得分算出",
        "重新运行；若数值不变，则是指标或行序有错",
    ),
    "stopped too early": ("训练过早截断", "步数用尽时验证损失仍在明显下降", "增加训练步数"),
}
"""The same names: title, what it means, what to change."""

KEYS_ZH = {
    "active units": "活跃单元",
    "beyond": "超出比例",
    "best step": "最佳步",
    "column": "列",
    "copies": "副本",
    "data": "数据",
    "dead units": "失活单元",
    "entries": "码本大小",
    "explained variance": "解释方差",
    "first": "首个",
    "held out": "留出样本",
    "highest": "最高",
    "largest spread": "最大离散度",
    "promised gain": "预期增益",
    "steps needed": "所需步数",
    "latents": "编码宽度",
    "learning rate": "学习率",
    "limit": "界限",
    "lowest": "最低",
    "metric": "指标",
    "noise": "噪声",
    "of": "总数",
    "parameters": "参数",
    "perplexity": "困惑度",
    "recomputed": "重新计算",
    "recorded": "记录值",
    "rows": "样本",
    "shared": "重叠",
    "schedule ends": "调度结束",
    "share": "占比",
    "shuffled": "打乱列",
    "step": "步",
    "steps": "步数",
    "term": "损失项",
    "training error": "训练误差",
    "training fell": "训练损失降幅",
    "training values": "训练数值",
    "units": "单元",
    "usage": "使用率",
    "validation error": "验证误差",
    "weight": "权重",
    "where": "位置",
    "width": "列数",
}
"""What the numbers of the evidence are called in Chinese."""

MOST = 60
"""Signs of a name that are shown."""
MILD = ("stopped too early", "over-capacity")
"""Defects that a model's own scores show already: tables hold them, sentences do not."""
OF_DATA = ("leakage between splits",)
"""Defects of the data and their split, which all contenders share."""

HOPELESS = (
    "diverged",
    "no training step ran",
    "progress unseen",
    "not trained",
    "posterior collapse",
    "codebook collapse",
    "constant code",
)
"""Defects with which a model is compared nowhere: it learned nothing, or its code holds nothing. What else spoils the
answer to one question is declared by its facet."""


def text(name: str, lang: str = "en") -> Text:
    """A defect in the reader's language; one of another version keeps its name.

    Examples
    --------
    >>> text("not trained").remedy, text("not trained", "zh").title
    ('lower the learning rate', '未学到任何东西')
    """
    if lang == "zh" and name in ZH:
        return Text(*ZH[name])
    return Text(name, *EN.get(name, ("", "")))


def numbers(evidence: Mapping[str, float | str | None], lang: str = "en") -> str:
    """The evidence in one phrase.

    Examples
    --------
    >>> numbers({"dead_units": 3.0, "units": 4096.0, "term": "kl", "rows": None})
    'dead units 3, units 4,096, term kl'
    """
    said = []
    for key, value in evidence.items():
        name = key.replace("_", " ")
        name = KEYS_ZH.get(name, name) if lang == "zh" else name
        if isinstance(value, str):  # the name of a column may be anything
            said.append(f"{name} " + "".join(sign if sign.isprintable() else "\ufffd" for sign in value)[:MOST])
        elif value is not None:
            said.append(f"{name} {value:,.0f}" if abs(value) >= 1000 else f"{name} {value:.3g}")
    return ("，" if lang == "zh" else ", ").join(said)
