"""Somebody at this computer's sound card, and the provider whom the environment leads to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from realtime_facade import (
    AgentResult,
    AssistantVoice,
    AudioInputDevice,
    RealtimeAgent,
    RealtimeModel,
    SessionClosed,
    TurnEnded,
)
from realtime_facade.audio.pcm import chunks, silence
from realtime_facade.audio.resample import resample
from realtime_facade.devices.clocked import ClockedSpeaker
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.clock import ScaledClock

FASTER = 20
"""Than real time: speech into the microphone, speech out of the loudspeaker and of the model."""


@dataclass(frozen=True)
class Wire:
    """A provider, and the names that a program has to change to talk with it."""

    provider: str
    model: RealtimeModel
    voice: AssistantVoice

    def __str__(self) -> str:
        return self.provider


@pytest.fixture(
    params=[
        Wire("openai", RealtimeModel.GPT_REALTIME_2_1_MINI, AssistantVoice.MARIN),
        Wire("gemini", RealtimeModel.GEMINI_3_8_LIVE, AssistantVoice.KORE),
    ],
    ids=str,
)
def wire(request: pytest.FixtureRequest) -> Wire:
    return request.param


@pytest.fixture
def provider(simulator, wire):
    """`provider(scenario)` starts the simulated one; no key or address is in the example."""

    def start(scenario: str):
        return simulator(scenario, wires=(wire.provider,), clock=ScaledClock(FASTER), speed=5)

    return start


class Microphone(AudioInputDevice):
    """Silence, and what the person says."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[list[bytes]] = asyncio.Queue()
        self._active = False

    async def start(self) -> None:
        self._active = True

    async def stop(self) -> None:
        self._active = False

    async def stream_chunks(self) -> AsyncIterator[bytes]:
        while self._active:
            try:
                async with asyncio.timeout(0.02):
                    words = await self.words.get()
            except TimeoutError:
                yield bytes(960)
                continue
            for chunk in words:
                yield chunk
                await asyncio.sleep(0.02 / FASTER)

    @property
    def is_active(self) -> bool:
        return self._active


class Loudspeaker(ClockedSpeaker):
    """What it plays is heard."""

    def __init__(self, ears: bytearray, factor: float) -> None:
        super().__init__(24_000, 0.0, ScaledClock(factor).monotonic)
        self._ears = ears

    def _sound(self, heard) -> None:
        self._ears += np.asarray(heard, np.int16).tobytes()


class Person:
    """Says one thing after another, each when the assistant has finished and was heard."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.microphone = Microphone()
        self.listens_faster = FASTER
        """1 where a recording on the listener's timeline is looked at."""

    @property
    def heard_s(self) -> float:
        """How long something sounded."""
        return float((np.abs(np.frombuffer(self.heard, "<i2").astype(int)) > 100).sum() / 24_000)

    @contextlib.asynccontextmanager
    async def talks_to(self, agent: RealtimeAgent, *sentences: str) -> AsyncIterator[None]:
        """While the program in the block runs, which is to end with the conversation."""
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            person = group.create_task(self._talk(agent, sentences))
            yield
            person.cancel()

    async def run(self, agent: RealtimeAgent, *sentences: str) -> AgentResult:
        """`await agent.run()`, and somebody who talks and then ends the conversation."""
        async with self.talks_to(agent, *sentences):
            return await agent.run()
        raise AssertionError("unreachable")

    async def _talk(self, agent: RealtimeAgent, sentences: Sequence[str]) -> None:
        ended: asyncio.Queue[TurnEnded] = asyncio.Queue()
        agent.event_bus.subscribe(TurnEnded, ended.put)
        for sentence in sentences:
            self.microphone.words.put_nowait(await spoken(sentence))
            await ended.get()
            with contextlib.suppress(SessionClosed):  # it ends by itself if it was asked to
                unheard_s = agent.session.playback.pending_ms / 1000
                await asyncio.sleep(unheard_s / self.listens_faster + 0.05)
        await agent.stop()


async def spoken(sentence: str, *, tail_ms: int = 1_500, rate: int = 24_000) -> list[bytes]:
    """Speech in chunks of 20 ms, and the silence after it that ends a turn."""
    voice = BabbleVoice()
    pcm = b"".join([chunk async for chunk in voice.speak(sentence)])
    pcm = silence(200, rate) + resample(pcm, voice.sample_rate, rate) + silence(tail_ms, rate)
    return list(chunks(pcm, 20, rate))


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    """Sits at the default microphone and the default loudspeaker."""
    somebody = Person()
    monkeypatch.setattr("realtime_facade.devices.soundcard.Microphone", lambda: somebody.microphone)
    monkeypatch.setattr(
        "realtime_facade.devices.soundcard.Speaker",
        lambda: Loudspeaker(somebody.heard, somebody.listens_faster),
    )
    return somebody
