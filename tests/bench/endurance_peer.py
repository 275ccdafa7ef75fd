"""The other side of `endurance.py`: a simulated provider that understands what is said to it.

As a program it is in a process of its own, so that its memory is not counted. It prints
its address; to each line on its input it answers with a line of JSON about its connections. It ends
with its input.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from endurance_script import RATE, Said, calls_of, found, merged, reply, sounding, understood

from realtime_facade.audio.vad import EnergyVad
from realtime_facade.simulator.clock import Clock, ScaledClock
from realtime_facade.simulator.faults import LatencyFault
from realtime_facade.simulator.parts import Call, Entry, Message, Parts, Say, Step
from realtime_facade.simulator.record import ConnectionRecord
from realtime_facade.simulator.server import Simulator, Wire

LATENCY_MS, JITTER_MS = 80.0, 60.0
"""Of everything that the provider says."""


class Ears:
    """Understands what `speech` says."""

    sample_rate = 16_000

    def __init__(self) -> None:
        self._pcm = bytearray()

    def feed(self, pcm: bytes) -> None:
        self._pcm += pcm

    async def finish(self) -> str:
        words = understood(bytes(self._pcm), self.sample_rate)
        self._pcm.clear()
        return words

    def reset(self) -> None:
        self._pcm.clear()

    async def close(self) -> None: ...


class Voice:
    sample_rate = RATE

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        for word in text.split():
            yield sounding(word)


class Mind:
    """Looks up what the user wants to know, then answers from all that it remembers."""

    async def answer(self, conversation: Sequence[Entry], *_: object) -> list[Step]:
        said = remembered(conversation)
        asked = max((i for i, (who, _) in enumerate(said) if who == "user"), default=None)
        if asked is None:
            return [Say("what")]
        wanted = calls_of(said[asked][1])
        known = " ".join(text for who, text in said[asked:] if who == "tool")
        missing = [number for number in wanted if found(number) not in known]
        if len(missing) == len(wanted) and wanted:
            name = "tarry" if said[asked][1].startswith("tarry") else "look_up"
            return [Call(name, {"number": number}) for number in wanted]
        return [] if missing else [Say(reply(said))]


def remembered(entries: Sequence[Entry]) -> list[Said]:
    """What was said and done. A result that is told again after a renewal is nothing new."""
    said: list[Said] = []
    told: set[str] = set()
    for entry in entries:
        if isinstance(entry, Message):
            if entry.role != "system":
                said.append((entry.role, entry.text))
        elif entry.output not in told:
            told.add(entry.output)
            said.append(("tool", entry.output))
    return merged(said)


def report(record: ConnectionRecord) -> dict[str, Any]:
    known = remembered(record.conversation)
    return {
        "number": record.number,
        "seconds": record.closed_at and record.closed_at - record.opened_at,
        "code": record.code,
        "closed_by": record.closed_by,
        "calls": [call.call_id for call in record.calls],
        "outputs": [output.call_id for output in record.outputs],
        "known": len(known),
        "last": known[-12:],
    }


def simulator(wire: str, clock: Clock, limit_s: float | None, seed: int = 1) -> Simulator:
    parts = Parts(vad=EnergyVad, recognizer=lambda _: Ears(), mind=Mind, voice=lambda _: Voice())
    wires: tuple[Wire] = ("openai",) if wire == "openai" else ("gemini",)
    far = LatencyFault(phase="setup", ms=LATENCY_MS, jitter_ms=JITTER_MS)
    return Simulator(
        parts, wires=wires, clock=clock, session_limit_s=limit_s, seed=seed, faults=[far]
    )


def url(simulator: Simulator, wire: str) -> str:
    return simulator.openai_url if wire == "openai" else simulator.gemini_plain_url


async def main(wire: str, factor: float, limit_s: float | None) -> None:
    async with simulator(wire, ScaledClock(factor), limit_s) as peer:
        print(url(peer, wire), flush=True)  # noqa: T201
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps([report(r) for r in peer.connections]), flush=True)  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wire", choices=("openai", "gemini"), required=True)
    parser.add_argument("--factor", type=float, default=60)
    parser.add_argument("--limit", type=float, help="seconds; the provider's own by default")
    options = parser.parse_args()
    asyncio.run(main(options.wire, options.factor, options.limit))
