"""The ear of a simulated Gemini session: audio of any rate in, activities and their words out."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...audio.resample import Resampler
from ...tools.definition import ToolDefinition
from ..hearing import SpeechStart, Transcriber, TurnDetector
from ..parts import Parts
from .setup import Setup

INPUT_RATE = 16_000
_PREFIX_MS = 300
_PIECE_BYTES = INPUT_RATE // 50 * 2


@dataclass(frozen=True, slots=True)
class Began:
    """The user became active."""

    at_ms: int
    """Position in the audio of the whole connection."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The user's activity is over."""

    at_ms: int
    length_ms: int
    """Of the activity, its silence included."""
    words: str


class Ear:
    """Hears one connection's audio and finds the user's activities in it.

    With manual activity only what lies between `begin` and `end` is heard at all.
    """

    def __init__(self, parts: Parts, setup: Setup) -> None:
        self._parts = parts
        self._manual = setup.manual
        self._rate = INPUT_RATE
        self._resampler = Resampler(INPUT_RATE, INPUT_RATE)
        self._detector = TurnDetector(
            parts.vad(),
            INPUT_RATE,
            threshold=setup.threshold,
            prefix_padding_ms=_PREFIX_MS,
            silence_duration_ms=setup.silence_ms,
        )
        self._transcriber = self._listen_for(setup.tools.definitions)
        self._began_at_ms = 0
        self._received = 0
        self.active = False
        """Whether an activity is open."""

    @property
    def position_ms(self) -> int:
        """How much audio was received."""
        return self._received * 1000 // INPUT_RATE

    async def hear(self, pcm: bytes, rate: int) -> list[Began | Ended]:
        """Take audio: mono s16le at `rate` Hz, in pieces of any length.

        Raises:
            AudioFormatError: If nobody can hear at such a rate.
        """
        if rate != self._rate:
            # Checked before the old one is given up: a wrong rate changes nothing.
            resampler = Resampler(rate, INPUT_RATE)
            self._resampler, self._rate = resampler, rate
        pcm = self._resampler.push(pcm)
        self._received += len(pcm) // 2
        if self._manual:
            if self.active:
                self._transcriber.feed(pcm)
            return []
        found: list[Began | Ended] = []
        for start in range(0, len(pcm), _PIECE_BYTES):
            found += await self._judge(pcm[start : start + _PIECE_BYTES])
        return found

    def begin(self) -> None:
        """The client says that the user became active."""
        self._began_at_ms = self.position_ms
        self.active = True

    async def end(self) -> list[Ended]:
        """Close an open activity; without one there is nothing to close."""
        if not self.active:
            return []
        return [await self._close(self.position_ms)]

    async def retool(self, tools: Sequence[ToolDefinition]) -> None:
        """Expect words that fit other tools."""
        await self._transcriber.close()
        self._transcriber = self._listen_for(tools)
        if self.active:
            self._transcriber.feed(self._detector.utterance)

    async def close(self) -> None:
        """Release the recognizer."""
        await self._transcriber.close()

    def _listen_for(self, tools: Sequence[ToolDefinition]) -> Transcriber:
        return Transcriber(self._parts.recognizer(tools), INPUT_RATE)

    async def _judge(self, piece: bytes) -> list[Began | Ended]:
        found: list[Began | Ended] = []
        events = self._detector.push(piece)
        if self.active:
            self._transcriber.feed(piece)
        for event in events:
            if isinstance(event, SpeechStart):
                self._began_at_ms = min(event.at_ms + _PREFIX_MS, self.position_ms)
                self.active = True
                self._transcriber.feed(self._detector.utterance)
                found.append(Began(self._began_at_ms))
            else:
                found.append(await self._close(event.at_ms))
        return found

    async def _close(self, at_ms: int) -> Ended:
        self.active = False
        self._detector.reset()
        words = await self._transcriber.end()
        return Ended(at_ms, at_ms - self._began_at_ms, words)
