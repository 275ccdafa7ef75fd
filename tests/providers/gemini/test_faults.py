"""What a close, a refusal or an error means."""

import json

import pytest

from realtime_facade.providers.gemini.faults import explain_close, explain_error, explain_refusal


@pytest.mark.parametrize(
    ("code", "reason", "cause", "retryable"),
    [
        (1007, "API key not valid. Please pass a valid API key.", "authentication", False),
        (1007, "Request contains an invalid argument.", "configuration", False),
        (1007, "Thinking level is not supported for this model", "configuration", False),
        (1007, 'Invalid JSON payload received. Unknown name "x" at', "configuration", False),
        (1007, "Invalid session handle", "expired", False),
        (1008, "models/x is not found for API version v1beta, or is not", "configuration", False),
        (1008, "Method doesn't allow unregistered callers", "authentication", False),
        (1008, "Request had invalid authentication credentials.", "authentication", False),
        (1008, "Connection aborted because the client failed to close the connection after "
               "receiving a GoAway signal", "expired", True),
        (1008, "BidiGenerateContent session not found", "expired", False),
        (1008, "Requested entity was not found.", "expired", False),
        (1008, "Operation is not implemented, or supported, or enabled.", "provider", True),
        (1008, "The operation was aborted.", "expired", True),
        (1008, "something new", "policy", False),
        (1011, "Internal error encountered.", "provider", True),
        (1011, "You exceeded your current quota, please", "quota", False),
        (1011, "The service is currently unavailable.", "provider", True),
        (1011, "Deadline expired before operation could complete.", "expired", True),
        (1011, "keepalive ping timeout", "network", True),
        (1000, "", "expired", True),
        (1001, "", "provider", True),
        (1005, "", "network", True),
        (1006, "", "network", True),
        (None, "", "network", True),
        (None, "connection reset", "network", True),
        (4001, "x", "unknown", False),
    ],
)  # fmt: skip
def test_close(code, reason, cause, retryable):
    error = explain_close(code, reason)
    assert (error.cause, error.retryable) == (cause, retryable)
    assert error.code == (None if code is None else str(code))
    assert error.provider == "gemini"
    assert error.advice
    assert reason in error.message


@pytest.mark.parametrize(
    ("status", "message", "cause", "retryable"),
    [
        (400, "API key not valid. Please pass a valid API key.", "authentication", False),
        (400, "Bad", "configuration", False),
        (401, "", "authentication", False),
        (403, "", "authentication", False),
        (404, "Requested entity was not found.", "configuration", False),
        (429, "Too many", "rate_limit", True),
        (429, "You exceeded your current quota", "quota", False),
        (500, "", "provider", True),
        (503, "", "provider", True),
        (302, "", "unknown", False),
    ],
)
def test_refusal(status, message, cause, retryable):
    body = json.dumps({"error": {"code": status, "message": message}}).encode()
    error = explain_refusal(status, body)
    assert (error.cause, error.retryable, error.code) == (cause, retryable, str(status))
    assert error.advice
    assert message in error.message


@pytest.mark.parametrize("body", [b"", b"<html>\n no </html>", b"\xff", b"[]", b'{"error": "x"}'])
def test_refusal_by_something_that_is_not_google(body):
    error = explain_refusal(502, body)
    assert error.retryable
    assert "\n" not in error.message


def test_long_texts_are_cut():
    assert len(explain_refusal(500, b"x" * 10_000).message) < 400
    assert len(explain_close(1011, "x" * 10_000).message) < 400


def test_error_message():
    error = explain_error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted", fatal=False)
    assert (error.code, error.cause, error.retryable) == ("429", "quota", False)
    error = explain_error(None, "UNAVAILABLE", None, fatal=True)
    assert (error.code, error.fatal) == ("UNAVAILABLE", True)
    assert "UNAVAILABLE" in error.message
