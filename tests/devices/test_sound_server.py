"""Microphone and loudspeaker on real streams of a real sound server."""

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np
import pytest

from realtime_facade.audio.resample import resample
from realtime_facade.audio.wav import WavWriter
from realtime_facade.devices.soundcard import Microphone, Speaker, list_devices
from realtime_facade.errors import ConfigurationError

pytestmark = pytest.mark.sound

SPEECH_S = 0.8
KHZ = 48
"""Samples in a millisecond at the server's rate."""


def at_server(pcm: bytes, rate: int = 24_000) -> bytes:
    """At the server's rate half a sample more or less of delay is no difference."""
    return resample(pcm, rate, KHZ * 1000)


@asynccontextmanager
async def started(device):
    errors = []
    device.on_error = errors.append
    await device.start()
    try:
        yield device
    finally:
        await device.stop()
    assert errors == []


async def finished(speaker, written_ms):
    async with asyncio.timeout(5):
        while speaker.played_ms() < written_ms - 1:  # noqa: ASYNC110 - a position has no event
            await asyncio.sleep(0.01)


async def heard_by(microphone, server, path):
    """What arrives while the file is played, and a moment longer."""
    chunks = []

    async def listen():
        chunks.extend([chunk async for chunk in microphone.stream_chunks()])

    async with started(microphone):
        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.2)
        await server.say(path)
        await asyncio.sleep(0.25)
    await listening
    return b"".join(chunks)


@pytest.fixture(scope="module")
def spoken(sound_server, tmp_path_factory):
    """A sound file of the server's rate, and its samples."""
    pcm = sound_server.speechlike(SPEECH_S, sound_server.rate)
    path = tmp_path_factory.mktemp("spoken") / "speech.wav"
    with WavWriter(path, sound_server.rate) as file:
        file.write(pcm)
    return path, pcm


def test_the_servers_devices_are_listed(sound_server):
    devices = list_devices()
    names = {device.name: device for device in devices}
    assert {"pulse", "default"} <= set(names)
    assert names["default"].is_default_output
    assert "default loudspeaker" in str(names["default"])


@pytest.mark.parametrize("run", range(10))
async def test_what_is_said_arrives_at_the_microphone(run, sound_server, spoken):
    path, pcm = spoken
    microphone = Microphone()
    heard = await heard_by(microphone, sound_server, path)
    score, _ = sound_server.similarity(at_server(heard), pcm)
    assert score > 0.98
    assert microphone.statistics.dropped_ms == 0


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
async def test_the_microphone_has_the_rate_that_is_asked_for(rate, sound_server, spoken):
    path, pcm = spoken
    heard = await heard_by(Microphone("pulse", rate=rate), sound_server, path)
    score, _ = sound_server.similarity(at_server(heard, rate), pcm)
    assert score > 0.98


@pytest.mark.parametrize("run", range(10))
async def test_what_is_written_sounds(run, sound_server):
    pcm = sound_server.speechlike(SPEECH_S, 24_000, seed=run)
    speaker = Speaker()
    with sound_server.recorder() as recorder:
        async with started(speaker):
            for start in range(0, len(pcm), 4_800):
                speaker.write(pcm[start : start + 4_800])
            await finished(speaker, SPEECH_S * 1000)
        score, _ = sound_server.similarity(recorder.pcm, at_server(pcm))
    assert score > 0.98
    assert speaker.statistics.underruns == 0


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
async def test_the_speaker_takes_the_rate_that_is_asked_for(rate, sound_server):
    pcm = sound_server.speechlike(SPEECH_S, rate)
    with sound_server.recorder() as recorder:
        async with started(Speaker("pulse", rate=rate)) as speaker:
            speaker.write(pcm)
            await finished(speaker, SPEECH_S * 1000)
        score, _ = sound_server.similarity(recorder.pcm, at_server(pcm, rate))
    assert score > 0.98


async def test_the_position_is_what_was_heard(sound_server, record_property):
    """Compared with the recorder, which has some latency of its own, at many moments."""
    pcm = sound_server.speechlike(1.5, 24_000)
    asked = []
    with sound_server.recorder() as recorder:
        async with started(Speaker()) as speaker:
            speaker.write(pcm)
            while (played := speaker.played_ms()) < 1_490:
                asked.append((time.monotonic(), played))
                await asyncio.sleep(0.015)
            await asyncio.sleep(0.1)
        score, start = sound_server.similarity(recorder.pcm, at_server(pcm))
        arrivals = recorder.arrivals
    assert score > 0.98
    times, counts = zip(*arrivals, strict=True)
    errors = [
        played - (float(np.interp(moment, times, counts)) - start) / KHZ
        for moment, played in asked
        if 100 < played < 1_400
    ]
    median, spread = float(np.median(errors)), float(np.ptp(errors))
    record_property("position_error_ms", f"{median:.1f} median, {spread:.1f} spread")
    print(f"played_ms minus recorded: median {median:.1f} ms, spread {spread:.1f} ms")  # noqa: T201
    assert abs(median) < 80
    assert all(later >= earlier for (_, earlier), (_, later) in pairwise(asked))


@pytest.mark.parametrize("run", range(3))
async def test_it_falls_silent_when_told(run, sound_server, record_property):
    pcm = sound_server.speechlike(1.5, 24_000)
    with sound_server.recorder() as recorder:
        async with started(Speaker()) as speaker:
            speaker.write(pcm)
            await finished(speaker, 500)
            told = time.monotonic()
            speaker.clear()
            position = speaker.played_ms()
            await asyncio.sleep(0.4)
            assert speaker.played_ms() == position
        recorded = np.frombuffer(recorder.pcm, "<i2")
        _, start = sound_server.similarity(recorder.pcm, at_server(pcm[: 24 * 2 * 450]))
        times, counts = zip(*recorder.arrivals, strict=True)
    last = int(np.flatnonzero(np.abs(recorded) > 50)[-1])
    beyond = (last - start) / KHZ - position
    silent_after = (float(np.interp(last, counts, times)) - told) * 1000
    record_property("beyond_position_ms", f"{beyond:.1f}")
    record_property("silent_after_ms", f"{silent_after:.1f}")
    print(f"silent {silent_after:.1f} ms after clear, {beyond:.1f} ms beyond it")  # noqa: T201
    assert 499 <= position < 700
    assert abs(beyond) < 20, "what was heard is not what was said to be heard"
    assert silent_after < 150


async def test_a_hold_loses_and_repeats_nothing(sound_server):
    # Slow enough that the fades hardly show, and no two moments are alike.
    pcm = sound_server.speechlike(1.2, 24_000)
    with sound_server.recorder() as recorder:
        async with started(Speaker()) as speaker:
            speaker.write(pcm)
            await finished(speaker, 400)
            speaker.hold()
            await asyncio.sleep(0.3)
            held = speaker.played_ms()
            await asyncio.sleep(0.1)
            assert speaker.played_ms() == held
            assert not speaker.is_playing
            speaker.resume()
            await finished(speaker, 1_200)
        recorded = np.frombuffer(recorder.pcm, "<i2")
    original = at_server(pcm)
    where, edge = round(held * KHZ), 10 * KHZ
    _, first = sound_server.similarity(recorded.tobytes(), original[: 2 * (where - edge)])
    _, second = sound_server.similarity(recorded.tobytes(), original[2 * (where + edge) :])
    pause = second - (first + where + edge)
    # Exactly one gap, of the length of the pause; on both sides of it every sample in its place.
    assert 300 * KHZ < pause < 600 * KHZ
    gap = recorded[first + where + KHZ : first + where + pause - KHZ]
    assert np.abs(gap).max() < 50
    joined = np.delete(recorded, slice(first + where, first + where + pause))
    score, start = sound_server.similarity(joined.tobytes(), original)
    assert score > 0.98
    assert abs(start - first) <= 1


async def test_the_volume_is_heard(sound_server):
    pcm = sound_server.speechlike(SPEECH_S, 24_000)
    with sound_server.recorder() as recorder:
        async with started(Speaker()) as speaker:
            speaker.volume = 0.25
            speaker.write(pcm)
            await finished(speaker, SPEECH_S * 1000)
        score, start = sound_server.similarity(recorder.pcm, at_server(pcm))
        heard = np.frombuffer(recorder.pcm, "<i2")[start : start + len(pcm)]
    ratio = np.std(heard) / np.std(np.frombuffer(pcm, "<i2"))
    assert score > 0.98
    assert ratio == pytest.approx(0.25, rel=0.03)


async def test_an_unknown_device_is_refused_with_the_list(sound_server):
    for device in (77, "no such thing"):
        with pytest.raises(ConfigurationError, match="pulse") as caught:
            await Speaker(device).start()
        assert caught.value.cause == "device"


# PortAudio's thread may spin for ever once its server has died, and crashes when the system takes
# its libraries down at the very end of the program. Nothing but the ending itself can be asked.
ENDINGS = {0, -signal.SIGSEGV, -signal.SIGABRT}

UNPLUGGED = """
import asyncio, os, signal, sys, time
from realtime_facade.devices.soundcard import Microphone, Speaker

async def main():
    microphone, speaker = Microphone(), Speaker()
    lost = asyncio.Queue()
    microphone.on_error = speaker.on_error = lost.put_nowait
    await microphone.start()
    await speaker.start()
    chunks = microphone.stream_chunks()
    await anext(chunks)
    speaker.write(bytes(24_000 * 2 * 10))
    os.kill(int(sys.argv[1]), signal.Signals[sys.argv[2]])
    gone = time.monotonic()
    errors = [await asyncio.wait_for(lost.get(), 5) for _ in range(2)]
    print(sorted(str(e).split(" was lost")[0] for e in errors), {e.cause for e in errors},
          all(e.retryable for e in errors), time.monotonic() - gone < 3)
    await asyncio.sleep(0.7)
    before = time.monotonic()
    speaker.clear()
    await microphone.stop()
    await speaker.stop()
    print([c async for c in chunks] is not None, time.monotonic() - before < 6)

asyncio.run(main())
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
async def test_a_server_that_dies_or_hangs_is_an_error_and_no_hang(name, own_server):
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", UNPLUGGED, str(own_server.process.pid), name],
        env=own_server.env,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "['the Microphone', 'the Speaker'] {'device'} True True",
        "True True",
    ], done.stderr[-3_000:]
    assert done.returncode in ENDINGS


REPLUGGED = """
import asyncio, sys
from realtime_facade.devices.soundcard import Microphone, Speaker

async def main():
    microphone, speaker = Microphone(), Speaker()
    lost = asyncio.Queue()
    microphone.on_error = speaker.on_error = lost.put_nowait
    await microphone.start()
    await speaker.start()
    speaker.write(bytes(24_000 * 2))
    print("ready", flush=True)
    await lost.get()
    await lost.get()
    print("lost", flush=True)
    before = speaker.played_ms()
    chunks = microphone.stream_chunks()
    while microphone.statistics.reopened + speaker.statistics.reopened < 2:
        await asyncio.wait_for(anext(chunks), 20)
    while speaker.played_ms() < 999:
        await asyncio.sleep(0.02)
    print("back", before < 900, flush=True)
    await microphone.stop()
    await speaker.stop()

asyncio.run(main())
"""


async def test_they_go_on_when_the_server_is_back(own_server):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", REPLUGGED),
        env=own_server.env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(40):
            assert await process.stdout.readline() == b"ready\n"
            own_server.process.kill()
            assert await process.stdout.readline() == b"lost\n"
            await asyncio.to_thread(own_server.restart)
            assert await process.stdout.readline() == b"back True\n"
            assert await process.wait() in ENDINGS
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
