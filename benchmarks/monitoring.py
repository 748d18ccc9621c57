"""False alarms and delays of ``isthmus monitor``, beside ADWIN and KSWIN on the raw columns.

    python benchmarks/monitoring.py isthmus --null 500 > isthmus.json
    python benchmarks/monitoring.py isthmus --null 500 --first 500 --count 0 > more.json    # a slice more
    python benchmarks/monitoring.py adwin > adwin.json        # in an environment with numpy and river
    python benchmarks/monitoring.py kswin > kswin.json
    python benchmarks/monitoring.py table isthmus.json more.json adwin.json kswin.json

Streams are simulated: nine columns of numbers that three factors tie, and one category. 1,000 rows train a model, and
500 more are its reference and calibration, or what the others warm up on; all anew for each stream. A null stream never
changes. The others change at row 1,500 in one way, and the delay is how many rows pass until the first alarm. ADWIN and
KSWIN run with their defaults and, second, with their level divided by the number of columns; a column's alarm is the
stream's. A stream that raises an alarm before it changes has no delay.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

TRAIN, NORMAL, CHANGE, AFTER = 1000, 500, 1500, 5000
COLUMNS, VALUES = 9, 4
LEVEL = 0.01
WEIGHTS = np.random.default_rng(0).normal(size=(3, COLUMNS))
NOISE = 0.5
SIZE = np.sqrt((WEIGHTS**2).sum(axis=0) + NOISE**2)


def rows(count: int, random: np.random.Generator) -> np.ndarray:
    """Normal rows: variance 1 in each column, and a category as its number."""
    x = random.normal(size=(count, 3)) @ WEIGHTS + NOISE * random.normal(size=(count, COLUMNS))
    return np.column_stack([x / SIZE, random.choice(VALUES, count, p=[0.4, 0.3, 0.2, 0.1]).astype(float)])


def shift(x: np.ndarray, random: np.random.Generator) -> None:
    x[:, 0] += 1.0


def scale(x: np.ndarray, random: np.random.Generator) -> None:
    x[:, 0] *= 2.0


def rotation(x: np.ndarray, random: np.random.Generator) -> None:
    """A column keeps its margin and loses what ties it to the others."""
    x[:, 0] = random.normal(size=len(x))


def category(x: np.ndarray, random: np.random.Generator) -> None:
    x[random.random(len(x)) < 0.1, COLUMNS] = VALUES


def dead(x: np.ndarray, random: np.random.Generator) -> None:
    x[:, 0] = 0.1


def slow(x: np.ndarray, random: np.random.Generator) -> None:
    x[:, 0] += np.linspace(0, 2, len(x))


def unit(x: np.ndarray, random: np.random.Generator) -> None:
    x[:, 0] /= 1000


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], None]] = {
    "shift of 1 sd": shift,
    "scale x 2": scale,
    "rotation": rotation,
    "new category, 10 %": category,
    "dead sensor": dead,
    "2 sd over 5,000 rows": slow,
    "unit / 1,000": unit,
}


def streams(change: str | None, count: int, first: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Known normal rows, and a stream; ``first`` is the seed of the first."""
    for seed in range(first, first + count):
        random = np.random.default_rng([seed, 0 if change is None else 1 + list(CHANGES).index(change)])
        known, stream = rows(TRAIN + NORMAL, random), rows(CHANGE + AFTER, random)
        if change is not None:
            CHANGES[change](stream[CHANGE:], random)
        yield known, stream


def isthmus_alarm() -> Callable[[np.ndarray, np.ndarray], int | None]:
    """The row of the first alarm of a watch."""
    import torch

    import isthmus
    from isthmus.data.fields import Field
    from isthmus.monitor.watch import Watch
    from isthmus.ship.deployed import Deployed

    torch.set_num_threads(1)
    fields = (*(Field(f"x{j}", "number") for j in range(COLUMNS)), Field("kind", "category", tuple("abcd")))

    def cells(x: np.ndarray) -> np.ndarray:
        return np.column_stack([x[:, :COLUMNS], np.where(x[:, COLUMNS] < VALUES, x[:, COLUMNS], -1)])

    def first(known: np.ndarray, stream: np.ndarray) -> int | None:
        x = cells(known)
        fitted = isthmus.fit(isthmus.named("pca").set_params(latents=4), x[:TRAIN], fields=fields)
        watch = Watch(Deployed.of(fitted, normal=x[TRAIN:]), level=LEVEL)
        new = cells(stream)
        for at in range(0, len(new), 64):
            if found := watch.feed(new[at : at + 64]):
                return found[0].row
        return None

    return first


def river_alarm(make: Callable[[], Any]) -> Callable[[np.ndarray, np.ndarray], int | None]:
    """The row of the first alarm of a detector for each column."""

    def first(known: np.ndarray, stream: np.ndarray) -> int | None:
        detectors = [make() for _ in range(COLUMNS + 1)]
        for row in known[TRAIN:].tolist():
            for one, value in zip(detectors, row, strict=True):
                one.update(value)
        for i, row in enumerate(stream.tolist()):
            for one, value in zip(detectors, row, strict=True):
                one.update(value)
            if any(one.drift_detected for one in detectors):
                return i + 1
        return None

    return first


def contenders(who: str) -> dict[str, Callable[[np.ndarray, np.ndarray], int | None]]:
    if who == "isthmus":
        return {"isthmus monitor": isthmus_alarm()}
    from river import drift

    if who == "adwin":
        return {
            "ADWIN": river_alarm(drift.ADWIN),
            "ADWIN, delta / 10": river_alarm(lambda: drift.ADWIN(delta=0.002 / 10)),
        }
    return {
        "KSWIN": river_alarm(lambda: drift.KSWIN(seed=0)),
        "KSWIN, alpha / 10": river_alarm(lambda: drift.KSWIN(alpha=0.005 / 10, seed=0)),
    }


def measured(who: str, null: int, count: int, begin: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, first in contenders(who).items():
        own = found[name] = {"null": [first(*one) for one in streams(None, null, begin)]}
        for change in CHANGES:
            own[change] = [first(*one) for one in streams(change, count, begin)]
            print(name, change, file=sys.stderr, flush=True)
    return found


def table(paths: list[Path]) -> None:
    """Markdown: the share of null streams with an alarm, and delays."""
    found: dict[str, dict[str, list[int | None]]] = {}
    for path in paths:
        for name, one in json.loads(path.read_text()).items():
            for change, ends in one.items():
                found.setdefault(name, {}).setdefault(change, []).extend(ends)
    print("| | " + " | ".join(found) + " |")
    print("|---|" + "---|" * len(found))
    cells = []
    for one in found.values():
        alarms = sum(at is not None for at in one["null"])
        cells.append(f"{alarms} of {len(one['null'])}")
    print(f"| null streams of {CHANGE + AFTER:,} rows with an alarm | " + " | ".join(cells) + " |")
    for change in CHANGES:
        cells = []
        for one in found.values():
            ends = one[change]
            early = sum(at is not None and at <= CHANGE for at in ends)
            delays = [at - CHANGE for at in ends if at is not None and at > CHANGE]
            said = f"{statistics.median(delays):,.0f}" if delays else "–"
            missed = sum(at is None for at in ends)
            notes = [*([f"{early} early"] if early else []), *([f"{missed} missed"] if missed else [])]
            cells.append(said + (f" ({', '.join(notes)} of {len(ends)})" if notes else ""))
        print(f"| {change} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("who", choices=["isthmus", "adwin", "kswin", "table"])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--null", type=int, default=200)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first stream: slices make one table")
    asked = parser.parse_args()
    if asked.who == "table":
        table(asked.files)
    else:
        print(json.dumps(measured(asked.who, asked.null, asked.count, asked.first)))
