import asyncio
import threading
import time

import pytest

from realtime_facade.devices import keeping
from realtime_facade.devices.keeping import Keeper, in_thread
from realtime_facade.devices.null import NullSpeaker
from realtime_facade.errors import RealtimeError


class Stream:
    def __init__(self, life) -> None:
        self.life = life
        self.started = self.closed = False

    def start(self) -> None:
        self.started = True
        self.life.beat()

    def close(self) -> None:
        self.closed = True


class Card:
    """Opens streams, or refuses."""

    def __init__(self, monkeypatch) -> None:
        monkeypatch.setattr(keeping, "FIRST_PAUSE_S", 0.01)
        monkeypatch.setattr(keeping, "SILENCE_S", 0.1)
        self.device = NullSpeaker()
        self.errors: list[RealtimeError] = []
        self.device.on_error = self.errors.append
        self.streams: list[Stream] = []
        self.adopted: list[Stream] = []
        self.refusals = 0
        self.keeper = Keeper(self.device, self.open, self.adopted.append)

    def open(self, life) -> Stream:
        if self.refusals:
            self.refusals -= 1
            raise RealtimeError("busy", cause="device", retryable=True)
        self.streams.append(Stream(life))
        return self.streams[-1]

    async def alive(self, number: int) -> None:
        async with asyncio.timeout(3):
            while self.keeper.reopened < number - 1:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
def card(monkeypatch):
    return Card(monkeypatch)


async def test_a_stream_that_stops_is_reported_and_opened_again(card):
    await card.keeper.start()
    card.refusals = 2
    await asyncio.to_thread(card.streams[0].life.ended)
    await card.alive(2)
    assert card.streams[0].closed
    assert card.adopted == card.streams
    (error,) = card.errors
    assert (error.cause, error.retryable) == ("device", True)
    assert "NullSpeaker was lost: the system stopped it" in str(error)
    assert len(card.streams) == 2
    await card.keeper.stop()
    assert card.streams[1].closed
    assert len(card.errors) == 1


async def test_a_stream_that_falls_silent_is_lost(card):
    await card.keeper.start()
    for _ in range(10):
        await asyncio.sleep(0.03)
        card.streams[0].life.beat()
    assert len(card.streams) == 1
    began = time.monotonic()
    await card.alive(2)
    assert time.monotonic() - began < 0.5
    assert "no sound has passed" in str(card.errors[0])
    await card.keeper.stop()


async def test_the_first_sound_may_take_its_time(card, monkeypatch):
    monkeypatch.setattr(Stream, "start", lambda self: setattr(self, "started", True))
    await card.keeper.start()
    await asyncio.sleep(0.3)
    assert card.errors == []
    await card.keeper.stop()


async def test_the_first_failure_is_the_callers(card):
    card.refusals = 1
    with pytest.raises(RealtimeError, match="busy"):
        await card.keeper.start()
    await card.keeper.stop()
    assert card.streams == []


async def test_a_stream_that_cannot_start_is_closed(card, monkeypatch):
    def fail(self):
        raise RealtimeError("no", cause="device")

    monkeypatch.setattr(Stream, "start", fail)
    with pytest.raises(RealtimeError, match="no"):
        await card.keeper.start()
    assert card.streams[0].closed


async def test_stop_ends_the_attempts(card):
    await card.keeper.start()
    card.refusals = 10**6
    card.streams[0].life.ended()
    await asyncio.sleep(0.05)
    await asyncio.wait_for(card.keeper.stop(), 0.5)
    await card.keeper.stop()
    assert len(card.streams) == 1


async def test_a_server_that_hangs_holds_nobody(card, monkeypatch, caplog):
    monkeypatch.setattr(keeping, "CLOSE_PATIENCE_S", 0.05)
    let_go = threading.Event()
    monkeypatch.setattr(Stream, "close", lambda _: let_go.wait(5))
    await card.keeper.start()
    await asyncio.wait_for(card.keeper.stop(), 1)
    let_go.set()
    assert "does not answer" in caplog.text


async def test_an_opening_that_hangs_is_an_error_and_its_stream_is_closed(card, monkeypatch):
    monkeypatch.setattr(keeping, "OPEN_PATIENCE_S", 0.05)
    let_go = threading.Event()
    opening = card.open

    def slow(life):
        let_go.wait(5)
        return opening(life)

    keeper = Keeper(card.device, slow, card.adopted.append)
    with pytest.raises(RealtimeError, match="did not open within") as caught:
        await keeper.start()
    assert caught.value.retryable
    let_go.set()
    async with asyncio.timeout(2):
        while not (card.streams and card.streams[0].closed):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert card.adopted == []


async def test_a_cancelled_start_leaves_no_stream_open(card):
    let_go = threading.Event()
    opening = card.open

    def slow(life):
        let_go.wait(5)
        return opening(life)

    task = asyncio.create_task(Keeper(card.device, slow, card.adopted.append).start())
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    let_go.set()
    async with asyncio.timeout(2):
        while not (card.streams and card.streams[0].closed):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_a_result_after_the_loop_is_not_lost():
    results, let_go = [], threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            await in_thread(lambda: let_go.wait(5), patience_s=0.01, late=results.append)

    asyncio.run(main())
    let_go.set()
    deadline = time.monotonic() + 2
    while not results and time.monotonic() < deadline:
        time.sleep(0.005)
    assert results == [True]
