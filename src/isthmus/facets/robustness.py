"""Robustness: how much of the true row survives when the input is disturbed, and how the code answers.

Rivals: ``pca``, and the closed-form linear map that undoes masking best (marginalised denoising).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.corrupt import corrupt, draw
from isthmus.facets.facet import Coder, Contender, Curve, CurveTitle, Facet, Found, Rows, Splits, known, reconstruct
from isthmus.facets.rivals import SOLVED, denoiser, undoing
from isthmus.metrics.fidelity import explained_variance
from isthmus.metrics.robustness import adversarial, movement, spread
from isthmus.said import Said
from isthmus.seeds import seed as hashed

if TYPE_CHECKING:
    from torch import Tensor

    Follow = Callable[[Tensor], Tensor]
    """The same as a function of tensors, for gradients."""

Array = NDArray[np.float32]
Rebuild = Callable[[Array], Array]

MOST = 2000
"""More rows than this hardly move an explained variance."""
ATTACKED, FOLLOWED = 256, 64
"""Rows that are attacked, and rows whose Jacobian is taken."""
SLOPES = 5e9
"""Multiplications that singular values of Jacobians may take, about: seconds of one core."""
LEVELS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
"""Standard deviations of the noise, in units of the training rows' own (:func:`unit`)."""
NOISE, MASK, DRIFT, RADIUS = 0.5, 0.25, 0.25, 0.1
"""Noise and radius of an attack in those units, share of elements masked, offset and gain that columns drift by."""
DISTANCES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""How far rows are moved for the contraction curve, in units of their own spread."""


class Case(NamedTuple):
    """Rows as a model is given them, and as it should give them back."""

    x: Array
    truth: Array


def unit(splits: Splits) -> float:
    """Standard deviation of the training rows about their mean, over all elements together; 1 if standardised."""
    return spread(splits.train.x) / math.sqrt(math.prod(splits.train.x.shape[1:]))


def noisy(x: Array, size: float, seed: int) -> Array:
    """``x`` (n, *D) plus Gaussian noise of standard deviation ``size``; the same draw at every size."""
    return _corrupted("gaussian", x, size, seed)


def masked(x: Array, seed: int) -> Array:
    """``x`` (n, *D) with a random quarter of its elements set to 0."""
    return _corrupted("mask", x, MASK, seed)


def drifted(x: Array, mean: NDArray[np.float64], size: float, seed: int) -> Array:
    """Columns whose sensors have drifted: ``x`` (n, D) about ``mean`` (D,) times 1 ± 0.25, plus ± ``size``.

    The signs are drawn for each column, and are the same for all rows.
    """
    gain, offset = np.random.default_rng(seed).choice([-1.0, 1.0], size=(2, x.shape[1]))
    return (mean + (x - mean) * (1 + DRIFT * gain) + size * offset).astype(np.float32)


def translated(x: Array) -> Iterator[Array]:
    """Images ``x`` (n, height, width, ...) moved by one pixel in the four directions; the pixels of the edge repeat."""
    for axis in (1, 2):
        places = np.arange(x.shape[axis])
        for step in (-1, 1):
            yield np.take(x, np.clip(places + step, 0, len(places) - 1), axis=axis)


def cases(rows: Rows, splits: Splits) -> dict[str, list[Case]]:
    """The three disturbances of some rows.

    Of noise, masks and drift a model should give back the clean row. Of an image that has moved it should give back the
    image where it is: the scene has moved, not the camera's reading.
    """
    x, size = rows.x, unit(splits)
    number = {kind: hashed(splits.seed, "robustness", kind) for kind in ("noise", "mask", "shift")}
    if x.ndim > 2:
        shift = [Case(moved, moved) for moved in translated(x)]
    else:
        mean = splits.train.x.mean(axis=0, dtype=np.float64)
        shift = [Case(drifted(x, mean, DRIFT * size, number["shift"]), x)]
    noise, mask = Case(noisy(x, NOISE * size, number["noise"]), x), Case(masked(x, number["mask"]), x)
    return {"noise": [noise], "mask": [mask], "shift": shift}


def explained(rebuild: Rebuild, rows: Rows, splits: Splits) -> dict[str, float]:
    """The variance of the true rows that survives each disturbance, and the mean of the three; 0 if output is constant.

    NaN wins nothing: if one is missing, so is the mean.
    """
    found = {
        f"explained_{kind}": float(np.mean([_share(rebuild(case.x), case.truth, splits) for case in some]))
        for kind, some in cases(rows, splits).items()
    }
    return known({"explained_disturbed": float(np.mean(list(found.values()))), **found})


def decay(rebuild: Rebuild, rows: Rows, splits: Splits) -> Curve:
    """The variance of the clean rows that survives noise, against its level."""
    number, size = hashed(splits.seed, "robustness", "noise"), unit(splits)
    shares = (_share(rebuild(noisy(rows.x, level * size, number)), rows.x, splits) for level in LEVELS)
    return Curve(LEVELS, tuple(shares))


def criterion(coder: Coder, splits: Splits) -> float:
    """Share of the variance of validation rows that does not survive the disturbances."""
    return 1 - explained(lambda x: reconstruct(coder, x), sample(splits.valid, splits), splits)["explained_disturbed"]


def measure(contender: Contender, splits: Splits) -> Found:
    """Shares of the test rows that survive, the movement of their codes, the encoder's Jacobian, and three curves."""
    rows, model = sample(splits.test, splits), contender.model
    codes = contender.encode_scaled(rows.x)
    moved = contender.encode_scaled(cases(rows, splits)["noise"][0].x)
    return {
        **survival(lambda x: reconstruct(contender, x), lambda x: model.decode(model.encode(x)), rows, splits),
        **known({"code_movement": movement(codes, moved)}),
        **slopes(model.encode, rows.x, codes),
    }


def solved(splits: Splits) -> NDArray[np.float64]:
    """That map, and the constant it adds as the last column, (D, D + 1)."""
    return denoiser(splits.train.x.reshape(len(splits.train.x), -1), MASK, NOISE * unit(splits))


def denoised(splits: Splits) -> Found:
    """The same of the linear map that undoes masks and noise best on the training rows; it has no code to move."""
    import torch

    rows = sample(splits.test, splits)
    if math.prod(rows.x.shape[1:]) > SOLVED:
        return dict.fromkeys(ROBUSTNESS.metrics, math.nan)
    weight = solved(splits)
    linear, constant = torch.from_numpy(weight[:, :-1]).float(), torch.from_numpy(weight[:, -1]).float()

    def follow(x: Tensor) -> Tensor:
        return (x.flatten(1) @ linear.t() + constant).view_as(x)

    return survival(lambda x: follow(torch.from_numpy(x)).numpy(), follow, rows, splits)


def survival(rebuild: Rebuild, follow: Follow, rows: Rows, splits: Splits) -> Found:
    """What does not ask for a code: of ``rebuild``, and of ``follow``, the same function with a gradient."""
    import torch

    x, found = rows.x[:ATTACKED], explained(rebuild, rows, splits)
    number = hashed(splits.seed, "robustness", "adversarial")
    worst = adversarial(follow, torch.from_numpy(x), RADIUS * unit(splits), seed=number)
    share = math.nan if worst is None else _share(rebuild(worst.numpy()), x, splits)
    return {**found, **known({"explained_adversarial": share}), "decay": decay(rebuild, rows, splits)}


def slopes(encode: Follow, x: Array, codes: Array) -> Found:
    """The Jacobian of codes with respect to rows, both in units of their spreads, and how far codes follow rows.

    A code that does not depend on its row smoothly (a discrete one) has no slope anywhere: then they are missing.
    """
    import torch

    from isthmus.metrics.jacobian import contraction_curve, norm_and_spectrum

    wide, per = spread(x), spread(x) / spread(codes)
    rows = torch.from_numpy(x[: followed(math.prod(x.shape[1:]), codes.shape[1])])

    def scaled(x: Tensor) -> Tensor:
        return per * encode(x)

    ratios = contraction_curve(scaled, torch.from_numpy(x[:FOLLOWED]), wide * torch.tensor(DISTANCES)).tolist()
    found = {"contraction": Curve(DISTANCES, tuple(ratios))}
    if not len(rows):
        return {**found, "jacobian_norm": math.nan}
    norm, sizes = norm_and_spectrum(scaled, rows)
    sizes = sizes.where(sizes[0] > 0, torch.nan)
    spectrum = Curve(tuple(map(float, range(1, len(sizes) + 1))), tuple(sizes.tolist()))
    return {**found, **known({"jacobian_norm": norm or math.nan}), "spectrum": spectrum}


def followed(columns: int, units: int) -> int:
    """Rows whose Jacobian is taken: 64, fewer where it is large, and none where a single one is too large.

    Examples
    --------
    >>> followed(784, 32), followed(768, 4096), followed(20_000, 4096)
    (64, 2, 0)
    """
    return min(FOLLOWED, int(SLOPES / (columns * units * min(columns, units))))


def sample(rows: Rows, splits: Splits) -> Rows:
    """The rows that we look at, in an order of their own: the first of them are a fair draw as well."""
    order = np.random.default_rng(hashed(splits.seed, "robustness", "rows")).permutation(len(rows.x))
    return rows.take(order[:MOST])


def _share(made: Array, truth: Array, splits: Splits) -> float:
    return explained_variance(truth, made, splits.train.x.mean(axis=0, dtype=np.float64))


def _corrupted(kind: str, x: Array, level: float, seed: int) -> Array:
    """As in training: :func:`isthmus.data.corrupt.corrupt`."""
    import torch

    noise = draw(kind, x.shape, torch.Generator().manual_seed(seed))
    return corrupt(kind, torch.from_numpy(x), noise, level).numpy()


ROBUSTNESS = Facet(
    name="robustness",
    title=Said("Robustness", "鲁棒性"),
    question=Said(
        "How well are rows rebuilt when the input is noisy or incomplete?", "输入有噪声或残缺时，重构效果如何？"
    ),
    wanted=Said("For noisy or incomplete inputs", "输入有噪声或残缺"),
    spoiled_by=("constant output",),
    primary="explained_disturbed",
    view="all",
    labels=False,
    sees=Said("disturbed validation rows, without labels", "受干扰的验证集，不使用标签"),
    criterion=criterion,
    free=criterion,
    measure=measure,
    metrics=(
        *(f"explained_{how}" for how in ("disturbed", "noise", "mask", "shift", "adversarial")),
        "code_movement",
        "jacobian_norm",
    ),
    floor=0.0,
    floor_title=Said("predicting the mean of each column", "只用每列的均值预测"),
    rivals={"marginalised denoising": denoised},
    networks={"marginalised denoising": lambda splits: undoing(splits, solved)},
    curves={
        "decay": CurveTitle(
            Said("Reconstruction under growing noise", "噪声增大时的重构"),
            x=Said("noise (standard deviations of the data)", "噪声（数据标准差的倍数）"),
            y=Said("explained variance of the clean rows", "对干净数据的解释方差"),
            log=False,
            bounds=(-math.inf, 1.0),
        ),
        "contraction": CurveTitle(
            Said("How strongly codes react to changes of a row", "编码对数据变化的敏感程度"),
            x=Said("size of the change of a row (standard deviations)", "数据变化的大小（标准差的倍数）"),
            y=Said(
                "change of the code relative to the change of the row (both in standard deviations)",
                "编码变化与数据变化之比（均以标准差为单位）",
            ),
            log=True,
            bounds=(0.0, math.inf),
        ),
        "spectrum": CurveTitle(
            Said("Singular values of the encoder's Jacobian", "编码器雅可比矩阵的奇异值"),
            x=Said("direction, largest first", "方向（由大到小）"),
            y=Said(
                "singular value (codes and rows in standard deviations)",
                "奇异值（编码与数据均以标准差为单位）",
            ),
            log=False,
            bounds=(0.0, math.inf),
        ),
    },
)
