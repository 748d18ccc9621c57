"""New rows from a trained autoencoder: draw codes, decode them.

Variational families come with a prior to draw from. Any other becomes a generator by a density that is fitted to the
codes of rows (Ghosh et al. 2020, From variational to deterministic autoencoders, ICLR, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed
from isthmus.train.fitted import Fitted

KINDS = ("prior", "normal", "mixture")
LEAST_ROWS = 5  # for each component of a mixture
FLOOR = 1e-6  # of the codes' variance: what keeps the covariance of a component from being singular


@dataclass(frozen=True)
class Sampler:
    """Draws rows from a fitted autoencoder.

    Attributes
    ----------
    fitted : Fitted
    kind : {"prior", "normal", "mixture"}
    density : GaussianMixture or None
        What was fitted to the codes; None for the prior.
    """

    fitted: Fitted
    kind: str
    density: Any

    @classmethod
    def fit(
        cls, fitted: Fitted, x: ArrayLike | None = None, *, kind: str = "mixture", components: int = 10, seed: int = 0
    ) -> Sampler:
        """Fit the density of codes.

        Parameters
        ----------
        fitted : Fitted
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
            if not hasattr(fitted.model, "prior"):
                raise BadInput(f"{fitted.recipe.family} has no prior to draw from: take kind mixture, and give rows")
            return cls(fitted, kind, None)
        if x is None:
            raise BadInput(f"kind {kind} fits a density to the codes of rows: give the training rows")
        from sklearn.mixture import GaussianMixture

        codes = fitted.encode(x).astype(np.float64)
        count = max(1, min(components, len(codes) // LEAST_ROWS)) if kind == "mixture" else 1
        floor = max(FLOOR * float(codes.var(axis=0).max()), np.finfo(np.float64).tiny)
        mixture = GaussianMixture(count, reg_covar=floor, random_state=seed % 2**32)
        return cls(fitted, kind, mixture.fit(codes))

    def codes(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """``n`` codes, (n, L); the same for the same seed."""
        if not isinstance(n, int) or n < 1:
            raise BadInput(f"the number of rows to draw must be a whole number of at least 1; got {n!r}")
        number = hashed(seed, "sample")
        if self.density is None:
            prior: Any = self.fitted.model.prior
            with torch.no_grad():
                return prior(n, torch.Generator().manual_seed(number)).numpy()
        # Drawn here, not by scikit-learn, which sorts its draws by component and keeps a state of its own.
        random = np.random.default_rng(number)
        which = random.choice(len(self.density.weights_), size=n, p=self.density.weights_)
        roots = np.linalg.cholesky(self.density.covariances_)
        noise = random.normal(size=(n, roots.shape[1]))
        return (self.density.means_[which] + np.einsum("nij,nj->ni", roots[which], noise)).astype(np.float32)

    def draw(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """``n`` new rows in the units of the data, (n, *D); the same for the same seed."""
        return self.fitted.decode(self.codes(n, seed))
