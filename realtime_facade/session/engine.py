"""Owns the tasks of one connection and the order of effects; decides nothing.

One reader, one writer, one dispatch: state, playback, features, application.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal

from ..audio.playback import Playback
from ..commands import AnyCommand, AppendAudio, UpdateSession
from ..config import RealtimeConfig
from ..errors import ProtocolError, RealtimeConnectionError, RealtimeError, SessionClosed
from ..events import (
    AudioChunk,
    AudioDropped,
    ConfigWarning,
    ErrorOccurred,
    Event,
    OutputCancelled,
    SessionEnded,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
    TranscriptDelta,
)
from ..providers.base import Codec, Frame, Output, Profile
from ..transport.base import Transport, TransportClosed
from .barge_in import interrupt
from .event_bus import EventBus
from .gate import SpeechGate
from .observer import Observer
from .outbox import Outbox
from .speech import Speech
from .state import Conversation, Phase, answers_speech
from .verdict import Judge

logger = logging.getLogger("realtime_facade")


class Engine:
    """Runs a codec over a transport. Implements `observer.Control`."""

    def __init__(
        self,
        *,
        transport: Transport,
        codec: Codec,
        profile: Profile,
        config: RealtimeConfig,
        playback: Playback,
        bus: EventBus,
        observers: Sequence[Observer],
        explain_close: Callable[[int | None, str], RealtimeConnectionError],
        release: Callable[[], Awaitable[None]],
        on_frame: Callable[[Frame], None] | None = None,
        gate: SpeechGate | None = None,
        clean: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._profile = profile
        self._config = config
        self._playback = playback
        self.bus = bus
        self.outbox = Outbox()
        self.conversation = Conversation(answers_speech=answers_speech(config))
        self.ended: RealtimeError | None = None
        """Why the session is over; None while it lives."""
        self.finished = asyncio.Event()
        """Set when the connection is over and `SessionEnded` was published."""
        self.warnings: list[ConfigWarning] = []
        self._transport = transport
        self._codec = codec
        self._observers = list(observers)
        self._listeners = [observer for observer in observers if observer.wants_audio]
        self._explain_close = explain_close
        self._release = release
        self._clean = clean
        self._on_frame = on_frame
        self._started: asyncio.Future[SessionStarted] = asyncio.get_running_loop().create_future()
        self._children: set[asyncio.Task[Any]] = set()
        self._speech = Speech(config, playback, release=bus.publish, call_later=self.call_later)
        self._gate = gate
        self._judge = Judge(
            playback,
            decides_locally=gate is not None,
            cut=lambda: self._cut("speech", cancel=False),
            publish=self._publish,
            call_later=self.call_later,
        )
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._fatal: RealtimeError | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def config(self) -> RealtimeConfig:
        """The configuration in force."""
        return self._config

    @property
    def profile(self) -> Profile:
        """What the provider can do."""
        return self._profile

    @property
    def playback(self) -> Playback:
        """What was heard."""
        return self._playback

    @property
    def phase(self) -> Phase:
        """Whose turn it is."""
        return self.conversation.phase

    # -- life ---------------------------------------------------------------------------------

    async def begin(self) -> SessionStarted:
        """Begin to talk; returns when the provider has accepted the configuration.

        The caller holds the deadline, and calls `close` whatever happens.

        Raises:
            RealtimeError: Why the provider did not accept.
        """
        for observer in self._observers:
            observer.attach(self)
        self._apply(self._codec.open())
        self._reader = asyncio.create_task(self._read(), name="realtime reader")
        self._writer = asyncio.create_task(self._write(), name="realtime writer")
        return await self._started

    async def close(self, reason: str = "closed by this side") -> None:
        """End the session politely and wait until nothing of it runs. Idempotent.

        From inside the session, as in a handler or a tool, it does not wait for itself.
        """
        self.hang_up(reason)
        assert self._closing is not None  # noqa: S101 - `hang_up` made it
        caller = asyncio.current_task()
        if caller not in self._children and not self.bus.owns(caller):
            # Shielded: a closer that is cancelled must not leave the session half closed.
            await asyncio.shield(self._closing)

    async def _close(self, reason: str) -> None:
        if self.ended is None and self._writer is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.outbox.drained(), 1.0)
        await self._transport.close()
        self._end(SessionEnded(requested=True, reason=reason), None)
        await self._stop_tasks()
        if self._reader is not None:
            for observer in self._observers:
                try:
                    await observer.finish()
                except Exception:
                    # The others have to be finished, and the connection's resources released.
                    logger.exception("%s could not finish", type(observer).__name__)
        await self.bus.close()
        await self._release()

    async def _stop_tasks(self) -> None:
        tasks = {t for t in (self._reader, self._writer, *self._children) if t is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _end(self, event: SessionEnded, error: RealtimeError | None) -> None:
        if self.ended is not None:
            return
        self.ended = error or SessionClosed("the session was closed by this side")
        self.outbox.close()
        for child in self._children:
            child.cancel()
        if not self._started.done():
            self._started.set_exception(self.ended)
            self._started.exception()  # retrieved here too: nobody may be waiting any more
        self._publish(event)
        self.finished.set()

    # -- commands -----------------------------------------------------------------------------

    def execute(self, command: AnyCommand) -> None:
        """Send a command; never waits.

        Raises:
            SessionClosed: If the session is over.
            ConfigurationError: If the provider has no such thing.
        """
        self.check_open()
        output = self._codec.send(command)
        if isinstance(command, UpdateSession):
            self._config = command.config
            self.conversation.answers_speech = answers_speech(command.config)
        self.conversation.on_command(command)
        self._tell(self._observers, command)
        self._apply(output)

    def send_audio(self, pcm: bytes) -> None:
        """Queue audio at the profile's input rate; never waits, drops the oldest when too late.

        The session must be open.
        """
        if self._clean is not None:
            pcm = self._clean(pcm)
        if self._gate is not None:
            pcm = self._judge.microphone(self._gate, pcm)
        if not pcm:
            return
        command = AppendAudio(data=pcm)
        frames, events = self._codec.send(command)
        self._tell(self._listeners, command)
        for frame in frames[:-1]:
            self._send(frame)
        for frame in frames[-1:]:
            self._send(frame, len(pcm) * 500 / self._profile.input_rate)
        for event in events:
            self.emit(event)

    def interrupt(self) -> None:
        """Fall silent now and stop generating; does nothing when nothing is being said."""
        self._cut("request", cancel=True)

    def check_open(self) -> None:
        """Nothing, while the session lives.

        Raises:
            SessionClosed: If the session is over; `__cause__` says why.
        """
        if self.ended is not None:
            raise SessionClosed("the session is over", advice="connect again") from self.ended

    # -- for features -------------------------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Dispatch an event; provider's and our own take the same way."""
        conversation = self.conversation
        if type(event) is AudioChunk:
            if not conversation.is_stale(event.response_id):
                self._sound(event)
            return
        if type(event) is TranscriptDelta and conversation.is_stale(event.response_id):
            return
        conversation.on_event(event)
        match event:
            case SpeechStarted() if self._config.interrupt_response:
                self._judge.speech_started(self._config.interruption_verdict_ms)
            case SpeechStopped():
                self._judge.speech_stopped()
            case OutputCancelled():
                self._cut(event.reason, cancel=False)
            case SessionStarted() if not self._started.done():
                self._started.set_result(event)
            case ErrorOccurred(fatal=True):
                self._fatal = event.to_exception()
                if not self._started.done():
                    self._started.set_exception(self._fatal)
            case ConfigWarning():
                self.warnings.append(event)
                logger.warning("%s: %s", event.setting, event.message)
        self._publish(event)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` no longer than the session."""
        task = asyncio.create_task(work, name=name)
        self._children.add(task)
        task.add_done_callback(self._child_done)
        return task

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.Task[None]:
        """Call back after a delay, unless the session ends before."""

        async def wait() -> None:
            await asyncio.sleep(delay_s)
            callback()

        return self.start(wait(), "timer")

    def hang_up(self, reason: str) -> None:
        """End the session soon, as if the application had closed it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(reason), name="realtime closing")

    # -- inside -------------------------------------------------------------------------------

    def _publish(self, event: Event) -> None:
        self._tell(self._observers, event)
        if type(event) is TranscriptDelta and self._speech.caption(event):
            return
        self.bus.publish(event)

    def _sound(self, event: AudioChunk) -> None:
        try:
            chunk = self._speech.sound(event)
        except Exception as error:  # noqa: BLE001 - reported; who plays by a handler goes on
            self._failed("the sink", error)
            chunk = event
        if chunk is not None:
            self._tell(self._listeners, chunk)
            self.bus.publish(chunk)

    def _tell(self, observers: Sequence[Observer], what: Event | AnyCommand) -> None:
        for observer in observers:
            try:
                if isinstance(what, Event):
                    observer.on_event(what)
                else:
                    observer.on_command(what)
            except Exception as error:  # noqa: BLE001 - reported; the others go on
                self._failed(type(observer).__name__, error)

    def _failed(self, what: str, error: Exception) -> None:
        """Report a fault in code that is not ours; the conversation goes on."""
        logger.exception("%s failed", what)
        # Past the observers, so that one that fails on errors does not feed itself.
        self.bus.publish(
            ErrorOccurred(message=f"{what} failed: {error!r}", code="failed", cause="application")
        )

    def _apply(self, output: Output) -> None:
        for frame in output.frames:
            self._send(frame)
        for event in output.events:
            self.emit(event)

    def _send(self, frame: Frame, audio_ms: float = 0.0) -> None:
        if self.outbox.is_idle and self._transport.send_nowait(frame):
            return
        dropped = self.outbox.put(frame, audio_ms)
        if dropped:
            self.emit(AudioDropped(direction="input", duration_ms=dropped))

    def _cut(self, reason: Literal["speech", "request"], *, cancel: bool) -> None:
        cut = interrupt(
            self._playback, self.conversation, self._profile, reason=reason, cancel=cancel
        )
        self._judge.decided()
        if cut is None:
            return
        commands, events = cut
        self._speech.cut()
        self.bus.drop_audio()
        for command in commands:
            self.execute(command)
        for event in events:
            self._tell(self._observers, event)
            self.bus.publish(event)

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._transport.receive()
                if self._on_frame is not None:
                    self._on_frame(frame)
                try:
                    output = self._codec.receive(frame)
                except ProtocolError as error:
                    self.emit(ErrorOccurred.of(error))
                else:
                    self._apply(output)
        except TransportClosed as closed:
            if self._closing is None:
                self._lost(self._explain_close(closed.code, closed.reason), closed)
        except Exception as error:
            logger.exception("the session failed")
            self._lost(RealtimeConnectionError(f"the session failed: {error!r}"), None)

    def _lost(self, error: RealtimeConnectionError, closed: TransportClosed | None) -> None:
        # A provider that says why before it hangs up knows better than its close code.
        if self._fatal is None:
            self.emit(ErrorOccurred.of(error, fatal=True))
        reason = self._fatal or error
        self._end(
            SessionEnded(
                code=closed.code if closed else None,
                reason=(closed.reason if closed else "") or reason.message,
                cause=reason.cause,
                retryable=reason.retryable,
                advice=reason.advice,
            ),
            reason,
        )
        self.hang_up(reason.message)

    async def _write(self) -> None:
        # When the connection breaks, the reader learns why; the writer just stops.
        with contextlib.suppress(TransportClosed):
            while True:
                await self._transport.send(await self.outbox.get())

    def _child_done(self, task: asyncio.Task[None]) -> None:
        self._children.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        # Work that comes to its end just after the session did has nobody left to tell.
        if error is not None and not isinstance(error, SessionClosed):
            logger.error("%s failed", task.get_name(), exc_info=error)
            self._publish(
                ErrorOccurred(
                    message=f"{task.get_name()} failed: {error!r}",
                    code="internal",
                    cause="application",
                )
            )
