"""One connection: a codec over a transport, and the two tasks that read and write it."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from ..audio.resample import Resampler
from ..commands import AnyCommand, AppendAudio, ClearAudio, CommitAudio, EndAudio
from ..config import RealtimeConfig
from ..errors import ProtocolError, RealtimeConnectionError, RealtimeError
from ..events import AudioDropped, ErrorOccurred, Event, SessionStarted
from ..providers.base import Codec, Frame, Output, Profile
from ..transport.base import Transport, TransportClosed
from .outbox import Outbox

logger = logging.getLogger("realtime_facade")

LAST_WORDS_S = 1.0
"""How long a provider that has said why it will hang up may take to do so."""


MOST_EARLY = 4_096
"""Events before anybody lives on a link."""


class LinkOwner(Protocol):
    """Whoever lives on a link."""

    def received(self, events: Sequence[Event]) -> None:
        """The provider said something."""

    def lost(self, error: RealtimeError, code: int | None) -> None:
        """The connection broke, or the provider ended it."""


class Link:
    """Frames in and out of one connection, from `begin` until it is lost or closed.

    What arrives before `adopt` is kept: a link can stand ready while another is still in use.

    Args:
        transport: The open connection.
        codec: Made for this connection.
        profile: What the provider can do.
        config: What the connection was configured with.
        explain_close: What a close code means.
        release: Called once when the link is closed.
        on_frame: Sees what the provider sends; must neither block nor raise.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        codec: Codec,
        profile: Profile,
        config: RealtimeConfig,
        explain_close: Callable[[int | None, str], RealtimeConnectionError],
        release: Callable[[], Awaitable[None]],
        on_frame: Callable[[Frame], None] | None = None,
    ) -> None:
        self.profile = profile
        self.config = config
        self.outbox = Outbox()
        self.accepted: asyncio.Future[SessionStarted]
        """Done when the provider has accepted the configuration, or said why not."""
        self.accepted = asyncio.get_running_loop().create_future()
        self._transport = transport
        self._codec = codec
        self._explain_close = explain_close
        self._release = release
        self._on_frame = on_frame
        self._resampler = (
            Resampler(config.input_rate, profile.input_rate)
            if config.input_rate != profile.input_rate
            else None
        )
        self._owner: LinkOwner | None = None
        self._early: list[Event] = []
        self._fatal: RealtimeError | None = None
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._over: tuple[RealtimeError, int | None] | None = None
        self._closed: asyncio.Task[None] | None = None

    # -- life ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start to talk; await `accepted` with a deadline, and `close` whatever happens."""
        self._apply(self._codec.open())
        self._reader = asyncio.create_task(self._read(), name="realtime reader")
        self._writer = asyncio.create_task(self._write(), name="realtime writer")

    def adopt(self, owner: LinkOwner) -> None:
        """From now on `owner` is told; first what came before."""
        self._owner = owner
        early, self._early = self._early, []
        if early:
            owner.received(early)
        if self._over is not None:
            owner.lost(*self._over)

    async def close(self, *, drain_s: float = 0.0) -> None:
        """End the connection politely and wait until nothing of it runs. Idempotent.

        Args:
            drain_s: How long what is queued may take to be sent.
        """
        self._owner = None
        if self._closed is None:
            self._closed = asyncio.create_task(self._close(drain_s), name="realtime closing link")
        # Shielded: a closer that is cancelled must not leave the connection half closed.
        await asyncio.shield(self._closed)

    async def _close(self, drain_s: float) -> None:
        try:
            if drain_s and self._over is None and self._writer is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.outbox.drained(), drain_s)
            await self._transport.close()
            tasks = [task for task in (self._reader, self._writer) if task is not None]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
        finally:
            self.outbox.close()
            await self._release()

    # -- out ----------------------------------------------------------------------------------

    def execute(self, command: AnyCommand) -> list[Event]:
        """Send a command; never waits. What it amounts to on this side.

        Raises:
            ConfigurationError: If the provider has no such thing; nothing was sent.
        """
        events: list[Event] = []
        if self._resampler is not None:
            if isinstance(command, CommitAudio | EndAudio):
                events += self._append(self._resampler.flush())
            elif isinstance(command, ClearAudio):
                self._resampler.reset()
        frames, told = self._codec.send(command)
        for frame in frames:
            events += self._send(frame)
        events += told
        return events

    def append(self, pcm: bytes, *, may_drop: bool = True) -> Sequence[Event]:
        """Send microphone audio, mono s16le at the session's input rate, whole samples.

        Args:
            pcm: The audio.
            may_drop: Whether it loses its worth while it waits.
        """
        if self._resampler is not None:
            pcm = self._resampler.push(pcm)
        return self._append(pcm, may_drop=may_drop)

    def _append(self, pcm: bytes, *, may_drop: bool = True) -> Sequence[Event]:
        if not pcm:
            return ()
        frames, told = self._codec.send(AppendAudio(data=pcm))
        events: list[Event] | None = None
        for frame in frames[:-1]:
            events = [*(events or ()), *self._send(frame)]
        for frame in frames[-1:]:
            audio_ms = len(pcm) * 500 / self.profile.input_rate if may_drop else 0.0
            dropped = self._send(frame, audio_ms)
            if dropped:
                events = [*(events or ()), *dropped]
        return told if events is None else [*events, *told]

    def _send(self, frame: Frame, audio_ms: float = 0.0) -> Sequence[Event]:
        if self.outbox.is_idle and self._transport.send_nowait(frame):
            return ()
        dropped = self.outbox.put(frame, audio_ms)
        if self.outbox.is_clogged:
            self._give_up("the provider does not read what it is sent")
        return (AudioDropped(direction="input", duration_ms=dropped),) if dropped else ()

    async def _write(self) -> None:
        # When the connection breaks, the reader learns why; the writer just stops.
        with contextlib.suppress(TransportClosed):
            while True:
                await self._transport.send(await self.outbox.get())

    # -- in -----------------------------------------------------------------------------------

    async def _read(self) -> None:
        receive = self._transport.receive
        try:
            while True:
                frame = await (receive() if self._fatal is None else self._last_words())
                if self._on_frame is not None:
                    self._on_frame(frame)
                try:
                    output = self._codec.receive(frame)
                except ProtocolError as error:
                    output = Output((), (ErrorOccurred.of(error),))
                self._apply(output)
        except TransportClosed as closed:
            # A provider that says why before it hangs up knows better than its close code.
            reason = self._fatal or self._explain_close(closed.code, closed.reason)
            self._end(reason, closed.code)
        except Exception as error:
            logger.exception("the connection failed")
            self._end(RealtimeConnectionError(f"the connection failed: {error!r}"), None)

    async def _last_words(self) -> Frame:
        assert self._fatal is not None  # noqa: S101 - the caller looked
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                return await self._transport.receive()
        except TimeoutError:
            raise TransportClosed(None, self._fatal.message) from None

    def _apply(self, output: Output) -> None:
        frames, events = output
        for frame in frames:
            events = (*self._send(frame), *events)
        if not events:
            return
        if any(type(event) is ErrorOccurred and event.fatal for event in events):
            events = self._keep_fatal(events)
        if self._owner is not None:
            self._owner.received(events)
            return
        if len(self._early) > MOST_EARLY:
            self._give_up("the provider talks, but does not accept the session")
            return
        self._early += events
        for event in events:
            if isinstance(event, SessionStarted) and not self.accepted.done():
                self.accepted.set_result(event)

    def _keep_fatal(self, events: Sequence[Event]) -> tuple[Event, ...]:
        """Keep what ends the connection until it has ended; it may not end the conversation."""
        for event in events:
            if isinstance(event, ErrorOccurred) and event.fatal:
                self._fatal = event.to_exception()
                if not self.accepted.done():
                    self.accepted.set_exception(self._fatal)
                    self.accepted.exception()  # retrieved: nobody may be waiting any more
        return tuple(e for e in events if not (isinstance(e, ErrorOccurred) and e.fatal))

    def _give_up(self, why: str) -> None:
        self.outbox.close()
        error = RealtimeConnectionError(why, cause="provider", retryable=True)
        # Later: whoever is about to send or to be told something is not done with it yet.
        asyncio.get_running_loop().call_soon(self._end, error, None)

    def _end(self, reason: RealtimeError, code: int | None) -> None:
        if self._over is not None:
            return
        if not self.accepted.done():
            self.accepted.set_exception(reason)
            self.accepted.exception()
        self._over = (reason, code)
        if self._owner is not None:
            self._owner.lost(reason, code)
