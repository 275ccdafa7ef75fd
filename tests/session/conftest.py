"""A conversation over memory with a provider whose wire format is our own events as JSON."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from realtime_facade.audio.playback import Playback
from realtime_facade.commands import AnyCommand, AppendAudio
from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ProtocolError, RealtimeConnectionError
from realtime_facade.events import AnyEvent, Event, SessionStarted
from realtime_facade.features.guardrails import Guardrails
from realtime_facade.features.history import History
from realtime_facade.features.tool_calls import ToolCalls
from realtime_facade.guardrails import Guardrail
from realtime_facade.providers.base import NO_PAST, Frame, Output, Past, Profile, Provider
from realtime_facade.session.engine import Engine
from realtime_facade.session.event_bus import EventBus
from realtime_facade.session.link import Link
from realtime_facade.session.session import Session
from realtime_facade.tools.registry import Tools
from realtime_facade.transport.memory import MemoryTransport

EVENTS: TypeAdapter[Event] = TypeAdapter(AnyEvent)


class PlainProvider(Provider):
    """Speaks our own events over memory; `lines` are the connections that can be made."""

    name = "plain"
    default_model = "test"
    models = ("test",)
    voices = ()

    def __init__(self, profile: Profile) -> None:
        super().__init__(api_key="none")
        self._profile = profile
        self.servers: list[MemoryTransport] = []
        """The provider's ends of the connections so far."""
        self.tried: list[Past] = []
        """What each attempt would have told."""
        self.pasts: list[Past] = []
        """What the connections were told."""
        self.refusals: list[RealtimeConnectionError] = []
        """What the next attempts are answered with; after them a connection is made."""
        self.connections = 1
        """How many more connections may be made."""
        self.dialled: list[float] = []
        """When somebody tried."""
        self.answers = asyncio.Event()
        """Clear it, and attempts wait."""
        self.answers.set()
        self.final = False
        """Whether a close code means that it is no use to try again."""

    def profile(self, config: RealtimeConfig) -> Profile:
        return self._profile

    def codec(self, config, profile, tools, past=NO_PAST):
        return PlainCodec()

    def endpoint(self, config, profile):
        raise AssertionError("there is nothing to dial")

    def explain_close(self, code: int | None, reason: str) -> RealtimeConnectionError:
        return RealtimeConnectionError(
            f"closed: {reason}", code=str(code), retryable=not self.final
        )

    def explain_refusal(self, status: int, body: bytes) -> RealtimeConnectionError:
        return RealtimeConnectionError(f"refused with {status}")

    async def dial(self, provider, config, past) -> Link:
        """A `Dial` that needs no network."""
        self.dialled.append(asyncio.get_running_loop().time())
        self.tried.append(past(self._profile))
        await self.answers.wait()
        if self.refusals:
            raise self.refusals.pop(0)
        if not self.connections:
            raise RealtimeConnectionError("nobody answers", retryable=False)
        self.connections -= 1
        client, server = MemoryTransport.pair()
        self.pasts.append(self.tried[-1])

        async def release() -> None:
            pass

        link = Link(
            transport=client,
            codec=PlainCodec(),
            profile=self._profile,
            config=config,
            explain_close=self.explain_close,
            release=release,
        )
        self.servers.append(server)
        await server.send(SessionStarted(session_id=f"s-{len(self.servers)}").model_dump_json())
        link.begin()
        await link.accepted
        assert json.loads(await server.receive()) == {"command": "open"}
        return link


class PlainCodec:
    """Frames in are events, frames out are commands, both as JSON."""

    def open(self) -> Output:
        return Output(('{"command": "open"}',))

    def send(self, command: AnyCommand) -> Output:
        fields = command.model_dump(mode="json", exclude={"config", "data", "tools"})
        if isinstance(command, AppendAudio):
            fields["bytes"] = len(command.data)
        return Output((json.dumps({"command": type(command).__name__, **fields}),))

    def receive(self, frame: Frame) -> Output:
        try:
            return Output(events=(EVENTS.validate_json(frame),))
        except ValidationError:
            raise ProtocolError("not an event", provider="plain") from None


class Conversation:
    """Both ends of a conversation: the session, and the provider's hands."""

    def __init__(self, session: Session, engine: Engine, provider: PlainProvider) -> None:
        self.session = session
        self.engine = engine
        self.provider = provider
        self.events: list[Event] = []
        session.on(Event, self._keep)

    @property
    def server(self) -> MemoryTransport:
        """The provider's end of the newest connection."""
        return self.provider.servers[-1]

    async def _keep(self, event: Event) -> None:
        self.events.append(event)

    async def receive(self, *events: Event) -> None:
        """Let the provider send events; returns when they were dispatched."""
        for event in events:
            await self.server.send(event.model_dump_json())
        for _ in range(20):
            await asyncio.sleep(0)

    async def sent(self, count: int | None = None) -> list[dict[str, Any]]:
        """What was sent since the last call: all of it, or exactly `count` frames."""
        frames: list[dict[str, Any]] = []
        while count is None or len(frames) < count:
            try:
                async with asyncio.timeout(0.02 if count is None else 2):
                    frames.append(json.loads(await self.server.receive()))
            except TimeoutError:
                if count is not None:
                    raise
                break
        return frames

    def of(self, kind: type[Event]) -> list[Any]:
        """The events of a type that a handler got so far."""
        return [e for e in self.events if isinstance(e, kind)]


async def dial(provider: PlainProvider, config, past) -> Link:
    """Each provider answers for itself."""
    return await provider.dial(provider, config, past)


Start = Callable[..., Awaitable[Conversation]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a conversation: `await start(config, profile=..., sink=..., tool_handler=...)`."""
    async with conversations() as start_conversation:
        yield start_conversation


@asynccontextmanager
async def conversations() -> AsyncIterator[Start]:
    """What `start` gives, where a fixture cannot be used."""
    engines: list[Engine] = []

    async def start_conversation(
        config: RealtimeConfig | None = None,
        *,
        profile: Profile | None = None,
        playback: Playback | None = None,
        tool_handler: Any = None,
        guardrails: Sequence[Guardrail] = (),
        connections: int = 1,
        others: Sequence[PlainProvider] = (),
    ) -> Conversation:
        config = config or RealtimeConfig()
        profile = profile or Profile(
            provider="plain", model="test", supports_truncation=True, supports_cancel=True
        )
        provider = PlainProvider(profile)
        provider.connections = connections
        history = History()
        guard = Guardrails(guardrails, config, history.conversation) if guardrails else None
        engine = Engine(
            providers=[provider, *others],
            dial=dial,
            config=config,
            playback=playback or Playback(config.output_rate),
            bus=EventBus(),
            observers=[
                history,
                ToolCalls(
                    Tools(config.tools),
                    tool_handler,
                    timeout_s=config.tool_timeout_s,
                    max_parallel=config.max_parallel_tools,
                ),
                *([guard] if guard is not None else []),
            ],
            history=history.conversation,
            hold=guard.hold if guard is not None else None,
        )
        engines.append(engine)
        await engine.begin()
        return Conversation(Session(engine, history=history.conversation), engine, provider)

    try:
        yield start_conversation
    finally:
        for engine in engines:
            await engine.close()


class ReportingSink:
    """A loudspeaker whose position the test sets."""

    def __init__(self) -> None:
        self.queued = bytearray()
        self.position_ms: float | None = 0.0
        self.cleared = 0

    def write(self, pcm: bytes) -> None:
        self.queued += pcm

    def clear(self) -> None:
        self.cleared += 1
        self.queued.clear()

    def played_ms(self) -> float | None:
        return self.position_ms


@pytest.fixture
def sink() -> ReportingSink:
    return ReportingSink()
