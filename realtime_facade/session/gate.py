"""Keeps the microphone from the provider, while the assistant speaks, until a person really does.

A cough would end the answer: the provider's detector fires, cancels, and answers the cough. So
while the assistant is audible the microphone is watched here; the provider gets silence of the
same length, and the kept audio follows at once when a voice has lasted for the verdict window.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ..audio.resample import Resampler
from ..audio.vad import Vad


class Verdict(StrEnum):
    """What the last piece of microphone audio decided."""

    MAYBE = "maybe"
    """Something began that may be speech."""
    SPEECH = "speech"
    """It lasted: a person speaks."""
    NOTHING = "nothing"
    """It did not last."""


class Gated(NamedTuple):
    """What to send to the provider, and what was decided."""

    pcm: bytes
    verdict: Verdict | None = None


@dataclass(slots=True)
class _Candidate:
    elapsed_ms: float = 0.0
    voiced_ms: float = 0.0
    silent_ms: float = 0.0
    """Since the last voice."""


class SpeechGate:
    """One microphone's gate. Counts time in samples, never by the clock.

    Args:
        vad: Judges the microphone.
        rate: Hz of what `push` gets.
        verdict_ms: How long a voice has to last.
        threshold: Probability from which a frame is voice.
        kept_ms: Audio from before the voice that is sent with it.
    """

    def __init__(
        self,
        vad: Vad,
        rate: int,
        *,
        verdict_ms: int,
        threshold: float = 0.5,
        kept_ms: int = 400,
    ) -> None:
        self.shut = False
        """True keeps everything from the provider while the assistant is audible."""
        self._vad = vad
        self._threshold = threshold
        self._verdict_ms = verdict_ms
        self._resampler = Resampler(rate, vad.sample_rate)
        self._frame_bytes = vad.frame_samples * 2
        self._frame_ms = vad.frame_samples * 1000 / vad.sample_rate
        self._unjudged = bytearray()
        self._kept = bytearray()
        self._kept_limit = 2 * (kept_ms * rate // 1000)
        self._candidate: _Candidate | None = None

    def push(self, pcm: bytes, *, audible: bool) -> Gated:
        """Judge a piece of microphone audio.

        Args:
            pcm: Mono s16le, whole samples.
            audible: Whether the listener hears the assistant, or would if it were not held.

        Returns:
            What to send: as long as `pcm`, or the kept audio when speech was found.
        """
        watching = audible or self._candidate is not None
        verdict = self._judge(pcm, watching)
        if not watching:
            self._kept.clear()
            return Gated(pcm)
        self._kept += pcm
        if verdict is Verdict.SPEECH:
            kept = bytes(self._kept)
            self._kept.clear()
            return Gated(kept, verdict)
        if self._candidate is None:
            del self._kept[: max(len(self._kept) - self._kept_limit, 0)]
        return Gated(bytes(len(pcm)), verdict)

    def _judge(self, pcm: bytes, watching: bool) -> Verdict | None:
        self._unjudged += self._resampler.push(pcm)
        verdict = None
        while len(self._unjudged) >= self._frame_bytes:
            frame = bytes(self._unjudged[: self._frame_bytes])
            del self._unjudged[: self._frame_bytes]
            voiced = self._vad.speech_probability(frame) >= self._threshold
            if self._candidate is not None:
                verdict = self._weigh(self._candidate, voiced) or verdict
            elif voiced and watching and not self.shut and verdict is not Verdict.SPEECH:
                self._candidate = _Candidate(voiced_ms=self._frame_ms)
                verdict = Verdict.MAYBE
        return verdict

    def _weigh(self, candidate: _Candidate, voiced: bool) -> Verdict | None:
        candidate.elapsed_ms += self._frame_ms
        if voiced:
            candidate.voiced_ms += self._frame_ms
            candidate.silent_ms = 0.0
        else:
            candidate.silent_ms += self._frame_ms
        if candidate.elapsed_ms < self._verdict_ms:
            return None
        self._candidate = None
        lasted = candidate.voiced_ms > candidate.elapsed_ms / 2
        return Verdict.SPEECH if lasted and candidate.silent_ms < 60 else Verdict.NOTHING
