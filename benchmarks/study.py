"""CPU seconds of the trainings of the default digits study: the engine against a plain PyTorch loop.

Takes one replicate of ``isthmus compare digits``: every family that is trained by gradient, both views, the design's
own configurations. The engine trains each job as the study does. The loop trains the same configurations one after
another, for as many steps as the engine took for each, on the same rows with batches by index. By default it runs
``SAMPLE`` steps of each and its time is scaled up to all of them; ``--all`` runs every step. The engine looks at the
validation rows as the study does; the loop's time is given with those looks and without.

    python benchmarks/study.py [--all]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace

import numpy as np
import torch
from clock import cpu, table
from rivals import loop

from isthmus.data.read import read
from isthmus.study.design import design
from isthmus.study.material import prepare
from isthmus.study.perform import train
from isthmus.train.inference import tensor
from isthmus.train.task import Task

SAMPLE = 120


def main(full: bool) -> None:
    """A row for each family."""
    torch.set_num_threads(1)
    data = read("digits")
    jobs = [j for j in design(data).jobs() if j.name.kind == "family" and j.name.replicate == 0]
    found: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(6))
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # loads what the first optimiser of a process loads
    for job in jobs:
        material = prepare(job, data)
        if job.body["configs"][0]["learning_rate"] is None:
            continue  # closed form: nothing to train
        fitted = []
        engine = cpu(lambda job=job, material=material, fitted=fitted: fitted.extend(train(job, data, material)))
        rows, held = tensor(material.splits.train.x), tensor(material.splits.valid.x)
        sums = found[job.name.name]
        for one in fitted:
            steps = one.outcome.steps
            sample = steps if full else min(SAMPLE, steps)
            spent = []
            for checked in (True, False):
                model = one.recipe.build(rows.shape[1:], one.head, number=job.seed("training"))
                plan = replace(one.plan, steps=sample)
                task = Task(one.recipe, model, rows, held, plan, job.seed("training"))
                spent.append(cpu(lambda task=task, checked=checked: loop(task, checked=checked)) * steps / sample)
            sums += [1, one.outcome.status == "converged", steps, 0, *spent]
        sums[3] += engine
        print(job.name.view, job.name.name, *sums.round(2), file=sys.stderr, flush=True)
    found["all"] = sum(found.values())
    lines = [
        [name, *(int(s) for s in sums[:3]), *sums[3:], f"{sums[4] / sums[3]:.1f}", f"{sums[5] / sums[3]:.1f}"]
        for name, sums in found.items()
    ]
    head = ["family", "trainings", "converged", "steps", "engine s", "loop s", "loop without checks s"]
    table([*head, "faster", "faster, loop without checks"], lines)


if __name__ == "__main__":
    main("--all" in sys.argv[1:])
