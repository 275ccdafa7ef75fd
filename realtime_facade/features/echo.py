"""Keeps the assistant's own voice out of the microphone."""

from collections.abc import Callable
from typing import Protocol

from ..audio.echo import EFFECTIVE_DB
from ..audio.resample import Resampler
from ..audio.tape import HeardTape
from ..events import AudioChunk, EchoMeasured, Event, Interrupted
from ..session.observer import Control, Observer

_CHANGE_DB = 3.0
"""Less than this is not worth an event."""


class Canceller(Protocol):
    """Takes an echo away; `audio.echo.EchoCanceller` is one."""

    def process(self, near: bytes, far: bytes) -> bytes:
        """The microphone without what the loudspeaker played meanwhile; mono s16le."""
        ...

    @property
    def erle_db(self) -> float | None:
        """How well it does; None until measured."""


class EchoControl(Observer):
    """Cancels echo with what was really heard, so a device's latency is in it already.

    Args:
        make: Builds a canceller for a rate in Hz.
        shut: Told whether the microphone has to be shut while the assistant speaks: half-duplex,
            the fallback where cancellation is too weak.
    """

    wants_audio = True

    def __init__(
        self, make: Callable[[int], Canceller], shut: Callable[[bool], None] = lambda _: None
    ) -> None:
        self._make = make
        self._shut = shut
        self._reported: float | None = None

    def attach(self, control: Control) -> None:
        """Prepare for the session's rates."""
        self._control = control
        self._tape = HeardTape(control.playback)
        self._canceller = self._make(control.profile.input_rate)
        self._far = Resampler(control.config.output_rate, control.profile.input_rate)

    def on_event(self, event: Event) -> None:
        """Follow what is being played."""
        match event:
            case AudioChunk(data=bytes() as data) if data:
                self._tape.write(data)
            case Interrupted():
                self._tape.cut()

    def clean(self, pcm: bytes) -> bytes:
        """The microphone's audio without the assistant: mono s16le at the profile's input rate."""
        cleaned = self._canceller.process(pcm, self._far.push(self._tape.take()))
        erle_db = self._canceller.erle_db
        if erle_db is not None and (
            self._reported is None or abs(erle_db - self._reported) >= _CHANGE_DB
        ):
            self._reported = erle_db
            half_duplex = erle_db < EFFECTIVE_DB
            self._shut(half_duplex)
            self._control.emit(EchoMeasured(erle_db=erle_db, half_duplex=half_duplex))
        return cleaned
