"""Messages leave in order; producers wait behind a slow client and for nothing else."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from realtime_facade.simulator.clock import Ids
from realtime_facade.simulator.faults import AnyFault, CloseFault
from realtime_facade.simulator.line import Line
from realtime_facade.simulator.openai import OpenAIDialect
from realtime_facade.simulator.outbox import Outbox
from realtime_facade.simulator.settings import SessionSettings

Serve = Callable[[Outbox, Line], Awaitable[None]]


@asynccontextmanager
async def served(work: Serve, *faults: AnyFault) -> AsyncIterator[ClientConnection]:
    settings = SessionSettings(faults=faults)

    async def handle(connection: ServerConnection) -> None:
        async with Line(connection, settings, OpenAIDialect(Ids())) as line:
            outbox = Outbox(line)
            writer = asyncio.create_task(outbox.run())
            await work(outbox, line)
            await writer

    async with serve(handle, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", proxy=None, compression=None) as client:
            yield client


async def test_order_kinds_of_frames_and_close():
    async def work(outbox: Outbox, line: Line) -> None:
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


@pytest.mark.parametrize("faults", [(), (CloseFault(after_chunks=2, code=1013),)])
async def test_a_mark_comes_after_what_was_put_before(faults: tuple[AnyFault, ...]):
    async def work(outbox: Outbox, line: Line) -> None:
        outbox.mark(lambda: line.begin("answering"))
        for number in range(4):
            outbox.put({"n": number})
            outbox.mark(line.answered)
        outbox.close(1000)

    async with served(work, *faults) as client:
        frames = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                frames.append(json.loads(await client.recv())["n"])

    assert frames == ([0, 1] if faults else [0, 1, 2, 3])
    assert client.close_code == (1013 if faults else 1000)


async def test_a_producer_waits_behind_a_client_that_does_not_read():
    produced = 0

    async def work(outbox: Outbox, line: Line) -> None:
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
