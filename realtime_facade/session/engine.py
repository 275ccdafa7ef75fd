"""Owns the tasks of one conversation and the order of effects; decides nothing.

One dispatch for everything that happens: state, playback, features, application. Connections come
and go below it (`connection.py`); a conversation outlives them.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from ..audio.playback import Playback
from ..commands import (
    AnyCommand,
    AppendAudio,
    CancelResponse,
    ClearAudio,
    CommitAudio,
    DeleteItem,
    Delivery,
    EndAudio,
    TruncateOutput,
    UpdateSession,
)
from ..config import RealtimeConfig
from ..conversation import ConversationHistory
from ..errors import RealtimeError, SessionClosed
from ..events import (
    AudioChunk,
    AudioDropped,
    ConfigWarning,
    ErrorOccurred,
    Event,
    InputCommitted,
    OutputCancelled,
    ResponseDone,
    SessionEnded,
    SessionExpiring,
    SessionResumable,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
)
from ..providers.base import Past, Profile, Provider
from .barge_in import CutReason, interrupt
from .carried import Carried
from .connection import ConnectionKeeper
from .event_bus import EventBus
from .flood import Flood
from .gate import SpeechGate
from .hold import NOTHING_HELD, Hold
from .observer import Observer
from .reach import Dial
from .speech import Speech
from .state import Conversation, Phase, answers_speech
from .tasks import Tasks
from .verdict import Judge
from .watchdog import Watchdog

logger = logging.getLogger("realtime_facade")


class Engine:
    """Holds a conversation over one connection after another.

    Implements `observer.Control` for features and `connection.Host` for connections.
    """

    def __init__(
        self,
        *,
        providers: Sequence[Provider],
        dial: Dial,
        config: RealtimeConfig,
        playback: Playback,
        bus: EventBus,
        observers: Sequence[Observer],
        history: ConversationHistory,
        forget: Callable[["Engine"], None] = lambda _: None,
        gate: SpeechGate | None = None,
        clean: Callable[[bytes], bytes] | None = None,
        hold: Hold | None = None,
    ) -> None:
        self._config = config
        self._playback = playback
        self.bus = bus
        self.conversation = Conversation(answers_speech=answers_speech(config))
        self.connection = ConnectionKeeper(providers, dial, self)
        self.ended: RealtimeError | None = None
        """Why the session is over; None while it lives."""
        self.finished = asyncio.Event()
        """Set when the session is over and `SessionEnded` was published."""
        self.started = SessionStarted()
        """What the newest connection began with."""
        self.warnings: list[ConfigWarning] = []
        self._observers = list(observers)
        self._listeners = [observer for observer in observers if observer.wants_audio]
        self._forget = forget
        self._clean = clean
        self._tasks = Tasks(self._work_failed)
        self.start, self.call_later = self._tasks.start, self._tasks.call_later
        self._speech = Speech(config, playback, release=bus.publish, call_later=self.call_later)
        self._flood = Flood(self._publish, self.call_later)
        self._gate = gate
        self._hold = hold
        if hold is not None:
            hold.attach(self, playback, self.call_later)
        self._judge = Judge(
            playback,
            decides_locally=gate is not None,
            cut=lambda: self._cut("speech", cancel=False),
            publish=self._publish,
            call_later=self.call_later,
        )
        self._carried = Carried(history, config.input_rate)
        self._history = history
        self._watchdog = Watchdog(
            self,
            self.conversation,
            playback,
            self._carried,
            ask=self._ask_again,
            reconnect=self.connection.renew_now,
        )
        self._profile = providers[0].profile(config)
        self._attached = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def config(self) -> RealtimeConfig:
        """The configuration in force."""
        return self._config

    @property
    def profile(self) -> Profile:
        """What the provider in use can do."""
        return self._profile

    @property
    def playback(self) -> Playback:
        """What was heard."""
        return self._playback

    @property
    def phase(self) -> Phase:
        """Whose turn it is."""
        return self.conversation.phase

    @property
    def is_holding(self) -> bool:
        """Whether sound or words are kept back until somebody has read them."""
        return self._hold is not None and bool(self._hold.held())

    async def room(self) -> None:
        """Wait until audio can be sent without piling up."""
        link = self.connection.link
        if link is None:
            if self._carried.turn.is_long:
                await self.connection.there.wait()
        elif link.outbox.waiting_ms > link.outbox.limit_ms / 2:
            await link.outbox.room()

    # -- life ---------------------------------------------------------------------------------

    async def begin(self) -> SessionStarted:
        """Connect; returns when a provider has accepted the configuration.

        The caller calls `close` whatever happens.

        Raises:
            RealtimeError: Why no provider did.
        """
        self._attached = True
        for observer in self._observers:
            observer.attach(self)
        return await self.connection.begin()

    async def close(self, reason: str = "closed by this side") -> None:
        """End the session politely and wait until nothing of it runs. Idempotent.

        From inside the session, as in a handler or a tool, it does not wait for itself.
        """
        self.hang_up(reason)
        assert self._closing is not None  # noqa: S101 - `hang_up` made it
        caller = asyncio.current_task()
        if caller not in self._tasks and not self.bus.owns(caller):
            # Shielded: a closer that is cancelled must not leave the session half closed.
            await asyncio.shield(self._closing)

    async def _close(self, reason: str) -> None:
        await self.connection.close(drain_s=1.0)
        self._end(SessionEnded(requested=True, reason=reason), None)
        await self._tasks.ended()
        if self._attached:
            for observer in self._observers:
                try:
                    await observer.finish()
                except Exception:
                    # The others have to be finished, and the connection's resources released.
                    logger.exception("%s could not finish", type(observer).__name__)
        await self.bus.close()
        self._forget(self)

    def _end(self, event: SessionEnded, error: RealtimeError | None) -> None:
        if self.ended is not None:
            return
        self.ended = error or SessionClosed("the session was closed by this side")
        self._tasks.cancel()
        self._publish(event)
        self.finished.set()

    # -- commands -----------------------------------------------------------------------------

    def execute(self, command: AnyCommand) -> Delivery:
        """Send a command, or keep it for the next connection; never waits.

        Raises:
            SessionClosed: If the session is over.
            ConfigurationError: If the provider has no such thing.
        """
        self.check_open()
        link = self.connection.link
        events: Sequence[Event] = ()
        delivery: Delivery = "sent"
        if link is not None:
            events = link.execute(command)
        elif isinstance(command, CancelResponse | TruncateOutput | DeleteItem):
            delivery = "dropped"  # what it is about went with the connection
        elif not isinstance(command, UpdateSession | ClearAudio | CommitAudio | EndAudio):
            delivery = self._carried.waiting.add(command, self._carried.turn.end)
        else:
            delivery = "queued"  # the next connection begins with it
        if delivery == "dropped":
            return delivery
        if isinstance(command, CommitAudio | EndAudio):
            self._carried.turn.close(command)
        if isinstance(command, ClearAudio):
            self._carried.turn.forget()
        if isinstance(command, UpdateSession):
            self._config = command.config
            self.conversation.answers_speech = answers_speech(command.config)
        self.conversation.on_command(command)
        self._tell(self._observers, command)
        for event in events:
            self.emit(event)
        self._watchdog.consider()
        return delivery

    def send_audio(self, pcm: bytes) -> Delivery:
        """Queue audio at the session's input rate; never waits, drops the oldest when too late.

        The session must be open.
        """
        if self._clean is not None:
            pcm = self._clean(pcm)
        if self._gate is not None:
            pcm = self._judge.microphone(self._gate, pcm)
        if not pcm:
            return "sent"
        if self._listeners:
            self._tell(self._listeners, AppendAudio(data=pcm))
        link = self.connection.link
        dropped = self._carried.turn.add(pcm, is_heard=link is not None)
        if link is None:
            if dropped:
                ms = dropped * 500 / self._config.input_rate
                self.emit(AudioDropped(direction="input", duration_ms=ms))
            return "queued"
        for event in link.append(pcm):
            self.emit(event)
        self._watchdog.sent(len(pcm))
        return "sent"

    def interrupt(self, reason: CutReason = "request") -> bool:
        """Fall silent now and stop generating; whether there was anything to stop."""
        stopped = self._cut(reason, cancel=True)
        if self.connection.link is None and self.conversation.give_up_rest():
            self._carried.give_up_rest()
            self._publish(TurnEnded())
            stopped = True
        return stopped

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
        if type(event) is ErrorOccurred and not event.fatal and not self._flood.passes():
            return
        if type(event) is AudioChunk:
            if not conversation.is_stale(event.response_id):
                if not conversation.replied:
                    self._replied()
                self._sound(event)
            return
        if type(event) is TranscriptDelta and conversation.is_stale(event.response_id):
            return
        conversation.on_event(event)
        match event:
            case TranscriptDelta(speaker="assistant") | ToolCallRequest():
                if not conversation.replied:
                    self._replied()
            case SpeechStarted():
                self._carried.turn.speech_started(event.audio_ms)
                if self._config.interrupt_response:
                    self._judge.speech_started(self._config.interruption_verdict_ms)
            case SpeechStopped():
                self._judge.speech_stopped()
            case InputCommitted() if not conversation.answers_speech:
                if not self._carried.turn.is_committed:
                    self._carried.turn.answered()  # nobody may ever ask for an answer to it
            case ResponseDone(status="completed"):
                self.connection.works()
                pace = self._carried.pace
                pace.learn(conversation.transcripts.get(pace.item_id, ""))
            case OutputCancelled():
                self._cut(event.reason, cancel=False)
            case SessionResumable():
                self._carried.resumable(event, self.profile)
            case SessionExpiring() if self._config.reconnect:
                self.connection.renew("the provider will end it", within_s=event.time_left_s)
            case ConfigWarning():
                if event in self.warnings:
                    return  # a new connection repeats what the first one said
                self.warnings.append(event)
                logger.warning("%s: %s", event.setting, event.message)
        self._publish(event)
        self._watchdog.on_event(event)
        self.connection.consider()

    def renew(self, config: RealtimeConfig, reason: str) -> None:
        """Go on over a new connection with this configuration and the whole conversation.

        What is sent meanwhile waits for it.
        """
        self.check_open()
        changed = {
            n for n in type(config).model_fields if getattr(config, n) != getattr(self._config, n)
        }
        self._config = config
        self.conversation.answers_speech = answers_speech(config)
        # Features follow the configuration by this command, however it comes to the provider.
        self._tell(self._observers, UpdateSession(config=config, changed=frozenset(changed)))
        self.connection.renew_now(reason)

    def hang_up(self, reason: str) -> None:
        """End the session soon, as if the application had closed it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(reason), name="realtime closing")

    async def switch(self, provider: str | Provider) -> None:
        """Go on with another provider at the next quiet moment.

        Raises:
            SessionClosed: If the session is over.
            RealtimeError: If it cannot be had; the conversation goes on with the old one.
        """
        self.check_open()
        await self.connection.switch(provider, "the application asked for it")

    # -- for connections ----------------------------------------------------------------------

    def received(self, events: Sequence[Event]) -> None:
        """The provider said something."""
        self._watchdog.heard()
        for event in events:
            if type(event) is SessionStarted:
                self.started = event
                if self.connection.connections > 1:
                    continue  # the conversation has not begun again
            self.emit(event)

    def lost(self, error: RealtimeError, code: int | None) -> None:
        """The connection broke, or the provider ended it."""
        if self._closing is None:
            self.connection.lost(error, code)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody would notice a change of the connection."""
        return self.conversation.is_quiet and not self._history.awaits_words

    @property
    def unheard_s(self) -> float:
        """How much of what was said is still to be heard."""
        return self._playback.pending_ms / 1_000

    @property
    def is_restored(self) -> bool:
        """Whether the newest connection was told everything."""
        return self._carried.told_everything

    @property
    def position(self) -> int:
        """Grows with the conversation."""
        return self._history.position

    def past(self, profile: Profile) -> Past:
        """What a new connection has to know."""
        return self._carried.past(profile)

    def forget_handle(self) -> None:
        """The provider does not remember the conversation."""
        self._carried.forget_handle()

    def joined(self, profile: Profile) -> None:
        """A connection is about to be used."""
        self._profile = profile

    def left(self) -> None:
        """There is no connection: end what it was in the middle of, as far as it came."""
        conversation, pace = self.conversation, self._carried.pace
        response_id = conversation.active_response
        stale = response_id is not None and conversation.is_stale(response_id)
        said = {
            item: pace.said(item, conversation.transcripts.get(item, ""))
            for item in sorted(conversation.unfinished)
        }
        half_heard = sorted(conversation.half_heard)
        busy = not conversation.is_quiet
        owed = self._carried.left(conversation, self._playback.audible, has_said=any(said.values()))
        for item in half_heard if owed in (None, "audio") else ():
            # It is heard again, from its beginning.
            self._publish(
                TranscriptDelta(text="", is_final=True, full_text="", speaker="user", item_id=item)
            )
        if response_id is not None:
            if not stale:
                self._end_answer(response_id, said)
            self._publish(
                ResponseDone(
                    response_id=response_id,
                    status="cancelled" if stale else "incomplete",
                    reason="the connection was lost",
                )
            )
        if busy and conversation.is_quiet:
            self._publish(TurnEnded(response_id=response_id or ""))

    def arrived(self, *, overlapped: bool) -> None:
        """There is a connection again: say what it has to hear."""
        link = self.connection.link
        assert link is not None  # noqa: S101 - it has just come
        if overlapped:
            events = list(self._carried.overlapped(self._playback.audible, link))
        else:
            events = self._carried.replay(link)
        for event in events:
            self.emit(event)

    def give_up(self, error: RealtimeError, code: int | None) -> None:
        """There will be no connection any more."""
        self.emit(ErrorOccurred.of(error, fatal=True))
        self._end(
            SessionEnded(
                code=code,
                reason=error.message,
                cause=error.cause,
                retryable=error.retryable,
                advice=error.advice,
            ),
            error,
        )
        self.hang_up(error.message)

    # -- inside -------------------------------------------------------------------------------

    def _end_answer(self, response_id: str, said: dict[str, str]) -> None:
        """Nothing more comes of an answer; `said` are the words of its unfinished items."""
        pace = self._carried.pace
        if not pace.is_final:
            self._sound(AudioChunk(data=b"", is_final=True, item_id=pace.item_id))
        for item, text in said.items():
            self._publish(
                TranscriptDelta(
                    text="", is_final=True, full_text=text, item_id=item, response_id=response_id
                )
            )
        if said and not any(said.values()) and set(self._playback.audible) <= said.keys():
            # It comes again from its beginning, so nobody has to hear what came of it.
            self._playback.cut()
            self._forget_unheard()

    def _ask_again(self, command: AnyCommand) -> None:
        """Send what is in the history already."""
        link = self.connection.link
        if link is not None:
            for event in link.execute(command):
                self.emit(event)

    def _replied(self) -> None:
        self.conversation.reply()
        self._carried.replied()

    def _publish(self, event: Event) -> None:
        self._tell(self._observers, event)
        if type(event) is not TranscriptDelta:
            self.bus.publish(event)
        elif self._hold is not None:
            self._hold.words(event)
        else:
            self.let_words(event)

    def let_words(self, delta: TranscriptDelta) -> None:
        """Words may be told to the application."""
        if not self._speech.caption(delta):
            self.bus.publish(delta)

    def _sound(self, event: AudioChunk) -> None:
        self._carried.pace.sound(event)
        if self._hold is not None:
            self._hold.sound(event)
        else:
            self.let_sound(event)

    def let_sound(self, chunk: AudioChunk) -> None:
        """A chunk may be heard."""
        if chunk.data and self._playback.is_full:
            self.bus.publish(AudioDropped(direction="output", duration_ms=chunk.duration_ms))
            return
        try:
            heard = self._speech.sound(chunk)
        except Exception as error:  # noqa: BLE001 - reported; who plays by a handler goes on
            self._failed("the sink", error)
            heard = chunk
        if heard is not None:
            self._tell(self._listeners, heard)
            self.bus.publish(heard)

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

    def _cut(self, reason: CutReason, *, cancel: bool) -> bool:
        cut = interrupt(
            self._playback,
            self.conversation,
            self.profile,
            reason=reason,
            cancel=cancel,
            held=NOTHING_HELD if self._hold is None else self._hold.held(),
            written=self._config.modalities == ("text",),
            said=self._carried.pace.said,
        )
        self._judge.decided()
        if cut is None:
            return False
        commands, events = cut
        self._forget_unheard()
        for command in commands:
            if not self._carried.is_foreign(command):
                self.execute(command)
        for event in events:
            self._tell(self._observers, event)
            self.bus.publish(event)
        return True

    def _forget_unheard(self) -> None:
        self._speech.cut()
        if self._hold is not None:
            self._hold.cut()
        self.bus.drop_audio()

    def _work_failed(self, name: str, error: BaseException) -> None:
        # Work that comes to its end just after the session did has nobody left to tell.
        if isinstance(error, SessionClosed):
            return
        logger.error("%s failed", name, exc_info=error)
        self._publish(
            ErrorOccurred(message=f"{name} failed: {error!r}", code="internal", cause="application")
        )
