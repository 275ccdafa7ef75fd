"""What has to survive a change of connection: the user's open turn, commands, a cut-off answer."""

from collections import deque
from collections.abc import Iterable

import numpy as np

from ..audio.pcm import chunks
from ..commands import (
    AnyCommand,
    CommitAudio,
    DeleteItem,
    Delivery,
    EndAudio,
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
from .state import Conversation, Owed

TURN_LIMIT_S = 30.0
"""Of an unanswered turn the last so many seconds are kept: 1.4 MB at 24 kHz."""
IDLE_MS = 300
"""How much is kept of a microphone into which nobody spoke: late silence is worth nothing."""
AUDIBLE = 100
"""Peak of a 20 ms frame above which it is no silence (-50 dB)."""
ONSET_MS = 1_000
"""Detectors tell of speech when it has gone on for a while; what came just before belongs to it."""
PAST_CHARACTERS = 60_000
"""What a new connection is told of a conversation at most: its newest part, about 15 000 tokens."""
COMMAND_LIMIT = 1_000
"""Waiting commands. An application this far ahead does not listen to anybody."""

GO_ON = (
    "The connection was lost for a moment while you were speaking. The listener has heard what you "
    "said so far. Go on exactly where you stopped; do not repeat anything and do not mention it."
)
"""Asks a model for the rest of an answer that was cut off."""
ANSWER_NOW = "Answer what was said last."
"""Asks a model for an answer that a lost connection owes."""


class OpenTurn:
    """The microphone's audio since the last answer began: what a new connection has to hear."""

    def __init__(self, rate: int) -> None:
        self.closed_by: CommitAudio | EndAudio | None = None
        """How the application ended the turn, if it did."""
        self._rate = rate
        self._chunks: deque[bytes] = deque()
        self._bytes = 0

    def add(self, pcm: bytes) -> int:
        """Keep audio; how many bytes of older audio were dropped for it."""
        self._chunks.append(pcm)
        self._bytes += len(pcm)
        self.closed_by = None
        limit = round(TURN_LIMIT_S * self._rate) * 2
        return self._trim(limit) if self._bytes > limit else 0

    def speech_started(self) -> None:
        """Only what came just before belongs to the turn."""
        self._trim(2 * self._rate * ONSET_MS // 1_000)

    def answered(self) -> None:
        """An answer has begun: what was said so far is no longer owed."""
        self._chunks.clear()
        self._bytes = 0
        self.closed_by = None

    def audio(self) -> bytes:
        """What has to be heard again, without the silence before the first sound."""
        pcm = b"".join(self._chunks)
        return pcm[_first_sound(pcm, self._rate) :]

    def recent(self, ms: int) -> bytes:
        """The last `ms` of audio."""
        pcm = b"".join(self._chunks)
        return pcm[-2 * (self._rate * ms // 1_000) :]

    def _trim(self, limit: int) -> int:
        before = self._bytes
        while self._chunks and self._bytes - len(self._chunks[0]) >= limit:
            self._bytes -= len(self._chunks.popleft())
        return before - self._bytes


def _first_sound(pcm: bytes, rate: int) -> int:
    """Byte position `IDLE_MS` before the first sound; `IDLE_MS` before the end without one."""
    frame = rate // 50
    samples = np.frombuffer(pcm, "<i2")
    whole = len(samples) // frame
    levels = np.abs(samples[: whole * frame].astype(np.int32)).reshape(whole, frame).max(axis=1)
    # Against a fixed level, not the floor: a turn may begin in the middle of a word.
    loud = np.flatnonzero(levels > AUDIBLE)
    first = int(loud[0]) * frame if len(loud) else len(samples)
    return 2 * max(0, first - rate * IDLE_MS // 1_000)


class Waiting:
    """Commands that were given while there was no connection, to be sent once there is one."""

    def __init__(self) -> None:
        self._commands: deque[AnyCommand] = deque()

    def __len__(self) -> int:
        return len(self._commands)

    def add(self, command: AnyCommand) -> Delivery:
        """Keep a command in its place."""
        if len(self._commands) >= COMMAND_LIMIT:
            return "dropped"
        self._commands.append(command)
        return "queued"

    def not_among(self, items: Iterable[SeedItem]) -> list[SeedItem]:
        """These items without what waits to be sent: it would be told twice."""
        kept = list(items)
        for command in reversed(self._commands):
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

    def take(self) -> Iterable[AnyCommand]:
        """All of them, oldest first; each is given out once."""
        while self._commands:
            yield self._commands.popleft()


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
        if item_id != self.item_id:
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
        self._history = history
        self._rate = rate
        self._foreign: set[str] = set()
        self._handle: tuple[str, str, str, int] | None = None
        self._connections = 0
        self._owed: Owed | None = None
        self._words: tuple[str, ...] = ()

    def resumable(self, event: SessionResumable, profile: Profile) -> None:
        """The provider remembers the conversation as it is now."""
        self._handle = (event.handle, profile.provider, profile.model, self._history.position)

    def forget_handle(self) -> None:
        """The provider does not remember after all."""
        self._handle = None

    def past(self, profile: Profile) -> Past:
        """What a new connection has to know: all of it, or what came after the handle."""
        handle, since = None, 0
        if self._handle is not None and profile.supports_resumption:
            text, provider, model, position = self._handle
            if (provider, model) == (profile.provider, profile.model):
                handle, since = text, position
        items = self.waiting.not_among(self._history.as_past(since))
        # What waits for an answer is not past: it is said again.
        while self._owed == "words" and items and _is_users(items[-1]):
            items.pop()
        # Counted here and not where one stands: ids must differ from those of any other attempt.
        self._connections += 1
        return Past(items=_newest(items), handle=handle, connections=self._connections - 1)

    def left(
        self, conversation: Conversation, audible: Iterable[str], *, has_said: bool
    ) -> Owed | None:
        """There is no connection any more; what it owes."""
        self._foreign |= set(audible)
        self._words = tuple(conversation.unanswered)
        hearing_unsure = conversation.is_quiet
        self._owed = conversation.lost(has_said=has_said)
        if self._owed in ("words", "answer"):
            self.turn.answered()
        elif self._owed != "audio" and not hearing_unsure:
            self.turn.speech_started()
        return self._owed

    def overlapped(self, audible: Iterable[str]) -> None:
        """One connection takes over from another that still stands."""
        self._foreign |= set(audible)

    def is_foreign(self, command: AnyCommand) -> bool:
        """Whether it is about an item that the connection in use does not know."""
        return isinstance(command, TruncateOutput | DeleteItem) and (
            command.item_id in self._foreign
        )

    def replay(self, link: Link) -> list[Event]:
        """Say over a new connection what the old one did not hear; what it amounts to."""
        events: list[Event] = []
        asked = False

        def send(command: AnyCommand) -> None:
            try:
                events.extend(link.execute(command))
            except RealtimeError as error:
                events.append(ErrorOccurred.of(error))

        for command in self.waiting.take():
            send(command)
            asked = asked or _asks(command)
        owed, self._owed = self._owed, None
        closed_by = self.turn.closed_by
        for piece in chunks(self.turn.audio(), 100, self._rate):
            events.extend(link.append(piece))
        if closed_by is not None and owed == "audio":
            send(closed_by)
        if asked:
            return events
        if owed == "words":
            send(SendText(text="\n".join(self._words)))
        elif owed == "answer":
            send(RequestResponse(instructions=ANSWER_NOW))
        elif owed == "rest":
            send(RequestResponse(instructions=GO_ON))
        return events


def _asks(command: AnyCommand) -> bool:
    return isinstance(command, RequestResponse | CommitAudio) or (
        isinstance(command, SendText | SendToolResult) and command.respond
    )


def _is_users(item: SeedItem) -> bool:
    return isinstance(item, SeedMessage) and item.role == "user"


def _newest(items: list[SeedItem]) -> tuple[SeedItem, ...]:
    left = PAST_CHARACTERS
    for index in range(len(items) - 1, -1, -1):
        left -= len(items[index].model_dump_json())
        if left < 0:
            return tuple(items[index + 1 :])
    return tuple(items)
