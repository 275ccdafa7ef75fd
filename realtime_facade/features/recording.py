"""Writes a conversation to a sound file while it goes on, as it was heard in the room.

The event loop only puts sound in its place; a thread writes it, in order.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from ..audio.pcm import SAMPLE_BYTES, mix
from ..audio.resample import Resampler
from ..audio.tape import HeardTape
from ..audio.wav import WavWriter, device_errors, interleave
from ..commands import AnyCommand, AppendAudio
from ..errors import ConfigurationError, RealtimeError
from ..events import AudioChunk, ErrorOccurred, Event, Interrupted
from ..session.observer import Control, Observer

logger = logging.getLogger("realtime_facade")

TOLERANCE_S = 0.15
"""Sound that comes this late is put right behind the last: event loops and networks jitter."""
TICK_S = 0.1
"""How often the tape moves on while nothing else happens; below the tolerance."""
SETTLED_S = 1.0
"""Sound may come this late and still find its place."""
FLUSH_S = 0.5
AHEAD_S = 30.0
"""How much of a microphone that runs faster than the clock is kept in memory."""
BACKLOG_S = 120.0
"""How much may wait for the disk: 12 MB at 24 kHz."""
CLOSE_PATIENCE_S = 10.0


class Recording(Observer):
    """Records both speakers on one timeline, which begins when the session does.

    The user's sound stands where it was said, the assistant's where it was heard: what an
    interruption cut off is not in the file. A file that is there already is replaced.

    If the disk fails there is one `ErrorOccurred` with the cause "device", and the recording ends;
    the conversation goes on, and the file keeps what was written. After the session's last event
    there is only the log to tell, and `error`. After a crash of the program the file can be played
    too, except for about the last 1.5 s.

    Args:
        path: `.wav` for stereo, the user left and the assistant right; `.pcm` for the mono mix of
            both, without a header. Both s16le at `config.output_rate`. Missing parent folders are
            created.
        clock: In seconds; decides where sound is placed.

    Raises:
        ConfigurationError: If the suffix is another.
    """

    wants_audio: ClassVar[bool] = True

    def __init__(
        self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in (".wav", ".pcm"):
            raise ConfigurationError(
                f"cannot record to {os.fspath(path)!r}: the suffix decides the format",
                advice="use .wav for stereo, or .pcm for a raw mono mix",
            )
        self.error: RealtimeError | None = None
        """Why the recording ended before the conversation did."""
        self._clock = clock
        self._disk = _Disk(self.path)
        self._desk: _Desk | None = None
        """None before the beginning and after the end."""
        self._writing: asyncio.Task[None] | None = None

    @property
    def failed(self) -> bool:
        """Whether the file lacks a part of the conversation; `error` says why."""
        return self.error is not None

    @property
    def duration_ms(self) -> float:
        """How much sound is in the file; more follows about 1.5 s after it was heard."""
        return self._disk.duration_ms

    def attach(self, control: Control) -> None:
        """Begin; the file is created at once, so that a wrong path shows early."""
        self._control = control
        self._disk.rate = control.config.output_rate
        self._desk = _Desk(control, self._clock, stereo=self._disk.stereo)
        self._write()
        self._tick()

    def on_command(self, command: AnyCommand) -> None:
        """Take the user's sound."""
        if self._desk is not None and type(command) is AppendAudio:
            self._desk.hear_user(command.data)
            self._flush(self._desk)

    def on_event(self, event: Event) -> None:
        """Take what was heard until now."""
        if self._desk is None:
            return
        if type(event) is AudioChunk:
            self._desk.tape.write(event.data)
        elif type(event) is Interrupted:
            self._desk.tape.cut()
        self._desk.hear_assistant()
        self._flush(self._desk)

    async def finish(self) -> None:
        """Write the rest, what was heard until now included, and close the file."""
        desk, self._desk = self._desk, None
        if desk is None:
            return
        self._disk.put(desk.rest())
        try:
            await asyncio.wait_for(asyncio.to_thread(self._disk.close), CLOSE_PATIENCE_S)
        except TimeoutError:
            self._disk.error = _too_slow(self.path, CLOSE_PATIENCE_S)
        self.error = self._disk.error
        if self.error is not None:
            # Not an event: the session's last one has passed.
            logger.error("the recording is incomplete: %s", self.error)

    def _tick(self) -> None:
        # What is heard while nothing happens would otherwise be found too late to find its place.
        if self._desk is not None:
            self._control.call_later(TICK_S, self._tick)
            self._desk.hear_assistant()
            self._flush(self._desk)

    def _flush(self, desk: "_Desk") -> None:
        settled = desk.settled()
        if not settled:
            return
        if self._disk.waiting_s > BACKLOG_S:
            self._disk.error = _too_slow(self.path, BACKLOG_S)
            self._fail(self._disk.error)
            return
        self._disk.put(settled)
        if self._writing is None or self._writing.done():
            self._write()

    def _write(self) -> None:
        self._writing = self._control.start(self._drain(), "recording")

    async def _drain(self) -> None:
        await asyncio.to_thread(self._disk.drain)
        if self._disk.error is not None:
            self._fail(self._disk.error)

    def _fail(self, error: RealtimeError) -> None:
        if self._desk is not None:
            # First, because the event comes back to `on_event`.
            self._desk, self.error = None, error
            self._control.emit(ErrorOccurred.of(error))


class _Track:
    """One speaker's sound that was not handed out yet."""

    def __init__(self) -> None:
        self.end = 0
        """In samples since the beginning."""
        self._sound = bytearray()

    def add(self, pcm: bytes) -> None:
        self._sound += pcm
        self.end += len(pcm) // SAMPLE_BYTES

    def add_silence(self, until: int) -> None:
        self.add(bytes(SAMPLE_BYTES * max(until - self.end, 0)))

    def pull(self, count: int) -> bytes:
        pcm = bytes(self._sound[: SAMPLE_BYTES * count])
        del self._sound[: SAMPLE_BYTES * count]
        return pcm


class _Desk:
    """Puts both speakers' sound in its place. Positions are samples since the beginning."""

    def __init__(self, control: Control, clock: Callable[[], float], *, stereo: bool) -> None:
        self._playback = control.playback
        self.tape = HeardTape(self._playback)
        self._rate = control.config.output_rate
        self._tolerance = round(TOLERANCE_S * self._rate)
        self._clock = clock
        self._began = clock()
        self._join = interleave if stereo else mix
        self._resampler = Resampler(control.config.input_rate, self._rate)
        self._user = _Track()
        self._assistant = _Track()
        self._assistant_sounds = False
        self._handed_out = 0

    def hear_user(self, pcm: bytes) -> None:
        """Place sound at the session's input rate, which ends now."""
        samples = len(pcm) // SAMPLE_BYTES * self._rate / self._resampler.from_rate
        start = self._now - round(samples)
        end = self._user.end + round(self._resampler.delay_ms * self._rate / 1000)
        if start - end >= self._tolerance:
            self._user.add(self._resampler.flush())
            self._user.add_silence(start)
        elif end - start >= self._tolerance and not any(pcm):
            # The track runs ahead, as after a gate let go what it had kept: pauses make up for it.
            return
        self._user.add(self._resampler.push(pcm))

    def hear_assistant(self) -> None:
        """Place what the tape gives out, which was heard until now."""
        pcm = self.tape.take()
        start = self._now - len(pcm) // SAMPLE_BYTES
        late = start - self._assistant.end >= self._tolerance
        # What was sounding at the last look went on then, so any silence came after it.
        if pcm and late and not self._assistant_sounds:
            self._assistant.add_silence(start)
        self._assistant.add(pcm)
        self._assistant_sounds = bool(pcm) and self._playback.pending_ms > 0

    def settled(self) -> bytes:
        """The next piece that nothing can be added to any more; empty while it is short."""
        leader = max(self._user.end, self._assistant.end)
        until = max(self._now - round(SETTLED_S * self._rate), leader - round(AHEAD_S * self._rate))
        return b"" if until - self._handed_out < FLUSH_S * self._rate else self._pull(until)

    def rest(self) -> bytes:
        """All that is left."""
        self.hear_assistant()
        self._user.add(self._resampler.flush())
        return self._pull(max(self._now, self._user.end, self._assistant.end))

    @property
    def _now(self) -> int:
        return round((self._clock() - self._began) * self._rate)

    def _pull(self, until: int) -> bytes:
        if self._user.end < until:
            self._user.add(self._resampler.flush())
        tracks = self._user, self._assistant
        for track in tracks:
            track.add_silence(until)
        count, self._handed_out = until - self._handed_out, until
        left, right = (track.pull(count) for track in tracks)
        return self._join(left, right)


class _Disk:
    """A file that another thread fills. `put` on the event loop, `drain` and `close` in a thread.

    A thread writes what is queued, not what it was sent with: one that was cancelled before it ran
    loses nothing.
    """

    def __init__(self, path: Path) -> None:
        self.stereo = path.suffix.lower() == ".wav"
        self.rate = 0
        """Hz; set before the first `drain`."""
        self.error: RealtimeError | None = None
        """Why nothing is written any more."""
        self._path = path
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._file: _File | None = None
        self._lock = threading.Lock()

    @property
    def duration_ms(self) -> float:
        """How much sound is in the file."""
        return self._file.duration_ms if self._file is not None else 0.0

    @property
    def waiting_s(self) -> float:
        """How much sound was put and is not in the file."""
        frames = self._queued_bytes / (SAMPLE_BYTES * (2 if self.stereo else 1))
        return frames / self.rate - self.duration_ms / 1000

    def put(self, pcm: bytes) -> None:
        self._queue.append(pcm)
        self._queued_bytes += len(pcm)

    def drain(self) -> None:
        with self._lock:
            try:
                if self._file is None and self.error is None:
                    opener = WavWriter if self.stereo else _RawWriter
                    self._file = opener(self._path, self.rate, 2 if self.stereo else 1)
                while self._file is not None and self._queue and self.error is None:
                    self._file.write(self._queue.popleft())
            except RealtimeError as error:
                self.error = error
            if self.error is not None:
                self._queue.clear()
                # It has failed already; that closing fails too would tell nothing new.
                with contextlib.suppress(RealtimeError):
                    self._close_file()

    def close(self) -> None:
        self.drain()
        with self._lock:
            try:
                self._close_file()
            except RealtimeError as error:
                self.error = self.error or error

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()


class _File(Protocol):
    @property
    def duration_ms(self) -> float: ...

    def write(self, pcm: bytes) -> None: ...

    def close(self) -> None: ...


class _RawWriter:
    """The same promises as `WavWriter`, for samples without a header."""

    def __init__(self, path: Path, rate: int, channels: int) -> None:
        self._path = path
        self._bytes_per_ms = SAMPLE_BYTES * channels * rate / 1000
        self._size = 0
        with device_errors(self._path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "wb", buffering=0)  # noqa: SIM115

    @property
    def duration_ms(self) -> float:
        return self._size / self._bytes_per_ms

    def write(self, pcm: bytes) -> None:
        with device_errors(self._path):
            try:
                # A disk that fills up takes a part and refuses the next.
                while pcm:
                    written = self._file.write(pcm)
                    self._size += written
                    pcm = pcm[written:]
            finally:
                if self._size % SAMPLE_BYTES:
                    self._size -= 1
                    self._file.truncate(self._size)

    def close(self) -> None:
        with device_errors(self._path):
            self._file.close()


def _too_slow(path: Path, seconds: float) -> RealtimeError:
    return RealtimeError(
        f"the disk has not taken the file {os.fspath(path)!r} for {seconds:g} s",
        code="too_slow",
        cause="device",
        retryable=True,
        advice="record to a local disk",
    )
