"""A conversation that begins with a past: the model knows it, and goes on from there."""

import pytest

from realtime_facade import (
    ConversationHistory,
    ConversationSeed,
    SeedMessage,
    ToolRound,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.simulator.parts import Message, ToolOutput

STORY = """
[[turns]]
heard = "hello"
steps = [{ say = "Hello there, my friend." }]
[[turns]]
steps = [{ call = "weather", arguments = { city = "Rome" } }, { say = "It is {output}." }]
[[turns]]
heard = "thank you"
steps = [{ say = "Not at all." }]
"""


def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


async def test_the_model_knows_the_seed_before_it_hears_anything(start):
    seed = ConversationSeed(
        messages=[
            SeedMessage.user("My name is Alice."),
            SeedMessage(role="system", text="Be brief."),
            ToolRound(call_id="1", function_name="f", arguments={"a": 1}, output="42"),
            SeedMessage.assistant("Got it, Alice."),
        ]
    )
    async with start(STORY, conversation_seed=seed) as talk:
        await talk.session.send_text("Hi")
        await talk.until(TurnEnded)
        (record,) = talk.simulator.connections
        assert record.conversation == (
            Message("user", "My name is Alice."),
            Message("system", "Be brief."),
            ToolOutput("f", {"a": 1}, "42"),
            Message("assistant", "Got it, Alice."),
            Message("user", "Hi"),
            Message("assistant", "Hello there, my friend."),
        )
        assert [(turn.text, turn.seeded) for turn in talk.session.history] == [
            ("My name is Alice.", True),
            ("Got it, Alice.", True),
            ("Hi", False),
            ("Hello there, my friend.", False),
        ]


async def test_a_saved_conversation_goes_on(start, speech, tmp_path):
    async with start(STORY, tools=(weather,)) as talk:
        for text in ("hello", "How is the weather?"):
            await talk.session.send_text(text)
            await talk.until(TurnEnded)
        talk.session.history.save(tmp_path / "talk.json")

    saved = ConversationHistory.load(tmp_path / "talk.json")
    assert [call.output for call in saved.tool_rounds] == ["sunny in Rome"]
    seed = ConversationSeed.from_history(saved)
    async with start(STORY, tools=(weather,), conversation_seed=seed) as talk:
        for frame in speech:
            await talk.session.send_audio(frame)
        await talk.until(TurnEnded)
        assert talk.session.history.format() == (
            "User: hello\nAssistant: Hello there, my friend.\n"
            "User: How is the weather?\nAssistant: It is sunny in Rome.\n"
            "User: thank you\nAssistant: Not at all."
        )


@pytest.mark.parametrize("said", ["Hello", "Hello there, my"])
async def test_an_answer_that_was_cut_off_is_finished_on_request(start, said):
    seed = ConversationSeed.from_pairs(("hello", said))
    async with start(STORY, conversation_seed=seed) as talk:
        await talk.session.request_response("Go on where you stopped.")
        await talk.until(TurnEnded)
        words = "".join(delta.text for delta in talk.of(TranscriptDelta))
        assert f"{said} {words.strip()}" == "Hello there, my friend."


async def test_the_users_last_words_are_answered_on_request(start):
    seed = ConversationSeed(messages=[SeedMessage.user("hello")])
    async with start(STORY, conversation_seed=seed) as talk:
        await talk.session.request_response()
        await talk.until(TurnEnded)
        assert talk.session.history.turns[-1].text == "Hello there, my friend."
