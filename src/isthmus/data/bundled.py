"""The data sets that come with scikit-learn, and one that is made from code: no file, no download."""

from __future__ import annotations

import numpy as np

from isthmus.data.dataset import element_names
from isthmus.data.shapes import FACTORS, KINDS, shapes
from isthmus.data.unchecked import Unchecked, array_words

DATASETS: dict[str, str] = {
    "digits": "1797 images of handwritten digits, 8 x 8 pixels of 0 to 16, 10 classes",
    "breast_cancer": "569 tumours, 30 measures of cell nuclei, 2 classes (malignant, benign)",
    "wine": "178 wines, 13 chemical measures, 3 classes (growers)",
    "diabetes": "442 patients, 10 measures; no labels: its target is a measured number, not a class",
    "iris": "150 flowers, 4 measures of petals and sepals, 3 classes (species)",
    "shapes": "1500 drawn figures, 16 x 16 pixels, 3 classes (kinds); known factors: kind, place, size",
}


def bundled(name: str) -> Unchecked:
    """One of :data:`DATASETS`."""
    if name == "shapes":
        x, kinds, factors = shapes()
        columns = element_names(x.shape[1:])
        return Unchecked(name, x, kinds, columns, array_words(x.shape[1:], columns, "X"), KINDS, factors, FACTORS)
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    x = bunch.images if name == "digits" else bunch.data
    columns = element_names(x.shape[1:]) if name == "digits" else tuple(map(str, bunch.feature_names))
    where = array_words(x.shape[1:], columns, "X")
    if name == "diabetes":
        return Unchecked(name, x, None, columns, where)
    return Unchecked(name, x, bunch.target.astype(np.int64), columns, where, tuple(map(str, bunch.target_names)))
