"""One conversation of an agent: microphone and loudspeaker open, until something ends it."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .audio.playback import AudioSink
from .conversation import ConversationTurn
from .devices.adapters import mono_chunks, sink_for
from .devices.base import AudioInputDevice, AudioOutputDevice
from .errors import RealtimeConnectionError, RealtimeError, SessionClosed
from .events import Event, GuardrailTripped, HandedOff, SessionEnded, Usage, UsageUpdated
from .listener import AgentListener
from .session.event_bus import EventBus
from .session.session import Session
from .voice import Connection

Reason = Literal[
    "stopped", "interrupted", "inactivity", "usage_limit", "input_ended", "disconnected"
]
_OWN_REASONS: dict[str, Reason] = {"inactivity": "inactivity", "usage_limit": "usage_limit"}
"""What a feature that hangs up calls it; other words are those of a tool that was asked to stop."""


@dataclass(frozen=True, slots=True)
class AgentResult:
    """How a conversation went."""

    turns: list[ConversationTurn]
    recording_path: Path | None
    usage: Usage
    """Of the whole conversation, as it is billed."""
    reason: Reason
    """Why it ended: `stop()` or the user's wish, Ctrl+C, nobody spoke, the usage limit, the input
    ended, the provider hung up."""
    agent_name: str = ""
    """Who spoke last: after a handoff another agent than the one that began."""
    cost: float | None = None
    """In the currency of the prices; None without them."""
    guardrail_trips: Mapping[str, int] = field(default_factory=dict)
    """How often each guardrail has objected, by its name."""
    error: RealtimeError | None = None
    """Why the provider hung up."""
    recording_error: RealtimeError | None = None
    """Why the recording is incomplete, such as a full disk."""

    @property
    def conversation_turns(self) -> list[ConversationTurn]:
        """The same as `turns`."""
        return self.turns


class AgentRun:
    """Holds a conversation from the first device that opens to the last one that closes.

    Args:
        connect: Starts the session, which plays to a sink.
        bus: The session's.
        name: The agent that speaks first.
        listener: Gets callbacks.
    """

    def __init__(
        self,
        connect: Callable[[AudioSink], Connection],
        bus: EventBus,
        *,
        name: str,
        listener: AgentListener,
    ) -> None:
        self.session: Session | None = None
        self.sink: Any = None
        """What plays; has `volume` and `muted`."""
        self._connect = connect
        self._listener = listener
        self._agent_name = name
        self._bill: UsageUpdated | None = None
        self._trips: Counter[str] = Counter()
        self._ended = SessionEnded()
        self._stop = asyncio.Event()
        self._reason: Reason = "stopped"
        bus.subscribe((GuardrailTripped, HandedOff, UsageUpdated, SessionEnded), self._note)

    def end(self, reason: Reason) -> None:
        """End the conversation soon."""
        self._reason = reason
        self._stop.set()

    async def hold(
        self,
        microphone: AudioInputDevice,
        speaker: AudioOutputDevice,
        *,
        rate: int,
        volume: float,
        muted: bool,
        recording_path: Path | None,
        recording_error: Callable[[], RealtimeError | None],
    ) -> AgentResult:
        """Talk until the end.

        Raises:
            RealtimeError: If a device cannot be opened, or the session cannot be started.
        """
        async with contextlib.AsyncExitStack() as stack:
            sink = sink_for(speaker, rate)
            stack.push_async_callback(sink.stop)
            await sink.start()
            sink.volume, sink.muted = volume, muted
            self.sink = sink
            session = await stack.enter_async_context(self._connect(sink))
            self.session = session
            speaker.on_error = microphone.on_error = session.report
            await self._listener.on_agent_session_connected()
            stack.push_async_callback(microphone.stop)
            await microphone.start()
            reason = await self._until_over(session, microphone)
        self.session = self.sink = None
        ended = await session.wait_closed()
        lost = ended if isinstance(ended, RealtimeConnectionError) else None
        if lost is not None:
            reason = "disconnected"
        return AgentResult(
            turns=session.history.turns,
            recording_path=recording_path,
            usage=self._bill.session if self._bill is not None else Usage(),
            cost=self._bill.cost if self._bill is not None else None,
            reason=reason or _OWN_REASONS.get(self._ended.reason, "stopped"),
            agent_name=self._agent_name,
            guardrail_trips=dict(self._trips),
            error=lost,
            recording_error=recording_error(),
        )

    async def _until_over(self, session: Session, microphone: AudioInputDevice) -> Reason | None:
        """Why it is over; None: the session was hung up, and says why."""
        stop = asyncio.create_task(self._stop.wait(), name="agent stop")
        hang_up = asyncio.create_task(session.wait_closed(), name="agent hang-up")
        listen = asyncio.create_task(self._listen(session, microphone), name="agent microphone")
        ends: tuple[asyncio.Task[Any], ...] = (stop, hang_up, listen)
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if stop in done:
                return self._reason
            return None if hang_up in done else "input_ended"
        finally:
            for task in ends:
                task.cancel()
            await asyncio.wait(ends)

    async def _listen(self, session: Session, microphone: AudioInputDevice) -> None:
        with contextlib.suppress(SessionClosed):
            async with contextlib.aclosing(mono_chunks(microphone, session.input_rate)) as chunks:
                async for chunk in chunks:
                    await session.send_audio(chunk)
            await session.end_audio()
            await session.wait_quiet()

    async def _note(self, event: Event) -> None:
        match event:
            case GuardrailTripped():
                self._trips[event.guardrail] += 1
            case HandedOff():
                self._agent_name = event.to_agent
            case UsageUpdated():
                self._bill = event
            case SessionEnded():
                self._ended = event


@contextlib.contextmanager
def ctrl_c(end: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl+C end the conversation instead of the program, where the platform can."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, end)
    except (NotImplementedError, RuntimeError, ValueError):
        # Windows, or not the main thread: Ctrl+C cancels the task, which cleans up as well.
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
