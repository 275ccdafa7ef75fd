"""Runs the simulated providers on loopback: one listener per wire protocol."""

import asyncio
import ssl
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self, get_args

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from ..errors import ConfigurationError
from .clock import Clock, Ids, SystemClock
from .faults import AnyFault
from .parts import Parts
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


SessionFactory = Callable[[ServerConnection, Parts, SessionSettings], Session]


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
        self._stack = AsyncExitStack()
        self._urls: dict[str, str] = {}
        self._ca_path: Path | None = None
        self.sessions_started = 0
        """Sessions since the start."""
        self.sessions_open = 0

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
            if "openai" in self._wires:
                from .openai import OpenAISession, check, choose_subprotocol

                await self._listen(
                    stack,
                    "openai",
                    0,
                    "ws://{}/v1",
                    OpenAISession,
                    check,
                    choose_subprotocol=choose_subprotocol,
                )
            if {"gemini", "gemini_tls"} & set(self._wires):
                await self._start_gemini(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()
        self._urls.clear()

    async def _start_gemini(self, stack: AsyncExitStack) -> None:
        from .gemini import GeminiService, GeminiSession, check

        session = partial(GeminiSession, service=self._gemini or GeminiService())
        if "gemini" in self._wires:
            await self._listen(stack, "gemini_plain", 2, "ws://{}", session, check)
        if "gemini_tls" in self._wires:
            tls = await self._certificate(stack)
            await self._listen(stack, "gemini", 1, "https://{}", session, check, tls=tls)

    async def _certificate(self, stack: AsyncExitStack) -> ssl.SSLContext:
        from .certificate import issue

        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="simulator-"))
        hosts = sorted({self._host, "127.0.0.1", "localhost"})
        context, self._ca_path = await asyncio.to_thread(issue, Path(directory), hosts)
        return context

    async def _listen(
        self,
        stack: AsyncExitStack,
        name: str,
        offset: int,
        url: str,
        factory: SessionFactory,
        check: Callable[[ServerConnection, Request], Response | None],
        *,
        tls: ssl.SSLContext | None = None,
        choose_subprotocol: Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None]
        | None = None,
    ) -> None:
        async def handle(connection: ServerConnection) -> None:
            self.sessions_started += 1
            self.sessions_open += 1
            try:
                await factory(connection, self._session_parts(), self._settings()).run()
            finally:
                self.sessions_open -= 1

        server: Server = await stack.enter_async_context(
            serve(
                handle,
                self._host,
                self._port + offset if self._port else 0,
                ssl=tls,
                process_request=check,
                select_subprotocol=choose_subprotocol,
                # Audio messages do not shrink, and the real ones are not compressed either.
                compression=None,
                max_size=16 * 2**20,
                close_timeout=2,
            )
        )
        port = next(iter(server.sockets)).getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._urls[name] = url.format(f"{host}:{port}")

    def _session_parts(self) -> Parts:
        return self._parts or self._scenario.parts()

    def _settings(self) -> SessionSettings:
        return SessionSettings(
            clock=self._clock,
            ids=self._ids,
            speed=self._speed,
            chunk_ms=self._chunk_ms,
            faults=self._faults,
            number=self.sessions_started,
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
