"""Whose turn it is: the phase of the conversation, derived from commands and events alone."""

from enum import StrEnum

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
    TranscriptDelta,
    TurnEnded,
)


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
        self.answering = False
        self.active_response: str | None = None
        """The response that is being generated."""
        self.transcripts: dict[str, str] = {}
        """Words of assistant items that may still be audible, by item id."""
        self.unfinished: set[str] = set()
        """Assistant items whose final transcript did not come yet."""
        self._stale: set[str] = set()

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
            self._stale.add(self.active_response)
        self.transcripts.clear()
        self.unfinished.clear()
        return self.active_response

    def on_command(self, command: AnyCommand) -> None:
        """Learn what the application asked for."""
        match command:
            case CommitAudio() | RequestResponse():
                self.expecting = True
            case SendText(respond=True) | SendToolResult(respond=True):
                self.expecting = True

    def on_event(self, event: Event) -> None:
        """Learn what happened."""
        match event:
            case TranscriptDelta(speaker="assistant"):
                if event.item_id not in self.transcripts and len(self.transcripts) > 64:
                    self.transcripts.pop(next(iter(self.transcripts)))
                self.transcripts[event.item_id] = (
                    self.transcripts.get(event.item_id, "") + event.text
                )
                if event.is_final:
                    self.unfinished.discard(event.item_id)
                else:
                    self.unfinished.add(event.item_id)
            case SpeechStarted():
                self.hearing = True
            case SpeechStopped() | InputCommitted():
                self.hearing = False
                self.expecting = self.expecting or self.answers_speech
            case ResponseStarted():
                self.active_response = event.response_id
                self.answering, self.expecting, self.hearing = True, False, False
            case ResponseDone():
                if event.response_id == self.active_response:
                    self.active_response = None
                self._stale.discard(event.response_id)
            case TurnEnded():
                self.answering = self.expecting = False
            case ErrorOccurred():
                # A refused request brings no answer; a running answer ends with its own event.
                self.expecting = False
