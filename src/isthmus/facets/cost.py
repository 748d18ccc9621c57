"""Cost: what it takes to train, keep and use the model that was chosen for its reconstruction.

Parameters, FLOPs and bytes are exact. Seconds and rows per second are readings of a clock on this machine: they differ
from run to run. Energy is not measured: it follows the machine, and from these numbers, nothing sure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import SMALLEST_ERROR, Against, Contender, Facet, Splits, reconstruct, validation_error
from isthmus.metrics.cost import flops, peak_bytes, seconds, training_step
from isthmus.said import Said

if TYPE_CHECKING:
    from torch import Tensor

    from isthmus.model import Model

BATCH = 256
MOMENTS = 2
"""Numbers that the optimiser (Adam) keeps for each trained parameter."""


def measure(contender: Contender, splits: Splits) -> dict[str, float]:
    """Numbers of the model; the clock runs on encoding a batch of 256 training rows, repeated if there are fewer.

    A model in closed form has no training step, and so no numbers of one.
    """
    import torch

    batch = np.resize(splits.train.x, (BATCH, *splits.train.x.shape[1:]))
    return {
        "rows_per_second": speed(contender, batch),
        "train_seconds": float(contender.train_seconds),
        "parameters": float(contender.parameters),
        "flops_per_row": float(flops(lambda: reconstruct(contender, batch[:1]))),
        "artefact_bytes": float(contender.artefact_bytes),
        "encode_bytes": float(encode_bytes(contender.model, torch.from_numpy(batch))),
        **(
            _training(contender, torch.from_numpy(np.resize(batch, (contender.batch, *batch.shape[1:]))))
            if contender.steps
            else {}
        ),
    }


def _training(contender: Contender, batch: Tensor) -> dict[str, float]:
    step = training_step(contender.model, batch)
    arithmetic = flops(step)
    return {
        "step_flops": float(arithmetic),
        "train_flops": float(arithmetic * contender.steps),
        "train_bytes": float(train_bytes(contender.model, batch)),
    }


def train_bytes(model: Model, batch: Tensor) -> int:
    """Bytes that are alive at once at the peak of a training step on ``batch`` (B, *D), of a model trained alone.

    Parameters and buffers, the optimiser's moments, the batch, and of what the step itself makes (noise, activations,
    gradients) the most there is at once.
    """
    held = [*model.parameters(), *model.buffers(), batch]
    moments = MOMENTS * _bytes([p for p in model.parameters() if p.requires_grad])
    return _bytes(held) + moments + peak_bytes(training_step(model, batch), held)


def encode_bytes(model: Model, batch: Tensor) -> int:
    """The same of encoding ``batch`` (B, *D): parameters and buffers, the batch, activations and codes."""
    import torch

    held = [*model.parameters(), *model.buffers(), batch]
    with torch.no_grad():
        return _bytes(held) + peak_bytes(lambda: model.encode(batch), held)


def _bytes(tensors: list[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def speed(contender: Contender, batch: NDArray[np.float32]) -> float:
    """Rows of ``batch`` (n, *D) encoded per second of processor time, on one thread; NaN if the clock stands still."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        took = seconds(lambda: contender.encode_scaled(batch))
    finally:
        torch.set_num_threads(before)
    return len(batch) / took if took else math.nan


COST = Facet(
    name="cost",
    title=Said("Cost", "代价"),
    question=Said("What do training and use cost?", "训练和使用需要付出什么？"),
    wanted=Said("For speed", "看重速度"),
    stands_out=Said(
        "{leader} {leader|was|were} the best in {metric} on this machine", "在这台机器上，{leader}的{metric}最好"
    ),
    caveat=Said(
        "; times were measured on one machine, so differences within {rope} mean nothing and no winner is declared",
        "；时间是在一台机器上测得的，{rope} 以内的差别没有意义，因此不评优胜",
    ),
    prices=("parameters", "train_seconds", "rows_per_second"),
    against=Against(
        "train_seconds",
        ("reconstruction", "mse"),
        title=Said("Cost against quality", "代价与质量"),
        text=Said(
            "Training time against error: towards the lower left is cheap and good.",
            "花多少训练时间，换来多少质量。越靠近左下角，越省也越好。",
        ),
        log=True,
    ),
    primary="rows_per_second",
    crowns=False,
    view="all",
    labels=False,
    sees=SMALLEST_ERROR,
    criterion=validation_error,
    measure=measure,
    metrics=(
        "rows_per_second",
        "train_seconds",
        "parameters",
        "flops_per_row",
        "artefact_bytes",
        "encode_bytes",
        "step_flops",
        "train_flops",
        "train_bytes",
        "mse",
    ),
)
