import asyncio

import numpy as np
import pytest

from realtime_facade.cli.ends import Listener, Microphone, loud_part


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def tone(ms: int, rate: int = 8_000, level: int = 1_000) -> bytes:
    return np.full(rate * ms // 1000, level, "<i2").tobytes()


async def test_a_listener_remembers_when_sound_began_and_stopped():
    clock = Hands()
    listener = Listener(8_000, clock)
    await listener.start()
    listener.expect()
    clock.now += 0.5
    listener.write(tone(300))
    clock.now += 0.1
    listener.write(tone(300))
    assert (listener.first_heard, listener.silenced) == (100.5, None)
    assert listener.played_ms() == pytest.approx(100)

    clock.now += 0.1
    listener.clear()
    assert (listener.first_heard, listener.silenced) == (None, pytest.approx(100.7))
    clock.now += 1
    assert listener.played_ms() == pytest.approx(200)

    listener.write(tone(10))
    assert listener.first_heard == pytest.approx(101.7)
    await listener.stop()


async def test_a_microphone_keeps_pace_and_says_when_speech_was_audible():
    microphone = Microphone(8_000)
    frames: list[bytes] = []

    async def listen() -> None:
        async for frame in microphone.frames():
            frames.append(frame)  # noqa: PERF401 - it is cancelled halfway

    loop = asyncio.get_running_loop()
    begun = loop.time()
    listening = asyncio.create_task(listen())
    spoken = await microphone.say(bytes(800) + tone(100) + bytes(320))
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)

    assert loop.time() - begun == pytest.approx(0.17, abs=0.1)
    assert spoken.ended - spoken.started == pytest.approx(0.1)
    assert {len(frame) for frame in frames} == {320}
    assert tone(100) in b"".join(frames)


def test_the_loud_part_leaves_silence_out():
    assert loud_part(bytes(1_600) + tone(50) + bytes(800), 8_000) == (0.1, 0.15)
    assert loud_part(bytes(1_600), 8_000) == (0.0, 0.1)
