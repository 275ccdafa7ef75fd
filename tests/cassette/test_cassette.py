"""A cassette gives back what happened, and says what is wrong with it."""

import json
from pathlib import Path

import pytest

from realtime_facade.cassette import Cassette
from realtime_facade.errors import ConfigurationError
from realtime_facade.events import (
    AudioChunk,
    Event,
    RawEvent,
    ResponseDone,
    SessionStarted,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
)

SAME = (ToolCallRequest, TranscriptDelta, AudioChunk, ResponseDone, TurnEnded, RawEvent)


def ours(events: list[Event]) -> dict[type[Event], list[Event]]:
    """By type: urgent events overtake others on the way to the application."""
    return {kind: [e for e in events if type(e) is kind] for kind in SAME}


@pytest.mark.parametrize("wire", ["openai", "gemini"])
def test_the_codec_says_the_same_again(recorded, wire):
    path, seen = recorded[wire]
    cassette = Cassette.load(path)
    assert (cassette.opened.provider, cassette.opened.protocol) == (wire, wire)
    assert cassette.config.instructions == "Be brief."
    assert cassette.connections == 1
    again = cassette.events()
    assert isinstance(again[0], SessionStarted)
    got = ours(again)
    for kind, events in ours(seen).items():
        # What came after the application had left was not seen by it, but recorded.
        assert got[kind][: len(events)] == events, kind
        assert len(got[kind]) - len(events) <= 1
    assert len(got[TurnEnded]) == 2


def rows(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.parametrize(
    ("number", "damaged", "problem"),
    [
        (1, "{}", "this is no cassette"),
        (1, "nonsense", "this is no cassette"),
        (1, '{"format": "realtime-facade cassette", "version": 2, "package": "9"}', "version"),
        (2, '{"kind": "sent", "at": 0, "connection": 1}', "the first connection is missing"),
        (5, "{", "Invalid JSON"),
        (5, '{"kind": "dance", "at": 0, "connection": 1}', "dance"),
        (5, '{"kind": "sent", "connection": 1}', "at: Field required"),
        (5, '{"kind": "received", "at": 0, "connection": 7, "text": ""}', "7 is not open"),
        (5, '{"kind": "command", "at": 0, "connection": 1, "name": "Fly"}', "Fly"),
        (
            5,
            '{"kind": "command", "at": 0, "connection": 1, "name": "SendText", "fields": {}}',
            "text",
        ),
        (
            5,
            '{"kind": "command", "at": 0, "connection": 1, "name": "SendToolResult",'
            ' "fields": {"call_id": "c", "function_name": "f", "output": ""}}',
            "'c'",
        ),
    ],
)
def test_a_broken_line_is_named(recorded, tmp_path, number, damaged, problem):
    lines = rows(recorded["openai"][0])
    lines[number - 1] = damaged
    path = tmp_path / "broken.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigurationError, match=rf"broken.jsonl, line {number}: .*{problem}"):
        Cassette.load(path).events()


@pytest.mark.parametrize("content", ["", "\n", "{}\n"])
def test_a_file_that_is_no_cassette(tmp_path, content):
    path = tmp_path / "empty.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="line 1: this is no cassette"):
        Cassette.load(path)


def test_a_header_alone_is_no_session(recorded, tmp_path):
    path = tmp_path / "short.jsonl"
    path.write_text(rows(recorded["openai"][0])[0] + "\n")
    with pytest.raises(ConfigurationError, match="line 2: the first connection is missing"):
        Cassette.load(path)


def test_what_a_killed_program_has_left_can_be_read(recorded, tmp_path):
    whole = recorded["openai"][0].read_bytes()
    path = tmp_path / "killed.jsonl"
    path.write_bytes(whole[: len(whole) // 2])
    assert isinstance(Cassette.load(path).events()[0], SessionStarted)


def test_a_malformed_frame_is_an_event_as_it_was(recorded, tmp_path):
    lines = rows(recorded["openai"][0])
    broken = {"kind": "received", "at": 0.1, "connection": 1, "text": "{"}
    lines.insert(6, json.dumps(broken))
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(lines))
    [error] = [e for e in Cassette.load(path).events() if e.type == "error"]
    assert error.cause == "protocol"
