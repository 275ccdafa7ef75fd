"""Makes turns, tool calls and heard times out of the events of a conversation."""

from dataclasses import dataclass, field
from typing import Any

from ..events import (
    AudioChunk,
    Event,
    Interrupted,
    ResponseStarted,
    ToolCallCompleted,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
)


@dataclass(slots=True)
class _Item:
    text: str = ""
    received_ms: float = 0.0


@dataclass(slots=True)
class Turn:
    """One question and its answer."""

    user: str = ""
    interrupted: bool = False
    answered: bool = False
    """Whether the provider has sent the whole answer."""
    items: dict[str, _Item] = field(default_factory=dict)

    @property
    def assistant(self) -> str:
        """What was said; of an interrupted answer, what was heard."""
        return " ".join(item.text.strip() for item in self.items.values() if item.text.strip())

    @property
    def heard_ms(self) -> int:
        """How much of the answer reached the listener."""
        return round(sum(item.received_ms for item in self.items.values()))


class Story:
    """The conversation so far. Told of every event; answers belong to the turn they began in."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.tool_calls: list[ToolCallRequest] = []
        self.tool_ms: list[float] = []
        self._turn_of_response: dict[str, Turn] = {}
        self._answering: Turn | None = None

    def begin_turn(self) -> Turn:
        """The user starts to ask something."""
        turn = Turn()
        self.turns.append(turn)
        return turn

    def on_event(self, event: Event) -> None:
        """Learn what happened; events before the first turn are nobody's."""
        if not self.turns:
            return
        match event:
            case ResponseStarted():
                self._answering = self._turn_of_response[event.response_id] = self.turns[-1]
            case TranscriptDelta(speaker="user", is_final=True):
                turn = self.turns[-1]
                turn.user = f"{turn.user} {event.full_text or event.text}".strip()
            case TranscriptDelta(speaker="assistant"):
                self._item(event).text += event.text
            case AudioChunk():
                self._item(event).received_ms += event.duration_ms
            case ToolCallRequest():
                self.tool_calls.append(event)
            case ToolCallCompleted():
                self.tool_ms.append(event.duration_ms)
            case Interrupted():
                self._cut(event)
            case TurnEnded():
                turn_ended = self._turn_of_response.get(event.response_id) or self._answering
                if turn_ended is not None:
                    turn_ended.answered = True

    def summary(self) -> dict[str, Any]:
        """The story as JSON: `turns` and `tool_calls`."""
        return {
            "turns": [
                {
                    "user": turn.user,
                    "assistant": turn.assistant,
                    "interrupted": turn.interrupted,
                    "heard_ms": turn.heard_ms,
                }
                for turn in self.turns
            ],
            "tool_calls": [
                {"function_name": call.function_name, "arguments": call.arguments}
                for call in self.tool_calls
            ],
        }

    def _item(self, event: TranscriptDelta | AudioChunk) -> _Item:
        turn = self._turn_of_response.get(event.response_id) or self._answering or self.turns[-1]
        return turn.items.setdefault(event.item_id, _Item())

    def _cut(self, event: Interrupted) -> None:
        for cut in event.items:
            for turn in self.turns:
                if item := turn.items.get(cut.item_id):
                    turn.interrupted = True
                    item.text = cut.heard_text
                    item.received_ms = cut.heard_ms
