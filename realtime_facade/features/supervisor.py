"""Hands long work to a text model with tools of its own, while the talk goes on."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from pydantic_core import from_json

from ..conversation import ConversationHistory
from ..errors import ConfigurationError, RealtimeError, ToolFailed
from ..events import ErrorOccurred, SupervisorAsked, SupervisorFinished, SupervisorStarted
from ..llm import ChatMessage, ChatModel, ChatToolCall
from ..session.event_bus import EventBus
from ..session.session import Session
from ..tools.context import ToolContext
from ..tools.function import FunctionTool
from ..tools.inject import Inject
from ..tools.output import as_output, bounded
from ..tools.registry import Tools, ToolSource
from ..tools.run import run_tool

logger = logging.getLogger("realtime_facade")

RECENT_TURNS = 20
"""So much of the conversation the supervisor is told; a task says the rest."""

MAX_OUTPUT_CHARS = 32_000
"""Of one tool: the model is told all outputs again with every step."""

_MANNER = """\
You work behind a voice assistant, which talks with the user and gives you a task. Use your tools.
When the task is done, or cannot be done, call `done` with what the user should hear about it. Only
when you need something that nobody but the user can tell you, call `clarify` with one question.
Call these two alone, after you have seen the results of your other tools."""

_ASKED = """\
The supervisor needs to know: {question}

Ask the user this in your own words. When they have answered, call `supervisor` again with the same
task, and what they said as `answer`. The work is kept until then."""

_BUSY = """\
The supervisor still works on this: {task}

It takes one task at a time. Tell the user so, and call it again with the new task when the result
of the first has come."""


@dataclass(frozen=True, slots=True)
class _Done:
    result: str


@dataclass(frozen=True, slots=True)
class _Question:
    text: str


async def done(result: Annotated[str, "What the user should hear, complete and in words"]) -> _Done:
    """Finish the task."""
    return _Done(result)


async def clarify(
    question: Annotated[str, "One question, with what is needed to answer it"],
) -> _Question:
    """Ask the user something that only they can know."""
    return _Question(question)


@dataclass(slots=True, kw_only=True)
class _Task:
    """What a supervisor has been given, and how far it is."""

    text: str
    key: str
    """Begins the idempotency keys of its tools' calls."""
    tools: Tools
    messages: list[ChatMessage]
    began: float = field(default_factory=time.monotonic)
    iterations: int = 0
    calls: int = 0
    asked: ChatToolCall | None = None
    """The question that waits for its answer; None while it works."""


class Supervisor(Tools):
    """One tool, `supervisor`, behind which a text model works with tools of its own.

        agent = RealtimeAgent(supervisor=Supervisor(
            description="Books tables.", instructions="Be careful.", llm=llm, tools=tools,
        ))

    It asks `llm`, runs the tools that it wants, all of one round at once, tells it their outputs,
    and so on until `llm` calls `done(result)` or answers in words. When it calls
    `clarify(question)` instead, the question goes to the voice model as the tool's output; the
    voice model asks the user, calls `supervisor` again with the answer, and the work goes on where
    it was.

    It works on one task of a conversation at a time; a second one is refused in words. A new task
    takes the place of one that waits for an answer. When the call is cancelled, so are the tools.

    Args:
        description: What it can do, for the voice model to decide when to call it.
        instructions: The system prompt of `llm`.
        llm: Any `ChatModel`.
        tools: What it may call. What they say while they run (`holding_instruction`, `status`) is
            not spoken.
        holding_instruction: What to say while it works.
        result_instructions: How to present its result.
        handoff_instructions: Added to the description: when to call it, and with what.
        max_iterations: How often `llm` is asked for one task at most.
        context: For its tools' `Inject[...]`, beside what the conversation offers.
        timeout_s: For one call of it.

    Raises:
        ConfigurationError: If a tool has no function, or is called `done` or `clarify`.
    """

    def __init__(
        self,
        *,
        description: str,
        llm: ChatModel,
        instructions: str = "",
        tools: Iterable[ToolSource] = (),
        holding_instruction: str | None = None,
        result_instructions: str | None = None,
        handoff_instructions: str | None = None,
        max_iterations: int = 10,
        context: object = None,
        timeout_s: float = 300.0,
    ) -> None:
        super().__init__()
        if max_iterations < 1:
            raise ConfigurationError(
                f"a supervisor with {max_iterations} iterations can do nothing",
                advice="give max_iterations=1 or more",
            )
        self._instructions = instructions
        self._llm = llm
        # As it is, so that what is added to a `Tools` afterwards is seen.
        self._tools = tools if isinstance(tools, Tools) else Tools(tools)
        self._result_instructions = result_instructions
        self._max_iterations = max_iterations
        self._context = context
        self._tasks: WeakKeyDictionary[EventBus, _Task] = WeakKeyDictionary()
        self._toolset()
        self.action(
            "\n\n".join(filter(None, [description, handoff_instructions])),
            name="supervisor",
            holding_instruction=holding_instruction,
            timeout=timeout_s,
        )(self._supervise)

    def _toolset(self) -> Tools:
        tools = Tools([self._tools, done, clarify])
        for tool in tools:
            if not isinstance(tool, FunctionTool):
                raise ConfigurationError(
                    f"the supervisor cannot run {tool.name!r}, which has no function",
                    advice="give it the function itself",
                )
        tools.check_resources(
            [self._context], later=(EventBus, ConversationHistory, Session, ToolContext)
        )
        return tools

    async def _supervise(
        self,
        task: Annotated[str, "What has to be done, with everything the user said about it"],
        call: Inject[ToolContext],
        bus: Inject[EventBus],
        history: Inject[ConversationHistory],
        answer: Annotated[
            str | None, "Only after a question of the supervisor: what the user answered"
        ] = None,
        session: Inject[Session] | None = None,
    ) -> str:
        work = self._tasks.get(bus)
        if work is not None and work.asked is None:
            raise ToolFailed(_BUSY.format(task=work.text), code="busy")
        if work is not None and work.asked is not None and answer:
            work.messages.append(ChatMessage("tool", answer, call_id=work.asked.call_id))
            work.asked = None
            bus.publish(SupervisorStarted(call_id=call.call_id, task=work.text, answer=answer))
        else:
            if work is not None:
                self._finish(bus, call, work, "another task took its place", is_error=True)
            work = self._tasks[bus] = self._begin(task, answer, call, history)
            bus.publish(SupervisorStarted(call_id=call.call_id, task=task))
        resources = [self._context, bus, history, session]
        try:
            ending = await self._work(work, call, resources)
        except asyncio.CancelledError:
            if session is None or session.is_active:  # after its end nobody is told of anything
                self._finish(bus, call, work, "the task was given up", is_error=True)
            raise
        except ToolFailed as error:
            self._finish(bus, call, work, error.message, is_error=True)
            raise
        except Exception as error:
            why = _as_ours(error)
            bus.publish(ErrorOccurred.of(why))
            text = f"the task could not be done: {why.message}"
            self._finish(bus, call, work, text, is_error=True)
            raise ToolFailed(text, code=why.code, cause=why.cause) from error
        if isinstance(ending, _Question):
            bus.publish(SupervisorAsked(call_id=call.call_id, question=ending.text))
            return _ASKED.format(question=ending.text)
        self._finish(bus, call, work, ending.result)
        if self._result_instructions:
            return f"{ending.result}\n\n[Instruction: {self._result_instructions}]"
        return ending.result

    def _begin(
        self, task: str, answer: str | None, call: ToolContext, history: ConversationHistory
    ) -> _Task:
        said = "\n".join(f"{t.role.capitalize()}: {t.text}" for t in history.turns[-RECENT_TURNS:])
        parts = [
            f"The conversation so far:\n{said}" if said else "",
            f"Your task: {task}",
            f"The user has answered your question already: {answer}" if answer else "",
        ]
        system = "\n\n".join(filter(None, [self._instructions, _MANNER]))
        return _Task(
            text=task,
            key=call.idempotency_key,
            tools=self._toolset(),
            messages=[
                ChatMessage("system", system),
                ChatMessage("user", "\n\n".join(filter(None, parts))),
            ],
        )

    def _finish(
        self, bus: EventBus, call: ToolContext, work: _Task, result: str, *, is_error: bool = False
    ) -> None:
        self._tasks.pop(bus, None)
        bus.publish(
            SupervisorFinished(
                call_id=call.call_id,
                result=result,
                is_error=is_error,
                iterations=work.iterations,
                duration_ms=(time.monotonic() - work.began) * 1000,
            )
        )

    async def _work(
        self, work: _Task, call: ToolContext, resources: Sequence[object]
    ) -> _Done | _Question:
        """Ask the model and run its tools until it has done the task, or has a question.

        Raises:
            ToolFailed: If it has not come to an end after so many iterations.
        """
        while work.iterations < self._max_iterations:
            work.iterations += 1
            reply = await self._llm.reply(work.messages, work.tools.definitions())
            work.messages.append(reply)
            if not reply.tool_calls:
                if reply.text.strip():
                    return _Done(reply.text)
                work.messages.append(ChatMessage("user", "Go on: call a tool."))
                continue
            results = await _together(reply.tool_calls, work, call, resources)
            if len(results) == 1:
                [ending] = results
                if isinstance(ending, _Question):
                    [work.asked] = reply.tool_calls
                    return ending
                if isinstance(ending, _Done):
                    return ending
            work.messages += [
                ChatMessage(
                    "tool",
                    result if isinstance(result, str) else "not yet: call this alone",
                    call_id=made.call_id,
                )
                for made, result in zip(reply.tool_calls, results, strict=True)
            ]
        raise ToolFailed(
            f"the task is not done: the supervisor gave up after {self._max_iterations} steps",
            code="max_iterations",
        )


async def _together(
    calls: Sequence[ChatToolCall], work: _Task, outer: ToolContext, resources: Sequence[object]
) -> list[str | _Done | _Question]:
    """Run all tools of one round at once; cancelling cancels them."""
    async with asyncio.TaskGroup() as group:
        tasks = []
        for call in calls:
            work.calls += 1
            key = f"{work.key}.{work.calls}"
            tasks.append(group.create_task(_run(call, key, work.tools, outer, resources)))
    return [task.result() for task in tasks]


async def _run(
    call: ChatToolCall, key: str, tools: Tools, outer: ToolContext, resources: Sequence[object]
) -> str | _Done | _Question:
    """What the model is told of one call; never raises."""
    name = call.function_name
    tool = tools.function(name)
    if tool is None:
        return f"unknown tool {name!r}, there are: {', '.join(tools.names)}"
    try:
        arguments: Any = from_json(call.arguments or "{}")
        if not isinstance(arguments, dict):
            return f"wrong arguments for {name}: not a JSON object"
    except ValueError as error:
        return f"wrong arguments for {name}: {error}"
    context = ToolContext(
        call_id=call.call_id,
        function_name=name,
        idempotency_key=key,
        arguments=arguments,
        report=outer.report,
    )
    try:
        async with asyncio.timeout(tool.timeout_s):
            result = await run_tool(tool, arguments, [context, *resources])
        if isinstance(result, _Done | _Question):
            return result
        return bounded(as_output(result, name), MAX_OUTPUT_CHARS)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return f"{name} was cancelled"  # not ours: something that it waited for
    except TimeoutError:
        return f"{name} did not finish in time"
    except RealtimeError as error:
        return error.message
    except Exception as error:
        logger.exception("tool %s of the supervisor failed", name)
        return f"{name} failed: {error}"


def _as_ours(error: Exception) -> RealtimeError:
    if isinstance(error, RealtimeError):
        return error
    logger.error("the supervisor's model failed", exc_info=error)
    return RealtimeError(f"the supervisor's model failed: {error!r}", cause="application")
