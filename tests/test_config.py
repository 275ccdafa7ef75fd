import pytest
from pydantic import ValidationError

from realtime_facade.config import (
    RealtimeConfig,
    SemanticEagerness,
    SemanticVAD,
    ServerVAD,
    Transcription,
    VADMode,
)


def test_plain_settings_and_turn_detection_say_the_same():
    plain = RealtimeConfig(
        vad_threshold=0.5, vad_prefix_padding_ms=300, vad_silence_duration_ms=500
    )
    assert plain.turns == ServerVAD(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500)
    semantic = SemanticVAD(eagerness=SemanticEagerness.LOW)
    assert RealtimeConfig(turn_detection=semantic).turns == semantic


@pytest.mark.parametrize("mode", [VADMode.MANUAL, VADMode.DISABLED, "manual"])
def test_manual_turns(mode):
    assert RealtimeConfig(vad_mode=mode).turns is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"turn_detection": ServerVAD(), "vad_threshold": 0.4}, "not both"),
        ({"turn_detection": ServerVAD(), "vad_mode": "manual"}, "needs vad_mode"),
        ({"vad_threshold": 1.5}, "less than or equal to 1"),
        ({"temperature": -1}, "greater than or equal to 0"),
        ({"input_rate": 4000}, "greater than or equal to 8000"),
        ({"modalities": ("video",)}, "'text' or 'audio'"),
        ({"volume": 3}, "Extra inputs"),
        ({"max_tokens": 0}, "greater than or equal to 1"),
    ],
)
def test_nonsense_is_refused_at_once(settings, message):
    with pytest.raises(ValidationError, match=message):
        RealtimeConfig(**settings)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, Transcription()),
        (False, None),
        (None, None),
        ({"language": "de"}, Transcription(language="de")),
    ],
)
def test_transcription_is_a_switch_or_settings(given, expected):
    assert RealtimeConfig(transcription=given).transcription == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [(["text", "audio"], ("audio",)), (["audio"], ("audio",)), (["text"], ("text",))],
)
def test_audio_brings_its_text(given, expected):
    assert RealtimeConfig(modalities=given).modalities == expected
