"""Tasks and timers that live no longer than their session."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """Children of one session.

    Args:
        failed: Told of work that raised, with its name.
    """

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[Any]] = set()

    def __contains__(self, task: object) -> bool:
        return task in self._running

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` beside the session."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> asyncio.Task[None]:
        """Call back after a delay; cancel the task to give it up."""

        async def wait() -> None:
            await asyncio.sleep(delay_s)
            callback()

        return self.start(wait(), "timer")

    def cancel(self) -> None:
        """Let everything end."""
        for task in self._running:
            task.cancel()

    async def ended(self) -> None:
        """Wait until nothing runs."""
        if self._running:
            await asyncio.wait(set(self._running))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(task.get_name(), error)
