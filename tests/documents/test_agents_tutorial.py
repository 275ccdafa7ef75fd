"""What a tutorial about realtime agents shows (document 3), with the names of this package."""

import asyncio

import pytest

from realtime_facade import (
    ErrorOccurred,
    GuardrailResult,
    RealtimeAgent,
    RealtimeRunner,
    ResponseStarted,
    ServerVAD,
    SessionStarted,
    Tools,
    Transcription,
    output_guardrail,
    realtime_handoff,
)
from realtime_facade.audio.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw

from .conftest import spoken

SCENARIO = """
[[turns]]
heard = "what's the weather in Paris"
when = "weather"
steps = [{ call = "get_weather", arguments = { city = "Paris" } }, { say = "{output}" }]

[[turns]]
heard = "book appointment tomorrow at 2pm"
when = "appointment"
steps = [
  { call = "book_appointment", arguments = { date = "tomorrow", time = "2pm", service = "any" } },
  { say = "{output}" },
]

[[turns]]
heard = "I need help with billing"
when = "billing"
steps = [{ call = "transfer_to_billing_agent" }, { say = "Billing support speaking." }]

[[turns]]
heard = "tell me the number"
when = "number"
steps = [{ say = "Of course, I will read it to you. The number is 1234 and some more digits." }]

[[turns]]
asked = "cannot talk about"
steps = [{ say = "I cannot say that." }]
"""


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


def book_appointment(date: str, time: str, service: str) -> str:
    """Book an appointment."""
    return f"Your appointment is {date} at {time}."


billing_agent = RealtimeAgent(
    name="Billing Agent", instructions="You are a billing support specialist."
)


def assistant(**settings) -> RealtimeAgent:
    return RealtimeAgent(
        name="Assistant",
        instructions="You are a helpful voice assistant...",
        tools=[get_weather, book_appointment],
        handoffs=[realtime_handoff(billing_agent, tool_description="For questions about billing.")],
        **settings,
    )


async def speak(session, *sentences: str) -> None:
    """Say one thing after another, as fast as the session takes it."""
    for sentence in sentences:
        for chunk in await spoken(sentence, tail_ms=1_000):
            await session.send_audio(chunk)


async def converse(session, *sentences: str) -> list:
    """The loop of the document, until everything is answered; the events."""
    events = []
    waiting = list(sentences)
    async with session, asyncio.timeout(15):
        await speak(session, waiting.pop(0))
        async for event in session:
            events.append(event)
            if event.type == "turn_ended":
                if not waiting:
                    break
                await asyncio.sleep(session.playback.pending_ms / 1000 / 20)
                await speak(session, waiting.pop(0))
    return events


def said(events, speaker: str = "assistant") -> list[str]:
    return [
        event.full_text
        for event in events
        if event.type == "transcript" and event.is_final and event.speaker == speaker
    ]


async def test_agent_runner_and_session(provider, wire):
    provider(SCENARIO)
    runner = RealtimeRunner(
        starting_agent=assistant(),
        config={
            "model_settings": {
                "model_name": wire.model,
                "voice": wire.voice,
                "modalities": ["text", "audio"],
            }
        },
    )

    session = await runner.run()
    spoken_texts = []
    async with session, asyncio.timeout(15):
        await speak(session, "what's the weather in Paris")
        async for event in session:
            if event.type == "transcript" and event.is_final and event.speaker == "assistant":
                spoken_texts.append(event.full_text)
            elif event.type == "turn_ended":
                break

    assert spoken_texts == ["It is sunny in Paris."]
    assert (session.model, session.config.voice) == (wire.model, wire.voice)


async def test_example_interactions(provider):
    provider(SCENARIO)
    runner = RealtimeRunner(starting_agent=assistant())
    created = []
    runner.voice.on(SessionStarted)(created.append)
    events = await converse(await runner.run(), "what's the weather in Paris", "book appointment")

    assert said(events) == ["It is sunny in Paris.", "Your appointment is tomorrow at 2pm."]
    assert said(events, "user") == [
        "what's the weather in Paris",
        "book appointment tomorrow at 2pm",
    ]
    types = {event.type for event in events}
    assert {
        "audio",  # response.audio.delta; its last one, with is_final, is response.audio.done
        "transcript",  # response.audio_transcript.done, input_audio_transcription.completed
        "tool_call",  # response.function_call_arguments.done
        "tool_call_completed",
        "response_done",  # response.done
    } <= types
    assert [event.type for event in created] == ["session_started"]  # session.created
    assert "error" not in types
    calls = [event for event in events if event.type == "tool_call"]
    assert [call.function_name for call in calls] == ["get_weather", "book_appointment"]
    assert any(event.type == "audio" and event.is_final for event in events)


async def test_agent_handoff(provider):
    provider(SCENARIO)
    runner = RealtimeRunner(starting_agent=assistant())
    session = await runner.run()
    async with session, asyncio.timeout(15):
        await session.send_text("I need help with billing")
        *_, offered = Tools(session.config.tools).definitions()
        assert offered.description == "For questions about billing."
        handed = None
        async for event in session:
            if event.type == "handed_off":
                handed = event
            elif event.type == "turn_ended":
                break

        assert handed is not None
        assert (handed.from_agent, handed.to_agent) == ("Assistant", "Billing Agent")
        assert session.config.instructions == "You are a billing support specialist."
        assert session.history.turns[-1].text == "Billing support speaking."


async def test_an_update_of_the_session_is_an_event(provider):
    provider(SCENARIO)
    runner = RealtimeRunner(starting_agent=assistant())
    session = await runner.run()
    async with session, asyncio.timeout(15):
        events = session.events()
        await session.update(instructions="Be brief.")
        async for event in events:
            if event.type == "session_updated":
                break
        assert session.config.instructions == "Be brief."


async def test_an_error_is_an_event(provider):
    provider(SCENARIO)
    session = await RealtimeRunner(starting_agent=assistant()).run()
    async with session, asyncio.timeout(15):
        events = session.events()

        async def broken(event) -> None:
            raise OSError("broken")

        session.on(ResponseStarted, broken)
        await session.send_text("weather")
        async for event in events:
            if event.type == "error":
                assert isinstance(event, ErrorOccurred)
                assert "broken" in event.message
                break


def contains_sensitive_data(text: str) -> bool:
    return "1234" in text


@output_guardrail(debounce_chars=10)
def sensitive_data_guardrail(ctx, agent, output: str) -> GuardrailResult:
    if contains_sensitive_data(output):
        return GuardrailResult(tripwire_triggered=True, output_info="Blocked sensitive data")
    return GuardrailResult(tripwire_triggered=False)


@pytest.mark.parametrize("where", ["agent", "runner"])
async def test_safety_implementation(provider, where):
    provider(SCENARIO)
    if where == "agent":
        runner = RealtimeRunner(assistant(guardrails=[sensitive_data_guardrail]))
    else:
        runner = RealtimeRunner(
            starting_agent=assistant(),
            config={
                "output_guardrails": [sensitive_data_guardrail],
                "guardrails_settings": {"debounce_text_length": 10},
            },
        )
    session = await runner.run()
    events = []
    async with session, asyncio.timeout(15):
        await session.send_text("tell me the number")
        async for event in session:
            events.append(event)
            if said(events)[-1:] == ["I cannot say that."]:
                break

    [tripped] = [event for event in events if event.type == "guardrail_tripped"]
    assert tripped.output_info == "Blocked sensitive data"
    assert tripped.guardrail == "sensitive_data_guardrail"
    assert "interrupted" in {event.type for event in events}
    assert "error" not in {event.type for event in events}, "no exception"


def test_a_guardrail_reads_every_hundred_characters_unless_told():
    @output_guardrail
    def guardrail(ctx, agent, output: str) -> GuardrailResult:
        return GuardrailResult(tripwire_triggered=False)

    assert guardrail.debounce_chars == 100


async def test_configuration_options(provider, wire):
    provider(SCENARIO)
    runner = RealtimeRunner(
        starting_agent=assistant(),
        config={
            "model_settings": {
                "model_name": wire.model,
                "voice": wire.voice,
                "modalities": ["text", "audio"],
                "input_audio_format": "pcm16",
                "output_audio_format": "pcm16",
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 200,
                },
                "input_audio_transcription": {
                    "model": "whisper-1",
                    "language": "en",
                    "prompt": "Custom prompt...",
                },
            }
        },
    )
    assert runner.config.turns == ServerVAD(
        threshold=0.5, prefix_padding_ms=300, silence_duration_ms=200
    )
    assert runner.config.transcription == Transcription(
        model="whisper-1", language="en", prompt="Custom prompt..."
    )
    events = await converse(await runner.run(), "what's the weather in Paris")
    assert said(events) == ["It is sunny in Paris."]


@pytest.mark.parametrize(
    ("encode", "decode"), [(encode_mulaw, decode_mulaw), (encode_alaw, decode_alaw)]
)
async def test_telephone_formats(provider, encode, decode):
    provider(SCENARIO)
    runner = RealtimeRunner(
        starting_agent=assistant(),
        config={"model_settings": {"input_rate": 8_000, "output_rate": 8_000}},
    )
    session = await runner.run()
    heard = bytearray()
    async with session, asyncio.timeout(15):
        for chunk in await spoken("what's the weather in Paris", rate=8_000):
            await session.send_audio(decode(encode(chunk)))
        async for event in session:
            if event.type == "audio":
                heard += encode(event.data)
            elif event.type == "turn_ended":
                break
    assert session.history.turns[-1].text == "It is sunny in Paris."
    assert len(heard) > 8_000, "a second of G.711"
