"""Exact where exactness was promised, close to an ideal resampler where it was not."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_facade.audio.pcm import chunks, samples, silence
from realtime_facade.audio.resample import MAX_RATE, MIN_RATE, Resampler, resample
from realtime_facade.errors import AudioFormatError

RATES = (8_000, 16_000, 24_000, 44_100, 48_000)
PAIRS = list(permutations(RATES, 2))
SAME = (24_000, 24_000)
# Ratios and primes at which rounding goes wrong first.
ODD_PAIRS = [(MIN_RATE, MAX_RATE), (MAX_RATE, MIN_RATE), (96_000, 8_000), (11_025, 16_000)]
ODD_PAIRS += [(191_999, 8_009), (8_009, 191_999), (24_000, 24_001), (24_001, 24_000)]


def noise(count: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).integers(-32768, 32768, count).astype("<i2").tobytes()


def tone(hz: float, seconds: float, rate: int, level: float = 16_000) -> bytes:
    time = np.arange(round(seconds * rate)) / rate
    return np.rint(level * np.sin(2 * np.pi * hz * time)).astype("<i2").tobytes()


def stream(resampler: Resampler, pieces: list[bytes]) -> bytes:
    return b"".join([resampler.push(piece) for piece in pieces]) + resampler.flush()


def exact_length(count: int, from_rate: int, to_rate: int) -> int:
    return (2 * count * to_rate + from_rate) // (2 * from_rate)


@pytest.mark.parametrize("pair", [*PAIRS, SAME])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_cutting_gives_the_same_bytes(pair: tuple[int, int], data: st.DataObject):
    pcm = noise(data.draw(st.integers(0, 3_000)), data.draw(st.integers(0, 99)))
    cuts = data.draw(st.lists(st.integers(0, len(pcm)), max_size=30).map(sorted))
    pieces = [pcm[a:b] for a, b in pairwise([0, *cuts, len(pcm)])]

    assert stream(Resampler(*pair), pieces) == resample(pcm, *pair)


@pytest.mark.parametrize("size", [1, 2, 3, 959, 960])
@pytest.mark.parametrize("pair", [(8_000, 24_000), (24_000, 8_000), (44_100, 24_000), SAME])
def test_tiny_and_uneven_chunks_give_the_same_bytes(pair: tuple[int, int], size: int):
    pcm = noise(3_001)
    pieces = [pcm[i : i + size] for i in range(0, len(pcm), size)]
    assert stream(Resampler(*pair), pieces) == resample(pcm, *pair)


@pytest.mark.parametrize("pair", [*PAIRS, *ODD_PAIRS, SAME])
def test_the_total_length_is_exact(pair: tuple[int, int]):
    for count in [*range(30), 333, 999, 4_801, 20_011]:
        assert len(resample(bytes(2 * count), *pair)) == 2 * exact_length(count, *pair), count


@pytest.mark.parametrize("pair", PAIRS)
def test_a_tone_stays_the_same_tone(pair: tuple[int, int]):
    from_rate, to_rate = pair
    got = samples(resample(tone(1_000, 0.5, from_rate), from_rate, to_rate)).astype(float)

    middle = slice(len(got) // 4, -len(got) // 4)
    angle = 2 * np.pi * 1_000 * np.arange(len(got)) / to_rate
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)[middle]
    (sine, cosine), *_ = np.linalg.lstsq(basis, got[middle], rcond=None)
    rest = got[middle] - basis @ [sine, cosine]
    level = np.hypot(sine, cosine)

    assert level == pytest.approx(16_000, rel=0.001)
    # Within what 16-bit steps leave; the wrong filter costs 30 dB and more.
    assert 20 * np.log10(level / np.sqrt(2) / rest.std()) > 84
    late_ms = np.arctan2(-cosine, sine) / (2 * np.pi)
    assert abs(late_ms) < 0.25


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_the_lower_rate_cannot_hold_does_not_come_back_as_another_tone(pair: tuple[int, int]):
    from_rate, to_rate = pair
    hz = min(1.15 * to_rate / 2, (from_rate + to_rate) / 4)
    got = samples(resample(tone(hz, 0.6, from_rate), from_rate, to_rate))
    # At the ends the tone is switched on and off, which is sound of every frequency.
    assert np.abs(got[len(got) // 4 : -len(got) // 4]).max() <= 1


@pytest.mark.parametrize("pair", PAIRS)
def test_silence_stays_silence(pair: tuple[int, int]):
    assert not any(resample(silence(100, pair[0]), *pair))


def test_overshoot_is_clipped_not_wrapped():
    square = np.tile(np.repeat([32767, -32768], 24), 50).astype("<i2").tobytes()
    got = samples(resample(square, 24_000, 48_000)).astype(int)
    assert (got.min(), got.max()) == (-32768, 32767)
    # A wrapped sample would stand alone, with the other sign, in the middle of a half wave.
    assert (got[60:84] > 0).all() or (got[60:84] < 0).all()


@pytest.mark.parametrize("pair", PAIRS)
def test_live_chunks_come_out_steadily_and_soon(pair: tuple[int, int]):
    resampler = Resampler(*pair)
    delays, lengths = [], []
    for chunk in chunks(noise(pair[0]), 20, pair[0]):
        lengths.append(len(resampler.push(chunk)) // 2)
        delays.append(resampler.delay_ms)
    assert max(delays) < 31
    settled = delays[2:]
    assert max(settled) - min(settled) < 0.2
    assert set(lengths[3:]) == {pair[1] // 50}
    resampler.flush()
    assert resampler.delay_ms == 0


def test_equal_rates_pass_audio_at_once():
    resampler = Resampler(*SAME)
    assert resampler.push(b"abc") == b"ab"
    assert resampler.delay_ms == 0
    assert resampler.push(b"d") == b"cd"
    assert resampler.flush() == b""


@pytest.mark.parametrize("pair", [(8_000, 24_000), (48_000, 16_000), SAME])
def test_after_reset_nothing_of_the_old_stream_is_left(pair: tuple[int, int]):
    resampler = Resampler(*pair)
    resampler.push(noise(500) + b"x")
    resampler.reset()
    assert resampler.delay_ms == 0
    assert stream(resampler, [noise(700, seed=2)]) == resample(noise(700, seed=2), *pair)


@pytest.mark.parametrize("pair", [(8_000, 24_000), (48_000, 16_000), SAME])
def test_flush_begins_a_new_stream(pair: tuple[int, int]):
    resampler = Resampler(*pair)
    once = stream(resampler, [noise(700)])
    assert resampler.flush() == b""
    assert stream(resampler, [noise(700)]) == once


@pytest.mark.parametrize("pair", [(8_000, 24_000), SAME])
def test_an_end_within_a_sample_is_an_error_and_leaves_a_fresh_stream(pair: tuple[int, int]):
    resampler = Resampler(*pair)
    resampler.push(noise(100) + b"x")
    with pytest.raises(AudioFormatError, match="middle of a 16-bit sample"):
        resampler.flush()
    assert stream(resampler, [noise(700)]) == resample(noise(700), *pair)


@pytest.mark.parametrize(
    "pair", [(0, 24_000), (24_000, 7_999), (192_001, 24_000), (-8_000, -8_000)]
)
def test_rates_out_of_range_are_refused(pair: tuple[int, int]):
    with pytest.raises(AudioFormatError, match="not between 8000 and 192000"):
        Resampler(*pair)
