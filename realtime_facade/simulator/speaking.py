"""Speaks a text the way the providers do: words a little ahead, audio faster than real time."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ..audio.resample import Resampler
from .clock import Clock
from .parts import Voice

_CHARS_PER_SECOND = 15.0
_LEAD_S = 0.4
_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")


@dataclass(frozen=True, slots=True)
class SpokenChunk:
    """A piece of speech and the words that come with it; either may be empty, never both."""

    pcm: bytes
    """Mono s16le at the asked rate."""
    text: str
    """With its leading space, so that all texts together are the whole text."""


def tokens(text: str) -> list[str]:
    """Words and marks with their leading spaces; joined they are `text` again."""
    return _TOKEN.findall(text)


@asynccontextmanager
async def closing(speech: AsyncIterator[Any]) -> AsyncIterator[None]:
    """End an interrupted iteration now, not when the garbage collector finds it."""
    try:
        yield
    finally:
        if isinstance(speech, AsyncGenerator):
            await speech.aclose()


async def generate(
    voice: Voice, text: str, *, clock: Clock, speed: float, chunk_ms: int, rate: int
) -> AsyncIterator[SpokenChunk]:
    """Speak `text` in pieces of `chunk_ms` at `rate` Hz.

    Args:
        voice: Any rate; its audio is resampled.
        text: Its words lead the audio by about 0.4 s.
        clock: Paces the generation.
        speed: Times faster than real time; 0 for as fast as the voice is.
        chunk_ms: Length of each piece; the last one is shorter.
        rate: Hz.
    """
    words = tokens(text)
    size = max(1, rate * chunk_ms // 1000) * 2
    sent_samples = 0
    sent_chars = 0
    start = clock.monotonic()
    pieces = _pieces(voice, text, rate, size)
    async with closing(pieces):
        async for pcm, last in pieces:
            due = len(text) if last else (sent_samples / rate + _LEAD_S) * _CHARS_PER_SECOND
            now = []
            while words and sent_chars < due:
                now.append(words.pop(0))
                sent_chars += len(now[-1])
            yield SpokenChunk(pcm, "".join(now))
            sent_samples += len(pcm) // 2
            if speed > 0:
                await clock.sleep(start + sent_samples / rate / speed - clock.monotonic())
    if words:  # A voice without a sound still has said it.
        yield SpokenChunk(b"", "".join(words))


async def _pieces(
    voice: Voice, text: str, rate: int, size: int
) -> AsyncIterator[tuple[bytes, bool]]:
    """Pieces of `size` bytes and whether this is the last one, which may be shorter."""
    resampler = Resampler(voice.sample_rate, rate)
    waiting = bytearray()
    speech = voice.speak(text)
    async with closing(speech):
        async for pcm in speech:
            waiting += resampler.push(pcm)
            while len(waiting) > size:
                yield bytes(waiting[:size]), False
                del waiting[:size]
    waiting += resampler.flush()
    while len(waiting) > size:
        yield bytes(waiting[:size]), False
        del waiting[:size]
    if waiting:
        yield bytes(waiting), True
