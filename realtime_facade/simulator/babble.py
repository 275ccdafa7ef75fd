"""A voice without words and an ear with a script: parts that need nothing but numpy."""

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterable

import numpy as np
import numpy.typing as npt

_CHARS_PER_SECOND = 15.0
_VOWELS = {
    "a": (730.0, 1250.0, 2500.0),
    "e": (530.0, 1840.0, 2550.0),
    "i": (310.0, 2200.0, 2950.0),
    "o": (520.0, 900.0, 2450.0),
    "u": (330.0, 950.0, 2300.0),
    "y": (300.0, 2050.0, 2700.0),
}
"""Centres of three formants in Hz."""
_CLOSED = (280.0, 1400.0, 2400.0)
_HISSING = frozenset("cfhjkpqstxz")
_BANDWIDTHS_HZ = np.array([[80.0], [110.0], [160.0]])
_GAINS = np.array([[1.0], [0.55], [0.3]])
_HIGHEST_HZ = 3_800.0
_PEAK = 12_000.0
_PAUSES = {",": 1, ";": 2, ":": 2, ".": 3, "!": 3, "?": 3}
"""Extra silence after a mark, in characters' time."""

_Samples = npt.NDArray[np.float64]


class BabbleVoice:
    """Speech-like sound, the same for the same text: pitch, formants and pauses, but no words.

    About 15 characters take a second. Detectors of voice activity take it for speech;
    nobody can understand it.
    """

    sample_rate: int = 24_000

    def __init__(self, name: str | None = None) -> None:
        self._pitch = 100.0 + zlib.crc32((name or "").encode()) % 80
        self._char_samples = round(self.sample_rate / _CHARS_PER_SECOND)

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        """Yield mono s16le at 24 kHz, word by word."""
        words = text.split()
        for index, word in enumerate(words):
            pause = self._char_samples * (1 + _PAUSES.get(word[-1], 0)) // 2
            sound = self._word(word.lower(), index / len(words))
            yield np.concatenate([sound * _PEAK, np.zeros(pause)]).astype("<i2").tobytes()
            await asyncio.sleep(0)

    def _word(self, word: str, progress: float) -> _Samples:
        count = self._char_samples * len(word)
        # One target in the middle of each character, and glides between them, as a tongue moves.
        middles = (np.arange(len(word)) + 0.5) * self._char_samples
        position = np.arange(count)
        targets = np.array([_VOWELS.get(char, _CLOSED) for char in word])
        formants = np.array([np.interp(position, middles, track) for track in targets.T])
        loud = [1.0 if char in _VOWELS else 0.3 for char in word]
        hiss = [0.25 if char in _HISSING else 0.0 for char in word]
        ends = np.minimum(1.0, np.minimum(position, count - position) / (self.sample_rate * 0.015))
        voiced = self._voiced(formants, progress) * np.interp(position, middles, loud)
        noise = np.random.default_rng(zlib.crc32(word.encode())).uniform(-1, 1, count + 1)
        hissed = np.diff(noise) * np.interp(position, middles, hiss)
        return np.clip((voiced + hissed * 0.5) * ends, -1, 1)

    def _voiced(self, formants: _Samples, progress: float) -> _Samples:
        count = formants.shape[1]
        seconds = np.arange(count) / self.sample_rate
        # Pitch rises and falls on each word, sinks along the sentence and wavers a little.
        accent = 1 + 0.12 * np.sin(np.pi * np.arange(count) / count)
        waver = 1 + 0.02 * np.sin(2 * np.pi * 5.5 * seconds)
        pitch = self._pitch * (1.1 - 0.2 * progress) * accent * waver
        phase = 2 * np.pi * np.cumsum(pitch) / self.sample_rate
        sound = np.zeros(count)
        for harmonic in range(1, int(_HIGHEST_HZ / pitch.min())):
            distance = (harmonic * pitch - formants) / _BANDWIDTHS_HZ
            resonance = np.sum(_GAINS / (1 + np.square(distance)), axis=0)
            sound += (resonance + 0.05) / harmonic**0.5 * np.sin(harmonic * phase)
        return sound / max(1e-9, float(np.abs(sound).max()))


class ScriptedRecognizer:
    """Understands what it was told beforehand: one text per utterance, then "" for ever."""

    sample_rate: int = 16_000

    def __init__(self, transcripts: Iterable[str] = ()) -> None:
        self._transcripts = deque(transcripts)

    def skip_to(self, left: int) -> None:
        """Use up texts until only so many are left."""
        while len(self._transcripts) > left:
            self._transcripts.popleft()

    def feed(self, pcm: bytes) -> None:
        """Ignore the sound; the script knows."""

    async def finish(self) -> str:
        """The next text of the script."""
        return self._transcripts.popleft() if self._transcripts else ""

    def reset(self) -> None:
        """Nothing to throw away: an abandoned utterance does not use up a text."""

    async def close(self) -> None:
        """Nothing to release."""
