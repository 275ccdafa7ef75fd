"""Runs what blocks in threads that nobody has to wait for.

A thread cannot be killed. One that is given up is left to itself: as a daemon it keeps neither
the session nor the program from ending, and since each call has a thread of its own, those that
are stuck take none from anybody else.
"""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from ..errors import ToolFailed

logger = logging.getLogger("realtime_facade")

MOST_STUCK = 64
"""In the whole process: with so many threads given up and still running, no more are begun."""

_stuck: set[threading.Thread] = set()

T = TypeVar("T")


def stuck_threads() -> int:
    """How many threads were given up and still run."""
    return len(_stuck)


async def in_thread(function: Callable[[], T], name: str) -> T:
    """Call `function` in a thread; cancelling gives the thread up and drops what it returns.

    Raises:
        ToolFailed: If too many threads are stuck.
    """
    if len(_stuck) >= MOST_STUCK:
        raise ToolFailed(
            f"{name} cannot be run: {len(_stuck)} earlier calls never came back",
            code="threads_stuck",
            advice="give what blocks a timeout of its own",
        )
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    context = contextvars.copy_context()
    outcome: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(context.run(function))
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            failure.append(error)
        try:
            loop.call_soon_threadsafe(deliver)
        except RuntimeError:  # the loop was closed meanwhile
            forget()

    def deliver() -> None:
        if done.done():
            forget()
        else:
            done.set_result(None)

    def forget() -> None:
        _stuck.discard(thread)
        logger.warning("%s came back after it was given up; its result is dropped", name)

    thread = threading.Thread(target=work, name=f"tool {name}", daemon=True)
    thread.start()
    try:
        await done
    except asyncio.CancelledError:
        if done.cancelled():  # else it has just come back
            _stuck.add(thread)
        raise
    if failure:
        raise failure[0]
    return outcome[0]
