"""Messages leave in order; producers wait behind a slow client and for nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from realtime_facade.simulator.clock import SystemClock
from realtime_facade.simulator.faults import AbortFault, CloseFault, ErrorFault, StallFault
from realtime_facade.simulator.outbox import Outbox

Serve = Callable[[Outbox], Awaitable[None]]


@asynccontextmanager
async def served(work: Serve) -> AsyncIterator[ClientConnection]:
    async def handle(connection: ServerConnection) -> None:
        outbox = Outbox(connection, SystemClock())
        writer = asyncio.create_task(outbox.run())
        await work(outbox)
        await writer

    async with serve(handle, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", proxy=None, compression=None) as client:
            yield client


async def test_order_kinds_of_frames_and_close():
    async def work(outbox: Outbox) -> None:
        outbox.put({"n": 1})
        outbox.put({"n": 2}, binary=True)
        outbox.close(4001, "enough")
        outbox.put({"n": 3})

    async with served(work) as client:
        first, second = await client.recv(), await client.recv()
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert first == '{"n": 1}'
    assert second == b'{"n": 2}'
    assert (client.close_code, client.close_reason) == (4001, "enough")


async def test_faults_of_the_connection():
    handled = []

    async def work(outbox: Outbox) -> None:
        handled.append(outbox.fail(ErrorFault()))
        handled.append(outbox.fail(StallFault(seconds=0.05)))
        outbox.put({"n": 1})
        handled.append(outbox.fail(CloseFault(code=1013)))

    async with served(work) as client:
        await client.recv()
        await client.wait_closed()

    assert handled == [False, True, True]
    assert client.close_code == 1013


async def test_abort_is_no_goodbye():
    async def work(outbox: Outbox) -> None:
        assert outbox.fail(AbortFault())

    async with served(work) as client:
        await client.wait_closed()
    assert client.close_code == 1006


async def test_a_producer_waits_behind_a_client_that_does_not_read():
    produced = 0

    async def work(outbox: Outbox) -> None:
        nonlocal produced
        for number in range(2_000):
            await outbox.room()
            outbox.put({"n": number, "text": "x" * 20_000})
            produced += 1
        outbox.close(1000)

    async with served(work) as client:
        await asyncio.sleep(0.3)
        waited_at = produced
        await asyncio.sleep(0.1)
        assert produced == waited_at < 1_500
        numbers = [json.loads(frame)["n"] async for frame in client]
    assert numbers == list(range(2_000))
