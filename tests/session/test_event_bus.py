import asyncio
import functools
import threading

import pytest

from realtime_facade.events import AudioChunk, ErrorOccurred, Event, RawEvent, TurnEnded
from realtime_facade.session.event_bus import EventBus
from realtime_facade.tools.run import is_async


async def test_handlers_get_their_types_and_event_stands_for_all():
    bus = EventBus()
    turns, everything = [], []
    bus.subscribe(TurnEnded, turns.append)
    bus.subscribe(Event, everything.append)
    bus.publish(RawEvent(name="x", data={}))
    bus.publish(TurnEnded())
    await bus.close()
    assert [e.type for e in turns] == ["turn_ended"]
    assert [e.type for e in everything] == ["raw", "turn_ended"]


def test_handlers_can_subscribe_before_there_is_an_event_loop():
    bus = EventBus()
    seen = []
    bus.subscribe(TurnEnded, seen.append)

    async def happen() -> None:
        bus.publish(TurnEnded())
        await bus.close()

    asyncio.run(happen())
    assert seen == [TurnEnded()]


async def test_a_sync_handler_runs_in_a_thread_and_in_order():
    bus = EventBus()
    seen = []
    bus.subscribe(RawEvent, lambda e: seen.append((e.name, threading.current_thread())))
    for name in "abc":
        bus.publish(RawEvent(name=name, data={}))
    await bus.close()
    assert [name for name, _ in seen] == ["a", "b", "c"]
    assert threading.main_thread() not in {thread for _, thread in seen}


async def test_a_slow_handler_delays_only_itself():
    bus = EventBus()
    release = asyncio.Event()
    quick = asyncio.Event()

    async def slow(event: Event) -> None:
        await release.wait()

    async def fast(event: Event) -> None:
        quick.set()

    bus.subscribe(Event, slow)
    bus.subscribe(Event, fast)
    bus.publish(TurnEnded())
    async with asyncio.timeout(1):
        await quick.wait()
    release.set()
    await bus.close()


async def test_unsubscribed_handlers_finish_what_they_have():
    bus = EventBus()
    seen = []
    subscription = bus.subscribe(TurnEnded, seen.append)
    bus.publish(TurnEnded())
    subscription.cancel()
    bus.publish(TurnEnded())
    await bus.close()
    assert len(seen) == 1


async def test_a_handler_that_hangs_is_cancelled_at_the_end(caplog):
    bus = EventBus()
    cancelled = asyncio.Event()

    async def hang(event: Event) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    bus.subscribe(TurnEnded, hang)
    bus.publish(TurnEnded())
    await bus.close(grace_s=0.05)
    assert cancelled.is_set()
    assert "did not finish" in caplog.text


async def test_an_error_handler_that_fails_does_not_feed_itself(caplog):
    bus = EventBus()
    calls = []

    async def fail(event: ErrorOccurred) -> None:
        calls.append(event)
        raise ValueError("again")

    bus.subscribe(ErrorOccurred, fail)
    bus.publish(ErrorOccurred(message="first"))
    await bus.close()
    assert len(calls) == 1


async def test_waiting_audio_can_be_dropped_for_all_readers():
    bus = EventBus()
    first, second = bus.open(AudioChunk), bus.open(Event)
    bus.publish(AudioChunk(data=bytes(960)))
    bus.publish(TurnEnded())
    bus.drop_audio()
    assert (len(first.mailbox), len(second.mailbox)) == (0, 1)


class Callable:
    async def __call__(self, event: Event) -> None: ...

    async def method(self, event: Event) -> None: ...


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (Callable(), True),
        (Callable().method, True),
        (functools.partial(Callable().method), True),
        (print, False),
        (lambda e: None, False),
    ],
)
def test_async_handlers_are_recognized_in_any_dress(handler, expected):
    assert is_async(handler) is expected
