"""A study read from its folder: what was done, and what follows from it in numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import narwhals as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.data.wording import meant, number_of
from isthmus.errors import BadInput, MissingExtra
from isthmus.evidence.cut import Cut, cut_short
from isthmus.evidence.exclusion import spoils
from isthmus.evidence.floor import above
from isthmus.evidence.proscons import ProsCons, proscons
from isthmus.evidence.purposes import PRICES, PurposeVerdict, answered, deciding
from isthmus.evidence.stats import comparable
from isthmus.evidence.verdict import UNBEATEN, FacetVerdict, judge
from isthmus.facets import FACETS
from isthmus.facets.facet import RIVAL_FAMILY
from isthmus.facets.normal import overlap
from isthmus.metrics import METRICS
from isthmus.metrics.metric import Metric
from isthmus.ship import artefact
from isthmus.study import document
from isthmus.study.capacity import Sweep
from isthmus.study.design import Design
from isthmus.study.profile import Profile
from isthmus.study.racing import counted, doubts, raced
from isthmus.study.record import Record
from isthmus.study.store import Store
from isthmus.train.fitted import Fitted
from isthmus.train.plan import Plan

FRAME = ("facet", "metric", "contender", "kind", "view", "replicate", "left_out", "config", "value", "status")


class Results:
    """What a study folder holds: finished runs, and what follows from them. Nothing here changes the folder.

    Parameters
    ----------
    folder : path
        A study folder, as :func:`compare` makes it.

    Attributes
    ----------
    folder : Path
    note : mapping
        What ``study.json`` says: the design, and where the data came from, the budget, the command.
    design : Design
        What was planned, and the questions that were taken back and asked in a whole replicate at least.
    records : list of Record
        Finished runs, in the order of the jobs.
    damaged : dict of str to str
        Runs that could not be read, and why. The same command does them again.
    rounds : list of Round
        What was added: questions that a budget left out and took back, replicates of a race for contenders in doubt, or
        those that were asked for later.
    repaired : dict of str to str
        Runs that the last :func:`compare` found damaged, set aside and did again, and what was wrong with them.
    total : int
        Runs of the whole study.
    foreign : int
        Finished runs in the folder that this version would not do: another version measured otherwise.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        store = Store(self.folder)
        content = store.design()
        document.check(self.folder / "study.json", content)
        self.rounds = store.rounds()
        self.design = Design.from_json(content).asking(self.rounds)
        planned = self.design.jobs(self.rounds)
        found, damaged = store.records(members=True, jobs=planned)
        jobs = [job.id for job in planned]
        self._asks = {job.id: job.facets for job in planned}
        self.records = [found[name] for name in jobs if name in found]
        self.damaged = {name: damaged[name] for name in jobs if name in damaged}
        self.total = len(jobs)
        self.foreign = len(found.keys() - jobs)
        self.design = self.design.asking([one for one in self.rounds if not one.asked or self._whole(one.asked)])
        data = {**content["data"], "source": content.get("source", "")}
        asked = {"facets": self.design.facets, "skipped": self.design.skipped}
        self.note: Mapping[str, Any] = {**content, **asked, "data": data}
        self.repaired: dict[str, str] = {}
        self._judged: dict[tuple[str, str], FacetVerdict] = {}

    @property
    def plan(self) -> Plan:
        """How every model was trained."""
        return Plan.from_json(self.design.plan)

    @property
    def replicates(self) -> int:
        """Planned ones, and those that were added."""
        return self.design.replicates + sum(len(one.replicates) for one in self.rounds)

    @property
    def profile(self) -> Profile | None:
        """What was known of the data when the study began; None of a study of an older version, or of an ablation."""
        found = self.note.get("profile")
        if found is None:
            return None
        asked = {"facets": self.design.facets, "skipped": self.design.skipped} if self.design.later else {}
        return Profile.model_validate({**found, **asked})

    @property
    def sweep(self) -> Sweep | None:
        """The sweep of code widths that chose the study's, if one did (``latents="auto"``)."""
        found = self.note.get("sweep")
        return None if found is None else Sweep.from_json(found)

    @property
    def failed(self) -> list[Record]:
        """Runs that ended in an error; the same command tries them again."""
        return [record for record in self.records if record.status == "failed"]

    @property
    def diverged(self) -> list[Record]:
        """Runs in which no configuration trained to finite numbers."""
        return [record for record in self.records if record.status == "diverged"]

    @property
    def complete(self) -> bool:
        """Whether every run is there and none failed."""
        return len(self.records) == self.total and not self.failed

    def contenders(self, facet: str) -> list[str]:
        """Who stands in the table of a facet: the families, then its rivals."""
        return [*self.design.families, *self.design.rivals_of(facet)]

    def scores(self, facet: str, metric: str | None = None) -> dict[str, NDArray[np.float64]]:
        """Test scores of every contender of a facet, one for each replicate, NaN where there is none.

        Parameters
        ----------
        facet : str
        metric : str, optional
            By default the facet's primary metric. One of the facet *cost* says what the configurations cost that were
            chosen for this facet.

        Returns
        -------
        dict of str to array of shape (replicates,)
        """
        if facet not in self.design.facets:
            raise BadInput(f"this study has no facet {facet!r}; it has {', '.join(self.design.facets)}")
        name = metric or self.design.primary(facet)
        asked = self._asked(facet)
        table = {who: np.full(self.replicates, np.nan) for who in asked}
        for record in self.records:
            value = _value(record, facet, name)
            if value is not None and record.job.replicate in asked[record.job.name]:
                table[record.job.name][record.job.replicate] = value
        return table

    def floor(self, facet: str) -> NDArray[np.float64] | None:
        """What the metric that decides comes to without learning anything, one value for each replicate.

        None where the facet knows no such floor, or it is a rival that was left out; NaN in replicates that have not
        measured it.
        """
        known = self.design.floor(facet)
        if known is None:
            return None
        if not isinstance(known, str):
            return np.full(self.replicates, float(known))
        if known in FACETS[facet].rivals:
            return self.scores(facet).get(known)
        table = np.array(list(self.scores(facet, known).values()))
        return np.array([column[np.isfinite(column)].max(initial=-np.inf) for column in table.T])

    def _asked(self, facet: str) -> dict[str, set[int]]:
        """The replicates in which a contender takes part in a facet: up to the end of the last round it was in."""
        ends = {who: one.end for one in self.rounds for who in one.doubts.get(facet, ())}
        together = next((some for some in self.design.later if facet in some), self.design.asking(()).facets)
        whole = max(1, self._whole(together))
        return {who: set(range(ends.get(who, whole))) for who in self.contenders(facet)}

    @property
    def whole(self) -> int:
        """Replicates of what was planned at first that count: of a study with a budget those whose runs are all there,
        one at least.

        When time runs out in the midst of a replicate, who had a turn in it is not compared with who had none.
        """
        return max(1, self._whole(self.design.asking(()).facets))

    def _whole(self, facets: Sequence[str]) -> int:
        if not self.design.racing:
            return self.design.replicates
        there = {record.id for record in self.records}
        gaps = [job for job in self.design.jobs() if job.id not in there and not set(facets).isdisjoint(job.facets)]
        return min((job.name.replicate for job in gaps), default=self.design.replicates)

    def verdict(self) -> dict[str, FacetVerdict]:
        """What follows for each facet: better, practically equal or undecided, with the numbers behind it.

        PCA counts among the rivals. A contender that diverged in a replicate, whose anomaly scores come from a
        constant or an untrained scorer, whose new rows repeat training rows, or whose chosen model has a defect that
        spoils the facet (:func:`isthmus.evidence.exclusion.spoils`) is not compared; the verdict says so. Runs that
        are not done count as missing.
        """
        return {name: self.judged(name) for name in self.design.facets}

    def judged(self, facet: str, metric: str | None = None) -> FacetVerdict:
        """The verdict on one metric of a facet.

        Parameters
        ----------
        facet : str
        metric : str, optional
            By default the one that decides.
        """
        name = metric or self.design.primary(facet)
        if (facet, name) not in self._judged:
            self._judged[facet, name] = self._judge(facet, METRICS[name])
        return self._judged[facet, name]

    def _judge(self, facet: str, found: Metric) -> FacetVerdict:
        asked, scores, excluded = self._asked(facet), self.scores(facet, found.name), self._excluded(facet)
        verdict = judge(
            scores,
            metric=found.name,
            higher=bool(found.higher),
            rope=found.rope,
            relative=found.relative,
            rivals={RIVAL_FAMILY, *FACETS[facet].rivals},
            test_fraction=self.test_fraction(self.design.view(facet)),
            excluded=dict.fromkeys(self._no_better(facet, found, scores), UNBEATEN) | excluded,
            cut=self._cut(facet) if not FACETS[facet].prices and found.name in FACETS[facet].metrics else {},
            looks=self.looks(facet),
            later=self.looks(facet, 1),
            facet=facet,
            floor=self.floor(facet) if found.name == self.design.primary(facet) else None,
            bounds=found.bounds,
        )
        gaps = {who: n - self.replicates + len(asked[who]) for who, n in verdict.missing.items()}
        return replace(verdict, missing={who: n for who, n in gaps.items() if n})

    def looks(self, facet: str, more: int = 0) -> float:
        """As how many looks those at a facet count, ``more`` further ones included: more than one in a race or where
        replicates were added. An ablation is looked at once."""
        times = more + sum(facet in one.doubts for one in self.rounds)
        if self.design.racing:
            return raced(times)
        return 1 if self.note.get("ablation") else counted(times)

    def purposes(self) -> list[PurposeVerdict]:
        """What follows for each purpose, and for each deciding facet that is no purpose alone; what choices cost."""
        costs = {facet: [self.judged(facet, metric) for metric in PRICES] for facet in self.design.facets}
        return answered(self.verdict(), costs)

    def proscons(self) -> dict[str, ProsCons]:
        """What speaks for and against each family on these data."""
        further = [(facet, metric) for facet in self.design.facets for metric in FACETS[facet].prices]
        costs = [self.judged(*one) for one in further if one[1] != self.design.primary(one[0])]
        found = proscons([*self.verdict().values(), *costs])
        return {name: found.get(name, ProsCons((), ())) for name in self.design.families}

    def open(self) -> dict[str, tuple[str, ...]]:
        """Who is still in doubt, for each facet that decides and is open."""
        return doubts(deciding(self.verdict().values()))

    def copies(self) -> tuple[int, int] | None:
        """Held-out rows that also stand in training, and held-out rows, where there are most; None if there are none.

        Split by split, both parts that training does not see are counted. Copies make scores look better than they are.
        """
        seen = [(r.sizes["duplicates"], r.sizes["valid"] + r.sizes["test"]) for r in self.records if r.sizes]
        return max(seen) if any(copies for copies, _ in seen) else None

    def test_fraction(self, view: str) -> float:
        """Test rows per training row, on average over the runs of a view.

        In view ``normal`` normal ones count, or what the anomalies that replicates share come to, if that is more.
        """
        sizes = [record.sizes for record in self.records if record.job.view == view and record.sizes]
        found = [(one["test"] - one.get("anomalies", 0)) / one["train"] for one in sizes]
        return max(float(np.mean(found)), overlap(self.replicates) if view == "normal" else 0.0) if found else 0.0

    def _excluded(self, facet: str) -> dict[str, str]:
        """Who must not be compared, and why."""
        reasons: dict[str, list[str]] = {}
        asked = self._asked(facet)
        for record in self.records:
            if facet not in self._asks[record.id]:
                continue
            if record.job.replicate not in asked[record.job.name]:
                continue
            metrics = record.facets[facet].metrics if facet in record.facets else {}
            ills = [str(why) for flag, why in FACETS[facet].flags.items() if metrics.get(flag)]
            chosen = record.facets[facet].config if facet in record.facets else None
            ills += [f.name for f in record.findings if f.config == chosen and spoils(f.name, facet)]
            if record.status == "diverged" or (record.status == "ok" and not metrics):
                ills = ["training diverged"]
            if ills:
                reasons.setdefault(record.job.name, []).append(ills[0])
        return {who: f"{ills[0]} in {len(ills)} of {len(asked[who])} replicates" for who, ills in reasons.items()}

    def _no_better(self, facet: str, found: Metric, scores: Mapping[str, NDArray[np.float64]]) -> list[str]:
        """Sparse dictionaries that are not shown to beat one that learnt nothing, where the facet names a winner."""
        asked = FACETS[facet]
        random = [name for name, form in asked.only.items() if form == "dictionaries" and name in scores]
        if not random or not asked.crowns or found.name != self.design.primary(facet):
            return []
        table = {who: comparable(scores[who], found.relative) for who in scores if who in self.design.dictionaries}
        over = above(
            table,
            comparable(scores[random[0]], found.relative),
            rope=found.rope,
            higher=bool(found.higher),
            test_fraction=self.test_fraction(self.design.view(facet)),
            relative=found.relative,
            looks=self.looks(facet),
        )
        return [] if over is None else [who for who in table if who not in over]

    def _cut(self, facet: str) -> dict[str, Cut]:
        """Contenders whose chosen trainings were cut while they were still getting better."""
        trainings: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        asked = self._asked(facet)
        for record in self.records:
            choice = record.facets.get(facet)
            if choice is not None and choice.config is not None and record.job.replicate in asked[record.job.name]:
                config = record.configs[choice.config]
                trainings.setdefault(record.job.name, []).append((config.status, config.history))
        found = {who: cut_short(ends) for who, ends in trainings.items()}
        return {who: one for who, one in found.items() if one is not None}

    def to_frame(self, kind: Literal["pandas", "polars", "pyarrow"] = "pandas") -> Any:
        """Every test score, one row each.

        Parameters
        ----------
        kind : {"pandas", "polars", "pyarrow"}, default "pandas"
            Which library's table; pyarrow is always installed.

        Returns
        -------
        DataFrame or Table
            Columns facet, metric, contender, kind, view, replicate, left_out, config, value, status.

        Raises
        ------
        MissingExtra
            If that library is not installed.
        """
        left = {r.id: ", ".join(r.job.outliers) or None for r in self.records}
        rows = [
            (facet, metric, r.job.name, r.job.kind, r.job.view, r.job.replicate, left[r.id], c.config, v, r.status)
            for r in self.records
            for facet, c in r.facets.items()
            for metric, v in c.metrics.items()
        ]
        if kind not in {"pandas", "polars", "pyarrow"}:
            raise BadInput(f"kind must be pandas, polars or pyarrow; got {kind!r}")
        kinds = {"replicate": pa.int64(), "config": pa.int64(), "value": pa.float64()}
        table = pa.table(
            [[row[i] for row in rows] for i in range(len(FRAME))],
            schema=pa.schema([(n, kinds.get(n, pa.string())) for n in FRAME]),
        )
        try:
            return nw.from_arrow(table, backend=kind).to_native()
        except ImportError:
            raise MissingExtra(f"to_frame({kind!r}) needs {kind}: pip install {kind}, or use kind='pyarrow'") from None

    def model(self, family: str, facet: str | None = None, replicate: int = 0) -> Fitted:
        """The model that a family chose for a facet in one replicate, ready for use.

        Parameters
        ----------
        family : str
        facet : str, optional
            By default the first facet of the study.
        replicate : int, default 0

        Raises
        ------
        BadInput
            If the study has no such family, facet or replicate, or has not got there.
        """
        facet = facet or self.design.facets[0]
        for kind, name, known in (("family", family, self.design.families), ("facet", facet, self.design.facets)):
            if name not in known:
                raise BadInput(f"this study has no {kind} {name!r}{meant(name, known)}; it has {', '.join(known)}")
        if not 0 <= replicate < self.replicates:
            raise BadInput(f"this study has {number_of(self.replicates, 'replicate')}, not {replicate + 1}")
        for record in self.records:
            mine = (record.job.kind, record.job.name, record.job.replicate) == ("family", family, replicate)
            if mine and facet in record.facets:
                place, number = self.folder / "runs" / record.id, record.facets[facet].config
                other = place / f"config-{number}"
                return artefact.trained(other if other.is_dir() else place)
        raise BadInput(
            f"no model of {family} for {facet} in replicate {replicate + 1}: not done yet, left out for "
            "time, failed or diverged (the report says which); take another"
        )


def _value(record: Record, facet: str, metric: str) -> float | None:
    """What a run scored in a facet, or what the configuration costs that it chose for the facet."""
    choice = record.facets.get(facet)
    if choice is None:
        return None
    cost = {} if choice.config is None else record.configs[choice.config].cost
    return {**cost, **choice.metrics}.get(metric)
