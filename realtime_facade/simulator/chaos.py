"""Faults by chance: a random plan for each session, the same for the same seed."""

import random

from .faults import (
    AbortFault,
    AnyFault,
    CloseFault,
    CutFault,
    DuplicateFault,
    ErrorFault,
    ExpireFault,
    HalfOpenFault,
    LateDeltasFault,
    LatencyFault,
    OddChunksFault,
    OutageFault,
    OversizeFault,
    Phase,
    RefuseFault,
    ReorderFault,
    ResumptionFault,
    StallFault,
)

_REFUSED = 0.15
_ENDS = 0.55
_DISTURBED = 0.5
"""Shares of sessions: see `Chaos`."""
_CODES = (1000, 1001, 1005, 1006, 1011, 1012, 1013)
_STATUSES = (500, 502, 503)
_PHASES: dict[Phase, float] = {
    "setup": 0.05,
    "idle": 0.15,
    "speaking": 0.2,
    "answering": 0.4,
    "tool": 0.2,
}
_LONGEST_CHUNKS = {"setup": 1, "idle": 40, "speaking": 40, "answering": 12, "tool": 3}
_WORDS = ("conversation.item.input_audio_transcription.completed", "inputTranscription")
"""The user's transcript on either wire."""


class Chaos:
    """Makes faults for each session of a simulator.

    15 of 100 handshakes are refused once or twice, for reasons that pass (5xx, never a key or
    a quota). 55 of 100 sessions end badly at some moment, if they get so far: closed, broken,
    half-open, stalled for 3 to 20 s, expired, or with the whole server. 50 of 100 have one or two
    smaller troubles: latency, a short stall, an error event, a transcript twice or out of order,
    a broken or a huge message, odd audio chunks, late audio, a refused resumption. So a
    conversation can go on if its client does what it should.

    Args:
        seed: Two with the same seed are the same.
        calm_after: So many sessions; nothing goes wrong in later ones. None: it never ends.
    """

    def __init__(self, seed: int, *, calm_after: int | None = None) -> None:
        self.seed = seed
        self._calm_after = calm_after

    def faults(self, session: int) -> tuple[AnyFault, ...]:
        """The faults of the simulator's first (1), second (2) ... session."""
        if self._calm_after is not None and session > self._calm_after:
            return ()
        dice = random.Random(f"{self.seed}/{session}")
        faults: list[AnyFault] = []
        if dice.random() < _REFUSED:
            refusal = {"status": dice.choice(_STATUSES), "times": dice.randint(1, 2)}
            faults.append(RefuseFault.model_validate(refusal))
        if dice.random() < _ENDS:
            faults.append(_ending(dice))
        if dice.random() < _DISTURBED:
            for _ in range(dice.randint(1, 2)):
                faults += _trouble(dice)
        return tuple(fault.model_copy(update={"session": session}) for fault in faults)


def _moment(dice: random.Random) -> dict[str, object]:
    phase = dice.choices(list(_PHASES), list(_PHASES.values()))[0]
    return {
        "phase": phase,
        "turn": 1 if phase in ("setup", "tool") else dice.choice((1, 1, 1, 2, 2, 3)),
        "after_chunks": dice.randint(0, _LONGEST_CHUNKS[phase]),
    }


def _ending(dice: random.Random) -> AnyFault:
    moment = _moment(dice)
    match dice.choices(
        ("close", "abort", "half_open", "stall", "expire", "outage"), (35, 25, 10, 10, 10, 10)
    )[0]:
        case "close":
            return CloseFault.model_validate(moment | {"code": dice.choice(_CODES)})
        case "abort":
            return AbortFault.model_validate(moment | {"reset": dice.random() < 0.5})
        case "half_open":
            return HalfOpenFault.model_validate(moment)
        case "stall":
            return StallFault.model_validate(moment | {"seconds": dice.uniform(3, 20)})
        case "expire":
            notice = dice.choice((0, dice.uniform(1, 10)))
            return ExpireFault.model_validate(moment | {"notice": notice})
        case _:
            code = dice.choice((None, 1001, 1012))
            seconds = dice.uniform(0.1, 3)
            return OutageFault.model_validate(moment | {"seconds": seconds, "code": code})


def _trouble(dice: random.Random) -> list[AnyFault]:
    moment = _moment(dice)
    match dice.randrange(10):
        case 0:
            ms, jitter_ms = dice.uniform(10, 150), dice.uniform(0, 150)
            return [LatencyFault.model_validate(moment | {"ms": ms, "jitter_ms": jitter_ms})]
        case 1:
            return [StallFault.model_validate(moment | {"seconds": dice.uniform(0.1, 1.5)})]
        case 2:
            return [ErrorFault.model_validate(moment)]
        case 3:
            return [DuplicateFault.model_validate(moment | {"message": name}) for name in _WORDS]
        case 4:
            behind = dice.randint(1, 6)
            return [
                ReorderFault.model_validate(moment | {"message": name, "behind": behind})
                for name in _WORDS
            ]
        case 5:
            return [CutFault.model_validate(moment)]
        case 6:
            return [OversizeFault.model_validate(moment | {"megabytes": dice.uniform(0.1, 2)})]
        case 7:
            return [OddChunksFault(turn=dice.randint(1, 3))]
        case 8:
            return [LateDeltasFault(turn=dice.randint(1, 3), count=dice.randint(1, 5))]
        case _:
            return [ResumptionFault(why=dice.choice(("unknown", "expired", "busy")))]
