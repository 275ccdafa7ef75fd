"""What a conversation is billed for, on every wire."""

from realtime_facade import (
    RealtimeAgent,
    RealtimeConfig,
    ResponseDone,
    SessionEnded,
    TurnEnded,
    Usage,
    UsageLimit,
    UsageLimitReached,
    UsageReported,
    UsageUpdated,
)

SCENARIO = """
[[turns]]
heard = "what is the weather in paris"
steps = [{ call = "get_weather", arguments = { city = "Paris" } }, { say = "{output}" }]
[[turns]]
steps = [{ say = "You are welcome." }]
"""


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"It is sunny in {city}."


async def test_totals_are_the_sum_of_all_bills(start, speech, row):
    async with start(SCENARIO, tools=(get_weather,)) as talk:
        for frame in speech:
            await talk.session.send_audio(frame)
        await talk.until(TurnEnded)
        await talk.session.send_text("thanks")
        await talk.until(TurnEnded)
        bills = [e.usage for e in talk.of(ResponseDone)] + [e.usage for e in talk.of(UsageReported)]
        updates = talk.of(UsageUpdated)
        assert len(updates) == len(bills) >= 2
        total = updates[-1].session
        assert total == sum(bills, Usage())
        assert total.total == total.input.total + total.output.total
        assert total.input.audio > 0
        assert total.output.audio > 0
        assert updates[-1].turn.total < total.total
        # A recognizer beside the model is billed by time.
        assert (total.audio_s > 0) == (row.provider == "openai")


async def test_at_the_limit_the_answer_is_heard_and_the_session_ends(start):
    def limited(config: RealtimeConfig) -> RealtimeAgent:
        limit = UsageLimit(tokens=1)
        return RealtimeAgent(config=config, usage_limit=limit, prices="published")

    async with start(SCENARIO, tools=(get_weather,), agent=limited) as talk:
        await talk.session.send_text("what is the weather in paris")
        ended = await talk.until(SessionEnded)
        assert (ended.reason, ended.requested) == ("usage_limit", True)
        assert len(talk.of(UsageLimitReached)) == 1
        assert talk.session.history.turns[-1].text == "It is sunny in Paris."
        assert talk.session.playback.pending_ms == 0
        assert talk.of(UsageUpdated)[-1].cost > 0
