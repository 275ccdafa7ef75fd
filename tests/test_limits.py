"""A hostile server floods a session in every way there is; what the session keeps stops growing.

Measured is what is kept, not time: everything reachable from the engine is counted after a flood
and after twice the flood.
"""

import asyncio
import base64
import functools
import json
import logging
import types
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from realtime_facade import (
    AudioDropped,
    ErrorOccurred,
    Event,
    GeminiProvider,
    OpenAIProvider,
    RealtimeConfig,
    RealtimeVoice,
    Session,
    ToolCallCompleted,
    ToolCallRequest,
    TranscriptDelta,
)
from realtime_facade import conversation as history_module
from realtime_facade.audio.playback import LONGEST_S, MOST_SPANS, Playback
from realtime_facade.errors import ProtocolError
from realtime_facade.features import tool_calls as tool_calls_module
from realtime_facade.features.tool_calls import MOST_RUNNING
from realtime_facade.providers.base import Codec
from realtime_facade.providers.gemini import codec as gemini_codec_module
from realtime_facade.providers.gemini import conversation as gemini_conversation
from realtime_facade.providers.gemini import turns as gemini_turns
from realtime_facade.providers.limits import (
    LONGEST_ARGUMENTS,
    LONGEST_ID,
    LONGEST_TEXT,
    MOST_CALLS,
    MOST_PARTS,
)
from realtime_facade.providers.openai import speech as openai_speech
from realtime_facade.providers.openai import turns as openai_turns
from realtime_facade.session import flood as flood_module
from realtime_facade.session import mailbox as mailbox_module
from realtime_facade.session import outbox as outbox_module
from realtime_facade.session.link import MOST_EARLY
from realtime_facade.transport import websocket

Message = dict[str, Any]
MARK = {"type": "marker", "marker": True}
SILENCE = base64.b64encode(bytes(4_800)).decode()

_LEAVES = (type, types.FunctionType, types.ModuleType, asyncio.AbstractEventLoop, asyncio.Future)


def weight(root: object) -> int:
    """How much is reachable: characters and bytes, and 10 for each thing that is kept."""
    seen: set[int] = set()
    waiting = deque([root])
    total = 0
    while waiting:
        thing = waiting.popleft()
        if id(thing) in seen or isinstance(thing, (*_LEAVES, logging.Logger)):
            continue
        if type(thing).__module__.startswith(("websockets", "pydantic", "numpy", "soxr")):
            continue
        seen.add(id(thing))
        total += 10
        if isinstance(thing, str | bytes | bytearray):
            total += len(thing)
        elif isinstance(thing, dict):
            waiting.extend(thing.keys())
            waiting.extend(thing.values())
        elif isinstance(thing, list | tuple | set | frozenset | deque):
            waiting.extend(thing)
        elif isinstance(thing, types.MethodType):
            waiting.append(thing.__self__)
        elif isinstance(thing, functools.partial):
            waiting.extend([*thing.args, *thing.keywords.values()])
        else:
            waiting.extend(getattr(thing, "__dict__", {}).values())
            for kind in type(thing).__mro__:
                slots = kind.__dict__.get("__slots__", ())
                names = (slots,) if isinstance(slots, str) else slots
                waiting.extend(getattr(thing, n) for n in names if hasattr(thing, n))
    return total


def test_the_scale_sees_what_is_kept():
    class Kept:
        __slots__ = ("inside",)

        def __init__(self) -> None:
            self.inside: dict[str, deque[str]] = {"a": deque()}

    kept = Kept()
    before = weight([kept])
    kept.inside["a"].append("x" * 1_000)
    assert weight([kept]) - before == 1_010


# -- the floods ---------------------------------------------------------------------------------


def openai_greeting() -> list[Message]:
    session = {"id": "s", "model": "m"}
    return [{"type": f"session.{when}", "session": session} for when in ("created", "updated")]


def o(kind: str, **fields: Any) -> Message:
    return {"type": kind, **fields}


def created(response_id: str) -> Message:
    return o("response.created", response={"id": response_id})


def called(call_id: str, response_id: str = "r", **fields: Any) -> Message:
    call = {"call_id": call_id, "name": "hang", "arguments": "{}", "response_id": response_id}
    return o("response.function_call_arguments.done", **{**call, **fields})


def openai_floods(n: str) -> dict[str, list[Message]]:
    words = "response.output_audio_transcript.delta"
    heard = "conversation.item.input_audio_transcription"
    return {
        "items without an end": [o(words, item_id=n, response_id="r", delta="word ")],
        "one item without an end": [o(words, item_id="i", response_id="r", delta="word " * 500)],
        "words of users without an end": [o(f"{heard}.delta", item_id=n, delta="word ")],
        "one user without an end": [o(f"{heard}.delta", item_id="u", delta="word " * 500)],
        "users who are not answered": [
            o("input_audio_buffer.speech_started", item_id=n),
            o("input_audio_buffer.speech_stopped", item_id=n),
            o("input_audio_buffer.committed", item_id=n),
            o(f"{heard}.completed", item_id=n, transcript=f"words {n}"),
        ],
        "speech that never stops": [o("input_audio_buffer.speech_started", item_id=n)],
        "answers that never end": [
            created(n),
            o(words, item_id=n, response_id=n, delta="word "),
            o("response.output_audio.delta", item_id=n, response_id=n, delta="AAAA"),
            o("input_audio_buffer.speech_started", item_id=n),
        ],
        "sound of ever new items": [
            o("response.output_audio.delta", item_id=n, response_id="r", delta="AAAA")
        ],
        "calls": [called(n)],
        "calls of answers that never end": [called(n, n)],
        "the same call in ever new answers": [created(n), called(n, n, arguments='{"a": 1}')],
        "calls in words": [called(n, arguments="not JSON")],
        "raw messages": [o(f"news.{n}", data={"a": ["b"] * 20})],
        "errors": [o("error", error={"code": n, "message": "no " * 100})],
        "failed answers": [
            o("response.done", response={"id": n, "status": "failed", "status_details": {}})
        ],
        "broken messages": [o("response.done", response=n)],
    }


def g(**content: Any) -> Message:
    return {"serverContent": content}


def gemini_floods(n: str) -> dict[str, list[Message]]:
    sound = {"inlineData": {"mimeType": "audio/pcm;rate=16000", "data": "AAAA"}}
    call = {"functionCalls": [{"id": n, "name": "hang", "args": {"a": n}}]}
    return {
        "one item without an end": [g(outputTranscription={"text": "word " * 500})],
        "one user without an end": [g(inputTranscription={"text": "word " * 500})],
        "thoughts": [g(modelTurn={"parts": [{"text": "hm " * 100, "thought": True}]})],
        "sound of ever new items": [g(modelTurn={"parts": [sound]}), g(generationComplete=True)],
        "answers cut short": [
            g(modelTurn={"parts": [sound]}),
            g(outputTranscription={"text": "word "}),
            g(interrupted=True),
        ],
        "turns": [
            g(inputTranscription={"text": "word "}),
            g(outputTranscription={"text": "word "}),
            g(turnComplete=True),
        ],
        "calls": [{"toolCall": call}],
        "calls that are taken back": [{"toolCall": call}, {"toolCallCancellation": {"ids": [n]}}],
        "handles": [{"sessionResumptionUpdate": {"newHandle": n, "resumable": True}}],
        "raw messages": [{f"news{n}": ["b"] * 20}],
        "errors": [{"error": {"code": 400, "status": n, "message": "no " * 100}}],
        "broken messages": [{"serverContent": n}],
        "speech that never stops": [{"voiceActivity": {"type": "ACTIVITY_START"}}],
    }


CASES = [
    *(("openai", name) for name in openai_floods("")),
    *(("gemini", name) for name in gemini_floods("")),
]


def flood(wire: str, name: str, numbers: Iterator[int]) -> list[Message]:
    make = openai_floods if wire == "openai" else gemini_floods
    return make(f"n{next(numbers):07d}")[name]


async def hang(a: str = "") -> str:
    """Never answer."""
    await asyncio.sleep(600)
    return ""


@asynccontextmanager
async def flooded(wire: str, **settings: Any) -> AsyncIterator[tuple[Session, Callable[..., Any]]]:
    """A session with everything switched on, and a function that lets the server send messages."""
    orders: asyncio.Queue[list[Message]] = asyncio.Queue()
    arrived = asyncio.Event()

    async def serve_it(connection: ServerConnection) -> None:
        async def feed() -> None:
            while True:
                for message in await orders.get():
                    await connection.send(json.dumps(message))

        greeting = openai_greeting() if wire == "openai" else [{"setupComplete": {}}]
        for message in greeting:
            await connection.send(json.dumps(message))
        feeding = asyncio.create_task(feed())
        async for _ in connection:
            pass
        feeding.cancel()
        await asyncio.wait([feeding])

    async def send(messages: list[Message]) -> None:
        """Returns when all of it was taken."""
        arrived.clear()
        orders.put_nowait([*messages, MARK])
        async with asyncio.timeout(20):
            await arrived.wait()

    async with serve(serve_it, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        kind = OpenAIProvider if wire == "openai" else GeminiProvider
        settings = {"output_rate": 48_000, "captions": "heard", **settings}
        voice = RealtimeVoice(
            kind(api_key="k" * 20, base_url=f"ws://127.0.0.1:{port}"),
            RealtimeConfig(tools=(hang,), skip_leading_silence=True, reconnect=False, **settings),
        )

        @voice.on_wire("marker")
        async def mark(_: Message) -> None:
            arrived.set()

        async with voice.connect() as session:
            yield session, send


FLOOD = 400

SMALLER = {
    history_module: {"MOST_ENTRIES": 200},
    mailbox_module: {"EVENT_LIMIT": 300, "AUDIO_LIMIT_MS": 1_000.0, "CHUNK_LIMIT": 300},
    tool_calls_module: {"_REMEMBERED": 100, "MOST_RUNNING": 50},
    openai_speech: {"MOST_ITEMS": 100, "LONGEST_TEXT": 50_000},
    openai_turns: {"MOST_CALLS": 200},
    gemini_turns: {"LONGEST_TEXT": 50_000},
    gemini_conversation: {"MOST_CALLS": 200},
    gemini_codec_module: {"MOST_CALLS": 200},
    flood_module: {"TELL_AFTER_S": 0.01},
}
"""So that a short flood reaches every limit."""


@pytest.mark.parametrize(("wire", "name"), CASES, ids=[f"{w}: {n}" for w, n in CASES])
async def test_what_is_kept_stops_growing(wire, name, monkeypatch):
    for module, limits in SMALLER.items():
        for limit, value in limits.items():
            monkeypatch.setattr(module, limit, value)
    numbers = count()
    async with flooded(wire) as (session, send):
        unread = session.events()
        engine = session._engine
        kept = []
        for _ in range(3):
            await send([m for _ in range(FLOOD) for m in flood(wire, name, numbers)])
            await asyncio.sleep(0.02)
            kept.append(weight(engine))
        assert session.is_active
        # Numbers become longer, and the newest of a kind replaces the oldest: no more than that.
        assert kept[2] - kept[1] < FLOOD * 5, kept
        assert kept[2] < 4_000_000, kept
        await unread.aclose()


# -- single limits ------------------------------------------------------------------------------


def openai_codec() -> Codec:
    provider = OpenAIProvider(api_key="k", base_url="http://127.0.0.1/v1")
    config = RealtimeConfig()
    codec = provider.codec(config, provider.profile(config), ())
    for message in openai_greeting():
        codec.receive(json.dumps(message))
    return codec


def gemini_codec() -> Codec:
    provider = GeminiProvider(api_key="k")
    config = RealtimeConfig()
    codec = provider.codec(config, provider.profile(config), ())
    codec.open()
    codec.receive('{"setupComplete": {}}')
    return codec


LONG = "x" * (LONGEST_ID + 1)


@pytest.mark.parametrize(
    "message",
    [
        created(LONG),
        called(LONG),
        called("c", name=LONG),
        o("response.output_text.delta", item_id=LONG, delta=""),
        o("error", error={"code": LONG}),
        o("session.updated", session={"id": LONG}),
        o(LONG),
    ],
)
def test_openai_identifiers_are_short(message):
    with pytest.raises(ProtocolError) as caught:
        openai_codec().receive(json.dumps(message))
    assert LONG not in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        {"toolCall": {"functionCalls": [{"id": LONG, "name": "f"}]}},
        {"toolCall": {"functionCalls": [{"id": "i", "name": LONG}]}},
        {"sessionResumptionUpdate": {"newHandle": LONG * 40, "resumable": True}},
        {"setupComplete": {"sessionId": LONG}},
        g(modelTurn={"parts": [{"inlineData": {"mimeType": LONG, "data": ""}}]}),
        g(modelTurn={"parts": [{}] * (MOST_PARTS + 1)}),
        {"toolCall": {"functionCalls": [{"id": "i", "name": "f"}] * (MOST_PARTS + 1)}},
        {"toolCallCancellation": {"ids": ["i"] * (MOST_PARTS + 1)}},
        {"usageMetadata": {"promptTokensDetails": [{}] * (MOST_PARTS + 1)}},
    ],
)
def test_gemini_identifiers_are_short_and_lists_too(message):
    with pytest.raises(ProtocolError) as caught:
        gemini_codec().receive(json.dumps(message))
    assert LONG not in str(caught.value)


def test_long_arguments_are_refused_in_words():
    arguments = {"a": "x" * LONGEST_ARGUMENTS}
    output = openai_codec().receive(json.dumps(called("c", arguments=json.dumps(arguments))))
    assert "function_call_output" in str(output.frames[0])
    output = gemini_codec().receive(
        json.dumps({"toolCall": {"functionCalls": [{"id": "c", "name": "f", "args": arguments}]}})
    )
    assert "toolResponse" in str(output.frames[0])
    for each in output.events:
        assert not isinstance(each, ToolCallRequest)


def test_more_calls_than_can_be_remembered_are_refused_in_words():
    codec = gemini_codec()
    refused = 0
    for number in range(MOST_CALLS + 10):
        call = {"functionCalls": [{"id": f"c{number}", "name": "f"}]}
        refused += len(codec.receive(json.dumps({"toolCall": call})).frames)
    assert refused == 10


def test_an_endless_transcript_is_cut_with_a_word_about_it():
    codec = gemini_codec()
    events: list[Event] = []
    for _ in range(8):
        text = {"text": "x" * (LONGEST_TEXT // 4)}
        events += codec.receive(json.dumps(g(outputTranscription=text))).events
    deltas = [e for e in events if isinstance(e, TranscriptDelta)]
    assert sum(len(e.text) for e in deltas) == LONGEST_TEXT
    assert sum(isinstance(e, ErrorOccurred) for e in events) == 4


async def test_every_call_of_a_flood_gets_its_one_output():
    numbers = range(MOST_RUNNING + 50)
    async with flooded("openai") as (session, send):
        completed: list[ToolCallCompleted] = []
        session.on(ToolCallCompleted, completed.append)
        await send([called(f"c{n}", arguments=f'{{"a": "{n}"}}') for n in numbers])
        async with asyncio.timeout(5):
            while len(completed) < 50:  # noqa: ASYNC110 - a sync handler tells nobody
                await asyncio.sleep(0.01)
        assert [c.call_id for c in completed] == [f"c{n}" for n in list(numbers)[MOST_RUNNING:]]
        assert all("at once" in c.output and c.is_error for c in completed)


async def test_errors_are_told_together_when_there_are_many(monkeypatch):
    monkeypatch.setattr(flood_module, "TELL_AFTER_S", 0.05)
    async with flooded("openai") as (session, send):
        errors: list[ErrorOccurred] = []
        session.on(ErrorOccurred, errors.append)
        await send([o("error", error={"message": f"error {n}"}) for n in range(500)])
        async with asyncio.timeout(5):
            while not errors or errors[-1].code != "too_many_errors":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        left_out = sum(int(e.message.split()[0]) for e in errors if e.code == "too_many_errors")
        told = sum(e.code != "too_many_errors" for e in errors)
        assert told + left_out == 500
        assert flood_module.BURST <= told < flood_module.BURST + 50


async def test_hours_of_sound_are_dropped_and_counted():
    async with flooded("openai", output_rate=24_000, captions="generated") as (session, send):
        dropped: list[AudioDropped] = []
        session.on(AudioDropped, dropped.append)
        minute = base64.b64encode(bytes(60 * 48_000)).decode()
        sound = o("response.output_audio.delta", item_id="i", response_id="r", delta=minute)
        await send([sound] * 15)
        async with asyncio.timeout(5):
            while len(dropped) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert session.playback.pending_ms <= (LONGEST_S + 60) * 1_000
        assert all(d.direction == "output" for d in dropped)


def test_a_ledger_of_many_small_pieces_is_full():
    playback = Playback(24_000, clock=lambda: 0.0)
    pieces = 0
    while not playback.is_full:
        playback.write(str(pieces % 2), bytes(2))
        pieces += 1
    assert pieces == MOST_SPANS + 1


async def test_a_peer_that_does_not_read_is_given_up(monkeypatch):
    monkeypatch.setattr(outbox_module, "MOST_FRAMES", 50)
    monkeypatch.setattr(websocket, "CLOSE_TIMEOUT_S", 0.2)
    stop = asyncio.Event()

    async def ignore(connection: ServerConnection) -> None:
        for message in openai_greeting():
            await connection.send(json.dumps(message))
        connection.transport.pause_reading()
        await stop.wait()
        connection.transport.abort()

    async with serve(ignore, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        provider = OpenAIProvider(api_key="k" * 20, base_url=f"ws://127.0.0.1:{port}")
        voice = RealtimeVoice(provider, RealtimeConfig(reconnect=False))
        async with asyncio.timeout(10), voice.connect() as session:
            while session.is_active:
                await session.send_text("x" * 20_000, respond=False)
                await asyncio.sleep(0)
            assert "does not read" in str(session._engine.ended)
            stop.set()


async def test_a_peer_that_talks_without_accepting_is_given_up():
    async def talk(connection: ServerConnection) -> None:
        for number in range(MOST_EARLY + 100):
            await connection.send(json.dumps(o(f"news.{number}")))
        await connection.wait_closed()

    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        provider = OpenAIProvider(api_key="k" * 20, base_url=f"ws://127.0.0.1:{port}")
        voice = RealtimeVoice(provider, RealtimeConfig(reconnect=False, setup_timeout_s=10))
        with pytest.raises(Exception, match="does not accept"):
            async with asyncio.timeout(8):
                await voice.connect()


async def test_a_flood_leaves_others_their_turn():
    async with flooded("openai") as (_, send):
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(others())
        await send([o("news")] * 3_000)
        other.cancel()
        await asyncio.wait([other])
        assert turns > 3_000 / 64
