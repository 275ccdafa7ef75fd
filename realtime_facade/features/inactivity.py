"""Ends a session in which nobody has said anything for long, after a countdown."""

import asyncio
import math
from collections.abc import Callable
from functools import partial

from ..commands import AnyCommand, CommitAudio, RequestResponse, SendText, SendToolResult
from ..errors import ConfigurationError
from ..events import (
    Event,
    InactivityCountdown,
    InactivityTimedOut,
    InputCommitted,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SessionEnded,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallCompleted,
    ToolCallRequest,
    ToolCallsCancelled,
    TranscriptDelta,
    TurnEnded,
)
from ..session.observer import Control, Observer
from ..session.state import Phase

COUNTDOWN_S = 5
SHORTEST_LOOK_S = 0.05
"""A loudspeaker that stands still just before its end is not looked at more often."""

_SIGNS = (
    SpeechStarted,
    SpeechStopped,
    InputCommitted,
    # Some providers say nothing about the user's speech but its words.
    TranscriptDelta,
    ResponseStarted,
    ResponseDone,
    TurnEnded,
    Interrupted,
    ToolCallRequest,
    ToolCallCompleted,
    ToolCallsCancelled,
)


class Inactivity(Observer):
    """Hangs up when nothing was said or heard for `timeout_s`.

    Models speak faster than real time, so the time counts from the end of *hearing*: it runs only
    while nobody speaks, no answer is expected or under way, and no sound is left to be played.
    Speech, typed text, answers and tools begin it anew, also during the countdown.

    In the last seconds `InactivityCountdown` comes once a second with 5, 4, 3, 2, 1 (only what fits
    into `timeout_s`), then `InactivityTimedOut`, then the session ends.

    With manual turns a user is noticed when the turn is committed, not while speaking.

    Raises:
        ConfigurationError: If `timeout_s` is not a positive, finite number.
    """

    def __init__(self, timeout_s: float) -> None:
        if not 0 < timeout_s < math.inf:
            raise ConfigurationError(
                f"an inactivity timeout of {timeout_s} s is impossible",
                advice="give a positive number of seconds, or leave the feature out",
            )
        self._timeout_s = timeout_s
        self._session_runs = False
        self._timer: asyncio.Task[None] | None = None

    def attach(self, control: Control) -> None:
        """Take note of the session; time runs from its start."""
        self._control = control

    def on_command(self, command: AnyCommand) -> None:
        """The application has acted, or the user has typed."""
        match command:
            case SendText(role="user") | CommitAudio() | RequestResponse() | SendToolResult():
                self._stop()
        self._follow_phase()

    def on_event(self, event: Event) -> None:
        """Something was said, or the session begins or ends."""
        match event:
            case SessionStarted():
                self._session_runs = True
            case SessionEnded():
                self._session_runs = False
            case _ if isinstance(event, _SIGNS):
                self._stop()
        self._follow_phase()

    async def finish(self) -> None:
        """Stop the time."""
        self._session_runs = False
        self._stop()

    def _follow_phase(self) -> None:
        if not self._session_runs or self._control.phase is not Phase.LISTENING:
            self._stop()
        elif self._timer is None:
            self._wait_for_silence()

    def _wait_for_silence(self) -> None:
        pending_s = self._control.playback.pending_ms / 1000
        if pending_s:
            self._start(max(pending_s, SHORTEST_LOOK_S), self._wait_for_silence)
        else:
            steps = min(COUNTDOWN_S, math.floor(self._timeout_s))
            self._start(self._timeout_s - steps, partial(self._count, steps))

    def _count(self, remaining_s: int) -> None:
        if self._control.playback.pending_ms:
            self._wait_for_silence()
        elif remaining_s:
            # Before the event: whoever reacts to it finds a timer to stop.
            self._start(1.0, partial(self._count, remaining_s - 1))
            self._control.emit(InactivityCountdown(remaining_seconds=remaining_s))
        else:
            self._session_runs, self._timer = False, None
            self._control.emit(InactivityTimedOut())
            self._control.hang_up("inactivity")

    def _start(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._timer = self._control.call_later(delay_s, callback)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
