"""An event loop whose time runs faster, and with it every timer of what runs on it.

A simulated provider has a clock; the package under test has none, it sleeps on its event loop. On
this one an hour's limit, an announced end in a minute and a pause between attempts all pass as
many times faster, for both sides alike.

By default time passes only while the loop waits. It stands still while anybody computes, and while
a busy machine lets the process wait for its turn: 10 ms of that would be 0.6 s of the conversation,
and a gap that says nothing of the package. So figures in this time do not depend on the machine. A
loop that keeps time with another process cannot do that: there the machine's delays count.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SHORTEST_S = 0.0002
"""For less it is not worth to sleep: waking up takes as long."""


class _Selector(selectors.SelectSelector):
    """Waits in real time for what is due in the loop's; `epoll` waits for whole milliseconds."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.now = time.monotonic()
        self._factor = factor

    def select(self, timeout: float | None = None) -> Any:
        began = time.monotonic()
        real = timeout / self._factor if timeout else timeout
        if real is not None and real < _SHORTEST_S:
            real = 0.0
        found = super().select(real)
        passed = (time.monotonic() - began) * self._factor
        if timeout is not None:
            passed = min(passed, timeout) if found else timeout
        self.now += max(0.0, passed)
        return found


class HurryingLoop(asyncio.SelectorEventLoop):
    """Its `time()` is in seconds that are `factor` times shorter."""

    def __init__(self, factor: float, *, stands_still: bool = True) -> None:
        self._hurrying = _Selector(factor)
        self._factor = None if stands_still else factor
        self._began = time.monotonic()
        super().__init__(self._hurrying)

    def time(self) -> float:
        if self._factor is None:
            return self._hurrying.now
        return self._began + (time.monotonic() - self._began) * self._factor


class LoopClock:
    """The running loop's time, for a simulator."""

    def __init__(self) -> None:
        self._ahead = time.time() - asyncio.get_running_loop().time()

    def time(self) -> float:
        return self._ahead + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def run(work: Coroutine[Any, Any, T], factor: float, *, stands_still: bool = True) -> T:
    """As `asyncio.run`, in a hurry."""

    def loop() -> HurryingLoop:
        return HurryingLoop(factor, stands_still=stands_still)

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)
