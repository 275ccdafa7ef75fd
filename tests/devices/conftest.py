"""A sound server with a virtual microphone and loudspeaker, and sounds that can be found again."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest

SERVER_RATE = 48_000
PROGRAMS = ("pulseaudio", "pactl", "paplay", "parec")


def speechlike(seconds: float, rate: int, *, seed: int = 1) -> bytes:
    """Noise below 3 kHz that swells like syllables: nothing repeats, no resampler hurts it."""
    count = round(seconds * 48_000)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / 48_000)
    spectrum[(hertz < 150) | (hertz > 3_000)] = 0
    wide = np.fft.irfft(spectrum, count)
    at = np.arange(round(seconds * rate)) / rate
    values = np.interp(at, np.arange(count) / 48_000, wide / np.abs(wide).max())
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * at)
    return (values * swell * 20_000).astype("<i2").tobytes()


def similarity(heard: bytes, original: bytes) -> tuple[float, int]:
    """How well `original` is found in `heard` (1.0: exactly), and at which sample it begins."""
    a = np.frombuffer(heard, "<i2").astype(np.float64)
    b = np.frombuffer(original, "<i2").astype(np.float64)
    if len(a) < len(b):
        a = np.pad(a, (0, len(b) - len(a)))
    size = len(a) + len(b)
    scores = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
    start = int(np.argmax(scores[: len(a) - len(b) + 1]))
    found = a[start : start + len(b)]
    norm = float(np.linalg.norm(found) * np.linalg.norm(b))
    return (float(found @ b) / norm if norm else 0.0), start


class Recorder:
    """What comes out of the virtual loudspeaker, with the time at which it came."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.arrivals: list[tuple[float, int]] = []
        """(monotonic seconds, samples received up to then)."""
        self._pcm = bytearray()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @property
    def pcm(self) -> bytes:
        """Mono s16le at the server's rate."""
        return bytes(self._pcm)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(5)
        self._thread.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        while data := os.read(self._process.stdout.fileno(), 65_536):
            self._pcm += data
            self.arrivals.append((time.monotonic(), len(self._pcm) // 2))


class SoundServer:
    """PulseAudio on a private socket: `spk` is what programs play to, `mic` what they record."""

    rate = SERVER_RATE
    speechlike = staticmethod(speechlike)
    similarity = staticmethod(similarity)

    def __init__(self, folder: Path) -> None:
        socket = folder / "native"
        self.env = {
            **os.environ,
            "PULSE_SERVER": f"unix:{socket}",
            "PULSE_COOKIE": str(folder / "cookie"),
            "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder),
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self._socket = socket
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """The same server again, on the same socket."""
        self.stop()
        self._begin()

    def _begin(self) -> None:
        sink = f"rate={SERVER_RATE} channels=1 format=s16le"
        self.process = self._spawn(
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
            *("--realtime=no", "--high-priority=no", "--log-level=error", "--disable-shm=yes"),
            *("-L", f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"),
            *("-L", f"module-null-sink sink_name=spk {sink}"),
            *("-L", f"module-null-sink sink_name=mic {sink}"),
            *("-L", "module-remap-source source_name=virtmic master=mic.monitor"),
        )
        self._until_it_answers()
        self._run("pactl", "set-default-sink", "spk")
        self._run("pactl", "set-default-source", "virtmic")
        # Without a listener a null sink dozes in blocks of 2 s.
        for name in ("mic", "spk"):
            self._parec(name, stdout=subprocess.DEVNULL)
        time.sleep(2.2)

    async def say(self, path: Path) -> None:
        """Play a WAV file into the virtual microphone, to its end."""
        # Less latency, and a busy machine makes gaps before the sound reaches the server.
        process = await asyncio.create_subprocess_exec(
            *("paplay", "--latency-msec=150", "-d", "mic", str(path)), env=self.env
        )
        assert await process.wait() == 0

    @contextmanager
    def recorder(self) -> Iterator[Recorder]:
        """Record the virtual loudspeaker."""
        recorder = Recorder(self._parec("spk", stdout=subprocess.PIPE))
        try:
            deadline = time.monotonic() + 5
            while not recorder.arrivals and time.monotonic() < deadline:
                time.sleep(0.01)
            assert recorder.arrivals, "the recorder hears nothing, not even silence"
            yield recorder
        finally:
            recorder.stop()
            self._processes.pop()

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait(5)
        self._processes.clear()

    def _spawn(self, *command: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env=self.env, stdout=stdout)
        self._processes.append(process)
        return process

    def _parec(self, name: str, *, stdout: int) -> subprocess.Popen[bytes]:
        shape = ("--latency-msec=10", f"--rate={SERVER_RATE}", "--channels=1", "--format=s16le")
        return self._spawn("parec", *shape, "-d", f"{name}.monitor", stdout=stdout)

    def _run(self, *command: str) -> None:
        subprocess.run(command, env=self.env, check=True, capture_output=True, timeout=10)

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + 10
        while subprocess.run(
            ["pactl", "info"], env=self.env, capture_output=True, timeout=10, check=False
        ).returncode:
            assert time.monotonic() < deadline, "PulseAudio does not answer"
            assert self.process.poll() is None, "PulseAudio has ended"
            time.sleep(0.05)


def missing_for_sound() -> str:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if find_library("portaudio") is None:
        missing.append("the library PortAudio (libportaudio2)")
    return ", ".join(missing)


@pytest.fixture(scope="session")
def sound_programs() -> None:
    """Skips where sound cannot be tested; but the project's own checks must not skip."""
    missing = missing_for_sound()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"the tests of the sound card need {missing}")
    if missing:
        pytest.skip(f"{missing} is missing")


@pytest.fixture(scope="module")
def sound_server(sound_programs: None) -> Iterator[SoundServer]:
    """A running server that PortAudio in this process uses."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        server = SoundServer(Path(folder))
        try:
            for name in ("PULSE_SERVER", "PULSE_COOKIE"):
                patch.setenv(name, server.env[name])
            look_again()
            yield server
        finally:
            look_again()
            server.stop()


@pytest.fixture
def own_server(sound_programs: None, tmp_path: Path) -> Iterator[SoundServer]:
    """Another server, which the test may kill; for programs that are started with its `env`."""
    server = SoundServer(tmp_path)
    try:
        yield server
    finally:
        server.stop()


def look_again() -> None:
    """PortAudio lists the devices once, when it begins."""
    known = "sounddevice" in sys.modules
    import sounddevice

    if known:
        sounddevice._terminate()
        sounddevice._initialize()
