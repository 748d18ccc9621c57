"""Drivers that may be killed: one process imports all that they need, and forks a driver for every line that it reads.

Each driver would else import torch anew, for seconds. What a driver starts, its workers, begins as it always does.
"""

import os
import subprocess
import sys


class Drivers:
    """The process that forks them, under the test's control; ``words`` are what it is told when it starts.

    Parameters
    ----------
    program : str
        A Python file that calls :func:`serve` when it is run.
    """

    def __init__(self, program, *words):
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, program, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | threads,
            text=True,
        )

    def _answer(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(self, *words):
        """Fork a driver that does what the words say: its process number, which is its session's too."""
        return self._answer(" ".join(map(str, words)))

    def end(self):
        """Wait for it: its exit code, negative for a signal. Until then its number is not given to another process."""
        return self._answer("")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=300)
        self.process.stdout.close()


def serve(drive):
    """Read lines; for each fork a driver, in a session of its own, that leaves with what ``drive(*words)`` returns."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setsid()
                code = drive(*line.split()) or 0
            finally:
                os._exit(code)
        print(child, flush=True)
        sys.stdin.readline()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
