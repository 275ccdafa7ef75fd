"""A conversation through a real sound server: what goes in arrives, and what comes back sounds."""

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from realtime_facade import (
    InputCommitted,
    OpenAIProvider,
    RawEvent,
    RealtimeAgent,
    ServerVAD,
    TurnEnded,
)
from realtime_facade.audio.resample import resample
from realtime_facade.audio.vad import EnergyVad
from realtime_facade.audio.wav import WavWriter
from realtime_facade.simulator.parts import Parts
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator

pytestmark = pytest.mark.sound

SPEECH_S = 0.8
ANSWER_S = 1.0


class SpeechlikeVoice:
    """Says everything with sound that can be found again in a recording."""

    sample_rate = 24_000

    def __init__(self, pcm: bytes) -> None:
        self._pcm = pcm

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        yield self._pcm


@pytest.mark.parametrize("run", range(10))
async def test_both_sides_are_intact(run, sound_server, tmp_path):
    question = sound_server.speechlike(SPEECH_S, sound_server.rate, seed=100 + run)
    answer = sound_server.speechlike(ANSWER_S, 24_000, seed=200 + run)
    with WavWriter(tmp_path / "question.wav", sound_server.rate) as wav:
        wav.write(question)
    scripted = Scenario.parse('[[turns]]\nheard = "hello"\nsteps = [{ say = "hello" }]').parts()
    parts = Parts(
        vad=EnergyVad,
        recognizer=scripted.recognizer,
        mind=scripted.mind,
        voice=lambda _: SpeechlikeVoice(answer),
    )
    async with Simulator(parts, speed=6) as server:
        agent = RealtimeAgent(
            provider=OpenAIProvider(api_key="x", base_url=server.openai_url),
            turn_detection=ServerVAD(silence_duration_ms=300),
            interruption_verdict_ms=0,
        )
        committed: list[str | None] = []
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()

        @agent.voice.on(InputCommitted)
        async def ask_for_it(event: InputCommitted):
            committed.append(event.item_id)
            await agent.session.send_raw(
                {"type": "conversation.item.retrieve", "item_id": event.item_id}
            )

        @agent.voice.on(RawEvent)
        async def keep(event: RawEvent):
            if event.name == "conversation.item.retrieved" and not heard.done():
                heard.set_result(base64.b64decode(event.data["item"]["content"][0]["audio"]))

        @agent.voice.on(TurnEnded)
        async def ended(event: TurnEnded):
            over.set()

        with sound_server.recorder() as recorder:
            async with agent, asyncio.timeout(15):
                await asyncio.sleep(0.5)
                await sound_server.say(tmp_path / "question.wav")
                received = await heard
                await over.wait()
                await asyncio.sleep(agent.session.playback.pending_ms / 1000 + 0.3)
                await agent.stop()
            recorded = recorder.pcm
    assert len(committed) == 1
    arrived, _ = sound_server.similarity(resample(received, 24_000, 48_000), question)
    sounded, _ = sound_server.similarity(recorded, resample(answer, 24_000, 48_000))
    assert arrived > 0.98
    assert sounded > 0.98
