"""Runs one tool, whatever kind of function it is."""

import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from .context import ToolContext
from .function import FunctionTool
from .inject import find
from .threads import in_thread

_NOTHING = object()


async def run_tool(
    tool: FunctionTool, arguments: Mapping[str, Any], resources: Sequence[object] = ()
) -> Any:
    """Check the arguments, fill what is injected, and run the tool.

    Sync functions run in threads. Cancelling it stops an async tool, and leaves a sync one to
    itself: its result is dropped.

    Args:
        tool: What to run.
        arguments: As the model gave them.
        resources: What can be injected, looked for by type. A `ToolContext` among them gets the
            values of an async generator as progress.

    Raises:
        ToolFailed: If the arguments do not fit; the text tells the model what to correct.
        ConfigurationError: If something that is to be injected is not there.
    """
    given = {**tool.check(arguments), **tool.inject(resources)}
    if inspect.isasyncgenfunction(inspect.unwrap(tool.function)):
        context = find(ToolContext, resources)
        report = context.progress if context is not None else lambda _: None
        return await _last_value(tool.function(**given), report)
    return await call(partial(tool.function, **given), tool.name)


async def call(function: Callable[[], Any], name: str) -> Any:
    """Call an async function here, a sync one in a thread."""
    if is_async(function):
        return await function()
    return await in_thread(function, name)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine; looks through partials, wrappers and callables."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an instance with `async def __call__`
    )


async def _last_value(values: AsyncGenerator[Any, None], report: Callable[[Any], None]) -> Any:
    """The last value; the others are reported, each as soon as it is clear that it is not it."""
    value: Any = _NOTHING
    async with aclosing(values):
        while True:

            def waits(value: Any = value) -> None:
                if value is not _NOTHING:
                    report(value)

            try:
                following, waited = await _noticed(values.__anext__(), waits)
            except StopAsyncIteration:
                return None if value is _NOTHING else value
            if not waited:
                waits()
            value = following


@types.coroutine
def _noticed(awaitable: Any, on_wait: Callable[[], None]) -> Generator[Any, Any, tuple[Any, bool]]:
    """Await, and say at once if that takes time: what is worked on is not the end yet."""
    steps = awaitable.__await__()
    waited = False
    try:
        step = next(steps)
        on_wait()
        waited = True
        while True:
            try:
                sent = yield step
            except BaseException as error:  # noqa: BLE001 - what is awaited decides about it
                step = steps.throw(error)
            else:
                step = steps.send(sent)
    except StopIteration as done:
        return done.value, waited
