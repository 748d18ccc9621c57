"""Did the training do what was asked: steps, divergence and its cause, gradients, an end in time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from isthmus.data.scale import FARTHEST
from isthmus.doctor.finding import Array, Evidence, Seen
from isthmus.model import Ramp
from isthmus.train.cut import outlook
from isthmus.train.fitted import Fitted
from isthmus.train.inference import Inference
from isthmus.train.loop import Outcome
from isthmus.train.stack import free
from isthmus.train.task import whole_steps

LATE = 0.8
"""Share of the steps from which a schedule that is still on leaves a cut run too few."""
UNSEEN = 0.1
"""Share of the training loss that must have gone while no look at the validation rows saw progress: rounding and the
noise of batches lose less. The validation loss must have fallen by less than half that share over the same checks:
where the first steps throw the weights far away, both losses come down again."""
NIL = 1e-6
"""Share of all gradients below which a term moves nothing: it is lost in the rounding of those that it is added to. A
term that matters has a large share: where training has converged, its pull is as strong as the pull against it."""


def unlearnt(fitted: Fitted) -> Iterator[tuple[str, Evidence]]:
    """What the training itself says, without any row."""
    outcome = fitted.outcome
    if outcome.status == "diverged" or not sound(fitted):
        yield (
            "diverged",
            {"steps": outcome.steps, "learning_rate": fitted.plan.step_size(fitted.recipe), **cause(fitted)},
        )
    if outcome.status == "closed form":
        return
    if unmoved(outcome) and free(fitted.model):
        yield "no training step ran", {"steps": outcome.steps}
    elif outcome.best_step == 0 and outcome.status != "diverged" and (share := unseen(outcome)) > UNSEEN:
        yield "progress unseen", {"steps": outcome.steps, "training_fell": share}
    elif outcome.best_step == 0:
        yield "not trained", {"steps": outcome.steps, "best_step": 0}
    if not unmoved(outcome) and (evidence := unsettled(fitted)) is not None:
        yield "schedule too long", evidence


def unseen(outcome: Outcome) -> float:
    """Share of the training loss that went from its first check to its last; 0 if the validation loss went with it."""
    losses = zip(outcome.history.get("train", []), outcome.history.get("valid", []), strict=True)
    looks = [both for both in losses if all(map(math.isfinite, both))]
    if len(looks) < 2:
        return 0.0
    train, valid = (
        (first - last) / abs(first) if first else 0.0 for first, last in zip(looks[0], looks[-1], strict=True)
    )
    return train if valid < train / 2 else 0.0


def unsettled(fitted: Fitted) -> Evidence | None:
    """Weights from before the end of the schedules of their loss, or a training that was cut soon after it."""
    plan, outcome, settles = fitted.plan, fitted.outcome, fitted.model.settles
    if plan.stages != "together" or not settles or outcome.status in {"diverged", "closed form"}:
        return None
    end = whole_steps(settles, plan.steps)
    if outcome.best_step >= end and not (outcome.status == "cut" and settles > LATE):
        return None
    return {"steps": outcome.steps, "best_step": outcome.best_step, "schedule_ends": end}


def sound(fitted: Inference) -> bool:
    """Whether all trained weights are finite."""
    return all(bool(value.isfinite().all()) for value in fitted.model.parameters())


def cause(fitted: Fitted) -> dict[str, float | str]:
    """Why it diverged: the step, the term, how it showed, and the column if one stands out."""
    found = fitted.outcome.cause
    if found is None:
        return {}
    named: dict[str, float | str] = {"step": found.step, "term": found.term, "where": found.how}
    return named if found.column is None else {**named, "column": column(fitted, found.column)}


def column(fitted: Inference, number: int) -> str:
    """The name of an element of a row."""
    return fitted.elements[number]


def unmoved(outcome: Outcome) -> bool:
    """Whether no step was made, or the objective never changed by a bit: then no weight did."""
    valid = outcome.history.get("valid", [])
    return outcome.steps == 0 or (len(valid) > 1 and len(set(valid)) == 1)


def broken_column(fitted: Inference, parts: Mapping[str, Array]) -> Evidence | None:
    """The first column that is not finite somewhere, or was cut by the scaler."""
    for part, rows in parts.items():
        flat = rows.reshape(len(rows), math.prod(fitted.model.shape))
        with np.errstate(invalid="ignore"):
            bad = ~(np.abs(flat) < FARTHEST)
        if bad.any():
            first = int(bad.any(axis=0).argmax())
            return {"column": column(fitted, first), "rows": int(bad[:, first].sum()), "where": part}
    return None


def without_gradient(seen: Seen) -> Evidence | None:
    """Parameters whose gradient is nil in every element, from every term."""
    if not seen.differentiable:
        return None
    reached = {p for pull in seen.pulls.values() for p, g in pull.items() if bool(g.any())}
    lost = [name for name in free(seen.fitted.model) if name not in reached]
    return {"parameters": len(lost), "of": len(free(seen.fitted.model)), "first": lost[0]} if lost else None


def idle_regulariser(seen: Seen) -> Evidence | None:
    """A term, besides the reconstruction, whose weighted gradient is nil beside the others."""
    if not seen.differentiable:
        return None
    model: Any = seen.fitted.model
    size = {t: sum(float(g.double().square().sum()) for g in pull.values()) ** 0.5 for t, pull in seen.pulls.items()}
    whole, weights = sum(size.values()), model.weights
    asked = [t for t in size if t != "reconstruction" and t not in model.resting and weights[t] != 0]
    share = {term: size[term] / whole for term in asked if whole > 0}
    for term in sorted(share, key=lambda term: share[term]):
        if share[term] < NIL:
            weight = weights[term]
            return {"term": term, "weight": weight.end if isinstance(weight, Ramp) else weight, "share": share[term]}
    return None


def stopped_early(seen: Seen) -> Evidence | None:
    """Only a run that was cut can have stopped too early; one whose schedules took its steps is told that."""
    if not isinstance(seen.fitted, Fitted):
        return None
    outcome = seen.fitted.outcome
    if outcome.status != "cut" or unsettled(seen.fitted):
        return None
    promised = outlook(outcome.history)
    return (
        {"steps": outcome.steps, "promised_gain": promised.gain, "steps_needed": promised.steps}
        if promised.open
        else None
    )
