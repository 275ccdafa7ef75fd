import asyncio

from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.session.outbox import Outbox


def fill(outbox: Outbox, *frames: tuple[str, float]) -> list[float]:
    return [outbox.put(frame, ms) for frame, ms in frames]


async def take_all(outbox: Outbox) -> list[str]:
    taken = []
    while outbox._frames:
        taken.append(str(await outbox.get()))
    return taken


async def test_frames_leave_in_order():
    outbox = Outbox()
    fill(outbox, ("a", 20), ("control", 0), ("b", 20))
    assert await take_all(outbox) == ["a", "control", "b"]
    assert outbox.waiting_ms == 0


async def test_the_oldest_audio_goes_first_and_control_stays():
    outbox = Outbox(limit_ms=100)
    assert fill(outbox, ("c1", 0), ("a", 60), ("b", 60), ("c2", 0), ("c", 60)) == [0, 0, 0, 0, 60]
    assert await take_all(outbox) == ["c1", "b", "c2", "c"]


async def test_a_reader_is_woken_by_the_next_frame():
    outbox = Outbox()
    reading = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.put("x")
    assert await reading == "x"


async def test_room_waits_until_half_the_bound_is_free():
    outbox = Outbox(limit_ms=100)
    fill(outbox, ("a", 40), ("b", 40))
    waiting = asyncio.create_task(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await outbox.get()
    await waiting


async def test_drained_waits_for_the_writer_to_ask_for_more():
    outbox = Outbox()
    outbox.put("x")
    draining = asyncio.create_task(outbox.drained())
    await asyncio.sleep(0)
    await outbox.get()
    await asyncio.sleep(0)
    assert not draining.done(), "the frame was taken, but may not have been sent yet"
    writer = asyncio.create_task(outbox.get())
    await draining
    writer.cancel()


async def test_close_releases_who_waits_for_room():
    outbox = Outbox(limit_ms=100)
    outbox.put("a", 90)
    waiting = asyncio.create_task(outbox.room())
    await asyncio.sleep(0)
    outbox.close()
    await waiting


@given(st.lists(st.integers(0, 90), max_size=60))
def test_the_bound_holds_for_any_sizes(sizes):
    outbox = Outbox(limit_ms=100)
    offered = dropped = 0.0
    for number, ms in enumerate(sizes):
        dropped += outbox.put(str(number), ms)
        offered += ms
        assert outbox.waiting_ms <= 100 + 90
    assert outbox.waiting_ms == offered - dropped
    assert sum(1 for ms in sizes if not ms) == sum(1 for _, ms in outbox._frames if not ms)
