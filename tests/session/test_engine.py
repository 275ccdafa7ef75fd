import asyncio
import logging

import numpy as np
import pytest

from realtime_facade.audio.playback import Playback
from realtime_facade.config import RealtimeConfig, VADMode
from realtime_facade.errors import (
    AudioFormatError,
    ConfigurationError,
    RealtimeConnectionError,
    SessionClosed,
)
from realtime_facade.events import (
    AudioChunk,
    AudioDropped,
    ConfigWarning,
    ConnectionChanged,
    ErrorOccurred,
    Event,
    Interrupted,
    OutputCancelled,
    RawEvent,
    ResponseDone,
    ResponseStarted,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.session.observer import Observer
from realtime_facade.session.session import Session
from realtime_facade.session.state import Phase

SECOND = bytes(48_000)


def speech(ms: int = 1000, item: str = "item-1", response: str = "r-1") -> AudioChunk:
    return AudioChunk(data=bytes(48 * ms), item_id=item, response_id=response)


async def test_started_session_knows_its_id(start):
    conversation = await start()
    assert conversation.session.session_id == "s-1"
    assert conversation.session.is_active
    assert conversation.session.phase is Phase.LISTENING


async def test_audio_goes_out_in_order_with_control_frames(start):
    conversation = await start(RealtimeConfig(vad_mode=VADMode.MANUAL))
    session: Session = conversation.session
    session.send_audio(bytes(960))
    await session.send_audio(bytes(480))
    await session.commit_audio()
    sent = await conversation.sent(3)
    assert [(f["command"], f.get("bytes")) for f in sent] == [
        ("AppendAudio", 960),
        ("AppendAudio", 480),
        ("CommitAudio", None),
    ]


async def test_half_a_sample_is_kept_for_the_next_call(start):
    conversation = await start()
    conversation.session.send_audio(bytes(961))
    conversation.session.send_audio(bytes(1))
    assert [f["bytes"] for f in await conversation.sent(2)] == [960, 2]


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros((10, 2), np.int16), "2 dimensions, mono expected"),
        (np.zeros(10, np.float32), "16-bit integers expected"),
        ("text", "must be bytes, not str"),
    ],
)
async def test_audio_of_the_wrong_shape_is_refused(start, audio, message):
    conversation = await start()
    with pytest.raises(AudioFormatError, match=message) as caught:
        conversation.session.send_audio(audio)
    assert caught.value.advice
    assert await conversation.sent() == []


async def test_an_array_of_samples_is_audio(start):
    conversation = await start()
    conversation.session.send_audio(np.zeros(480, np.int16))
    assert [f["bytes"] for f in await conversation.sent(1)] == [960]


async def test_input_is_resampled_to_the_providers_rate(start):
    from realtime_facade.providers.base import Profile

    conversation = await start(
        RealtimeConfig(input_rate=48_000, vad_mode=VADMode.MANUAL),
        profile=Profile(provider="plain", model="m", input_rate=16_000),
    )
    for _ in range(50):
        await conversation.session.send_audio(bytes(1920))
    await conversation.session.commit_audio()
    sent = await conversation.sent()
    assert sum(f.get("bytes", 0) for f in sent) == 32_000
    assert sent[-1]["command"] == "CommitAudio"


async def test_late_audio_is_dropped_and_reported_but_control_is_kept(start):
    conversation = await start()
    conversation.engine.connection.link._writer.cancel()
    session = conversation.session
    await session.send_text("first")
    for _ in range(250):
        session.send_audio(bytes(960))
    await asyncio.sleep(0.01)
    dropped = conversation.of(AudioDropped)
    # Each chunk beyond two seconds pushes the oldest one out.
    assert sum(e.duration_ms for e in dropped) == pytest.approx(5000 - 2000 - 20, abs=20)
    assert {e.direction for e in dropped} == {"input"}
    waiting = [frame for frame, _ in conversation.engine.connection.link.outbox._frames]
    assert '"SendText"' in waiting[0]


async def test_awaited_audio_waits_for_room_and_loses_nothing(start):
    conversation = await start()

    async def send_ten_seconds() -> None:
        for _ in range(500):
            await conversation.session.send_audio(bytes(960))

    sending = asyncio.create_task(send_ten_seconds())
    sent = await conversation.sent(500)
    await sending
    assert len(sent) == 500
    assert conversation.of(AudioDropped) == []


async def test_one_long_buffer_is_sent_whole(start):
    conversation = await start()
    await conversation.session.send_audio(SECOND * 30)
    assert [f["bytes"] for f in await conversation.sent(1)] == [30 * 48_000]


async def test_a_bad_frame_is_one_error_and_the_session_goes_on(start):
    conversation = await start()
    await conversation.server.send('{"type": "nonsense"}')
    await conversation.receive(RawEvent(name="x", data={}))
    [error] = conversation.of(ErrorOccurred)
    assert (error.cause, error.fatal) == ("protocol", False)
    assert conversation.of(RawEvent)
    assert conversation.session.is_active


async def test_output_is_resampled_per_item_to_its_exact_length(start):
    conversation = await start(RealtimeConfig(output_rate=16_000))
    await conversation.receive(
        ResponseStarted(response_id="r-1"),
        speech(100),
        speech(100),
        AudioChunk(data=b"", is_final=True, item_id="item-1", response_id="r-1"),
    )
    chunks = conversation.of(AudioChunk)
    assert sum(len(c.data) for c in chunks) == 6_400
    assert {c.sample_rate for c in chunks} == {16_000}
    assert [c.is_final for c in chunks][-1] is True


async def test_the_phase_follows_the_conversation(start):
    conversation = await start()
    session = conversation.session
    phases = []
    for event in (
        SpeechStarted(),
        SpeechStopped(),
        ResponseStarted(response_id="r-1"),
        ResponseDone(response_id="r-1"),
        TurnEnded(),
    ):
        await conversation.receive(event)
        phases.append(session.phase)
    assert phases == [
        Phase.HEARING,
        Phase.THINKING,
        Phase.ANSWERING,
        Phase.ANSWERING,
        Phase.LISTENING,
    ]


async def test_speech_cuts_at_what_the_sink_played(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink))
    await conversation.receive(
        ResponseStarted(response_id="r-1"),
        TranscriptDelta(text="one two three four", item_id="item-1", response_id="r-1"),
        speech(2000),
    )
    sink.position_ms = 750.0
    await conversation.receive(SpeechStarted(item_id="u-1"))
    assert (sink.cleared, bytes(sink.queued)) == (1, b"")
    assert await conversation.sent() == [
        {"command": "TruncateOutput", "item_id": "item-1", "audio_end_ms": 750}
    ]
    [cut] = conversation.of(Interrupted)
    assert (cut.item_id, cut.heard_ms, cut.reason, cut.estimated) == (
        "item-1",
        750,
        "speech",
        False,
    )
    assert cut.items[0].heard_text == "one"


async def test_a_cut_answer_ends_its_transcript_with_what_was_heard(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink))
    await conversation.receive(
        ResponseStarted(response_id="r-1"),
        TranscriptDelta(text="one two three four", item_id="item-1", response_id="r-1"),
        speech(1000),
    )
    sink.position_ms = 500.0
    await conversation.receive(SpeechStarted())
    final = conversation.of(TranscriptDelta)[-1]
    assert (final.is_final, final.text, final.full_text) == (True, "", "one two")


async def test_an_answer_that_was_heard_as_far_as_it_came_keeps_its_words(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink))
    await conversation.receive(
        ResponseStarted(response_id="r-1"),
        TranscriptDelta(text="one two", item_id="item-1", response_id="r-1"),
        speech(1000),
    )
    sink.position_ms = 1000.0
    await conversation.receive(SpeechStarted())
    final = conversation.of(TranscriptDelta)[-1]
    assert (final.is_final, final.full_text) == (True, "one two")


async def test_unheard_items_are_deleted_and_heard_ones_left_alone(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink))
    await conversation.receive(
        ResponseStarted(response_id="r-1"),
        speech(1000, "first"),
        speech(1000, "second"),
        speech(1000, "third"),
    )
    sink.position_ms = 1200.0
    await conversation.receive(SpeechStarted())
    assert await conversation.sent() == [
        {"command": "TruncateOutput", "item_id": "second", "audio_end_ms": 200},
        {"command": "DeleteItem", "item_id": "third"},
    ]


async def test_stale_deltas_after_the_cut_are_not_heard(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink))
    await conversation.receive(ResponseStarted(response_id="r-1"), speech(100))
    await conversation.receive(
        SpeechStarted(),
        speech(100),
        TranscriptDelta(text="late", item_id="item-1", response_id="r-1"),
        OutputCancelled(response_id="r-1"),
        ResponseDone(response_id="r-1", status="cancelled"),
        ResponseStarted(response_id="r-2"),
        speech(100, "item-2", "r-2"),
    )
    assert [c.item_id for c in conversation.of(AudioChunk)] == ["item-1", "item-2"]
    assert [t.text for t in conversation.of(TranscriptDelta)] == []
    assert len(conversation.of(Interrupted)) == 1
    assert sink.cleared == 1, "the next answer may be queued by the second time"
    assert bytes(sink.queued) == bytes(4800)


async def test_a_generated_but_unheard_answer_is_cut_too(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink))
    await conversation.receive(
        ResponseStarted(response_id="r-1"),
        speech(3000),
        ResponseDone(response_id="r-1"),
        TurnEnded(),
    )
    sink.position_ms = 1000.0
    await conversation.receive(SpeechStarted())
    assert [f["audio_end_ms"] for f in await conversation.sent()] == [1000]


async def test_speech_after_everything_was_heard_cuts_nothing(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink))
    await conversation.receive(
        ResponseStarted(response_id="r-1"), speech(500), ResponseDone(response_id="r-1")
    )
    sink.position_ms = 500.0
    await conversation.receive(SpeechStarted())
    assert conversation.of(Interrupted) == []
    assert await conversation.sent() == []


async def test_a_request_to_interrupt_cancels_but_speech_does_not(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink))
    await conversation.receive(ResponseStarted(response_id="r-1"), speech(500))
    sink.position_ms = 100.0
    await conversation.session.interrupt()
    assert [f["command"] for f in await conversation.sent()] == ["CancelResponse", "TruncateOutput"]
    await conversation.session.interrupt()
    assert await conversation.sent() == []


async def test_interruption_can_be_switched_off(start, sink):
    conversation = await start(
        RealtimeConfig(interrupt_response=False), playback=Playback(24_000, sink=sink)
    )
    await conversation.receive(ResponseStarted(response_id="r-1"), speech(500), SpeechStarted())
    assert conversation.of(Interrupted) == []
    assert len(sink.queued) == 24_000


async def test_a_slow_handler_does_not_hold_up_the_interruption(start, sink):
    """30 s of audio wait for a handler that takes 100 ms per chunk; then the user speaks."""
    conversation = await start(playback=Playback(24_000, sink=sink))
    played: list[AudioChunk] = []
    told = asyncio.Event()

    async def play(chunk: AudioChunk) -> None:
        played.append(chunk)
        await asyncio.sleep(0.1)

    async def tell(event: Interrupted) -> None:
        told.set()

    audio = conversation.session.on(AudioChunk, play)
    conversation.session.on(Interrupted, tell)
    await conversation.receive(ResponseStarted(response_id="r-1"), *[speech(100)] * 300)
    sink.position_ms = 80.0
    assert audio.mailbox.audio_ms > 29_000
    before = len(played)
    await conversation.receive(SpeechStarted())
    assert told.is_set()
    assert len(audio.mailbox) == 0
    assert len(played) == before
    assert await conversation.sent() == [
        {"command": "TruncateOutput", "item_id": "item-1", "audio_end_ms": 80}
    ]
    await asyncio.sleep(0.25)
    assert len(played) == before


async def test_the_providers_end_is_an_event_with_a_reason(start):
    conversation = await start(RealtimeConfig(reconnect=False))
    stream = conversation.session.events()
    await conversation.server.close(1001, "going away")
    events = [event async for event in stream]
    assert [type(e) for e in events] == [ErrorOccurred, ConnectionChanged, SessionEnded]
    assert (events[1].state, events[1].code) == ("closed", 1001)
    assert (events[-1].code, events[-1].reason, events[-1].retryable) == (
        1001,
        "closed: going away",
        True,
    )
    assert not conversation.session.is_active
    with pytest.raises(SessionClosed) as caught:
        conversation.session.send_audio(b"")
    assert isinstance(caught.value.__cause__, RealtimeConnectionError)


async def test_what_the_provider_said_before_it_hung_up_is_the_reason(start):
    conversation = await start(RealtimeConfig(reconnect=False))
    await conversation.receive(
        ErrorOccurred(message="60 minutes are over", cause="expired", retryable=True, fatal=True)
    )
    await conversation.server.close(1001)
    ended = await conversation.session.wait_closed()
    assert (ended.message, ended.cause) == ("60 minutes are over", "expired")
    await asyncio.sleep(0)
    assert len(conversation.of(ErrorOccurred)) == 1


async def test_closing_twice_is_harmless_and_says_so_once(start):
    conversation = await start()
    stream = conversation.session.events()
    await conversation.session.close()
    await conversation.session.close()
    closed, end = [event async for event in stream]
    assert closed.state == "closed"
    assert end.requested


async def test_what_was_queued_is_sent_before_the_close(start):
    conversation = await start()
    await conversation.session.send_text("goodbye")
    await conversation.session.close()
    assert [f["command"] for f in await conversation.sent(1)] == ["SendText"]


async def test_a_handler_may_close_its_own_session(start):
    conversation = await start()

    async def hang_up(event: TurnEnded) -> None:
        await conversation.session.close()

    conversation.session.on(TurnEnded, hang_up)
    await conversation.receive(TurnEnded())
    async with asyncio.timeout(2):
        await conversation.session.wait_closed()


async def test_a_failing_handler_is_reported_and_called_again(start, caplog):
    conversation = await start()
    calls = []

    def fail(event: Event) -> None:
        calls.append(event)
        raise ValueError("broken")

    conversation.session.on(TurnEnded, fail)
    with caplog.at_level(logging.CRITICAL, "realtime_facade"):
        await conversation.receive(TurnEnded(), TurnEnded())
        await asyncio.sleep(0.05)
    assert len(calls) == 2
    assert [e.code for e in conversation.of(ErrorOccurred)] == ["handler_failed"] * 2
    assert conversation.session.is_active


async def test_two_streams_get_the_same_events(start):
    conversation = await start()
    first, second = conversation.session.events(), conversation.session.events()
    await conversation.receive(TurnEnded())
    assert await anext(first) == await anext(second) == TurnEnded()
    await first.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(first)
    await conversation.receive(RawEvent(name="x", data={}))
    assert (await anext(second)).type == "raw"


async def test_a_dropped_stream_is_forgotten(start):
    conversation = await start()
    before = len(conversation.engine.bus._subscriptions)
    stream = conversation.session.events()
    assert len(conversation.engine.bus._subscriptions) == before + 1
    del stream
    assert len(conversation.engine.bus._subscriptions) == before


async def test_update_keeps_what_was_set_and_checks_the_rest(start):
    conversation = await start(RealtimeConfig(instructions="short", vad_threshold=0.4))
    session = conversation.session
    await session.update(speed=1.2)
    assert (session.config.instructions, session.config.speed) == ("short", 1.2)
    [frame] = await conversation.sent(1)
    assert (frame["command"], frame["changed"]) == ("UpdateSession", ["speed"])
    await session.update(turn_detection={"type": "semantic_vad"})
    assert session.config.turns.type == "semantic_vad"
    with pytest.raises(ConfigurationError, match="cannot change model"):
        await session.update(model="other")
    with pytest.raises(ConfigurationError, match="speed"):
        await session.update(speed=9)


async def test_warnings_are_kept_and_logged(start, caplog):
    conversation = await start()
    with caplog.at_level(logging.WARNING, "realtime_facade"):
        await conversation.receive(ConfigWarning(setting="temperature", message="ignored"))
    assert [w.setting for w in conversation.session.warnings] == ["temperature"]
    assert "temperature: ignored" in caplog.text


async def test_a_tool_call_overtakes_audio_in_a_slow_stream(start):
    conversation = await start()
    stream = conversation.session.events()
    await conversation.receive(
        ResponseStarted(response_id="r-1"),
        speech(100),
        ToolCallRequest(call_id="c", function_name="f", response_id="r-1"),
    )
    first = await anext(stream)
    assert first.type == "tool_call"


async def test_a_failing_observer_is_reported_and_the_others_go_on(start, caplog):
    conversation = await start()

    class Broken(Observer):
        def on_event(self, event: Event) -> None:
            raise ValueError("broken")

    conversation.engine._observers.insert(0, Broken())
    with caplog.at_level(logging.CRITICAL, "realtime_facade"):
        await conversation.receive(
            TranscriptDelta(text="hello", item_id="a", response_id="r"), TurnEnded()
        )
    assert conversation.session.is_active
    assert [e.code for e in conversation.of(ErrorOccurred)] == ["failed", "failed"]
    assert "Broken failed" in conversation.of(ErrorOccurred)[0].message
    assert conversation.session.history.turns[0].text == "hello"


async def test_a_sink_that_fails_does_not_silence_the_handlers(start, sink, caplog):
    def fail(pcm: bytes) -> None:
        raise OSError("unplugged")

    sink.write = fail
    conversation = await start(playback=Playback(24_000, sink=sink))
    with caplog.at_level(logging.CRITICAL, "realtime_facade"):
        await conversation.receive(ResponseStarted(response_id="r-1"), speech(100))
    assert len(conversation.of(AudioChunk)) == 1
    assert "unplugged" in conversation.of(ErrorOccurred)[0].message
    assert conversation.session.is_active


async def test_an_observer_that_cannot_finish_does_not_keep_the_others_open(start, caplog):
    conversation = await start()
    finished = []

    class Broken(Observer):
        async def finish(self) -> None:
            raise OSError("disk full")

    class Fine(Observer):
        async def finish(self) -> None:
            finished.append(self)

    conversation.engine._observers += [Broken(), Fine()]
    with caplog.at_level(logging.ERROR, "realtime_facade"):
        await conversation.session.close()
    assert len(finished) == 1
    assert "Broken could not finish" in caplog.text


async def test_an_observer_that_fails_on_a_command_does_not_stop_it(start, caplog):
    conversation = await start()

    class Broken(Observer):
        def on_command(self, command: object) -> None:
            raise ValueError("broken")

    conversation.engine._observers.insert(0, Broken())
    with caplog.at_level(logging.CRITICAL, "realtime_facade"):
        await conversation.session.send_text("hello")
    assert [f["command"] for f in await conversation.sent(1)] == ["SendText"]
    assert conversation.session.history.turns[0].text == "hello"
