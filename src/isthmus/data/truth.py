"""The features that rows were made of, where somebody made them: what a dictionary should find again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.wording import brief
from isthmus.errors import BadInput

MEMBERS = FEATURES, PRESENT, PARENTS = "features", "present", "parents"


class Truth(NamedTuple):
    """What rows (N, *D) are sums of."""

    features: NDArray[np.float64]
    """(F, E), one for each of E = prod(D) elements of a row, in the units of the data; their lengths say nothing."""
    present: NDArray[np.bool_] | None = None
    """(N, F), which of them are in a row; None where only the features are known."""
    parents: NDArray[np.int64] | None = None
    """(F,), the feature without which each is never there, -1 where there is none."""

    def take(self, numbers: NDArray[np.int64] | slice) -> Truth:
        """Of some of the rows."""
        return self if self.present is None else self._replace(present=self.present[numbers])


def truth_of(place: str, given: Any, rows: int, width: int) -> Truth | None:
    """The truth behind so many rows of so many elements; None if nothing is given.

    Parameters
    ----------
    place : str
        The rows, as errors name them.
    given : path, array (F, E), mapping, or None
        A ``.npy`` file or an array with the features; an ``.npz`` or ``.safetensors`` file, or a mapping, with
        ``features``, and maybe ``present`` (N, F) and ``parents`` (F,).

    Raises
    ------
    BadInput
        If it cannot be read, or does not fit the rows.

    Examples
    --------
    >>> truth_of("X", np.eye(3), rows=10, width=3).features.shape
    (3, 3)
    """
    if given is None:
        return None
    where = f"{place}, truth"
    held = _opened(Path(given)) if isinstance(given, str | os.PathLike) else given
    held = held if isinstance(held, Mapping) else {FEATURES: held}
    if unknown := sorted(map(str, held.keys() - set(MEMBERS))):
        raise BadInput(f"{where}: there is no member {unknown[0]!r}; it may have {', '.join(MEMBERS)}")
    if FEATURES not in held:
        raise BadInput(f"{where}: member features is missing: the features (F, {width}) that made the rows")
    features = _numbers(where, FEATURES, held[FEATURES])
    features = features.reshape(len(features), -1) if features.ndim > 1 else features
    if features.ndim != 2 or not len(features) or features.shape[1] != width:
        raise BadInput(f"{where}: features must have shape (F, {width}), one row each; got {features.shape}")
    if not features.any(axis=1).all():
        raise BadInput(f"{where}: feature {int(features.any(axis=1).argmin())} is 0 everywhere; leave it out")
    present = parents = None
    if held.get(PRESENT) is not None:
        present = _numbers(where, PRESENT, held[PRESENT]) != 0
        if present.shape != (rows, len(features)):
            raise BadInput(f"{where}: present must have shape ({rows}, {len(features)}); got {present.shape}")
    if held.get(PARENTS) is not None:
        parents = _numbers(where, PARENTS, held[PARENTS]).astype(np.int64)
        fits = parents.shape == (len(features),) and parents.min() >= -1 and parents.max() < len(features)
        if not fits or present is None:
            raise BadInput(
                f"{where}: parents must be numbers of features, -1 for none, one for each of {len(features)}, and come "
                f"with present; got shape {parents.shape}"
            )
    return Truth(features, present, parents)


def _numbers(where: str, name: str, given: Any) -> NDArray[np.float64]:
    try:
        found = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{where}: {name} can't be read as numbers ({brief(error)})") from None
    if not np.isfinite(found).all():
        raise BadInput(f"{where}: {name} must be finite numbers; leave out what is not known")
    return found


def _opened(path: Path) -> Any:
    """What stands in a file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix in {".npy", ".npz"}:
            found = np.load(path, allow_pickle=False)
            return found if path.suffix == ".npy" else dict(found)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; give the file of the features that made the rows (--truth)") from None
    except (OSError, ValueError, EOFError, SafetensorError) as error:
        raise BadInput(f"{path}: can't be read ({brief(error)}); give .npy, .npz or .safetensors") from None
    raise BadInput(f"{path}: truth is a .npy, .npz or .safetensors file; got {path.suffix or 'no suffix'}")
