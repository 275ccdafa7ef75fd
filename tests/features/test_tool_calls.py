import asyncio
import threading
import time
from typing import Any

import pytest
from pydantic import BaseModel

from realtime_facade.commands import (
    RequestResponse,
    SendText,
    SendToolResult,
    UpdateSession,
)
from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ConfigurationError
from realtime_facade.events import (
    ConfigWarning,
    ConnectionChanged,
    ErrorOccurred,
    Event,
    InputCommitted,
    SessionStarted,
    SpeechStarted,
    ToolCallCompleted,
    ToolCallRequest,
    ToolCallsCancelled,
    ToolProgress,
    TranscriptDelta,
)
from realtime_facade.features.tool_calls import ToolCalls
from realtime_facade.providers.base import Profile
from realtime_facade.tools.context import ToolContext
from realtime_facade.tools.definition import ToolDefinition
from realtime_facade.tools.inject import Inject
from realtime_facade.tools.registry import Tools


class Session:
    """What a feature sees of a session."""

    def __init__(self, feature: ToolCalls, *, speaks: bool = True) -> None:
        self.results: list[SendToolResult] = []
        self.requests: list[RequestResponse] = []
        self.events: list[Event] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.profile = Profile(provider="plain", model="test", supports_answers_during_tools=speaks)
        self.feature = feature
        feature.attach(self)

    def execute(self, command: SendToolResult | RequestResponse) -> None:
        (self.results if isinstance(command, SendToolResult) else self.requests).append(command)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def completed(self) -> list[ToolCallCompleted]:
        return self.of(ToolCallCompleted)

    def start(self, work, name):
        task = asyncio.create_task(work, name=name)
        self.tasks.append(task)
        return task

    def call(self, name: str, call_id: str = "c-1", **arguments) -> None:
        self.happen(ToolCallRequest(call_id=call_id, function_name=name, arguments=arguments))

    def happen(self, event: Event) -> None:
        self.feature.on_event(event)

    async def answers(self) -> list[str]:
        while any(not task.done() for task in self.tasks):
            await asyncio.wait(self.tasks)
        return [r.output for r in self.results]

    def outputs(self) -> dict[str, str]:
        return {r.call_id: r.output for r in self.results}


RECONNECTED = ConnectionChanged(state="connected")


async def weather(city: str) -> dict[str, object]:
    return {"city": city, "degrees": 18}


def thread_name() -> str:
    return threading.current_thread().name


async def slow() -> str:
    await asyncio.sleep(30)
    return "never"


def broken() -> str:
    raise ValueError("no battery")


def tools(*functions, speaks: bool = True, **settings) -> Session:
    return Session(ToolCalls(Tools(functions), **settings), speaks=speaks)


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


async def test_cancelled_calls_are_stopped_and_not_sent_but_told_of():
    session = tools(slow)
    session.call("slow", "c-1")
    await asyncio.sleep(0)
    session.happen(ToolCallsCancelled(call_ids=("c-1", "c-unknown")))
    assert await session.answers() == []
    [done] = session.completed
    assert (done.call_id, done.is_error) == ("c-1", True)
    assert "cancelled" in done.output


async def test_a_call_cancelled_before_it_began_leaves_nothing_behind():
    session = tools(slow)
    session.call("slow", "c-1")
    session.happen(ToolCallsCancelled(call_ids=("c-1",)))
    assert await session.answers() == []
    assert len(session.completed) == 1
    session.call("slow", "c-2")
    session.happen(ToolCallsCancelled(call_ids=("c-1", "c-2")))
    assert await session.answers() == []
    assert len(session.completed) == 2


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


# -- tools that do not behave ----------------------------------------------------------------


async def test_a_tool_that_cannot_be_cancelled_is_answered_in_time_and_its_result_dropped():
    let_go = asyncio.Event()

    async def stubborn() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await let_go.wait()
        return "too late"

    session = tools(stubborn, timeout_s=0.02)
    session.call("stubborn")
    await asyncio.wait_for(session.tasks[0], 2)
    assert len(session.results) == 1
    let_go.set()
    assert await session.answers() == ["stubborn did not finish within 0.02 s"]
    assert len(session.completed) == 1


async def test_a_sync_tool_that_is_stuck_takes_nothing_from_others_and_is_answered_once():
    let_go = threading.Event()

    def stuck() -> str:
        let_go.wait(10)
        return "too late"

    session = tools(stuck, thread_name, timeout_s=0.05)
    try:
        for number in range(12):
            session.call("stuck", f"c-{number}")
        answers = await session.answers()
        assert answers == ["stuck did not finish within 0.05 s"] * 12
        session.call("thread_name", "c-next")
        assert (await session.answers())[-1] == "tool thread_name"
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 1) == "free"
    finally:
        let_go.set()


async def test_a_tools_own_timeout_error_is_not_the_deadline():
    async def impatient() -> str:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(1)
        return "never"

    session = tools(impatient)
    session.call("impatient")
    [answer] = await session.answers()
    assert answer.startswith("impatient failed")


async def test_a_tool_whose_own_work_was_cancelled_is_answered():
    async def orphan() -> str:
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        return await inner

    session = tools(orphan)
    session.call("orphan")
    assert await session.answers() == ["orphan was cancelled"]
    assert session.results[0].is_error


async def test_each_tool_may_have_its_own_time():
    registry = Tools()
    registry.action("Slow", timeout=0.01)(slow)
    session = tools(registry, timeout_s=30)
    session.call("slow")
    assert await session.answers() == ["slow did not finish within 0.01 s"]


def binary() -> bytes:
    return b"1"


def endless() -> str:
    return "word " * 10_000


def circular() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (binary, "binary gave binary data"),
        (endless, "[cut: the first 1000 of 50000 characters]"),
        (circular, "circular gave a result that has no JSON form"),
    ],
)
async def test_results_that_no_model_could_use_are_answered_in_words(function, words):
    session = tools(function, max_output_chars=1000)
    session.call(function.__name__)
    [answer] = await session.answers()
    assert words in answer
    assert len(answer) < 1100


async def test_a_call_that_the_connection_does_not_know_is_reported():
    session = tools(weather)

    def refuse(command):
        raise ConfigurationError("not open")

    session.execute = refuse
    session.call("weather", city="Paris")
    await session.answers()
    assert [e.message for e in session.of(ErrorOccurred)] == ["not open"]
    assert len(session.completed) == 1


async def test_a_definition_that_nobody_answers_is_the_applications_error():
    session = tools(ToolDefinition(name="noted"))
    session.call("noted")
    assert await session.answers() == ["noted cannot be used at the moment"]
    [error] = session.of(ErrorOccurred)
    assert "on_tool_call" in error.advice


# -- what is said while a tool runs ----------------------------------------------------------


class Song(BaseModel):
    song: str


def announcing(speaks: bool = True) -> Session:
    registry = Tools()
    registry.action("Search", holding_instruction="One moment.")(weather)

    @registry.action("Play", param_model=Song, status="Playing {song} now.")
    async def play(params: Song) -> str:
        return params.song

    @registry.action("Play", name="shout", param_model=Song, status=lambda p: p.song.upper())
    async def shout(params: Song) -> None: ...

    return tools(registry, speaks=speaks)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("weather", {"city": "Paris"}, "One moment."),
        (
            "play",
            {"song": "Help!"},
            "exactly this to the user, and nothing else: Playing Help! now.",
        ),
        ("shout", {"song": "help"}, "HELP"),
    ],
)
async def test_what_is_to_be_said_is_asked_for_before_the_result(name, arguments, words):
    session = announcing()
    session.call(name, **arguments)
    [request] = session.requests
    assert words in request.instructions
    assert request.interim
    assert session.results == []
    await session.answers()
    assert len(session.requests) == 1


async def test_a_model_that_cannot_speak_meanwhile_is_not_asked_to():
    session = announcing(speaks=False)
    session.happen(SessionStarted())
    session.call("weather", city="Paris")
    await session.answers()
    assert session.requests == []
    [warning] = session.of(ConfigWarning)
    assert "shout" in warning.message
    offered = {
        d.name: d.description
        for d in session.feature._tools.definitions(speaks_while_running=False)
    }
    assert "Before you call this" in offered["weather"]
    assert "Playing {song} now." in offered["play"]


async def test_wrong_arguments_have_no_status():
    session = announcing()
    session.call("play", tune="Help!")
    assert "song: Field required" in (await session.answers())[0]
    assert session.requests == []


async def test_a_status_that_fails_is_reported_and_the_tool_runs():
    registry = Tools()

    @registry.action("Play", param_model=Song, status=lambda p: p.title)
    async def play(params: Song) -> str:
        return params.song

    session = tools(registry)
    session.call("play", song="Help!")
    assert await session.answers() == ["Help!"]
    assert "status of play failed" in session.of(ErrorOccurred)[0].message


async def test_how_to_present_a_result_is_told_with_it_and_not_with_errors():
    registry = Tools()
    registry.action("Weather", result_instruction="Be brief.")(weather)
    session = tools(registry)
    session.call("weather", "c-1", city="Paris")
    session.call("weather", "c-2")
    await session.answers()
    assert session.outputs()["c-1"].endswith("[Instruction: Be brief.]")
    assert "brief" not in session.outputs()["c-2"]


async def test_a_result_that_nobody_has_to_speak_about():
    registry = Tools()
    registry.action("Weather", respond=False)(weather)
    session = tools(registry)
    session.call("weather", "c-1", city="Paris")
    session.call("weather", "c-2")
    await session.answers()
    assert {r.call_id: r.respond for r in session.results} == {"c-1": False, "c-2": True}


# -- progress and what is injected -----------------------------------------------------------


async def test_progress_is_told_before_the_result():
    async def search(call: Inject[ToolContext]):
        yield "looking"
        call.progress({"found": 2})
        await asyncio.sleep(0)
        yield "almost"
        yield "done"

    def blocking(call: Inject[ToolContext]) -> str:
        call.progress("in a thread")
        return "done"

    session = tools(search, blocking)
    session.call("search", "c-1")
    assert await session.answers() == ["done"]
    session.call("blocking", "c-2")
    await session.answers()
    told = [e.text if isinstance(e, ToolProgress) else "completed" for e in session.events]
    assert sorted(told[:3]) == ["almost", "looking", '{"found":2}']
    assert told[3:] == ["completed", "in a thread", "completed"]


class Garden:
    trees = 3


async def trees(garden: Inject[Garden]) -> int:
    return garden.trees


async def test_what_is_there_is_injected_by_type():
    session = tools(trees, resources=["text", Garden()])
    session.call("trees")
    assert await session.answers() == ["3"]


async def test_what_is_missing_is_told_to_the_application():
    session = tools(trees)
    with pytest.raises(ConfigurationError, match="tool 'trees' needs a Garden"):
        session.feature.check_resources(later=())
    session.feature.check_resources(later=(Garden,))
    session.call("trees")
    assert await session.answers() == ["trees cannot be used at the moment"]
    [error] = session.of(ErrorOccurred)
    assert "Garden" in error.message
    assert "context=" in error.advice


# -- over another connection -----------------------------------------------------------------


class Counting:
    """A tool that counts its runs and ends when it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self.keys: list[str] = []
        self.go = asyncio.Event()

    async def order(self, what: str, call: Inject[ToolContext]) -> str:
        self.runs += 1
        self.keys.append(call.idempotency_key)
        await self.go.wait()
        return f"{what} number {self.runs}"


async def test_tools_go_on_over_another_connection_and_answer_once():
    shop = Counting()
    session = tools(shop.order)
    session.call("order", "a", what="tea")
    await asyncio.sleep(0)
    session.happen(ConnectionChanged(state="reconnecting"))
    session.happen(RECONNECTED)
    shop.go.set()
    assert await session.answers() == ["tea number 1"]


@pytest.mark.parametrize("finished", [False, True])
async def test_what_is_asked_for_again_on_a_new_connection_runs_once(finished):
    shop = Counting()
    session = tools(shop.order)
    session.happen(SpeechStarted(item_id="u-1"))
    session.call("order", "a", what="tea")
    await asyncio.sleep(0)
    if finished:
        shop.go.set()
        await session.answers()
    session.happen(RECONNECTED)
    session.happen(TranscriptDelta(text="tea please", speaker="user", item_id="u-1"))
    session.call("order", "b", what="tea")
    session.call("order", "c", what="milk")
    shop.go.set()
    await session.answers()
    assert session.outputs()["a"] == session.outputs()["b"] == "tea number 1"
    assert session.outputs()["c"] == "milk number 2"
    assert len(session.results) == len(session.completed) == 3
    assert shop.runs == 2
    assert len(set(shop.keys)) == 2


async def test_the_same_twice_on_one_connection_is_two_wishes():
    shop = Counting()
    shop.go.set()
    session = tools(shop.order)
    session.call("order", "a", what="tea")
    session.call("order", "b", what="tea")
    await session.answers()
    assert shop.runs == 2
    session.happen(RECONNECTED)
    for call_id in ("c", "d", "e"):
        session.call("order", call_id, what="tea")
    await session.answers()
    assert shop.runs == 3, "two of the three were asked for before"
    assert len(session.results) == 5


@pytest.mark.parametrize(
    "turn",
    [
        SpeechStarted(item_id="u-2"),
        SpeechStarted(),
        InputCommitted(item_id="u-2"),
        TranscriptDelta(text="more", speaker="user", item_id="u-2"),
        SendText(text="more"),
    ],
)
async def test_after_the_users_next_turn_it_is_another_wish(turn):
    shop = Counting()
    shop.go.set()
    session = tools(shop.order)
    session.call("order", "a", what="tea")
    await session.answers()
    session.happen(RECONNECTED)
    if isinstance(turn, SendText):
        session.feature.on_command(turn)
    else:
        session.happen(turn)
    session.call("order", "b", what="tea")
    await session.answers()
    assert shop.runs == 2
    assert len(set(shop.keys)) == 2


async def test_a_call_is_cancelled_for_one_who_asked_and_goes_on_for_the_other():
    shop = Counting()
    session = tools(shop.order)
    session.call("order", "a", what="tea")
    session.happen(RECONNECTED)
    session.call("order", "b", what="tea")
    session.happen(ToolCallsCancelled(call_ids=("b",)))
    shop.go.set()
    assert await session.answers() == ["tea number 1"]
    assert session.results[0].call_id == "a"
    assert [(e.call_id, e.is_error) for e in session.completed] == [("b", True), ("a", False)]
