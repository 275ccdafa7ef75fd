"""Holds the assistant's words back until they are heard."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..audio.playback import Playback
from ..events import TranscriptDelta

_STEP_S = 0.05
"""The least wait before looking again: finer than a syllable, coarse enough to cost nothing."""

MOST_ITEMS = 32
"""Items whose words wait; those of the oldest are told without having been heard."""
MOST_WAITING = 4_096
"""Deltas of one item that wait, likewise."""


@dataclass(slots=True)
class _Item:
    waiting: deque[tuple[int, TranscriptDelta]] = field(default_factory=deque)
    """Deltas with the number of characters before them."""
    characters: int = 0
    text_is_whole: bool = False
    audio_is_whole: bool = False
    began: bool = False
    """Whether audio of the item came."""


class Captions:
    """Lets each delta go when playback reaches its share of the item's audio.

    A transcript runs a little ahead of its audio or comes all at once, and says nothing of time;
    so a word is taken to sound where its characters stand in the text. While an item is being
    generated the share is that of what has come so far.
    """

    def __init__(
        self,
        playback: Playback,
        release: Callable[[TranscriptDelta], None],
        call_later: Callable[[float, Callable[[], None]], "asyncio.Task[None]"],
    ) -> None:
        self._playback = playback
        self._release = release
        self._call_later = call_later
        self._items: dict[str, _Item] = {}
        self._timer: asyncio.Task[None] | None = None

    def add(self, delta: TranscriptDelta) -> None:
        """Hold a delta back."""
        item = self._item(delta.item_id)
        item.waiting.append((item.characters, delta))
        if len(item.waiting) > MOST_WAITING:
            self._release(item.waiting.popleft()[1])
        item.characters += len(delta.text)
        item.text_is_whole = delta.is_final
        self._look()

    def audio(self, item_id: str, *, is_final: bool) -> None:
        """More audio of an item came, or its end."""
        item = self._item(item_id)
        item.began = True
        item.audio_is_whole = is_final
        if self._timer is None:
            self._look()

    def cut(self) -> None:
        """Forget what was not heard."""
        self._items.clear()

    def _item(self, item_id: str) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            item = self._items[item_id] = _Item()
            if len(self._items) > MOST_ITEMS:
                # Told unheard rather than not at all.
                oldest = self._items.pop(next(iter(self._items)))
                for _, delta in oldest.waiting:
                    self._release(delta)
        return item

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wait_s: float | None = None
        for item_id, item in list(self._items.items()):
            missing = self._let_go(item_id, item)
            if missing is not None:
                wait_s = min(missing, missing if wait_s is None else wait_s)
            elif item.text_is_whole and item.audio_is_whole and not item.waiting:
                del self._items[item_id]
        if wait_s is not None:
            self._timer = self._call_later(max(wait_s, _STEP_S), self._timeout)

    def _timeout(self) -> None:
        self._timer = None
        self._look()

    def _let_go(self, item_id: str, item: _Item) -> float | None:
        """Release what is due; seconds until the next may be, None if nothing waits for time."""
        while item.waiting:
            before, delta = item.waiting[0]
            progress = self._playback.progress(item_id)
            if progress is not None:
                heard, received = progress
                due = received if delta.is_final else received * before // max(item.characters, 1)
                if heard < due or (delta.is_final and not item.audio_is_whole):
                    return (due - heard) / self._playback.rate
            elif not item.began:
                return None  # its audio is still to come
            item.waiting.popleft()
            self._release(delta)
        return None
