"""A transport without a network, for tests and for servers in the same process."""

import asyncio

from ..providers.base import Frame
from .base import TransportClosed


class MemoryTransport:
    """One end of a pair; what one end sends, the other receives.

    `MemoryTransport.pair()` makes both. Bounds: `max_frames` waiting frames, then `send` waits.
    """

    def __init__(self, max_frames: int = 1_000) -> None:
        self._inbox: asyncio.Queue[Frame | TransportClosed] = asyncio.Queue(max_frames)
        self._closed: TransportClosed | None = None
        self._peer = self

    @classmethod
    def pair(cls, max_frames: int = 1_000) -> "tuple[MemoryTransport, MemoryTransport]":
        """Two connected ends."""
        left, right = cls(max_frames), cls(max_frames)
        left._peer, right._peer = right, left
        return left, right

    async def send(self, frame: Frame) -> None:
        """Hand the frame to the other end."""
        if self._closed is not None:
            raise self._closed
        await self._peer._inbox.put(frame)

    def send_nowait(self, frame: Frame) -> bool:
        """Hand the frame over unless the other end is full."""
        if self._closed is not None or self._peer._inbox.full():
            return False
        self._peer._inbox.put_nowait(frame)
        return True

    async def receive(self) -> Frame:
        """The next frame from the other end."""
        if self._closed is not None and self._inbox.empty():
            raise self._closed
        item = await self._inbox.get()
        if isinstance(item, TransportClosed):
            self._closed = item
            raise item
        return item

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """End both directions; the other end reads what is waiting, then `TransportClosed`."""
        if self._closed is None:
            self._closed = TransportClosed(code, reason)
            await self._peer._inbox.put(TransportClosed(code, reason))
            if self._inbox.empty():
                # Wakes a reader of this end; with frames waiting it is not asleep.
                self._inbox.put_nowait(self._closed)
