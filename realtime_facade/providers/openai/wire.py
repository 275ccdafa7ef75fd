"""The frames of the OpenAI Realtime protocol: those we read, as models; those we write, as text.

Only fields that are read are declared; every other one is skipped while parsing. Names of the
retired beta protocol stand beside the current ones, since compatible servers still send them.
"""

import json
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from ...errors import ConfigurationError, ProtocolError
from ..base import Frame
from ..limits import LONGEST_ID, Id

_KEPT: Literal["keys"] = "keys"
"""What the parser remembers of a frame; by default 16 000 texts too, and each id comes once."""


class _Part(BaseModel):
    # JSON and base64 are decoded in one pass: 4 us for 100 ms of audio, 29 us with the two modules.
    model_config = ConfigDict(
        val_json_bytes="base64",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        cache_strings=_KEPT,
    )


class Fault(_Part):
    """What the provider says about a failure; the code sometimes sits in `type`."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    type: Id | None = None
    code: Id | None = None
    message: str | None = None
    event_id: Id | None = None
    """Our event that caused it, where the provider says so; it often does not."""


class Session(_Part):
    id: Id | None = None
    model: Id | None = None
    expires_at: float | None = None
    """Unix time."""


class InputTokenDetails(_Part):
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: "InputTokenDetails | None" = None


class OutputTokenDetails(_Part):
    text_tokens: int = 0
    audio_tokens: int = 0
    reasoning_tokens: int = 0


class TokenUsage(_Part):
    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputTokenDetails | None = None
    output_token_details: OutputTokenDetails | None = None
    seconds: float = 0.0
    """Of a transcription that is billed by time."""


class StatusDetails(_Part):
    reason: Id | None = None
    error: Fault | None = None


class Response(_Part):
    id: Id
    status: Id = "completed"
    status_details: StatusDetails | None = None
    conversation_id: Id | None = None
    """None for an out-of-band response."""
    usage: TokenUsage | None = None


class Item(_Part):
    id: Id | None = None
    type: Id | None = None
    status: Id | None = None
    call_id: Id | None = None
    name: Id | None = None
    arguments: str | None = None


class AudioDelta(_Part):
    type: Literal["response.output_audio.delta", "response.audio.delta"]
    response_id: Id = ""
    item_id: Id
    delta: bytes


class AudioDone(_Part):
    type: Literal["response.output_audio.done", "response.audio.done"]
    response_id: Id = ""
    item_id: Id


class TextDelta(_Part):
    type: Literal[
        "response.output_audio_transcript.delta",
        "response.output_text.delta",
        "response.audio_transcript.delta",
        "response.text.delta",
    ]
    response_id: Id = ""
    item_id: Id
    delta: str


class TextDone(_Part):
    type: Literal[
        "response.output_audio_transcript.done",
        "response.output_text.done",
        "response.audio_transcript.done",
        "response.text.done",
    ]
    response_id: Id = ""
    item_id: Id
    text: str = Field(validation_alias=AliasChoices("transcript", "text"))


class ArgumentsDone(_Part):
    type: Literal["response.function_call_arguments.done"]
    response_id: Id = ""
    call_id: Id
    name: Id | None = None
    """Absent in the beta protocol, where only the item has it."""
    arguments: str


class OutputItemDone(_Part):
    type: Literal["response.output_item.done"]
    response_id: Id = ""
    item: Item


class ItemAdded(_Part):
    type: Literal["conversation.item.added", "conversation.item.created"]
    item: Item


class ResponseCreated(_Part):
    type: Literal["response.created"]
    response: Response


class ResponseDone(_Part):
    type: Literal["response.done"]
    response: Response


class SpeechStarted(_Part):
    type: Literal["input_audio_buffer.speech_started"]
    item_id: Id | None = None
    audio_start_ms: float | None = None


class SpeechStopped(_Part):
    type: Literal["input_audio_buffer.speech_stopped"]
    item_id: Id | None = None
    audio_end_ms: float | None = None


class Committed(_Part):
    type: Literal["input_audio_buffer.committed"]
    item_id: Id | None = None


class Cleared(_Part):
    type: Literal["input_audio_buffer.cleared"]


class UserTextDelta(_Part):
    type: Literal["conversation.item.input_audio_transcription.delta"]
    item_id: Id
    delta: str | None = None


class UserTextDone(_Part):
    type: Literal["conversation.item.input_audio_transcription.completed"]
    item_id: Id
    transcript: str
    usage: TokenUsage | None = None


class UserTextFailed(_Part):
    type: Literal["conversation.item.input_audio_transcription.failed"]
    item_id: Id
    error: Fault = Fault()


class SessionCreated(_Part):
    type: Literal["session.created"]
    session: Session = Session()


class SessionUpdated(_Part):
    type: Literal["session.updated"]
    session: Session = Session()


class Error(_Part):
    type: Literal["error"]
    error: Fault


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed frame of a type that is not read here."""

    type: str
    data: dict[str, Any]


_Known = (
    AudioDelta
    | AudioDone
    | TextDelta
    | TextDone
    | ArgumentsDone
    | OutputItemDone
    | ItemAdded
    | ResponseCreated
    | ResponseDone
    | SpeechStarted
    | SpeechStopped
    | Committed
    | Cleared
    | UserTextDelta
    | UserTextDone
    | UserTextFailed
    | SessionCreated
    | SessionUpdated
    | Error
)
Message = _Known | Unknown

_READ: TypeAdapter[_Known] = TypeAdapter(
    Annotated[_Known, Field(discriminator="type")], config=ConfigDict(cache_strings=_KEPT)
)


def parse(frame: Frame) -> Message:
    """Read one frame; base64 audio is decoded on the way.

    Raises:
        ProtocolError: If it is not a JSON object with a `type`, or a field of a type that is
            read here is missing or wrong. The message names the field, never its content.
    """
    try:
        return _READ.validate_json(frame)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    except ValueError as error:  # a str that UTF-8 cannot express
        raise ProtocolError(f"a frame is not valid text: {type(error).__name__}") from None
    if first["type"] == "union_tag_invalid":
        data = parse_object(frame)
        if isinstance(data["type"], str) and len(data["type"]) <= LONGEST_ID:
            return Unknown(data["type"], data)
        raise ProtocolError("malformed frame: its type is not a short text")
    place = ".".join(str(step) for step in first["loc"]) or "frame"
    raise ProtocolError(f"malformed {place}: {first['msg'][:200]}")


def parse_object(frame: Frame) -> dict[str, Any]:
    """The whole JSON object of a frame, as the provider sent it.

    Raises:
        ProtocolError: If it is not a JSON object.
    """
    try:
        data = from_json(frame, cache_strings=_KEPT)
    except ValueError as error:
        raise ProtocolError(f"a frame is not JSON: {str(error)[:200]}") from None
    if not isinstance(data, dict):
        raise ProtocolError(f"a frame is a JSON {type(data).__name__}, not an object")
    return data


def append_audio(pcm: bytes) -> str:
    """`input_audio_buffer.append` of mono s16le, built by hand.

    Base64 needs no JSON escapes, and the general writer costs twenty times as much.
    """
    audio = b2a_base64(pcm, newline=False).decode("ascii")
    return '{"type":"input_audio_buffer.append","audio":"' + audio + '"}'


def write(message: Mapping[str, Any]) -> str:
    """Any other frame.

    Raises:
        ConfigurationError: If the application put something into it that JSON cannot express.
    """
    try:
        return json.dumps(message, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"a {message.get('type', 'raw')} message cannot be written as JSON: {error}",
            cause="application",
            advice="use only strings, finite numbers, booleans, None, lists and dicts",
        ) from error
