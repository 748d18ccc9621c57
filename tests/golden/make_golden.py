"""Golden values: what small trainings and one small study gave, so that a change of structure can be told from one of
numbers.

    python tests/golden/make_golden.py            # write every file again
    python tests/golden/make_golden.py kl iwae    # these only
    python tests/golden/make_golden.py --bits     # print digests of exact bytes and write nothing

Processors round differently, so the files are compared with a tolerance (``tests/test_golden.py``). Two checkouts on
one machine can be compared to the last bit: run ``--bits`` in both and compare what they print. Write a file again only
where numbers change on purpose, and say so in the commit and in the changelog.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import isthmus
from isthmus.families import named
from isthmus.train.fitted import Fitted

HERE = Path(__file__).parent
STEPS, CHECK, SHOWN = 30, 5, 4
COMMON = {"latents": 6, "hidden": (8,), "activation": "silu"}
"""Without corners, the rounding of a sum moves a training by little more than itself."""
RECIPES = {
    "plain": {},
    "denoising": {},
    "l1": {},
    "kl": {},
    "contractive": {},
    "vae": {},
    "vq": {"codes": 6},
    "topk": {"k": 2},
    "ksparse": {"k": 2, "anneal": 0},
    "batchtopk": {"k": 2},
    "betatc": {},
    "wae": {},
    "iwae": {"samples": 3},
    "gated": {},
    "masked": {},
    "rae": {},
    "infovae": {},
    "fsq": {"levels": (5, 4, 3)},
    "rvq": {"codes": 6},
    "sae": {},
    "jumprelu": {},
    "pca": {},
}
STUDY = {
    "families": "plain,topk,vae",
    "facets": "reconstruction,features,anomaly,generation,sparsity",
    "replicates": 3,
    "configs": 2,
    "steps": 240,
    "jobs": 1,
}


def rows() -> np.ndarray:
    """Ninety rows of nine columns near a bent surface of two dimensions, float64 (90, 9)."""
    rng = np.random.default_rng(11)
    hidden = rng.normal(size=(90, 2))
    smooth = np.concatenate([hidden, np.sin(hidden), hidden[:, :1] * hidden[:, 1:]], 1)
    return smooth @ rng.normal(size=(5, 9)) + 0.1 * rng.normal(size=(90, 9))


def trained(name: str) -> Fitted:
    """A family trained for :data:`STEPS` steps by the engine, on the first 70 rows, chosen by the last 20."""
    x = rows()
    fields = {"latents": 6} if name == "pca" else COMMON
    recipe = named(name).set_params(**fields, **RECIPES[name])
    plan = isthmus.Plan(steps=STEPS, check=CHECK, batch=16, learning_rate=1e-2, schedule="constant", patience=STEPS)
    return isthmus.fit(recipe, x[:70], valid=x[70:], plan=plan, seed=3, scale="standard")


def family(name: str) -> dict:
    """The history of a training, and the codes and reconstructions of a few rows it has not seen."""
    model = trained(name)
    unseen = rows()[70 : 70 + SHOWN]
    return {
        "status": model.outcome.status,
        "history": {key: np.asarray(values, np.float64) for key, values in model.outcome.history.items()},
        "codes": model.encode(unseen),
        "reconstructions": model.reconstruct(unseen),
    }


def study() -> dict:
    """The verdict of a small study of the wine rows, facet by facet."""
    with tempfile.TemporaryDirectory() as folder:
        verdicts = isthmus.compare("wine", out=Path(folder) / "study", **STUDY).verdict()
    return {
        facet: {
            "metric": verdict.metric,
            "kind": verdict.kind,
            "outcome": verdict.outcome,
            "leader": verdict.leader,
            "equal": sorted(verdict.equal),
            "undecided": sorted(verdict.undecided),
            "worse": sorted(verdict.worse),
            "excluded": sorted(verdict.excluded),
            "means": dict(sorted(verdict.means.items())),
        }
        for facet, verdict in verdicts.items()
    }


def found(name: str) -> dict:
    """What the file of that name holds."""
    return study() if name == "study" else family(name)


def plain(value: object) -> object:
    """Arrays and numbers as JSON holds them: nine digits tell all float32 apart, and what is no number is null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.9g}") if np.isfinite(value) else None
    return value


def digest(value: object) -> str:
    """SHA-256 of the exact bytes of all numbers, and of the names and words beside them."""
    sha = hashlib.sha256()

    def add(item: object) -> None:
        if isinstance(item, dict):
            for key in sorted(item):
                sha.update(repr(key).encode())
                add(item[key])
        elif isinstance(item, np.ndarray):
            sha.update(repr((item.dtype.str, item.shape)).encode() + np.ascontiguousarray(item).tobytes())
        elif isinstance(item, list | tuple):
            for part in item:
                add(part)
        else:
            sha.update((item.hex() if isinstance(item, float) else repr(item)).encode())

    add(value)
    return sha.hexdigest()


def main(arguments: list[str]) -> None:
    """Write the files that are named, or all; with ``--bits`` print digests instead."""
    torch.set_num_threads(1)
    bits = "--bits" in arguments
    names = [a for a in arguments if a != "--bits"] or [*RECIPES, "study"]
    for name in names:
        value = found(name)
        if bits:
            print(f"{digest(value)}  {name}", flush=True)
        else:
            (HERE / f"{name}.json").write_text(json.dumps(plain(value), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
