"""A client's connection on which things can go wrong; without faults it only counts frames."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable
from typing import Any, Protocol, Self, cast

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConcurrencyError, ConnectionClosed, ConnectionClosedOK
from websockets.http11 import Request
from websockets.protocol import State

from .faults import (
    AbortFault,
    CloseFault,
    CutFault,
    DropFault,
    DuplicateFault,
    ErrorFault,
    ExpireFault,
    FaultPlan,
    HalfOpenFault,
    LatencyFault,
    MomentFault,
    OutageFault,
    OversizeFault,
    Phase,
    ReorderFault,
    ResumptionFault,
    StallFault,
)
from .record import ConnectionRecord
from .settings import SessionSettings

_UNSENDABLE = frozenset({1004, 1006, 1015})
"""Close codes that RFC 6455 §7.4.1 keeps off the wire; 1005 is a close frame without a code."""
_LONGEST_REASON = 123
"""Bytes; RFC 6455 §5.5.1 leaves no more for the reason of a close frame."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 s: closing sends RST."""

Frame = str | bytes


class Dialect(Protocol):
    """How a provider says on its wire that something is wrong."""

    def names(self, frame: Frame) -> Collection[str]:
        """What a message that it sent is about, in its own words."""
        ...

    def error(self, fault: ErrorFault) -> Frame | CloseFault:
        """An error event, or the close that it has instead."""
        ...

    def warning(self, seconds: float) -> Frame | None:
        """The announcement that a session ends in `seconds`; None where there is none."""
        ...

    def expiry(self, notice: float) -> tuple[Frame | None, CloseFault]:
        """The last message of a session at its limit, and how it is closed."""
        ...


class Line:
    """What a session speaks over: like a `ServerConnection`, and it is told how far things are.

    Use it as a context; its tasks end with that.

    Args:
        connection: Accepted; nothing was read from it.
        settings: Time, faults, and the session's number.
        dialect: The provider's words.
        wire: For the record.
        outage: Takes the server away; returns at once.
    """

    def __init__(
        self,
        connection: ServerConnection,
        settings: SessionSettings,
        dialect: Dialect,
        wire: str = "",
        outage: Callable[[OutageFault], None] | None = None,
    ) -> None:
        self.plan = FaultPlan(settings.faults, settings.number)
        self.record = ConnectionRecord(settings.number, wire, settings.clock.time())
        self._connection = connection
        self._clock = settings.clock
        self._dialect = dialect
        self._outage = outage
        self._quiet_until = 0.0
        self._deaf = False
        self._dumb = False
        self._latency: LatencyFault | None = None
        self._late: asyncio.Queue[tuple[float, Frame]] = asyncio.Queue()
        self._behind: list[tuple[int, Frame]] = []
        self._random = random.Random(settings.number)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def request(self) -> Request | None:
        """The client's handshake."""
        return self._connection.request

    async def __aenter__(self) -> Self:
        with contextlib.suppress(ConnectionClosed):
            await self._let_happen(self.plan.begin("setup"))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()  # A session that just returns is done.
        self._note_the_end()

    # -- how far the session is ---------------------------------------------------------------

    async def begin(self, phase: Phase) -> None:
        """A phase begins, after what was sent before."""
        await self._let_happen(self.plan.begin(phase))

    async def configured(self) -> None:
        """The client was told that its configuration is accepted."""
        await self._let_happen(self.plan.configure())

    async def answered(self) -> None:
        """A delta of an answer was sent."""
        await self._let_happen(self.plan.answered())

    def resumption(self) -> ResumptionFault | None:
        """Why a handle is to be refused, or None."""
        if fault := self.plan.resumption():
            self.record.faults.append(fault)
        return fault

    async def expire(self, notice: float) -> None:
        """End the session as its provider does at the limit, `notice` seconds from now."""
        if warning := self._dialect.warning(notice):
            await self.send(warning)
        await self._clock.sleep(notice)
        last, close = self._dialect.expiry(notice)
        if last is not None:
            await self.send(last)
        self._dumb = True  # Those were the last words.
        await self.close(close.code, close.reason)

    # -- what a connection does ---------------------------------------------------------------

    async def send(self, frame: Frame) -> None:
        """Send a message: text or binary.

        Raises:
            ConnectionClosed: If the connection is over.
        """
        if not self.plan.changes_messages and not self._behind:
            await self._send(frame)
        else:
            for piece in self._changed(frame):
                await self._send(piece)
        if not self.plan.over:
            await self._let_happen(self.plan.sent())

    async def recv(self) -> Frame:
        """The client's next message.

        Raises:
            ConnectionClosed: If the connection is over.
        """
        while True:
            try:
                frame = await self._connection.recv()
            except ConcurrencyError:  # `read_on` does: nothing is said any more.
                await self._connection.wait_closed()
                continue
            if self._deaf:  # It never arrived.
                continue
            self.record.frames_in += 1
            if not self.plan.over:
                await self._let_happen(self.plan.received())
            return frame

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """Messages until the connection is closed.

        Raises:
            ConnectionClosed: If it broke or was closed because of an error.
        """
        with contextlib.suppress(ConnectionClosedOK):
            while True:
                yield await self.recv()

    async def wait_closed(self) -> None:
        """Wait until the connection is over."""
        await self._connection.wait_closed()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, after frames that are still on their way; see `CloseFault` for codes."""
        if code in _UNSENDABLE:
            self.abort()
            return
        await self._late.join()
        if code == 1005:
            with contextlib.suppress(ConnectionClosed):
                async with self._connection.send_context():
                    self._connection.protocol.send_close()
        else:
            reason = reason.encode()[:_LONGEST_REASON].decode(errors="ignore")
            await asyncio.gather(self._connection.close(code, reason), self.read_on())

    async def read_on(self) -> None:
        """Read for a session that may not do it any more, until the connection is over.

        Else the client's goodbye would wait behind what nobody reads, for 2 s.
        """
        with contextlib.suppress(ConnectionClosed):
            while True:
                try:
                    await self._connection.recv()
                except ConcurrencyError:  # The session still does.
                    await asyncio.sleep(0.01)

    def abort(self, *, reset: bool = False) -> None:
        """Break the connection."""
        transport = self._connection.transport
        if reset:
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET
            )
        transport.abort()

    # -- what goes wrong ----------------------------------------------------------------------

    async def _let_happen(self, faults: Iterable[MomentFault]) -> None:
        for fault in faults:
            self.record.faults.append(fault)
            await self._fail(fault)

    async def _fail(self, fault: MomentFault) -> None:
        match fault:
            case CloseFault():
                await self.close(fault.code, fault.reason)
            case AbortFault():
                self.abort(reset=fault.reset)
            case HalfOpenFault():
                self._deaf = self._dumb = True
                # The library answers pings and closes by itself, past everything above.
                mute = _Mute(self._connection.transport)
                self._connection.transport = cast(asyncio.Transport, mute)
            case StallFault():
                self._quiet_until = self._clock.monotonic() + fault.seconds
            case LatencyFault():
                if self._latency is None:
                    self._start(self._deliver())
                self._latency = fault
            case ExpireFault():
                self._start(self.expire(fault.notice))
            case OversizeFault():
                padding = "x" * round(fault.megabytes * 2**20)
                await self._send(f'{{"type": "oversize", "padding": "{padding}"}}')
            case OutageFault():
                if self._outage is not None:
                    self._outage(fault)
            case ErrorFault():
                error = self._dialect.error(fault)
                if isinstance(error, CloseFault):
                    await self.close(error.code, error.reason)
                else:
                    await self._send(error)

    def _changed(self, frame: Frame) -> list[Frame]:
        """What is sent instead of a message, and what was to be sent behind it."""
        fault = self.plan.message(self._dialect.names(frame))
        if fault is not None:
            self.record.faults.append(fault)
        match fault:
            case ReorderFault():
                self._behind.append((fault.behind, frame))
                return []
            case DropFault():
                frames: list[Frame] = []
            case DuplicateFault():
                frames = [frame, frame]
            case CutFault():
                frames = [frame[: len(frame) // 2]]
            case _:
                frames = [frame]
        waiting = [(behind - 1, held) for behind, held in self._behind]
        self._behind = [(behind, held) for behind, held in waiting if behind > 0]
        return frames + [held for behind, held in waiting if behind <= 0]

    async def _send(self, frame: Frame) -> None:
        while (quiet := self._quiet_until - self._clock.monotonic()) > 0:
            await self._clock.sleep(quiet)
        if self._dumb:
            return
        if self._latency is not None and self._connection.state is State.OPEN:
            extra = self._random.uniform(0, self._latency.jitter_ms)
            due = self._clock.monotonic() + (self._latency.ms + extra) / 1000
            self._late.put_nowait((due, frame))
        else:
            await self._connection.send(frame)
        self.record.frames_out += 1

    async def _deliver(self) -> None:
        """Send what is late, in order."""
        try:
            while True:
                due, frame = await self._late.get()
                try:
                    await self._clock.sleep(due - self._clock.monotonic())
                    # Whoever sends next is told.
                    with contextlib.suppress(ConnectionClosed):
                        await self._connection.send(frame)
                finally:
                    self._late.task_done()
        finally:  # `close` may wait for what nobody delivers any more.
            self._latency = None
            while not self._late.empty():
                self._late.get_nowait()
                self._late.task_done()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            with contextlib.suppress(ConnectionClosed):
                await work

        task = asyncio.create_task(guarded(), name="simulated-fault")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note_the_end(self) -> None:
        record, protocol = self.record, self._connection.protocol
        record.settle()
        record.closed_at = self._clock.time()
        record.code = self._connection.close_code
        record.reason = self._connection.close_reason or ""
        if protocol.close_rcvd is not None and protocol.close_rcvd_then_sent is not False:
            record.closed_by = "client"
        elif protocol.close_sent is not None:
            record.closed_by = "simulator"


class _Mute:
    """A transport that lets nothing out; everything else about it works."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Lose it."""

    def write_eof(self) -> None:
        """Do not even say that."""

    def can_write_eof(self) -> bool:
        """As if the socket could be half-closed, since otherwise it is closed."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
