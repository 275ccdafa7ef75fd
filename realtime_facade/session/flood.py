"""Keeps a provider that fails again and again from flooding everybody with its errors."""

import asyncio
import time
from collections.abc import Callable

from ..events import ErrorOccurred

BURST = 100
"""Errors that pass one after the other."""
PER_SECOND = 10.0
"""Errors that pass in the long run."""
TELL_AFTER_S = 1.0


class Flood:
    """Counts the errors beyond that, and tells of them in one.

    Args:
        tell: Gets the event that says how many were left out.
        call_later: Calls back after some seconds.
        clock: In seconds.
    """

    def __init__(
        self,
        tell: Callable[[ErrorOccurred], None],
        call_later: Callable[[float, Callable[[], None]], "asyncio.Task[None]"],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._call_later = call_later
        self._clock = clock
        self._left = float(BURST)
        self._at = clock()
        self._untold = 0

    def passes(self) -> bool:
        """Whether one more error may be told."""
        now = self._clock()
        self._left = min(self._left + (now - self._at) * PER_SECOND, float(BURST))
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return True
        self._untold += 1
        if self._untold == 1:
            self._call_later(TELL_AFTER_S, self._sum_up)
        return False

    def _sum_up(self) -> None:
        count, self._untold = self._untold, 0
        self._tell(
            ErrorOccurred(
                message=f"{count} more errors came and are not told one by one",
                code="too_many_errors",
                cause="provider",
            )
        )
