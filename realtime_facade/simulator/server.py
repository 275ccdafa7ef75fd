"""Runs the simulated providers on loopback: one listener per wire protocol."""

import asyncio
import ssl
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self, get_args

from websockets.asyncio.server import ServerConnection

from ..errors import ConfigurationError
from .chaos import Chaos
from .clock import Clock, Ids, SystemClock
from .faults import AnyFault, OutageFault, RefuseFault
from .line import Dialect, Line
from .listener import Check, ChooseSubprotocol, Listener, Refusals, Refuse
from .parts import Parts
from .record import MOST_RECORDS, ConnectionRecord, Refused
from .scenario import Scenario
from .settings import SessionSettings

if TYPE_CHECKING:
    from .gemini import GeminiService

Wire = Literal["openai", "gemini", "gemini_tls"]
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Session(Protocol):
    """One conversation on one wire."""

    async def run(self) -> None:
        """Speak until the connection ends; leaves no task."""


SessionFactory = Callable[[Line, Parts, SessionSettings], Session]


class Simulator:
    """Both providers on this computer, for as long as its context is open.

        async with Simulator(scenario=Scenario.load("weather.toml")) as simulator:
            client = AsyncOpenAI(base_url=simulator.openai_url, api_key="sk-test")

    Args:
        parts: Ears, mind and voice; None takes the scenario's.
        scenario: What to answer; None answers every turn with the same sentence.
        host: Address to listen on.
        port: 0 picks free ports; N listens on N (OpenAI), N + 1 (Gemini, TLS), N + 2 (Gemini).
        wires: Which protocols to serve; `gemini_tls`, which Google's SDK insists on, needs the
            extra `cli` for its certificate.
        speed: Answers are generated this many times faster than real time; 0 is unpaced.
        chunk_ms: Length of one audio delta.
        clock: Time, for pacing and limits.
        seed: Makes identifiers repeatable.
        faults: In addition to the scenario's.
        chaos: Makes more of them, at random.
        session_limit_s: Instead of the providers' own limits.
        gemini: What sessions on the Gemini wire share: refused keys, handles to resume with.
        allow_remote: Needed for a host that other computers can reach: there is no protection.

    Raises:
        ConfigurationError: If `host` is not loopback and `allow_remote` is not set.
    """

    def __init__(
        self,
        parts: Parts | None = None,
        *,
        scenario: Scenario | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        wires: Sequence[Wire] = ("openai",),
        speed: float = 6.0,
        chunk_ms: int = 100,
        clock: Clock | None = None,
        seed: int | None = None,
        faults: Sequence[AnyFault] = (),
        chaos: Chaos | None = None,
        session_limit_s: float | None = None,
        allow_remote: bool = False,
        gemini: "GeminiService | None" = None,
    ) -> None:
        if host not in _LOOPBACK and not allow_remote:
            raise ConfigurationError(
                f"the simulator would be open to other computers on {host!r}",
                advice="listen on 127.0.0.1, or pass allow_remote=True",
            )
        if unknown := set(wires) - set(get_args(Wire)):
            raise ConfigurationError(
                f"there is no wire {', '.join(map(repr, sorted(unknown)))}",
                advice=f"choose from {', '.join(get_args(Wire))}",
            )
        self._scenario = scenario or Scenario()
        self._parts = parts
        self._host = host
        self._port = port
        self._wires = tuple(wires)
        self._speed = speed
        self._chunk_ms = chunk_ms
        self._clock = clock or SystemClock()
        self._ids = Ids(seed)
        self._faults = (*self._scenario.faults, *faults)
        self._session_limit_s = session_limit_s
        self._gemini = gemini
        self._chaos = chaos
        self._refusals = Refusals(self._clock)
        self._listeners: list[Listener] = []
        self._lines: set[Line] = set()
        self._outages: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()
        self._urls: dict[str, str] = {}
        self._ca_path: Path | None = None
        self.sessions_started = 0
        """Sessions since the start."""
        self.sessions_open = 0
        self.connections: deque[ConnectionRecord] = deque(maxlen=MOST_RECORDS)
        """The sessions' connections, open or over, oldest first; the newest 1000."""
        self.refused: deque[Refused] = deque(maxlen=MOST_RECORDS)
        """Handshakes that a fault refused; the newest 1000."""

    @property
    def openai_url(self) -> str:
        """For a client's `base_url`: `ws://127.0.0.1:PORT/v1`.

        Raises:
            ConfigurationError: If this wire is not served (now).
        """
        return self._url("openai")

    @property
    def gemini_url(self) -> str:
        """`https://127.0.0.1:PORT`, with a certificate that `ca_path` vouches for."""
        return self._url("gemini")

    @property
    def gemini_plain_url(self) -> str:
        """`ws://127.0.0.1:PORT`, without TLS."""
        return self._url("gemini_plain")

    @property
    def ca_path(self) -> Path:
        """The authority behind `gemini_url`, PEM."""
        if self._ca_path is None:
            raise ConfigurationError(
                "the simulator has no certificate", advice="start it with wires=('gemini_tls',)"
            )
        return self._ca_path

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            if "openai" in self._wires:
                from .openai import OpenAIDialect, OpenAISession, check, choose_subprotocol, refuse

                dialect = OpenAIDialect(self._ids, self._session_limit_s)
                await self._listen(
                    "openai",
                    0,
                    "ws://{}/v1",
                    OpenAISession,
                    dialect,
                    check,
                    refuse,
                    choose_subprotocol=choose_subprotocol,
                )
            if {"gemini", "gemini_tls"} & set(self._wires):
                await self._start_gemini(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def go_away(self, code: int | None = 1001) -> None:
        """Stop listening on all ports and end all connections; see `come_back`.

        Args:
            code: WebSocket close code; None breaks the connections.
        """
        stops = [listener.stop(code) for listener in self._listeners]
        await asyncio.gather(*stops, *(line.read_on() for line in self._lines))

    async def come_back(self) -> None:
        """Listen again, on the same ports.

        Raises:
            OSError: If another program took one meanwhile.
        """
        for listener in self._listeners:
            await listener.start()

    def _outage(self, fault: OutageFault) -> None:
        async def happen() -> None:
            await self.go_away(fault.code)
            await self._clock.sleep(fault.seconds)
            await self.come_back()

        # One at a time: during it there is no session that could ask for another.
        if self._outages is None or self._outages.done():
            self._outages = asyncio.create_task(happen(), name="simulated-outage")

    async def _close(self) -> None:
        if self._outages is not None:
            self._outages.cancel()
            await asyncio.wait({self._outages})
        await self.go_away()
        self._listeners.clear()
        self._urls.clear()

    async def _start_gemini(self, stack: AsyncExitStack) -> None:
        from .gemini import GeminiDialect, GeminiService, GeminiSession, check, refuse

        session = partial(GeminiSession, service=self._gemini or GeminiService())
        dialect = GeminiDialect()
        if "gemini" in self._wires:
            await self._listen("gemini_plain", 2, "ws://{}", session, dialect, check, refuse)
        if "gemini_tls" in self._wires:
            tls = await self._certificate(stack)
            await self._listen("gemini", 1, "https://{}", session, dialect, check, refuse, tls=tls)

    async def _certificate(self, stack: AsyncExitStack) -> ssl.SSLContext:
        from .certificate import issue

        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="simulator-"))
        hosts = sorted({self._host, "127.0.0.1", "localhost"})
        context, self._ca_path = await asyncio.to_thread(issue, Path(directory), hosts)
        return context

    async def _listen(
        self,
        name: str,
        offset: int,
        url: str,
        factory: SessionFactory,
        dialect: Dialect,
        check: Check,
        refuse: Refuse,
        *,
        tls: ssl.SSLContext | None = None,
        choose_subprotocol: ChooseSubprotocol | None = None,
    ) -> None:
        async def handle(connection: ServerConnection) -> None:
            self.sessions_started += 1
            self.sessions_open += 1
            try:
                settings = self._settings(self.sessions_started)
                async with Line(connection, settings, dialect, name, self._outage) as line:
                    self._lines.add(line)
                    self.connections.append(line.record)
                    try:
                        await factory(line, self._session_parts(), settings).run()
                    finally:
                        self._lines.discard(line)
            finally:
                self.sessions_open -= 1

        def refusal() -> RefuseFault | None:
            number = self.sessions_started + 1
            fault = self._refusals.next(number, self._faults_of(number))
            if fault is not None:
                self.refused.append(Refused(name, self._clock.time(), fault.status))
            return fault

        listener = Listener(
            self._host,
            self._port + offset if self._port else 0,
            handle,
            check,
            choose_subprotocol=choose_subprotocol,
            refusal=refusal,
            refuse=refuse,
            tls=tls,
        )
        await listener.start()
        self._listeners.append(listener)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._urls[name] = url.format(f"{host}:{listener.port}")

    def _session_parts(self) -> Parts:
        return self._parts or self._scenario.parts()

    def _faults_of(self, session: int) -> tuple[AnyFault, ...]:
        by_chance = () if self._chaos is None else self._chaos.faults(session)
        return (*self._faults, *by_chance)

    def _settings(self, number: int) -> SessionSettings:
        return SessionSettings(
            clock=self._clock,
            ids=self._ids,
            speed=self._speed,
            chunk_ms=self._chunk_ms,
            faults=self._faults_of(number),
            number=number,
            session_limit_s=self._session_limit_s,
        )

    def _url(self, name: str) -> str:
        try:
            return self._urls[name]
        except KeyError:
            raise ConfigurationError(
                f"the simulator does not serve {name} now",
                advice="name it in `wires` and use the address inside `async with`",
            ) from None
