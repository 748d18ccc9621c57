"""Does following the advice pay? Regret of the recommended contender on rows that the study never saw.

A quarter of each data set is put aside. The rest goes through an ordinary study; for each purpose we take what its
answer says, a claim or a bet. Then all contenders, as they were chosen and
trained in the study, are scored on the rows put aside. The regret of a choice is what the best contender there scores
better, in ropes of the metric: 1 is the smallest difference that anybody should care about. Against the recommendation
stand all fixed choices: the same family (or rival) for this purpose on every data set.

    python benchmarks/regret.py --out regret.jsonl            # runs what is missing there, then prints the table
    python benchmarks/regret.py --out regret.jsonl --print    # prints only
    python benchmarks/regret.py --bench oddbench --minutes 20 --out odd.jsonl     # 47 tables of one group each
    python benchmarks/regret.py --bench more --out more.jsonl                     # embeddings, and windows of series

Every finished data set is one line of JSON, so a run that stops (``--minutes``) goes on with the same command. A line
holds the scores of each replicate too: ``--again`` decides anew from them, by the rules of today.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from published.table import BESIDE

import isthmus
from isthmus.api.study import Study
from isthmus.data.dataset import Dataset
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.evidence.purposes import answered
from isthmus.evidence.verdict import judge
from isthmus.facets import FACETS
from isthmus.facets.facet import Rows, numbers
from isthmus.families import DEFAULT
from isthmus.metrics import METRICS
from isthmus.study.material import prepare
from isthmus.study.perform import contender
from isthmus.study.racing import counted
from isthmus.train.plan import Plan

ASIDE = 0.25
MOST, MOST_ANOMALIES = 1200, 200
STEPS = 16
"""Of a window of a series."""
FACET = {"compress": "compression", "classify": "features", "find_anomalies": "anomaly", "generate": "generation"}
KNOWN = {"120 to 200": 120, "60 to 119": 60, "fewer": 0}
"""How many anomalies a table has, and the least of that."""
ADBENCH = (
    "2_annthyroid", "4_breastw", "5_campaign", "6_cardio", "10_cover", "18_Ionosphere", "20_letter",
    "22_magic.gamma", "23_mammography", "24_mnist", "25_musk", "26_optdigits", "28_pendigits", "29_Pima",
    "30_satellite", "32_shuttle", "35_SpamBase", "38_thyroid", "40_vowels",
)  # fmt: skip

Set = tuple[np.ndarray, np.ndarray, str | None]
"""Rows, labels, and the label that is an anomaly."""


def adbench(path: Path) -> Set:
    """At most 1,000 normal rows and 200 anomalies."""
    with np.load(path) as file:
        return few(file["X"].astype(np.float64), file["y"].astype(int))


def few(x: np.ndarray, y: np.ndarray) -> Set:
    """A seeded draw of at most 1,000 rows of label 0 and 200 of label 1."""
    order = np.random.default_rng(0).permutation(len(x))
    kept = [order[y[order] == kind][:count] for kind, count in ((0, MOST - MOST_ANOMALIES), (1, MOST_ANOMALIES))]
    picked = np.sort(np.concatenate(kept))
    return x[picked], y[picked], "1"


def images(folder: Path) -> Set:
    """1,200 images, halved to 14 x 14 by averaging."""
    data = read(folder / "train-images-idx3-ubyte.gz")
    x = data.x[:MOST].astype(np.float64).reshape(-1, 14, 2, 14, 2).mean((2, 4))
    return x / 255, data.y[:MOST], None


def cifar(folder: Path) -> Set:
    """1,200 colour images, averaged to 8 x 8."""
    with np.load(folder / "cifar10_subset.npz") as file:
        x, y = file["X_train"][:MOST].astype(np.float64), file["y_train"][:MOST]
    return x.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4)) / 255, y, None


def adult(folder: Path) -> Set:
    """1,200 complete rows: numbers as they are, words as zeros and ones."""
    table = pd.read_csv(folder / "adult.data.gz", skipinitialspace=True, na_values="?").dropna()
    table = table.sample(MOST, random_state=0)
    columns = pd.get_dummies(table.iloc[:, :-1])
    return columns.loc[:, columns.nunique() > 1].to_numpy(np.float64), table.iloc[:, -1].to_numpy(), None


def news(folder: Path) -> Set:
    """1,200 titles as weights of the 150 commonest words that mean something."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    table = pd.read_csv(folder / "ag_news_test.csv.gz", names=["class", "title", "text"]).sample(MOST, random_state=0)
    return _words(table["title"] + " " + table["text"], TfidfVectorizer), table["class"].to_numpy(), None


def reviews(folder: Path) -> Set:
    """1,200 sentences on films in the same form."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    half = MOST // 2
    lines = []
    for side in ("pos", "neg"):
        with gzip.open(folder / f"rt-polarity.{side}.gz", "rt", encoding="cp1252") as file:
            lines += file.readlines()[:half]
    return _words(lines, TfidfVectorizer), np.repeat(["pos", "neg"], half), None


def _words(lines: Any, vectoriser: Any) -> np.ndarray:
    return vectoriser(max_features=150, stop_words="english").fit_transform(lines).toarray()


def cells(folder: Path) -> Set:
    """700 blood cells, the 200 genes that vary most."""
    with np.load(folder / "pbmc68k_reduced.npz") as file:
        x, y = file["X_scaled"].astype(np.float64), file["bulk_label"]
    return x[:, np.sort(np.argsort(-x.var(0))[:200])], y, None


def oddbench(path: Path) -> Set:
    """At most 1,000 normal rows and 200 anomalies of a table in which one group of rows plays the anomaly."""
    with np.load(path) as file:
        return few(file["X"].astype(np.float64), file["y"].astype(int))


def series(path: Path, labelled: list[list[str]]) -> Set:
    """Windows of 16 steps that do not overlap, of a series of the Numenta Anomaly Benchmark; an anomaly is one that a
    labelled stretch touches. Rows are parted at random, so neighbours lie on both sides."""
    table = pd.read_csv(path, parse_dates=["timestamp"])
    odd = np.zeros(len(table), bool)
    for begin, end in labelled:
        odd |= table["timestamp"].between(begin, end).to_numpy()
    count = len(table) // STEPS
    x, odd = (one[: count * STEPS].reshape(count, STEPS) for one in (table["value"].to_numpy(np.float64), odd))
    return few(x, odd.any(axis=1).astype(int))


def more(data: Path) -> dict[str, Callable[[], Set]]:
    """What is left of ADBench without rows of the others, embeddings of pictures and texts, and series."""
    there = [data / "adbench" / f"{name}.npz" for name in ("16_http", "17_InternetAds")]
    there += sorted((data / "adbench_embeddings").glob("*.npz"))
    found: dict[str, Callable[[], Set]] = {path.stem: lambda path=path: adbench(path) for path in there}
    stretches = json.loads((data / "nab" / "combined_windows.json").read_text())
    for name, labelled in stretches.items():
        if labelled and (path := data / "nab" / f"{name}.gz").exists():
            found[path.name.split(".")[0]] = lambda path=path, labelled=labelled: series(path, labelled)
    return found


def sets(data: Path, bench: str) -> dict[str, Callable[[], Set]]:
    """Name -> what loads it."""
    if bench == "more":
        return more(data)
    if bench == "oddbench":
        return {path.stem: lambda path=path: oddbench(path) for path in sorted((data / "oddbench").glob("*.npz"))}
    found = {name: lambda name=name: adbench(data / "adbench" / f"{name}.npz") for name in ADBENCH}
    found |= {name: lambda name=name: images(data / name) for name in ("mnist", "fashion_mnist")}
    return found | {
        "cifar10": lambda: cifar(data / "cifar10_subset"),
        "adult": lambda: adult(data / "adult"),
        "ag_news": lambda: news(data / "text"),
        "rt_polarity": lambda: reviews(data / "text"),
        "pbmc68k": lambda: cells(data / "single_cell"),
    }


def parted(one: Set, seed: int = 0) -> tuple[Set, Set]:
    """What the study sees, and a quarter of each label's rows put aside."""
    x, y, anomaly = one
    labels = np.asarray(y).astype(str)
    stream = np.random.default_rng(seed)
    aside = np.zeros(len(x), bool)
    for label in np.unique(labels):
        rows = stream.permutation(np.flatnonzero(labels == label))
        aside[rows[: int(len(rows) * ASIDE)]] = True
    return (x[~aside], labels[~aside], anomaly), (x[aside], labels[aside], anomaly)


def held_out(study: Study, data: Dataset, aside: Set) -> dict[str, dict[str, float]]:
    """Facet -> contender -> mean of the deciding metric on the rows put aside, over the study's replicates."""
    codes = np.array([data.classes.index(label) for label in aside[1]])
    seen: dict[tuple[str, str], list[float]] = {}
    verdicts = study.verdict()
    for job in study.design.jobs():
        material, name = prepare(job, data), job.name
        odd = name.outliers or [str(data.anomaly)]  # of the view without anomalies; the other has none
        y = codes if name.view == "all" else np.isin(aside[1], odd).astype(np.int64)
        splits = material.splits._replace(test=Rows(material.layout.apply(aside[0]), y))
        for facet in job.body["facets"] if name.kind == "family" else [str(name.facet)]:
            if name.name not in verdicts[facet].means:
                continue  # excluded, with its reason
            if name.kind == "family":
                found = FACETS[facet].measure(contender(study.model(name.name, facet, name.replicate)), splits)
            else:
                found = FACETS[facet].rivals[name.name](splits)
            seen.setdefault((facet, name.name), []).append(numbers(found)[study.design.primary(facet)])
    table: dict[str, dict[str, float]] = {}
    for (facet, who), values in seen.items():
        table.setdefault(facet, {})[who] = float(np.mean(values))
    return table


def regrets(values: dict[str, float], metric: str) -> dict[str, float]:
    """What the best contender is better by, in ropes."""
    known = METRICS[metric]
    scale = {who: math.log(max(v, 1e-12)) if known.relative else v for who, v in values.items() if math.isfinite(v)}
    best = max(scale.values()) if known.higher else min(scale.values())
    rope = math.log1p(known.rope) if known.relative else known.rope
    return {who: abs(best - v) / rope for who, v in scale.items()}


def ropes(expected: float, metric: str) -> float:
    """An expected regret in the metric's unit, or as a share, in ropes."""
    known = METRICS[metric]
    return math.log1p(expected) / math.log1p(known.rope) if known.relative else expected / known.rope


def run(name: str, load: Callable[[], Set], options: argparse.Namespace) -> dict[str, Any]:
    """One data set: the study's scores, and everybody's on the rows put aside."""
    there, aside = parted(load())
    facets = ",".join(FACET.values()) if options.bench == "mixed" else "anomaly"
    with tempfile.TemporaryDirectory() as folder:
        study = isthmus.compare(
            there[0],
            there[1],
            anomaly=there[2],
            facets=facets,
            families=options.families,
            replicates=options.replicates,
            configs=options.configs,
            jobs=options.jobs,
            out=Path(folder) / "study",
            plan=Plan(steps=options.steps),
        )
        data = read(there[0], there[1], anomaly=there[2])
        table = held_out(study, data, aside)
        found: dict[str, Any] = {"data": name, "rows": len(there[0]), "purposes": {}}
        for one in study.purposes():
            facet = FACET[one.purpose]
            (v,) = one.verdicts
            found["purposes"][one.purpose] = {
                "kind": one.kind,
                "take": one.take,
                "expected": one.regret,
                "regret": regrets(table[facet], study.design.primary(facet)),
                "rivals": list(v.rivals),
                "metric": v.metric,
                "test_fraction": v.test_fraction,
                "floor": None
                if (floor := study.floor(facet)) is None
                else [None if math.isnan(f) else f for f in floor],
                "scores": {who: [None if math.isnan(s) else s for s in study.scores(facet)[who]] for who in v.means},
            }
    return found


def again(result: dict[str, Any]) -> dict[str, Any]:
    """The same with what today's rules make of its scores; that trainings were cut is left out."""
    for purpose, row in result["purposes"].items():
        known = METRICS[row["metric"]]
        v = judge(
            row["scores"],
            metric=known.name,
            higher=bool(known.higher),
            rope=known.rope,
            relative=known.relative,
            rivals=set(row["rivals"]),
            test_fraction=row["test_fraction"],
            facet=FACET[purpose],
            floor=row["floor"],
            looks=counted(0),
        )
        one = next(p for p in answered({v.facet: v}) if p.purpose == purpose)
        row |= {"kind": one.kind, "take": one.take, "expected": one.regret}
    return result


def paired(results: list[dict[str, Any]], purpose: str) -> Iterator[str]:
    """The recommendation against every fixed choice: mean regrets, and bootstrap intervals over data sets."""
    rows = [r["purposes"][purpose] for r in results if purpose in r["purposes"]]
    rows = [row for row in rows if row["take"] in row["regret"]]
    if not rows:
        return
    taken = np.array([row["regret"][row["take"]] for row in rows])
    rivals = {name for row in rows for name in row["rivals"]}
    fixed = {
        who: np.array([row["regret"].get(who, max(row["regret"].values())) for row in rows])
        for who in sorted({name for row in rows for name in row["regret"]})
    }
    hindsight = np.array(
        [
            min((v for n, v in row["regret"].items() if n not in rivals), default=max(row["regret"].values()))
            for row in rows
        ]
    )
    chance = np.array([np.mean(list(row["regret"].values())) for row in rows])
    open_ = np.array([row["expected"] is not None for row in rows])
    told = np.array([ropes(row["expected"] or 0.0, row["metric"]) for row in rows])
    yield f"\n{purpose}: {len(rows)} data sets, {open_.sum()} bets; mean regret in ropes, bootstrap intervals\n"
    yield "| choice | regret | more than the recommendation |\n|---|---|---|"
    yield f"| recommended | {_interval(taken)} | |"
    for who, values in sorted(
        {**fixed, "(best autoencoder, with hindsight)": hindsight, "(random contender)": chance}.items(),
        key=lambda item: item[1].mean(),
    ):
        name = f"{who} (rival)" if who in rivals else who
        yield f"| {name} | {_interval(values)} | {_interval(values - taken)} |"
    if open_.any():
        yield f"\nBets: regret {_interval(taken[open_])}, told beforehand {told[open_].mean():.2f}. "
    better = np.array([min(v for n, v in row["regret"].items() if n in rivals) for row in rows])
    auto = np.array([row["take"] not in rivals for row in rows])
    yield (
        f"An autoencoder is truly better than every rival by 2 ropes in {int((better >= 2).sum())}, recommended in "
        f"{int((auto & (better >= 2)).sum())} of these; a rival by 1 rope in {int((hindsight >= 1).sum())}, an "
        f"autoencoder recommended in {int((auto & (hindsight >= 1)).sum())} of these."
    )


def by_anomalies(results: list[dict[str, Any]], known: dict[str, Callable[[], Set]]) -> Iterator[str]:
    """How the regret of the recommendation goes with the number of anomalies that a table has in all."""
    found: dict[str, list[float]] = {}
    for one in results:
        row = one["purposes"].get("find_anomalies")
        if row is not None and row["take"] in row["regret"]:
            _, labels, anomaly = known[one["data"]]()
            count = int((np.asarray(labels).astype(str) == anomaly).sum())
            name = next(name for name, least in KNOWN.items() if count >= least)
            found.setdefault(name, []).append(row["regret"][row["take"]])
    if found:
        yield "\n| anomalies in the table | tables | recommended: regret | at most 1 rope | worst |"
        yield "|---|---|---|---|---|"
    for name in KNOWN:
        if name in found:
            values = np.array(found[name])
            yield f"| {name} | {len(values)} | {_interval(values)} | {np.mean(values <= 1):.0%} | {values.max():.1f} |"


def _interval(values: np.ndarray) -> str:
    """A mean with its percentile bootstrap interval."""
    picked = np.random.default_rng(0).integers(len(values), size=(10_000, len(values)))
    low, high = np.quantile(values[picked].mean(axis=1), (0.025, 0.975))
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def tables(results: list[dict[str, Any]]) -> Iterator[str]:
    """For each purpose: the recommendation and every fixed choice, mean regret in ropes over the data sets."""
    yield f"{len(results)} data sets; regret in ropes, mean over data sets (of which at most 1 rope / worst)\n"
    yield "| purpose | data sets | recommended | best fixed family | next best family | PCA | best fixed rival |"
    yield "|---|---|---|---|---|---|---|"
    whole: dict[str, list[float]] = {}
    for purpose in FACET:
        rows = [r["purposes"][purpose] for r in results if purpose in r["purposes"]]
        rows = [row for row in rows if row["take"] in row["regret"]]
        if not rows:
            continue
        fixed: dict[str, list[float]] = {}
        for row in rows:
            worst = max(row["regret"].values())
            for who in {name for other in rows for name in other["regret"]}:
                fixed.setdefault(who, []).append(row["regret"].get(who, worst))  # excluded there: as bad as the worst
        taken = [row["regret"][row["take"]] for row in rows]
        families = sorted((np.mean(v), who) for who, v in fixed.items() if who in DEFAULT and who != "pca")
        rivals = sorted((np.mean(v), who) for who, v in fixed.items() if who not in DEFAULT)
        cells = [_cell("", taken), *(_cell(who, fixed[who]) for _, who in families[:2]), _cell("", fixed["pca"])]
        cells += [_cell(who, fixed[who]) for _, who in rivals[:1]] or ["–"]
        yield f"| {purpose} | {len(rows)} | {' | '.join(cells)} |"
        for who in (name for name in fixed if name in DEFAULT):
            whole.setdefault(who, []).extend(fixed[who])
        whole.setdefault("recommended", []).extend(taken)
    yield "\n| all purposes together | mean regret | median | at most 1 rope | worst |\n|---|---|---|---|---|"
    for who, values in sorted(whole.items(), key=lambda item: np.mean(item[1])):
        within = np.mean(np.asarray(values) <= 1)
        yield f"| {who} | {np.mean(values):.2f} | {np.median(values):.2f} | {within:.0%} | {max(values):.1f} |"


def _cell(who: str, values: list[float]) -> str:
    shares = f"{np.mean(values):.2f} ({np.mean(np.asarray(values) <= 1):.0%} / {max(values):.1f})"
    return f"{who} {shares}".strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=BESIDE)
    parser.add_argument("--out", type=Path, required=True, help="one line of JSON for each data set")
    parser.add_argument("--bench", choices=("mixed", "oddbench", "more"), default="mixed", help="which data sets")
    parser.add_argument("--sets", help="names with commas; by default all")
    parser.add_argument("--families", default="default", help="pca: rivals alone, in some seconds for each data set")
    parser.add_argument(
        "--part", default="0/1", help="0/2 and 1/2 are every other data set: to develop on, and to check"
    )
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument("--configs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no data set after so many")
    parser.add_argument("--print", action="store_true", help="run nothing")
    parser.add_argument("--again", action="store_true", help="decide anew from the scores that are there")
    options = parser.parse_args()
    done = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    known, began = sets(options.data, options.bench), time.monotonic()
    first, step = map(int, options.part.split("/"))
    wanted = options.sets.split(",") if options.sets else list(known)[first::step]
    for name in wanted:
        late = time.monotonic() - began > 60 * options.minutes
        if options.print or late or any(one["data"] == name for one in done):
            continue
        try:
            done.append(run(name, known[name], options))
        except BadInput as refused:  # what the reader refuses is told, and the next one is asked
            done.append({"data": name, "refused": str(refused), "purposes": {}})
            print(f"{name} is refused: {refused}")
        with options.out.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    done = [again(one) if options.again else one for one in done if one["data"] in wanted]
    told = [*tables(done), *(line for purpose in FACET for line in paired(done, purpose))]
    print("\n".join([*told, *(by_anomalies(done, known) if options.bench != "mixed" else ())]))


if __name__ == "__main__":
    main()
