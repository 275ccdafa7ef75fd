"""Messages on their way to the client: whoever speaks waits only behind very many."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed

from .line import Line

_ROOM = 64


@dataclass(frozen=True, slots=True)
class _Close:
    code: int
    reason: str


class Outbox:
    """Keeps order and decouples state changes from a slow client.

    Everything but `room` and `run` is synchronous, so that a state change and its messages are one
    step. Producers of many messages call `room` between them, which bounds the queue to about 64.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._queue: asyncio.Queue[str | bytes | _Close | Callable[[], Awaitable[None]]] = (
            asyncio.Queue()
        )
        self._room = asyncio.Event()
        self._room.set()

    def put(self, message: dict[str, Any], *, binary: bool = False) -> None:
        """Send a JSON message after all others, in a text frame or a binary one."""
        frame = json.dumps(message)
        self._queue.put_nowait(frame.encode() if binary else frame)
        if self._queue.qsize() >= _ROOM:
            self._room.clear()

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection after what was put before; nothing is sent afterwards."""
        self._queue.put_nowait(_Close(code, reason))

    def then(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do something with the line after what was put before."""
        self._queue.put_nowait(step)

    def mark(self, step: Callable[[], Awaitable[None]]) -> None:
        """Tell the line how far the session is, if faults wait for that."""
        if not self._line.plan.over:
            self.then(step)

    async def room(self) -> None:
        """Wait until fewer than 64 messages wait."""
        await self._room.wait()

    async def run(self) -> None:
        """Send until the connection ends or was closed from here."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                match await self._queue.get():
                    case _Close(code, reason):
                        return await self._line.close(code, reason)
                    case str() | bytes() as frame:
                        await self._line.send(frame)
                    case step:
                        await step()
                if self._queue.qsize() < _ROOM:
                    self._room.set()
