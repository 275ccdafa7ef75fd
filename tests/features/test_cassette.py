"""Recording frames: everything is there, in order, and no secret is."""

import asyncio
import base64
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade import AudioChunk, Cassette, RealtimeAgent, RealtimeVoice, TurnEnded
from realtime_facade.commands import AppendAudio, SendText, UpdateSession
from realtime_facade.config import RealtimeConfig
from realtime_facade.conversation import SeedMessage
from realtime_facade.events import ErrorOccurred, Event
from realtime_facade.features import cassette
from realtime_facade.features.cassette import CassetteRecorder, _clean
from realtime_facade.providers.base import NO_PAST, Codec, Past
from realtime_facade.providers.gemini import GeminiProvider
from realtime_facade.providers.openai import OpenAIProvider
from realtime_facade.redaction import Redactor
from realtime_facade.tools.definition import ToolDefinition
from realtime_facade.transport.base import Transport, TransportClosed
from realtime_facade.transport.memory import MemoryTransport

KEY = "planted-" + "k" * 24
SOUND = base64.b64encode(bytes(range(96)) * 5).decode()


class Desk:
    """A recorder, and what a session would do with it."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.recorder = CassetteRecorder(path, **settings)
        self.events: list[Event] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.recorder.attach(self)  # type: ignore[arg-type] - what of `Control` it needs

    def start(self, work: Any, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self.tasks.add(task)
        return task

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def connect(
        self, past: Past = NO_PAST, config: RealtimeConfig | None = None
    ) -> tuple[Transport, Codec, MemoryTransport]:
        provider, config = OpenAIProvider(api_key=KEY), config or RealtimeConfig()
        profile = provider.profile(config)
        client, server = MemoryTransport.pair()
        transport, codec = self.recorder.connection(
            client,
            provider.codec(config, profile, ()),
            provider=provider,
            config=config,
            model=profile.model,
            tools=[ToolDefinition(name="weather")],
            past=past,
            secrets=[KEY],
        )
        return transport, codec, server

    async def finish(self) -> list[dict[str, Any]]:
        """Ends as a session does; the lines."""
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)
        await self.recorder.finish()
        path = self.recorder.path
        return [json.loads(row) for row in path.read_text().splitlines()] if path.is_file() else []


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def make(path: Path | None = None, **settings: Any) -> Desk:
        desks.append(Desk(path or tmp_path / "new" / "talk.jsonl", **settings))
        return desks[-1]

    yield make
    for each in desks:
        await each.finish()


async def test_everything_is_there_in_order(desk: Callable[..., Desk]):
    made = desk()
    past = Past(items=(SeedMessage.user("hi"),), handle=KEY, connections=1)
    transport, codec, server = made.connect(
        past, RealtimeConfig(voice="ash", provider_options={"x": {"authorization": KEY}})
    )
    await server.send('{"type": "session.created"}')
    codec.receive(await transport.receive())
    codec.send(SendText(text="hello"))
    await transport.send("one")
    assert transport.send_nowait("two")
    codec.send(AppendAudio(data=bytes(960)))
    await server.close(1001, f"going away {KEY}")
    with pytest.raises(TransportClosed):
        await transport.receive()
    await transport.close()
    second, _, _ = made.connect()
    await second.close()
    header, opened, *lines = await made.finish()
    assert header == {
        "format": "realtime-facade cassette",
        "version": 1,
        "package": header["package"],
        "audio": True,
    }
    assert (opened["kind"], opened["provider"], opened["protocol"]) == ("opened", *["openai"] * 2)
    assert opened["config"] == {
        "voice": "ash",
        "provider_options": {"x": {"authorization": "[secret]"}},
    }
    assert [tool["name"] for tool in opened["tools"]] == ["weather"]
    assert [item["text"] for item in opened["past"]] == ["hi"]
    assert opened["resumed"]
    assert opened["past_connections"] == 1
    assert [(line["kind"], line["connection"]) for line in lines] == [
        ("received", 1),
        ("command", 1),
        ("sent", 1),
        ("sent", 1),
        ("command", 1),
        ("closed", 1),
        ("opened", 2),
        ("closed", 2),
    ]
    assert lines[0]["text"] == '{"type": "session.created"}'
    assert lines[1]["fields"]["text"] == "hello"
    assert [line["text"] for line in lines[2:4]] == ["one", "two"]
    assert lines[4]["fields"] == {"bytes": 960}
    assert lines[5]["by"] == "provider"
    assert lines[5]["code"] == 1001
    assert lines[5]["reason"] == "going away [secret]"
    assert lines[7]["by"] == "application"
    times = [line["at"] for line in lines]
    assert times == sorted(times)
    assert made.recorder.error is None
    assert made.recorder.path.stat().st_mode & 0o077 == 0, "people's words are nobody else's"


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "session.update", "session": {"tools": [{"type": "mcp", "authorization": KEY}]}},
        {"type": "session.update", "session": {"tools": [{"headers": {"X-Mine": KEY}}]}},
        {"client_secret": {"value": "ek_" + "1234567890"}},
        {"sessionResumptionUpdate": {"newHandle": "the-handle", "resumable": True}},
        {"setup": {"sessionResumption": {"handle": "the-handle"}}},
        {"type": "error", "error": {"message": f"you sent {KEY}"}},
        {"type": "error", "error": {"message": "you sent sk-" + "1234567890abc"}},
        {"text": "Bearer " + "1234567890abc"},
    ],
)
def test_no_secret_gets_into_a_frame(frame: dict[str, Any]):
    cleaned = _clean(json.dumps(frame), Redactor([KEY]), audio=True)
    assert "[secret]" in cleaned
    assert not any(text in cleaned for text in (KEY, "1234567890", "the-handle"))
    assert json.loads(cleaned).keys() == frame.keys()


def test_a_frame_without_secrets_stays_as_it_came():
    text = '{ "type":"x",  "token": "", "n": 1.50, "t": "\\u00fc", "audio": "' + SOUND + '"}'
    assert _clean(text, Redactor([KEY]), audio=True) == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
    st.booleans(),
)
def test_any_frame_can_be_cleaned(message: Any, audio: bool):
    text = json.dumps(message)
    cleaned = json.loads(_clean(text, Redactor([KEY]), audio=audio))
    assert type(cleaned) is type(message)


@pytest.mark.parametrize(
    ("frame", "place"),
    [
        ({"type": "input_audio_buffer.append", "audio": SOUND}, ["audio"]),
        ({"type": "response.output_audio.delta", "delta": SOUND}, ["delta"]),
        (
            {"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": SOUND}}},
            ["realtimeInput", "audio", "data"],
        ),
        (
            {"parts": {"inlineData": {"mimeType": "audio/pcm", "data": SOUND}, "text": "hi"}},
            ["parts", "inlineData", "data"],
        ),
    ],
)
def test_sound_becomes_silence_of_the_same_length_on_request(frame: Any, place: list[str]):
    cleaned: Any = json.loads(_clean(json.dumps(frame), Redactor(), audio=False))
    kept: Any = json.loads(_clean(json.dumps(frame), Redactor(), audio=True))
    for step in place:
        cleaned, kept = cleaned[step], kept[step]
    assert kept == SOUND
    assert base64.b64decode(cleaned) == bytes(480)


def test_words_stay_where_sound_goes():
    frame = {"type": "response.output_audio_transcript.delta", "delta": "hello"}
    assert json.loads(_clean(json.dumps(frame), Redactor(), audio=False)) == frame


async def test_frames_that_are_no_text_are_kept(desk: Callable[..., Desk]):
    made = desk()
    transport, _, server = made.connect()
    await server.send(b"\xff\x00")
    await server.send("half a \ud800 pair")
    assert await transport.receive() == b"\xff\x00"
    await transport.receive()
    lines = await made.finish()
    assert base64.b64decode(lines[2]["base64"]) == b"\xff\x00"
    assert "text" not in lines[3]


async def settled(made: Desk) -> None:
    async with asyncio.timeout(5):
        while not made.events:  # noqa: ASYNC110 - the thread tells nobody
            await asyncio.sleep(0.01)


async def test_a_full_disk_is_told_once_and_the_talk_goes_on(desk: Callable[..., Desk]):
    made = desk(Path("/dev/full"))
    transport, _, server = made.connect()
    await transport.send("x" * 20_000)
    await settled(made)
    for _ in range(3):
        await transport.send("still there")
    assert await server.receive() == "x" * 20_000
    assert await server.receive() == "still there"
    await made.finish()
    [error] = made.events
    assert isinstance(error, ErrorOccurred)
    assert error.cause == "device"
    assert not error.fatal
    assert "/dev/full" in error.message


async def test_a_path_that_cannot_be_is_told(desk: Callable[..., Desk], tmp_path: Path):
    tmp_path.joinpath("file").write_text("")
    made = desk(tmp_path / "file" / "talk.jsonl")
    made.connect()
    await settled(made)
    assert "talk.jsonl" in made.events[0].message


async def test_a_disk_that_hangs_costs_bounded_memory(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cassette, "BACKLOG_BYTES", 50_000)
    monkeypatch.setattr(cassette, "CLOSE_PATIENCE_S", 0.05)
    hang = threading.Event()
    opened = os.open

    def slow(*args: Any) -> int:
        hang.wait(5)
        return opened(*args)

    monkeypatch.setattr(cassette.os, "open", slow)
    made = desk()
    transport, _, server = made.connect()
    for _ in range(100):
        await transport.send("x" * 1_000)
        await asyncio.sleep(0)
        await server.receive()
    [error] = made.events
    assert error.code == "too_slow"
    assert made.recorder._disk.waiting_bytes < 60_000
    await made.finish()
    hang.set()


async def test_what_was_queued_when_the_session_ended_is_written(desk: Callable[..., Desk]):
    made = desk()
    transport, codec, _ = made.connect()
    await asyncio.sleep(0.05)
    await transport.send("after the first look")
    codec.send(
        UpdateSession(
            config=RealtimeConfig(instructions="new"), changed=frozenset({"instructions"})
        )
    )
    lines = await made.finish()
    assert lines[-2]["text"] == "after the first look"
    assert lines[-1]["fields"] == {
        "config": {"instructions": "new"},
        "changed": ["instructions"],
        "tools": [],
    }
    await transport.close()  # too late to be written, and no harm


def test_the_protocol_is_known_for_every_kind_of_provider():
    class Elsewhere(GeminiProvider):
        name = "elsewhere"

    assert Elsewhere(api_key="x").protocol == "gemini"
    assert OpenAIProvider(api_key="x").protocol == "openai"


async def test_agents_record_too_and_conversations_are_numbered(simulator, tmp_path: Path):
    simulator('otherwise = "Hello!"', wires=["openai"])
    agent = RealtimeAgent(record_to=tmp_path / "talk.jsonl")
    for _ in range(2):
        async with agent.connect() as session:
            await session.send_text("hi", respond=False)
    for name in ("talk.jsonl", "talk-2.jsonl"):
        rows = tmp_path.joinpath(name).read_text().splitlines()
        kinds = [json.loads(row).get("kind") for row in rows]
        assert kinds[:2] == [None, "opened"]
        assert kinds[-1] == "closed"
        assert "command" in kinds


async def test_silence_can_be_recorded_instead_of_speech(simulator, tmp_path: Path):
    simulator(wires=["openai"])
    voice = RealtimeVoice(record_to=tmp_path / "talk.jsonl", record_audio=False)
    async with asyncio.timeout(5), voice.connect() as session:
        await session.send_text("hi")
        async for event in session:
            if isinstance(event, TurnEnded):
                break
    chunks = [e for e in Cassette.load(voice._record_to).events() if isinstance(e, AudioChunk)]
    assert sum(len(chunk.data) for chunk in chunks) > 10_000
    assert not any(any(chunk.data) for chunk in chunks)
