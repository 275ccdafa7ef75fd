"""Takes the loudspeaker's sound out of the microphone, so that a person can be told from the echo.

The canceller is WebRTC's AEC3, in the package `livekit` (extra `aec`). It works inside the program:
no server, no network. Measured figures are in docs/explanation/echo.md.
"""

import statistics
from collections import deque

import numpy as np

from ..errors import ConfigurationError, MissingExtra, RealtimeError
from .pcm import FULL_SCALE, SAMPLE_BYTES, samples

RATES = (8_000, 16_000, 24_000, 32_000, 48_000)
"""Hz that the canceller takes."""
EFFECTIVE_DB = 10.0
QUEUE_S = 0.25
"""How far the loudspeaker's sound may lie ahead of the microphone's."""
RESERVE_S = 0.005
"""What is put in besides when the loudspeaker's sound comes late: the canceller has to learn anew
after each insertion, so there should be few (2 in place of 5 at 4 ms of jitter, measured)."""


class EchoCanceller:
    """One call's echo canceller.

    It finds the delay between loudspeaker and microphone by itself (40 to 400 ms are measured),
    and begins to work within the first second. A user who is quieter than the echo is taken away
    with it.

    The first instance loads a native library, which takes about 0.2 s and keeps a few threads of
    its own, idle, until the program ends; do not fork a program that has made one.

    One owner. A frame of 10 ms takes about 0.1 ms.

    Args:
        rate: Hz of both signals: 8, 16, 24, 32 or 48 kHz.

    Raises:
        ConfigurationError: If the rate is another, or the library cannot be loaded.
        MissingExtra: If `livekit` is not installed.
    """

    def __init__(self, rate: int) -> None:
        if rate not in RATES:
            raise ConfigurationError(
                f"echo cancellation does not work at {rate} Hz",
                advice=f"resample to one of: {', '.join(map(str, RATES))}",
            )
        try:
            from livekit import rtc
        except ImportError as error:
            raise MissingExtra("Echo cancellation", "aec", "livekit") from error
        try:
            # No noise suppression: it changed none of the measured figures, only the user's voice.
            self._apm = rtc.AudioProcessingModule(echo_cancellation=True)
        except (ImportError, OSError, RuntimeError) as error:
            raise ConfigurationError(
                f"livekit is installed but does not work here: {error}",
                advice="reinstall it, or switch echo cancellation off",
            ) from error
        self._new_frame = rtc.AudioFrame
        self.rate = rate
        self.dropped_ms = 0.0
        """Far-end sound that was thrown away because the microphone had paused."""
        self._frame_bytes = rate // 100 * SAMPLE_BYTES
        self._near = bytearray()
        self._far = bytearray()
        self._far_sounds = False
        self._erle = _Erle()

    @property
    def erle_db(self) -> float | None:
        """Echo return loss enhancement: by how much the echo became quieter.

        The median over the last 5 s in which the loudspeaker sounded and its echo stood out of the
        room's noise by 15 dB; moments in which the user talks over it hardly move it. None before
        there was 1 s of that, as with headphones, where there is no echo to cancel.
        """
        return self._erle.median_db

    @property
    def is_effective(self) -> bool:
        """Whether a person can be told from what is left of the echo: 10 dB and more."""
        return self.erle_db is not None and self.erle_db >= EFFECTIVE_DB

    def process(self, near: bytes, far: bytes) -> bytes:
        """Take the far end out of the microphone.

        Chunks may have any length. The canceller works in frames of 10 ms, so up to 10 ms of
        `near` are kept for the next call; the outputs, joined, do not depend on how the input was
        cut up. They come 8 to 11 ms after the input, which is the delay of AEC3's filters.

        Args:
            near: What the microphone heard, mono s16le.
            far: What the listener heard in the same stretch of time, mono s16le. If it is shorter
                there was silence; if it is longer the rest is kept for the next call, 250 ms at
                most. Beyond that the oldest is dropped, and both end at the same moment again.

        Returns:
            The microphone without the echo, in whole frames of 10 ms.

        Raises:
            AudioFormatError: If a sample is incomplete; nothing was taken.
            RealtimeError: If the native library fails; 10 ms of the microphone are lost.
        """
        for pcm in (near, far):
            samples(pcm)  # raises for half a sample
        missing = len(self._near) + len(near) - len(far)
        if far and not self._far and not self._far_sounds:
            # It has just begun to sound, so the silence was before.
            self._far += bytes(max(missing, 0))
        self._far_sounds = bool(far)
        self._near += near
        self._far += far
        ahead = len(self._far) - len(self._near)
        if ahead > QUEUE_S * self.rate * SAMPLE_BYTES:
            del self._far[:ahead]
            self.dropped_ms += ahead * 1000 / SAMPLE_BYTES / self.rate
        clean = bytearray()
        size = self._frame_bytes
        while len(self._near) >= size:
            lacking = size - len(self._far)
            if lacking > 0 and self._far_sounds:
                self._far += bytes(lacking + round(RESERVE_S * self.rate) * SAMPLE_BYTES)
            heard, played = bytes(self._near[:size]), bytes(self._far[:size]).ljust(size, b"\0")
            del self._near[:size], self._far[:size]
            clean += self._frame(heard, played)
        return bytes(clean)

    def _frame(self, near: bytes, far: bytes) -> bytes:
        count = len(near) // SAMPLE_BYTES
        played = self._new_frame(bytearray(far), self.rate, 1, count)
        heard = self._new_frame(bytearray(near), self.rate, 1, count)
        try:
            self._apm.process_reverse_stream(played)
            self._apm.process_stream(heard)
        except RuntimeError as error:
            raise RealtimeError(f"echo cancellation failed: {error}", code="aec") from error
        clean = bytes(heard.data)
        self._erle.measure(near, far, clean)
        return clean


class _Erle:
    """Compares levels in blocks of 100 ms. Levels are in dB below full scale."""

    BLOCK_FRAMES = 10
    ECHO_BLOCKS = 5
    """An echo is expected this long after its cause."""
    WINDOW_BLOCKS = 50
    ENOUGH_BLOCKS = 10
    SILENCE_DB = -50.0
    """The loudspeaker is silent below."""
    OUTSTANDING_DB = 15.0
    """More than is asked of the canceller, or noise alone would fail a perfect one."""
    QUIETEST_DB = -70.0
    NOISE_RISE_DB = 0.1
    """Per block: the noise is the quietest recent level, and the room may become louder."""

    def __init__(self) -> None:
        self.median_db: float | None = None
        self._powers: list[tuple[float, float, float]] = []
        self._far_db: deque[float] = deque(maxlen=self.ECHO_BLOCKS)
        self._noise_db: float | None = None
        self._measured_db: deque[float] = deque(maxlen=self.WINDOW_BLOCKS)

    def measure(self, near: bytes, far: bytes, clean: bytes) -> None:
        self._powers.append((_power(near), _power(far), _power(clean)))
        if len(self._powers) == self.BLOCK_FRAMES:
            near_db, far_db, clean_db = (
                10 * float(np.log10(statistics.fmean(power) + 1e-10))
                for power in zip(*self._powers, strict=True)
            )
            self._powers.clear()
            self._block(near_db, far_db, clean_db)

    def _block(self, near_db: float, far_db: float, clean_db: float) -> None:
        self._far_db.append(far_db)
        noise_db = near_db if self._noise_db is None else self._noise_db + self.NOISE_RISE_DB
        self._noise_db = max(min(near_db, noise_db), self.QUIETEST_DB)
        if max(self._far_db) > self.SILENCE_DB and near_db >= self._noise_db + self.OUTSTANDING_DB:
            self._measured_db.append(near_db - clean_db)
            if len(self._measured_db) >= self.ENOUGH_BLOCKS:
                self.median_db = statistics.median(self._measured_db)


def _power(pcm: bytes) -> float:
    values = samples(pcm).astype(np.float64) / FULL_SCALE
    return float(np.dot(values, values)) / len(values)
