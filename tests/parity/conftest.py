"""Each provider is one row; every scenario runs for every row, through the simulator."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from realtime_facade import Event, RealtimeAgent, RealtimeConfig, RealtimeVoice, Session
from realtime_facade.audio.pcm import chunks, silence
from realtime_facade.audio.resample import resample
from realtime_facade.simulator.babble import BabbleVoice
from realtime_facade.simulator.scenario import Scenario
from realtime_facade.simulator.server import Simulator


@dataclass(frozen=True)
class Row:
    """A provider, a model, and what the wire cannot do."""

    provider: str
    model: str
    truncates: bool
    reports_speech: bool

    def __str__(self) -> str:
        return f"{self.provider}-{self.model}"


ROWS = [
    Row("openai", "gpt-realtime-2.1", truncates=True, reports_speech=True),
    Row("gemini", "gemini-3.8-live", truncates=False, reports_speech=True),
    Row(
        "gemini",
        "gemini-2.5-flash-native-audio-preview-12-2025",
        truncates=False,
        reports_speech=False,
    ),
]


@pytest.fixture(params=ROWS, ids=str)
def row(request: pytest.FixtureRequest) -> Row:
    return request.param


class Talk:
    """A session, everything that happened in it, and a way to wait for more."""

    def __init__(self, session: Session, simulator: Simulator) -> None:
        self.session = session
        self.simulator = simulator
        self.events: list[Event] = []
        self._stream = session.events()

    async def until(self, kind: type[Event], count: int = 1, timeout_s: float = 10) -> Any:
        """Read on until `count` more events of a type came; the last one."""
        async with asyncio.timeout(timeout_s):
            async for event in self._stream:
                self.events.append(event)
                if isinstance(event, kind):
                    count -= 1
                    if not count:
                        return event
        raise AssertionError(f"the session ended before {kind.__name__}: {self.events[-3:]}")

    def of(self, kind: type[Event]) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]


Start = Callable[..., Any]


@pytest.fixture
def start(row: Row, monkeypatch: pytest.MonkeyPatch) -> Start:
    """`async with start(scenario, config..., sink=...) as talk:`, a `Scenario` or its TOML.

    With `agent`, what it makes of a configuration talks instead of a plain `RealtimeVoice`.
    """

    @asynccontextmanager
    async def start_talk(
        scenario: str | Scenario,
        *,
        sink: Any = None,
        setup: Any = None,
        simulator: Any = None,
        agent: Callable[[RealtimeConfig], RealtimeAgent] | None = None,
        **settings: Any,
    ) -> AsyncIterator[Talk]:
        async with Simulator(
            scenario=Scenario.parse(scenario) if isinstance(scenario, str) else scenario,
            wires=(row.provider,),
            seed=1,
            **(simulator or {"speed": 50}),
        ) as server:
            if row.provider == "openai":
                monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
                monkeypatch.setenv("OPENAI_BASE_URL", server.openai_url)
            else:
                monkeypatch.setenv("GEMINI_API_KEY", "test")
                monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.gemini_plain_url)
            config = RealtimeConfig(model=row.model, **settings)
            speaker = agent(config) if agent is not None else None
            voice = speaker.voice if speaker is not None else RealtimeVoice(config=config)
            voice.sink = sink
            assert voice.provider_name == row.provider
            if setup is not None:
                setup(voice)
            async with (speaker or voice).connect() as session:
                yield Talk(session, server)

    return start_talk


async def babble(text: str = "what is the weather in paris", tail_ms: int = 900) -> list[bytes]:
    """A user's speech at 24 kHz in 20 ms frames, silence around it."""
    voice = BabbleVoice()
    pcm = b"".join([chunk async for chunk in voice.speak(text)])
    pcm = resample(pcm, voice.sample_rate, 24_000)
    return list(chunks(silence(300, 24_000) + pcm + silence(tail_ms, 24_000), 20, 24_000))


@pytest.fixture
async def speech() -> list[bytes]:
    return await babble()
