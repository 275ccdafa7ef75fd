"""What the early README of a desktop agent shows (document 0), with the names of this package."""

import asyncio
import re
import wave
from collections.abc import AsyncIterator
from typing import Annotated

from realtime_facade import (
    AudioInputDevice,
    AudioOutputDevice,
    RealtimeAgent,
    ToolCallCompleted,
    Tools,
    TranscriptDelta,
    builtin_tools,
)

from .conftest import spoken

STOP = """
[[turns]]
heard = "stop"
when = "stop"
steps = [{ call = "stop_assistant_run" }, { say = "Good bye." }]
"""
WEATHER = """
[[turns]]
heard = "what is the weather in Paris"
when = "weather"
steps = [{ call = "get_weather", arguments = { location = "Paris" } }, { say = "{output}" }]
"""


async def get_weather(location: str) -> str:
    """Get weather information."""
    return f"Weather in {location}: Sunny, 22°C"


async def test_basic_usage(provider, wire, person):
    provider(WEATHER + STOP)
    tools = Tools()

    @tools.action("Get weather information")
    async def get_weather(location: str) -> str:
        return f"Weather in {location}: Sunny, 22°C"

    agent = RealtimeAgent(
        instructions="You are a helpful voice assistant.",
        model=wire.model,
        voice=wire.voice,
        speech_speed=1.0,
        tools=[tools, builtin_tools()],
        api_key="your-api-key",
    )
    async with person.talks_to(agent, "what is the weather in Paris", "stop"):
        async with agent:
            # Until the user says "stop".
            pass
        history = await agent.stop()

    assert len(history.conversation_turns) == 4
    assert [f"{turn.role}: {turn.content}" for turn in history.conversation_turns] == [
        "user: what is the weather in Paris",
        "assistant: Weather in Paris: Sunny, 22°C",
        "user: stop",
        "assistant: Good bye.",
    ]
    assert person.heard_s > 1.5


BUILTIN = """
[[turns]]
heard = "what time is it"
steps = [{ call = "get_current_time" }, { say = "It is {output}." }]
[[turns]]
heard = "less loud please"
steps = [{ call = "adjust_volume", arguments = { level = 0.5 } }, { say = "{output}" }]
[[turns]]
heard = "speak faster"
steps = [
  { call = "change_assistant_response_speed", arguments = { instructions = "faster" } },
  { say = "{output}" },
]
[[turns]]
heard = "that was all"
steps = [{ call = "stop_assistant_run" }, { say = "Good bye." }]
"""


async def test_builtin_tools(provider, wire, person):
    provider(BUILTIN)
    agent = RealtimeAgent(tools=builtin_tools())
    result = await person.run(
        agent, "what time is it", "less loud please", "speak faster", "that was all"
    )

    said = [turn.content for turn in result.conversation_turns if turn.role == "assistant"]
    assert re.fullmatch(r"It is \d\d:\d\d:\d\d\.", said[0])
    assert said[1] == "The volume is 50% now."
    assert agent.volume == 0.5
    assert ("120%" if wire.provider == "openai" else "cannot be set here") in said[2]
    assert said[3] == "Good bye."
    assert result.reason == "stopped"


CUSTOM = """
[[turns]]
heard = "find something about tea"
steps = [{ call = "search", arguments = { query = "tea" } }, { say = "{output}" }]
[[turns]]
heard = "a table for four"
steps = [
  { call = "book_restaurant", arguments = { restaurant = "Roma", time = "19:30", guests = 4 } },
  { say = "{output}" },
]
"""


async def test_custom_tools(provider, person):
    provider(CUSTOM)
    tools = Tools()
    asked = []

    async def search_database(query: str, limit: int) -> list[str]:
        asked.append((query, limit))
        return ["black", "green"]

    @tools.action("Search for information")
    async def search(
        query: Annotated[str, "The search query"],
        max_results: Annotated[int, "Maximum number of results"] = 5,
    ) -> str:
        results = await search_database(query, limit=max_results)
        return f"Found {len(results)} results"

    @tools.action(
        description="Book a restaurant reservation",
        response_instruction="Confirm the booking details to the user",
    )
    async def book_restaurant(
        restaurant: Annotated[str, "Restaurant name"],
        time: Annotated[str, "Reservation time (HH:MM)"],
        guests: Annotated[int, "Number of guests"],
    ) -> str:
        return f"Booked table for {guests} at {restaurant} for {time}"

    agent = RealtimeAgent(tools=tools)
    result = await person.run(agent, "find something about tea", "a table for four")

    assert asked == [("tea", 5)]
    _, found, _, booked = [turn.content for turn in result.turns]
    assert found == "Found 2 results"
    assert booked.startswith("Booked table for 4 at Roma for 19:30")
    assert "Confirm the booking details to the user" in booked
    properties = tools.definitions()[0].parameters["properties"]
    assert properties["query"]["description"] == "The search query"
    assert properties["max_results"]["description"] == "Maximum number of results"
    assert tools.definitions()[0].parameters["required"] == ["query"]


async def test_custom_audio_devices(provider):
    provider('[[turns]]\nheard = "hello there"\nsteps = [{ say = "Hello yourself." }]')

    class CustomMicrophone(AudioInputDevice):
        async def start(self) -> None:
            self._active = True
            self._words = await spoken("hello there", tail_ms=100)

        async def stop(self) -> None:
            self._active = False

        async def stream_chunks(self) -> AsyncIterator[bytes]:
            while self.is_active:
                chunk = await self.read_audio()
                yield chunk

        @property
        def is_active(self) -> bool:
            return self._active

        async def read_audio(self) -> bytes:
            await asyncio.sleep(0.001)
            if len(self._words) == 1:
                self._active = False
            return self._words.pop(0)

    class CustomSpeaker(AudioOutputDevice):
        def __init__(self) -> None:
            self.played: list[bytes] = []
            self.life: list[str] = []

        async def start(self) -> None:
            self.life.append("start")

        async def stop(self) -> None:
            self.life.append("stop")

        async def play_chunk(self, chunk: bytes) -> None:
            self.played.append(chunk)

        async def clear_buffer(self) -> None:
            self.played.clear()

    speaker = CustomSpeaker()
    agent = RealtimeAgent(audio_input=CustomMicrophone(), audio_output=speaker)
    async with asyncio.timeout(15):
        result = await agent.run()

    assert [turn.content for turn in result.turns] == ["hello there", "Hello yourself."]
    assert result.reason == "input_ended"
    assert len(b"".join(speaker.played)) > 24_000
    assert speaker.life == ["start", "stop"]


async def test_access_to_the_event_bus(provider, person):
    provider(WEATHER)
    agent = RealtimeAgent(tools=[get_weather])
    transcribed, outputs = [], []

    async def on_transcription(event):
        if event.speaker == "user" and event.is_final:
            transcribed.append(event.full_text)

    agent.event_bus.subscribe(TranscriptDelta, on_transcription)
    agent.event_bus.subscribe(ToolCallCompleted, outputs.append)
    await person.run(agent, "what is the weather in Paris")

    assert transcribed == ["what is the weather in Paris"]
    assert [event.output for event in outputs] == ["Weather in Paris: Sunny, 22°C"]


async def test_recording_of_a_conversation(provider, person, tmp_path, monkeypatch):
    provider(WEATHER)
    monkeypatch.chdir(tmp_path)
    person.listens_faster = 1
    agent = RealtimeAgent(recording_path="conversations/session_001.wav", tools=[get_weather])
    result = await person.run(agent, "what is the weather in Paris")

    history = await agent.stop()
    assert history is result
    with wave.open("conversations/session_001.wav") as wav:
        assert wav.getnframes() / wav.getframerate() > 1
