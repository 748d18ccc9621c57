"""Runs that are done away from the study folder: what they need there, and how what they leave comes home.

Locks and renames of network disks are not to be relied on. So who works on another machine writes nothing here: a run
travels as one parcel, and the driver alone puts it in place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from isthmus.data.dataset import Dataset
from isthmus.errors import BadEnvironment, BadInput
from isthmus.study.examine import data_where
from isthmus.study.jobs import Perform, attempt
from isthmus.study.record import Job, Record, digest
from isthmus.study.store import Store, environment


class Parcel(NamedTuple):
    """A finished run on its way."""

    record: Record
    files: Mapping[str, bytes]
    """What lies beside the record, by its place there."""

    def unpack(self, folder: Path) -> None:
        """Write the files into a folder."""
        for name, content in self.files.items():
            place = folder / name
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)


class Packing:
    """Stands where the store does, and keeps the run as a parcel."""

    parcel: Parcel | None = None

    def commit(self, record: Record, fill: Callable[[Path], None] | None = None) -> Record:
        """Keep a finished run; as :meth:`isthmus.study.store.Store.commit`, but nothing is put in place yet."""
        with TemporaryDirectory(prefix="isthmus-") as name, environment(Path(name)):
            folder = Path(name)
            if fill is not None:
                fill(folder)
            members = [path for path in folder.rglob("*") if path.is_file()]
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in members}
        self.parcel = Parcel(record, files)
        return record


@dataclass(frozen=True, eq=False)
class Away:
    """What is done with a job away from home.

    Parameters
    ----------
    data : object
        Handed to ``perform``.
    perform : callable
        ``perform(job, data, store)`` does one job and commits its record.
    """

    data: Any
    perform: Perform

    def __call__(self, job: Job) -> Parcel:
        packing = Packing()
        attempt(self.perform, job, self.data, packing)
        if packing.parcel is None:
            raise BadEnvironment(f"run {job.id[:8]} ended without a record")
        return packing.parcel


def unpacked(store: Store, parcel: Parcel) -> Record:
    """Put a run in place that came home."""
    return store.commit(parcel.record, parcel.unpack)


@dataclass(frozen=True)
class Lying:
    """Data that may lie in the same place on another machine.

    Parameters
    ----------
    where : str
        The file or folder, from the root.
    note : mapping
        What ``study.json`` says of them: how they were read, and the digest.
    perform : callable
        As in :class:`Away`.
    """

    where: str
    note: Mapping[str, Any]
    perform: Perform

    def __call__(self) -> Away | None:
        """The work with the data as they lie here; None if they do not, or others do."""
        if not os.path.exists(self.where):
            return None
        try:
            found = data_where(self.where, self.note)
        except (BadInput, BadEnvironment, OSError):
            return None
        return Away(found, self.perform) if found.digest == self.note["data"]["digest"] else None


def lying(data: Dataset, design: Mapping[str, Any], note: Mapping[str, Any], perform: Perform) -> Lying | None:
    """How a worker finds the data of a study by itself; None if they, or their labels, came from no file."""
    if not data.source or not os.path.exists(data.source) or (data.y is not None and data.label is None):
        return None
    return Lying(os.path.abspath(data.source), {**design, **note}, perform)


def token(data: Dataset) -> str:
    """A name for data, the same for the same data in every process."""
    return digest([data.digest, data.name, list(data.columns), data.source])
