"""What a simulator remembers of its connections, for tests and for people."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .faults import AnyFault
from .parts import Entry

MOST_RECORDS = 1000
"""So many connections and refusals are remembered, the newest."""
MOST_CALLS = 1000
"""So many calls and outputs of a session, the newest."""


@dataclass(frozen=True, slots=True)
class CallMade:
    """A tool call that the model made."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class OutputGiven:
    """What a client told of a call: its output now, or the one that it had in the past."""

    call_id: str
    output: str


@dataclass(slots=True)
class ConnectionRecord:
    """One session's connection, open or over."""

    number: int
    """Of the session, from 1."""
    wire: str
    """`openai`, `gemini` or `gemini_tls`."""
    opened_at: float
    """`Clock.time` in seconds, as are the other times."""
    closed_at: float | None = None
    code: int | None = None
    """Close code; 1006 if the connection broke, 1005 if the other side gave none."""
    reason: str = ""
    closed_by: Literal["client", "simulator"] | None = None
    """Who said goodbye first; None if nobody did."""
    frames_in: int = 0
    """From the client."""
    frames_out: int = 0
    faults: list[AnyFault] = field(default_factory=list)
    """What went wrong, in order."""
    calls: deque[CallMade] = field(default_factory=lambda: deque(maxlen=MOST_CALLS))
    """What the model asked for in this session."""
    outputs: deque[OutputGiven] = field(default_factory=lambda: deque(maxlen=MOST_CALLS))
    """What the client told of calls, also of those that another session made."""
    known: Callable[[], Sequence[Entry]] = field(default=tuple, repr=False)
    """Set by the session: what the model knows of the conversation."""

    @property
    def conversation(self) -> tuple[Entry, ...]:
        """What the model knows now, or knew at the end."""
        return tuple(self.known())

    def settle(self) -> None:
        """The session is over: keep what it knew, and nothing else of it."""
        known = self.conversation
        self.known = lambda: known


@dataclass(frozen=True, slots=True)
class Refused:
    """A handshake that was answered with an HTTP status; None: not at all."""

    wire: str
    at: float
    status: int | None
