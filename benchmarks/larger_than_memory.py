"""Training on a Parquet file that is larger than the memory it may take: rates, memory foretold and measured, mixing.

Makes the file in a temporary folder (3,000,000 rows x 100 columns of float64: 2.4 GB), and removes it. Each measurement
is a process of its own, whose peak is the VmHWM that the kernel tells:

- reading: pyarrow alone, row groups to numpy (``pyarrow.parquet.ParquetFile.read_row_group``), and no copy by rows;
- step: training on as many rows in memory as the stream takes steps for, the same plan, validation included;
- ours: the pass before the training, and the training on the file, whose rate is to be at least 0.8 of reading's or 1.0
  of step's, whichever is less: rows per CPU second of the thread that trains, and of those that read, so that a busy
  machine troubles all alike;
- shapes: peak foretold and measured at other shapes and sizes.

    python benchmarks/larger_than_memory.py [--rows 3000000] [--columns 100] [--memory 1GiB] [--steps 12000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUP = 32_768
FAMILY = "vae"
SHAPES = (
    (400_000, 100, 16_384, "800MiB"),
    (2_000_000, 10, 65_536, "700MiB"),
    (60_000, 1_000, 2_048, "1GiB"),
)
"""Rows, columns, rows of a block, and memory."""


def make(path: Path, rows: int, columns: int, group: int = GROUP) -> None:
    """Numbers in a few directions, with noise, ordered by the strongest one: what a poor order would suffer from."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(8, columns))
    names = [f"c{j}" for j in range(columns)]
    writer = None
    for begin in range(0, rows, group):
        count = min(group, rows - begin)
        code = random.normal(size=(count, 8))
        code[:, 0] = 3 * (begin + np.arange(count)) / rows
        x = code @ directions + 0.3 * random.normal(size=(count, columns))
        table = pa.table({name: x[:, j] for j, name in enumerate(names)})
        writer = writer or pq.ParquetWriter(path, table.schema, use_dictionary=False)
        writer.write_table(table, row_group_size=group)
    writer.close()


def peak() -> int:
    """Bytes of memory that this process took at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def reading(path: str) -> dict[str, float]:
    """pyarrow alone."""
    pa.set_cpu_count(1)
    began = time.process_time()
    with pq.ParquetFile(path) as file:
        count = 0
        for group in range(file.num_row_groups):
            columns = [column.to_numpy() for column in file.read_row_group(group, use_threads=False).columns]
            count += len(columns[0])
    return {"rate": count / (time.process_time() - began)}


def training(path: str, memory: str, steps: int, batch: int, readers: int, where: str) -> dict[str, float]:
    """Ours, or on rows in memory, for which ``where`` says ``held``."""
    import isthmus
    from isthmus.data.survey import survey
    from isthmus.train.fitted import fit_survey, foresee

    recipe = isthmus.named(FAMILY)
    plan = isthmus.Plan(steps=steps, batch=batch, check=min(500, steps // 4), schedule="constant", patience=10**6)
    began = time.perf_counter()
    known = survey(isthmus.source(path), readers=readers)
    found = {"pass": known.rows / (time.perf_counter() - began)}
    marks: list[tuple[float, ...]] = []

    def watch(check: object) -> None:
        marks.append((check.step, time.thread_time(), time.process_time(), time.perf_counter()))

    before = 0
    if where == "held":
        data, parts = known.dataset()
        held = np.tile(data.x[parts.train], (30, 1))  # as many as a window holds: a gather from few rows is faster
        isthmus.fit(recipe, held, valid=data.x[parts.valid], plan=plan, images=False, watch=watch)
    else:
        before = peak()
        planned = foresee(recipe, known, plan, memory, readers)
        foretold, shuffle, _ = planned
        found |= {"foretold": foretold.total, "rows": shuffle.window, "mixing": shuffle.mixing(batch)}
        found |= {"parts": foretold._asdict()}
        fit_survey(recipe, known, plan=plan, memory=memory, readers=readers, watch=watch, foretold=planned)
    steps, own, all_, wall = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    found |= {"rate": steps * batch / own, "wall": steps * batch / wall, "peak": max(before, peak())}
    return found | {"readers": steps * batch / max(all_ - own, 1e-9)}


def alone(call: str, *given: object) -> dict[str, float]:
    """A measurement in a process of its own."""
    line = [sys.executable, __file__, "--call", json.dumps([call, *map(str, given)])]
    return json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def size(path: Path, memory: str, steps: int, batch: int, readers: int = 2) -> dict[str, float]:
    """Peak foretold and measured."""
    found = alone("training", path, memory, steps, batch, readers, "ours")
    over = found["foretold"] / found["peak"] - 1
    print(
        f"  {path.stem:<16} --memory {memory:<7} foretold {found['foretold'] / 2**20:6.0f} MiB, measured "
        f"{found['peak'] / 2**20:6.0f} MiB ({100 * over:+.1f} %); {found['rows']:,} rows held",
        flush=True,
    )
    return found


def main() -> None:
    """Everything, in order."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--rows", type=int, default=3_000_000)
    ask.add_argument("--columns", type=int, default=100)
    ask.add_argument("--memory", default="1GiB")
    ask.add_argument("--steps", type=int, default=12_000)
    ask.add_argument("--batch", type=int, default=256)
    ask.add_argument("--call")
    asked = ask.parse_args()
    if asked.call:
        name, *given = json.loads(asked.call)
        given = [int(one) if one.isdigit() else one for one in given]
        print(json.dumps({"reading": reading, "training": training}[name](*given)))
        return
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        path = Path(folder, "big.parquet")
        make(path, asked.rows, asked.columns)
        print(f"{asked.rows:,} rows x {asked.columns} columns, {path.stat().st_size / 2**30:.2f} GiB of Parquet")
        plan = asked.memory, asked.steps, asked.batch
        read = alone("reading", path)
        step = alone("training", path, *plan, 2, "held")
        ours = size(path, *plan)
        goal = min(0.8 * read["rate"], step["rate"])
        rates = {
            "pyarrow alone": read["rate"],
            "the step alone": step["rate"],
            "ours, the training thread": ours["rate"],
            "ours, the reading threads": ours["readers"],
        }
        print("rows per CPU second: " + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items()))
        mine = min(ours["rate"], 2 * ours["readers"])
        print(
            f"  with a core for each: {mine / goal:.2f} of the goal; the pass before: {ours['pass']:,.0f} rows a second"
        )
        print(f"  on this machine as it was, by the clock: step {step['wall']:,.0f}, ours {ours['wall']:,.0f}")
        print(f"mixing: {ours['mixing']:.4f} of the pairs of a batch are neighbours; 0.0200 after a full shuffle")
        path.unlink()
        for rows, columns, group, memory in SHAPES:
            other = Path(folder, f"{rows}x{columns}.parquet")
            make(other, rows, columns, group)
            size(other, memory, 1_000, asked.batch)
            other.unlink()


if __name__ == "__main__":
    main()
