"""Between a session and any device: a sink over every loudspeaker, mono from every microphone."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np

from ..audio.pcm import SAMPLE_BYTES, downmix, samples
from ..audio.resample import Resampler
from ..errors import AudioFormatError, ConfigurationError, RealtimeError
from .base import AudioInputDevice, AudioOutputDevice, SinkDevice, report
from .convert import Converter
from .tape import Tape

FEED_MS = 20
IDLE_S = 0.2
"""A pause this long ends a stream for the resampler, which then gives what it withholds."""


def sink_for(device: AudioOutputDevice, rate: int) -> "SinkDevice | DeviceSink":
    """The sink through which a session at `rate` Hz plays on `device`.

    That is the device itself if it can be one at that rate. Either way: `start` it, and `stop` it.
    """
    if isinstance(device, SinkDevice) and device.sample_rate == rate:
        return device
    return DeviceSink(device, rate)


class DeviceSink:
    """An `AudioSink` over any loudspeaker, with volume, mute and pause in software.

    A task between `start` and `stop` feeds the device as fast as `play_chunk` takes the audio, so
    volume and mute act on what the device has not taken yet.

    Args:
        device: Started and stopped by this sink.
        rate: Hz of what is written, 8 000 to 192 000; converted to the device's rate and channels.

    Raises:
        AudioFormatError: If the rate is out of range.
    """

    def __init__(self, device: AudioOutputDevice, rate: int = 24_000) -> None:
        self.device = device
        self.sample_rate = rate
        self._tape = Tape(rate)
        self._converter = Converter(rate, rate)
        self._begun_ms = 0.0
        self._pump: asyncio.Task[None] | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._clearing = False
        self._taking_back = False
        self._frozen = False
        self._heard = 0
        self._failing = False

    async def start(self) -> None:
        """Start the device and feed it; again has no effect.

        Raises:
            RealtimeError: If the device cannot be started.
            AudioFormatError: If its rate is not between 8 000 and 192 000 Hz.
        """
        if self._pump is not None:
            return
        await self.device.start()
        try:
            self._converter = Converter(self.sample_rate, self.device.sample_rate)
        except AudioFormatError:
            await self.device.stop()
            raise
        self._wake = asyncio.Event()
        self._begin()
        self._pump = asyncio.create_task(self._feed(), name="loudspeaker")

    async def stop(self) -> None:
        """Drop what is queued and stop the device; again has no effect."""
        pump, self._pump = self._pump, None
        if pump is None:
            return
        self._drop()
        tasks = [task for task in (pump, self._feeding) if task is not None]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self.device.stop()

    def write(self, pcm: bytes) -> None:
        """Queue mono s16le at `sample_rate`.

        Raises:
            AudioFormatError: If a sample is incomplete.
        """
        self._tape.write(pcm)
        self._wake.set()

    def clear(self) -> None:
        """Drop what is queued, end a hold, and have the device clear its buffer meanwhile."""
        self._drop()
        self._interrupt()

    def played_ms(self) -> float | None:
        """Milliseconds of written audio that were heard; None if the device does not know."""
        position = self._device_position()
        if position is None:
            return None
        self._heard = max(self._heard, position)
        self._tape.forget(self._heard)
        return self._heard * 1000 / self.sample_rate

    @property
    def can_hold(self) -> bool:
        """Whether the device knows its position, without which nothing can be taken back."""
        return self.device.played_ms() is not None

    def hold(self) -> None:
        """Take back what the device has not played, and stand still.

        Raises:
            ConfigurationError: If the device does not report `played_ms`.
        """
        if not self.can_hold:
            raise ConfigurationError(
                f"{type(self.device).__name__} does not say what it has played, "
                "so it cannot be held and go on later",
                advice="give the class a method played_ms",
            )
        if not self._tape.held:
            self._tape.held = self._taking_back = True
            self._interrupt()

    def resume(self) -> None:
        """Go on with the sample after the last that was heard. Without a `hold` no effect."""
        self._tape.held = False
        self._wake.set()

    @property
    def volume(self) -> float:
        """0.0 (silent) to 1.0 (as written); a change takes about 5 ms and makes no click.

        Raises:
            ConfigurationError: A `ValueError`, when set to anything else.
        """
        return self._tape.volume

    @volume.setter
    def volume(self, value: float) -> None:
        self._tape.volume = value

    @property
    def muted(self) -> bool:
        """While true the audio runs on, unheard, and `volume` keeps its value."""
        return self._tape.muted

    @muted.setter
    def muted(self, value: bool) -> None:
        self._tape.muted = value

    @property
    def is_playing(self) -> bool:
        """Whether something is queued or sounding, as far as is known."""
        if self._pump is None or self._tape.held:
            return False
        played = self.played_ms()
        if played is None:
            return self._tape.waiting > 0 or self.device.is_playing
        return self._heard < self._tape.end

    def _device_position(self) -> int | None:
        """Samples heard on the written timeline."""
        played = self.device.played_ms()
        if played is None:
            return None
        if self._frozen:
            return self._heard
        out = (played - self._begun_ms) * self.device.sample_rate / 1000
        return min(self._converter.source(out), self._tape.head)

    def _begin(self) -> None:
        """What is fed from now on begins where the tape is to be read next."""
        self._begun_ms = self.device.played_ms() or 0.0
        self._converter.rewind(0, self._tape.head)
        self._frozen = False

    def _drop(self) -> None:
        known = self.played_ms() is not None
        self._taking_back = False
        self._frozen = True
        self._tape.cut(self._heard if known else self._tape.head)

    def _interrupt(self) -> None:
        self._clearing = True
        if self._feeding is not None:
            self._feeding.cancel()
        self._wake.set()

    async def _feed(self) -> None:
        size = self.sample_rate * FEED_MS // 1000
        while True:
            self._wake.clear()
            if self._clearing:
                await self._clear_device()
            elif not self._tape.idle and not self._tape.held:
                await self._play(self._converter.push(self._tape.read(size).tobytes()))
                if self.device.played_ms() is None:
                    self._tape.forget(self._tape.head)
            elif self._converter.withheld_ms > 0 and not self._tape.held:
                try:
                    async with asyncio.timeout(IDLE_S):
                        await self._wake.wait()
                except TimeoutError:
                    await self._play(self._converter.flush())
            else:
                await self._wake.wait()

    async def _clear_device(self) -> None:
        self._clearing = False
        try:
            await self.device.clear_buffer()
        except Exception as error:  # noqa: BLE001 - whatever a foreign device raises
            self._report(error)
        # Not while the hold lasts: it may have ended before this task had its turn.
        if self._taking_back and self.played_ms() is not None:
            self._tape.rewind(self._heard)
        self._taking_back = False
        self._begin()

    async def _play(self, pcm: bytes) -> None:
        if not pcm:
            return
        if self.device.channels > 1:
            pcm = np.repeat(samples(pcm), self.device.channels).tobytes()
        # In a task of its own, so that a clear need not wait until the device has room.
        feeding = self._feeding = asyncio.create_task(self._call(pcm))
        await asyncio.wait({feeding})
        self._feeding = None
        if feeding.cancelled():
            return
        error = feeding.exception()
        if error is None:
            self._failing = False
        elif not self._failing:
            self._failing = True
            self._report(error)

    async def _call(self, pcm: bytes) -> None:
        await self.device.play_chunk(pcm)

    def _report(self, error: BaseException) -> None:
        name = type(self.device).__name__
        failure = RealtimeError(
            f"{name} failed to play: {type(error).__name__}: {error}",
            cause="device",
            retryable=True,
            advice=f"the traceback shows where in {name}",
        )
        failure.__cause__ = error
        report(self.device, failure)


async def mono_chunks(device: AudioInputDevice, rate: int) -> AsyncGenerator[bytes, None]:
    """What a started microphone hears, as mono s16le at `rate` Hz.

    Channels are mixed down by their mean. An incomplete frame at the very end is dropped.

    Raises:
        AudioFormatError: If the device's rate or `rate` is not between 8 000 and 192 000 Hz, or the
            device yields something else than bytes.
        ConfigurationError: If the device's `stream_chunks` is not an async generator.
    """
    name = type(device).__name__
    resampler = Resampler(device.sample_rate, rate)
    frame = SAMPLE_BYTES * device.channels
    stream: Any = device.stream_chunks()
    if not hasattr(stream, "__aiter__"):
        if asyncio.iscoroutine(stream):
            stream.close()
        raise ConfigurationError(
            f"{name}.stream_chunks does not give an async iterator",
            advice="write it as `async def stream_chunks(self)` with a `yield` in it",
        )
    rest = b""
    try:
        async for chunk in stream:
            if not isinstance(chunk, bytes | bytearray | memoryview):
                raise AudioFormatError(
                    f"{name}.stream_chunks yields {type(chunk).__name__} instead of bytes",
                    advice="yield raw 16-bit little-endian PCM, for example array.tobytes()",
                )
            data = rest + chunk
            whole = len(data) - len(data) % frame
            rest = data[whole:]
            out = resampler.push(_mono(data[:whole], device.channels))
            if out:
                yield out
    finally:
        # A generator that is left early would otherwise be closed at some later time.
        if hasattr(stream, "aclose"):
            await stream.aclose()
    if out := resampler.flush():
        yield out


def _mono(pcm: bytes, channels: int) -> bytes:
    return pcm if channels == 1 else downmix(pcm, channels)
