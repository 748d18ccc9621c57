"""The study folder: what finished stays, whatever happens to the process, and nothing counts before it is whole.

One folder for each finished run, named by the hash of its job, put in place by one rename after every byte was synced.
There is no index: what is in ``runs/`` is what was done. Who may write is settled by a lock of the operating system,
which dies with its process.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from isthmus.data.files import bounded, opened
from isthmus.durable import folder, put, sync
from isthmus.errors import BadEnvironment, BadInput, difference
from isthmus.study import document
from isthmus.study.launch import local
from isthmus.study.racing import Round
from isthmus.study.record import Job, Record, digest, finite, strange

FORMAT = 1
NAME = re.compile(r"[0-9a-f]{64}")
TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{64}")
TRAINING = ".training-{}"
"""Where trainings of the run of that name are kept until it is in place."""
DRAFT = ".study.json.tmp"
RACE = "race.json"
OURS = {"study.json", RACE, "runs", "aside", "report.html", ".lock", ".busy", DRAFT}
MOST = 256 << 20
"""Bytes of a text of ours: study.json, race.json, record.json."""
MOST_MEMBER = 1 << 36
"""Bytes of any other file of a run."""
PATIENCE = 30.0  # seconds that workers of a killed study may take to notice that they are orphans


@dataclass(frozen=True)
class Store:
    """A study folder. Cheap to build and to send to workers; every method reads the disk anew.

    Parameters
    ----------
    folder : Path
        Where the study lives; made by :meth:`create`.
    """

    folder: Path

    @property
    def runs(self) -> Path:
        """The folder of finished runs."""
        return self.folder / "runs"

    def create(self, design: Mapping[str, Any], note: Mapping[str, Any]) -> None:
        """Make the folder for a design, or make sure that it already holds this very design.

        Parameters
        ----------
        design : mapping
            Plain data that fixes the study.
        note : mapping
            Plain data that goes into ``study.json`` too, but may differ when the study is continued (the command).

        Raises
        ------
        BadInput
            If the folder holds something else, or a study of another design; the message names the first difference.
        BadEnvironment
            If the folder cannot be written.
        """
        with environment(self.folder):
            if self.folder.exists() and not self.folder.is_dir():
                raise BadInput(f"{self.folder} is a file; a study needs a folder: choose another --out")
            if not (self.folder / "study.json").exists():
                self._refuse_strange()
                folder(self.folder)
                with _flock(self.folder / ".lock", fcntl.LOCK_EX, patience=PATIENCE):
                    if not (self.folder / "study.json").exists():
                        self.runs.mkdir(exist_ok=True)
                        self._write({**design, **note})
        there, seal = self._content()
        found = difference({k: there.get(k) for k in design}, finite(design))
        if found:
            raise BadInput(
                f"{self.folder} holds a study of another design: {found}; choose another --out, or delete that folder"
            )
        if seal is None:  # an older version wrote it, and it is of this very design
            with environment(self.folder), _flock(self.folder / ".lock", fcntl.LOCK_EX, patience=PATIENCE):
                self._write({**design, **note})

    def make_smaller(self, design: Mapping[str, Any], note: Mapping[str, Any]) -> None:
        """Put a smaller design in the place of the one that is there. Only under the lock."""
        there, _ = self._content()
        with environment(self.folder):
            self._write({**there, **design, **note})

    def _write(self, content: Mapping[str, Any]) -> None:
        plain = finite(content)
        try:
            sealed = {**plain, "seal": digest(plain)}
            text = json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError:
            raise BadInput("a name in this study contains bytes that are not text; rename the file or column") from None
        put(self.folder / DRAFT, text)
        os.replace(self.folder / DRAFT, self.folder / "study.json")
        sync(self.folder)

    def design(self) -> dict[str, Any]:
        """What ``study.json`` says.

        Raises
        ------
        BadInput
            If there is none, or it was changed after it was written.
        """
        content, seal = self._content()
        if seal is None:
            raise BadInput(
                f"{self.folder / 'study.json'} has no seal (an older version wrote it, or it was edited); the command "
                "that made the study seals it if nothing was changed"
            )
        return content

    def _content(self) -> tuple[dict[str, Any], str | None]:
        """What ``study.json`` says, and its seal, which fits if there is one."""
        path = self.folder / "study.json"
        try:
            content = plain(bounded(path, MOST))
        except (FileNotFoundError, NotADirectoryError):
            raise BadInput(f"{self.folder} holds no study (no study.json); give the folder of a study") from None
        except OSError as error:
            raise BadEnvironment(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{path} is damaged (not JSON); restore it, or choose another --out") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            got = content.get("format") if isinstance(content, dict) else type(content).__name__
            raise BadInput(f"{path} has format {got!r:.60}, this version reads format {FORMAT}; choose another --out")
        seal = content.pop("seal", None)
        if seal is not None and _sealed(content) != seal:
            raise BadInput(
                f"{path} is damaged or was edited (its seal does not fit); restore it, or choose another --out"
            )
        return content, seal

    def rounds(self) -> list[Round]:
        """What a race added to the design, in the order in which it did."""
        path = self.folder / RACE
        try:
            content = document.Race.model_validate(plain(bounded(path, MOST)))
            return [
                Round(tuple(one.replicates), {f: tuple(who) for f, who in one.doubts.items()}, tuple(one.asked))
                for one in content.rounds
            ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise BadEnvironment(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise BadInput(f"{path} is damaged; delete it, and repeat the command") from None

    def add_round(self, one: Round) -> None:
        """Write down a round before it is run: a race that was interrupted goes on with it. Only under the lock."""
        rounds = [r._asdict() for r in (*self.rounds(), one)]
        with environment(self.folder):
            put(self.folder / DRAFT, json.dumps({"format": FORMAT, "rounds": rounds}, ensure_ascii=False).encode())
            os.replace(self.folder / DRAFT, self.folder / RACE)
            sync(self.folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process that drives this study; waits for orphaned workers and sweeps what they left half-done.

        Raises
        ------
        BadEnvironment
            If another process drives this study.
        """
        with _flock(self.folder / ".lock", fcntl.LOCK_EX, patience=0.0):
            with _flock(self.folder / ".busy", fcntl.LOCK_EX, patience=PATIENCE):
                self._sweep()
                with environment(self.folder):  # who was killed may have put things in place that are not on the disk
                    sync(self.runs)
                    sync(self.folder)
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """What a worker holds during a job, so that nobody sweeps its half-written run."""
        with _flock(self.folder / ".busy", fcntl.LOCK_SH, patience=PATIENCE):
            yield

    def commit(self, record: Record, fill: Callable[[Path], None] | None = None) -> Record:
        """Put a finished run in place: all of it or nothing.

        Parameters
        ----------
        record : Record
            What the run left; ``files`` is filled in here.
        fill : callable, optional
            Writes the other members into the folder that it is given.

        Returns
        -------
        Record
            As written: non-finite numbers are null, ``files`` holds the SHA-256 of each member.
        """
        made, place = self.runs / f".tmp-{record.id}", self.runs / record.id
        with environment(self.folder):
            try:
                shutil.rmtree(made, ignore_errors=True)
                made.mkdir()
                if fill is not None:
                    fill(made)
                members = sorted(path for path in made.rglob("*") if path.is_file())
                files = {path.relative_to(made).as_posix(): _hash(path) for path in members}
                plain = finite(record.model_copy(update={"files": files}).model_dump(mode="json"))
                for path in members:
                    sync(path)
                put(made / "record.json", json.dumps({**plain, "seal": digest(plain)}, allow_nan=False).encode())
                for inner in {path.parent for path in members} | {made}:
                    sync(inner)
                os.rename(made, place)
                sync(self.runs)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
        return Record.model_validate(plain)

    def read(self, name: str, *, members: bool = True) -> Record:
        """One finished run, checked against its own hashes.

        Parameters
        ----------
        name : str
            The hash of its job.
        members : bool, default True
            Check the files beside the record too.

        Raises
        ------
        BadInput
            If anything in it changed since it was written.
        BadEnvironment
            If the disk refuses to give it.
        """
        place = self.runs / name
        try:
            content = plain(bounded(place / "record.json", MOST))
            seal = content.pop("seal", None) if isinstance(content, dict) else None
            if seal is None or _sealed(content) != seal:
                raise BadInput(f"{place}: damaged record (its seal does not fit)")
            record = Record.model_validate(content)
            if record.id != name:
                raise BadInput(f"{place}: damaged record (it is the record of {record.id[:8]})")
            for member, expected in record.files.items() if members else ():
                if _hash(place / member) != expected:
                    raise BadInput(f"{place}: damaged member {member}")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BadInput(f"{place}: damaged record ({type(error).__name__})") from None
        except OSError as error:  # the disk refuses, which says nothing of the run
            raise BadEnvironment(
                f"cannot read {place}: {error.strerror}; repeat the command, or remove that run if it remains so"
            ) from None
        except (ValidationError, ValueError, TypeError, RecursionError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{place}: damaged record ({type(error).__name__})") from None
        return record

    def records(self, *, members: bool = False, jobs: Iterable[Job] = ()) -> tuple[dict[str, Record], dict[str, str]]:
        """All finished runs by their hash, and what is wrong with those that cannot be read or are not of ``jobs``."""
        known = {job.id: job for job in jobs}
        good: dict[str, Record] = {}
        damaged: dict[str, str] = {}
        with environment(self.folder):
            names = sorted(os.listdir(self.runs)) if self.runs.exists() else []
        for name in names:
            if NAME.fullmatch(name):
                try:
                    good[name] = self.read(name, members=members)
                    if name in known and (why := strange(known[name], good[name])):
                        del good[name]
                        raise BadInput(f"{self.runs / name}: damaged record ({why})")
                except BadInput as error:
                    damaged[name] = str(error)
        return good, damaged

    def set_aside(self, name: str) -> Path:
        """Move a run out of the way without deleting it; returns where it lies now. Only under the lock."""
        aside = self.folder / "aside"
        with environment(self.folder):
            aside.mkdir(exist_ok=True)
            place = next(p for k in range(10**6) if not (p := aside / f"{name}-{k}").exists())
            os.rename(self.runs / name, place)
            sync(aside)
            sync(self.runs)
        return place

    def _refuse_strange(self) -> None:
        """A folder without study.json may hold only what our own first steps leave behind."""
        strange = sorted(set(os.listdir(self.folder)) - OURS) if self.folder.exists() else []
        if not strange and self.runs.is_dir() and os.listdir(self.runs):
            strange = ["runs without study.json"]
        if strange:
            raise BadInput(f"{self.folder} holds something other than a study ({strange[0]}): choose another --out")

    def _sweep(self) -> None:
        """Delete what a killed run of ours left half-written: only folders of our own naming, inside our own folder."""
        with environment(self.folder):
            for path in self.runs.iterdir():
                if TEMPORARY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
            for path in self.folder.glob(TRAINING.format("*")):
                name = path.name.removeprefix(TRAINING.format(""))
                if NAME.fullmatch(name) and (self.runs / name).exists() and not path.is_symlink():
                    shutil.rmtree(path)
            local.sweep(self.folder)


@contextmanager
def environment(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            remedy = "the disk is full; make room and repeat the command; finished runs are kept"
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            remedy = "no permission to write there; choose another --out"
        elif error.errno == errno.ENOENT and not folder.exists():
            remedy = "the folder is gone, and the runs in it; the same command begins again"
        else:
            reason = error.strerror or type(error).__name__
            remedy = f"{reason}; finished runs are kept; solve this, or choose another --out"
        raise BadEnvironment(f"cannot write in {folder}: {remedy}") from error


@contextmanager
def _flock(path: Path, kind: int, *, patience: float) -> Iterator[None]:
    """Hold a lock of the operating system; it is gone when the process is, so nothing has to expire."""
    with environment(path.parent):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        until = time.monotonic() + patience
        while True:
            try:
                with environment(path.parent):
                    fcntl.flock(handle, kind | fcntl.LOCK_NB)
                break
            except BadEnvironment as error:
                if not isinstance(error.__cause__, BlockingIOError):
                    raise
                if time.monotonic() >= until:
                    raise BadEnvironment(
                        f"another isthmus process is working in {path.parent}; wait for it, or choose another --out"
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def plain(text: bytes) -> Any:
    """JSON as we write it: UTF-8, with numbers only where numbers stand."""

    def refused(name: str) -> None:
        raise ValueError(f"{name} is not a number")

    return json.loads(text.decode(), parse_constant=refused)


def _sealed(content: Mapping[str, Any]) -> str:
    """The seal that fits, or none at all for what cannot be sealed."""
    try:
        return digest(content)
    except (ValueError, RecursionError):
        return ""


def _hash(path: Path) -> str:
    with opened(path, MOST_MEMBER) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
