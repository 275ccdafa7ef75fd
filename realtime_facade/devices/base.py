"""What a microphone and a loudspeaker have to offer; derive your own from these.

None of the classes has an `__init__`, so a class of yours need not call `super().__init__()`.
Every method is called on the event loop.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

from ..errors import RealtimeError

logger = logging.getLogger(__name__)

ErrorHook = Callable[[RealtimeError], None]
"""Called on the event loop with an error that no caller is waiting for; must not block."""


class AudioInputDevice(ABC):
    """A source of the user's speech."""

    sample_rate: int = 24_000
    """Hz of what `stream_chunks` yields; settled when `start` has returned."""
    channels: int = 1
    """Interleaved channels of what `stream_chunks` yields."""
    on_error: ErrorHook | None = None
    """Where a running device may report that it failed; whoever uses the device sets it."""

    @abstractmethod
    async def start(self) -> None:
        """Open the source.

        Raises:
            RealtimeError: With the cause "device" if that is impossible.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Release the source and let `stream_chunks` end; again has no effect."""

    @abstractmethod
    def stream_chunks(self) -> AsyncIterator[bytes]:
        """Yield s16le until `stop`; in a subclass an `async def` with `yield`.

        Chunks may have any length; 10 to 40 ms are usual. One consumer at a time.
        """

    @property
    @abstractmethod
    def is_active(self) -> bool:
        """Whether chunks can still be expected."""


class AudioOutputDevice(ABC):
    """Something that sounds: the assistant's voice goes there."""

    sample_rate: int = 24_000
    """Hz of what `play_chunk` takes; settled when `start` has returned."""
    channels: int = 1
    """Interleaved channels of what `play_chunk` takes."""
    on_error: ErrorHook | None = None
    """Where a running device may report that it failed; whoever uses the device sets it."""

    @abstractmethod
    async def start(self) -> None:
        """Open the device.

        Raises:
            RealtimeError: With the cause "device" if that is impossible.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Fall silent and release the device; again has no effect."""

    @abstractmethod
    async def play_chunk(self, chunk: bytes) -> None:
        """Play s16le after what is still to be played.

        May wait until there is room. It is cancelled when the audio is no longer wanted.
        """

    @abstractmethod
    async def clear_buffer(self) -> None:
        """Fall silent at once and forget what was not played yet."""

    @property
    def is_playing(self) -> bool:
        """Whether something is sounding; False where that is not known."""
        return False

    def played_ms(self) -> float | None:
        """How much of what was given to `play_chunk` has been heard, in ms since the first `start`.

        Never decreases; what `clear_buffer` dropped does not count. May be asked at any time. None
        if it cannot be known: then what was heard is estimated, and the device cannot be held.
        """
        return None


class SinkDevice(AudioOutputDevice):
    """A loudspeaker that obeys at once, without a turn of the event loop in between.

    It is an `AudioSink` by itself: `write`, `clear` and `played_ms` are in mono s16le at
    `sample_rate`. All devices of this package are.
    """

    @abstractmethod
    def write(self, pcm: bytes) -> None:
        """Queue audio, to be played after what is queued; before `start` it waits.

        Raises:
            AudioFormatError: If `pcm` is not a whole number of samples.
        """

    @abstractmethod
    def clear(self) -> None:
        """Fall silent, drop what is queued, end a `hold`; `played_ms` stands still from here."""

    @abstractmethod
    def played_ms(self) -> float:
        """Milliseconds of written audio heard since the first `start`; cleared audio is none."""

    @abstractmethod
    def hold(self) -> None:
        """Fade out within about 5 ms and stand still; what is queued stays."""

    @abstractmethod
    def resume(self) -> None:
        """Fade in with the sample after the last that sounded. Without a `hold` no effect."""

    @property
    @abstractmethod
    def volume(self) -> float:
        """0.0 (silent) to 1.0 (as written); a change takes about 5 ms and makes no click.

        Setting anything else raises `ConfigurationError`, which is a `ValueError`.
        """

    @volume.setter
    @abstractmethod
    def volume(self, value: float) -> None: ...

    @property
    @abstractmethod
    def muted(self) -> bool:
        """While true the audio runs on, unheard, and `volume` keeps its value."""

    @muted.setter
    @abstractmethod
    def muted(self, value: bool) -> None: ...

    @property
    def can_hold(self) -> bool:
        """Whether `hold` works; always, on a device like this."""
        return True

    async def play_chunk(self, chunk: bytes) -> None:
        """The same as `write`."""
        self.write(chunk)

    async def clear_buffer(self) -> None:
        """The same as `clear`."""
        self.clear()


def report(device: AudioInputDevice | AudioOutputDevice, error: RealtimeError) -> None:
    """Tell `device.on_error`, or the log if nobody listens."""
    if device.on_error is None:
        logger.error("%s: %s", type(device).__name__, error)
        return
    try:
        device.on_error(error)
    except Exception:
        logger.exception("%s: on_error failed on: %s", type(device).__name__, error)
