"""Skips the silence with which models begin an answer: 75 to 340 ms of waiting for nothing."""

import numpy as np

from .pcm import samples

LEVEL = 250
"""Samples up to this are silence: -42 dBFS; models start with noise of about 45."""
KEPT_MS = 40
"""Kept before the first loud sample, for soft beginnings such as an h."""
MOST_ITEMS = 16
"""Items that may begin at the same time; models speak one after the other."""
LONGEST_MS = 1_000
"""Silence longer than this is meant, and is played."""


class LeadingSilence:
    """Trims the beginning of each item, over as many chunks as the silence lasts."""

    def __init__(self, rate: int) -> None:
        self._kept = KEPT_MS * rate // 1000
        self._longest = LONGEST_MS * rate // 1000
        self._begun: str | None = None
        self._waiting: dict[str, tuple[bytes, int]] = {}

    def trim(self, item_id: str, pcm: bytes, *, is_final: bool = False) -> tuple[bytes, int]:
        """What of a chunk is to be heard, and how many samples before it were left out.

        Args:
            item_id: The item that the chunk belongs to.
            pcm: Mono s16le at the rate given at construction.
            is_final: Whether the item ends here; an item of silence alone is then played.

        Returns:
            Audio and skipped samples; no audio while the silence lasts.
        """
        if item_id == self._begun and not is_final:
            return pcm, 0
        tail, skipped = self._waiting.pop(item_id, (b"", 0))
        if item_id == self._begun:
            self._begun = None
            return pcm, 0
        heard = tail + pcm
        loud = np.flatnonzero(np.abs(samples(heard).astype(np.int32)) > LEVEL)
        total = len(heard) // 2
        if not len(loud) and not is_final and skipped + total <= self._longest:
            cut = max(total - self._kept, 0)
            self._waiting[item_id] = (heard[2 * cut :], skipped + cut)
            if len(self._waiting) > MOST_ITEMS:
                del self._waiting[next(iter(self._waiting))]
            return b"", 0
        if not is_final:
            self._begun = item_id
        cut = max(int(loud[0]) - self._kept, 0) if len(loud) else 0
        return heard[2 * cut :], skipped + cut

    def reset(self) -> None:
        """Forget items that were cut."""
        self._begun = None
        self._waiting.clear()
