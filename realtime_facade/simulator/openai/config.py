"""The session's configuration on the OpenAI Realtime wire: defaults, merging, checking, echo."""

import copy
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...tools.definition import ToolDefinition
from .wire import WireError, explain

DEFAULT_INSTRUCTIONS = "You are a helpful, friendly assistant. Keep your answers short."
DEFAULT_MODEL = "gpt-realtime"
BETA_FIELDS = frozenset(
    {
        "modalities",
        "voice",
        "input_audio_format",
        "output_audio_format",
        "input_audio_transcription",
        "turn_detection",
        "temperature",
        "max_response_output_tokens",
    }
)
"""Of the session's beta shape, which lay flat; GA refuses the connection for them."""

_SILENCE_BY_EAGERNESS = {"low": 1_200, "medium": 800, "auto": 800, "high": 400}
"""ms. An approximation: there is no judge of meaning here."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Pcm(_Strict):
    """16-bit PCM."""

    type: Literal["audio/pcm"]
    rate: Literal[24_000]


class G711(_Strict):
    """Telephone audio at 8 kHz, mu-law or A-law."""

    type: Literal["audio/pcmu", "audio/pcma"]


Format = Annotated[Pcm | G711, Field(discriminator="type")]


class _Turns(_Strict):
    create_response: bool
    interrupt_response: bool


class ServerVad(_Turns):
    """Turns end with silence."""

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)]
    prefix_padding_ms: Annotated[int, Field(ge=0)]
    silence_duration_ms: Annotated[int, Field(ge=0)]
    idle_timeout_ms: Annotated[int, Field(ge=5_000, le=30_000)] | None


class SemanticVad(_Turns):
    """Turns end with the thought; here with a silence that depends on the eagerness."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"]

    threshold: ClassVar[float] = 0.5
    prefix_padding_ms: ClassVar[int] = 300
    idle_timeout_ms: ClassVar[None] = None

    @property
    def silence_duration_ms(self) -> int:
        return _SILENCE_BY_EAGERNESS[self.eagerness]


class Transcription(_Strict):
    """How the user's words are reported."""

    model: str
    language: str | None
    prompt: str | None
    languages: list[str] | None = None
    keywords: list[str] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class _NoiseReduction(_Strict):
    type: Literal["near_field", "far_field"]
    strength: float | None = None


class _Input(_Strict):
    format: Format
    transcription: Transcription | None
    noise_reduction: _NoiseReduction | None
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None


class _Voice(_Strict):
    id: str


Voice = (
    Literal[
        "alloy",
        "ash",
        "ballad",
        "coral",
        "echo",
        "sage",
        "shimmer",
        "verse",
        "marin",
        "cedar",
    ]
    | _Voice
)


class _Output(_Strict):
    format: Format
    voice: Voice
    speed: Annotated[float, Field(ge=0.25, le=1.5)]


class _Audio(_Strict):
    input: _Input
    output: _Output


class FunctionTool(_Strict):
    """A function that the application runs."""

    type: Literal["function"]
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)

    def definition(self) -> ToolDefinition:
        """The same for a mind."""
        return ToolDefinition(
            name=self.name,
            description=self.description,
            parameters=self.parameters or {"type": "object", "properties": {}},
        )


class _FunctionChoice(_Strict):
    type: Literal["function"]
    name: str


class _Reasoning(_Strict):
    effort: Literal["minimal", "low", "medium", "high", "xhigh"]


Modalities = Annotated[list[Literal["text", "audio"]], Field(min_length=1, max_length=1)]
ToolChoice = Literal["auto", "none", "required"] | _FunctionChoice
MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]


class Session(_Strict):
    """The whole configuration in force."""

    type: Literal["realtime"]
    object: Literal["realtime.session"]
    id: str
    model: str
    output_modalities: Modalities
    instructions: str
    tools: list[FunctionTool]
    tool_choice: ToolChoice
    max_output_tokens: MaxTokens
    tracing: Literal["auto"] | dict[str, Any] | None
    truncation: Literal["auto", "disabled"] | dict[str, Any]
    prompt: dict[str, Any] | None
    expires_at: int
    audio: _Audio
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None
    parallel_tool_calls: bool | None = None
    reasoning: _Reasoning | None = None


class _ResponseOutput(_Strict):
    format: Format | None = None
    voice: Voice | None = None


class _ResponseAudio(_Strict):
    output: _ResponseOutput = Field(default_factory=_ResponseOutput)


class ResponseOptions(_Strict):
    """What `response.create` may change for one response."""

    conversation: Literal["auto", "none"] = "auto"
    input: list[dict[str, Any]] | None = None
    instructions: str | None = None
    output_modalities: Modalities | None = None
    audio: _ResponseAudio = Field(default_factory=_ResponseAudio)
    max_output_tokens: MaxTokens | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    prompt: dict[str, Any] | None = None
    reasoning: _Reasoning | None = None


def parse_options(response: dict[str, Any] | None) -> ResponseOptions:
    """Check the overrides of `response.create`.

    Raises:
        WireError: If one is unknown or wrong.
    """
    try:
        return ResponseOptions.model_validate(response or {})
    except ValidationError as error:
        raise explain(error, "response") from None


class Configuration:
    """The session object: `echo` is what the client sees, `session` the same, checked."""

    def __init__(self, session_id: str, model: str, expires_at: int) -> None:
        # Recorded: the older model ends a turn sooner and has another voice.
        older = model.startswith("gpt-realtime") and not model.startswith("gpt-realtime-2")
        self._silence_ms = 200 if older else 500
        self.echo: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "output_modalities": ["audio"],
            "instructions": DEFAULT_INSTRUCTIONS,
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24_000},
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": self._turn_defaults("server_vad"),
                },
                "output": {
                    "format": {"type": "audio/pcm", "rate": 24_000},
                    "voice": "alloy" if older else "marin",
                    "speed": 1.0,
                },
            },
            "include": None,
        }
        self.session = Session.model_validate(self.echo)

    @property
    def tools(self) -> list[ToolDefinition]:
        """What a mind may call."""
        return [tool.definition() for tool in self.session.tools]

    def update(self, change: dict[str, Any], *, spoken: bool) -> None:
        """Merge a `session.update`; either all of it or nothing.

        Args:
            change: The event's `session`: what is absent stays.
            spoken: Whether the assistant has been heard, which freezes its voice.

        Raises:
            WireError: If something in it is unknown, wrong or frozen.
        """
        if "type" not in change:
            raise WireError(
                "missing_required_parameter",
                "Missing required parameter: 'session.type'.",
                "session.type",
            )
        if change["type"] != "realtime":
            raise WireError(
                "invalid_value",
                f"Invalid value: '{change['type']}'. Supported values are: 'realtime'.",
                "session.type",
            )
        for key in ("id", "object", "expires_at"):
            if key in change:
                raise WireError(
                    "unknown_parameter", f"Unknown parameter: 'session.{key}'.", f"session.{key}"
                )
        merged = _merge(self.echo, change)
        self._fill(merged)
        try:
            session = Session.model_validate(merged)
        except ValidationError as error:
            raise explain(error, "session") from None
        if session.model != self.session.model:
            raise WireError(
                "invalid_value", "The model of a session cannot be changed.", "session.model"
            )
        if spoken and session.audio.output.voice != self.session.audio.output.voice:
            raise WireError(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                "session.audio.output.voice",
            )
        self.echo, self.session = merged, session

    def _turn_defaults(self, kind: object) -> dict[str, Any]:
        answers = {"create_response": True, "interrupt_response": True}
        if kind == "semantic_vad":
            return {"type": kind, "eagerness": "auto", **answers}
        return {
            "type": kind,
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": self._silence_ms,
            "idle_timeout_ms": None,
            **answers,
        }

    def _fill(self, merged: dict[str, Any]) -> None:
        """Put defaults where the provider does: what was absent is echoed too."""
        if merged["instructions"] in ("", None):
            merged["instructions"] = DEFAULT_INSTRUCTIONS
        audio = merged["audio"]
        sound = audio.get("input") if isinstance(audio, dict) else None
        if not isinstance(sound, dict):
            return
        turns = sound.get("turn_detection")
        if isinstance(turns, dict):
            old = self.echo["audio"]["input"]["turn_detection"] or {}
            kind = turns.get("type", old.get("type", "server_vad"))
            kept = old if old.get("type") == kind else {}
            sound["turn_detection"] = {**self._turn_defaults(kind), **kept, **turns}
        if isinstance(sound.get("transcription"), dict):
            old = self.echo["audio"]["input"]["transcription"] or {}
            empty = {"model": None, "language": None, "prompt": None}
            sound["transcription"] = {**empty, **old, **sound["transcription"]}
        for side in audio.values():
            form = side.get("format") if isinstance(side, dict) else None
            if isinstance(form, dict) and form.get("type") == "audio/pcm":
                side["format"] = {"type": "audio/pcm", "rate": 24_000, **form}


_NESTED = ("audio", "input", "output")


def _merge(old: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A copy of `old` with `change` in it; only `audio`, `input` and `output` are merged inside."""
    merged = copy.deepcopy(old)
    for key, value in change.items():
        if key in _NESTED and isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
