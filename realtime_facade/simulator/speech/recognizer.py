"""Understands the user: a grammar of what can be asked, and dictation for everything else."""

import asyncio
import difflib
import itertools
import logging
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pocketsphinx import Decoder, get_model_path  # type: ignore[import-untyped]

from ...errors import RealtimeError
from .dictation import Dictation
from .dictionary import as_file, load, pronunciations
from .grammar import SOUNDS, Grammar

_logger = logging.getLogger(__name__)

_CHUNK = 960
"""Bytes of 30 ms. The decoder holds the interpreter; on one chunk for a few ms at most."""
_MOST_CHUNKS = 3
"""Chunks decoded in one `feed`; what is more waits for the next, or for `finish`."""
_FRAME = 160
"""Samples of one of the decoder's frames of 10 ms."""
_LONGEST = 60 * 16_000 * 2
_LOUD_BELOW_PEAK_DB = 25.0
_QUIET_DBFS = -55.0
_LEAST_LIKELY = -6.2
"""Score of the worst word of a phrase, per frame, against the likeliest row of phones.

By seven synthetic voices, all of the 113 phrases of the grammar that were decoded right scored
above -6.6, nearly all above -6.2; of 16 sentences outside the grammar 13 scored below.
"""
_COVERED = 0.8
"""How much of the loud frames the words of a phrase must account for."""
_SAME_BEGINNING = 0.6
_SAME_PHRASE = 0.75


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
    likelihood: float
    """Of its worst word, against the likeliest row of phones; 0 is as good as that."""


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
        self._decoder, self._phones = _decoders(grammar)
        self._accepts = self._decoder.get_fsg("command").accept
        self._dictation = dictation
        self._dictation.open()
        self._open = False
        self._closed = False
        self._audio = bytearray()
        self._decoded = 0
        """Bytes of `_audio` that the decoder has had."""

    def feed(self, pcm: bytes) -> None:
        """Hear more of the open utterance: mono s16le at 16 kHz. Takes 9 to 18 % of its length."""
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
        self._end()
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
            self._phones.start_utt()
            self._open = True
        chunk = bytes(self._audio[self._decoded : self._decoded + _CHUNK])
        self._decoder.process_raw(chunk, False, False)
        self._phones.process_raw(chunk, False, False)
        self._decoded += len(chunk)

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._decoder.end_utt()
            self._phones.end_utt()

    def _hypothesis(self) -> Hypothesis:
        if not self._open:
            return Hypothesis((), free=False, fits=False, covered=0.0, likelihood=0.0)
        self._end()
        best = self._decoder.hyp()
        text = best.hypstr if best else ""
        spoken = text.split()
        words = tuple(itertools.takewhile(lambda word: word not in SOUNDS, spoken))
        segments = [s for s in self._decoder.seg() or () if s.word[0] not in "<[+("]
        named = [segment for segment in segments if segment.word not in SOUNDS]
        covered = _coverage(bytes(self._audio), segments)
        likelihood = _likelihood(named, list(self._phones.seg() or ()))
        fits = covered >= _COVERED and likelihood >= _LEAST_LIKELY and bool(self._accepts(text))
        return Hypothesis(
            words,
            free=len(words) < len(spoken),
            fits=bool(words) and fits,
            covered=covered,
            likelihood=likelihood,
        )


def _decoders(grammar: Grammar) -> tuple[Any, Any]:
    """One for the grammar's phrases, and one for any row of phones, to compare with.

    Their dictionary holds the grammar's words alone: reading all of it takes half a second.
    """
    entries = pronunciations(grammar.words - SOUNDS.keys(), load(dictionary_path()))
    entries |= {word: (phone,) for word, phone in SOUNDS.items()}
    common = {"samprate": 16_000, "loglevel": "FATAL"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.dict"
        path.write_text(as_file(entries), encoding="utf-8")
        # The search for a better path takes seconds on a grammar of ten tools.
        phrases = Decoder(lm=None, dict=str(path), bestpath=False, **common)
        phones = Decoder(
            lm=None,
            dict=str(path),
            allphone=get_model_path("en-us/en-us-phone.lm.bin"),
            lw=2.0,
            beam=1e-20,
            pbeam=1e-20,
            **common,
        )
    phrases.add_jsgf_string("command", grammar.jsgf)
    phrases.activate_search("command")
    return phrases, phones


def _likelihood(words: list[Any], phones: list[Any]) -> float:
    """The worst word's mean log score per frame, less that of the phones in the same frames."""
    if not words or not phones:
        return 0.0
    best = np.zeros(max(words[-1].end_frame, phones[-1].end_frame) + 1)
    for phone in phones:
        best[phone.start_frame : phone.end_frame + 1] = _per_frame(phone)
    return min(
        _per_frame(word) - float(best[word.start_frame : word.end_frame + 1].mean())
        for word in words
    )


def _per_frame(segment: Any) -> float:
    # The decoder exponentiates its scores after it has scaled them down by 1024.
    frames: int = segment.end_frame - segment.start_frame + 1
    return 1024 * math.log(max(segment.ascore, 1e-300)) / frames


def _coverage(pcm: bytes, segments: list[Any]) -> float:
    """The part of the loud frames that lies within segments.

    Where speech does not fit the grammar, the decoder calls it silence: of sentences outside the
    grammar often less than half is covered, of phrases within it more than nine tenths.
    """
    samples = np.frombuffer(pcm[: len(pcm) // (_FRAME * 2) * _FRAME * 2], dtype="<i2")
    if not len(samples):
        return 0.0
    power = np.mean(np.square(samples.reshape(-1, _FRAME).astype(np.float64)), axis=1) / 32_768**2
    level = 10 * np.log10(power + 1e-12)
    loud = level > max(_QUIET_DBFS, float(np.percentile(level, 95)) - _LOUD_BELOW_PEAK_DB)
    spoken = np.zeros(len(level), dtype=bool)
    for segment in segments:
        spoken[segment.start_frame : segment.end_frame + 1] = True
    return float((loud & spoken).sum() / max(1, loud.sum()))


def _merged(hypothesis: Hypothesis, heard: str) -> str:
    """Dictated words; the grammar's where both have heard nearly the same."""
    words = hypothesis.words
    if hypothesis.free:
        dictated = heard.split()
        same = _alike(words, dictated[: len(words)]) >= _SAME_BEGINNING
        return " ".join([*words, *dictated[len(words) :]]) if same and words else heard
    return " ".join(words) if _alike(words, heard.split()) >= _SAME_PHRASE else heard


def _alike(some: Sequence[str], others: Sequence[str]) -> float:
    """How similar two phrases are, letter by letter: 0 to 1."""
    return difflib.SequenceMatcher(None, " ".join(some), " ".join(others)).ratio()
