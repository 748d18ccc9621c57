"""Models to be examined: recipes trained on small real sets, once for each set of arguments."""

import functools

import numpy as np
from sklearn.datasets import load_digits, load_iris, load_wine

from isthmus.doctor import diagnose
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

SETS = {"digits": load_digits, "wine": load_wine, "iris": load_iris}


@functools.cache
def trained(recipe, data="wine", rows=None, scale="auto", **plan):
    """A model with its scaled training and validation rows; ``rows`` takes only so many of the data."""
    x = np.random.default_rng(0).permutation(SETS[data]().data)[:rows]
    train, valid = x[: len(x) * 3 // 4], x[len(x) * 3 // 4 :]
    plan = Plan(**{"steps": 600, "patience": 10, **plan})
    fitted = fit(recipe, train, valid=valid, plan=plan, scale=scale)
    return fitted, fitted.layout.apply(train), fitted.layout.apply(valid)


def found(recipe, data="wine", **options):
    """Findings by name."""
    return {finding.name: finding for finding in diagnose(*trained(recipe, data, **options))}
