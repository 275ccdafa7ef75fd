"""What a simulator remembers of its connections, for tests and for people."""

from dataclasses import dataclass, field
from typing import Literal

from .faults import AnyFault

MOST_RECORDS = 1000
"""So many connections and refusals are remembered, the newest."""


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


@dataclass(frozen=True, slots=True)
class Refused:
    """A handshake that was answered with an HTTP status; None: not at all."""

    wire: str
    at: float
    status: int | None
