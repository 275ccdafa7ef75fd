import asyncio
import socket
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve

from realtime_facade.errors import ConfigurationError, RealtimeConnectionError
from realtime_facade.providers.base import Endpoint
from realtime_facade.transport.base import TransportClosed
from realtime_facade.transport.websocket import WebSocketTransport, dial


def explain(status: int, body: bytes) -> RealtimeConnectionError:
    return RealtimeConnectionError(f"refused with {status}: {body.decode()}", code=str(status))


async def open_transport(
    url: str, timeout_s: float = 5, ping_s: float | None = None
) -> WebSocketTransport:
    return await dial(
        Endpoint(url, {"Authorization": "Bearer secret"}),
        provider="test",
        timeout_s=timeout_s,
        ping_interval_s=ping_s,
        ping_timeout_s=ping_s,
        explain_refusal=explain,
    )


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def url_of(server: object) -> str:
    port = next(iter(server.sockets)).getsockname()[1]
    return f"ws://127.0.0.1:{port}/v1"


async def test_text_and_binary_arrive_as_bytes_with_the_key_in_a_header():
    headers = []

    async def keep_and_echo(connection: ServerConnection) -> None:
        headers.append(connection.request.headers)
        await echo(connection)

    async with serve(keep_and_echo, "127.0.0.1", 0) as server:
        transport = await open_transport(url_of(server))
        await transport.send("text ü")
        await transport.send(b"\x00\x01")
        assert [await transport.receive(), await transport.receive()] == [
            "text ü".encode(),
            b"\x00\x01",
        ]
        await transport.close()
    assert headers[0]["Authorization"] == "Bearer secret"
    assert "Sec-WebSocket-Extensions" not in headers[0], "compression costs more than it saves"


async def test_a_close_of_the_peer_tells_code_and_reason():
    async def hang_up(connection: ServerConnection) -> None:
        await connection.close(1008, "not allowed")

    async with serve(hang_up, "127.0.0.1", 0) as server:
        transport = await open_transport(url_of(server))
        with pytest.raises(TransportClosed) as caught:
            await transport.receive()
        assert (caught.value.code, caught.value.reason) == (1008, "not allowed")
        with pytest.raises(TransportClosed):
            await transport.send("x")
        await transport.close()


async def test_a_broken_connection_has_no_code():
    async def break_off(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with serve(break_off, "127.0.0.1", 0) as server:
        transport = await open_transport(url_of(server))
        with pytest.raises(TransportClosed) as caught:
            await transport.receive()
        assert caught.value.code is None
        await transport.close()


async def test_pings_leave_a_living_connection_alone_and_find_a_dead_one():
    over = asyncio.Event()

    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await over.wait()
        connection.transport.resume_reading()

    async with serve(echo, "127.0.0.1", 0) as living, serve(deaf, "127.0.0.1", 0) as dead:
        transport = await open_transport(url_of(living), ping_s=0.1)
        lost = await open_transport(url_of(dead), ping_s=0.1)
        with pytest.raises(TransportClosed) as caught:
            async with asyncio.timeout(5):
                await lost.receive()
        assert caught.value.code in (None, 1011)
        await transport.send("still there")
        assert await transport.receive() == b"still there"
        over.set()
        await lost.close()
        await transport.close()


async def test_an_environments_proxy_is_not_asked_for_loopback(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ws_proxy", "http://127.0.0.1:9")
    async with serve(echo, "127.0.0.1", 0) as server:
        transport = await open_transport(url_of(server))
        await transport.close()


async def test_a_refusal_is_explained_by_the_provider():
    def refuse(connection: ServerConnection, request: object) -> object:
        return connection.respond(HTTPStatus.UNAUTHORIZED, "bad key")

    async with serve(echo, "127.0.0.1", 0, process_request=refuse) as server:
        with pytest.raises(RealtimeConnectionError, match="refused with 401: bad key"):
            await open_transport(url_of(server))


async def test_nobody_listening_is_a_network_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RealtimeConnectionError, match="cannot connect to") as caught:
        await open_transport(f"ws://127.0.0.1:{port}")
    assert (caught.value.cause, caught.value.retryable) == ("network", True)


async def test_a_server_that_says_nothing_is_given_up():
    gone = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RealtimeConnectionError, match=r"did not answer within 0\.1 s"):
            await open_transport(f"ws://127.0.0.1:{port}", timeout_s=0.1)
        await gone.wait()


async def test_an_address_that_makes_no_sense():
    with pytest.raises(ConfigurationError, match="not a WebSocket address"):
        await open_transport("http://127.0.0.1:1/x")
