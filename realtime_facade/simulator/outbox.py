"""Messages on their way to the client: whoever speaks does not wait, unless very many wait already."""

import asyncio
import contextlib
import json
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

_ROOM = 64


class Outbox:
    """Keeps order and decouples state changes from a slow client.

    `put` is synchronous, so that a state change and its messages are one step. Producers of many
    messages call `room` between them, which bounds the queue to about 64.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()

    def put(self, message: dict[str, Any]) -> None:
        """Send a JSON message after all others."""
        self._queue.put_nowait(json.dumps(message))
        if self._queue.qsize() >= _ROOM:
            self._room.clear()

    async def room(self) -> None:
        """Wait until fewer than 64 messages wait."""
        await self._room.wait()

    async def drain(self) -> None:
        """Wait until everything was handed to the connection."""
        await self._queue.join()

    async def run(self) -> None:
        """Send until the connection ends."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = await self._queue.get()
                try:
                    await self._connection.send(frame)
                finally:
                    self._queue.task_done()
                if self._queue.qsize() < _ROOM:
                    self._room.set()
