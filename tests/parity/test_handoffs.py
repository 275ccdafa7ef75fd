"""Agents that hand over to each other, on every wire: at once, over a new connection, cut short."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from realtime_facade import (
    ConfigWarning,
    ConnectionChanged,
    ErrorOccurred,
    HandedOff,
    Interrupted,
    RealtimeAgent,
    ToolCallCompleted,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
    realtime_handoff,
)

from .conftest import Row, babble

SCENARIO = """
[[turns]]
when = "bill"
steps = [
  { say = "One moment." },
  { call = "transfer_to_billing", arguments = { reason = "a bill" } },
  { say = "Billing speaking." },
]
[[turns]]
heard = "it is number seven"
when = "seven"
steps = [{ call = "find_bill", arguments = { number = 7 } }, { say = "{output}" }]
[[turns]]
when = "back"
steps = [{ call = "transfer_to_reception" }, { say = "Reception again." }]
[[turns]]
when = "thanks"
steps = [{ say = "You are welcome." }]
"""


def find_bill(number: int) -> str:
    """Find a bill by its number."""
    return f"Bill {number} is paid."


@pytest.fixture
def billing() -> RealtimeAgent:
    return RealtimeAgent(name="Billing", instructions="You do the bills.", tools=[find_bill])


@pytest.fixture
def reception(billing: RealtimeAgent, tmp_path: Path) -> Callable[..., RealtimeAgent]:
    def make(config: Any) -> RealtimeAgent:
        return RealtimeAgent(
            name="Reception",
            instructions="You are kind.",
            handoffs=[realtime_handoff(billing, back=True)],
            config=config,
            record_to=tmp_path / "talk.jsonl",
        )

    return make


async def ask(talk: Any, text: str) -> str:
    """What is answered to a typed question."""
    before = len(talk.session.history.turns)
    await talk.session.send_text(text)
    await talk.until(TurnEnded)
    # Some models give the handle by which they remember the turn only after its end.
    await asyncio.sleep(0.05)
    said = talk.session.history.turns[before:]
    return " ".join(turn.text for turn in said if turn.role == "assistant")


def assert_calls_are_answered_once(talk: Any) -> None:
    made = [event.call_id for event in talk.of(ToolCallRequest)]
    assert [event.call_id for event in talk.of(ToolCallCompleted)] == made
    for record in talk.simulator.connections:
        told = [output.call_id for output in record.outputs]
        assert len(told) == len(set(told)), "an output was told twice"


def sent(path: Path) -> str:
    """Everything that was sent, over all connections."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return "\n".join(json.dumps(line) for line in lines if line.get("kind") == "sent")


OTHER_VOICE = {"openai": "ash", "gemini": "Puck"}


@pytest.mark.parametrize("voice", ["the same", "another"])
async def test_there_and_back(start, row: Row, reception, billing, tmp_path, voice):
    if voice == "another":
        billing.config = billing.config.changed(voice=OTHER_VOICE[row.provider])
    async with start(SCENARIO, agent=reception) as talk:
        assert await ask(talk, "about my bill") == ("One moment. Billing speaking.")
        assert talk.session.config.instructions == "You do the bills."
        assert await ask(talk, "number seven") == "Bill 7 is paid."
        assert await ask(talk, "and back please") == "Reception again."
        assert talk.session.config.instructions == "You are kind."

        changed = voice == "another"
        assert [
            (e.from_agent, e.to_agent, e.reason, e.voice_changed) for e in talk.of(HandedOff)
        ] == [("Reception", "Billing", "a bill", changed), ("Billing", "Reception", "", changed)]
        in_place = not changed and "2.5" not in row.model
        assert talk.simulator.sessions_started == (1 if in_place else 3)
        states = [event.state for event in talk.of(ConnectionChanged)]
        assert states == ([] if in_place else ["renewing", "connected"] * 2)
        assert_calls_are_answered_once(talk)
        assert talk.of(ErrorOccurred) == []
    frames = sent(tmp_path / "talk.jsonl")
    assert "You do the bills." in frames
    assert (OTHER_VOICE[row.provider] in frames) == changed


@pytest.mark.parametrize(
    ("voice", "moment"),
    [("the same", "handing over"), ("another", "handing over"), ("another", "first words")],
)
async def test_whoever_cuts_in_is_answered_by_the_new_agent(
    start, row: Row, reception, billing, voice, moment
):
    if voice == "another":
        billing.config = billing.config.changed(voice=OTHER_VOICE[row.provider])
    async with start(SCENARIO, agent=reception, simulator={"speed": 4}) as talk:
        await talk.session.send_text("about my bill")
        await talk.until(HandedOff)
        if moment == "first words":
            while "speaking" not in (await talk.until(TranscriptDelta)).text:
                pass
        for frame in await babble("it is number seven"):
            await talk.session.send_audio(frame)
        while not any(e.function_name == "find_bill" for e in talk.of(ToolCallCompleted)):
            await talk.until(ToolCallCompleted)
        await talk.until(TurnEnded)
        said = [turn.text for turn in talk.session.history.turns if turn.role == "assistant"]
        assert said[-1] == "Bill 7 is paid."
        if moment == "first words":
            assert talk.of(Interrupted)
        assert talk.session.config.instructions == "You do the bills."
        assert_calls_are_answered_once(talk)
        assert await ask(talk, "thanks") == "You are welcome."
        assert talk.of(ErrorOccurred) == []


WAITING = """
[[turns]]
when = "bill"
steps = [{ call = "transfer_to_billing" }]
[[turns]]
when = "thanks"
steps = [{ say = "You are welcome." }]
"""


async def test_an_agent_that_is_to_wait_waits_where_the_model_can(start, row: Row, billing):
    def reception(config: Any) -> RealtimeAgent:
        ways = [realtime_handoff(billing, first_response=False)]
        return RealtimeAgent(name="Reception", handoffs=ways, config=config)

    async with start(WAITING, agent=reception) as talk:
        await talk.session.send_text("about my bill")
        await talk.until(ToolCallCompleted)
        assert await ask(talk, "thanks") == "You are welcome."
        assert [event.to_agent for event in talk.of(HandedOff)] == ["Billing"]
        assert talk.of(ConfigWarning) == []
        assert_calls_are_answered_once(talk)
