"""Microphone and loudspeaker over a PortAudio that is a fake, and can do what hardware does."""

import asyncio
import builtins
import sys
import threading
import types
from types import SimpleNamespace as Namespace

import numpy as np
import pytest

from realtime_facade.audio.resample import resample
from realtime_facade.devices import keeping
from realtime_facade.devices.soundcard import Microphone, Speaker, list_devices
from realtime_facade.errors import AudioFormatError, ConfigurationError, MissingExtra, RealtimeError

INVALID_RATE, INVALID_CHANNELS, UNAVAILABLE, HOST_ERROR = -9997, -9998, -9985, -9999


class PortAudioError(Exception):
    pass


class FakeStream:
    def __init__(self, sounddevice, kind, options) -> None:
        self.kind = kind
        self.options = options
        self.samplerate = options["samplerate"]
        self.channels = options["channels"]
        self.latency = 0.03
        self.started = self.closed = False
        self._sounddevice = sounddevice

    def start(self) -> None:
        if self._sounddevice.start_error:
            raise self._sounddevice.start_error
        self.started = True
        self._now = 1_000.0

    def abort(self) -> None:
        self.options["finished_callback"]()

    def close(self) -> None:
        self.closed = True

    def unplug(self) -> None:
        """What PortAudio does, in a thread of its own, when the hardware is gone."""
        in_card_thread(self.options["finished_callback"])

    def pull(self, frames: int, *, latency: float = 0.0, underflow: bool = False) -> np.ndarray:
        """One callback of a loudspeaker; (frames, channels)."""
        buffer = bytearray(b"\x55" * (2 * frames * self.channels))
        moment = Namespace(currentTime=500.0, outputBufferDacTime=500.0 + latency)
        if latency < 0:
            moment = Namespace(currentTime=0.0, outputBufferDacTime=0.0)
        status = Namespace(output_underflow=underflow)
        in_card_thread(self.options["callback"], buffer, frames, moment, status)
        return np.frombuffer(buffer, "<i2").reshape(frames, self.channels)

    def deliver(self, pcm: bytes, *, overflow: bool = False) -> None:
        """One callback of a microphone."""
        frames = len(pcm) // 2 // self.channels
        status = Namespace(input_overflow=overflow)
        in_card_thread(self.options["callback"], memoryview(pcm), frames, None, status)


def in_card_thread(work, *arguments) -> None:
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    thread.join()


class FakeSounddevice(types.ModuleType):
    PortAudioError = PortAudioError

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.default = Namespace(device=[0, 1])
        self.devices = [
            self.device("Built-in Mic", 2, 0),
            self.device("Built-in Output", 0, 2),
            self.device("USB Headset", 1, 2, rate=44_100),
            self.device("USB Headset", 1, 2, hostapi=1),
            self.device("USB Camera", 2, 0),
        ]
        self.accepts = lambda kind, rate, channels: 0
        self.start_error: Exception | None = None
        self.streams: list[FakeStream] = []
        self.renewals = 0
        self._initialized = 1

    def device(self, name, inputs, outputs, *, rate=48_000, hostapi=0):
        return {
            "name": name,
            "hostapi": hostapi,
            "max_input_channels": inputs,
            "max_output_channels": outputs,
            "default_samplerate": float(rate),
        }

    def query_hostapis(self):
        return [{"name": "ALSA"}, {"name": "JACK"}]

    def query_devices(self):
        return self.devices

    def RawInputStream(self, **options):  # noqa: N802
        return self._open("input", options)

    def RawOutputStream(self, **options):  # noqa: N802
        return self._open("output", options)

    def _open(self, kind, options):
        code = self.accepts(kind, options["samplerate"], options["channels"])
        if code:
            raise PortAudioError(f"error {code}", code)
        assert options["dtype"] == "int16"
        self.streams.append(FakeStream(self, kind, options))
        return self.streams[-1]

    def _terminate(self):
        self._initialized -= 1

    def _initialize(self):
        self._initialized += 1
        self.renewals += 1


@pytest.fixture
def card(monkeypatch):
    fake = FakeSounddevice()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(keeping, "FIRST_PAUSE_S", 0.01)
    return fake


@pytest.fixture
async def started():
    devices = []

    async def start(device):
        devices.append(device)
        await device.start()
        return device

    yield start
    for device in devices:
        await device.stop()


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def reopened(device):
    async with asyncio.timeout(3):
        while not device.statistics.reopened:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def listen(microphone):
    chunks: list[bytes] = []

    async def run():
        chunks.extend([chunk async for chunk in microphone.stream_chunks()])

    return asyncio.create_task(run()), chunks


def test_nothing_is_opened_by_a_constructor(card):
    Microphone()
    Speaker("no such device")
    assert card.streams == []


def test_the_devices_are_listed(card):
    devices = list_devices()
    assert [str(device) for device in devices[:3]] == [
        "0: Built-in Mic, ALSA: 2 in, 0 out (default microphone)",
        "1: Built-in Output, ALSA: 0 in, 2 out (default loudspeaker)",
        "2: USB Headset, ALSA: 1 in, 2 out",
    ]
    assert devices[2].rate == 44_100


@pytest.mark.parametrize(
    ("wanted", "index"),
    [(None, 0), (4, 4), ("usb camera", 4), ("camera", 4), ("USB HEADSET, JACK", 3), ("headset", 2)],
)
async def test_a_device_is_found_by_index_or_name(card, started, wanted, index):
    await started(Microphone(wanted))
    assert card.streams[0].options["device"] == index


async def test_without_a_default_the_first_will_do(card, started):
    card.default.device = [-1, -1]
    await started(Speaker())
    assert card.streams[0].options["device"] == 1


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (Microphone(9), "there is no sound device 9"),
        (Microphone("Mike"), "no microphone is 'Mike'"),
        (Microphone("usb"), "'usb' fits several microphones"),
        (Microphone(1), "'Built-in Output', is no microphone"),
        (Speaker("camera"), "'camera' is no loudspeaker"),
        (Speaker(0), "'Built-in Mic', is no loudspeaker"),
    ],
)
async def test_a_wrong_device_is_refused_with_what_there_is(card, device, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        await device.start()
    assert caught.value.cause == "device"
    assert "choose one of these: " in str(caught.value)
    assert "USB Headset" in str(caught.value)
    await device.stop()


async def test_no_device_at_all(card):
    card.devices = []
    for device, name in ((Microphone(), "microphone"), (Speaker(), "loudspeaker")):
        with pytest.raises(RealtimeError, match=f"the system has no {name}") as caught:
            await device.start()
        assert caught.value.cause == "device"


@pytest.mark.parametrize(
    ("code", "words", "retryable"),
    [
        (UNAVAILABLE, "'Built-in Output' is busy", True),
        (HOST_ERROR, "'Built-in Output' cannot be opened: error -9999", True),
        (INVALID_RATE, "neither the wanted sample rate nor its own", False),
    ],
)
async def test_a_card_that_refuses(card, code, words, retryable):
    card.accepts = lambda *_: code
    with pytest.raises(RealtimeError, match=words) as caught:
        await Speaker().start()
    assert (caught.value.cause, caught.value.retryable) == ("device", retryable)
    assert caught.value.advice


async def test_a_card_that_does_not_start_is_closed(card):
    card.start_error = PortAudioError("no", HOST_ERROR)
    with pytest.raises(RealtimeError, match="could not be started: no"):
        await Speaker().start()
    assert card.streams[0].closed


async def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"realtime-facade\[audio\]"):
        await Speaker().start()


async def test_a_missing_library_says_how_to_get_it(monkeypatch):
    real_import = builtins.__import__

    def no_portaudio(name, *rest, **more):
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real_import(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", no_portaudio)
    with pytest.raises(ConfigurationError, match="apt install libportaudio2, or: brew"):
        await Microphone().start()


@pytest.mark.parametrize("make", [Microphone, Speaker])
def test_impossible_numbers_are_refused(make):
    for options in ({"rate": 4_000}, {"block_ms": 0}):
        with pytest.raises(ConfigurationError):
            make(**options)


async def test_what_the_microphone_hears_is_yielded(card, started):
    microphone = await started(Microphone())
    task, chunks = listen(microphone)
    for number in range(3):
        card.streams[0].deliver(bytes([number, 0]) * 480)
    await turns()
    assert chunks == []  # until the stream ends
    await microphone.stop()
    await task
    assert [chunk[:1] for chunk in chunks] == [b"\0", b"\1", b"\2"]
    assert not microphone.is_active
    assert card.streams[0].closed


@pytest.mark.parametrize(("block_ms", "frames"), [(20, 480), (50, 1_200)])
async def test_the_card_delivers_and_asks_in_blocks(card, started, block_ms, frames):
    await started(Microphone(block_ms=block_ms))
    await started(Speaker(block_ms=block_ms))
    assert [stream.options["blocksize"] for stream in card.streams] == [frames, frames]


async def test_a_stereo_microphone_of_another_rate_is_converted(card, started):
    card.accepts = lambda _, rate, channels: (
        INVALID_RATE if rate == 24_000 else INVALID_CHANNELS if channels == 1 else 0
    )
    card.devices[0]["default_samplerate"] = 44_100.0
    microphone = await started(Microphone(0))
    stream = card.streams[0]
    assert (stream.samplerate, stream.channels, stream.options["blocksize"]) == (44_100, 2, 882)
    mono = (9_000 * np.sin(np.arange(44_100) / 30)).astype("<i2")
    stereo = np.stack([mono, mono], axis=1).tobytes()
    task, chunks = listen(microphone)
    for start in range(0, len(stereo), 4 * 882):
        stream.deliver(stereo[start : start + 4 * 882])
        await turns()
    await microphone.stop()
    await task
    heard = b"".join(chunks)
    assert heard == resample(mono.tobytes(), 44_100, 24_000)[: len(heard)]
    assert len(heard) / 48 > 980


async def test_what_nobody_takes_is_dropped_and_counted(card, started):
    microphone = await started(Microphone())
    for number in range(60):
        card.streams[0].deliver(bytes([number, 0]) * 480, overflow=number == 3)
    await turns()
    task, chunks = listen(microphone)
    await turns()
    await microphone.stop()
    await task
    assert (len(chunks), chunks[0][:1]) == (50, bytes([10]))
    assert microphone.statistics.dropped_ms == 200
    assert microphone.statistics.overruns == 1


async def test_an_unplugged_microphone_is_reported_and_used_again(card, started):
    errors: list[RealtimeError] = []
    microphone = Microphone()
    microphone.on_error = errors.append
    await started(microphone)
    task, chunks = listen(microphone)
    card.streams[0].deliver(b"\1\0" * 480)
    await turns()
    card.streams[0].unplug()
    await reopened(microphone)
    assert card.streams[0].closed
    assert card.renewals == 1
    card.streams[1].deliver(b"\2\0" * 480)
    await turns()
    await microphone.stop()
    await task
    assert [chunk[:1] for chunk in chunks] == [b"\1", b"\2"]
    assert [(e.cause, e.retryable) for e in errors] == [("device", True)]
    assert microphone.statistics.reopened == 1


async def test_the_list_is_not_renewed_under_an_open_stream(card, started):
    speaker = await started(Speaker())
    await started(Microphone())
    speaker.on_error = lambda _: None
    card.streams[0].unplug()
    await reopened(speaker)
    assert card.renewals == 0


async def test_before_the_start_there_is_no_stream(card):
    with pytest.raises(ConfigurationError, match="start"):
        await anext(Microphone().stream_chunks())


def ramp(samples: int, first: int = 1) -> np.ndarray:
    return np.arange(first, first + samples).astype("<i2")


async def test_what_is_written_is_pulled(card, started):
    speaker = await started(Speaker())
    speaker.write(ramp(1_000).tobytes())
    stream = card.streams[0]
    heard = np.concatenate([stream.pull(480) for _ in range(3)])[:, 0]
    assert np.array_equal(heard, np.concatenate([ramp(1_000), np.zeros(440)]))
    assert speaker.statistics.ran_out == 1


async def test_all_channels_of_the_card_get_the_same(card, started):
    card.accepts = lambda _, rate, channels: INVALID_CHANNELS if channels == 1 else 0
    speaker = await started(Speaker())
    speaker.write(ramp(100).tobytes())
    heard = card.streams[0].pull(480)
    assert heard.shape == (480, 2)
    assert np.array_equal(heard[:, 0], heard[:, 1])
    assert np.array_equal(heard[:100, 0], ramp(100))


async def test_a_card_of_another_rate_gets_converted_sound_to_the_last_sample(card, started):
    card.accepts = lambda _, rate, channels: INVALID_RATE if rate == 24_000 else 0
    speaker = await started(Speaker())
    pcm = (5_000 * np.sin(np.arange(2_400) / 20)).astype("<i2").tobytes()
    speaker.write(pcm)
    stream = card.streams[0]
    heard = [stream.pull(960) for _ in range(4)]
    await asyncio.sleep(0.15)  # the end of the stream is noticed
    heard += [stream.pull(960) for _ in range(2)]
    sound = np.concatenate(heard)[:, 0]
    expected = np.frombuffer(resample(pcm, 24_000, 48_000), "<i2")
    # The card had to wait for the last few milliseconds.
    assert [int(v) for v in sound if v] == [int(v) for v in expected if v]
    await asyncio.sleep(0.03)
    assert speaker.played_ms() == pytest.approx(100, abs=0.1)


async def test_the_latency_that_the_card_reports_is_taken_off(card, started, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("realtime_facade.devices.soundcard.time.monotonic", lambda: now[0])
    speaker = Speaker()
    speaker.write(bytes(2 * 24_000))
    await started(speaker)
    card.streams[0].pull(480, latency=0.05)
    positions = []
    for now[0] in (100.0, 100.05, 100.06, 100.07, 200.0):
        positions.append(speaker.played_ms())
    assert positions == pytest.approx([0, 0, 10, 20, 20])
    assert speaker.is_playing


async def test_a_card_that_names_no_moments_is_taken_at_its_streams_latency(
    card, started, monkeypatch
):
    now = [100.0]
    monkeypatch.setattr("realtime_facade.devices.soundcard.time.monotonic", lambda: now[0])
    speaker = Speaker()
    speaker.write(bytes(2 * 24_000))
    await started(speaker)
    card.streams[0].pull(480, latency=-1)
    now[0] += 0.04
    assert speaker.played_ms() == pytest.approx(10)


async def test_clear_works_before_the_next_turn_of_the_event_loop(card, started):
    speaker = await started(Speaker())
    speaker.write(ramp(24_000).tobytes())
    card.streams[0].pull(480)
    speaker.clear()
    position = speaker.played_ms()
    assert not card.streams[0].pull(480).any()
    assert speaker.played_ms() == position
    await speaker.play_chunk(ramp(100).tobytes())
    assert np.array_equal(card.streams[0].pull(480)[:100, 0], ramp(100))
    await speaker.clear_buffer()


async def test_hold_volume_and_mute_act_on_the_next_pull(card, started):
    speaker = await started(Speaker())
    speaker.write(np.full(24_000, 10_000, "<i2").tobytes())
    stream = card.streams[0]
    stream.pull(480)
    speaker.hold()
    assert speaker.can_hold
    assert not stream.pull(480)[120:].any()
    assert not stream.pull(480).any()
    speaker.resume()
    assert stream.pull(480)[-1, 0] == 10_000
    speaker.volume = 0.5
    assert stream.pull(480)[-1, 0] == 5_000
    speaker.muted = True
    assert stream.pull(480)[-1, 0] == 0
    assert (speaker.volume, speaker.muted) == (0.5, True)
    with pytest.raises(ValueError, match="volume"):
        speaker.volume = 1.5


async def test_an_unplugged_speaker_goes_on_with_the_rest_at_the_new_cards_rate(card, started):
    errors: list[RealtimeError] = []
    speaker = Speaker()
    speaker.on_error = errors.append
    await started(speaker)
    speaker.write(bytes(2 * 24_000))
    card.streams[0].pull(480)
    card.accepts = lambda _, rate, channels: INVALID_RATE if rate == 24_000 else 0
    card.streams[0].unplug()
    await reopened(speaker)
    assert len(errors) == 1
    assert card.streams[1].samplerate == 48_000
    assert speaker.played_ms() == pytest.approx(20)
    card.streams[1].pull(4_800)
    await asyncio.sleep(0.12)
    assert speaker.played_ms() == pytest.approx(120, abs=0.1)


async def test_stop_drops_the_rest_and_it_can_start_again(card, started):
    speaker = await started(Speaker())
    await speaker.start()
    assert len(card.streams) == 1
    speaker.write(ramp(24_000).tobytes())
    card.streams[0].pull(480)
    await speaker.stop()
    await speaker.stop()
    position = speaker.played_ms()
    assert card.streams[0].closed
    assert not speaker.is_playing
    await speaker.start()
    assert not card.streams[1].pull(480).any()
    speaker.write(ramp(240).tobytes())
    card.streams[1].pull(480)
    await asyncio.sleep(0.03)
    assert speaker.played_ms() == pytest.approx(position + 10)


async def test_underruns_are_counted(card, started):
    speaker = await started(Speaker())
    card.streams[0].pull(480, underflow=True)
    card.streams[0].pull(480)
    assert speaker.statistics.underruns == 1


async def test_half_a_sample_is_refused(card, started):
    speaker = await started(Speaker())
    with pytest.raises(AudioFormatError):
        speaker.write(b"abc")
