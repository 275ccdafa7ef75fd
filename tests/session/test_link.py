"""One connection over memory, without a conversation around it."""

import asyncio
import json
import logging

import pytest

from realtime_facade.commands import CommitAudio, SendText
from realtime_facade.config import RealtimeConfig
from realtime_facade.errors import RealtimeConnectionError, RealtimeError
from realtime_facade.events import (
    AudioDropped,
    ErrorOccurred,
    Event,
    ResponseStarted,
    SessionStarted,
)
from realtime_facade.providers.base import Profile
from realtime_facade.session import link as module
from realtime_facade.session.link import Link
from realtime_facade.transport.base import TransportClosed
from realtime_facade.transport.memory import MemoryTransport

from .conftest import PlainCodec

PROFILE = Profile(provider="plain", model="test")


class Owner:
    """Whoever lives on the link."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.losses: list[tuple[RealtimeError, int | None]] = []

    def received(self, events) -> None:
        self.events += events

    def lost(self, error, code) -> None:
        self.losses.append((error, code))


class Ends:
    """A link, the provider's end of it, and an owner that has not moved in yet."""

    def __init__(
        self,
        profile: Profile = PROFILE,
        max_frames: int = 1_000,
        kind: type[MemoryTransport] = MemoryTransport,
    ) -> None:
        client, self.server = kind.pair(max_frames)
        self.owner = Owner()
        self.released = 0
        self.seen: list[bytes | str] = []
        self.link = Link(
            transport=client,
            codec=PlainCodec(),
            profile=profile,
            config=RealtimeConfig(),
            explain_close=lambda code, reason: RealtimeConnectionError(
                f"closed: {reason}", code=str(code), retryable=True
            ),
            release=self._release,
            on_frame=self.seen.append,
        )
        self.link.begin()

    async def _release(self) -> None:
        self.released += 1

    async def receive(self, *events: Event) -> None:
        for event in events:
            await self.server.send(event.model_dump_json())
        for _ in range(10):
            await asyncio.sleep(0)

    async def sent(self) -> list[dict]:
        frames = []
        while True:
            try:
                async with asyncio.timeout(0.02):
                    frames.append(json.loads(await self.server.receive()))
            except TimeoutError:
                return frames


@pytest.fixture
async def ends():
    made = Ends()
    yield made
    await made.link.close()


async def test_a_link_is_accepted_when_the_provider_says_so(ends):
    assert not ends.link.accepted.done()
    await ends.receive(SessionStarted(session_id="s"))
    assert (await ends.link.accepted).session_id == "s"
    assert await ends.sent() == [{"command": "open"}]


async def test_what_came_before_somebody_moved_in_is_told_first(ends):
    await ends.receive(SessionStarted(), ResponseStarted(response_id="early"))
    ends.link.adopt(ends.owner)
    await ends.receive(ResponseStarted(response_id="late"))
    told = [getattr(event, "response_id", "") for event in ends.owner.events]
    assert told == ["", "early", "late"]


async def test_every_frame_is_seen(ends):
    await ends.receive(SessionStarted(), ResponseStarted(response_id="r"))
    assert len(ends.seen) == 2


async def test_a_link_that_is_lost_before_somebody_moves_in_says_so_then(ends):
    await ends.receive(SessionStarted())
    await ends.server.close(1011, "gone")
    await asyncio.sleep(0.01)
    ends.link.adopt(ends.owner)
    [(error, code)] = ends.owner.losses
    assert (error.message, code) == ("closed: gone", 1011)


async def test_a_link_is_lost_once(ends):
    ends.link.adopt(ends.owner)
    await ends.receive(ErrorOccurred(message="expired", retryable=True, fatal=True))
    await ends.server.close(1001, "bye")
    await asyncio.sleep(0.01)
    [(error, code)] = ends.owner.losses
    assert (error.message, error.retryable, code) == ("expired", True, 1001)
    assert ends.owner.events == [], "a connection's end is not the conversation's"


async def test_a_provider_that_says_why_and_does_not_hang_up_is_left(ends, monkeypatch):
    monkeypatch.setattr(module, "LAST_WORDS_S", 0.03)
    ends.link.adopt(ends.owner)
    await ends.receive(ErrorOccurred(message="expired", fatal=True))
    await asyncio.sleep(0.06)
    [(error, code)] = ends.owner.losses
    assert (error.message, code) == ("expired", None)


@pytest.mark.parametrize("fatal", [True, False])
async def test_a_link_that_is_not_accepted_says_why(ends, fatal):
    if fatal:
        await ends.receive(ErrorOccurred(message="no such model", fatal=True))
    else:
        await ends.server.close(1008, "no such model")
    with pytest.raises(RealtimeError, match="no such model"):
        async with asyncio.timeout(1):
            await ends.link.accepted


async def test_a_frame_that_breaks_the_protocol_is_one_error(ends):
    ends.link.adopt(ends.owner)
    await ends.server.send("{")
    await ends.receive(ResponseStarted(response_id="r"))
    assert [type(event) for event in ends.owner.events] == [ErrorOccurred, ResponseStarted]
    assert ends.owner.losses == []


class Faulty(MemoryTransport):
    """Raises what no transport should."""

    async def receive(self):
        await super().receive()
        raise OSError("the cable")


async def test_a_transport_that_fails_is_a_loss(caplog):
    ends = Ends(kind=Faulty)
    ends.link.adopt(ends.owner)
    with caplog.at_level(logging.CRITICAL, "realtime_facade"):
        await ends.receive(SessionStarted())
    [(error, code)] = ends.owner.losses
    assert "the cable" in error.message
    assert code is None
    await ends.link.close()


async def test_commands_are_translated_and_sent_in_order(ends):
    ends.link.execute(SendText(text="one"))
    ends.link.append(bytes(960))
    ends.link.execute(CommitAudio())
    assert [frame["command"] for frame in await ends.sent()] == [
        "open",
        "SendText",
        "AppendAudio",
        "CommitAudio",
    ]


async def test_audio_goes_out_at_the_providers_rate_to_its_last_sample():
    ends = Ends(Profile(provider="plain", model="test", input_rate=16_000))
    for _ in range(10):
        ends.link.append(bytes(960))
    ends.link.execute(CommitAudio())
    frames = await ends.sent()
    assert sum(frame.get("bytes", 0) for frame in frames) == 10 * 640
    assert frames[-1]["command"] == "CommitAudio"
    await ends.link.close()


async def test_late_audio_is_dropped_unless_it_must_not():
    ends = Ends(max_frames=1)
    second = bytes(48_000)
    dropped = [event for _ in range(5) for event in ends.link.append(second)]
    assert [type(event) for event in dropped] == [AudioDropped] * len(dropped)
    assert dropped
    kept = [event for _ in range(5) for event in ends.link.append(second, may_drop=False)]
    assert kept == []
    frames = await ends.sent()
    lost_s = sum(event.duration_ms for event in dropped) / 1_000
    assert sum(frame.get("bytes", 0) for frame in frames) == (10 - lost_s) * 48_000
    await ends.link.close()


async def test_closing_sends_what_waits_and_releases_once():
    ends = Ends(max_frames=1)
    for number in range(5):
        ends.link.execute(SendText(text=str(number)))

    async def read() -> list[str]:
        texts = []
        while True:
            try:
                texts.append(json.loads(await ends.server.receive()).get("text"))
            except TransportClosed:
                return texts

    reading = asyncio.create_task(read())
    await asyncio.gather(ends.link.close(drain_s=1), ends.link.close(drain_s=1))
    assert await reading == [None, "0", "1", "2", "3", "4"]
    assert ends.released == 1
    assert ends.owner.losses == []


async def test_closing_does_not_wait_for_who_does_not_read():
    ends = Ends(max_frames=3)
    for number in range(10):
        ends.link.execute(SendText(text=str(number)))

    async def room() -> None:
        while True:
            await ends.server.receive()

    closing = asyncio.create_task(ends.link.close(drain_s=0.05))
    await asyncio.sleep(0.1)
    reading = asyncio.create_task(room())  # the memory's close needs a place, too
    async with asyncio.timeout(1):
        await closing
    await asyncio.wait([reading], timeout=0.5)
    reading.cancel()
    await asyncio.wait([reading])
    assert ends.released == 1


async def test_a_closed_link_tells_nobody_anything():
    ends = Ends()
    ends.link.adopt(ends.owner)
    await ends.server.send(ResponseStarted(response_id="r").model_dump_json())
    await ends.link.close()
    assert ends.owner.events == []
    assert ends.owner.losses == []


async def test_a_closer_that_is_cancelled_leaves_nothing_half_closed(ends):
    closing = asyncio.create_task(ends.link.close(drain_s=0.05))
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    await ends.link.close()
    assert ends.released == 1
