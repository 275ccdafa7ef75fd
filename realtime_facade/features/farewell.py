"""Lets the assistant finish what it says, and hangs up once it was heard."""

from ..events import Event, Interrupted, ResponseStarted, TurnEnded
from ..session.observer import Control, Observer
from ..session.state import Phase

PATIENCE_S = 15.0
"""How long a good-bye is waited for that does not come."""
SHORTEST_LOOK_S = 0.05
"""A loudspeaker that stands still just before its end is not looked at more often."""


class Farewell(Observer):
    """Ends the conversation after the assistant's turn, when the last sound was heard.

    The turn may go on with tools, and with what is said about them. Whoever cuts in on its last
    words, or asks for more, ends the conversation at once.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._last_words = False
        """The turn is over; only the end of playback is waited for."""

    def attach(self, control: Control) -> None:
        """Remember the session."""
        self._control = control

    def leave(self, reason: str) -> None:
        """End the conversation once what the assistant says now, or says next, was heard.

        At once, if nothing is being said or due.
        """
        if self._reason is not None:
            return
        self._reason = reason
        if self._control.phase is Phase.LISTENING:
            self._hang_up_when_heard()
        else:
            self._control.call_later(PATIENCE_S, self._lose_patience)

    def on_event(self, event: Event) -> None:
        """See whether the assistant's turn is over."""
        if self._reason is None:
            return
        if self._last_words:
            if isinstance(event, Interrupted | ResponseStarted):
                self._control.hang_up(self._reason)
        elif isinstance(event, TurnEnded) or self._control.phase is Phase.LISTENING:
            self._hang_up_when_heard()

    def _lose_patience(self) -> None:
        if self._last_words:
            return
        if self._control.phase is Phase.THINKING:
            self._hang_up_when_heard()
        else:  # the user speaks, or tools run: neither lasts for ever
            self._control.call_later(PATIENCE_S, self._lose_patience)

    def _hang_up_when_heard(self) -> None:
        self._last_words = True
        pending_s = self._control.playback.pending_ms / 1000
        if pending_s:
            self._control.call_later(max(pending_s, SHORTEST_LOOK_S), self._hang_up_when_heard)
        else:
            self._control.hang_up(self._reason or "")
