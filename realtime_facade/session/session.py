"""The application's handle on one conversation."""

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any, Self, get_args

from pydantic import ValidationError

from ..audio.playback import Playback
from ..audio.resample import Resampler
from ..commands import (
    ClearAudio,
    CommitAudio,
    Delivery,
    EndAudio,
    RequestResponse,
    SendRaw,
    SendText,
)
from ..config import RealtimeConfig
from ..conversation import ConversationHistory
from ..errors import AudioFormatError, ConfigurationError, RealtimeError
from ..events import (
    ConfigWarning,
    ErrorOccurred,
    Event,
    SessionEnded,
    TurnEnded,
)
from ..providers.base import Provider
from .change import update_of
from .engine import Engine
from .event_bus import EventBus, Handler, Subscription
from .state import Phase

PATIENCE_S = 15.0
"""How long `wait_quiet` waits for an answer that is due but does not come."""


class Sent:
    """What `send_audio` returns: ignore it, or `await` it to be held back while audio piles up.

    `delivery` says whether the audio was "sent" or is "queued" for the next connection.
    """

    __slots__ = ("_engine", "delivery")

    def __init__(self, engine: Engine, delivery: Delivery) -> None:
        self._engine = engine
        self.delivery: Delivery = delivery

    def __await__(self) -> Generator[Any, None, Delivery]:
        yield from self._engine.room().__await__()
        return self.delivery


class EventStream(AsyncIterator[Event]):
    """All events from the moment it was made. Ends after `SessionEnded`.

    Leaving it unread keeps events in memory; `aclose()` it, or let it go out of scope.
    """

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = None if self._over else await self._subscription.mailbox.get()
        if event is None:
            raise StopAsyncIteration
        if type(event) is SessionEnded:
            await self.aclose()
        return event

    async def aclose(self) -> None:
        """Stop getting events."""
        self._over = True
        self._subscription.cancel()

    def __del__(self) -> None:
        self._subscription.cancel()


class Session:
    """A running conversation. Made by `RealtimeVoice.connect()`."""

    def __init__(
        self,
        engine: Engine,
        *,
        history: ConversationHistory,
    ) -> None:
        self._engine = engine
        self.history = history
        """The conversation so far, as it was heard."""
        # Between equal rates: it keeps half a sample for the next call.
        self._input = Resampler(engine.config.input_rate, engine.config.input_rate)
        self._sent: dict[Delivery, Sent] = {
            delivery: Sent(engine, delivery) for delivery in get_args(Delivery)
        }

    # -- what is going on ---------------------------------------------------------------------

    @property
    def session_id(self) -> str | None:
        """The provider's name for this session, where it gives one."""
        return self._engine.started.session_id

    @property
    def model(self) -> str:
        """The model that answers."""
        return self._engine.started.model or self._engine.profile.model

    @property
    def provider(self) -> str:
        """The provider's registered name."""
        return self._engine.profile.provider

    @property
    def config(self) -> RealtimeConfig:
        """The configuration in force."""
        return self._engine.config

    @property
    def input_rate(self) -> int:
        """Hz that `send_audio` expects."""
        return self._engine.config.input_rate

    @property
    def output_rate(self) -> int:
        """Hz of the audio in `AudioChunk`."""
        return self._engine.config.output_rate

    @property
    def is_active(self) -> bool:
        """Whether the session lives; its connection may just be being made again."""
        return self._engine.ended is None

    @property
    def warnings(self) -> tuple[ConfigWarning, ...]:
        """Settings that this provider cannot honour, with what happens instead."""
        return tuple(self._engine.warnings)

    @property
    def phase(self) -> Phase:
        """Whose turn it is."""
        return self._engine.conversation.phase

    @property
    def playback(self) -> Playback:
        """What was heard; report positions here when the application plays by itself."""
        return self._engine.playback

    @property
    def event_bus(self) -> EventBus:
        """Where everything that happens is published."""
        return self._engine.bus

    # -- speaking to the model ----------------------------------------------------------------

    def send_audio(self, pcm: bytes) -> Sent:
        """Queue microphone audio; never waits, so an audio callback's pace is safe.

        When more than 2 s are waiting, the oldest is dropped and `AudioDropped` is emitted: in a
        live conversation late audio is worth less than none. A source that can wait, such as a
        file, writes `await session.send_audio(chunk)` and loses nothing.

        Args:
            pcm: Mono s16le at `input_rate` Hz, in any buffer; 10-40 ms at a time is usual (20 ms
                at 24 kHz are 960 bytes). Half a sample is kept for the next call.

        Raises:
            SessionClosed: If the session is over; `__cause__` says why.
            AudioFormatError: If the buffer is visibly something else, such as stereo or float.
        """
        self._engine.check_open()
        data = self._input.push(_mono_s16le(pcm))
        return self._sent[self._engine.send_audio(data) if data else "sent"]

    async def send_text(self, text: str, *, respond: bool = True) -> Delivery:
        """Say something in writing; `respond=False` only adds it to the conversation."""
        return self._engine.execute(SendText(text=text, respond=respond))

    async def commit_audio(self) -> Delivery:
        """End the user's turn now. With `VADMode.MANUAL` this is how every turn ends."""
        self._finish_input()
        return self._engine.execute(CommitAudio())

    async def clear_audio(self) -> Delivery:
        """Take back audio that was sent but not committed.

        Raises:
            ConfigurationError: If this provider cannot forget audio.
        """
        self._input.reset()
        return self._engine.execute(ClearAudio())

    async def end_audio(self) -> Delivery:
        """Say that no more audio comes for now, so that an open turn is closed."""
        self._finish_input()
        return self._engine.execute(EndAudio())

    async def request_response(self, instructions: str | None = None) -> Delivery:
        """Ask for an answer; it is queued while another one is running."""
        return self._engine.execute(RequestResponse(instructions=instructions))

    async def interrupt(self) -> None:
        """Cut the assistant short, as if the user had spoken."""
        self._engine.interrupt()

    async def update(self, **changes: Any) -> None:
        """Change the configuration of the running session, by names of `RealtimeConfig` fields.

        Raises:
            ConfigurationError: If a field does not exist or cannot be changed here.
        """
        updatable = self._engine.profile.updatable
        if fixed := changes.keys() - updatable:
            raise ConfigurationError(
                f"cannot change {', '.join(sorted(fixed))} in a running session",
                provider=self.provider,
                advice=f"these can be changed: {', '.join(sorted(updatable))}"
                if updatable
                else "connect again with the new configuration",
            )
        try:
            after = self._engine.config.changed(**changes)
        except ValidationError as error:
            raise ConfigurationError(str(error), provider=self.provider) from error
        self._engine.execute(update_of(after, changes, self._engine.profile))

    async def switch(self, provider: str | Provider) -> None:
        """Go on with another provider, by name or as it is, at the next quiet moment.

        The history, the tools and a voice as deep go along; `ProviderSwitched` tells when.

        Raises:
            SessionClosed: If the session is over.
            RealtimeError: If it cannot be had; the conversation goes on with the old one.
        """
        await self._engine.switch(provider)

    async def send_raw(self, message: dict[str, Any]) -> Delivery:
        """Send a message in the provider's own JSON."""
        return self._engine.execute(SendRaw(data=message))

    # -- hearing from the model ---------------------------------------------------------------

    def events(self) -> EventStream:
        """All events from now on, for `async for`. Each call makes an independent stream."""
        return EventStream(self._engine.bus.open(Event))

    def __aiter__(self) -> EventStream:
        return self.events()

    def on(self, kind: type[Event] | tuple[type[Event], ...], handler: Handler) -> Subscription:
        """Call `handler(event)` for each event of a type; sync or async."""
        return self._engine.bus.subscribe(kind, handler)

    async def wait_closed(self) -> RealtimeError:
        """Wait for the end of the session; why it ended."""
        await self._engine.finished.wait()
        assert self._engine.ended is not None  # noqa: S101 - set before `finished`
        return self._engine.ended

    async def wait_quiet(self) -> None:
        """Wait until the conversation has come to rest: nothing is said, expected or heard.

        Call it after `end_audio`. Gives up on an answer that is due but does not come.
        """
        # Providers that do not report speech give no sign until they answer.
        at_rest_s = 2.0 if self._engine.profile.emits_speech_events else 8.0
        patience_s = max(PATIENCE_S, self.config.tool_timeout_s + 5)
        events = self.events()
        while self.is_active:
            limit_s = at_rest_s if self.phase is Phase.LISTENING else patience_s
            try:
                async with asyncio.timeout(max(limit_s, self.playback.pending_ms / 1000)):
                    event = await anext(events, None)
            except TimeoutError:
                unheard = self.playback.pending_ms or self._engine.is_holding
                if self.phase is Phase.LISTENING and unheard:
                    continue
                return
            if isinstance(event, TurnEnded):
                at_rest_s = 0.5

    def report(self, error: RealtimeError) -> None:
        """Tell the application of an error outside the session, such as a device's."""
        if self.is_active:
            self._engine.emit(ErrorOccurred.of(error))

    async def close(self) -> None:
        """End the conversation; what is queued is sent first, for at most a second. Idempotent."""
        await self._engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _finish_input(self) -> None:
        self._engine.check_open()
        rest = self._input.flush()
        if rest:
            self._engine.send_audio(rest)


def _mono_s16le(pcm: object) -> bytes:
    if type(pcm) is bytes:
        return pcm
    try:
        view = memoryview(pcm)  # type: ignore[arg-type]
    except TypeError:
        raise AudioFormatError(
            f"audio must be bytes, not {type(pcm).__name__}",
            advice="send mono 16-bit little-endian PCM",
        ) from None
    if view.ndim != 1:
        raise AudioFormatError(
            f"audio with {view.ndim} dimensions, mono expected",
            advice="mix stereo down to one channel first, e.g. audio.pcm.downmix",
        )
    if view.format not in ("B", "b", "c", "h", "<h"):
        raise AudioFormatError(
            f"audio samples of format {view.format!r}, 16-bit integers expected",
            advice="convert first, e.g. audio.pcm.from_float32",
        )
    return view.tobytes()
