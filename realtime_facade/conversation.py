"""The conversation as text: who said what, how much of it was heard, which tools ran."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from .events import Speaker


class SeedMessage(BaseModel):
    """Something that was said before the connection began."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system"]
    text: str

    @classmethod
    def user(cls, text: str) -> Self:
        """What the user said."""
        return cls(role="user", text=text)

    @classmethod
    def assistant(cls, text: str) -> Self:
        """What the assistant said."""
        return cls(role="assistant", text=text)


class ToolRound(BaseModel):
    """A tool call of the assistant with its one output."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["tool_round"] = "tool_round"
    call_id: str
    function_name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    output: str | None = None
    """What the model was told; None while the tool runs."""
    is_error: bool = False


SeedItem = Annotated[SeedMessage | ToolRound, Field(discriminator="type")]
"""What a connection can begin with, oldest first."""


@dataclass(slots=True)
class ConversationTurn:
    """What one speaker said without a break."""

    role: Speaker
    text: str = ""
    interrupted: bool = False
    heard_ms: int | None = None
    """Of an interrupted answer: how much of it was heard."""

    @property
    def content(self) -> str:
        """The same as `text`."""
        return self.text


class ConversationHistory:
    """Turns in the order in which they began. Grows with the conversation, as text only."""

    def __init__(self) -> None:
        self._turns: list[ConversationTurn] = []

    @property
    def turns(self) -> list[ConversationTurn]:
        """Turns that have words."""
        return [turn for turn in self._turns if turn.text]

    @property
    def conversation_turns(self) -> list[ConversationTurn]:
        """The same as `turns`."""
        return self.turns

    def __len__(self) -> int:
        return len(self.turns)

    def __iter__(self) -> Iterator[ConversationTurn]:
        return iter(self.turns)

    def format(self) -> str:
        """The conversation as lines of `User: ...` and `Assistant: ...`."""
        return "\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in self.turns)

    def begin(self, role: Speaker, text: str = "") -> ConversationTurn:
        """Take a place for a turn; its words may follow."""
        turn = ConversationTurn(role, text)
        self._turns.append(turn)
        return turn
