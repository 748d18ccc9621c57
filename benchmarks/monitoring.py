"""False alarms and delays of ``isthmus monitor``, beside ADWIN, KSWIN and a control chart on the raw columns.

    python benchmarks/monitoring.py isthmus --null 500 > isthmus.json
    python benchmarks/monitoring.py isthmus --null 500 --first 500 --count 0 > more.json    # a slice more
    python benchmarks/monitoring.py adwin > adwin.json        # in an environment with numpy and river
    python benchmarks/monitoring.py kswin > kswin.json
    python benchmarks/monitoring.py table isthmus.json more.json adwin.json kswin.json
    python benchmarks/monitoring.py isthmus --real > real.json    # and adwin, kswin, chart: elec, NAB, weather
    python benchmarks/monitoring.py real real.json ...

Streams are simulated: nine columns of numbers that three factors tie, and one category. 1,000 rows train a model, and
500 more are its reference and calibration, or what the others warm up on; all anew for each stream. A null stream never
changes. The others change at row 1,500 in one way, and the delay is how many rows pass until the first alarm. ADWIN and
KSWIN run with their defaults and, second, with their level divided by the number of columns; a column's alarm is the
stream's. A stream that raises an alarm before it changes has no delay. The chart (Shewhart 1931) is the simple
baseline: means of blocks of 64 rows, in deviations of such means in the known rows, beyond what the level leaves to the
blocks of the whole stream.

``--real`` streams depend on their past, so that no level is promised for them: what is told is which columns raise an
alarm before something changes, and how soon after. *elec*: 6,000 half-hours are known, VIC price stands still until
row 17,423 and moves from there on. *weather*: hours of two simulated years with cycles of day and year, and weather
that lasts (AR(1), 0.95); the first year is known, and in the second the thermometer reads 4 degrees too much from hour
4,000 on. *NAB*: series with labels, each as value and step; known is what ends before the first label, at most 40 %;
the first alarm comes before all labelled windows, in one, or after. Data lie in data/ below the folder ISTHMUS_SHARED.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

TRAIN, NORMAL, CHANGE, AFTER = 1000, 500, 1500, 5000
COLUMNS, VALUES = 9, 4
LEVEL, BLOCK = 0.01, 64
BESIDE = Path(os.environ.get("ISTHMUS_SHARED", Path(__file__).parents[2] / "shared")) / "data"
SOON = 1500
"""Rows after a change of a real stream, within which it is found or not."""
Alarms = dict[str, int]
"""The first alarm of each channel: its row, counted from 1."""
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


def first_of(
    alarms: Callable[[np.ndarray, np.ndarray, bool], Alarms],
) -> Callable[[np.ndarray, np.ndarray], int | None]:
    """The row of the first alarm of a stream."""
    return lambda known, stream: min(alarms(known, stream, True).values(), default=None)


def isthmus_alarms(latents: int, categories: bool) -> Callable[[np.ndarray, np.ndarray, bool], Alarms]:
    """Alarms of a watch; of the known rows two thirds train."""
    import torch

    import isthmus
    from isthmus.data.fields import Field
    from isthmus.monitor.watch import Watch
    from isthmus.ship.deployed import Deployed

    torch.set_num_threads(1)
    fields = (*(Field(f"x{j}", "number") for j in range(COLUMNS)), Field("kind", "category", tuple("abcd")))

    def cells(x: np.ndarray) -> np.ndarray:
        if not categories:
            return x
        return np.column_stack([x[:, :COLUMNS], np.where(x[:, COLUMNS] < VALUES, x[:, COLUMNS], -1)])

    def alarms(known: np.ndarray, stream: np.ndarray, only: bool) -> Alarms:
        x, cut = cells(known), 2 * len(known) // 3
        if not categories:  # what is known of series has seen all seasons
            x = np.random.default_rng(0).permutation(x)
        recipe = isthmus.named("pca").set_params(latents=latents)
        fitted = isthmus.fit(recipe, x[:cut], fields=fields if categories else ())
        watch, found = Watch(Deployed.of(fitted, normal=x[cut:]), level=LEVEL), Alarms()
        new = cells(stream)
        for at in range(0, len(new), BLOCK):
            for one in watch.feed(new[at : at + BLOCK]):
                found.setdefault(one.channel, one.row)
            if found and only:
                break
        return found

    return alarms


def river_alarms(make: Callable[[], Any]) -> Callable[[np.ndarray, np.ndarray, bool], Alarms]:
    """Alarms of a detector for each column."""

    def alarms(known: np.ndarray, stream: np.ndarray, only: bool) -> Alarms:
        detectors, found = [make() for _ in known[0]], Alarms()
        for row in known[2 * len(known) // 3 :].tolist():
            for one, value in zip(detectors, row, strict=True):
                one.update(value)
        for i, row in enumerate(stream.tolist()):
            for j, (one, value) in enumerate(zip(detectors, row, strict=True)):
                if f"x{j}" not in found:
                    one.update(value)
                    if one.drift_detected:
                        found[f"x{j}"] = i + 1
            if found and (only or len(found) == len(detectors)):
                break
        return found

    return alarms


def chart_alarms(known: np.ndarray, stream: np.ndarray, only: bool) -> Alarms:
    """Alarms of a chart of block means for each column."""
    own = known[: len(known) // BLOCK * BLOCK].reshape(-1, BLOCK, known.shape[1]).mean(axis=1)
    blocks = stream[: len(stream) // BLOCK * BLOCK].reshape(-1, BLOCK, stream.shape[1]).mean(axis=1)
    far = statistics.NormalDist().inv_cdf(1 - LEVEL / (2 * blocks.size))
    off = np.abs(blocks - own.mean(axis=0)) > far * own.std(axis=0, ddof=1) * math.sqrt(1 + 1 / len(own)) + 1e-12
    return {f"x{j}": BLOCK * (int(off[:, j].argmax()) + 1) for j in np.flatnonzero(off.any(axis=0)).tolist()}


def contenders(
    who: str, latents: int = 4, *, categories: bool = True
) -> dict[str, Callable[[np.ndarray, np.ndarray, bool], Alarms]]:
    if who == "isthmus":
        return {"isthmus monitor": isthmus_alarms(latents, categories)}
    if who == "chart":
        return {"chart of block means": chart_alarms}
    from river import drift

    if who == "adwin":
        return {
            "ADWIN": river_alarms(drift.ADWIN),
            "ADWIN, delta / 10": river_alarms(lambda: drift.ADWIN(delta=0.002 / 10)),
        }
    return {
        "KSWIN": river_alarms(lambda: drift.KSWIN(seed=0)),
        "KSWIN, alpha / 10": river_alarms(lambda: drift.KSWIN(alpha=0.005 / 10, seed=0)),
    }


def elec() -> tuple[np.ndarray, int]:
    """Half-hours, and the first in which VIC price moves."""
    with gzip.open(BESIDE / "drift" / "elec.csv.gz", "rt") as file:
        return np.loadtxt(file, delimiter=",", skiprows=1, usecols=range(6)), 17_423


def weather(seed: int) -> np.ndarray:
    """Two years of hours: temperature, humidity, pressure and wind."""
    random, hours = np.random.default_rng([seed, 99]), np.arange(2 * 8760)
    day, year = np.sin(2 * np.pi * hours / 24), np.sin(2 * np.pi * hours / 8760)
    lasting = np.zeros((len(hours), 4))
    for i in range(1, len(hours)):
        lasting[i] = 0.95 * lasting[i - 1] + math.sqrt(1 - 0.95**2) * random.normal(size=4)
    x = 10 + 9 * year + 4 * day + 3 * lasting[:, 0]
    return np.column_stack(
        [x, 70 - 1.5 * (x - 10) + 8 * lasting[:, 1], 1013 + 8 * lasting[:, 2], np.exp(1 + 0.5 * lasting[:, 3])]
    )


def nab() -> Iterator[tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]]:
    """Known steps, those to watch, and the labelled windows among these, of each series that has some."""
    for name, ranges in json.loads((BESIDE / "nab" / "combined_windows.json").read_text()).items():
        if not ranges:
            continue
        with gzip.open(BESIDE / "nab" / f"{name}.gz", "rt") as file:
            lines = [line.rstrip().split(",") for line in file][1:]
        when, value = np.array([one[0] for one in lines], "datetime64[us]"), np.array([float(one[1]) for one in lines])
        label = [
            (int(np.searchsorted(when, np.datetime64(a))), int(np.searchsorted(when, np.datetime64(b))))
            for a, b in ranges
        ]
        cut = min(label[0][0], round(0.4 * len(value)))
        if cut >= 4 * BLOCK:
            x = np.column_stack([value, np.diff(value, prepend=value[0])])
            yield x[:cut], x[cut:], [(a - cut, b - cut) for a, b in label]


def real(who: str) -> dict[str, Any]:
    """What happens on streams that depend on their past."""
    found: dict[str, Any] = {}
    x, moves = elec()
    for name, alarms in [*contenders(who, 3, categories=False).items()][:1]:  # with its defaults
        found[name] = {"elec": alarms(x[:6000], x[6000 : moves + SOON], False), "moves": moves - 6000, "weather": []}
        for seed in range(5):
            own = weather(seed)
            own[8760 + 4000 :, 0] += 4
            found[name]["weather"].append(alarms(own[:8760], own[8760 : 8760 + 4000 + SOON], False))
    for name, alarms in [*contenders(who, 1, categories=False).items()][:1]:
        found[name]["nab"] = [
            [min(alarms(known, stream, True).values(), default=None), label] for known, stream, label in nab()
        ]
    return found


def real_table(paths: list[Path]) -> None:
    """Markdown: real streams, one line for each contender."""
    found: dict[str, Any] = {}
    for path in paths:
        found |= json.loads(path.read_text())
    print(
        "| | elec: first alarm | VIC price, rows after | weather: columns early | thermometer, hours after |", end=" "
    )
    print("NAB: early | in a window | after | never |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, one in found.items():
        at, moved = one["elec"].get("x3"), one["moves"]
        vic = "never" if at is None else f"{at - moved:,}" if at > moved else f"early, at {at:,}"
        early = [
            sum(row <= 4000 for channel, row in run.items() if channel in ("x0", "x1", "x2", "x3"))
            for run in one["weather"]
        ]
        late = [run["x0"] - 4000 for run in one["weather"] if run.get("x0", 0) > 4000]
        told = f"{statistics.median(late):,.0f} ({len(late)} of {len(early)})" if late else "–"
        places = [place(first, label) for first, label in one["nab"]]
        counts = [str(places.count(kind)) for kind in ("early", "in", "after", "never")]
        first = min(one["elec"].values(), default=None)
        print(f"| {name} | {first:,} | {vic} | {sum(early)} of {4 * len(early)} | {told} | {' | '.join(counts)} |")


def place(first: int | None, label: list[list[int]]) -> str:
    """Where a first alarm lies among labelled windows; a block after the end of one is still in it."""
    if first is None:
        return "never"
    if any(a < first <= b + BLOCK for a, b in label):
        return "in"
    return "early" if first <= label[0][0] else "after"


def measured(who: str, null: int, count: int, begin: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, alarms in contenders(who).items():
        first = first_of(alarms)
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
    parser.add_argument("who", choices=["isthmus", "adwin", "kswin", "chart", "table", "real"])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--null", type=int, default=200)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first stream: slices make one table")
    parser.add_argument("--real", action="store_true", help="elec, weather and NAB in place of simulated changes")
    asked = parser.parse_args()
    if asked.who in ("table", "real"):
        (table if asked.who == "table" else real_table)(asked.files)
    elif asked.real:
        print(json.dumps(real(asked.who)))
    else:
        print(json.dumps(measured(asked.who, asked.null, asked.count, asked.first)))
