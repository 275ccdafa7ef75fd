from realtime_facade.cli.story import Story
from realtime_facade.events import (
    AudioChunk,
    HeardItem,
    Interrupted,
    ResponseStarted,
    ToolCallRequest,
    TranscriptDelta,
    TurnEnded,
)


def words(text: str, item_id: str, response_id: str) -> TranscriptDelta:
    return TranscriptDelta(text=text, item_id=item_id, response_id=response_id)


def audio(ms: int, item_id: str, response_id: str) -> AudioChunk:
    return AudioChunk(data=bytes(48 * ms), item_id=item_id, response_id=response_id)


def asked(text: str) -> TranscriptDelta:
    return TranscriptDelta(text="", full_text=text, is_final=True, speaker="user")


def test_an_interrupted_answer_keeps_what_was_heard_and_stays_in_its_turn():
    story = Story()
    story.begin_turn()
    for event in (
        asked("set a timer"),
        ResponseStarted(response_id="r1"),
        ToolCallRequest(
            call_id="c", function_name="set_timer", arguments={"minutes": 5}, response_id="r1"
        ),
        ResponseStarted(response_id="r2"),
        words("The timer is ", "i1", "r2"),
        audio(4_000, "i1", "r2"),
    ):
        story.on_event(event)
    story.begin_turn()
    cut = HeardItem(item_id="i1", heard_ms=1_500, received_ms=4_000, heard_text="The timer")
    for event in (
        Interrupted(item_id="i1", heard_ms=1_500, items=(cut,)),
        TurnEnded(response_id="r2"),
    ):
        story.on_event(event)
    assert [turn.answered for turn in story.turns] == [True, False]
    for event in (
        asked("stop"),
        ResponseStarted(response_id="r3"),
        words("All ", "i2", "r3"),
        audio(300, "i2", "r3"),
        words("right.", "i2", "r3"),
        TurnEnded(response_id="r3"),
    ):
        story.on_event(event)

    assert [turn.answered for turn in story.turns] == [True, True]
    assert story.summary() == {
        "turns": [
            {
                "user": "set a timer",
                "assistant": "The timer",
                "interrupted": True,
                "heard_ms": 1_500,
            },
            {"user": "stop", "assistant": "All right.", "interrupted": False, "heard_ms": 300},
        ],
        "tool_calls": [{"function_name": "set_timer", "arguments": {"minutes": 5}}],
    }


def test_a_turn_without_response_ids_ends_with_its_answer_only():
    story = Story()
    story.begin_turn()
    story.on_event(ResponseStarted(response_id="r1"))
    story.begin_turn()
    story.on_event(TurnEnded())
    assert [turn.answered for turn in story.turns] == [True, False]


def test_events_before_the_first_question_are_nobodys():
    story = Story()
    story.on_event(words("Hello", "i", "r"))
    assert story.summary() == {"turns": [], "tool_calls": []}
