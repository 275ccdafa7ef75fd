"""A conversation of hours, in as many minutes: no word is lost, no gap is heard, nothing grows.

    python tests/bench/endurance.py --wire gemini --hours 3 --compare
    python tests/bench/endurance.py --wire gemini --hours 8 --apart --cutting-in

Time runs 60 times faster for both sides (`hurry.py`): the simulated provider has its own limits,
the microphone is on all the time, the loudspeaker plays as fast as the time runs. Both sides count
words by their sound, and every answer depends on what the provider remembers. Users like to speak
just when the connection is being renewed.

With `--compare` the same is held again without limits. With `--apart` the provider is in a process
of its own, so that the memory of this one is the package's.
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import hurry
from containers import Growth, Sizes, sizes
from endurance_peer import report, simulator, url
from endurance_script import Said, conversation, merged, script
from endurance_user import FAILURES, PATIENCE_S, Conversation, Effects, Speaker, Watch

from realtime_facade import RealtimeConfig, RealtimeVoice
from realtime_facade.providers.base import Profile
from realtime_facade.providers.openai import OpenAIProvider

MEASURE_S = 120.0
NEVER_S = 10**7
WARM_S = 1_800.0
LONGEST_GAP_MS = 200
MOST_GROWTH_MB = 5


@dataclass
class Figures:
    """What came of one conversation, in its own time unless something else is said."""

    turns: int
    spent_s: tuple[float, float, float]
    """Of the conversation, of the clock on the wall, and of the processor."""
    heard: list[str]
    """The answers, as they sounded."""
    history: list[Said]
    waits_ms: list[float]
    """From the end of the user's words to the first sound of the answer."""
    gaps_ms: list[float]
    """How long there was nothing to play in the middle of an item, each time."""
    changes: list[dict[str, Any]]
    events: dict[str, int]
    twice: list[int]
    """What tools did more than once."""
    rss_mb: list[tuple[float, float]]
    """Resident memory, by second of the conversation."""
    grew: Sizes
    problems: list[str]
    connections: list[dict[str, Any]] = field(default_factory=list)
    """As the provider saw them."""


class Memory:
    """Measures the process and every container of the package, now and then.

    Args:
        hours: How long it will go on: the first quarter is compared with the last one.
        roots: Where the containers are.
    """

    def __init__(self, hours: float, *roots: object) -> None:
        self.rss_mb: list[tuple[float, float]] = []
        self._quarter_s = hours * 900
        self._roots = roots
        self._growth = Growth()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            gc.collect()
            now_s = loop.time() - began
            self.rss_mb.append((round(now_s), _rss_mb()))
            if now_s < self._quarter_s:
                self._growth.early(sizes(*self._roots))
            elif now_s > 3 * self._quarter_s:
                self._growth.late(sizes(*self._roots))
            await asyncio.sleep(MEASURE_S)

    def grown(self) -> Sizes:
        """What grew, the history excepted; nothing where it was too short to tell."""
        if self._quarter_s < 600:
            return {}
        return {
            path: size
            for path, size in self._growth.found().items()
            if not path.startswith(("ConversationHistory.", "Watch."))
        }


def _rss_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class PatientProvider(OpenAIProvider):
    """Sends no pings: 20 s for an answer are a third of one in the machine's time."""

    def profile(self, config: RealtimeConfig) -> Profile:
        return replace(super().profile(config), ping_interval_s=None)


async def hold(address: str, options: argparse.Namespace, *, limited: bool) -> Figures:
    """One conversation, from its beginning to its end."""
    loop, speaker = asyncio.get_running_loop(), Speaker()
    watch, effects = Watch(speaker), Effects(options.seed)
    await speaker.start()
    voice = RealtimeVoice(
        PatientProvider() if options.apart and options.wire == "openai" else options.wire,
        RealtimeConfig(
            model=options.model,
            tools=[effects.look_up, effects.tarry],
            tool_timeout_s=PATIENCE_S,
            renew_after_s=options.renew_after if limited else NEVER_S,
            # Between two processes the machine's time counts, 60 times.
            **({"setup_timeout_s": PATIENCE_S, "stall_timeout_s": None} if options.apart else {}),
        ),
        api_key="any",
        base_url=address,
        sink=speaker,
        features=[lambda: watch],
    )
    turns = script(options.hours * 3_600, options.seed, cutting_in=options.cutting_in)
    cpu_s, real_s, began_s = time.process_time(), time.monotonic(), loop.time()
    failed: list[str] = []
    async with voice.connect() as session:
        talk = Conversation(session, watch, speaker, options.seed)
        memory = Memory(options.hours, session, speaker, voice)
        measuring = asyncio.create_task(memory.run())
        try:
            await talk.hold(turns)
        except AssertionError as problem:
            failed.append(str(problem))
        finally:
            measuring.cancel()
            await asyncio.wait([measuring])
        spent_s = (
            loop.time() - began_s,
            time.monotonic() - real_s,
            time.process_time() - cpu_s,
        )
    await speaker.stop()
    return Figures(
        turns=talk.turns,
        spent_s=spent_s,
        heard=talk.heard,
        history=[(turn.role, turn.text) for turn in session.history.turns],
        waits_ms=talk.waits_ms,
        gaps_ms=watch.gaps_ms,
        changes=watch.changes,
        events=dict(watch.events),
        twice=[number for number, times in effects.done.items() if times > 1],
        rss_mb=memory.rss_mb,
        grew=memory.grown(),
        problems=failed,
    )


def held(options: argparse.Namespace, *, limited: bool) -> Figures:
    """The same, with its provider."""
    limit_s = options.limit if limited else NEVER_S
    if options.apart:
        return _held_apart(options, limit_s, limited=limited)

    async def together() -> Figures:
        async with simulator(options.wire, hurry.LoopClock(), limit_s, options.seed) as peer:
            figures = await hold(url(peer, options.wire), options, limited=limited)
            figures.connections = [report(record) for record in peer.connections]
        return figures

    return hurry.run(together(), options.factor)


def _held_apart(options: argparse.Namespace, limit_s: float | None, *, limited: bool) -> Figures:
    command = [sys.executable, str(Path(__file__).with_name("endurance_peer.py"))]
    command += ["--wire", options.wire, "--factor", str(options.factor)]
    command += ["--limit", str(limit_s)] if limit_s else []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        address = peer.stdout.readline().strip()
        work = hold(address, options, limited=limited)
        figures = hurry.run(work, options.factor, stands_still=False)
        peer.stdin.write("\n")
        peer.stdin.flush()
        figures.connections = json.loads(peer.stdout.readline())
        peer.stdin.close()
        peer.wait()
    return figures


# -- judged ----------------------------------------------------------------------------------------


def problems(figures: Figures, options: argparse.Namespace, *, limited: bool) -> list[str]:
    """What must not be."""
    bad = list(figures.problems)
    bad += [f"a tool did {number} twice" for number in figures.twice]
    bad += [f"{kind}: {figures.events[kind]}" for kind in FAILURES if kind in figures.events]
    for change in figures.changes:
        if change["state"] == "reconnecting" and limited:
            bad.append(f"a connection was lost: {change}")
        elif change["within_item"] and change["reason"]:
            bad.append(f"a connection was changed within an item: {change}")
    for connection in figures.connections:
        outputs = Counter(connection["outputs"])
        bad += [f"told twice of {call}" for call, times in outputs.items() if times > 1]
    bad += [f"{path} grew to {size}" for path, size in figures.grew.items()]
    if options.apart:
        early, late, _ = _resident_mb(figures)
        if late - early > MOST_GROWTH_MB:
            bad.append(f"{late - early:.1f} MB more than after {WARM_S / 60:g} minutes")
        return bad
    bad += [f"a gap of {gap:.0f} ms" for gap in figures.gaps_ms if gap > LONGEST_GAP_MS]
    last = [(who, text) for who, text in figures.connections[-1]["last"]]
    if options.cutting_in:
        # What was not heard can only be taken back on this wire.
        if options.wire == "openai":
            last = [one for one in last if one[0] != "tool"]
            known = merged(figures.history)[-len(last) :]
            bad += _differences("the provider's memory", known, last)
        return bad
    wanted = conversation(script(options.hours * 3_600, options.seed))
    spoken = [text for who, text in wanted if who == "assistant"]
    bad += _differences("heard", spoken, figures.heard)
    bad += _differences("history", [one for one in wanted if one[0] != "tool"], figures.history)
    return bad + _differences("the provider's memory", wanted[-len(last) :], last)


def _resident_mb(figures: Figures) -> tuple[float, float, float]:
    """In the first and in the last eighth after it is warm, and at most.

    Medians: from one minute to the next the allocator keeps or gives back up to 5 MB.
    """
    warm = [mb for at_s, mb in figures.rss_mb if at_s >= WARM_S] or [0.0]
    part = max(1, len(warm) // 8)
    return median(warm[:part]), median(warm[-part:]), max(warm)


def _differences(what: str, wanted: Sequence[Any], got: Sequence[Any]) -> list[str]:
    for number, (one, other) in enumerate(zip(wanted, got, strict=False)):
        if one != other:
            return [f"{what}, {number}: {other} instead of {one}"]
    if len(wanted) != len(got):
        return [f"{what}: {len(got)} instead of {len(wanted)}"]
    return []


def summary(figures: Figures) -> dict[str, Any]:
    """The figures that people want to see."""
    talk_s, real_s, cpu_s = figures.spent_s
    arrived = [c["gap_ms"] for c in figures.changes if c["state"] == "connected"][1:]
    return {
        "turns": figures.turns,
        "hours": round(talk_s / 3_600, 2),
        "minutes, real": round(real_s / 60, 2),
        "processor, %": round(100 * cpu_s / real_s, 1),
        "connections": len(figures.connections),
        "states": dict(Counter(change["state"] for change in figures.changes)),
        "renewed while": dict(
            Counter(c["phase"] for c in figures.changes if c["state"] == "renewing")
        ),
        "without a connection, ms": [round(gap) for gap in arrived],
        "gaps within an item": len(figures.gaps_ms),
        "longest gap, ms": round(max(figures.gaps_ms, default=0)),
        "answer after, ms": [round(f(figures.waits_ms)) for f in (median, max)],
        "words heard": sum(len(text.split()) for text in figures.heard),
        "history, characters": sum(len(text) for _, text in figures.history),
        "resident MB, warm, at the end, at most": [round(mb, 1) for mb in _resident_mb(figures)],
        "events": figures.events,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wire", choices=("openai", "gemini"), required=True)
    parser.add_argument("--model")
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--factor", type=float, default=60.0, help="how much faster")
    parser.add_argument("--limit", type=float, help="of a session, s; the provider's by default")
    parser.add_argument("--renew-after", type=float, help="s; the package's default if not given")
    parser.add_argument("--compare", action="store_true", help="hold it again without limits")
    parser.add_argument("--apart", action="store_true", help="the provider in another process")
    parser.add_argument("--cutting-in", action="store_true", help="the user interrupts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="all figures")
    options = parser.parse_args()
    figures = held(options, limited=True)
    failed = problems(figures, options, limited=True)
    uncut = None
    if options.compare:
        uncut = held(options, limited=False)
        failed += [f"without limits: {p}" for p in problems(uncut, options, limited=False)]
        failed += _differences("compared with the uncut one", uncut.history, figures.history)
    result = {
        "problems": failed,
        "figures": summary(figures),
        "uncut": summary(uncut) if uncut else None,
    }
    if options.json:
        result["all"] = asdict(figures)
    print(json.dumps(result, indent=None if options.json else 2))  # noqa: T201
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
