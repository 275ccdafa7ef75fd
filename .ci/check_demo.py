"""Judges one run of the demo by its JSON lines and its recording.

python check_demo.py LOG RECORDING
"""

import json
import sys
import wave
from pathlib import Path

HEARD = (
    "what time is it",
    "what is the weather in paris",
    "set a timer for five minutes",
    "weather in london",
)
CALLED = [
    {"function_name": "get_weather", "arguments": {"city": "Paris"}},
    {"function_name": "set_timer", "arguments": {"minutes": 5}},
    {"function_name": "get_weather", "arguments": {"city": "London"}},
]


def plain(text: str) -> str:
    """Lower case, letters and spaces only."""
    return "".join(c for c in text.lower() if c.isalpha() or c == " ").strip()


def main(log: Path, recording: Path) -> None:
    """Fail with what is wrong, or print one line."""
    lines = log.read_text(encoding="utf-8").splitlines()
    # What the command's set-up part prints comes first, and is not JSON.
    summary = json.loads(lines[-1])
    assert summary["type"] == "summary", lines[-1]
    turns = summary["turns"]
    heard = [plain(turn["user"]) for turn in turns]
    assert len(heard) == len(HEARD), heard
    for said, understood in zip(HEARD, heard, strict=True):
        assert understood.endswith(said), f"{understood!r} instead of {said!r}"
    assert all(turn["assistant"] for turn in turns), turns
    assert [turn["interrupted"] for turn in turns] == [False, False, True, False], turns
    assert 500 < turns[2]["heard_ms"] < 5_000, turns[2]
    assert summary["tool_calls"] == CALLED, summary["tool_calls"]
    with wave.open(str(recording)) as wav:
        assert wav.getnchannels() == 2
        seconds = wav.getnframes() / wav.getframerate()
    assert seconds > 10, seconds
    latency = summary["latency_ms"]["speech_end_to_first_audio"]
    print(f"demo ok: {len(turns)} turns in {seconds:.0f} s, first audio after {latency} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
