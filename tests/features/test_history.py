from realtime_facade.commands import SendText
from realtime_facade.conversation import ConversationTurn
from realtime_facade.events import (
    Event,
    HeardItem,
    InputCommitted,
    Interrupted,
    SpeechStarted,
    TranscriptDelta,
)
from realtime_facade.features.history import History


def history_of(*happened: Event | SendText) -> History:
    history = History()
    for thing in happened:
        if isinstance(thing, SendText):
            history.on_command(thing)
        else:
            history.on_event(thing)
    return history


def user(text: str, item: str = "u-1", **more) -> TranscriptDelta:
    return TranscriptDelta(text=text, speaker="user", item_id=item, **more)


def assistant(text: str, item: str = "a-1", **more) -> TranscriptDelta:
    return TranscriptDelta(text=text, item_id=item, **more)


def test_late_words_of_the_user_come_before_the_answer():
    history = history_of(
        SpeechStarted(item_id="u-1"),
        InputCommitted(item_id="u-1"),
        assistant("It is "),
        assistant("noon."),
        user("What time "),
        user("is it?", is_final=True, full_text="What time is it?"),
        assistant("", is_final=True, full_text="It is noon."),
    ).conversation
    assert history.format() == "User: What time is it?\nAssistant: It is noon."
    assert [t.role for t in history.conversation_turns] == ["user", "assistant"]
    assert history.turns[0].content == "What time is it?"


def test_typed_text_is_a_turn_and_system_text_is_not():
    history = history_of(SendText(text="be brief", role="system"), SendText(text="hello"))
    assert history.conversation.turns == [ConversationTurn("user", "hello")]


def test_an_interrupted_answer_ends_where_hearing_ended():
    history = history_of(
        assistant("one two three four", is_final=True, full_text="one two three four"),
        Interrupted(
            item_id="a-1",
            heard_ms=400,
            items=(HeardItem(item_id="a-1", heard_ms=400, received_ms=900, heard_text="one two"),),
        ),
    )
    assert history.conversation.turns == [ConversationTurn("assistant", "one two", True, 400)]


def test_an_answer_of_which_nothing_was_heard_is_not_in_the_conversation():
    history = history_of(
        assistant("hello"),
        Interrupted(items=(HeardItem(item_id="a-1", heard_ms=0, received_ms=900),)),
    )
    assert len(history.conversation) == 0


def test_the_final_wording_wins_over_the_pieces():
    history = history_of(
        user("I scream"), user("", is_final=True, full_text="Ice cream"), user("x", "u-2")
    )
    assert [t.text for t in history.conversation] == ["Ice cream", "x"]


def test_words_without_a_final_delta_are_kept():
    assert history_of(assistant("partial")).conversation.format() == "Assistant: partial"
