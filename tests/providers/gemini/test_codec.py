"""The codec by plain calls: one message or command in, frames and events out."""

import base64

import pytest

from realtime_facade.commands import (
    AppendAudio,
    CancelResponse,
    ClearAudio,
    CommitAudio,
    DeleteItem,
    EndAudio,
    RequestResponse,
    SendRaw,
    SendText,
    SendToolResult,
    TruncateOutput,
    UpdateSession,
)
from realtime_facade.config import RealtimeConfig, VADMode
from realtime_facade.errors import ConfigurationError, ProtocolError
from realtime_facade.events import (
    AudioChunk,
    ConfigWarning,
    ErrorOccurred,
    InputCommitted,
    OutputCancelled,
    RawEvent,
    ResponseDone,
    ResponseStarted,
    SessionExpiring,
    SessionResumable,
    SessionStarted,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    ThoughtDelta,
    TokenCounts,
    ToolCallRequest,
    ToolCallsCancelled,
    TranscriptDelta,
    TurnEnded,
    Usage,
    UsageReported,
)
from realtime_facade.providers.gemini.past import NOTE

PCM = bytes(range(8))
USAGE = {
    "promptTokenCount": 10,
    "responseTokenCount": 5,
    "totalTokenCount": 15,
    "thoughtsTokenCount": 2,
    "cachedContentTokenCount": 4,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 7},
        {"modality": "AUDIO", "tokenCount": 3},
    ],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
}


def audio_part(data=PCM, mime_type="audio/pcm;rate=24000"):
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


def speech(data=PCM, mime_type="audio/pcm;rate=24000"):
    return {"modelTurn": {"parts": [audio_part(data, mime_type)]}}


def kinds(events):
    return [type(event).__name__ for event in events]


def call(identity="fc_1", **args):
    return {"functionCalls": [{"id": identity, "name": "weather", "args": args}]}


def result(identity="fc_1", output="sunny", **more):
    return SendToolResult(call_id=identity, function_name="weather", output=output, **more)


# The session


def test_setup_is_the_first_frame(conversation):
    assert conversation.setup["model"] == "models/gemini-3.8-live"


def test_accepted_setup_starts_the_session_once(converse):
    conversation = converse()
    assert kinds(conversation.receive(setupComplete={})) == ["RawEvent"]


def test_session_id_and_warnings_follow_the_acceptance(converse):
    conversation = converse(accepted=False, speed=1.2)

    started, warning = conversation.receive(setupComplete={"sessionId": "s1"})

    assert started == SessionStarted(session_id="s1", model="gemini-3.8-live")
    assert isinstance(warning, ConfigWarning)
    assert warning.setting == "speed"


def test_error_before_the_acceptance_is_fatal(converse):
    conversation = converse(accepted=False)

    (error,) = conversation.receive(error={"code": 429, "message": "slow down"})

    assert isinstance(error, ErrorOccurred)
    assert error.fatal
    assert (error.code, error.cause, error.retryable) == ("429", "rate_limit", True)


def test_error_as_the_whole_message(conversation):
    (error,) = conversation.receive(code=503, status="UNAVAILABLE", message="overloaded")
    assert (error.code, error.cause, error.retryable, error.fatal) == (
        "503",
        "provider",
        True,
        False,
    )
    assert "overloaded" in error.message


def test_go_away_tells_the_time_left(conversation):
    assert conversation.receive(goAway={"timeLeft": "50s"}) == [SessionExpiring(time_left_s=50)]
    assert conversation.receive(goAway={}) == [SessionExpiring(time_left_s=None)]


def test_only_a_resumable_handle_is_told(conversation):
    assert conversation.receive(sessionResumptionUpdate={"newHandle": "h1", "resumable": True}) == [
        SessionResumable(handle="h1")
    ]
    assert conversation.receive(sessionResumptionUpdate={"newHandle": "", "resumable": False}) == []
    assert conversation.receive(sessionResumptionUpdate={}) == []


def test_fillers_amount_to_nothing(conversation):
    assert conversation.receive() == []
    assert conversation.content() == []
    assert conversation.receive(serverContent=None) == []


def test_unknown_key_is_passed_on_whole(conversation):
    assert conversation.receive(news={"a": 1}) == [RawEvent(name="news", data={"news": {"a": 1}})]


def test_unknown_key_beside_known_ones_loses_neither(conversation):
    events = conversation.receive(goAway={"timeLeft": "5s"}, news=[1], more=None)
    assert kinds(events) == ["SessionExpiring", "RawEvent"]
    assert events[1].name == "news,more"
    assert events[1].data["goAway"] == {"timeLeft": "5s"}


def test_untranslated_content_is_passed_on(conversation):
    (raw,) = conversation.content(waitingForInput=True)
    assert raw == RawEvent(
        name="serverContent.waitingForInput", data={"serverContent": {"waitingForInput": True}}
    )


def test_parts_without_meaning_are_passed_on(conversation):
    for part in ({"executableCode": {"code": "1"}}, audio_part(b"\x89PNG", "image/png")):
        (raw,) = conversation.content(modelTurn={"parts": [part]})
        assert raw.name == "serverContent.modelTurn"


def test_text_frames_are_read_as_well(conversation):
    assert kinds(conversation.codec.receive('{"goAway": {}}').events) == ["SessionExpiring"]


def bad_content(text):
    return b'{"serverContent": ' + text + b"}"


def bad_blob(text):
    return bad_content(b'{"modelTurn": {"parts": [{"inlineData": ' + text + b"}]}}")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        "\ud800",
        bad_content(b"1"),
        bad_content(b'{"turnComplete": "perhaps"}'),
        bad_blob(b'{"mimeType": "audio/pcm"}'),
        bad_blob(b'{"mimeType": "audio/pcm;rate=0", "data": ""}'),
        bad_blob(b'{"mimeType": "audio/pcm", "data": "$$$"}'),
        b'{"goAway": {"timeLeft": "soon"}}',
        b'{"goAway": {"timeLeft": 50}}',
        b'{"toolCall": {"functionCalls": [{"name": "f"}]}}',
        b'{"toolCall": {"functionCalls": [{"id": "1", "name": "f", "args": []}]}}',
        b'{"usageMetadata": {"promptTokenCount": "many"}}',
        b'{"a":' * 100_000,
        b"[" * 100_000,
    ],
    ids=range(18),
)
def test_malformed_frame_is_refused_briefly_and_forgotten(conversation, frame):
    conversation.content(**speech())

    with pytest.raises(ProtocolError) as caught:
        conversation.codec.receive(frame)

    assert len(str(caught.value)) < 300
    (chunk,) = conversation.content(**speech())
    assert (chunk.item_id, chunk.response_id) == ("item-1", "response-1")


def test_bad_half_of_a_message_leaves_the_good_half_undone(conversation):
    with pytest.raises(ProtocolError):
        conversation.receive(serverContent=speech(), goAway={"timeLeft": "?"})
    assert kinds(conversation.content(**speech())) == ["ResponseStarted", "AudioChunk"]


def test_malformed_frame_is_not_quoted(conversation):
    with pytest.raises(ProtocolError) as caught:
        conversation.content(inputTranscription={"text": ["my secret"]})
    assert "secret" not in repr(caught.value) + str(caught.value)
    assert "serverContent.inputTranscription.text" in str(caught.value)


# Answers


def test_first_output_starts_a_response(conversation):
    started, chunk = conversation.content(**speech())
    assert started == ResponseStarted(response_id="response-1")
    assert chunk == AudioChunk(
        data=PCM, sample_rate=24_000, item_id="item-1", response_id="response-1"
    )


def test_rate_is_the_mime_types(conversation):
    _, chunk = conversation.content(**speech(mime_type="audio/pcm;rate=16000"))
    assert chunk.sample_rate == 16_000
    (chunk,) = conversation.content(**speech(mime_type="audio/pcm"))
    assert chunk.sample_rate == 24_000


def test_url_safe_base64_is_read(conversation):
    data = base64.urlsafe_b64encode(b"\xfb\xff" * 2).decode()
    assert "-" in data or "_" in data
    part = {"inlineData": {"mimeType": "audio/pcm", "data": data}}
    assert conversation.content(modelTurn={"parts": [part]})[1].data == b"\xfb\xff" * 2


def test_half_a_sample_waits_for_the_next_chunk(conversation):
    _, first = conversation.content(**speech(b"\x01\x02\x03"))
    (second,) = conversation.content(**speech(b"\x04\x05\x06"))
    assert (first.data, second.data) == (b"\x01\x02", b"\x03\x04\x05\x06")


def test_single_byte_makes_no_chunk_yet(conversation):
    assert kinds(conversation.content(**speech(b"\x01"))) == ["ResponseStarted"]
    (chunk,) = conversation.content(**speech(b"\x02"))
    assert chunk.data == b"\x01\x02"


def test_half_a_sample_at_the_end_is_reported(conversation):
    conversation.content(**speech(b"\x01\x02\x03"))
    final, error = conversation.content(generationComplete=True)
    assert final.is_final
    assert final.data == b""
    assert (error.cause, error.fatal) == ("protocol", False)
    conversation.content(turnComplete=True)
    assert conversation.content(**speech(b"\x04\x05"))[1].data == b"\x04\x05"


def test_transcript_and_audio_end_with_the_generation(conversation):
    conversation.content(outputTranscription={"text": "Hello,"}, **speech())
    conversation.content(outputTranscription={"text": " you."})

    assert conversation.content(generationComplete=True) == [
        AudioChunk(data=b"", is_final=True, item_id="item-1", response_id="response-1"),
        TranscriptDelta(
            text="",
            is_final=True,
            full_text="Hello, you.",
            item_id="item-1",
            response_id="response-1",
        ),
    ]
    assert kinds(conversation.content(turnComplete=True)) == ["ResponseDone", "TurnEnded"]


def test_turn_without_generation_complete_still_ends_its_item(conversation):
    conversation.content(**speech())
    assert kinds(conversation.content(turnComplete=True)) == [
        "AudioChunk",
        "ResponseDone",
        "TurnEnded",
    ]


def test_output_after_generation_complete_is_another_item(conversation):
    conversation.content(**speech())
    conversation.content(generationComplete=True)
    (chunk,) = conversation.content(**speech())
    assert (chunk.item_id, chunk.response_id) == ("item-2", "response-1")


def test_thoughts_are_not_spoken(conversation):
    parts = [{"text": "hm", "thought": True}]
    assert conversation.content(modelTurn={"parts": parts}) == [
        ResponseStarted(response_id="response-1"),
        ThoughtDelta(text="hm", response_id="response-1"),
    ]


def test_written_answers_are_transcripts(converse):
    conversation = converse(model="gemini-live-2.5-flash", modalities=("text",))
    _, delta = conversation.content(modelTurn={"parts": [{"text": "Hi"}]})
    assert delta == TranscriptDelta(text="Hi", item_id="item-1", response_id="response-1")
    (final,) = conversation.content(generationComplete=True)
    assert (final.text, final.is_final, final.full_text) == ("", True, "Hi")


def test_empty_output_starts_nothing(conversation):
    assert conversation.content(outputTranscription={}) == []
    assert conversation.content(modelTurn={"parts": []}) == []
    assert conversation.content(modelTurn={"parts": [{"text": ""}, audio_part(b"")]}) == []


def test_usage_comes_with_the_end(conversation):
    conversation.content(**speech())
    done = conversation.receive(serverContent={"turnComplete": True}, usageMetadata=USAGE)[-2]
    assert done == ResponseDone(
        response_id="response-1",
        usage=Usage(
            input=TokenCounts(total=10, text=7, audio=3, cached=4),
            output=TokenCounts(total=7, text=2, audio=5, reasoning=2),
            total=17,
        ),
    )


def test_cached_counts_by_kind(conversation):
    conversation.content(**speech())
    usage = {**USAGE, "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}]}
    done = conversation.receive(serverContent={"turnComplete": True}, usageMetadata=usage)[-2]
    assert (done.usage.input.cached, done.usage.input.cached_audio) == (4, 3)


def test_usage_before_the_end_is_remembered(conversation):
    conversation.content(**speech())
    assert conversation.receive(usageMetadata=USAGE) == []
    assert conversation.content(turnComplete=True)[-2].usage.total == 17


def test_usage_after_the_end_is_reported_and_not_the_next_answers(conversation):
    conversation.content(**speech())
    conversation.content(turnComplete=True)
    (late,) = conversation.receive(usageMetadata=USAGE)
    assert isinstance(late, UsageReported)
    assert (late.usage.total, late.model) == (17, None)
    conversation.content(**speech())
    assert conversation.content(turnComplete=True)[-2].usage is None


def test_usage_is_of_one_answer_only(conversation):
    conversation.content(**speech())
    conversation.receive(serverContent={"turnComplete": True}, usageMetadata=USAGE)
    conversation.content(**speech())
    assert conversation.content(turnComplete=True)[-2].usage is None


def test_vertex_names_and_text_numbers_count_too(conversation):
    conversation.content(**speech())
    usage = {"promptTokenCount": "3", "candidatesTokenCount": 4}
    done = conversation.receive(serverContent={"turnComplete": True}, usageMetadata=usage)[-2]
    assert (done.usage.input.total, done.usage.output.total, done.usage.total) == (3, 4, 7)


@pytest.mark.parametrize(
    ("reason", "status", "errors"),
    [
        ("GENERATED_CONTENT_SAFETY", "incomplete", 0),
        ("NEED_MORE_INPUT", "incomplete", 0),
        ("MALFORMED_FUNCTION_CALL", "failed", 1),
    ],
)
def test_reason_other_than_normal(conversation, reason, status, errors):
    conversation.content(**speech())
    events = conversation.content(turnComplete=True, turnCompleteReason=reason)
    done = next(event for event in events if isinstance(event, ResponseDone))
    assert (done.status, done.reason) == (status, reason)
    assert kinds(events).count("ErrorOccurred") == errors
    assert kinds(events)[-1] == "TurnEnded"


def test_unspecified_reason_is_normal(conversation):
    conversation.content(**speech())
    events = conversation.content(
        turnComplete=True, turnCompleteReason="TURN_COMPLETE_REASON_UNSPECIFIED"
    )
    assert events[-2] == ResponseDone(response_id="response-1")


def test_refusal_without_any_answer_is_an_error(conversation):
    error, ended = conversation.content(
        turnComplete=True, turnCompleteReason="PROHIBITED_INPUT_CONTENT"
    )
    assert (error.code, error.cause) == ("PROHIBITED_INPUT_CONTENT", "policy")
    assert ended == TurnEnded()


def test_waiting_for_more_without_any_answer_is_not_an_error(conversation):
    events = conversation.content(turnComplete=True, turnCompleteReason="NEED_MORE_INPUT")
    assert events == [TurnEnded()]


def test_turn_goes_on_while_the_service_works(conversation):
    conversation.content(**speech())
    events = conversation.content(turnComplete=True, interactionStatus="IN_PROGRESS")
    assert kinds(events) == ["AudioChunk", "ResponseDone"]
    started, _ = conversation.content(**speech())
    assert started.response_id == "response-2"
    events = conversation.content(turnComplete=True, interactionStatus="IDLE")
    assert events[-1] == TurnEnded(response_id="response-2")


def test_idle_ends_a_turn_that_went_on(conversation):
    conversation.content(**speech())
    conversation.content(turnComplete=True, interactionStatus="IN_PROGRESS")
    assert conversation.content(interactionStatus="IDLE") == [TurnEnded(response_id="response-1")]
    assert conversation.content(interactionStatus="IDLE") == []


# Interruptions


def test_interruption_ends_what_was_open_at_once(conversation):
    conversation.content(outputTranscription={"text": "Well"}, **speech())

    assert kinds(conversation.content(interrupted=True)) == [
        "AudioChunk",
        "TranscriptDelta",
        "OutputCancelled",
    ]
    done, ended = conversation.receive(serverContent={"turnComplete": True}, usageMetadata=USAGE)
    assert (done.response_id, done.status, done.usage.total) == ("response-1", "cancelled", 17)
    assert ended == TurnEnded(response_id="response-1")


def test_interruption_after_generation_complete(conversation):
    conversation.content(**speech())
    conversation.content(generationComplete=True)
    assert conversation.content(interrupted=True) == [OutputCancelled(response_id="response-1")]
    assert conversation.content(turnComplete=True)[0].status == "cancelled"


def test_interruption_and_end_in_one_message(conversation):
    conversation.content(**speech())
    assert kinds(conversation.content(turnComplete=True, interrupted=True)) == [
        "AudioChunk",
        "OutputCancelled",
        "ResponseDone",
        "TurnEnded",
    ]


def test_empty_turn_invents_no_response(conversation):
    assert conversation.content(interrupted=True) == []
    assert conversation.content(turnComplete=True) == [TurnEnded()]
    assert conversation.content(**speech())[0] == ResponseStarted(response_id="response-1")
    assert conversation.content(turnComplete=True)[-2].status == "completed"


def test_answer_without_an_end_of_the_empty_turn_before_it_is_not_cut(conversation):
    conversation.content(interrupted=True)
    conversation.content(**speech())
    assert conversation.content(turnComplete=True)[-2].status == "completed"


def test_interruption_after_the_turn_still_stops_its_playback_once(conversation):
    conversation.content(**speech())
    conversation.content(turnComplete=True)
    assert conversation.content(interrupted=True) == [OutputCancelled(response_id="response-1")]
    # The end of that turn was told before.
    assert conversation.content(turnComplete=True) == []
    assert conversation.content(interrupted=True) == []
    assert conversation.content(turnComplete=True) == [TurnEnded()]


# The user


def test_user_words_are_final_when_the_answer_begins(conversation):
    assert conversation.content(inputTranscription={"text": " Hello"}) == [
        TranscriptDelta(text=" Hello", speaker="user", item_id="user-1")
    ]
    conversation.content(inputTranscription={"text": " there"})
    final, started, _ = conversation.content(**speech())
    assert final == TranscriptDelta(
        text="", is_final=True, speaker="user", full_text=" Hello there", item_id="user-1"
    )
    assert isinstance(started, ResponseStarted)


def test_user_words_are_final_when_speech_ends(conversation):
    start = conversation.receive(
        voiceActivity={"type": "ACTIVITY_START", "audioOffset": "1.880s"}, serverContent={}
    )
    assert start == [SpeechStarted(item_id="user-1", audio_ms=1880)]
    conversation.content(inputTranscription={"text": "Hi"})
    stopped, final = conversation.receive(
        voiceActivity={"type": "ACTIVITY_END", "audioOffset": "5s"}
    )
    assert stopped == SpeechStopped(item_id="user-1", audio_ms=5000)
    assert (final.is_final, final.full_text) == (True, "Hi")
    assert kinds(conversation.content(**speech())) == ["ResponseStarted", "AudioChunk"]


def test_end_of_speech_without_words_waits_for_them(conversation):
    conversation.receive(voiceActivity={"type": "ACTIVITY_START"})
    assert kinds(conversation.receive(voiceActivity={"type": "ACTIVITY_END"})) == ["SpeechStopped"]
    (delta,) = conversation.content(inputTranscription={"text": "Hi"})
    assert (delta.item_id, delta.is_final) == ("user-1", False)
    assert conversation.content(**speech())[0].full_text == "Hi"


def test_words_that_come_late_extend_their_item(conversation):
    conversation.content(inputTranscription={"text": "Good"})
    conversation.content(**speech())
    assert conversation.content(inputTranscription={"text": " bye"}) == [
        TranscriptDelta(
            text=" bye", is_final=True, speaker="user", full_text="Good bye", item_id="user-1"
        )
    ]


def test_words_after_the_turn_are_a_new_item(conversation):
    conversation.content(inputTranscription={"text": "One"})
    conversation.content(**speech())
    conversation.content(turnComplete=True)
    (delta,) = conversation.content(inputTranscription={"text": "Two"})
    assert (delta.item_id, delta.is_final) == ("user-2", False)


def test_words_of_a_barge_in_stay_in_one_item(conversation):
    conversation.content(inputTranscription={"text": "One"})
    conversation.content(**speech())
    conversation.content(interrupted=True)
    conversation.content(inputTranscription={"text": "St"})
    conversation.content(turnComplete=True)
    (delta,) = conversation.content(inputTranscription={"text": "op"})
    assert (delta.item_id, delta.is_final) == ("user-2", False)
    assert conversation.content(**speech())[0].full_text == "Stop"


def test_new_speech_closes_words_that_nothing_closed(conversation):
    conversation.content(inputTranscription={"text": "One"})
    final, started = conversation.receive(
        voiceActivityDetectionSignal={"vadSignalType": "VAD_SIGNAL_TYPE_SOS"}
    )
    assert (final.full_text, started) == ("One", SpeechStarted(item_id="user-2"))
    assert conversation.receive(
        voiceActivityDetectionSignal={"vadSignalType": "VAD_SIGNAL_TYPE_EOS"}
    ) == [SpeechStopped(item_id="user-2")]


def test_unanswered_words_are_final_at_the_end_of_the_turn(conversation):
    conversation.content(inputTranscription={"text": "Well"})
    assert kinds(conversation.content(turnComplete=True)) == ["TranscriptDelta", "TurnEnded"]


def test_transcripts_that_were_switched_off_stay_off(converse):
    conversation = converse(transcription=False)
    assert "inputAudioTranscription" not in conversation.setup
    assert conversation.content(inputTranscription={"text": "Hi"}) == []


def test_everything_in_one_message_comes_in_order(conversation):
    conversation.content(**speech())
    conversation.receive(toolCall=call("fc_0"))
    events = conversation.receive(
        usageMetadata=USAGE,
        toolCall=call("fc_1"),
        serverContent={
            "turnComplete": True,
            "generationComplete": True,
            "outputTranscription": {"text": "Hi"},
            "inputTranscription": {"text": "Hm"},
            "modelTurn": {"parts": [audio_part()]},
        },
        toolCallCancellation={"ids": ["fc_0"]},
        voiceActivity={"type": "ACTIVITY_START"},
        goAway={},
        sessionResumptionUpdate={"newHandle": "h", "resumable": True},
    )
    assert kinds(events) == [
        "SessionResumable",
        "SessionExpiring",
        "SpeechStarted",
        "TranscriptDelta",
        "ToolCallsCancelled",
        "TranscriptDelta",
        "AudioChunk",
        "ToolCallRequest",
        "AudioChunk",
        "TranscriptDelta",
        "TranscriptDelta",
        "ResponseDone",
    ]
    assert [event.speaker for event in events if isinstance(event, TranscriptDelta)] == [
        "user",
        "assistant",
        "assistant",
        "user",
    ]


# Tools


def test_each_call_is_a_request(conversation):
    calls = [{"id": "1", "name": "weather", "args": {"city": "Rome"}}, {"id": "2", "name": "clock"}]
    assert conversation.receive(toolCall={"functionCalls": calls}) == [
        ResponseStarted(response_id="response-1"),
        ToolCallRequest(
            call_id="1",
            function_name="weather",
            arguments={"city": "Rome"},
            response_id="response-1",
        ),
        ToolCallRequest(call_id="2", function_name="clock", arguments={}, response_id="response-1"),
    ]


def test_blocking_call_is_one_response_and_one_turn(converse):
    conversation = converse(model="gemini-2.5-flash-native-audio-preview-12-2025")
    conversation.receive(toolCall=call())
    assert conversation.send(result()) == [
        {
            "toolResponse": {
                "functionResponses": [
                    {"id": "fc_1", "name": "weather", "response": {"output": "sunny"}}
                ]
            }
        }
    ]
    assert kinds(conversation.content(**speech())) == ["AudioChunk"]
    assert kinds(conversation.content(turnComplete=True))[-2:] == ["ResponseDone", "TurnEnded"]


@pytest.mark.parametrize(
    ("output", "sent"),
    [
        ('{"temp": 21}', {"temp": 21}),
        (" [1, 2]", [1, 2]),
        ("21", "21"),
        ("{not json}", "{not json}"),
        ('{"a": NaN}', '{"a": NaN}'),
        ("[" * 5000, "[" * 5000),
        ("", ""),
    ],
)
def test_structured_output_is_sent_as_such(conversation, output, sent):
    conversation.receive(toolCall=call())
    (frame,) = conversation.send(result(output=output))
    assert frame["toolResponse"]["functionResponses"][0]["response"] == {"output": sent}


def test_error_of_a_tool_is_marked(conversation):
    conversation.receive(toolCall=call())
    (frame,) = conversation.send(result(output='{"a": 1}', is_error=True))
    assert frame["toolResponse"]["functionResponses"][0]["response"] == {"error": '{"a": 1}'}


def test_second_result_is_refused(conversation):
    conversation.receive(toolCall=call())
    conversation.send(result())
    with pytest.raises(ConfigurationError, match="not open"):
        conversation.send(result())


def test_result_of_an_unknown_call_is_refused(conversation):
    with pytest.raises(ConfigurationError, match="'fc_9' is not open") as caught:
        conversation.send(result("fc_9"))
    assert caught.value.cause == "application"


def test_result_of_a_cancelled_call_is_dropped(conversation):
    conversation.receive(toolCall=call())
    assert conversation.receive(toolCallCancellation={"ids": ["fc_1"]}) == [
        ToolCallsCancelled(call_ids=("fc_1",))
    ]
    assert conversation.send(result()) == []
    with pytest.raises(ConfigurationError, match="not open"):
        conversation.send(result())


def test_cancelled_call_then_interruption_is_one_turn(conversation):
    conversation.receive(toolCall=call())
    conversation.receive(toolCallCancellation={"ids": ["fc_1"]})
    events = conversation.content(interrupted=True) + conversation.content(turnComplete=True)
    assert kinds(events) == ["OutputCancelled", "ResponseDone", "TurnEnded"]


def test_turn_stays_open_while_a_call_is(conversation):
    conversation.receive(toolCall=call())
    conversation.content(**speech())
    assert kinds(conversation.content(turnComplete=True)) == ["AudioChunk", "ResponseDone"]
    conversation.send(result())
    conversation.content(**speech())
    events = conversation.content(turnComplete=True)
    assert events[-1] == TurnEnded(response_id="response-2")


def test_result_that_crosses_the_end_of_the_response_leaves_the_turn_open(conversation):
    conversation.receive(toolCall=call())
    conversation.send(result())
    conversation.content(**speech())
    assert kinds(conversation.content(turnComplete=True)) == ["AudioChunk", "ResponseDone"]
    conversation.content(**speech())
    events = conversation.content(turnComplete=True)
    assert events[-1] == TurnEnded(response_id="response-2")


def test_where_calls_block_a_turn_may_end_without_a_word_after_the_result(converse):
    conversation = converse(model="gemini-2.5-flash-native-audio-preview-12-2025")
    conversation.receive(toolCall=call())
    conversation.send(result())
    assert kinds(conversation.content(turnComplete=True)) == ["ResponseDone", "TurnEnded"]


def test_interruption_takes_the_place_of_the_answer_to_a_result(conversation):
    conversation.receive(toolCall=call())
    conversation.send(result())
    conversation.content(interrupted=True)
    assert kinds(conversation.content(turnComplete=True)) == ["ResponseDone", "TurnEnded"]


def test_silent_result_ends_the_turn_that_waited_for_it(conversation):
    conversation.receive(toolCall=call())
    conversation.content(turnComplete=True)
    output = conversation.codec.send(result(respond=False))
    assert '"scheduling":"SILENT"' in output.frames[0]
    assert output.events == (TurnEnded(response_id="response-1"),)


def test_silent_result_during_the_answer_leaves_its_end_to_the_service(conversation):
    conversation.receive(toolCall=call())
    assert conversation.codec.send(result(respond=False)).events == ()
    assert kinds(conversation.content(turnComplete=True)) == ["ResponseDone", "TurnEnded"]


def test_silent_result_is_degraded_where_it_is_not_known(converse):
    conversation = converse(model="gemini-3.8-live-extended-thinking")
    conversation.receive(toolCall=call())
    output = conversation.codec.send(result(respond=False))
    assert "scheduling" not in output.frames[0]
    assert kinds(output.events) == ["ConfigWarning"]


# Commands


def test_microphone_audio(conversation):
    (frame,) = conversation.send(AppendAudio(data=b"\xfb\xff"))
    assert frame == {
        "realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": "+/8="}}
    }
    assert conversation.send(AppendAudio(data=b"")) == []


@pytest.mark.parametrize("command", [CommitAudio(), EndAudio()])
def test_end_of_audio_lets_the_detection_close_the_turn(conversation, command):
    assert conversation.send(command) == [{"realtimeInput": {"audioStreamEnd": True}}]


def test_manual_turn(converse):
    conversation = converse(vad_mode=VADMode.MANUAL)
    conversation.send(AppendAudio(data=PCM))
    conversation.send(AppendAudio(data=PCM))
    output = conversation.codec.send(CommitAudio())
    assert output.events == (InputCommitted(item_id="user-1"),)
    assert output.frames == ('{"realtimeInput":{"activityEnd":{}}}',)
    assert [next(iter(frame["realtimeInput"])) for frame in conversation.frames] == [
        "activityStart",
        "audio",
        "audio",
    ]
    first, _ = conversation.send(AppendAudio(data=PCM))
    assert first == {"realtimeInput": {"activityStart": {}}}


def test_manual_turns_have_items_of_their_own(converse):
    conversation = converse(vad_mode=VADMode.MANUAL)
    conversation.send(AppendAudio(data=PCM))
    conversation.content(inputTranscription={"text": "One"})
    conversation.send(CommitAudio())
    (final,) = conversation.codec.send(AppendAudio(data=PCM)).events
    assert final.full_text == "One"
    (delta,) = conversation.content(inputTranscription={"text": "Two"})
    assert delta.item_id == "user-2"


def test_end_of_audio_means_nothing_in_manual_turns(converse):
    conversation = converse(vad_mode=VADMode.MANUAL)
    conversation.send(AppendAudio(data=PCM))
    assert conversation.send(EndAudio()) == []


def test_commit_of_nothing_is_refused(converse):
    with pytest.raises(ConfigurationError, match="no audio to commit"):
        converse(vad_mode=VADMode.MANUAL).send(CommitAudio())


def test_manual_turns_may_come_from_the_options(converse):
    options = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}
    conversation = converse(provider_options=options)
    assert len(conversation.send(AppendAudio(data=PCM))) == 2


def test_text_is_live_input_on_3(conversation):
    assert conversation.send(SendText(text="Hi")) == [{"realtimeInput": {"text": "Hi"}}]


def test_text_is_ordered_content_on_2_5(converse):
    conversation = converse(model="gemini-2.5-flash-native-audio-latest")
    turns = [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert conversation.send(SendText(text="Hi")) == [
        {"clientContent": {"turns": turns, "turnComplete": True}}
    ]


@pytest.mark.parametrize(
    ("command", "role"),
    [
        (SendText(text="Hi", respond=False), "user"),
        (SendText(text="Hi", role="assistant", respond=False), "model"),
        (SendText(text="Hi", role="assistant"), "model"),
    ],
)
def test_history_is_added_without_an_answer(conversation, command, role):
    turns = [{"role": role, "parts": [{"text": "Hi"}]}]
    assert conversation.send(command) == [
        {"clientContent": {"turns": turns, "turnComplete": False}}
    ]


def test_system_message_is_a_note_among_the_users_text(conversation):
    note = {"text": NOTE + "Be brief"}
    assert conversation.send(SendText(text="Be brief", role="system")) == [{"realtimeInput": note}]
    (silent,) = conversation.send(SendText(text="Be brief", role="system", respond=False))
    assert silent == {
        "clientContent": {"turns": [{"role": "user", "parts": [note]}], "turnComplete": False}
    }


def test_text_that_is_not_unicode_can_still_be_sent(conversation):
    (frame,) = conversation.codec.send(SendText(text="\ud800é")).frames
    assert frame.isascii()


def test_request_goes_out_between_answers(conversation):
    assert conversation.send(RequestResponse()) == [{"clientContent": {"turnComplete": True}}]


def test_instructions_for_one_answer_are_a_note_among_the_users_text(conversation):
    assert conversation.send(RequestResponse(instructions="Say hi")) == [
        {"realtimeInput": {"text": NOTE + "Say hi"}}
    ]


def test_request_during_an_answer_waits_for_its_end(conversation):
    conversation.content(**speech())
    assert conversation.send(RequestResponse(instructions="Go on")) == []
    assert conversation.send(RequestResponse()) == []

    events = conversation.content(turnComplete=True)

    assert conversation.frames == [{"realtimeInput": {"text": NOTE + "Go on"}}]
    assert kinds(events) == ["AudioChunk", "ResponseDone"]
    conversation.content(**speech())
    assert conversation.content(turnComplete=True)[-1] == TurnEnded(response_id="response-2")


def test_request_is_forgotten_when_the_user_takes_the_word(conversation):
    conversation.content(**speech())
    conversation.send(RequestResponse())
    conversation.content(interrupted=True)
    assert kinds(conversation.content(turnComplete=True)) == ["ResponseDone", "TurnEnded"]
    assert conversation.frames == []


@pytest.mark.parametrize(
    "command",
    [
        ClearAudio(),
        CancelResponse(),
        TruncateOutput(item_id="item-1", audio_end_ms=0),
        DeleteItem(item_id="item-1"),
    ],
)
def test_what_does_not_exist_is_refused_with_advice(conversation, command):
    with pytest.raises(ConfigurationError) as caught:
        conversation.send(command)
    assert caught.value.advice
    assert caught.value.provider == "gemini"


def test_raw_message_goes_out_as_it_is(conversation):
    data = {"realtimeInput": {"video": {"mimeType": "image/jpeg", "data": "AA=="}}}
    assert conversation.send(SendRaw(data=data)) == [data]


def test_raw_message_that_is_not_json_is_refused(conversation):
    for data in ({"a": float("nan")}, {"a": {1}}):
        with pytest.raises(ConfigurationError, match="not JSON"):
            conversation.send(SendRaw(data=data))


def update(**settings):
    return UpdateSession(config=RealtimeConfig(**settings), changed=frozenset(settings))


def test_instructions_and_tools_change_in_place(conversation):
    output = conversation.codec.send(update(instructions="New", tools=()))
    assert output.events == (SessionUpdated(),)
    assert output.frames == (
        '{"contextUpdate":{"systemInstruction":{"parts":[{"text":"New"}],"role":"user"},'
        '"tools":{"tools":[]}}}',
    )


def test_other_settings_cannot_change(conversation):
    with pytest.raises(ConfigurationError, match="cannot change temperature, voice"):
        conversation.send(update(voice="Puck", temperature=1.0, instructions="New"))


def test_older_models_cannot_change_at_all(converse):
    with pytest.raises(ConfigurationError, match="instructions"):
        converse(model="gemini-2.5-flash-native-audio-latest").send(update(instructions="New"))


def test_settings_of_this_side_need_no_frame(converse):
    conversation = converse(model="gemini-2.5-flash-native-audio-latest")
    output = conversation.codec.send(update(tool_timeout_s=5.0, output_rate=48_000))
    assert output == ((), (SessionUpdated(),))
