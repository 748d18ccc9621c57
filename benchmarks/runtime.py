"""A model without torch: how soon it starts, what a row costs, and whether old versions of onnxruntime decide the same.

    python benchmarks/runtime.py speed
    python benchmarks/runtime.py stream
    python benchmarks/runtime.py pair
    python benchmarks/runtime.py parity ENVIRONMENT/bin/python ANOTHER/bin/python

``speed`` scores CSV files of 10 and of 100,000 rows (eight numbers, two categories, a date) with ``isthmus score`` and
with ``python -m isthmus.runtime``, processes of their own in turns, one thread; CPU seconds. What a row costs is the
difference over the rows.

``pair`` asks torch and the graph for scores and flags of the same rows in memory, in turns in one process, one thread
each: batches of 1, 100 and 10,000 rows of eight numbers, and of the columns above; the ratio is the median of those of
neighbouring turns.

``stream`` reads a file of 200,000 rows (``--rows``) alone, lets the model answer what was read alone, writes the
answers alone, and does all that each command does, in turns in one process with one thread of torch: the least CPU
seconds of all turns. The rate is that of all beside the slower of reading and the model, on the clock and by CPU
seconds, the median of turns; where others compute too, the first says little. ``.npy`` holds eight numbers.

``parity`` exports tables with each kind of column and asks the graph, in each environment (which needs numpy and
onnxruntime, nothing else), for batches of 0, 1 and 1,000 rows with gaps, unseen categories, empty texts, huge numbers
and infinities; every decision must be that of torch here, scores within 1e-5, and infinities must be refused.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from isthmus.data.blocks import Block
    from isthmus.ship.deployed import Deployed

ROOT = Path(__file__).parents[1]
FEW, MANY = 10, 100_000
ROWS = 200_000
BATCHES = (0, 1, 1000)
KINDS = {"size": "ordered", "pay": "amount", "rare": "count"}
"""Kinds that are not inferred."""
ASK = """
import json, sys
import numpy as np, onnxruntime
from isthmus import runtime
assert "torch" not in sys.modules
out = []
for case in json.load(open(sys.argv[1])):
    graph = runtime.load(case["graph"])
    try:
        found = graph.run(case["rows"])
        out.append({"score": found["score"].tolist(), "anomaly": found["anomaly"].tolist()})
    except runtime.Refused as error:
        out.append({"refused": str(error)})
json.dump({"onnxruntime": onnxruntime.__version__, "numpy": np.__version__, "cases": out}, sys.stdout)
"""


def frame(count: int, seed: int = 0) -> pd.DataFrame:
    """A column of each kind."""
    random = np.random.default_rng(seed)
    days = pd.Timestamp("2021-03-01") + pd.to_timedelta(random.integers(0, 900 * 86400, count), unit="s")
    numbers = {f"x{j}": random.normal(50, 9, count).round(3) for j in range(6)}
    held = {
        **numbers,
        "pay": (random.lognormal(3, 4, count) * random.choice([-1, 1], count)).round(2),
        "paid": random.choice(["no", "yes"], count),
        "city": random.choice(["Bergen", "Oslo", "Rome"], count),
        "size": random.choice(["S", "M", "L"], count),
        "when": days.strftime("%Y-%m-%d %H:%M:%S"),
    }
    return pd.DataFrame(held).mask(random.random((count, len(held))) < 0.05)


def counted(count: int, seed: int = 0) -> pd.DataFrame:
    """The same, and a column of counts, with gaps."""
    random = np.random.default_rng([seed, 1])
    rare = pd.Series(random.poisson(3, count)).mask(random.random(count) < 0.05)
    return frame(count, seed).assign(rare=rare)


def model(place: Path, rows: pd.DataFrame, family: str = "plain") -> tuple[Path, Path]:
    """A model folder and its graph."""
    import isthmus
    from isthmus.data.read import read
    from isthmus.ship.artefact import save
    from isthmus.ship.deployed import Deployed
    from isthmus.ship.graph import export

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = read(rows, kinds={name: kind for name, kind in KINDS.items() if name in rows})
        recipe = isthmus.named(family).set_params(latents=2)
        fitted = isthmus.fit(recipe, data.x, fields=data.fields, columns=data.columns, plan=isthmus.Plan(steps=100))
        n = len(data.x)
        ships = Deployed.of(fitted, data.x[: n // 2], data.x[n // 2 : 3 * n // 4], data.x[3 * n // 4 :], rate=0.1)
        return save(ships, place / "model"), export(ships, place / "model.onnx")


def cpu(command: list[str]) -> float:
    """CPU seconds of one process."""
    alone = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **alone}
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime


def speed(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as where:
        place = Path(where)
        folder, graph = model(place, frame(2000))
        files = {count: place / f"{count}.csv" for count in (FEW, MANY)}
        for count, file in files.items():
            frame(count, 1).to_csv(file, index=False)
        who = {
            "isthmus score": [str(Path(sys.executable).with_name("isthmus")), "score", str(folder)],
            "python -m isthmus.runtime": [sys.executable, "-m", "isthmus.runtime", "--threads", "1", str(graph)],
        }
        taken: dict[tuple[str, int], list[float]] = {(name, count): [] for name in who for count in files}
        for _ in range(rounds):
            for (name, count), all_ in taken.items():
                all_.append(cpu([*who[name], str(files[count]), "-o", str(place / f"out-{count}.csv")]))
        print("| | to the end of 10 rows, CPU s | a row, CPU us |")
        print("|---|---|---|")
        for name in who:
            few, many = (statistics.median(taken[name, count]) for count in (FEW, MANY))
            print(f"| {name} | {few:.2f} | {1e6 * (many - few) / (MANY - FEW):.1f} |")


def stream(rounds: int, verbs_asked: list[str], rows: int) -> None:
    import torch

    from isthmus.cli import stream as cli
    from isthmus.data.blocks import Columns, blocks
    from isthmus.ship import verbs

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| | file | read alone, CPU us a row | model alone | write alone | all | rate on the clock | rate by CPU |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as where:
        place = Path(where)
        for end in ("csv", "parquet", "npy"):
            ships = _streamed(place, end, rows)
            answers = {
                "score": lambda block, ships=ships: verbs.score(ships, block, ships.calibration),
                "flag": lambda block, ships=ships: verbs.flag(ships, block, ships.needed(), 0.1),
                "encode": lambda block, ships=ships: verbs.encode(ships, block),
                "reconstruct": lambda block, ships=ships: verbs.reconstruct(ships, block),
                "impute": lambda block, ships=ships: verbs.impute(ships, block),
                "decode": lambda block, ships=ships: verbs.decode(ships, block),
            }
            for name, answer in answers.items():
                if (name, end) == ("impute", "npy") or name not in (verbs_asked or answers):  # it fills tables
                    continue
                file, out = place / f"{'codes' if name == 'decode' else 'rows'}.{end}", place / f"out.{end}"
                wanted = verbs.codes(ships) if name == "decode" else verbs.wanted(ships)
                table = Columns(file) if name == "impute" else None
                fields = None if table else wanted

                def read(file: Path = file, wanted: Any = wanted, table: Columns | None = table) -> Iterator[Block]:
                    return blocks(file, wanted) if table is None else table.blocks(wanted)

                held = [*read()]
                made = [(block, answer(block)) for block in held]

                def put(out: Path = out, fields: Any = fields, made: list[Any] = made) -> None:
                    form = cli._form(out, None if fields is None else {field.name for field in fields})
                    with cli._out(out, form) as sink:
                        for block, found in made:
                            sink(form.written(block, found))

                works: list[Callable[[], object]] = [
                    lambda read=read: [*read()],
                    lambda held=held, answer=answer: [answer(block) for block in held],
                    put,
                    lambda read=read, file=file, out=out, fields=fields, answer=answer: cli.run(
                        file, out, read(), fields, answer
                    ),
                ]
                taken = np.array([[_clocks(work) for work in works] for _ in range(rounds)]) * 1e6 / rows
                one, two, three, whole = np.min(taken[:, :, 1], axis=0)
                slower = taken[:, :2].max(axis=1)
                rate, cheap = np.median(slower / taken[:, 3], axis=0)
                told = " | ".join(f"{value:.2f}" for value in (one, two, three, whole, rate, cheap))
                print(f"| {name} | {end} | {told} |", flush=True)


def _streamed(place: Path, end: str, count: int) -> Deployed:
    """A model that ships, and beside it files of this kind: of rows, and of their codes."""
    import isthmus
    from isthmus.ship.artefact import load
    from isthmus.ship.deployed import Deployed

    (there := place / f"of-{end}").mkdir()
    if end == "npy":
        x = np.random.default_rng(0).normal(size=(count, 8))
        fitted = isthmus.fit(isthmus.named("plain").set_params(latents=2), x[:1000], plan=isthmus.Plan(steps=100))
        ships = Deployed.of(fitted, x[:1000], x[1000:1500], x[1500:2000], rate=0.1)
        np.save(place / "rows.npy", x)
        np.save(place / "codes.npy", ships.encode(x))
        return ships
    ships, rows = load(model(there, frame(2000), "masked")[0]), frame(count, 1)
    for name, held in (("rows", rows), ("codes", pd.DataFrame(ships.encode(rows), columns=["code0", "code1"]))):
        held.to_csv(place / f"{name}.csv", index=False) if end == "csv" else held.to_parquet(place / f"{name}.parquet")
    return ships


def _clocks(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and CPU seconds."""
    began = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def pair(rounds: int) -> None:
    import torch

    import isthmus
    from isthmus import runtime
    from isthmus.ship.artefact import load
    from isthmus.ship.deployed import Deployed
    from isthmus.ship.graph import export

    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 8))
    with tempfile.TemporaryDirectory() as where, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        place = Path(where)
        fitted = isthmus.fit(isthmus.named("plain").set_params(latents=4), x[:1000], plan=isthmus.Plan(steps=100))
        numbers = Deployed.of(fitted, x[:1000], x[1000:1500], x[1500:], rate=0.1)
        folder, graph = model(place, frame(2000))
        pairs = {"numbers": (numbers, export(numbers, place / "numbers.onnx")), "table": (load(folder), graph)}
        print("| rows | in a batch | torch, CPU us a row | graph | graph / torch |")
        print("|---|---|---|---|---|")
        for name, (ships, file) in pairs.items():
            made, own = runtime.Graph(file.read_bytes(), threads=1), ships.needed()
            for batch in (1, 100, 10_000):
                rows = random.normal(size=(batch, 8)) if name == "numbers" else frame(batch, 3)
                ask = (
                    lambda rows=rows, own=own, ships=ships: own.p_values(ships.scores(rows)) <= own.rate * (1 + 1e-12),
                    lambda rows=rows, made=made: made.run(rows, ["score", "p_value", "anomaly"])["anomaly"],
                )
                if not np.array_equal(*(one() for one in ask)):
                    raise SystemExit(f"{name}, {batch}: other flags")
                again = max(1, 500 // batch) if name == "numbers" else max(1, 100 // batch)
                taken = np.array([[timed(one, again) / batch for one in ask] for _ in range(5 * rounds)]) * 1e6
                half, ratio = np.median(taken, axis=0), float(np.median(taken[:, 1] / taken[:, 0]))
                print(f"| {name} | {batch:,} | {half[0]:.1f} | {half[1]:.1f} | {ratio:.2f} |", flush=True)


def timed(work: Callable[[], object], again: int) -> float:
    """CPU seconds of one time."""
    began = time.process_time()
    for _ in range(again):
        work()
    return (time.process_time() - began) / again


def cases(place: Path) -> list[tuple[dict[str, object], dict[str, list[object]] | None]]:
    """What is asked, and what torch says here; None where it must be refused."""
    from isthmus.ship.artefact import load

    found: list[tuple[dict[str, object], dict[str, list[object]] | None]] = []
    whole = counted(400)
    kinds = {"number": ["x0", "x1"], "amount": ["pay"], "count": ["rare"], "flag": ["paid"], "category": ["city"],
             "ordered": ["size"], "date": ["when"]}  # fmt: skip
    for kind, names in kinds.items():
        part = place / kind
        part.mkdir()
        folder, graph = model(part, whole[[*dict.fromkeys([*names, "x2", "x3"])]])
        ships, columns = load(folder), list(dict.fromkeys([*names, "x2", "x3"]))
        for what in ("usual", "gap", "unseen", "empty", "inf", "-inf", "overflow", "beyond"):
            for batch in BATCHES:
                rows = counted(max(batch, 1), 2)[columns].astype(object).head(batch)
                numeric, name = kind in {"number", "amount", "count"}, names[0]
                huge = {"inf", "-inf", "overflow", "beyond"}
                put = {
                    "gap": None,
                    "unseen": "never seen",
                    "empty": "",
                    "inf": np.inf,
                    "-inf": -np.inf,
                    "overflow": 3e38,
                    "beyond": 1e300,
                }
                fits = numeric if what in huge else what != "unseen" or not (numeric or kind == "date")
                if not fits:
                    continue
                if what in put and batch:
                    rows.iloc[:: max(1, batch // 3), columns.index(name)] = put[what]
                cells = {c: [None if pd.isna(v) else v for v in rows[c].tolist()] for c in columns}
                case = {"graph": str(graph), "rows": cells, "what": f"{kind}, {what}, {batch}"}
                if what in {"inf", "-inf", "beyond"} and batch:
                    found.append((case, None))
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    asked = pd.DataFrame({c: pd.Series(v, dtype=object).replace("", None) for c, v in cells.items()})
                    scores = ships.scores(asked) if batch else np.zeros(0)
                flags = ships.needed().p_values(scores) <= ships.needed().rate * (1 + 1e-12)
                found.append((case, {"score": scores.tolist(), "anomaly": flags.tolist()}))
    return found


def parity(pythons: list[str]) -> None:
    with tempfile.TemporaryDirectory() as where:
        place = Path(where)
        asked = cases(place)
        (place / "ask.json").write_text(json.dumps([case for case, _ in asked]))
        (place / "ask.py").write_text(ASK)
        print(
            "| onnxruntime | numpy | cases | rows | decisions that differ | largest difference of a score | refused |"
        )
        print("|---|---|---|---|---|---|---|")
        many = f"{len(asked)} | "
        for python in [sys.executable, *pythons]:
            command = [python, str(place / "ask.py"), str(place / "ask.json")]
            done = subprocess.run(
                command,
                capture_output=True,
                check=False,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            )
            if done.returncode:
                why = [*done.stderr.strip().splitlines(), f"ended with {done.returncode}"]
                print(f"| {python}: {' '.join(why[-2:])} | | | | | | |")
                continue
            said = json.loads(done.stdout)
            rows = wrong = refused = 0
            largest = 0.0
            for (case, expected), got in zip(asked, said["cases"], strict=True):
                if expected is None or "refused" in got:
                    refused += "refused" in got
                    if (expected is None) != ("refused" in got):
                        wrong += 1
                        print(case["what"], got, file=sys.stderr)
                    continue
                rows += len(expected["score"])
                wrong += sum(a != b for a, b in zip(expected["anomaly"], got["anomaly"], strict=True))
                a, b = np.array(expected["score"]), np.array(got["score"])
                off = float((np.abs(a - b) / np.maximum(1, np.abs(a))).max(initial=0))
                if off > 1e-5:
                    print(case["what"], off, file=sys.stderr)
                largest = max(largest, off)
            told = f"{said['onnxruntime']} | {said['numpy']} | {many}{rows:,} | {wrong} | {largest:.1e} | {refused}"
            print(f"| {told} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "stream", "pair", "parity"])
    parser.add_argument("pythons", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS, help="of stream: how many the file has")
    parser.add_argument("--verbs", nargs="*", help="of stream: some of them alone")
    asked_ = parser.parse_args()
    if asked_.what == "stream":
        stream(asked_.rounds, asked_.verbs, asked_.rows)
    elif asked_.what == "pair":
        pair(asked_.rounds)
    else:
        speed(asked_.rounds) if asked_.what == "speed" else parity(asked_.pythons)
