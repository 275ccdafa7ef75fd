"""Sound that waits to be played: read once and in order, at a loudness that never jumps."""

from abc import abstractmethod
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from ..audio.pcm import SAMPLE_BYTES, samples
from ..errors import ConfigurationError
from .base import SinkDevice

RAMP_S = 0.005
"""From full loudness to silence, or back."""
MAX_WAITING_S = 1800
"""No answer is this long; beyond it something is wrong, and new sound is dropped and counted."""

Samples = NDArray[np.int16]


class Tape:
    """Mono samples with a reading head; positions count them, so a cut moves the end back.

    What was read is kept until `forget`, so that the head can go back. One owner, or one lock.

    Args:
        rate: Hz; it sets how fast the loudness may change.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.head = 0
        """The position to be read next."""
        self.held = False
        self.dropped = 0
        """Samples that found no room."""
        self._start = 0
        self._data = bytearray()
        self._volume = 1.0
        self._muted = False
        self._gain = 1.0

    @property
    def end(self) -> int:
        """The position after the last sample."""
        return self._start + len(self._data) // SAMPLE_BYTES

    @property
    def waiting(self) -> int:
        """Samples between the head and the end."""
        return self.end - self.head

    @property
    def idle(self) -> bool:
        """Whether a read would be silence."""
        return self.waiting == 0 or (self.held and self._gain == 0.0)

    @property
    def volume(self) -> float:
        return self._volume

    @volume.setter
    def volume(self, value: float) -> None:
        # The negation also refuses what is not a number.
        if not 0.0 <= value <= 1.0:
            raise ConfigurationError(
                f"a volume of {value} is impossible", advice="give a number from 0.0 to 1.0"
            )
        self._volume = float(value)
        self._settle()

    @property
    def muted(self) -> bool:
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        self._muted = bool(value)
        self._settle()

    def write(self, pcm: bytes) -> None:
        """Append mono s16le.

        Raises:
            AudioFormatError: If a sample is incomplete; nothing is appended.
        """
        added = len(samples(pcm))
        room = max(MAX_WAITING_S * self.rate - self.waiting, 0)
        self._data += pcm[: room * SAMPLE_BYTES]
        self.dropped += max(added - room, 0)

    def read(self, count: int) -> Samples:
        """The next samples at the present loudness: `count`, or fewer at the end or in a hold."""
        self._settle()
        if self.idle or count < 1:
            return np.zeros(0, np.int16)
        target = self._target
        step = 1 / (RAMP_S * self.rate)
        if self.held:
            count = min(count, int(np.ceil(self._gain / step)))
        data = self._slice(self.head, min(self.head + count, self.end))
        self.head += len(data)
        if self._gain == target == 1.0:
            return data
        way = np.sign(target - self._gain) * step * np.arange(1, len(data) + 1)
        low, high = min(self._gain, target), max(self._gain, target)
        gains = np.clip(self._gain + way, low, high)
        self._gain = float(gains[-1])
        loud: NDArray[np.float64] = np.rint(data * gains)
        return loud.astype(np.int16)

    def cut(self, position: int) -> None:
        """Forget everything from `position` on, end a hold, and go on from there."""
        del self._data[max(position - self._start, 0) * SAMPLE_BYTES :]
        self._start = min(self._start, position)
        self.head = position
        self.held = False
        self._gain = self._target

    def rest(self) -> bytes:
        """What has not been read."""
        return bytes(self._data[(self.head - self._start) * SAMPLE_BYTES :])

    def rewind(self, position: int) -> None:
        """Read again from `position`, which is not forgotten, fading in."""
        self.head = min(max(position, self._start), self.end)
        self._gain = 0.0

    def forget(self, position: int) -> None:
        """Free what lies before `position`."""
        position = min(position, self.head)
        if position > self._start:
            del self._data[: (position - self._start) * SAMPLE_BYTES]
            self._start = position

    @property
    def _target(self) -> float:
        return 0.0 if self.held or self._muted else self._volume

    def _settle(self) -> None:
        # Nobody can hear a jump in silence.
        if self.idle:
            self._gain = self._target

    def _slice(self, start: int, end: int) -> Samples:
        # A copy: an array over the bytearray itself would forbid it to grow.
        cut = slice((start - self._start) * SAMPLE_BYTES, (end - self._start) * SAMPLE_BYTES)
        return np.frombuffer(bytes(self._data[cut]), "<i2")


class TapeDevice(SinkDevice):
    """A device whose loudness and pause are those of a tape."""

    @abstractmethod
    def _now(self) -> AbstractContextManager[Tape]:
        """The tape, brought up to the present and nobody else's for as long."""

    def hold(self) -> None:
        """Fade out within about 5 ms and stand still; what is queued stays."""
        with self._now() as tape:
            tape.held = True

    def resume(self) -> None:
        """Fade in with the sample after the last that sounded. Without a `hold` no effect."""
        with self._now() as tape:
            tape.held = False

    @property
    def volume(self) -> float:
        """0.0 (silent) to 1.0 (as written); a change takes about 5 ms and makes no click.

        Raises:
            ConfigurationError: A `ValueError`, when set to anything else.
        """
        with self._now() as tape:
            return tape.volume

    @volume.setter
    def volume(self, value: float) -> None:
        with self._now() as tape:
            tape.volume = value

    @property
    def muted(self) -> bool:
        """While true the audio runs on, unheard, and `volume` keeps its value."""
        with self._now() as tape:
            return tape.muted

    @muted.setter
    def muted(self, value: bool) -> None:
        with self._now() as tape:
            tape.muted = value
