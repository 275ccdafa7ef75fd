"""Both ends of a conversation without a sound card, on the clock of a real one."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio.wav import WavWriter, interleave

FRAME_MS = 20

Clock = Callable[[], float]


@dataclass(slots=True)
class _Stretch:
    start: float
    """When its first sample sounds, in seconds of the clock."""
    pcm: bytearray


class Track:
    """Stretches of sound on a timeline. Mono s16le at `rate` Hz."""

    def __init__(self, rate: int, clock: Clock = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._stretches: list[_Stretch] = []

    def add(self, pcm: bytes) -> None:
        """Let `pcm` sound now, or right after what is still sounding."""
        last = self._stretches[-1] if self._stretches else None
        if last is None or self._sounding(last) >= len(last.pcm):
            last = _Stretch(self._clock(), bytearray())
            self._stretches.append(last)
        last.pcm += pcm

    def cut(self) -> None:
        """Forget what has not sounded yet."""
        if self._stretches:
            last = self._stretches[-1]
            del last.pcm[self._sounding(last) :]

    @property
    def sounded_ms(self) -> float:
        """How much has sounded so far."""
        return sum(self._sounding(stretch) for stretch in self._stretches) * 500 / self.rate

    @property
    def pending_ms(self) -> float:
        """How much is still to sound."""
        if not self._stretches:
            return 0.0
        last = self._stretches[-1]
        return (len(last.pcm) - self._sounding(last)) * 500 / self.rate

    def render(self, start: float) -> bytes:
        """The timeline from `start` (seconds of the clock) to its last sample."""
        line = bytearray()
        for stretch in self._stretches:
            offset = max(round((stretch.start - start) * self.rate), 0) * 2
            line += bytes(max(offset - len(line), 0))
            line[offset : offset + len(stretch.pcm)] = stretch.pcm
        return bytes(line)

    def _sounding(self, stretch: _Stretch) -> int:
        """Bytes of a stretch that have sounded; a whole number of samples."""
        passed = max(round((self._clock() - stretch.start) * self.rate), 0) * 2
        return min(passed, len(stretch.pcm))


class Listener(Track):
    """An ear: a playback sink that hears in real time and knows how much it has heard."""

    def __init__(self, rate: int, clock: Clock = time.monotonic) -> None:
        super().__init__(rate, clock)
        self.first_heard: float | None = None
        """When the first sample since the last `expect` sounded."""
        self.silenced: float | None = None
        """When it was last told to fall silent."""

    def expect(self) -> None:
        """Start to wait for the next answer."""
        self.first_heard = self.silenced = None

    def write(self, pcm: bytes) -> None:
        """See `AudioSink.write`."""
        self.add(pcm)
        if self.first_heard is None:
            self.first_heard = self._clock()

    def clear(self) -> None:
        """See `AudioSink.clear`."""
        self.cut()
        self.silenced = self._clock()
        # What was written since `expect` belonged to the answer that is cut now.
        self.first_heard = None

    def played_ms(self) -> float:
        """See `AudioSink.played_ms`."""
        return self.sounded_ms


@dataclass(frozen=True, slots=True)
class Spoken:
    """When an utterance was audible, in seconds of the clock; silence around it left out."""

    started: float
    ended: float


class Microphone:
    """A source of 20 ms frames at the pace of a real one: silence unless something is said."""

    def __init__(self, rate: int, clock: Clock = time.monotonic) -> None:
        self.track = Track(rate, clock)
        self._rate = rate
        self._clock = clock
        self._waiting: deque[tuple[bytes, asyncio.Future[Spoken]]] = deque()

    async def say(self, pcm: bytes) -> Spoken:
        """Speak; returns when the last frame of it was taken."""
        said = asyncio.get_running_loop().create_future()
        self._waiting.append((pcm, said))
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
                frame = pcm[offset : offset + size].ljust(size, b"\0")
                self.track.add(frame)
                yield frame
            if said is not None and not said.done():
                first, last = loud_part(pcm, self._rate)
                said.set_result(Spoken(started + first, started + last))


def loud_part(pcm: bytes, rate: int) -> tuple[float, float]:
    """Where sound begins and ends, in seconds from the start; all of it if it is quiet."""
    samples = np.frombuffer(pcm, "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 600)
    if not loud.size:
        return 0.0, len(samples) / rate
    return float(loud[0]) / rate, float(loud[-1] + 1) / rate


def save_stereo(path: Path, user: Track, assistant: Track, start: float) -> None:
    """Write the user to the left and the assistant to the right, as they sounded since `start`.

    Raises:
        RealtimeError: If the file cannot be written.
        ValueError: If the two have different rates.
    """
    if user.rate != assistant.rate:
        raise ValueError(f"the user is at {user.rate} Hz, the assistant at {assistant.rate} Hz")
    with WavWriter(path, user.rate, 2) as wav:
        wav.write(interleave(user.render(start), assistant.render(start)))
