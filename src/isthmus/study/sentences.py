"""Verdicts in plain English and Chinese: one sentence for a facet with its evidence, one line for each purpose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from isthmus.errors import BadInput
from isthmus.metrics import METRICS
from isthmus.study.stats import Pair
from isthmus.study.verdict import LEAST, FacetVerdict

MEETING = re.compile(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9%])(?=[\u4e00-\u9fff])")
MOST = 4
"""More names than this are counted instead."""
DESCRIPTIVE = ("sparsity", "cost")
"""Facets that describe and crown nobody: sparse is not good in itself, and clocks are noisy."""

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "facet": "{facet}: {text}.",
        "and": " and ",
        "comma": ", ",
        "others": "{names} and {n} others",
        "nothing": "no contender has a score yet",
        "alone": "only {leader} has a score, {metric} {value}; there is nothing to compare it with",
        "best": "{leader} is better than all others",
        "autoencoder": "{leader} is better than every rival",
        "tops": "{leader} has the best mean",
        "equal": "; practically equal to it: {names}",
        "open": "; not told apart from it: {names}",
        "rival": "no autoencoder is needed: {rival} is better than {autoencoder}, the best of them",
        "enough equal": "{rival} is enough: {autoencoder}, the best autoencoder, is practically equal to it",
        "enough": "{rival} is enough: {autoencoder}, the best autoencoder, is not better by more than {rope}",
        "undecided": "undecided: the replicates do not tell whether {autoencoder}, the best autoencoder, is better"
        " than {rival}",
        "needed": "; if means and spreads stay as they are, about {needed} replicates would",
        "hopeless": "; on these data even 100 would hardly do, more rows may",
        "evidence": " ({metric} {x} against {y} of {other}; difference {mean}, 95% interval {low} to {high};"
        " {claim}; {n} replicates)",
        "sure": "probability {p} that it exceeds {rope}, corrected p {p_holm}",
        "within": "probability {p} that it lies within {rope}",
        "no more": "probability {p} that the gain is no more than {rope}",
        "three": "probabilities of worse, equal, better: {worse}, {equal}, {better}",
        "one replicate": " ({metric} {x} against {y} of {other}; one replicate shows no spread)",
        "highest": "{leader} has the highest {metric} on average, {value}",
        "lowest": "{leader} has the lowest {metric} on average, {value}",
        "sparsity": "; sparser is not better in itself, weigh it against reconstruction",
        "cost": "; a clock was read on one machine, so differences within {rope} say nothing and nobody is declared"
        " the winner",
        "near": "; within {rope} of it: {names}",
        "for reconstruction": "To compress and rebuild rows",
        "for features": "To feed a classifier",
        "for anomaly": "To find anomalies",
        "for sparsity": "For codes of few active units",
        "for cost": "Where speed counts",
        "take": "take {leader}",
        "or": "; practically equal: {names}",
        "maybe": "; {names} may be as good",
        "take rival": "take {rival}, no autoencoder is needed",
        "take enough": "{rival} is enough",
        "take undecided": "undecided between {autoencoder} and {rival}; until more is known, {rival} is simpler",
        "take sparsity": "{leader} is the sparsest; see what it pays in reconstruction",
        "take cost": "{leader} was the best in {metric} on this machine",
        "take nothing": "nothing can be said yet",
        "purpose": "{purpose}: {text}.",
        "agree": "{names} is at the top, or practically equal to it, in all of {facets}.",
        "disagree": "{one} and {two} pull apart: {a} leads in the one and is worse in the other, where {b} leads;"
        " choose by purpose.",
    },
    "zh": {
        "facet": "{facet}：{text}。",
        "and": "和",
        "comma": "、",
        "others": "{names}以及另外 {n} 个方法",
        "nothing": "还没有任何方法得到分数",
        "alone": "目前只有{leader}有分数（{metric} {value}），没有可比较的对象",
        "best": "{leader}优于其他所有方法",
        "autoencoder": "{leader}优于所有基线",
        "tops": "{leader}的均值最好",
        "equal": "；与它实际等价的有{names}",
        "open": "；与{names}尚分不出高下",
        "rival": "不需要自编码器：{rival}优于最好的自编码器（{autoencoder}）",
        "enough equal": "{rival}就够了：最好的自编码器（{autoencoder}）与它实际等价",
        "enough": "{rival}就够了：最好的自编码器（{autoencoder}）即使更好，也不超过 {rope}",
        "undecided": "尚无定论：现有的重复次数还不足以判断最好的自编码器（{autoencoder}）是否优于{rival}",
        "needed": "；若均值与离散程度保持不变，大约需要 {needed} 次重复",
        "hopeless": "；在这份数据上，重复 100 次恐怕也难下结论，增加数据或许可以",
        "evidence": "（{metric} {x}，{other}为 {y}，相差 {mean}，95% 区间 {low} 至 {high}；{claim}；重复 {n} 次）",
        "sure": "差值超过 {rope} 的概率 {p}，校正后 p 值 {p_holm}",
        "within": "差值在 {rope} 以内的概率 {p}",
        "no more": "改进不超过 {rope} 的概率 {p}",
        "three": "更差、等价、更好的概率依次为 {worse}、{equal}、{better}",
        "one replicate": "（{metric} {x}，{other}为 {y}；只有一次重复，看不出离散程度）",
        "highest": "{leader}的{metric}平均最高，为 {value}",
        "lowest": "{leader}的{metric}平均最低，为 {value}",
        "sparsity": "；更稀疏本身并不等于更好，应与重构误差一并权衡",
        "cost": "；这是在一台机器上的计时，{rope} 以内的差别没有意义，因此不评优胜者",
        "near": "；与它相差 {rope} 以内的有{names}",
        "for reconstruction": "用于压缩和重构",
        "for features": "用于给分类器提供特征",
        "for anomaly": "用于发现异常",
        "for sparsity": "若要活跃单元少的编码",
        "for cost": "若看重速度",
        "take": "选{leader}",
        "or": "；{names}与它实际等价",
        "maybe": "；{names}也可能同样好",
        "take rival": "选{rival}，不需要自编码器",
        "take enough": "{rival}就够了",
        "take undecided": "{autoencoder}与{rival}之间尚无定论；在有更多证据之前，{rival}更简单",
        "take sparsity": "{leader}最稀疏；请留意它在重构上的代价",
        "take cost": "在这台机器上，{leader}的{metric}最好",
        "take nothing": "目前还无法下结论",
        "purpose": "{purpose}：{text}。",
        "agree": "{names}在{facets}上都居首，或与居首者实际等价。",
        "disagree": "{one}与{two}不可兼得：{a}在前者领先而在后者较差，后者由{b}领先；请按用途选择。",
    },
}
TITLES: dict[str, dict[str, str]] = {
    "en": {
        "reconstruction": "Reconstruction",
        "sparsity": "Sparsity",
        "features": "Features",
        "anomaly": "Anomaly detection",
        "cost": "Cost",
        "pca": "PCA",
        "raw": "the raw data",
        "knn": "kNN distance",
        "topk": "TopK",
        "vae": "VAE",
        "vq": "VQ",
    },
    "zh": {
        "reconstruction": "重构",
        "sparsity": "稀疏性",
        "features": "特征质量",
        "anomaly": "异常检测",
        "cost": "代价",
        "sparse coding": "稀疏编码",
        "marginalised denoising": "边缘化去噪",
        "plain": "普通自编码器",
        "denoising": "去噪自编码器",
        "l1": "L1 稀疏自编码器",
        "kl": "KL 稀疏自编码器",
        "contractive": "收缩自编码器",
        "topk": "TopK",
        "vae": "VAE",
        "vq": "VQ",
        "pca": "PCA",
        "raw": "原始数据",
        "isolation forest": "孤立森林",
        "knn": "kNN 距离",
        "mse": "均方误差",
        "explained_variance": "解释方差",
        "hoyer": "Hoyer 稀疏度",
        "l0": "活跃单元数",
        "probe_accuracy": "线性探针准确率",
        "knn_accuracy": "kNN 准确率",
        "auroc": "AUROC",
        "average_precision": "平均精度",
        "rows_per_second": "每秒编码行数",
        "train_seconds": "训练秒数",
    },
}


class Speaker:
    """Texts, titles and numbers of one language; ``titles`` of the caller win over ours."""

    def __init__(self, lang: str, titles: Mapping[str, str] | None) -> None:
        if lang not in TEXTS:
            raise BadInput(f"lang must be en or zh; got {lang!r}")
        english = {name: metric.title for name, metric in METRICS.items()}
        self.texts, self.zh = TEXTS[lang], lang == "zh"
        self.titles = english | TITLES[lang] | dict(titles or {})

    def __call__(self, key: str, **places: object) -> str:
        text = self.texts[key].format(**places)
        return MEETING.sub(" ", text) if self.zh else text

    def title(self, name: str | None) -> str:
        """What people call a facet, a metric or a contender."""
        return self.titles.get(name or "", name or "")

    def all(self, names: Sequence[str]) -> str:
        """All names in one phrase, or the first three and how many more."""
        shown = [self.title(name) for name in names]
        if len(shown) > MOST:
            return self("others", names=self.texts["comma"].join(shown[:3]), n=len(shown) - 3)
        return self.texts["and"].join([self.texts["comma"].join(shown[:-1]), *shown[-1:]]) if shown[1:] else shown[0]

    def close(self, key: str, **places: object) -> str:
        """A whole sentence."""
        text = self(key, **places)
        return text[0].upper() + text[1:]


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
    >>> from isthmus.study.verdict import judge
    >>> scores = {"plain": [0.901, 0.905, 0.902], "pca": [0.902, 0.904, 0.902]}
    >>> v = judge(scores, metric="auroc", higher=True, rope=0.01, rivals={"pca"}, test_fraction=1 / 3, facet="anomaly")
    >>> sentence(v).split(" (")[0]
    'Anomaly detection: PCA is enough: plain, the best autoencoder, is practically equal to it'
    """
    say = Speaker(lang, titles)
    text = _described(verdict, say) if verdict.facet in DESCRIPTIVE else _decided(verdict, say)
    return say.close("facet", facet=say.title(verdict.facet or verdict.metric), text=text)


def recommend(verdicts: Iterable[FacetVerdict], lang: str = "en", titles: Mapping[str, str] | None = None) -> list[str]:
    """One plain line for each purpose, and where the facets agree or pull apart. There is no overall score.

    Parameters
    ----------
    verdicts : iterable of FacetVerdict
        One for each facet.
    lang : {"en", "zh"}, default "en"
    titles : mapping of str to str, optional
        As in :func:`sentence`.
    """
    say, verdicts = Speaker(lang, titles), list(verdicts)
    lines = [say.close("purpose", purpose=_purpose(v, say), text=_choice(v, say)) for v in verdicts]
    return lines + _together([v for v in verdicts if v.facet not in DESCRIPTIVE and v.kind != "no evidence"], say)


def _purpose(v: FacetVerdict, say: Speaker) -> str:
    key = "for " + v.facet
    return say(key) if key in say.texts else say.title(v.facet or v.metric)


def _decided(v: FacetVerdict, say: Speaker) -> str:
    if v.kind == "no evidence":
        return _nothing(v, say)
    names = _names(v, say)
    if v.outcome == "rival":
        return say("rival", **names) + _evidence(v, v.rival, v.autoencoder, say)
    if v.outcome == "rival enough":
        key = "enough equal" if v.pair(v.autoencoder, v.rival).relation == "equal" else "enough"
        return say(key, **names, rope=_size(v.rope, v)) + _evidence(v, v.autoencoder, v.rival, say)
    if v.outcome == "undecided":
        return _undecided(v, say)
    second = v.rival if v.outcome == "autoencoder" else list(v.means)[1]
    key = "best" if v.kind == "better" else "autoencoder" if v.outcome == "autoencoder" else "tops"
    text = say(key, **names)
    text += say("equal", names=say.all(v.equal)) if v.equal else ""
    text += say("open", names=say.all(v.undecided)) if v.undecided else ""
    return text + _evidence(v, v.leader, second, say)


def _undecided(v: FacetVerdict, say: Speaker) -> str:
    """Of the best autoencoder and the best rival that it is not shown to beat."""
    rival = next(r for r in v.rivals if v.pair(v.autoencoder, r).relation != "better")
    pair = v.pair(v.autoencoder, rival)
    text = say("undecided", autoencoder=say.title(v.autoencoder), rival=say.title(rival))
    text += _evidence(v, v.autoencoder, rival, say)
    if pair.n < LEAST or pair.dropped:
        return text
    return text + (say("needed", needed=v.replicates_needed) if v.replicates_needed else say("hopeless"))


def _names(v: FacetVerdict, say: Speaker) -> dict[str, str]:
    return {"autoencoder": say.title(v.autoencoder), "rival": say.title(v.rival), "leader": say.title(v.leader)}


def _described(v: FacetVerdict, say: Speaker) -> str:
    if v.kind == "no evidence":
        return _nothing(v, say)
    top, *others = v.means.items()
    text = say("highest" if v.higher else "lowest", leader=say.title(top[0]), **_value(v, say))
    near = [name for name, mean in others if _gap(top[1], mean, v.relative) <= v.rope]
    text += say("near", names=say.all(near), rope=_size(v.rope, v)) if near else ""
    return text + say(v.facet, rope=_size(v.rope, v))


def _gap(one: float, two: float, relative: bool) -> float:
    """How far two means are from each other, on the scale of the rope."""
    low, high = sorted([one, two])
    return high / low - 1 if relative and low > 0 else high - low


def _nothing(v: FacetVerdict, say: Speaker) -> str:
    return say("alone", leader=say.title(v.leader), **_value(v, say)) if v.leader else say("nothing")


def _value(v: FacetVerdict, say: Speaker) -> dict[str, str]:
    """The metric and the leader's mean, which is the first."""
    return {"metric": say.title(v.metric), "value": _number(next(iter(v.means.values())))}


def _evidence(v: FacetVerdict, a: str | None, b: str | None, say: Speaker) -> str:
    pair = v.pair(a, b)
    x, y = _number(v.means[pair.a]), _number(v.means[pair.b])
    shown = {"metric": say.title(v.metric), "x": x, "y": y, "other": say.title(b)}
    if pair.low is None or pair.high is None or pair.mean is None:
        return say("one replicate", **shown)
    ends = {key: _size(value, v) for key, value in (("mean", pair.mean), ("low", pair.low), ("high", pair.high))}
    return say("evidence", **shown, **ends, claim=_claim(v, pair, say), n=pair.n)


def _claim(v: FacetVerdict, pair: Pair, say: Speaker) -> str:
    rope, worse, equal, better = _size(v.rope, v), pair.worse or 0.0, pair.equal or 0.0, pair.better or 0.0
    if pair.relation == "better":
        return say("sure", p=_chance(better), rope=rope, p_holm=f"{pair.p_holm:.2g}")
    if pair.relation == "equal":
        return say("within", p=_chance(equal), rope="±" + rope)
    if v.outcome == "rival enough" and pair.a == v.autoencoder:
        return say("no more", p=_chance(equal + worse), rope=rope)
    return say("three", worse=_chance(worse), equal=_chance(equal), better=_chance(better))


def _size(value: float, v: FacetVerdict) -> str:
    return f"{_number(100 * value)}%" if v.relative else _number(value)


def _number(value: float) -> str:
    """Three digits, no exponent for large ones, and a real minus sign."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−") if "e" not in text else text


def _chance(p: float) -> str:
    """A probability in two digits, never a certainty."""
    return "> 0.99" if p > 0.99 else "< 0.01" if p < 0.01 else f"{p:.2f}"


def _choice(v: FacetVerdict, say: Speaker) -> str:
    names = _names(v, say)
    if v.kind == "no evidence":
        return say("take nothing")
    if v.facet in DESCRIPTIVE:
        return say("take " + v.facet, **names, metric=say.title(v.metric))
    if v.outcome in {"rival", "rival enough", "undecided"}:
        key = {"rival": "take rival", "rival enough": "take enough", "undecided": "take undecided"}[v.outcome]
        return say(key, **names)
    text = say("take", leader=names["leader"])
    text += say("or", names=say.all(v.equal)) if v.equal else ""
    return text + (say("maybe", names=say.all(v.undecided)) if v.undecided else "")


def _together(verdicts: Sequence[FacetVerdict], say: Speaker) -> list[str]:
    """Who is at the top of all facets; else every two facets whose leaders beat each other."""
    if len(verdicts) < 2:
        return []
    tops = [{v.leader, *v.equal} for v in verdicts]  # those not told apart are not shown to be at the top
    common = [name for name in verdicts[0].means if all(name in top for top in tops)]
    if common:
        facets = say.all([v.facet for v in verdicts]).lower()
        return [say.close("agree", names=say.title(common[0]), facets=facets)]
    apart = [
        (v, w) for i, v in enumerate(verdicts) for w in verdicts[i + 1 :] if v.leader in w.worse and w.leader in v.worse
    ]
    return [
        say.close(
            "disagree",
            one=say.title(v.facet),
            two=say.title(w.facet).lower(),
            a=say.title(v.leader),
            b=say.title(w.leader),
        )
        for v, w in apart
    ]
