"""What has to survive a change of connection: the user's open turn, commands, a cut-off answer."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..audio.pcm import chunks
from ..commands import (
    AnyCommand,
    CommitAudio,
    DeleteItem,
    Delivery,
    RequestResponse,
    SendText,
    SendToolResult,
    TruncateOutput,
)
from ..conversation import ConversationHistory, SeedItem, SeedMessage, ToolRound
from ..errors import RealtimeError
from ..events import AudioChunk, ErrorOccurred, Event, SessionResumable
from ..providers.base import Past, Profile
from .link import Link
from .open_turn import OpenTurn
from .state import Conversation, Owed

PAST_CHARACTERS = 60_000
"""What a new connection is told of a conversation at most: its newest part, about 15 000 tokens."""
OVERLAP_MS = 2_000
"""So much of the microphone is heard by a connection that takes over, besides by the one before:
the user may have begun to speak, and the word of it be still under way, on a slow network too."""
SURE_AFTER = 3
"""Handles until the result of a tool counts as known to the provider. A handle does not say what
had been read when it was made, and what was sent shortly before may be lost with its connection."""
COMMAND_LIMIT = 1_000
"""Waiting commands. An application this far ahead does not listen to anybody."""

GO_ON = (
    "The connection was lost for a moment while you were speaking. The listener has heard what you "
    "said so far. Go on exactly where you stopped; do not repeat anything and do not mention it."
)
"""Asks a model for the rest of an answer that was cut off."""
ANSWER_NOW = "Answer what was said last."
"""Asks a model for an answer that a lost connection owes."""


class _Noted(NamedTuple):
    """What a handle stands for, as positions in the history."""

    said: int
    """Of what was spoken."""
    read: int
    """Of what was written."""


class Waiting:
    """Commands that were given while there was no connection, to be sent once there is one."""

    def __init__(self) -> None:
        self._commands: deque[tuple[int, AnyCommand]] = deque()

    def __len__(self) -> int:
        return len(self._commands)

    def add(self, command: AnyCommand, place: int) -> Delivery:
        """Keep a command, given at this place of the microphone's audio."""
        if len(self._commands) >= COMMAND_LIMIT:
            return "dropped"
        self._commands.append((place, command))
        return "queued"

    @property
    def asks(self) -> bool:
        """Whether one of them asks for an answer."""
        return any(_asks(command) for _, command in self._commands)

    def not_among(self, items: Iterable[SeedItem]) -> list[SeedItem]:
        """These items without what waits to be sent: it would be told twice."""
        kept = list(items)
        for _, command in reversed(self._commands):
            for index in range(len(kept) - 1, -1, -1):
                item = kept[index]
                if isinstance(command, SendText) and item == SeedMessage(
                    role=command.role, text=command.text
                ):
                    del kept[index]
                    break
                if (
                    isinstance(command, SendToolResult)
                    and isinstance(item, ToolRound)
                    and item.call_id == command.call_id
                ):
                    kept[index] = item.model_copy(update={"output": None, "is_error": False})
                    break
        return kept

    def take(self, until: float = math.inf) -> Iterable[AnyCommand]:
        """Those up to a place in the audio, oldest first; each is given out once."""
        while self._commands and self._commands[0][0] <= until:
            yield self._commands.popleft()[1]


class Pace:
    """How fast the assistant speaks, learned from whole answers: to match words with audio."""

    def __init__(self, characters_per_s: float = 15.0) -> None:
        self.item_id = ""
        """The item that is being spoken."""
        self.item_ms = 0.0
        """How much of it was received."""
        self.is_final = True
        self._characters, self._ms = characters_per_s * 4, 4_000.0

    def sound(self, chunk: AudioChunk) -> None:
        """A piece of an item came."""
        if chunk.item_id != self.item_id:
            self.item_id, self.item_ms = chunk.item_id, 0.0
        self.item_ms += chunk.duration_ms
        self.is_final = chunk.is_final

    def learn(self, text: str) -> None:
        """These are all words of the item, and its audio is complete."""
        if text and self.item_ms:
            self._characters += len(text)
            self._ms += self.item_ms

    def said(self, item_id: str, text: str) -> str:
        """The whole words of an item's text so far for which its audio has come too.

        Words arrive before their sound, so a connection that breaks leaves some without.
        """
        if item_id != self.item_id or self.is_final:
            return text
        end = int(self.item_ms * self._characters / self._ms)
        if end < len(text) and not text[end].isspace():
            end = text.rfind(" ", 0, end) + 1
        return text[:end].rstrip()


class Carried:
    """Everything that goes from one connection to the next.

    Args:
        history: The conversation so far.
        rate: Hz of the microphone's audio.
    """

    def __init__(self, history: ConversationHistory, rate: int) -> None:
        self.turn = OpenTurn(rate)
        self.waiting = Waiting()
        self.pace = Pace()
        self.told_everything = True
        """Whether the newest `past` was short enough to be told whole."""
        self._history = history
        self._rate = rate
        self._foreign: set[str] = set()
        self._handle: tuple[str, str, str] | None = None
        self._noted: deque[_Noted] = deque(maxlen=SURE_AFTER)
        """What the newest handles stand for, the newest last."""
        self._read = 0
        """The position in the history up to which the user has been answered."""
        self._told_at = 0
        """The position when a connection was told of it last."""
        self._connections = 0
        self._owed: Owed | None = None
        self._words: tuple[str, ...] = ()
        self._again: list[str] = []
        """Those of the words that the newest connection was not told as past."""
        self._request = RequestResponse(instructions=ANSWER_NOW)

    def resumable(self, event: SessionResumable, profile: Profile) -> None:
        """The provider remembers the conversation as it is now."""
        self._handle = (event.handle, profile.provider, profile.model)
        # One that comes at once was made before the connection had read what it was told, and
        # what waits was not sent yet.
        position = self._history.position
        if position != self._told_at and not self.waiting:
            read = position if profile.handles_before_answers else self._read
            self._noted.append(_Noted(position, read))

    def replied(self) -> None:
        """An answer has begun to say or do something: what came before it was read and heard."""
        self.turn.answered()
        self._read = self._history.position

    def forget_handle(self) -> None:
        """The provider does not remember after all."""
        self._handle = None
        self._noted.clear()

    def past(self, profile: Profile) -> Past:
        """What a new connection has to know: all of it, or what came after the handle."""
        handle, known, results_since = None, _Noted(0, 0), 0
        if self._handle is not None and profile.supports_resumption:
            text, provider, model = self._handle
            if (provider, model) == (profile.provider, profile.model):
                handle = text
                if self._noted:
                    known = self._noted[-1]
                if len(self._noted) == SURE_AFTER:
                    results_since = self._noted[0].said
        items = self.waiting.not_among(
            self._history.as_past(known.said, written_since=known.read, results_since=results_since)
        )
        if self._owed == "words":
            items, self._again = _without(items, self._words)
        self._told_at = self._history.position
        # Counted here and not where one stands: ids must differ from those of any other attempt.
        self._connections += 1
        told = _newest(items)
        self.told_everything = len(told) == len(items)
        return Past(items=told, handle=handle, connections=self._connections - 1)

    def left(
        self, conversation: Conversation, audible: Iterable[str], *, has_said: bool
    ) -> Owed | None:
        """There is no connection any more; what it owes."""
        self._foreign = set(audible)
        self._words = tuple(conversation.unanswered)
        self._request = conversation.request or RequestResponse(instructions=ANSWER_NOW)
        # Where nobody reports speech, any of the audio may be the beginning of it.
        hearing_unsure = conversation.is_quiet
        begun = conversation.active_response is not None and conversation.replied
        hearing = conversation.hearing
        self._owed = conversation.lost(has_said=has_said)
        if self._owed == "audio":
            if begun and not hearing:
                self.turn.unanswered()
        elif self._owed in ("words", "answer"):
            self.turn.answered()
        elif not hearing_unsure:
            self.turn.speech_started()
        return self._owed

    def give_up_rest(self) -> None:
        """Do not ask for the rest of an answer."""
        if self._owed == "rest":
            self._owed = None

    def overlapped(self, audible: Iterable[str], link: Link) -> Sequence[Event]:
        """`link` takes over from another that still stands; what telling it amounts to.

        Its detector begins anew, and the user may just have begun to speak.
        """
        self._foreign = set(audible)
        recent = self.turn.recent(OVERLAP_MS)
        self.turn.joined(recent)
        return self._heard_by(link, recent)

    def is_foreign(self, command: AnyCommand) -> bool:
        """Whether it is about an item that the connection in use does not know."""
        return isinstance(command, TruncateOutput | DeleteItem) and (
            command.item_id in self._foreign
        )

    def replay(self, link: Link) -> list[Event]:
        """Say over a new connection what the old one did not hear; what it amounts to."""
        events: list[Event] = []

        def send(command: AnyCommand) -> None:
            try:
                events.extend(link.execute(command))
            except RealtimeError as error:
                events.append(ErrorOccurred.of(error))

        owed, self._owed = self._owed, None
        asked = self.waiting.asks
        if owed == "words" and self._again:
            send(SendText(text="\n".join(self._again), respond=not asked))
        for place, piece in self.turn.replay():
            if isinstance(piece, bytes):
                for command in self.waiting.take(until=place):
                    send(command)
                events.extend(self._heard_by(link, piece))
            else:
                send(piece)
        for command in self.waiting.take():
            send(command)
        if asked:
            return events
        if owed == "answer" or (owed == "words" and not self._again):
            send(self._request)
        elif owed == "rest":
            send(RequestResponse(instructions=GO_ON))
        return events

    def _heard_by(self, link: Link, audio: bytes) -> list[Event]:
        """Let a connection hear what another one has heard."""
        pieces = chunks(audio, 100, self._rate)
        return [event for pcm in pieces for event in link.append(pcm, may_drop=False)]


def _asks(command: AnyCommand) -> bool:
    return isinstance(command, RequestResponse | CommitAudio) or (
        isinstance(command, SendText | SendToolResult) and command.respond
    )


def _without(items: list[SeedItem], words: Sequence[str]) -> tuple[list[SeedItem], list[str]]:
    """What was said without the user's newest words that wait for an answer, and these.

    Words that are not among the items are known to the provider already.
    """
    kept, again, left = list(items), list[str](), list(words)
    for index in range(len(kept) - 1, -1, -1):
        item = kept[index]
        if not (isinstance(item, SeedMessage) and item.role == "user") or not left:
            break
        if item.text.strip() == left[-1].strip():
            again.insert(0, left.pop())
            del kept[index]
    return kept, again


def _newest(items: list[SeedItem]) -> tuple[SeedItem, ...]:
    left = PAST_CHARACTERS
    for index in range(len(items) - 1, -1, -1):
        left -= len(items[index].model_dump_json())
        if left < 0:
            return tuple(items[index + 1 :])
    return tuple(items)
