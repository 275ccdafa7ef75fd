"""One port of a simulator: lets clients in or refuses them, goes away and comes back."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from .clock import Clock
from .faults import AnyFault, RefuseFault

Check = Callable[[ServerConnection, Request], Response | None]
ChooseSubprotocol = Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None]
Refuse = Callable[[RefuseFault, HTTPStatus], Response]


class Refusals:
    """Which handshakes are refused: those before a session, so often and for so long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._met: dict[tuple[int, RefuseFault], tuple[int, float]] = {}

    def next(self, session: int, faults: Sequence[AnyFault]) -> RefuseFault | None:
        """What refuses a handshake that would become this session; None lets it in."""
        now = self._clock.monotonic()
        for fault in faults:
            if not isinstance(fault, RefuseFault) or fault.session not in (None, session):
                continue
            times, since = self._met.get((session, fault), (0, now))
            if times < fault.times or now - since < fault.seconds:
                self._met[session, fault] = times + 1, since
                return fault
        self._met.clear()  # Sessions come in order: what was met before is over.
        return None


class Listener:
    """Serves one wire on one port.

    Args:
        host: Address to listen on.
        port: 0 picks one, and keeps it when the listener comes back.
        handle: Speaks with a client until the connection is over.
        check: The provider's own look at a handshake.
        choose_subprotocol: As in `websockets`.
        refusal: Called for each handshake: the fault that refuses it.
        refuse: Makes that answer in the provider's words.
        tls: None serves without.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handle: Callable[[ServerConnection], Awaitable[None]],
        check: Check,
        *,
        choose_subprotocol: ChooseSubprotocol | None,
        refusal: Callable[[], RefuseFault | None],
        refuse: Refuse,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.port = port
        self._host = host
        self._handle = handle
        self._check = check
        self._refusal = refusal
        self._refuse = refuse
        self._options: dict[str, Any] = {"ssl": tls, "select_subprotocol": choose_subprotocol}
        self._server: Server | None = None
        self._hanging: set[ServerConnection] = set()

    async def start(self) -> None:
        """Listen; does nothing while it does.

        Raises:
            OSError: If the port is taken.
        """
        if self._server is None:
            self._server = await serve(
                self._handle,
                self._host,
                self.port,
                process_request=self._let_in,
                # Audio messages do not shrink, and the real ones are not compressed either.
                compression=None,
                max_size=16 * 2**20,
                close_timeout=2,
                **self._options,
            )
            self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self, code: int | None = 1001) -> None:
        """Stop listening and end all connections, with a close code or, with None, without.

        Returns when everything is over.
        """
        server = self._server
        if server is None:
            return
        server.close(close_connections=False)
        for connection in self._hanging:
            connection.transport.abort()
        open_ones = server.connections
        if code is None:
            for connection in open_ones:
                connection.transport.abort()
        else:
            await asyncio.gather(*(connection.close(code) for connection in open_ones))
        await server.wait_closed()
        self._server = None  # Only now: who cancelled this may still wait for the end.

    async def _let_in(self, connection: ServerConnection, request: Request) -> Response | None:
        # What is wrong with the request itself is said first, as without faults.
        refused = self._check(connection, request)
        if refused is not None:
            return refused
        fault = self._refusal()
        if fault is None:
            return None
        if fault.status is not None:
            return self._refuse(fault, HTTPStatus(fault.status))
        self._hanging.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._hanging.discard(connection)
        return None
