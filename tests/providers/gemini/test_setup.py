"""What a configuration becomes in the setup message, and what is said about the rest."""

import pytest

from realtime_facade.config import (
    RealtimeConfig,
    SemanticEagerness,
    SemanticVAD,
    ServerVAD,
    Transcription,
    VADMode,
)
from realtime_facade.errors import ConfigurationError
from realtime_facade.providers.gemini.families import FAMILIES, UNKNOWN, family_of
from realtime_facade.providers.gemini.setup import build, has_manual_turns, warnings_about
from realtime_facade.tools.definition import ToolDefinition

MODEL = "gemini-3.8-live"


def setup(model=MODEL, tools=(), **settings):
    return build(RealtimeConfig(**settings), model, family_of(model), tools)


def warned(model=MODEL, **settings):
    found = warnings_about(RealtimeConfig(**settings), family_of(model))
    assert all(warning.message for warning in found)
    return [warning.setting for warning in found]


def test_defaults_ask_for_nothing_but_speech_and_its_transcripts():
    assert setup() == {
        "model": "models/gemini-3.8-live",
        "generationConfig": {"responseModalities": ["AUDIO"]},
        "sessionResumption": {},
        "contextWindowCompression": {"slidingWindow": {}},
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
    }
    assert warned() == []


def test_every_setting_that_can_be_had():
    body = setup(
        voice="Kore",
        instructions="Be brief.",
        temperature=0.7,
        max_tokens=512,
        transcription=Transcription(language="en"),
        interrupt_response=False,
        vad_prefix_padding_ms=20,
        vad_silence_duration_ms=500,
    )
    assert body["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "temperature": 0.7,
        "maxOutputTokens": 512,
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    }
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}], "role": "user"}
    assert body["inputAudioTranscription"] == {"languageCodes": ["en"]}
    assert body["realtimeInputConfig"] == {
        "automaticActivityDetection": {"prefixPaddingMs": 20, "silenceDurationMs": 500},
        "activityHandling": "NO_INTERRUPTION",
    }


def test_custom_voice_goes_by_its_id():
    speech = setup(voice="voice_abc")["generationConfig"]["speechConfig"]
    assert speech == {"voiceConfig": {"voice": "voice_abc"}}


def test_manual_turns_exclude_all_other_detection_settings():
    for mode in (VADMode.MANUAL, VADMode.DISABLED):
        body = setup(vad_mode=mode, vad_silence_duration_ms=500)
        assert body["realtimeInputConfig"] == {"automaticActivityDetection": {"disabled": True}}
        assert has_manual_turns(body)
    assert not has_manual_turns(setup())
    assert not has_manual_turns({"realtimeInputConfig": "?"})


@pytest.mark.parametrize(
    ("eagerness", "config"),
    [
        (SemanticEagerness.LOW, "END_SENSITIVITY_LOW"),
        (SemanticEagerness.HIGH, "END_SENSITIVITY_HIGH"),
        (SemanticEagerness.MEDIUM, None),
        (SemanticEagerness.AUTO, None),
    ],
)
def test_eagerness_becomes_sensitivity(eagerness, config):
    body = setup(turn_detection=SemanticVAD(eagerness=eagerness))
    detection = body.get("realtimeInputConfig", {}).get("automaticActivityDetection", {})
    assert detection.get("endOfSpeechSensitivity") == config
    assert warned(turn_detection=SemanticVAD(eagerness=eagerness)) == ["turn_detection"]


def test_what_cannot_be_had_is_said():
    assert warned(
        speed=1.2,
        vad_threshold=0.4,
        create_response=False,
        transcription=Transcription(model="m", prompt="p"),
        tool_choice="required",
    ) == [
        "speed",
        "vad_threshold",
        "create_response",
        "transcription.model",
        "transcription.prompt",
        "tool_choice",
    ]
    assert warned(turn_detection=ServerVAD(threshold=0.4)) == ["vad_threshold"]
    assert warned(speed=1.0, tool_choice="none", vad_mode=VADMode.MANUAL) == []


def test_text_on_a_model_that_speaks_is_refused():
    for family in FAMILIES:
        if family.modalities == ("audio",):
            with pytest.raises(ConfigurationError, match="audio only") as caught:
                setup(family.prefix, modalities=("text",))
            assert "transcript" in caught.value.advice


def test_speech_of_a_model_that_writes_is_refused():
    with pytest.raises(ConfigurationError, match="text only"):
        setup("gemini-robotics-er-2-streaming-preview")


def test_text_where_it_can_be_had():
    body = setup("gemini-live-2.5-flash", modalities=("text",), voice="Puck")
    assert body["generationConfig"] == {"responseModalities": ["TEXT"]}
    assert "outputAudioTranscription" not in body
    assert warned("gemini-live-2.5-flash", modalities=("text",), voice="Puck") == ["voice"]


def test_thinking_level_where_a_model_insists_on_one():
    model = "gemini-3.8-live-extended-thinking"
    assert setup(model)["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "LOW"}
    options = {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}}
    generation = setup(model, provider_options=options)["generationConfig"]
    assert generation == {
        "thinkingConfig": {"thinkingLevel": "HIGH"},
        "responseModalities": ["AUDIO"],
    }


def test_options_merge_into_the_message():
    body = setup(
        temperature=0.5,
        provider_options={
            "generationConfig": {"topK": 4, "temperature": 0.1},
            "contextWindowCompression": None,
            "sessionResumption": {"handle": "h"},
            "proactivity": {"proactiveAudio": True},
        },
    )
    assert body["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "temperature": 0.1,
        "topK": 4,
    }
    assert "contextWindowCompression" not in body
    assert body["sessionResumption"] == {"handle": "h"}
    assert body["proactivity"] == {"proactiveAudio": True}


def test_building_leaves_the_configuration_and_the_defaults_alone():
    options = {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}}
    setup("gemini-3.8-live-extended-thinking", provider_options=options)
    assert options == {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}}
    assert family_of("gemini-3.8-live-extended-thinking").generation_defaults == {
        "thinkingConfig": {"thinkingLevel": "LOW"}
    }


def test_functions_share_one_tool_after_the_providers_own():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = (
        ToolDefinition(name="weather", description="Weather.", parameters=schema),
        ToolDefinition(name="clock"),
    )
    options = {"tools": [{"googleSearch": {}}]}
    assert setup(tools=tools, provider_options=options)["tools"] == [
        {"googleSearch": {}},
        {
            "functionDeclarations": [
                {"name": "weather", "description": "Weather.", "parametersJsonSchema": schema},
                {"name": "clock", "description": ""},
            ]
        },
    ]


def test_no_function_is_offered_when_none_may_be_called():
    tools = (ToolDefinition(name="clock"),)
    assert "tools" not in setup(tools=tools, tool_choice="none")


def test_tools_that_are_no_list_are_refused():
    with pytest.raises(ConfigurationError, match="not a list"):
        setup(provider_options={"tools": {"googleSearch": {}}})


def test_path_before_a_model_is_kept():
    model = "tunedModels/mine"
    assert build(RealtimeConfig(), model, UNKNOWN, ())["model"] == model
