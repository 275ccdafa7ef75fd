"""Free speech to text, in a process of its own because decoding it would hold the event loop."""

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import Sequence

from ...errors import RealtimeError
from .dictation_worker import HEADER

_TIMEOUT_S = 30.0
_GOODBYE_S = 2.0
_COMMAND = (sys.executable, "-m", "realtime_facade.simulator.speech.dictation_worker")


class Dictation:
    """One worker, started at the first request and shared by the recognizers of a simulator.

    Each recognizer calls `open` once and `close` once; the last `close` ends the worker. Should
    nobody do so, the worker ends when this process closes its pipe.

    Args:
        command: What to run instead of the worker of this package.
    """

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        self._command = command
        self._users = 0
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._numbers = itertools.count(1)

    def open(self) -> None:
        """Announce a user."""
        self._users += 1

    async def close(self) -> None:
        """Take leave; the last user's call ends the worker and waits for that."""
        self._users -= 1
        if self._users <= 0:
            await self._stop()

    async def transcribe(self, pcm: bytes) -> str:
        """The words of an utterance, mono s16le at 16 kHz; "" if there are none.

        Cancel-safe. Utterances wait for each other.

        Raises:
            RealtimeError: If the worker fails or takes longer than 30 s. The next call starts
                another.
        """
        async with self._turn:
            number = next(self._numbers) % 2**32
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    return await self._ask(number, pcm)
            except (OSError, ValueError, TimeoutError) as error:
                await self._stop()
                raise RealtimeError(
                    f"the process that writes down free speech failed: {str(error) or 'too slow'}",
                    cause="unknown",
                    advice="its own message is on the standard error stream",
                ) from error

    async def _ask(self, number: int, pcm: bytes) -> str:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        source, sink = self._process.stdout, self._process.stdin
        if source is None or sink is None:
            raise OSError("no pipe")
        sink.write(HEADER.pack(number, len(pcm)) + pcm)
        await sink.drain()
        while line := await source.readline():
            reply = json.loads(line)
            # Replies to calls that were cancelled come first.
            if reply["number"] == number:
                return str(reply["text"])
        raise OSError("it ended")

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _GOODBYE_S)
        finally:
            # Also when this task is cancelled: a process must not outlive its owner.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
