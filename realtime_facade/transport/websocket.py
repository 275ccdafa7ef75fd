"""A WebSocket as a transport, with every library exception turned into our own.

This is the door: what comes in here - frames, close reasons, refusals - has lost the secrets of
its connection before anybody sees it, and the library's own log never gets them.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.protocol import State
from websockets.typing import Subprotocol

from ..errors import ConfigurationError, RealtimeConnectionError, RealtimeError
from ..providers.base import Endpoint, Frame
from ..redaction import Redactor
from .base import TransportClosed

MAX_FRAME_BYTES = 8 * 2**20
"""Two minutes of audio in one frame, more than any provider sends. A parsed frame may take 25
times as much memory."""
MAX_WAITING_FRAMES = 16
"""Frames read ahead; then the peer has to wait."""
CLOSE_TIMEOUT_S = 2.0
BREATH_FRAMES = 32
"""Frames read in a row before everybody else has a turn: a flood must not stop the event loop."""


class _Discreet(logging.LoggerAdapter[logging.Logger]):
    """The library's log without its debug records: they are full of headers and frames."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is logging's
        return level > logging.DEBUG and super().isEnabledFor(level)


_LOGGER = _Discreet(logging.getLogger("websockets.client"), {})


class _connect(connect):  # noqa: N801 - it is one
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow nobody: the key would go along to wherever the answer points."""
        return exc


class WebSocketTransport:
    """Frames over one WebSocket; text and binary alike arrive as `bytes`."""

    def __init__(self, connection: ClientConnection, redactor: Redactor | None = None) -> None:
        self._connection = connection
        self._redactor = redactor or Redactor()
        self._since_breath = 0

    async def send(self, frame: Frame) -> None:
        """Send one message: `str` as text, `bytes` as binary."""
        try:
            await self._connection.send(frame)
            return
        except ConnectionClosed as closed:
            over = self._closed(closed)
        # Outside: the library's exception, which quotes the peer, must not come along.
        raise over

    def send_nowait(self, frame: Frame) -> bool:
        """Send one message if the socket's buffer is empty.

        Goes through the library's protocol object, which does no I/O by itself: one microphone
        frame then costs no task switch and half the time of the coroutine `send`.
        """
        protocol, transport = self._connection.protocol, self._connection.transport
        if protocol.state is not State.OPEN or transport.get_write_buffer_size():
            return False
        if isinstance(frame, str):
            protocol.send_text(frame.encode())
        else:
            protocol.send_binary(frame)
        for data in protocol.data_to_send():
            transport.write(data)
        return True

    async def receive(self) -> Frame:
        """The next message. Text is not decoded here: parsers take UTF-8 bytes faster."""
        self._since_breath += 1
        if self._since_breath > BREATH_FRAMES:
            self._since_breath = 0
            await asyncio.sleep(0)
        try:
            return self._redactor.frame(await self._connection.recv(decode=False))
        except ConnectionClosed as closed:
            over = self._closed(closed)
        raise over

    async def close(self) -> None:
        """Close with 1000; gives the peer two seconds to agree."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S + 0.5):
                await self._connection.close()
        except TimeoutError:
            # It does not even read: the library would wait for room to say goodbye.
            self._connection.transport.abort()

    def _closed(self, closed: ConnectionClosed) -> TransportClosed:
        if closed.rcvd is not None:
            return TransportClosed(closed.rcvd.code, self._redactor.text(closed.rcvd.reason))
        return TransportClosed(None, closed.sent.reason if closed.sent is not None else "")


async def dial(
    endpoint: Endpoint,
    *,
    provider: str,
    timeout_s: float,
    ping_interval_s: float | None,
    ping_timeout_s: float | None,
    explain_refusal: Callable[[int, bytes], RealtimeConnectionError],
    secrets: Iterable[str] = (),
) -> WebSocketTransport:
    """Open a WebSocket.

    Args:
        endpoint: Where, and with which headers.
        provider: Whom errors name.
        timeout_s: Until the handshake is done.
        ping_interval_s: Between pings; None sends none.
        ping_timeout_s: Without a pong for so long, the connection is broken; None never judges.
        explain_refusal: What an HTTP status and body mean.
        secrets: What the peer may know beside the endpoint's own and nobody may see.

    Raises:
        RealtimeConnectionError: If nobody answers in time, or the server refuses.
        ConfigurationError: If the address makes no sense.
    """
    redactor = Redactor({*endpoint.secrets, *secrets})
    try:
        return WebSocketTransport(
            await _open(endpoint, timeout_s, ping_interval_s, ping_timeout_s), redactor
        )
    except InvalidStatus as refused:
        body = redactor.frame(bytes(refused.response.body or b""))
        error: RealtimeError = explain_refusal(refused.response.status_code, body)
    except InvalidURI:
        error = ConfigurationError(
            f"not a WebSocket address: {endpoint.host or 'no host'}",
            provider=provider,
            advice="check base_url",
        )
    except TimeoutError:
        error = RealtimeConnectionError(
            f"{endpoint.host} did not answer within {timeout_s:g} s",
            provider=provider,
            retryable=True,
            advice="check the network, or raise setup_timeout_s",
        )
    except (OSError, WebSocketException, ImportError) as failed:  # also a proxy that cannot be
        error = RealtimeConnectionError(
            f"cannot connect to {endpoint.host}: {redactor.text(str(failed))}",
            provider=provider,
            retryable=True,
            advice="check the network and base_url",
        )
    # Outside: the library's exceptions quote addresses, proxies and answers as they are.
    raise error


async def _open(
    endpoint: Endpoint,
    timeout_s: float,
    ping_interval_s: float | None,
    ping_timeout_s: float | None,
) -> ClientConnection:
    return await _connect(
        endpoint.url,
        additional_headers=dict(endpoint.headers),
        subprotocols=[Subprotocol(name) for name in endpoint.subprotocols] or None,
        compression=None,  # costs about 50 us per audio message and base64 hardly shrinks
        max_size=MAX_FRAME_BYTES,
        max_queue=MAX_WAITING_FRAMES,
        open_timeout=timeout_s,
        close_timeout=CLOSE_TIMEOUT_S,
        ping_interval=ping_interval_s,
        ping_timeout=ping_timeout_s,
        # websockets would send even loopback traffic through an environment's proxy.
        proxy=None if _is_loopback(endpoint.host) else True,
        logger=_LOGGER,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
