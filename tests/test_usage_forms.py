"""The usage forms that the documentation promises run unchanged, whoever answers."""

import ast
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import realtime_facade
from realtime_facade.audio.pcm import chunks
from realtime_facade.audio.resample import resample
from realtime_facade.audio.wav import read_wav
from realtime_facade.simulator.scenario import Scenario

QUESTION = Path(realtime_facade.__file__).parent / "cli/questions/1-what-time-is-it.wav"
SCENARIO = Scenario.parse("""
[[turns]]
heard = "what time is it"
steps = [{ say = "It is noon." }]
[[turns]]
heard = "what time is it"
steps = [{ say = "It is still noon." }]
""")

FORMS = """
from realtime_facade import RealtimeVoice, AudioChunk, TranscriptDelta

voice = RealtimeVoice()

@voice.on_audio
async def play(audio: bytes): player.write(audio)

@voice.on_transcript
async def show(text: str, is_final: bool): shown.append((text, is_final))

async for event in voice.run(mic_stream()):
    if isinstance(event, AudioChunk):
        player.write(event.data)
    elif isinstance(event, TranscriptDelta):
        print(event.text, end="", flush=True)

async with voice.connect() as session:
    async for chunk in mic_stream():
        await session.send_audio(chunk)
    await talked()
"""


@pytest.mark.parametrize("who", ["openai", "gemini", "local"])
async def test_the_forms_run_unchanged(who, simulator, monkeypatch, capsys):
    if who == "local":
        pytest.importorskip("pocketsphinx")
        monkeypatch.setenv("REALTIME_VOICE_PROVIDER", "local")
    else:
        simulator(SCENARIO, wires=(who,), speed=20)
    question, rate = read_wav(QUESTION)
    audio = resample(question, rate, 24_000)
    shown: list[tuple[str, bool]] = []
    played = bytearray()

    async def mic_stream() -> AsyncIterator[bytes]:
        # Silence after the words: the provider has to notice that they are over.
        for chunk in chunks(audio + bytes(48_000), 20, 24_000):
            yield chunk

    class Player:
        def write(self, audio: bytes) -> None:
            played.extend(audio)

    async def talked() -> None:
        async with asyncio.timeout(10):
            while sum(final for _, final in shown) < 2:  # noqa: ASYNC110 - handlers run elsewhere
                await asyncio.sleep(0.05)

    names: dict[str, Any] = {
        "mic_stream": mic_stream,
        "player": Player(),
        "shown": shown,
        "talked": talked,
    }
    code = compile(FORMS, "forms", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, names)  # noqa: S307 - our own text, above
    said = [text for text, final in shown if final]
    assert all(text.startswith("It is ") for text in said), said
    printed = capsys.readouterr().out
    assert "what time is it" in printed
    assert said[0] in printed
    assert len(played) > 40_000
