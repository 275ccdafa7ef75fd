"""Loudness tells speech from silence and from steady noise, on clean audio."""

import numpy as np
import pytest

from realtime_facade.audio.resample import resample
from realtime_facade.audio.vad import EnergyVad
from realtime_facade.simulator.babble import BabbleVoice


def share_of_speech(pcm: bytes) -> float:
    vad = EnergyVad()
    size = vad.frame_samples * 2
    frames = [pcm[start : start + size] for start in range(0, len(pcm) - size + 1, size)]
    return float(np.mean([vad.speech_probability(frame) >= 0.5 for frame in frames]))


def noise(sigma: float) -> bytes:
    values = np.random.default_rng(1).normal(0, sigma * 32_768, 16_000 * 5)
    return np.clip(values, -32_768, 32_767).astype("<i2").tobytes()


async def babble() -> bytes:
    text = "The weather in Paris is fine today and nobody knows how long that will last."
    pcm = b"".join([chunk async for chunk in BabbleVoice("a").speak(text)])
    return resample(pcm, 24_000, 16_000)


async def test_speech_is_speech():
    assert share_of_speech(bytes(32_000) + await babble()) > 0.6


async def test_speech_over_some_noise_is_speech():
    speech = np.frombuffer(bytes(64_000) + await babble(), "<i2").astype(np.float64)
    speech += np.random.default_rng(1).normal(0, 50, len(speech))
    assert share_of_speech(np.clip(speech, -32_768, 32_767).astype("<i2").tobytes()) > 0.5


@pytest.mark.parametrize("sigma", [0.0, 0.001, 0.01, 0.1, 0.3])
def test_silence_and_steady_noise_are_not(sigma: float):
    assert share_of_speech(noise(sigma)) < 0.01


def test_a_constant_offset_is_silence():
    assert share_of_speech(np.full(16_000, 8_000, "<i2").tobytes()) == 0
