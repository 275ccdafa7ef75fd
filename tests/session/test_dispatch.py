import asyncio
import functools
import threading

import pytest

from realtime_facade.events import AudioChunk, ErrorOccurred, Event, RawEvent, TurnEnded
from realtime_facade.session.dispatch import Dispatcher, is_async


async def test_handlers_get_their_types_and_event_stands_for_all():
    dispatcher = Dispatcher()
    turns, everything = [], []
    dispatcher.subscribe(TurnEnded, turns.append)
    dispatcher.subscribe(Event, everything.append)
    dispatcher.publish(RawEvent(name="x", data={}))
    dispatcher.publish(TurnEnded())
    await dispatcher.close()
    assert [e.type for e in turns] == ["turn_ended"]
    assert [e.type for e in everything] == ["raw", "turn_ended"]


async def test_a_sync_handler_runs_in_a_thread_and_in_order():
    dispatcher = Dispatcher()
    seen = []
    dispatcher.subscribe(RawEvent, lambda e: seen.append((e.name, threading.current_thread())))
    for name in "abc":
        dispatcher.publish(RawEvent(name=name, data={}))
    await dispatcher.close()
    assert [name for name, _ in seen] == ["a", "b", "c"]
    assert threading.main_thread() not in {thread for _, thread in seen}


async def test_a_slow_handler_delays_only_itself():
    dispatcher = Dispatcher()
    release = asyncio.Event()
    quick = asyncio.Event()

    async def slow(event: Event) -> None:
        await release.wait()

    async def fast(event: Event) -> None:
        quick.set()

    dispatcher.subscribe(Event, slow)
    dispatcher.subscribe(Event, fast)
    dispatcher.publish(TurnEnded())
    async with asyncio.timeout(1):
        await quick.wait()
    release.set()
    await dispatcher.close()


async def test_unsubscribed_handlers_finish_what_they_have():
    dispatcher = Dispatcher()
    seen = []
    subscription = dispatcher.subscribe(TurnEnded, seen.append)
    dispatcher.publish(TurnEnded())
    subscription.cancel()
    dispatcher.publish(TurnEnded())
    await dispatcher.close()
    assert len(seen) == 1


async def test_a_handler_that_hangs_is_cancelled_at_the_end(caplog):
    dispatcher = Dispatcher()
    cancelled = asyncio.Event()

    async def hang(event: Event) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    dispatcher.subscribe(TurnEnded, hang)
    dispatcher.publish(TurnEnded())
    await dispatcher.close(grace_s=0.05)
    assert cancelled.is_set()
    assert "did not finish" in caplog.text


async def test_an_error_handler_that_fails_does_not_feed_itself(caplog):
    dispatcher = Dispatcher()
    calls = []

    async def fail(event: ErrorOccurred) -> None:
        calls.append(event)
        raise ValueError("again")

    dispatcher.subscribe(ErrorOccurred, fail)
    dispatcher.publish(ErrorOccurred(message="first"))
    await dispatcher.close()
    assert len(calls) == 1


async def test_waiting_audio_can_be_dropped_for_all_readers():
    dispatcher = Dispatcher()
    first, second = dispatcher.open(AudioChunk), dispatcher.open(Event)
    dispatcher.publish(AudioChunk(data=bytes(960)))
    dispatcher.publish(TurnEnded())
    dispatcher.drop_audio()
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
