import asyncio

import pytest

from realtime_facade.transport.base import TransportClosed
from realtime_facade.transport.memory import MemoryTransport


async def test_frames_cross_in_order():
    left, right = MemoryTransport.pair()
    await left.send("a")
    await left.send(b"b")
    assert [await right.receive(), await right.receive()] == ["a", b"b"]


async def test_close_delivers_what_is_waiting_first():
    left, right = MemoryTransport.pair()
    await left.send("last")
    await left.close(1001, "bye")
    assert await right.receive() == "last"
    with pytest.raises(TransportClosed) as caught:
        await right.receive()
    assert (caught.value.code, caught.value.reason) == (1001, "bye")


async def test_close_wakes_the_own_reader():
    left, _ = MemoryTransport.pair()
    reading = asyncio.create_task(left.receive())
    await asyncio.sleep(0)
    await left.close()
    with pytest.raises(TransportClosed):
        await reading
    with pytest.raises(TransportClosed):
        await left.send("x")


async def test_a_full_peer_holds_the_sender_back():
    left, right = MemoryTransport.pair(max_frames=1)
    await left.send("a")
    second = asyncio.create_task(left.send("b"))
    await asyncio.sleep(0)
    assert not second.done()
    await right.receive()
    await second
