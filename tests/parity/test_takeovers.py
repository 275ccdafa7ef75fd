"""A conversation that another provider goes on with: because it has to, or because it was asked."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from realtime_facade import (
    ConnectionChanged,
    ProviderSwitched,
    RealtimeConfig,
    RealtimeVoice,
    TurnEnded,
)
from realtime_facade.providers.registry import provider_named
from realtime_facade.simulator.parts import Parts, Voice
from realtime_facade.simulator.server import Simulator

from .conftest import Talk
from .words import PHASES, SCENARIO, Ear, Spoken, Weather, WordVoice, check, settings, speak

Start = Callable[..., Any]
LOW = {"openai": "cedar", "gemini": "Charon"}
"""A deep voice of each."""


class Choosy(Spoken):
    """Remembers which voices it was asked for."""

    asked: list[str | None] = []  # noqa: RUF012 - a field of a model, which copies it

    def parts(self) -> Parts:
        def voice(name: str | None) -> Voice:
            self.asked.append(name)
            return WordVoice()

        return replace(super().parts(), voice=voice)


@pytest.fixture(params=[("openai", "gemini"), ("gemini", "openai")], ids="-".join)
def names(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Who begins, and who takes over."""
    return request.param


@pytest.fixture
def begin(names: tuple[str, str]) -> Start:
    """`async with begin(faults) as (talk, ear, weather, voices):`"""

    @asynccontextmanager
    async def begin_talk(
        faults: str = "",
    ) -> AsyncIterator[tuple[Talk, Ear, Weather, list[str | None]]]:
        ear, weather = Ear(), Weather()
        scenario = Choosy.parse(SCENARIO + faults)
        async with Simulator(
            scenario=scenario, wires=("openai", "gemini"), seed=1, **settings()
        ) as simulator:
            urls = {"openai": simulator.openai_url, "gemini": simulator.gemini_plain_url}
            providers = [provider_named(name).with_key("any", urls[name]) for name in names]
            config = RealtimeConfig(voice=LOW[names[0]], tools=[weather.get_weather])
            voice = RealtimeVoice(providers, config, sink=ear)
            async with voice.connect() as session:
                yield Talk(session, simulator), ear, weather, scenario.asked

    return begin_talk


async def turns(talk: Talk) -> AsyncIterator[None]:
    """The conversation, turn by turn."""
    await talk.session.send_text("good morning")
    await talk.until(TurnEnded)
    yield
    await speak(talk, "where are we")
    await talk.until(TurnEnded)
    yield
    await speak(talk, "what is the weather in paris")
    await talk.until(TurnEnded)
    yield
    await talk.session.send_text("goodbye")
    await talk.until(TurnEnded)


@pytest.mark.parametrize("phase", PHASES)
async def test_the_next_provider_takes_over_where_the_first_cannot_go_on(begin, names, phase):
    faults = f"""
    [[faults]]
    kind = "close"
    session = 1
    {PHASES[phase]}
    [[faults]]
    kind = "refuse"
    session = 2
    status = 401
    """
    async with begin(faults) as (talk, ear, weather, voices):
        async for _ in turns(talk):
            pass
        check(talk, ear, weather)
        [switched] = talk.of(ProviderSwitched)
        assert (switched.from_provider, switched.to_provider) == names
        assert talk.session.provider == names[1]
        assert voices[0] == LOW[names[0]]
        assert voices[-1] in provider_named(names[1]).low_voices
        assert [change.state for change in talk.of(ConnectionChanged)][-1] == "connected"


async def test_a_switch_and_back_keep_everything(begin, names):
    async with begin() as (talk, ear, weather, voices):
        conversation = turns(talk)
        await anext(conversation)
        await talk.session.switch(names[1])
        assert talk.session.provider == names[1]
        await anext(conversation)
        await anext(conversation)
        await talk.session.switch(names[0])
        async for _ in conversation:
            pass
        check(talk, ear, weather)
        told = [(event.from_provider, event.to_provider) for event in talk.of(ProviderSwitched)]
        assert told == [names, names[::-1]]
        changes = talk.of(ConnectionChanged)
        assert [change.state for change in changes] == ["renewing", "connected"] * 2
        assert [change.gap_ms for change in changes] == [0] * 4
        assert voices[0] == voices[-1] == LOW[names[0]]
        assert set(voices) - {voices[0]} <= provider_named(names[1]).low_voices
