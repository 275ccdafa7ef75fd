"""Connections that end in every way, in every phase of a conversation, on every wire.

The conversation is the same each time, and so is what has to be true at its end: every word of the
answers was heard once, the tool ran once, and the provider knows everything that was said.
"""

from contextlib import asynccontextmanager

import pytest

from realtime_facade import ConnectionChanged

from .words import PHASES, SCENARIO, TIMES, Ear, Spoken, Weather, check, converse, settings

ENDS = {
    "1000": 'kind = "close"\ncode = 1000',
    "1001": 'kind = "close"\ncode = 1001',
    "1006": 'kind = "close"\ncode = 1006',
    "1011": 'kind = "close"\ncode = 1011',
    "1012": 'kind = "close"\ncode = 1012',
    "abort": 'kind = "abort"\nreset = true',
}
OUTAGE_S = 0.5
OUTAGE = f'kind = "outage"\nseconds = {OUTAGE_S * TIMES}'


@pytest.fixture
def begin(start):
    """`async with begin(faults) as (talk, ear, weather):` the conversation is about to begin."""

    @asynccontextmanager
    async def begin_talk(faults: str = "", **more):
        ear, weather = Ear(), Weather()
        async with start(
            Spoken.parse(SCENARIO + faults),
            sink=ear,
            simulator=settings(),
            tools=[weather.get_weather],
            **more,
        ) as talk:
            yield talk, ear, weather

    return begin_talk


async def test_nothing_is_lost_where_nothing_happens(begin):
    async with begin() as (talk, ear, weather):
        await converse(talk)
        check(talk, ear, weather)
        assert talk.of(ConnectionChanged) == []
        assert len(talk.simulator.connections) == 1


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("phase", PHASES)
async def test_a_conversation_goes_on_after_a_loss(begin, end, phase):
    fault = f"[[faults]]\nsession = 1\n{ENDS[end]}\n{PHASES[phase]}\n"
    async with begin(fault) as (talk, ear, weather):
        await converse(talk)
        check(talk, ear, weather)
        changes = talk.of(ConnectionChanged)
        assert [change.state for change in changes] == ["reconnecting", "connected"]
        lost, again = changes
        code = int(end) if end.isdigit() and end != "1006" else None
        assert (lost.code, lost.attempt) == (code, 1)
        assert 0 < again.gap_ms < 1_000
        assert again.state_restored
        assert len(talk.simulator.connections) == 2


@pytest.mark.parametrize("phase", PHASES)
async def test_a_conversation_goes_on_after_an_outage(begin, phase):
    fault = f"[[faults]]\nsession = 1\n{OUTAGE}\n{PHASES[phase]}\n"
    async with begin(fault) as (talk, ear, weather):
        await converse(talk)
        check(talk, ear, weather)
        *losing, again = talk.of(ConnectionChanged)
        assert {change.state for change in losing} == {"reconnecting"}
        assert [change.attempt for change in losing] == list(range(1, len(losing) + 1))
        assert again.state == "connected"
        assert OUTAGE_S * 1_000 < again.gap_ms < (OUTAGE_S + 1) * 1_000
        assert len(talk.simulator.connections) == 2
