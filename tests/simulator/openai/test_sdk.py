"""The judge: the vendor's own client, unpatched, completes whole conversations."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

pytest.importorskip("openai")
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

PROMPTLY = 10.0


@asynccontextmanager
async def conversation(scenario: str, **options: Any) -> AsyncIterator[AsyncRealtimeConnection]:
    options = {"speed": 0, "seed": 1} | options
    async with Simulator(scenario=Scenario.parse(scenario), **options) as simulator:
        url = simulator.openai_url.replace("ws://", "http://")
        async with (
            AsyncOpenAI(base_url=url, api_key="test") as client,
            client.realtime.connect(
                model="gpt-realtime", websocket_connection_options={"proxy": None}
            ) as connection,
        ):
            assert (await connection.recv()).type == "session.created"
            yield connection


async def until(connection: AsyncRealtimeConnection, kind: str) -> list[Any]:
    events: list[Any] = []
    async with asyncio.timeout(PROMPTLY):
        while not events or events[-1].type != kind:
            events.append(await connection.recv())
    return events


def types(events: list[Any]) -> list[str]:
    found: list[str] = []
    for event in events:
        if not (event.type.endswith("delta") and event.type in found):
            found.append(event.type)
    return found


async def say(connection: AsyncRealtimeConnection, audio: bytes) -> None:
    for start in range(0, len(audio), 960):
        piece = base64.b64encode(audio[start : start + 960]).decode()
        await connection.input_audio_buffer.append(audio=piece)


async def write(connection: AsyncRealtimeConnection, text: str) -> None:
    await connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    )


USER_MESSAGE = ["conversation.item.added", "conversation.item.done"]
END = ["conversation.item.done", "response.output_item.done", "response.done"]
TEXT_ANSWER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    *END,
    "rate_limits.updated",
]
VOICE_ANSWER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    *END,
    "rate_limits.updated",
]


async def test_text_turn():
    async with conversation('[[turns]]\nsteps = [{ say = "Good day, sir." }]') as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await until(connection, "session.updated")
        await write(connection, "Hello")
        await connection.response.create()
        events = await until(connection, "rate_limits.updated")

    assert types(events) == USER_MESSAGE + TEXT_ANSWER
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["Good", " day", ",", " sir", "."]
    response = events[-2].response
    assert response.status == "completed"
    assert response.output[0].content[0].text == "Good day, sir."
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.output_token_details.audio_tokens == 0


async def test_voice_turn(speech: bytes):
    scenario = '[[turns]]\nheard = "tell me a story"\nsteps = [{ say = "Once upon a time." }]'
    async with conversation(scenario) as connection:
        await connection.session.update(
            session={
                "type": "realtime",
                "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}},
            }
        )
        await until(connection, "session.updated")
        await say(connection, speech)
        events = await until(connection, "rate_limits.updated")

    asr = [event for event in events if "transcription" in event.type]
    rest = [event for event in events if "transcription" not in event.type]
    assert types(rest) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        *USER_MESSAGE,
        *VOICE_ANSWER,
    ]
    started, stopped = rest[0], rest[1]
    # The voice begins at 800 ms and the prefix padding is 300 ms; it lasts 1.5 s or more.
    assert 450 <= started.audio_start_ms <= 620
    assert stopped.audio_end_ms > 2_300
    assert started.item_id == stopped.item_id == rest[2].item_id == rest[3].item.id
    assert asr[-1].transcript == "tell me a story"
    assert "".join(event.delta for event in asr[:-1]) == " tell me a story"
    assert {event.item_id for event in asr} == {started.item_id}
    audio = b"".join(
        base64.b64decode(event.delta)
        for event in rest
        if event.type == "response.output_audio.delta"
    )
    assert 0.8 < len(audio) / 48_000 < 2.5
    words = [e.delta for e in rest if e.type == "response.output_audio_transcript.delta"]
    assert "".join(words) == "Once upon a time."
    first = [e.type for e in rest].index
    assert first("response.output_audio_transcript.delta") < first("response.output_audio.delta")


async def test_tool_call_round():
    scenario = """
    [[turns]]
    steps = [
        { say = "Let me look." },
        { call = "get_weather", arguments = { city = "Paris" } },
        { say = "It is {output}." },
    ]
    """
    async with conversation(scenario) as connection:
        await connection.session.update(
            session={
                "type": "realtime",
                "output_modalities": ["text"],
                "tools": [
                    {
                        "type": "function",
                        "name": "get_weather",
                        "parameters": {"type": "object", "properties": {}},
                    }
                ],
            }
        )
        await write(connection, "How is the weather?")
        await connection.response.create()
        first = await until(connection, "rate_limits.updated")
        done = next(e for e in first if e.type == "response.function_call_arguments.done")
        await connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": done.call_id, "output": "sunny"}
        )
        await connection.response.create()
        second = await until(connection, "rate_limits.updated")

    assert types(first) == [
        "session.updated",
        *USER_MESSAGE,
        *TEXT_ANSWER[:5],
        # Recorded: a second item begins before the first one's done events.
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.output_text.done",
        "response.content_part.done",
        *END[:2],
        "response.function_call_arguments.done",
        *END,
        "rate_limits.updated",
    ]
    deltas = [e.delta for e in first if e.type == "response.function_call_arguments.delta"]
    assert len(deltas) > 3
    assert "".join(deltas) == done.arguments
    assert done.arguments.replace(" ", "").replace("\n", "") == '{"city":"Paris"}'
    assert done.name == "get_weather"
    assert types(second) == USER_MESSAGE + TEXT_ANSWER
    assert second[0].item.output == "sunny"
    assert second[-2].response.output[0].content[0].text == "It is sunny."


async def test_parallel_calls():
    scenario = """
    [[turns]]
    steps = [
        { call = "a", arguments = { n = 1 } },
        { call = "b" },
        { call = "c" },
        { say = "All done." },
    ]
    """
    async with conversation(scenario) as connection:
        await connection.response.create()
        events = await until(connection, "response.done")
        calls = events[-1].response.output
        for call in calls:
            await connection.conversation.item.create(
                item={"type": "function_call_output", "call_id": call.call_id, "output": "ok"}
            )
        await connection.response.create()
        answer = (await until(connection, "response.done"))[-1].response

    assert [call.name for call in calls] == ["a", "b", "c"]
    assert len({call.call_id for call in calls}) == 3
    added = [e for e in events if e.type == "response.output_item.added"]
    assert [event.output_index for event in added] == [0, 1, 2]
    dones = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert [event.output_index for event in dones] == [0, 1, 2]
    assert answer.output[0].content[0].transcript == "All done."


async def test_manual_turn(speech: bytes):
    scenario = '[[turns]]\nheard = "hello"\nsteps = [{ say = "You said: {heard}." }]'
    async with conversation(scenario) as connection:
        await connection.session.update(
            session={"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        )
        await until(connection, "session.updated")
        await say(connection, speech)
        await connection.input_audio_buffer.commit()
        committed = await until(connection, "conversation.item.done")
        await connection.response.create()
        events = await until(connection, "rate_limits.updated")

    assert types(committed) == ["input_audio_buffer.committed", *USER_MESSAGE]
    assert types(events) == VOICE_ANSWER
    assert events[-2].response.output[0].content[0].transcript == "You said: hello."


async def test_interruption_and_truncation(speech: bytes):
    long = "word " * 60
    scenario = f"""
    [[turns]]
    heard = "tell me a story"
    steps = [{{ say = "{long}" }}]
    [[turns]]
    heard = "stop"
    steps = [{{ say = "Stopped." }}]
    """
    async with conversation(scenario, speed=20) as connection:
        await say(connection, speech)
        first = await until(connection, "response.output_audio.delta")
        await say(connection, speech)
        cut = await until(connection, "response.done")
        item = cut[-1].response.output[0]
        await connection.conversation.item.truncate(
            item_id=item.id, content_index=0, audio_end_ms=60
        )
        rest = await until(connection, "conversation.item.truncated")
        second = await until(connection, "response.done")
        await connection.conversation.item.retrieve(item_id=item.id)
        kept = (await until(connection, "conversation.item.retrieved"))[-1].item

    assert first[-1].item_id == item.id
    response = cut[-1].response
    assert response.status == "cancelled"
    assert response.status_details.type == "cancelled"
    assert response.status_details.reason == "turn_detected"
    assert item.status == "incomplete"
    begun = types(cut).index("input_audio_buffer.speech_started")
    assert types(cut)[begun:] == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        *END,
    ]
    assert rest[-1].audio_end_ms == 60
    assert second[-1].response.output[0].content[0].transcript == "Stopped."
    assert len(kept.content[0].transcript) < len(item.content[0].transcript)
