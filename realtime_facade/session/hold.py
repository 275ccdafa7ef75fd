"""Keeps an answer's sound and words back until somebody has read what is said in them.

A provider does not tell which words sound in which chunk. Two bounds together say when a chunk
cannot contain an unread word:

- Transcripts run ahead of their audio, so a chunk waits for everything that was written before it
  came.
- Should a transcript lag, nobody speaks faster than `FASTEST` characters a second: a chunk that
  ends after `s` seconds of an item waits until so many characters of whole words were read.

When the whole text was read, all of the item goes.
"""

import time
import unicodedata
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..audio.playback import Playback
from ..events import AudioChunk, TranscriptDelta

FASTEST = 30.0
"""Characters a second. Fluent speech has about 15, hasty speech 20."""
_LONGEST_WORD = 24
"""Of a word without end as many characters at the end of a text are taken as unfinished."""
_WIDE_CHARACTERS = 3
"""A character of Chinese or Japanese is a syllable: it takes as long as three of an alphabet."""
_ITEMS = 64
"""How many items are known at a time."""


class Held(NamedTuple):
    """What was received and is kept back."""

    samples: dict[str, int]
    """By item that had sound; 0 where all of it was let go so far."""
    characters: dict[str, int]
    """By item of which words are kept back; 0 where only their end is."""

    def __bool__(self) -> bool:
        return bool(self.characters) or any(self.samples.values())


NOTHING_HELD = Held({}, {})


class HoldOwner(Protocol):
    """The session that a hold belongs to."""

    def let_sound(self, chunk: AudioChunk) -> None:
        """A chunk may be heard."""

    def let_words(self, delta: TranscriptDelta) -> None:
        """Words may be told."""


@dataclass(slots=True)
class _Item:
    written: int = 0
    """Characters that came."""
    read: int = 0
    """Characters that passed."""
    spoken: int = 0
    """How many characters of speech they are, up to the last whole word."""
    is_through: bool = False
    """Whether everything passed that was or will be in it."""
    samples: int = 0
    """Of the sound that came, at the ledger's rate."""
    held: int = 0
    """Of these, kept back."""


@dataclass(frozen=True, slots=True)
class _Sound:
    chunk: AudioChunk
    samples: int
    written: int
    """Characters that had come before it."""
    spoken: float
    """Characters that can have been said when it ends."""


class Hold:
    """Queues of sound and words. Pure but for its timer; whoever reads the words opens it.

    Args:
        max_hold_ms: How long the listener may be kept waiting in silence. Sound that is held while
            earlier sound still plays keeps nobody waiting.
        reads: Whether words have to pass; else only `shut` keeps anything back.
    """

    def __init__(
        self,
        max_hold_ms: float,
        *,
        reads: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.late: Callable[[str], None] = self.let_go
        """Told of the item for which the listener has waited too long; has to end the waiting."""
        self.speed = 1.0
        """Of the voice, compared with its natural one."""
        self._patience_s = max_hold_ms / 1000
        self._reads = reads
        self._clock = clock
        self._shut = False
        self._items: dict[str, _Item] = {}
        self._sound: deque[_Sound] = deque()
        self._words: deque[tuple[TranscriptDelta, int]] = deque()
        self._deadline = 0.0
        self._waits = False

    def attach(
        self,
        owner: HoldOwner,
        playback: Playback,
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        """Called once, by the session."""
        self._owner = owner
        self._playback = playback
        self._call_later = call_later

    # -- told by the session ------------------------------------------------------------------

    def sound(self, chunk: AudioChunk) -> None:
        """Take a chunk; it comes back when it may be heard, perhaps at once."""
        item = self._item(chunk.item_id)
        samples = round(len(chunk.data) // 2 * self._playback.rate / chunk.sample_rate)
        item.samples += samples
        item.held += samples
        seconds = item.samples / self._playback.rate
        spoken = FASTEST * max(self.speed, 1.0) * seconds
        first = not self._sound
        self._sound.append(_Sound(chunk, samples, item.written, spoken))
        self._move(patient=first)

    def words(self, delta: TranscriptDelta) -> None:
        """Take words, which are being read now; they come back when they may be told."""
        if delta.speaker != "assistant":
            self._owner.let_words(delta)
            return
        item = self._item(delta.item_id)
        item.written += len(delta.text)
        first = not self._words and not self._sound
        self._words.append((delta, item.written))
        self._move(patient=first)

    def held(self) -> Held:
        """What the listener cannot have got."""
        characters: dict[str, int] = {}
        for delta, _ in self._words:
            characters[delta.item_id] = characters.get(delta.item_id, 0) + len(delta.text)
        sound = {name: item.held for name, item in self._items.items() if item.samples}
        return Held(sound, characters)

    def cut(self) -> None:
        """Forget what is kept back: it will never be heard."""
        self._sound.clear()
        self._words.clear()
        self._items.clear()
        self._shut = False

    # -- told by who reads --------------------------------------------------------------------

    @property
    def shut(self) -> bool:
        """While true nothing passes, whatever was read. A cut opens it."""
        return self._shut

    @shut.setter
    def shut(self, value: bool) -> None:
        self._shut = value
        self._move()

    def passed(self, item_id: str, text: str, *, is_whole: bool) -> None:
        """Nobody objects to the words of an item so far; `is_whole`: to any that it will have."""
        item = self._items.get(item_id)
        if item is not None:
            item.read = max(item.read, len(text))
            item.spoken = max(item.spoken, spoken_length(text))
            item.is_through = item.is_through or is_whole
            self._move()

    def let_go(self, item_id: str) -> None:
        """Keep nothing of an item back any more, also of what is to come."""
        self._item(item_id).is_through = True
        self._move()

    # -- inside -------------------------------------------------------------------------------

    def _item(self, item_id: str) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            if len(self._items) >= _ITEMS:
                self._items.pop(next(iter(self._items)))
            item = self._items[item_id] = _Item(is_through=not self._reads)
        return item

    def _move(self, *, patient: bool = False) -> None:
        """Let go what may go, in order. `patient`: the listener waits only from now on."""
        while self._words and not self._shut:
            delta, end = self._words[0]
            item = self._item(delta.item_id)
            if not item.is_through and (item.read < end or delta.is_final):
                break
            self._words.popleft()
            patient = patient or not self._sound
            self._owner.let_words(delta)
        while self._sound and not self._shut:
            sound = self._sound[0]
            item = self._item(sound.chunk.item_id)
            if not item.is_through and (
                item.read < sound.written or item.spoken < sound.spoken or sound.chunk.is_final
            ):
                break
            self._sound.popleft()
            item.held -= sound.samples
            patient = True
            self._owner.let_sound(sound.chunk)
        if patient and (self._sound or self._words):
            self._wait()

    def _wait(self) -> None:
        silent_in_s = self._playback.pending_ms / 1000
        self._deadline = self._clock() + silent_in_s + self._patience_s
        if not self._waits:
            self._waits = True
            self._call_later(self._deadline - self._clock(), self._look)

    def _look(self) -> None:
        self._waits = False
        if not self._sound and not self._words:
            return
        left_s = self._deadline - self._clock()
        if left_s > 0:
            self._waits = True
            self._call_later(left_s, self._look)
        elif self._playback.pending_ms:
            self._wait()
        else:
            waiting = self._sound[0].chunk if self._sound else self._words[0][0]
            self._wait()
            self.late(waiting.item_id)


def spoken_length(text: str) -> int:
    """How many characters of an alphabet it takes to say the whole words of an unfinished text.

    Its last word may go on, so it does not count.
    """
    end = len(text)
    for _ in range(_LONGEST_WORD):
        if not end or text[end - 1].isspace() or _is_wide(text[end - 1]):
            break
        end -= 1
    whole = text[:end]
    if whole.isascii():
        return len(whole)
    return sum(_WIDE_CHARACTERS if _is_wide(character) else 1 for character in whole)


def _is_wide(character: str) -> bool:
    return character > "\u1100" and unicodedata.east_asian_width(character) in "WF"
