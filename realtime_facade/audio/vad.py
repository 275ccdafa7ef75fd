"""What tells speech from everything else, frame by frame."""

from typing import Protocol


class Vad(Protocol):
    """Judges whether a frame of audio holds speech. One instance hears one stream."""

    sample_rate: int
    """Hz that it wants."""
    frame_samples: int
    """Samples per call."""

    def speech_probability(self, frame: bytes) -> float:
        """0 to 1 for exactly `frame_samples` samples of mono s16le."""
        ...
