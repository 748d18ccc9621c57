"""What facets say of a trained model on rows that training did not see, within a time limit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from isthmus.facets import FACETS
from isthmus.facets.facet import Facet, Rows, Splits, numbers
from isthmus.study.estimate import Piece, expected, probe, shares_of, shrunk
from isthmus.study.perform import contender

if TYPE_CHECKING:
    from isthmus.data.dataset import Dataset
    from isthmus.data.split import Split
    from isthmus.train.fitted import Fitted

TRIED = 2
"""Shares of the rows on which a facet is tried before it is asked of all."""


def measure(
    models: Mapping[str, Fitted],
    rows: Dataset,
    splits: Split,
    seed: int,
    limit: float,
    tell: Callable[[float], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Metrics of facets that look at a model trained on all rows, on the test rows; and facets that time left out.

    The first facet is always measured. The others are first asked on shares of the rows, where there are many, and then
    of all, what takes least first: what promises to take longer than what is left of ``limit`` seconds is left out.
    """
    seen = _seen(next(iter(models.values())), rows, splits, seed)
    asked = _asked(rows)
    found: dict[tuple[str, str], dict[str, float]] = {}

    def piece(facet: Facet, name: str) -> Piece:
        def do(share: float) -> None:
            one = models[name]
            if share < 1.0:
                one = replace(one, plan=replace(one.plan, steps=1, check=1))
            told = numbers(facet.measure(contender(one), shrunk(seen, share)))
            if share == 1.0:
                found[facet.name, name] = told

        again = facet.trains * models[name].outcome.seconds
        return Piece(facet.name, 1.0, do, extra=again)

    pieces = [piece(facet, name) for facet in asked for name in models]
    began, always = clock(), len(models)
    probe(pieces[:always], math.inf, clock, shares=(1.0,))
    for shares in ([share for share in shares_of(len(rows.x)) if share < 1.0][:TRIED], (1.0,)):
        over = clock() - began
        probe(pieces, limit - over, clock, tell and (lambda more, over=over: tell(over + more)), shares)
        pieces.sort(key=lambda one: expected(one, 1.0, pieces) + one.extra)
    whole = [f.name for f in asked if all((f.name, name) in found for name in models)]
    scores = {name: {k: v for f in whole for k, v in found[f, name].items()} for name in models}
    return scores, [f.name for f in asked if f.name not in whole]


def _seen(first: Fitted, rows: Dataset, splits: Split, seed: int) -> Splits:
    """The parts of the rows as the first model takes them; weights are told of the test rows alone."""
    every = Rows(rows.x, rows.y, rows.factors, rows.metadata.weight)
    views = [one._replace(x=first.layout.apply(one.x)) for one in map(every.take, splits)]
    known, held = (one._replace(weight=None) for one in views[:2])  # these stand as often as they count
    return Splits(known, held, views[2], seed=seed, latents=first.recipe.latents, layout=first.layout)


def _asked(rows: Dataset) -> list[Facet]:
    """Facets that need nothing but rows like these."""
    return [
        f
        for f in FACETS.values()
        if f.view == "all"
        and (not f.labels or len(rows.classes) > 1)
        and (not f.factors or rows.factors is not None)
        and not f.truth
    ]
