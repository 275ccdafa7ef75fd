"""Runs the tools that the model asks for; every call gets exactly one result."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ..commands import AnyCommand, SendToolResult, UpdateSession
from ..errors import RealtimeError, ToolFailed
from ..events import Event, ToolCallCompleted, ToolCallRequest, ToolCallsCancelled
from ..session.event_bus import is_async
from ..session.observer import Control, Observer
from ..tools.function import ToolSet, as_output

logger = logging.getLogger("realtime_facade")

ToolHandler = Callable[[ToolCallRequest], Awaitable[Any] | Any]


class ToolCalls(Observer):
    """Async tools run in their own tasks, sync ones in threads, at most `max_parallel` at once.

    A handler, if there is one, is asked first; when it returns None the function registered
    under the call's name runs. A tool that fails, is unknown or takes too long is answered with a
    text that says so: a call without a result would leave the model waiting for ever.
    """

    def __init__(
        self,
        tools: ToolSet,
        handler: ToolHandler | None = None,
        *,
        timeout_s: float = 60.0,
        max_parallel: int = 8,
    ) -> None:
        self._tools = tools
        self._handler = handler
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(max_parallel)
        self._running: dict[str, asyncio.Task[None]] = {}

    def attach(self, control: Control) -> None:
        """Remember the session."""
        self._control = control

    def on_command(self, command: AnyCommand) -> None:
        """Follow changes of the tools."""
        if isinstance(command, UpdateSession) and "tools" in command.changed:
            self._tools = ToolSet(command.config.tools)

    def on_event(self, event: Event) -> None:
        """Start what is asked for, stop what is no longer wanted."""
        match event:
            case ToolCallRequest() if event.call_id not in self._running:
                task = self._control.start(self._answer(event), f"tool {event.function_name}")
                self._running[event.call_id] = task
                task.add_done_callback(partial(self._forget, event.call_id))
            case ToolCallsCancelled():
                for call_id in event.call_ids:
                    if call_id in self._running:
                        self._running[call_id].cancel()

    def _forget(self, call_id: str, _: asyncio.Task[None]) -> None:
        del self._running[call_id]

    async def _answer(self, call: ToolCallRequest) -> None:
        began = time.monotonic()
        try:
            async with self._slots, asyncio.timeout(self._timeout_s):
                output, is_error = as_output(await self._run(call)), False
        except TimeoutError:
            output = f"{call.function_name} did not finish within {self._timeout_s:g} s"
            is_error = True
        except RealtimeError as error:
            output, is_error = error.message, True
        except Exception as error:
            logger.exception("tool %s failed", call.function_name)
            output, is_error = f"{call.function_name} failed: {error}", True
        self._control.execute(
            SendToolResult(
                call_id=call.call_id,
                function_name=call.function_name,
                output=output,
                is_error=is_error,
            )
        )
        self._control.emit(
            ToolCallCompleted(
                call_id=call.call_id,
                function_name=call.function_name,
                output=output,
                is_error=is_error,
                duration_ms=(time.monotonic() - began) * 1000,
            )
        )

    async def _run(self, call: ToolCallRequest) -> Any:
        if self._handler is not None:
            result = await _call(self._handler, call)
            if result is not None:
                return result
        tool = self._tools.functions.get(call.function_name)
        if tool is not None:
            return await _call(tool.function, **tool.check(call.arguments))
        known = [definition.name for definition in self._tools.definitions]
        if call.function_name in known and self._handler is not None:
            return None
        raise ToolFailed(
            f"unknown tool {call.function_name!r}, there are: {', '.join(known) or 'none'}",
            code="unknown_tool",
        )


async def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if is_async(function):
        return await function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
