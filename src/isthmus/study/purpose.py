"""What a study asks where somebody names a purpose: its questions, and of what serves it who takes part and how wide.

Only what is not asked for otherwise is filled in. To interpret codes is for sparse dictionaries: wider than the rows,
of one affine layer each way, and compared at one number of units that fire in a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.purpose import ALSO, INSTEAD, NEEDED, PURPOSES
from isthmus.parts.gates import usual

INTERPRET = "interpret"
SUITED = {INTERPRET: ("topk", "abstopk", "batchtopk", "matryoshka", "jumprelu", "gated", "sae")}
"""Purpose -> the families that take part unless others are named; of other purposes those of every study."""
TIMES, EACH, WIDEST, LEAST = 4, 4, 4096, 32
"""Units of a dictionary: so many times as many as a row has elements, one for so many rows, and how many at most and at
least; the power of two below."""


def width(shape: Sequence[int], rows: int) -> int:
    """Units of a dictionary for so many rows of a shape.

    Examples
    --------
    >>> width((768,), 20_000), width((64,), 1797), width((16,), 100)
    (2048, 256, 32)
    """
    most = min(TIMES * math.prod(shape), rows // EACH, WIDEST)
    return max(LEAST, 1 << (most.bit_length() - 1)) if most > 0 else LEAST


def questions(purpose: str, *, factors: bool) -> list[str]:
    """The facets that speak for a purpose, those of known ``factors`` only where there are some.

    Examples
    --------
    >>> questions("interpret", factors=False), questions("classify", factors=True)
    (['reconstruction', 'sparsity', 'stability'], ['features'])
    """
    roles = {name: facet.purposes.get(purpose) for name, facet in FACETS.items()}
    wanted = {NEEDED, ALSO} if NEEDED in roles.values() else {INSTEAD, ALSO}
    return [name for name, role in roles.items() if role in wanted and (factors or not FACETS[name].factors)]


def meant_for(asked: Mapping[str, Any], shape: Sequence[int], rows: int, *, factors: bool) -> dict[str, Any]:
    """The options of a study with what follows from their ``purpose``.

    Parameters
    ----------
    asked : mapping
        Every option of a design.
    shape : sequence of int
        Of a row, ``*D``.
    rows : int
    factors : bool
        Whether there are known factors.

    Raises
    ------
    BadInput
        If there is no such purpose.
    """
    purpose, found = asked["purpose"], dict(asked)
    if purpose is None:
        return found
    if purpose not in PURPOSES:
        raise BadInput(f"there is no purpose {purpose!r}; choose one of {', '.join(PURPOSES)}")
    if found["facets"] == "all":
        found["facets"] = questions(purpose, factors=factors)
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
