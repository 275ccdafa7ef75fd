"""What is taken for a secret, and that it is gone afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_facade.redaction import (
    SECRET,
    Redactor,
    address,
    redact,
    redact_fields,
    secrets_in,
    secrets_of,
)

KEY = "K" * 32


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-" + "proj-abc123def456ghi7.",
        "Incorrect API key provided: sk-ab***********wxyz.",
        "the token ek_" + "68af296e8e408191a1120ab6383263c2 has expired",
        "API key not valid: AIza" + "SyD-1234567890abcdefghijklmnopqrstu",
        "auth_tokens/" + "0123abcd is unknown",
        "header Authorization: Bearer abcdefgh12345678",
        "GET /v1/realtime?api-key=abcdef123456&model=m",
        "proxy http://me:hunter22@proxy.example:3128 failed",
        "xai-" + "abcdefgh12345678",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str):
    cleaned = redact(text)
    assert SECRET in cleaned
    assert not any(part in cleaned for part in ("abc", "68af", "SyD", "0123", "hunter", "wxyz"))


@pytest.mark.parametrize(
    "text",
    [
        "ask-me anything, skip the task-list",
        "the model gpt-realtime-2.1 is not found",
        "token limit exceeded: 1234 tokens",
        "wss://api.openai.com/v1/realtime?model=gpt-realtime",
        "mail me@example.com",
    ],
)
def test_ordinary_words_stay(text: str):
    assert redact(text) == text


def test_fields_that_hold_secrets_are_taken_out_of_json():
    options = {
        "tools": [
            {
                "type": "mcp",
                "authorization": "mcp-oauth-token",
                "headers": {"X-Custom": "whatever it is", "n": 1},
            }
        ],
        "sessionResumptionUpdate": {"newHandle": "abc", "resumable": True},
        "client_secret": {"value": "ek", "expires_at": 5},
        "usage": {"total_tokens": 3},
        "parameters": {"properties": {"token": {"type": "string"}}},
    }
    assert redact_fields(options) == {
        "tools": [
            {
                "type": "mcp",
                "authorization": SECRET,
                "headers": {"X-Custom": SECRET, "n": 1},
            }
        ],
        "sessionResumptionUpdate": {"newHandle": SECRET, "resumable": True},
        "client_secret": {"value": SECRET, "expires_at": 5},
        "usage": {"total_tokens": 3},
        "parameters": {"properties": {"token": {"type": "string"}}},
    }
    assert secrets_in(options) == {"mcp-oauth-token", "whatever it is", "abc", "ek"}


def test_secrets_of_an_address_and_its_headers():
    url = f"wss://user:{KEY}2@host:1/v1?model=gpt-realtime-2.1-mini&api-key={KEY}1"
    found = secrets_of(
        url,
        {"Authorization": f"Bearer {KEY}3", "api-key": f"{KEY}4", "User-Agent": "x" * 30},
        ["realtime", f"openai-insecure-api-key.{KEY}5"],
    )
    assert found == {"user", f"{KEY}2", f"{KEY}1", f"Bearer {KEY}3", f"{KEY}4", f"{KEY}5"}
    redactor = Redactor(found)
    for secret in found - {"user"}:
        assert KEY not in redactor.text(f"you sent {secret}, really")
        assert KEY.encode() not in redactor.frame(f'{{"echo":"{secret}"}}'.encode())
    assert redactor.text("a user said Bearer with me") == "a user said Bearer with me"


def test_an_address_for_people():
    assert address(f"wss://me:{KEY}@host:1/v1?key={KEY}") == "wss://host:1/v1"
    assert address("http://[::1]:80/x") == "http://[::1]:80/x"
    assert address("http://[half") == "(not an address)"


@given(st.text(), st.text(min_size=12).filter(lambda t: t.split()[-1:] == [t]), st.text())
def test_a_known_secret_never_stays(before: str, secret: str, after: str):
    redactor = Redactor([secret])
    # What replaces one secret can by chance complete another only if it holds a part of it.
    text = redactor.text(before + secret + after)
    assert secret not in text or SECRET in secret or any(c in secret for c in "[]")


def test_common_words_are_no_secrets():
    assert Redactor(["simulated"]).text("a simulated answer") == "a simulated answer"
