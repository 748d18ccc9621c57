"""Places where jobs are run, one file each: here only what a study asks of any of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from isthmus.study.record import Job, Record


SHORT = 10.0
"""Seconds below which a run is short: its worker would notice how long it waits for the next one."""


def ahead(workers: int, took: float) -> int:
    """Jobs that are handed out beyond one for each worker.

    While runs are short, one for each: it begins the next without waiting for the driver. Else few, for of a job that
    is handed out nobody can say any more that it comes later, or not at all.

    Parameters
    ----------
    workers : int
        Jobs that are done at the same time.
    took : float
        Seconds of the run that ended last.

    Examples
    --------
    >>> ahead(8, took=1.0), ahead(8, took=60.0), ahead(2, took=60.0)
    (8, 3, 1)
    """
    return workers if took < SHORT else 1 + workers // 4


class Died(Exception):
    """A process that did jobs was ended from outside (out of memory?); what it had in hand is not done."""


class Launch(Protocol):
    """A place where jobs are run. What a job does, and what it leaves, the place does not know."""

    @property
    def workers(self) -> int:
        """Jobs that are done at the same time."""

    def __call__(self, jobs: Iterator[Job]) -> Generator[Record, None, None]:
        """Do jobs, and give their records as they end.

        Jobs are taken as workers come free, so their order may depend on what ended before.

        Raises
        ------
        Died
            If a process was ended from outside; jobs that gave no record have to be done again.
        """

    def alone(self, job: Job) -> Record:
        """Do one job in a process where nothing else is done.

        Raises
        ------
        Died
            If that process was ended from outside.
        """
