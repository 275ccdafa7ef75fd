"""Ten minutes of conversation, faster than life: nothing grows, nothing is lost."""

import asyncio
import gc
import threading
import tracemalloc
import wave
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from realtime_facade import (
    AudioChunk,
    AudioDropped,
    ErrorOccurred,
    Event,
    Interrupted,
    RealtimeConfig,
    RealtimeVoice,
)
from realtime_facade.audio.resample import resample
from realtime_facade.audio.vad import EnergyVad
from realtime_facade.devices.null import NullSpeaker
from realtime_facade.features.recording import Recording
from realtime_facade.session.observer import Control, Observer
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.parts import Entry, Parts, Say, Step
from realtime_facade.simulator.server import Simulator

from .bench.hurry import LoopClock, run

FASTER = 1_000
"""What the machine cannot do in that time takes longer, and costs none of the conversation's."""
MINUTES = 10
CYCLE_S = 12
"""One question and its answer; every third answer is cut short by the next question."""
MEASURED_S = 9 * CYCLE_S
FRAME_MS = 40


class Ears:
    """Understands the same words every time."""

    sample_rate = 16_000

    def feed(self, pcm: bytes) -> None: ...

    async def finish(self) -> str:
        return "tell me more"

    def reset(self) -> None: ...

    async def close(self) -> None: ...


class Listener(Observer):
    """What was heard, by the ledger's word."""

    wants_audio = True

    def __init__(self) -> None:
        self.heard = bytearray()

    def attach(self, control: Control) -> None:
        self._playback = control.playback

    def on_event(self, event: Event) -> None:
        if isinstance(event, AudioChunk):
            self.heard += event.data
        elif isinstance(event, Interrupted):
            del self.heard[2 * self._playback.position :]


class Voice(BabbleVoice):
    """Has to think about a sentence once."""

    known: ClassVar[dict[str, list[bytes]]] = {}

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        if text not in self.known:
            self.known[text] = [chunk async for chunk in super().speak(text)]
        for chunk in self.known[text]:
            yield chunk


class Mind:
    def __init__(self) -> None:
        self.answers = 0

    async def answer(self, conversation: Sequence[Entry], *_: object) -> list[Step]:
        self.answers += 1
        words = 60 if self.answers % 3 == 0 else 8
        return [Say(" ".join(["and so it went"] * (words // 4)))]


async def microphone(clock: LoopClock) -> AsyncIterator[bytes]:
    """Questions of a second, at the clock's pace."""
    voice = BabbleVoice()
    pcm = b"".join([c async for c in voice.speak("tell me more please")])
    question = resample(pcm, voice.sample_rate, 24_000)
    cycle = question.ljust(CYCLE_S * 48_000, b"\0")
    begin, size = clock.monotonic(), FRAME_MS * 48
    for number in range(MINUTES * 60_000 // FRAME_MS):
        await clock.sleep(begin + number * FRAME_MS / 1_000 - clock.monotonic())
        start = (number * size) % len(cycle)
        yield cycle[start : start + size]


@pytest.mark.timeout(120)
def test_ten_minutes(tmp_path: Path):
    run(converse(tmp_path), FASTER)


async def converse(folder: Path) -> None:
    clock = LoopClock()
    speaker = NullSpeaker(clock=clock.monotonic)
    await speaker.start()
    recording = Recording(folder / "talk.wav", clock=clock.monotonic)
    mind, listener = Mind(), Listener()
    parts = Parts(vad=EnergyVad, recognizer=lambda _: Ears(), mind=lambda: mind, voice=Voice)
    seen: dict[type, int] = {}
    sizes: list[tuple[int, int, int]] = []
    async with Simulator(parts, clock=clock, speed=6, seed=1) as server:
        voice = RealtimeVoice(
            "openai",
            RealtimeConfig(skip_leading_silence=True),
            api_key="x",
            base_url=server.openai_url,
            sink=speaker,
            features=[lambda: recording, lambda: listener],
        )
        tracemalloc.start()
        async with voice.connect() as session:
            session.on(Event, partial(count, seen))
            measuring = asyncio.create_task(measure(sizes))
            async for frame in microphone(clock):
                await session.send_audio(frame)
            measuring.cancel()
            # The last answer is heard to its end before the books are compared.
            while session.playback.pending_ms:
                await clock.sleep(session.playback.pending_ms / 1000 + 0.1)
            heard = session.playback.position
            link = session._engine.connection.link
            assert link is not None
            queued = link.outbox.waiting_ms
            assert len(session.history) > 1.8 * MINUTES * 60 / CYCLE_S
        tracemalloc.stop()
    await speaker.stop()
    memory, tasks, threads = zip(*sizes[1:], strict=True)
    assert len(memory) >= MINUTES * 60 / MEASURED_S - 2
    assert max(memory) - memory[0] < 400_000, f"memory: {memory}"
    assert max(tasks) - tasks[0] <= 3, f"tasks: {tasks}"
    assert max(threads) - threads[0] <= 2, f"threads: {threads}"
    assert queued == 0
    assert ErrorOccurred not in seen
    assert AudioDropped not in seen
    assert seen[Interrupted] > MINUTES * 60 / CYCLE_S / 4
    assert seen[AudioChunk] > 30 * MINUTES
    with wave.open(str(folder / "talk.wav")) as wav:
        frames = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    assert len(listener.heard) == 2 * heard
    # Between the answers there is silence; every other sample is there once and in order.
    assistant, told = frames[:, 1], np.frombuffer(listener.heard, "<i2")
    assert np.array_equal(assistant[assistant != 0], told[told != 0])
    assert len(frames) / 24_000 == pytest.approx(MINUTES * 60, rel=0.01)


async def count(seen: dict[type, int], event: Event) -> None:
    seen[type(event)] = seen.get(type(event), 0) + 1


async def measure(sizes: list[tuple[int, int, int]]) -> None:
    """Now and then: memory of the package, tasks, threads."""
    ours = [
        tracemalloc.Filter(True, "*/realtime_facade/*"),
        # A provider remembers everything; and the listener of this test keeps a tape.
        tracemalloc.Filter(False, "*/realtime_facade/simulator/*"),
    ]
    while True:
        await asyncio.sleep(MEASURED_S)
        gc.collect()
        found = tracemalloc.take_snapshot().filter_traces(ours).statistics("filename")
        memory = sum(s.size for s in found)
        sizes.append((memory, len(asyncio.all_tasks()), threading.active_count()))
