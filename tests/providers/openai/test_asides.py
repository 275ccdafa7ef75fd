"""Out-of-band responses stay apart from the conversation."""

import pytest

from realtime_facade.commands import RequestResponse, SendRaw
from realtime_facade.events import RawEvent, ResponseStarted

ASK = {"type": "response.create", "response": {"conversation": "none", "metadata": {"topic": "x"}}}


def is_raw(events):
    return [type(event) for event in events] == [RawEvent]


def test_everything_of_an_out_of_band_response_is_raw(conversation):
    conversation.send(SendRaw(data=ASK))
    assert conversation.take() == [ASK]
    assert is_raw(conversation.created("aside", conversation_id=None))
    assert is_raw(conversation.audio(b"\0\0", response_id="aside"))
    text = {"item_id": "i", "response_id": "aside", "delta": "x"}
    assert is_raw(conversation.receive("response.output_text.delta", **text))
    assert is_raw(conversation.receive("rate_limits.updated"))
    assert is_raw(conversation.done("aside", conversation_id=None))
    assert not is_raw(conversation.audio(b"\0\0", response_id="resp_1"))


def test_an_out_of_band_response_is_not_the_active_one(conversation):
    conversation.send(SendRaw(data=ASK))
    conversation.created("aside", conversation_id=None)
    conversation.take()
    conversation.send(RequestResponse())
    assert conversation.names() == ["response.create"]
    assert not is_raw(conversation.created("resp_1"))
    conversation.done("aside", conversation_id=None)
    conversation.send(RequestResponse())
    assert conversation.names() == [], "resp_1 is still active"


@pytest.mark.parametrize("conversation_id", [None, "conv_1"])
def test_without_such_a_request_no_response_is_out_of_band(conversation, conversation_id):
    conversation.send(SendRaw(data={"type": "response.create", "response": "odd"}))
    conversation.send(SendRaw(data={"type": "response.create"}))
    events = conversation.created("resp_1", conversation_id=conversation_id)
    assert events == [ResponseStarted(response_id="resp_1")]


def test_an_answer_that_comes_before_the_out_of_band_one_is_an_answer(conversation):
    conversation.send(SendRaw(data=ASK))
    assert not is_raw(conversation.created("resp_1"))
    assert is_raw(conversation.created("aside", conversation_id=None))
    assert not is_raw(conversation.done("resp_1"))
