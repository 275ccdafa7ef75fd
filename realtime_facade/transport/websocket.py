"""A WebSocket as a transport, with every library exception turned into our own."""

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)
from websockets.protocol import State
from websockets.typing import Subprotocol

from ..errors import ConfigurationError, RealtimeConnectionError
from ..providers.base import Endpoint, Frame
from .base import TransportClosed

MAX_FRAME_BYTES = 32 * 2**20
"""More than any provider sends; guards the memory against a broken peer."""


class WebSocketTransport:
    """Frames over one WebSocket; text and binary alike arrive as `bytes`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: Frame) -> None:
        """Send one message: `str` as text, `bytes` as binary."""
        try:
            await self._connection.send(frame)
        except ConnectionClosed as closed:
            raise _transport_closed(closed) from closed

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
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as closed:
            raise _transport_closed(closed) from closed

    async def close(self) -> None:
        """Close with 1000; gives the peer two seconds to agree."""
        await self._connection.close()


def _transport_closed(closed: ConnectionClosed) -> TransportClosed:
    if closed.rcvd is not None:
        return TransportClosed(closed.rcvd.code, closed.rcvd.reason)
    return TransportClosed(None, closed.sent.reason if closed.sent is not None else "")


async def dial(
    endpoint: Endpoint,
    *,
    provider: str,
    timeout_s: float,
    ping_interval_s: float | None,
    ping_timeout_s: float | None,
    explain_refusal: Callable[[int, bytes], RealtimeConnectionError],
) -> WebSocketTransport:
    """Open a WebSocket.

    Raises:
        RealtimeConnectionError: If nobody answers in time, or the server refuses.
        ConfigurationError: If the address makes no sense.
    """
    host = urlsplit(endpoint.url).hostname or ""
    try:
        connection = await connect(
            endpoint.url,
            additional_headers=dict(endpoint.headers),
            subprotocols=[Subprotocol(name) for name in endpoint.subprotocols] or None,
            compression=None,  # costs about 50 us per audio message and base64 hardly shrinks
            max_size=MAX_FRAME_BYTES,
            max_queue=64,
            open_timeout=timeout_s,
            close_timeout=2,
            ping_interval=ping_interval_s,
            ping_timeout=ping_timeout_s,
            # websockets would send even loopback traffic through an environment's proxy.
            proxy=None if _is_loopback(host) else True,
        )
    except InvalidStatus as refused:
        body = bytes(refused.response.body or b"")
        raise explain_refusal(refused.response.status_code, body) from refused
    except InvalidURI as bad:
        raise ConfigurationError(
            f"not a WebSocket address: {host or 'no host'}",
            provider=provider,
            advice="check base_url",
        ) from bad
    except TimeoutError as late:
        raise RealtimeConnectionError(
            f"{host} did not answer within {timeout_s:g} s",
            provider=provider,
            retryable=True,
            advice="check the network, or raise setup_timeout_s",
        ) from late
    except (OSError, InvalidHandshake) as failed:
        raise RealtimeConnectionError(
            f"cannot connect to {host}: {failed}",
            provider=provider,
            retryable=True,
            advice="check the network and base_url",
        ) from failed
    return WebSocketTransport(connection)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
