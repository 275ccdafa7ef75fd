"""What is said in a long conversation: each word a sound of its own, each answer a sum of the past.

Words can be counted in what is heard, on both sides: nothing that is lost, cut or doubled passes.
And an answer is made from the last things that were said and done, so a provider that was told
anything else about them answers in other words.
"""

import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

# Five letters each, so that words take as long as their share of the text.
# fmt: off
WORDS = [
    "story", "check", "pairs", "tarry", "apple", "bread", "chair", "dance", "eagle", "flute",
    "grape", "house", "igloo", "jelly", "knife", "lemon", "mango", "night", "ocean", "piano",
    "queen", "river", "sugar", "table", "uncle", "voice", "water", "xenon", "yacht", "zebra",
    "brick", "cloud",
]
# fmt: on
KINDS = WORDS[:4]
WORD_MS = 400
RATE = 24_000
MEMORY = 12
"""Of what was said and done, so many entries decide the next answer."""
Kind = Literal["story", "check", "pairs", "tarry"]
Said = tuple[str, str]
"""Who, and what: "user", "assistant" or "tool"."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Something that the user says, or writes."""

    number: int
    at_s: float
    """Since the beginning."""
    words: str
    spoken: bool
    cuts_in: bool
    """Whether it does not wait for the end of the answer before."""

    @property
    def calls(self) -> list[int]:
        """The numbers that the assistant looks up to answer it."""
        return calls_of(self.words)


def script(seconds: float, seed: int, *, cutting_in: bool = False) -> list[Turn]:
    """Turns every 20 to 60 s; in one of four the assistant uses tools."""
    dice = random.Random(f"script {seed}")
    turns: list[Turn] = []
    at_s = 5.0
    while at_s < seconds - 60:
        number = len(turns) % 1024
        kind = dice.choices(KINDS, (24, 5, 2, 1))[0]
        more = dice.choices(WORDS[4:], k=dice.randint(1, 4))
        words = " ".join([kind, *_number(number), *more])
        after_tarrying = bool(turns) and turns[-1].words.startswith("tarry")
        cuts_in = cutting_in and bool(turns) and not after_tarrying and dice.random() < 0.3
        turns.append(Turn(len(turns), at_s, words, dice.random() < 0.7 or cuts_in, cuts_in))
        at_s += dice.uniform(20, 60) + (TARRY_S if kind == "tarry" else 0)
    return turns


TARRY_S = 150.0
"""How long the slow tool takes: longer than an announced end can wait for it."""


def calls_of(words: str) -> list[int]:
    """What the assistant has to look up for these words of the user."""
    kind, high, low, *_ = words.split()
    number = WORDS.index(high) * len(WORDS) + WORDS.index(low)
    return {"story": [], "check": [number], "pairs": [number, number + 5000]}.get(kind, [number])


def found(number: int) -> str:
    """What the tool finds."""
    return f"item {number} is {WORDS[zlib.crc32(str(number).encode()) % len(WORDS)]}"


def reply(past: Sequence[Said]) -> str:
    """The answer to all that was said and done, the user's last words included."""
    told = "|".join(f"{who}:{text}" for who, text in merged(past)[-MEMORY:])
    dice = random.Random(zlib.crc32(told.encode()))
    return " ".join(dice.choices(WORDS, k=dice.randint(8, 30)))


def merged(past: Iterable[Said]) -> list[Said]:
    """What one side has said in pieces is one text; outputs of tools come in any order."""
    texts: list[tuple[str, list[str]]] = []
    for who, text in past:
        if not texts or texts[-1][0] != who:
            texts.append((who, []))
        texts[-1][1].append(text.strip())
    return [(who, " ".join(sorted(t) if who == "tool" else t)) for who, t in texts]


def conversation(turns: Iterable[Turn]) -> list[Said]:
    """All that is said and done, if nothing goes wrong."""
    past: list[Said] = []
    for turn in turns:
        past.append(("user", turn.words))
        past += [("tool", found(number)) for number in turn.calls]
        past = merged(past)
        past.append(("assistant", reply(past)))
    return past


def _number(number: int) -> tuple[str, str]:
    high, low = divmod(number, len(WORDS))
    return WORDS[high], WORDS[low]


# -- the assistant's sound: the n-th word is so many samples of the value 500 * (n + 1) ------------


@cache
def sounding(word: str) -> bytes:
    """A word of the assistant."""
    return np.full(RATE * WORD_MS // 1000, 500 * (WORDS.index(word) + 1), "<i2").tobytes()


class Words:
    """Hears samples, writes down words; one that lost or gained a sample has its length with it."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._value = 0
        self._count = 0

    def hear(self, samples: "np.typing.NDArray[np.int16]") -> None:
        """More of what was heard. Silence is no part of any word."""
        samples = samples[samples != 0]
        if not len(samples):
            return
        ends = [*np.flatnonzero(np.diff(samples)) + 1, len(samples)]
        start = 0
        for end in ends:
            if samples[start] != self._value:
                self.finish()
                self._value = int(samples[start])
            self._count += int(end) - start
            start = int(end)

    def finish(self) -> None:
        """The word is over."""
        whole, rest = divmod(self._count, RATE * WORD_MS // 1000)
        if self._count:
            place, odd = divmod(self._value, 500)
            word = "?" if odd or not 0 < place <= len(WORDS) else WORDS[place - 1]
            self.words += [word] * whole
            if rest:
                self.words.append(f"{word}*{rest}")
        self._value = self._count = 0

    def take(self) -> list[str]:
        """The words since the last call; between two answers, since a word must be over."""
        self.finish()
        words, self.words = self.words, []
        return words


# -- the user's sound: the n-th word is a tone, and silence behind it ------------------------------

TONE_MS = 300


def _hertz(index: int) -> int:
    return 500 + 100 * index


def speech(words: str) -> bytes:
    """A user's sentence, 24 kHz."""
    times = np.arange(RATE * TONE_MS // 1000) / RATE
    pause = np.zeros(RATE * (WORD_MS - TONE_MS) // 1000)
    tones = [
        part
        for word in words.split()
        for part in (8_000 * np.sin(2 * np.pi * _hertz(WORDS.index(word)) * times), pause)
    ]
    return np.concatenate(tones).astype("<i2").tobytes()


def understood(pcm: bytes, rate: int) -> str:
    """The words of a sentence; one that is not as long as it was said has its length with it."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    step = rate // 100
    frames = samples[: len(samples) // step * step].reshape(-1, step)
    loud = np.sqrt(np.mean(np.square(frames), axis=1)) > 1_000
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int)))
    words: list[str] = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        tone = samples[begin * step : end * step]
        spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), rate))
        place = round((int(spectrum.argmax()) - 500) / 100)
        word = WORDS[place] if 0 <= place < len(WORDS) else "?"
        ms = int(end - begin) * 10
        words.append(word if abs(ms - TONE_MS) <= 30 else f"{word}*{ms}")
    return " ".join(words)
