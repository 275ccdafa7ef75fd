"""What a close, a refusal or an error means to a program and to a person."""

import json

import pytest

from realtime_facade.providers.openai.faults import (
    clean,
    error_event,
    explain_close,
    explain_refusal,
)
from realtime_facade.providers.openai.wire import Fault


@pytest.mark.parametrize(
    ("code", "reason", "cause", "retryable"),
    [
        (None, "", "network", True),
        (1000, "", "provider", True),
        (1001, "", "provider", True),
        (1001, "Your session hit the maximum duration of 60 minutes.", "expired", True),
        (1002, "", "protocol", False),
        (1005, "", "network", True),
        (1006, "", "network", True),
        (1007, "", "protocol", False),
        (1008, "", "policy", False),
        (1009, "", "application", False),
        (1011, "", "provider", True),
        (1011, "keepalive ping timeout", "network", True),
        (1012, "", "provider", True),
        (1013, "", "provider", True),
        (1015, "", "network", True),
        (3000, "invalid_request_error.invalid_api_key", "authentication", False),
        (3000, "", "authentication", False),
        (4000, "invalid_request_error.beta_api_shape_disabled", "configuration", False),
        (4000, "insufficient_quota", "quota", False),
        (4000, "rate_limit_exceeded", "rate_limit", True),
        (4999, "", "unknown", False),
    ],
)
def test_close(code, reason, cause, retryable):
    error = explain_close("openai", code, reason)
    assert (error.cause, error.retryable, error.provider) == (cause, retryable, "openai")
    assert error.code == (None if code is None else str(code))
    assert reason in error.message
    assert error.advice or cause == "unknown"


@pytest.mark.parametrize(
    ("status", "fault", "cause", "retryable"),
    [
        (400, {"code": None, "type": "invalid_request_error"}, "configuration", False),
        (400, {"code": "model_not_found"}, "configuration", False),
        (401, {"code": "invalid_api_key"}, "authentication", False),
        (401, {}, "authentication", False),
        (402, {}, "quota", False),
        (403, {}, "authentication", False),
        (404, {}, "configuration", False),
        (407, {}, "network", False),
        (408, {}, "network", True),
        (429, {}, "rate_limit", True),
        (429, {"code": "insufficient_quota"}, "quota", False),
        (500, {}, "provider", True),
        (503, {}, "provider", True),
        (529, {}, "provider", True),
        (302, {}, "configuration", False),
        (418, {}, "configuration", False),
    ],
)
def test_refusal(status, fault, cause, retryable):
    body = json.dumps({"error": {"message": "Because.", **fault}}).encode()
    error = explain_refusal("openai", status, body)
    assert (error.cause, error.retryable) == (cause, retryable)
    assert error.code == (fault.get("code") or str(status))
    assert f"HTTP {status}: Because." in error.message
    assert error.advice


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"no"}', b"\xff"])
def test_refusal_without_a_reason(body):
    error = explain_refusal("azure", 401, body)
    assert error.message == "azure refused the connection with HTTP 401"
    assert error.code == "401"


@pytest.mark.parametrize(
    ("code", "cause", "retryable", "fatal"),
    [
        ("invalid_value", "application", False, False),
        ("cannot_update_voice", "application", False, False),
        ("conversation_already_has_active_response", "application", True, False),
        ("inference_rate_limit_exceeded", "rate_limit", True, False),
        ("input_image_safety_violation", "policy", False, False),
        ("server_error", "provider", True, False),
        ("session_expired", "expired", True, True),
        ("beta_api_shape_disabled", "configuration", False, True),
        ("insufficient_quota", "quota", False, True),
        ("credit_balance_exhausted", "quota", False, True),
        ("billing_hard_limit_reached", "quota", False, True),
        ("account_deactivated", "authentication", False, True),
        ("invalid_api_key", "authentication", False, True),
        ("model_not_found", "configuration", False, True),
        ("never_heard_of", "unknown", False, False),
    ],
)
@pytest.mark.parametrize("place", ["code", "type"])
def test_error(code, cause, retryable, fatal, place):
    event = error_event(Fault.model_validate({place: code, "message": "Why."}), "openai")
    assert (event.cause, event.retryable, event.fatal) == (cause, retryable, fatal)
    assert (event.code, event.message, event.provider) == (code, "Why.", "openai")


def test_error_without_words_still_says_something():
    assert error_event(Fault(), "openai").message == "openai reports an error"
    assert error_event(Fault(code="x"), "openai").message == "openai reports x"


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abc*****xyz. Find yours",
        "Incorrect API key provided: sk-1234567890abcdef. Find yours",
        "secret ek_68af296e8e408191a1120ab6383263c2 has expired. Find yours",
        "header was Bearer abc.def. Find yours",
    ],
)
def test_keys_never_appear(text):
    cleaned = clean(text)
    assert "[secret]" in cleaned
    assert "Find yours" in cleaned
    for secret in ("abc", "1234", "68af", "xyz"):
        assert secret not in cleaned


def test_words_of_the_provider_are_one_short_line():
    assert clean("a\n  b") == "a b"
    assert len(clean("long " * 1000)) == 300
    assert clean("risk-averse, ask-me, ok-then") == "risk-averse, ask-me, ok-then"
