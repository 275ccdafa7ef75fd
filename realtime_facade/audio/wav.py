"""Sound files: any plain WAV in, a WAV out that can be played after a crash as far as it came."""

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..errors import AudioFormatError, ConfigurationError, MissingExtra, RealtimeError
from .pcm import SAMPLE_BYTES, from_float32, samples

_READABLE = {
    "PCM_U8": "8-bit PCM",
    "PCM_16": "16-bit PCM",
    "PCM_24": "24-bit PCM",
    "PCM_32": "32-bit PCM",
    "FLOAT": "32-bit float",
}
_OTHERS = (
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"ID3", "an MP3 file"),
    (b"\xff\xfb", "an MP3 file"),
    (b"FORM", "an AIFF file"),
)
_ACCEPTED = "use a WAV file of 8-, 16-, 24- or 32-bit PCM or 32-bit float, mono or stereo"


def read_wav(path: str | os.PathLike[str]) -> tuple[bytes, int]:
    """The whole of a WAV file as (mono s16le, rate in Hz).

    Takes PCM of 8, 16, 24 and 32 bits and 32-bit float at any rate, also as
    `WAVE_FORMAT_EXTENSIBLE`. Stereo is mixed down by its mean; more than 16 bits are rounded, and
    float beyond full scale is clipped. A file that was cut off is read as far as it goes.

    Raises:
        AudioFormatError: If the file cannot be read, is something else, or holds no sound.
        MissingExtra: If `soundfile` is not installed.
    """
    name = os.fspath(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise AudioFormatError(f"cannot read {name!r}: {reason}", advice=_ACCEPTED) from error
    if content[:4] not in (b"RIFF", b"RF64") or content[8:12] != b"WAVE":
        raise AudioFormatError(f"{name!r} is {_kind(content)}, not a WAV file", advice=_ACCEPTED)
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if file.subtype not in _READABLE or file.channels > 2:
                raise AudioFormatError(
                    f"{name!r} is a WAV file of {file.channels} channel(s) of "
                    f"{_READABLE.get(file.subtype, file.subtype)}",
                    advice=_ACCEPTED,
                )
            rate: int = file.samplerate
            values = file.read(dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise AudioFormatError(f"{name!r} is a damaged WAV file: {error}") from error
    if not len(values):
        raise AudioFormatError(f"{name!r} is a WAV file without any sound in it")
    try:
        return from_float32(values.mean(axis=1)), rate
    except AudioFormatError as error:
        raise AudioFormatError(f"{name!r}: {error.message}") from error


def _kind(content: bytes) -> str:
    if not content:
        return "an empty file"
    return next((kind for magic, kind in _OTHERS if content.startswith(magic)), "something unknown")


def _soundfile() -> Any:
    try:
        import soundfile  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("Reading audio files", "audio", "soundfile") from error
    except OSError as error:
        raise ConfigurationError(
            f"soundfile is installed but cannot load the library libsndfile: {error}",
            advice="install libsndfile, for example: apt install libsndfile1",
        ) from error
    return soundfile


class WavWriter:
    """A 16-bit PCM WAV file that grows; what is in it can be played after every write.

    The header is brought up to date after the sound it counts, without buffering, so a crash of
    the program leaves a valid file. An existing file is replaced. Also a context manager.
    Not thread-safe.

    Args:
        path: The file; missing parent folders are created.
        rate: Hz.
        channels: 1 or 2.

    Raises:
        AudioFormatError: If `rate` or `channels` is impossible.
        RealtimeError: With the cause "device" if the file cannot be created.
    """

    _HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
    _MAX_BYTES = 0xFFFF_FFFF - _HEADER.size

    def __init__(self, path: str | os.PathLike[str], rate: int, channels: int = 1) -> None:
        if rate < 1 or channels not in (1, 2):
            raise AudioFormatError(
                f"cannot write {channels} channel(s) at {rate} Hz",
                advice="use 1 or 2 channels and a positive rate",
            )
        self.path = Path(path)
        self.rate = rate
        self.channels = channels
        self._frame = SAMPLE_BYTES * channels
        self._size = 0
        with device_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "wb", buffering=0)  # noqa: SIM115
            try:
                self._write_header()
            except OSError:
                self._file.close()
                raise

    @property
    def duration_ms(self) -> float:
        """How much sound the file holds."""
        return 1000 * self._size / self._frame / self.rate

    def write(self, pcm: bytes) -> None:
        """Append whole frames of s16le, left before right in stereo.

        Blocks for as long as the disk takes.

        Raises:
            AudioFormatError: If a frame is incomplete; nothing is written.
            RealtimeError: With the cause "device" if the disk is full or gone, or the file would
                exceed the 4 GiB of its format. The file holds what could be written, and a later
                write may try again. With the cause "application" after `close`.
        """
        if self._file.closed:
            raise RealtimeError(f"{self._name} is already closed", cause="application")
        if len(pcm) % self._frame:
            raise AudioFormatError(
                f"{len(pcm)} bytes are not a whole number of frames of {self._frame} bytes"
            )
        if self._size + len(pcm) > self._MAX_BYTES:
            raise RealtimeError(
                f"{self._name} has reached the 4 GiB that a WAV file can hold",
                cause="device",
                advice="go on in another file",
            )
        # Not from where the last write ended: one that failed may have left half a frame.
        start = self._HEADER.size + self._size
        with device_errors(self.path):
            try:
                self._file.seek(start)
                self._write_all(pcm)
            finally:
                written = self._file.tell() - start
                self._size += written - written % self._frame
                self._write_header()

    def close(self) -> None:
        """Close the file; again has no effect.

        Raises:
            RealtimeError: With the cause "device" if the system reports a late failure.
        """
        with device_errors(self.path):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _name(self) -> str:
        return f"the file {os.fspath(self.path)!r}"

    def _write_all(self, data: bytes) -> None:
        # A disk that fills up takes a part and refuses the next.
        while data:
            data = data[self._file.write(data) :]

    def _write_header(self) -> None:
        self._file.seek(0)
        self._write_all(
            self._HEADER.pack(
                b"RIFF",
                self._HEADER.size - 8 + self._size,
                b"WAVE",
                b"fmt ",
                16,
                1,
                self.channels,
                self.rate,
                self.rate * self._frame,
                self._frame,
                8 * SAMPLE_BYTES,
                b"data",
                self._size,
            )
        )


@contextmanager
def device_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the system's refusal to write a file into a `RealtimeError` with the cause "device"."""
    try:
        yield
    except OSError as error:
        raise RealtimeError(
            f"cannot write the file {os.fspath(path)!r}: {error.strerror or error}",
            cause="device",
            retryable=True,
            advice="look at the folder's permissions and at the space left on its disk",
        ) from error


def interleave(left: bytes, right: bytes) -> bytes:
    """Two mono s16le channels as one stereo stream; silence follows the shorter one.

    Raises:
        AudioFormatError: If a sample is incomplete.
    """
    channels = samples(left), samples(right)
    stereo = np.zeros((max(map(len, channels)), 2), dtype="<i2")
    for number, channel in enumerate(channels):
        stereo[: len(channel), number] = channel
    return stereo.tobytes()
