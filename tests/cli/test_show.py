import io
import json

import pytest
from rich.console import Console

from realtime_facade.cli.show import JsonShow, TextShow
from realtime_facade.events import (
    AudioChunk,
    HeardItem,
    Interrupted,
    ToolCallCompleted,
    ToolCallRequest,
    TranscriptDelta,
)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=120, color_system=None)


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_json_leaves_audio_out_but_its_length():
    lines: list[str] = []
    show = JsonShow(lines.append)
    show.event(AudioChunk(data=bytes(480), item_id="i"))
    show.summary({"turns": []})
    chunk, summary = map(json.loads, lines)
    assert chunk["data_bytes"] == 480
    assert "data" not in chunk
    assert summary == {"type": "summary", "turns": []}


def test_text_shows_both_sides_the_tool_and_the_cut(console: Console):
    show = TextShow(console)
    cut = HeardItem(item_id="i", heard_ms=900, received_ms=4_000, heard_text="It is")
    for event in (
        TranscriptDelta(speaker="user", text="", full_text="what [now]", is_final=True),
        ToolCallRequest(call_id="c", function_name="clock", arguments={"zone": "utc"}),
        ToolCallCompleted(call_id="c", function_name="clock", output="noon", duration_ms=3),
        TranscriptDelta(text="It is ", item_id="i"),
        TranscriptDelta(text="noon.", item_id="i"),
        Interrupted(item_id="i", heard_ms=900, items=(cut,)),
    ):
        show.event(event)
    assert printed(console) == [
        "You        what [now]",
        "Tool       clock(zone='utc')",
        "           -> noon",
        "Assistant  It is noon.",
        "Cut in     after 900 ms; heard: It is",
    ]


def test_text_sums_latencies_up(console: Console):
    TextShow(console).summary(
        {"latency_ms": {"tool": [1.0, 3.0, 8.0], "speech_start_to_silence": []}, "recording": "a"}
    )
    text = "\n".join(printed(console))
    assert "tool call to its result" in text
    assert "3 ms" in text
    assert "8 ms" in text
    assert "cuts in" not in text
    assert "Recorded in a" in text
