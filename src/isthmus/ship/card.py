"""What a saved model is, for people: a page made from what stands in it, as Markdown or HTML.

Names of columns, data and families come from files: each is escaped where it stands, and is never markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import escape

from isthmus.facets import FACETS
from isthmus.metrics import METRICS
from isthmus.rivals.rival import Drawing, Rival
from isthmus.said import Said
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import Measured

SHOWN = 30
"""Columns and settings that are named; of others the number is."""
LONGEST = 120
"""Characters of a name that are shown."""
SPECIAL = re.compile(r"([\\`*_\[\]|~#!$])")
"""What Markdown may take for markup."""
KIND = Said("kind", "类型")


class Section(NamedTuple):
    """A heading, a table of what is known, and sentences below it."""

    title: str
    table: Sequence[Sequence[str]] = ()
    """Rows of texts; the first holds the heads."""
    sentences: Sequence[str] = ()


def markdown(deployed: Deployed, lang: str = "en") -> str:
    """The card of a model, in Markdown.

    Parameters
    ----------
    deployed : Deployed
        What :func:`isthmus.load` gave.
    lang : {"en", "zh"}

    Examples
    --------
    >>> from isthmus import fit, named
    >>> import numpy as np
    >>> model = fit(named("pca").set_params(latents=1), np.random.default_rng(0).normal(size=(40, 3)))
    >>> markdown(Deployed.of(model)).splitlines()[0]
    '# pca: a model of isthmus'
    """
    title, sections = _sections(deployed, lang)
    lines = [f"# {_marked(title)}"]
    for section in sections:
        lines += ["", f"## {_marked(section.title)}"]
        if section.table:
            heads, *rows = section.table
            lines += ["", _row(heads), "|" + "---|" * len(heads), *map(_row, rows)]
        lines += [line for sentence in section.sentences for line in ("", _marked(sentence))]
    return "\n".join(lines) + "\n"


def html(deployed: Deployed, lang: str = "en") -> str:
    """The same as one HTML page, which asks for nothing and runs nothing."""
    title, sections = _sections(deployed, lang)
    parts = [f"<h1>{escape(title)}</h1>"]
    for section in sections:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        if section.table:
            cells = [("th" if i == 0 else "td", row) for i, row in enumerate(section.table)]
            rows = ["".join(f"<{tag}>{escape(text)}</{tag}>" for text in row) for tag, row in cells]
            parts.append("<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>")
        parts += [f"<p>{escape(sentence)}</p>" for sentence in section.sentences]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    style = (
        "body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}"
        "td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left}"
    )
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{style}</style>"
    )
    return f'<!doctype html>\n<html lang="{lang}"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _sections(model: Deployed, lang: str) -> tuple[str, list[Section]]:
    def t(en: str, zh: str) -> str:
        return Said(en, zh).of(lang)

    family, origin, own = model.recipe.family, model.origin, model.calibration
    title = t(f"{family}: a model of isthmus", f"{family}：isthmus 模型")
    found = [Section(t("What it is for", "用途"), sentences=_purpose(model, lang))]
    settings = {k: v for k, v in model.recipe.to_json().items() if k != "family"}
    shape = " × ".join(map(str, model.shape))
    about = [
        (t("what", "项目"), t("value", "值")),
        (t("family", "方法"), family),
        (t("one row", "一行数据"), shape),
        (t("code", "编码"), t("none", "无") if isinstance(model.model, Rival) else str(model.model.latents)),
        (t("trained values", "训练得到的参数"), f"{model.parameters:,}"),
        (t("likelihood", "似然"), model.head),
        *((name, str(value)) for name, value in list(settings.items())[:SHOWN]),
    ]
    found.append(Section(t("Model", "模型"), about))
    found.append(Section(t("Data", "数据"), *_data(model, lang)))
    if origin is not None and origin.measured:
        heads = (t("metric", "指标"), t("mean", "均值"), t("95 % interval", "95 % 区间"), t("this model", "本模型"))
        rows = [
            (METRICS[m.metric].title.of(lang) if m.metric in METRICS else m.metric, *_numbers(m))
            for m in origin.measured
        ]
        told = t(
            f"On test rows of {origin.replicates} replicates, which neither trained nor chose a model; this model's "
            "are those of its own replicate.",
            f"取自 {origin.replicates} 次重复的测试数据，它们既未用于训练也未用于选择模型；本模型一栏属于它那一次。",
        )
        again = t(
            f"On test rows of {origin.replicates} replicates, of models trained in the same way on the training rows "
            f"of each. This model was then trained again on {origin.refitted or 0:,} rows, test rows among them: of it "
            "nothing was measured, for there is no row that it has not seen.",
            f"取自 {origin.replicates} 次重复的测试数据，由在各自训练数据上以同样方式训练的模型测得。本模型随后在 "
            f"{origin.refitted or 0:,} 行（含测试数据）上重新训练：没有它未见过的数据，因此对它本身没有任何测量。",
        )
        sentence = told if origin.refitted is None else again
        found.append(Section(t("Measured", "测得的结果"), [heads, *rows], [sentence]))
    if own is not None:
        rows = [
            (t("what", "项目"), t("value", "值")),
            (t("threshold of the score", "得分阈值"), f"{own.threshold:.6g}"),
            (t("false-alarm rate", "误报率"), f"{own.rate:.3g}"),
            (t("calibration rows", "校准数据"), f"{len(own.scores):,}"),
            (t("which", "来源"), own.about),
            (t("least rate that they can tell", "可判定的最小误报率"), f"{1 / (len(own.scores) + 1):.3g}"),
        ]
        found.append(Section(t("Threshold", "阈值"), rows))
    if model.reach:
        columns = (t("column", "列"), t("hidden cells", "隐藏的单元格"), t("of rows", "所属行数"))
        hidden = [(name[:LONGEST], f"{len(one.scores):,}", f"{one.rows:,}") for name, one in model.reach.items()]
        told = t(
            "It fills gaps in, and intervals of what may stand there (isthmus impute --intervals) are told by cells "
            "that were hidden from it, of rows that did not train it, with the gaps that those rows have.",
            "它能填补缺失值；可能取值的区间（isthmus impute --intervals）由对它隐藏的单元格给出，"
            "这些单元格取自未用于训练的行，并带有这些行自身的缺失。",
        )
        found.append(Section(t("Gaps", "缺失值"), [columns, *hidden[:SHOWN]], [told]))
    found.append(Section(t("Limits", "局限"), sentences=_limits(model, lang)))
    return title, found


def _purpose(model: Deployed, lang: str) -> list[str]:
    origin = model.origin
    if origin is None or origin.purpose not in FACETS:
        return [
            Said(
                "Nobody wrote down what it was chosen for.",
                "没有记录它是为何目的而选择的。",
            ).of(lang)
        ]
    return [FACETS[origin.purpose].title.of(lang) + ": " + FACETS[origin.purpose].question.of(lang)]


def _data(model: Deployed, lang: str) -> tuple[list[tuple[str, ...]], list[str]]:
    origin = model.origin
    rows: list[tuple[str, ...]] = []
    heads = (Said("column", "列").of(lang), KIND.of(lang))
    if model.fields:
        rows = [heads, *((field.name[:LONGEST], field.kind) for field in model.fields[:SHOWN])]
    elif model.columns:
        rows = [heads, *((name[:LONGEST], "number") for name in model.columns[:SHOWN])]
    told = []
    if origin is not None:
        told.append(
            Said(
                f"{origin.data[:LONGEST]}, {origin.rows:,} rows, fingerprint {origin.digest}.",
                f"{origin.data[:LONGEST]}，{origin.rows:,} 行，指纹 {origin.digest}。",
            ).of(lang)
        )
    if (more := max(len(model.fields), len(model.columns)) - SHOWN) > 0:
        told.append(Said(f"{more:,} more columns.", f"另有 {more:,} 列。").of(lang))
    told.append(Said("No row of the training data is in the files.", "文件中不含任何一行训练数据。").of(lang))
    if model.places:
        told.append(
            Said(
                f"Scores compare with {model.places:,} places, each between two training rows that are alike. To be no "
                "row is no proof against whoever wants to guess at one.",
                f"打分时与 {model.places:,} 个位置比较，每个位置介于两行相似的训练数据之间。"
                "它们不是原始数据，但不能防止有人据此推测原始数据。",
            ).of(lang)
        )
    return rows, told


def _limits(model: Deployed, lang: str) -> list[str]:
    """What is not promised, of what this model has."""
    said: list[Said] = []
    if model.target_layout is not None:
        said.append(Said("It predicts a target and does not score rows.", "它预测目标，不对数据打分。"))
    elif isinstance(model.model, Drawing):
        return [
            Said(
                "It draws new rows and does nothing else. They are no rows of the training data, but single values of "
                "columns are, and nobody has shown that nothing can be told of a training row from it.",
                "它只生成新数据，不做别的。生成的行不是训练数据中的行，但各列的单个取值来自训练数据；"
                "没有人证明从中无法推断训练数据。",
            ).of(lang)
        ]
    elif model.calibration is None:
        said.append(
            Said(
                "It has no calibration rows: its scores rank rows, and none can be called rare.",
                "没有校准数据：得分只能排序，不能说明某行是否罕见。",
            )
        )
    else:
        said.append(
            Said(
                "The false-alarm rate holds for rows drawn as the calibration rows were. Where the data have changed, "
                "it does not; isthmus monitor tells. For another make-up of rows isthmus flag --shift weighs "
                "calibration rows that are given, and for series it has --adapt and --blocks.",
                "误报率只对与校准数据同样抽取的数据成立；数据变化后不再成立，isthmus monitor 会指出。"
                "对构成不同的数据，isthmus flag --shift 为给定的校准数据加权；对序列可用 --adapt 与 --blocks。",
            )
        )
        said.append(
            Said(
                "A flag says that a row is unlike the training rows, not what caused it, nor that it is wrong.",
                "标记说明该行与训练数据不同，不说明原因，也不说明它是错的。",
            )
        )
    if model.reach:
        said.append(
            Said(
                "Intervals of gaps hold where gaps arise without regard to what they hide, and as in the rows that "
                "calibrate them; for other patterns of gaps give rows with --against.",
                "缺失值区间在缺失与被掩盖的值无关、且缺失方式与校准行相同时成立；"
                "若缺失方式不同，请用 --against 给出数据。",
            )
        )
    if model.fields:
        said.append(
            Said(
                "A text that did not stand in two training rows is one of its own: all such texts look the same to it.",
                "未在两行训练数据中出现过的文本被视为同一种新文本。",
            )
        )
    said.append(
        Said(
            "Hashes in the files prove that they are whole, not who made them.",
            "文件中的哈希证明其完整，不证明来源。",
        )
    )
    return [one.of(lang) for one in said]


def _numbers(measured: Measured) -> Iterable[str]:
    wide = measured.low is not None and measured.high is not None
    return (
        f"{measured.value:.4g}",
        f"{measured.low:.4g} – {measured.high:.4g}" if wide else "–",
        "–" if measured.own is None else f"{measured.own:.4g}",
    )


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_marked(cell) for cell in cells) + " |"


def _marked(text: str) -> str:
    """A text on one line in which Markdown finds no markup, and which HTML cannot break out of.

    Examples
    --------
    >>> print(_marked("a|b <script>_x_"))
    a\\|b &lt;script&gt;\\_x\\_
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return str(escape(SPECIAL.sub(r"\\\1", line)).replace("&#39;", "'").replace("&#34;", '"'))
