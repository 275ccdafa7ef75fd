"""Keeps the conversation as it was heard: an interrupted answer ends where hearing ended."""

from collections import OrderedDict

from ..commands import (
    AnyCommand,
    CommitAudio,
    RequestResponse,
    SendText,
    SendToolResult,
    UpdateSession,
)
from ..conversation import (
    ConversationHistory,
    ConversationSeed,
    ConversationTurn,
    SeedMessage,
    ToolRound,
)
from ..events import (
    ConnectionChanged,
    Event,
    InputCommitted,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SessionEnded,
    Speaker,
    SpeechStarted,
    ToolCallRequest,
    ToolCallsCancelled,
    TranscriptDelta,
)
from ..session.observer import Control, Observer

_PATIENCE = 8
"""How many turns may follow a spoken one before its words are given up. A transcript that never
comes must not hide the conversation for ever."""
_ITEMS = 64
"""How many of the newest items are known by their ids."""
_SOMEBODY = ""
"""Stands for the id of an item of which nothing is known but that it must have been said."""


class History(Observer):
    """Fills a `ConversationHistory`.

    A user's words are often written down after the answer has begun, or even after the next turn;
    the turn's place is taken when the user speaks, not when the words come.
    """

    def __init__(self, seed: ConversationSeed | None = None) -> None:
        self.conversation = ConversationHistory(seed)
        self._items: OrderedDict[str, ConversationTurn] = OrderedDict()
        self._awaited: dict[str, int] = {}
        """Items whose words are still to come, with the turns that have begun since."""
        self._transcribes = True
        self._reports_speech = True
        self._explained = False
        """Whether it is known why the next answer comes."""

    def attach(self, control: Control) -> None:
        """Learn whether words of the user come, and whether their speech is reported."""
        self._transcribes = control.config.transcription is not None
        self._reports_speech = control.profile.emits_speech_events

    def on_command(self, command: AnyCommand) -> None:
        """What is written is a turn too; what a tool returned belongs to its call."""
        match command:
            case SendText():
                self.conversation.tell(SeedMessage(role=command.role, text=command.text))
                self._explained = self._explained or command.role != "system"
            case SendToolResult():
                self.conversation.answer(command.call_id, command.output, is_error=command.is_error)
                self._explained = True
            case RequestResponse() | CommitAudio():
                self._explained = True
            case UpdateSession():
                self._transcribes = command.config.transcription is not None
                if not self._transcribes:
                    self._give_up_all()

    def on_event(self, event: Event) -> None:
        """Take places, add words, cut what was not heard."""
        match event:
            case SpeechStarted(item_id=str() as item) | InputCommitted(item_id=str() as item):
                self._spoken(item)
            case TranscriptDelta(speaker="user"):
                self._user_words(event)
            case TranscriptDelta():
                self._assistant_words(event)
            case Interrupted():
                for heard in event.items:
                    if (cut := self._items.get(heard.item_id)) is not None:
                        self.conversation.write(cut, heard.heard_text)
                        cut.interrupted, cut.heard_ms = True, heard.heard_ms
            case ToolCallRequest():
                self.conversation.call(
                    ToolRound(
                        call_id=event.call_id,
                        function_name=event.function_name,
                        arguments=event.arguments,
                    )
                )
            case ToolCallsCancelled():
                for call_id in event.call_ids:
                    self.conversation.answer(call_id, "the call was cancelled", is_error=True)
            case ResponseStarted():
                self._answer_begins()
            case ResponseDone():
                self._give_up(_SOMEBODY)
            case SessionEnded() | ConnectionChanged(state="connected"):
                # The words that are owed would have come over a connection that is gone.
                self._give_up_all()

    def _spoken(self, item_id: str) -> None:
        """The user has said something; its words come later."""
        if self._transcribes and item_id not in self._items:
            self._begin(item_id, "user", awaited=True)
            self._awaited[item_id] = 0

    def _answer_begins(self) -> None:
        # Where speech is not reported, an answer that nothing else explains is the first sign of
        # it, and the words may come after those of the answer.
        if not self._explained and not self._reports_speech:
            self._spoken(_SOMEBODY)
        self._explained = False

    def _user_words(self, delta: TranscriptDelta) -> None:
        self._explained = True
        item_id = delta.item_id
        if item_id not in self._items and _SOMEBODY in self._awaited:
            self._items[item_id] = self._items.pop(_SOMEBODY)
            self._awaited[item_id] = self._awaited.pop(_SOMEBODY)
        turn = self._items.get(item_id)
        text = _text(turn, delta)
        if text.strip():
            self._awaited.pop(item_id, None)
            self._write(item_id, "user", text)
        elif delta.is_final and item_id in self._awaited:
            self._give_up(item_id)
        elif delta.is_final and turn is not None:
            self.conversation.write(turn, "")

    def _assistant_words(self, delta: TranscriptDelta) -> None:
        turn = self._items.get(delta.item_id)
        if turn is None or not turn.interrupted:
            text = _text(turn, delta)
            if turn is not None or text.strip():
                self._write(delta.item_id, "assistant", text)

    def _write(self, item_id: str, role: Speaker, text: str) -> None:
        turn = self._items.get(item_id)
        if turn is None:
            self._begin(item_id, role, text)
        else:
            self.conversation.write(turn, text)

    def _begin(self, item_id: str, role: Speaker, text: str = "", *, awaited: bool = False) -> None:
        self._items[item_id] = self.conversation.begin(role, text, awaited=awaited)
        if len(self._items) > _ITEMS:
            self._items.popitem(last=False)
        for waiting in list(self._awaited):
            self._awaited[waiting] += 1
            if self._awaited[waiting] > _PATIENCE:
                self._give_up(waiting)

    def _give_up_all(self) -> None:
        for item_id in list(self._awaited):
            self._give_up(item_id)

    def _give_up(self, item_id: str) -> None:
        if self._awaited.pop(item_id, None) is not None:
            self.conversation.drop(self._items.pop(item_id))


def _text(turn: ConversationTurn | None, delta: TranscriptDelta) -> str:
    """The words of a turn after a delta."""
    if delta.is_final and delta.full_text is not None:
        # The final wording wins over the pieces: recognizers correct themselves.
        return delta.full_text.strip()
    return (turn.text if turn is not None else "") + delta.text
