"""Whatever happens: one outcome for every call of a tool, and none is invented."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_facade.commands import RequestResponse, SendToolResult
from realtime_facade.events import (
    ConnectionChanged,
    Event,
    Interrupted,
    SpeechStarted,
    ToolCallCompleted,
    ToolCallRequest,
    ToolCallsCancelled,
)
from realtime_facade.features.tool_calls import ToolCalls
from realtime_facade.providers.base import Profile
from realtime_facade.tools.context import ToolContext
from realtime_facade.tools.inject import Inject
from realtime_facade.tools.registry import Tools

TIMEOUT_S = 0.02


class World:
    """The tools of a run, and what they have done."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        self.go = threading.Event()
        """Lets stuck threads end."""
        self.tools = Tools()
        for function in (
            self.returns,
            self.waits,
            self.raises,
            self.hangs,
            self.stubborn,
            self.orphan,
            self.sync,
            self.stuck,
            self.steps,
            self.bytes_,
        ):
            self.tools.action("x", holding_instruction="Wait." if function == self.waits else None)(
                function
            )

    def _effect(self, call: ToolContext) -> None:
        self.effects[call.idempotency_key] += 1

    async def returns(self, number: int, call: Inject[ToolContext]) -> int:
        self._effect(call)
        return number

    async def waits(self, number: int, call: Inject[ToolContext]) -> int:
        self._effect(call)
        await asyncio.sleep(0.002 * number)
        return number

    async def raises(self, number: int, call: Inject[ToolContext]) -> None:
        self._effect(call)
        await asyncio.sleep(0)
        raise ValueError(number)

    async def hangs(self, number: int, call: Inject[ToolContext]) -> None:
        self._effect(call)
        await asyncio.Event().wait()

    async def stubborn(self, number: int, call: Inject[ToolContext]) -> str:
        self._effect(call)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(0.005)
        return "late"

    async def orphan(self, number: int, call: Inject[ToolContext]) -> None:
        self._effect(call)
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        await task

    def sync(self, number: int, call: Inject[ToolContext]) -> int:
        self._effect(call)
        return number

    def stuck(self, number: int, call: Inject[ToolContext]) -> int:
        self._effect(call)
        self.go.wait(5)
        return number

    async def steps(self, number: int, call: Inject[ToolContext]):
        self._effect(call)
        for step in range(number):
            yield step
            await asyncio.sleep(0)

    async def bytes_(self, number: int, call: Inject[ToolContext]) -> bytes:
        self._effect(call)
        return bytes(number)


class Provider:
    """The other end: takes results for calls that are open, and for no others."""

    def __init__(self, feature: ToolCalls) -> None:
        self.profile = Profile(provider="plain", model="test", supports_answers_during_tools=True)
        self.feature = feature
        self.open: set[str] = set()
        self.results: dict[str, str] = {}
        self.completed: dict[str, str] = {}
        self.withdrawn: set[str] = set()
        self.faults: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()
        feature.attach(self)

    def execute(self, command: SendToolResult | RequestResponse) -> None:
        if isinstance(command, RequestResponse):
            return
        if command.call_id not in self.open:
            self.faults.append(f"a result for {command.call_id}, which is not open")
        self.open.discard(command.call_id)
        self.results[command.call_id] = command.output

    def emit(self, event: Event) -> None:
        if isinstance(event, ToolCallCompleted):
            if event.call_id in self.completed:
                self.faults.append(f"{event.call_id} ended twice")
            self.completed[event.call_id] = event.output

    def start(self, work: Any, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self.tasks.add(task)
        return task

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        raise AssertionError("tools need no timers")

    def call(self, call_id: str, name: str, arguments: dict[str, Any]) -> None:
        self.open.add(call_id)
        self.feature.on_event(
            ToolCallRequest(call_id=call_id, function_name=name, arguments=arguments)
        )

    def withdraw(self, call_id: str) -> None:
        if call_id in self.open:
            self.open.discard(call_id)
            self.withdrawn.add(call_id)
        self.feature.on_event(ToolCallsCancelled(call_ids=(call_id,)))

    async def settled(self) -> None:
        while running := [task for task in self.tasks if not task.done()]:
            await asyncio.wait(running)


NAMES = (*World().tools.names, "missing")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.sampled_from(NAMES), st.integers(0, 2)),
        st.tuples(st.just("wrong"), st.sampled_from(NAMES)),
        st.tuples(st.sampled_from(["again", "again_elsewhere"]), st.integers(0, 20)),
        st.tuples(st.just("doubled"), st.integers(0, 20)),
        st.tuples(st.just("withdraw"), st.integers(0, 20)),
        st.tuples(st.sampled_from(["speech", "interrupted", "reconnected", "pause", "turn"])),
    ),
    max_size=14,
)


async def play(steps: list[tuple[Any, ...]], parallel: int) -> tuple[World, Provider, int]:
    world = World()
    provider = Provider(ToolCalls(world.tools, timeout_s=TIMEOUT_S, max_parallel=parallel))
    calls: list[tuple[str, str, dict[str, Any]]] = []
    made = 0
    for step in steps:
        match step:
            case ("call", name, number):
                calls.append((f"c-{made}", name, {"number": number}))
                provider.call(*calls[-1])
                made += 1
            case ("wrong", name):
                calls.append((f"c-{made}", name, {"number": "many"}))
                provider.call(*calls[-1])
                made += 1
            case (("again" | "again_elsewhere") as how, index) if calls:
                if how == "again_elsewhere":
                    provider.feature.on_event(ConnectionChanged(state="connected"))
                _, name, arguments = calls[index % len(calls)]
                calls.append((f"c-{made}", name, arguments))
                provider.call(*calls[-1])
                made += 1
            case ("doubled", index) if calls:
                call_id, name, arguments = calls[index % len(calls)]
                if provider.feature._seen.count(call_id):  # of this connection
                    provider.feature.on_event(
                        ToolCallRequest(call_id=call_id, function_name=name, arguments=arguments)
                    )
            case ("withdraw", index) if calls:
                provider.withdraw(calls[index % len(calls)][0])
            case ("speech",):
                provider.feature.on_event(SpeechStarted())
            case ("interrupted",):
                provider.feature.on_event(Interrupted())
            case ("reconnected",):
                provider.feature.on_event(ConnectionChanged(state="reconnecting"))
                provider.feature.on_event(ConnectionChanged(state="connected"))
            case ("pause",):
                await asyncio.sleep(0.003)
            case ("turn",):
                await asyncio.sleep(0)
    await provider.settled()
    world.go.set()
    return world, provider, made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(1, 4))
def test_every_call_has_one_outcome_and_none_is_invented(steps, parallel):
    world, provider, made = asyncio.run(play(steps, parallel))
    assert provider.faults == []
    asked = {f"c-{number}" for number in range(made)}
    assert set(provider.completed) == asked
    assert set(provider.results) == asked - provider.withdrawn
    assert provider.open == set()
    assert provider.feature._running == []
    for call_id, output in provider.results.items():
        assert provider.completed[call_id] == output
    # A withdrawn call that is asked for again runs again; apart from that, nothing runs twice.
    if not provider.withdrawn:
        assert set(world.effects.values()) <= {1}
