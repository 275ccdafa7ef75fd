"""Telephone audio: G.711 mu-law and A-law, one byte a sample, by table.

Bit for bit what the `audioop` of Python up to 3.12 gives, whose successors have no such codec.
8 000 Hz is what telephony means by G.711, but nothing here depends on the rate.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .pcm import samples

# ITU-T G.711 codes 14-bit (mu) and 13-bit (A) magnitudes as sign, 3 bits of segment and 4 bits of
# position in it; the bounds are the segments' last magnitudes, each twice as far as the one before.
# Mu-law adds its bias first and is clipped to stay within the last; A-law ends there by itself.
_MU_BOUNDS = np.array([0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF])
_MU_BIAS = 33
_MU_CLIP = 8158
_A_BOUNDS = np.array([0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF])
# A-law inverts every other bit so that silence is not a long run of equal bits on the line.
_A_TOGGLE = 0x55


def encode_mulaw(pcm: bytes) -> bytes:
    """Mono s16le to mu-law, half as many bytes.

    Raises:
        AudioFormatError: If a sample is incomplete.
    """
    return _mu_codes()[samples(pcm).view(np.uint16)].tobytes()


def decode_mulaw(data: bytes) -> bytes:
    """Mu-law to mono s16le, twice as many bytes."""
    return _mu_values()[np.frombuffer(data, np.uint8)].tobytes()


def encode_alaw(pcm: bytes) -> bytes:
    """Mono s16le to A-law, half as many bytes.

    Raises:
        AudioFormatError: If a sample is incomplete.
    """
    return _a_codes()[samples(pcm).view(np.uint16)].tobytes()


def decode_alaw(data: bytes) -> bytes:
    """A-law to mono s16le, twice as many bytes."""
    return _a_values()[np.frombuffer(data, np.uint8)].tobytes()


def _every_sample() -> NDArray[np.int32]:
    """All 16-bit values, in the order of their unsigned reading: the index of the code tables."""
    return np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)


@cache
def _mu_codes() -> NDArray[np.uint8]:
    value = _every_sample() >> 2
    magnitude = np.minimum(np.abs(value), _MU_CLIP) + _MU_BIAS
    segment = np.searchsorted(_MU_BOUNDS, magnitude)
    code: NDArray[np.int64] = segment << 4 | magnitude >> segment + 1 & 0x0F
    return (code ^ np.where(value < 0, 0x7F, 0xFF)).astype(np.uint8)


@cache
def _mu_values() -> NDArray[np.int16]:
    code = np.arange(256) ^ 0xFF
    magnitude = ((code & 0x0F) * 8 + 4 * _MU_BIAS << (code >> 4 & 7)) - 4 * _MU_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


@cache
def _a_codes() -> NDArray[np.uint8]:
    value = _every_sample() >> 3
    # The complement, not the negative: the smallest negative value shares the magnitude of zero.
    magnitude = np.where(value < 0, ~value, value)
    segment = np.searchsorted(_A_BOUNDS, magnitude)
    # The first two segments have the same step.
    code: NDArray[np.int64] = segment << 4 | magnitude >> np.maximum(segment, 1) & 0x0F
    return (code ^ _A_TOGGLE ^ np.where(value < 0, 0, 0x80)).astype(np.uint8)


@cache
def _a_values() -> NDArray[np.int16]:
    code = np.arange(256) ^ _A_TOGGLE
    segment = code >> 4 & 7
    within = (code & 0x0F) * 16 + np.where(segment == 0, 8, 0x108)
    magnitude: NDArray[np.int64] = within << np.maximum(segment - 1, 0)
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2")
