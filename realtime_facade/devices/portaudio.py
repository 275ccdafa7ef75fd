"""PortAudio's streams and devices, with errors that a person can act on."""

import atexit
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from ..errors import ConfigurationError, MissingExtra, RealtimeError

Kind = Literal["input", "output"]

# PortAudio's codes, which sounddevice hands on as numbers.
_UNAVAILABLE = -9985
_BAD_SHAPE = {-9998, -9997, -9994}
_NAMES = {"input": "microphone", "output": "loudspeaker"}

# PortAudio keeps its list of streams without a lock of its own.
_portaudio = threading.Lock()
_open_streams = 0
_closing_streams = 0


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """One entry of the system's list."""

    index: int
    name: str
    host_api: str
    """The system's audio interface, such as `ALSA` or `Windows WASAPI`."""
    inputs: int
    """Channels that can be recorded; 0: no microphone."""
    outputs: int
    """Channels that can be played; 0: no loudspeaker."""
    rate: int
    """Hz that it prefers."""
    is_default_input: bool
    is_default_output: bool

    def __str__(self) -> str:
        marks = [
            text
            for text, here in (
                ("default microphone", self.is_default_input),
                ("default loudspeaker", self.is_default_output),
            )
            if here
        ]
        ends = f" ({', '.join(marks)})" if marks else ""
        channels = f"{self.inputs} in, {self.outputs} out"
        return f"{self.index}: {self.name}, {self.host_api}: {channels}{ends}"


def list_devices() -> list[SoundDevice]:
    """All sound devices that the system had when PortAudio was first used, in its order.

    Raises:
        MissingExtra: If `sounddevice` is not installed.
        ConfigurationError: If the PortAudio library is not.
        RealtimeError: With the cause "device" if the system refuses.
    """
    sounddevice = _sounddevice()
    with _portaudio:
        return _devices(sounddevice)


class CardStream:
    """A PortAudio stream that is open and not started; made and used in a thread, since it blocks.

    It is opened mono at `rate` if the card can do that, else with the card's own channels, else at
    the card's own rate.

    Args:
        kind: What is opened.
        device: Index or name; None is the system's default.
        rate: Hz.
        block_ms: How often the callback is called.
        callback_for: Makes sounddevice's callback for this stream, whose shape it may look up.
        ended: Called in a thread when the stream has stopped, by `close` too.
        renew: Look first which devices there are now. That ends all streams of the process, so it
            is not done while others of this package are open.

    Raises:
        MissingExtra: If `sounddevice` is not installed.
        ConfigurationError: If the PortAudio library is not, or there is no such device.
        RealtimeError: With the cause "device" if it cannot be opened.
    """

    def __init__(
        self,
        kind: Kind,
        device: int | str | None,
        rate: int,
        block_ms: float,
        callback_for: Callable[["CardStream"], Callable[..., None]],
        ended: Callable[[], None],
        *,
        renew: bool = False,
    ) -> None:
        global _open_streams
        self._sounddevice = sounddevice = _sounddevice()
        self._closed = False
        factory = getattr(sounddevice, f"Raw{kind.capitalize()}Stream")
        with _portaudio:
            if renew and not _open_streams:
                _renew(sounddevice)
            found = _find(sounddevice, kind, device)
            most = found.inputs if kind == "input" else found.outputs
            channels = sorted({1, min(2, most), most})
            shapes = list(dict.fromkeys((r, c) for r in (rate, found.rate) for c in channels))
            for shape in shapes:
                self.rate, self.channels = shape
                try:
                    self._stream = factory(
                        samplerate=self.rate,
                        blocksize=round(self.rate * block_ms / 1000),
                        device=found.index,
                        channels=self.channels,
                        dtype="int16",
                        latency="low",
                        callback=callback_for(self),
                        finished_callback=ended,
                    )
                    break
                except sounddevice.PortAudioError as error:
                    if _code(error) not in _BAD_SHAPE or shape == shapes[-1]:
                        raise _device_error(error, kind, found) from error
            _open_streams += 1
            # Once, and behind sounddevice's own handler, so that it runs before that.
            atexit.unregister(_leave_what_hangs)
            atexit.register(_leave_what_hangs, sounddevice)
        self.latency = float(self._stream.latency)

    def start(self) -> None:
        """Let the callbacks begin.

        Raises:
            RealtimeError: With the cause "device".
        """
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            raise RealtimeError(
                f"the sound card could not be started: {_words(error)}",
                cause="device",
                retryable=True,
            ) from error

    def close(self) -> None:
        """Stop at once; again has no effect."""
        global _open_streams, _closing_streams
        if self._closed:
            return
        self._closed = True
        with _portaudio:
            _closing_streams += 1
        try:
            # Outside the lock: a sound server that hangs keeps this call for half a minute.
            self._stream.abort()
        finally:
            with _portaudio:
                self._stream.close()
                _open_streams -= 1
                _closing_streams -= 1


def _leave_what_hangs(sounddevice: Any) -> None:
    """At the program's end do not wait for a stream that cannot be closed.

    PortAudio on ALSA may never come back from closing one whose sound server has died (seen in
    about a third of such deaths), and sounddevice ends PortAudio in an exit handler.
    """
    if _closing_streams:
        atexit.unregister(sounddevice._exit_handler)


def _renew(sounddevice: Any) -> None:
    """Have PortAudio look again which devices there are; it does so only when it begins."""
    try:
        if sounddevice._initialized:
            sounddevice._terminate()
        sounddevice._initialize()
    except sounddevice.PortAudioError as error:
        raise RealtimeError(
            f"the system's sound devices cannot be listed: {_words(error)}",
            cause="device",
            retryable=True,
        ) from error


def _devices(sounddevice: Any) -> list[SoundDevice]:
    try:
        interfaces = [str(entry["name"]) for entry in sounddevice.query_hostapis()]
        default_input, default_output = (int(index) for index in sounddevice.default.device)
        return [
            SoundDevice(
                index=index,
                name=str(entry["name"]),
                host_api=interfaces[entry["hostapi"]],
                inputs=int(entry["max_input_channels"]),
                outputs=int(entry["max_output_channels"]),
                rate=round(entry["default_samplerate"]),
                is_default_input=index == default_input,
                is_default_output=index == default_output,
            )
            for index, entry in enumerate(sounddevice.query_devices())
        ]
    except sounddevice.PortAudioError as error:
        raise RealtimeError(
            f"the system's sound devices cannot be listed: {_words(error)}",
            cause="device",
            retryable=True,
        ) from error


def _find(sounddevice: Any, kind: Kind, wanted: int | str | None) -> SoundDevice:
    devices = _devices(sounddevice)
    usable = [d for d in devices if (d.inputs if kind == "input" else d.outputs) > 0]
    if not usable:
        raise RealtimeError(
            f"the system has no {_NAMES[kind]}",
            cause="device",
            retryable=True,
            advice="plug one in, or start the sound server; in a container there is none: "
            "use a file or null device there",
        )
    if isinstance(wanted, str):
        return _find_by_name(devices, usable, kind, wanted)
    if wanted is None:
        default = [d for d in usable if (d.is_default_input, d.is_default_output)[kind == "output"]]
        return (default or usable)[0]
    found = next((d for d in devices if d.index == wanted), None)
    if found is None:
        _refuse(f"there is no sound device {wanted}", devices)
    if found not in usable:
        _refuse(f"the sound device {wanted}, {found.name!r}, is no {_NAMES[kind]}", usable)
    return found


def _find_by_name(
    devices: list[SoundDevice], usable: list[SoundDevice], kind: Kind, wanted: str
) -> SoundDevice:
    name = wanted.casefold()
    exact = [d for d in usable if name in (d.name.casefold(), f"{d.name}, {d.host_api}".casefold())]
    found = exact or [d for d in usable if name in f"{d.name}, {d.host_api}".casefold()]
    if len(found) > 1:
        # Some systems list every device once for each of their audio interfaces.
        preferred = {d.host_api for d in devices if d.is_default_input or d.is_default_output}
        found = [d for d in found if d.host_api in preferred] or found
    if not found:
        same = [d for d in devices if name in d.name.casefold()]
        what = f"{wanted!r} is no {_NAMES[kind]}" if same else f"no {_NAMES[kind]} is {wanted!r}"
        _refuse(what, usable)
    if len(found) > 1:
        _refuse(f"{wanted!r} fits several {_NAMES[kind]}s", found)
    return found[0]


def _refuse(what: str, choice: list[SoundDevice]) -> NoReturn:
    listed = "; ".join(map(str, choice))
    raise ConfigurationError(what, cause="device", advice=f"choose one of these: {listed}")


def _device_error(error: Any, kind: Kind, device: SoundDevice) -> RealtimeError:
    name = f"the {_NAMES[kind]} {device.name!r}"
    if _code(error) == _UNAVAILABLE:
        return RealtimeError(
            f"{name} is busy: {_words(error)}",
            cause="device",
            retryable=True,
            advice="end the program that uses it, or choose another device",
        )
    if _code(error) in _BAD_SHAPE:
        return ConfigurationError(
            f"{name} takes neither the wanted sample rate nor its own: {_words(error)}",
            cause="device",
            advice="give another rate or device",
        )
    return RealtimeError(
        f"{name} cannot be opened: {_words(error)}",
        cause="device",
        retryable=True,
        advice="look whether it is plugged in, whether the sound server runs, "
        "and whether the system lets this program use it",
    )


def _code(error: Any) -> int:
    return next((part for part in error.args[1:2] if isinstance(part, int)), 0)


def _words(error: Any) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


def _sounddevice() -> Any:
    try:
        import sounddevice  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("The sound card", "audio", "sounddevice") from error
    except OSError as error:
        raise ConfigurationError(
            f"sounddevice is installed but cannot load the library PortAudio: {error}",
            advice="apt install libportaudio2, or: brew install portaudio",
        ) from error
    return sounddevice
