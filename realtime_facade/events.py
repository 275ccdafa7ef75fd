"""What happened in a conversation: one vocabulary for every provider.

An event is a fact and is never changed afterwards. Whatever a provider sends that has no
meaning common to all of them arrives as `RawEvent`, so nothing is lost.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from .errors import Cause, RealtimeConnectionError, RealtimeError
from .redaction import redact

Speaker = Literal["user", "assistant"]
ResponseStatus = Literal["completed", "cancelled", "incomplete", "failed"]


class Event(
    BaseModel, frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
):
    """Base of all events."""

    urgent: ClassVar[bool] = False
    """Whether it overtakes what waits in a reader's queue."""

    type: str


def _duration_ms(fields: dict[str, Any]) -> float:
    return float(len(fields["data"]) * 500 / fields["sample_rate"])


class AudioChunk(Event, frozen=True):
    """A piece of assistant speech. Chunks of one item arrive in order, without gaps."""

    type: Literal["audio"] = "audio"
    data: bytes = Field(repr=False)
    """Mono s16le at `sample_rate`; a whole number of samples. Empty in a final marker."""
    sample_rate: int = 24_000
    """Hz."""
    duration_ms: float = Field(default_factory=_duration_ms)
    """Computed from `data` unless given."""
    is_final: bool = False
    """True on the last chunk of an item, which may be empty."""
    item_id: str = ""
    """The spoken item; pass it to `TruncateOutput` to forget the unheard rest."""
    response_id: str = ""


class TranscriptDelta(Event, frozen=True):
    """Words of either speaker. `text` is always new text, so texts can simply be joined."""

    type: Literal["transcript"] = "transcript"
    text: str
    """What was not emitted before for this item; often empty when `is_final`."""
    is_final: bool = False
    speaker: Speaker = "assistant"
    full_text: str | None = None
    """The whole text of the item, on the final delta only."""
    item_id: str = ""
    response_id: str = ""


class ThoughtDelta(Event, frozen=True):
    """A piece of the model's reasoning, where the provider shows it. Never spoken."""

    type: Literal["thought"] = "thought"
    text: str
    response_id: str = ""


class ToolCallRequest(Event, frozen=True):
    """The model wants a function to be run. Exactly one result has to be sent for it."""

    urgent: ClassVar[bool] = True

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    function_name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    response_id: str = ""


class ToolCallsCancelled(Event, frozen=True):
    """The model no longer wants these results; the running tools are cancelled."""

    urgent: ClassVar[bool] = True

    type: Literal["tool_calls_cancelled"] = "tool_calls_cancelled"
    call_ids: tuple[str, ...]


class ToolCallCompleted(Event, frozen=True):
    """How a tool call ended: its one result, as it was sent to the model.

    A call that the model has withdrawn ends with an error that was not sent.
    """

    type: Literal["tool_call_completed"] = "tool_call_completed"
    call_id: str
    function_name: str
    output: str
    is_error: bool = False
    duration_ms: float


class SupervisorStarted(Event, frozen=True):
    """A supervisor was given a task, or goes on with the answer to its question."""

    type: Literal["supervisor_started"] = "supervisor_started"
    call_id: str
    task: str
    """In the model's words."""
    answer: str | None = None
    """When it goes on: what the user answered, in the model's words."""


class SupervisorAsked(Event, frozen=True):
    """A supervisor needs to know something; it rests until the model brings the user's answer."""

    type: Literal["supervisor_asked"] = "supervisor_asked"
    call_id: str
    question: str


class SupervisorFinished(Event, frozen=True):
    """A supervisor has done its task, or has given it up. Exactly one for each task.

    A task whose question is still unanswered when the session ends, ends with it in silence.
    """

    type: Literal["supervisor_finished"] = "supervisor_finished"
    call_id: str
    result: str
    """What the model is told; if `is_error`, why there is no result."""
    is_error: bool = False
    iterations: int
    """How often its own model was asked, for the whole task."""
    duration_ms: float
    """Of the whole task; the time in which it waited for the user counts."""


class ToolProgress(Event, frozen=True):
    """How far a running tool is, in its own words. The model does not hear of it."""

    type: Literal["tool_progress"] = "tool_progress"
    call_id: str
    function_name: str
    text: str


class SpeechStarted(Event, frozen=True):
    """The provider's voice activity detection heard the user begin to speak."""

    type: Literal["speech_started"] = "speech_started"
    item_id: str | None = None
    audio_ms: float | None = None
    """Position in the input audio, in ms since the session began."""


class SpeechStopped(Event, frozen=True):
    """The provider's voice activity detection heard the user stop."""

    type: Literal["speech_stopped"] = "speech_stopped"
    item_id: str | None = None
    audio_ms: float | None = None


class InputCommitted(Event, frozen=True):
    """The user's audio became part of the conversation; an answer usually follows."""

    type: Literal["input_committed"] = "input_committed"
    item_id: str | None = None


class ResponseStarted(Event, frozen=True):
    """The model began an answer."""

    type: Literal["response_started"] = "response_started"
    response_id: str


class TokenCounts(BaseModel):
    """Tokens of one direction, split by kind where the provider says."""

    model_config = ConfigDict(frozen=True)

    total: int = 0
    text: int = 0
    audio: int = 0
    image: int = 0
    cached: int = 0
    """Part of the counts above, not in addition to them."""
    cached_audio: int = 0
    """Part of `cached`, as is `cached_image`; the rest of it is text."""
    cached_image: int = 0
    reasoning: int = 0
    """Part of `text`: thoughts are billed as the answer's text."""

    def __add__(self, other: "TokenCounts") -> "TokenCounts":
        mine, theirs = self.model_dump(), other.model_dump()
        return TokenCounts(**{kind: mine[kind] + theirs[kind] for kind in mine})


class Usage(BaseModel):
    """What was used, as it is billed: every answer pays for all that it was made from."""

    model_config = ConfigDict(frozen=True)

    input: TokenCounts = TokenCounts()
    output: TokenCounts = TokenCounts()
    total: int = 0
    """Tokens of both."""
    audio_s: float = 0.0
    """Seconds of audio for a recognizer that is billed by time instead of by tokens."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            total=self.total + other.total,
            audio_s=self.audio_s + other.audio_s,
        )


class OutputCancelled(Event, frozen=True):
    """The provider dropped the rest of an answer: the user spoke, or it was asked to."""

    type: Literal["output_cancelled"] = "output_cancelled"
    response_id: str
    reason: Literal["speech", "request"] = "speech"


class ResponseDone(Event, frozen=True):
    """The provider has sent everything of an answer. Playback may still go on."""

    type: Literal["response_done"] = "response_done"
    response_id: str
    status: ResponseStatus = "completed"
    reason: str | None = None
    """Why it is not complete, in the provider's words."""
    usage: Usage | None = None


class UsageReported(Event, frozen=True):
    """Usage that belongs to no answer: the user's speech was written down, or it came late."""

    type: Literal["usage_reported"] = "usage_reported"
    usage: Usage
    model: str | None = None
    """Whose prices apply; None: those of the model that answers."""


class UsageUpdated(Event, frozen=True):
    """The bill grew. Comes just before the event that brought the news, so that totals are
    already known to whoever reacts to `ResponseDone` or `TurnEnded`."""

    type: Literal["usage_updated"] = "usage_updated"
    turn: Usage
    """Since the assistant's last turn ended: an answer with tools consists of several."""
    session: Usage
    """Since the session began."""
    cost: float | None = None
    """Of the session, in the currency of the prices that were given; None without prices."""


class UsageLimitReached(Event, frozen=True):
    """The usage limit was reached: the session ends when the running answer was heard."""

    type: Literal["usage_limit_reached"] = "usage_limit_reached"
    tokens: int
    cost: float | None = None


class TurnEnded(Event, frozen=True):
    """The assistant's turn is over: nothing more comes until the user or the application acts."""

    type: Literal["turn_ended"] = "turn_ended"
    response_id: str = ""


class HeardItem(BaseModel):
    """How much of one spoken item reached the listener's ear."""

    model_config = ConfigDict(frozen=True)

    item_id: str
    heard_ms: int
    received_ms: int
    heard_text: str = ""
    """The part of its transcript that fits `heard_ms`, by proportion, in whole words."""


class Interrupted(Event, frozen=True):
    """The assistant was cut short. Playback has been flushed when this arrives."""

    urgent: ClassVar[bool] = True

    type: Literal["interrupted"] = "interrupted"
    item_id: str | None = None
    """The item that was audible; None when nothing of the answer had been heard yet."""
    heard_ms: int = 0
    """How much of `item_id` was heard, in ms."""
    items: tuple[HeardItem, ...] = ()
    """Every item that was cut, in order; 0 ms heard means the item was deleted."""
    reason: Literal["speech", "request", "guardrail"] = "speech"
    estimated: bool = False
    """True when no sink reported its position, so `heard_ms` follows the wall clock."""


GuardrailAction = Literal["cut", "replaced", "none"]
"""What became of an answer: it was stopped, another one was asked for in its place, or there was
nothing left to stop."""


class GuardrailTripped(Event, frozen=True):
    """A guardrail objects to what is said."""

    urgent: ClassVar[bool] = True

    type: Literal["guardrail_tripped"] = "guardrail_tripped"
    guardrail: str
    """Its name."""
    direction: Literal["input", "output"]
    action: GuardrailAction
    output_info: Any = None
    """What it found, in its own words."""
    text: str = Field(repr=False)
    """What it has read: the item's words so far."""
    item_id: str = ""
    response_id: str = ""


class GuardrailFailed(Event, frozen=True):
    """A guardrail has no result: it raised, or is late. Its policy has decided."""

    urgent: ClassVar[bool] = True

    type: Literal["guardrail_failed"] = "guardrail_failed"
    guardrail: str
    direction: Literal["input", "output"]
    allowed: bool
    """Whether what it should have read passes unread."""
    action: GuardrailAction
    problem: str
    item_id: str = ""


class PlaybackHeld(Event, frozen=True):
    """Playback paused at a sample, because the user may be about to speak."""

    type: Literal["playback_held"] = "playback_held"


class PlaybackResumed(Event, frozen=True):
    """It was no speech: playback went on from the sample where it was held."""

    type: Literal["playback_resumed"] = "playback_resumed"
    held_ms: float


class EchoMeasured(Event, frozen=True):
    """How well the assistant's own voice is kept out of the microphone."""

    type: Literal["echo_measured"] = "echo_measured"
    erle_db: float
    """Echo return loss enhancement: 10 dB and more let a person cut in."""
    half_duplex: bool = False
    """True while the microphone is shut during playback because cancellation is too weak."""


class HandedOff(Event, frozen=True):
    """Another agent has taken over the conversation."""

    type: Literal["handed_off"] = "handed_off"
    from_agent: str
    to_agent: str
    reason: str = ""
    """In the model's words; often empty."""
    input: dict[str, Any] = Field(default_factory=dict)
    """What the model had to say about it, if the handoff has an `input_type`."""
    voice_changed: bool = False


class InactivityCountdown(Event, frozen=True):
    """Nobody has spoken for long; the session ends in so many seconds: 5, 4, 3, 2, 1."""

    type: Literal["inactivity_countdown"] = "inactivity_countdown"
    remaining_seconds: int


class InactivityTimedOut(Event, frozen=True):
    """Nobody spoke; the session ends now."""

    type: Literal["inactivity_timed_out"] = "inactivity_timed_out"


class SessionStarted(Event, frozen=True):
    """The provider has accepted the configuration; audio may flow."""

    type: Literal["session_started"] = "session_started"
    session_id: str | None = None
    model: str | None = None
    expires_at: float | None = None
    """Unix time at which the provider will end the session, where it says so."""


class SessionUpdated(Event, frozen=True):
    """The provider has accepted a change of configuration."""

    type: Literal["session_updated"] = "session_updated"


class SessionExpiring(Event, frozen=True):
    """The provider will soon close this connection."""

    type: Literal["session_expiring"] = "session_expiring"
    time_left_s: float | None = None


class SessionResumable(Event, frozen=True):
    """A newer handle with which the conversation can be resumed on another connection."""

    type: Literal["session_resumable"] = "session_resumable"
    handle: str = Field(repr=False)


class SessionEnded(Event, frozen=True):
    """The connection is over. The last event of every session."""

    type: Literal["session_ended"] = "session_ended"
    code: int | None = None
    """WebSocket close code; None when we closed it ourselves or the network failed."""
    reason: str = ""
    cause: Cause = "unknown"
    retryable: bool = False
    advice: str | None = None
    requested: bool = False
    """True when this side asked for the end."""


ConnectionState = Literal["connecting", "connected", "renewing", "reconnecting", "closed"]


class ConnectionChanged(Event, frozen=True):
    """The connection entered another state; the conversation goes on unless it is `closed`."""

    type: Literal["connection_changed"] = "connection_changed"
    state: ConnectionState
    provider: str = ""
    """Where it leads to."""
    reason: str = ""
    """Why, such as the close reason or `session limit`."""
    code: int | None = None
    """The close code of the connection that was lost."""
    cause: Cause = "unknown"
    attempt: int = 0
    """Of a reconnection, from 1."""
    gap_ms: float = 0.0
    """When `connected` again: how long nothing could be sent."""
    state_restored: bool = True
    """When `connected` again: whether the new connection knows the conversation."""
    advice: str | None = None


class ProviderSwitched(Event, frozen=True):
    """Another provider has taken over the conversation, with its history and its tools."""

    type: Literal["provider_switched"] = "provider_switched"
    from_provider: str
    to_provider: str
    reason: str = ""


class AnswerStalled(Event, frozen=True):
    """An answer is due and does not come; what is done about it."""

    type: Literal["answer_stalled"] = "answer_stalled"
    step: Literal["nudge", "ask_again", "reconnect"]
    waited_ms: float
    """Since the provider was last heard of, or since the answer was due."""
    count: int = 1
    """How often this session has stalled so far, steps counted."""


class ConfigWarning(Event, frozen=True):
    """A setting that this provider cannot honour, and what happens instead."""

    type: Literal["config_warning"] = "config_warning"
    setting: str
    message: str


class AudioDropped(Event, frozen=True):
    """Audio was thrown away because a buffer was full."""

    type: Literal["audio_dropped"] = "audio_dropped"
    direction: Literal["input", "output"]
    duration_ms: float


class ErrorOccurred(Event, frozen=True):
    """Something failed. The session goes on unless `fatal`."""

    urgent: ClassVar[bool] = True

    type: Literal["error"] = "error"
    message: str
    code: str | None = None
    provider: str | None = None
    retryable: bool = False
    cause: Cause = "unknown"
    advice: str | None = None
    fatal: bool = False

    @field_validator("message")
    @classmethod
    def _without_keys(cls, message: str) -> str:
        return redact(message)

    @classmethod
    def of(cls, error: RealtimeError, *, fatal: bool = False) -> "ErrorOccurred":
        """The event that reports `error`."""
        return cls(
            message=error.message,
            code=error.code,
            provider=error.provider,
            retryable=error.retryable,
            cause=error.cause,
            advice=error.advice,
            fatal=fatal,
        )

    def to_exception(self) -> RealtimeError:
        """The exception that says the same, for `raise` and for `on_error` handlers."""
        kind = RealtimeConnectionError if self.fatal else RealtimeError
        return kind(
            self.message,
            code=self.code,
            provider=self.provider,
            retryable=self.retryable,
            cause=self.cause,
            advice=self.advice,
        )


class RawEvent(Event, frozen=True):
    """A provider's message that has no meaning common to all providers."""

    type: Literal["raw"] = "raw"
    name: str
    """The provider's own name for it, such as `rate_limits.updated`."""
    data: dict[str, Any] = Field(repr=False)
    """The message as the provider sent it."""


AnyEvent = Annotated[
    AudioChunk
    | TranscriptDelta
    | ThoughtDelta
    | ToolCallRequest
    | ToolCallsCancelled
    | ToolCallCompleted
    | ToolProgress
    | SupervisorStarted
    | SupervisorAsked
    | SupervisorFinished
    | SpeechStarted
    | SpeechStopped
    | InputCommitted
    | ResponseStarted
    | OutputCancelled
    | ResponseDone
    | UsageReported
    | UsageUpdated
    | UsageLimitReached
    | TurnEnded
    | Interrupted
    | GuardrailTripped
    | GuardrailFailed
    | PlaybackHeld
    | PlaybackResumed
    | EchoMeasured
    | HandedOff
    | InactivityCountdown
    | InactivityTimedOut
    | SessionStarted
    | SessionUpdated
    | SessionExpiring
    | SessionResumable
    | SessionEnded
    | ConnectionChanged
    | ProviderSwitched
    | AnswerStalled
    | ConfigWarning
    | AudioDropped
    | ErrorOccurred
    | RawEvent,
    Field(discriminator="type"),
]
"""The closed union: a saved event can be read back with `TypeAdapter(AnyEvent)`."""
