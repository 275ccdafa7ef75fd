"""Bytes in, bytes out, against plain Python arithmetic."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.audio import pcm
from realtime_facade.errors import AudioFormatError

values = st.lists(st.integers(-32768, 32767), max_size=50)


def pack(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}h", *numbers)


def unpack(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 2}h", data))


def clip(number: int) -> int:
    return max(-32768, min(32767, number))


def test_duration_counts_samples_not_bytes():
    assert pcm.duration_ms(bytes(960), 24_000) == 20.0
    assert pcm.duration_ms(b"", 24_000) == 0.0


def test_silence_is_the_nearest_number_of_samples():
    assert pcm.silence(20, 24_000) == bytes(960)
    assert pcm.silence(0.5, 11_025) == bytes(2 * 6)
    assert pcm.silence(0, 8_000) == b""


def test_chunks_are_equal_but_for_the_last():
    whole = pack(*range(250))
    pieces = list(pcm.chunks(whole, 10, 10_000))
    assert [len(piece) for piece in pieces] == [200, 200, 100]
    assert b"".join(pieces) == whole
    assert list(pcm.chunks(b"", 10, 10_000)) == []


def test_chunks_too_short_for_a_sample_are_refused_at_once():
    with pytest.raises(AudioFormatError, match="no sample"):
        pcm.chunks(bytes(4), 0.01, 8_000)


@given(values)
def test_float_round_trip_is_exact(numbers: list[int]):
    floats = pcm.to_float32(pack(*numbers))
    assert floats.dtype == np.float32
    assert floats.tolist() == [number / 32768 for number in numbers]
    assert unpack(pcm.from_float32(floats)) == numbers


def test_float_beyond_full_scale_is_clipped_and_rounded_to_nearest():
    floats = np.array([1.0, -1.0, 7.0, -7.0, 0.6 / 32768, -0.6 / 32768, 0.4 / 32768])
    assert unpack(pcm.from_float32(floats)) == [32767, -32768, 32767, -32768, 1, -1, 0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_float_that_is_no_number_is_refused(bad: float):
    with pytest.raises(AudioFormatError, match="finite"):
        pcm.from_float32(np.array([0.0, bad], np.float32))


def test_two_dimensions_are_refused_with_advice():
    with pytest.raises(AudioFormatError, match=r"shape \(2, 3\).*mix"):
        pcm.from_float32(np.zeros((2, 3), np.float32))


@given(values, values)
def test_mix_adds_clips_and_keeps_the_longer(a: list[int], b: list[int]):
    length = max(len(a), len(b))
    padded = zip(a + [0] * (length - len(a)), b + [0] * (length - len(b)), strict=True)
    assert unpack(pcm.mix(pack(*a), pack(*b))) == [clip(x + y) for x, y in padded]


def test_downmix_takes_the_mean_without_overflow():
    assert unpack(pcm.downmix(pack(30_000, 32_000, -5, -7), 2)) == [31_000, -6]
    assert unpack(pcm.downmix(pack(1, 2, 6), 3)) == [3]
    assert pcm.downmix(pack(1, 2), 1) == pack(1, 2)
    assert pcm.downmix(b"", 2) == b""


def test_downmix_refuses_half_a_frame_and_no_channels():
    with pytest.raises(AudioFormatError, match="2 channels"):
        pcm.downmix(pack(1, 2, 3), 2)
    with pytest.raises(AudioFormatError, match="0 channels"):
        pcm.downmix(pack(1), 0)


def test_gain_rounds_and_clips():
    assert unpack(pcm.gain(pack(100, -100, 20_000, -20_000), 2.0)) == [200, -200, 32767, -32768]
    assert unpack(pcm.gain(pack(3, 5), 0.25)) == [1, 1]
    with pytest.raises(AudioFormatError, match="finite"):
        pcm.gain(pack(1), float("nan"))


@pytest.mark.parametrize(
    "call",
    [
        lambda data: pcm.duration_ms(data, 8_000),
        lambda data: pcm.chunks(data, 20, 8_000),
        pcm.to_float32,
        lambda data: pcm.mix(data, b""),
        lambda data: pcm.downmix(data, 1),
        lambda data: pcm.gain(data, 1.0),
    ],
)
def test_half_a_sample_is_refused_everywhere(call):
    with pytest.raises(AudioFormatError, match="3 bytes"):
        call(bytes(3))


@pytest.mark.parametrize(("ms", "rate"), [(-1, 8_000), (float("nan"), 8_000), (20, 0), (20, -1)])
def test_impossible_times_and_rates_are_refused(ms: float, rate: int):
    with pytest.raises(AudioFormatError, match=r"not (-1|nan|0)"):
        pcm.silence(ms, rate)
