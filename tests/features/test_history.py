import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.commands import (
    AnyCommand,
    CommitAudio,
    RequestResponse,
    SendText,
    SendToolResult,
    UpdateSession,
)
from realtime_facade.config import RealtimeConfig
from realtime_facade.conversation import ConversationTurn, SeedMessage
from realtime_facade.events import (
    ConnectionChanged,
    Event,
    HeardItem,
    InputCommitted,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SessionEnded,
    SpeechStarted,
    ToolCallRequest,
    ToolCallsCancelled,
    TranscriptDelta,
)
from realtime_facade.features.history import History
from realtime_facade.providers.base import Profile


def tell(history: History, thing: Event | AnyCommand) -> None:
    if isinstance(thing, Event):
        history.on_event(thing)
    else:
        history.on_command(thing)


def history_of(*happened: Event | AnyCommand) -> History:
    history = History()
    for thing in happened:
        tell(history, thing)
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


def test_words_that_come_after_the_next_turn_land_where_they_belong():
    history = history_of(
        SpeechStarted(item_id="u-1"),
        assistant("Yes?", "a-1"),
        SpeechStarted(item_id="u-2"),
        user("Second", "u-2"),
        assistant("Fine.", "a-2"),
    )
    assert history.conversation.format() == ""
    history.on_event(user("First", "u-1", is_final=True, full_text="First"))
    assert [turn.text for turn in history.conversation] == ["First", "Yes?", "Second", "Fine."]


@pytest.mark.parametrize(
    "ending",
    [
        user("", is_final=True, full_text=""),
        SessionEnded(),
        ConnectionChanged(state="connected"),
        UpdateSession(config=RealtimeConfig(transcription=False), changed=frozenset()),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_words_that_never_come_leave_no_hole(ending):
    history = history_of(SpeechStarted(item_id="u-1"), assistant("Yes?"))
    assert len(history.conversation) == 0
    tell(history, ending)
    assert history.conversation.format() == "Assistant: Yes?"


def test_words_are_awaited_for_a_few_turns_only():
    history = history_of(SpeechStarted(item_id="noise"))
    for number in range(9):
        assert len(history.conversation) == 0
        history.on_event(assistant(f"{number}", f"a-{number}"))
    assert len(history.conversation) == 9
    history.on_event(user("late", "noise"))
    assert history.conversation.turns[-1].text == "late"


def test_what_is_remembered_of_ids_is_bounded():
    history = history_of()
    for number in range(1_000):
        history.on_event(SpeechStarted(item_id=f"u-{number}"))
        history.on_event(assistant("Yes", f"a-{number}"))
    assert len(history._items) <= 64
    assert len(history._awaited) <= 9
    assert len(history.conversation.as_past()) == 1_000


class Silent:
    """A session whose provider does not report speech."""

    config = RealtimeConfig()
    profile = Profile(provider="plain", model="test", emits_speech_events=False)


def test_without_speech_events_the_first_words_may_come_after_those_of_the_answer():
    history = History()
    history.attach(Silent())
    for event in (
        ResponseStarted(response_id="r-1"),
        assistant("It is noon."),
        user("What time is it?"),
        ResponseDone(response_id="r-1"),
    ):
        history.on_event(event)
    assert history.conversation.format() == "User: What time is it?\nAssistant: It is noon."


@pytest.mark.parametrize(
    "reason",
    [
        SendText(text="hello"),
        RequestResponse(),
        CommitAudio(),
        SendToolResult(call_id="c", function_name="f", output=""),
        user("hello", "u-9"),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_an_answer_whose_reason_is_known_is_visible_at_once(reason):
    history = History()
    history.attach(Silent())
    tell(history, reason)
    history.on_event(ResponseStarted(response_id="r-1"))
    history.on_event(assistant("Hi"))
    assert history.conversation.turns[-1].text == "Hi"


def test_an_answer_that_nobody_spoke_for_is_visible_when_it_is_done():
    history = History()
    history.attach(Silent())
    history.on_event(ResponseStarted(response_id="r-1"))
    history.on_event(assistant("Hi"))
    assert len(history.conversation) == 0
    history.on_event(ResponseDone(response_id="r-1"))
    assert history.conversation.format() == "Assistant: Hi"


def test_tool_rounds_have_their_one_output():
    history = history_of(
        ToolCallRequest(call_id="a", function_name="f", arguments={"x": 1}),
        ToolCallRequest(call_id="b", function_name="g"),
        ToolCallRequest(call_id="c", function_name="h"),
        SendToolResult(call_id="a", function_name="f", output="one"),
        ToolCallsCancelled(call_ids=("b",)),
        SendToolResult(call_id="b", function_name="g", output="too late"),
    ).conversation
    assert [(r.call_id, r.output, r.is_error) for r in history.tool_rounds] == [
        ("a", "one", False),
        ("b", "the call was cancelled", True),
        ("c", None, False),
    ]
    assert history.turns == []


def test_a_system_message_is_told_again_but_is_nobodys_turn():
    history = history_of(SendText(text="Be brief", role="system")).conversation
    assert history.as_past() == (SeedMessage(role="system", text="Be brief"),)
    assert len(history) == 0


ids = st.sampled_from(["u-1", "u-2", "u-3", "a-1", "a-2", "a-3", "a-4"])
words = st.sampled_from(["", " ", "one", " two", "three "])
happenings = st.one_of(
    st.builds(SpeechStarted, item_id=ids),
    st.builds(InputCommitted, item_id=ids),
    st.builds(
        lambda item, text, final: TranscriptDelta(
            text=text,
            item_id=item,
            speaker="user" if item[0] == "u" else "assistant",
            is_final=final,
            full_text=text if final else None,
        ),
        ids,
        words,
        st.booleans(),
    ),
    st.builds(
        lambda item, heard: Interrupted(
            items=(HeardItem(item_id=item, heard_ms=9, received_ms=99, heard_text=heard),)
        ),
        ids,
        words,
    ),
    st.builds(ResponseStarted, response_id=st.just("r")),
    st.builds(ResponseDone, response_id=st.just("r")),
    st.just(ConnectionChanged(state="connected")),
    st.builds(SendText, text=words, role=st.sampled_from(["user", "assistant", "system"])),
)


@given(st.lists(st.tuples(happenings, st.booleans()), max_size=60), st.booleans())
def test_nothing_moves_once_it_is_visible(happened, reports_speech):
    history = History()
    if not reports_speech:
        history.attach(Silent())
    seen: list[ConversationTurn] = []
    for thing, look in happened:
        tell(history, thing)
        if look:
            turns = history.conversation.turns
            assert [id(turn) for turn in turns[: len(seen)]] == [id(turn) for turn in seen]
            seen = turns
    tell(history, SessionEnded())
    turns = history.conversation.turns
    assert [id(turn) for turn in turns[: len(seen)]] == [id(turn) for turn in seen]
    # Whoever did not look in between finds no turn without words.
    unseen = {id(turn) for turn in turns} - {id(turn) for turn in seen}
    assert all(turn.text for turn in turns if id(turn) in unseen)
