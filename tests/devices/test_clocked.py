"""The devices without hardware, and the tape that all loudspeakers share."""

import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.devices.file import FileSpeaker
from realtime_facade.devices.null import NullMicrophone, NullSpeaker
from realtime_facade.devices.tape import MAX_WAITING_S, Tape
from realtime_facade.errors import AudioFormatError, ConfigurationError, RealtimeError

RATE = 8_000
MS = RATE // 1000


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def tone(samples: int, first: int = 0, level: int = 10_000) -> bytes:
    """Every sample is different from its neighbours, so that a lost or repeated one shows."""
    return (level + np.arange(first, first + samples)).astype("<i2").tobytes()


def recorded(path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert file.getnchannels() == 1
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


async def test_a_null_speaker_hears_in_real_time():
    clock = Clock()
    speaker = NullSpeaker(rate=RATE, clock=clock)
    await speaker.start()
    speaker.write(bytes(2 * 100 * MS))
    clock.now += 0.03
    assert (speaker.played_ms(), speaker.is_playing) == (30.0, True)
    clock.now += 5
    assert (speaker.played_ms(), speaker.is_playing) == (100.0, False)


async def test_the_latency_delays_what_begins_in_silence():
    clock = Clock()
    speaker = NullSpeaker(rate=RATE, clock=clock, latency_ms=40)
    await speaker.start()
    clock.now += 1
    speaker.write(bytes(2 * 100 * MS))
    clock.now += 0.05
    assert speaker.played_ms() == 10.0
    speaker.write(bytes(2 * 100 * MS))
    clock.now += 0.05
    assert speaker.played_ms() == 60.0


async def test_nothing_sounds_before_the_start_and_nothing_is_lost():
    clock = Clock()
    speaker = NullSpeaker(rate=RATE, clock=clock)
    speaker.write(bytes(2 * 100 * MS))
    clock.now += 1
    assert speaker.played_ms() == 0
    await speaker.start()
    clock.now += 0.01
    assert speaker.played_ms() == 10.0


async def test_stop_drops_the_rest():
    clock = Clock()
    speaker = NullSpeaker(rate=RATE, clock=clock)
    await speaker.start()
    speaker.write(bytes(2 * 100 * MS))
    clock.now += 0.01
    await speaker.stop()
    await speaker.stop()
    clock.now += 1
    await speaker.start()
    clock.now += 1
    assert speaker.played_ms() == 10.0


async def test_the_abstract_methods_work_too():
    clock = Clock()
    speaker = NullSpeaker(rate=RATE, clock=clock)
    await speaker.start()
    await speaker.play_chunk(bytes(2 * 100 * MS))
    clock.now += 0.02
    await speaker.clear_buffer()
    clock.now += 1
    assert speaker.played_ms() == 20.0


async def test_a_file_holds_the_listeners_timeline(tmp_path):
    clock, path = Clock(), tmp_path / "heard.wav"
    speaker = FileSpeaker(path, rate=RATE, clock=clock)
    await speaker.start()
    clock.now += 0.05
    speaker.write(tone(100 * MS))
    clock.now += 0.02
    speaker.clear()
    clock.now += 0.03
    speaker.write(tone(10 * MS, level=20_000))
    clock.now += 0.1
    await speaker.stop()
    silence = np.zeros
    expected = [
        silence(50 * MS),
        np.frombuffer(tone(20 * MS), "<i2"),
        silence(30 * MS),
        np.frombuffer(tone(10 * MS, level=20_000), "<i2"),
        silence(90 * MS),
    ]
    assert np.array_equal(recorded(path), np.concatenate(expected))
    assert speaker.played_ms() == 30.0


async def test_a_hold_is_a_gap_without_loss(tmp_path):
    clock, path = Clock(), tmp_path / "heard.wav"
    speaker = FileSpeaker(path, rate=RATE, clock=clock)
    await speaker.start()
    speaker.write(tone(100 * MS))
    clock.now += 0.02
    speaker.hold()
    clock.now += 0.5
    held = speaker.played_ms()
    assert held == 25.0  # the fade took 5 ms
    assert not speaker.is_playing
    speaker.resume()
    clock.now += 0.075
    assert speaker.played_ms() == 100.0
    await speaker.stop()
    heard = recorded(path)
    gap = slice(25 * MS, 520 * MS)
    assert not heard[gap].any()
    whole = np.delete(heard, gap)
    original = np.frombuffer(tone(100 * MS), "<i2")
    faded = slice(20 * MS, 30 * MS)
    assert np.array_equal(np.delete(whole, faded), np.delete(original, faded))
    # No step is larger than the ramp's own.
    assert np.abs(np.diff(whole[faded].astype(int))).max() < 11_000 / (5 * MS) + 10


async def test_clear_ends_a_hold():
    clock = Clock()
    speaker = NullSpeaker(rate=RATE, clock=clock)
    await speaker.start()
    speaker.write(bytes(2 * 100 * MS))
    speaker.hold()
    clock.now += 0.1
    speaker.clear()
    speaker.write(bytes(2 * 100 * MS))
    clock.now += 0.05
    assert speaker.played_ms() == 55.0


async def test_the_volume_has_no_clicks(tmp_path):
    clock, path = Clock(), tmp_path / "heard.wav"
    speaker = FileSpeaker(path, rate=RATE, clock=clock)
    await speaker.start()
    speaker.write(np.full(100 * MS, 20_000, "<i2").tobytes())
    for change in ("volume", "muted", "unmuted"):
        clock.now += 0.02
        if change == "volume":
            speaker.volume = 0.5
        else:
            speaker.muted = change == "muted"
    clock.now += 0.04
    assert speaker.volume == 0.5
    await speaker.stop()
    heard = recorded(path).astype(int)
    at = [heard[ms * MS] for ms in (19, 39, 59, 79)]
    assert at == [20_000, 10_000, 0, 10_000]
    assert np.abs(np.diff(heard[: 99 * MS])).max() <= 20_000 / (5 * MS)


@pytest.mark.parametrize("volume", [-0.1, 1.1, float("nan")])
def test_an_impossible_volume_is_a_value_error(volume):
    speaker = NullSpeaker()
    with pytest.raises(ValueError, match=r"0\.0 to 1\.0") as caught:
        speaker.volume = volume
    assert isinstance(caught.value, ConfigurationError)
    assert speaker.volume == 1.0


async def test_without_real_time_everything_is_heard_at_once(tmp_path):
    speaker = FileSpeaker(tmp_path / "all.wav", rate=RATE, realtime=False)
    await speaker.start()
    speaker.write(tone(3 * RATE))
    assert speaker.played_ms() == 3_000
    await speaker.stop()
    assert len(recorded(tmp_path / "all.wav")) == 3 * RATE


async def test_a_full_disk_is_reported_once_and_time_goes_on(tmp_path, monkeypatch):
    clock = Clock()
    speaker = FileSpeaker(tmp_path / "a.wav", rate=RATE, clock=clock)
    errors: list[RealtimeError] = []
    speaker.on_error = errors.append
    await speaker.start()

    def full(_):
        raise RealtimeError("no space left", cause="device")

    monkeypatch.setattr(speaker._file, "write", full)
    speaker.write(tone(100 * MS))
    for _ in range(3):
        clock.now += 0.01
        speaker.played_ms()
    assert speaker.played_ms() == 30.0
    await speaker.stop()
    assert [error.cause for error in errors] == ["device"]


async def test_a_file_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(RealtimeError) as caught:
        await FileSpeaker(tmp_path / "taken" / "a.wav").start()
    assert caught.value.cause == "device"


@pytest.mark.parametrize(
    "make",
    [
        lambda: NullSpeaker(rate=0),
        lambda: NullSpeaker(latency_ms=-1),
        lambda: NullMicrophone(rate=0),
        lambda: FileSpeaker("x.wav", realtime=False, latency_ms=10),
    ],
)
def test_impossible_numbers_are_refused(make):
    with pytest.raises(ConfigurationError):
        make()


async def test_half_a_sample_is_refused():
    with pytest.raises(AudioFormatError):
        NullSpeaker().write(b"abc")


def test_a_tape_is_bounded_and_counts():
    tape = Tape(1)
    tape.write(bytes(2 * (MAX_WAITING_S + 7)))
    assert (tape.waiting, tape.dropped) == (MAX_WAITING_S, 7)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 400)),
        st.tuples(st.just("wait"), st.integers(0, 400)),
        st.tuples(
            st.sampled_from(["clear", "hold", "resume", "volume", "mute"]), st.integers(0, 9)
        ),
    ),
    max_size=40,
)


@given(STEPS)
def test_the_position_agrees_with_a_tape_of_single_samples(steps):
    """Each sample is numbered; a model says which have been heard after every step."""
    clock = Clock()
    heard: list[int] = []

    class Listener(NullSpeaker):
        def _sound(self, samples):
            heard.extend(int(sample) for sample in samples)

    speaker = Listener(rate=RATE, clock=clock)
    speaker._running = True
    speaker._since = clock.now
    tape: list[int] = []
    played = 0
    last = 0.0
    moved = now = 0
    held = False
    for what, number in steps:
        if what == "write":
            speaker.write(bytes(2 * number))
            tape += [0] * number
        elif what == "wait":
            now += number
            clock.now = 100.0 + now / RATE
            moved = min(number, len(tape) - played)
        elif what == "clear":
            speaker.clear()
            held = False
            del tape[played:]
        elif what in ("hold", "resume"):
            getattr(speaker, what)()
            held = what == "hold"
        elif what == "volume":
            speaker.volume = number / 10
        else:
            speaker.muted = number % 2 == 0
        position = round(speaker.played_ms() * MS)
        if what == "wait" and held:
            # At most the fade may still be heard.
            assert position - played <= min(moved, 5 * MS)
        elif what == "wait":
            assert position - played == moved
        else:
            assert position == played
        played = position
        assert last <= speaker.played_ms() <= len(tape) / MS
        last = speaker.played_ms()
    assert len(heard) == now


@given(STEPS)
def test_no_sample_is_lost_or_repeated(steps):
    """What was read, fades apart, are the written samples in order, without the cleared ones."""
    tape = Tape(RATE)
    written = 0
    expected: list[int] = []
    got: list[int] = []
    for what, number in steps:
        if what == "write":
            tape.write(tone(number, written, 1))
            expected += range(1 + written, 1 + written + number)
            written += number
        elif what == "wait":
            full = not tape.held and tape._gain == 1.0
            start = tape.head
            data = tape.read(number)
            assert tape.head - start == len(data)
            truth = expected[start : tape.head]
            got += list(data) if full else truth
            if full:
                assert list(data) == truth
            else:
                assert all(abs(int(d)) <= t for d, t in zip(data, truth, strict=True))
            tape.forget(tape.head)
        elif what == "clear":
            tape.cut(tape.head)
            del expected[tape.head :]
        elif what in ("hold", "resume"):
            tape.held = what == "hold"
    assert got == expected[: tape.head]
