"""Does following the verdict pay? Regret of the recommended contender on rows that the study never saw.

A quarter of each data set is put aside. The rest goes through an ordinary study; for each purpose we take what its
verdict says (where it is undecided: the rival, as its sentence advises). Then all contenders, as they were chosen and
trained in the study, are scored on the rows put aside. The regret of a choice is what the best contender there scores
better, in ropes of the metric: 1 is the smallest difference that anybody should care about. Against the recommendation
stand all fixed choices: the same family (or rival) for this purpose on every data set.

    python benchmarks/regret.py --out regret.jsonl            # runs what is missing there, then prints the table
    python benchmarks/regret.py --out regret.jsonl --print    # prints only
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import tempfile
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
from isthmus.facets import FACETS
from isthmus.facets.facet import Rows, numbers
from isthmus.families import DEFAULT
from isthmus.metrics import METRICS
from isthmus.study.material import prepare
from isthmus.study.perform import contender
from isthmus.train.plan import Plan

ASIDE = 0.25
MOST, MOST_ANOMALIES = 1200, 200
FACET = {"compress": "compression", "classify": "features", "find_anomalies": "anomaly", "generate": "generation"}
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
        x, y = file["X"].astype(np.float64), file["y"].astype(int)
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


def sets(data: Path) -> dict[str, Callable[[], Set]]:
    """Name -> what loads it."""
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
        left = data.anomaly if name.left_out is None else name.left_out
        y = codes if name.view == "all" else (codes == data.classes.index(str(left))).astype(np.int64)
        splits = material.splits._replace(test=Rows(material.scaler.apply(aside[0]), y))
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


def run(name: str, load: Callable[[], Set], steps: int, replicates: int, workers: int) -> dict[str, Any]:
    """One data set: the study, what it recommends, and the regret of everybody."""
    there, aside = parted(load())
    with tempfile.TemporaryDirectory() as folder:
        options = {"facets": ",".join(FACET.values()), "replicates": replicates, "configs": 3, "jobs": workers}
        study = isthmus.compare(
            there[0], there[1], anomaly=there[2], out=Path(folder) / "study", plan=Plan(steps=steps), **options
        )
        data = read(there[0], there[1], anomaly=there[2])
        table = held_out(study, data, aside)
        found: dict[str, Any] = {"data": name, "rows": len(there[0]), "purposes": {}}
        for one in study.purposes():
            facet = FACET[one.purpose]
            found["purposes"][one.purpose] = {
                "kind": one.kind,
                "take": one.take or one.against,
                "regret": regrets(table[facet], study.design.primary(facet)),
            }
    return found


def tables(results: list[dict[str, Any]]) -> Iterator[str]:
    """For each purpose: the recommendation and every fixed choice, mean regret in ropes over the data sets."""
    yield f"{len(results)} data sets; regret in ropes, mean over data sets (of which at most 1 rope / worst)\n"
    yield "| purpose | data sets | recommended | best fixed family | next best family | PCA | best fixed rival |"
    yield "|---|---|---|---|---|---|---|"
    whole: dict[str, list[float]] = {}
    for purpose in FACET:
        rows = [r["purposes"][purpose] for r in results if purpose in r["purposes"]]
        rows = [row for row in rows if row["take"] in row["regret"]]
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
    parser.add_argument("--sets", help="names with commas; by default all")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--print", action="store_true", help="run nothing")
    options = parser.parse_args()
    done = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    known = sets(options.data)
    for name in options.sets.split(",") if options.sets else known:
        if options.print or any(one["data"] == name for one in done):
            continue
        done.append(run(name, known[name], options.steps, options.replicates, options.jobs))
        with options.out.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    print("\n".join(tables(done)))


if __name__ == "__main__":
    main()
