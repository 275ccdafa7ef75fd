"""A cassette stands for a provider: the real engine over a real socket, frame by frame."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from realtime_facade import (
    ConfigurationError,
    RealtimeConnectionError,
    RealtimeVoice,
    ToolCallRequest,
    TranscriptDelta,
)
from realtime_facade.cassette import Cassette
from realtime_facade.cassette.provider import _kind

from .conftest import CONFIG, hold


def texts(events: list[Any]) -> list[str]:
    return [e.full_text for e in events if isinstance(e, TranscriptDelta) and e.is_final]


@pytest.mark.parametrize("wire", ["openai", "gemini"])
async def test_a_conversation_goes_as_it_went(recorded, wire):
    provider = Cassette.load(recorded[wire][0]).provider()
    voice = RealtimeVoice(provider, CONFIG)
    for _ in range(2):  # the second conversation begins at the beginning
        events = await hold(voice)
        assert texts(events) == ["what is the weather", "Sunny in Paris.", "Good bye then."]
    assert provider.mismatches == []


async def test_a_microphone_that_is_off_is_not_waited_for(recorded):
    provider = Cassette.load(recorded["openai"][0]).provider()
    voice = RealtimeVoice(provider, CONFIG)
    async with asyncio.timeout(5), voice.connect() as session:
        async for event in session.events():
            if texts([event]) == ["Sunny in Paris."]:
                break
    assert provider.mismatches == []


async def how_it_ends(voice: RealtimeVoice, *, text: str | None = None) -> Any:
    async with asyncio.timeout(5), voice.connect() as session:
        if text is not None:
            await session.send_text(text)
        return await session.wait_closed()


async def test_a_frame_that_does_not_come_is_told(recorded):
    provider = Cassette.load(recorded["openai"][0]).provider(patience_s=0.2)
    voice = RealtimeVoice(provider, CONFIG)

    @voice.on_tool_call
    async def hang(call: ToolCallRequest) -> str:
        await asyncio.sleep(10)
        return ""

    error = await how_it_ends(voice)
    assert isinstance(error, RealtimeConnectionError)
    assert (error.code, error.cause, error.retryable) == ("4000", "application", False)
    [problem] = provider.mismatches
    expected = "conversation.item.create (function_call_output) was recorded, nothing came in 0.2 s"
    assert expected in problem
    assert problem[-100:] in error.message


async def test_another_frame_than_was_recorded_is_told(recorded):
    provider = Cassette.load(recorded["openai"][0]).provider()
    await how_it_ends(RealtimeVoice(provider, CONFIG), text="unasked")
    [problem] = provider.mismatches
    assert re.search(
        r"line \d+: .*\(function_call_output\) was recorded, .*\(message\) came", problem
    )


async def test_the_recorded_end_comes_too(recorded, tmp_path):
    rows = recorded["gemini"][0].read_text().splitlines()
    at = next(i for i, row in enumerate(rows) if "setupComplete" in row)
    closed = {
        "kind": "closed",
        "at": 1,
        "connection": 1,
        "by": "provider",
        "code": 1008,
        "reason": "not today",
    }
    path = tmp_path / "closed.jsonl"
    path.write_text("\n".join([*rows[: at + 1], json.dumps(closed)]))
    voice = RealtimeVoice(Cassette.load(path).provider(), CONFIG)
    async with asyncio.timeout(5), voice.connect() as session:
        error = await session.wait_closed()
    assert error.code == "1008"
    assert "not today" in error.message


def test_kinds_of_frames():
    def kind(message: Any) -> str:
        return _kind(json.dumps(message))[0]

    assert kind({"type": "response.create"}) == "response.create"
    assert kind({"setup": {}}) == "setup"
    assert kind({"realtimeInput": {"activityStart": {}}}) == "realtimeInput.activityStart"
    assert kind({"clientContent": {"turns": [], "turnComplete": True}}) == "clientContent"
    assert kind([]) == kind({}) == "(no message)"
    assert _kind("{") == ("(no JSON)", 0)
    sound = {"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": "AAAA"}}}
    assert _kind(json.dumps(sound)) == ("realtimeInput.audio", 4)
    assert _kind('{"type": "input_audio_buffer.append", "audio": "AAAAAAAA"}')[1] == 8


def test_a_cassette_of_an_unknown_protocol(recorded, tmp_path: Path):
    text = recorded["openai"][0].read_text().replace('"protocol":"openai"', '"protocol":"nobody"')
    path = tmp_path / "strange.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="nobody"):
        Cassette.load(path).provider()
    with pytest.raises(ConfigurationError, match=r"strange.jsonl, line 2: .*nobody"):
        Cassette.load(path).events()
