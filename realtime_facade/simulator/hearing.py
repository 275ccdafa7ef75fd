"""Finds the user's turns and words in audio, by samples received and never by the clock."""

import asyncio
import contextlib
from dataclasses import dataclass

from ..audio.resample import Resampler
from .parts import Recognizer, Vad

_ONSET_MS = 40
"""Speech shorter than this is a click."""
_HYSTERESIS = 0.15
"""Speech goes on at a slightly lower probability than it begins with."""
_LONGEST_UTTERANCE_S = 600


@dataclass(frozen=True, slots=True)
class SpeechStart:
    """The user began to speak; `at_ms` lies before the first sound by the prefix padding."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechEnd:
    """The user has been silent for long enough; `at_ms` is the end of that silence."""

    at_ms: int


class TurnDetector:
    """Turns voice activity into turns. One instance hears one stream.

    Args:
        vad: Judges frames; audio is resampled to its rate.
        input_rate: Hz of what `push` gets.
        threshold: Probability from which a frame is speech.
        prefix_padding_ms: Audio before the first sound that still belongs to the utterance.
        silence_duration_ms: Silence that ends an utterance.
        start_ms: Position of the first sample, where the stream began before this detector.
    """

    def __init__(
        self,
        vad: Vad,
        input_rate: int,
        *,
        threshold: float = 0.5,
        prefix_padding_ms: int = 300,
        silence_duration_ms: int = 500,
        start_ms: int = 0,
    ) -> None:
        self.threshold = threshold
        self.prefix_padding_ms = prefix_padding_ms
        self.silence_duration_ms = silence_duration_ms
        self.speaking = False
        """Whether an utterance is open."""
        self._vad = vad
        self._rate = input_rate
        self._resampler = Resampler(input_rate, vad.sample_rate)
        self._waiting = bytearray()
        self._received = start_ms * input_rate // 1000
        self._judged_ms = float(start_ms)
        self._speech_frames = 0
        self._silent_frames = 0
        self._audio = bytearray()

    @property
    def position_ms(self) -> int:
        """How much audio was received."""
        return self._received * 1000 // self._rate

    @property
    def utterance(self) -> bytes:
        """Mono s16le at the input rate: the open utterance, else the last one, prefix included."""
        return bytes(self._audio)

    def push(self, pcm: bytes) -> list[SpeechStart | SpeechEnd]:
        """Hear more audio: mono s16le at the input rate, whole samples.

        After a `SpeechEnd`, `utterance` is complete until the next push; push pieces of 20 ms when
        every utterance of a long recording matters.
        """
        self._received += len(pcm) // 2
        self._audio += pcm
        self._waiting += self._resampler.push(pcm)
        size = self._vad.frame_samples * 2
        events: list[SpeechStart | SpeechEnd] = []
        while len(self._waiting) >= size:
            frame = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._judged_ms += self._frame_ms
            events += self._judge(self._vad.speech_probability(frame))
        if not events and not self.speaking:
            self._forget(self._padding_samples + self._rate // 4)
        self._forget(_LONGEST_UTTERANCE_S * self._rate)
        return events

    def reset(self) -> None:
        """Close an open utterance without an event and forget its audio; the position stays."""
        self.speaking = False
        self._speech_frames = self._silent_frames = 0
        self._forget(0)

    @property
    def _padding_samples(self) -> int:
        return self.prefix_padding_ms * self._rate // 1000

    @property
    def _frame_ms(self) -> float:
        return self._vad.frame_samples * 1000 / self._vad.sample_rate

    def _judge(self, probability: float) -> list[SpeechStart | SpeechEnd]:
        now_ms = self._judged_ms
        if not self.speaking:
            self._speech_frames = self._speech_frames + 1 if probability >= self.threshold else 0
            spoken_ms = self._speech_frames * self._frame_ms
            if not self._speech_frames or spoken_ms < _ONSET_MS:
                return []
            self.speaking = True
            self._silent_frames = 0
            at_ms = max(0, round(now_ms - spoken_ms) - self.prefix_padding_ms)
            self._forget(self._received - at_ms * self._rate // 1000)
            return [SpeechStart(at_ms)]
        quiet = probability < max(0.01, self.threshold - _HYSTERESIS)
        self._silent_frames = self._silent_frames + 1 if quiet else 0
        if not quiet or self._silent_frames * self._frame_ms < self.silence_duration_ms:
            return []
        self.speaking = False
        self._speech_frames = 0
        return [SpeechEnd(round(now_ms))]

    def _forget(self, keep: int) -> None:
        """Keep the last `keep` samples."""
        surplus = len(self._audio) - max(0, keep) * 2
        if surplus > 0:
            del self._audio[:surplus]


class _Abandon:
    pass


class Transcriber:
    """Gives a recognizer its work in order, so that whoever hears never waits for it.

    Lives in a task: `close` ends it. Waiting audio is at most what arrives during one `finish`.
    """

    def __init__(self, recognizer: Recognizer, input_rate: int) -> None:
        self._recognizer = recognizer
        self._resampler = Resampler(input_rate, recognizer.sample_rate)
        self._work: asyncio.Queue[bytes | asyncio.Future[str] | _Abandon | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(), name="simulator-transcriber")
        self._closed = False

    def feed(self, pcm: bytes) -> None:
        """More of the open utterance: mono s16le at the input rate."""
        self._work.put_nowait(self._resampler.push(pcm))

    def end(self) -> asyncio.Future[str]:
        """Close the utterance; its words come later. Fails with what the recognizer raised."""
        self._work.put_nowait(self._resampler.flush())
        words: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        # Whether anybody asks for the words is up to the session; a failure is not a leak.
        words.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._work.put_nowait(words)
        return words

    def abandon(self) -> None:
        """Throw the open utterance away."""
        self._work.put_nowait(_Abandon())
        self._resampler.reset()

    async def finish(self) -> None:
        """Deliver the texts that are owed, then stop."""
        self._work.put_nowait(None)
        await asyncio.wait([self._task])
        await self.close()

    async def close(self) -> None:
        """Stop; texts that are still owed are cancelled. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        while not self._work.empty():
            work = self._work.get_nowait()
            if isinstance(work, asyncio.Future):
                work.cancel()
        await self._recognizer.close()

    async def _run(self) -> None:
        failure: Exception | None = None
        while True:
            work = await self._work.get()
            try:
                if isinstance(work, bytes):
                    self._recognizer.feed(work)
                elif isinstance(work, _Abandon):
                    self._recognizer.reset()
                elif work is None:
                    return
                elif failure is None:
                    text = await self._recognizer.finish()
                    if not work.cancelled():
                        work.set_result(text)
            except asyncio.CancelledError:
                if isinstance(work, asyncio.Future):
                    work.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - goes to whoever asked for the words
                failure = error
            if isinstance(work, asyncio.Future) and failure is not None:
                if not work.cancelled():
                    work.set_exception(failure)
                failure = None
