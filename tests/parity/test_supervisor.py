"""A supervisor behind a voice, on every wire: its questions, and people who do not wait for it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from realtime_facade import (
    AgentListener,
    ChatMessage,
    ChatToolCall,
    GeminiProvider,
    OpenAIProvider,
    RealtimeAgent,
    ResponseDone,
    SessionEnded,
    Supervisor,
    SupervisorAsked,
    SupervisorFinished,
    SupervisorStarted,
    ToolCallCompleted,
    ToolCallRequest,
    ToolCallsCancelled,
    ToolDefinition,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.devices.null import NullMicrophone, NullSpeaker
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

BOOKING = """
[[turns]]
steps = [
  { call = "supervisor", arguments = { task = "book a table" } },
  { say = "How many?" },
]
[[turns]]
steps = [
  { call = "supervisor", arguments = { task = "book a table", answer = "for two" } },
  { say = "{output}" },
]
[[turns]]
steps = [{ say = "Welcome." }]
"""
MEANWHILE = """
[[turns]]
when = "table"
steps = [{ call = "supervisor", arguments = { task = "book a table" } }]
[[turns]]
heard = "what is the weather in paris"
when = "weather"
steps = [{ say = "Sunny." }]
[[turns]]
when = "thanks"
steps = [{ say = "Welcome." }]
"""


def calls(name: str, **arguments: Any) -> ChatMessage:
    return ChatMessage("assistant", tool_calls=(ChatToolCall("1", name, json.dumps(arguments)),))


class Script:
    """A chat model that says what is written down."""

    def __init__(self, *steps: ChatMessage) -> None:
        self.steps = list(steps)
        self.told: list[list[ChatMessage]] = []

    async def reply(
        self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition]
    ) -> ChatMessage:
        self.told.append(list(messages))
        return self.steps.pop(0)


def words(talk):
    return "".join(t.text for t in talk.of(TranscriptDelta) if t.speaker == "assistant")


async def test_a_question_of_the_supervisor_reaches_the_user_and_the_answer_gets_back(start, row):
    async def find_table(people: int = 1) -> str:
        return "the window"

    model = Script(
        calls("find_table"),
        calls("clarify", question="For how many people?"),
        calls("find_table", people=2),
        calls("done", result="Booked for two."),
    )
    supervisor = Supervisor(
        description="Books tables.",
        llm=model,
        tools=[find_table],
        holding_instruction="One moment.",
    )
    async with start(BOOKING, tools=(supervisor,)) as talk:
        await talk.session.send_text("A table, please.")
        await talk.until(TurnEnded)
        assert [e.question for e in talk.of(SupervisorAsked)] == ["For how many people?"]
        [told] = talk.of(ToolCallCompleted)
        assert "For how many people?" in told.output
        assert words(talk).endswith("How many?")
        if row.provider == "openai":  # it speaks while its tools run
            assert words(talk).startswith("One moment.")

        await talk.session.send_text("For two.")
        await talk.until(TurnEnded)
        assert words(talk).endswith("Booked for two.")
        [finished] = talk.of(SupervisorFinished)
        assert (finished.is_error, finished.iterations) == (False, 4)
        assert [e.answer for e in talk.of(SupervisorStarted)] == [None, "for two"]
        made = [e.call_id for e in talk.of(ToolCallRequest)]
        assert [e.call_id for e in talk.of(ToolCallCompleted)] == made
        assert len(set(made)) == 2
        assert "User: A table, please." in model.told[0][1].text
        assert model.told[2][-1].text == "for two"

        await talk.session.send_text("Thanks!")
        await talk.until(TurnEnded)
        assert words(talk).endswith("Welcome.")


async def test_a_user_who_speaks_while_it_works_is_answered(start, speech):
    gate = asyncio.Event()

    async def find_table() -> str:
        await gate.wait()
        return "the window"

    model = Script(calls("find_table"), calls("done", result="Booked."))
    supervisor = Supervisor(
        description="Books tables.",
        llm=model,
        tools=[find_table],
        holding_instruction="One moment.",
    )
    async with start(MEANWHILE, tools=(supervisor,)) as talk:
        await talk.session.send_text("A table, please.")
        await talk.until(SupervisorStarted)
        for frame in speech:
            await talk.session.send_audio(frame)
        while "Sunny." not in words(talk):
            await talk.until(ResponseDone)
        gate.set()
        if talk.of(ToolCallsCancelled):  # a model that waits for its tools gave this one up
            [finished] = talk.of(SupervisorFinished)
            assert finished.is_error
        else:
            finished = await talk.until(SupervisorFinished)
            assert finished.result == "Booked."
            await talk.until(TurnEnded)
        assert len(talk.of(ToolCallCompleted)) == 1

        await talk.session.send_text("Thanks!")
        while not words(talk).endswith("Welcome."):
            await talk.until(ResponseDone)


async def test_the_end_of_the_conversation_ends_its_work_in_silence(start):
    ended = asyncio.Event()

    async def find_table() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    supervisor = Supervisor(
        description="Books tables.", llm=Script(calls("find_table")), tools=[find_table]
    )
    async with start(BOOKING, tools=(supervisor,)) as talk:
        await talk.session.send_text("A table, please.")
        await talk.until(SupervisorStarted)
        heard = []
        talk.session.on((SessionEnded, SupervisorFinished), heard.append)
    assert [type(e) for e in heard] == [SessionEnded]
    assert ended.is_set()


class Watcher(AgentListener):
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.connected, self.finished = asyncio.Event(), asyncio.Event()

    async def on_agent_session_connected(self) -> None:
        self.connected.set()

    async def on_supervisor_started(self) -> None:
        self.calls.append("started")

    async def on_supervisor_finished(self) -> None:
        self.calls.append("finished")
        self.finished.set()


@pytest.mark.parametrize("wire", ["openai", "gemini"])
async def test_an_agents_listener_hears_of_each_task_once(wire):
    supervisor = Supervisor(
        description="Books tables.",
        llm=Script(calls("clarify", question="How many?"), calls("done", result="Booked.")),
    )
    watcher = Watcher()
    async with Simulator(scenario=Scenario.parse(BOOKING), wires=(wire,), speed=0) as server:
        provider = (
            OpenAIProvider(api_key="x", base_url=server.openai_url)
            if wire == "openai"
            else GeminiProvider(api_key="x", base_url=server.gemini_plain_url)
        )
        agent = RealtimeAgent(
            provider=provider,
            supervisor=supervisor,
            audio_input=NullMicrophone(),
            audio_output=NullSpeaker(),
            listener=watcher,
        )
        async with asyncio.timeout(10):
            running = asyncio.create_task(agent.run())
            await watcher.connected.wait()
            events = agent.session.events()
            await agent.session.send_text("A table, please.")
            async for event in events:
                if isinstance(event, SupervisorAsked):
                    break
            await agent.session.send_text("For two.")
            await watcher.finished.wait()
            await agent.stop()
            await running
    assert watcher.calls == ["started", "finished"]
