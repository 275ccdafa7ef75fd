"""Turns a configuration into Gemini's `setup` message, and says what of it cannot be had."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...config import RealtimeConfig, SemanticEagerness, SemanticVAD, ServerVAD
from ...errors import ConfigurationError
from ...events import ConfigWarning
from ...tools.definition import ToolDefinition
from ..base import Past
from .families import CUSTOM_VOICE_PREFIX, Family

_END_SENSITIVITY = {
    SemanticEagerness.LOW: "END_SENSITIVITY_LOW",
    SemanticEagerness.HIGH: "END_SENSITIVITY_HIGH",
}


def build(
    config: RealtimeConfig, model: str, family: Family, tools: Sequence[ToolDefinition]
) -> dict[str, Any]:
    """The body of `setup`, in the documented camelCase.

    Only what was asked for is sent, and beside it what a conversation of any length needs:
    handles for resumption and a context that slides. `config.provider_options` is merged into it
    last: objects merge, None removes a key, `tools` are added, anything else replaces.

    Raises:
        ConfigurationError: If the model cannot answer in the modality, or the options do not fit.
    """
    if config.modalities[0] not in family.modalities:
        only = family.modalities[0]
        raise ConfigurationError(
            f"the model {model!r} answers in {only} only",
            provider="gemini",
            advice=f'use modalities=("{only}",)'
            + (", which comes with its transcript" if only == "audio" else ""),
        )
    setup: dict[str, Any] = {
        "model": model if "/" in model else f"models/{model}",
        "generationConfig": _merged(family.generation_defaults, _generation(config)),
        "sessionResumption": {},
        # Without it the service ends a session after 15 minutes of audio.
        "contextWindowCompression": {"slidingWindow": {}},
    }
    if config.instructions is not None:
        setup["systemInstruction"] = system_instruction(config)
    if offered := tool_list(config, tools):
        setup["tools"] = offered
    if hearing := _realtime_input(config):
        setup["realtimeInputConfig"] = hearing
    if config.transcription is not None:
        language = config.transcription.language
        setup["inputAudioTranscription"] = {"languageCodes": [language]} if language else {}
    if "audio" in config.modalities:
        setup["outputAudioTranscription"] = {}
    options = {key: value for key, value in config.provider_options.items() if key != "tools"}
    return _merged(setup, options)


def add_past(setup: dict[str, Any], past: Past, family: Family) -> bool:
    """Ask for what makes a conversation go on: its handle, or a place for its history.

    Returns:
        Whether the first content is history, which the model does not answer.
    """
    if past.handle is not None:
        setup["sessionResumption"] = {**setup.get("sessionResumption", {}), "handle": past.handle}
        return False
    if not past.items or not family.initial_history:
        return False
    setup["historyConfig"] = {"initialHistoryInClientContent": True}
    return True


def has_manual_turns(setup: Mapping[str, Any]) -> bool:
    """Whether the application marks the user's turns, whoever asked for it."""
    node: Any = setup
    for key in ("realtimeInputConfig", "automaticActivityDetection", "disabled"):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node is True


def system_instruction(config: RealtimeConfig) -> dict[str, Any]:
    """The instructions as content. A missing role is refused (close 1007), so there is one."""
    return {"parts": [{"text": config.instructions or ""}], "role": "user"}


def tool_list(config: RealtimeConfig, tools: Sequence[ToolDefinition]) -> list[Any]:
    """The provider's own tools from the options, then all functions in one object, as the SDK does.

    `tool_choice="none"` has no field on this wire; it is had by offering no function.

    Raises:
        ConfigurationError: If `provider_options["tools"]` is not a list.
    """
    own = config.provider_options.get("tools") or []
    if not isinstance(own, list):
        raise ConfigurationError(
            'provider_options["tools"] is not a list',
            provider="gemini",
            advice='write it as the Live API does: [{"googleSearch": {}}]',
        )
    if not tools or config.tool_choice == "none":
        return own
    return [*own, {"functionDeclarations": [_declaration(tool) for tool in tools]}]


def warnings_about(config: RealtimeConfig, family: Family) -> tuple[ConfigWarning, ...]:
    """What was asked for and is not honoured, and what happens instead."""
    found: dict[str, str] = {}
    if config.speed not in (None, 1.0):
        found["speed"] = "the pace of speech cannot be set; ask for it in the instructions"
    turns = config.turns
    if isinstance(turns, ServerVAD) and turns.threshold is not None:
        found["vad_threshold"] = (
            "there is no threshold; provider_options can set startOfSpeechSensitivity and "
            "endOfSpeechSensitivity in realtimeInputConfig.automaticActivityDetection"
        )
    if isinstance(turns, SemanticVAD):
        found["turn_detection"] = (
            "semantic detection does not exist here; its eagerness sets the sensitivity to the "
            "end of speech"
        )
    if turns is not None and not config.create_response:
        found["create_response"] = (
            "the model answers every turn it hears; use vad_mode=VADMode.MANUAL to decide yourself"
        )
    if config.transcription is not None:
        if config.transcription.model is not None:
            found["transcription.model"] = "the transcription has no choice of models"
        if config.transcription.prompt is not None:
            found["transcription.prompt"] = "the transcription takes no prompt"
    if config.tool_choice not in ("auto", "none"):
        found["tool_choice"] = "the model decides by itself whether and what to call"
    if config.voice is not None and "audio" not in config.modalities:
        found["voice"] = "nothing is spoken in a session that answers in text"
    return tuple(ConfigWarning(setting=key, message=text) for key, text in found.items())


def _generation(config: RealtimeConfig) -> dict[str, Any]:
    generation: dict[str, Any] = {"responseModalities": [config.modalities[0].upper()]}
    if config.temperature is not None:
        generation["temperature"] = config.temperature
    if config.max_tokens is not None:
        generation["maxOutputTokens"] = config.max_tokens
    if config.voice is not None and "audio" in config.modalities:
        generation["speechConfig"] = {"voiceConfig": _voice(config.voice)}
    return generation


def _voice(name: str) -> dict[str, Any]:
    if name.startswith(CUSTOM_VOICE_PREFIX):
        return {"voice": name}
    return {"prebuiltVoiceConfig": {"voiceName": name}}


def _realtime_input(config: RealtimeConfig) -> dict[str, Any]:
    hearing: dict[str, Any] = {}
    if detection := _activity_detection(config):
        hearing["automaticActivityDetection"] = detection
    if not config.interrupt_response:
        hearing["activityHandling"] = "NO_INTERRUPTION"
    return hearing


def _activity_detection(config: RealtimeConfig) -> dict[str, Any]:
    turns = config.turns
    if turns is None:
        # Alone: padding or silence beside it are refused (close 1007).
        return {"disabled": True}
    if isinstance(turns, SemanticVAD):
        sensitivity = _END_SENSITIVITY.get(turns.eagerness)
        return {"endOfSpeechSensitivity": sensitivity} if sensitivity else {}
    wanted = {
        "prefixPaddingMs": turns.prefix_padding_ms,
        "silenceDurationMs": turns.silence_duration_ms,
    }
    return {key: value for key, value in wanted.items() if value is not None}


def _declaration(tool: ToolDefinition) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name, "description": tool.description}
    # The service refuses an object that has no properties; no schema at all means no arguments.
    if tool.parameters.get("properties") or tool.parameters.keys() - {"type", "properties"}:
        declaration["parametersJsonSchema"] = tool.parameters
    return declaration


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result
