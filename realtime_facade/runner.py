"""Sessions of an agent without devices, as many as are wanted: for servers and phone lines."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from .agent import RealtimeAgent
from .config import RealtimeConfig, VADMode
from .errors import ConfigurationError
from .guardrails import Guardrail
from .session.session import Session

_SETTINGS = {
    "model_name": "model",
    "output_modalities": "modalities",
    "input_audio_transcription": "transcription",
    "max_output_tokens": "max_tokens",
    "max_response_output_tokens": "max_tokens",
}
"""Other names for fields of `RealtimeConfig`."""
_FORMATS = ("input_audio_format", "output_audio_format")
_GUARDRAILS = ("output_guardrails", "input_guardrails")
_OF_TURNS = ("create_response", "interrupt_response")


class RealtimeRunner:
    """Starts sessions of an agent. They share its definition and handlers, and nothing else.

        runner = RealtimeRunner(agent, config={"model_settings": {"voice": "marin"}})
        async with await runner.run() as session:
            async for event in session:
                print(event.type)

    Args:
        starting_agent: Who speaks first. Its devices are not used.
        config: `output_guardrails` and `input_guardrails` count whoever speaks; of
            `guardrails_settings` there is `debounce_text_length`, instead of each one's own.
            `model_settings`: fields of `RealtimeConfig` that win over the agent's, also under
            the names `model_name`, `output_modalities`, `input_audio_transcription`,
            `max_output_tokens`; audio formats have to be `pcm16`.

    Raises:
        ConfigurationError: If a setting does not exist, or no provider can be chosen.
    """

    def __init__(
        self, starting_agent: RealtimeAgent, *, config: Mapping[str, Any] | None = None
    ) -> None:
        wanted = dict(config or {})
        settings = wanted.pop("model_settings", None) or {}
        guardrails = _guardrails(wanted)
        if wanted:
            known = ["model_settings", *_GUARDRAILS, "guardrails_settings"]
            raise _unknown(min(wanted), "the runner's config", known)
        self.agent = starting_agent
        self.config = _changed(starting_agent.config, settings)
        """Of the sessions."""
        self.voice = starting_agent.new_voice(self.config, guardrails)
        """What they are held with. Its decorators can be used as well."""

    async def run(self) -> Session:
        """A new session: `async with` it, or close it yourself.

        Raises:
            ConfigurationError: Before dialling, if something is asked for that cannot be had.
            RealtimeConnectionError: If the provider cannot be reached, or does not accept.
        """
        return await self.agent.connect(self.voice, self.config)


def _guardrails(wanted: dict[str, Any]) -> list[Guardrail]:
    found = [guardrail for key in _GUARDRAILS for guardrail in wanted.pop(key, None) or ()]
    settings = dict(wanted.pop("guardrails_settings", None) or {})
    debounce_chars = settings.pop("debounce_text_length", None)
    if settings:
        raise _unknown(min(settings), "guardrails_settings", ["debounce_text_length"])
    if debounce_chars is None:
        return found
    return [replace(guardrail, debounce_chars=debounce_chars) for guardrail in found]


def _changed(config: RealtimeConfig, settings: Mapping[str, Any]) -> RealtimeConfig:
    changes: dict[str, Any] = {}
    for name, value in settings.items():
        if name in _FORMATS:
            _check_format(name, value)
            continue
        field = _SETTINGS.get(name, name)
        if field not in RealtimeConfig.model_fields:
            known = [*RealtimeConfig.model_fields, *_SETTINGS, *_FORMATS]
            raise _unknown(name, "model_settings", known)
        if field == "turn_detection" and value is None:
            changes["vad_mode"] = VADMode.MANUAL
            continue
        if field == "turn_detection" and isinstance(value, Mapping):
            value = dict(value)
            changes |= {key: value.pop(key) for key in _OF_TURNS if key in value}
        changes[field] = value
    try:
        return config.changed(**changes)
    except ValidationError as error:
        raise ConfigurationError(f"model_settings: {error}") from error


def _check_format(name: str, value: object) -> None:
    if value not in ("pcm16", None):
        raise ConfigurationError(
            f"{name}={value!r}: sessions take and give 16-bit PCM",
            advice="convert G.711 with realtime_facade.audio.g711, and set input_rate=8000",
        )


def _unknown(name: str, where: str, known: list[str]) -> ConfigurationError:
    return ConfigurationError(
        f"there is no {name!r} in {where}", advice=f"there are: {', '.join(sorted(known))}"
    )
