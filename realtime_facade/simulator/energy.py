"""Voice activity by loudness alone: the ear of a simulator that has nothing installed."""

import math
from collections import deque

import numpy as np

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
