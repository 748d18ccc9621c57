"""Labels are classes, however many there are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def many_classes() -> Iterator[None]:
    """Spare a person scikit-learn's doubt whether classes are classes.

    It warns wherever more than half of some rows have a label of their own, which a draw of few rows for each class
    always does.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
        yield
