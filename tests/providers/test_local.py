import asyncio

import pytest

from realtime_facade import LocalProvider, RealtimeConfig, RealtimeVoice, TranscriptDelta, TurnEnded
from realtime_facade.simulator.scenario import Scenario


@pytest.mark.parametrize("wire", ["openai", "gemini"])
async def test_own_parts_answer_over_either_wire_and_the_server_ends_with_the_session(wire):
    parts = Scenario.parse('[[turns]]\nsteps = [{ say = "Hello yourself." }]').parts()
    voice = RealtimeVoice(LocalProvider(wire=wire, parts=parts, speed=50))
    async with voice.connect() as session:
        assert session.provider == "local"
        events = session.events()
        await session.send_text("hello")
        words = ""
        async for event in events:
            if isinstance(event, TranscriptDelta):
                words += event.text
            elif isinstance(event, TurnEnded):
                break
    assert words == "Hello yourself."
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("wire", ["openai", "gemini"])
async def test_real_wits_answer_typed_questions(wire):
    pytest.importorskip("pocketsphinx")

    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        return f"It rains in {city}."

    voice = RealtimeVoice(LocalProvider(wire=wire), RealtimeConfig(tools=(get_weather,)))
    async with voice.connect() as session:
        events = session.events()
        await session.send_text("What is the weather in Tokyo?")
        async for event in events:
            if isinstance(event, TurnEnded):
                break
    assert session.history.turns[-1].text == "It rains in Tokyo."


def test_it_is_never_chosen_by_itself():
    assert not LocalProvider.is_configured()


def test_another_key_or_address_changes_nothing():
    provider = LocalProvider()
    assert provider.with_key("key", "ws://elsewhere") is provider
