"""Audio in whole samples, transcripts as new text, and an end to every item."""

import base64

import pytest

from realtime_facade.events import AudioChunk, ErrorOccurred, TranscriptDelta

USER = "conversation.item.input_audio_transcription."


def kinds(events):
    return [type(event).__name__ for event in events]


def user(conversation, *deltas, whole=None, item_id="u"):
    events = []
    for delta in deltas:
        events += conversation.receive(USER + "delta", item_id=item_id, delta=delta)
    if whole is not None:
        events += conversation.receive(USER + "completed", item_id=item_id, transcript=whole)
    return events


def texts(events):
    return "".join(event.text for event in events)


def test_audio_delta(conversation):
    [chunk] = conversation.audio(bytes(4800))
    assert chunk == AudioChunk(data=bytes(4800), item_id="item_1", response_id="resp_1")
    assert (chunk.sample_rate, chunk.duration_ms, chunk.is_final) == (24_000, 100.0, False)


def test_frames_may_be_bytes(conversation):
    frame = b'{"type":"response.output_audio.delta","item_id":"i","delta":"AAAA"}'
    output = conversation.codec.receive(frame)
    assert output.events == (AudioChunk(data=b"\0\0", item_id="i"),)
    assert conversation.codec.receive(frame).events[0].data == b"\0\0\0\0"


def test_half_a_sample_waits_for_the_next_delta_of_its_item(conversation):
    assert [c.data for c in conversation.audio(b"abc")] == [b"ab"]
    assert [c.data for c in conversation.audio(b"12", item_id="item_2")] == [b"12"]
    assert [c.data for c in conversation.audio(b"d")] == [b"cd"]
    assert conversation.audio(b"e") == []
    assert [c.data for c in conversation.audio(b"fg")] == [b"ef"]


def test_end_of_audio(conversation):
    conversation.audio(b"ab")
    [last] = conversation.receive("response.output_audio.done", item_id="item_1")
    assert (last.data, last.is_final, last.item_id, last.response_id) == (
        b"",
        True,
        "item_1",
        "resp_1",
    )


def test_half_a_sample_at_the_end_is_reported_and_left_out(conversation):
    conversation.audio(b"abc")
    error, last = conversation.receive("response.output_audio.done", item_id="item_1")
    assert isinstance(error, ErrorOccurred)
    assert (error.cause, error.fatal) == ("protocol", False)
    assert last.is_final
    assert [c.data for c in conversation.audio(b"xy")] == [b"xy"]


def test_end_of_a_response_ends_what_was_cut(conversation):
    conversation.created()
    conversation.audio(b"ab")
    words = {"item_id": "item_1", "response_id": "resp_1"}
    conversation.receive("response.output_audio_transcript.delta", delta="Once", **words)
    events = conversation.done(status="cancelled")
    assert kinds(events)[:3] == ["AudioChunk", "TranscriptDelta", "OutputCancelled"]
    assert events[0].is_final
    assert (events[1].text, events[1].full_text, events[1].is_final) == ("", "Once", True)


def test_end_of_a_response_does_not_repeat_what_has_ended(conversation):
    conversation.created()
    conversation.audio(b"ab")
    item = {"item_id": "item_1", "response_id": "resp_1"}
    conversation.receive("response.output_audio_transcript.delta", delta="Once", **item)
    conversation.receive("response.output_audio.done", **item)
    conversation.receive("response.output_audio_transcript.done", transcript="Once", **item)
    assert kinds(conversation.done()) == ["ResponseDone", "TurnEnded"]


def test_nothing_is_kept_of_what_has_ended(conversation):
    for turn in ("1", "2", "3"):
        user(conversation, "Go", whole="Go on.", item_id="u" + turn)
        conversation.created("resp_" + turn)
        conversation.audio(b"abc", item_id="i" + turn, response_id="resp_" + turn)
        conversation.done("resp_" + turn)
    speech = conversation.codec._speech
    assert (speech._spoken, speech._user) == ({}, {})


@pytest.mark.parametrize(
    ("delta", "done", "field"),
    [
        ("response.output_audio_transcript.delta", "output_audio_transcript.done", "transcript"),
        ("response.audio_transcript.delta", "audio_transcript.done", "transcript"),
        ("response.output_text.delta", "output_text.done", "text"),
        ("response.text.delta", "text.done", "text"),
    ],
)
def test_words_of_the_assistant_under_all_their_names(conversation, delta, done, field):
    item = {"item_id": "item_1", "response_id": "resp_1"}
    [first] = conversation.receive(delta, delta="Good ", **item)
    assert first == TranscriptDelta(text="Good ", item_id="item_1", response_id="resp_1")
    [last] = conversation.receive(f"response.{done}", **{field: "Good day"}, **item)
    assert last == TranscriptDelta(
        text="day", is_final=True, full_text="Good day", item_id="item_1", response_id="resp_1"
    )


def test_audio_under_its_beta_name(conversation):
    item = {"item_id": "item_1", "response_id": "resp_1"}
    delta = base64.b64encode(b"ab").decode()
    [chunk] = conversation.receive("response.audio.delta", delta=delta, **item)
    assert chunk.data == b"ab"
    [last] = conversation.receive("response.audio.done", **item)
    assert last.is_final


def test_words_of_two_items_are_kept_apart(conversation):
    for item_id, delta in (("a", "One"), ("b", "Two"), ("a", " more")):
        conversation.receive("response.output_text.delta", item_id=item_id, delta=delta)
    [last] = conversation.receive("response.output_text.done", item_id="a", text="One more.")
    assert (last.text, last.full_text) == (".", "One more.")


def test_user_words_begin_without_the_recognizers_space(conversation):
    events = user(conversation, " Hello", ",", " there", whole="Hello, there.")
    assert [e.text for e in events] == ["Hello", ",", " there", "."]
    assert texts(events) == events[-1].full_text == "Hello, there."
    assert [e.is_final for e in events] == [False, False, False, True]
    assert {e.speaker for e in events} == {"user"}


def test_user_words_may_come_all_at_once(conversation):
    [event] = user(conversation, whole=" Hello.\n")
    assert (event.text, event.full_text, event.is_final) == ("Hello.", "Hello.", True)


def test_user_words_may_be_corrected_but_never_repeated(conversation):
    *_, last = user(conversation, "Two ", "pears", whole="Two pairs.")
    assert (last.text, last.full_text) == ("", "Two pairs.")


def test_user_words_may_come_before_the_item_and_after_the_answer(conversation):
    early = user(conversation, "Hi")
    conversation.receive("input_audio_buffer.committed", item_id="u")
    conversation.created()
    conversation.done()
    assert texts(early + user(conversation, whole="Hi!")) == "Hi!"


def test_silence_written_down_is_an_empty_text(conversation):
    [event] = user(conversation, whole="")
    assert (event.text, event.full_text) == ("", "")
    [delta] = conversation.receive(USER + "delta", item_id="v", delta=None)
    assert delta.text == ""


def test_speech_that_cannot_be_written_down_is_an_error_of_its_own(conversation):
    user(conversation, "He")
    [error, ended] = conversation.receive(
        USER + "failed", item_id="u", error={"type": "server_error", "message": "ASR is down."}
    )
    assert (ended.text, ended.full_text, ended.is_final, ended.speaker) == ("", "He", True, "user")
    assert isinstance(error, ErrorOccurred)
    assert (error.fatal, error.cause, error.message) == (False, "provider", "ASR is down.")
    assert texts(user(conversation, whole="Hello")) == "Hello", "nothing of it is remembered"
