import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_facade.audio.resample import resample
from realtime_facade.devices.adapters import IDLE_S, DeviceSink, mono_chunks, sink_for
from realtime_facade.devices.base import AudioInputDevice, AudioOutputDevice
from realtime_facade.devices.null import NullSpeaker
from realtime_facade.errors import AudioFormatError, ConfigurationError, RealtimeError

MS = 24  # samples


class Plain(AudioOutputDevice):
    """A class as users write it: the abstract methods, and no call of the base's `__init__`."""

    def __init__(self) -> None:
        self.taken = b""
        self.log: list[str] = []
        self.failure: Exception | None = None
        self.room = asyncio.Event()
        self.room.set()

    async def start(self) -> None:
        self.log.append("start")

    async def stop(self) -> None:
        self.log.append("stop")

    async def play_chunk(self, chunk: bytes) -> None:
        await self.room.wait()
        if self.failure:
            raise self.failure
        self.taken += chunk

    async def clear_buffer(self) -> None:
        self.log.append("clear")


class Reporting(Plain):
    """Plays when told to, and knows how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = b""

    def play(self, samples: int) -> None:
        self.heard += self.taken[: 2 * samples]
        self.taken = self.taken[2 * samples :]

    async def clear_buffer(self) -> None:
        await super().clear_buffer()
        self.taken = b""

    def played_ms(self) -> float:
        return len(self.heard) / 2 * 1000 / self.sample_rate


def ramp(samples: int, first: int = 1) -> bytes:
    return np.arange(first, first + samples).astype("<i2").tobytes()


async def settled() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


@pytest.fixture
async def playing():
    """Starts a sink over a device, and stops it."""
    sinks = []

    async def start(device, rate=24_000):
        sink = DeviceSink(device, rate)
        sinks.append(sink)
        await sink.start()
        return sink

    yield start
    for sink in sinks:
        await sink.stop()


async def test_a_device_with_nothing_but_the_abstract_methods_plays(playing):
    device = Plain()
    sink = await playing(device)
    sink.write(ramp(100 * MS))
    await settled()
    assert device.taken == ramp(100 * MS)
    assert (sink.played_ms(), sink.can_hold, device.is_playing) == (None, False, False)
    with pytest.raises(ConfigurationError, match="played_ms"):
        sink.hold()
    await sink.stop()
    await sink.stop()
    assert device.log == ["start", "stop"]


async def test_what_is_written_before_the_start_waits(playing):
    device = Plain()
    sink = DeviceSink(device)
    sink.write(ramp(MS))
    await settled()
    assert device.taken == b""
    await sink.start()
    await settled()
    assert device.taken == ramp(MS)
    await sink.stop()


@pytest.mark.parametrize(("device_rate", "channels"), [(24_000, 2), (8_000, 1), (48_000, 2)])
async def test_rate_and_channels_are_converted(playing, device_rate, channels):
    device = Plain()
    device.sample_rate, device.channels = device_rate, channels
    sink = await playing(device)
    at = np.arange(500 * MS) / 24_000
    pcm = (8_000 * np.sin(2 * np.pi * 300 * at)).astype("<i2").tobytes()
    for start in range(0, len(pcm), 4_801):
        sink.write(pcm[start - start % 2 : min(start + 4_801, len(pcm)) // 2 * 2])
    await asyncio.sleep(IDLE_S + 0.1)
    frames = np.frombuffer(device.taken, "<i2").reshape(-1, channels)
    expected = np.frombuffer(resample(pcm, 24_000, device_rate), "<i2")
    assert all(np.array_equal(frames[:, c], expected) for c in range(channels))


async def test_a_clear_does_not_wait_for_a_device_without_room(playing):
    device = Plain()
    sink = await playing(device)
    device.room.clear()
    sink.write(ramp(100 * MS))
    await settled()
    sink.clear()
    await settled()
    assert device.log == ["start", "clear"]
    device.room.set()
    sink.write(ramp(MS, 5_000))
    await settled()
    assert device.taken == ramp(MS, 5_000)


async def test_the_position_is_that_of_written_audio(playing):
    device = Reporting()
    device.sample_rate = 48_000
    sink = await playing(device)
    sink.write(ramp(100 * MS))
    await settled()
    device.play(30 * 48)
    assert sink.played_ms() == pytest.approx(30)
    assert sink.is_playing
    sink.clear()
    assert sink.played_ms() == pytest.approx(30)
    device.play(48)  # in the moment before the device obeys
    assert sink.played_ms() == pytest.approx(30)
    sink.write(ramp(100 * MS))
    await settled()
    assert sink.played_ms() == pytest.approx(30)
    device.play(10 * 48)
    assert sink.played_ms() == pytest.approx(40)


async def test_roundings_do_not_add_up(playing):
    device = Reporting()
    device.sample_rate = 8_000
    sink = await playing(device)
    for _ in range(50):
        sink.write(bytes(2 * 100))  # 33.33 samples of the device
        await settled()
        sink._converter.flush()
    sink.write(bytes(2 * 2_400))
    await settled()
    # The device counts what it got: 50 times 33 samples, and of the rest as many as it likes.
    device.taken = bytes(2 * (50 * 33 + 800))
    device.play(50 * 33 + 100)
    assert sink.played_ms() == pytest.approx((50 * 100 + 300) / 24, abs=0.05)


async def test_a_hold_goes_on_with_the_next_sample(playing):
    device = Reporting()
    sink = await playing(device)
    sink.write(ramp(200 * MS))
    await settled()
    device.play(50 * MS)
    sink.hold()
    await settled()
    assert (device.taken, device.log[-1], sink.played_ms()) == (b"", "clear", 50.0)
    sink.write(ramp(10 * MS, 200 * MS + 1))
    await settled()
    assert (device.taken, sink.is_playing) == (b"", False)
    sink.resume()
    await settled()
    device.play(10**6)
    assert sink.played_ms() == 210.0
    heard = np.frombuffer(device.heard, "<i2")
    fade = slice(50 * MS, 55 * MS)
    truth = np.frombuffer(ramp(210 * MS), "<i2")
    assert len(heard) == len(truth)
    assert np.array_equal(np.delete(heard, fade), np.delete(truth, fade))
    assert (heard[fade] <= truth[fade]).all()


async def test_a_hold_that_ends_before_the_device_knows_of_it_loses_nothing(playing):
    device = Reporting()
    sink = await playing(device)
    sink.write(ramp(100 * MS))
    await settled()
    sink.hold()
    sink.resume()
    await settled()
    assert len(device.taken) == 2 * 100 * MS


async def test_clear_ends_a_hold(playing):
    device = Reporting()
    sink = await playing(device)
    sink.write(ramp(100 * MS))
    await settled()
    sink.hold()
    sink.clear()
    sink.write(ramp(MS, 7_000))
    await settled()
    assert device.taken == ramp(MS, 7_000)


async def test_volume_and_mute_act_without_the_device(playing):
    device = Plain()
    sink = await playing(device)
    sink.volume = 0.5
    sink.write(np.full(20 * MS, 10_000, "<i2").tobytes())
    await settled()
    sink.muted = True
    sink.write(np.full(20 * MS, 10_000, "<i2").tobytes())
    await settled()
    heard = np.frombuffer(device.taken, "<i2").astype(int)
    assert (set(heard[: 20 * MS]), sink.volume, sink.muted) == ({5_000}, 0.5, True)
    assert not heard[30 * MS :].any()
    with pytest.raises(ValueError, match="volume"):
        sink.volume = 2


async def test_a_failing_device_is_reported_once_and_fed_on(playing):
    device = Plain()
    errors: list[RealtimeError] = []
    device.on_error = errors.append
    sink = await playing(device)
    device.failure = OSError("wire cut")
    sink.write(ramp(100 * MS))
    await settled()
    assert [(e.cause, e.retryable) for e in errors] == [("device", True)]
    assert "Plain failed to play: OSError: wire cut" in str(errors[0])
    device.failure = None
    sink.write(ramp(MS))
    await settled()
    assert device.taken == ramp(MS)


async def test_a_hook_that_fails_does_no_harm(playing, caplog):
    device = Plain()

    def broken(_):
        raise ValueError("hook")

    device.on_error = broken
    sink = await playing(device)
    device.failure = OSError("wire cut")
    sink.write(ramp(MS))
    await settled()
    device.failure = None
    sink.write(ramp(MS))
    await settled()
    assert device.taken == ramp(MS)
    assert "on_error failed" in caplog.text


async def test_a_device_of_an_impossible_rate_is_stopped_again():
    device = Plain()
    device.sample_rate = 4_000
    with pytest.raises(AudioFormatError):
        await DeviceSink(device).start()
    assert device.log == ["start", "stop"]


async def test_the_packages_own_devices_are_sinks_by_themselves():
    speaker = NullSpeaker(rate=16_000)
    assert sink_for(speaker, 16_000) is speaker
    assert isinstance(sink_for(speaker, 24_000), DeviceSink)
    assert isinstance(sink_for(Plain(), 24_000), DeviceSink)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "play", "clear", "hold", "resume", "settle"]),
            st.integers(0, 900),
        ),
        max_size=30,
    )
)
@settings(deadline=None, max_examples=60)
def test_every_written_sample_is_heard_once_unless_cleared(steps):
    """Against a tape of numbered samples, at whatever moments the device plays."""

    async def run() -> None:
        device = Reporting()
        sink = DeviceSink(device)
        await sink.start()
        expected: list[int] = []
        count = 0
        last = 0.0
        for what, number in steps:
            if what == "write":
                sink.write(ramp(number, count + 1))
                expected += range(count + 1, count + 1 + number)
                count += number
            elif what == "play":
                device.play(number)
            elif what == "clear":
                before = len(device.heard) // 2
                sink.clear()
                del expected[before:]
                await settled()
            elif what == "settle":
                await settled()
            else:
                getattr(sink, what)()
            position = sink.played_ms()
            assert position >= last
            assert position == pytest.approx(len(device.heard) / 2 / MS)
            last = position
        sink.resume()
        await settled()
        device.play(10**6)
        heard = np.frombuffer(device.heard, "<i2").astype(int)
        # A fade makes samples smaller, and they still have their places.
        assert len(heard) == len(expected)
        assert (heard <= np.array(expected)).all()
        await sink.stop()

    asyncio.run(run())


class Source(AudioInputDevice):
    """A class as users write it."""

    def __init__(self, chunks) -> None:
        self._chunks = chunks
        self.closed = False

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def stream_chunks(self) -> AsyncIterator[bytes]:
        try:
            for chunk in self._chunks:
                yield chunk
        finally:
            self.closed = True

    @property
    def is_active(self) -> bool:
        return True


async def joined(device, rate):
    return b"".join([chunk async for chunk in mono_chunks(device, rate)])


async def test_any_microphone_becomes_mono_at_the_wanted_rate():
    at = np.arange(44_100) / 44_100
    left = (9_000 * np.sin(2 * np.pi * 440 * at)).astype("<i2")
    stereo = np.stack([left, np.zeros_like(left)], axis=1).tobytes()
    device = Source([stereo[i : i + 1_001] for i in range(0, len(stereo), 1_001)])
    device.sample_rate, device.channels = 44_100, 2
    heard = await joined(device, 24_000)
    mono = np.rint(left / 2).astype("<i2").tobytes()
    assert heard == resample(mono, 44_100, 24_000)


async def test_what_needs_no_conversion_passes_untouched():
    assert await joined(Source([b"\1\2", b"\3", b"\4\5"]), 24_000) == b"\1\2\3\4"


async def test_a_stream_that_is_left_early_is_closed():
    device = Source([b"\1\2"] * 3)
    chunks = mono_chunks(device, 24_000)
    assert await anext(chunks) == b"\1\2"
    await chunks.aclose()
    assert device.closed


async def test_something_else_than_bytes_is_the_devices_fault():
    with pytest.raises(AudioFormatError, match=r"Source.stream_chunks yields ndarray"):
        await joined(Source([np.zeros(3)]), 24_000)


async def test_a_coroutine_is_no_stream():
    class Wrong(Source):
        async def stream_chunks(self):
            return [b"\1\2"]

    with pytest.raises(ConfigurationError, match="yield"):
        await joined(Wrong([]), 24_000)
