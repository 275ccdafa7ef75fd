"""Decides whether what the user's microphone hears is worth falling silent for.

Playback is held at once and goes on from the same sample if it was a cough. The decision comes
from a local detector in front of the provider (`SpeechGate`), or, without one, from whether the
provider still hears speech after the verdict window.
"""

import asyncio
import time
from collections.abc import Callable

from ..audio.playback import Playback
from ..events import Event, PlaybackHeld, PlaybackResumed
from .gate import SpeechGate, Verdict


class Judge:
    """Holds playback while it is undecided; calls `cut` when a person speaks."""

    def __init__(
        self,
        playback: Playback,
        *,
        decides_locally: bool,
        cut: Callable[[], object],
        publish: Callable[[Event], None],
        call_later: Callable[[float, Callable[[], object]], "asyncio.Task[None]"],
    ) -> None:
        self._playback = playback
        self._decides_locally = decides_locally
        self._cut = cut
        self._publish = publish
        self._call_later = call_later
        self._held_at: float | None = None
        self._window: asyncio.Task[None] | None = None

    def speech_started(self, verdict_ms: int) -> None:
        """The provider hears speech. With a gate it hears only what has passed the verdict."""
        if not verdict_ms or self._decides_locally or not self._hold():
            self._cut()
        elif self._window is None:
            self._window = self._call_later(verdict_ms / 1000, self._cut)

    def speech_stopped(self) -> None:
        """The provider hears speech no longer."""
        self._resume()

    def microphone(self, gate: SpeechGate, pcm: bytes) -> bytes:
        """What of the microphone's audio the provider may hear."""
        sent, verdict = gate.push(pcm, audible=bool(self._playback.pending_ms))
        match verdict:
            case Verdict.MAYBE:
                self._hold()
            case Verdict.NOTHING:
                self._resume()
            case Verdict.SPEECH:
                self._cut()
        return sent

    def decided(self) -> None:
        """Playback was cut, so there is nothing to go on with."""
        self._held_at = None
        if self._window is not None:
            self._window.cancel()
            self._window = None

    def _hold(self) -> bool:
        if self._held_at is not None:
            return True
        if not self._playback.can_hold or not self._playback.pending_ms:
            return False
        self._playback.hold()
        self._held_at = time.monotonic()
        self._publish(PlaybackHeld())
        return True

    def _resume(self) -> None:
        if self._held_at is None:
            return
        held_ms = (time.monotonic() - self._held_at) * 1000
        self.decided()
        self._playback.resume()
        self._publish(PlaybackResumed(held_ms=held_ms))
