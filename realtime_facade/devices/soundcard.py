"""The computer's own microphone and loudspeaker, through PortAudio (extra `audio`)."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..audio.pcm import downmix
from ..audio.resample import MAX_RATE, MIN_RATE, Resampler
from ..errors import ConfigurationError
from .base import AudioInputDevice
from .cardtape import CardTape
from .keeping import Keeper, Life
from .portaudio import CardStream, SoundDevice, list_devices
from .tape import Tape, TapeDevice

__all__ = ["CardStatistics", "Microphone", "SoundDevice", "Speaker", "list_devices"]

MAX_WAITING_MS = 1_000
"""In a live conversation late audio is worth less than none: the oldest is dropped and counted."""
FLUSH_AHEAD_S = 0.03
FLUSH_PAUSE_S = 0.06


@dataclass
class CardStatistics:
    """What went wrong so far, while it went on."""

    underruns: int = 0
    """Gaps that the card reported because this program was late."""
    overruns: int = 0
    """Losses that the card reported because this program was late to take them."""
    dropped_ms: float = 0.0
    """Sound that found no room in its queue."""
    ran_out: int = 0
    """Times that everything written had been played: once an answer, more if audio comes late."""
    reopened: int = 0
    """Times that the device was lost and found again."""


class Microphone(AudioInputDevice):
    """A sound card's microphone as mono s16le at `sample_rate`, whatever the card can do.

    A card that is unplugged is reported to `on_error`, and used again when it is back; meanwhile
    `stream_chunks` waits.

    Args:
        device: Index or (part of a) name as in `list_devices`; None is the system's default.
        rate: Hz of what is yielded; None is 24 000.
        block_ms: How often the card delivers.

    Raises:
        ConfigurationError: If a number is impossible.
    """

    def __init__(
        self, device: int | str | None = None, *, rate: int | None = None, block_ms: float = 20
    ) -> None:
        self.sample_rate = _checked_rate(rate)
        self._device = device
        self._block_ms = _checked_block(block_ms)
        self._statistics = CardStatistics()
        self._keeper: Keeper | None = None
        self._resampler = Resampler(self.sample_rate, self.sample_rate)
        self._card_channels = 1
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()

    @property
    def statistics(self) -> CardStatistics:
        """What went wrong so far."""
        if self._keeper is not None:
            self._statistics.reopened = self._keeper.reopened
        return self._statistics

    async def start(self) -> None:
        """Open the card; again has no effect.

        Raises:
            MissingExtra: If `sounddevice` is not installed.
            ConfigurationError: If PortAudio is not installed, or there is no such microphone.
            RealtimeError: With the cause "device" if the card cannot be opened.
        """
        if self._keeper is None:
            self._chunks.clear()
            self._waiting = 0
            self._wake = asyncio.Event()
            keeper = Keeper(self, self._open, self._adopt)
            await keeper.start()
            self._keeper = keeper

    async def stop(self) -> None:
        """Close the card and end the stream; again has no effect."""
        keeper = self._keeper
        if keeper is not None:
            self._statistics = self.statistics
            self._keeper = None
            self._wake.set()
            await keeper.stop()

    async def stream_chunks(self) -> AsyncIterator[bytes]:
        """Yield what the microphone hears, about `block_ms` at a time."""
        if self._keeper is None:
            raise ConfigurationError("the microphone is not started", advice="await start() first")
        keeper = self._keeper
        while self._keeper is keeper:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._waiting -= len(chunk)
                yield chunk
            self._wake.clear()
            if self._keeper is keeper:
                await self._wake.wait()

    @property
    def is_active(self) -> bool:
        """Started and not stopped."""
        return self._keeper is not None

    def _open(self, life: Life) -> CardStream:
        loop = life.loop

        def heard(indata: Any, _frames: int, _time: Any, status: Any) -> None:
            life.beat()
            if status.input_overflow:
                self._statistics.overruns += 1
            loop.call_soon_threadsafe(self._arrived, bytes(indata))

        return CardStream(
            "input",
            self._device,
            self.sample_rate,
            self._block_ms,
            lambda _: heard,
            life.ended,
            renew=self._keeper is not None,
        )

    def _adopt(self, stream: CardStream) -> None:
        self._resampler = Resampler(stream.rate, self.sample_rate)
        self._card_channels = stream.channels

    def _arrived(self, pcm: bytes) -> None:
        if self._card_channels > 1:
            pcm = downmix(pcm, self._card_channels)
        chunk = self._resampler.push(pcm)
        if not chunk:
            return
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        while self._waiting * 500 / self.sample_rate > MAX_WAITING_MS:
            lost = len(self._chunks.popleft())
            self._waiting -= lost
            self._statistics.dropped_ms += lost * 500 / self.sample_rate
        self._wake.set()


class Speaker(TapeDevice):
    """A sound card's loudspeaker for mono s16le at `sample_rate`, whatever the card can do.

    A card that is unplugged is reported to `on_error`; when it is back, it goes on with what is
    queued.

    Args:
        device: Index or (part of a) name as in `list_devices`; None is the system's default.
        rate: Hz of what is written; None is 24 000.
        block_ms: How often the card asks for sound.

    Raises:
        ConfigurationError: If a number is impossible.
    """

    def __init__(
        self, device: int | str | None = None, *, rate: int | None = None, block_ms: float = 20
    ) -> None:
        self.sample_rate = _checked_rate(rate)
        self._device = device
        self._block_ms = _checked_block(block_ms)
        self._statistics = CardStatistics()
        self._keeper: Keeper | None = None
        self._card = CardTape(self.sample_rate)
        self._flush: asyncio.TimerHandle | None = None

    @property
    def statistics(self) -> CardStatistics:
        """What went wrong so far."""
        with self._card.locked() as tape:
            self._statistics.dropped_ms = tape.dropped * 1000 / tape.rate
        self._statistics.ran_out = self._card.ran_out
        if self._keeper is not None:
            self._statistics.reopened = self._keeper.reopened
        return self._statistics

    async def start(self) -> None:
        """Open the card; what was written before sounds now. Again has no effect.

        Raises:
            MissingExtra: If `sounddevice` is not installed.
            ConfigurationError: If PortAudio is not installed, or there is no such loudspeaker.
            RealtimeError: With the cause "device" if the card cannot be opened.
        """
        if self._keeper is None:
            keeper = Keeper(self, self._open, self._adopt)
            await keeper.start()
            self._keeper = keeper

    async def stop(self) -> None:
        """Drop what is queued and close the card; again has no effect."""
        keeper = self._keeper
        if keeper is not None:
            self._statistics = self.statistics
            self._keeper = None
            self.clear()
            await keeper.stop()
            self._card.adopt(self.sample_rate)

    def write(self, pcm: bytes) -> None:
        """Queue mono s16le at `sample_rate`.

        Raises:
            AudioFormatError: If a sample is incomplete.
        """
        self._card.write(pcm)
        self._plan_flush()

    def clear(self) -> None:
        """Drop what is queued and end a hold.

        What the card has already taken (its latency, 10 to 60 ms) sounds out, so it counts as heard
        from now on.
        """
        self._card.clear()
        self._plan_flush()

    def played_ms(self) -> float:
        """Milliseconds of written audio that have left the card, by its own report."""
        return self._card.played_ms(time.monotonic())

    @property
    def is_playing(self) -> bool:
        """Whether something is sounding."""
        return self._keeper is not None and self._card.sounding(time.monotonic())

    def _now(self) -> AbstractContextManager[Tape]:
        return self._card.locked()

    def _open(self, life: Life) -> CardStream:
        def callback_for(stream: CardStream) -> Callable[..., None]:
            def play(outdata: Any, frames: int, moment: Any, status: Any) -> None:
                life.beat()
                if status.output_underflow:
                    self._statistics.underruns += 1
                # Some systems do not fill in the moments; then the stream's own figure has to do.
                known = moment.outputBufferDacTime > 0
                latency = moment.outputBufferDacTime - moment.currentTime
                latency = max(latency, 0.0) if known else stream.latency
                data = self._card.pull(frames, time.monotonic(), latency)
                out = np.frombuffer(outdata, np.int16).reshape(frames, stream.channels)
                out[: len(data)] = data[:, None]
                out[len(data) :] = 0

            return play

        return CardStream(
            "output",
            self._device,
            self.sample_rate,
            self._block_ms,
            callback_for,
            life.ended,
            renew=self._keeper is not None,
        )

    def _adopt(self, stream: CardStream) -> None:
        self._card.adopt(stream.rate)
        self._plan_flush()

    def _plan_flush(self) -> None:
        """Have the last samples of a resampled answer before the card runs out of the others."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._card.withheld:
            pause = max(self._card.waiting_s() - FLUSH_AHEAD_S, FLUSH_PAUSE_S)
            self._flush = asyncio.get_running_loop().call_later(pause, self._flush_in_time)

    def _flush_in_time(self) -> None:
        # In a hold the tape does not move on.
        if self._card.waiting_s() > FLUSH_AHEAD_S + FLUSH_PAUSE_S:
            self._plan_flush()
        else:
            self._card.flush()


def _checked_rate(rate: int | None) -> int:
    if rate is not None and not MIN_RATE <= rate <= MAX_RATE:
        raise ConfigurationError(f"a rate of {rate} Hz is not between {MIN_RATE} and {MAX_RATE}")
    return rate or 24_000


def _checked_block(block_ms: float) -> float:
    if not 1 <= block_ms <= 500:
        raise ConfigurationError(f"a block of {block_ms} ms is not between 1 and 500 ms")
    return block_ms
