"""More training for a model that was trained before, on other rows."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput
from isthmus.train.device import device as find
from isthmus.train.device import on
from isthmus.train.fitted import Fitted
from isthmus.train.inference import Inference, tensor
from isthmus.train.loop import train
from isthmus.train.plan import Plan
from isthmus.train.stack import free
from isthmus.train.task import Task


def further(
    before: Inference,
    rows: NDArray[np.float32],
    valid: NDArray[np.float32],
    plan: Plan,
    *,
    seed: int = 0,
    device: str = "cpu",
) -> Fitted:
    """Go on training a copy of a model, at the end of all its schedules; the layout stays.

    Parameters
    ----------
    before : Inference
        Stays as it is.
    rows, valid : arrays (n, *D), (m, *D)
        Laid out by ``before.layout``: to train on, and to stop by. The weights are kept that do best on the latter, be
        it those of before.
    plan : Plan
        Stages do not apply, and a batch has no more rows than there are.
    seed : int, default 0
    device : {"cpu", "cuda", "mps", "auto"}, default "cpu"

    Raises
    ------
    BadInput
        If the family has no steps to go on with.

    Examples
    --------
    >>> from isthmus.families import named
    >>> from isthmus.train.fitted import fit
    >>> x = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    >>> model = fit(named("plain").set_params(latents=2), x, plan=Plan(steps=50))
    >>> laid = model.scaled(x + 1)
    >>> more = further(model, laid[:300], laid[300:], Plan(steps=200))
    >>> bool(more.score_scaled(laid[300:]).mean() < model.score_scaled(laid[300:]).mean())
    True
    """
    if not free(before.model):
        raise BadInput(f"{before.recipe.family} has no steps to go on with: fit it anew on all rows")
    model = copy.deepcopy(before.model)
    plan = replace(plan, batch=min(plan.batch, len(rows)), stages="together")
    plan = plan.of(before.recipe, math.prod(rows.shape[1:]))
    task = Task(before.recipe, model, tensor(rows), tensor(valid), plan, seed, fresh=False)
    with on([task], find(device)) as there:
        outcome = train(there)[0]
    parts = {name: getattr(before, name) for name in Inference.__dataclass_fields__}
    return Fitted(**parts | {"model": model}, plan=plan, outcome=outcome)
