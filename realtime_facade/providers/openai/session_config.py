"""From `RealtimeConfig` to the session object of `session.update`, whole or only what changed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...commands import UpdateSession
from ...config import RealtimeConfig, SemanticEagerness, SemanticVAD
from ...errors import ConfigurationError
from ...events import ConfigWarning
from ...tools.definition import ToolDefinition
from ..base import Profile
from .wire import write

TRANSCRIPTION_MODEL = "gpt-realtime-whisper"
"""Writes while the user speaks; OpenAI shuts whisper-1 and the gpt-4o ones down on 2027-02-26."""

PCM_24K = {"type": "audio/pcm", "rate": 24_000}
"""The only linear format of the protocol: mono s16le at 24 000 Hz."""

_SERVER_VAD_SILENCE_MS = 500
_SEMANTIC_WAIT_MS = {"low": 8_000, "medium": 4_000, "auto": 4_000, "high": 2_000}
_MARGIN_MS = 500

_Path = tuple[str, ...]
_TURNS: _Path = ("audio", "input", "turn_detection")
_TRANSCRIPTION: _Path = ("audio", "input", "transcription")
_VOICE: _Path = ("audio", "output", "voice")
_PLACES: dict[str, _Path] = {
    "instructions": ("instructions",),
    "modalities": ("output_modalities",),
    "voice": _VOICE,
    "speed": ("audio", "output", "speed"),
    "vad_mode": _TURNS,
    "vad_threshold": _TURNS,
    "vad_prefix_padding_ms": _TURNS,
    "vad_silence_duration_ms": _TURNS,
    "turn_detection": _TURNS,
    "create_response": _TURNS,
    "interrupt_response": _TURNS,
    "transcription": _TRANSCRIPTION,
    "max_tokens": ("max_output_tokens",),
    "tools": ("tools",),
    "tool_choice": ("tool_choice",),
}
_RESET: dict[str, Any] = {
    "instructions": "",
    "speed": 1.0,
    "max_tokens": "inf",
    "tools": [],
    "tool_choice": "auto",
}
"""What to send for a field that goes back to None: leaving it out would keep the old value."""


_OURS: tuple[_Path, ...] = (
    ("type",),
    ("model",),
    ("audio", "input", "format"),
    ("audio", "output", "format"),
)
_SHAPES: dict[_Path, type[Any]] = {
    ("audio",): dict,
    ("audio", "input"): dict,
    ("audio", "output"): dict,
    _TURNS: dict,
    ("tools",): list,
}


class Plan(NamedTuple):
    """A session object and what of the configuration could not go into it."""

    session: dict[str, Any]
    warnings: tuple[ConfigWarning, ...] = ()

    @property
    def changes_turns(self) -> bool:
        """Whether turn detection is part of it."""
        return "turn_detection" in self.session.get("audio", {}).get("input", {})

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """The provider's own settings of it; None means manual turns."""
        found: dict[str, Any] | None = self.session["audio"]["input"]["turn_detection"]
        return found

    @property
    def recognizer(self) -> str | None:
        """The model that writes the user's speech down, if it is part of it."""
        found: str | None = _get(self.session, (*_TRANSCRIPTION, "model"), None)
        return found


def plan(config: RealtimeConfig, profile: Profile, tools: Sequence[ToolDefinition]) -> Plan:
    """The session for a new connection; what was not asked for is left to the provider.

    Raises:
        ConfigurationError: If tools and `tool_choice` do not fit, or `provider_options` change
            what this package relies on or cannot be written as JSON.
    """
    audio_input: dict[str, Any] = {
        "format": dict(PCM_24K),
        "turn_detection": _turn_detection(config),
        "transcription": _transcription(config, profile),
    }
    audio_output: dict[str, Any] = {"format": dict(PCM_24K)}
    if config.voice is not None:
        audio_output["voice"] = _voice(config.voice)
    if config.speed is not None:
        audio_output["speed"] = config.speed
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": list(config.modalities),
        "audio": {"input": audio_input, "output": audio_output},
    }
    if config.instructions is not None:
        session["instructions"] = config.instructions
    if config.max_tokens is not None:
        session["max_output_tokens"] = config.max_tokens
    if tools:
        session["tools"] = [{"type": "function", **tool.model_dump()} for tool in tools]
    if tools or config.tool_choice != "auto":
        session["tool_choice"] = _tool_choice(config.tool_choice, tools, profile)
    _merge(session, _options(config, profile, session))
    return Plan(session, _warnings(config, session))


def plan_update(command: UpdateSession, profile: Profile, *, has_spoken: bool) -> Plan:
    """The part of the session that `command` changes; an empty session if nothing does.

    Args:
        has_spoken: Whether assistant audio is part of the conversation. The voice is frozen then,
            and the provider would refuse the whole update for its sake, tools included.

    Raises:
        ConfigurationError: If the model is to change, or as `plan`.
    """
    config, changed = command.config, set(command.changed)
    if "model" in changed:
        raise ConfigurationError(
            "the model of a running session cannot be changed",
            provider=profile.provider,
            advice="connect again with the other model",
        )
    whole = plan(config, profile, command.tools)
    warnings = [w for w in whole.warnings if w.setting in changed]
    if has_spoken and "voice" in changed:
        changed.remove("voice")
        warnings.append(
            ConfigWarning(
                setting="voice",
                message="the voice stays: it is frozen once the assistant has spoken",
            )
        )
    session: dict[str, Any] = {}
    reset = {**_RESET, "voice": profile.default_voice}
    for name, path in _PLACES.items():
        if name not in changed:
            continue
        value = _get(whole.session, path, reset.get(name))
        if value is not None or path in (_TURNS, _TRANSCRIPTION):
            _merge(session, _nest(path, value))
    if "provider_options" in changed:
        _merge(session, _like(whole.session, _options(config, profile, whole.session)))
    return Plan({"type": "realtime", **session} if session else {}, tuple(warnings))


def closing_silence_ms(turn_detection: Mapping[str, Any] | None) -> int:
    """How much silence makes the provider's VAD end a turn for certain; 0 with manual turns."""
    if turn_detection is None:
        return 0
    if turn_detection.get("type") == "semantic_vad":
        eagerness = str(turn_detection.get("eagerness", "auto"))
        return _SEMANTIC_WAIT_MS.get(eagerness, _SEMANTIC_WAIT_MS["low"]) + _MARGIN_MS
    silence = turn_detection.get("silence_duration_ms")
    return (silence if isinstance(silence, int) else _SERVER_VAD_SILENCE_MS) + _MARGIN_MS


def _turn_detection(config: RealtimeConfig) -> dict[str, Any] | None:
    turns = config.turns
    if turns is None:
        return None
    settings = turns.model_dump(mode="json", exclude_none=True)
    if isinstance(turns, SemanticVAD) and turns.eagerness is SemanticEagerness.AUTO:
        del settings["eagerness"]
    return {
        **settings,
        "create_response": config.create_response,
        "interrupt_response": config.interrupt_response,
    }


def _transcription(config: RealtimeConfig, profile: Profile) -> dict[str, Any] | None:
    if config.transcription is None:
        return None
    settings: dict[str, Any] = config.transcription.model_dump(exclude_none=True)
    settings.setdefault("model", profile.default_recognizer)
    if settings["model"] is None:
        return None
    if settings["model"] == TRANSCRIPTION_MODEL:
        settings.pop("prompt", None)
    return settings


def _voice(name: str) -> str | dict[str, str]:
    return {"id": name} if is_custom_voice(name) else name


def is_custom_voice(name: str) -> bool:
    """Whether the name is the id of a voice made for one account, such as `voice_123`."""
    return name.startswith("voice_")


def _tool_choice(
    choice: str, tools: Sequence[ToolDefinition], profile: Profile
) -> str | dict[str, str]:
    if choice in ("auto", "none", "required"):
        return choice
    names = [tool.name for tool in tools]
    if choice not in names:
        raise ConfigurationError(
            f"tool_choice names {choice!r}, which is not among the tools",
            provider=profile.provider,
            advice=f"choose auto, none, required or one of: {', '.join(names) or '(no tools)'}",
        )
    return {"type": "function", "name": choice}


def _options(
    config: RealtimeConfig, profile: Profile, session: Mapping[str, Any]
) -> dict[str, Any]:
    """`provider_options`, checked; their tools (MCP servers) come after the application's own."""
    options: dict[str, Any] = json.loads(write(config.provider_options))
    for path in _OURS:
        if _get(options, path, None) is not None:
            raise ConfigurationError(
                f"provider_options must not set {'.'.join(path)}",
                provider=profile.provider,
                advice="use the field of RealtimeConfig; audio is always 24 kHz PCM on the wire",
            )
    for path, kind in _SHAPES.items():
        value = _get(options, path, kind())
        if not isinstance(value, kind) and not (value is None and path == _TURNS):
            raise ConfigurationError(
                f"provider_options: {'.'.join(path)} must be a {kind.__name__}",
                provider=profile.provider,
                advice="see the session object in OpenAI's reference of session.update",
            )
    if "tools" in options:
        options["tools"] = [*session.get("tools", []), *options["tools"]]
    return options


def _warnings(config: RealtimeConfig, session: Mapping[str, Any]) -> tuple[ConfigWarning, ...]:
    found = []
    if config.temperature is not None:
        found.append(
            ConfigWarning(
                setting="temperature",
                message="ignored: the Realtime API has no temperature any more",
            )
        )
    written = session["audio"]["input"]["transcription"]
    if config.transcription is not None and written is None:
        found.append(
            ConfigWarning(
                setting="transcription",
                message="the user's words are not written down: here the model for it has to be "
                "named, as transcription=Transcription(model=...)",
            )
        )
    prompt = config.transcription and config.transcription.prompt
    if prompt and written and "prompt" not in written:
        found.append(
            ConfigWarning(
                setting="transcription",
                message=f"the prompt is ignored: {TRANSCRIPTION_MODEL} takes none; "
                "name another transcription model to use it",
            )
        )
    return tuple(found)


def _get(tree: Mapping[str, Any], path: _Path, default: Any) -> Any:
    node: Any = tree
    for key in path:
        if not isinstance(node, Mapping) or key not in node:
            return default
        node = node[key]
    return node


def _nest(path: _Path, value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def _like(tree: Mapping[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `tree` that `shape` touches, each of them whole."""
    part: dict[str, Any] = {key: tree[key] for key in shape if key != "audio"}
    for side, settings in shape.get("audio", {}).items():
        value = tree["audio"][side]
        if isinstance(settings, Mapping):
            value = {name: value[name] for name in settings}
        part.setdefault("audio", {})[side] = value
    return part


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            _merge(old, value)
        else:
            into[key] = value
