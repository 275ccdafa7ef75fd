import pytest

from realtime_facade.commands import CommitAudio, RequestResponse, SendText, SendToolResult
from realtime_facade.config import RealtimeConfig, VADMode
from realtime_facade.events import (
    ErrorOccurred,
    InputCommitted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    TranscriptDelta,
    TurnEnded,
)
from realtime_facade.session.state import Conversation, Phase, answers_speech


@pytest.fixture
def conversation() -> Conversation:
    return Conversation(answers_speech=True)


@pytest.mark.parametrize(
    ("command", "phase"),
    [
        (SendText(text="hi"), Phase.THINKING),
        (SendText(text="hi", respond=False), Phase.LISTENING),
        (CommitAudio(), Phase.THINKING),
        (RequestResponse(), Phase.THINKING),
        (SendToolResult(call_id="c", function_name="f", output=""), Phase.THINKING),
        (
            SendToolResult(call_id="c", function_name="f", output="", respond=False),
            Phase.LISTENING,
        ),
    ],
)
def test_what_asks_for_an_answer_is_thinking(conversation, command, phase):
    conversation.on_command(command)
    assert conversation.phase is phase


def test_a_voice_turn(conversation):
    phases = []
    for event in (
        SpeechStarted(),
        SpeechStopped(),
        InputCommitted(),
        ResponseStarted(response_id="r"),
        ResponseDone(response_id="r"),
        TurnEnded(),
    ):
        conversation.on_event(event)
        phases.append(conversation.phase.value)
    assert phases == ["hearing", "thinking", "thinking", "answering", "answering", "listening"]


def test_speech_that_nobody_answers_ends_in_silence():
    conversation = Conversation(answers_speech=False)
    conversation.on_event(SpeechStarted())
    conversation.on_event(SpeechStopped())
    assert conversation.phase is Phase.LISTENING


def test_a_refused_request_is_not_waited_for(conversation):
    conversation.on_command(RequestResponse())
    conversation.on_event(ErrorOccurred(message="no"))
    assert conversation.phase is Phase.LISTENING


def test_a_cut_answer_is_stale_until_it_is_done(conversation):
    conversation.on_event(ResponseStarted(response_id="r"))
    assert conversation.cut() == "r"
    assert conversation.is_stale("r")
    conversation.on_event(ResponseDone(response_id="r", status="cancelled"))
    assert not conversation.is_stale("r")
    assert conversation.cut() is None


def test_words_are_kept_while_they_may_be_heard_and_no_longer(conversation):
    for number in range(200):
        conversation.on_event(TranscriptDelta(text="a", item_id=str(number)))
        conversation.on_event(TranscriptDelta(text="b", item_id=str(number), is_final=True))
    assert len(conversation.transcripts) <= 65
    assert conversation.transcripts["199"] == "ab"
    assert conversation.unfinished == set()
    conversation.cut()
    assert conversation.transcripts == {}


@pytest.mark.parametrize(
    ("config", "answers"),
    [
        (RealtimeConfig(), True),
        (RealtimeConfig(create_response=False), False),
        (RealtimeConfig(vad_mode=VADMode.MANUAL), False),
    ],
)
def test_the_configuration_says_whether_speech_is_answered(config, answers):
    assert answers_speech(config) is answers


def test_an_answer_asked_for_in_place_of_a_cut_one_is_still_expected_when_that_ends(conversation):
    conversation.on_event(ResponseStarted(response_id="r1"))
    conversation.cut()
    conversation.on_command(RequestResponse())
    conversation.on_event(ResponseDone(response_id="r1", status="cancelled"))
    conversation.on_event(TurnEnded(response_id="r1"))
    assert conversation.phase is Phase.THINKING
    conversation.on_event(ResponseStarted(response_id="r2"))
    conversation.on_event(ResponseDone(response_id="r2"))
    conversation.on_event(TurnEnded(response_id="r2"))
    assert conversation.phase is Phase.LISTENING


def test_the_end_of_a_cut_answer_does_not_end_the_wait_for_the_next_one(conversation):
    conversation.on_event(ResponseStarted(response_id="r1"))
    conversation.cut()
    conversation.on_event(SpeechStarted())
    conversation.on_event(SpeechStopped())
    conversation.on_event(TurnEnded(response_id="r1"))
    assert conversation.phase is Phase.THINKING


def test_what_was_asked_while_an_answer_ran_is_still_due_when_it_ends(conversation):
    conversation.on_event(ResponseStarted(response_id="r"))
    conversation.reply()
    conversation.on_command(SendText(text="goodbye"))
    conversation.on_event(ResponseDone(response_id="r"))
    conversation.on_event(TurnEnded(response_id="r"))
    assert conversation.phase is Phase.THINKING
    assert conversation.lost(has_said=False) == "words"
