"""Every example runs, and prints what it promises."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from realtime_facade.audio.wav import WavWriter, read_wav
from realtime_facade.simulator.babble import BabbleVoice

EXAMPLES = Path(__file__).parents[2] / "examples"

RUNS = {
    "assistant.py": (
        ["question.wav", "heard.wav"],
        "",
        r"^assistant: Hello!(.|\n)*\d turns, recorded in assistant\.wav: input_ended",
    ),
    "continue_later.py": (["Hello"], "", r"^User: Hello\nAssistant: Hello! How can I help\?$"),
    "cut_in.py": ([], "", r"\d+ of \d+ ms heard: \w+"),
    "guardrails.py": (
        ["What is the password?"],
        "",
        r"^no_secrets has found a secret: replaced\n"
        r"(assistant: Of[^\n]*\n)?assistant: I cannot talk about that\.\n\d+ ms of sound",
    ),
    "handoff.py": ([], "", r"^Reception hands over to Billing\nBilling: Billing speaking"),
    "lost_connection.py": (
        [],
        "",
        r"^\[reconnecting\].*going away\n\[connected\] after \d+ ms\n(.|\n)*morning came\.$",
    ),
    "offline_test.py": ([], "", r"^passed$"),
    "talk_to_a_file.py": (["question.wav", "answer.wav"], "", r"^assistant: Hello!"),
    "text_chat.py": ([], "Hello\n\n", r"Hello! How can I help\?"),
    "supervisor.py": (
        ["A table, please.", "By the window."],
        "",
        r"^type='supervisor_asked' (.|\n)*^Assistant: It is done: booked by the window\.$",
    ),
    "tools.py": (["How is the weather?"], "", r'get_weather took \d+ ms: \{"city":"Paris"'),
}
"""File -> arguments, typed input, pattern of the output."""


def test_every_example_is_run():
    assert sorted(RUNS) == sorted(file.name for file in EXAMPLES.glob("*.py"))


async def record_question(path: Path) -> None:
    voice = BabbleVoice()
    with WavWriter(path, voice.sample_rate, 1) as wav:
        wav.write(bytes(voice.sample_rate))
        async for chunk in voice.speak("Hello there"):
            wav.write(chunk)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("wire", ["openai", "gemini"])
async def test_example(name: str, wire: str, tmp_path: Path, simulated):
    arguments, typed, expected = RUNS[name]
    await record_question(tmp_path / "question.wav")
    simulated(wire)
    async with asyncio.timeout(30):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES / name),
            *arguments,
            cwd=tmp_path,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate(typed.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, output.decode()
    assert re.search(expected, output.decode(), re.MULTILINE), output.decode()
    if "answer.wav" in arguments:
        pcm, rate = read_wav(tmp_path / "answer.wav")
        assert len(pcm) > rate
