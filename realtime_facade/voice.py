"""The facade: one object that talks with whichever model is configured."""

import asyncio
import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Sequence,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic_core import from_json

from .audio.playback import AudioSink, Playback
from .audio.vad import Vad
from .config import RealtimeConfig, VADMode
from .dialing import Dialer
from .errors import ConfigurationError, RealtimeConnectionError, SessionClosed
from .events import (
    AudioChunk,
    ErrorOccurred,
    Event,
    Interrupted,
    RawEvent,
    TranscriptDelta,
)
from .features.farewell import Farewell
from .features.guardrails import Guardrails
from .features.history import History
from .features.tool_calls import ToolCalls
from .features.usage import UsageLimit, UsageMeter
from .guardrails import Guardrail
from .handlers import adapt, assistant_text, wants
from .prices import PriceList
from .providers.base import Frame, Provider
from .providers.registry import (
    available_providers,
    choose_provider,
    configured_providers,
    provider_class,
    provider_named,
    register,
)
from .session.engine import Engine
from .session.event_bus import EventBus, Handler, Subscription
from .session.gate import SpeechGate
from .session.observer import Observer
from .session.session import EventStream, Session
from .tools.context import ToolContext
from .tools.registry import Tools

if TYPE_CHECKING:
    from .features.cassette import CassetteRecorder
    from .features.echo import EchoControl

H = TypeVar("H", bound=Callable[..., Any])


class Connection:
    """What `connect()` returns: `async with` it, or `await` it and close the session yourself."""

    def __init__(self, open_session: Callable[[], Awaitable[Session]]) -> None:
        self._open = open_session
        self._session: Session | None = None

    def __await__(self) -> Generator[Any, None, Session]:
        return self._open().__await__()

    async def __aenter__(self) -> Session:
        self._session = await self._open()
        return self._session

    async def __aexit__(self, *exc_info: object) -> None:
        if self._session is not None:
            await self._session.close()


class RealtimeVoice:
    """Talks with a speech-to-speech model.

    Args:
        provider: A registered name, a `Provider`, or None to let the environment decide:
            `REALTIME_VOICE_PROVIDER`, else whichever of `OPENAI_API_KEY`, `GEMINI_API_KEY`,
            `GOOGLE_API_KEY` is set, in this order. Of several, the later ones take over when the
            earlier ones cannot be had or cannot go on.
        config: What the conversation should be like.
        api_key: Instead of the environment's.
        base_url: Of a compatible server, instead of the provider's own.
        sink: Where assistant speech goes besides `on_audio`; its position tells what was heard.
        vad: Makes a detector for the microphone. With it the provider hears nothing, while the
            assistant is audible, that has not lasted for `config.interruption_verdict_ms`: a
            cough does not reach it.
        echo_cancellation: Take the assistant's voice out of the microphone (extra `aec`).
        usage_limit: How much a conversation may use before it ends politely.
        prices: What tokens cost, for `UsageUpdated`: by model, or "published" (extra `prices`).
        record_to: A cassette (`.jsonl`) for every frame of the next conversation, without keys;
            later ones are numbered: `talk.jsonl`, `talk-2.jsonl`.
        record_audio: False records silence instead of what was said.
        context: Of the application: tools get it for a parameter `Inject[itsType]`.
        guardrails: Made by `output_guardrail` and `input_guardrail`: they read what is said and
            can stop it.
        features: Makers of further observers, called once per conversation.

    Raises:
        ConfigurationError: If no provider can be chosen, or a cost is limited without prices.

    One object may hold several conversations at once; they share handlers and nothing else.
    """

    _fixed_provider: ClassVar[str | None] = None

    def __init__(
        self,
        provider: str | Provider | Sequence[str | Provider] | None = None,
        config: RealtimeConfig | None = None,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        sink: AudioSink | None = None,
        vad: Callable[[], Vad] | None = None,
        echo_cancellation: bool = False,
        usage_limit: UsageLimit | None = None,
        prices: PriceList | None = None,
        record_to: str | Path | None = None,
        record_audio: bool = True,
        context: object = None,
        guardrails: Sequence[Guardrail] = (),
        features: Sequence[Callable[[], Observer]] = (),
    ) -> None:
        wanted = (
            [provider] if provider is None or isinstance(provider, str | Provider) else provider
        )
        if not wanted:
            raise ConfigurationError("no provider is named", advice="name one, or leave it out")
        first = wanted[0] or self._fixed_provider or choose_provider()
        self.provider = provider_named(first).with_key(api_key, base_url)
        self._fallbacks = [provider_named(other) for other in wanted[1:] if other is not None]
        self.config = config or RealtimeConfig()
        self.sink = sink
        """Used by conversations started afterwards."""
        self._vad = vad
        self._echo_cancellation = echo_cancellation
        UsageMeter(usage_limit, prices)  # for its errors: they should not show later
        self._usage_limit = usage_limit
        self._prices: PriceList | None = prices
        self._record_to = Path(record_to) if record_to is not None else None
        self._record_audio = record_audio
        self._recorded = 0
        self.resources: list[object] = [] if context is None else [context]
        """What tools can have injected, besides what a session brings."""
        self.owner: object = self
        """What guardrails get as `agent`."""
        self._context = context
        self._guardrails = tuple(guardrails)
        self.guardrails_of_agents: dict[str, Sequence[Guardrail]] = {}
        """Those of each agent that can come to speak; the first one speaks first."""
        self._features = tuple(features)
        self._handlers: list[tuple[tuple[type[Event], ...], Handler]] = []
        self._wire_handlers: list[tuple[str, Handler]] = []
        self._tool_handler: Handler | None = None
        self._engines: set[Engine] = set()

    # -- providers ----------------------------------------------------------------------------

    @property
    def provider_name(self) -> str:
        """The registered name of the provider in use."""
        return self.provider.name

    @staticmethod
    def available_providers() -> list[str]:
        """All registered providers."""
        return available_providers()

    @staticmethod
    def configured_providers() -> list[str]:
        """Those whose key the environment holds."""
        return configured_providers()

    @staticmethod
    def register_provider(name: str, provider: type[Provider]) -> None:
        """Make a provider known for this process."""
        register(name, provider)

    @classmethod
    def is_configured(cls) -> bool:
        """Whether a conversation could start: some key is there."""
        if cls._fixed_provider:
            return provider_class(cls._fixed_provider).is_configured()
        return bool(configured_providers())

    @classmethod
    def list_models(cls, provider: str | None = None) -> list[str]:
        """Models that this release knows of; others are passed on untouched."""
        return cls._class(provider).list_models()

    @classmethod
    def list_voices(cls, provider: str | None = None) -> list[str]:
        """Voices that this release knows of."""
        return cls._class(provider).list_voices()

    @classmethod
    def get_default_model(cls, provider: str | None = None) -> str:
        """The model used when the configuration names none."""
        return cls._class(provider).default_model

    @classmethod
    def _class(cls, provider: str | None) -> type[Provider]:
        return provider_class(provider or cls._fixed_provider or choose_provider())

    # -- handlers -----------------------------------------------------------------------------

    def on(self, *kinds: type[Event]) -> Callable[[H], H]:
        """Decorator: call the function with each event of these types.

        Handlers may be sync or async. Each has its own queue: a slow one delays only itself. They
        apply to conversations started afterwards.
        """

        def register_handler(handler: H) -> H:
            self._handlers.append((kinds or (Event,), handler))
            return handler

        return register_handler

    def on_audio(self, handler: H) -> H:
        """Assistant speech: `handler(audio: bytes)`, or `AudioChunk` if so annotated.

        Bytes are mono s16le at `config.output_rate`.
        """
        if wants(handler, AudioChunk):
            return self.on(AudioChunk)(handler)
        self.on(AudioChunk)(adapt(handler, lambda e: (e.data,) if e.data else None))
        return handler

    def on_transcript(self, handler: H) -> H:
        """Words: `handler(text, is_final)` for the assistant's, with the full text when final.

        `handler(delta: TranscriptDelta)`, if so annotated, gets both speakers.
        """
        if wants(handler, TranscriptDelta):
            return self.on(TranscriptDelta)(handler)
        self.on(TranscriptDelta)(adapt(handler, assistant_text))
        return handler

    def on_tool_call(self, handler: H) -> H:
        """Tool calls: what `handler(request: ToolCallRequest)` returns is the result.

        When it returns None, the function of that name in `config.tools` runs as usual.
        """
        self._tool_handler = handler
        return handler

    def on_error(self, handler: H) -> H:
        """Errors: `handler(error: RealtimeError)`, or `ErrorOccurred` if so annotated."""
        if wants(handler, ErrorOccurred):
            return self.on(ErrorOccurred)(handler)
        self.on(ErrorOccurred)(adapt(handler, lambda e: (e.to_exception(),)))
        return handler

    def on_interrupted(self, handler: H) -> H:
        """The user cut in: `handler()`, or `handler(event: Interrupted)`."""
        if inspect.signature(handler).parameters:
            return self.on(Interrupted)(handler)
        self.on(Interrupted)(adapt(handler, lambda e: ()))
        return handler

    def on_wire(self, name: str) -> Callable[[H], H]:
        """Decorator: the provider's own JSON, as a dict, for messages of this name.

        The name is the message's `type`, or one of its keys where messages have no type.
        """

        def register_handler(handler: H) -> H:
            self._wire_handlers.append((name, adapt(handler, lambda e: (e.data,))))
            return handler

        return register_handler

    # -- conversations ------------------------------------------------------------------------

    def connect(self, event_bus: EventBus | None = None) -> Connection:
        """Start a conversation: `async with voice.connect() as session:`, or `await` it.

        Args:
            event_bus: For this conversation, where it has subscribers already.

        Raises:
            ConfigurationError: Before dialling, if the provider cannot do what is asked for.
            RealtimeConnectionError: If it cannot be reached, or does not accept the session.
        """
        return Connection(lambda: self._open(event_bus or EventBus()))

    async def disconnect(self) -> None:
        """Close every conversation that this object has open."""
        for engine in list(self._engines):
            await engine.close()

    async def run(self, audio: AsyncIterable[bytes] | None = None) -> AsyncGenerator[Event, None]:
        """Hold a conversation: send `audio`, yield events as they come.

        When `audio` ends, the open turn is closed, its answer is awaited, and the conversation
        ends. Without `audio` it goes on until the loop is left or the provider hangs up.

        Raises:
            ConfigurationError: As `connect` does.
            RealtimeConnectionError: As `connect` does, and when the connection breaks.
        """
        bus = EventBus()
        stream = EventStream(bus.open(Event))
        session = await self._open(bus)
        feeder = (
            asyncio.create_task(self._feed(session, audio), name="realtime feeder")
            if audio is not None
            else None
        )
        try:
            async for event in stream:
                yield event
            if feeder is not None:
                await feeder
            ended = await session.wait_closed()
            if isinstance(ended, RealtimeConnectionError):
                raise ended
        finally:
            if feeder is not None and not feeder.done():
                feeder.cancel()
                await asyncio.wait([feeder])
            await session.close()

    async def _feed(self, session: Session, audio: AsyncIterable[bytes]) -> None:
        try:
            async for chunk in audio:
                await session.send_audio(chunk)
            if session.config.vad_mode is VADMode.SERVER:
                await session.end_audio()
            else:
                await session.commit_audio()
            await session.wait_quiet()
        except SessionClosed:
            pass  # the stream of events says why it ended
        finally:
            if inspect.isasyncgen(audio):
                # Leaving an `async for` does not close its generator; a microphone would stay open.
                await audio.aclose()
            await session.close()

    async def _open(self, bus: EventBus) -> Session:
        config = self.config
        gate = self._speech_gate()
        echo = self._echo_control(gate) if self._echo_cancellation else None
        recorder = self._recorder()
        history, farewell = History(config.conversation_seed), Farewell()
        features = [make() for make in self._features]
        guard = (
            Guardrails(
                self._guardrails,
                config,
                history.conversation,
                of_agents=self.guardrails_of_agents,
                context=self._context,
                agent=self.owner,
            )
            if self._guardrails or any(self.guardrails_of_agents.values())
            else None
        )
        tool_calls = ToolCalls(
            Tools(config.tools),
            self._tool_handler,
            timeout_s=config.tool_timeout_s,
            max_parallel=config.max_parallel_tools,
            max_output_chars=config.max_tool_output_chars,
            resources=[*self.resources, bus, history.conversation, farewell, *features],
        )
        tool_calls.check_resources(later=(Session, ToolContext))
        observers = [
            history,
            farewell,
            tool_calls,
            UsageMeter(self._usage_limit, self._prices, farewell.leave),
            *([echo] if echo is not None else []),
            *([recorder] if recorder is not None else []),
            *([guard] if guard is not None else []),
            *features,
        ]
        engine = Engine(
            providers=[self.provider, *self._fallbacks],
            dial=Dialer(self.provider, on_frame=self._wire_tap(bus), recorder=recorder),
            config=config,
            playback=Playback(config.output_rate, sink=self.sink),
            bus=bus,
            observers=observers,
            history=history.conversation,
            forget=self._engines.discard,
            gate=gate,
            clean=echo.clean if echo is not None else None,
            hold=guard.hold if guard is not None else None,
        )
        for kinds, handler in self._handlers:
            bus.subscribe(kinds, handler)
        try:
            await engine.begin()
        except BaseException:
            await engine.close()
            raise
        self._engines.add(engine)
        session = Session(engine, history=history.conversation)
        tool_calls.resources.append(session)
        return session

    def _recorder(self) -> "CassetteRecorder | None":
        path = self._record_to
        if path is None:
            return None
        from .features.cassette import CassetteRecorder

        self._recorded += 1
        if self._recorded > 1:
            path = path.with_stem(f"{path.stem}-{self._recorded}")
        return CassetteRecorder(path, audio=self._record_audio)

    def _speech_gate(self) -> SpeechGate | None:
        if self._vad is None:
            return None
        return SpeechGate(
            self._vad(), self.config.input_rate, verdict_ms=self.config.interruption_verdict_ms
        )

    def _echo_control(self, gate: SpeechGate | None) -> "EchoControl":
        from .audio.echo import EchoCanceller
        from .features.echo import EchoControl

        def shut(closed: bool) -> None:
            if gate is not None:
                gate.shut = closed

        return EchoControl(EchoCanceller, shut)

    def _wire_tap(self, bus: EventBus) -> Callable[[Frame], None] | None:
        if not self._wire_handlers:
            return None
        taps: dict[str, list[Subscription]] = {}
        for name, handler in self._wire_handlers:
            # Of no type at all, so that only this tap feeds it.
            taps.setdefault(name, []).append(bus.subscribe((), handler))

        def tap(frame: Frame) -> None:
            try:
                message = from_json(frame)
            except ValueError:
                return  # the codec reports it
            if isinstance(message, dict):
                kind = message.get("type")
                for name in (kind,) if isinstance(kind, str) else message:
                    for subscription in taps.get(name, ()):
                        bus.deliver(subscription.mailbox, RawEvent(name=name, data=message))

        return tap


class OpenAIRealtimeProvider(RealtimeVoice):
    """`RealtimeVoice` that insists on OpenAI Realtime, for direct access to the provider."""

    _fixed_provider = "openai"

    def __init__(self, config: RealtimeConfig | None = None, **settings: Any) -> None:
        super().__init__(config=config, **settings)


class GeminiRealtimeProvider(RealtimeVoice):
    """`RealtimeVoice` that insists on Gemini Live, for direct access to the provider."""

    _fixed_provider = "gemini"

    def __init__(self, config: RealtimeConfig | None = None, **settings: Any) -> None:
        super().__init__(config=config, **settings)
