"""What of a configuration is asked of the provider, and how."""

import threading

import pytest

from realtime_facade.commands import UpdateSession
from realtime_facade.config import RealtimeConfig, SemanticEagerness, SemanticVAD, Transcription
from realtime_facade.errors import ConfigurationError
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.providers.openai.session_config import (
    TRANSCRIPTION_MODEL,
    closing_silence_ms,
    plan,
    plan_update,
)
from realtime_facade.tools.definition import ToolDefinition

PCM = {"type": "audio/pcm", "rate": 24000}
TOOL = ToolDefinition(name="hang_up", description="End the call.")
TOOL_ON_WIRE = {
    "type": "function",
    "name": "hang_up",
    "description": "End the call.",
    "parameters": {"type": "object", "properties": {}},
}


def planned(*tools, **settings):
    config = RealtimeConfig(**settings)
    return plan(config, OpenAIProvider(api_key="k").profile(config), tools)


def session(*tools, **settings):
    return planned(*tools, **settings).session


def updated(changed, *tools, has_spoken=False, **settings):
    config = RealtimeConfig(**settings)
    command = UpdateSession(config=config, changed=frozenset(changed), tools=tools)
    profile = OpenAIProvider(api_key="k").profile(config)
    return plan_update(command, profile, has_spoken=has_spoken).session


def test_defaults_leave_everything_else_to_the_provider():
    assert session() == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": PCM,
                "turn_detection": {
                    "type": "server_vad",
                    "create_response": True,
                    "interrupt_response": True,
                },
                "transcription": {"model": TRANSCRIPTION_MODEL},
            },
            "output": {"format": PCM},
        },
    }


def test_everything_that_can_be_asked_for():
    asked = session(
        TOOL,
        voice="cedar",
        speed=1.25,
        instructions="Be kind.",
        max_tokens=500,
        modalities=("text",),
        vad_threshold=0.6,
        vad_prefix_padding_ms=200,
        vad_silence_duration_ms=400,
        create_response=False,
        interrupt_response=False,
        transcription=Transcription(model="gpt-transcribe", language="de", prompt="names"),
        tool_choice="hang_up",
    )
    assert asked["output_modalities"] == ["text"]
    assert asked["instructions"] == "Be kind."
    assert asked["max_output_tokens"] == 500
    assert asked["tools"] == [TOOL_ON_WIRE]
    assert asked["tool_choice"] == {"type": "function", "name": "hang_up"}
    assert asked["audio"]["output"] == {"format": PCM, "voice": "cedar", "speed": 1.25}
    assert asked["audio"]["input"]["transcription"] == {
        "model": "gpt-transcribe",
        "language": "de",
        "prompt": "names",
    }
    assert asked["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.6,
        "prefix_padding_ms": 200,
        "silence_duration_ms": 400,
        "create_response": False,
        "interrupt_response": False,
    }


def test_manual_turns_and_no_transcription_are_explicit():
    audio = session(vad_mode="manual", transcription=False)["audio"]["input"]
    assert (audio["turn_detection"], audio["transcription"]) == (None, None)


@pytest.mark.parametrize(
    ("eagerness", "on_wire"), [("auto", {}), ("high", {"eagerness": "high"})], ids=str
)
def test_semantic_turn_detection(eagerness, on_wire):
    turns = SemanticVAD(eagerness=SemanticEagerness(eagerness))
    assert session(turn_detection=turns)["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        **on_wire,
        "create_response": True,
        "interrupt_response": True,
    }


def test_voice_made_for_an_account_goes_by_its_id():
    assert session(voice="voice_1")["audio"]["output"]["voice"] == {"id": "voice_1"}


def test_tool_choice_must_name_a_tool_there_is():
    assert session(TOOL, tool_choice="required")["tool_choice"] == "required"
    with pytest.raises(ConfigurationError, match="hang_up"):
        planned(TOOL, tool_choice="dance")


def test_prompt_is_reported_where_the_transcription_model_takes_none():
    settings = {"transcription": Transcription(prompt="names")}
    [warning] = planned(**settings).warnings
    assert warning.setting == "transcription"
    assert "prompt" not in session(**settings)["audio"]["input"]["transcription"]


def test_provider_options_are_merged_deeply():
    options = {
        "reasoning": {"effort": "low"},
        "audio": {"input": {"noise_reduction": {"type": "near_field"}}},
        "tools": [{"type": "mcp", "server_label": "docs", "server_url": "https://x"}],
    }
    asked = session(TOOL, provider_options=options)
    assert asked["reasoning"] == {"effort": "low"}
    assert asked["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
    assert asked["audio"]["input"]["format"] == PCM
    assert [tool["type"] for tool in asked["tools"]] == ["function", "mcp"]
    assert [tool["type"] for tool in options["tools"]] == ["mcp"], "the caller's own is untouched"


@pytest.mark.parametrize(
    "options",
    [
        {"type": "transcription"},
        {"model": "other"},
        {"audio": {"input": {"format": {"type": "audio/pcmu"}}}},
        {"audio": {"output": {"format": {"type": "audio/pcma"}}}},
        {"audio": "loud"},
        {"audio": None},
        {"audio": {"input": None}},
        {"tools": None},
        {"metadata": threading.Lock()},
        {"audio": {"input": []}},
        {"audio": {"input": {"turn_detection": "server_vad"}}},
        {"tools": {}},
        {"metadata": object()},
    ],
)
def test_provider_options_that_would_break_the_session_are_refused(options):
    with pytest.raises(ConfigurationError):
        planned(provider_options=options)


def test_update_back_to_none_says_the_default():
    changed = {"instructions", "speed", "max_tokens", "tools", "tool_choice", "voice"}
    assert updated(changed) == {
        "type": "realtime",
        "instructions": "",
        "max_output_tokens": "inf",
        "tools": [],
        "tool_choice": "auto",
        "audio": {"output": {"speed": 1.0, "voice": "marin"}},
    }


def test_update_of_transcription():
    assert updated({"transcription"}, transcription=None) == {
        "type": "realtime",
        "audio": {"input": {"transcription": None}},
    }


def test_update_of_tools_carries_the_tools_of_the_provider_options():
    options = {"tools": [{"type": "mcp", "server_label": "docs"}]}
    tools = updated({"tools"}, TOOL, provider_options=options)["tools"]
    assert [tool["type"] for tool in tools] == ["function", "mcp"]


def test_update_of_provider_options_sends_each_touched_setting_whole():
    options = {
        "truncation": "disabled",
        "audio": {"input": {"turn_detection": {"idle_timeout_ms": 6000}}},
    }
    assert updated({"provider_options"}, provider_options=options) == {
        "type": "realtime",
        "truncation": "disabled",
        "audio": {
            "input": {
                "turn_detection": {
                    "type": "server_vad",
                    "create_response": True,
                    "interrupt_response": True,
                    "idle_timeout_ms": 6000,
                }
            }
        },
    }


def test_unheard_of_provider_options_are_passed_on():
    options = {"audio": {"input": {"turn_detection": None}, "echo": 5, "room": {1: "big"}}}
    assert session(provider_options=options)["audio"]["room"] == {"1": "big"}
    assert updated({"provider_options"}, provider_options=options)["audio"] == {
        "input": {"turn_detection": None},
        "echo": 5,
        "room": {"1": "big"},
    }


def test_model_of_a_running_session_stays():
    with pytest.raises(ConfigurationError, match="cannot be changed"):
        updated({"model"}, model="gpt-realtime-2")


def test_update_warns_only_of_what_changed():
    config = RealtimeConfig(temperature=0.3, instructions="x")
    profile = OpenAIProvider(api_key="k").profile(config)
    for changed, count in (("instructions", 0), ("temperature", 1)):
        command = UpdateSession(config=config, changed=frozenset({changed}))
        assert len(plan_update(command, profile, has_spoken=False).warnings) == count


def test_silence_that_closes_a_turn_survives_odd_options():
    assert closing_silence_ms({"silence_duration_ms": "long"}) == 1_000
    assert closing_silence_ms({"type": "semantic_vad", "eagerness": "new"}) == 8_500
