"""Arithmetic on raw sound: lengths, silence, chunks, levels and mixing of s16le bytes.

"s16le" is signed 16-bit little-endian, full scale -32768 to 32767. Every function takes bytes and
returns new bytes; results beyond full scale are clipped, never wrapped. Each raises
`AudioFormatError` for bytes that are not a whole number of samples and for impossible arguments.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioFormatError

SAMPLE_BYTES = 2
FULL_SCALE = 32_768


def samples(pcm: bytes) -> NDArray[np.int16]:
    """The samples as a read-only view of `pcm`, without a copy.

    Raises:
        AudioFormatError: If a sample is incomplete.
    """
    if len(pcm) % SAMPLE_BYTES:
        raise AudioFormatError(
            f"{len(pcm)} bytes are not a whole number of 16-bit samples",
            advice="cut audio at even positions, or keep the odd byte for the next chunk",
        )
    return np.frombuffer(pcm, dtype="<i2")


def to_s16(values: NDArray[Any]) -> bytes:
    """Values in units of one 16-bit step, rounded to the nearest (ties to even) and clipped."""
    clipped: NDArray[Any] = np.clip(np.rint(values), -FULL_SCALE, FULL_SCALE - 1)
    return clipped.astype("<i2").tobytes()


def duration_ms(pcm: bytes, rate: int) -> float:
    """How long mono `pcm` lasts at `rate` Hz."""
    return len(samples(pcm)) * 1000 / _checked(rate)


def silence(ms: float, rate: int) -> bytes:
    """Zeros for the nearest whole number of samples to `ms` at `rate` Hz."""
    return bytes(SAMPLE_BYTES * _samples_in(ms, rate))


def chunks(pcm: bytes, ms: float, rate: int) -> Iterator[bytes]:
    """Consecutive pieces of mono `pcm` of `ms` at `rate` Hz each; the last may be shorter.

    A length that is not a whole number of samples is rounded to the nearest.
    """
    step = SAMPLE_BYTES * _samples_in(ms, rate)
    if step == 0:
        raise AudioFormatError(f"a chunk of {ms} ms at {rate} Hz would hold no sample")
    total = SAMPLE_BYTES * len(samples(pcm))
    return (pcm[start : start + step] for start in range(0, total, step))


def to_float32(pcm: bytes) -> NDArray[np.float32]:
    """The samples divided by 32768, so from -1.0 to just below 1.0."""
    return samples(pcm).astype(np.float32) / np.float32(FULL_SCALE)


def from_float32(values: NDArray[np.floating[Any]]) -> bytes:
    """The inverse of `to_float32`; what lies outside -1.0 to 1.0 is clipped.

    Raises:
        AudioFormatError: If there is more than one dimension, or a value is not finite.
    """
    if values.ndim != 1:
        raise AudioFormatError(
            f"expected one dimension of samples, got the shape {values.shape}",
            advice="mix several channels down to one first, for example with values.mean(axis=1)",
        )
    if not np.isfinite(values).all():
        raise AudioFormatError("the audio holds values that are not finite numbers")
    return to_s16(values * FULL_SCALE)


def mix(a: bytes, b: bytes) -> bytes:
    """Both at once, clipped; as long as the longer one."""
    longer, shorter = sorted((samples(a), samples(b)), key=len, reverse=True)
    total = longer.astype(np.int32)
    total[: len(shorter)] += shorter
    return to_s16(total)


def downmix(pcm: bytes, channels: int) -> bytes:
    """One channel, the mean of `channels` interleaved ones."""
    if channels < 1 or len(pcm) % (SAMPLE_BYTES * channels):
        raise AudioFormatError(
            f"{len(pcm)} bytes are not a whole number of 16-bit frames of {channels} channels"
        )
    return to_s16(samples(pcm).reshape(-1, channels).mean(axis=1))


def gain(pcm: bytes, factor: float) -> bytes:
    """Every sample times `factor` (2.0 is +6 dB), clipped."""
    if not np.isfinite(factor):
        raise AudioFormatError(f"a gain has to be a finite number, not {factor}")
    return to_s16(samples(pcm) * factor)


def _samples_in(ms: float, rate: int) -> int:
    if not 0 <= ms < float("inf"):
        raise AudioFormatError(f"a duration has to be 0 ms or more, not {ms}")
    return round(ms * _checked(rate) / 1000)


def _checked(rate: int) -> int:
    if rate < 1:
        raise AudioFormatError(f"a sample rate has to be a positive number of Hz, not {rate}")
    return rate
