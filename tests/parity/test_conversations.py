import asyncio

import pytest

from realtime_facade import (
    AudioChunk,
    ErrorOccurred,
    InputCommitted,
    Interrupted,
    RealtimeConnectionError,
    ResponseDone,
    ResponseStarted,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCallCompleted,
    ToolCallRequest,
    ToolDefinition,
    TranscriptDelta,
    TurnEnded,
    VADMode,
)
from realtime_facade.audio.pcm import silence

HELLO = """
[[turns]]
heard = "what is the weather in paris"
steps = [{ say = "It is sunny in Paris, as it should be." }]
[[turns]]
steps = [{ say = "You are welcome." }]
"""
LONG = """
[[turns]]
heard = "tell me a story"
steps = [{ say = "Once upon a time there was a very small computer that could not stop \
talking about the weather, and nobody knew how to make it end, so it went on and on and on until \
it was late." }]
[[turns]]
heard = "stop please"
steps = [{ say = "All right." }]
"""


def words(talk, speaker="assistant"):
    return "".join(t.text for t in talk.of(TranscriptDelta) if t.speaker == speaker)


async def test_a_text_turn(start):
    async with start(HELLO) as talk:
        await talk.session.send_text("What is the weather in Paris?")
        await talk.until(TurnEnded)
        assert words(talk) == "It is sunny in Paris, as it should be."
        finals = [t for t in talk.of(TranscriptDelta) if t.is_final]
        assert [t.full_text for t in finals] == ["It is sunny in Paris, as it should be."]
        chunks = talk.of(AudioChunk)
        assert chunks[-1].is_final
        assert sum(c.duration_ms for c in chunks) > 1_000
        assert {c.sample_rate for c in chunks} == {24_000}
        [started], [done] = talk.of(ResponseStarted), talk.of(ResponseDone)
        assert started.response_id == done.response_id == chunks[0].response_id
        assert done.status == "completed"
        assert done.usage.total == done.usage.input.total + done.usage.output.total > 0
        assert talk.session.history.format() == (
            "User: What is the weather in Paris?\nAssistant: It is sunny in Paris, as it should be."
        )


async def test_a_voice_turn(start, speech, row):
    async with start(HELLO) as talk:
        for frame in speech:
            await talk.session.send_audio(frame)
        await talk.until(TurnEnded)
        # The user's words may come after the answer.
        if not [t for t in talk.of(TranscriptDelta) if t.speaker == "user" and t.is_final]:
            await talk.until(TranscriptDelta)
        assert words(talk, "user").strip() == "what is the weather in paris"
        assert words(talk) == "It is sunny in Paris, as it should be."
        if row.reports_speech:
            [began], [stopped] = talk.of(SpeechStarted), talk.of(SpeechStopped)
            assert 0 <= began.audio_ms < stopped.audio_ms
            order = [type(e) for e in talk.events]
            assert order.index(SpeechStarted) < order.index(SpeechStopped)
            assert order.index(SpeechStopped) < order.index(ResponseStarted)
        assert [t.role for t in talk.session.history.turns] == ["user", "assistant"]


async def test_a_manual_turn(start, speech):
    async with start(HELLO, vad_mode=VADMode.MANUAL) as talk:
        for frame in speech:
            await talk.session.send_audio(frame)
        await asyncio.sleep(0.2)
        assert talk.session.phase.value != "answering", "nobody has ended the turn yet"
        await talk.session.commit_audio()
        await talk.until(TurnEnded)
        assert words(talk) == "It is sunny in Paris, as it should be."
        for frame in speech:
            await talk.session.send_audio(frame)
        await talk.session.commit_audio()
        await talk.until(TurnEnded)
        assert words(talk).endswith("You are welcome.")
        assert talk.of(SpeechStarted) == []


async def test_a_tool_call_round(start):
    seen = []

    async def get_weather(city: str, days: int = 1) -> dict[str, object]:
        """Get the weather of a city."""
        seen.append((city, days))
        return {"sky": "clear"}

    scenario = """
    [[turns]]
    steps = [
      { call = "get_weather", arguments = { city = "Paris", days = 2 } },
      { say = "The tool said {output}." },
    ]
    """
    async with start(scenario, tools=(get_weather,)) as talk:
        await talk.session.send_text("weather?")
        await talk.until(TurnEnded)
        assert seen == [("Paris", 2)]
        [call], [done] = talk.of(ToolCallRequest), talk.of(ToolCallCompleted)
        assert (call.function_name, call.arguments) == ("get_weather", {"city": "Paris", "days": 2})
        assert (done.call_id, done.output, done.is_error) == (
            call.call_id,
            '{"sky":"clear"}',
            False,
        )
        assert "clear" in words(talk)
        assert len(talk.of(TurnEnded)) == 1


async def test_parallel_calls_get_one_answer_each_and_one_reply(start):
    async def add(a: int, b: int) -> int:
        await asyncio.sleep(0.05 if a == 1 else 0)
        return a + b

    scenario = """
    [[turns]]
    steps = [
      { call = "add", arguments = { a = 1, b = 2 } },
      { call = "add", arguments = { a = 3, b = 4 } },
      { call = "add", arguments = { a = 5, b = 6 } },
      { say = "Done." },
    ]
    """
    async with start(scenario, tools=(add,)) as talk:
        await talk.session.send_text("add")
        await talk.until(TurnEnded)
        assert sorted(int(e.output) for e in talk.of(ToolCallCompleted)) == [3, 7, 11]
        assert words(talk) == "Done."


async def test_a_handler_answers_tools_that_are_only_defined(start):
    scenario = """
    [[turns]]
    steps = [{ call = "look", arguments = { where = "up" } }, { say = "I see {output}." }]
    """
    looked = []

    def setup(voice):
        @voice.on_tool_call
        async def look(request: ToolCallRequest):
            looked.append(request.arguments["where"])
            return "stars"

    tool = ToolDefinition(
        name="look",
        description="Look.",
        parameters={"type": "object", "properties": {"where": {"type": "string"}}},
    )
    async with start(scenario, tools=(tool,), setup=setup) as talk:
        await talk.session.send_text("look")
        await talk.until(TurnEnded)
        assert looked == ["up"]
        assert "stars" in words(talk)


async def test_an_unknown_tool_is_answered_with_the_names_there_are(start):
    def known() -> str:
        """Something."""
        return ""

    scenario = """
    [[turns]]
    steps = [{ call = "missing" }, { say = "I got: {output}" }]
    """
    async with start(scenario, tools=(known,)) as talk:
        await talk.session.send_text("go")
        await talk.until(TurnEnded)
        assert "unknown tool 'missing', there are: known" in words(talk)


class Listener:
    """A sink that has played as much as the test says."""

    def __init__(self):
        self.heard_ms = 0.0
        self.written = bytearray()
        self.cleared = 0

    def write(self, pcm):
        self.written += pcm

    def clear(self):
        self.cleared += 1

    def played_ms(self):
        return self.heard_ms


async def test_the_user_cuts_in(start, speech, row):
    sink = Listener()
    # Slow enough that the answer is still being generated when the user speaks.
    async with start(LONG, sink=sink, simulator={"speed": 4}) as talk:
        await talk.session.send_text("tell me a story")
        await talk.until(AudioChunk, 6)
        sink.heard_ms = 400.0
        for frame in speech:
            await talk.session.send_audio(frame)
        cut = await talk.until(Interrupted)
        assert sink.cleared == 1
        assert (cut.heard_ms, cut.reason, cut.estimated) == (400, "speech", False)
        [item] = cut.items
        assert item.received_ms > 400
        assert words(talk).startswith(item.heard_text)
        assert item.heard_text
        received = len(talk.of(AudioChunk))
        await talk.until(TurnEnded, 2)
        [first, second] = talk.of(ResponseDone)
        assert (first.status, second.status) == ("cancelled", "completed")
        late = [c for c in talk.of(AudioChunk)[received:] if c.item_id == item.item_id and c.data]
        assert late == [], "stale audio of the cut answer"
        assert [t.full_text for t in talk.of(TranscriptDelta) if t.is_final][-1] == "All right."
        turns = talk.session.history.turns
        assert turns[1].interrupted
        assert turns[1].text == item.heard_text


async def test_an_answer_that_was_generated_but_not_heard_is_cut(start, speech):
    sink = Listener()
    async with start(LONG, sink=sink, simulator={"speed": 0}) as talk:
        await talk.session.send_text("tell me a story")
        await talk.until(AudioChunk, 30)
        sink.heard_ms = 1_000.0
        for frame in speech:
            await talk.session.send_audio(frame)
        cut = await talk.until(Interrupted)
        assert cut.heard_ms == 1_000
        await talk.until(TurnEnded)
        assert talk.of(ErrorOccurred) == []


async def test_an_interruption_on_request(start, row):
    sink = Listener()
    async with start(LONG, sink=sink, simulator={"speed": 4}) as talk:
        await talk.session.send_text("tell me a story")
        await talk.until(AudioChunk, 4)
        sink.heard_ms = 250.0
        await talk.session.interrupt()
        cut = await talk.until(Interrupted)
        assert (cut.heard_ms, cut.reason) == (250, "request")
        await talk.session.send_text("thanks")
        await talk.until(TurnEnded, 2 if row.truncates else 1)
        assert talk.of(ErrorOccurred) == []


async def test_wrong_rate_and_half_samples_do_not_matter(start, speech):
    audio = b"".join(speech)
    async with start(HELLO, input_rate=24_000, output_rate=16_000) as talk:
        for begin in range(0, len(audio), 777):
            await talk.session.send_audio(audio[begin : begin + 777])
        await talk.session.end_audio()
        await talk.until(TurnEnded)
        assert {c.sample_rate for c in talk.of(AudioChunk)} == {16_000}
        assert words(talk) == "It is sunny in Paris, as it should be."


async def test_split_samples_from_the_provider_are_put_together(start):
    scenario = HELLO + '\n[[faults]]\nkind = "odd_chunks"\nturn = 1\n'
    async with start(scenario) as talk:
        await talk.session.send_text("hi")
        await talk.until(TurnEnded)
        assert all(len(c.data) % 2 == 0 for c in talk.of(AudioChunk))
    async with start(HELLO) as whole:
        await whole.session.send_text("hi")
        await whole.until(TurnEnded)
    assert b"".join(c.data for c in talk.of(AudioChunk)) == b"".join(
        c.data for c in whole.of(AudioChunk)
    )


async def test_the_end_of_the_connection_is_an_event_with_a_reason(start):
    scenario = HELLO + '\n[[faults]]\nkind = "close"\ncode = 1011\nreason = "Internal error"\n'
    async with start(scenario, reconnect=False) as talk:
        await talk.session.send_text("hi")
        ended = await talk.until(SessionEnded)
        assert (ended.code, ended.requested) == (1011, False)
        assert ended.cause in {"provider", "network"}
        assert ended.retryable
        assert ended.advice
        assert isinstance(await talk.session.wait_closed(), RealtimeConnectionError)


async def test_a_provider_that_does_not_acknowledge_is_given_up(start, row):
    message = "session.updated" if row.provider == "openai" else "setupComplete"
    scenario = HELLO + f'\n[[faults]]\nkind = "drop"\nmessage = "{message}"\nturn = 0\n'
    with pytest.raises(RealtimeConnectionError, match=r"did not accept the session within 0\.3 s"):
        async with start(scenario, setup_timeout_s=0.3):
            pass


async def test_silence_is_not_a_turn(start):
    async with start(HELLO) as talk:
        await talk.session.send_audio(silence(2_000, 24_000))
        await talk.session.send_text("still there?")
        await talk.until(TurnEnded)
        assert talk.of(SpeechStarted) == []
        assert talk.of(InputCommitted) == []
