"""Messages on their way to the client: whoever speaks waits only behind very many."""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from .clock import Clock
from .faults import AbortFault, CloseFault, MomentFault, StallFault

_ROOM = 64


@dataclass(frozen=True, slots=True)
class _Close:
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Abort:
    pass


@dataclass(frozen=True, slots=True)
class _Stall:
    seconds: float


class Outbox:
    """Keeps order and decouples state changes from a slow client.

    Everything but `room` and `run` is synchronous, so that a state change and its messages are one
    step. Producers of many messages call `room` between them, which bounds the queue to about 64.
    """

    def __init__(self, connection: ServerConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._queue: asyncio.Queue[str | bytes | _Close | _Abort | _Stall] = asyncio.Queue()
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

    def abort(self) -> None:
        """Break the connection without a closing handshake, after what was put before."""
        self._queue.put_nowait(_Abort())

    def stall(self, seconds: float) -> None:
        """Send nothing for a while, after what was put before."""
        self._queue.put_nowait(_Stall(seconds))

    def fail(self, fault: MomentFault) -> bool:
        """Do what a fault says if it is about the connection; False leaves it to the caller."""
        match fault:
            case CloseFault():
                self.close(fault.code, fault.reason)
            case AbortFault():
                self.abort()
            case StallFault():
                self.stall(fault.seconds)
            case _:
                return False
        return True

    async def room(self) -> None:
        """Wait until fewer than 64 messages wait."""
        await self._room.wait()

    async def run(self) -> None:
        """Send until the connection ends or was closed from here."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                match await self._queue.get():
                    case _Close(code, reason):
                        return await self._connection.close(code, reason)
                    case _Abort():
                        return self._connection.transport.abort()
                    case _Stall(seconds):
                        await self._clock.sleep(seconds)
                    case frame:
                        await self._connection.send(frame)
                if self._queue.qsize() < _ROOM:
                    self._room.set()
