"""Understands the user: a grammar of what can be asked, and dictation for everything else."""

import asyncio
import difflib
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pocketsphinx import Decoder, get_model_path

from ...errors import RealtimeError
from .dictation import Dictation
from .dictionary import as_file, load, pronunciations
from .grammar import SOUNDS, Grammar

_logger = logging.getLogger(__name__)

_CHUNK = 960
"""Bytes of 30 ms. The decoder holds the interpreter; on one chunk for a few ms at most."""
_MOST_CHUNKS = 10
"""Chunks decoded in one `feed`; more waits for the next."""
_FRAME = 160
"""Samples of one of the decoder's frames of 10 ms."""
_LONGEST = 60 * 16_000 * 2
_LOUD_BELOW_PEAK_DB = 25.0
_QUIET_DBFS = -55.0
_COVERED = 0.8
"""How much of the loud frames the words of a phrase must account for."""
_ALIKE = 0.6


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the grammar makes of an utterance."""

    words: tuple[str, ...]
    """Up to where free speech begins."""
    free: bool
    """Whether free speech follows."""
    fits: bool
    """Whether it is a whole phrase and accounts for what was heard."""
    covered: float
    """Which part of the loud frames its words span, 0 to 1."""


def dictionary_path() -> Path:
    """The English dictionary that comes with the decoder."""
    return Path(get_model_path("en-us/cmudict-en-us.dict"))


class SpeechRecognizer:
    """Hears one user. Phrases of the grammar are decoded while they are being said.

    Dictation is asked when an utterance has a free part (`repeat after me ...`) or does not fit
    the grammar. Audio after the first 60 s of an utterance is not heard.

    Args:
        grammar: What to expect.
        dictation: Shared with other recognizers; `close` takes leave of it.
    """

    sample_rate: int = 16_000

    def __init__(self, grammar: Grammar, dictation: Dictation) -> None:
        self._decoder, self._accepts = _decoder(grammar)
        self._dictation = dictation
        self._dictation.open()
        self._open = False
        self._closed = False
        self._audio = bytearray()
        self._decoded = 0
        """Bytes of `_audio` that the decoder has had."""

    def feed(self, pcm: bytes) -> None:
        """Hear more of the open utterance: mono s16le at 16 kHz. Takes about 2 % of its length."""
        self._audio += pcm[: max(0, _LONGEST - len(self._audio))]
        for _ in range(_MOST_CHUNKS):
            if len(self._audio) - self._decoded < _CHUNK:
                break
            self._decode()

    async def finish(self) -> str:
        """Close the utterance; its words in lower case, or "" if nothing was understood."""
        try:
            while self._decoded < len(self._audio):
                self._decode()
                await asyncio.sleep(0)
            hypothesis = self._hypothesis()
            audio = bytes(self._audio)
        finally:
            self.reset()
        if not audio or (hypothesis.fits and not hypothesis.free):
            return " ".join(hypothesis.words)
        try:
            heard = await self._dictation.transcribe(audio)
        except RealtimeError as error:
            _logger.warning("free speech was not understood: %s", error)
            heard = ""
        return _merged(hypothesis, heard)

    def reset(self) -> None:
        """Throw the open utterance away."""
        if self._open:
            self._decoder.end_utt()
        self._open = False
        self._audio.clear()
        self._decoded = 0

    async def close(self) -> None:
        """Forget the utterance and take leave of the dictation. Idempotent."""
        if not self._closed:
            self._closed = True
            self.reset()
            await self._dictation.close()

    def _decode(self) -> None:
        if not self._open:
            self._decoder.start_utt()
            self._open = True
        chunk = bytes(self._audio[self._decoded : self._decoded + _CHUNK])
        self._decoder.process_raw(chunk, False, False)
        self._decoded += len(chunk)

    def _hypothesis(self) -> Hypothesis:
        if not self._open:
            return Hypothesis((), free=False, fits=False, covered=0.0)
        self._decoder.end_utt()
        self._open = False
        best = self._decoder.hyp()
        text = best.hypstr if best else ""
        spoken = text.split()
        segments = [
            (segment.start_frame, segment.end_frame + 1)
            for segment in (self._decoder.seg() or ())
            if segment.word[0] not in "<[+("
        ]
        covered = _coverage(bytes(self._audio), segments)
        words = tuple(word for word in spoken if word not in SOUNDS)
        return Hypothesis(
            words,
            free=len(words) < len(spoken),
            fits=bool(spoken) and covered >= _COVERED and bool(self._accepts(text)),
            covered=covered,
        )


def _decoder(grammar: Grammar) -> tuple[Any, Any]:
    """A decoder for the grammar, and a function that says whether a text is a whole phrase of it.

    Its dictionary holds the grammar's words alone, which makes it ready in about 10 ms.
    """
    entries = pronunciations(grammar.words - SOUNDS.keys(), load(dictionary_path()))
    entries |= {word: (phone,) for word, phone in SOUNDS.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.dict"
        path.write_text(as_file(entries), encoding="utf-8")
        # Its search for a better path takes seconds on a grammar of ten tools.
        decoder = Decoder(
            lm=None, dict=str(path), samprate=16_000, bestpath=False, loglevel="FATAL"
        )
    decoder.add_jsgf_string("command", grammar.jsgf)
    decoder.activate_search("command")
    return decoder, decoder.get_fsg("command").accept


def _coverage(pcm: bytes, segments: list[tuple[int, int]]) -> float:
    """The part of the loud frames that lies within segments.

    Where speech does not fit the grammar, the decoder calls it silence: of sentences outside the
    grammar less than half is covered, of phrases within it more than nine tenths.
    """
    samples = np.frombuffer(pcm[: len(pcm) // (_FRAME * 2) * _FRAME * 2], dtype="<i2")
    if not len(samples):
        return 0.0
    power = np.mean(np.square(samples.reshape(-1, _FRAME).astype(np.float64)), axis=1) / 32_768**2
    level = 10 * np.log10(power + 1e-12)
    loud = level > max(_QUIET_DBFS, float(np.percentile(level, 95)) - _LOUD_BELOW_PEAK_DB)
    spoken = np.zeros(len(level), dtype=bool)
    for start, stop in segments:
        spoken[start:stop] = True
    return float((loud & spoken).sum() / max(1, loud.sum()))


def _merged(hypothesis: Hypothesis, heard: str) -> str:
    """Dictated words, with the beginning as the grammar has it where both heard the same."""
    dictated = heard.split()
    if not hypothesis.fits or not hypothesis.words:
        return heard
    size = len(hypothesis.words)
    beginning = " ".join(hypothesis.words)
    alike = difflib.SequenceMatcher(None, beginning, " ".join(dictated[:size])).ratio()
    return " ".join([*hypothesis.words, *dictated[size:]]) if alike >= _ALIKE else heard
