"""Several processes train one model together: ``torchrun --nproc-per-node 2 -m isthmus train ...``.

Every rank reads the same rows in the same order and draws the same noise; of each batch it takes its share. After each
step the gradients and the terms of the loss are averaged over the ranks and what was ``seen`` is summed (one all-reduce
of one vector, by :mod:`torch.distributed` with gloo), so that every rank holds the same weights and buffers and takes
the same decisions. What a family computes over the rows of a batch (a quantile, a divergence between samples) it
computes over its share.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from isthmus.errors import BadEnvironment, BadInput, Lost

if TYPE_CHECKING:
    from isthmus.train.shards import Shards

ANSWER = 15.0
"""Seconds within which every rank must come to a step; one that is gone is noticed at once, one that hangs then."""
LEAVE = 2.0
"""Seconds in which ranks leave by themselves once one is lost; those of this machine that have not are ended then."""
LOOK = 0.01
"""Seconds between two looks at whether all ranks are here, where one may do something alone."""
REACHED = 2.0
"""Seconds in which the store of the ranks is found, or is gone."""
PATIENCE = 3600.0
"""Seconds that ranks wait for what one of them does alone: reading files, writing a checkpoint."""


class Ranks:
    """This process among those that train together; see :func:`joined`.

    Attributes
    ----------
    rank, size : int
        Its number, from 0, and how many there are. Rank 0 writes and speaks for all.
    shards : Shards or None
        If the units of a dictionary are spread over the ranks, which then read whole batches.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        patient: Any = None,
        shards: Shards | None = None,
        near: Mapping[int, int] | None = None,
    ) -> None:
        self.rank, self.size, self._patient, self.shards, self._near = rank, size, patient, shards, near or {}

    def share(self, batch: int) -> int:
        """How many rows of a batch each takes.

        Raises
        ------
        BadInput
            If they are not as many for each.

        Examples
        --------
        >>> Ranks(0, 4).share(64)
        16
        """
        if batch % self.size:
            wanted = -(-batch // self.size) * self.size
            raise BadInput(
                f"a batch of {batch} rows cannot be divided equally among {self.size} ranks; give --set batch={wanted}"
            )
        return batch // self.size

    def mine(self, whole: Tensor, shape: Sequence[int]) -> Tensor:
        """My part of what was drawn for a whole batch: along the axis in which my own ``shape`` is shorter.

        Examples
        --------
        >>> Ranks(1, 2).mine(torch.arange(8).view(2, 4), (2, 2)).tolist()
        [[2, 3], [6, 7]]
        """
        for axis, (many, few) in enumerate(zip(whole.shape, shape, strict=True)):
            if many != few:
                return whole.narrow(axis, self.rank * few, few)
        return whole

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Sum tensors over all ranks, in place."""
        flat = torch.cat([t.reshape(-1) for t in tensors])
        self._together(lambda dist: dist.all_reduce(flat))
        for tensor, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def most(self, values: Sequence[float]) -> list[float]:
        """The largest of each value over all ranks."""
        found = torch.tensor(values, dtype=torch.float64)
        self._together(lambda dist: dist.all_reduce(found, op=dist.ReduceOp.MAX))
        return found.tolist()

    def wait(self) -> None:
        """Until all ranks are here, for an hour; one of this machine that is stopped meanwhile is ended."""
        self._together(self._await, PATIENCE)

    def _await(self, dist: Any) -> None:
        here, moved = dist.barrier(group=self._patient, async_op=True), time.monotonic()
        while not here.is_completed():
            time.sleep(LOOK)
            halted = [handle for process, handle in self._near.items() if stopped(process)]
            if not halted:
                moved = time.monotonic()
            elif time.monotonic() - moved > ANSWER:
                kill(halted)  # so that this barrier breaks
        here.wait()

    def _together(self, call: Callable[[Any], Any], patience: float | None = None) -> None:
        import torch.distributed as dist

        with self.mourned(patience=patience):
            call(dist)

    @contextmanager
    def mourned(self, of: str = "", patience: float | None = None) -> Iterator[None]:
        """Errors of torch that speak ``of`` this become one line: another rank is lost, or was waited for so long."""
        try:
            yield
        except RuntimeError as error:
            if of not in str(error):
                raise
            atexit.register(end, list(self._near.values()))  # at the very end: whoever speaks has then spoken
            raise Lost(
                f"a rank of {self.size} is lost, or did not answer for {patience or ANSWER:.0f} s: the training ends; "
                "the same command trains again, from what --checkpoint kept",
                first=_first(self.rank),
            ) from error


def _first(rank: int) -> bool:
    """Whether no other rank has asked this yet: torchrun's store tells, or else it is rank 0."""
    import torch.distributed as dist

    try:
        store = dist.TCPStore(
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), timeout=timedelta(seconds=REACHED)
        )
        return store.add(f"isthmus/lost/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", 1) == 1
    except RuntimeError:  # it went with the rank, or the machine, that held it
        return rank == 0


def size() -> int:
    """How many processes ``torchrun`` started, this one included.

    Examples
    --------
    >>> size()
    1
    """
    return int(os.environ.get("WORLD_SIZE", "1"))


def end(near: Sequence[int]) -> None:
    """End ranks that hang: a process that is stopped hears no request to leave, and torchrun waits half a minute.

    Parameters
    ----------
    near : sequence of int
        Handles of processes (pidfd).
    """
    until, left = time.monotonic() + LEAVE, set(near)
    while left and (rest := until - time.monotonic()) > 0:
        left -= set(select.select(left, [], [], rest)[0])
    kill(left)


def kill(handles: Iterable[int]) -> None:
    """End processes of these handles (pidfd) at once."""
    if sys.platform == "linux":
        for one in handles:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(one, signal.SIGKILL)


def stopped(process: int) -> bool:
    """Whether a process is stopped (SIGSTOP, Ctrl-Z).

    Examples
    --------
    >>> stopped(os.getpid())
    False
    """
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in {"T", "t"}
    except OSError:  # it is gone, or the system does not tell
        return False


def _near(dist: Any, count: int) -> dict[int, int]:
    """The other ranks that the same torchrun started on this machine, each with its handle; none where the system has
    no such."""
    if sys.platform != "linux":
        return {}
    here = (socket.gethostname(), os.readlink("/proc/self/ns/pid"), os.getppid())
    everyone: list[Any] = [None] * count
    dist.all_gather_object(everyone, (here, os.getpid()))
    found = {}
    for there, process in everyone:
        if there == here and process != os.getpid():
            with suppress(ProcessLookupError):  # it is gone: who waits for it next will hear so
                found[process] = os.pidfd_open(process)
    return found


@contextmanager
def joined(shards: type[Shards] | None = None) -> Iterator[Ranks | None]:
    """Join the processes that ``torchrun`` started with this one, while the block runs; None if there are no others.

    Parameters
    ----------
    shards : type, optional
        :class:`isthmus.train.shards.Shards`, to spread the units of a dictionary over them instead of the rows of a
        batch.

    Raises
    ------
    BadEnvironment
        If the others are not found.
    BadInput
        With ``shards``, if there are no others.

    Examples
    --------
    >>> with joined() as ranks:  # not started by torchrun
    ...     print(ranks)
    None
    """
    count = size()
    if count < 2:
        if shards is not None:
            raise BadInput("--shard spreads units over ranks, and there is one; start several with torchrun")
        yield None
        return
    import torch.distributed as dist

    if not dist.is_available():
        raise BadEnvironment("this torch has no torch.distributed; install a build that has it, or start one process")
    try:
        dist.init_process_group("gloo", timeout=timedelta(seconds=ANSWER))
        patient = dist.new_group(backend="gloo", timeout=timedelta(seconds=PATIENCE))
    except (RuntimeError, ValueError) as error:
        raise BadEnvironment(f"the {count} ranks do not find each other; start them with torchrun ({error})") from error
    ranks = Ranks(dist.get_rank(), count, patient, near=_near(dist, count))
    try:
        ranks.wait()
        if shards is not None:
            ranks.shards = shards(ranks.rank, count)
        yield ranks
    finally:
        dist.destroy_process_group()
