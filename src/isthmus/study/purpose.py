"""What a study asks where somebody names a purpose: its questions, and of what serves it who takes part and how wide.

Only what is not asked for otherwise is filled in. To interpret codes is for sparse dictionaries: wider than the rows,
of one affine layer each way, and compared at one number of units that fire in a row. Such a study would take hours on
many rows; where nobody says how long its trainings are, it is kept within :data:`WORK`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from isthmus.data.wording import meant
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.purpose import ALSO, INSTEAD, NEEDED, PURPOSES
from isthmus.families import DEFAULT
from isthmus.parts.gates import usual
from isthmus.train.plan import Plan

INTERPRET = "interpret"
SUITED = {
    INTERPRET: ("topk", "abstopk", "batchtopk", "matryoshka", "jumprelu", "gated", "sae"),
    "fill_gaps": (*DEFAULT, "masked"),  # which trains for nothing else
}
"""Purpose -> the families that take part unless others are named; of other purposes those of every study."""
TIMES, EACH, WIDEST, LEAST = 4, 4, 4096, 32
"""Units of a dictionary: so many times as many as a row has elements, one for so many rows, and how many at most and at
least; the power of two below."""
USUAL = {"replicates": 5, "configs": 6}
"""Where nobody says how many there are."""
FEW = {"replicates": 3, "configs": 3}
"""The same where so many would take more than ``WORK``: what a claim needs, and the usual rate between two others."""
WORK = 1.3e14
"""Operations that all trainings of a study to interpret codes take unasked: some twenty minutes of two cores."""
OF_ADAM, OF_A_ROW = 200, 6
"""Operations of a step for each parameter: of the optimiser, which moves memory, and of each row of the batch."""
LEAST_STEPS = 200


def width(shape: Sequence[int], rows: int) -> int:
    """Units of a dictionary for so many rows of a shape.

    Examples
    --------
    >>> width((768,), 20_000), width((64,), 1797), width((16,), 100)
    (2048, 256, 32)
    """
    most = min(TIMES * math.prod(shape), rows // EACH, WIDEST)
    return max(LEAST, 1 << (most.bit_length() - 1)) if most > 0 else LEAST


def questions(purpose: str, *, factors: bool, truth: bool = False) -> list[str]:
    """The facets that speak for a purpose, those of known ``factors`` or ``truth`` only where there are some.

    Examples
    --------
    >>> questions("interpret", factors=False), questions("classify", factors=True)
    (['reconstruction', 'sparsity', 'stability'], ['features'])
    """
    roles = {name: facet.purposes.get(purpose) for name, facet in FACETS.items()}
    wanted = {NEEDED, ALSO} if NEEDED in roles.values() else {INSTEAD, ALSO}
    there = {name for name, facet in FACETS.items() if facet.factors <= factors and facet.truth <= truth}
    return [name for name, role in roles.items() if role in wanted and name in there]


def meant_for(
    asked: Mapping[str, Any], shape: Sequence[int], rows: int, *, factors: bool, truth: bool
) -> dict[str, Any]:
    """The options of a study with what follows from their ``purpose``.

    Parameters
    ----------
    asked : mapping
        Every option of a design.
    shape : sequence of int
        Of a row, ``*D``.
    rows : int
    factors, truth : bool
        Whether there are known factors, or features that rows are sums of.

    Raises
    ------
    BadInput
        If there is no such purpose.
    """
    purpose, found = asked["purpose"], dict(asked)
    if purpose is None:
        return found
    if purpose not in PURPOSES:
        near = next(iter(FACETS[purpose].purposes), None) if purpose in FACETS else None
        hint = meant(purpose, PURPOSES) if near is None else f" (did you mean {near!r}?)"
        raise BadInput(f"there is no purpose {purpose!r}{hint}; choose one of {', '.join(PURPOSES)}")
    if found["facets"] == "all":
        found["facets"] = questions(purpose, factors=factors, truth=truth)
    if found["families"] == "default" and purpose in SUITED:
        found["families"] = SUITED[purpose]
    if purpose == INTERPRET:
        if found["latents"] is None and found["backbone"] is None:
            found["latents"] = width(shape, rows)
        if found["hidden"] is None and found["backbone"] is None:
            found["hidden"] = ()
        settings = dict(found["settings"] or {})
        settings.setdefault("head", "gaussian")  # a dictionary adds up what its units write
        if isinstance(found["latents"], int) and "k" not in settings:
            settings["k"] = usual(found["latents"])
        found["settings"] = settings
    return found


def affordable(
    asked: Mapping[str, Any],
    plan: Plan,
    parameters: int,
    families: Iterable[str],
    facets: Iterable[str],
    *,
    budgeted: bool = False,
) -> tuple[dict[str, int], Plan]:
    """Replicates and settings of a study, and its plan: as asked, as usual, or within ``WORK``.

    Work is counted, never measured, so that the same study comes out on every machine. What somebody says stands; who
    says how long trainings are wants them so, however long it takes.

    Examples
    --------
    >>> asked = {"purpose": "interpret", "replicates": None, "configs": None, "steps": None, "plan": None}
    >>> counts, plan = affordable(asked, Plan(), 2 * 768 * 4096, SUITED["interpret"], ["stability"])
    >>> counts, plan.steps
    ({'replicates': 3, 'configs': 3}, 300)
    >>> affordable(asked, Plan(), 2 * 64 * 256, SUITED["interpret"], ["stability"])[0]
    {'replicates': 5, 'configs': 6}
    """
    said = {name: int(asked[name]) for name in USUAL if asked[name] is not None}
    if asked["purpose"] != INTERPRET or budgeted or timed(asked):
        return USUAL | said, plan
    step = parameters * (OF_ADAM + OF_A_ROW * plan.batch) * len(list(families))

    def steps(counts: Mapping[str, int]) -> int:
        """How many each training may take."""
        again = sum(FACETS[facet].trains for facet in facets)
        return int(WORK / (step * counts["replicates"] * (counts["configs"] + again)))

    if steps(USUAL | said) >= plan.steps:
        return USUAL | said, plan
    counts = USUAL | FEW | said
    most = max(LEAST_STEPS, steps(counts) // plan.check * plan.check)
    return counts, replace(plan, steps=min(plan.steps, most))


def reduced(asked: Mapping[str, Any], counts: Mapping[str, int], steps: int) -> dict[str, list[int]]:
    """What :func:`affordable` made smaller: ``[usual, kept]`` for each number, by name.

    Examples
    --------
    >>> asked = {"purpose": "interpret", "replicates": 5, "configs": None, "steps": None, "plan": None}
    >>> reduced(asked, {"replicates": 5, "configs": 3}, 350)
    {'steps': [2500, 350], 'configs': [6, 3]}
    """
    if asked["purpose"] != INTERPRET or timed(asked):
        return {}
    pairs = {"steps": (Plan().steps, steps)} | {
        name: (USUAL[name], counts[name]) for name in ("configs", "replicates") if asked[name] is None
    }
    return {name: [usual, kept] for name, (usual, kept) in pairs.items() if usual != kept}


def timed(asked: Mapping[str, Any]) -> bool:
    """Whether somebody says how many steps trainings have."""
    plan = asked["plan"]
    return asked["steps"] is not None or isinstance(plan, Plan) or "steps" in (plan or {})
