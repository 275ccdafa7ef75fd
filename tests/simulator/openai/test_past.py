"""A conversation told to a new session, and what is remembered of each."""

import asyncio
import json

import pytest

from realtime_facade.simulator.parts import Message, ToolOutput
from realtime_facade.simulator.record import OutputGiven
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

STORY = """
[[turns]]
heard = "Good morning"
steps = [{ say = "Hello there, my friend." }]
[[turns]]
heard = "What is the weather?"
steps = [{ call = "weather" }, { say = "It is {output}, and warm." }]
[[turns]]
heard = "Please tell me a story"
steps = [{ say = "Once upon a time." }]
"""
MORNING = [("user", "Good morning"), ("assistant", "Hello there, my friend.")]


def message(role, text):
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def call(call_id="call_1", arguments="{}"):
    return {"type": "function_call", "call_id": call_id, "name": "weather", "arguments": arguments}


def output(text, call_id="call_1"):
    return {"type": "function_call_output", "call_id": call_id, "output": text}


async def tell(client, *items):
    for item in items:
        await client.send("conversation.item.create", item=item)
        await client.until("conversation.item.done")


async def answer(client):
    """What a request brings: the words of the answer."""
    await client.configure(output_modalities=["text"])
    await client.send("response.create")
    return (await client.one("response.done"))["response"]["output"][-1]["content"][0]["text"]


async def test_a_new_session_takes_the_next_turn(dial):
    async with dial(STORY) as client:
        told = [message(*said) for said in MORNING]
        told += [message("user", "Weather?"), call(arguments='{"city": "Rome"}'), output("sunny")]
        await tell(client, *told)
        assert await answer(client) == "It is sunny, and warm."


async def test_an_unfinished_answer_is_finished(dial):
    async with dial(STORY) as client:
        await tell(client, message(*MORNING[0]), message("assistant", "Hello there,"))
        assert await answer(client) == "my friend."


async def test_what_was_told_need_not_be_heard(dial, speech):
    async with dial(STORY) as client:
        await tell(client, *(message(*said) for said in MORNING), message("user", "x"))
        await tell(client, message("user", "What is the weather?"), call(), output("sunny"))
        await client.configure(
            output_modalities=["text"], audio={"input": {"transcription": {"model": "whisper-1"}}}
        )
        await client.speak(speech)
        heard = await client.one("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "Please tell me a story"
        said = await client.one("response.output_text.done")
        assert said["text"] == "Once upon a time."


async def test_a_call_of_an_earlier_session_is_answered_later(dial):
    async with dial(STORY) as client:
        await tell(client, message("user", "Weather?"), call("call_7"))
        await client.send("conversation.item.create", item=output("rain", "call_8"))
        assert (await client.one("error"))["error"]["code"] == "invalid_tool_call_id"
        await tell(client, output("rain", "call_7"))
        assert await answer(client) == "It is rain, and warm."


async def test_what_a_session_was_told_is_remembered_also_when_it_is_over():
    scenario = Scenario.parse('[[turns]]\nsteps = [{ call = "weather" }, { say = "Ok." }]')
    openai = pytest.importorskip("openai")
    async with Simulator(scenario=scenario, speed=0, seed=1) as simulator:
        url = simulator.openai_url.replace("ws://", "http://")
        async with (
            openai.AsyncOpenAI(base_url=url, api_key="test") as client,
            client.realtime.connect(
                model="gpt-realtime", websocket_connection_options={"proxy": None}
            ) as connection,
            asyncio.timeout(10),
        ):
            items = connection.conversation.item
            await items.create(item=message("user", "Weather?"))
            await connection.response.create()
            while (event := await connection.recv()).type != "response.done":
                pass
            (record,) = simulator.connections
            (made,) = record.calls
            assert (made.name, made.call_id) == ("weather", event.response.output[0].call_id)
            await items.create(item=output("sunny", made.call_id))
            await connection.response.create()
            while (await connection.recv()).type != "response.done":
                pass
            known = record.conversation
    assert record.closed_at is not None
    assert (
        known
        == record.conversation
        == (
            Message("user", "Weather?"),
            ToolOutput("weather", {}, "sunny"),
            Message("assistant", "Ok."),
        )
    )
    assert list(record.outputs) == [OutputGiven(made.call_id, "sunny")]


async def test_the_vendors_client_seeds_a_history_and_gets_the_next_answer():
    openai = pytest.importorskip("openai")
    async with Simulator(scenario=Scenario.parse(STORY), speed=0) as simulator:
        url = simulator.openai_url.replace("ws://", "http://")
        async with (
            openai.AsyncOpenAI(base_url=url, api_key="test") as client,
            client.realtime.connect(
                model="gpt-realtime", websocket_connection_options={"proxy": None}
            ) as connection,
            asyncio.timeout(10),
        ):
            told = [message(*said) for said in MORNING]
            told += [message("user", "Weather?"), call(arguments=json.dumps({"city": "Rome"}))]
            for item in [*told, output("sunny")]:
                await connection.conversation.item.create(item=item)
            await connection.response.create(response={"output_modalities": ["text"]})
            while (event := await connection.recv()).type != "response.done":
                assert event.type != "error"
            assert event.response.output[0].content[0].text == "It is sunny, and warm."
