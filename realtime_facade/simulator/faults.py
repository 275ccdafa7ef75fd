"""Things that go wrong on purpose: what, in which turn, and after how much of the answer."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """When it happens: at a turn, once `after_chunks` audio (or text) deltas of it were sent.

    A turn is an answer of the model, counted from 1 in each session. Turn 0 is the moment when
    the session has been configured. Happens once per session.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    turn: Annotated[int, Field(ge=0)] = 1
    after_chunks: Annotated[int, Field(ge=0)] = 0
    session: Annotated[int, Field(ge=1)] | None = None
    """Only in the simulator's first (1), second (2) ... session; None is every session."""


class CloseFault(Fault):
    """End the connection with a WebSocket close code."""

    kind: Literal["close"] = "close"
    code: Annotated[int, Field(ge=1000, le=4999)] = 1011
    reason: str = ""


class AbortFault(Fault):
    """Break the connection without a closing handshake."""

    kind: Literal["abort"] = "abort"


class ErrorFault(Fault):
    """Send an error event; the session goes on."""

    kind: Literal["error"] = "error"
    code: str = "server_error"
    message: str = "The server had an error while processing your request."


class DropFault(Fault):
    """Do not send the next message of one type, such as `session.updated`."""

    kind: Literal["drop"] = "drop"
    message: str
    """The provider's own name for the message."""


class StallFault(Fault):
    """Send nothing for a while."""

    kind: Literal["stall"] = "stall"
    seconds: Annotated[float, Field(gt=0)] = 5.0


class OddChunksFault(Fault):
    """Cut the turn's audio in the middle of samples, so that chunks have odd lengths."""

    kind: Literal["odd_chunks"] = "odd_chunks"


class LateDeltasFault(Fault):
    """After the turn was cut short, send some more of its audio."""

    kind: Literal["late_deltas"] = "late_deltas"
    count: Annotated[int, Field(ge=1)] = 3


AnyFault = Annotated[
    CloseFault
    | AbortFault
    | ErrorFault
    | DropFault
    | StallFault
    | OddChunksFault
    | LateDeltasFault,
    Field(discriminator="kind"),
]
MomentFault = CloseFault | AbortFault | ErrorFault | StallFault
"""Those that happen at a moment; the others change how a turn is sent."""


class FaultPlan:
    """Which faults are still to come in one session."""

    def __init__(self, faults: Sequence[AnyFault], session: int) -> None:
        self._left: list[AnyFault] = [f for f in faults if f.session in (None, session)]

    def due(self, turn: int, chunks: int) -> list[MomentFault]:
        """What has to happen now, after `chunks` deltas of `turn`; each is returned once."""
        due = [
            fault
            for fault in self._left
            if isinstance(fault, MomentFault)
            and fault.turn == turn
            and fault.after_chunks <= chunks
        ]
        self._left = [fault for fault in self._left if fault not in due]
        return due

    def drops(self, message: str, turn: int) -> bool:
        """Whether this message must not be sent; true once per fault."""
        for fault in self._left:
            if isinstance(fault, DropFault) and fault.message == message and fault.turn == turn:
                self._left.remove(fault)
                return True
        return False

    def odd_chunks(self, turn: int) -> bool:
        """Whether the turn's audio is cut at odd lengths."""
        return any(isinstance(f, OddChunksFault) and f.turn == turn for f in self._left)

    def late_deltas(self, turn: int) -> int:
        """How many audio deltas follow after the turn was cut short."""
        return sum(f.count for f in self._left if isinstance(f, LateDeltasFault) and f.turn == turn)
