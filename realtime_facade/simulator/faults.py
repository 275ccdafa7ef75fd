"""Things that go wrong on purpose: what, in which session, and at which moment of it."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Phase = Literal["setup", "idle", "speaking", "answering", "tool"]
"""What a session is doing; docs/reference/scenarios.md says when each begins."""
_Milliseconds = Annotated[float, Field(ge=0, le=60_000)]
_Seconds = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=1)]
_Code = Annotated[int, Field(ge=1000, le=4999)]


class _Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    session: _Count | None = None
    """Only in the simulator's first (1), second (2) ... session; None is every session."""


class Fault(_Fault):
    """Happens once per session: in a phase, when that came for the `turn`-th time.

    "setup" is the time before the session is configured, "idle" before the user speaks again,
    "speaking" while the user does, "answering" while the model does, and "tool" between a call
    and its output.
    """

    phase: Phase = "answering"
    turn: Annotated[int, Field(ge=0)] = 1
    """0 is the moment when the session has been configured, whatever the phase."""
    after_chunks: Annotated[int, Field(ge=0)] = 0
    """In "answering" that many audio (or text) deltas later, else that many client frames."""
    frame: _Count | None = None
    """Instead of all that: when so many frames were sent in the session."""


class CloseFault(Fault):
    """End the connection with a WebSocket close code.

    1005 closes without a code; 1004, 1006 and 1015, which cannot be sent, break the connection.
    """

    kind: Literal["close"] = "close"
    code: _Code = 1011
    reason: str = ""


class AbortFault(Fault):
    """Break the connection without a closing handshake."""

    kind: Literal["abort"] = "abort"
    reset: bool = False
    """By a TCP reset, which also destroys what was sent and not yet read."""


class HalfOpenFault(Fault):
    """From now on nothing arrives on either side, pings included; the socket stays open."""

    kind: Literal["half_open"] = "half_open"


class OutageFault(Fault):
    """The whole server goes away, for every client, and comes back on the same ports."""

    kind: Literal["outage"] = "outage"
    seconds: _Seconds = 5.0
    code: _Code | None = None
    """With which connections are closed; None breaks them."""


class ExpireFault(Fault):
    """The provider's limit for a session, now: with its warning, its last words and its code."""

    kind: Literal["expire"] = "expire"
    notice: _Seconds = 60.0
    """Seconds between the warning, where the provider gives one, and the end."""


class ErrorFault(Fault):
    """Send an error event; the session goes on where the protocol has such an event."""

    kind: Literal["error"] = "error"
    code: str = "server_error"
    message: str = "The server had an error while processing your request."


class StallFault(Fault):
    """Send nothing for a while, then go on."""

    kind: Literal["stall"] = "stall"
    seconds: Annotated[float, Field(gt=0)] = 5.0


class LatencyFault(Fault):
    """From now on every frame takes longer to the client; their order is kept."""

    kind: Literal["latency"] = "latency"
    ms: _Milliseconds = 100.0
    jitter_ms: _Milliseconds = 0.0
    """Up to so much more, at random for each frame."""


class OversizeFault(Fault):
    """Send a message of an unknown type that is far too long."""

    kind: Literal["oversize"] = "oversize"
    megabytes: Annotated[float, Field(gt=0, le=256)] = 32.0


class DropFault(Fault):
    """Do not send the next message of one type, such as `session.updated`."""

    kind: Literal["drop"] = "drop"
    message: str
    """The provider's own name for the message."""


class DuplicateFault(Fault):
    """Send the next message of one type twice."""

    kind: Literal["duplicate"] = "duplicate"
    message: str


class ReorderFault(Fault):
    """Send the next message of one type later, behind others."""

    kind: Literal["reorder"] = "reorder"
    message: str
    behind: _Count = 2
    """Behind so many of the messages that follow it."""


class CutFault(Fault):
    """Send only the first half of the next message: broken JSON."""

    kind: Literal["cut"] = "cut"
    message: str | None = None
    """Its name; None: whichever comes."""


class OddChunksFault(Fault):
    """Cut the turn's audio in the middle of samples, so that chunks have odd lengths."""

    kind: Literal["odd_chunks"] = "odd_chunks"


class LateDeltasFault(Fault):
    """After the turn was cut short, send some more of its audio."""

    kind: Literal["late_deltas"] = "late_deltas"
    count: _Count = 3


class ResumptionFault(_Fault):
    """Refuse to resume a session by its handle, where the protocol has such handles."""

    kind: Literal["resumption"] = "resumption"
    why: Literal["unknown", "expired", "busy"] = "unknown"
    """The handle is unknown, its session is over, or still held by another connection."""


class RefuseFault(_Fault):
    """Answer the handshake before the session with an HTTP status instead of a connection.

    So many times, and for so long after the first of them.
    """

    kind: Literal["refuse"] = "refuse"
    status: Literal[401, 403, 404, 429, 500, 502, 503] | None = 503
    """None does not answer at all."""
    code: str | None = None
    """The provider's own word for the reason, such as `insufficient_quota`."""
    times: _Count = 1
    seconds: _Seconds = 0.0


AnyFault = Annotated[
    CloseFault
    | AbortFault
    | HalfOpenFault
    | OutageFault
    | ExpireFault
    | ErrorFault
    | StallFault
    | LatencyFault
    | OversizeFault
    | DropFault
    | DuplicateFault
    | ReorderFault
    | CutFault
    | OddChunksFault
    | LateDeltasFault
    | ResumptionFault
    | RefuseFault,
    Field(discriminator="kind"),
]
MomentFault = (
    CloseFault
    | AbortFault
    | HalfOpenFault
    | OutageFault
    | ExpireFault
    | ErrorFault
    | StallFault
    | LatencyFault
    | OversizeFault
)
"""Those that happen at a moment."""
MessageFault = DropFault | DuplicateFault | ReorderFault | CutFault
"""Those that wait, from their moment on, for a message."""


class FaultPlan:
    """Which faults are still to come in one session, which says how far it is."""

    def __init__(self, faults: Iterable[AnyFault], session: int) -> None:
        mine = [fault for fault in faults if fault.session in (None, session)]
        self._moments: list[MomentFault] = [f for f in mine if isinstance(f, MomentFault)]
        self._messages: list[MessageFault] = [f for f in mine if isinstance(f, MessageFault)]
        self._turns = [f for f in mine if isinstance(f, OddChunksFault | LateDeltasFault)]
        self._resumptions = [f for f in mine if isinstance(f, ResumptionFault)]
        # What is to be done to a message before the first answer is to be done from the start.
        self._armed = [f for f in self._messages if f.turn == 0 and f.frame is None]
        self._phase: Phase = "setup"
        self._begun: Counter[Phase] = Counter()
        self._chunks: Counter[Phase] = Counter()
        self._configured = False
        self._frames = 0

    @property
    def over(self) -> bool:
        """Whether nothing more goes wrong on the wire."""
        return not (self._moments or self._messages)

    @property
    def changes_messages(self) -> bool:
        """Whether `message` has something to say about the next message."""
        return bool(self._armed)

    def begin(self, phase: Phase) -> list[MomentFault]:
        """A phase begins; what has to happen now. Each fault is returned once, here and below."""
        self._phase = phase
        self._begun[phase] += 1
        self._chunks[phase] = 0
        return self._due()

    def go_on(self, phase: Phase) -> None:
        """A phase that was begun before goes on after another one."""
        self._phase = phase

    def configure(self) -> list[MomentFault]:
        """The session is configured, for the first time or again."""
        self._configured = True
        if self._phase == "setup":
            self._phase = "idle"
        return self._due()

    def answered(self) -> list[MomentFault]:
        """A delta of the answer was sent."""
        self._chunks["answering"] += 1
        return self._due()

    def received(self) -> list[MomentFault]:
        """A frame came from the client."""
        if self._phase != "answering":
            self._chunks[self._phase] += 1
        return self._due()

    def sent(self) -> list[MomentFault]:
        """A frame was sent."""
        self._frames += 1
        return self._due()

    def message(self, names: Iterable[str]) -> MessageFault | None:
        """What is to be done to a message that is about to be sent; each fault once."""
        names = set(names)
        for fault in self._armed:
            if fault.message is None or fault.message in names:
                self._armed.remove(fault)
                self._messages.remove(fault)
                return fault
        return None

    def odd_chunks(self, turn: int) -> bool:
        """Whether the turn's audio is cut at odd lengths."""
        return any(isinstance(f, OddChunksFault) and f.turn == turn for f in self._turns)

    def late_deltas(self, turn: int) -> int:
        """How many audio deltas follow after the turn was cut short."""
        return sum(
            f.count for f in self._turns if isinstance(f, LateDeltasFault) and f.turn == turn
        )

    def resumption(self) -> ResumptionFault | None:
        """Why a handle is refused, or None."""
        return self._resumptions[0] if self._resumptions else None

    def _due(self) -> list[MomentFault]:
        if self.over:
            return []
        self._armed += [f for f in self._messages if f not in self._armed and self._is_due(f)]
        due = [fault for fault in self._moments if self._is_due(fault)]
        self._moments = [fault for fault in self._moments if fault not in due]
        return due

    def _is_due(self, fault: Fault) -> bool:
        if fault.frame is not None:
            return self._frames >= fault.frame
        if fault.turn == 0:
            return self._configured
        reached = self._begun[fault.phase] == fault.turn
        return reached and self._chunks[fault.phase] >= fault.after_chunks
