"""What contenders chose to be made of, where a study lets them: a line for each, with the price of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.answers.words import Words

PRICES = ("parameters", "train_seconds", "artefact_bytes")


def lines(records: Iterable[Mapping[str, Any]], shown: Mapping[str, str], t: Words) -> dict[str, str]:
    """Contender -> which capacities it chose for which facets, how often, and what they cost (medians).

    Contenders that keep the capacity of the study everywhere have no line.

    Parameters
    ----------
    records : iterable of mapping
        As plain data.
    shown : mapping of str to str
        What contenders are called.
    t : Words
    """
    runs: dict[tuple[str, str], int] = {}
    chosen: dict[str, dict[str, dict[str, list[Mapping[str, Any]]]]] = {}
    for record in records:
        name = record["job"]["name"]
        for facet, choice in record["facets"].items():
            runs[name, facet] = runs.get((name, facet), 0) + 1
            config = None if choice.get("config") is None else record["configs"][choice["config"]]
            if config is not None and config.get("capacity"):
                chosen.setdefault(name, {}).setdefault(config["capacity"], {}).setdefault(facet, []).append(config)
    return {
        name: t(
            "capacity.chose",
            name=shown[name],
            what=t("capacity.and").join(_one(name, capacity, facets, runs, t) for capacity, facets in found.items()),
        )
        for name, found in chosen.items()
    }


def _one(
    name: str,
    capacity: str,
    facets: Mapping[str, list[Mapping[str, Any]]],
    runs: Mapping[tuple[str, str], int],
    t: Words,
) -> str:
    """One capacity: where it was chosen, and its price."""
    where = t("page.comma").join(
        t("capacity.times", facet=t.name("facets", facet), n=len(some), total=runs[name, facet])
        for facet, some in facets.items()
    )
    configs = [config for some in facets.values() for config in some]
    costs = [[value for one in configs if (value := one["cost"].get(price)) is not None] for price in PRICES]
    parameters, seconds, size = (statistics.median(some) if some else 0.0 for some in costs)
    recipe = configs[0]["recipe"]
    return t(
        "capacity.one",
        capacity=t.name("capacities", capacity, capacity),
        units=f"{recipe['latents']:,}",
        hidden=", ".join(map(str, recipe["hidden"])) or t("page.none"),
        where=where,
        parameters=f"{parameters:,.0f}",
        seconds=f"{seconds:.2g}",
        size=f"{size / 1000:,.0f}",
    )
