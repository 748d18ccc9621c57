"""Trainings of a run that is not finished: each keeps its state beside the runs, so that who is stopped in one goes on.

A run trains more than once: laps of a race, configurations of other capacities, smaller steps after a failure. Each of
these trainings has a file of its own, named by what it trains, so the run that is begun again finds those that ended as
they ended, and the one that was cut where it was. All of them go when the run is in place.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from isthmus.errors import BadInput
from isthmus.study.record import Job, digest
from isthmus.study.store import TRAINING, environment
from isthmus.train.checkpoint import Checkpoint


@dataclass(frozen=True)
class Kept:
    """Where trainings of runs are kept, and how often.

    Parameters
    ----------
    folder : Path
        Of the study.
    every : float
        Seconds between two writes.
    """

    folder: Path
    every: float

    def training(self, name: str, job: Job) -> Checkpoint:
        """Where the training of a job, or of a part of it, is kept for the run of that name.

        A file that is damaged is removed: the training begins anew.
        """
        place = self.folder / TRAINING.format(name)
        with environment(self.folder):
            place.mkdir(exist_ok=True)
            made = Checkpoint(place / f"{digest([dict(job.body), torch.__version__])[:16]}.safetensors", self.every)
            try:
                made.steps()
            except BadInput:
                made.remove()
        return made

    def over(self, name: str) -> None:
        """The run is in place."""
        shutil.rmtree(self.folder / TRAINING.format(name), ignore_errors=True)
