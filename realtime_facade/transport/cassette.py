"""What stands on a cassette: JSON lines, first a header, then what went over each connection."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..conversation import SeedItem
from ..tools.definition import ToolDefinition

FORMAT: Literal["realtime-facade cassette"] = "realtime-facade cassette"
VERSION: Literal[1] = 1


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Header(_Line):
    """What was recorded, and with what."""

    format: Literal["realtime-facade cassette"] = FORMAT
    version: Literal[1] = VERSION
    package: str
    """The version of this package that wrote it."""
    audio: bool = True
    """False: all sound was replaced by silence of the same length."""


class Opened(_Line):
    """A connection began, as it was asked for. No secrets are in it."""

    kind: Literal["opened"] = "opened"
    at: float
    """Seconds since the beginning of the cassette; the same in all lines."""
    connection: Annotated[int, Field(ge=1)]
    provider: str
    """The registered name."""
    protocol: str
    """The name of the provider whose protocol was spoken."""
    model: str
    config: dict[str, Any] = Field(default_factory=dict)
    """The fields of `RealtimeConfig` that are not at their defaults, without the tools."""
    tools: tuple[ToolDefinition, ...] = ()
    past: tuple[SeedItem, ...] = ()
    """What the new connection was told of the conversation before it."""
    past_connections: int = 0
    resumed: bool = False
    """Whether it went on by a handle, which is a secret and left out."""


class Sent(_Line):
    """A frame went to the provider."""

    kind: Literal["sent"] = "sent"
    at: float
    connection: int
    text: str | None = None
    base64: str | None = None
    """Instead of `text`, of a frame that is not UTF-8."""


class Received(_Line):
    """A frame came from the provider."""

    kind: Literal["received"] = "received"
    at: float
    connection: int
    text: str | None = None
    base64: str | None = None


class Commanded(_Line):
    """The session was told to do something: what the frames that follow come from."""

    kind: Literal["command"] = "command"
    at: float
    connection: int
    name: str
    """The class, such as `SendText`."""
    fields: dict[str, Any] = Field(default_factory=dict)


class Closed(_Line):
    """A connection is over."""

    kind: Literal["closed"] = "closed"
    at: float
    connection: int
    by: Literal["application", "provider", "network"]
    code: int | None = None
    """The provider's close code."""
    reason: str = ""


Line = Annotated[Opened | Sent | Received | Commanded | Closed, Field(discriminator="kind")]
"""One line after the header."""
