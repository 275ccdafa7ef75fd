"""Runs the tools that the model asks for; every call gets exactly one result."""

import asyncio
import hashlib
import json
import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from ..commands import AnyCommand, RequestResponse, SendText, SendToolResult, UpdateSession
from ..errors import ConfigurationError, RealtimeError, ToolFailed
from ..events import (
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
from ..session.observer import Control, Observer
from ..tools.context import ToolContext
from ..tools.function import FunctionTool
from ..tools.output import as_output, bounded
from ..tools.registry import Tools
from ..tools.run import call as call_function
from ..tools.run import run_tool

logger = logging.getLogger("realtime_facade")

MOST_RUNNING = 128
"""Calls that run or wait to run; the model is told at once that further ones cannot be."""

ToolHandler = Callable[[ToolCallRequest], Awaitable[Any] | Any]

_REMEMBERED = 1_024
"""Ids of answered calls and of user items that are kept to recognize repetitions."""


class _Outcome(NamedTuple):
    output: str
    is_error: bool = False


@dataclass(slots=True, eq=False)
class _Call:
    """What the model wants done, once; a connection that breaks may let it ask twice."""

    request: ToolCallRequest
    tool: FunctionTool | None
    context: ToolContext
    outcome: "asyncio.Future[_Outcome]"
    began: float = field(default_factory=time.monotonic)
    waiting: list[str] = field(default_factory=list)
    """Ids of the requests that have no result yet."""
    task: "asyncio.Task[None] | None" = None


class ToolCalls(Observer):
    """Async tools run in their own tasks, sync ones in threads, at most `max_parallel` at once.

    A handler, if there is one, is asked first; when it returns None the function registered
    under the call's name runs. A tool that fails, is unknown or takes too long is answered with a
    text that says so: a call without a result would leave the model waiting for ever.

    Tools go on while a connection is renewed or made again. If the model then asks once more for
    what it asked for since the user's last turn - the same tool with the same arguments - it gets
    the result of the earlier call; the tool does not run twice.

    Args:
        tools: What the model may ask for.
        handler: Asked first.
        timeout_s: For tools that have no timeout of their own.
        max_parallel: How many run at once; the others wait.
        max_output_chars: What is longer is cut.
        resources: What can be injected, looked for by type.
    """

    def __init__(
        self,
        tools: Tools,
        handler: ToolHandler | None = None,
        *,
        timeout_s: float = 60.0,
        max_parallel: int = 8,
        max_output_chars: int = 32_000,
        resources: Sequence[object] = (),
    ) -> None:
        self._tools = tools
        self._handler = handler
        self._timeout_s = timeout_s
        self._max_output_chars = max_output_chars
        self.resources = list(resources)
        """What can be injected; may grow."""
        self._slots = asyncio.Semaphore(max_parallel)
        self._running: list[_Call] = []
        self._seen: deque[str] = deque(maxlen=_REMEMBERED)
        """Ids of the calls made on this connection."""
        self._nonce = uuid.uuid4().hex
        self._turn = 0
        self._of_turn: dict[str, _Call] = {}
        """The calls since the user's last turn, by idempotency key."""
        self._asked: Counter[str] = Counter()
        """How often the same was asked for on this connection in this turn."""
        self._user_items: deque[str] = deque(maxlen=_REMEMBERED)

    def check_resources(self, later: Sequence[type]) -> None:
        """See whether all that the tools want injected is there, or comes as one of these types.

        Raises:
            ConfigurationError: Names the tool and the type, and says how to provide it.
        """
        self._tools.check_resources(self.resources, later)

    def attach(self, control: Control) -> None:
        """Remember the session."""
        self._control = control

    def on_command(self, command: AnyCommand) -> None:
        """Follow changes of the tools; typed text of the user is a turn."""
        match command:
            case UpdateSession() if "tools" in command.changed:
                self._tools = Tools(command.config.tools)
                self._warn()
            case SendText(role="user"):
                self._next_turn()

    def on_event(self, event: Event) -> None:
        """Start what is asked for, stop what is no longer wanted."""
        match event:
            case ToolCallRequest():
                self._request(event)
            case ToolCallsCancelled():
                for call_id in event.call_ids:
                    self._cancel(call_id)
            case SpeechStarted() | InputCommitted():
                self._user_spoke(event.item_id)
            case TranscriptDelta(speaker="user") if event.item_id:
                self._user_spoke(event.item_id)
            case ConnectionChanged(state="connected"):
                self._seen.clear()
                self._asked.clear()
            case SessionStarted():
                self._warn()

    def _user_spoke(self, item_id: str | None) -> None:
        # The words of a turn often come after its answer has begun: they are no new turn.
        if item_id is None or item_id not in self._user_items:
            self._user_items.append(item_id or "")
            self._next_turn()

    def _next_turn(self) -> None:
        self._turn += 1
        self._of_turn.clear()
        self._asked.clear()

    def _warn(self) -> None:
        if self._control.profile.supports_answers_during_tools:
            return
        for tool in self._tools:
            if isinstance(tool, FunctionTool) and callable(tool.status):
                self._control.emit(
                    ConfigWarning(
                        setting="status",
                        message=f"the status of {tool.name!r} is not spoken: this model does not "
                        "speak while a tool runs, and only a template can be told beforehand",
                    )
                )

    # -- one call -----------------------------------------------------------------------------

    def _request(self, request: ToolCallRequest) -> None:
        if request.call_id in self._seen:
            return
        self._seen.append(request.call_id)
        if len(self._running) >= MOST_RUNNING:
            many = f"more than {MOST_RUNNING} calls at once are not possible; call again later"
            self._send(request, request.call_id, _Outcome(many, is_error=True))
            return
        key = self._key(request)
        call = self._of_turn.get(key)
        if call is None:
            call = self._of_turn[key] = self._begin(request, key)
        call.waiting.append(request.call_id)
        if call.outcome.done():
            self._answer(call)
        elif call.request is request:
            self._announce(call)

    def _key(self, request: ToolCallRequest) -> str:
        """The same for the same wish: the nth of its kind on its connection, in the user's turn."""
        told = json.dumps([request.function_name, request.arguments], sort_keys=True, default=str)
        wish = hashlib.sha256(told.encode()).hexdigest()
        for known in (self._asked, self._of_turn):
            if len(known) >= _REMEMBERED:
                del known[next(iter(known))]
        self._asked[wish] += 1
        said = f"{self._nonce} {self._turn} {self._asked[wish]} {wish}"
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    def _begin(self, request: ToolCallRequest, key: str) -> _Call:
        loop = asyncio.get_running_loop()
        context = ToolContext(
            call_id=request.call_id,
            function_name=request.function_name,
            idempotency_key=key,
            arguments=request.arguments,
        )
        call = _Call(
            request=request,
            tool=self._tools.function(request.function_name),
            context=context,
            outcome=loop.create_future(),
        )

        def report(value: object) -> None:
            text = bounded(as_output(value), self._max_output_chars)
            loop.call_soon_threadsafe(self._progress, call, text)

        call.context = replace(context, report=report)
        self._running.append(call)
        call.task = self._control.start(self._perform(call), f"tool {request.function_name}")
        return call

    def _cancel(self, call_id: str) -> None:
        call = next((call for call in self._running if call_id in call.waiting), None)
        if call is None:
            return
        call.waiting.remove(call_id)
        # The provider wants no output for it, but whoever watches has to learn how it ended.
        cancelled = _Outcome("the call was cancelled", is_error=True)
        self._completed(call.request, call_id, cancelled, call.began)
        if not call.waiting:
            self._running.remove(call)
            self._of_turn.pop(call.context.idempotency_key, None)
            if call.task is not None:
                call.task.cancel()

    async def _perform(self, call: _Call) -> None:
        """Let the tool run until its time is over, then answer."""
        timeout_s = (call.tool and call.tool.timeout_s) or self._timeout_s
        async with self._slots:
            # In a task of its own: a tool that does not let itself be cancelled holds up nobody.
            work = self._control.start(self._work(call), f"tool {call.request.function_name}")
            try:
                await asyncio.wait([call.outcome], timeout=timeout_s)
            finally:
                work.cancel()
        if not call.outcome.done():
            late = f"{call.request.function_name} did not finish within {timeout_s:g} s"
            call.outcome.set_result(_Outcome(late, is_error=True))
        self._running.remove(call)
        self._answer(call)

    async def _work(self, call: _Call) -> None:
        name = call.request.function_name
        try:
            outcome = self._told(call, await self._result(call))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not ours: something that the tool waited for was cancelled.
            outcome = _Outcome(f"{name} was cancelled", is_error=True)
        except ConfigurationError as error:
            self._control.emit(ErrorOccurred.of(error))
            outcome = _Outcome(f"{name} cannot be used at the moment", is_error=True)
        except RealtimeError as error:
            outcome = _Outcome(error.message, is_error=True)
        except Exception as error:
            logger.exception("tool %s failed", name)
            outcome = _Outcome(f"{name} failed: {error}", is_error=True)
        if call.outcome.done():
            logger.warning("tool %s came to its end after its time; the result is dropped", name)
        else:
            call.outcome.set_result(outcome)

    async def _result(self, call: _Call) -> Any:
        request, tool = call.request, call.tool
        if self._handler is not None:
            result = await call_function(partial(self._handler, request), request.function_name)
            if result is not None:
                return result
        if tool is not None:
            return await run_tool(tool, request.arguments, (call.context, *self.resources))
        if request.function_name not in self._tools:
            raise ToolFailed(
                f"unknown tool {request.function_name!r}, there are: "
                f"{', '.join(self._tools.names) or 'none'}",
                code="unknown_tool",
            )
        if self._handler is None:
            raise ConfigurationError(
                f"nobody answers calls of {request.function_name!r}",
                code="unanswered_tool",
                advice="answer them in on_tool_call, or give a function instead of a definition",
            )
        return None

    def _told(self, call: _Call, result: object) -> _Outcome:
        output = bounded(as_output(result, call.request.function_name), self._max_output_chars)
        if call.tool is not None and call.tool.result_instruction:
            # With the result: an answer's own instructions would replace the session's.
            output = f"{output}\n\n[Instruction: {call.tool.result_instruction}]"
        return _Outcome(output)

    # -- what is told -------------------------------------------------------------------------

    def _answer(self, call: _Call) -> None:
        outcome = call.outcome.result()
        silent = call.tool is not None and not call.tool.respond and not outcome.is_error
        waiting, call.waiting = call.waiting, []
        for call_id in waiting:
            self._send(call.request, call_id, outcome, call.began, respond=not silent)

    def _send(
        self,
        request: ToolCallRequest,
        call_id: str,
        outcome: _Outcome,
        began: float | None = None,
        *,
        respond: bool = True,
    ) -> None:
        try:
            self._control.execute(
                SendToolResult(
                    call_id=call_id,
                    function_name=request.function_name,
                    output=outcome.output,
                    is_error=outcome.is_error,
                    respond=respond,
                )
            )
        except ConfigurationError as error:
            # The connection knows nothing of the call, so nobody waits for its result.
            self._control.emit(ErrorOccurred.of(error))
        self._completed(request, call_id, outcome, began)

    def _completed(
        self, request: ToolCallRequest, call_id: str, outcome: _Outcome, began: float | None
    ) -> None:
        self._control.emit(
            ToolCallCompleted(
                call_id=call_id,
                function_name=request.function_name,
                output=outcome.output,
                is_error=outcome.is_error,
                duration_ms=0.0 if began is None else (time.monotonic() - began) * 1000,
            )
        )

    def _announce(self, call: _Call) -> None:
        """Let the model say that it takes a moment, where it can speak meanwhile."""
        if call.tool is None or not self._control.profile.supports_answers_during_tools:
            return
        try:
            words = call.tool.announcement(call.request.arguments)
        except ToolFailed:
            return  # wrong arguments: the tool's answer says what is wrong
        except Exception as error:  # noqa: BLE001 - reported; the tool runs without it
            self._control.emit(
                ErrorOccurred(
                    message=f"the status of {call.tool.name} failed: {error!r}",
                    code="status_failed",
                    cause="application",
                )
            )
            return
        if words:
            self._control.execute(RequestResponse(instructions=words, interim=True))

    def _progress(self, call: _Call, text: str) -> None:
        for call_id in call.waiting:
            self._control.emit(
                ToolProgress(call_id=call_id, function_name=call.request.function_name, text=text)
            )
