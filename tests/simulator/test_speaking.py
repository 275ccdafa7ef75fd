"""Speech is complete, cut evenly, paced as asked, and its words are never late."""

import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.clock import ScaledClock, SystemClock
from realtime_facade.simulator.speaking import SpokenChunk, closing, generate, tokens

TEXT = "Hello there! This is a somewhat longer sentence, isn't it?\n Yes, it is. "


async def spoken(text: str = TEXT, *, speed: float = 0, rate: int = 24_000) -> list[SpokenChunk]:
    speech = generate(
        BabbleVoice(), text, clock=SystemClock(), speed=speed, chunk_ms=100, rate=rate
    )
    return [chunk async for chunk in speech]


@given(st.text())
def test_tokens_join_to_the_text(text: str):
    assert "".join(tokens(text)) == text


async def test_all_words_and_all_audio_arrive():
    chunks = await spoken()
    whole = b"".join([pcm async for pcm in BabbleVoice().speak(TEXT)])
    assert "".join(chunk.text for chunk in chunks) == TEXT
    assert b"".join(chunk.pcm for chunk in chunks) == whole
    assert {len(chunk.pcm) for chunk in chunks[:-1]} == {4_800}
    assert 0 < len(chunks[-1].pcm) <= 4_800


async def test_words_lead_the_audio():
    played = said = 0.0
    for chunk in await spoken():
        said += len(chunk.text)
        assert said >= min(played * 15, len(TEXT))
        played += len(chunk.pcm) / 48_000


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
async def test_other_rates_last_as_long(rate: int):
    seconds = sum(len(chunk.pcm) for chunk in await spoken(rate=rate)) / 2 / rate
    reference = sum(len(chunk.pcm) for chunk in await spoken()) / 48_000
    assert seconds == pytest.approx(reference, abs=0.001)


@pytest.mark.parametrize("text", ["", " ", "\n"])
async def test_what_makes_no_sound_is_still_said(text: str):
    assert "".join(chunk.text for chunk in await spoken(text)) == text


async def test_pace():
    start = time.monotonic()
    chunks = await spoken("One two three four five six.", speed=5)
    seconds = sum(len(chunk.pcm) for chunk in chunks) / 48_000
    assert 0.8 * seconds / 5 < time.monotonic() - start < seconds


async def test_a_fast_clock_paces_faster():
    start = time.monotonic()
    speech = generate(
        BabbleVoice(), TEXT, clock=ScaledClock(100), speed=1, chunk_ms=100, rate=24_000
    )
    assert len([chunk async for chunk in speech]) > 30
    assert time.monotonic() - start < 1


async def test_an_interrupted_voice_is_closed_at_once():
    closed = False

    class Endless:
        sample_rate = 24_000

        async def speak(self, text: str) -> AsyncIterator[bytes]:
            nonlocal closed
            try:
                while True:
                    yield bytes(9_600)
            finally:
                closed = True

    speech = generate(Endless(), "x", clock=SystemClock(), speed=0, chunk_ms=100, rate=24_000)
    async with closing(speech):
        async for _ in speech:
            break
    assert closed
