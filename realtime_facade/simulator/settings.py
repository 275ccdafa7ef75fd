"""What every session of a simulator is told when it starts."""

from dataclasses import dataclass, field

from .clock import Clock, Ids, SystemClock
from .faults import AnyFault


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Shared by both wire protocols; `number` tells sessions apart."""

    clock: Clock = field(default_factory=SystemClock)
    ids: Ids = field(default_factory=Ids)
    speed: float = 6.0
    """Answers are generated this many times faster than real time; 0 is unpaced."""
    chunk_ms: int = 100
    """Length of one audio delta."""
    faults: tuple[AnyFault, ...] = ()
    number: int = 1
    """1 for the simulator's first session, 2 for the next."""
    session_limit_s: float | None = None
    """After which the provider ends the session; None is the provider's own limit."""
