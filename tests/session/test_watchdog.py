import asyncio
from dataclasses import replace

import pytest

from realtime_facade.audio.pcm import chunks
from realtime_facade.audio.playback import Playback
from realtime_facade.config import RealtimeConfig
from realtime_facade.events import (
    AnswerStalled,
    AudioChunk,
    ConnectionChanged,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.providers.base import Profile
from realtime_facade.session.state import Phase
from realtime_facade.simulator.babble import BabbleVoice

STALL_S = 0.15
QUICK = RealtimeConfig(stall_timeout_s=STALL_S)
PROFILE = Profile(provider="plain", model="test", supports_truncation=True, supports_cancel=True)


async def steps(conversation, count: int) -> list[str]:
    """The first `count` steps that were taken."""
    async with asyncio.timeout(5):
        while len(conversation.of(AnswerStalled)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return [event.step for event in conversation.of(AnswerStalled)][:count]


async def reconnected(conversation) -> None:
    async with asyncio.timeout(5):
        while len(conversation.provider.servers) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def quiet(conversation, times: float = 4) -> None:
    """Wait for several times the patience; nothing may have been done."""
    await asyncio.sleep(STALL_S * times)
    assert conversation.of(AnswerStalled) == []


async def test_words_without_an_answer_climb_the_ladder(start):
    conversation = await start(QUICK, connections=2)
    await conversation.session.send_text("are you there")
    assert await steps(conversation, 3) == ["nudge", "ask_again", "reconnect"]
    first = conversation.provider.servers[0]
    sent = [await first.receive() for _ in range(3)]
    assert '"SendText"' in sent[0]
    assert '"RequestResponse"' in sent[1]
    assert '"SendText"' in sent[2]
    await reconnected(conversation)
    assert (await conversation.sent(1))[0]["text"] == "are you there"
    assert [e.count for e in conversation.of(AnswerStalled)][:3] == [1, 2, 3]
    assert conversation.of(AnswerStalled)[0].waited_ms >= STALL_S * 900
    assert len(conversation.session.history.turns) == 1, "asked again is not said again"


async def test_while_there_is_no_connection_nobody_is_asked(start):
    conversation = await start(QUICK, connections=2)
    conversation.provider.answers.clear()
    await conversation.server.close(1006)
    await conversation.session.send_text("are you there")
    await quiet(conversation)
    conversation.provider.answers.set()
    assert await steps(conversation, 1) == ["nudge"]
    assert '"SendText"' in await conversation.provider.servers[1].receive()


async def test_an_answer_that_comes_ends_it(start):
    conversation = await start(QUICK)
    await conversation.session.send_text("hello")
    assert await steps(conversation, 1) == ["nudge"]
    await conversation.receive(
        ResponseStarted(response_id="r"), ResponseDone(response_id="r"), TurnEnded()
    )
    await asyncio.sleep(STALL_S * 4)
    assert len(conversation.of(AnswerStalled)) == 1


async def test_an_answer_that_stops_is_asked_for_over_a_fresh_connection(start):
    conversation = await start(QUICK, connections=2)
    await conversation.session.send_text("count")
    await conversation.receive(
        ResponseStarted(response_id="r"),
        TranscriptDelta(text="one two", item_id="i", response_id="r"),
    )
    assert await steps(conversation, 1) == ["reconnect"]
    [command] = await conversation.sent(1)
    assert command["command"] == "RequestResponse"
    assert "where you stopped" in command["instructions"]
    assert conversation.of(ConnectionChanged)[-1].state == "connected"


async def test_what_is_still_being_heard_is_waited_for(start, sink):
    conversation = await start(QUICK, playback=Playback(24_000, sink=sink))
    await conversation.receive(
        ResponseStarted(response_id="r"),
        AudioChunk(data=bytes(48_000), item_id="i", response_id="r"),
    )
    sink.position_ms = 0.0
    await quiet(conversation)


async def test_nobody_has_been_waiting_while_nobody_had_said_anything(start):
    """A provider is silent while the user is; the microphone lets the watchdog look meanwhile."""
    conversation = await start(RealtimeConfig(stall_timeout_s=0.4))
    conversation.session.send_audio(bytes(960))
    await asyncio.sleep(0.7)
    await conversation.session.send_text("hello")
    await asyncio.sleep(0.2)  # it looks after 0.8 s
    assert conversation.of(AnswerStalled) == []
    assert await steps(conversation, 1) == ["nudge"]


async def test_a_running_tool_is_no_stall(start):
    async def work(call: ToolCallRequest) -> None:
        await asyncio.sleep(60)

    conversation = await start(QUICK, tool_handler=work)
    await conversation.receive(
        ResponseStarted(response_id="r"),
        ToolCallRequest(call_id="c", function_name="f", response_id="r"),
        ResponseDone(response_id="r"),
    )
    await quiet(conversation)


async def test_nobody_waits_while_nothing_is_due(start):
    conversation = await start(QUICK)
    await quiet(conversation)


@pytest.mark.parametrize("answers", [True, False])
async def test_a_model_that_may_hold_its_tongue_is_left_in_peace(start, answers):
    conversation = await start(QUICK, profile=replace(PROFILE, answers_every_turn=answers))
    await conversation.receive(SpeechStarted(), SpeechStopped())
    assert conversation.session.phase is Phase.THINKING
    if answers:
        assert await steps(conversation, 1) == ["nudge"]
    else:
        await quiet(conversation)


async def test_it_can_be_switched_off(start):
    conversation = await start(RealtimeConfig(stall_timeout_s=None))
    await conversation.session.send_text("hello")
    await quiet(conversation)


async def test_without_reconnecting_the_ladder_ends_before_it(start):
    conversation = await start(QUICK.changed(reconnect=False))
    await conversation.session.send_text("hello")
    assert await steps(conversation, 2) == ["nudge", "ask_again"]
    await asyncio.sleep(STALL_S * 4)
    assert len(conversation.of(AnswerStalled)) == 2
    assert conversation.session.is_active


async def speak(conversation, pcm: bytes) -> None:
    """Send a microphone's audio in less than its time, but not at once."""
    for index, piece in enumerate(chunks(pcm, 20, 24_000)):
        conversation.session.send_audio(piece)
        if index % 20 == 0:
            await asyncio.sleep(0.005)


async def voice(text: str = "is anybody listening to me") -> bytes:
    return b"".join([chunk async for chunk in BabbleVoice().speak(text)])


@pytest.mark.parametrize("begun", [False, True])
async def test_a_voice_that_nobody_hears_means_a_dead_connection(start, begun):
    conversation = await start(RealtimeConfig(stall_timeout_s=0.3), connections=2)
    conversation.session.send_audio(await voice() + bytes(4_800))
    if begun:
        await conversation.receive(SpeechStarted())
        conversation.session.send_audio(await voice() + bytes(4_800))
    assert await steps(conversation, 1) == ["reconnect"]
    # What nobody heard is heard again.
    await reconnected(conversation)
    assert sum(f.get("bytes", 0) for f in await conversation.sent()) > 48_000


async def test_somebody_who_talks_for_long_is_left_alone(start):
    conversation = await start(RealtimeConfig(stall_timeout_s=0.2), connections=2)
    sentence = await voice()
    for _ in range(10):
        conversation.session.send_audio(sentence)
        await asyncio.sleep(0.06)
    assert conversation.of(AnswerStalled) == []


async def test_silence_that_nobody_answers_is_fine(start):
    conversation = await start(RealtimeConfig(stall_timeout_s=0.1), connections=2)
    await speak(conversation, bytes(48_000 * 3))
    await asyncio.sleep(0.4)
    assert conversation.of(AnswerStalled) == []


async def test_a_network_that_takes_nothing_is_given_up(start, monkeypatch):
    monkeypatch.setattr("realtime_facade.session.watchdog.CLOGGED_S", 0.02)
    conversation = await start(RealtimeConfig(), connections=2)
    conversation.engine.connection.link._writer.cancel()
    conversation.engine.connection.link._transport.send_nowait = lambda frame: False
    for _ in range(20):
        await speak(conversation, bytes(9_600))
        await asyncio.sleep(0.005)
    assert (await steps(conversation, 1)) == ["reconnect"]
