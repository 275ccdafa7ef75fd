import asyncio
import math
import time

import numpy as np
import pytest

from realtime_facade.audio.wav import WavWriter
from realtime_facade.devices.file import FileMicrophone
from realtime_facade.devices.null import NullMicrophone
from realtime_facade.errors import AudioFormatError, ConfigurationError


@pytest.fixture
def recording(tmp_path):
    pcm = np.arange(1, 1_001).astype("<i2").tobytes()
    with WavWriter(tmp_path / "a.wav", 8_000) as file:
        file.write(pcm)
    return tmp_path / "a.wav", pcm


async def everything(microphone) -> bytes:
    return b"".join([chunk async for chunk in microphone.stream_chunks()])


async def test_the_file_then_silence_then_the_end(recording):
    path, pcm = recording
    microphone = FileMicrophone(path, realtime=False, trailing_silence_ms=100)
    assert not microphone.is_active
    await microphone.start()
    assert (microphone.sample_rate, microphone.channels, microphone.is_active) == (8_000, 1, True)
    heard = await everything(microphone)
    assert heard.startswith(pcm)
    assert not any(heard[len(pcm) :])
    assert 225 <= len(heard) / 16 < 245
    assert not microphone.is_active
    await microphone.stop()


async def test_real_time_is_kept_and_can_be_hurried(recording):
    path, _ = recording
    for speed, expected in ((1.0, 0.125), (5.0, 0.025)):
        microphone = FileMicrophone(path, speed=speed, trailing_silence_ms=0)
        await microphone.start()
        began = time.monotonic()
        await everything(microphone)
        assert expected < time.monotonic() - began < expected + 0.15


async def test_stop_ends_an_endless_stream_at_once(recording):
    path, _ = recording
    microphone = FileMicrophone(path, trailing_silence_ms=math.inf)
    await microphone.start()
    listening = asyncio.create_task(everything(microphone))
    await asyncio.sleep(0.05)
    await microphone.stop()
    assert len(await asyncio.wait_for(listening, 0.1)) > 0


async def test_it_can_be_started_again(recording):
    path, pcm = recording
    microphone = FileMicrophone(path, realtime=False, trailing_silence_ms=0)
    for _ in range(2):
        await microphone.start()
        assert (await everything(microphone)).startswith(pcm)


async def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(AudioFormatError, match=r"none\.wav"):
        await FileMicrophone(tmp_path / "none.wav").start()


@pytest.mark.parametrize(
    "options", [{"speed": 0}, {"speed": math.inf}, {"trailing_silence_ms": -1}]
)
def test_impossible_numbers_are_refused(options):
    with pytest.raises(ConfigurationError):
        FileMicrophone("a.wav", **options)


@pytest.mark.parametrize("microphone", [NullMicrophone(), FileMicrophone("a.wav")])
async def test_before_the_start_there_is_no_stream(microphone):
    with pytest.raises(ConfigurationError, match="start"):
        await everything(microphone)


async def test_silence_comes_in_real_time():
    microphone = NullMicrophone(rate=8_000)
    await microphone.start()
    listening = asyncio.create_task(everything(microphone))
    await asyncio.sleep(0.1)
    assert microphone.is_active
    await microphone.stop()
    heard = await listening
    assert set(heard) == {0}
    assert 60 <= len(heard) / 16 <= 120


async def test_or_nothing_at_all():
    microphone = NullMicrophone(silence=False)
    await microphone.start()
    listening = asyncio.create_task(everything(microphone))
    await asyncio.sleep(0.05)
    assert not listening.done()
    await microphone.stop()
    assert await listening == b""
