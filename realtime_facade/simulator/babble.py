"""A voice without words and an ear with a script: parts that need nothing but numpy."""

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterable

import numpy as np
import numpy.typing as npt

_CHARS_PER_SECOND = 15.0
_FORMANTS = (
    (730.0, 1090.0, 2440.0),
    (530.0, 1840.0, 2480.0),
    (270.0, 2290.0, 3010.0),
    (570.0, 840.0, 2410.0),
    (300.0, 870.0, 2240.0),
)
_BANDWIDTH_HZ = 130.0
_HIGHEST_HZ = 3_600.0
_PEAK = 9_000.0
_PAUSES = {",": 2, ";": 3, ":": 3, ".": 5, "!": 5, "?": 5}
"""Extra silence after a mark, in characters' time."""


class BabbleVoice:
    """Speech-like sound, the same for the same text: pitch, formants and pauses, but no words.

    About 15 characters take a second. Detectors of voice activity take it for speech;
    nobody can understand it.
    """

    sample_rate: int = 24_000

    def __init__(self, name: str | None = None) -> None:
        self._pitch = 105.0 + zlib.crc32((name or "").encode()) % 90
        self._char_samples = round(self.sample_rate / _CHARS_PER_SECOND)

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        """Yield mono s16le at 24 kHz, word by word."""
        words = text.split()
        for index, word in enumerate(words):
            yield self._word(word, index / max(1, len(words)))
            await asyncio.sleep(0)

    def _word(self, word: str, progress: float) -> bytes:
        count = self._char_samples * len(word)
        code = zlib.crc32(word.lower().encode())
        seconds = np.arange(count) / self.sample_rate
        # Pitch falls along a sentence and wavers a little, as voices do.
        pitch = self._pitch * (1.15 - 0.3 * progress) * (1 + 0.03 * np.sin(2 * np.pi * 5 * seconds))
        phase = 2 * np.pi * np.cumsum(pitch) / self.sample_rate
        sound = np.zeros(count)
        for syllable, start in enumerate(range(0, count, 3 * self._char_samples)):
            formants = _FORMANTS[(code >> (4 * syllable % 28)) % len(_FORMANTS)]
            part = slice(start, min(count, start + 3 * self._char_samples))
            sound[part] = self._vowel(phase[part], float(pitch[part].mean()), formants)
        silence = np.zeros(self._char_samples * (1 + _PAUSES.get(word[-1], 0)) // 2)
        samples = np.concatenate([sound * _PEAK, silence])
        return samples.astype("<i2").tobytes()

    def _vowel(
        self, phase: npt.NDArray[np.float64], pitch: float, formants: tuple[float, ...]
    ) -> npt.NDArray[np.float64]:
        sound = np.zeros(len(phase))
        for harmonic in range(1, int(_HIGHEST_HZ / pitch)):
            distance = (harmonic * pitch - np.array(formants)) / _BANDWIDTH_HZ
            gain = float(np.sum(np.array([1.0, 0.6, 0.25]) / (1 + np.square(distance))))
            sound += (gain + 0.3 / harmonic) * np.sin(harmonic * phase)
        rise = np.minimum(1.0, np.linspace(0, 6, len(phase)))
        sound *= rise * rise[::-1]
        return sound / max(1e-9, float(np.abs(sound).max()))


class ScriptedRecognizer:
    """Understands what it was told beforehand: one text per utterance, then "" for ever."""

    sample_rate: int = 16_000

    def __init__(self, transcripts: Iterable[str] = ()) -> None:
        self._transcripts = deque(transcripts)

    def feed(self, pcm: bytes) -> None:
        """Ignore the sound; the script knows."""

    async def finish(self) -> str:
        """The next text of the script."""
        return self._transcripts.popleft() if self._transcripts else ""

    def reset(self) -> None:
        """Nothing to throw away: an abandoned utterance does not use up a text."""

    async def close(self) -> None:
        """Nothing to release."""
