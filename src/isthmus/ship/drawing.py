"""How a deployed model draws new rows, out to a file and in again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.columns import columns
from isthmus.data.fields import TEXTS
from isthmus.data.layout import Layout
from isthmus.errors import BadInput
from isthmus.mixture import Mixture
from isthmus.sampler import Axes, Draws, Marginals, Wide
from isthmus.ship.manifest import Drawn, Manifest, Ranked

Numbers = dict[str, NDArray[np.float64]]


def said(draws: Draws) -> Drawn:
    """What the manifest says of it."""
    wide = draws.density if isinstance(draws.density, Wide) else None
    mixture = draws.density if wide is None else wide.mixture
    marginals = {} if draws.marginals is None else draws.marginals.values
    return Drawn(
        codes="prior" if draws.kind == "prior" else "mixture",
        components=0 if mixture is None else len(mixture.weights),
        axes=None if wide is None else wide.axes.across.shape[1],
        noise=0.0 if wide is None else wide.axes.noise,
        noisy=draws.spread is not None,
        columns=[Ranked(column=j, made=len(made), real=len(real)) for j, (made, real) in marginals.items()],
    )


def numbers(draws: Draws) -> Numbers:
    """The arrays behind it; perhaps none."""
    found: Numbers = {}
    wide = draws.density if isinstance(draws.density, Wide) else None
    mixture = draws.density if wide is None else wide.mixture
    if mixture is not None:
        found |= {"weights": mixture.weights, "means": mixture.means, "covariances": mixture.covariances}
    if wide is not None:
        found |= {"centre": wide.axes.mean, "across": wide.axes.across}
    if draws.spread is not None:
        found["spread"] = draws.spread.ravel()
    if draws.marginals is not None and draws.marginals.values:
        for name, side in (("made", 0), ("real", 1)):
            found[name] = np.concatenate([both[side] for both in draws.marginals.values.values()])
    return {name: np.ascontiguousarray(values, dtype=np.float64) for name, values in found.items()}


def read(manifest: Manifest, layout: Layout, latents: int, found: Mapping[str, NDArray[Any]]) -> Draws:
    """The same from arrays that may come from anywhere.

    Raises
    ------
    BadInput
        If they are not what the manifest says, or nothing could be drawn with them.
    """
    one = manifest.sampler
    assert one is not None
    wanted: dict[str, tuple[int, ...]] = {}
    width = latents if one.axes is None else one.axes
    if one.components:
        parts = one.components
        wanted = {"weights": (parts,), "means": (parts, width), "covariances": (parts, width, width)}
    if one.axes is not None:
        wanted |= {"centre": (latents,), "across": (latents, width)}
    if one.noisy:
        wanted["spread"] = (math.prod(manifest.shape),)
    if one.columns:
        wanted |= {"made": (sum(c.made for c in one.columns),), "real": (sum(c.real for c in one.columns),)}
    if strange := sorted(wanted.keys() ^ found.keys()):
        raise BadInput(f"sampler: {'missing' if strange[0] in wanted else 'unexpected'} array {strange[0]!a:.60}")
    for name, shape in wanted.items():
        values = found[name]
        if values.shape != shape or values.dtype != np.float64 or not np.isfinite(values).all():
            raise BadInput(f"sampler: {name} must be finite 64-bit floats of shape {shape}; got {values.shape}")
    if one.noisy and found["spread"].min() < 0:
        raise BadInput("sampler: spread must not be below 0")
    spread = found["spread"].reshape(manifest.shape) if one.noisy else None
    return Draws(one.codes, _density(manifest, found), spread, _marginals(manifest, layout, found))


def _density(manifest: Manifest, found: Mapping[str, NDArray[Any]]) -> Mixture | Wide | None:
    one = manifest.sampler
    assert one is not None
    if not one.components:
        if one.codes == "mixture" or one.axes is not None:
            raise BadInput("sampler: a mixture has a component at least, and a prior has none")
        return None
    if one.codes == "prior":
        raise BadInput("sampler: a prior has no components")
    weights, spreads = found["weights"], found["covariances"]
    if weights.min() < 0 or abs(weights.sum() - 1) > 1e-9:
        raise BadInput("sampler: weights must not be below 0, and sum to 1")
    try:
        np.linalg.cholesky(spreads)
    except np.linalg.LinAlgError:
        raise BadInput("sampler: covariances must be positive definite") from None
    mixture = Mixture(weights, found["means"], spreads)
    return mixture if one.axes is None else Wide(mixture, Axes(found["centre"], found["across"], one.noise))


def _marginals(manifest: Manifest, layout: Layout, found: Mapping[str, NDArray[Any]]) -> Marginals | None:
    one = manifest.sampler
    assert one is not None
    if not one.columns:
        return Marginals(layout, {}) if layout.parts else None
    if not layout.parts:
        raise BadInput("sampler: only columns of a table have values")
    known = columns(np.zeros((1, *manifest.shape), np.float32), layout)
    able = {
        j
        for j, (size, owner) in enumerate(zip(known.sizes, known.owners, strict=True))
        if not size and layout.parts[owner].field.kind not in TEXTS
    }
    numbers_ = [column.column for column in one.columns]
    if len(set(numbers_)) < len(numbers_) or not set(numbers_) <= able:
        raise BadInput("sampler: values must be of columns of numbers, each once")
    sides = []
    for name, sizes in (("made", [c.made for c in one.columns]), ("real", [c.real for c in one.columns])):
        sides.append(np.split(found[name], np.cumsum(sizes)[:-1]))
        if any(bool((np.diff(part) < 0).any()) for part in sides[-1]):
            raise BadInput("sampler: values must be in order")
    return Marginals(layout, {j: both for j, *both in zip(numbers_, *sides, strict=True)})
