"""Recorded conversations: one per protocol, made once with a simulator."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from realtime_facade import Event, RealtimeConfig, RealtimeVoice, TurnEnded
from realtime_facade.audio.pcm import chunks
from realtime_facade.audio.resample import resample
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

SCENARIO = """
[[turns]]
heard = "what is the weather"
steps = [{ call = "get_weather", arguments = { city = "Paris" } }, { say = "{output}" }]
[[turns]]
steps = [{ say = "Good bye then." }]
"""


def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"Sunny in {city}."


CONFIG = RealtimeConfig(tools=(get_weather,), instructions="Be brief.")

Talk = Callable[[RealtimeVoice], Awaitable[list[Event]]]


async def hold(voice: RealtimeVoice) -> list[Event]:
    """A spoken question with a tool, then a written one; all events."""
    events: list[Event] = []
    turns = 0
    speech = BabbleVoice()
    pcm = b"".join([chunk async for chunk in speech.speak("what is the weather")])
    pcm = resample(pcm, speech.sample_rate, 24_000)
    async with asyncio.timeout(10), voice.connect() as session:
        stream = session.events()
        for chunk in chunks(bytes(4_800) + pcm + bytes(60_000), 20, 24_000):
            await session.send_audio(chunk)
        async for event in stream:
            events.append(event)
            if isinstance(event, TurnEnded):
                turns += 1
                if turns == 2:
                    break
                await session.send_text("bye")
    return events


@pytest.fixture
def talk() -> Talk:
    return hold


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[Event]]]:
    """By protocol: the cassette, and what the application saw."""
    folder = tmp_path_factory.mktemp("cassettes")

    async def record(wire: str) -> tuple[Path, list[Event]]:
        path = folder / f"{wire}.jsonl"
        async with Simulator(
            scenario=Scenario.parse(SCENARIO), wires=(wire,), speed=0, seed=1
        ) as server:
            url = server.openai_url if wire == "openai" else server.gemini_plain_url
            voice = RealtimeVoice(wire, CONFIG, api_key="simulated", base_url=url, record_to=path)
            return path, await hold(voice)

    return {wire: asyncio.run(record(wire)) for wire in ("openai", "gemini")}
