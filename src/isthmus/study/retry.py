"""A training that failed begins again with smaller steps, before anybody is excluded for it.

One learning rate does not suit every table: where rows are wide and alike, the first steps throw the weights far away.
Who diverges or ends no better than it began is trained anew at a third of the rate, at most ``TIMES`` times, from the
same weights, in the same order. Whether it learned is read from its own training and validation rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from isthmus.study.record import Job
from isthmus.train.fitted import Fitted
from isthmus.train.loop import Outcome

PART = 3
"""What a learning rate is divided by."""
TIMES = 3
"""How often, at most."""


def failed(outcome: Outcome) -> bool:
    """Whether a training by gradient left nothing better than its initial weights, or blew up.

    Examples
    --------
    >>> failed(Outcome("converged", 450, 0, 1.0)), failed(Outcome("closed form", 0, 0, 1.0))
    (True, False)
    """
    return outcome.status == "diverged" or (outcome.steps > 0 and outcome.best_step == 0)


def trained(job: Job, train: Callable[[Job], list[Fitted]]) -> list[Fitted]:
    """The configurations of a job as ``train`` leaves them; those that failed, as smaller steps leave them.

    Who fails at every rate stays as it was at its own.
    """
    configs: Sequence[Mapping[str, Any]] = job.body["configs"]
    fitted = train(job)
    rates = {i: one.plan.step_size(one.recipe) for i, one in enumerate(fitted) if failed(one.outcome)}
    waiting = [i for i in rates if configs[i]["learning_rate"] is not None]
    for tried in range(1, TIMES + 1):
        if not waiting:
            break
        slower = [{**configs[i], "learning_rate": rates[i] / PART**tried} for i in waiting]
        again = train(replace(job, body={**job.body, "configs": slower}))
        learned = {i: one for i, one in zip(waiting, again, strict=True) if not failed(one.outcome)}
        for i, one in learned.items():
            fitted[i] = one
        waiting = [i for i in waiting if i not in learned]
    return fitted
