"""Anomalies in the series of the Numenta Anomaly Benchmark, beside what others published of it.

    python benchmarks/nab.py nab.jsonl --series 5    # five more series, each a line of the file; the same again goes on
    python benchmarks/nab.py nab.jsonl --series 0    # the table of what is there

Each series is one channel. A window (--window, 32 steps) is learnt from if it ends before the first labelled anomaly,
and within the first 40 % of the steps (but at least 15 %, NAB's own probation, whatever lies there); the last quarter
of these windows stops training and calibrates scores. Every window of the series is scored, a step has the mean score
of its windows, and VUS-PR looks at all steps, with a buffer as wide as a window. Labels are NAB's windows.

The published means are those of TSB-AD-U (Liu and Paparrizos 2024, NeurIPS) over its 23 series from NAB. They have
labels, cuts and buffers of their own, so they stand beside ours loosely. POLY there judges a window by a polynomial
through ten windows around it, ours by one through the window itself.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pacsv

from isthmus.data.read import read
from isthmus.data.windows import per_step
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.outliers import SCORERS
from isthmus.facets.windows import SCORERS as OF_WINDOWS
from isthmus.families import named
from isthmus.metrics.vus import vus_pr
from isthmus.scorer import Scorer
from isthmus.seeds import seed
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

BESIDE = Path(os.environ.get("ISTHMUS_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "nab"
PUBLISHED = {
    "polynomial residual": ("POLY", 0.484),
    "sub-pca": ("Sub-PCA", 0.436),
    "k-means on windows": ("KMeansAD", 0.325),
    "plain, error alone": ("AutoEncoder", 0.317),
    "knn": ("Sub-KNN", 0.292),
    "isolation forest": ("IForest", 0.223),
}
MOST, LEAST = 0.4, 0.15
"""Shares of the steps that are learnt from."""
FAMILIES = {
    "plain": named("plain").set_params(latents=8, hidden=(64,)),
    "plain, conv1d": named("plain").set_params(latents=8, hidden=(16, 32), backbone="conv1d"),
    "vae": named("vae").set_params(latents=8, hidden=(64,)),
    "pca": named("pca").set_params(latents=8),
}
RIVALS = {**{name: SCORERS[name] for name in ("isolation forest", "knn")}, **OF_WINDOWS}


def main() -> None:
    """More series, then the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("out", type=Path, help="a line for each series that is done")
    asked.add_argument("--series", type=int, default=5, help="how many more to do")
    asked.add_argument("--window", type=int, default=32, help="steps of a window, and of the widest buffer")
    asked.add_argument("--steps", type=int, default=1000, help="optimiser steps of a training, at most")
    given = asked.parse_args()
    labels = json.loads((BESIDE / "combined_windows.json").read_text())
    done = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    left = [name for name, ranges in labels.items() if ranges and name not in {one["series"] for one in done}]
    random = np.random.default_rng(seed(0, "order of series"))  # the first few are of all three folders
    for name in [left[i] for i in random.permutation(len(left))][: given.series]:
        done.append({"series": name, **asked_of(name, labels[name], given.window, given.steps)})
        with given.out.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    table(done)


def asked_of(name: str, ranges: list[list[str]], length: int, steps: int) -> dict[str, Any]:
    """VUS-PR of everyone on one series."""
    held = pacsv.read_csv(BESIDE / f"{name}.gz")
    when = np.asarray(held["timestamp"]).astype("datetime64[us]")
    label = np.zeros(len(when), np.int64)
    for begin, end in ranges:
        label[(when >= np.datetime64(begin)) & (when <= np.datetime64(end))] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = read(np.asarray(held["value"], np.float64)[:, None], window=length, time="rows")
        cut = round(min(max(LEAST * len(label), label.argmax()), MOST * len(label)))
        known = np.flatnonzero(data.windows.first + length <= cut)
        train, valid = known[: -len(known) // 4], known[-len(known) // 4 :]
        valid = valid[length - 1 :]  # shares no step with what is trained on
        found = {"steps": len(label), "train": int(cut), "flat": vus_pr(label, np.zeros(len(label)), length)}
        layout = None
        for family, recipe in FAMILIES.items():
            model = fit(
                recipe, data.x[train], valid=data.x[valid], plan=Plan(steps=steps), images=False, series=data.series
            )
            layout, x = model.layout, model.layout.apply(data.x)
            whole = Scorer.fit(model, x[train], x[valid])
            found[family] = graded(whole.scores(x), data, label)
            if family == "plain":
                found["plain, error alone"] = graded(model.score_scaled(x), data, label)
        x = layout.apply(data.x)
        rows = [Rows(x[part], None, first=data.windows.first[part]) for part in (train, valid, np.arange(len(x)))]
        splits = Splits(*rows, seed=0, latents=8, layout=layout)
        found |= {rival: graded(fit_rival(splits)(x), data, label) for rival, fit_rival in RIVALS.items()}
    return found


def graded(scores: Any, data: Any, label: Any) -> float:
    """VUS-PR of windows' scores, step by step."""
    length = data.series.length
    return vus_pr(label, per_step(scores, data.windows.first, length, len(label)), length)


def table(done: list[dict[str, Any]]) -> None:
    """Means over the series that are done."""
    print(f"VUS-PR, means over {len(done)} series; published: 23 series of TSB-AD-U from NAB\n")
    print(f"{'contender':24} {'here':>6} {'standard error':>15}   published")
    names = [name for name in done[0] if name not in {"series", "steps", "train"}] if done else []
    for name in sorted(names, key=lambda one: -np.mean([row[one] for row in done])):
        values = np.array([row[name] for row in done])
        other, mean = PUBLISHED.get(name, ("", None))
        spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        print(f"{name:24} {values.mean():6.3f} {spread:15.3f}   {'' if mean is None else f'{mean:.3f} ({other})'}")


if __name__ == "__main__":
    main()
