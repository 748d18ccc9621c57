"""What somebody gives to train on, as arrays: rows, what they should become, and which are held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.data.arrays import memory as in_memory
from isthmus.data.fields import Field
from isthmus.data.metadata import IN_ORDER, NONE, Metadata, counted, in_proportion
from isthmus.data.metadata import known as metadata
from isthmus.data.read import cells, read
from isthmus.data.sparse import SparseRows, counts_of, scattered
from isthmus.data.split import grouped, ordered
from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed


class Given(NamedTuple):
    """What somebody gave, as arrays."""

    sets: list[Any]
    """The rows; and what they should become, where that is something else."""
    held: list[Any] | None
    """The same of rows for early stopping, where they were given."""
    known: Metadata
    columns: Sequence[str]
    fields: Sequence[Field]
    counts: int | None
    images: bool | None
    habit: str
    """The decimal mark of the file that plain numbers come from."""


def arrays_of(
    x: Any,
    target: Any,
    valid: Any,
    valid_target: Any,
    columns: Sequence[str],
    fields: Sequence[Field],
    counts: int | None,
    images: bool | None,
    habit: str,
    beside: dict[str, Any],
) -> Given:
    """See :func:`isthmus.fit`. Frames of several kinds, with gaps or with columns of metadata are read as files are."""
    named = [name for name, one in beside.items() if isinstance(one, str) and one != IN_ORDER]
    if named and (target is not None or valid is not None or not hasattr(x, "columns")):
        raise BadInput(f"{named[0]} names a column, and that needs a frame alone; give one value for each row")
    known, unread = NONE, counts is None and scattered(x)
    if read_here := not fields and target is None and (mixed(x) or bool(named) or unread):
        read_in = read(x, **beside)
        read_in.warn()
        counts = read_in.counts
        images = False if read_in.fields or counts is not None else images
        x, columns, fields, known = read_in.x, columns or read_in.columns, read_in.fields, read_in.metadata
        habit = read_in.habit
    if counts is not None:
        x, valid = _counted(x, valid, target)
        images = False
    if fields:
        valid = None if valid is None else cells(valid, fields)
    sets: list[Any] = [_array(x)] if target is None else _pair(x, target)
    if not read_here and any(one is not None for one in beside.values()):
        _, known, positive = counted(*metadata(x, in_memory(np.zeros((len(sets[0]), 1))), **beside))
        sets = sets if positive is None else [part[positive] for part in sets]
    if (valid_target is None) != (valid is None or target is None):
        raise BadInput("valid_target goes with target and valid: give it if both are given, and only then")
    held = None if valid is None else [_array(valid)] if valid_target is None else _pair(valid, valid_target)
    return Given(sets, held, known, columns, fields, counts, images, habit)


def parted(sets: list[Any], held: list[Any] | None, known: Metadata, seed: int) -> tuple[list[Any], list[Any]]:
    """Rows to train on, as often as weights say, and those held out: as given, a fifth, or all of fewer than 10."""
    if held is not None or len(sets[0]) < 10:
        often = slice(None) if known.weight is None else in_proportion(known.weight, hashed(seed, "weights"))
        sets = [part[often] for part in sets]
        return sets, sets if held is None else held
    stay, aside = _held_out(len(sets[0]), known, seed)
    return [part[stay] for part in sets], [part[aside] for part in sets]


def _held_out(rows: int, known: Metadata, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the rows that are trained on and of those held out, a fifth, each as often as its weight says."""
    if known.time is not None:
        stay, aside, later = ordered(known.time)
        stay, aside = np.sort(np.append(stay, aside)), later
    elif known.group is not None:
        stay, aside, more = grouped(known.group, hashed(seed, "holdout"))
        stay, aside = np.sort(np.append(stay, aside)), more
    else:
        order = np.random.default_rng(hashed(seed, "holdout")).permutation(rows)
        aside, stay = np.sort(order[: rows // 5]), np.sort(order[rows // 5 :])
    if known.weight is not None:
        stay, aside = (
            part[in_proportion(known.weight[part], hashed(seed, "weights", k))] for k, part in enumerate((stay, aside))
        )
    return stay, aside


def mixed(x: Any) -> bool:
    """Whether these are columns of several kinds, or with gaps: a frame that is no matrix of finite numbers."""
    if not hasattr(x, "columns"):
        return False
    try:
        return not np.isfinite(np.asarray(x, np.float64)).all()
    except (TypeError, ValueError):
        return True


def _counted(x: Any, valid: Any, target: Any) -> tuple[SparseRows, SparseRows | None]:
    """Rows of counts and those held out, checked."""
    if target is not None:
        raise BadInput("rows of counts are their own target; leave target out")
    return counts_of("X", x), None if valid is None else counts_of("valid", valid)


def _array(x: Any) -> Any:
    """Rows as an array; sparse ones as they are."""
    return x if isinstance(x, SparseRows) else np.asarray(x)


def _pair(x: Any, target: ArrayLike) -> list[NDArray[Any]]:
    """Rows and their targets, one for each."""
    rows, aims = np.asarray(x), np.asarray(target)
    if len(rows) != len(aims):
        raise BadInput(f"expected one target for each row; got {len(rows)} rows and {len(aims)} targets")
    return [rows, aims]
