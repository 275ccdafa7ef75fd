import asyncio

import pytest

from realtime_facade.audio.playback import Playback
from realtime_facade.config import RealtimeConfig
from realtime_facade.events import (
    AudioChunk,
    Interrupted,
    OutputCancelled,
    PlaybackHeld,
    PlaybackResumed,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
)

CONFIG = RealtimeConfig(interruption_verdict_ms=60)


@pytest.fixture
def holding(sink):
    class Holding(type(sink)):
        can_hold = True
        held = False

        def hold(self) -> None:
            self.held = True

        def resume(self) -> None:
            self.held = False

        def clear(self) -> None:
            super().clear()
            self.held = False

    return Holding()


async def speak(start, sink, config=CONFIG):
    conversation = await start(config, playback=Playback(24_000, sink=sink))
    await conversation.receive(
        ResponseStarted(response_id="r"),
        AudioChunk(data=bytes(48_000), item_id="a", response_id="r"),
        ResponseDone(response_id="r"),
    )
    sink.position_ms = 400.0
    return conversation


async def test_a_cough_holds_playback_and_lets_it_go_on(start, holding):
    conversation = await speak(start, holding)
    await conversation.receive(SpeechStarted())
    assert holding.held
    await conversation.receive(SpeechStopped())
    assert not holding.held
    await asyncio.sleep(0.1)
    assert (len(holding.queued), holding.cleared) == (48_000, 0)
    [resumed] = conversation.of(PlaybackResumed)
    assert 0 <= resumed.held_ms < 60
    assert conversation.of(Interrupted) == []
    assert await conversation.sent() == []


async def test_speech_that_lasts_cuts_where_it_was_held(start, holding):
    conversation = await speak(start, holding)
    await conversation.receive(SpeechStarted())
    assert conversation.of(Interrupted) == []
    await asyncio.sleep(0.1)
    [cut] = conversation.of(Interrupted)
    assert cut.heard_ms == 400
    assert (holding.cleared, holding.held) == (1, False)
    assert [f["audio_end_ms"] for f in await conversation.sent()] == [400]
    await conversation.receive(SpeechStopped())
    assert conversation.of(PlaybackResumed) == []


async def test_a_provider_that_has_dropped_the_answer_ends_the_wait(start, holding):
    conversation = await start(CONFIG, playback=Playback(24_000, sink=holding))
    await conversation.receive(
        ResponseStarted(response_id="r"),
        AudioChunk(data=bytes(48_000), item_id="a", response_id="r"),
    )
    holding.position_ms = 100.0
    await conversation.receive(SpeechStarted())
    assert len(conversation.of(PlaybackHeld)) == 1
    await conversation.receive(OutputCancelled(response_id="r"))
    assert [c.heard_ms for c in conversation.of(Interrupted)] == [100]
    await asyncio.sleep(0.1)
    assert len(conversation.of(Interrupted)) == 1


async def test_a_sink_that_cannot_hold_is_cut_at_once(start, sink):
    conversation = await speak(start, sink)
    await conversation.receive(SpeechStarted())
    assert len(conversation.of(Interrupted)) == 1
    assert conversation.of(PlaybackHeld) == []


async def test_no_window_means_no_waiting(start, holding):
    conversation = await speak(start, holding, RealtimeConfig())
    await conversation.receive(SpeechStarted())
    assert len(conversation.of(Interrupted)) == 1
    assert conversation.of(PlaybackHeld) == []
