import asyncio
import contextvars
import threading
from functools import partial, wraps

import pytest

from realtime_facade.errors import ConfigurationError, ToolFailed
from realtime_facade.tools import threads
from realtime_facade.tools.context import ToolContext
from realtime_facade.tools.function import FunctionTool
from realtime_facade.tools.inject import Inject
from realtime_facade.tools.run import is_async, run_tool

WHO = contextvars.ContextVar("WHO", default="nobody")


async def double(number: int) -> int:
    return number * 2


def where(word: str = "") -> tuple[str, str]:
    return threading.current_thread().name, WHO.get()


def quits() -> None:
    raise StopIteration("over")


async def test_async_and_sync_functions_run():
    assert await run_tool(FunctionTool.of(double), {"number": "4"}) == 8
    WHO.set("alice")
    assert await run_tool(FunctionTool.of(where), {}) == ("tool where", "alice")
    with pytest.raises(ToolFailed, match="number: Field required"):
        await run_tool(FunctionTool.of(double), {})
    with pytest.raises(RuntimeError, match="StopIteration"):
        await run_tool(FunctionTool.of(quits), {})


async def test_a_tool_without_a_signature_gets_the_arguments_as_they_are():
    async def anything(**arguments):
        return arguments

    tool = FunctionTool(definition=FunctionTool.of(double).definition, function=anything)
    assert await run_tool(tool, {"x": [1]}) == {"x": [1]}


async def test_what_is_missing_is_said_before_anything_runs():
    async def ask(number: int, call: Inject[ToolContext]) -> str:
        return call.call_id

    with pytest.raises(ConfigurationError, match="ToolContext"):
        await run_tool(FunctionTool.of(ask), {"number": 1})


async def collect(function, *, context: bool = True):
    told = []
    call = ToolContext(call_id="1", function_name="f", idempotency_key="k", report=told.append)
    result = await run_tool(FunctionTool.of(function), {}, [call] if context else [])
    return result, told


async def test_the_last_value_is_the_result_and_the_others_are_progress():
    async def quick():
        for number in range(4):
            yield number

    async def nothing():
        return
        yield

    assert await collect(quick) == (3, [0, 1, 2])
    assert await collect(quick, context=False) == (3, [])
    assert await collect(nothing) == (None, [])


async def test_progress_is_told_while_the_tool_works_on():
    go = asyncio.Event()
    told = []

    async def slow():
        yield "looking"
        await go.wait()
        yield "found"

    call = ToolContext(call_id="1", function_name="f", idempotency_key="k", report=told.append)
    task = asyncio.create_task(run_tool(FunctionTool.of(slow), {}, [call]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert told == ["looking"]
    go.set()
    assert await task == "found"
    assert told == ["looking"]


async def test_a_generator_that_fails_or_is_cancelled_is_closed():
    closed = []

    async def fails():
        try:
            yield 1
            await asyncio.sleep(0)
            raise ValueError("broken")
        finally:
            closed.append("fails")

    async def hangs():
        try:
            yield 1
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append("hangs")

    with pytest.raises(ValueError, match="broken"):
        await collect(fails)
    task = asyncio.create_task(collect(hangs))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == ["fails", "hangs"]


async def test_a_thread_that_is_given_up_is_counted_until_it_comes_back(caplog):
    go = threading.Event()
    tool = FunctionTool.of(go.wait, name="wait", description="")
    task = asyncio.create_task(run_tool(tool, {}))
    await asyncio.sleep(0.01)
    before = threads.stuck_threads()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert threads.stuck_threads() == before + 1
    go.set()
    async with asyncio.timeout(2):
        while threads.stuck_threads() > before:  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.01)
    assert "wait came back after it was given up" in caplog.text


async def test_with_too_many_stuck_threads_no_more_are_begun(monkeypatch):
    monkeypatch.setattr(threads, "MOST_STUCK", threads.stuck_threads() + 1)
    go = threading.Event()
    tool = FunctionTool.of(go.wait, name="wait", description="")
    task = asyncio.create_task(run_tool(tool, {}))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    with pytest.raises(ToolFailed, match="never came back"):
        await run_tool(tool, {})
    go.set()
    async with asyncio.timeout(2):
        while threads.stuck_threads() >= threads.MOST_STUCK:  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.01)


def test_a_thread_may_outlive_its_loop(caplog):
    go = threading.Event()

    async def main() -> None:
        task = asyncio.create_task(run_tool(FunctionTool.of(go.wait, name="wait"), {}))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(main())
    before = threads.stuck_threads()
    assert before
    go.set()
    [thread] = [t for t in threading.enumerate() if t.name == "tool wait"]
    thread.join(2)
    assert threads.stuck_threads() == before - 1


class Caller:
    async def __call__(self) -> None: ...


@wraps(double)
def wrapped(*args):
    return double(*args)


@pytest.mark.parametrize(
    ("function", "expected"),
    [(double, True), (partial(double, 1), True), (Caller(), True), (wrapped, True), (where, False)],
)
def test_async_functions_are_told_from_sync_ones(function, expected):
    assert is_async(function) is expected
