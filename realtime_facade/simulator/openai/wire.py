"""What clients may say on the OpenAI Realtime wire, and how the provider words its refusals."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from ..clock import Ids


class WireError(Exception):
    """The client made a mistake; it is answered with an `error` event and the session goes on."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ClientEvent(_Strict):
    """Base of all client events."""

    event_id: Annotated[str, Field(max_length=512)] | None = None


class SessionUpdate(ClientEvent):
    """Change the configuration; `session` is checked where it is merged."""

    type: Literal["session.update"]
    session: dict[str, Any]


class AudioAppend(ClientEvent):
    """More microphone audio, base64."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class AudioCommit(ClientEvent):
    """The user's turn is over."""

    type: Literal["input_audio_buffer.commit"]


class AudioClear(ClientEvent):
    """Forget what was appended."""

    type: Literal["input_audio_buffer.clear"]


class OutputClear(ClientEvent):
    """Of WebRTC and SIP, where the server plays; refused here as by the provider."""

    type: Literal["output_audio_buffer.clear"]


class Part(_Strict):
    """One piece of a message's content."""

    type: Literal["input_text", "input_audio", "input_image", "output_text"]
    text: str | None = None
    audio: str | None = None
    transcript: str | None = None
    image_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


class _ItemBase(_Strict):
    id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None


class MessageItem(_ItemBase):
    """What one side said."""

    type: Literal["message"]
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Part], Field(min_length=1)]
    phase: Literal["commentary", "final_answer"] | None = None


class FunctionCallItem(_ItemBase):
    """A call from an earlier conversation."""

    type: Literal["function_call"]
    name: str
    arguments: str
    call_id: Annotated[str, Field(max_length=32)] | None = None


class FunctionCallOutputItem(_ItemBase):
    """What a tool answered."""

    type: Literal["function_call_output"]
    call_id: Annotated[str, Field(max_length=32)]
    output: str


AnyItem = Annotated[
    MessageItem | FunctionCallItem | FunctionCallOutputItem, Field(discriminator="type")
]


class ItemCreate(ClientEvent):
    """Add to the conversation."""

    type: Literal["conversation.item.create"]
    item: AnyItem
    previous_item_id: str | None = None


class ItemRetrieve(ClientEvent):
    """Show an item."""

    type: Literal["conversation.item.retrieve"]
    item_id: str


class ItemDelete(ClientEvent):
    """Forget an item."""

    type: Literal["conversation.item.delete"]
    item_id: str


class ItemTruncate(ClientEvent):
    """Forget what was not heard of an item."""

    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int
    audio_end_ms: Annotated[int, Field(ge=0)]


class ResponseCreate(ClientEvent):
    """Ask for an answer; `response` is checked where it is used."""

    type: Literal["response.create"]
    response: dict[str, Any] | None = None


class ResponseCancel(ClientEvent):
    """Stop an answer."""

    type: Literal["response.cancel"]
    response_id: str | None = None


AnyClientEvent = (
    SessionUpdate
    | AudioAppend
    | AudioCommit
    | AudioClear
    | OutputClear
    | ItemCreate
    | ItemRetrieve
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
)
_EVENTS: TypeAdapter[AnyClientEvent] = TypeAdapter(
    Annotated[AnyClientEvent, Field(discriminator="type")]
)
_MAX_PARAM = 200
_UNION_MEMBERS = {
    *("message", "function_call", "function_call_output", "server_vad", "semantic_vad"),
    *("int", "str"),
}
"""What pydantic puts into a path beside the names of fields, as far as it looks like one."""


def decode(frame: str | bytes) -> dict[str, Any]:
    """The JSON object in a frame, text or binary.

    Raises:
        WireError: If there is none.
    """
    try:
        message = from_json(frame)
    except ValueError as error:
        raise WireError("invalid_event", f"The event is not valid JSON: {error}") from None
    if not isinstance(message, dict):
        raise WireError("invalid_event", "The event must be a JSON object.")
    return message


def parse(message: dict[str, Any]) -> AnyClientEvent:
    """Check a client event.

    Raises:
        WireError: Says which parameter is wrong, in the provider's codes.
    """
    try:
        return _EVENTS.validate_python(message)
    except ValidationError as error:
        raise explain(error) from None


def explain(error: ValidationError, prefix: str = "") -> WireError:
    """The provider's words for the first thing that is wrong."""
    detail = error.errors(include_url=False, include_context=True)[0]
    param = _param(detail, prefix)
    match detail["type"]:
        case "missing":
            return WireError(
                "missing_required_parameter", f"Missing required parameter: '{param}'.", param
            )
        case "union_tag_not_found":
            param = f"{param}.type".lstrip(".")
            return WireError(
                "missing_required_parameter", f"Missing required parameter: '{param}'.", param
            )
        case "extra_forbidden":
            return WireError("unknown_parameter", f"Unknown parameter: '{param}'.", param)
        case "union_tag_invalid":
            context = detail.get("ctx", {})
            param = f"{param}.type".lstrip(".")
            message = f"Invalid value: '{context.get('tag')}'. "
            message += f"Supported values are: {context.get('expected_tags')}."
            return WireError("invalid_value", message, param)
        case kind if kind.endswith("_type"):
            message = f"Invalid type for '{param}': {detail['msg'].lower()}."
            return WireError("invalid_type", message, param)
        case _:
            return WireError(
                "invalid_value", f"Invalid value for '{param}': {detail['msg']}.", param
            )


def _param(detail: ErrorDetails, prefix: str) -> str:
    """`a.b[0].c`, without the names of union members that pydantic puts in between."""
    path = prefix
    for part in detail["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and part.islower() and part not in _UNION_MEMBERS:
            path += f".{part}" if path else part
    return path[:_MAX_PARAM]


def error_message(ids: Ids, error: WireError, event_id: str | None) -> dict[str, Any]:
    """The `error` event that answers a client event."""
    return {
        "type": "error",
        "event_id": ids.make("event_"),
        "error": {
            "type": "invalid_request_error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "event_id": event_id,
        },
    }
