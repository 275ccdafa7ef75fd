"""What is in the file: every sample that was said or heard, once, in its place, come what may."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_facade.audio.playback import Playback
from realtime_facade.commands import AppendAudio
from realtime_facade.config import RealtimeConfig, VADMode
from realtime_facade.errors import ConfigurationError
from realtime_facade.events import (
    AudioChunk,
    ErrorOccurred,
    Event,
    Interrupted,
    SpeechStarted,
    TurnEnded,
)
from realtime_facade.features import recording as module
from realtime_facade.features.recording import Recording
from realtime_facade.providers.base import Profile
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator
from realtime_facade.voice import RealtimeVoice

RATE = 24_000
TICK_S = 0.02


class Sink:
    """A loudspeaker that plays by the tests' clock."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.written = 0
        self.played = 0.0
        self.held = False

    def write(self, pcm: bytes) -> None:
        self.written += len(pcm) // 2

    def clear(self) -> None:
        self.written = round(self.played * self.rate / 1000)

    def played_ms(self) -> float | None:
        return self.played

    def advance(self, seconds: float) -> None:
        if not self.held:
            self.played = min(self.played + seconds * 1000, self.written * 1000 / self.rate)


class Session:
    """What the feature sees of a session, on a clock that only the tests move."""

    def __init__(self, path: Path, *, input_rate: int = RATE, output_rate: int = RATE) -> None:
        self.now = 100.0
        self.config = RealtimeConfig(input_rate=input_rate, output_rate=output_rate)
        self.profile = Profile(provider="test", model="m")
        self.sink = Sink(output_rate)
        self.playback = Playback(output_rate, sink=self.sink)
        self.events: list[Event] = []
        self.timers: list[tuple[float, object]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.recording = Recording(path, clock=lambda: self.now)
        self.recording.attach(self)

    def start(self, work, name):
        task = asyncio.create_task(work, name=name)
        self.tasks.add(task)
        return task

    def call_later(self, delay_s, callback):
        self.timers.append((self.now + delay_s, callback))

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self.recording.on_event(event)

    def user(self, pcm: bytes) -> None:
        self.recording.on_command(AppendAudio(data=pcm))

    def assistant(self, pcm: bytes) -> None:
        self.playback.write("a", pcm)
        self.recording.on_event(AudioChunk(data=pcm, item_id="a"))

    def interrupt(self) -> None:
        self.playback.cut()
        self.recording.on_event(Interrupted())

    def wait(self, seconds: float, step_s: float = TICK_S) -> None:
        """Let time pass, in steps; a coarse step is an event loop that is kept busy."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(self.now + step_s, end)
            self.sink.advance(step_s)
            due = [timer for timer in self.timers if timer[0] <= self.now]
            self.timers = [timer for timer in self.timers if timer[0] > self.now]
            for _, callback in due:
                callback()

    def talk(self, pcm: bytes, rate: int = RATE) -> None:
        """Speak into the microphone in real time."""
        size = 2 * round(TICK_S * rate)
        for start in range(0, len(pcm), size):
            self.wait(TICK_S)
            self.user(pcm[start : start + size])

    async def written(self) -> None:
        """Until the thread has nothing to do."""
        while self.tasks:
            await self.tasks.pop()

    async def end(self) -> None:
        """As a session ends: running work is cancelled, then features finish."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.recording.finish()
        self.recording.on_event(TurnEnded())

    async def tracks(self) -> tuple[np.ndarray, np.ndarray]:
        """The finished file's user and assistant."""
        await self.end()
        return stereo(self.recording.path)


def stereo(path: Path, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, rate)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        assert len(both) == file.getnframes()
    return both[:, 0], both[:, 1]


def voice(seconds: float, *, first: int = 1, rate: int = RATE) -> bytes:
    """Sound whose every sample is another number, never 0."""
    return ((np.arange(round(seconds * rate)) + first - 1) % 30_000 + 1).astype("<i2").tobytes()


def tone(seconds: float, rate: int) -> bytes:
    return (
        (9000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate))
        .astype("<i2")
        .tobytes()
    )


def found(track: np.ndarray, pcm: bytes) -> int:
    """Where `pcm` stands in the track, in one piece, in samples."""
    at = track.astype("<i2").tobytes().find(pcm)
    assert at >= 0, "it is not there, or not in one piece"
    return at // 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a" / "b" / "call.wav"


# -- in its place --


async def test_both_speak_at_once_and_both_are_complete(path: Path):
    session = Session(path)
    question, answer = voice(3), voice(2, first=7_000)
    session.talk(question[: 2 * RATE])
    session.assistant(answer)
    session.talk(question[2 * RATE :])
    session.wait(1)
    user, assistant = await session.tracks()
    assert found(user, question) == 0
    assert found(assistant, answer) == pytest.approx(RATE, abs=0.02 * RATE)
    assert np.count_nonzero(user) == 3 * RATE
    assert np.count_nonzero(assistant) == 2 * RATE == session.playback.position
    assert session.recording.duration_ms == 4000
    assert not session.recording.failed


async def test_what_an_interruption_cut_off_is_not_in_the_file(path: Path):
    session = Session(path)
    answer, next_answer = voice(10), voice(1, first=20_000)
    session.assistant(answer)
    session.wait(1.3)
    session.interrupt()
    session.wait(2)
    session.assistant(next_answer)
    session.wait(2)
    _, assistant = await session.tracks()
    assert found(assistant, answer[: 2 * round(1.3 * RATE)]) == 0
    assert found(assistant, next_answer) == pytest.approx(3.3 * RATE, abs=0.15 * RATE)
    assert np.count_nonzero(assistant) == session.playback.position == round(2.3 * RATE)


async def test_without_a_microphone_the_timeline_follows_the_clock(path: Path):
    session = Session(path)
    first, second = voice(3), voice(2, first=9_000)
    session.wait(5)
    session.assistant(first)
    session.wait(20)
    session.assistant(second)
    session.wait(4)
    user, assistant = await session.tracks()
    assert found(assistant, first) == pytest.approx(5 * RATE, abs=0.15 * RATE)
    assert found(assistant[20 * RATE :], second) == pytest.approx(5 * RATE, abs=0.15 * RATE)
    assert not user.any()
    assert len(user) == 29 * RATE


async def test_a_microphone_that_was_off_comes_back_where_it_belongs(path: Path):
    session = Session(path, input_rate=16_000)
    speech = tone(1, 16_000)
    session.talk(speech, 16_000)
    session.wait(5)
    session.talk(speech, 16_000)
    user, _ = await session.tracks()
    level = np.abs(user.astype(int))
    assert level[: RATE - 100].reshape(-1, 100).max(axis=1).min() > 1000
    assert level[RATE + 10 : 6 * RATE - 10].max() == 0
    assert level[6 * RATE + 100 : 7 * RATE - 100].reshape(-1, 100).max(axis=1).min() > 1000
    assert len(user) == 7 * RATE


async def test_a_short_pause_of_the_microphone_has_the_last_sound_before_it(path: Path):
    session = Session(path, input_rate=16_000)
    session.talk(tone(1, 16_000), 16_000)
    session.wait(0.5)
    session.talk(tone(1, 16_000), 16_000)
    user, _ = await session.tracks()
    level = np.abs(user.astype(int))
    assert level[RATE - 200 : RATE - 20].max() > 5000
    assert level[RATE + 10 : round(1.5 * RATE) - 10].max() == 0


@pytest.mark.parametrize("jitter_s", [0.05, 0.14])
async def test_jitter_makes_no_gap(path: Path, jitter_s: float):
    session = Session(path)
    speech, answer = voice(4), voice(5, first=3)
    session.assistant(answer)
    frame = 2 * round(0.02 * RATE)
    frames = [speech[i : i + frame] for i in range(0, len(speech), frame)]
    late = round(jitter_s / 0.02)
    for start in range(0, len(frames), late):
        session.wait(0.02 * len(frames[start : start + late]), step_s=1)
        for piece in frames[start : start + late]:
            session.user(piece)
    session.wait(2)
    user, assistant = await session.tracks()
    assert found(user, speech) <= 0.15 * RATE
    assert found(assistant, answer) <= 0.15 * RATE


async def test_an_event_loop_that_stands_still_leaves_no_gap_before_the_last_words(path: Path):
    session = Session(path)
    answer = voice(3.1)
    session.assistant(answer)
    session.wait(3)
    session.wait(0.9, step_s=0.9)
    _, assistant = await session.tracks()
    assert found(assistant, answer) == 0


async def test_a_pause_of_the_loudspeaker_is_a_pause_in_the_file(path: Path):
    session = Session(path)
    answer = voice(3)
    session.assistant(answer)
    session.wait(1)
    session.sink.held = True
    session.wait(1.5)
    session.sink.held = False
    session.wait(3)
    _, assistant = await session.tracks()
    half = 2 * RATE
    assert found(assistant, answer[:half]) == 0
    assert found(assistant, answer[half:]) == pytest.approx(2.5 * RATE, abs=0.05 * RATE)


async def test_a_browser_that_reports_now_and_then_loses_nothing(path: Path):
    session = Session(path)
    session.sink.held = True
    answer = voice(5)
    session.assistant(answer)
    for second in range(1, 11):
        session.wait(0.5)
        session.playback.report(second * 500)
    session.wait(2)
    _, assistant = await session.tracks()
    assert found(assistant, answer) <= 0.15 * RATE


async def test_a_microphone_that_runs_ahead_catches_up_in_its_pauses(path: Path):
    session = Session(path)
    speech = voice(2)
    session.user(speech)
    session.talk(bytes(4 * 2 * RATE))
    session.talk(speech)
    user, _ = await session.tracks()
    assert found(user, speech) == 0
    assert found(user[2 * RATE :], speech) == pytest.approx(2 * RATE, abs=0.15 * RATE)
    assert np.count_nonzero(user) == 4 * RATE


async def test_much_sound_at_once_is_neither_kept_in_memory_nor_lost(path: Path):
    session = Session(path)
    for minute in range(3):
        session.user(voice(60, first=minute))
    desk = session.recording._desk
    assert len(desk._user._sound) <= 2 * RATE * 31
    user, assistant = await session.tracks()
    assert np.count_nonzero(user) == 180 * RATE == len(assistant)


# -- formats --


@pytest.mark.parametrize("input_rate", [8_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("output_rate", [8_000, 24_000, 48_000])
async def test_every_rate_keeps_its_length_and_its_pitch(path, input_rate, output_rate):
    session = Session(path, input_rate=input_rate, output_rate=output_rate)
    session.assistant(voice(1, rate=output_rate))
    session.talk(tone(2, input_rate), input_rate)
    await session.end()
    user, assistant = stereo(path, output_rate)
    assert len(user) == len(assistant) == 2 * output_rate
    assert np.argmax(np.abs(np.fft.rfft(user))) == 2 * 440
    assert np.count_nonzero(assistant) == output_rate


async def test_raw_is_the_mono_mix(tmp_path: Path):
    session = Session(tmp_path / "call.PCM")
    session.assistant(voice(1, first=100))
    session.talk(voice(2))
    await session.end()
    mixed = np.frombuffer(session.recording.path.read_bytes(), "<i2")
    user = np.frombuffer(voice(2), "<i2").astype(int)
    user[:RATE] += np.frombuffer(voice(1, first=100), "<i2")
    assert mixed.tolist() == np.clip(user, -32768, 32767).tolist()
    assert session.recording.duration_ms == 2000


@pytest.mark.parametrize("name", ["call.mp3", "call", ".wav"])
def test_another_suffix_is_refused_with_advice(tmp_path: Path, name: str):
    with pytest.raises(ConfigurationError, match=r"\.wav for stereo"):
        Recording(tmp_path / name)


# -- exactly once --


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("user"), st.integers(1, 5000)),
            st.tuples(st.just("assistant"), st.integers(1, 60_000)),
            st.tuples(st.just("wait"), st.floats(0.001, 3)),
            st.tuples(st.just("busy"), st.floats(0.1, 3)),
            st.tuples(st.just("hold"), st.booleans()),
            st.tuples(st.just("cut"), st.none()),
        ),
        max_size=25,
    )
)
def test_every_sample_is_written_once_and_in_order(tmp_path_factory, steps):
    async def converse() -> None:
        session = Session(tmp_path_factory.mktemp("any") / "call.wav")
        said, heard = [], []
        for step, amount in steps:
            if step == "user":
                pcm = voice(amount / RATE, first=len(said))
                said += np.frombuffer(pcm, "<i2").tolist()
                session.user(pcm)
            elif step == "assistant":
                pcm = voice(amount / RATE, first=len(heard))
                heard += np.frombuffer(pcm, "<i2").tolist()
                session.assistant(pcm)
            elif step == "cut":
                session.interrupt()
                del heard[session.playback.position :]
            elif step == "hold":
                session.sink.held = amount
            else:
                session.wait(amount, step_s=TICK_S if step == "wait" else amount)
        position = session.playback.position
        user, assistant = await session.tracks()
        assert user[user != 0].tolist() == said
        assert assistant[assistant != 0].tolist() == heard[:position]
        assert len(user) >= round((session.now - 100) * RATE)

    asyncio.run(converse())


# -- trouble --


async def fails_once(session: Session) -> ErrorOccurred:
    for _ in range(20):
        session.user(voice(0.5))
        session.wait(0.5)
        await session.written()
    await session.end()
    [event] = session.events
    assert isinstance(event, ErrorOccurred)
    assert (event.cause, event.fatal, session.recording.failed) == ("device", False, True)
    assert event.advice
    return event


@pytest.mark.parametrize("name", ["call.wav", "call.pcm"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_a_full_disk_is_told_once_and_ends_the_recording_alone(tmp_path: Path, name: str):
    (tmp_path / name).symlink_to("/dev/full")
    event = await fails_once(Session(tmp_path / name))
    assert name in event.message
    assert "No space left" in event.message


async def test_a_folder_that_cannot_be_made_is_told_at_once(tmp_path: Path):
    (tmp_path / "file").touch()
    session = Session(tmp_path / "file" / "call.wav")
    await session.written()
    assert len(session.events) == 1
    await session.end()
    assert session.recording.failed
    assert session.recording.duration_ms == 0


async def test_trouble_in_the_last_second_is_logged_and_kept(path: Path, caplog):
    session = Session(path)
    await session.written()
    session.user(voice(1))
    session.recording._disk._file._MAX_BYTES = 100
    await session.end()
    assert session.events == []
    assert session.recording.failed
    assert "the recording is incomplete" in caplog.text
    stereo(path)


async def test_a_disk_that_hangs_ends_the_recording_and_not_the_session(path: Path, monkeypatch):
    monkeypatch.setattr(module, "BACKLOG_S", 3.0)
    session = Session(path)
    await session.written()
    go_on = threading.Event()
    write = session.recording._disk._file.write
    session.recording._disk._file.write = lambda pcm: (go_on.wait(), write(pcm))
    try:
        for _ in range(8):
            session.wait(1)
            await asyncio.sleep(0.01)
        assert len([task for task in session.tasks if not task.done()]) == 1
        [event] = session.events
        assert (event.code, event.cause) == ("too_slow", "device")
        await asyncio.wait_for(session.recording.finish(), 1)
    finally:
        go_on.set()
    await session.written()
    stereo(path)


async def test_a_disk_that_hangs_at_the_end_does_not_hold_up_the_session(path, monkeypatch, caplog):
    monkeypatch.setattr(module, "CLOSE_PATIENCE_S", 0.05)
    session = Session(path)
    await session.written()
    go_on = threading.Event()
    session.recording._disk._file.write = lambda pcm: go_on.wait()
    session.user(voice(0.1))
    await session.end()
    go_on.set()
    assert session.recording.error.code == "too_slow"
    assert "incomplete" in caplog.text


async def test_what_waits_when_work_is_cancelled_is_still_written(path: Path):
    session = Session(path)
    speech = voice(5)
    session.talk(speech)  # without a turn of the event loop: no thread has begun
    user, _ = await session.tracks()
    assert found(user, speech) == 0


async def test_a_session_that_never_began_has_nothing_to_finish(path: Path):
    recording = Recording(path)
    await recording.finish()
    assert (recording.duration_ms, recording.failed) == (0, False)


def converse_elsewhere(path: Path, preparation: str = "") -> subprocess.Popen[str]:
    """Another program that records 0.5 s for each line it is sent, and says what the file holds."""
    program = f"""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_recording import Session, voice
        {preparation}

        async def main():
            session = Session(Path({str(path)!r}))
            while sys.stdin.readline():
                session.talk(voice(0.5))
                await session.written()
                print(session.recording.duration_ms, len(session.events), flush=True)
            await session.end()

        asyncio.run(main())
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def half_seconds(program: subprocess.Popen[str], count: int) -> list[tuple[float, int]]:
    answers = []
    for _ in range(count):
        program.stdin.write("more\n")
        program.stdin.flush()
        duration_ms, events = program.stdout.readline().split()
        answers.append((float(duration_ms), int(events)))
    return answers


@pytest.mark.parametrize("suffix", ["wav", "pcm"])
def test_a_program_that_is_killed_leaves_all_that_it_had_written(tmp_path: Path, suffix: str):
    path = tmp_path / f"call.{suffix}"
    with converse_elsewhere(path) as program:
        duration_ms, _ = half_seconds(program, 12)[-1]
        program.send_signal(signal.SIGKILL)
    assert 4400 <= duration_ms <= 5000
    user = stereo(path)[0] if suffix == "wav" else np.frombuffer(path.read_bytes(), "<i2")
    assert len(user) == duration_ms * RATE / 1000
    half = np.frombuffer(voice(0.5), "<i2")
    assert user.tolist() == np.tile(half, 12)[: len(user)].tolist()


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
@pytest.mark.parametrize("suffix", ["wav", "pcm"])
def test_a_disk_that_fills_up_leaves_a_valid_file(tmp_path: Path, suffix: str):
    path = tmp_path / f"call.{suffix}"
    limit = 100_001
    with converse_elsewhere(
        path,
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))",
    ) as program:
        answers = half_seconds(program, 10)
        program.communicate("")
    assert [answers[0][1], answers[-1][1]] == [0, 1]
    assert program.returncode == 0
    if suffix == "wav":
        samples = len(stereo(path)[0])
        assert samples == (limit - 44) // 4
    else:
        samples = len(np.frombuffer(path.read_bytes(), "<i2"))
        assert samples == limit // 2
    assert answers[-1][0] == pytest.approx(samples * 1000 / RATE)


def test_no_thread_is_left(path: Path):
    async def converse() -> None:
        session = Session(path)
        session.recording.on_event(SpeechStarted())
        session.talk(voice(3))
        await session.end()

    before = set(threading.enumerate())
    asyncio.run(converse())
    assert set(threading.enumerate()) <= before


STORY = """
[[turns]]
steps = [{ say = "Once there was a very small computer that could not stop talking at all." }]
[[turns]]
steps = [{ say = "The end." }]
"""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a loudspeaker's position tells nobody
            await asyncio.sleep(0.01)


async def test_a_real_session_is_recorded_as_it_was_heard(path: Path):
    received: dict[str, bytes] = {}
    ended: list[TurnEnded] = []
    recording = Recording(path)
    config = RealtimeConfig(input_rate=16_000, output_rate=16_000, vad_mode=VADMode.MANUAL)
    async with Simulator(scenario=Scenario.parse(STORY), wires=("openai",), seed=1) as server:
        voice = RealtimeVoice(
            "openai", config, api_key="k", base_url=server.openai_url, features=[lambda: recording]
        )

        def keep(chunk: AudioChunk) -> None:
            received[chunk.item_id] = received.get(chunk.item_id, b"") + chunk.data

        voice.on(AudioChunk)(keep)
        voice.on(TurnEnded)(ended.append)
        async with voice.connect() as session:

            async def speak(seconds: float) -> None:
                for _ in range(round(seconds / 0.02)):
                    session.send_audio(tone(0.02, 16_000))
                    await asyncio.sleep(0.02)

            await session.send_text("Tell me a story.")
            await until(lambda: session.playback.position > 0)
            await speak(1)
            await session.interrupt()
            first = session.playback.position
            await session.send_text("Stop.")
            await until(lambda: len(ended) == 2 and not session.playback.pending_ms)
            position = session.playback.position
    user, assistant = stereo(path, 16_000)
    story, end = received.values()
    found(assistant, story[: 2 * first])
    found(assistant, end[: 2 * (position - first)])
    assert 0 < 2 * first < len(story)
    assert np.abs(user).max() > 8000
    assert not recording.failed


async def test_placing_sound_is_quick(path: Path):
    session = Session(path, input_rate=16_000)
    frames = 500
    began = time.process_time()
    session.talk(bytes(frames * 640), 16_000)
    per_frame = (time.process_time() - began) / frames
    await session.end()
    assert per_frame < 0.002
