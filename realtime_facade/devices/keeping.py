"""Keeps a stream of a sound card open: notices that it died, says so, and opens it again."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from ..errors import RealtimeError
from .base import AudioInputDevice, AudioOutputDevice, report

logger = logging.getLogger(__name__)

OPEN_PATIENCE_S = 10.0
CLOSE_PATIENCE_S = 2.0
"""A sound server that hangs keeps a call for 30 s and more (measured); nobody waits for that."""
FIRST_SOUND_S = 5.0
"""Wireless and sleeping devices take seconds to begin."""
SILENCE_S = 1.0
FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 8.0

T = TypeVar("T")


class Life:
    """The signs of life of one open stream, given from the card's threads."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._last = time.monotonic() + FIRST_SOUND_S - SILENCE_S
        self._ended = asyncio.Event()

    def beat(self) -> None:
        """Sound has passed."""
        self._last = time.monotonic()

    def ended(self) -> None:
        """The stream has stopped."""
        try:
            self.loop.call_soon_threadsafe(self._ended.set)
        except RuntimeError:
            logger.debug("a stream outlived its event loop")

    async def lost(self) -> str:
        """Return why, as soon as the stream is dead."""
        while (left := self._last + SILENCE_S - time.monotonic()) > 0:
            # That nothing calls any more, only a timer can notice. The first sign of life brings
            # the end of patience nearer, so it is looked at again in time.
            try:
                async with asyncio.timeout(min(left, SILENCE_S)):
                    await self._ended.wait()
                    return "the system stopped it"
            except TimeoutError:
                continue
        return f"no sound has passed for {SILENCE_S:g} s"


class Stream(Protocol):
    """An open stream of a sound card. Both methods may block, and are called in a thread."""

    def start(self) -> None:
        """Let sound pass.

        Raises:
            RealtimeError: With the cause "device".
        """

    def close(self) -> None:
        """Stop at once and never raise."""


S = TypeVar("S", bound=Stream)


class Keeper:
    """Opens a stream and holds on to it until `stop`.

    A stream is dead when it says so, or when no sound has passed for a second. Then the error goes
    to the device's `on_error`, and opening is tried again after 0.5 s, 1 s, 2 s ... 8 s.

    Args:
        device: Whose stream it is.
        open_stream: Makes a stream that is not started yet; called in a thread.
        adopt: Takes note of a new stream, on the event loop, before it starts.
    """

    def __init__(
        self,
        device: AudioInputDevice | AudioOutputDevice,
        open_stream: Callable[[Life], S],
        adopt: Callable[[S], None],
    ) -> None:
        self.reopened = 0
        self._device = device
        self._open_stream = open_stream
        self._adopt = adopt
        self._stream: Stream | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the stream.

        Raises:
            RealtimeError: With the cause "device" if that fails or takes more than 10 s.
        """
        life = await self._open()
        self._task = asyncio.create_task(self._keep(life), name="sound card")

    async def stop(self) -> None:
        """Close the stream; again has no effect."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._close()

    async def _open(self) -> Life:
        name = type(self._device).__name__
        life = Life()
        try:
            stream = await in_thread(
                lambda: self._open_stream(life),
                patience_s=OPEN_PATIENCE_S,
                late=lambda stream: stream.close(),
            )
            self._stream = stream
            self._adopt(stream)
            await in_thread(stream.start, patience_s=OPEN_PATIENCE_S)
        except TimeoutError as error:
            await self._close()
            raise RealtimeError(
                f"the {name} did not open within {OPEN_PATIENCE_S:g} s",
                cause="device",
                retryable=True,
                advice="look whether the system's sound server answers",
            ) from error
        except BaseException:
            await self._close()
            raise
        return life

    async def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        try:
            await in_thread(stream.close, patience_s=CLOSE_PATIENCE_S)
        except TimeoutError:
            logger.warning(
                "%s: the sound server does not answer; its stream is left behind",
                type(self._device).__name__,
            )

    async def _keep(self, life: Life) -> None:
        while True:
            why = await life.lost()
            report(
                self._device,
                RealtimeError(
                    f"the {type(self._device).__name__} was lost: {why}",
                    cause="device",
                    retryable=True,
                    advice="look at its plug and at the system's sound settings; "
                    "opening it is tried again until it succeeds",
                ),
            )
            await self._close()
            life = await self._open_again()
            self.reopened += 1

    async def _open_again(self) -> Life:
        pause = FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause)
            try:
                return await self._open()
            except RealtimeError as error:
                logger.info("%s: not opened again yet: %s", type(self._device).__name__, error)
                pause = min(2 * pause, LAST_PAUSE_S)


async def in_thread(
    work: Callable[[], T], *, patience_s: float, late: Callable[[T], None] | None = None
) -> T:
    """Run `work` in a daemon thread, because a blocked one must not keep the program from ending.

    Args:
        work: May block.
        patience_s: How long to wait for it.
        late: Gets, in a thread, the result that came when nobody waited any more.

    Raises:
        TimeoutError: If it took too long; the thread goes on.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not outcome.done():
            if error is None:
                outcome.set_result(result)  # type: ignore[arg-type]
            else:
                outcome.set_exception(error)
        elif error is None and late is not None:
            threading.Thread(target=late, args=(result,), daemon=True).start()

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where `work` is awaited
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            logger.debug("the event loop ended before a call to the sound card did")
            if failure is None and late is not None:
                late(result)  # type: ignore[arg-type]

    threading.Thread(target=run, name="sound card call", daemon=True).start()
    async with asyncio.timeout(patience_s):
        return await outcome
