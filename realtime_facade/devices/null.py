"""Devices that are not there: for servers, tests, and conversations in writing."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from ..audio.pcm import SAMPLE_BYTES
from ..errors import ConfigurationError
from .base import AudioInputDevice
from .clocked import ClockedSpeaker
from .tape import Samples

_CHUNK_S = 0.02


class NullSpeaker(ClockedSpeaker):
    """Consumes speech in real time and knows what would have been heard.

    Args:
        rate: Hz of what is written, 8 000 to 192 000.
        latency_ms: From writing to hearing.
        clock: Seconds since some moment; never goes back.

    Raises:
        ConfigurationError: If a number is impossible.
    """

    def __init__(
        self,
        *,
        rate: int = 24_000,
        latency_ms: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(rate, latency_ms, clock)

    def _sound(self, heard: Samples) -> None:
        pass


class NullMicrophone(AudioInputDevice):
    """Silence in real time, 20 ms at a time; or nothing at all, until `stop`.

    Args:
        rate: Hz.
        silence: False: no chunk ever comes.
    """

    def __init__(self, *, rate: int = 24_000, silence: bool = True) -> None:
        if rate < 1:
            raise ConfigurationError(f"a rate of {rate} Hz is impossible")
        self.sample_rate = rate
        self._silence = silence
        self._stopped: asyncio.Event | None = None

    async def start(self) -> None:
        """Begin; again has no effect."""
        if not self.is_active:
            self._stopped = asyncio.Event()

    async def stop(self) -> None:
        """End the stream; again has no effect."""
        if self._stopped is not None:
            self._stopped.set()

    async def stream_chunks(self) -> AsyncIterator[bytes]:
        """Yield silence, or only wait."""
        if self._stopped is None:
            raise ConfigurationError("the microphone is not started", advice="await start() first")
        stopped = self._stopped
        if not self._silence:
            await stopped.wait()
            return
        chunk = bytes(SAMPLE_BYTES * round(self.sample_rate * _CHUNK_S))
        due = asyncio.get_running_loop().time()
        while not stopped.is_set():
            yield chunk
            due += _CHUNK_S
            await wait_until(due, stopped)

    @property
    def is_active(self) -> bool:
        """Started and not stopped."""
        return self._stopped is not None and not self._stopped.is_set()


async def wait_until(moment: float, stopped: asyncio.Event) -> None:
    """Until `moment` on the event loop's clock, or `stopped`."""
    try:
        async with asyncio.timeout_at(moment):
            await stopped.wait()
    except TimeoutError:
        return
