"""A loudspeaker without hardware: a clock says how much of its tape has sounded."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from ..errors import ConfigurationError
from .tape import Samples, Tape, TapeDevice

_STEP = 48_000
"""Samples worked off in one go, so that a long silence needs little memory."""


class ClockedSpeaker(TapeDevice):
    """Plays in real time without a thread or a timer: every call works off the time since the last.

    What is written while nothing is sounding begins `latency_ms` later; a cut or a hold works at
    once, as on a device that can drop what is on its way.

    Args:
        rate: Hz of what is written, 8 000 to 192 000.
        latency_ms: From writing to hearing.
        clock: Seconds since some moment; never goes back.

    Raises:
        ConfigurationError: If a number is impossible.
    """

    def __init__(self, rate: int, latency_ms: float, clock: Callable[[], float]) -> None:
        if not 8_000 <= rate <= 192_000:
            raise ConfigurationError(f"a rate of {rate} Hz is not between 8000 and 192000")
        if not 0 <= latency_ms < float("inf"):
            raise ConfigurationError(f"a latency of {latency_ms} ms is impossible")
        self.sample_rate = rate
        self._latency = round(latency_ms * rate / 1000)
        self._clock = clock
        self._tape = Tape(rate)
        self._running = False
        self._since = 0.0
        self._done = 0
        self._silent_until = 0

    async def start(self) -> None:
        """Let the time run; what was written before begins now. Again has no effect."""
        if not self._running:
            self._since, self._done, self._silent_until = self._clock(), 0, self._latency
            self._running = True

    async def stop(self) -> None:
        """Drop what is queued and let the time stand still; again has no effect."""
        self.clear()
        self._running = False

    def write(self, pcm: bytes) -> None:
        """Queue mono s16le at `sample_rate`.

        Raises:
            AudioFormatError: If a sample is incomplete.
        """
        with self._now() as tape:
            if not tape.waiting:
                self._silent_until = self._done + self._latency
            tape.write(pcm)

    def clear(self) -> None:
        """Fall silent, drop what is queued, end a hold."""
        with self._now() as tape:
            tape.cut(tape.head)

    def played_ms(self) -> float:
        """Milliseconds of written audio that have been heard."""
        with self._now() as tape:
            return tape.head * 1000 / tape.rate

    @property
    def is_playing(self) -> bool:
        """Whether something is sounding, or will after the latency."""
        with self._now() as tape:
            return self._running and not tape.idle

    @abstractmethod
    def _sound(self, heard: Samples) -> None:
        """What the listener heard since the last call, silence included."""

    @contextmanager
    def _now(self) -> Iterator[Tape]:
        if self._running:
            self._work_off(round((self._clock() - self._since) * self.sample_rate))
        yield self._tape

    def _work_off(self, due: int) -> None:
        while self._done < due:
            count = min(due - self._done, _STEP)
            silent = min(max(self._silent_until - self._done, 0), count)
            heard = np.zeros(count, np.int16)
            played = self._tape.read(count - silent) if silent < count else heard[:0]
            heard[silent : silent + len(played)] = played
            self._tape.forget(self._tape.head)
            self._done += count
            self._sound(heard)
