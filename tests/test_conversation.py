import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.conversation import (
    ConversationHistory,
    ConversationSeed,
    ConversationTurn,
    SeedMessage,
    ToolRound,
)
from realtime_facade.errors import ConfigurationError

CALL = ToolRound(call_id="c", function_name="weather", arguments={"city": "Rome"})


def test_a_place_without_words_is_not_a_turn():
    history = ConversationHistory()
    place = history.begin("user")
    history.begin("assistant", "hello")
    assert history.format() == "Assistant: hello"
    place.text = "hi"
    assert history.format() == "User: hi\nAssistant: hello"
    assert len(history) == 2


def test_an_awaited_turn_hides_what_follows_until_it_has_words():
    history = ConversationHistory()
    history.begin("user", "one")
    spoken = history.begin("user", awaited=True)
    history.begin("assistant", "three")
    assert history.format() == "User: one"
    assert history.awaits_words
    history.write(spoken, "two")
    assert not history.awaits_words
    assert [turn.text for turn in history] == ["one", "two", "three"]


def test_a_dropped_place_hides_nothing_and_words_cannot_be_dropped():
    history = ConversationHistory()
    first, second = (history.begin("user", awaited=True) for _ in range(2))
    history.begin("assistant", "hello")
    history.write(second, "hi")
    history.drop(first)
    history.drop(second)
    assert history.format() == "User: hi\nAssistant: hello"


def test_an_emptied_turn_stays_only_for_those_who_saw_it():
    histories = ConversationHistory(), ConversationHistory()
    for seen, history in enumerate(histories):
        turn = history.begin("assistant", "hello")
        if seen:
            assert len(history) == 1
        history.write(turn, "")
        history.write(turn, "again")
        assert history.format() == ""
    assert [len(history) for history in histories] == [0, 1]


def test_a_seed_is_pairs_or_messages():
    pairs = ConversationSeed.from_pairs(("Hi", "Hello"), ("Bye", "See you"))
    assert pairs == ConversationSeed(
        messages=[
            SeedMessage.user("Hi"),
            SeedMessage.assistant("Hello"),
            SeedMessage.user("Bye"),
            SeedMessage.assistant("See you"),
        ]
    )


def test_a_seed_begins_the_history_and_is_marked():
    history = ConversationHistory(
        ConversationSeed(
            messages=[SeedMessage.user("Hi"), SeedMessage(role="system", text="Be brief"), CALL]
        )
    )
    history.begin("user", "And?")
    assert [(turn.text, turn.seeded) for turn in history] == [("Hi", True), ("And?", False)]
    assert [item.type for item in history.as_past()] == [
        "message",
        "message",
        "tool_round",
        "message",
    ]


def test_the_past_is_what_was_said_heard_and_done():
    history = ConversationHistory()
    history.begin("user", "Weather?")
    history.tell(SeedMessage(role="system", text="Be brief"))
    history.call(CALL)
    history.answer("c", "sunny")
    history.answer("c", "twice")
    history.answer("unknown", "nothing")
    answer = history.begin("assistant", "It is sunny today")
    history.write(answer, "It is")
    history.begin("user", awaited=True)
    assert history.as_past() == (
        SeedMessage.user("Weather?"),
        SeedMessage(role="system", text="Be brief"),
        CALL.model_copy(update={"output": "sunny"}),
        SeedMessage.assistant("It is"),
    )
    assert history.tool_rounds == [CALL.model_copy(update={"output": "sunny"})]


def test_the_past_since_a_position_has_what_changed_and_calls_that_run():
    history = ConversationHistory()
    history.begin("user", "before")
    history.call(CALL)
    history.call(CALL.model_copy(update={"call_id": "d"}))
    history.answer("d", "told before")
    growing = history.begin("assistant", "Well")
    position = history.position
    assert [item.type for item in history.as_past(position)] == ["tool_round"]
    history.write(growing, "Well, it is")
    history.answer("c", "told after")
    history.begin("user", "after")
    assert history.as_past(position) == (
        CALL.model_copy(update={"output": "told after"}),
        SeedMessage.assistant("Well, it is"),
        SeedMessage.user("after"),
    )
    assert [item.type for item in history.as_past(position, results_since=0)] == [
        "tool_round",
        "tool_round",
        "message",
        "message",
    ]


def test_nothing_of_a_former_conversation_still_runs():
    history = ConversationHistory()
    history.call(CALL)
    assert ConversationSeed.from_history(history) == ConversationSeed(messages=[CALL])
    (call,) = ConversationSeed.from_history(history).messages
    assert call.is_error
    assert "never answered" in call.output


turns = st.builds(
    ConversationTurn,
    role=st.sampled_from(["user", "assistant"]),
    text=st.text(st.characters()),
    interrupted=st.booleans(),
    heard_ms=st.none() | st.integers(0, 10**6),
    seeded=st.booleans(),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)
rounds = st.builds(
    ToolRound,
    call_id=st.text(),
    function_name=st.text(),
    arguments=st.dictionaries(st.text(), json_values, max_size=3),
    output=st.none() | st.text(),
    is_error=st.booleans(),
)
messages = st.builds(SeedMessage, role=st.just("system"), text=st.text())


@given(items=st.lists(turns | rounds | messages, max_size=8))
def test_what_is_saved_is_loaded(tmp_path_factory, items):
    history = ConversationHistory()
    for item in items:
        if isinstance(item, ConversationTurn):
            turn = history.begin(item.role, item.text)
            turn.interrupted, turn.heard_ms, turn.seeded = (
                item.interrupted,
                item.heard_ms,
                item.seeded,
            )
        elif isinstance(item, SeedMessage):
            history.tell(item)
        else:
            history.call(item)
    path = tmp_path_factory.mktemp("saved") / "talk.json"
    history.save(path)
    loaded = ConversationHistory.load(path)
    assert loaded.turns == history.turns
    assert loaded.tool_rounds == history.tool_rounds
    assert loaded.as_past() == history.as_past()


@pytest.mark.parametrize("content", [None, "", "[]", '{"items": [{"type": "poem"}]}', "\xff"])
def test_a_file_that_is_none_is_named_without_its_content(tmp_path, content):
    path = tmp_path / "talk.json"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigurationError, match=r"talk\.json is not a saved") as caught:
        ConversationHistory.load(path)
    assert "poem" not in str(caught.value)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be written"):
        ConversationHistory().save(tmp_path / "nowhere" / "talk.json")
