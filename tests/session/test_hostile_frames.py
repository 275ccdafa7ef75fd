"""A session on a provider's real codec outlives whatever frames come."""

import asyncio
import json
import random

import pytest

from realtime_facade.audio.playback import Playback
from realtime_facade.config import RealtimeConfig
from realtime_facade.conversation import ConversationHistory
from realtime_facade.errors import RealtimeConnectionError
from realtime_facade.events import AudioChunk, ErrorOccurred, Event
from realtime_facade.providers.base import Provider
from realtime_facade.providers.gemini import GeminiProvider
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.session.engine import Engine
from realtime_facade.session.event_bus import EventBus
from realtime_facade.session.link import Link
from realtime_facade.transport.memory import MemoryTransport

AUDIO = "AAAA" * 40
OPENAI = [
    {"type": "session.created", "session": {"id": "sess_1"}},
    {"type": "session.updated", "session": {"id": "sess_1"}},
]
GEMINI = [{"setupComplete": {}}]
GOOD_OPENAI = {
    "type": "response.output_audio.delta",
    "response_id": "r",
    "item_id": "i",
    "output_index": 0,
    "content_index": 0,
    "delta": AUDIO,
}
GOOD_GEMINI = {
    "serverContent": {
        "modelTurn": {
            "parts": [{"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": AUDIO}}]
        }
    }
}


def hostile(good: dict, rng: random.Random) -> str | bytes:
    """A good frame, damaged in one of many ways."""
    text = json.dumps(good)
    match rng.randrange(7):
        case 0:
            return text[: rng.randrange(len(text))]
        case 1:
            at = rng.randrange(len(text))
            return text[:at] + rng.choice('{}[]",:0\\') + text[at + 1 :]
        case 2:
            return text.encode()[::-1]
        case 3:
            return "[" * rng.randrange(1, 5_000)
        case 4:
            return text.replace(AUDIO, rng.choice(["!!!", "A", "AAAAA", "\u0000", "=" * 99]))
        case 5:
            return json.dumps(rng.choice([None, 1, "x", [], {"type": []}, {"type": None}, {}]))
        case _:
            return bytes(rng.randrange(256) for _ in range(rng.randrange(60)))


@pytest.mark.parametrize(
    ("provider", "opening", "good"),
    [
        (OpenAIProvider(api_key="x"), OPENAI, GOOD_OPENAI),
        (GeminiProvider(api_key="x"), GEMINI, GOOD_GEMINI),
    ],
    ids=["openai", "gemini"],
)
async def test_a_session_outlives_hostile_frames(provider: Provider, opening, good):
    config = RealtimeConfig()
    profile = provider.profile(config)
    client, server = MemoryTransport.pair(max_frames=5_000)
    bus = EventBus()
    seen: list[Event] = []

    async def keep(event: Event) -> None:
        seen.append(event)

    bus.subscribe(Event, keep)

    async def release() -> None: ...

    async def dial(provider: Provider, config: RealtimeConfig, past: object) -> Link:
        link = Link(
            transport=client,
            codec=provider.codec(config, profile, ()),
            profile=profile,
            config=config,
            explain_close=lambda code, reason: RealtimeConnectionError(reason),
            release=release,
        )
        link.begin()
        await link.accepted
        return link

    engine = Engine(
        providers=[provider],
        dial=dial,
        config=config,
        playback=Playback(24_000),
        bus=bus,
        observers=[],
        history=ConversationHistory(),
    )
    for message in opening:
        await server.send(json.dumps(message))
    await engine.begin()
    rng = random.Random(2)
    for _ in range(1_000):
        await server.send(hostile(good, rng))
    await server.send(json.dumps(good))
    async with asyncio.timeout(20):
        while not (seen and type(seen[-1]) is AudioChunk and len(seen[-1].data) == 120):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert engine.ended is None
    refused = [e for e in seen if isinstance(e, ErrorOccurred)]
    assert len(refused) >= 100
    async with asyncio.timeout(5):
        while not (told := [e for e in seen if getattr(e, "code", None) == "too_many_errors"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert len(refused) + int(told[0].message.split()[0]) > 300
    assert not any(e.fatal for e in refused)
    await engine.close()
