"""A microphone that is a sound file, and a loudspeaker whose sound ends up in one."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from ..audio.pcm import SAMPLE_BYTES
from ..audio.wav import WavWriter, read_wav
from ..errors import ConfigurationError, RealtimeError
from .base import AudioInputDevice, report
from .clocked import ClockedSpeaker
from .null import wait_until
from .tape import Samples

_CHUNK_S = 0.02


class FileMicrophone(AudioInputDevice):
    """A WAV file, mono or mixed down, 20 ms at a time; then silence; then the end of the stream.

    Args:
        path: Anything that `read_wav` takes; read by `start`, which settles `sample_rate`.
        realtime: False: as fast as the consumer takes it.
        speed: How many times faster than real time.
        trailing_silence_ms: What follows the file, so that voice activity detection notices the
            end of the last words; `math.inf` goes on until `stop`.

    Raises:
        ConfigurationError: If a number is impossible.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        realtime: bool = True,
        speed: float = 1.0,
        trailing_silence_ms: float = 1_000,
    ) -> None:
        if not 0 < speed < float("inf"):
            raise ConfigurationError(f"a speed of {speed} is impossible")
        if not trailing_silence_ms >= 0:
            raise ConfigurationError(f"{trailing_silence_ms} ms of silence are impossible")
        self.path = Path(path)
        self._pace = _CHUNK_S / speed if realtime else None
        self._silence_ms = trailing_silence_ms
        self._pcm = b""
        self._stopped: asyncio.Event | None = None

    async def start(self) -> None:
        """Read the file; again has no effect.

        Raises:
            AudioFormatError: If the file cannot be read or is no WAV file.
            MissingExtra: If `soundfile` is not installed.
        """
        if not self.is_active:
            self._pcm, self.sample_rate = await asyncio.to_thread(read_wav, self.path)
            self._stopped = asyncio.Event()

    async def stop(self) -> None:
        """End the stream; again has no effect."""
        if self._stopped is not None:
            self._stopped.set()

    async def stream_chunks(self) -> AsyncIterator[bytes]:
        """Yield the file from its beginning, then the silence."""
        if self._stopped is None:
            raise ConfigurationError("the microphone is not started", advice="await start() first")
        stopped = self._stopped
        size = SAMPLE_BYTES * round(self.sample_rate * _CHUNK_S)
        tail = SAMPLE_BYTES * self.sample_rate * self._silence_ms / 1000
        due = asyncio.get_running_loop().time()
        position = 0
        while position < len(self._pcm) + tail and not stopped.is_set():
            chunk = self._pcm[position : position + size]
            yield chunk.ljust(size, b"\0")
            position += size
            if self._pace is None:
                # A consumer that never waits would otherwise keep every other task waiting.
                await asyncio.sleep(0)
            else:
                due += self._pace
                await wait_until(due, stopped)
        stopped.set()

    @property
    def is_active(self) -> bool:
        """Started, and neither stopped nor at the end."""
        return self._stopped is not None and not self._stopped.is_set()


class FileSpeaker(ClockedSpeaker):
    """Writes a mono WAV file on the listener's timeline, from `start` to `stop`.

    Where nothing sounded there is silence, and what was cut off is not in the file. The file is
    brought up to date by every call, and can be played after a crash. A disk that fails is reported
    once to `on_error`; the time goes on.

    Args:
        path: The file; replaced by `start`.
        rate: Hz of what is written, and of the file.
        realtime: False: everything counts as heard in the moment it is written, and the file holds
            speech alone.
        latency_ms: From writing to hearing; 0 unless `realtime`.
        clock: Seconds since some moment; never goes back.

    Raises:
        ConfigurationError: If a number is impossible.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rate: int = 24_000,
        realtime: bool = True,
        latency_ms: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(rate, latency_ms, clock)
        if latency_ms and not realtime:
            raise ConfigurationError("a latency needs realtime=True")
        self.path = Path(path)
        self._realtime = realtime
        self._file: WavWriter | None = None
        self._broken = False

    async def start(self) -> None:
        """Create the file and let the time run; again has no effect.

        Raises:
            RealtimeError: With the cause "device" if the file cannot be created.
        """
        if not self._running:
            self._file = await asyncio.to_thread(WavWriter, self.path, self.sample_rate)
            self._broken = False
            await super().start()

    async def stop(self) -> None:
        """Finish the file; again has no effect."""
        await super().stop()
        if self._file is not None:
            file, self._file = self._file, None
            await asyncio.to_thread(file.close)

    def _work_off(self, due: int) -> None:
        if self._realtime:
            super()._work_off(due)
            return
        while len(heard := self._tape.read(self.sample_rate)):
            self._tape.forget(self._tape.head)
            self._sound(heard)

    def _sound(self, heard: Samples) -> None:
        if self._file is None or self._broken:
            return
        try:
            self._file.write(heard.tobytes())
        except RealtimeError as error:
            self._broken = True
            report(self, error)
