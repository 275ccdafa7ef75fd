"""Frames that wait to be sent. Audio that comes too late is dropped, control never."""

import asyncio
from collections import deque

from ..providers.base import Frame

MOST_FRAMES = 10_000
"""Waiting frames. Control is never dropped, so a peer that takes none has to be given up."""
MOST_BYTES = 64 * 2**20


class Outbox:
    """Queue between everybody who sends and the one writer.

    Frames leave in the order they came. When more than `limit_ms` of audio are waiting, the
    oldest audio goes: in a live conversation late audio is worth less than none.
    """

    def __init__(self, limit_ms: float = 2_000) -> None:
        self.limit_ms = limit_ms
        self.waiting_ms = 0.0
        """Audio that is waiting now."""
        self._frames: deque[tuple[Frame, float]] = deque()
        self._bytes = 0
        self._reader: asyncio.Future[None] | None = None
        self._senders: list[asyncio.Future[None]] = []
        self._idle: asyncio.Future[None] | None = None

    @property
    def is_clogged(self) -> bool:
        """Whether so much waits that the peer cannot be reading any more."""
        return len(self._frames) > MOST_FRAMES or self._bytes > MOST_BYTES

    @property
    def is_idle(self) -> bool:
        """Whether the writer has sent everything and waits for more."""
        return not self._frames and self._reader is not None and not self._reader.done()

    def put(self, frame: Frame, audio_ms: float = 0.0) -> float:
        """Add a frame; `audio_ms` > 0 marks it as audio.

        Returns:
            How many milliseconds of older audio were dropped to keep the bound. One frame longer
            than the bound is accepted whole when nothing else waits.
        """
        dropped = 0.0
        if audio_ms:
            if self.waiting_ms > self.limit_ms:
                dropped = self._drop_audio(self.waiting_ms - self.limit_ms)
            self.waiting_ms += audio_ms
        self._frames.append((frame, audio_ms))
        self._bytes += len(frame)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        return dropped

    async def get(self) -> Frame:
        """The next frame; waits for one."""
        while not self._frames:
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        frame, audio_ms = self._frames.popleft()
        self._bytes -= len(frame)
        if audio_ms:
            self.waiting_ms -= audio_ms
            if self._senders and self.waiting_ms <= self.limit_ms / 2:
                self._release()
        return frame

    async def room(self) -> None:
        """Wait until audio can be added without loss: back-pressure for sources that can wait."""
        while self.waiting_ms > self.limit_ms / 2:
            waiter = asyncio.get_running_loop().create_future()
            self._senders.append(waiter)
            await waiter

    async def drained(self) -> None:
        """Wait until the writer has taken everything and asks for more."""
        while not self.is_idle:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def close(self) -> None:
        """Throw everything away and release who waits for room."""
        self._frames.clear()
        self._bytes = 0
        self.waiting_ms = 0.0
        self._release()

    def _release(self) -> None:
        for waiter in self._senders:
            if not waiter.done():
                waiter.set_result(None)
        self._senders.clear()

    def _drop_audio(self, needed_ms: float) -> float:
        kept: deque[tuple[Frame, float]] = deque()
        dropped = 0.0
        for frame, audio_ms in self._frames:
            if audio_ms and dropped < needed_ms:
                dropped += audio_ms
                self._bytes -= len(frame)
            else:
                kept.append((frame, audio_ms))
        self._frames = kept
        self.waiting_ms -= dropped
        return dropped
