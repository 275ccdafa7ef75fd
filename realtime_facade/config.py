"""What a conversation should be like, in words that fit every provider."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .conversation import ConversationSeed
from .tools.registry import Tools, ToolSource


class VADMode(StrEnum):
    """Who decides when the user has finished speaking."""

    SERVER = "server"
    """The provider's voice activity detection."""
    MANUAL = "manual"
    """The application, with `session.commit_audio()`."""
    DISABLED = "disabled"
    """Another name for `MANUAL`."""


class SemanticEagerness(StrEnum):
    """How soon semantic turn detection takes the word."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    AUTO = "auto"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerVAD(_Settings):
    """A turn ends after a stretch of silence. None means the provider's default."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    prefix_padding_ms: Annotated[int, Field(ge=0)] | None = None
    silence_duration_ms: Annotated[int, Field(ge=0)] | None = None


class SemanticVAD(_Settings):
    """A turn ends when the thought seems complete."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: SemanticEagerness = SemanticEagerness.AUTO


class Transcription(_Settings):
    """How the user's speech is written down beside the conversation."""

    model: str | None = None
    """None: the provider's default transcription model."""
    language: str | None = None
    """ISO 639-1, such as `en`; None lets the provider detect it."""
    prompt: str | None = None


VAD_FIELDS = frozenset(
    {"vad_mode", "vad_threshold", "vad_prefix_padding_ms", "vad_silence_duration_ms"}
)
"""The plain way to say what `turn_detection` says."""


class RealtimeConfig(BaseModel):
    """Everything that can be asked of a provider. None means the provider's default.

    What a provider cannot do is either an error before the connection is made or a
    `ConfigWarning` event at its start; nothing is dropped in silence.
    """

    # Without inputs: whoever passes a key under a wrong name must not find it in a log.
    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    model: str | None = None
    voice: str | None = None
    instructions: str | None = None

    vad_mode: VADMode = VADMode.SERVER
    vad_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    vad_prefix_padding_ms: Annotated[int, Field(ge=0)] | None = None
    vad_silence_duration_ms: Annotated[int, Field(ge=0)] | None = None
    turn_detection: Annotated[ServerVAD | SemanticVAD, Field(discriminator="type")] | None = None
    """The same as the `vad_*` fields, and semantic detection; give one or the other."""
    create_response: bool = True
    """Whether the end of the user's turn asks for an answer by itself."""
    interrupt_response: bool = True
    """Whether the user's speech cuts the assistant short."""

    interruption_verdict_ms: Annotated[int, Field(ge=0)] = 0
    """How long speech has to last before it cuts the assistant short. Meanwhile playback is held;
    it goes on from the same sample if it was a cough. 0 cuts at once; needs a sink that can hold.
    """

    transcription: Transcription | None = Field(default_factory=Transcription)
    """Of the user's speech. `True` and `False` are accepted; None switches it off."""

    conversation_seed: ConversationSeed | None = None
    """What the model takes for the conversation so far; told before any audio."""

    modalities: tuple[Literal["text", "audio"], ...] = ("audio",)
    """`("audio",)` is audio with its transcript; `("text",)` is text alone."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = None

    tools: Iterable[ToolSource] = ()
    """`Tools`, plain functions, sync or async, and definitions that `on_tool_call` answers."""
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the name of a tool."""
    tool_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """For tools without a timeout of their own."""
    max_parallel_tools: Annotated[int, Field(ge=1)] = 8
    max_tool_output_chars: Annotated[int, Field(ge=100)] = 32_000
    """What a tool gives beyond that is cut off, and the model is told so."""

    input_rate: Annotated[int, Field(ge=8_000, le=192_000)] = 24_000
    """Hz of the audio given to `send_audio`."""
    output_rate: Annotated[int, Field(ge=8_000, le=192_000)] = 24_000
    """Hz of the audio in `AudioChunk`."""

    skip_leading_silence: bool = False
    """Leave out the silence with which models begin to speak; positions stay right."""
    captions: Literal["generated", "heard"] = "generated"
    """When the assistant's words are told: as they come, or as they sound."""

    reconnect: bool = True
    """Whether a lost connection is made again, and a connection renewed before its limit."""
    reconnect_budget_s: Annotated[float, Field(gt=0)] = 30.0
    """How long it is tried before the session ends."""
    renew_after_s: Annotated[float, Field(gt=0)] | None = None
    """Age at which a connection is renewed; None: at nine tenths of the provider's limit."""
    stall_timeout_s: Annotated[float, Field(gt=0)] | None = 12.0
    """How long an answer may keep everybody waiting before something is done; None: for ever."""

    max_hold_ms: Annotated[int, Field(gt=0)] = 3_000
    """How long the listener may be kept waiting in silence by guardrails in hold mode."""

    setup_timeout_s: Annotated[float, Field(gt=0)] = 15.0
    """From dialling to the provider's acceptance of this configuration."""
    provider_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Merged into the provider's own session message, for settings that no other provider has."""

    @field_validator("tools", mode="plain")
    @classmethod
    def _tools_as_given(cls, value: object) -> tuple[ToolSource, ...]:
        # Kept as it is, so that a tool added to a `Tools` later is there for the next session.
        if isinstance(value, Tools):
            return (value,)
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
            return tuple(value)
        raise ValueError("tools are given as Tools, or as a list of functions and definitions")

    @field_validator("transcription", mode="before")
    @classmethod
    def _transcription_switch(cls, value: object) -> object:
        if value is True:
            return Transcription()
        return None if value is False else value

    @field_validator("modalities", mode="after")
    @classmethod
    def _audio_brings_text(
        cls, value: tuple[Literal["text", "audio"], ...]
    ) -> tuple[Literal["text", "audio"], ...]:
        # Providers speak or write, never both; speech always comes with its transcript.
        return ("audio",) if "audio" in value else ("text",)

    @model_validator(mode="after")
    def _one_turn_detection(self) -> "RealtimeConfig":
        if self.turn_detection is not None:
            rivals = {"vad_threshold", "vad_prefix_padding_ms", "vad_silence_duration_ms"}
            both = rivals & self.model_fields_set
            if both:
                raise ValueError(f"give turn_detection or {', '.join(sorted(both))}, not both")
            if self.vad_mode is not VADMode.SERVER:
                raise ValueError("turn_detection needs vad_mode=VADMode.SERVER")
        return self

    def changed(self, **changes: Any) -> "RealtimeConfig":
        """A copy with some fields changed and the whole checked again.

        `turn_detection` takes the place of the `vad_*` fields, and the other way round.
        """
        kept = self.model_fields_set - changes.keys()
        if "turn_detection" in changes:
            kept -= VAD_FIELDS
        elif changes.keys() & VAD_FIELDS:
            kept -= {"turn_detection"}
        return RealtimeConfig(**{name: getattr(self, name) for name in kept}, **changes)

    @property
    def turns(self) -> ServerVAD | SemanticVAD | None:
        """The one turn detection in force; None means manual turns."""
        if self.vad_mode is not VADMode.SERVER:
            return None
        return self.turn_detection or ServerVAD(
            threshold=self.vad_threshold,
            prefix_padding_ms=self.vad_prefix_padding_ms,
            silence_duration_ms=self.vad_silence_duration_ms,
        )
