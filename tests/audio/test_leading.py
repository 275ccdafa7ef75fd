import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.audio.leading import KEPT_MS, LONGEST_MS, LeadingSilence

RATE = 8_000
MS = RATE // 1000
LOUD = np.full(50 * MS, 3_000, "<i2").tobytes()


def quiet(ms: int) -> bytes:
    noise = np.random.default_rng(1).integers(-45, 45, ms * MS)
    return noise.astype("<i2").tobytes()


def trim_all(leading: LeadingSilence, pcm: bytes, chunk: int, item: str = "a") -> tuple[bytes, int]:
    heard, skipped = b"", 0
    for start in range(0, len(pcm), 2 * chunk):
        end = start + 2 * chunk
        part, left_out = leading.trim(item, pcm[start:end], is_final=end >= len(pcm))
        heard += part
        skipped += left_out
    return heard, skipped


@given(st.integers(0, 900), st.integers(1, 200 * MS))
def test_all_but_a_little_of_the_silence_goes_whatever_the_chunks(silent_ms, chunk):
    pcm = quiet(silent_ms) + LOUD + quiet(300) + LOUD
    heard, skipped = trim_all(LeadingSilence(RATE), pcm, chunk)
    assert skipped == max(silent_ms - KEPT_MS, 0) * MS
    assert heard == pcm[2 * skipped :]


def test_speech_at_once_is_not_touched():
    assert trim_all(LeadingSilence(RATE), LOUD, 100) == (LOUD, 0)


def test_each_item_is_trimmed():
    leading = LeadingSilence(RATE)
    for item in "ab":
        _, skipped = trim_all(leading, quiet(200) + LOUD, 160, item)
        assert skipped == (200 - KEPT_MS) * MS


@pytest.mark.parametrize("ms", [100, LONGEST_MS + 500])
def test_an_item_of_silence_is_kept_but_for_its_beginning(ms):
    heard, skipped = trim_all(LeadingSilence(RATE), quiet(ms), 20 * MS)
    assert len(heard) // 2 + skipped == ms * MS
    assert heard


def test_a_cut_item_leaves_nothing_to_the_next():
    leading = LeadingSilence(RATE)
    assert leading.trim("a", quiet(100)) == (b"", 0)
    leading.reset()
    _, skipped = trim_all(leading, quiet(100) + LOUD, 160, "a")
    assert skipped == (100 - KEPT_MS) * MS
