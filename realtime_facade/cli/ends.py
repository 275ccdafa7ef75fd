"""Both ends of a conversation without a sound card, on the clock of a real one."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np

from ..devices.base import SinkDevice
from ..devices.null import NullSpeaker

FRAME_MS = 20
LOUD = 600
"""Of 32 768; recordings are quieter than this before and after the words."""

Clock = Callable[[], float]


class Listener(NullSpeaker):
    """An ear: hears in real time, and remembers when sound began and stopped.

    Args:
        rate: Hz.
        clock: Seconds.
        aloud: A loudspeaker that sounds as well, started and stopped with this.
    """

    def __init__(
        self, rate: int, clock: Clock = time.monotonic, aloud: SinkDevice | None = None
    ) -> None:
        super().__init__(rate=rate, clock=clock)
        self._time = clock
        self._aloud = aloud
        self.first_heard: float | None = None
        """When the first sample since `expect`, or since the last cut, sounded."""
        self.silenced: float | None = None
        """When it was told to fall silent, since `expect`."""

    async def start(self) -> None:
        """See `AudioOutputDevice.start`."""
        if self._aloud is not None:
            await self._aloud.start()
        await super().start()

    async def stop(self) -> None:
        """See `AudioOutputDevice.stop`."""
        await super().stop()
        if self._aloud is not None:
            await self._aloud.stop()

    def expect(self) -> None:
        """Start to wait for the next answer."""
        self.first_heard = self.silenced = None

    def write(self, pcm: bytes) -> None:
        """See `AudioSink.write`."""
        super().write(pcm)
        if self._aloud is not None:
            self._aloud.write(pcm)
        if self.first_heard is None:
            self.first_heard = self._time()

    def clear(self) -> None:
        """See `AudioSink.clear`."""
        super().clear()
        if self._aloud is not None:
            self._aloud.clear()
        self.silenced = self._time()
        # What was written since `expect` belonged to the answer that is cut now.
        self.first_heard = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """When an utterance was audible, in seconds of the clock; silence around it left out."""

    started: float
    ended: float


class Microphone:
    """A source of 20 ms frames at the pace of a real one: silence unless something is said.

    Args:
        rate: Hz.
        clock: Seconds.
        aloud: A started loudspeaker through which the room hears the user, too.
    """

    def __init__(
        self, rate: int, clock: Clock = time.monotonic, aloud: SinkDevice | None = None
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._aloud = aloud
        self._waiting: deque[tuple[bytes, asyncio.Future[Spoken]]] = deque()

    async def say(self, pcm: bytes) -> Spoken:
        """Speak; returns when the last frame of it was taken."""
        said = asyncio.get_running_loop().create_future()
        self._waiting.append((pcm, said))
        if self._aloud is not None:
            self._aloud.write(pcm)
        spoken: Spoken = await said
        return spoken

    async def frames(self) -> AsyncIterator[bytes]:
        """Mono s16le, for as long as somebody asks."""
        size = self._rate * FRAME_MS // 1000 * 2
        silence = bytes(size)
        due = self._clock()
        while True:
            pcm, said = self._waiting.popleft() if self._waiting else (silence, None)
            started = due
            for offset in range(0, len(pcm), size):
                # A frame exists when its last sample was recorded.
                due += FRAME_MS / 1000
                await asyncio.sleep(max(due - self._clock(), 0))
                yield pcm[offset : offset + size].ljust(size, b"\0")
            if said is not None and not said.done():
                first, last = loud_part(pcm, self._rate)
                said.set_result(Spoken(started + first, started + last))


def loud_part(pcm: bytes, rate: int) -> tuple[float, float]:
    """Where sound begins and ends, in seconds from the start; all of it if it is quiet."""
    samples = np.frombuffer(pcm, "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > LOUD)
    if not loud.size:
        return 0.0, len(samples) / rate
    return float(loud[0]) / rate, float(loud[-1] + 1) / rate
