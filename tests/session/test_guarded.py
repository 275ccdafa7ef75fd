"""Whole sessions with guardrails: what is heard, told, remembered and sent."""

import asyncio

import pytest

from realtime_facade.audio.playback import Playback
from realtime_facade.config import RealtimeConfig
from realtime_facade.events import (
    AudioChunk,
    Event,
    GuardrailFailed,
    GuardrailTripped,
    InputCommitted,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.features import guardrails
from realtime_facade.guardrails import input_guardrail, output_guardrail
from realtime_facade.providers.base import Profile

IDS = {"item_id": "a", "response_id": "r"}
SECOND = bytes(48_000)


@pytest.fixture(autouse=True)
def no_gathering(monkeypatch):
    monkeypatch.setattr(guardrails, "GATHER_S", 0.0)


def words(text: str, **fields) -> TranscriptDelta:
    return TranscriptDelta(text=text, **IDS, **fields)


def sound(seconds: float, **fields) -> AudioChunk:
    return AudioChunk(data=SECOND * int(seconds), **IDS, **fields)


def ends(text: str) -> list[Event]:
    return [sound(0, is_final=True), words("", is_final=True, full_text=text)]


@output_guardrail(mode="hold")
async def no_secrets(text):
    return "secret" in text


@output_guardrail(debounce_chars=1)
async def stops_secrets(text):
    return "secret" in text


async def test_an_answer_that_passes_is_as_if_nobody_had_read_it(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink), guardrails=[no_secrets])
    await conversation.receive(
        ResponseStarted(response_id="r"), words("Hello "), sound(1), words("there."), sound(1)
    )
    assert sink.queued == b""
    await conversation.receive(*ends("Hello there."), ResponseDone(response_id="r"))
    assert sink.queued == SECOND * 2
    assert sum(len(e.data) for e in conversation.of(AudioChunk)) == len(SECOND) * 2
    assert [e.is_final for e in conversation.of(AudioChunk)] == [False, False, True]
    assert "".join(e.text for e in conversation.of(TranscriptDelta)) == "Hello there."
    assert conversation.of(TranscriptDelta)[-1].full_text == "Hello there."
    assert conversation.session.history.format() == "Assistant: Hello there."


async def test_a_trip_truncates_at_what_was_heard(start, sink):
    """Heard <= let go <= received, and the text of what was held is nobody's."""
    conversation = await start(playback=Playback(24_000, sink=sink), guardrails=[no_secrets])
    harmless = "It is a nice day, and I have quite a lot of things to say, my dear friend; "
    await conversation.receive(
        ResponseStarted(response_id="r"), words(harmless), sound(1), sound(1), sound(1), sound(1)
    )
    assert sink.queued == SECOND * 2
    sink.position_ms = 1_500
    await conversation.receive(words("the secret is "))
    assert sink.cleared == 1
    [interrupted] = conversation.of(Interrupted)
    [item] = interrupted.items
    assert (item.heard_ms, item.received_ms) == (1_500, 4_000)
    assert interrupted.reason == "guardrail"
    assert harmless.startswith(item.heard_text)
    assert 15 < len(item.heard_text) < 35
    [tripped] = conversation.of(GuardrailTripped)
    assert tripped.text == f"{harmless}the secret is "
    sent = await conversation.sent(3)
    assert [frame["command"] for frame in sent] == [
        "CancelResponse",
        "TruncateOutput",
        "RequestResponse",
    ]
    assert sent[1]["audio_end_ms"] == 1_500
    assert sent[2]["at_once"]
    [turn] = conversation.session.history.turns
    assert (turn.text, turn.interrupted, turn.heard_ms) == (item.heard_text, True, 1_500)
    await conversation.receive(sound(1), words("here it comes"), *ends("whatever"))
    assert sink.queued == b""
    assert conversation.session.history.turns == [turn]


async def test_an_answer_of_which_nothing_was_let_go_is_forgotten(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink), guardrails=[no_secrets])
    await conversation.receive(
        ResponseStarted(response_id="r"),
        sound(2),
        words("secret"),
        *ends("secret"),
        ResponseDone(response_id="r"),
    )
    assert [f["command"] for f in await conversation.sent(2)] == ["DeleteItem", "RequestResponse"]
    assert conversation.of(AudioChunk) == []
    assert "".join(e.text for e in conversation.of(TranscriptDelta)) == ""
    assert conversation.of(TranscriptDelta)[-1].full_text == ""
    assert conversation.session.history.turns == []


async def test_speech_of_the_user_drops_what_is_held_after_the_answer_is_complete(start, sink):
    never = asyncio.Event()

    @output_guardrail(mode="hold")
    async def hangs(text):
        await never.wait()

    conversation = await start(playback=Playback(24_000, sink=sink), guardrails=[hangs])
    await conversation.receive(
        ResponseStarted(response_id="r"),
        words("Hello"),
        sound(1),
        *ends("Hello"),
        ResponseDone(response_id="r"),
        SpeechStarted(item_id="u"),
    )
    [interrupted] = conversation.of(Interrupted)
    assert [(i.heard_ms, i.received_ms) for i in interrupted.items] == [(0, 1_000)]
    assert [f["command"] for f in await conversation.sent(1)] == ["DeleteItem"]
    assert sink.queued == b""


async def test_what_was_heard_whole_stays_when_only_its_end_was_held(start, sink):
    run = asyncio.Event()

    @output_guardrail(mode="hold")
    async def slow_at_the_end(ctx, agent, text):
        if ctx.is_final:
            await run.wait()
        return False

    conversation = await start(playback=Playback(24_000, sink=sink), guardrails=[slow_at_the_end])
    text = "A sentence of many words, said rather quickly. "
    await conversation.receive(ResponseStarted(response_id="r"), words(text), sound(1))
    await conversation.receive(*ends(text))
    assert sink.queued == SECOND
    sink.position_ms = 1_000
    await conversation.receive(ResponseDone(response_id="r"), SpeechStarted(item_id="u"))
    assert conversation.of(Interrupted)[0].items == ()
    assert conversation.of(TranscriptDelta)[-1].full_text.strip() == text.strip()
    assert conversation.session.history.format() == f"Assistant: {text.strip()}"


async def test_interrupt_mode_lets_sound_pass_and_cuts_it(start, sink):
    conversation = await start(playback=Playback(24_000, sink=sink), guardrails=[stops_secrets])
    await conversation.receive(ResponseStarted(response_id="r"), words("The "), sound(2))
    assert sink.queued == SECOND * 2
    sink.position_ms = 500
    await conversation.receive(words("secret "))
    assert sink.queued == b""
    sent = [frame["command"] for frame in await conversation.sent(3)]
    assert sent == ["CancelResponse", "TruncateOutput", "RequestResponse"]
    await conversation.receive(ResponseStarted(response_id="r2"))
    again = AudioChunk(data=SECOND, item_id="b", response_id="r2")
    await conversation.receive(again)
    assert sink.queued == SECOND


async def test_a_provider_that_cannot_forget_is_not_asked_to(start, sink):
    profile = Profile(
        provider="plain", model="test", supports_truncation=False, supports_cancel=False
    )
    conversation = await start(
        profile=profile, playback=Playback(24_000, sink=sink), guardrails=[stops_secrets]
    )
    await conversation.receive(ResponseStarted(response_id="r"), sound(1), words("secret "))
    assert [f["command"] for f in await conversation.sent(1)] == ["RequestResponse"]
    assert await conversation.sent() == []


TEXT = RealtimeConfig(modalities=("text",))


async def test_what_is_written_is_held_too(start):
    conversation = await start(TEXT, guardrails=[no_secrets])
    await conversation.receive(ResponseStarted(response_id="r"), words("The "), words("answer "))
    assert "".join(e.text for e in conversation.of(TranscriptDelta)) == "The answer "
    await conversation.receive(words("is secret"), words("", is_final=True, full_text="..."))
    assert "".join(e.text for e in conversation.of(TranscriptDelta)) == "The answer "
    assert conversation.of(TranscriptDelta)[-1].full_text == "The answer"
    sent = [frame["command"] for frame in await conversation.sent(3)]
    assert sent == ["CancelResponse", "DeleteItem", "RequestResponse"]
    assert conversation.session.history.format() == "Assistant: The answer"


async def test_a_written_answer_that_is_complete_can_still_be_taken_back(start):
    run = asyncio.Event()

    @output_guardrail(mode="hold")
    async def slow(text):
        await run.wait()
        return True

    conversation = await start(TEXT, guardrails=[slow])
    await conversation.receive(
        ResponseStarted(response_id="r"),
        words("It is secret"),
        words("", is_final=True, full_text="It is secret"),
        ResponseDone(response_id="r"),
    )
    run.set()
    sent = [frame["command"] for frame in await conversation.sent(2)]
    assert sent == ["DeleteItem", "RequestResponse"]
    await conversation.receive()
    assert conversation.session.history.turns == []
    assert [e.full_text for e in conversation.of(TranscriptDelta)] == [""]


async def test_a_written_answer_that_is_interrupted_keeps_what_was_told(start):
    conversation = await start(TEXT)
    await conversation.receive(ResponseStarted(response_id="r"), words("The answer is"))
    await conversation.session.interrupt()
    assert conversation.session.history.format() == "Assistant: The answer is"


async def test_patience_is_bounded(start, sink):
    @output_guardrail(mode="hold", on_failure="allow")
    async def hangs(text):
        await asyncio.sleep(60)

    conversation = await start(
        RealtimeConfig(max_hold_ms=50), playback=Playback(24_000, sink=sink), guardrails=[hangs]
    )
    await conversation.receive(ResponseStarted(response_id="r"), words("Hello "), sound(1))
    assert sink.queued == b""
    await asyncio.sleep(0.15)
    assert sink.queued == SECOND
    assert [e.allowed for e in conversation.of(GuardrailFailed)] == [True]
    await conversation.receive(sound(1))
    assert sink.queued == SECOND * 2


@pytest.mark.parametrize("mode", ["interrupt", "hold"])
async def test_the_answer_to_forbidden_words_of_the_user(start, sink, mode):
    @input_guardrail(mode=mode)
    async def polite(text):
        return "damn" in text

    conversation = await start(playback=Playback(24_000, sink=sink), guardrails=[polite])
    await conversation.receive(
        SpeechStarted(item_id="u"),
        InputCommitted(item_id="u"),
        ResponseStarted(response_id="r"),
        words("Oh "),
        sound(1),
    )
    assert sink.queued == (SECOND if mode == "interrupt" else b"")
    await conversation.receive(
        TranscriptDelta(text="damn", is_final=True, full_text="damn", speaker="user", item_id="u")
    )
    assert sink.queued == b""
    sent = [frame["command"] for frame in await conversation.sent(3)]
    assert sent == ["CancelResponse", "DeleteItem", "RequestResponse"]
    await conversation.receive(ResponseDone(response_id="r", status="cancelled"))
    await conversation.receive(
        ResponseStarted(response_id="r2"),
        AudioChunk(data=SECOND, item_id="b", response_id="r2"),
    )
    assert sink.queued == SECOND


async def test_captions_that_follow_the_voice_follow_what_is_let_go(start):
    now = 0.0
    playback = Playback(24_000, clock=lambda: now)
    conversation = await start(
        RealtimeConfig(captions="heard"), playback=playback, guardrails=[no_secrets]
    )
    text = "One two three four five six seven eight "
    await conversation.receive(ResponseStarted(response_id="r"), words(text), sound(1))
    assert [e.text for e in conversation.of(TranscriptDelta)] == [text]
    await conversation.receive(words("secret "))
    assert "secret" not in "".join(e.text for e in conversation.of(TranscriptDelta))


async def test_quiet_is_when_nothing_is_held(start):
    run = asyncio.Event()

    @output_guardrail(mode="hold")
    async def slow(text):
        await run.wait()
        return False

    conversation = await start(guardrails=[slow])
    await conversation.receive(ResponseStarted(response_id="r"), words("Hello"))
    quiet = asyncio.create_task(conversation.session.wait_quiet())
    await conversation.receive(
        *ends("Hello"),
        ResponseDone(response_id="r"),
        TurnEnded(response_id="r"),
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(quiet), 0.7)
    run.set()
    await asyncio.wait_for(quiet, 3)
    assert conversation.of(TranscriptDelta)[-1].full_text == "Hello"


@pytest.mark.parametrize("text", ["Hello my dear friend, the ", "Hello my secret friend, the "])
async def test_what_is_held_when_a_connection_is_lost_is_read_as_well(start, sink, text):
    read = asyncio.Event()

    @output_guardrail(mode="hold")
    async def slow(said):
        await read.wait()
        return "secret" in said

    conversation = await start(
        playback=Playback(24_000, sink=sink), guardrails=[slow], connections=2
    )
    await conversation.receive(ResponseStarted(response_id="r"), words(text), sound(1))
    await conversation.server.close()
    await conversation.receive()
    assert sink.queued == b""
    read.set()
    for _ in range(50):
        await asyncio.sleep(0.01)
    if "secret" in text:
        assert sink.queued == b""
        assert len(conversation.of(GuardrailTripped)) == 1
        assert "secret" not in conversation.session.history.format()
    else:
        assert sink.queued == SECOND
        assert conversation.of(GuardrailTripped) == []
        assert conversation.session.history.format().startswith("Assistant: Hello my dear")
