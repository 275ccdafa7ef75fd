"""What a session can be told to do: one vocabulary for every provider.

A codec turns each command into zero or more frames. Commands carry audio at the provider's own
input rate; the session has resampled it before.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .config import RealtimeConfig
from .tools.definition import ToolDefinition


class Command(BaseModel):
    """Base of all commands."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AppendAudio(Command):
    """Add microphone audio: mono s16le at the profile's input rate, whole samples."""

    data: bytes = Field(repr=False)


class CommitAudio(Command):
    """End the user's turn by hand and ask for an answer (manual turns)."""


class ClearAudio(Command):
    """Forget audio that was appended but not committed."""


class EndAudio(Command):
    """No more microphone audio for now: let voice activity detection close the open turn."""


class SendText(Command):
    """Add a message to the conversation and, if `respond`, ask for an answer."""

    text: str
    role: Literal["user", "assistant", "system"] = "user"
    respond: bool = True


class RequestResponse(Command):
    """Ask for an answer; queued while another one is active."""

    instructions: str | None = None
    interim: bool = False
    """Say something while tools run, without calling any. Dropped when their results, or anything
    else that wants an answer, come before it could be sent."""
    at_once: bool = False
    """Do not wait for the end of an answer that nobody is to hear any more."""


class CancelResponse(Command):
    """Stop the answer that is being generated."""

    response_id: str | None = None


class TruncateOutput(Command):
    """Let the model forget what the listener did not hear of an item."""

    item_id: str
    audio_end_ms: int = Field(ge=0)


class DeleteItem(Command):
    """Let the model forget an item of which nothing was heard."""

    item_id: str


class SendToolResult(Command):
    """The one result of a tool call; the answer is asked for when all of a batch are there."""

    call_id: str
    function_name: str
    output: str
    """Text; JSON where the tool returned something structured."""
    is_error: bool = False
    respond: bool = True
    """Whether the model should go on speaking because of it."""


class UpdateSession(Command):
    """Change the running session."""

    config: RealtimeConfig
    """The whole configuration after the change."""
    changed: frozenset[str]
    """The names of the fields that differ."""
    tools: tuple[ToolDefinition, ...] = ()
    """The tools after the change."""


class SendRaw(Command):
    """Send a message in the provider's own JSON."""

    data: dict[str, Any] = Field(repr=False)


AnyCommand = (
    AppendAudio
    | CommitAudio
    | ClearAudio
    | EndAudio
    | SendText
    | RequestResponse
    | CancelResponse
    | TruncateOutput
    | DeleteItem
    | SendToolResult
    | UpdateSession
    | SendRaw
)
"""The closed union."""

Delivery = Literal["sent", "queued", "dropped"]
"""What became of a command: on its way, waiting for the next connection, or nothing."""
