import asyncio

from realtime_facade.audio.playback import Playback
from realtime_facade.config import RealtimeConfig
from realtime_facade.events import (
    AudioChunk,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    TranscriptDelta,
)

LOUD = b"\x10\x10"


def chunk(ms: int, *, final: bool = False) -> AudioChunk:
    return AudioChunk(data=LOUD * 24 * ms, item_id="a", response_id="r", is_final=final)


def words(text: str, **more) -> TranscriptDelta:
    return TranscriptDelta(text=text, item_id="a", response_id="r", **more)


def told(conversation) -> list[str]:
    return [e.full_text if e.is_final else e.text for e in conversation.of(TranscriptDelta)]


async def heard(sink, conversation, ms: float) -> list[str]:
    sink.position_ms = ms
    await asyncio.sleep(0.12)
    return told(conversation)


async def test_words_come_when_they_sound(start, sink):
    conversation = await start(
        RealtimeConfig(captions="heard"), playback=Playback(24_000, sink=sink)
    )
    await conversation.receive(
        ResponseStarted(response_id="r"),
        words("one "),
        words("two "),
        words("six "),
        chunk(300),
        words("", is_final=True, full_text="one two six "),
        chunk(0, final=True),
        ResponseDone(response_id="r"),
    )
    assert told(conversation) == ["one "]
    assert await heard(sink, conversation, 50) == ["one "]
    assert await heard(sink, conversation, 110) == ["one ", "two "]
    assert await heard(sink, conversation, 250) == ["one ", "two ", "six "]
    assert await heard(sink, conversation, 300) == ["one ", "two ", "six ", "one two six "]


async def test_an_interruption_ends_the_captions_where_hearing_ended(start, sink):
    conversation = await start(
        RealtimeConfig(captions="heard"), playback=Playback(24_000, sink=sink)
    )
    await conversation.receive(
        ResponseStarted(response_id="r"), words("one "), words("two "), words("six "), chunk(300)
    )
    sink.position_ms = 120
    await conversation.receive(SpeechStarted())
    await asyncio.sleep(0.1)
    assert told(conversation) == ["one ", "one"]
    assert conversation.of(Interrupted)[0].items[0].heard_text == "one"


async def test_the_users_words_and_written_answers_wait_for_nothing(start, sink):
    conversation = await start(
        RealtimeConfig(captions="heard", modalities=("text",)),
        playback=Playback(24_000, sink=sink),
    )
    await conversation.receive(
        TranscriptDelta(text="hi", speaker="user", item_id="u"),
        ResponseStarted(response_id="r"),
        words("hello"),
    )
    assert told(conversation) == ["hi", "hello"]


async def test_history_does_not_wait(start, sink):
    conversation = await start(
        RealtimeConfig(captions="heard"), playback=Playback(24_000, sink=sink)
    )
    await conversation.receive(ResponseStarted(response_id="r"), words("one "), words("two "))
    assert conversation.session.history.turns[-1].text == "one two "
