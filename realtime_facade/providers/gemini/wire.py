"""The Gemini Live messages: what is read of the server's, and how frames to it are written.

Only fields that the codec reads are declared. Undeclared keys of a message, and of its
`serverContent`, stay in `model_extra`, so that the codec can pass them on instead of losing them.
JSON follows protobuf's rules: integers may come as strings, durations are text such as `"1.880s"`.
"""

import json
import re
from binascii import b2a_base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from ...commands import SendToolResult
from ...errors import ConfigurationError, ProtocolError
from ..base import Frame
from ..limits import LONGEST_ID, MOST_PARTS, Id

_DURATION = re.compile(r"\d{1,12}(?:\.\d{1,9})?s")
_PCM = re.compile(r"audio/(?:pcm|l16)\s*(?:;\s*rate=(\d{1,6})\s*)?(?:;.*)?", re.IGNORECASE)
_LOWEST_RATE = 8_000

Role = Literal["user", "model"]


def _duration(text: str) -> str:
    if not _DURATION.fullmatch(text):
        raise ValueError("not a duration")
    return text


@lru_cache(maxsize=64)
def pcm_rate(mime_type: str) -> int | None:
    """The sample rate in Hz of a PCM MIME type, 24 000 when it names none; None for other media.

    Raises:
        ValueError: If the rate is too low to be speech.
    """
    match = _PCM.fullmatch(mime_type)
    if match is None:
        return None
    rate = int(match[1] or 24_000)
    if rate < _LOWEST_RATE:
        raise ValueError("not a sample rate")
    return rate


def _checked_mime_type(mime_type: str) -> str:
    pcm_rate(mime_type)
    return mime_type


def seconds(duration: str) -> float:
    """A protobuf duration in seconds: `"1.880s"` is 1.88."""
    return float(duration[:-1])


Duration = Annotated[str, AfterValidator(_duration)]
_Handle = Annotated[str, Field(max_length=32 * LONGEST_ID)]


_KEPT: Literal["keys"] = "keys"
"""What the parser remembers of a frame; by default 16 000 texts too, and each id comes once."""


class _Message(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, val_json_bytes="base64", cache_strings=_KEPT
    )


class _OpenMessage(_Message):
    model_config = ConfigDict(extra="allow")


class Blob(_Message):
    """Bytes of a medium; `data` arrives decoded from either base64 alphabet."""

    mime_type: Annotated[Id, AfterValidator(_checked_mime_type)]
    data: bytes


class Part(_Message):
    """A piece of what the model produced."""

    text: str | None = None
    thought: bool | None = None
    inline_data: Blob | None = None


class ModelTurn(_Message):
    """Pieces in the order in which they were produced."""

    parts: Annotated[list[Part], Field(max_length=MOST_PARTS)] = []


class Transcription(_Message):
    """A chunk of a transcript. Chunks are concatenated as they are, with their spaces."""

    text: str = ""


class ServerContent(_OpenMessage):
    """What belongs to the running turn."""

    model_turn: ModelTurn | None = None
    input_transcription: Transcription | None = None
    output_transcription: Transcription | None = None
    interrupted: bool | None = None
    generation_complete: bool | None = None
    turn_complete: bool | None = None
    turn_complete_reason: Id | None = None
    interaction_status: Id | None = None


class ModalityCount(_Message):
    """Tokens of one modality."""

    modality: Id = ""
    token_count: int = 0


_Counts = Annotated[list[ModalityCount], Field(max_length=MOST_PARTS)]


class UsageMetadata(_Message):
    """Token counts. The two names of the answer's counts are the Developer API's and Vertex's."""

    prompt_token_count: int = 0
    prompt_tokens_details: _Counts = []
    tool_use_prompt_token_count: int = 0
    cached_content_token_count: int = 0
    cache_tokens_details: _Counts = []
    response_token_count: int = Field(
        0, validation_alias=AliasChoices("responseTokenCount", "candidatesTokenCount")
    )
    response_tokens_details: _Counts = Field(
        [], validation_alias=AliasChoices("responseTokensDetails", "candidatesTokensDetails")
    )
    thoughts_token_count: int = 0
    total_token_count: int | None = None


class FunctionCall(_Message):
    """One call; `args` is missing when the function takes none."""

    id: Id
    name: Id
    args: dict[str, Any] | None = None


class ToolCall(_Message):
    """Calls that may run in parallel."""

    function_calls: Annotated[list[FunctionCall], Field(max_length=MOST_PARTS)] = []


class ToolCallCancellation(_Message):
    """Calls whose answers must not be sent any more."""

    ids: Annotated[list[Id], Field(max_length=MOST_PARTS)] = []


class SetupComplete(_Message):
    """The configuration was accepted. The Developer API names no session."""

    session_id: Id | None = None


class GoAway(_Message):
    """The connection will be closed."""

    time_left: Duration | None = None


class SessionResumptionUpdate(_Message):
    """A handle for resuming; without one, the session cannot be resumed at this moment."""

    new_handle: _Handle = ""
    resumable: bool | None = None


class VoiceActivity(_Message):
    """The user began or ceased to speak, at a position in the input audio."""

    type: Id = ""
    audio_offset: Duration | None = None


class VoiceActivityDetectionSignal(_Message):
    """An older form of `VoiceActivity`, without a position."""

    vad_signal_type: Id = ""


class ErrorBody(_Message):
    """A Google API error."""

    code: int | None = None
    status: Id | None = None
    message: str | None = None


class ServerMessage(ErrorBody, _OpenMessage):
    """Any message of the server. Several keys may come in one message.

    An error comes under a key of its own or, seen rarely, as the whole message.
    """

    setup_complete: SetupComplete | None = None
    server_content: ServerContent | None = None
    tool_call: ToolCall | None = None
    tool_call_cancellation: ToolCallCancellation | None = None
    usage_metadata: UsageMetadata | None = None
    go_away: GoAway | None = None
    session_resumption_update: SessionResumptionUpdate | None = None
    voice_activity: VoiceActivity | None = None
    voice_activity_detection_signal: VoiceActivityDetectionSignal | None = None
    error: ErrorBody | None = None


def parse(frame: Frame) -> ServerMessage:
    """Read a server's frame, JSON and base64 in one pass.

    Raises:
        ProtocolError: If it is not JSON, not an object, or a known field has a wrong type.
    """
    try:
        return ServerMessage.model_validate_json(frame)
    except ValueError as error:
        # Not chained: the original quotes the frame, which holds what people said.
        raise _malformed(frame, error) from None


def untyped(frame: Frame) -> dict[str, Any]:
    """A frame that `parse` has accepted, as plain JSON.

    Raises:
        ProtocolError: If it is not JSON after all.
    """
    try:
        message: dict[str, Any] = from_json(frame, cache_strings=_KEPT)
    except ValueError as error:
        raise _malformed(frame, error) from None
    return message


def _malformed(frame: Frame, error: ValueError) -> ProtocolError:
    detail = type(error).__name__
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        detail = f"{first['type']} at {place}" if place else first["type"]
    return ProtocolError(
        f"Gemini sent a malformed frame of {len(frame)} bytes: {detail}",
        provider="gemini",
        advice="the frame was skipped and the session goes on",
    )


ACTIVITY_START = '{"realtimeInput":{"activityStart":{}}}'
ACTIVITY_END = '{"realtimeInput":{"activityEnd":{}}}'
AUDIO_STREAM_END = '{"realtimeInput":{"audioStreamEnd":true}}'


def audio(pcm: bytes, rate: int) -> str:
    """A frame of microphone audio: mono s16le at `rate` Hz."""
    # Concatenated: 50 of these a second, and a JSON encoder takes ten times as long.
    return (
        f'{{"realtimeInput":{{"audio":{{"mimeType":"audio/pcm;rate={rate}","data":"'
        + b2a_base64(pcm, newline=False).decode("ascii")
        + '"}}}'
    )


def text_now(text: str) -> str:
    """Text that counts as the user's activity, and as a turn of its own."""
    return encode({"realtimeInput": {"text": text}})


def content(role: Role, text: str, *, turn_complete: bool) -> str:
    """Text that is added to the conversation in order; answered if `turn_complete`."""
    turns = [{"role": role, "parts": [{"text": text}]}]
    return encode({"clientContent": {"turns": turns, "turnComplete": turn_complete}})


ANSWER_NOW = '{"clientContent":{"turnComplete":true}}'


def tool_response(result: SendToolResult, *, silent: bool) -> str:
    """The result of one call; `silent` keeps the model from speaking about it."""
    response = {"error": result.output} if result.is_error else {"output": _plain(result.output)}
    answer = {"id": result.call_id, "name": result.function_name, "response": response}
    if silent:
        answer["scheduling"] = "SILENT"
    return encode({"toolResponse": {"functionResponses": [answer]}})


def _plain(output: str) -> object:
    """A tool's output as the object or list that it is, else as text."""
    if output.lstrip()[:1] not in ("{", "["):
        return output
    try:
        value: object = from_json(output, allow_inf_nan=False)
    except ValueError:
        return output
    return value


def encode(message: Mapping[str, Any]) -> str:
    """Any message as a frame, in ASCII so that no text can be unsendable.

    Raises:
        ConfigurationError: If it holds something that JSON cannot express.
    """
    try:
        return json.dumps(message, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"a message for Gemini is not JSON: {error}",
            provider="gemini",
            cause="application",
            advice="use only str, int, finite float, bool, None, list and dict with str keys",
        ) from error
