"""A reader's queue of events: bounded, and able to forget audio that became stale."""

import asyncio
from collections import deque
from typing import Any

from ..events import AudioChunk, ErrorOccurred, Event, RawEvent, ToolCallRequest, TranscriptDelta

AUDIO_LIMIT_MS = 600_000.0
"""Ten minutes of waiting audio (29 MB at 24 kHz): a long answer arrives at several times real
time, so a reader that plays at real time falls behind by design. Past this, the oldest goes."""

CHUNK_LIMIT = 60_000
"""Waiting chunks of audio, however short: ten minutes of 10 ms."""

EVENT_LIMIT = 20_000
"""Waiting events other than audio. A reader this far behind has stopped reading."""

SIZE_LIMIT = 32 * 2**20
"""What they may hold together: about so many characters."""


class Mailbox:
    """Events in order of arrival, urgent ones first."""

    __slots__ = ("_closed", "_events", "_reader", "_size", "_sizes", "_urgent", "audio_ms", "lost")

    def __init__(self) -> None:
        self._urgent: deque[tuple[Event, int]] = deque()
        self._events: deque[Event] = deque()
        self._sizes: deque[int] = deque()
        """Of the events that are neither audio nor urgent."""
        self._size = 0
        self._reader: asyncio.Future[None] | None = None
        self._closed = False
        self.audio_ms = 0.0
        """Milliseconds of audio waiting."""
        self.lost = 0
        """Events for which there was no room."""

    def __len__(self) -> int:
        return len(self._urgent) + len(self._events)

    def put(self, event: Event) -> float:
        """Add an event.

        Returns:
            How many milliseconds of older audio were dropped to keep the bound.

        Raises:
            OverflowError: If the reader has stopped reading; the event was not added.
        """
        dropped = 0.0
        if type(event) is AudioChunk:
            self.audio_ms += event.duration_ms
            self._events.append(event)
            chunks = len(self._events) - len(self._sizes)
            if self.audio_ms > AUDIO_LIMIT_MS or chunks > CHUNK_LIMIT:
                dropped = self._drop_oldest_audio(chunks)
        else:
            size = size_of(event)
            waiting = len(self._urgent) if event.urgent else len(self._sizes)
            if waiting >= EVENT_LIMIT or self._size + size > SIZE_LIMIT:
                self.lost += 1
                raise OverflowError
            self._size += size
            if event.urgent:
                self._urgent.append((event, size))
            else:
                self._sizes.append(size)
                self._events.append(event)
        if self._reader is not None:
            self._wake()
        return dropped

    def drop_audio(self) -> None:
        """Forget all waiting audio."""
        if self.audio_ms:
            self._events = deque(e for e in self._events if type(e) is not AudioChunk)
            self.audio_ms = 0.0

    async def get(self) -> Event | None:
        """The next event; None once the mailbox is closed and empty."""
        while True:
            if self._urgent:
                event, size = self._urgent.popleft()
                self._size -= size
                return event
            if self._events:
                event = self._events.popleft()
                if type(event) is AudioChunk:
                    self.audio_ms -= event.duration_ms
                    if not self._events:
                        self.audio_ms = 0.0  # no rounding error may pile up
                else:
                    self._size -= self._sizes.popleft()
                return event
            if self._closed:
                return None
            if self._reader is not None:
                raise RuntimeError("two readers of one stream of events")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    def close(self) -> None:
        """Let the reader finish what is waiting, then end."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _drop_oldest_audio(self, chunks: int) -> float:
        dropped = 0.0
        kept: deque[Event] = deque()
        # A tenth more than needed: a reader that is late is going to be late again.
        too_long = self.audio_ms > AUDIO_LIMIT_MS
        for event in self._events:
            if type(event) is AudioChunk and (
                self.audio_ms - dropped > AUDIO_LIMIT_MS * 0.9
                if too_long
                else chunks > CHUNK_LIMIT * 0.9
            ):
                dropped += event.duration_ms
                chunks -= 1
            else:
                kept.append(event)
        self._events = kept
        self.audio_ms -= dropped
        return dropped


def size_of(event: Event) -> int:
    """About how many characters an event holds; what can become large is looked at."""
    match event:
        case TranscriptDelta():
            return 100 + len(event.text) + len(event.full_text or "")
        case RawEvent():
            return 100 + _size_of(event.data)
        case ToolCallRequest():
            return 100 + _size_of(event.arguments)
        case ErrorOccurred():
            return 100 + len(event.message)
    return 100


def _size_of(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(20 + len(key) + _size_of(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(20 + _size_of(item) for item in value)
    return 10
