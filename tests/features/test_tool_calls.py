import asyncio
import threading
import time

import pytest

from realtime_facade.commands import SendToolResult, UpdateSession
from realtime_facade.config import RealtimeConfig
from realtime_facade.events import ToolCallCompleted, ToolCallRequest, ToolCallsCancelled
from realtime_facade.features.tool_calls import ToolCalls
from realtime_facade.tools.definition import ToolDefinition
from realtime_facade.tools.function import ToolSet


class Session:
    """What a feature sees of a session."""

    def __init__(self, feature: ToolCalls) -> None:
        self.results: list[SendToolResult] = []
        self.completed: list[ToolCallCompleted] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.feature = feature
        feature.attach(self)

    def execute(self, command: SendToolResult) -> None:
        self.results.append(command)

    def emit(self, event: ToolCallCompleted) -> None:
        self.completed.append(event)

    def start(self, work, name):
        task = asyncio.create_task(work, name=name)
        self.tasks.append(task)
        return task

    def call(self, name: str, call_id: str = "c-1", **arguments) -> None:
        self.feature.on_event(
            ToolCallRequest(call_id=call_id, function_name=name, arguments=arguments)
        )

    async def answers(self) -> list[str]:
        await asyncio.wait(self.tasks)
        return [r.output for r in self.results]


async def weather(city: str) -> dict[str, object]:
    return {"city": city, "degrees": 18}


def thread_name() -> str:
    return threading.current_thread().name


async def slow() -> str:
    await asyncio.sleep(30)
    return "never"


def broken() -> str:
    raise ValueError("no battery")


def tools(*functions, **settings) -> Session:
    return Session(ToolCalls(ToolSet(functions), **settings))


async def test_a_function_answers_its_call():
    session = tools(weather)
    session.call("weather", city="Paris")
    assert await session.answers() == ['{"city":"Paris","degrees":18}']
    [done] = session.completed
    assert (done.call_id, done.function_name, done.is_error) == ("c-1", "weather", False)


async def test_sync_functions_run_in_threads():
    session = tools(thread_name)
    session.call("thread_name")
    [name] = await session.answers()
    assert name != threading.main_thread().name


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("nothing", {}, "unknown tool 'nothing', there are: weather, slow, broken"),
        ("weather", {}, "wrong arguments for weather: city: Field required"),
        ("broken", {}, "broken failed: no battery"),
        ("slow", {}, "slow did not finish within 0.05 s"),
    ],
)
async def test_every_failure_is_one_answer_that_says_so(name, arguments, answer):
    session = tools(weather, slow, broken, timeout_s=0.05)
    session.call(name, **arguments)
    assert await session.answers() == [answer]
    assert session.results[0].is_error
    assert session.completed[0].is_error


async def test_a_handler_answers_instead_of_the_function():
    async def handler(request: ToolCallRequest) -> str:
        return f"{request.function_name} in {request.arguments.get('city')}"

    session = tools(weather, handler=handler)
    session.call("weather", city="Rome")
    session.call("other", "c-2")
    assert await session.answers() == ["weather in Rome", "other in None"]


async def test_a_handler_that_returns_nothing_leaves_it_to_the_function():
    seen = []
    session = tools(weather, ToolDefinition(name="noted"), handler=seen.append)
    session.call("weather", "c-1", city="Oslo")
    session.call("noted", "c-2")
    session.call("unknown", "c-3")
    answers = await session.answers()
    assert sorted(answers) == [
        "null",
        "unknown tool 'unknown', there are: weather, noted",
        '{"city":"Oslo","degrees":18}',
    ]
    assert len(seen) == 3


async def test_parallel_calls_run_side_by_side_up_to_the_limit():
    running, most = 0, 0

    async def work() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return "done"

    session = tools(work, max_parallel=2)
    for number in range(5):
        session.call("work", f"c-{number}")
    assert await session.answers() == ["done"] * 5
    assert most == 2


async def test_a_call_that_is_repeated_while_it_runs_is_answered_once():
    session = tools(weather)
    session.call("weather", city="Bern")
    session.call("weather", city="Bern")
    assert len(await session.answers()) == 1


async def test_cancelled_calls_are_stopped_and_not_answered():
    session = tools(slow)
    session.call("slow", "c-1")
    await asyncio.sleep(0)
    session.feature.on_event(ToolCallsCancelled(call_ids=("c-1", "c-unknown")))
    assert await session.answers() == []
    assert session.feature._running == {}


async def test_a_call_cancelled_before_it_began_leaves_nothing_behind():
    session = tools(slow)
    session.call("slow", "c-1")
    session.feature.on_event(ToolCallsCancelled(call_ids=("c-1",)))
    assert await session.answers() == []
    assert session.feature._running == {}


async def test_changed_tools_are_used_for_the_next_call():
    session = tools(weather)
    config = RealtimeConfig(tools=(thread_name,))
    session.feature.on_command(UpdateSession(config=config, changed=frozenset({"tools"})))
    session.call("weather", city="Bonn")
    assert "there are: thread_name" in (await session.answers())[0]


async def test_the_duration_is_measured():
    def nap() -> None:
        time.sleep(0.03)

    session = tools(nap)
    session.call("nap")
    await session.answers()
    assert session.completed[0].duration_ms >= 30
