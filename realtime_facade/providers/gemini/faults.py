"""What it means when Gemini closes, refuses or complains: whose turn it is, and to do what.

Reasons are as observed in the field. A close reason is cut at 123 bytes, so rules look for a part
of it; the first rule that fits wins.
"""

from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from ...errors import Cause, RealtimeConnectionError
from ...events import ErrorOccurred

_MAX_TEXT = 300


class Fault(NamedTuple):
    """How to take it. An `expired` one that is not retryable is a dead resumption handle."""

    cause: Cause
    retryable: bool
    advice: str


_BAD_KEY = Fault("authentication", False, "check the key: it is missing, mistyped or revoked")
_DEAD_HANDLE = Fault("expired", False, "forget the resumption handle and start a new session")
_LIFETIME = Fault("expired", True, "connect again with the newest resumption handle")
_QUOTA = Fault("quota", False, "wait for the quota to be renewed, or raise it")
_OVERLOAD = Fault("provider", True, "try again after a pause that grows")
_MODEL = Fault(
    "configuration", False, "check the model's name and whether this API version serves it"
)
_MODALITY = Fault("configuration", False, "leave modalities at their default for this model")
_THINKING = Fault(
    "configuration", False, "change thinkingConfig in provider_options to what the model takes"
)
_SETTING = Fault("configuration", False, "remove the setting that this model does not take")
_CALLING = Fault(
    "configuration", False, "do not ask for blocking functions or scheduling on this model"
)
_REQUEST = Fault(
    "configuration",
    False,
    "check voice, provider_options and the length of the conversation against the model",
)

_REASONS: tuple[tuple[str, Fault], ...] = (
    ("api key not valid", _BAD_KEY),
    ("api key expired", _BAD_KEY),
    ("unregistered callers", _BAD_KEY),
    ("invalid authentication credentials", _BAD_KEY),
    ("invalid session handle", _DEAD_HANDLE),
    ("session not found", _DEAD_HANDLE),
    ("requested entity was not found", _DEAD_HANDLE),
    ("is not found for api version", _MODEL),
    ("is not supported for bidigeneratecontent", _MODEL),
    ("publisher model", _MODEL),
    ("combination of response modalities", _MODALITY),
    ("extract voices from a non-audio request", _MODALITY),
    ("thinking level", _THINKING),
    ("thinking_level", _THINKING),
    ("minimal is not supported", _THINKING),
    ("blocking function calls", _CALLING),
    ("function response scheduling", _CALLING),
    ("code execution tool", _SETTING),
    (
        "unknown name",
        Fault("configuration", False, "check the spelling in provider_options, or api_version"),
    ),
    (
        "content_type_audio not supported",
        Fault("configuration", False, "put text, not audio, into the history"),
    ),
    (
        "precondition check failed",
        Fault("configuration", False, "put text, not audio, into the history"),
    ),
    ("goaway", _LIFETIME),
    ("deadline expired", _LIFETIME),
    ("operation was aborted", _LIFETIME),
    (
        "operation is not implemented",
        Fault(
            "provider",
            True,
            "connect again; this model may refuse microphone audio while a tool call is open",
        ),
    ),
    ("exceeded your current quota", _QUOTA),
    ("resource has been exhausted", _QUOTA),
    ("currently unavailable", _OVERLOAD),
    (
        "keepalive ping timeout",
        Fault("network", True, "connect again; do not judge this provider by its pongs"),
    ),
)

_CLOSES: dict[int, Fault] = {
    1000: Fault("expired", True, "connect again with the newest resumption handle"),
    1001: Fault("provider", True, "connect again with the newest resumption handle"),
    1002: Fault("protocol", False, "report this: the WebSocket protocol was broken"),
    1003: Fault("protocol", False, "report this: a frame of the wrong kind was sent"),
    1005: Fault("network", True, "connect again with the newest resumption handle"),
    1006: Fault("network", True, "connect again with the newest resumption handle"),
    1007: _REQUEST,
    1008: Fault("policy", False, "read the reason: the request is against the service's rules"),
    1009: Fault("application", False, "send smaller messages"),
    1011: _OVERLOAD,
    1012: _OVERLOAD,
    1013: _OVERLOAD,
    1014: _OVERLOAD,
    1015: Fault("network", False, "check TLS: the certificate or a proxy in between"),
}

_STATUSES: dict[int, Fault] = {
    400: _REQUEST,
    401: _BAD_KEY,
    403: Fault("authentication", False, "check that the key may use this API and model"),
    404: Fault("configuration", False, "check base_url, api_version and the model's name"),
    407: Fault("network", False, "check the proxy's credentials"),
    408: Fault("network", True, "try again"),
    429: Fault("rate_limit", True, "open fewer sessions at a time, or try again after a pause"),
}

_DECISIVE = frozenset({401, 403, 404, 407, 408})

_UNKNOWN = Fault("unknown", False, "read the reason; the service does not document this one")


def explain_close(code: int | None, reason: str) -> RealtimeConnectionError:
    """The meaning of a WebSocket close; code None: it broke without a closing handshake."""
    if code is None:
        fault, said = _by_reason(reason) or _CLOSES[1006], "the connection to Gemini broke"
    else:
        fault = _by_reason(reason) or _CLOSES.get(code, _UNKNOWN)
        said = f"Gemini closed the connection with {code}"
    return _error(f"{said}: {_short(reason)}" if reason else said, code, fault)


def explain_refusal(status: int, body: bytes) -> RealtimeConnectionError:
    """The meaning of an HTTP answer other than 101 to the WebSocket handshake."""
    reason = _message_in(body)
    said = f"Gemini refused the connection with HTTP {status}"
    # These say enough by themselves; a 404's "entity not found" is no resumption handle here.
    fault = _STATUSES[status] if status in _DECISIVE else _by_status(status, reason)
    return _error(f"{said}: {reason}" if reason else said, status, fault)


def explain_error(
    code: int | None, status: str | None, message: str | None, *, fatal: bool
) -> ErrorOccurred:
    """The meaning of an error that came as a message; its code is an HTTP status."""
    reason = _short(message or status or "no reason given")
    fault = _by_status(code or 0, reason)
    name = status if code is None else str(code)
    return ErrorOccurred(
        message=f"Gemini reports an error: {reason}",
        code=name,
        provider="gemini",
        retryable=fault.retryable,
        cause=fault.cause,
        advice=fault.advice,
        fatal=fatal,
    )


def _by_reason(reason: str) -> Fault | None:
    lowered = reason.lower()
    return next((fault for text, fault in _REASONS if text in lowered), None)


def _by_status(status: int, reason: str) -> Fault:
    if fault := _by_reason(reason) or _STATUSES.get(status):
        return fault
    return _OVERLOAD if 500 <= status <= 599 else _UNKNOWN


def _error(message: str, code: int | None, fault: Fault) -> RealtimeConnectionError:
    return RealtimeConnectionError(
        message,
        code=None if code is None else str(code),
        provider="gemini",
        retryable=fault.retryable,
        cause=fault.cause,
        advice=fault.advice,
    )


class _HttpError(BaseModel):
    message: str


class _HttpBody(BaseModel):
    error: _HttpError


def _message_in(body: bytes) -> str:
    try:
        return _short(_HttpBody.model_validate_json(body).error.message)
    except ValidationError:
        # Not a Google API error but, for example, a proxy's page; its beginning tells more.
        return _short(body.decode("utf-8", "replace"))


def _short(text: str) -> str:
    text = " ".join(text[: 10 * _MAX_TEXT].split())
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."
