"""Agents hand over to each other by tools: by an update where it can be had, else by renewal."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from realtime_facade.commands import AnyCommand, UpdateSession
from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ConfigurationError, ToolFailed
from realtime_facade.events import (
    ConnectionChanged,
    Event,
    HandedOff,
    Interrupted,
    ResponseDone,
    TranscriptDelta,
)
from realtime_facade.features import handoff
from realtime_facade.features.handoff import Handoffs, equipped, reachable, realtime_handoff
from realtime_facade.providers.base import Profile
from realtime_facade.tools.registry import Tools
from realtime_facade.tools.run import run_tool

VOICES = ("marin", "ash")


class Agent:
    def __init__(self, name: str, *handoffs: Any, **config: Any) -> None:
        self.name = name
        self.config = RealtimeConfig(**config)
        self.handoffs = list(handoffs)


class Session:
    """Follows what a handoff does to it."""

    def __init__(self, start: Agent, **profile: Any) -> None:
        self.profile = Profile(provider="p", model="m", voices=VOICES, **profile)
        self.config = equipped(start)
        self.updates: list[UpdateSession] = []
        self.renewals: list[str] = []
        self.events: list[Event] = []
        self.feature = Handoffs(start)
        self.feature.attach(self)

    def execute(self, command: AnyCommand) -> None:
        assert isinstance(command, UpdateSession)
        self.config = command.config
        self.updates.append(command)

    def renew(self, config: RealtimeConfig, reason: str) -> None:
        self.config = config
        self.renewals.append(reason)
        self.feature.on_event(ConnectionChanged(state="connected"))

    def emit(self, event: Event) -> None:
        self.feature.on_event(event)
        self.events.append(event)

    @property
    def tools(self) -> Tools:
        return Tools(self.config.tools)

    async def call(self, name: str, **arguments: Any) -> Any:
        tool = self.tools.function(name)
        assert tool is not None, f"{name} is not among {self.tools.names}"
        return await run_tool(tool, arguments, [self.feature])


def refund(amount: float) -> str:
    """Refund an amount."""
    return f"refunded {amount}"


@pytest.fixture
def billing() -> Agent:
    return Agent("Billing Agent", instructions="You do bills.", tools=[refund])


async def test_the_target_s_instructions_and_tools_take_over(billing):
    start = Agent("main", billing, instructions="You are kind.", voice="marin")
    session = Session(start)
    assert session.tools.names == ["transfer_to_billing_agent"]
    told = await session.call("transfer_to_billing_agent", reason="a bill")
    assert told.startswith("You are Billing Agent now.")
    [update] = session.updates
    assert update.changed == {"instructions", "tools"}
    assert update.config.instructions == "You do bills."
    assert [tool.name for tool in update.tools] == ["refund"]
    assert update.config.voice == "marin", "an agent without a voice keeps the first one's"
    assert session.feature.current is billing
    assert session.renewals == []
    assert session.events == [
        HandedOff(from_agent="main", to_agent="Billing Agent", reason="a bill")
    ]


async def test_what_a_running_session_cannot_change_takes_a_new_connection(billing):
    session = Session(Agent("main", billing), updatable=frozenset())
    await session.call("transfer_to_billing_agent")
    assert session.updates == []
    assert session.renewals == ["Billing Agent takes over"]
    assert session.tools.names == ["refund"]


SPOKEN = TranscriptDelta(text="Hello.", item_id="a")


async def test_a_voice_is_changed_in_the_running_session_until_the_assistant_has_spoken():
    ash = Agent("Ash", voice="ash")
    start = Agent("main", ash, voice="marin")
    ash.handoffs.append(start)
    session = Session(start, fixed_by_speech=frozenset({"voice"}))
    await session.call("transfer_to_ash")
    assert (session.config.voice, session.updates[0].changed) == ("ash", {"voice", "tools"})
    session.feature.on_event(SPOKEN)
    await session.call("transfer_to_main")
    assert (session.config.voice, session.renewals) == ("marin", ["main takes over"])
    # The new connection has not heard the assistant yet.
    await session.call("transfer_to_ash")
    assert (len(session.updates), len(session.renewals)) == (2, 1)
    assert [event.voice_changed for event in session.events] == [True, True, True]


async def test_a_voice_of_the_same_name_is_no_reason_for_a_new_connection(billing):
    start = Agent("main", billing, voice="marin")
    billing.config = billing.config.changed(voice="marin")
    session = Session(start, fixed_by_speech=frozenset({"voice"}))
    session.feature.on_event(SPOKEN)
    await session.call("transfer_to_billing_agent")
    assert session.renewals == []
    assert not session.events[0].voice_changed


async def test_after_a_failover_the_new_connection_finds_a_voice_as_deep():
    start = Agent("main", Agent("Ash", voice="a voice of the first provider"))
    session = Session(start)
    await session.call("transfer_to_ash")
    assert session.renewals == ["Ash takes over"]


async def test_who_only_writes_has_no_voice_to_change():
    start = Agent("main", Agent("Ash", voice="ash"), modalities=["text"])
    session = Session(start, updatable=frozenset({"instructions", "tools"}))
    await session.call("transfer_to_ash")
    assert (session.config.voice, session.renewals) == (None, [])


async def test_an_agent_that_is_left_behind_finishes_its_sentence(billing):
    session = Session(Agent("main", billing), updatable=frozenset())
    session.feature.on_event(TranscriptDelta(text="One", item_id="a"))
    handing_over = asyncio.create_task(session.call("transfer_to_billing_agent"))
    await asyncio.sleep(0.02)
    session.feature.on_event(TranscriptDelta(text=" moment.", item_id="a"))
    await asyncio.sleep(0.02)
    assert session.renewals == []
    session.feature.on_event(TranscriptDelta(text="", is_final=True, item_id="a"))
    await handing_over
    assert len(session.renewals) == 1


@pytest.mark.parametrize("end", [Interrupted(), ResponseDone(response_id="r"), None])
async def test_a_sentence_without_end_is_not_waited_for(billing, monkeypatch, end):
    if end is None:
        monkeypatch.setattr(handoff, "QUIET_S", 0.03)
    session = Session(Agent("main", billing), updatable=frozenset())
    session.feature.on_event(TranscriptDelta(text="One", item_id="a"))
    handing_over = asyncio.create_task(session.call("transfer_to_billing_agent"))
    await asyncio.sleep(0.01)
    assert session.renewals == []
    if end is not None:
        session.feature.on_event(end)
    async with asyncio.timeout(0.3):
        await handing_over
    assert len(session.renewals) == 1


async def test_back_and_forth_in_a_circle():
    first, second = Agent("first"), Agent("second")
    first.handoffs, second.handoffs = [second], [first]
    session = Session(first)
    for name in ("second", "first", "second"):
        assert session.tools.names == [f"transfer_to_{name}"]
        await session.call(f"transfer_to_{name}")
        assert session.feature.current.name == name


async def test_a_way_back_is_given_on_request(billing):
    start = Agent("main", realtime_handoff(billing, back=True), instructions="You are kind.")
    session = Session(start)
    await session.call("transfer_to_billing_agent")
    assert session.tools.names == ["refund", "transfer_to_main"]
    await session.call("transfer_to_main")
    assert session.config.instructions == "You are kind."
    assert session.tools.names == ["transfer_to_billing_agent"]


async def test_of_two_handoffs_in_one_answer_the_second_is_told_that_it_comes_late(billing):
    start = Agent("main", billing, Agent("other"))
    session = Session(start)
    late = session.tools.function("transfer_to_other")
    await session.call("transfer_to_billing_agent")
    with pytest.raises(ToolFailed, match="you are Billing Agent now"):
        await run_tool(late, {}, [session.feature])
    assert session.feature.current is billing
    assert len(session.events) == 1


class Complaint(BaseModel):
    bill: int
    reason: str


async def test_the_model_says_what_the_handoff_wants_to_know(billing):
    way = realtime_handoff(
        billing,
        tool_name="to_the_money",
        tool_description="For complaints about bills.",
        input_type=Complaint,
        first_response="Say that you are sorry.",
    )
    session = Session(Agent("main", way))
    tool = session.tools.function("to_the_money")
    assert tool.definition.description == "For complaints about bills."
    assert set(tool.definition.parameters["properties"]) == {"bill", "reason"}
    assert (tool.respond, tool.result_instruction) == (True, "Say that you are sorry.")
    with pytest.raises(ToolFailed, match="bill"):
        await session.call("to_the_money", bill="none")
    assert session.feature.current.name == "main"
    await session.call("to_the_money", bill=7, reason="twice")
    [event] = session.events
    assert (event.reason, event.input) == ("twice", {"bill": 7, "reason": "twice"})


@pytest.mark.parametrize(("first", "respond"), [(True, True), (False, False)])
def test_the_target_speaks_at_once_or_waits(billing, first, respond):
    start = Agent("main", realtime_handoff(billing, first_response=first))
    [tool] = Tools(equipped(start).tools)
    assert (tool.respond, tool.result_instruction) == (respond, None)


async def test_a_change_that_cannot_be_had_leaves_everything_as_it_was(billing):
    class Refusing(Session):
        def execute(self, command: AnyCommand) -> None:
            raise ConfigurationError("no")

    session = Refusing(Agent("main", billing))
    with pytest.raises(ConfigurationError):
        await session.call("transfer_to_billing_agent")
    assert session.feature.current.name == "main"
    assert session.events == []


def test_everybody_who_can_come_to_speak_is_looked_at_before():
    third = Agent("third", tools=[refund])
    second = Agent("second", third)
    start = Agent("first", second, realtime_handoff(third))
    third.handoffs.append(start)
    assert [role.name for role in reachable(start)] == ["first", "second", "third"]
    third.config = third.config.changed(tools=[refund, refund])
    with pytest.raises(ConfigurationError, match="two tools are named 'refund'"):
        Handoffs(start)


def test_names_tell_agents_apart():
    with pytest.raises(ConfigurationError, match="two agents are named 'twin'"):
        Handoffs(Agent("first", Agent("twin"), realtime_handoff(Agent("twin"), tool_name="t")))
    with pytest.raises(ConfigurationError, match="pass tool_name="):
        Handoffs(Agent("first", Agent("…")))
