"""The codec by plain calls: one message or command in, messages and events out."""

import base64
import json

import pytest

from realtime_facade.commands import (
    AppendAudio,
    ClearAudio,
    CommitAudio,
    DeleteItem,
    EndAudio,
    SendRaw,
    SendText,
    TruncateOutput,
    UpdateSession,
)
from realtime_facade.config import (
    RealtimeConfig,
    SemanticEagerness,
    SemanticVAD,
    Transcription,
    VADMode,
)
from realtime_facade.errors import ConfigurationError, ProtocolError
from realtime_facade.events import (
    ConfigWarning,
    ErrorOccurred,
    InputCommitted,
    RawEvent,
    ResponseDone,
    SessionStarted,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    TokenCounts,
    TurnEnded,
    Usage,
    UsageReported,
)

USAGE = {
    "total_tokens": 205,
    "input_tokens": 41,
    "output_tokens": 164,
    "input_token_details": {
        "text_tokens": 14,
        "audio_tokens": 25,
        "image_tokens": 2,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 40, "audio_tokens": 24},
    },
    "output_token_details": {"text_tokens": 28, "audio_tokens": 136, "reasoning_tokens": 7},
}


def test_the_server_speaks_first_and_is_answered_with_the_configuration(fresh):
    conversation = fresh(instructions="Be kind.")
    assert conversation.receive("session.created", session={"id": "sess_1"}) == []
    [setup] = conversation.take()
    assert setup["type"] == "session.update"
    assert setup["session"]["instructions"] == "Be kind."
    started = conversation.receive(
        "session.updated", session={"id": "sess_1", "model": "gpt-realtime-2.1", "expires_at": 7}
    )
    assert started == [
        SessionStarted(session_id="sess_1", model="gpt-realtime-2.1", expires_at=7.0)
    ]
    assert conversation.receive("session.updated", session={}) == [SessionUpdated()]


def test_a_server_that_says_nothing_of_the_session_has_started_it_all_the_same(fresh):
    conversation = fresh(model="their-model")
    conversation.receive("session.created")
    assert conversation.receive("session.updated") == [SessionStarted(model="their-model")]


def test_configuration_is_sent_once(fresh):
    conversation = fresh()
    conversation.receive("session.created", session={})
    [event] = conversation.receive("session.created", session={})
    assert isinstance(event, RawEvent)
    assert conversation.names() == ["session.update"]


def test_what_cannot_be_had_is_said_at_the_start(fresh):
    conversation = fresh(temperature=0.5)
    conversation.receive("session.created", session={})
    started, warning = conversation.receive("session.updated", session={})
    assert isinstance(started, SessionStarted)
    assert isinstance(warning, ConfigWarning)
    assert warning.setting == "temperature"
    assert "temperature" not in json.dumps(conversation.take())


@pytest.mark.parametrize("created", [False, True])
def test_error_before_the_start_is_fatal(fresh, created):
    conversation = fresh()
    if created:
        conversation.receive("session.created", session={})
    [error] = conversation.error("invalid_value", message="Bad voice.")
    assert isinstance(error, ErrorOccurred)
    assert (error.fatal, error.code, error.message) == (True, "invalid_value", "Bad voice.")


def test_error_after_the_start_is_fatal_only_where_the_session_is_lost(conversation):
    [error] = conversation.error("invalid_value")
    assert (error.fatal, error.retryable, error.cause) == (False, False, "application")
    [expired] = conversation.error("session_expired")
    assert (expired.fatal, expired.retryable, expired.cause) == (True, True, "expired")


def test_speech_events(conversation):
    assert conversation.receive(
        "input_audio_buffer.speech_started", item_id="u", audio_start_ms=1460
    ) == [SpeechStarted(item_id="u", audio_ms=1460.0)]
    assert conversation.receive(
        "input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=4256
    ) == [SpeechStopped(item_id="u", audio_ms=4256.0)]
    assert conversation.receive("input_audio_buffer.committed", item_id="u") == [
        InputCommitted(item_id="u")
    ]


def test_usage(conversation):
    conversation.created()
    done, _ = conversation.done(usage=USAGE)
    assert done.usage == Usage(
        input=TokenCounts(total=41, text=14, audio=25, image=2, cached=64, cached_audio=24),
        output=TokenCounts(total=164, text=28, audio=136, reasoning=7),
        total=205,
    )


def test_a_recognizer_bills_by_time_or_by_tokens(fresh):
    conversation = fresh(transcription=Transcription(model="gpt-transcribe"))
    conversation.receive("session.created")
    conversation.receive("session.updated")
    completed = "conversation.item.input_audio_transcription.completed"
    words, by_time = conversation.receive(
        completed, item_id="u", transcript="Hi.", usage={"type": "duration", "seconds": 3}
    )
    assert (words.full_text, by_time) == (
        "Hi.",
        UsageReported(usage=Usage(audio_s=3), model="gpt-transcribe"),
    )
    tokens = {"type": "tokens", "total_tokens": 14, "input_tokens": 10, "output_tokens": 4}
    tokens["input_token_details"] = {"audio_tokens": 10}
    _, by_tokens = conversation.receive(completed, item_id="u2", transcript="Hi.", usage=tokens)
    assert by_tokens.usage == Usage(
        input=TokenCounts(total=10, audio=10), output=TokenCounts(total=4), total=14
    )
    conversation.send(
        UpdateSession(
            config=RealtimeConfig(transcription=Transcription(model="whisper-1")),
            changed=frozenset({"transcription"}),
        )
    )
    *_, after = conversation.receive(completed, item_id="u3", transcript="Hi.", usage=tokens)
    assert after.model == "whisper-1"


@pytest.mark.parametrize(
    ("status", "details", "expected", "reason"),
    [
        ("completed", None, "completed", None),
        ("incomplete", {"reason": "max_output_tokens"}, "incomplete", "max_output_tokens"),
        ("something_new", None, "incomplete", None),
    ],
)
def test_ends_without_failure(conversation, status, details, expected, reason):
    conversation.created()
    assert conversation.done(status=status, status_details=details) == [
        ResponseDone(response_id="resp_1", status=expected, reason=reason),
        TurnEnded(response_id="resp_1"),
    ]


def test_failed_answer_is_an_error_too(conversation):
    conversation.created()
    fault = {"type": "server_error", "code": "inference_rate_limit_exceeded", "message": "Slow."}
    error, done, ended = conversation.done(
        status="failed", status_details={"type": "failed", "error": fault}
    )
    assert (error.cause, error.retryable, error.fatal) == ("rate_limit", True, False)
    assert (done.status, done.reason) == ("failed", "inference_rate_limit_exceeded")
    assert isinstance(ended, TurnEnded)


def test_answer_that_the_account_cannot_pay_does_not_end_the_session(conversation):
    conversation.created()
    error, *_ = conversation.done(
        status="failed", status_details={"error": {"code": "insufficient_quota"}}
    )
    assert (error.cause, error.fatal) == ("quota", False)


@pytest.mark.parametrize(
    "name", ["rate_limits.updated", "conversation.item.added", "mcp_list_tools.failed", "new.one"]
)
def test_everything_else_is_raw_and_whole(conversation, name):
    [event] = conversation.receive(name, item={"deep": [1, None]})
    assert event == RawEvent(
        name=name, data={"type": name, "event_id": "event_1", "item": {"deep": [1, None]}}
    )


def test_microphone_audio(conversation):
    conversation.send(AppendAudio(data=b"\x00\x01\xfe\xff"))
    [message] = conversation.take()
    assert message == {"type": "input_audio_buffer.append", "audio": "AAH+/w=="}
    assert conversation.send(AppendAudio(data=b"")) == []
    assert conversation.take() == []


def test_frames_are_text(conversation):
    for command in (AppendAudio(data=b"ab"), ClearAudio(), SendText(text="ä\ud800")):
        for frame in conversation.codec.send(command).frames:
            assert isinstance(frame, str)
            frame.encode("utf-8")


def test_manual_turn(converse):
    conversation = converse(vad_mode=VADMode.MANUAL)
    conversation.send(AppendAudio(data=bytes(4800)))
    conversation.take()
    conversation.send(CommitAudio())
    assert conversation.names() == ["input_audio_buffer.commit", "response.create"]


def test_commit_of_next_to_nothing_is_refused_here(converse):
    # The provider would refuse the commit and still answer.
    conversation = converse(vad_mode=VADMode.MANUAL)
    conversation.send(AppendAudio(data=bytes(4800)))
    conversation.send(ClearAudio())
    conversation.send(AppendAudio(data=bytes(4798)))
    conversation.take()
    [error] = conversation.send(CommitAudio())
    assert (error.code, error.cause) == ("input_audio_buffer_commit_empty", "application")
    assert conversation.names() == []


@pytest.mark.parametrize(
    ("settings", "silence_ms"),
    [
        ({}, 1_000),
        ({"vad_silence_duration_ms": 700}, 1_200),
        ({"turn_detection": SemanticVAD()}, 4_500),
        ({"turn_detection": SemanticVAD(eagerness=SemanticEagerness.LOW)}, 8_500),
        ({"turn_detection": SemanticVAD(eagerness=SemanticEagerness.HIGH)}, 2_500),
        ({"vad_mode": VADMode.MANUAL}, 0),
    ],
    ids=str,
)
def test_end_of_microphone_audio_closes_the_turn_with_silence(converse, settings, silence_ms):
    conversation = converse(**settings)
    conversation.send(EndAudio())
    audio = b"".join(base64.b64decode(m["audio"]) for m in conversation.take())
    assert audio == bytes(silence_ms * 48)


@pytest.mark.parametrize(
    ("role", "kind"),
    [("user", "input_text"), ("system", "input_text"), ("assistant", "output_text")],
)
def test_text(conversation, role, kind):
    conversation.send(SendText(text="Hi", role=role, respond=False))
    assert conversation.take() == [
        {
            "type": "conversation.item.create",
            "item": {
                "id": "told_1",
                "type": "message",
                "role": role,
                "content": [{"type": kind, "text": "Hi"}],
            },
        }
    ]


def test_truncate_and_delete(conversation):
    conversation.send(TruncateOutput(item_id="i", audio_end_ms=1250))
    conversation.send(DeleteItem(item_id="i"))
    assert conversation.take() == [
        {
            "type": "conversation.item.truncate",
            "item_id": "i",
            "content_index": 0,
            "audio_end_ms": 1250,
        },
        {"type": "conversation.item.delete", "item_id": "i"},
    ]


def test_raw_message_that_json_cannot_express_is_refused(conversation):
    for value in (object(), float("nan"), {1, 2}):
        with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
            conversation.send(SendRaw(data={"type": "x", "value": value}))
    assert conversation.take() == []


def test_update_sends_only_what_changed(conversation):
    config = RealtimeConfig(instructions="Now in French.", speed=1.2, voice="alloy")
    changed = frozenset({"instructions", "speed", "tool_timeout_s"})
    conversation.send(UpdateSession(config=config, changed=changed))
    assert conversation.take() == [
        {
            "type": "session.update",
            "session": {
                "type": "realtime",
                "instructions": "Now in French.",
                "audio": {"output": {"speed": 1.2}},
            },
        }
    ]


def test_update_of_what_the_provider_never_sees_sends_nothing(conversation):
    config = RealtimeConfig(tool_timeout_s=5)
    command = UpdateSession(config=config, changed=frozenset({"tool_timeout_s"}))
    assert conversation.send(command) == []
    assert conversation.take() == []


def test_voice_stays_after_the_assistant_has_spoken(conversation):
    # The provider would refuse the whole update, the tools included.
    config = RealtimeConfig(voice="verse", instructions="x")
    command = UpdateSession(config=config, changed=frozenset({"voice", "instructions"}))
    assert conversation.send(command) == []
    assert conversation.take()[0]["session"]["audio"] == {"output": {"voice": "verse"}}
    conversation.audio(b"ab")
    [warning] = conversation.send(command)
    assert warning.setting == "voice"
    assert conversation.take()[0]["session"] == {"type": "realtime", "instructions": "x"}


def test_update_of_turn_detection_is_in_force_at_once(conversation):
    config = RealtimeConfig(vad_mode=VADMode.MANUAL)
    conversation.send(UpdateSession(config=config, changed=frozenset({"vad_mode"})))
    [message] = conversation.take()
    assert message["session"]["audio"] == {"input": {"turn_detection": None}}
    conversation.send(EndAudio())
    assert conversation.take() == []


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        b"\xff\xfe",
        "\ud800",
        "[]",
        "null",
        "5",
        "{}",
        '{"type":5}',
        '{"type":null}',
        '{"type":["error"]}',
        '{"type":"response.created"}',
        '{"type":"response.created","response":null}',
        '{"type":"response.output_audio.delta","item_id":"i","delta":"AAA*"}',
        '{"type":"response.output_audio.delta","item_id":"i","delta":5}',
        '{"type":"response.output_audio.delta","delta":"AAAA"}',
        '{"type":"response.output_item.done","item":[]}',
        '{"type":"error","error":"sk-secret"}',
        '{"type":"new.one","deep":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"type":"response.done","response":{"id":"r","usage":{"total_tokens":"many"}}}',
    ],
    ids=lambda frame: repr(frame[:60]),
)
def test_malformed_frame_is_refused_without_a_trace(conversation, frame):
    conversation.created()
    with pytest.raises(ProtocolError) as caught:
        conversation.codec.receive(frame)
    assert len(str(caught.value)) < 300
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    [chunk] = conversation.audio(b"ab")
    assert chunk.data == b"ab"
    assert [type(e) for e in conversation.done()] == [type(e) for e in (chunk,)] + [
        ResponseDone,
        TurnEnded,
    ]
