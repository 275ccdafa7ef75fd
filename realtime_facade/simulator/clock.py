"""Time and identifiers of a simulated provider, replaceable for fast, repeatable tests."""

import asyncio
import random
import string
import time
from typing import Protocol

_BASE62 = string.ascii_uppercase + string.ascii_lowercase + string.digits


class Clock(Protocol):
    """What a simulator knows of time."""

    def time(self) -> float:
        """Unix time in seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; at once, but still letting other tasks run, when `seconds` is 0 or less."""


class SystemClock:
    """Real time."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class ScaledClock:
    """Time that runs `factor` times faster, so that an hour's limit can be met in a test.

    Raises:
        ValueError: If `factor` is not positive.
    """

    def __init__(self, factor: float) -> None:
        if factor <= 0:
            raise ValueError(f"a clock's factor is positive, not {factor}")
        self._factor = factor
        self._unix = time.time()
        self._start = time.monotonic()

    def time(self) -> float:
        return self._unix + (time.monotonic() - self._start) * self._factor

    def monotonic(self) -> float:
        return self._start + (time.monotonic() - self._start) * self._factor

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self._factor)


class Ids:
    """Makes identifiers as the providers do; the same seed gives the same sequence."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def make(self, prefix: str, length: int = 21) -> str:
        """`prefix` and `length` base-62 characters, such as `item_` + 21."""
        return prefix + "".join(self._random.choices(_BASE62, k=length))
