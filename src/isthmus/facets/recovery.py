"""Recovery: did the dictionary find the features that made the rows? Needs rows that somebody made.

Chosen without sight of the truth, as nobody has it elsewhere. Rivals: ``pca`` and a random dictionary.
"""

from __future__ import annotations

import numpy as np

from isthmus.errors import BadInput
from isthmus.facets.facet import (
    SMALLEST_ERROR,
    Contender,
    Facet,
    Found,
    Splits,
    known,
    pieces,
    some,
    validation_error,
)
from isthmus.facets.purpose import ALSO
from isthmus.facets.random_dictionary import NAME as RANDOM
from isthmus.facets.random_dictionary import random_dictionary, written
from isthmus.metrics.recovery import absorption, detection, mean_correlation, uniqueness
from isthmus.said import Said
from isthmus.seeds import seed as hashed

MOST = 2000
"""Test rows in which units are looked at as detectors."""


def measure(contender: Contender, splits: Splits) -> Found:
    """``mcc`` and ``uniqueness`` of the entries of the dictionary, in the units of the data; ``f1`` where it is known
    which features are in a row, and ``absorption`` where they have parents.

    An entry is what a unit writes with a code of 1.
    """
    rows = some(splits.test, MOST, hashed(splits.seed, "recovery"))
    if rows.truth is None:
        raise BadInput("the facet recovery needs the features that made the rows; got none: give them or leave it out")
    features, present, parents = rows.truth
    codes = contender.encode_scaled(rows.x)
    entries = np.concatenate([*pieces(contender, codes.shape[1])]).reshape(-1, *rows.x.shape[1:])
    if splits.layout is not None:
        entries = splits.layout.invert(entries) - splits.layout.invert(np.zeros_like(entries[:1]))
    entries = entries.reshape(len(entries), -1)
    if not (np.isfinite(entries).all() and np.isfinite(codes).all()):
        return dict.fromkeys(RECOVERY.metrics[:2], np.nan)
    found = {"mcc": mean_correlation(entries, features), "uniqueness": uniqueness(entries, features)}
    if present is not None:
        found["f1"] = detection(codes, present, entries, features).f1
        if parents is not None:
            found["absorption"] = absorption(codes, present, entries, features, parents)
    return known(found)


RECOVERY = Facet(
    name="recovery",
    title=Said("Recovery", "特征还原"),
    question=Said("Does the dictionary have the features that made the rows?", "字典是否找回了生成数据的特征？"),
    purposes={"interpret": ALSO},
    wanted=Said("For units that stand for the features that made the rows", "需要与生成数据的特征一一对应的单元"),
    primary="mcc",
    view="all",
    labels=False,
    truth=True,
    sees=SMALLEST_ERROR,
    criterion=validation_error,
    measure=measure,
    metrics=("mcc", "uniqueness", "f1", "absorption", "mse"),
    rivals={RANDOM: random_dictionary(measure)},
    only={RANDOM: "dictionaries"},
    kin={RANDOM: written},
)
