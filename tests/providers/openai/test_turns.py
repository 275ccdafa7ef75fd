"""One response at a time, one output for every tool call, one end for every turn."""

import json

import pytest

from realtime_facade.commands import (
    CancelResponse,
    ClearAudio,
    CommitAudio,
    RequestResponse,
    SendText,
    SendToolResult,
    UpdateSession,
)
from realtime_facade.config import RealtimeConfig, VADMode
from realtime_facade.errors import ConfigurationError
from realtime_facade.events import (
    ErrorOccurred,
    OutputCancelled,
    RawEvent,
    ResponseDone,
    ResponseStarted,
    ToolCallRequest,
    TurnEnded,
)

BUSY = "conversation_already_has_active_response"
TURN_DETECTED = {"status": "cancelled", "status_details": {"reason": "turn_detected"}}


def kinds(events):
    return [type(event).__name__ for event in events]


def result(call_id, output="sunny", **more):
    return SendToolResult(call_id=call_id, function_name="weather", output=output, **more)


def test_a_request_is_sent_at_once_when_nothing_runs(conversation):
    conversation.send(RequestResponse(instructions="Be brief."))
    [message] = conversation.take()
    assert message["response"] == {"instructions": "Be brief."}
    assert conversation.created() == [ResponseStarted(response_id="resp_1")]


def test_instructions_for_one_answer_come_on_top_of_the_sessions(fresh):
    """The protocol replaces them: without the session's the answer would fall out of its role."""
    config = RealtimeConfig(instructions="You are a pirate.")
    conversation = fresh(instructions="You are a pirate.").start()
    conversation.send(RequestResponse(instructions="Be brief."))
    [message] = conversation.take()
    assert message["response"]["instructions"] == "You are a pirate.\n\nBe brief."
    conversation.created()
    conversation.done()
    config = config.changed(instructions="You are a monk.")
    conversation.send(UpdateSession(config=config, changed=frozenset({"instructions"})))
    conversation.send(RequestResponse(instructions="Be brief."))
    assert conversation.take()[-1]["response"]["instructions"] == "You are a monk.\n\nBe brief."


def test_response_requested_during_answer_waits_for_its_end(conversation):
    conversation.created()
    conversation.send(RequestResponse())
    assert conversation.names() == []

    events = conversation.done()

    assert conversation.names() == ["response.create"]
    assert kinds(events) == ["ResponseDone"], "the turn goes on with the response that was queued"


def test_request_counts_as_active_from_sending(conversation):
    conversation.send(RequestResponse())
    conversation.send(RequestResponse())
    assert conversation.names() == ["response.create"]


def test_waiting_requests_become_one_with_all_instructions(conversation):
    conversation.created()
    for instructions in ("Greet.", None, "Smile."):
        conversation.send(RequestResponse(instructions=instructions))
    conversation.done()
    [message] = conversation.take()
    assert message["response"] == {"instructions": "Greet.\n\nSmile."}


def test_text_is_sent_at_once_and_its_answer_waits(conversation):
    conversation.created()
    conversation.send(SendText(text="And tomorrow?"))
    assert conversation.names() == ["conversation.item.create"]
    conversation.done()
    assert conversation.names() == ["response.create"]


def test_busy_refusal_is_silent_and_retried_when_the_running_answer_ends(conversation):
    conversation.send(RequestResponse(instructions="Greet."))
    conversation.created("resp_of_vad")  # the provider's own came first
    events = conversation.error(BUSY, event_id="request_1")
    assert kinds(events) == ["RawEvent"]
    assert len(conversation.take()) == 1

    conversation.done("resp_of_vad")

    [message] = conversation.take()
    assert message["response"] == {"instructions": "Greet."}


def test_busy_refusal_waits_for_an_answer_that_only_the_provider_knows(conversation):
    conversation.send(RequestResponse())
    conversation.error(BUSY)
    conversation.take()
    conversation.send(RequestResponse())
    assert conversation.names() == []
    conversation.done("resp_unseen")
    assert conversation.names() == ["response.create"]


def test_busy_refusal_of_a_raw_request_is_reported(conversation):
    conversation.created()
    [event] = conversation.error(BUSY, event_id="mine")
    assert isinstance(event, ErrorOccurred)
    assert event.retryable
    conversation.done()
    assert conversation.names() == []


def test_refused_request_lets_the_next_one_through_and_ends_the_turn(conversation):
    conversation.send(RequestResponse(instructions="?"))
    events = conversation.error("bad_response_create", event_id="request_1")
    assert kinds(events) == ["ErrorOccurred", "TurnEnded"]
    conversation.take()
    conversation.send(RequestResponse())
    assert conversation.names() == ["response.create"]


def test_refusal_that_names_no_message_counts_for_the_request(conversation):
    conversation.send(RequestResponse())
    conversation.send(RequestResponse(instructions="Second."))
    conversation.take()
    events = conversation.error("invalid_value")
    assert kinds(events) == ["ErrorOccurred"], "a queued request follows, so the turn goes on"
    assert conversation.names() == ["response.create"]


def test_nothing_is_asked_of_a_session_that_is_lost(conversation):
    conversation.send(RequestResponse())
    conversation.send(RequestResponse())
    conversation.take()
    assert kinds(conversation.error("session_expired")) == ["ErrorOccurred"]
    assert conversation.names() == []


def test_refusal_of_another_message_does_not_touch_the_request(conversation):
    conversation.send(RequestResponse())
    assert kinds(conversation.error("invalid_value", event_id="other")) == ["ErrorOccurred"]
    conversation.send(RequestResponse())
    assert conversation.names() == ["response.create"]


def test_request_while_the_user_speaks_is_dropped_for_the_vads_answer(conversation):
    conversation.receive("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    conversation.send(RequestResponse())
    conversation.receive("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=900)
    conversation.send(RequestResponse())
    conversation.receive("input_audio_buffer.committed", item_id="u")
    conversation.send(RequestResponse())
    conversation.created("resp_of_vad")

    events = conversation.done("resp_of_vad")

    assert conversation.names() == []
    assert kinds(events) == ["ResponseDone", "TurnEnded"]


@pytest.mark.parametrize("protocol", ["added", "created"])
def test_what_the_vads_answer_came_too_early_for_is_asked_for_after_it(conversation, protocol):
    """The provider reads in order: it has not read an item that it did not confirm before."""
    name = f"conversation.item.{protocol}"
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    conversation.send(SendText(text="And tea, please."))
    [item] = conversation.take()
    conversation.receive("input_audio_buffer.committed", item_id="u")
    conversation.receive(name, item={"id": "u"})
    conversation.created("resp_of_vad")
    conversation.receive(name, item={"id": item["item"]["id"]})
    assert conversation.names() == []
    assert kinds(conversation.done("resp_of_vad")) == ["ResponseDone"], "the turn goes on"
    assert conversation.names() == ["response.create"]


def test_what_the_vads_answer_knows_of_is_not_asked_for_again(conversation):
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    conversation.send(SendText(text="And tea, please."))
    [item] = conversation.take()
    conversation.receive("conversation.item.added", item={"id": item["item"]["id"]})
    conversation.receive("input_audio_buffer.committed", item_id="u")
    conversation.created("resp_of_vad")
    assert kinds(conversation.done("resp_of_vad")) == ["ResponseDone", "TurnEnded"]
    assert conversation.names() == []


def test_tool_result_during_the_users_speech_needs_no_request(conversation):
    conversation.created()
    conversation.call("call_1")
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    assert kinds(conversation.done(**TURN_DETECTED)) == ["OutputCancelled", "ResponseDone"]
    conversation.send(result("call_1"))
    assert conversation.names() == ["conversation.item.create"]
    conversation.receive("input_audio_buffer.committed", item_id="u")
    conversation.created("resp_2")
    assert kinds(conversation.done("resp_2")) == ["ResponseDone", "TurnEnded"]
    assert conversation.names() == []


@pytest.mark.parametrize(
    "settings", [{"create_response": False}, {"vad_mode": VADMode.MANUAL}], ids=str
)
def test_request_during_speech_is_sent_when_the_vad_does_not_answer(converse, settings):
    conversation = converse(**settings)
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    conversation.send(RequestResponse())
    assert conversation.names() == ["response.create"]


def test_clearing_the_users_speech_frees_the_request_that_waited(conversation):
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    conversation.send(RequestResponse())
    conversation.send(ClearAudio())
    assert conversation.names() == ["input_audio_buffer.clear"]
    assert kinds(conversation.receive("input_audio_buffer.cleared")) == ["RawEvent"]
    assert conversation.names() == ["response.create"]


def test_committing_the_users_speech_by_hand_asks_at_once(conversation):
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    conversation.send(CommitAudio())
    assert conversation.names() == ["input_audio_buffer.commit", "response.create"]
    conversation.receive("input_audio_buffer.committed", item_id="u")
    conversation.created()
    conversation.done()
    conversation.send(RequestResponse())
    assert conversation.names() == ["response.create"]


def test_switching_the_vad_off_frees_the_request_that_waited(conversation):
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    conversation.send(RequestResponse())
    config = RealtimeConfig(vad_mode=VADMode.MANUAL)
    conversation.send(UpdateSession(config=config, changed=frozenset({"vad_mode"})))
    assert conversation.names() == ["session.update", "response.create"]


def test_vad_answer_that_fails_to_start_does_not_block_requests(conversation):
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    conversation.receive("input_audio_buffer.committed", item_id="u")
    conversation.send(RequestResponse())
    assert kinds(conversation.error("rate_limit_exceeded")) == ["ErrorOccurred"]
    assert conversation.names() == ["response.create"]


def test_vad_answer_refused_because_one_is_active_is_asked_for_afterwards(converse):
    conversation = converse(interrupt_response=False)
    conversation.created()
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    conversation.receive("input_audio_buffer.committed", item_id="u")
    conversation.error(BUSY)
    assert kinds(conversation.done()) == ["ResponseDone"]
    assert conversation.names() == ["response.create"]


def test_our_answer_that_begins_while_the_user_speaks_does_not_end_their_turn(conversation):
    conversation.send(RequestResponse())
    conversation.receive("input_audio_buffer.speech_started", item_id="u")
    conversation.created("resp_1")
    conversation.done("resp_1", **TURN_DETECTED)
    conversation.take()
    conversation.send(RequestResponse())
    assert conversation.names() == [], "the VAD will answer what the user is saying"


def test_tool_call_round(conversation):
    conversation.created()
    [call] = conversation.call("call_1", '{ "city":\n "Paris" } \n')
    assert call == ToolCallRequest(
        call_id="call_1",
        function_name="weather",
        arguments={"city": "Paris"},
        response_id="resp_1",
    )
    assert kinds(conversation.done()) == ["ResponseDone"], "a call is open, the turn goes on"
    assert conversation.send(result("call_1", "21 C")) == []
    output, request = conversation.take()
    assert output["item"] == {
        "id": output["item"]["id"],
        "type": "function_call_output",
        "call_id": "call_1",
        "output": "21 C",
    }
    assert request["type"] == "response.create"


def test_result_before_the_end_of_the_response_waits_with_the_request(conversation):
    conversation.created()
    conversation.call("call_1")
    conversation.send(result("call_1"))
    assert conversation.names() == ["conversation.item.create"]
    conversation.done()
    assert conversation.names() == ["response.create"]


def test_parallel_calls_are_answered_with_one_request(conversation):
    conversation.created()
    for call_id in ("a", "b", "c"):
        conversation.call(call_id)
    conversation.send(result("b"))
    conversation.done()
    conversation.send(result("c", respond=False))
    assert "response.create" not in conversation.names()
    conversation.send(result("a", respond=False))
    assert conversation.names() == ["conversation.item.create", "response.create"]


def test_turn_ends_with_the_last_result_when_none_wants_an_answer(conversation):
    conversation.created()
    conversation.call("a")
    conversation.call("b")
    conversation.send(result("a", respond=False))
    conversation.done()
    assert conversation.send(result("b", respond=False)) == [TurnEnded(response_id="resp_1")]
    assert conversation.names() == ["conversation.item.create"] * 2


def test_turn_ends_with_the_response_when_all_results_came_and_none_wants_an_answer(conversation):
    conversation.created()
    conversation.call("a")
    assert conversation.send(result("a", respond=False)) == []
    assert kinds(conversation.done()) == ["ResponseDone", "TurnEnded"]


@pytest.mark.parametrize(
    ("call_id", "code"), [("other", "tool_call_unknown"), ("a", "tool_call_answered")]
)
def test_second_or_stray_result_is_refused_and_not_sent(conversation, call_id, code):
    conversation.created()
    conversation.call("a")
    conversation.send(result("a"))
    conversation.take()
    with pytest.raises(ConfigurationError) as caught:
        conversation.send(result(call_id))
    assert caught.value.code == code
    assert conversation.names() == []


@pytest.mark.parametrize("arguments", ["{", "[1]", "null", '"text"', '{"a": NaN}', "[" * 9999])
def test_call_with_broken_arguments_is_answered_by_the_codec(conversation, arguments):
    conversation.created()
    [error] = conversation.call("call_1", arguments)
    assert isinstance(error, ErrorOccurred)
    assert not error.fatal
    [output] = conversation.take()
    assert output["item"]["call_id"] == "call_1"
    assert "JSON" in output["item"]["output"]
    assert kinds(conversation.done()) == ["ResponseDone"]
    assert conversation.names() == ["response.create"], "the model may correct itself"


def test_call_without_arguments_has_none(conversation):
    conversation.created()
    [call] = conversation.call("call_1", " ")
    assert call.arguments == {}


def test_call_that_only_the_item_names_is_taken_from_the_item(conversation):
    conversation.created()
    nameless = conversation.receive(
        "response.function_call_arguments.done", call_id="c", arguments="{}", response_id="resp_1"
    )
    assert kinds(nameless) == ["RawEvent"]
    item = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"city":"B"}'}
    [call] = conversation.receive("response.output_item.done", item=item, response_id="resp_1")
    assert call.arguments == {"city": "B"}
    again = conversation.receive("response.output_item.done", item=item, response_id="resp_1")
    assert kinds(again) == ["RawEvent"]


def test_item_of_a_call_that_was_cut_is_no_call(conversation):
    conversation.created()
    item = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"ci'}
    item["status"] = "incomplete"
    events = conversation.receive("response.output_item.done", item=item, response_id="resp_1")
    assert kinds(events) == ["RawEvent"]
    assert conversation.names() == []


def test_cancelled_by_speech(conversation):
    conversation.created()
    events = conversation.done(**TURN_DETECTED)
    assert events[0] == OutputCancelled(response_id="resp_1", reason="speech")
    assert events[1] == ResponseDone(
        response_id="resp_1", status="cancelled", reason="turn_detected"
    )
    assert events[2:] == [TurnEnded(response_id="resp_1")]


def test_cancelled_on_request_names_the_active_response(conversation):
    conversation.send(RequestResponse())
    conversation.take()
    conversation.send(CancelResponse())
    conversation.created("resp_7")
    conversation.send(CancelResponse())
    conversation.send(CancelResponse(response_id="resp_8"))
    first, second, third = conversation.take()
    assert "response_id" not in first, "its id is not known yet"
    assert (second["response_id"], third["response_id"]) == ("resp_7", "resp_8")
    details = {"reason": "client_cancelled"}
    events = conversation.done("resp_7", status="cancelled", status_details=details)
    assert events[0] == OutputCancelled(response_id="resp_7", reason="request")


def test_what_was_asked_before_a_cancel_took_effect_is_another_turn(conversation):
    conversation.created()
    conversation.send(CancelResponse())
    conversation.send(SendText(text="Something else."))
    conversation.take()
    assert kinds(conversation.done(status="cancelled"))[-1] == "TurnEnded"
    assert conversation.names() == ["response.create"]


def test_cancel_overrides_the_wish_to_go_on_of_earlier_results(conversation):
    conversation.created()
    conversation.call("a")
    conversation.send(result("a"))
    conversation.take()
    assert kinds(conversation.done(status="cancelled"))[-1] == "TurnEnded"
    assert conversation.names() == []


def test_cancel_of_nothing_is_no_error(conversation):
    [event] = conversation.error("response_cancel_not_active")
    assert isinstance(event, RawEvent)
    assert json.loads(event.model_dump_json())["data"]["error"]["message"] == "No."


def filler(words="One moment."):
    return RequestResponse(instructions=words, interim=True)


def test_something_is_said_while_a_tool_runs_and_the_turn_goes_on(conversation):
    conversation.created()
    conversation.call("a")
    conversation.send(filler())
    assert conversation.names() == []
    conversation.done()
    [message] = conversation.take()
    assert message["response"] == {"instructions": "One moment.", "tool_choice": "none"}
    conversation.created("resp_2")
    events = conversation.done("resp_2")
    assert kinds(events) == ["ResponseDone"], "the tool still runs: the turn is not over"
    conversation.send(result("a"))
    assert conversation.names() == ["conversation.item.create", "response.create"]
    conversation.created("resp_3")
    assert kinds(conversation.done("resp_3")) == ["ResponseDone", "TurnEnded"]


def test_a_result_that_comes_first_takes_the_place_of_what_was_to_be_said_meanwhile(conversation):
    conversation.created()
    conversation.call("a")
    conversation.send(filler())
    conversation.send(result("a"))
    conversation.done()
    item, request = conversation.take()
    assert item["item"]["type"] == "function_call_output"
    assert "response" not in request


def test_a_result_that_wants_no_answer_drops_what_was_to_be_said_meanwhile(conversation):
    conversation.created()
    conversation.call("a")
    conversation.send(filler())
    conversation.send(result("a", respond=False))
    assert kinds(conversation.done())[-1] == "TurnEnded"
    assert conversation.names() == ["conversation.item.create"]


def test_two_fillers_are_said_together_and_give_way_to_a_question(conversation):
    conversation.created()
    conversation.call("a")
    conversation.call("b")
    conversation.send(filler("One moment."))
    conversation.send(filler("And another."))
    conversation.send(result("a"))
    conversation.done()
    [_, message] = conversation.take()
    assert message["response"]["instructions"] == "One moment.\n\nAnd another."
    conversation.created("resp_2")
    conversation.send(SendText(text="hurry"))
    conversation.send(filler("Still there."))
    conversation.take()
    conversation.done("resp_2")
    [message] = conversation.take()
    assert "response" not in message


def test_a_result_without_wish_to_answer_after_the_filler_ends_the_turn(conversation):
    conversation.created()
    conversation.call("a")
    conversation.send(filler())
    conversation.done()
    conversation.created("resp_2")
    assert conversation.send(result("a", respond=False)) == []
    assert kinds(conversation.done("resp_2"))[-1] == "TurnEnded"


def test_a_filler_that_was_refused_waits_as_a_filler(conversation):
    conversation.created()
    conversation.call("a")
    conversation.send(filler())
    conversation.done()
    request = conversation.take()[-1]
    conversation.error(BUSY, request["event_id"])
    conversation.send(result("a"))
    conversation.done("resp_other")
    assert "response" not in conversation.take()[-1], "the result is there: nothing to fill"


def test_an_answer_whose_beginning_was_lost_ends_and_blocks_nothing(conversation):
    conversation.send(SendText(text="hello"))
    conversation.take()
    events = conversation.done("resp_1")
    assert kinds(events) == ["ResponseStarted", "ResponseDone", "TurnEnded"]
    conversation.send(SendText(text="again"))
    assert [m["type"] for m in conversation.take()] == [
        "conversation.item.create",
        "response.create",
    ]
