"""Callbacks for people who would rather override methods than handle events."""

from collections.abc import Awaitable, Callable

from .errors import RealtimeError
from .events import (
    AudioChunk,
    ErrorOccurred,
    Event,
    InactivityCountdown,
    Interrupted,
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
    SupervisorFinished,
    SupervisorStarted,
    TranscriptDelta,
)


class AgentListener:
    """Override what you need; everything does nothing by default.

    Called one at a time, in order. A callback that is slow delays the later ones and nothing else.
    """

    async def on_agent_starting(self) -> None:
        """Before any device or connection is opened."""

    async def on_agent_session_connected(self) -> None:
        """The provider has accepted the session; the microphone opens now."""

    async def on_agent_stopped(self) -> None:
        """Everything is closed."""

    async def on_user_started_speaking(self) -> None:
        """Voice activity detection heard the user begin."""

    async def on_user_stopped_speaking(self) -> None:
        """Voice activity detection heard the user end."""

    async def on_user_transcript(self, transcript: str) -> None:
        """The user's words; needs transcription, which is on unless switched off."""

    async def on_assistant_started_responding(self) -> None:
        """The first audio of an answer came."""

    async def on_assistant_stopped_responding(self) -> None:
        """The last audio of an answer came; it may still be playing."""

    async def on_assistant_transcript(self, transcript: str) -> None:
        """The whole text of an answer; of an interrupted one, what was heard."""

    async def on_assistant_transcript_delta(self, delta: str) -> None:
        """The next words of an answer."""

    async def on_agent_interrupted(self) -> None:
        """The user cut in; playback has fallen silent."""

    async def on_agent_error(self, error: RealtimeError) -> None:
        """Something failed; the conversation goes on if it can."""

    async def on_supervisor_started(self) -> None:
        """A supervisor was given a task."""

    async def on_supervisor_finished(self) -> None:
        """The supervisor has done its task, or has given it up."""

    async def on_user_inactivity_countdown(self, remaining_seconds: int) -> None:
        """Nobody speaks; called with 5, 4, 3, 2, 1 before the session ends."""


HEARD = (
    AudioChunk,
    ErrorOccurred,
    InactivityCountdown,
    Interrupted,
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
    SupervisorFinished,
    SupervisorStarted,
    TranscriptDelta,
)
"""The events that `calls` turns into callbacks."""


def calls(listener: AgentListener) -> Callable[[Event], Awaitable[None]]:
    """A handler of `HEARD` events that calls the listener."""
    sounding: str | None = None

    async def call(event: Event) -> None:
        nonlocal sounding
        match event:
            case AudioChunk() if sounding != event.response_id:
                sounding = event.response_id
                await listener.on_assistant_started_responding()
            case ResponseDone() if sounding == event.response_id:
                sounding = None
                await listener.on_assistant_stopped_responding()
            case SpeechStarted():
                await listener.on_user_started_speaking()
            case SpeechStopped():
                await listener.on_user_stopped_speaking()
            case TranscriptDelta(speaker="user"):
                if event.is_final and event.full_text:
                    await listener.on_user_transcript(event.full_text.strip())
            case TranscriptDelta():
                if event.text:
                    await listener.on_assistant_transcript_delta(event.text)
                if event.is_final and event.full_text:
                    await listener.on_assistant_transcript(event.full_text)
            case Interrupted():
                await listener.on_agent_interrupted()
            case ErrorOccurred():
                await listener.on_agent_error(event.to_exception())
            case SupervisorStarted(answer=None):
                await listener.on_supervisor_started()
            case SupervisorFinished():
                await listener.on_supervisor_finished()
            case InactivityCountdown():
                await listener.on_user_inactivity_countdown(event.remaining_seconds)

    return call
