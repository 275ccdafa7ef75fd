"""What each failure of the OpenAI protocol means: who has to act, and whether trying again helps.

The error codes are an open vocabulary: OpenAI's API description types them as free text. So the
tables name what is known to occur, and everything else falls back to the kind of failure.
"""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from ...errors import Cause, RealtimeConnectionError
from ...events import ErrorOccurred
from ...redaction import redact
from .wire import Fault


class Meaning(NamedTuple):
    """How to react to a failure."""

    cause: Cause
    retryable: bool
    advice: str | None
    fatal: bool = False
    """Whether the connection is lost with it."""


_EXPIRED = Meaning(
    "expired",
    True,
    "a session lasts 60 minutes at most; connect again and restore the conversation",
    fatal=True,
)
_NO_MONEY = Meaning(
    "quota", False, "check the plan, the credit and the budget of the account", fatal=True
)
_BAD_KEY = Meaning("authentication", False, "check that the API key is right and active", True)
_NO_MODEL = Meaning(
    "configuration", False, "check the model's name and that the account may use it", True
)
_BETA = Meaning(
    "configuration",
    False,
    "leave the header OpenAI-Beta and the flat beta settings out; the beta protocol is gone",
    fatal=True,
)
_RATE = Meaning("rate_limit", True, "wait a little before the next attempt")
_SERVER = Meaning("provider", True, "try again; if it lasts, see status.openai.com")
_BAD_EVENT = Meaning("application", False, "correct the message that was sent")
_BAD_ITEM = Meaning("application", False, "use the id of an item that is in the conversation")
_POLICY = Meaning("policy", False, "the provider's usage policy does not allow this")

_BY_CODE: dict[str, Meaning] = {
    "session_expired": _EXPIRED,
    "beta_api_shape_disabled": _BETA,
    "insufficient_quota": _NO_MONEY,
    "credit_balance_exhausted": _NO_MONEY,
    "billing_hard_limit_reached": _NO_MONEY,
    "account_deactivated": _BAD_KEY,
    "invalid_api_key": _BAD_KEY,
    "authentication_error": _BAD_KEY,
    "model_not_found": _NO_MODEL,
    "rate_limit_exceeded": _RATE,
    "rate_limit_error": _RATE,
    "inference_rate_limit_exceeded": _RATE,
    "server_error": _SERVER,
    "internal_error": _SERVER,
    "invalid_value": _BAD_EVENT,
    "invalid_event": _BAD_EVENT,
    "invalid_type": _BAD_EVENT,
    "unknown_parameter": _BAD_EVENT,
    "missing_required_parameter": _BAD_EVENT,
    "bad_response_create": _BAD_EVENT,
    "invalid_request_error": _BAD_EVENT,
    "item_create_duplicate_item_id": Meaning(
        "application", False, "give every item an id of its own, or none"
    ),
    "item_retrieve_invalid_item_id": _BAD_ITEM,
    "item_delete_invalid_item_id": _BAD_ITEM,
    "item_truncate_invalid_item_id": _BAD_ITEM,
    "input_audio_buffer_commit_empty": Meaning(
        "application", False, "send at least 100 ms of audio before committing it"
    ),
    "conversation_already_has_active_response": Meaning(
        "application", True, "ask again when the running answer is done"
    ),
    "response_cancel_not_active": Meaning("application", False, "nothing was being answered"),
    "cannot_update_voice": Meaning(
        "application", False, "choose the voice before the assistant first speaks"
    ),
    "input_image_safety_violation": _POLICY,
    "content_filter": _POLICY,
    "content_policy_violation": _POLICY,
}
_UNKNOWN = Meaning("unknown", False, None)

_BY_CLOSE: dict[int, Meaning] = {
    1000: Meaning("provider", True, "the provider ended the session; connect again to go on"),
    # The 60 minute limit closes with this code too, usually after an error that says so.
    1001: Meaning("provider", True, "the server is going away; connect again"),
    1002: Meaning("protocol", False, "report this with a recording of the session"),
    1003: Meaning("protocol", False, "report this with a recording of the session"),
    1005: Meaning("network", True, "connect again"),
    1006: Meaning("network", True, "check the network and connect again"),
    1007: Meaning("protocol", False, "report this with a recording of the session"),
    1008: Meaning("policy", False, "check what the account and the usage policy allow"),
    1009: Meaning("application", False, "send smaller messages; 15 MiB of audio is the limit"),
    1010: Meaning("protocol", False, "report this with a recording of the session"),
    1011: _SERVER,
    1012: Meaning("provider", True, "the server is restarting; connect again"),
    1013: Meaning("provider", True, "the server is overloaded; wait a little and connect again"),
    1014: Meaning("network", True, "a proxy got no good answer; connect again"),
    1015: Meaning("network", True, "check TLS: the clock, the certificates, a proxy in between"),
    3000: _BAD_KEY,
    3003: _POLICY,
    3008: Meaning("network", True, "connect again"),
}
_BROKEN = Meaning("network", True, "check the network and connect again")

_BY_STATUS: dict[int, Meaning] = {
    400: Meaning("configuration", False, "check the model, the base URL and the extra headers"),
    401: _BAD_KEY,
    402: _NO_MONEY,
    403: Meaning(
        "authentication", False, "check the key's permissions, its project and your country"
    ),
    404: Meaning("configuration", False, "check the base URL and the model's name"),
    407: Meaning("network", False, "check the proxy's user name and password"),
    408: _BROKEN,
    429: _RATE,
}


def clean(text: str | None) -> str:
    """A provider's words without keys, on one line, at most 300 characters."""
    line = " ".join((text or "")[:2_000].split())
    return redact(line)[:300]


def meaning_of(fault: Fault) -> Meaning:
    """What an error's code means, or its type where the code is unknown or missing."""
    return _BY_CODE.get(fault.code or "") or _BY_CODE.get(fault.type or "") or _UNKNOWN


def error_event(fault: Fault, provider: str, *, fatal: bool | None = None) -> ErrorOccurred:
    """The event for a failure.

    Args:
        fault: What the provider said.
        provider: Whose words they are.
        fatal: Whether the connection is lost with it; None lets the code decide.
    """
    cause, retryable, advice, ends = meaning_of(fault)
    code = fault.code or fault.type
    return ErrorOccurred(
        message=clean(fault.message) or f"{provider} reports {code or 'an error'}",
        code=code,
        provider=provider,
        retryable=retryable,
        cause=cause,
        advice=advice,
        fatal=ends if fatal is None else fatal,
    )


def explain_close(provider: str, code: int | None, reason: str) -> RealtimeConnectionError:
    """What a closed connection means.

    A reason such as `invalid_request_error.beta_api_shape_disabled` tells more than the close
    code; `keepalive` in it says that our own end gave up.
    """
    words = clean(reason)
    known = _BY_CODE.get(reason.rpartition(".")[2])
    if known is None and "maximum duration" in words:
        known = _EXPIRED
    if known is None and "keepalive" in words:
        known = _BROKEN
    if known is None:
        known = _BROKEN if code is None else _BY_CLOSE.get(code, _UNKNOWN)
    what = "the connection broke" if code is None else f"{provider} closed the connection ({code})"
    return RealtimeConnectionError(
        f"{what}: {words}" if words else what,
        code=None if code is None else str(code),
        provider=provider,
        retryable=known.retryable,
        cause=known.cause,
        advice=known.advice,
    )


class _Refusal(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    error: Fault = Fault()


def explain_refusal(provider: str, status: int, body: bytes) -> RealtimeConnectionError:
    """What an HTTP answer to the WebSocket handshake means, from its JSON or else its status."""
    try:
        fault = _Refusal.model_validate_json(body).error
    except ValidationError:  # a proxy's page, or nothing
        fault = Fault()
    # A bare "invalid_request_error" says less than the status, so only the code is asked.
    known = _BY_CODE.get(fault.code or "") or _BY_STATUS.get(status)
    if known is None and status >= 500:
        known = _SERVER
    if known is None:
        known = Meaning("configuration", False, "check the base URL: is this a realtime endpoint?")
    words = clean(fault.message)
    what = f"{provider} refused the connection with HTTP {status}"
    return RealtimeConnectionError(
        f"{what}: {words}" if words else what,
        code=fault.code or str(status),
        provider=provider,
        retryable=known.retryable,
        cause=known.cause,
        advice=known.advice,
    )
