"""New rows from a trained autoencoder: draw codes, decode them.

Variational families come with a prior to draw from. Any other becomes a generator by a density that is fitted to the
codes of rows (Ghosh et al. 2020, From variational to deterministic autoencoders, ICLR, section 4).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus import mixture as mixtures
from isthmus.data.columns import columns
from isthmus.data.columns import rows as rows_of
from isthmus.data.counts import Counts
from isthmus.data.fields import TEXTS, missing
from isthmus.data.layout import Table
from isthmus.errors import BadInput
from isthmus.metrics.frechet import principal
from isthmus.parts.heads import CountHead, TableHead
from isthmus.seeds import seed as hashed

if TYPE_CHECKING:
    from isthmus.data.layout import Layout
    from isthmus.train.inference import Inference

KINDS = ("prior", "normal", "mixture")
LEAST_ROWS = 5  # for each component of a mixture
FLOOR = 1e-6  # of the codes' variance: what keeps the covariance of a component from being singular
TIMES, SURE = (86_400.0, 3_600.0, 60.0), 8
"""Steps of moments, in seconds, that are told where 32 bits change these by so much less than a step."""
TINY = float(np.finfo(np.float32).tiny)
PRECISE, DIGITS = 1e-6, 12
"""What 32 bits may change of a number, as a share of it, and most decimals that are tried."""
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


def of_numbers(spread: NDArray[np.float64], layout: Layout | None, *, counts: bool = True) -> NDArray[np.float64]:
    """Noise (*D) for the elements that are numbers, and for counts if so asked: what flags, categories and gaps lack is
    drawn from their shares."""
    found, noisy = spread.copy(), ("number", "count") if counts else ("number",)
    for part in () if layout is None else layout.parts:
        if part.column.outcome not in noisy:
            found[part.start : part.stop] = 0.0
        if part.gap is not None:
            found[part.gap] = 0.0
    return found


class Marginals(NamedTuple):
    """What makes each column of numbers of a table hold the values that the data hold, as often as they do.

    A made value becomes the value of the same rank: its place among made values is looked up among real ones. So whole
    numbers stay whole, a column that is mostly 0 is mostly 0, and how columns go together is left as it is.
    """

    layout: Layout
    values: Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64]]]
    """Number of a column -> made values and real ones, in order."""

    @classmethod
    def of(cls, made: NDArray[np.float32], real: NDArray[np.float32], layout: Layout) -> Marginals:
        """Of made rows and real ones, (n, E) and (m, E), both laid out and settled."""
        sides, values = [columns(rows, layout) for rows in (made, real)], {}
        for j, (size, owner) in enumerate(zip(sides[0].sizes, sides[0].owners, strict=True)):
            first, second = (np.sort(one.cells[~np.isnan(one.cells[:, j]), j]) for one in sides)
            if not size and layout.parts[owner].field.kind not in TEXTS and len(first) and len(second):
                values[j] = first, second
        return cls(layout, values)

    def matched(self, made: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same rows (n, E), their numbers replaced; a gap stays one."""
        cells = columns(made, self.layout).cells
        for j, (known, real) in self.values.items():
            there = ~np.isnan(cells[:, j])
            low, high = (np.searchsorted(known, cells[there, j], side) for side in ("left", "right"))
            place = (low + high) / 2 / len(known)
            cells[there, j] = real[np.minimum((place * len(real)).astype(int), len(real) - 1)]
        return rows_of(cells, self.layout, made.shape[1:])

    def fewer(self, most: int) -> Marginals:
        """The same, with at most so many values of each column, evenly spaced in rank, their ends among them."""
        values = {j: (thinned(made, most), thinned(real, most)) for j, (made, real) in self.values.items()}
        return Marginals(self.layout, values)

    def exact(self, cells: NDArray[Any]) -> NDArray[Any]:
        """Cells (n, F) of made rows, each number as the data have it: 32 bits hold it up to rounding alone."""
        owners, out = columns(np.zeros((1, self.layout.parts[-1].end), np.float32), self.layout).owners, cells.copy()
        for j, (_, real) in self.values.items():
            f = owners[j]
            known = decimals(real, dated=self.layout.parts[f].field.kind == "date")
            there = ~missing(cells[:, f])
            halfway = (known[1:] + known[:-1]) / 2
            out[there, f] = known[np.searchsorted(halfway, cells[there, f].astype(np.float64))]
        return out


def thinned(values: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """At most so many of values (n,) in order, evenly spaced in rank, their ends among them."""
    return values if len(values) <= most else values[np.linspace(0, len(values) - 1, most).round().astype(int)]


def decimals(
    values: NDArray[np.float64], known: NDArray[np.float64] | None = None, *, dated: bool = False
) -> NDArray[np.float64]:
    """Values (n,) that went through 32 bits, with as few decimals as tell ``known`` ones, by default themselves.

    Whole numbers are whole again, and moments, in seconds, whole days, hours or minutes.

    Examples
    --------
    >>> decimals(np.array([2.9999998, 7.0000001, 11.0])).tolist(), decimals(np.array([0.2500001, 3.7])).tolist()
    ([3.0, 7.0, 11.0], [0.25, 3.7])
    >>> (decimals(1.6e9 + 86400 * np.arange(9) + np.arange(9) % 2 / 8 - 1.6e9 % 86400, dated=True) % 86400).tolist()[:3]
    [0.0, 0.0, 0.0]
    """
    known = values if known is None else known
    if not len(known):
        return values
    off = np.abs(known - known.mean())  # what is standardised is held in 32 bits
    for step in TIMES if dated else ():
        most = PRECISE * off.max()
        if most < step / SURE and (np.abs(known - np.rint(known / step) * step) <= most).all():
            return np.rint(values / step) * step
    rough = PRECISE * np.maximum(np.abs(known), off)
    told = (digits for digits in range(DIGITS) if (np.abs(known.round(digits) - known) <= rough).all())
    digits = next(told, None)
    return values if digits is None else values.round(digits) + 0.0  # no -0


class Draws(NamedTuple):
    """How a model's new rows are drawn, without the model: what a :class:`Sampler` has besides it."""

    kind: str
    density: Any = None
    spread: NDArray[np.float64] | None = None
    marginals: Marginals | None = None

    def of(self, fitted: Inference) -> Sampler:
        """The sampler of a model."""
        return Sampler(fitted, *self)


def outcomes(
    rows: NDArray[np.floating], spread: NDArray[np.floating] | None, layout: Any, model: Any, seed: int
) -> NDArray[np.float32]:
    """Rows as a model makes them, means (n, *D), as rows that could stand in the data: the same for the same seed.

    Numbers get normal noise of standard deviations ``spread`` (*D), if given. Flags, categories and gaps are drawn from
    the shares that the model gives them. Counts are the nearest ones without ``spread``. With it rows of counts are
    drawn and need no other noise: of a negative binomial where the model learnt how they vary, else of Poisson's
    distribution; so are columns of counts where it learnt that, and else they get noise as numbers do.
    """
    random = np.random.default_rng(hashed(seed, "outcomes"))
    if isinstance(layout, Counts):
        own = model.head.dispersion if isinstance(model.head, CountHead) else None
        return layout.drawn(rows, None if own is None else own.double().numpy(), None if spread is None else random)
    if spread is None:
        made = np.asarray(rows, np.float32)
    elif isinstance(layout, Table) and (learnt := _dispersion(model)) is not None:
        bare = of_numbers(np.asarray(spread, np.float64), layout, counts=False)
        drawing = np.random.default_rng(hashed(seed, "counts"))
        made = layout.counted(noised(rows, bare, hashed(seed, "noise")), learnt, drawing)
    else:
        made = noised(rows, spread, hashed(seed, "noise"))
    return made if layout is None else layout.settled(made, random)


def _dispersion(model: Any) -> NDArray[np.float64] | None:
    """What a model of a table learnt of its columns of counts; None where it has none, or learns none."""
    found = model.head.dispersion if isinstance(model.head, TableHead) else None
    return None if found is None else found.double().numpy()


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
    marginals : Marginals or None
        What gives the columns of a table the values of the data; None where they stay as decoded.
    """

    fitted: Inference
    kind: str
    density: Any
    spread: NDArray[np.float64] | None = None
    marginals: Marginals | None = None

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
        spread = residual(rows, self.fitted.compared(rows, self.fitted.decode_scaled(self.fitted.encode_scaled(rows))))
        return replace(self, spread=of_numbers(spread, self.fitted.layout))

    def matched(self, x: ArrayLike) -> Sampler:
        """The same, but that each column of numbers of a table holds the values of the data, as often as they do.

        Take it after :meth:`noisy`. Made rows then repeat single values of the rows given here, never whole rows.

        Parameters
        ----------
        x : array (N, *D)
            The training rows.

        Raises
        ------
        BadInput
            If the model is not one of a table of several kinds of columns, or with gaps, or has a target of its own.

        Examples
        --------
        >>> from isthmus.data.read import read
        >>> from isthmus.families import named
        >>> from isthmus.train.fitted import fit
        >>> x = np.random.default_rng(0).poisson(2.0, (300, 3)).astype(float)
        >>> x[:50, 1] = np.nan
        >>> table = read(x)
        >>> model = fit(named("pca").set_params(latents=2), table.x, fields=table.fields, columns=table.columns)
        >>> made = Sampler.fit(model, table.x).noisy(table.x).matched(table.x).draw(100)
        >>> bool(np.isin(made[:, 0].round(3), x[:, 0]).all()), bool(0 < np.isnan(made[:, 1]).mean() < 0.4)
        (True, True)
        """
        fitted = self.fitted
        if fitted.target_layout is not None or not fitted.layout.parts:
            raise BadInput("only rows of a table of several kinds of columns, or with gaps, are matched to its values")
        rows = fitted.scaled(x)
        return replace(self, marginals=Marginals.of(self.laid_out(len(rows), seed=0), rows, fitted.layout))

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
        if self.fitted.target_layout is not None:
            return self.fitted.decode(self.codes(n, seed))
        made = self.fitted.layout.invert(self.laid_out(n, seed))
        if self.marginals is not None:
            return self.marginals.exact(made)
        return np.rint(made) if isinstance(self.fitted.layout, Counts) else made

    def laid_out(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """The same in scaled units: flags, categories and gaps are drawn from the shares that the model gives them."""
        fitted, spread = self.fitted, self.spread
        if isinstance(fitted.layout, Counts):
            spread = np.zeros(1)  # counts are drawn, with or without noise
        rows = outcomes(fitted.decode_scaled(self.codes(n, seed)), spread, fitted.layout, fitted.model, seed)
        return rows if self.marginals is None else self.marginals.matched(rows)
