"""Study folders of invented numbers in the format of the store, with every kind of end; and the page as parsed."""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from isthmus.families import named
from isthmus.report import html
from isthmus.study.design import Design
from isthmus.study.record import Choice, Config, JobName, Line, Record
from isthmus.study.store import Store
from isthmus.train.plan import Plan

FAMILIES = ("plain", "denoising", "l1", "kl", "contractive", "topk", "vae", "vq", "pca")
FACETS = ("reconstruction", "sparsity", "features", "anomaly", "cost")
LEVEL = {
    "plain": 1.0,
    "denoising": 1.05,
    "l1": 1.3,
    "kl": 1.35,
    "contractive": 1.02,
    "topk": 1.1,
    "vae": 1.6,
    "vq": 2.1,
}
SPARSE = {"l1": 0.4, "kl": 0.5, "topk": 0.2, "vq": 0.05}


def make(
    folder: Path,
    *,
    name: str = "digits",
    shape: Sequence[int] = (8, 8),
    classes: Sequence[str] = tuple("0123456789"),
    families: Sequence[str] = FAMILIES,
    facets: Sequence[str] = FACETS,
    skipped: Mapping[str, str] | None = None,
    replicates: int = 5,
    finished: int | None = None,
    endings: Mapping[tuple[str, int], tuple[str, str]] | None = None,
    command: str = "isthmus compare digits",
    source: str = "digits",
    aside: str = "2.13.0",
    levels: Mapping[str, float] | None = None,
    curves: Callable[[str, str, int], dict[str, Line]] = lambda facet, name, replicate: {},
    seed: int = 0,
    rivals: Sequence[str] | None = None,
) -> Path:
    """Write a study folder; ``finished`` stops after that many runs, ``endings`` maps (name, replicate) to a status.

    ``curves`` says what (facet, contender, replicate) measured along an axis.
    """
    rng = np.random.default_rng(seed)
    configs = {
        family: [
            {
                "recipe": _recipe(family).to_json() | {"latents": 16 + i},
                "learning_rate": None if family == "pca" else 1e-3 * (i + 1),
            }
            for i in range(1 if family == "pca" else 3)
        ]
        for family in families
    }
    data = {"name": name, "digest": "ab" * 32, "rows": 1797, "shape": list(shape), "images": len(shape) > 1}
    data |= {"columns": [], "factors": []}
    design = Design(
        data=data | {"classes": list(classes), "class_rows": [100] * len(classes), "anomaly": None},
        families=configs,
        facets=list(facets),
        skipped=dict(skipped or {}),
        replicates=replicates,
        configs=3,
        plan=Plan(steps=2000, batch=128, learning_rate=0.001, schedule="plateau").to_json(),
        latents=16,
        hidden=[64],
        seed=seed,
        rivals=None if rivals is None else list(rivals),
    )
    store = Store(folder)
    store.create(design.to_json(), {"command": command, "source": source})
    luck = rng.normal(size=(replicates,))
    for job in design.jobs()[:finished]:
        status, message = (endings or {}).get((job.name.name, job.name.replicate), ("ok", ""))
        record = _record(job, status, message, luck[job.name.replicate], rng, levels or LEVEL, aside, curves)
        shown = status == "ok" and job.name.kind == "family" and job.name.replicate == 0
        store.commit(record, (lambda place: _exhibit(place, shape, len(classes), rng)) if shown else None)
    return folder


def _recipe(family: str) -> Any:
    try:
        return named(family)
    except ValueError:
        return named("plain")


def _record(
    job: Any,
    status: str,
    message: str,
    luck: float,
    rng: np.random.Generator,
    levels: Mapping[str, float],
    aside: str,
    curves: Callable[[str, str, int], dict[str, Line]],
) -> Record:
    name: JobName = job.name
    common = {"id": job.id, "job": name, "status": status, "message": message, "seconds": 3.2}
    if status == "failed":
        return Record(**common)
    level = levels.get(name.name, 1.15)
    bad = status == "diverged"
    asked = job.body["facets"] if name.kind == "family" else [name.facet]
    facets = {
        facet: Choice(
            config=None if name.kind == "rival" else facet_index % len(job.body["configs"]),
            metrics={k: None if bad else v for k, v in _metrics(facet, name.name, level, luck, rng).items()},
            curves={} if bad else curves(facet, name.name, name.replicate),
        )
        for facet_index, facet in enumerate(asked)
    }
    configs = [_config(c, level, name.name, i, bad, rng, asked) for i, c in enumerate(job.body.get("configs", ()))]
    for choice in facets.values():
        if choice.config is not None and not bad:
            own = np.random.default_rng(name.replicate)
            costs = _metrics("cost", name.name, level, luck, own) | {"parameters": 9000.0 * (1 + choice.config)}
            configs[choice.config] = configs[choice.config].model_copy(update={"cost": costs})
    versions = {"isthmus": "0.1.0", "torch": aside}
    sizes = {"train": 1078, "valid": 359, "test": 360, "duplicates": 3, "constant": 2}
    return Record(**common, facets=facets, configs=configs, sizes=sizes, versions=versions)


def _metrics(facet: str, name: str, level: float, luck: float, rng: np.random.Generator) -> dict[str, float]:
    noise = lambda size: float(size * rng.normal())  # noqa: E731
    mse = 0.012 * level + 0.0005 * luck + noise(0.0002)
    accuracy = 0.97 - 0.03 * (level - 1) + 0.004 * luck + noise(0.003)
    active = 16 * SPARSE.get(name, 1.0)
    return {
        "reconstruction": {"mse": mse, "explained_variance": 1 - 9 * mse},
        "sparsity": {"l0": active, "hoyer": 1 - active / 20, "dead": 0.0, "always_on": 0.9},
        "features": {
            "probe_balanced": accuracy,
            "probe_accuracy": accuracy,
            "probe_accuracy_few": accuracy - 0.1,
            "knn_accuracy": accuracy + 0.01,
            "knn_accuracy_few": accuracy - 0.12,
        },
        "anomaly": {"auroc": accuracy - 0.05, "average_precision": accuracy - 0.3},
        "cost": {
            "parameters": 9000.0,
            "flops_per_row": 18000.0,
            "train_seconds": level * 2 + abs(noise(0.1)),
            "rows_per_second": 250000.0,
            "artefact_bytes": 36500.0,
        },
    }[facet]


def _config(
    config: Mapping[str, Any],
    level: float,
    name: str,
    i: int,
    bad: bool,
    rng: np.random.Generator,
    asked: Sequence[str],
) -> Config:
    closed = name == "pca"
    steps = [] if closed else list(range(0, 1501, 25))
    decay = [0.03 * level + 0.3 * float(np.exp(-s / (250 + 50 * i))) for s in steps]
    status = "closed form" if closed else "diverged" if bad else "cut" if name == "vq" and i == 0 else "converged"
    return Config(
        recipe=dict(config["recipe"]),
        learning_rate=config["learning_rate"],
        status=status,
        steps=0 if closed else 1500,
        best_step=0 if closed else 1400,
        seconds=1.2,
        valid=None if bad else 0.03 * level,
        criteria={facet: 0.013 * level + 0.002 * i + abs(float(rng.normal())) * 0.0005 for facet in asked},
        history={"step": [float(s) for s in steps], "train": [0.95 * v for v in decay], "valid": decay},
    )


def _exhibit(place: Path, shape: Sequence[int], classes: int, rng: np.random.Generator) -> None:
    grid = np.add.outer(np.arange(shape[0]), np.arange(shape[1] if len(shape) > 1 else 1))
    rows = np.stack([np.sin(grid * (k + 2) / 5) * 0.5 + 0.5 for k in range(8)]).reshape(
        8, *shape[:2] if len(shape) > 1 else shape
    )
    rows = np.broadcast_to(rows[..., None], (8, *shape)) if len(shape) == 3 else rows
    labels = rng.integers(0, max(classes, 1), 200)
    angle = 2 * np.pi * labels / max(classes, 1)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 3 + rng.normal(size=(200, 2)) * 0.6
    arrays = {
        "rows": rows,
        "reconstructions": rows + 0.08 * rng.normal(size=rows.shape),
        "map": points,
    }
    if len(shape) > 1:
        arrays["filters"] = rng.normal(size=(16, *shape))
    if classes:
        arrays["map_label"] = labels
    save_file(
        {k: np.ascontiguousarray(v.astype(np.int64 if k == "map_label" else np.float32)) for k, v in arrays.items()},
        place / "exhibits.safetensors",
    )


SILENT = {"script", "style", "title"}


OPTION = re.compile(r'<span class="option">(--[a-z-]+)</span>')


class Reading(HTMLParser):
    """Collects every element in order, and text by where it stands."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.words: list[str] = []
        self.comments: list[str] = []
        self._inside = ""
        self.feed(OPTION.sub(r"\1", text))  # an option is part of its sentence
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in SILENT:
            self._inside = tag
        if tag == "script":
            self.scripts.append("")
        if tag == "style":
            self.styles.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "style":
            self.styles[-1] += data
        else:
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, with spaces in one row."""
        return " ".join(" ".join(self.words).split())

    @property
    def skeleton(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements with the names of their attributes: what injection would change.

        Without the texts in drawings: a longer name is wrapped into more of them.
        """
        return [(tag, tuple(attributes)) for tag, attributes in self.elements if tag != "text"]

    @property
    def drawings(self) -> list[dict[str, str | None]]:
        """What the drawings are called, in their order."""
        return [a for tag, a in self.elements if tag == "svg" and a.get("class") == "drawing"]

    def ids(self) -> set[str]:
        """All ids."""
        return {str(a["id"]) for _, a in self.elements if "id" in a}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every figure that is drawn while a test runs, by what it is called."""
    found: dict[str, Any] = {}
    for name in ("capacity", "illustrations", "facet_curves", "page"):
        module = importlib.import_module(f"isthmus.report.{name}")

        def keep(figure: Any, alt: str, *wide: int, real: Any = module.svg) -> Any:
            found[alt] = figure
            return real(figure, alt, *wide)

        monkeypatch.setattr(module, "svg", keep)
    return found


@pytest.fixture(scope="session", name="make")
def _make() -> Callable[..., Path]:
    """:func:`make`: writes a study folder."""
    return make


@pytest.fixture(scope="session")
def read() -> Callable[..., Reading]:
    """Renders a study and parses the page."""

    def render_and_parse(study: Any, lang: str = "en") -> Reading:
        return Reading(html.render(study, lang))

    return render_and_parse


@pytest.fixture(scope="session")
def reading() -> Callable[[str], Reading]:
    """Parses a page."""
    return Reading
