"""Whose turn it is: the phase of the conversation, derived from commands and events alone."""

from enum import StrEnum
from typing import Literal

from ..commands import AnyCommand, CommitAudio, RequestResponse, SendText, SendToolResult
from ..config import RealtimeConfig
from ..events import (
    ErrorOccurred,
    Event,
    InputCommitted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequest,
    ToolCallsCancelled,
    TranscriptDelta,
    TurnEnded,
)

Owed = Literal["audio", "words", "answer", "rest"]
"""What a lost connection leaves open: hearing the user's turn again, answering what was written,
answering at all, or the rest of an answer."""


MOST_ITEMS = 64
"""Items and answers without an end that are remembered."""


class Phase(StrEnum):
    """What is going on."""

    LISTENING = "listening"
    HEARING = "hearing"
    """The user is speaking."""
    THINKING = "thinking"
    """An answer is expected."""
    ANSWERING = "answering"
    """An answer arrives, or its tools run."""


def answers_speech(config: RealtimeConfig) -> bool:
    """Whether the end of the user's speech alone brings an answer."""
    return config.turns is not None and config.create_response


class Conversation:
    """The state that the session decides by. Pure: told of everything, asks nobody."""

    def __init__(self, *, answers_speech: bool) -> None:
        self.answers_speech = answers_speech
        self.hearing = False
        self.expecting = False
        self.asked = False
        """Whether the answer that is expected was asked for, not only spoken to."""
        self.answering = False
        self.active_response: str | None = None
        """The response that is being generated."""
        self.transcripts: dict[str, str] = {}
        """Words of assistant items that may still be audible, by item id."""
        self.unfinished: set[str] = set()
        """Assistant items whose final transcript did not come yet."""
        self.open_calls: set[str] = set()
        """Tool calls without a result."""
        self.unanswered: list[str] = []
        """The user's words since the last answer began, where they are known."""
        self.half_heard: set[str] = set()
        """Items of the user whose final transcript did not come yet."""
        self._spoken: set[str | None] = set()
        """What the user has said so far that is answered by speech: its words are not known."""
        self.request: RequestResponse | None = None
        """How the answer that is due was asked for, if that was all."""
        self.replied = True
        """Whether the newest answer has said or done something."""
        self._cut_short = False
        """Whether the answer that is due is the rest of one that a lost connection cut off."""
        self._said: set[str] = set()
        """Items of the active response that have words."""
        self._stale: set[str] = set()
        self._cut: str | None = None
        """The response that was cut last."""

    @property
    def is_quiet(self) -> bool:
        """Whether nobody speaks, thinks or computes."""
        return self.phase is Phase.LISTENING and not self.open_calls

    def reply(self) -> None:
        """The active answer has begun to say or do something: the user is being answered."""
        self.replied = True
        self.unanswered.clear()
        self.request, self._cut_short = None, False

    def lost(self, *, has_said: bool) -> Owed | None:
        """The connection is gone, and with it what was under way: what of it is owed.

        Args:
            has_said: Whether words of the unfinished answer can be heard.
        """
        owed = self._owed(has_said)
        self.active_response = None
        self.hearing = False
        self.answering = bool(self.open_calls)
        self.expecting = owed is not None
        self._spoken = {None} if owed == "audio" else set()
        self._cut_short = owed == "rest"
        self.half_heard.clear()
        self.unfinished.clear()
        self._said.clear()
        self._stale.clear()
        return owed

    def _owed(self, has_said: bool) -> Owed | None:
        if self.hearing:
            return "audio"
        due = self.expecting
        if self.active_response is not None and not self.is_stale(self.active_response):
            if self._said & self.unfinished:
                if has_said:
                    return "rest"
            elif self._said:
                return None
            due = True
        if not due or (self.open_calls and not (self.expecting and self._spoken)):
            return None  # the results of calls ask for the answer
        if self._spoken:
            return "audio"
        if self.unanswered:
            return "words"
        return "rest" if self._cut_short else "answer"

    @property
    def phase(self) -> Phase:
        """The phase, for people and for programs that wait for quiet."""
        if self.hearing:
            return Phase.HEARING
        if self.answering:
            return Phase.ANSWERING
        return Phase.THINKING if self.expecting else Phase.LISTENING

    def is_stale(self, response_id: str) -> bool:
        """Whether the answer was cut, so that its late deltas must not be heard."""
        return response_id in self._stale

    def cut(self) -> str | None:
        """Mark the active answer as stale; its id."""
        if self.active_response is not None:
            if len(self._stale) >= MOST_ITEMS:
                self._stale.clear()  # of answers that never ended; the newest one counts
            self._stale.add(self.active_response)
            self._cut = self.active_response
        self.transcripts.clear()
        self.unfinished.clear()
        return self.active_response

    def give_up_rest(self) -> bool:
        """Nobody wants the rest of an answer that a loss has cut off; whether it was due."""
        due, self._cut_short = self._cut_short and self.expecting, False
        self.expecting = self.expecting and not due
        return due

    def on_command(self, command: AnyCommand) -> None:
        """Learn what the application asked for."""
        match command:
            case CommitAudio():
                self.expecting = self.asked = True
                self._spoken.add(None)
            case RequestResponse():
                self.expecting = self.asked = True
                if not command.interim:
                    self.request = command
            case SendText(respond=True):
                self.expecting = self.asked = True
                if command.role == "user":
                    self.unanswered.append(command.text)
            case SendToolResult():
                self.open_calls.discard(command.call_id)
                self.expecting = self.expecting or command.respond
                self.asked = self.asked or command.respond

    def on_event(self, event: Event) -> None:
        """Learn what happened."""
        match event:
            case TranscriptDelta(speaker="assistant"):
                if event.item_id not in self.transcripts and len(self.transcripts) >= MOST_ITEMS:
                    oldest = next(iter(self.transcripts))
                    del self.transcripts[oldest]
                    self.unfinished.discard(oldest)
                    self._said.discard(oldest)
                self.transcripts[event.item_id] = (
                    self.transcripts.get(event.item_id, "") + event.text
                )
                self._said.add(event.item_id)
                if event.is_final:
                    self.unfinished.discard(event.item_id)
                else:
                    self.unfinished.add(event.item_id)
            case TranscriptDelta(is_final=False):
                if len(self.half_heard) < MOST_ITEMS:
                    self.half_heard.add(event.item_id)
            case TranscriptDelta(full_text=str() as words):
                self.half_heard.discard(event.item_id)
                if words.strip():
                    self._spoken -= {event.item_id, None}
                # Words that come after the answer has begun are answered already.
                if words.strip() and (self.expecting or not self.replied):
                    self.unanswered.append(words.strip())
                    del self.unanswered[:-MOST_ITEMS]
            case SpeechStarted():
                self.hearing = True
            case SpeechStopped() | InputCommitted():
                if (self.answers_speech or self._spoken) and len(self._spoken) < MOST_ITEMS:
                    self._spoken = (self._spoken | {event.item_id}) - {None}
                self.hearing = False
                self.expecting = self.expecting or self.answers_speech
            case ResponseStarted():
                self.active_response = event.response_id
                self.answering, self.expecting, self.hearing = True, False, False
                self.asked = False
                self.replied = False
                self._said.clear()
            case ToolCallRequest():
                self.open_calls.add(event.call_id)
            case ToolCallsCancelled():
                self.open_calls.difference_update(event.call_ids)
            case ResponseDone():
                if event.response_id == self.active_response:
                    self.active_response = None
                    self._spoken.clear()
                self._stale.discard(event.response_id)
            case TurnEnded():
                self.answering = False
                # What was said after the answer had begun, or cut it, waits for the next one.
                if event.response_id != self._cut and not self.unanswered:
                    self.expecting = self.asked = False
            case ErrorOccurred():
                # A refused request brings no answer; a running answer ends with its own event.
                self.expecting = self.asked = False
