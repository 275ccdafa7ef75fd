import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_facade import OpenAIProvider, RealtimeAgent, RealtimeConfig
from realtime_facade.commands import AnyCommand, SendToolResult
from realtime_facade.conversation import ConversationHistory
from realtime_facade.errors import ConfigurationError, RealtimeConnectionError
from realtime_facade.events import (
    ErrorOccurred,
    Event,
    SupervisorAsked,
    SupervisorFinished,
    SupervisorStarted,
    ToolCallRequest,
    ToolCallsCancelled,
    ToolProgress,
)
from realtime_facade.features.supervisor import Supervisor
from realtime_facade.features.tool_calls import ToolCalls
from realtime_facade.llm import ChatMessage, ChatToolCall
from realtime_facade.providers.base import Profile
from realtime_facade.session.event_bus import EventBus
from realtime_facade.tools.context import ToolContext
from realtime_facade.tools.definition import ToolDefinition
from realtime_facade.tools.inject import Inject
from realtime_facade.tools.registry import Tools

Step = ChatMessage | Exception


def calls(*made: tuple[str, Any]) -> ChatMessage:
    return ChatMessage(
        "assistant",
        tool_calls=tuple(
            ChatToolCall(
                f"{name}-{n}", name, given if isinstance(given, str) else json.dumps(given)
            )
            for n, (name, given) in enumerate(made)
        ),
    )


def done(result: str) -> ChatMessage:
    return calls(("done", {"result": result}))


def clarify(question: str) -> ChatMessage:
    return calls(("clarify", {"question": question}))


class Script:
    """A chat model that says what is written down, and keeps what it was told."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.told: list[list[ChatMessage]] = []
        self.offered: list[list[str]] = []

    async def reply(
        self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition]
    ) -> ChatMessage:
        self.told.append(list(messages))
        self.offered.append([tool.name for tool in tools])
        await asyncio.sleep(0)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def outputs(self, request: int = -1) -> list[str]:
        """What the tools said, as far as the model knew at a request."""
        return [message.text for message in self.told[request] if message.role == "tool"]


class Recorder(EventBus):
    def __init__(self) -> None:
        super().__init__()
        self.published: list[Event] = []

    def publish(self, event: Event) -> None:
        self.published.append(event)
        super().publish(event)


class Talk:
    """A conversation whose model calls tools: what a feature sees of a session."""

    profile = Profile(provider="plain", model="test")

    def __init__(self, *tools: Any) -> None:
        self.bus = Recorder()
        self.history = ConversationHistory()
        self.results: dict[str, list[SendToolResult]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls = ToolCalls(Tools(tools), resources=[self.bus, self.history])
        self._calls.attach(self)  # type: ignore[arg-type]

    def execute(self, command: AnyCommand) -> None:
        if isinstance(command, SendToolResult):
            self.results.setdefault(command.call_id, []).append(command)

    def emit(self, event: Event) -> None:
        self.bus.publish(event)

    def start(self, work: Any, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def ask(self, call_id: str, task: str, **more: Any) -> None:
        """Let the voice model call the supervisor."""
        self._calls.on_event(
            ToolCallRequest(
                call_id=call_id, function_name="supervisor", arguments={"task": task, **more}
            )
        )

    def cancel(self, call_id: str) -> None:
        self._calls.on_event(ToolCallsCancelled(call_ids=(call_id,)))

    async def rest(self) -> None:
        """Until nothing runs any more."""
        async with asyncio.timeout(5):
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def output(self, call_id: str, task: str, **more: Any) -> SendToolResult:
        """Let the voice model call the supervisor; the one output of this call."""
        self.ask(call_id, task, **more)
        await self.rest()
        [result] = self.results[call_id]
        return result

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self.bus.published = self.bus.published, []
        return events


def supervisor(model: Script, *tools: Any, **settings: Any) -> Supervisor:
    return Supervisor(description="Books tables.", llm=model, tools=tools, **settings)


async def find_tables(people: int) -> list[str]:
    """Find tables."""
    return ["window", "door"][:people]


# -- the loop -----------------------------------------------------------------------------------


async def test_it_thinks_runs_tools_and_presents_a_result():
    model = Script(calls(("find_tables", {"people": 1})), done("The window is free."))
    talk = Talk(
        supervisor(
            model,
            find_tables,
            instructions="Book carefully.",
            result_instructions="Say it in one sentence.",
        )
    )
    talk.history.begin("user", "Do you have a table?")
    talk.history.begin("assistant", "I am looking.")
    result = await talk.output("c", "find a table for one")
    assert not result.is_error
    assert result.output == "The window is free.\n\n[Instruction: Say it in one sentence.]"
    system, user = model.told[0]
    assert (system.role, user.role) == ("system", "user")
    assert system.text.startswith("Book carefully.\n\n")
    assert user.text == (
        "The conversation so far:\nUser: Do you have a table?\nAssistant: I am looking.\n\n"
        "Your task: find a table for one"
    )
    assert model.offered == [["find_tables", "done", "clarify"]] * 2
    assert model.outputs() == ['["window"]']
    started, completed, finished = [e for e in talk.events() if e.type != "tool_call_completed"] + [
        None
    ]
    assert finished is None
    assert started == SupervisorStarted(call_id="c", task="find a table for one")
    assert isinstance(completed, SupervisorFinished)
    assert (completed.call_id, completed.result, completed.is_error, completed.iterations) == (
        "c",
        "The window is free.",
        False,
        2,
    )
    assert completed.duration_ms > 0


def test_the_voice_model_sees_one_tool():
    tools = supervisor(
        Script(),
        find_tables,
        handoff_instructions="Call it with the date.",
        holding_instruction="One moment.",
    )
    [definition] = tools.definitions()
    assert definition.name == "supervisor"
    assert definition.description == "Books tables.\n\nCall it with the date."
    assert list(definition.parameters["properties"]) == ["task", "answer"]
    assert definition.parameters["required"] == ["task"]
    [silent] = tools.definitions(speaks_while_running=False)
    assert "One moment." in silent.description


async def test_words_without_a_call_are_the_result():
    talk = Talk(supervisor(Script(ChatMessage("assistant", "All full."))))
    assert (await talk.output("c", "a table")).output == "All full."


async def test_a_reply_of_nothing_is_asked_again():
    model = Script(ChatMessage("assistant", " "), done("ok"))
    assert (await Talk(supervisor(model)).output("c", "a table")).output == "ok"


async def test_tools_of_one_round_run_at_once():
    first, second = asyncio.Event(), asyncio.Event()

    async def one() -> str:
        first.set()
        await second.wait()
        return "1"

    async def two() -> str:
        second.set()
        await first.wait()
        return "2"

    model = Script(calls(("one", {}), ("two", {})), done("both"))
    assert (await Talk(supervisor(model, one, two)).output("c", "x")).output == "both"
    assert model.outputs() == ["1", "2"]


async def test_what_goes_wrong_with_a_tool_goes_back_to_the_model():
    tools = Tools([find_tables])

    @tools.action("Fails")
    def broken() -> str:
        raise ValueError("no ink")

    @tools.action("Hangs", timeout=0.01)
    async def slow() -> None:
        await asyncio.sleep(30)

    @tools.action("Is cancelled from elsewhere")
    async def cancelled() -> None:
        other = asyncio.create_task(asyncio.sleep(30))
        other.cancel()
        await other

    model = Script(
        calls(
            ("broken", {}),
            ("slow", {}),
            ("cancelled", {}),
            ("missing", {}),
            ("find_tables", {"people": "many"}),
            ("find_tables", '{"people": 1'),
            ("find_tables", "[1]"),
            ("done", {}),
        ),
        done("gave up"),
    )
    talk = Talk(supervisor(model, tools))
    assert (await talk.output("c", "x")).output == "gave up"
    broken_, slow_, cancelled_, missing, wrong, cut, no_object, undone = model.outputs()
    assert broken_ == "broken failed: no ink"
    assert slow_ == "slow did not finish in time"
    assert cancelled_ == "cancelled was cancelled"
    assert missing == (
        "unknown tool 'missing', there are: find_tables, broken, slow, cancelled, done, clarify"
    )
    assert wrong.startswith("wrong arguments for find_tables: people: Input should be a valid")
    assert cut.startswith("wrong arguments for find_tables: EOF")
    assert no_object == "wrong arguments for find_tables: not a JSON object"
    assert undone == "wrong arguments for done: result: Field required"


@pytest.mark.parametrize("early", [("done", {"result": "ok"}), ("clarify", {"question": "when?"})])
async def test_an_end_before_the_other_tools_results_is_none(early: tuple[str, Any]):
    model = Script(calls(("find_tables", {"people": 1}), early), done("now I know"))
    assert (await Talk(supervisor(model, find_tables)).output("c", "x")).output == "now I know"
    assert model.outputs() == ['["window"]', "not yet: call this alone"]


async def test_it_gives_up_after_so_many_steps():
    model = Script(*[calls(("find_tables", {"people": 1}))] * 3)
    talk = Talk(supervisor(model, find_tables, max_iterations=3))
    result = await talk.output("c", "x")
    assert result.is_error
    assert result.output == "the task is not done: the supervisor gave up after 3 steps"
    [finished] = [e for e in talk.events() if isinstance(e, SupervisorFinished)]
    assert (finished.is_error, finished.iterations) == (True, 3)


# -- questions ----------------------------------------------------------------------------------


async def test_a_question_goes_to_the_user_and_the_answer_back():
    model = Script(
        calls(("find_tables", {"people": 2})),
        clarify("Window or door?"),
        done("The window is yours."),
    )
    talk = Talk(supervisor(model, find_tables, result_instructions="Be brief."))
    asked = await talk.output("c", "a table")
    assert not asked.is_error
    assert "Window or door?" in asked.output
    assert "`answer`" in asked.output
    assert "Be brief." not in asked.output
    started, question = (e for e in talk.events() if e.type != "tool_call_completed")
    assert isinstance(started, SupervisorStarted)
    assert question == SupervisorAsked(call_id="c", question="Window or door?")

    result = await talk.output("d", "a table", answer="the window please")
    assert result.output.startswith("The window is yours.")
    again, finished = (e for e in talk.events() if e.type != "tool_call_completed")
    assert again == SupervisorStarted(call_id="d", task="a table", answer="the window please")
    assert isinstance(finished, SupervisorFinished)
    assert (finished.call_id, finished.iterations) == ("d", 3)
    assert model.told[2][:-1] == [*model.told[1], clarify("Window or door?")]
    assert model.told[2][-1] == ChatMessage("tool", "the window please", call_id="clarify-0")
    assert len(talk.results["c"]) == len(talk.results["d"]) == 1


async def test_steps_count_for_the_whole_task():
    model = Script(clarify("1?"), clarify("2?"), done("never"))
    talk = Talk(supervisor(model, max_iterations=2))
    await talk.output("a", "x")
    await talk.output("b", "x", answer="1")
    assert "gave up after 2 steps" in (await talk.output("c", "x", answer="2")).output


async def test_a_new_task_takes_the_place_of_one_that_waits():
    model = Script(clarify("Which?"), done("something else"))
    talk = Talk(supervisor(model))
    await talk.output("c", "a table")
    assert (await talk.output("d", "a taxi")).output == "something else"
    assert "Your task: a taxi" in model.told[1][1].text
    assert len(model.told[1]) == 2
    replaced, finished = (e for e in talk.events() if isinstance(e, SupervisorFinished))
    assert (replaced.result, replaced.is_error) == ("another task took its place", True)
    assert (finished.result, finished.is_error) == ("something else", False)


async def test_an_answer_that_nobody_waits_for_is_part_of_a_new_task():
    model = Script(done("ok"))
    await Talk(supervisor(model)).output("c", "a table", answer="for two")
    assert model.told[0][1].text == (
        "Your task: a table\n\nThe user has answered your question already: for two"
    )


# -- one at a time ------------------------------------------------------------------------------


async def test_a_second_task_is_refused_in_words_while_it_works():
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    model = Script(calls(("wait", {})), done("first"), done("second"))
    talk = Talk(supervisor(model, wait))
    talk.ask("c", "a table")
    talk.ask("d", "a taxi")
    for _ in range(20):
        await asyncio.sleep(0)
    [refused] = talk.results["d"]
    assert refused.is_error
    assert "still works on this: a table" in refused.output
    gate.set()
    await talk.rest()
    assert [r.output for r in talk.results["c"]] == ["first"]
    assert (await talk.output("e", "a taxi")).output == "second"


async def test_conversations_do_not_share_a_task():
    model = Script(clarify("Which?"), done("for the other"), done("for the first"))
    shared = supervisor(model)
    first, other = Talk(shared), Talk(shared)
    await first.output("c", "a table")
    assert (await other.output("c", "a taxi", answer="now")).output == "for the other"
    assert (await first.output("d", "a table", answer="the door")).output == "for the first"


# -- failures and ends --------------------------------------------------------------------------


async def test_a_model_that_cannot_be_reached_is_told_and_reported():
    error = RealtimeConnectionError("nobody there", cause="authentication", advice="a key")
    talk = Talk(supervisor(Script(error, done("again"))))
    result = await talk.output("c", "x")
    assert (result.is_error, result.output) == (
        True,
        "the task could not be done: nobody there",
    )
    events = talk.events()
    [reported] = [e for e in events if isinstance(e, ErrorOccurred)]
    assert (reported.cause, reported.advice) == ("authentication", "a key")
    [finished] = [e for e in events if isinstance(e, SupervisorFinished)]
    assert finished.is_error
    assert (await talk.output("d", "x")).output == "again"


async def test_a_model_that_is_broken_is_the_applications_fault():
    talk = Talk(supervisor(Script(ZeroDivisionError("oops"))))
    result = await talk.output("c", "x")
    assert result.is_error
    assert "ZeroDivisionError" in result.output
    [reported] = [e for e in talk.events() if isinstance(e, ErrorOccurred)]
    assert reported.cause == "application"


async def test_a_call_that_is_cancelled_takes_its_tools_along():
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    talk = Talk(supervisor(Script(calls(("wait", {})), done("later")), wait))
    talk.ask("c", "a table")
    await asyncio.wait_for(began.wait(), 2)
    talk.cancel("c")
    await talk.rest()
    assert ended.is_set()
    assert "c" not in talk.results, "the provider wants no output any more"
    [finished] = [e for e in talk.events() if isinstance(e, SupervisorFinished)]
    assert (finished.result, finished.is_error) == ("the task was given up", True)
    assert (await talk.output("d", "a table")).output == "later"


async def test_a_task_that_takes_too_long_is_given_up():
    async def wait() -> None:
        await asyncio.sleep(30)

    talk = Talk(supervisor(Script(calls(("wait", {}))), wait, timeout_s=0.02))
    result = await talk.output("c", "a table")
    assert result.is_error
    assert "0.02 s" in result.output
    [finished] = [e for e in talk.events() if isinstance(e, SupervisorFinished)]
    assert finished.is_error


# -- its tools ----------------------------------------------------------------------------------


class Ledger:
    def __init__(self) -> None:
        self.keys: list[str] = []


async def test_its_tools_are_given_what_they_ask_for():
    async def book(
        table: str,
        ledger: Inject[Ledger],
        history: Inject[ConversationHistory],
        bus: Inject[EventBus],
        call: Inject[ToolContext],
    ) -> str:
        assert (call.function_name, call.arguments) == ("book", {"table": table})
        ledger.keys.append(call.idempotency_key)
        call.progress(f"booking for {history.format()}")
        assert isinstance(bus, EventBus)
        return "booked"

    ledger = Ledger()
    model = Script(
        calls(("book", {"table": "window"}), ("book", {"table": "window"})),
        clarify("More?"),
        calls(("book", {"table": "window"})),
        done("ok"),
    )
    talk = Talk(supervisor(model, book, context=ledger))
    talk.history.begin("user", "Two tables")
    await talk.output("c", "x")
    await talk.output("d", "x", answer="yes")
    assert len(set(ledger.keys)) == 3
    progress = [e for e in talk.events() if isinstance(e, ToolProgress)]
    assert [p.text for p in progress if p.call_id == "c"] == ["booking for User: Two tables"] * 2


async def test_a_long_output_is_cut_in_words():
    async def read_book() -> str:
        return "x" * 100_000

    model = Script(calls(("read_book", {})), done("ok"))
    await Talk(supervisor(model, read_book)).output("c", "x")
    [output] = model.outputs()
    assert len(output) < 33_000
    assert output.endswith("[cut: the first 32000 of 100000 characters]")


async def test_a_tool_that_is_added_later_is_there():
    tools = Tools()
    model = Script(calls(("find_tables", {"people": 1})), done("ok"))
    talk = Talk(Supervisor(description="Books.", llm=model, tools=tools))
    tools.add(find_tables)
    await talk.output("c", "x")
    assert model.outputs() == ['["window"]']


def needs_a_ledger(ledger: Inject[Ledger]) -> None:
    """Write."""


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: supervisor(Script(), ToolDefinition(name="look")), "no function"),
        (lambda: supervisor(Script(), Tools([find_tables, find_tables])), "two tools"),
        (lambda: supervisor(Script(), done_by_another_name()), "two tools are named 'done'"),
        (lambda: supervisor(Script(), needs_a_ledger), "needs a Ledger"),
        (lambda: supervisor(Script(), max_iterations=0), "can do nothing"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make: Callable[[], Supervisor], words: str):
    with pytest.raises(ConfigurationError, match=words):
        make()


def done_by_another_name() -> Tools:
    tools = Tools()
    tools.action("Done", name="done")(find_tables)
    return tools


# -- whatever the model does ---------------------------------------------------------------------

STEPS = st.sampled_from(
    [
        calls(("find_tables", {"people": 1})),
        calls(("find_tables", "}"), ("missing", {})),
        calls(("done", {"result": "x"}), ("clarify", {"question": "y"})),
        ChatMessage("assistant", ""),
        ChatMessage("assistant", "Words."),
        clarify("Which?"),
        done("ok"),
        RealtimeConnectionError("gone"),
        ZeroDivisionError("broken"),
    ]
)
TURNS = st.lists(st.sampled_from(["ask", "answer", "cancel", "ask twice"]), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=40, max_size=40), TURNS)
def test_each_call_has_one_output_and_each_task_one_end(steps: list[Step], turns: list[str]):
    async def play() -> None:
        talk = Talk(supervisor(Script(*steps), find_tables, max_iterations=4))
        wanted = set()
        for n, turn in enumerate(turns):
            talk.ask(f"c{n}", f"task {n}", **({"answer": "this"} if turn == "answer" else {}))
            wanted.add(f"c{n}")
            if turn == "ask twice":
                talk.ask(f"d{n}", f"other {n}")
                wanted.add(f"d{n}")
            if turn == "cancel":
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                if f"c{n}" not in talk.results:
                    talk.cancel(f"c{n}")
                    wanted.discard(f"c{n}")
            await talk.rest()
        assert {call_id: len(r) for call_id, r in talk.results.items()} == dict.fromkeys(wanted, 1)
        working = waiting = False
        for event in talk.events():
            match event:
                case SupervisorStarted():
                    assert not working
                    assert waiting == (event.answer is not None)
                    working, waiting = True, False
                case SupervisorAsked():
                    assert working
                    working, waiting = False, True
                case SupervisorFinished():
                    assert working or waiting
                    working = waiting = False
        assert not working

    asyncio.run(play())


# -- where it is attached -------------------------------------------------------------------------


@pytest.mark.parametrize("tools", [None, [find_tables], Tools([find_tables])])
def test_an_agent_takes_it_beside_its_tools(tools: Any):
    agent = RealtimeAgent(
        provider=OpenAIProvider(api_key="x"),
        config=RealtimeConfig(tools=[find_tables]),
        tools=tools,
        supervisor=supervisor(Script()),
    )
    assert Tools(agent.config.tools).names == ["find_tables", "supervisor"]
