"""A conversation of which every word can be followed, and what has to be true at its end."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import groupby

import numpy as np

from realtime_facade import (
    AudioDropped,
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
WORDS: list[str] = f"{HELLO} {PLACE} {WEATHER} {GOODBYE}".split()
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
PHASES = {
    "idle": 'phase = "idle"\nturn = 2',
    "speaking": 'phase = "speaking"\nturn = 2\nafter_chunks = 20',
    "answering": 'phase = "answering"\nturn = 2\nafter_chunks = 3',
    "tool": 'phase = "tool"',
}
"""Moments of the conversation, as a fault names them."""


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


def settings() -> dict[str, object]:
    """Of a simulator that is fast, and sends a word in every chunk of an answer."""
    return {"chunk_ms": WORD_MS, "speed": 6, "clock": ScaledClock(TIMES)}


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
