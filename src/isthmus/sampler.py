"""New rows from a trained autoencoder: draw codes, decode them.

Variational families come with a prior to draw from. Any other becomes a generator by a density that is fitted to the
codes of rows (Ghosh et al. 2020, From variational to deterministic autoencoders, ICLR, section 4).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus import mixture as mixtures
from isthmus.errors import BadInput
from isthmus.metrics.frechet import principal
from isthmus.seeds import seed as hashed

if TYPE_CHECKING:
    from isthmus.train.inference import Inference

KINDS = ("prior", "normal", "mixture")
LEAST_ROWS = 5  # for each component of a mixture
FLOOR = 1e-6  # of the codes' variance: what keeps the covariance of a component from being singular
TINY = float(np.finfo(np.float32).tiny)
WIDEST, AXES = 256, 64
"""Codes of more elements than ``WIDEST`` have no full covariances: the work grows with the cube of their width. They
keep so many principal axes, and one variance for what these leave."""


class Axes(NamedTuple):
    """The first principal axes of rows, and one variance for what they leave (Tipping and Bishop 1999)."""

    mean: NDArray[np.float64]
    """(D,)."""
    across: NDArray[np.float64]
    """The axes as columns, (D, K)."""
    noise: float
    """Standard deviation of each of the other directions; 0 where there are none."""

    @classmethod
    def of(cls, x: NDArray[np.float64], count: int) -> Axes:
        """Of rows (n, D); all D columns as they are if there are no more than ``count``."""
        width, mean = x.shape[1], x.mean(axis=0)
        if width <= count:
            return cls(mean, np.eye(width), 0.0)
        across = principal(x, count)
        left = np.square(x - mean).sum() - np.square((x - mean) @ across).sum()
        return cls(mean, across, math.sqrt(max(0.0, left) / len(x) / (width - across.shape[1])))

    def down(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Rows (n, D) along the axes, (n, K)."""
        found: NDArray[np.float64] = (x - self.mean) @ self.across
        return found

    def up(self, places: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
        """Rows (n, D) at places along the axes (n, K), with noise in the other directions."""
        made: NDArray[np.float64] = places @ self.across.T + self.mean
        if not self.noise:
            return made
        noise = np.random.default_rng(seed).normal(size=made.shape) * self.noise
        return made + noise - noise @ self.across @ self.across.T


class Wide(NamedTuple):
    """A density of codes that are too wide for full covariances."""

    mixture: Any
    """Of the places along the axes."""
    axes: Axes


def density(z: NDArray[np.floating], components: int, seed: int, floor: float = FLOOR) -> Any:
    """A mixture of normal distributions with full covariances, fitted to codes, or to rows themselves.

    Parameters
    ----------
    z : array (N, L)
    components : int
        Fewer where there are not five rows for each.
    seed : int
        Of its start.
    floor : float, default 1e-6
        What is added to each variance, as a share of the mean variance of a column.

    Returns
    -------
    Mixture or Wide
        Of codes wider than ``WIDEST`` that of their first principal axes, with a noise.
    """
    from sklearn.exceptions import ConvergenceWarning

    wide = np.asarray(z, dtype=np.float64)
    if wide.shape[1] > WIDEST:
        axes = Axes.of(wide, AXES)
        return Wide(density(axes.down(wide), components, seed, floor), axes)
    count = max(1, min(components, len(wide) // LEAST_ROWS))
    least = max(floor * float(wide.var(axis=0).mean()), TINY)
    with warnings.catch_warnings():  # fewer different rows than components will do
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixtures.fit(wide, count, least, seed % 2**32)


def drawn(mixture: Any, n: int, seed: int) -> NDArray[np.float64]:
    """``n`` draws from a mixture, (n, L), in random order; the same for the same seed."""
    if isinstance(mixture, Wide):
        return mixture.axes.up(drawn(mixture.mixture, n, seed), hashed(seed, "other directions"))
    random = np.random.default_rng(seed)
    which = random.choice(len(mixture.weights), size=n, p=mixture.weights)
    roots = np.linalg.cholesky(mixture.covariances)
    noise = random.normal(size=(n, roots.shape[1]))
    return mixture.means[which] + np.einsum("nij,nj->ni", roots[which], noise)


def residual(x: NDArray[np.floating], x_hat: NDArray[np.floating]) -> NDArray[np.float64]:
    """Root of the mean squared error of each element, of rows and what a model makes of them: both (n, *D) -> (*D)."""
    with np.errstate(all="ignore"):  # a diverged model: the caller sees what is not finite
        return np.sqrt(np.square(np.asarray(x, dtype=np.float64) - x_hat).mean(axis=0))


def noised(rows: NDArray[np.floating], spread: NDArray[np.floating], seed: int) -> NDArray[np.float32]:
    """Rows (n, *D) with normal noise of standard deviations ``spread`` (*D); the same for the same seed."""
    with np.errstate(all="ignore"):
        return (rows + spread * np.random.default_rng(seed).normal(size=rows.shape)).astype(np.float32)


@dataclass(frozen=True)
class Sampler:
    """Draws rows from a fitted autoencoder.

    Attributes
    ----------
    fitted : Inference
    kind : {"prior", "normal", "mixture"}
    density : Mixture, Wide or None
        What was fitted to the codes; None for the prior.
    spread : array (*D) or None
        Standard deviations of the noise that rows get, in scaled units; None without noise.
    """

    fitted: Inference
    kind: str
    density: Any
    spread: NDArray[np.float64] | None = None

    @classmethod
    def fit(
        cls,
        fitted: Inference,
        x: ArrayLike | None = None,
        *,
        kind: str = "mixture",
        components: int = 10,
        seed: int = 0,
    ) -> Sampler:
        """Fit the density of codes.

        Parameters
        ----------
        fitted : Inference
        x : array (N, *D), optional
            Rows whose codes the density is fitted to: the training rows. The prior needs none.
        kind : {"mixture", "normal", "prior"}
            A mixture of normal distributions with full covariances, a single one, or the model's own prior.
        components : int, default 10
            Of the mixture; fewer where there are not five rows for each.
        seed : int, default 0
            Of the mixture's start.

        Raises
        ------
        BadInput
            If the kind is unknown, rows are missing, or the model has no prior.

        Examples
        --------
        >>> from isthmus.families import named
        >>> from isthmus.train.fitted import fit
        >>> x = np.random.default_rng(0).normal(size=(200, 6))
        >>> model = fit(named("pca").set_params(latents=2), x)
        >>> Sampler.fit(model, x, components=2).draw(5, seed=1).shape
        (5, 6)
        """
        if kind not in KINDS:
            raise BadInput(f"kind must be mixture, normal or prior; got {kind!r}")
        if not isinstance(components, int) or components < 1:
            raise BadInput(f"components must be a whole number of at least 1; got {components!r}")
        if kind == "prior":
            if fitted.prior(1, 0) is None:
                raise BadInput(f"{fitted.recipe.family} has no prior to draw from: take kind mixture, and give rows")
            return cls(fitted, kind, None)
        if x is None:
            raise BadInput(f"kind {kind} fits a density to the codes of rows: give the training rows")
        return cls(fitted, kind, density(fitted.encode(x), components if kind == "mixture" else 1, seed))

    def noisy(self, x: ArrayLike) -> Sampler:
        """The same, but that rows get the noise that a decoder, which gives means, leaves out.

        Parameters
        ----------
        x : array (N, *D)
            Rows, best held-out ones: the noise is normal, and in each element as large as the error on them.

        Raises
        ------
        BadInput
            If the model was trained with a target of its own.

        Examples
        --------
        >>> from isthmus.families import named
        >>> from isthmus.train.fitted import fit
        >>> x = np.random.default_rng(0).normal(size=(500, 6))
        >>> smooth = Sampler.fit(fit(named("pca").set_params(latents=2), x), x, components=1)
        >>> [round(float(one.draw(2000).var()), 1) for one in (smooth, smooth.noisy(x))]
        [0.4, 1.0]
        """
        if self.fitted.target_layout is not None:
            raise BadInput("noise follows the error on a model's own rows; this one was trained with a target")
        rows = self.fitted.scaled(x)
        return replace(self, spread=residual(rows, self.fitted.decode_scaled(self.fitted.encode_scaled(rows))))

    def codes(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """``n`` codes, (n, L); the same for the same seed."""
        if not isinstance(n, int) or n < 1:
            raise BadInput(f"the number of rows to draw must be a whole number of at least 1; got {n!r}")
        number = hashed(seed, "sample")
        if self.density is None:
            prior: Any = self.fitted.prior(n, number)
            return prior
        return drawn(self.density, n, number).astype(np.float32)

    def draw(self, n: int, seed: int = 0) -> NDArray[Any]:
        """``n`` new rows in the units of the data, (n, *D); the same for the same seed."""
        codes = self.codes(n, seed)
        if self.spread is None:
            return self.fitted.decode(codes)
        rows = noised(self.fitted.decode_scaled(codes), self.spread, hashed(seed, "noise"))
        layout = self.fitted.layout
        return layout.invert(layout.settled(rows, np.random.default_rng(hashed(seed, "outcomes"))))
