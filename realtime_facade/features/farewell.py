"""Lets the assistant say good-bye, and hangs up once it was heard."""

from ..events import Event, TurnEnded
from ..session.observer import Control, Observer

PATIENCE_S = 15.0
"""How long a good-bye is waited for that does not come."""
SHORTEST_LOOK_S = 0.05
"""A loudspeaker that stands still just before its end is not looked at more often."""


class Farewell(Observer):
    """Ends the conversation after the assistant's turn, when the last sound was heard."""

    def __init__(self) -> None:
        self._reason: str | None = None

    def attach(self, control: Control) -> None:
        """Remember the session."""
        self._control = control

    def leave(self, reason: str) -> None:
        """End the conversation once what the assistant says now, or says next, was heard."""
        if self._reason is None:
            self._reason = reason
            self._control.call_later(PATIENCE_S, self._hang_up_when_heard)

    def on_event(self, event: Event) -> None:
        """The assistant's turn is over."""
        if self._reason is not None and isinstance(event, TurnEnded):
            self._hang_up_when_heard()

    def _hang_up_when_heard(self) -> None:
        pending_s = self._control.playback.pending_ms / 1000
        if pending_s:
            self._control.call_later(max(pending_s, SHORTEST_LOOK_S), self._hang_up_when_heard)
        else:
            self._control.hang_up(self._reason or "")
