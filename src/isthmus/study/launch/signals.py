"""Signals that wait while something is half begun: a worker, a connection, an import."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals_wait() -> Iterator[None]:
    """Signals that ask the program to end are heard when the block has ended: nobody can close what is half begun, and
    a module that is half imported is a lock that nobody opens. A second one does not wait."""
    asked: list[int] = []

    def hear(number: int, frame: Any) -> None:
        if asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        asked.append(number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) not in {signal.SIG_IGN, signal.SIG_DFL, None}:
                before[number] = signal.signal(number, hear)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        if asked:
            signal.raise_signal(asked[0])
