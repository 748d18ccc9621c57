"""Requests wait for their turn: who answers them, and on which thread."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor

from isthmus.serve.turns import Asked, Refused, Told, Turns

QUICK = 0.01
"""Seconds for which a turn may keep the server from all else. A shorter one is answered where requests are read: to
hand it to another thread and back costs more, for one of them runs Python at a time."""


class Desk:
    """Takes requests in, and gives them to the model turn by turn.

    Attributes
    ----------
    pace : float
        Seconds for each byte of the requests of the latest turn: by it a turn is expected to be quick, or not.
    """

    def __init__(self, turns: Turns) -> None:
        self.turns, self.waiting = turns, list[tuple[Asked, asyncio.Future[Told]]]()
        self.thread = ThreadPoolExecutor(1, "model")
        self.some: asyncio.Event | None = None
        self.pace = math.inf

    async def ask(self, asked: Asked) -> Told:
        """The answer, when it is this request's turn."""
        if len(self.waiting) >= self.turns.limits.waiting:
            raise Refused(503, "too many requests wait for an answer: send it again in a moment")
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self.waiting.append((asked, future))
        if self.some is not None:
            self.some.set()
        return await future

    async def run(self) -> None:
        """Answer for ever."""
        self.some = asyncio.Event()
        while True:
            await self.some.wait()
            self.some.clear()
            turn, self.waiting = self.waiting, []
            if not turn:
                continue
            try:
                told = await self._answered([asked for asked, _ in turn])
            except Exception as error:  # a fault of ours ends this turn and not the server
                told = [error] * len(turn)
            for (_, future), one in zip(turn, told, strict=True):
                if future.done():  # who asked has gone
                    continue
                if isinstance(one, Exception):
                    future.set_exception(one)
                else:
                    future.set_result(one)

    async def _answered(self, asked: list[Asked]) -> list[Told | Exception]:
        """One turn: here if it is expected to be quick, else on the thread of the model."""
        size, began = sum(len(one.body) for one in asked), time.perf_counter()
        if size * self.pace <= QUICK:
            told = self.turns.answer(asked)
        else:
            told = await asyncio.get_running_loop().run_in_executor(self.thread, self.turns.answer, asked)
        self.pace = (time.perf_counter() - began) / max(size, 1)
        return told
