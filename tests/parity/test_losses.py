"""Connections that end in every way, in every phase of a conversation, on every wire.

The conversation is the same each time, and so is what has to be true at its end: every word of the
answers was heard once, the tool ran once, and the provider knows everything that was said.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest

from realtime_facade import (
    AudioDropped,
    ConnectionChanged,
    ErrorOccurred,
    ResponseDone,
    ResponseStarted,
    SessionEnded,
    SessionStarted,
    ToolCallCompleted,
    TurnEnded,
)
from realtime_facade.simulator.clock import ScaledClock
from realtime_facade.simulator.parts import Entry, Message, Parts, ToolOutput
from realtime_facade.simulator.scenario import Scenario

from .conftest import babble

HELLO = "hello there young human woman smile again"
PLACE = "right below those green trees where birds dwell"
WEATHER = "today looks sunny while later heavy rains begin"
GOODBYE = "thank every guest leave early since night falls"
WORDS = f"{HELLO} {PLACE} {WEATHER} {GOODBYE}".split()
WORD_MS = 400
"""Five letters and a space at 15 characters a second, so that words can be matched with audio."""
SCENARIO = f"""
[[turns]]
when = "good morning"
steps = [{{ say = "{HELLO}" }}]
[[turns]]
heard = "where are we"
steps = [{{ say = "{PLACE}" }}]
[[turns]]
heard = "what is the weather in paris"
steps = [{{ call = "get_weather", arguments = {{ city = "Paris" }} }}, {{ say = "{WEATHER}" }}]
[[turns]]
when = "goodbye"
steps = [{{ say = "{GOODBYE}" }}]
"""
CONVERSATION = [
    ("user", "good morning"),
    ("assistant", HELLO),
    ("user", "where are we"),
    ("assistant", PLACE),
    ("user", "what is the weather in paris"),
    ("tool", "sunny"),
    ("assistant", WEATHER),
    ("user", "goodbye"),
    ("assistant", GOODBYE),
]
TIMES = 40
"""The simulator's clock runs so many times faster."""
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
PHASES = {
    "idle": 'phase = "idle"\nturn = 2',
    "speaking": 'phase = "speaking"\nturn = 2\nafter_chunks = 20',
    "answering": 'phase = "answering"\nturn = 2\nafter_chunks = 3',
    "tool": 'phase = "tool"',
}


class WordVoice:
    """Says the n-th word of all that is ever said as so many samples of the value 500 * n."""

    sample_rate = 24_000

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        for word in text.split():
            yield np.full(24 * WORD_MS, 500 * (WORDS.index(word) + 1), "<i2").tobytes()


class Ear:
    """Hears everything in the moment in which it comes, so that nothing can be taken back."""

    def __init__(self) -> None:
        self.heard = bytearray()

    def write(self, pcm: bytes) -> None:
        self.heard += pcm

    def clear(self) -> None:
        pass

    def played_ms(self) -> float:
        return len(self.heard) / 48

    @property
    def words(self) -> list[tuple[str, float]]:
        """The words with their durations in ms, in the order in which they were heard."""
        samples = np.frombuffer(bytes(self.heard), "<i2")
        starts = np.flatnonzero(np.diff(samples, prepend=0))
        ends = [*starts[1:], len(samples)]
        return [
            (WORDS[samples[start] // 500 - 1], (end - start) / 24)
            for start, end in zip(starts, ends, strict=True)
        ]


class Spoken(Scenario):
    """A scenario in this voice."""

    def parts(self) -> Parts:
        return replace(super().parts(), voice=lambda name: WordVoice())


@pytest.fixture
def begin(start):
    """`async with begin(faults) as (talk, ear, weather):` the conversation is about to begin."""

    @asynccontextmanager
    async def begin_talk(faults: str = "", **more):
        ear, weather = Ear(), Weather()
        fast = {"chunk_ms": WORD_MS, "speed": 6, "clock": ScaledClock(TIMES)}
        async with start(
            Spoken.parse(SCENARIO + faults),
            sink=ear,
            simulator=fast,
            tools=[weather.get_weather],
            **more,
        ) as talk:
            yield talk, ear, weather

    return begin_talk


def told(entries: tuple[Entry, ...]) -> list[tuple[str, str]]:
    """Who said what, and what tools gave; what one has said in pieces is one text."""
    parts = [
        ("tool", entry.output) if isinstance(entry, ToolOutput) else (entry.role, entry.text)
        for entry in entries
        if not (isinstance(entry, Message) and entry.role == "system")
    ]
    return [
        (who, " ".join(text.strip() for _, text in pieces))
        for who, pieces in groupby(parts, key=lambda part: part[0])
    ]


class Weather:
    """A tool with an effect that must not happen twice."""

    def __init__(self) -> None:
        self.asked = 0

    async def get_weather(self, city: str) -> str:
        """Get the weather of a city."""
        self.asked += 1
        return "sunny"


async def speak(talk, text: str) -> None:
    for frame in await babble(text):
        await talk.session.send_audio(frame)


async def converse(talk) -> None:
    """The whole conversation, to its end."""
    await talk.session.send_text("good morning")
    await talk.until(TurnEnded)
    await speak(talk, "where are we")
    await talk.until(TurnEnded)
    await speak(talk, "what is the weather in paris")
    await talk.until(TurnEnded)
    await talk.session.send_text("goodbye")
    await talk.until(TurnEnded)


def check(talk, ear: Ear, weather: Weather) -> None:
    """Everything that has to be true of the conversation, however often its connection ended."""
    assert ear.words == [(word, WORD_MS) for word in WORDS], "words were lost, or heard twice"
    assert weather.asked == 1
    assert len(talk.of(ToolCallCompleted)) == 1
    records = talk.simulator.connections
    for record in records:
        twice = [c for c, n in Counter(o.call_id for o in record.outputs).items() if n > 1]
        assert not twice, f"connection {record.number} was told two outputs of {twice}"
    assert told(records[-1].conversation) == CONVERSATION
    assert told(history(talk)) == [part for part in CONVERSATION if part[0] != "tool"]
    assert [part.output for part in talk.session.history.tool_rounds] == ["sunny"]
    assert talk.of(ErrorOccurred) == []
    assert talk.of(AudioDropped) == []
    assert talk.of(SessionEnded) == []
    assert len(talk.of(SessionStarted)) <= 1
    assert len(talk.of(TurnEnded)) == 4
    started = [event.response_id for event in talk.of(ResponseStarted)]
    done = [event.response_id for event in talk.of(ResponseDone)]
    assert started == done, "each response ends once, and in its order"
    assert len(set(started)) == len(started)


def history(talk) -> tuple[Entry, ...]:
    return tuple(Message(turn.role, turn.text) for turn in talk.session.history.turns)


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
