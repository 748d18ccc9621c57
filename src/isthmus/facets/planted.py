"""Made-up anomalies: four types, each made of the normal test rows, so that nobody needs labels to ask for them.

Han, Hu, Huang, Jiang and Zhao (2022), ADBench: Anomaly detection benchmark, NeurIPS: local, global, dependency and
clustered anomalies, with the strengths below. There, normal rows too are drawn from the mixture that makes the
anomalies. Here normal rows stay real, and an anomaly is a real row moved as the mixture would move it: at strength 1
local and clustered anomalies are the normal rows themselves, and no scorer can tell them from those.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Splits, some
from isthmus.seeds import seed as hashed

Rows = NDArray[np.float32]

SPREAD = 5.0
"""Local: how many times the variance of its component an anomaly has."""
REACH = 1.1
"""Global: width of the box that anomalies fill, as a multiple of the normal rows' range."""
SHIFT = 5.0
"""Cluster: how many times as far from the centre of all rows the centre of a component stands."""
COMPONENTS = 5
MOST = 1000
"""Anomalies of each type: one for each normal test row, or so many. More hardly move an AUROC."""
LEARNT = 2000
"""Training rows from which the components are learnt."""


def planted(splits: Splits, normal: Rows) -> dict[str, Rows]:
    """Anomalies of each type, the same for all who are compared on these splits.

    Parameters
    ----------
    splits : Splits
        The components are learnt on its training rows; its seed fixes every draw.
    normal : array (n, *D)
        Normal test rows, scaled: what anomalies are made of.

    Returns
    -------
    dict of str to array (min(n, 1000), *D)
        ``local``: a row moved away from the centre of its component, whose variance it multiplies by 5.
        ``global``: uniform in the range of each column, made a tenth wider.
        ``dependency``: every column drawn from another row; each column by itself is as it was.
        ``cluster``: a row moved with the centre of its component, to 5 times that centre's distance from the mean.
    """
    stream = np.random.default_rng(hashed(splits.seed, "planted"))
    made_of = normal[np.sort(stream.permutation(len(normal))[:MOST])]
    flat = made_of.reshape(len(made_of), -1).astype(np.float64)
    mean, centres = _components(splits, flat)
    found = {
        "local": centres + np.sqrt(SPREAD) * (flat - centres),
        "global": _box(flat, stream),
        "dependency": stream.permuted(flat, axis=0),
        "cluster": flat + (SHIFT - 1) * (centres - mean),
    }
    return {name: rows.astype(np.float32).reshape(made_of.shape) for name, rows in found.items()}


def _components(splits: Splits, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean of the training rows (D,), and for each of ``rows`` (n, D) the centre of its component: k-means."""
    from sklearn.cluster import KMeans

    train = some(splits.train, LEARNT, hashed(splits.seed, "components")).x
    known = train.reshape(len(train), -1).astype(np.float64)
    count = min(COMPONENTS, len(np.unique(known, axis=0)))
    means = KMeans(count, n_init=1, random_state=splits.seed % 2**32).fit(known)
    return known.mean(axis=0), means.cluster_centers_[means.predict(rows)]


def _box(rows: NDArray[np.float64], stream: np.random.Generator) -> NDArray[np.float64]:
    """As many rows, uniform in the enlarged range of the columns."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    return (low + high) / 2 + REACH * (high - low) * (stream.random(rows.shape) - 0.5)
