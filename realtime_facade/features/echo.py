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
WARM_UP_S = 1.5
"""Sound that a canceller has to hear before it can be trusted; until then nobody can cut in."""


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
            the fallback where cancellation is too weak, and the first `WARM_UP_S` of its speech.
    """

    wants_audio = True

    def __init__(
        self, make: Callable[[int], Canceller], shut: Callable[[bool], None] = lambda _: None
    ) -> None:
        self._make = make
        self._shut = shut
        self._reported: float | None = None
        self._cold_bytes = 0

    def attach(self, control: Control) -> None:
        """Prepare for the session's rates."""
        self._control = control
        self._tape = HeardTape(control.playback)
        self._canceller = self._make(control.config.input_rate)
        self._far = Resampler(control.config.output_rate, control.config.input_rate)
        self._cold_bytes = round(2 * WARM_UP_S * control.config.input_rate)
        self._shut(True)

    def on_event(self, event: Event) -> None:
        """Follow what is being played."""
        match event:
            case AudioChunk(data=bytes() as data) if data:
                self._tape.write(data)
            case Interrupted():
                self._tape.cut()

    def clean(self, pcm: bytes) -> bytes:
        """The microphone's audio without the assistant: mono s16le at the session's input rate."""
        far = self._far.push(self._tape.take())
        cleaned = self._canceller.process(pcm, far)
        if far and self._cold_bytes > 0:
            self._cold_bytes -= len(far)
            self._settle()
        erle_db = self._canceller.erle_db
        if erle_db is not None and (
            self._reported is None or abs(erle_db - self._reported) >= _CHANGE_DB
        ):
            self._reported = erle_db
            self._settle()
            self._control.emit(EchoMeasured(erle_db=erle_db, half_duplex=self._half_duplex))
        return cleaned

    @property
    def _half_duplex(self) -> bool:
        return self._reported is not None and self._reported < EFFECTIVE_DB

    def _settle(self) -> None:
        self._shut(self._half_duplex or self._cold_bytes > 0)
