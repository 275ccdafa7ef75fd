import asyncio

import numpy as np
import pytest

from realtime_facade.audio.wav import read_wav
from realtime_facade.cli.tracks import Listener, Microphone, Track, loud_part, save_stereo


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def tone(ms: int, rate: int = 8_000, level: int = 1_000) -> bytes:
    return np.full(rate * ms // 1000, level, "<i2").tobytes()


def test_a_listener_hears_in_real_time():
    clock = Hands()
    listener = Listener(8_000, clock)
    listener.write(tone(300))
    listener.write(tone(200))
    assert (listener.played_ms(), listener.pending_ms) == (0, 500)

    clock.now += 0.4
    assert (listener.played_ms(), listener.pending_ms) == (pytest.approx(400), pytest.approx(100))

    clock.now += 5
    assert (listener.played_ms(), listener.pending_ms) == (500, 0)


def test_a_cleared_listener_stands_still_until_the_next_write():
    clock = Hands()
    listener = Listener(8_000, clock)
    listener.write(tone(1_000))
    clock.now += 0.25
    listener.clear()
    assert listener.silenced == clock.now

    clock.now += 3
    assert (listener.played_ms(), listener.pending_ms) == (250, 0)

    listener.write(tone(100))
    clock.now += 1
    assert listener.played_ms() == 350


def test_a_track_is_rendered_as_it_sounded():
    clock = Hands()
    track = Track(1_000, clock)
    clock.now += 0.002
    track.add(b"\x01\0" * 3)
    clock.now += 0.005
    track.add(b"\x02\0" * 4)
    clock.now += 0.002
    track.cut()
    line = np.frombuffer(track.render(100.0), "<i2")
    assert line.tolist() == [0, 0, 1, 1, 1, 0, 0, 2, 2]


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


def test_a_recording_has_the_user_on_the_left(tmp_path):
    clock = Hands()
    user, assistant = Track(8_000, clock), Listener(8_000, clock)
    user.add(tone(100, level=4_000))
    clock.now += 0.1
    assistant.write(tone(100, level=-4_000))
    clock.now += 0.05
    assistant.clear()
    path = tmp_path / "new folder" / "talk.wav"

    save_stereo(path, user, assistant, 100.0)

    mono, rate = read_wav(path)
    assert rate == 8_000
    assert len(mono) == 8_000 * 150 // 1000 * 2
    samples = np.frombuffer(mono, "<i2")
    assert samples[10] == pytest.approx(2_000, abs=2)
    assert samples[-10] == pytest.approx(-2_000, abs=2)
