"""``local:N``: a Dask cluster of processes on this machine, in a process and a process group of its own.

Dask can start it inside the process that uses it. But then a signal in the middle of that leaves threads that wait for
each other, and who is killed leaves workers that import for seconds before they look for him. So a process of ours
keeps the cluster: from its first moment it waits for the end of its input, which the system brings about whatever
became of the driver, and ends the whole group, wherever each of it is in its start.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import mkdtemp

from isthmus.errors import BadEnvironment

QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "200ms",
}
"""What Dask looks at in each worker all the time, for pages that nobody opens here: by default that takes a quarter of
a core for eight workers who do nothing. Who sets one of these in the environment is heard."""
ENDING = 5.0
"""Seconds in which a keeper ends its group; after that the driver does."""


@contextmanager
def processes(workers: int) -> Iterator[str]:
    """The address of a scheduler with so many workers, of one thread each; all are gone afterwards.

    Raises
    ------
    BadEnvironment
        If Dask cannot start it.
    """
    command = [sys.executable, "-P", "-m", "isthmus.study.launch.processes", str(workers)]
    there = {**QUIET, **os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # what jobs import, workers find
    with subprocess.Popen(
        command,
        process_group=0,
        env=there,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            said, _, address = keeper.stdout.readline().strip().partition(" ")
            if said != "at":
                raise BadEnvironment(f"Dask cannot start {workers} processes here ({address or 'it ended'})")
            yield address
        finally:
            keeper.stdin.close()
            try:
                keeper.wait(ENDING)
            except subprocess.TimeoutExpired:
                os.killpg(keeper.pid, signal.SIGKILL)


def keep(workers: int) -> None:
    """Start the cluster, say where it is, and wait for the driver to go."""
    place = mkdtemp(prefix="isthmus-")
    threading.Thread(target=_follow, args=(place,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        from distributed import LocalCluster

        made = LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=60,
            local_directory=place,
        )
        made.scale(workers)  # who begins first does not wait for the others
        print("at", made.scheduler_address, flush=True)
    except Exception as error:
        print("not", (str(error) or type(error).__name__).splitlines()[0], flush=True)
    threading.Event().wait()


def _follow(place: str) -> None:
    """End the group when nobody writes to us any more, with what it wrote."""
    with suppress(OSError):
        os.read(0, 1)
    shutil.rmtree(place, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    keep(int(sys.argv[1]))
