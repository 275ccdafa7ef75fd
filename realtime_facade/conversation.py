"""The conversation as text: who said what, and how much of it was heard."""

from collections.abc import Iterator
from dataclasses import dataclass

from .events import Speaker


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
