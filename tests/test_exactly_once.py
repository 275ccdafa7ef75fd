"""Every tool call gets one output at the provider, whatever tools, users and connections do.

python tests/test_exactly_once.py 1000    as many random conversations; prints failing seeds
"""

import asyncio
import random
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from realtime_facade import (
    Event,
    Inject,
    RealtimeConfig,
    RealtimeVoice,
    SessionEnded,
    ToolCallCompleted,
    ToolCallRequest,
    ToolCallsCancelled,
    ToolContext,
    Tools,
)
from realtime_facade.simulator.clock import ScaledClock
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

SAMPLE = range(60)
FOUND: list[int] = []
"""Seeds that once failed."""
DEADLINE_S = 20.0
TOOL_S = 0.15
"""What a tool may take, at most."""
MODELS = (
    ("openai", "gpt-realtime-2.1"),
    ("gemini", "gemini-3.8-live"),
    ("gemini", "gemini-2.5-flash-native-audio-preview-12-2025"),
)
LOSSES = (
    'kind = "close"\ncode = 1011',
    'kind = "close"\ncode = 1001',
    'kind = "abort"',
    'kind = "abort"\nreset = true',
)


class Shop:
    """Tools that behave and tools that do not; what they did is counted."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.effects: Counter[str] = Counter()
        self.over = threading.Event()
        self.tools = Tools()
        for function in (
            self.returns,
            self.raises,
            self.hangs,
            self.stubborn,
            self.sync,
            self.stuck,
            self.steps,
        ):
            holding = "One moment." if self._dice.random() < 0.2 else None
            self.tools.action("Do a task", holding_instruction=holding)(function)

    async def returns(self, task: int, call: Inject[ToolContext]) -> str:
        self.effects[call.idempotency_key] += 1
        await asyncio.sleep(self._dice.choice((0, 0.005, 0.05, 0.1)))
        return f"task {task} is done"

    async def raises(self, task: int, call: Inject[ToolContext]) -> None:
        self.effects[call.idempotency_key] += 1
        await asyncio.sleep(self._dice.choice((0, 0.05)))
        raise RuntimeError("out of order")

    async def hangs(self, task: int, call: Inject[ToolContext]) -> None:
        self.effects[call.idempotency_key] += 1
        await asyncio.Event().wait()

    async def stubborn(self, task: int, call: Inject[ToolContext]) -> str:
        self.effects[call.idempotency_key] += 1
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)
        return "late"

    def sync(self, task: int, call: Inject[ToolContext]) -> str:
        self.effects[call.idempotency_key] += 1
        return f"task {task} is done"

    def stuck(self, task: int, call: Inject[ToolContext]) -> str:
        self.effects[call.idempotency_key] += 1
        self.over.wait(10)
        return "late"

    async def steps(self, task: int, call: Inject[ToolContext]):
        self.effects[call.idempotency_key] += 1
        yield "begun"
        await asyncio.sleep(0.02)
        yield f"task {task} is done"


class Talk:
    """One conversation by seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(f"exactly once {seed}")
        self._shop = Shop(self._dice)
        self.problems: list[str] = []
        self.trace: list[str] = []
        self._asked: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._withdrawn: set[str] = set()
        self._outputs: dict[str, str] = {}
        self._over = False

    def _scenario(self, turns: int) -> Scenario:
        dice, names = self._dice, [*self._shop.tools.names, "missing"]
        text = 'otherwise = "Fine."\n'
        task = 0
        for turn in range(turns):
            steps = ['{ say = "Well." }'] if dice.random() < 0.3 else []
            for _ in range(dice.randint(1, 3)):
                task += 1
                given = f'"no {task}"' if dice.random() < 0.1 else str(task)
                name = dice.choice(names)
                steps.append(f'{{ call = "{name}", arguments = {{ task = {given} }} }}')
            steps.append('{ say = "So it is." }')
            text += f'[[turns]]\nwhen = "turn {turn}$"\nsteps = [{", ".join(steps)}]\n'
        for session, chance in ((1, 0.6), (2, 0.3)):
            if dice.random() < chance:
                phase = dice.choice(("tool", "tool", "answering", "idle"))
                text += (
                    f'[[faults]]\nsession = {session}\nphase = "{phase}"\n'
                    f"turn = {dice.randint(1, 2)}\nafter_chunks = {dice.randint(0, 2)}\n"
                    f"{dice.choice(LOSSES)}\n"
                )
        return Scenario.parse(text)

    async def hold(self) -> None:
        """Talk, wait for all tools, and compare what both sides know."""
        dice = self._dice
        wire, model = dice.choice(MODELS)
        turns = dice.randint(1, 3)
        simulator = Simulator(
            scenario=self._scenario(turns),
            wires=("openai",) if wire == "openai" else ("gemini",),
            speed=dice.choice((0, 4)),
            chunk_ms=200,
            clock=ScaledClock(40),
        )
        config = RealtimeConfig(
            model=model,
            tools=self._shop.tools,
            tool_timeout_s=TOOL_S,
            max_parallel_tools=dice.choice((1, 8)),
        )
        async with simulator:
            url = simulator.openai_url if wire == "openai" else simulator.gemini_plain_url
            voice = RealtimeVoice(wire, config, api_key="any", base_url=url)
            voice.on(Event)(self._note)
            async with voice.connect() as session:
                for turn in range(turns):
                    await session.send_text(f"turn {turn}")
                    await asyncio.sleep(dice.choice((0.0, 0.02, 0.1, 0.3)))
                    if dice.random() < 0.3:
                        await session.interrupt()
                await self._settle(session)
            self._shop.over.set()
            self._compare(simulator)

    async def _note(self, event: Event) -> None:
        match event:
            case ToolCallRequest():
                self._asked[event.call_id] += 1
            case ToolCallCompleted():
                self._ended[event.call_id] += 1
                self._outputs[event.call_id] = event.output
            case ToolCallsCancelled():
                self._withdrawn.update(event.call_ids)
            case SessionEnded() if not event.requested:
                self.problems.append(f"the session ended: {event.reason}")
        if event.type not in ("audio", "raw"):
            self.trace.append(repr(event)[:200])

    async def _settle(self, session: Any) -> None:
        """Until no tool runs and nothing is said for a while."""
        quiet = 0
        while quiet < 6:
            await asyncio.sleep(0.05)
            busy = self._asked.keys() - self._ended.keys() or session.phase.value != "listening"
            quiet = 0 if busy else quiet + 1

    def _compare(self, simulator: Simulator) -> None:
        told: dict[str, set[str]] = {}
        for record in simulator.connections:
            self.trace.append(str(record))
            counted = Counter(output.call_id for output in record.outputs)
            self.problems += [
                f"connection {record.number} was told {times} times of {call_id}"
                for call_id, times in counted.items()
                if times > 1
            ]
            for output in record.outputs:
                told.setdefault(output.call_id, set()).add(output.output)
        for call_id, times in self._asked.items():
            if times > 1 or self._ended[call_id] != 1:
                self.problems.append(f"{call_id}: asked {times}, ended {self._ended[call_id]}")
            outputs = told.pop(call_id, set())
            if len(outputs) != 1 and call_id not in self._withdrawn:
                self.problems.append(f"{call_id} has the outputs {outputs}")
            elif outputs and self._outputs[call_id] not in next(iter(outputs)):
                self.problems.append(f"{call_id}: told {outputs}, not {self._outputs[call_id]!r}")
        self.problems += [f"an output for {call_id}, which nobody asked for" for call_id in told]
        if not self._withdrawn and any(times > 1 for times in self._shop.effects.values()):
            self.problems.append("a tool ran twice for one wish")


async def talk(seed: int) -> Talk:
    conversation = Talk(seed)
    try:
        async with asyncio.timeout(DEADLINE_S):
            await conversation.hold()
    except TimeoutError:
        conversation.problems.append(f"not over after {DEADLINE_S:g} s")
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this seed
        conversation.problems.append(f"{type(error).__name__}: {error}")
    finally:
        conversation._shop.over.set()
    return conversation


async def talks(seeds: range | list[int], at_once: int = 24) -> dict[int, list[str]]:
    room = asyncio.Semaphore(at_once)

    async def one(seed: int) -> tuple[int, list[str]]:
        async with room:
            return seed, (await talk(seed)).problems

    found = await asyncio.gather(*map(one, seeds))
    return {seed: problems for seed, problems in found if problems}


@pytest.mark.timeout(120)
async def test_every_call_has_one_output_at_the_provider():
    assert await talks(SAMPLE) == {}


@pytest.mark.parametrize("seed", FOUND)
async def test_what_once_failed(seed):
    assert (await talk(seed)).problems == []


if __name__ == "__main__":
    if len(sys.argv) == 3:
        done = asyncio.run(talk(int(sys.argv[2])))
        print(*done.trace, *done.problems, sep="\n")  # noqa: T201
    else:
        failed = asyncio.run(talks(range(int(sys.argv[1]))))
        for seed, problems in failed.items():
            print(seed, *problems, sep="\n  ")  # noqa: T201
        print(f"{sys.argv[1]} conversations, {len(failed)} failed")  # noqa: T201
        sys.exit(bool(failed))
