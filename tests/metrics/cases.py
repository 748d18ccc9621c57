"""How to draw the arguments of every metric, and what it should not see: one case for each name in METRICS."""

import math
from typing import NamedTuple

import numpy as np
import torch

from isthmus.families.vae import VAE
from isthmus.metrics import METRICS
from isthmus.metrics.fidelity import explained_variance
from isthmus.metrics.jacobian import jacobian_norm
from isthmus.metrics.probes import knn_accuracy, probe_accuracy, probe_balanced, with_few
from isthmus.testing import made

READINGS = {
    **dict.fromkeys(("constant_scorer", "untrained_scorer", "copier", "ceiling", "with_noise", "from_prior"), "flag"),
    **dict.fromkeys(("parameters", "flops_per_row", "step_flops", "train_flops"), "count"),
    **dict.fromkeys(("encode_bytes", "train_bytes", "artefact_bytes", "bits_with_model"), "count"),
    **dict.fromkeys(("train_seconds", "rows_per_second"), "clock"),
    **dict.fromkeys(
        ("spread_reconstruction", "spread_sparsity", "spread_features", "spread_robustness"), "deviation of scores"
    ),
}
"""What is read off a model, a file, a clock or other metrics: there are no arrays to draw."""


def plain(random, n=24, d=3):
    return random.normal(size=(n, d)) * np.exp(random.normal(size=d))


def wild(random, n=24, d=3):
    """Rows as nobody wants them: copies, ties, far away, huge, tiny, still, empty of anything but zeros."""
    x, kind = plain(random, n, d), random.integers(8)
    if kind == 0:
        x = x[random.integers(0, 3, n)]
    if kind == 1:
        x = x.round()
    if kind == 2:
        x = x + 1e6
    if kind in {3, 4}:
        x = x * 10.0 ** (36 if kind == 3 else -36)
    if kind == 5:
        x[:, 0] = 0.1
    if kind == 6:
        x = np.full_like(x, random.choice([0.0, 0.1, 1e6]))
    return x.astype(np.float32) if random.random() < 0.5 else x


# --- arguments, of `rows`, which is plain or wild ---


def rebuilt(random, rows):
    x = rows(random)
    x_hat = [x, np.broadcast_to(x.mean(axis=0), x.shape), rows(random), x + 0.3 * rows(random)][random.integers(4)]
    return x, x_hat


def counted(random, rows):
    """Counts, shares of their totals, and usual shares; few and many, and columns in which nothing is counted."""
    x = rows(random)
    c = random.poisson(
        np.exp(random.uniform(-2, 6)) * (random.random(x.shape[1]) < 0.8 + 0.2 * (rows is plain)), x.shape
    )
    return c.astype(x.dtype), random.dirichlet(np.ones(x.shape[1]), len(x)), random.dirichlet(np.ones(x.shape[1]))


def codes(random, rows):
    return (rows(random) * (random.random((24, 3)) < random.choice([0, 0.6, 1], 3)),)


def labelled(random, rows):
    y = random.integers(0, 3, 48)
    return rows(random, 24) + y[:24, None], y[:24], rows(random, 24) + y[24:, None], y[24:]


def partitions(random, rows):
    return random.integers(0, random.integers(1, 6), 24), random.integers(0, random.integers(1, 6), 24)


def scored(random, rows):
    return np.append(random.integers(0, 2, 22), [0, 1]), rows(random)[:, 0]


def points(random, rows):
    return np.append(random.uniform(1e-3, 1, 6), 0.01 if rows is plain else 0.2), random.uniform(0, 9, 7)


def pair(random, rows):
    return rows(random), rows(random)


def triple(random, rows):
    return rows(random), rows(random), rows(random)


def slope(random, rows):
    return rows(random, 4), rows(random)


def modelled(random, rows):
    x = torch.from_numpy(random.normal(size=(24, 3))).float()
    return made(VAE(latents=2), x, "gaussian", seed=int(random.integers(1000))), x


def factors(random, rows):
    v = random.integers(0, 4, (60, 2)).astype(float)
    return v @ random.normal(size=(2, 3)) + rows(random, 60), v


def dictionaries(random, rows):
    features = plain(random, 6, 4)
    return np.concatenate([features[:4] + 0.3 * plain(random, 4, 4), plain(random, 3, 4)]), features


def detectors(random):
    """Codes, which features are there, entries, features, and the parent of each."""
    features = plain(random, 6, 8)
    present = random.random((30, 6)) < 0.4
    present[0, 4] = True
    present[:, 3] |= present[:, 4]
    codes = np.where(random.random((30, 6)) < 0.8, present, 0.0)
    codes[0] = 1
    return codes, present, features + 0.01 * plain(random, 6, 8), features, np.array([-1, -1, -1, -1, 3, -1])


# --- changes that a metric should not see: of the arguments at some places, all in the same way ---


def on(change, *places):
    def changed(random, given):
        do = change(random, given[places[0]])
        return tuple(do(one) if i in places else one for i, one in enumerate(given))

    return changed


def every(*changes):
    def changed(random, given):
        for change in changes:
            given = change(random, given)
        return given

    return changed


def order(random, first):
    shuffled = random.permutation(len(first))
    return lambda x: x[shuffled]


def columns(random, first):
    shuffled = random.permutation(first.shape[1])
    return lambda x: x[:, shuffled]


def place(random, first):
    step = random.normal(size=first.shape[1])
    return lambda x: x + step


def aside(random, given):
    """The columns of all three in another order."""
    shuffled = random.permutation(len(given[2]))
    return given[0][:, shuffled], given[1][:, shuffled], given[2][shuffled]


def scale(random, _):
    factor = math.exp(random.uniform(-3, 3))
    return lambda x: factor * x


def units(random, first):
    """Of each column its own, and its sign."""
    factor = np.exp(random.uniform(-1, 1, first.shape[1])) * random.choice([-1, 1], first.shape[1])
    return lambda x: factor * x


def signs(random, first):
    signs = random.choice([-1, 1], first.shape)
    return lambda x: signs * x


def turn(random, first):
    axes = np.linalg.qr(random.normal(size=(first.shape[1],) * 2)).Q
    return lambda x: x @ axes


def names(random, _):
    new = random.permutation(10)
    return lambda x: new[x]


def warp(_, first):
    return lambda x: np.arctan(x / np.abs(first).max()) ** 3


def swap(_, given):
    return given[::-1]


class Case(NamedTuple):
    draw: object
    same: dict
    function: object = None
    """Where the table's needs more than arrays, or has none."""
    within: float = 1e-6


def about_mean(x, x_hat):
    return explained_variance(x, x_hat, np.asarray(x, dtype=np.float64).mean(axis=0))


def accuracy(function):
    same = {
        "order": every(on(order, 0, 1), on(order, 2, 3)),
        "names": on(names, 1, 3),
        "place": on(place, 0, 2),
        "scale": on(scale, 0, 2),
    }
    own = {"turn": on(turn, 0, 2)} if function is knn_accuracy else {"units": on(units, 0, 2)}
    # A solver stops when it is near enough: one row of 24 may lie between.
    return Case(labelled, same | own, within=1e-6 if function is knn_accuracy else 1 / 24 + 1e-6)


def few(function):
    whole = accuracy(function)
    same = {"order": on(order, 2, 3)} | {word: whole.same[word] for word in whole.same if word != "order"}
    return Case(labelled, same, lambda *given: with_few(function, *given, seed=3, rows=4), whole.within)


GEOMETRY = {"place": on(place, 0, 1), "scale": on(scale, 0, 1), "turn": on(turn, 0, 1)}
TOGETHER = {"order": on(order, 0, 1)}
APART = {"order": every(on(order, 0), on(order, 1))}
LIKENESS = {
    **TOGETHER,
    "columns": every(on(columns, 0), on(columns, 1)),
    "place": every(on(place, 0), on(place, 1)),
    "scale": every(on(scale, 0), on(scale, 1)),
    "swap": swap,
}
EXPLAINED = Case(rebuilt, TOGETHER | GEOMETRY, about_mean)
SPARSE = {"order": on(order, 0), "columns": on(columns, 0), "scale": on(scale, 0), "signs": on(signs, 0)}
RANKED = Case(scored, TOGETHER | {"warp": on(warp, 1)})

CASES = {
    "deviance_explained": Case(counted, {"order": on(order, 0, 1), "columns": aside}),
    "mse": Case(rebuilt, TOGETHER | {word: GEOMETRY[word] for word in ("place", "turn")}),
    **{name: EXPLAINED for name in METRICS if name.startswith("explained_")},
    **dict.fromkeys(("l0", "hoyer", "dead", "always_on"), Case(codes, SPARSE)),
    **dict.fromkeys(
        ("nested", "nested_by_use"),
        Case(lambda random, rows: (2.0 ** np.arange(5), random.random(5)), {"scale": on(scale, 0)}),
    ),
    "probe_balanced": accuracy(probe_balanced),
    "probe_accuracy": accuracy(probe_accuracy),
    "probe_accuracy_few": few(probe_accuracy),
    "knn_accuracy": accuracy(knn_accuracy),
    "knn_accuracy_few": few(knn_accuracy),
    "commonest_class": Case(partitions, APART),
    **dict.fromkeys(
        ("cluster_ari", "cluster_nmi"),
        Case(partitions, TOGETHER | {"names": every(on(names, 0), on(names, 1)), "swap": swap}),
    ),
    "mig": Case(factors, TOGETHER | {"columns": every(on(columns, 0), on(columns, 1)), "scale": on(scale, 0)}),
    "sap": Case(factors, TOGETHER | {"columns": every(on(columns, 0), on(columns, 1)), "units": on(units, 0)}),
    **dict.fromkeys(
        ("dci_disentanglement", "dci_completeness", "dci_informativeness"),
        Case(factors, {}, lambda z, v: METRICS["dci_completeness"].function(z[:40], v[:40], z[40:], v[40:], seed=1)),
    ),
    **dict.fromkeys(
        ("mcc", "uniqueness"),
        Case(
            dictionaries,
            {"order": every(on(order, 0), on(order, 1)), "scale": on(scale, 0), "turn": on(turn, 0, 1)},
        ),
    ),
    "f1": Case(
        lambda random, rows: detectors(random)[:4],
        {"order": on(order, 0, 1)},
        lambda *given: METRICS["f1"].function(*given).f1,
    ),
    "absorption": Case(lambda random, rows: detectors(random), {"order": on(order, 0, 1)}),
    "intrinsic_dimension": Case(
        lambda random, rows: (rows(random),),
        {"order": on(order, 0), "place": on(place, 0), "scale": on(scale, 0), "turn": on(turn, 0)},
    ),
    **{name: RANKED for name in METRICS if name.startswith("auroc")},
    "average_precision": RANKED,
    **dict.fromkeys(
        ("vus_pr", "vus_pr_flat"),
        Case(scored, {"warp": on(warp, 1)}, lambda label, score: METRICS["vus_pr"].function(label, score, 4)),
    ),
    **dict.fromkeys(("bits_per_element", "bits_mean"), Case(points, TOGETHER)),
    "bits_back": Case(modelled, {}, lambda model, x: METRICS["bits_back"].function(model, x.numpy(), 0.1)),
    **{name: Case(pair, GEOMETRY) for name in METRICS if name.startswith("c2st")},
    **{
        name: Case(lambda random, rows: (np.append(random.random(6), np.nan),), {"order": on(order, 0)})
        for name in METRICS
        if name.startswith("imputation")
    },
    "boosted": Case(pair, {}, lambda a, b: METRICS["boosted"].function(a, b, np.zeros(3, bool))),
    "tstr": Case(labelled, {}, lambda *given: METRICS["tstr"].function(*given, np.zeros(3, bool))),
    **dict.fromkeys(("mmd2", "precision", "recall", "density", "coverage"), Case(pair, APART | GEOMETRY)),
    "frechet": Case(pair, APART | {word: GEOMETRY[word] for word in ("place", "turn")} | {"swap": swap}),
    **dict.fromkeys(
        ("copied", "nearness"),
        Case(
            triple,
            {
                "order": every(*(on(order, i) for i in range(3))),
                **{word: on(do, 0, 1, 2) for word, do in (("place", place), ("scale", scale), ("turn", turn))},
            },
        ),
    ),
    **dict.fromkeys(
        ("elbo", "iwae_bound"),
        Case(modelled, {}, lambda model, x: METRICS["elbo"].function(model, x, 2)),
    ),
    "code_movement": Case(pair, TOGETHER | GEOMETRY),
    "jacobian_norm": Case(
        slope,
        {"order": on(order, 1), "turn": on(turn, 0, 1)},
        lambda w, x: jacobian_norm(lambda r: torch.sin(r @ torch.tensor(w).double().T), torch.tensor(x).double()),
    ),
    "cka": Case(pair, LIKENESS | {"turn": every(on(turn, 0), on(turn, 1))}),
    "subspace_overlap": Case(
        pair, LIKENESS | {"turn": every(on(turn, 0), on(turn, 1)), "units": every(on(units, 0), on(units, 1))}
    ),
    "matched_units": Case(pair, LIKENESS | {"units": every(on(units, 0), on(units, 1))}),
    "matched_atoms": Case(
        pair, APART | {"scale": every(on(scale, 0), on(scale, 1)), "turn": on(turn, 0, 1), "swap": swap}
    ),
    "rank_agreement": Case(
        lambda random, rows: (rows(random)[:, 0], rows(random)[:, 0]),
        TOGETHER | {"warp": every(on(warp, 0), on(warp, 1)), "swap": swap},
    ),
}
"""By name in METRICS: how to draw its arguments, and what it does not see."""


SHARED = {"explained", "auroc", "c2st"}
NAMES = ["explained_variance", *(name for name in CASES if name.split("_")[0] not in SHARED)]
NAMES += ["auroc", "c2st"]
"""Of different definitions: the others are one of these of other rows."""


def number(name, given):
    found = (CASES[name].function or METRICS[name].function)(*given)
    if isinstance(found, dict):
        found = found[name]
    if name.startswith("dci_"):
        found = getattr(found, name[4:])
    return float(np.mean(np.asarray(found)))
