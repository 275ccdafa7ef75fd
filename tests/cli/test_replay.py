"""What happened on a cassette, for people and for programs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from realtime_facade.cli.commands import app
from realtime_facade.cli.replay import replay

GEMINI = [
    {"format": "realtime-facade cassette", "version": 1, "package": "0"},
    {
        "kind": "opened",
        "at": 0,
        "connection": 1,
        "provider": "gemini",
        "protocol": "gemini",
        "model": "gemini-3.8-live",
        "past": [{"type": "message", "role": "user", "text": "hi"}],
    },
    {"kind": "received", "at": 0.5, "connection": 1, "text": '{"setupComplete": {}}'},
    *(
        {
            "kind": "received",
            "at": 1.0,
            "connection": 1,
            "text": json.dumps(
                {
                    "serverContent": {
                        "modelTurn": {
                            "parts": [
                                {"inlineData": {"mimeType": "audio/pcm", "data": "AAAA" * 40}}
                            ]
                        }
                    }
                }
            ),
        }
        for _ in range(3)
    ),
    {
        "kind": "received",
        "at": 1.5,
        "connection": 1,
        "text": '{"sessionResumptionUpdate": {"newHandle": "not-for-you", "resumable": true}}',
    },
    {
        "kind": "received",
        "at": 2.0,
        "connection": 1,
        "text": '{"serverContent": {"outputTranscription": {"text": "\\u001b[31mhi"}}}',
    },
    {
        "kind": "closed",
        "at": 3.0,
        "connection": 1,
        "by": "provider",
        "code": 1011,
        "reason": "overloaded",
    },
]


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(map(json.dumps, GEMINI)))
    return path


def test_lines_for_people(talk: Path):
    result = CliRunner().invoke(app, ["replay", str(talk)])
    assert result.exit_code == 0, result.output
    first, *_, last = lines = [" ".join(row.split()) for row in result.stdout.splitlines()]
    assert first == "0.000 1 connected to gemini, gemini-3.8-live, with 1 items of before"
    assert last == "3.000 1 closed by the provider with 1011: overloaded"
    [audio] = [line for line in lines if " audio " in line]
    assert "duration_ms=7.5" in audio, "three chunks are one line"
    assert "not-for-you" not in result.stdout
    assert "\x1b" not in result.stdout


def test_json_for_programs(talk: Path):
    result = CliRunner().invoke(app, ["replay", str(talk), "--json"])
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [e.get("type", e.get("kind")) for e in events][:3] == [
        "opened",
        "session_started",
        "response_started",
    ]
    assert [e["data_bytes"] for e in events if e.get("type") == "audio"] == [120] * 3
    assert {e["connection"] for e in events} == {1}
    assert [e["at"] for e in events] == sorted(e["at"] for e in events)
    assert "not-for-you" not in result.stdout


def test_a_broken_cassette_ends_with_a_code_and_the_line(talk: Path):
    text = talk.read_text().splitlines()
    talk.write_text("\n".join([*text[:3], "broken", *text[3:]]))
    result = CliRunner().invoke(app, ["replay", str(talk)])
    assert result.exit_code == 2
    assert "line 4" in result.stderr
    assert result.stdout == ""
    result = CliRunner().invoke(app, ["replay", str(talk.with_name("none.jsonl"))])
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


def test_speed(talk: Path):
    slept: list[float] = []
    lines: list[str] = []
    replay(talk, as_json=False, speed=2, write=lines.append, sleep=slept.append)
    assert sum(slept) == pytest.approx(1.5)
    assert len(lines) > 5
    with pytest.raises(ValueError, match="0 or more"):
        replay(talk, as_json=False, speed=-1, write=lines.append)
