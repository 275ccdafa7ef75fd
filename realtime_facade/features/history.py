"""Keeps the conversation as it was heard: an interrupted answer ends where hearing ended."""

from ..commands import AnyCommand, SendText
from ..conversation import ConversationHistory, ConversationTurn
from ..events import (
    Event,
    InputCommitted,
    Interrupted,
    Speaker,
    SpeechStarted,
    TranscriptDelta,
)
from ..session.observer import Observer


class History(Observer):
    """Fills a `ConversationHistory`.

    A user's words are often written down after the answer has begun; the turn's place is taken
    when the user speaks, not when the words come.
    """

    def __init__(self) -> None:
        self.conversation = ConversationHistory()
        self._items: dict[str, ConversationTurn] = {}

    def on_command(self, command: AnyCommand) -> None:
        """Typed text is a turn too."""
        if isinstance(command, SendText) and command.role != "system":
            self.conversation.begin(command.role, command.text)

    def on_event(self, event: Event) -> None:
        """Take places, add words, cut what was not heard."""
        match event:
            case SpeechStarted(item_id=str() as item) | InputCommitted(item_id=str() as item):
                self._turn(item, "user")
            case TranscriptDelta():
                turn = self._turn(event.item_id, event.speaker)
                if not turn.interrupted:
                    turn.text += event.text
                if event.is_final and event.full_text is not None:
                    # The final wording wins over the pieces: recognizers correct themselves.
                    turn.text = event.full_text.strip()
            case Interrupted():
                for heard in event.items:
                    if (cut := self._items.get(heard.item_id)) is not None:
                        cut.text, cut.interrupted = heard.heard_text, True
                        cut.heard_ms = heard.heard_ms

    def _turn(self, item_id: str, role: Speaker) -> ConversationTurn:
        turn = self._items.get(item_id)
        if turn is None:
            turn = self._items[item_id] = self.conversation.begin(role)
        return turn
