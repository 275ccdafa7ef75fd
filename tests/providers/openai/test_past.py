"""A conversation that goes on over a new connection: its items, and the calls still running."""

import json

import pytest

from realtime_facade.commands import RequestResponse, SendToolResult
from realtime_facade.config import RealtimeConfig
from realtime_facade.conversation import SeedMessage, ToolRound
from realtime_facade.errors import ConfigurationError
from realtime_facade.events import ErrorOccurred, SessionStarted, TurnEnded
from realtime_facade.providers.base import Past
from realtime_facade.providers.openai import OpenAIProvider

ROUND = ToolRound(call_id="call_1", function_name="weather", arguments={"a": 1}, output="sunny")
ITEMS = (
    SeedMessage(role="system", text="Be brief"),
    SeedMessage.user("Hi"),
    SeedMessage.assistant("Hello"),
    ROUND,
)


@pytest.fixture
def resume(fresh):
    """A conversation that knows a past, just before and after it starts."""

    def start(*items):
        conversation = fresh()
        provider, config = OpenAIProvider(api_key="key"), RealtimeConfig()
        profile = provider.profile(config)
        conversation.codec = provider.codec(config, profile, (), Past(items=items))
        conversation.receive("session.created", session={"id": "sess_1"})
        assert [message["type"] for message in conversation.take()] == ["session.update"]
        conversation.started = conversation.receive("session.updated", session={"id": "sess_1"})
        return conversation

    return start


def result(call_id, output="sunny", **more):
    return SendToolResult(call_id=call_id, function_name="weather", output=output, **more)


def test_the_past_is_told_before_the_session_starts(resume):
    conversation = resume(*ITEMS)
    assert isinstance(conversation.started[0], SessionStarted)
    sent = conversation.take()
    assert {message["type"] for message in sent} == {"conversation.item.create"}
    assert [message["item"] for message in sent] == [
        {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
        for role, kind, text in (
            ("system", "input_text", "Be brief"),
            ("user", "input_text", "Hi"),
            ("assistant", "output_text", "Hello"),
        )
    ] + [
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ]


def test_the_past_is_told_once(resume):
    conversation = resume(*ITEMS)
    conversation.take()
    conversation.receive("session.updated", session={"id": "sess_1"})
    assert conversation.take() == []


def test_a_refused_item_is_an_error_and_not_the_end(resume):
    conversation = resume(*ITEMS)
    [second] = [m for m in conversation.take() if m["item"].get("role") == "user"]
    conversation.send(RequestResponse())
    conversation.take()
    [error] = conversation.error("invalid_value", event_id=second["event_id"])
    assert isinstance(error, ErrorOccurred)
    assert not error.fatal
    # The request was not refused: another one waits for its answer.
    conversation.send(RequestResponse())
    assert conversation.take() == []


def test_open_calls_get_their_outputs_later_and_one_answer(resume):
    running = [ToolRound(call_id=name, function_name="weather") for name in ("call_1", "call_2")]
    conversation = resume(*running)
    assert [m["item"]["type"] for m in conversation.take()] == ["function_call"] * 2
    assert conversation.send(result("call_2")) == []
    assert conversation.names() == ["conversation.item.create"]
    conversation.send(result("call_1", "rain"))
    output, request = conversation.take()
    assert output["item"] == {
        "id": output["item"]["id"],
        "type": "function_call_output",
        "call_id": "call_1",
        "output": "rain",
    }
    assert request["type"] == "response.create"
    with pytest.raises(ConfigurationError, match="has its result already"):
        conversation.send(result("call_1"))


def test_open_calls_that_want_no_answer_end_the_turn(resume):
    conversation = resume(ToolRound(call_id="call_1", function_name="weather"))
    conversation.take()
    assert conversation.send(result("call_1", respond=False)) == [TurnEnded(response_id="")]
    assert conversation.names() == ["conversation.item.create"]


def test_an_answer_to_open_calls_waits_for_a_running_one(resume):
    conversation = resume(ToolRound(call_id="call_1", function_name="weather"))
    conversation.take()
    conversation.created()
    conversation.send(result("call_1"))
    assert conversation.names() == ["conversation.item.create"]
    conversation.done()
    assert conversation.names() == ["response.create"]


def test_call_ids_of_another_provider_are_shortened_alike(resume):
    long = "function-call-" + "9" * 19
    done = ROUND.model_copy(update={"call_id": long})
    other = ROUND.model_copy(update={"call_id": long + "8", "output": None})
    conversation = resume(done, other)
    call, output, running = [message["item"] for message in conversation.take()]
    assert call["call_id"] == output["call_id"] != running["call_id"]
    conversation.send(result(long + "8"))
    told = conversation.take()[0]["item"]
    assert told["call_id"] == running["call_id"]
    assert all(len(item["call_id"]) <= 32 for item in (call, running))


def test_a_result_for_a_call_that_was_told_with_its_output_is_refused(resume):
    conversation = resume(ROUND)
    with pytest.raises(ConfigurationError, match="not made on this connection"):
        conversation.send(result("call_1"))


def test_arguments_survive_as_json(resume):
    odd = ROUND.model_copy(update={"arguments": {"text": 'a "quoted"\n\u00e9'}})
    conversation = resume(odd)
    [call, _] = [message["item"] for message in conversation.take()]
    assert json.loads(call["arguments"]) == odd.arguments
