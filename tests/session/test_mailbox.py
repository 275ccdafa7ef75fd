import asyncio

import pytest

from realtime_facade.events import AudioChunk, Interrupted, RawEvent, TurnEnded
from realtime_facade.session import mailbox as module
from realtime_facade.session.mailbox import Mailbox

CHUNK = AudioChunk(data=bytes(4800))


async def test_order_is_kept_but_urgent_events_overtake():
    mailbox = Mailbox()
    for event in (CHUNK, TurnEnded(), Interrupted()):
        mailbox.put(event)
    got = [(await mailbox.get()).type for _ in range(3)]
    assert got == ["interrupted", "audio", "turn_ended"]


async def test_audio_can_be_forgotten_and_nothing_else_is():
    mailbox = Mailbox()
    for event in (CHUNK, TurnEnded(), CHUNK):
        mailbox.put(event)
    assert mailbox.audio_ms == 200
    mailbox.drop_audio()
    assert (len(mailbox), mailbox.audio_ms) == (1, 0)
    assert await mailbox.get() == TurnEnded()


async def test_past_the_bound_the_oldest_audio_goes(monkeypatch):
    monkeypatch.setattr(module, "AUDIO_LIMIT_MS", 250.0)
    mailbox = Mailbox()
    chunks = [AudioChunk(data=bytes(4800), item_id=str(n)) for n in range(4)]
    assert [mailbox.put(c) for c in chunks[:2]] == [0, 0]
    mailbox.put(TurnEnded())
    assert [mailbox.put(c) for c in chunks[2:]] == [100, 100]
    got = [await mailbox.get() for _ in range(3)]
    assert got == [TurnEnded(), chunks[2], chunks[3]]


async def test_a_reader_that_stopped_reading_is_found_out(monkeypatch):
    monkeypatch.setattr(module, "EVENT_LIMIT", 2)
    mailbox = Mailbox()
    mailbox.put(TurnEnded())
    mailbox.put(TurnEnded())
    with pytest.raises(OverflowError):
        mailbox.put(TurnEnded())
    mailbox.put(Interrupted())
    assert len(mailbox) == 3


async def test_a_closed_mailbox_is_read_to_its_end():
    mailbox = Mailbox()
    mailbox.put(TurnEnded())
    mailbox.close()
    assert await mailbox.get() == TurnEnded()
    assert await mailbox.get() is None


async def test_a_waiting_reader_is_woken_by_an_event_or_the_end():
    mailbox = Mailbox()
    reading = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    mailbox.put(RawEvent(name="x", data={}))
    mailbox.put(TurnEnded())
    assert (await reading).type == "raw"
    assert (await mailbox.get()).type == "turn_ended"
    reading = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    mailbox.close()
    assert await reading is None


async def test_two_readers_of_one_mailbox_are_a_mistake():
    mailbox = Mailbox()
    reading = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="two readers"):
        await mailbox.get()
    mailbox.close()
    await reading


async def test_a_cancelled_reader_loses_nothing():
    mailbox = Mailbox()
    reading = asyncio.create_task(mailbox.get())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    mailbox.put(TurnEnded())
    assert await mailbox.get() == TurnEnded()
