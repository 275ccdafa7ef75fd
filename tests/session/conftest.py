"""A conversation over memory with a provider whose wire format is our own events as JSON."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from realtime_facade.audio.playback import Playback
from realtime_facade.commands import AnyCommand, AppendAudio
from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import ProtocolError, RealtimeConnectionError
from realtime_facade.events import AnyEvent, Event, SessionStarted
from realtime_facade.features.history import History
from realtime_facade.features.tool_calls import ToolCalls
from realtime_facade.providers.base import Frame, Output, Profile
from realtime_facade.session.engine import Engine
from realtime_facade.session.event_bus import EventBus
from realtime_facade.session.session import Session
from realtime_facade.tools.registry import Tools
from realtime_facade.transport.memory import MemoryTransport

EVENTS: TypeAdapter[Event] = TypeAdapter(AnyEvent)


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

    def __init__(self, session: Session, engine: Engine, server: MemoryTransport) -> None:
        self.session = session
        self.engine = engine
        self.server = server
        self.events: list[Event] = []
        session.on(Event, self._keep)

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


Start = Callable[..., Awaitable[Conversation]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a conversation: `await start(config, profile=..., sink=..., tool_handler=...)`."""
    engines: list[Engine] = []

    async def start_conversation(
        config: RealtimeConfig | None = None,
        *,
        profile: Profile | None = None,
        playback: Playback | None = None,
        tool_handler: Any = None,
    ) -> Conversation:
        config = config or RealtimeConfig()
        profile = profile or Profile(
            provider="plain", model="test", supports_truncation=True, supports_cancel=True
        )
        client, server = MemoryTransport.pair()
        history = History()

        async def release() -> None:
            pass

        engine = Engine(
            transport=client,
            codec=PlainCodec(),
            profile=profile,
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
            ],
            explain_close=lambda code, reason: RealtimeConnectionError(
                f"closed: {reason}", code=str(code), retryable=True
            ),
            release=release,
        )
        engines.append(engine)
        await server.send(SessionStarted(session_id="s-1").model_dump_json())
        started = await engine.begin()
        assert json.loads(await server.receive()) == {"command": "open"}
        session = Session(engine, started=started, history=history.conversation)
        return Conversation(session, engine, server)

    yield start_conversation
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
