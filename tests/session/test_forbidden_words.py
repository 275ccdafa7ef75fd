"""Two hundred spoken answers in hold mode: the forbidden word is never among the samples heard."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from realtime_facade.audio.playback import Playback
from realtime_facade.config import RealtimeConfig
from realtime_facade.events import (
    AudioChunk,
    Event,
    GuardrailTripped,
    ResponseDone,
    ResponseStarted,
    TranscriptDelta,
)
from realtime_facade.guardrails import Guardrail, output_guardrail

RATE = 24_000
RUNS, TOGETHER = 200, 20
FORBIDDEN = "forbidden"
WORDS = [
    *("a", "the", "it", "is", "well", "about", "please", "yesterday", "transformation", "so"),
    *("evening,", "I", "know", "wonderful.", "international", "we", "think", "that", "12", "o"),
]
LEAD_S = (-0.5, 3.0)
"""Recorded transcripts are between 0.2 s behind and 2.7 s ahead of their sound."""
PACE = (11.0, 21.0)
"""Characters a second of slow and of hasty speech."""


@dataclass
class Answer:
    """Words, the samples that they sound like, and in which order both arrive."""

    text: str
    pcm: bytes
    events: list[Event]


def code(word: str) -> int:
    """The value of every sample of a word."""
    return 1_000 + ([*WORDS, FORBIDDEN].index(word)) * 100


def heard_words(pcm: bytes) -> set[int]:
    return set(np.unique(np.frombuffer(pcm, "<i2")).tolist()) - {0}


def answer(rng: random.Random, *, forbidden: bool) -> Answer:
    words = rng.choices(WORDS, k=rng.randint(8, 40))
    if forbidden:
        words.insert(rng.randrange(len(words) + 1), FORBIDDEN)
    pace = rng.uniform(*PACE)
    sound: list[np.ndarray] = [np.zeros(round(rng.uniform(0, 0.3) * RATE), "<i2")]
    for word in words:
        # One word may be hurried, another drawn out; a pause follows some.
        seconds = (len(word) + 1) / pace * rng.uniform(0.75, 1.3)
        sound.append(np.full(round(seconds * RATE), code(word), "<i2"))
        if word.endswith((".", ",")):
            sound.append(np.zeros(round(rng.uniform(0.1, 0.5) * RATE), "<i2"))
    pcm = np.concatenate(sound).tobytes()
    text = " ".join(words)
    return Answer(text, pcm, list(_arrival(rng, text, pcm)))


def _arrival(rng: random.Random, text: str, pcm: bytes) -> Iterator[Event]:
    """Chunks and deltas of random sizes, in the order of a random lead that wavers."""
    ids = {"item_id": "item", "response_id": "r"}
    duration = len(pcm) / 2 / RATE
    lead = rng.uniform(*LEAD_S)
    pieces: list[tuple[float, Event]] = []
    at = 0
    while at < len(pcm):
        end = min(at + 2 * round(rng.uniform(0.01, 0.4) * RATE), len(pcm))
        chunk = AudioChunk(data=pcm[at:end], sample_rate=RATE, **ids)
        pieces.append((at / 2 / RATE, chunk))
        at = end
    at, due = 0, -10.0
    while at < len(text):
        end = at + rng.randint(1, 12)  # within words as well
        wavering = rng.uniform(-0.2, 0.2)
        due = max(due, duration * at / len(text) - lead + wavering)
        pieces.append((due, TranscriptDelta(text=text[at:end], **ids)))
        at = end
    pieces.sort(key=lambda piece: piece[0])
    yield ResponseStarted(response_id="r")
    for _, event in pieces:
        yield event
    ends = [
        AudioChunk(data=b"", sample_rate=RATE, is_final=True, **ids),
        TranscriptDelta(text="", is_final=True, full_text=text, **ids),
    ]
    rng.shuffle(ends)
    yield from ends
    yield ResponseDone(response_id="r")


def guardrail(rng: random.Random) -> Guardrail:
    slowness = rng.choice([0.0, 0.001, 0.01])

    async def slow(text: str) -> bool:
        await asyncio.sleep(rng.uniform(0, slowness))
        return FORBIDDEN in text

    def blocking(text: str) -> bool:
        time.sleep(slowness / 10)
        return FORBIDDEN in text

    kind = rng.choice([slow, slow, slow, blocking])
    return output_guardrail(mode="hold", debounce_chars=rng.choice([1, 1, 10]))(kind)


class Sink:
    """Everything that was given to the listener, in the order of giving."""

    def __init__(self) -> None:
        self.pcm = bytearray()

    def write(self, pcm: bytes) -> None:
        self.pcm += pcm

    def clear(self) -> None:
        """What was written may have been heard: it stays."""

    def played_ms(self) -> float:
        return len(self.pcm) / 2 / RATE * 1_000


async def run(start, seed: int) -> None:
    rng = random.Random(seed)
    forbidden = rng.random() < 0.75
    spoken = answer(rng, forbidden=forbidden)
    sink = Sink()
    conversation = await start(
        RealtimeConfig(max_hold_ms=60_000),
        playback=Playback(RATE, sink=sink),
        guardrails=[guardrail(rng)],
    )
    handed_out = bytearray()
    told = []
    events = conversation.session.events()
    for event in spoken.events:
        await conversation.server.send(event.model_dump_json())
        if rng.random() < 0.3:
            await asyncio.sleep(rng.choice([0, 0, 0.001]))

    def over(event: Event) -> bool:
        if forbidden:
            return isinstance(event, GuardrailTripped)
        return len(handed_out) == len(spoken.pcm) and bool(told) and told[-1].is_final

    async for event in events:
        if isinstance(event, AudioChunk):
            handed_out += event.data
        elif isinstance(event, TranscriptDelta):
            told.append(event)
        if over(event):
            break
    await asyncio.sleep(0.01)

    words = "".join(delta.text for delta in told)
    if forbidden:
        assert code(FORBIDDEN) not in heard_words(sink.pcm), seed
        assert code(FORBIDDEN) not in heard_words(handed_out), seed
        assert spoken.pcm.startswith(sink.pcm), seed
        assert FORBIDDEN not in words, seed
        assert FORBIDDEN not in conversation.session.history.format(), seed
        asked = [json.loads(frame) for frame in await _drain(conversation)]
        assert asked[-1]["command"] == "RequestResponse", seed
    else:
        assert bytes(sink.pcm) == bytes(handed_out) == spoken.pcm, seed
        assert words == spoken.text, seed


async def _drain(conversation) -> list[str]:
    frames = []
    while True:
        try:
            async with asyncio.timeout(0.05):
                frames.append(await conversation.server.receive())
        except TimeoutError:
            return frames


@pytest.mark.parametrize("first", range(0, RUNS, TOGETHER))
async def test_a_forbidden_word_is_never_heard(start, first):
    async with asyncio.timeout(50), asyncio.TaskGroup() as runs:
        for seed in range(first, first + TOGETHER):
            runs.create_task(run(start, seed), name=f"seed {seed}")


def test_the_words_of_the_test_can_be_told_apart():
    """Otherwise the runs above could not fail."""
    spoken = answer(random.Random(1), forbidden=True)
    assert {code(word) for word in spoken.text.split()} == heard_words(spoken.pcm)
    assert code(FORBIDDEN) in heard_words(spoken.pcm)
