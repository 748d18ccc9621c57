"""The article's program: 100 random rows of 10 columns, 64 ReLU units, sigmoid output, squared error, 400 Adam steps.

Ours, a plain PyTorch loop and, with ``--keras PYTHON``, Keras on TensorFlow in an environment of its own. *Warm* is
building and training the model once more in a process that has done it before; *process* is all of a process that does
it once, imports included. Medians, one thread for the operations of either side.

    python benchmarks/article.py [--keras ENVIRONMENT/bin/python]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

COMMON = """
import json, sys, time
import numpy as np
x = np.random.default_rng(0).random((100, 10), dtype=np.float32)
"""

KERAS = """
import tensorflow as tf, keras
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
def program():
    model = keras.Sequential([keras.layers.Input((10,)), keras.layers.Dense(64, activation="relu"),
                              keras.layers.Dense(10, activation="sigmoid")])
    model.compile("adam", "mse")
    model.fit(x, x, epochs=100, batch_size=32, verbose=0)
    return model.evaluate(x, x, verbose=0)
"""

LOOP = """
import torch
torch.set_num_threads(1)
from torch import nn
def program():
    rows = torch.from_numpy(x)
    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 10), nn.Sigmoid())
    adam = torch.optim.Adam(model.parameters())
    for epoch in range(100):
        for numbers in torch.randperm(100).split(32):
            batch = rows[numbers]
            adam.zero_grad()
            nn.functional.mse_loss(model(batch), batch).backward()
            adam.step()
    return float(nn.functional.mse_loss(model(rows), rows))
"""

OURS = """
import torch
torch.set_num_threads(1)
from dataclasses import dataclass
from isthmus.families.plain import Plain, PlainModel
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan
class Squared(PlainModel):
    def misfit(self, z, target):
        return (self.decode(z) - target).square().mean()
@dataclass(kw_only=True, eq=False, repr=False)
class Article(Plain):
    def _build(self, shape, head):
        return Squared(self, shape, head, code=self.code_activation)
def program():
    plan = Plan(steps=400, batch=32, learning_rate=1e-3, schedule="constant", check=100)
    recipe = Article(latents=64, code_activation="relu", head="bernoulli")
    return float(fit(recipe, x, valid=x, plan=plan, scale="none").errors(x).mean())
"""

RUN = """
found, losses = [], []
for _ in range(int(sys.argv[1])):
    began = time.perf_counter(), time.process_time()
    losses.append(program())
    found.append((time.perf_counter() - began[0], time.process_time() - began[1]))
print(json.dumps([found, losses]))
"""


def once(python: str, code: str, repeats: int) -> tuple[list[float], list[list[float]], float]:
    """Wall and CPU seconds of one process; those of each program in it; the last squared error."""
    began = time.perf_counter()
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [python, "-c", COMMON + code + RUN, str(repeats)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{python} failed; run the program by itself to see why")
    programs, losses = json.loads(printed.splitlines()[-1])
    return [time.perf_counter() - began, used.ru_utime + used.ru_stime], programs, losses[-1]


def main(rounds: int = 2) -> None:
    """A row for each contender."""
    from clock import table

    sides = {"isthmus": (sys.executable, OURS), "PyTorch loop": (sys.executable, LOOP)}
    if "--keras" in sys.argv:
        sides["Keras/TensorFlow"] = (sys.argv[sys.argv.index("--keras") + 1], KERAS)
    whole: dict[str, list[list[float]]] = {name: [] for name in sides}
    warm: dict[str, list[list[float]]] = {name: [] for name in sides}
    error: dict[str, float] = {}
    for _ in range(rounds):
        for name, side in sides.items():
            process, _, _ = once(*side, repeats=1)
            _, programs, error[name] = once(*side, repeats=4)
            whole[name].append(process)
            warm[name] += programs[1:]
    rows = []
    base = {}
    for name in sides:
        numbers = [statistics.median(values) for found in (warm, whole) for values in zip(*found[name], strict=True)]
        base = base or dict(enumerate(numbers))
        cells = [f"{value:.3g} ({value / base[i]:.1f} x)" for i, value in enumerate(numbers)]
        rows.append([name, *cells, f"{error[name]:.4f}"])
    table(["", "warm wall s", "warm CPU s", "process wall s", "process CPU s", "squared error"], rows)


if __name__ == "__main__":
    main()
